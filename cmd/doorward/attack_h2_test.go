package main

import (
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/doorward/doorward/demo/idp"
	"github.com/doorward/doorward/internal/testnet"
)

// The own endpoints of the whole program by both versions of HTTP: what the rows of groups F to P say of callbacks, cookies
// and return targets is tried in package flows by HTTP/1.1, and here once more at the entries by HTTP/2.

// wire is a client that speaks to the gateway by one version of HTTP. It follows no redirect and keeps no cookie.
type wire struct {
	*stack
	t     *testing.T
	major int
	http.RoundTripper
}

// bothVersions runs a test by either version. The gateway is started.
func (s *stack) bothVersions(t *testing.T, test func(w wire)) {
	t.Helper()
	only := new(http.Protocols)
	only.SetUnencryptedHTTP2(true)
	first, second := &http.Transport{}, &http.Transport{Protocols: only}
	t.Cleanup(first.CloseIdleConnections)
	t.Cleanup(second.CloseIdleConnections)
	t.Run("h1", func(t *testing.T) { test(wire{s, t, 1, first}) })
	t.Run("h2", func(t *testing.T) { test(wire{s, t, 2, second}) })
}

// answer is what came back.
type answer struct {
	*http.Response
	body string
}

// ask sends one request. Lines are headers ("Cookie: a=b"), Host among them.
func (w wire) ask(method, target string, lines ...string) answer {
	w.t.Helper()
	return w.post(method, target, "", lines...)
}

