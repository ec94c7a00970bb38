package proxy

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"

	"github.com/doorward/doorward/internal/credentials"
	"github.com/doorward/doorward/internal/identity"
	"github.com/doorward/doorward/internal/origin"
	"github.com/doorward/doorward/internal/pages"
	"github.com/doorward/doorward/internal/secret"
)

// What the gateway costs beyond the bare ReverseProxy that injects a token (performance.md).

// always is an Authenticator with one answer, made beforehand.
type always struct{ who *identity.Identity }

func (a always) Authenticate(http.ResponseWriter, *http.Request) (*identity.Identity, bool, error) {
	return a.who, true, nil
}

// memory is an upstream that costs next to nothing.
type memory struct{ answer string }

func (m memory) RoundTrip(*http.Request) (*http.Response, error) {
	return &http.Response{
		StatusCode: http.StatusOK, ContentLength: int64(len(m.answer)), Body: io.NopCloser(strings.NewReader(m.answer)),
		Header: http.Header{"Content-Type": {"text/plain"}, "Cache-Control": {"private"}, "Content-Length": {"1024"}},
	}, nil
}

// nowhere is a ResponseWriter that keeps nothing.
type nowhere struct{ h http.Header }

func (n *nowhere) Header() http.Header         { return n.h }
func (n *nowhere) WriteHeader(int)             {}
func (n *nowhere) Write(p []byte) (int, error) { return len(p), nil }

func typical() *http.Request {
	r := httptest.NewRequest(http.MethodGet, "https://app.test/reports/2026?page=3", nil)
	r.RequestURI = "/reports/2026?page=3"
	r.RemoteAddr = "192.0.2.1:40000"
	r.Header = http.Header{
		"User-Agent": {"Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"}, "Accept": {"text/html,application/xhtml+xml"}, "Accept-Language": {"en"},
		"Accept-Encoding": {"gzip, deflate, br"}, "Cookie": {"theme=dark; __Host-doorward=" + strings.Repeat("t", 64)}, "Sec-Fetch-Mode": {"navigate"}, "Sec-Fetch-Dest": {"document"}, "Sec-Fetch-Site": {"same-origin"},
	}
	return r
}

func gatewayOverMemory(t testing.TB) http.Handler {
	t.Helper()
	origins, err := origin.NewSet(appTest)
	if err != nil {
		t.Fatal(err)
	}
	p, err := pages.New(pages.Config{Prefix: "/oauth2"})
	if err != nil {
		t.Fatal(err)
	}
	who := someone("alice", func(w *identity.Identity) {
		w.Groups = []string{"staff", "admins"}
		w.Tokens = &identity.Tokens{AccessToken: secret.New(strings.Repeat("a", 1400))}
	})
	g, err := New(Config{
		Prefix: "/oauth2", OwnCookie: ours,
		Routes: []Route{{Name: "app", Hosts: []origin.Origin{appTest}, Upstreams: []*url.URL{{Scheme: "http", Host: "127.0.0.1:3000"}}, Logins: []string{"staff"}, Credential: "session"}},
	}, Deps{Origins: origins, Session: always{who}, Starters: map[string]Starter{"app": door{}}, Own: ownPages(), Pages: p, Log: slog.New(slog.DiscardHandler), Transport: memory{strings.Repeat("x", 1024)}})
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// accepting is a Bearer with one answer, made beforehand.
type accepting struct{ who *identity.Identity }

func (a accepting) Check(context.Context, credentials.Presented) (*identity.Identity, error) {
	return a.who, nil
}
func (a accepting) Alive(context.Context, *identity.Identity) (bool, error) { return true, nil }

// prepared is a Source with one answer, made beforehand.
type prepared struct{ c *identity.Credential }

func (p prepared) Token(context.Context, *identity.Identity) (*identity.Credential, error) {
	return p.c, nil
}
func (prepared) Rejected(context.Context, *identity.Identity, *identity.Credential) {}
func (prepared) Personal() bool                                                     { return true }

// apiOverMemory checks a bearer token, asks require, and sends another token upstream: the longest way of a request.
func apiOverMemory(t testing.TB, require string) http.Handler {
	t.Helper()
	origins, err := origin.NewSet(appTest)
	if err != nil {
		t.Fatal(err)
	}
	p, err := pages.New(pages.Config{Prefix: "/oauth2"})
	if err != nil {
		t.Fatal(err)
	}
	who := tokenOf("bob", strings.Repeat("a", 1400), nil)
	g, err := New(Config{
		Prefix: "/oauth2", OwnCookie: ours,
		Routes: []Route{{
			Name: "api", Hosts: []origin.Origin{appTest}, Upstreams: []*url.URL{{Scheme: "http", Host: "127.0.0.1:3000"}}, Accept: []string{acceptBearer, acceptSession}, Logins: []string{"staff"},
			Credential: "orders", Require: require,
		}},
	}, Deps{
		Origins: origins, Session: always{}, Starters: map[string]Starter{"api": door{}}, Bearers: map[string]Bearer{"api": accepting{who}}, Own: ownPages(), Pages: p,
		Sources: map[string]Source{"orders": prepared{bearerCredential(strings.Repeat("o", 1400))}}, Log: slog.New(slog.DiscardHandler), Transport: memory{strings.Repeat("x", 1024)},
	})
	if err != nil {
		t.Fatal(err)
	}
	token := []string{"Bearer " + strings.Repeat("a", 1400)}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Header["Authorization"] = token
		g.ServeHTTP(w, r)
	})
}

