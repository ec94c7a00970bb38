package e2e

import (
	"crypto/tls"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"
)

// docs/guides/edge.md: behind something that terminates TLS, two hosts, one redirect URI.
// The names are those of the outside; the browser is told where they are.
func TestBehindATLSTerminatorCookiesAreHostBoundAndOneRedirectURIServesAllHosts(t *testing.T) {
	w := prepare(t, providerOptions{})
	registration := client("https://login.example.com", "client_secret_basic")
	w.provider.options.Clients = []map[string]any{registration}
	second := newApp(t)
	w.gateway.configure(t, `trusted_proxies = ["127.0.0.1/32"]
`+w.providerTable(`callback_host = "login.example.com"`)+fmt.Sprintf(`
[[route]]
name = "wiki"
host = "wiki.example.com"
upstream = [%q]
[[route]]
name = "shop"
host = "shop.example.com"
upstream = [%q]
`, w.app.URL, second.URL))
	w.provider.start(t)
	w.gateway.start(t)
	terminator := newTerminator(t, w.gateway.origin)
	tb := newBrowser(t, "MAP *.example.com:443 "+terminator).tab(t)

	tb.open("https://wiki.example.com/page?x=1")
	w.signIn(tb, "alice")
	tb.waitURL("https://wiki.example.com/page?x=1")
	got := w.app.last(t, "/page?x=1")
	if got.Header.Get("X-Forwarded-Proto") != "https" || got.Header.Get("X-Forwarded-Host") != "wiki.example.com" {
		t.Errorf("the app sees X-Forwarded-Proto %q, X-Forwarded-Host %q", got.Header.Get("X-Forwarded-Proto"), got.Header.Get("X-Forwarded-Host"))
	}
	if got.Header.Get("X-Forwarded-For") == "" || strings.Contains(got.Header.Get("X-Forwarded-For"), "203.0.113.7") == false {
		t.Errorf("the app sees X-Forwarded-For %q, without the address that the terminator gave", got.Header.Get("X-Forwarded-For"))
	}
	cookies := tb.lasting("https://wiki.example.com/")
	if len(cookies) != 1 || cookies[0].Name != "__Host-doorward" || !cookies[0].Secure || !cookies[0].HTTPOnly || cookies[0].Domain != "wiki.example.com" {
		t.Errorf("the cookies are %+v", cookies)
	}

	tb.open("https://shop.example.com/cart") // the provider remembers: no name is asked for
	tb.waitURL("https://shop.example.com/cart")
	if got := second.last(t, "/cart").Header.Get("X-Forwarded-User"); got != "alice" {
		t.Errorf("the second app saw %q", got)
	}
	if c := tb.cookies("https://login.example.com/"); len(c) != 0 {
		t.Errorf("the host of the redirect URI keeps %+v", c)
	}
	tb.open("https://other.example.com/")
	if status := tb.document().Status; status != http.StatusMisdirectedRequest {
		t.Errorf("a host that nobody configured gets %d", status)
	}
}

// newTerminator is what a load balancer is to a gateway: TLS outside, plain HTTP inside,
// the Host header as it came, the client's address in X-Forwarded-For, and how it came in
// X-Forwarded-Proto.
func newTerminator(t *testing.T, to string) (address string) {
	t.Helper()
	return newTerminatorThat(t, to, func(*http.Response) error { return nil })
}

// newTerminatorThat is one that changes answers.
func newTerminatorThat(t *testing.T, to string, change func(*http.Response) error) (address string) {
	t.Helper()
	target, err := url.Parse(to)
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewUnstartedServer(&httputil.ReverseProxy{ModifyResponse: change, Rewrite: func(r *httputil.ProxyRequest) {
		r.Out.URL.Scheme, r.Out.URL.Host, r.Out.Host = "http", "127.0.0.1:"+target.Port(), r.In.Host
		r.Out.Header.Set("X-Forwarded-For", "203.0.113.7")
		r.Out.Header.Set("X-Forwarded-Proto", "https")
	}})
	s.TLS = &tls.Config{MinVersion: tls.VersionTLS13}
	s.StartTLS()
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}
