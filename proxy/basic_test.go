package proxy

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/demo/idp"
	"github.com/doorward/doorward/demo/idp/idptest"
	"github.com/doorward/doorward/flows"
	"github.com/doorward/doorward/flows/provider"
	"github.com/doorward/doorward/internal/origin"
	"github.com/doorward/doorward/internal/pages"
	"github.com/doorward/doorward/internal/seal"
	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/internal/telemetry"
	"github.com/doorward/doorward/internal/testnet"
	"github.com/doorward/doorward/sessions"
	"github.com/doorward/doorward/sessions/store"
)

// wired is the gateway with the real sessions, the real flows and a provider behind it, in memory: what a cookie, a
// ticket and a password cost, and that the three fit together.
type wired struct {
	http.Handler
	idp    *idp.Server
	keeper *sessions.Keeper
	seen   *http.Request // by the upstream, last
}

const issuer = "http://127.0.0.1:9001"

func newWired(t testing.TB) *wired {
	t.Helper()
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	g, net, log := &wired{}, testnet.NewFor(t), slog.New(slog.DiscardHandler)
	c := idptest.Standard()
	c.Issuer, c.AccessTokenLifetime = issuer, time.Hour
	c.Clients[0].Grants = []string{"password", "refresh_token"}
	g.idp = idptest.Serve(t, net, c)
	client, err := provider.New(provider.Config{
		Name: "corp", Issuer: issuer, ClientID: "doorward", ClientSecret: secret.New(idptest.Secret), Scopes: []string{"openid", "profile", "email"}, Discovery: true,
	}, provider.Deps{Dial: net.Dial, Log: log})
	check(err)
	providers := map[string]*provider.Client{"corp": client}
	ring, err := seal.New(bytes.Repeat([]byte{7}, seal.KeySize))
	check(err)
	origins, err := origin.NewSet(appTest)
	check(err)
	site, err := pages.New(pages.Config{Prefix: "/oauth2"})
	check(err)
	kept := store.NewMemory(store.MemoryConfig{}, store.Deps{})
	t.Cleanup(func() { _ = kept.Close() })
	cookie := sessions.Cookie{Name: "doorward"}
	g.keeper, err = sessions.New(sessions.Config{Idle: time.Hour, Lifetime: 8 * time.Hour, Cookie: cookie}, sessions.Deps{
		Sessions: kept, Shared: kept, Ring: ring, Origins: origins, Refresh: flows.Refresher(providers), Log: log,
	})
	check(err)
	t.Cleanup(g.keeper.Close)
	revoker := flows.NewRevoker(providers, log)
	t.Cleanup(revoker.Wait)
	f, err := flows.New(flows.Config{
		Prefix: "/oauth2", Cookie: cookie, Logins: []flows.Login{{Name: "legacy", Flow: "password", Provider: "corp", Form: true}},
	}, flows.Deps{Providers: providers, Sessions: g.keeper, Revoker: revoker, Shared: kept, Ring: ring, Origins: origins, Pages: site, Log: log})
	check(err)
	basic, err := f.Basic("legacy")
	check(err)
	starter, err := f.Starter([]string{"legacy"})
	check(err)
	own := http.NewServeMux()
	f.Mount(own)
	gateway, err := New(Config{
		Prefix: "/oauth2", OwnCookie: cookie.Owns,
		Routes: []Route{{
			Name: "app", Hosts: []origin.Origin{appTest}, Upstreams: []*url.URL{{Scheme: "http", Host: "127.0.0.1:3000"}}, Logins: []string{"legacy"},
			Credential: "session", Accept: []string{"session", "token", "basic"},
		}},
	}, Deps{
		Origins: origins, Session: g.keeper, Tokens: g.keeper.Tickets(), Basic: map[string]Authenticator{"app": basic}, Streams: g.keeper,
		Starters: map[string]Starter{"app": starter}, Own: own, Pages: site, Log: log, Transport: watched{memory{strings.Repeat("x", 1024)}, g},
	})
	check(err)
	access := telemetry.NewAccessLog(log)
	t.Cleanup(access.Close)
	g.Handler = access.Handler(gateway, func(http.ResponseWriter, *http.Request) { t.Error("a handler panicked") })
	return g
}

// watched notes what goes upstream.
type watched struct {
	memory
	g *wired
}

func (w watched) RoundTrip(r *http.Request) (*http.Response, error) {
	w.g.seen = r
	return w.memory.RoundTrip(r)
}

// cookie signs alice in by the form and returns her session's.
func (g *wired) cookie(t testing.TB) string {
	t.Helper()
	form := url.Values{"username": {"alice"}, "password": {"alice"}}
	r := httptest.NewRequest(http.MethodPost, "https://app.test/oauth2/password", strings.NewReader(form.Encode()))
	r.RequestURI = "/oauth2/password"
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	w := httptest.NewRecorder()
	g.ServeHTTP(w, r)
	for _, c := range w.Result().Cookies() {
		if c.Name == "__Host-doorward" {
			return c.Value
		}
	}
	t.Fatalf("no sign-in: %d %s", w.Code, w.Body)
	return ""
}

// ways are the three ways to say who one is: what each adds to a request.
func (g *wired) ways(t testing.TB) map[string]func(http.Header) {
	t.Helper()
	ticket := g.cookie(t)
	return map[string]func(http.Header){
		"cookie": func(h http.Header) { h["Cookie"] = []string{"theme=dark; __Host-doorward=" + ticket} },
		"ticket": func(h http.Header) {
			h["Cookie"], h["Authorization"] = []string{"theme=dark"}, []string{"Bearer " + ticket}
		},
		"basic": func(h http.Header) {
			h["Cookie"], h["Authorization"] = []string{"theme=dark"}, []string{basicLine("alice", "alice")}
		},
	}
}