func bareReverseProxy() http.Handler {
	token := []string{"Bearer " + strings.Repeat("a", 1400)}
	return &httputil.ReverseProxy{
		Transport: memory{strings.Repeat("x", 1024)}, BufferPool: newBuffers(),
		Rewrite: func(pr *httputil.ProxyRequest) {
			pr.Out.URL.Scheme, pr.Out.URL.Host = "http", "127.0.0.1:3000"
			pr.Out.Header["Authorization"] = token
		},
	}
}

// serving returns what one request costs; the request itself is not counted but for the headers
// that a gateway may change.
func serving(h http.Handler) func() {
	r := typical()
	header := r.Header
	w := &nowhere{http.Header{}}
	return func() {
		clear(w.h)
		r.Header = header
		h.ServeHTTP(w, r)
	}
}

func TestTheGatewayAllocatesLittleOfItsOwn(t *testing.T) {
	ours, bare := testing.AllocsPerRun(1000, serving(gatewayOverMemory(t))), testing.AllocsPerRun(1000, serving(bareReverseProxy()))
	t.Logf("%v allocations, of which a bare ReverseProxy makes %v", ours, bare)
	if ours-bare > 12 {
		t.Errorf("%v allocations beyond the %v of a bare ReverseProxy", ours-bare, bare)
	}
}

func TestABearerTokenAndACredentialCostLittleMore(t *testing.T) {
	api, bare := testing.AllocsPerRun(1000, serving(apiOverMemory(t, ""))), testing.AllocsPerRun(1000, serving(bareReverseProxy()))
	t.Logf("%v allocations, of which a bare ReverseProxy makes %v", api, bare)
	if api-bare > 14 { // the address that a proof would speak of, and the second try
		t.Errorf("%v allocations beyond the %v of a bare ReverseProxy", api-bare, bare)
	}
}

func BenchmarkServe(b *testing.B) {
	for name, h := range map[string]http.Handler{
		"gateway": gatewayOverMemory(b), "bare": bareReverseProxy(), "api": apiOverMemory(b, ""), "require": apiOverMemory(b, `!user.machine && request.method == "GET"`),
	} {
		b.Run(name, func(b *testing.B) {
			serve := serving(h)
			serve()
			b.ReportAllocs()
			for b.Loop() {
				serve()
			}
		})
	}
}