func (w wire) post(method, target, body string, lines ...string) answer {
	w.t.Helper()
	r, err := http.NewRequestWithContext(w.t.Context(), method, w.origin+target, strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	for _, line := range lines {
		name, value, _ := strings.Cut(line, ":")
		if value = strings.TrimSpace(value); strings.EqualFold(name, "host") {
			r.Host = value
			continue
		}
		r.Header.Add(name, value)
	}
	res, err := w.RoundTripper.RoundTrip(r)
	if err != nil {
		w.t.Fatalf("%s %s: %v", method, target, err)
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	if err != nil || res.ProtoMajor != w.major {
		w.t.Fatalf("%s %s: %s, %v", method, target, res.Proto, err)
	}
	return answer{res, string(text)}
}

// person has a browser that speaks to the gateway by this version and to the provider as always.
func (w wire) person() *testnet.Browser {
	return testnet.NewBrowser(divided{w, &http.Transport{DisableKeepAlives: true}})
}

type divided struct {
	gateway wire
	others  http.RoundTripper
}

func (d divided) RoundTrip(r *http.Request) (*http.Response, error) {
	if "http://"+r.URL.Host == d.gateway.origin {
		return d.gateway.RoundTripper.RoundTrip(r)
	}
	return d.others.RoundTrip(r)
}

// cookies are those that b has for the gateway, as a line.
func (s *stack) cookies(b *testnet.Browser) string {
	var all []string
	for _, name := range b.Jar.Names(s.origin) {
		all = append(all, name+"="+b.Jar.Get(s.origin, name))
	}
	return "Cookie: " + strings.Join(all, "; ")
}

// isAlice tells whether the application sees alice for these lines.
func (w wire) isAlice(lines ...string) bool {
	w.t.Helper()
	before := len(w.app.requests())
	a := w.ask(http.MethodGet, "/who", lines...)
	if a.StatusCode != http.StatusOK {
		if n := len(w.app.requests()); n != before {
			w.t.Errorf("answer %s, and the application was asked", a.Status)
		}
		return false
	}
	return w.app.last(w.t).Header.Get("X-Forwarded-User") == "alice"
}

var navigating = []string{"Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document", "Sec-Fetch-Site: none", "Accept: text/html"}

func TestCallbacksAreCheckedOverBothVersions(t *testing.T) {
	s := newStack(t, "").start()
	s.bothVersions(t, func(w wire) {
		b := w.person()
		b.StopAt = func(next *url.URL) bool { return next.Path == "/oauth2/callback" }
		at := s.signedIn(b, "/asked?x=1", "alice", "wonderland-9")
		callback := at.Header.Get("Location")
		back := callback[len(s.origin):]
		pending := s.cookies(b)
		tokens := s.idp.Count(idp.Token)
		u, _ := url.Parse(callback)
		q := u.Query()
		with := func(change func(q url.Values)) string {
			changed, _ := url.ParseQuery(u.RawQuery)
			change(changed)
			return "/oauth2/callback?" + changed.Encode()
		}
		stranger := w.person()
		stranger.StopAt = func(next *url.URL) bool { return !strings.HasPrefix(next.String(), s.origin) }
		stranger.Open(w.t, s.origin+"/other")
		for name, c := range map[string]struct {
			method, target string
			cookies        string
			status         []int
		}{
			"P089 without the state cookie": {"GET", back, "", []int{400}},
			"P090 another state":            {"GET", with(func(q url.Values) { q.Set("state", "x"+q.Get("state")[1:]) }), pending, []int{400}},
			"P090 no state":                 {"GET", with(func(q url.Values) { q.Del("state") }), pending, []int{400}},
			"P090 of another browser":       {"GET", back, s.cookies(stranger), []int{400}},
			"P092 of another provider":      {"GET", strings.Replace(back, "/callback", "/callback/other", 1), pending, []int{404}},
			"P107 two codes":                {"GET", back + "&code=x", pending, []int{400}},
			"P107 two states":               {"GET", back + "&state=" + q.Get("state"), pending, []int{400}},
			"P108 HEAD":                     {"HEAD", back, pending, []int{405}},
			"P108 PUT":                      {"PUT", back, pending, []int{405}},
			"P108 OPTIONS":                  {"OPTIONS", back, pending, []int{405}},
			"P108 POST":                     {"POST", back, pending, []int{405}},
			"P106 an error without a state": {"GET", "/oauth2/callback?error=access_denied&error_description=<script>alert(1)</script>", pending, []int{400}},
			"P117 tokens in the query":      {"GET", "/oauth2/callback?access_token=x&id_token=y&state=" + q.Get("state"), "", []int{400}},
		} {
			lines := append([]string{}, navigating...)
			if c.cookies != "" {
				lines = append(lines, c.cookies)
			}
			a := w.ask(c.method, c.target, lines...)
			if !slices.Contains(c.status, a.StatusCode) || strings.Contains(a.body, "<script>alert") || strings.Contains(a.body, q.Get("code")) || len(q.Get("code")) == 0 {
				w.t.Errorf("%s: %s %.200s", name, a.Status, a.body)
			}
			for _, cookie := range a.Cookies() {
				if cookie.Name == "doorward" && cookie.Value != "" {
					w.t.Errorf("%s: a session is handed out", name)
				}
			}
		}
		if n := s.idp.Count(idp.Token); n != tokens {
			w.t.Fatalf("the token endpoint was asked %d times", n-tokens)
		}
		a := w.ask(http.MethodGet, back, append([]string{pending}, navigating...)...)
		if a.StatusCode != http.StatusSeeOther && a.StatusCode != http.StatusFound || a.Header.Get("Location") != "/asked?x=1" && a.Header.Get("Location") != s.origin+"/asked?x=1" {
			w.t.Fatalf("the good one: %s %v %s", a.Status, a.Header, a.body)
		}
		if a.Header.Get("Cache-Control") != "no-store" || a.Header.Get("Referrer-Policy") != "no-referrer" { // P112
			w.t.Errorf("P112: %v", a.Header)
		}
		// P091: once.
		again := w.ask(http.MethodGet, back, append([]string{pending}, navigating...)...)
		if again.StatusCode != http.StatusBadRequest || s.idp.Count(idp.Token) != tokens+1 {
			w.t.Errorf("P091: the second time: %s, %d token requests", again.Status, s.idp.Count(idp.Token)-tokens)
		}
	})
}
