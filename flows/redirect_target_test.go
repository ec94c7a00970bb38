package flows

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/doorward/doorward/demo/idp"
	"github.com/doorward/doorward/internal/pages"
)

// foreign are the targets of P062 to P066, as they stand in a query. What cannot stand there
// unencoded is encoded.
var foreign = []string{
	"//evil.test", `/\evil.test`, `\\evil.test`, `/\/evil.test`, "///evil.test", "%2f%2fevil.test", "/%5cevil.test", "/%252fevil.test/..%252f", // P062
	"/%09/evil.test", "/%0d%0a/evil.test", "/%0b/evil.test", "%09//evil.test", "/%20/evil.test", "%0d%0aLocation:%20https://evil.test", "/%00//evil.test", // P063
	"https://evilapp.test", "https://app.test.evil.test", "https://app.test@evil.test", "https://evil.test%23.app.test", `https://evil.test\.app.test`, "https://evil.test%3f.app.test", // P064
	"javascript:alert(1)", "JAVASCRIPT://app.test/%250aalert(1)", "data:text/html,x", "http://app.test/", "https:evil.test", "https:/evil.test", "mailto:a@evil.test", // P065
	"https://app.test:8443/", "https://app.test:99999", "https://app.test:", "https://app.test:443@evil.test/", // P066
}

// raw sends a request target as it stands over a plain socket, as a server behind a TLS load
// balancer gets it, and returns the answer.
func raw(t *testing.T, h http.Handler, method, target string, header ...string) *http.Response {
	t.Helper()
	server := httptest.NewServer(h)
	defer server.Close()
	conn := must(net.Dial("tcp", server.Listener.Addr().String()))(t)
	defer func() { _ = conn.Close() }()
	request := fmt.Sprintf("%s %s HTTP/1.1\r\nHost: app.test\r\nConnection: close\r\n", method, target)
	for i := 0; i < len(header); i += 2 {
		request += header[i] + ": " + header[i+1] + "\r\n"
	}
	if _, err := io.WriteString(conn, request+"\r\n"); err != nil {
		t.Fatal(err)
	}
	res := must(http.ReadResponse(bufio.NewReader(conn), nil))(t)
	_ = res.Body.Close()
	return res
}

// landing checks that an answer begins a login that ends on "/", or refuses.
func (w *world) landing(t *testing.T, res *http.Response, target string) {
	t.Helper()
	if res.StatusCode == http.StatusBadRequest && res.Header.Get("Location") == "" {
		return
	}
	to, err := url.Parse(res.Header.Get("Location"))
	if err != nil || res.StatusCode != http.StatusFound || to.Host != "127.0.0.1:9001" {
		t.Errorf("%s: %d to %s", target, res.StatusCode, res.Header.Get("Location"))
		return
	}
	if s, ok := w.flows.openState(to.Query().Get("state")); !ok || s.Back != "/" {
		t.Errorf("%s: the login will end on %q", target, s.Back)
	}
}

func TestP062ToP066NoTargetLeadsAway(t *testing.T) {
	w := newWorld(t)
	for _, rd := range foreign {
		for _, start := range []string{"/oauth2/start?rd=", "/oauth2/login?redirect="} {
			w.landing(t, raw(t, w, http.MethodGet, start+rd, navigation("cross-site")...), start+rd)
		}
	}
	t.Run("to the end of a login", func(t *testing.T) {
		for _, rd := range foreign {
			b := w.net.Browser()
			b.StopAt = func(next *url.URL) bool { return next.Hostname() != "127.0.0.1" && next.Hostname() != "app.test" }
			page := b.Visit(t, "https://evil.test/", app+"/oauth2/start?rd="+rd)
			if page.Status == http.StatusBadRequest {
				continue
			}
			if page = page.SignIn(t, "alice", "alice"); page.URL.String() != app+"/" {
				t.Errorf("%s ends on %s", rd, page.URL)
			}
		}
	})
}

