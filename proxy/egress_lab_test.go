package proxy

import (
	"context"
	"encoding/pem"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/doorward/doorward/internal/credentials"
	"github.com/doorward/doorward/internal/identity"
	"github.com/doorward/doorward/internal/pages"
	"github.com/doorward/doorward/internal/telemetry"
)

const theToken = "token-of-the-service-4711"

// vault is a Source: its tokens come in turn, and the last one stays.
type vault struct {
	mu       sync.Mutex
	tokens   []string
	header   string
	scheme   string
	err      error
	personal bool
	asked    []*identity.Identity
	rejected int
}

func newVault(tokens ...string) *vault {
	return &vault{tokens: tokens, header: headerAuthorization, scheme: "Bearer "}
}

func (v *vault) Token(_ context.Context, who *identity.Identity) (*identity.Credential, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.asked = append(v.asked, who)
	if v.err != nil {
		return nil, v.err
	}
	token := v.tokens[0]
	if who != nil {
		token += "-for-" + who.Subject
	}
	return &identity.Credential{Name: "service", Tokens: tokens(token), Header: v.header, Values: []string{v.scheme + token}}, nil
}

func (v *vault) Rejected(context.Context, *identity.Identity, *identity.Credential) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.rejected++; len(v.tokens) > 1 {
		v.tokens = v.tokens[1:]
	}
}

func (v *vault) Personal() bool { return v.personal }

func (v *vault) fails(err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.err = err
}

// door men of targets that accept bearer: a token is the name of a person.
type checker struct {
	mu   sync.Mutex
	last credentials.Presented
	gone bool
}

func (c *checker) Check(_ context.Context, p credentials.Presented) (*identity.Identity, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.last = p
	switch p.Token {
	case "expired":
		return nil, &credentials.Refusal{Word: credentials.InvalidToken, Description: "The token has expired"}
	case "narrow":
		return nil, &credentials.Refusal{Word: credentials.InsufficientScope, Description: "It has too few scopes", Params: [][2]string{{"scope", "orders.read"}}}
	case "broken":
		return nil, errors.New("the keys at 10.9.8.7 cannot be fetched")
	case "nobody":
		return nil, nil
	}
	return someone(p.Token, nil), nil
}

func (c *checker) Alive(context.Context, *identity.Identity) (bool, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.gone, nil
}

// outside is the laboratory with the egress listener in the place of G. Requests are written to it as before, and Host is
// the listener's own unless said.
type outside struct {
	*lab
	vault  *vault
	caller *checker
	self   string
	egress *Egress
}

func newOutside(t testing.TB, change func(o *outside, c *EgressConfig, d *EgressDeps)) *outside {
	t.Helper()
	o := &outside{lab: &lab{e: newCapture(t), log: &lockedBuffer{}}, vault: newVault(theToken), caller: &checker{}}
	o.T, _ = t.(*testing.T)
	p, err := pages.New(pages.Config{Prefix: "/oauth2"})
	if err != nil {
		t.Fatal(err)
	}
	o.gateway = httptest.NewUnstartedServer(nil)
	o.self = o.gateway.Listener.Addr().String()
	to := []*url.URL{o.e.url}
	c := EgressConfig{Self: []string{o.self}, Targets: []EgressTarget{
		{Name: "data", Host: "data.local", Upstreams: to, Credential: "service"},
		{Name: "orders", Path: "/shop/orders", Upstreams: to, Accept: "bearer", Credential: "service"},
		{Name: "same", Upstreams: to, Accept: "bearer", Credential: "session"},
		{Name: "open", Upstreams: to, Credential: "none"},
		{Name: "read", Upstreams: to, Credential: "service", Methods: []string{"GET"}},
	}}
	log := slog.New(slog.NewJSONHandler(o.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	d := EgressDeps{Pages: p, Log: log, Sources: map[string]Source{"service": o.vault}, Bearers: map[string]Bearer{"orders": o.caller, "same": o.caller}, API: tokenAPI()}
	if change != nil {
		change(o, &c, &d)
	}
	if o.egress, err = NewEgress(c, d); err != nil {
		t.Fatal(err)
	}
	onPanic := func(w http.ResponseWriter, r *http.Request) { p.Error(w, r, errors.New("panic")) }
	access := telemetry.NewAccessLog(log)
	t.Cleanup(access.Close)
	o.gateway.Config.Handler = access.Handler(o.egress, onPanic)
	o.gateway.Config.MaxHeaderBytes = 64 << 10
	o.gateway.Config.DisableGeneralOptionsHandler = true
	o.gateway.Config.Protocols = new(http.Protocols)
	o.gateway.Config.Protocols.SetHTTP1(true)
	o.gateway.Config.Protocols.SetUnencryptedHTTP2(true)
	o.gateway.Config.ErrorLog = slog.NewLogLogger(log.Handler(), slog.LevelDebug)
	o.gateway.Start()
	t.Cleanup(o.gateway.Close)
	return o
}

// on is the same laboratory in a subtest.
func (o *outside) on(t *testing.T) *outside {
	t.Helper()
	copied := *o
	copied.lab = o.lab.on(t)
	return &copied
}

func (o *outside) lines(lines []string) []string {
	for _, line := range lines {
		if strings.HasPrefix(strings.ToLower(line), "host:") {
			return lines
		}
	}
	return append([]string{"Host: " + o.self}, lines...)
}

func (o *outside) call(method, target string, lines ...string) answer {
	o.Helper()
	return o.send(method, target, o.lines(lines)...)
}

// twice makes the same request over HTTP/1.1 and over HTTP/2.
func (o *outside) twice(t *testing.T, method, target string, lines []string, check func(o *outside, a answer)) {
	t.Helper()
	t.Run("h1", func(t *testing.T) {
		o := o.on(t)
		check(o, o.call(method, target, lines...))
	})
	t.Run("h2", func(t *testing.T) {
		o := o.on(t)
		check(o, o.send2(method, target, o.lines(lines)...))
	})
}

func tokenAPI() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, "API "+r.URL.Path) })
}

// far is an upstream over memory: it notes where each request went, and with what.
type far struct {
	mu   sync.Mutex
	sent []string // "https://api.test/x with Bearer …"
}

func (f *far) RoundTrip(r *http.Request) (*http.Response, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.sent = append(f.sent, r.URL.String()+" "+r.Host+" with "+strings.Join(r.Header[headerAuthorization], ", "))
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: io.NopCloser(strings.NewReader("far")), Request: r, ProtoMajor: 1, ProtoMinor: 1}, nil
}

func (f *far) take() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := f.sent
	f.sent = nil
	return s
}

func address(s string) *url.URL {
	u, err := url.Parse(s)
	if err != nil {
		panic(err)
	}
	return u
}

// secure is E over TLS, with the certificate that vouches for it.
func (o *outside) secure(t testing.TB) (u *url.URL, roots []byte, e *capture) {
	t.Helper()
	e = &capture{answer: func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "E over TLS") }}
	e.server = httptest.NewUnstartedServer(http.HandlerFunc(e.serve))
	e.server.EnableHTTP2 = true
	e.server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug)
	e.server.StartTLS()
	t.Cleanup(e.server.Close)
	return address(e.server.URL), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: e.server.Certificate().Raw}), e
}
