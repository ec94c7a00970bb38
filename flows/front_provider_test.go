package flows

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

const pliant = "http://127.0.0.1:9009"

// pliantProvider answers authorization requests at once and says whatever a test wants it to say. It stands in
// for demo/idp where an answer must be wrong in a way that only its signer can make it.
type pliantProvider struct {
	key *ecdsa.PrivateKey

	mu      sync.Mutex
	person  string                                     // who is signed in; "" = nobody
	front   func(claims map[string]any)                // changes the ID token of the authorization response
	later   func(claims map[string]any)                // changes that of the token endpoint
	answer  func(asked, answer url.Values)             // changes the authorization response
	respond func(http.ResponseWriter, url.Values) bool // answers an authorization request instead of us
	asked   []url.Values                               // authorization requests
	granted []url.Values                               // token requests
	extra   map[string]any                             // discovery
	issued  map[string]url.Values                      // code -> authorization request
}

// newPliant is a world whose provider is a pliantProvider.
func newPliant(t testing.TB, changes ...func(*plan)) (*world, *pliantProvider) {
	t.Helper()
	changes = append(slices.Clone(changes), func(p *plan) { p.issuer = pliant })
	w := newWorld(t, changes...)
	p := &pliantProvider{key: must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))(t), person: "alice", issued: map[string]url.Values{}}
	mux := http.NewServeMux()
	mux.HandleFunc("/.well-known/openid-configuration", p.discovery)
	mux.HandleFunc("/jwks", p.jwks)
	mux.HandleFunc("/authorize", p.authorize)
	mux.HandleFunc("/token", p.token)
	w.net.Serve(t, strings.TrimPrefix(pliant, "http://"), mux)
	return w, p
}

// frontLogin makes the only login one of this response type and mode.
func frontLogin(responseType, mode string) func(*plan) {
	return func(p *plan) {
		before := p.flows
		p.flows = func(c *Config) {
			before(c)
			c.Logins[0].Flow, c.Logins[0].ResponseType, c.Logins[0].ResponseMode = "implicit", responseType, mode
			if strings.Contains(responseType, "code") {
				c.Logins[0].Flow = "hybrid"
			}
		}
	}
}

func (p *pliantProvider) discovery(w http.ResponseWriter, _ *http.Request) {
	document := map[string]any{
		"issuer": pliant, "authorization_endpoint": pliant + "/authorize", "token_endpoint": pliant + "/token", "jwks_uri": pliant + "/jwks",
		"id_token_signing_alg_values_supported": []string{"ES256"}, "subject_types_supported": []string{"public"},
		"response_types_supported": []string{"code", "id_token", "id_token token", "code id_token", "code token", "code id_token token"},
	}
	maps.Copy(document, p.extra)
	writeJSON(w, document)
}

func (p *pliantProvider) jwks(w http.ResponseWriter, _ *http.Request) {
	point, _ := p.key.PublicKey.Bytes()
	writeJSON(w, map[string]any{"keys": []any{map[string]any{
		"kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": "1",
		"x": base64.RawURLEncoding.EncodeToString(point[1:33]), "y": base64.RawURLEncoding.EncodeToString(point[33:]),
	}}})
}

func (p *pliantProvider) authorize(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	q := r.URL.Query()
	p.asked = append(p.asked, q)
	if p.respond != nil && p.respond(w, q) {
		return
	}
	a := url.Values{"state": q["state"]}
	switch {
	case p.person == "" && q.Get("prompt") == "none":
		a.Set("error", "login_required")
	default:
		if p.person == "" {
			p.person = "alice"
		}
		p.tokens(q, a)
	}
	if p.answer != nil {
		p.answer(q, a)
	}
	send(w, r, q, a)
}