// The path that a browser was sent away from is no better than an rd.
func TestP067TheOriginalAddressIsJudgedToo(t *testing.T) {
	w := newWorld(t)
	starter := must(w.flows.Starter([]string{"staff"}))(t)
	h := must(pages.New(pages.Config{Prefix: "/oauth2"}))(t).Handle(func(rw http.ResponseWriter, r *http.Request) error {
		return starter.Start(rw, r, r.RequestURI)
	})
	for _, target := range []string{"//evil.test/x", `/\evil.test`, "///evil.test", "/%2f/evil.test", "/%5cevil.test", "/.//evil.test", "/x/..//evil.test", "/%2e%2e//evil.test"} {
		w.landing(t, raw(t, h, http.MethodGet, target, navigation("none")...), target)
	}
	t.Run("in absolute form it names the host", func(t *testing.T) {
		if res := raw(t, h, http.MethodGet, "http://evil.test/x", navigation("none")...); res.StatusCode != http.StatusMisdirectedRequest || res.Header.Get("Location") != "" {
			t.Errorf("%d to %q", res.StatusCode, res.Header.Get("Location"))
		}
		w.landing(t, raw(t, h, http.MethodGet, "http://app.test/x", navigation("none")...), "http://app.test/x")
	})
	t.Run("AUT-13 a host that is none of ours begins nothing", func(t *testing.T) {
		for _, host := range []string{"evil.test", "app.test.evil", "app.test@evil.test", "app.test:8443", ""} {
			r := httptest.NewRequest(http.MethodGet, "/x", nil)
			r.Host = host
			r.Header.Set("X-Forwarded-Host", "app.test")
			r.Header.Set("Accept", "text/html")
			for _, h := range []http.Handler{h, w} {
				rec := httptest.NewRecorder()
				h.ServeHTTP(rec, r)
				if rec.Code == http.StatusFound || len(rec.Result().Cookies()) != 0 {
					t.Errorf("%q: %d %v", host, rec.Code, rec.Header())
				}
			}
			if got := starter.LoginURL(r, "/x"); got != "" {
				t.Errorf("%q: %s", host, got)
			}
		}
	})
}

func TestP068NoTargetOfASignOutLeadsAway(t *testing.T) {
	w := newWorld(t)
	done := []string{"", "/oauth2/logout/callback"}
	for _, rd := range foreign {
		for _, path := range []string{"/oauth2/sign_out?rd=", "/oauth2/logout?redirect=", "/oauth2/logout?post_logout_redirect_uri=", "/oauth2/sign_out?redirect_uri="} {
			res := raw(t, w, http.MethodGet, path+rd, navigation("same-origin")...)
			if to := res.Header.Get("Location"); to != done[0] && to != done[1] || to == "" && res.StatusCode != http.StatusBadRequest {
				t.Errorf("%s%s: %d to %s", path, rd, res.StatusCode, to)
			}
		}
		decoded := must(url.QueryUnescape(rd))(t)
		state := w.flows.sealParameter(purposeLogout, logoutState{w.flows.deps.Now().Unix(), decoded}, []byte(app))
		if res := raw(t, w, http.MethodGet, "/oauth2/logout/callback?state="+state); res.StatusCode != http.StatusOK || res.Header.Get("Location") != "" {
			t.Errorf("P069 %s: %d to %s", rd, res.StatusCode, res.Header.Get("Location"))
		}
	}
}

