package proxy

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/doorward/doorward/internal/credentials"
	"github.com/doorward/doorward/internal/identity"
	"github.com/doorward/doorward/internal/origin"
	"github.com/doorward/doorward/internal/pages"
	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/proxy/policy"
)

// judge is a Bearer: the token's text says what becomes of it. It notes what it was shown.
type judge struct {
	people map[string]*identity.Identity // by token
	gone   atomic.Bool                   // ends their streams

	mu    sync.Mutex
	shown []credentials.Presented
}

func (j *judge) Check(_ context.Context, p credentials.Presented) (*identity.Identity, error) {
	j.mu.Lock()
	j.shown = append(j.shown, p)
	j.mu.Unlock()
	switch p.Token {
	case "half":
		return nil, nil
	case "down":
		return nil, &pages.Error{Code: codeProviderUnavailable, RetryAfter: retryAfter}
	case "odd":
		return nil, errors.New("the connection to 10.9.8.7 broke")
	case "nonce":
		return nil, &credentials.Refusal{Scheme: "DPoP", Word: credentials.UseDPoPNonce, Params: [][2]string{{"algs", "ES256"}}, Nonce: "n-1"}
	case "panic":
		panic("odd token")
	}
	if who := j.people[p.Token]; who != nil {
		return who, nil
	}
	return nil, &credentials.Refusal{Scheme: p.Scheme, Word: credentials.InvalidToken, Description: "token is malformed"}
}

func (j *judge) Alive(context.Context, *identity.Identity) (bool, error) { return !j.gone.Load(), nil }

func (j *judge) take() []credentials.Presented {
	j.mu.Lock()
	defer j.mu.Unlock()
	shown := j.shown
	j.shown = nil
	return shown
}

// tokenOf is the identity of a bearer token.
func tokenOf(subject, token string, change func(*identity.Identity)) *identity.Identity {
	return someone(subject, func(w *identity.Identity) {
		w.Login, w.Email, w.EmailVerified, w.Username, w.Client = "", "", false, "", "shop"
		w.Tokens = &identity.Tokens{AccessToken: secret.New(token)}
		if change != nil {
			change(w)
		}
	})
}

// keys is the Authenticator of API keys: "key-NAME".
type keys struct{ header string }

func (k keys) Authenticate(_ http.ResponseWriter, r *http.Request) (*identity.Identity, bool, error) {
	switch value := r.Header.Get(k.header); value {
	case "key-robot":
		return someone("robot", func(w *identity.Identity) {
			w.Login, w.Machine, w.Client, w.Tokens, w.Email = "", true, "robot", nil, ""
		}), true, nil
	case "key-broken":
		return nil, false, errors.New("the file cannot be read")
	default:
		return nil, false, nil
	}
}

// bearerLab is a laboratory with routes for tokens of providers, and for keys.
type bearerLab struct {
	*lab
	judge *judge
}

func newBearerLab(t *testing.T, change ...func(*Config, *Deps)) bearerLab {
	t.Helper()
	b := bearerLab{judge: &judge{people: map[string]*identity.Identity{
		"bob":     tokenOf("bob", "bob", func(w *identity.Identity) { w.Scopes = []string{"orders.read"} }),
		"poor":    tokenOf("poor", "poor", nil),
		"machine": tokenOf("backup", "machine", func(w *identity.Identity) { w.Machine, w.Client = true, "backup" }),
		"bound": tokenOf("bob", "bound", func(w *identity.Identity) {
			w.Claims = identity.NewClaims([]byte(`{"cnf":{"jkt":"0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"}}`))
		}),
	}}}
	b.lab = newLab(t, func(c *Config, d *Deps) {
		d.Bearers, d.Keys, d.Tokens = map[string]Bearer{}, map[string]Authenticator{}, carriers{everybody(), new(atomic.Int64), new(atomic.Bool)}
		add := func(rt Route, accept ...string) {
			rt.Path, rt.Hosts, rt.Upstreams, rt.Accept = "/"+rt.Name, []origin.Origin{appTest}, c.Routes[0].Upstreams, accept
			for _, a := range accept {
				if a == acceptSession {
					rt.Logins, d.Starters[rt.Name] = []string{"staff"}, door{}
				}
			}
			d.Bearers[rt.Name], d.Keys[rt.Name] = b.judge, keys{"X-Api-Key"}
			c.Routes = append(c.Routes, rt)
		}
		add(Route{Name: "api", Bearer: BearerRules{Issuers: []string{"https://idp.test"}}}, acceptBearer)
		add(Route{Name: "orders", Allow: []policy.Rule{{Scopes: []string{"orders.read"}}}, Bearer: BearerRules{Issuers: []string{"https://idp.test", "https://partner.test"}, DPoPAlgorithms: []string{"ES256"}}}, acceptBearer)
		add(Route{Name: "shop", Allow: []policy.Rule{{Clients: []string{"backup"}}}}, acceptBearer)
		add(Route{Name: "both"}, acceptSession, acceptBearer)
		add(Route{Name: "passon", Credential: "session"}, acceptBearer)
		add(Route{Name: "places", Bearer: BearerRules{Header: "x-access-token", Cookie: "at"}}, acceptBearer)
		add(Route{Name: "people", Require: `!user.machine && request.method == "GET"`}, acceptBearer)
		add(Route{Name: "strict", Require: `claims.level == "high"`}, acceptSession)
		add(Route{Name: "key"}, acceptKey)
		add(Route{Name: "every"}, acceptKey, acceptBearer, acceptSession)
		for _, f := range change {
			f(c, d)
		}
	})
	return b
}

func bearerLine(token string) string { return "Authorization: Bearer " + token }

// challenge is the first one of an answer.
func (a answer) challenge() string { return a.Header.Get("WWW-Authenticate") }

func (l *lab) challenged(a answer, want string) {
	l.Helper()
	if got := a.challenge(); got != want {
		l.Errorf("challenge\n%s, not\n%s", got, want)
	}
	if a.Header.Get("Location") != "" || strings.Contains(strings.Join(a.Header.Values("Set-Cookie"), ""), "login") {
		l.Errorf("a login was begun: %v", a.Header)
	}
}