// tokens adds what the response type promises.
func (p *pliantProvider) tokens(q, a url.Values) {
	asked := strings.Fields(q.Get("response_type"))
	claims := p.claims(q.Get("nonce"))
	if slices.Contains(asked, "code") {
		code := "code-" + rand.Text()
		p.issued[code] = q
		a.Set("code", code)
		claims["c_hash"] = half(code)
	}
	if slices.Contains(asked, "token") {
		a.Set("access_token", "front-"+rand.Text())
		a.Set("token_type", "bearer")
		a.Set("expires_in", "300")
		claims["at_hash"] = half(a.Get("access_token"))
	}
	if slices.Contains(asked, "id_token") {
		if p.front != nil {
			p.front(claims)
		}
		a.Set("id_token", p.sign(claims))
	}
}

func (p *pliantProvider) claims(nonce string) map[string]any {
	now := time.Now()
	return map[string]any{
		"iss": pliant, "sub": "sub-" + p.person, "aud": "doorward", "iat": now.Unix(), "exp": now.Add(5 * time.Minute).Unix(), "nonce": nonce,
		"preferred_username": p.person, "name": p.person, "email": p.person + "@corp.test", "email_verified": true, "groups": []string{"staff"},
		"auth_time": now.Unix(),
	}
}

func (p *pliantProvider) sign(claims map[string]any) string {
	header, _ := json.Marshal(map[string]string{"alg": "ES256", "kid": "1", "typ": "JWT"})
	payload, _ := json.Marshal(claims)
	text := base64.RawURLEncoding.EncodeToString(header) + "." + base64.RawURLEncoding.EncodeToString(payload)
	sum := sha256.Sum256([]byte(text))
	r, s, err := ecdsa.Sign(rand.Reader, p.key, sum[:])
	if err != nil {
		panic(err)
	}
	return text + "." + base64.RawURLEncoding.EncodeToString(append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...))
}

func half(s string) string {
	sum := sha256.Sum256([]byte(s))
	return base64.RawURLEncoding.EncodeToString(sum[:16])
}

// send is the authorization response by the mode that was asked for.
func send(w http.ResponseWriter, r *http.Request, q, a url.Values) {
	to := q.Get("redirect_uri")
	switch q.Get("response_mode") {
	case "form_post":
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = fmt.Fprintf(w, `<form method="post" action="%s">`, html.EscapeString(to))
		for _, name := range slices.Sorted(maps.Keys(a)) {
			for _, value := range a[name] {
				_, _ = fmt.Fprintf(w, `<input type="hidden" name="%s" value="%s">`, html.EscapeString(name), html.EscapeString(value))
			}
		}
		_, _ = io.WriteString(w, `</form><script>document.forms[0].submit()</script>`)
	case "fragment":
		http.Redirect(w, r, to+"#"+a.Encode(), http.StatusSeeOther)
	default:
		http.Redirect(w, r, to+"?"+a.Encode(), http.StatusSeeOther)
	}
}

func (p *pliantProvider) token(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	_ = r.ParseForm()
	p.granted = append(p.granted, r.PostForm)
	asked, ok := p.issued[r.PostForm.Get("code")]
	delete(p.issued, r.PostForm.Get("code"))
	verifier := sha256.Sum256([]byte(r.PostForm.Get("code_verifier")))
	if !ok || asked.Get("code_challenge") != base64.RawURLEncoding.EncodeToString(verifier[:]) || asked.Get("redirect_uri") != r.PostForm.Get("redirect_uri") {
		w.WriteHeader(http.StatusBadRequest)
		writeJSON(w, map[string]any{"error": "invalid_grant"})
		return
	}
	claims := p.claims(asked.Get("nonce"))
	if p.later != nil {
		p.later(claims)
	}
	writeJSON(w, map[string]any{
		"access_token": "later-" + rand.Text(), "token_type": "Bearer", "expires_in": 300, "refresh_token": "refresh-" + rand.Text(), "id_token": p.sign(claims),
	})
}

// grants is how many token requests there were.
func (p *pliantProvider) grants() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.granted)
}

// lastAsked is the newest authorization request.
func (p *pliantProvider) lastAsked(t testing.TB) url.Values {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.asked) == 0 {
		t.Fatal("nothing was asked")
	}
	return p.asked[len(p.asked)-1]
}

func writeJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v)
}