// A state, an attempt and a stored target that were sealed by us with a target that is not ours: by an
// older version, or under a configuration that has changed.
func TestP069ATargetIsJudgedWhenItIsUsed(t *testing.T) {
	w := newWorld(t)
	for name, back := range map[string]string{
		"in state":         "https://evil.test/",
		"in the cookie":    "https://evil.test/" + strings.Repeat("c", 500),
		"in the store":     "https://evil.test/" + strings.Repeat("s", 2000),
		"an own endpoint":  "/oauth2/sign_out",
		"scheme-relative":  "//evil.test/",
		"a host that left": "https://former.test/",
	} {
		t.Run(name, func(t *testing.T) {
			a := newAttempt(t, back)
			to := must(w.flows.byName["staff"].flow.authorize(t.Context(), a, authorization{
				redirectURI: w.flows.redirectURI("corp", a.here), state: w.flows.sealState(a),
			}))(t)
			rec := httptest.NewRecorder()
			if err := w.flows.keep(rec, httptest.NewRequest(http.MethodGet, app+"/", nil), a); err != nil {
				t.Fatal(err)
			}
			b := w.net.Browser()
			b.Jar.Set(must(url.Parse(app))(t), rec.Result().Header.Values("Set-Cookie"))
			b.StopAt = func(next *url.URL) bool { return next.Hostname() != "127.0.0.1" && next.Hostname() != "app.test" }
			page := b.Visit(t, app+"/", to).SignIn(t, "alice", "alice")
			if page.URL.String() != app+"/" || page.Status != http.StatusOK {
				t.Errorf("ended on %s with %d", page.URL, page.Status)
			}
		})
	}
}

// R7: whatever a person asked for is where they end, byte for byte where a browser leaves the bytes alone.
func TestDeepLinksKeepTheirQuery(t *testing.T) {
	w := newWorld(t)
	for target, want := range map[string]string{
		"/a?":                        "/a?",
		"/a?x=1&x=2&&=":              "/a?x=1&x=2&&=",
		"/a?q=a+b%20c%2Fd%00%0d%0a":  "/a?q=a+b%20c%2Fd%00%0d%0a",
		`/a?path=C:\dir&re=\d`:       "/a?path=C:%5Cdir&re=%5Cd",
		"/a?j={\"k\":[1]}|^`<>":      "/a?j={\"k\":[1]}|^`<>",
		"/a;v=1/b,c?next=//x.test//": "/a;v=1/b,c?next=//x.test//",
	} {
		res := raw(t, w, http.MethodGet, target, navigation("none")...)
		to := must(url.Parse(res.Header.Get("Location")))(t)
		if s, _ := w.flows.openState(to.Query().Get("state")); s.Back != want {
			t.Errorf("%s: the login will end on %q", target, s.Back)
		}
	}
}

func TestALoginURLIsNeverTooLongToBeShown(t *testing.T) {
	w := newWorld(t)
	b := w.net.Browser()
	long := "/a?q=" + strings.Repeat("%22", 1500)
	body := decode(t, b.Fetch(t, "", http.MethodGet, app+long, nil).Body)
	if body["login_url"] != app+"/oauth2/start?rd=%2F" {
		t.Errorf("P185: %v", body["login_url"])
	}
	page := b.Open(t, app+long).SignIn(t, "alice", "alice") // a browser needs no link
	if page.URL.RequestURI() != long {
		t.Errorf("ended on %s", page.URL)
	}
}

// P071: whatever a provider answers, a browser is not sent around more than once by itself.
func TestP071AProviderThatAlwaysErrs(t *testing.T) {
	for _, code := range []string{"login_required", "interaction_required", "server_error", "access_denied", "x"} {
		w := newWorld(t)
		w.idp.Misbehave(idp.OAuthError(code).On(idp.Response).Always())
		b := w.net.Browser()
		page := b.Open(t, app+"/x")
		for range 3 {
			if len(page.Forms()) > 0 {
				page = page.SignIn(t, "alice", "alice")
			}
		}
		asked := 0
		for _, r := range w.idp.Requests(idp.Authorize) {
			if r.Query.Has("state") {
				asked++
			}
		}
		if asked > 3 || page.Status < 400 {
			t.Errorf("%s: asked %d times, ended with %d", code, asked, page.Status)
		}
		if !strings.Contains(page.Body, "/oauth2/start?rd=%2Fx") {
			t.Errorf("%s: RSP-7: nothing leads on", code)
		}
	}
}