// as returns what one request costs that proves itself in a way.
func (g *wired) as(t testing.TB, way func(http.Header)) func() {
	t.Helper()
	r := typical()
	way(r.Header)
	header := r.Header
	w := httptest.NewRecorder()
	g.ServeHTTP(w, r) // the first one tries the password
	if w.Code != http.StatusOK {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	n := &nowhere{http.Header{}}
	return func() {
		clear(n.h)
		r.Header = header
		g.ServeHTTP(n, r)
	}
}

func TestROP2TheUpstreamSeesABearerTokenAndNoPassword(t *testing.T) {
	g := newWired(t)
	for name, way := range g.ways(t) {
		g.as(t, way)()
		got := g.seen.Header["Authorization"]
		if len(got) != 1 || !strings.HasPrefix(got[0], "Bearer eyJ") || g.seen.Header.Get("X-Forwarded-Preferred-Username") != "alice" || strings.Contains(g.seen.Header.Get("Cookie"), "doorward") {
			t.Errorf("%s: the upstream sees %v", name, g.seen.Header)
		}
	}
	if n := len(g.idp.Requests(idp.Token)); n != 2 {
		t.Errorf("%d password grants for a form and a Basic", n)
	}
}

func TestAWrongPasswordReachesNobody(t *testing.T) {
	g := newWired(t)
	r := typical()
	r.Header = http.Header{"Authorization": {basicLine("alice", "wrong")}, "Cookie": {"__Host-doorward=" + g.cookie(t)}}
	w := httptest.NewRecorder()
	g.ServeHTTP(w, r)
	var problem struct{ Code string }
	_ = json.Unmarshal(w.Body.Bytes(), &problem)
	if w.Code != http.StatusUnauthorized || problem.Code != codeWrongCredentials || len(w.Header().Values("WWW-Authenticate")) != 2 || g.seen != nil {
		t.Errorf("%d %v %s", w.Code, w.Header(), w.Body)
	}
}

func TestP170ForwardingHeadersOfAnybodyAreNoNewBudget(t *testing.T) {
	g := newWired(t)
	try := func(peer, password string, n int) int {
		r := typical()
		r.RemoteAddr = peer + ":40000"
		r.Header = http.Header{
			"Authorization":   {basicLine([]string{"alice", "ALICE", " alice"}[n%3], password)},
			"X-Forwarded-For": {fmt.Sprint("203.0.113.", n)}, "X-Real-Ip": {fmt.Sprint("203.0.113.", n)}, "Forwarded": {fmt.Sprint("for=203.0.113.", n)},
		}
		w := httptest.NewRecorder()
		g.ServeHTTP(w, r)
		if w.Code == http.StatusTooManyRequests && w.Header().Get("Retry-After") == "" {
			t.Error("no Retry-After")
		}
		return w.Code
	}
	if status := try("198.51.100.1", "alice", 0); status != http.StatusOK {
		t.Fatal(status)
	}
	g.idp.ResetRequests()
	seen := map[int]int{}
	for n := range 50 {
		seen[try("192.0.2.1", fmt.Sprint("guess", n), n)]++
	}
	if tried := len(g.idp.Requests(idp.Token)); tried > 5 || seen[http.StatusUnauthorized] != tried || seen[http.StatusTooManyRequests] != 50-tried {
		t.Errorf("%d guesses were tried: %v", tried, seen)
	}
	// The victim's own network has a budget of its own: what was guessed elsewhere is not charged to it.
	if status := try("198.51.100.1", "mistyped", 0); status != http.StatusUnauthorized {
		t.Errorf("in the network from which alice signed in: %d", status)
	}
	if status := try("192.0.2.1", "alice", 0); status != http.StatusOK {
		t.Errorf("credentials that are cached: %d", status)
	}
}

// The bound on time, 1.15 × of a cookie, is for BenchmarkBasicBesideACookie to measure; what can be held on any
// machine is that it allocates next to nothing besides.
func TestAPasswordThatIsCachedCostsLittleMoreThanACookie(t *testing.T) {
	g := newWired(t)
	allocations := map[string]float64{}
	for name, way := range g.ways(t) {
		allocations[name] = testing.AllocsPerRun(500, g.as(t, way))
	}
	t.Log(allocations)
	for name, n := range allocations {
		if n > allocations["cookie"]+10 { // 0 or less; the race detector has a sync.Pool forget things on purpose
			t.Errorf("%s: %v allocations, a cookie %v", name, n, allocations["cookie"])
		}
	}
}

func BenchmarkWays(b *testing.B) {
	g := newWired(b)
	for name, way := range g.ways(b) {
		b.Run(name, func(b *testing.B) {
			serve := g.as(b, way)
			b.ReportAllocs()
			for b.Loop() {
				serve()
			}
		})
	}
}

// BenchmarkBasicBesideACookie reports how many times as long a request with a cached password takes as one with a
// cookie. Both take turns, and of all turns the median counts: what else a machine does hits both.
func BenchmarkBasicBesideACookie(b *testing.B) {
	g := newWired(b)
	ways := g.ways(b)
	basic, cookie := g.as(b, ways["basic"]), g.as(b, ways["cookie"])
	took := func(serve func()) time.Duration {
		began := time.Now()
		for range 50 {
			serve()
		}
		return time.Since(began)
	}
	var ratios []float64
	for b.Loop() {
		c := took(cookie)
		ratios = append(ratios, float64(took(basic))/float64(c))
	}
	slices.Sort(ratios)
	b.ReportMetric(ratios[len(ratios)/2], "basic/cookie")
}
