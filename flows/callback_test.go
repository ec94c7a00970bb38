package flows

import (
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/doorward/doorward/demo/idp"
	"github.com/doorward/doorward/internal/testnet"
)

// refused checks that a callback was refused: a page, no session, and no request to a token endpoint.
func (w *world) refused(t *testing.T, b *testnet.Browser, page *testnet.Page, status int, words ...string) {
	t.Helper()
	expect(t, page, status, words...)
	if b.Jar.Get(app, sessionID) != "" {
		t.Error("a session was made")
	}
	if n := w.idp.Count(idp.Token); n != 0 {
		t.Errorf("%d requests to the token endpoint", n)
	}
	if got := page.Header.Get("Cache-Control"); got != "no-store" {
		t.Errorf("P188: Cache-Control %q", got)
	}
}

func TestP089SomebodyElsesAnswerSignsNobodyIn(t *testing.T) {
	w := newWorld(t)
	trap := w.answered(t, w.net.Browser(), app+"/x")
	t.Run("RSP-6 a browser without cookies", func(t *testing.T) {
		victim := w.net.Browser()
		page := victim.Visit(t, "https://evil.test/", trap)
		w.refused(t, victim, page, http.StatusBadRequest, codeState, app+"/oauth2/start?rd=%2Fx")
	})
	t.Run("a browser with an attempt of its own", func(t *testing.T) {
		victim := w.net.Browser()
		victim.Open(t, app+"/y")
		w.refused(t, victim, victim.Visit(t, "https://evil.test/", trap), http.StatusBadRequest, codeState)
		if n := len(attempts(victim, app)); n != 1 {
			t.Errorf("the victim's own attempts: %d", n)
		}
	})
	t.Run("a browser that is signed in stays who it is", func(t *testing.T) {
		victim := w.net.Browser()
		victim.Open(t, app+"/y").SignIn(t, "bob", "bob")
		before := victim.Jar.Get(app, sessionID)
		w.idp.ResetRequests()
		page := victim.Visit(t, "https://evil.test/", trap)
		expect(t, page, http.StatusOK, "bob sees app.test/x")
		if victim.Jar.Get(app, sessionID) != before || w.idp.Count(idp.Token) != 0 {
			t.Error("the session changed, or the code was sent")
		}
	})
}

func TestP090WrongState(t *testing.T) {
	w := newWorld(t)
	b := w.net.Browser()
	good := w.answered(t, b, app+"/x")
	state := must(url.Parse(good))(t).Query().Get("state")
	flipped := state[:40] + string('A'+('B'-state[40])&1) + state[41:]
	attempt := b.Jar.Get(app, attempts(b, app)[0])
	for name, values := range map[string][]string{
		"missing":                      nil,
		"empty":                        {""},
		"nonsense":                     {"xyz"},
		"one character changed":        {flipped},
		"shortened":                    {state[:len(state)-4]},
		"P076 the attempt's cookie":    {attempt},
		"of another gateway":           {foreignState(t)},
		"too long":                     {strings.Repeat("A", 8000)},
		"not base64":                   {state[:20] + "=" + state[21:]},
		"P187 markup":                  {`"><script>alert(1)</script>`},
		"not canonical base64 (twice)": {state + "A"},
		"a line break in it":           {state[:20] + "\r\n" + state[20:]},
	} {
		t.Run(name, func(t *testing.T) {
			other := w.net.Browser()
			other.Jar = b.Jar
			page := other.Open(t, with(t, good, "state", values...))
			w.refused(t, other, page, http.StatusBadRequest, codeState)
			if strings.Contains(page.Body, "<script>alert") {
				t.Error("the state is reflected")
			}
		})
	}
	t.Run("RSP-1 state is looked at before the error", func(t *testing.T) {
		w.refused(t, b, b.Open(t, app+"/oauth2/callback?error=access_denied&state=xyz"), http.StatusBadRequest, codeState)
	})
	t.Run("the login itself still works", func(t *testing.T) {
		expect(t, b.Open(t, good), http.StatusOK, "alice sees app.test/x")
	})
}

func TestP077TwoAttemptCookiesOfOneNameAreNone(t *testing.T) {
	w := newWorld(t)
	b := w.net.Browser()
	good := w.answered(t, b, app+"/x")
	name := attempts(b, app)[0]
	value := b.Jar.Get(app, name)
	for _, cookie := range []string{name + "=" + value + "; " + name + "=x", name + "=x; " + name + "=" + value, name + "=; " + name + "=" + value} {
		res := w.call(t, http.MethodGet, good, "Accept", "text/html", "Cookie", cookie)
		if res.StatusCode != http.StatusBadRequest || w.idp.Count(idp.Token) != 0 {
			t.Errorf("%d, %d token requests", res.StatusCode, w.idp.Count(idp.Token))
		}
	}
}

func TestP091ReplayedCallback(t *testing.T) {
	w := newWorld(t)
	b := w.net.Browser()
	good := w.answered(t, b, app+"/x?y")
	name := attempts(b, app)[0]
	copied := &http.Cookie{Name: name, Value: b.Jar.Get(app, name), Path: "/", Secure: true, HttpOnly: true}
	expect(t, b.Open(t, good), http.StatusOK, "alice sees app.test/x?y")

	t.Run("in the same browser it leads home", func(t *testing.T) {
		expect(t, b.Open(t, good), http.StatusOK, "alice sees app.test/x?y")
	})
	t.Run("with a copy of the attempt's cookie, signed out, it is refused", func(t *testing.T) {
		thief := w.net.Browser()
		thief.Jar.Put(app, copied)
		expect(t, thief.Open(t, good), http.StatusBadRequest, codeState)
		if thief.Jar.Get(app, sessionID) != "" {
			t.Error("a session was made")
		}
	})
	if n := w.idp.Count(idp.Token); n != 1 {
		t.Errorf("the code was sent %d times", n)
	}
}

func TestP091OfParallelCallbacksOneGoesOn(t *testing.T) {
	w := newWorld(t)
	b := w.net.Browser()
	good := w.answered(t, b, app+"/x")
	name := attempts(b, app)[0]
	cookie := name + "=" + b.Jar.Get(app, name)
	var done sync.WaitGroup
	var home atomic.Int32
	for range 8 {
		done.Go(func() {
			if w.call(t, http.MethodGet, good, append(navigation("cross-site"), "Cookie", cookie)...).StatusCode == http.StatusSeeOther {
				home.Add(1)
			}
		})
	}
	done.Wait()
	if home.Load() != 1 || w.idp.Count(idp.Token) != 1 {
		t.Errorf("%d went home, %d token requests", home.Load(), w.idp.Count(idp.Token))
	}
}

func TestP092StateOfAnotherProvider(t *testing.T) {
	w := newWorld(t, func(p *plan) {
		p.providers = []string{"partner"}
		p.flows = func(c *Config) {
			c.Logins = append(c.Logins, Login{Name: "guests", Flow: "authorization_code", Provider: "partner"})
		}
		p.logins = []string{"staff"}
	})
	second := w.startProvider(t, other, nil)
	b := w.net.Browser()
	good := w.answered(t, b, app+"/x")
	if !strings.HasPrefix(good, app+"/oauth2/callback/corp?") {
		t.Fatalf("ISS-4: each provider has a callback of its own: %s", good)
	}
	mixed := strings.Replace(good, "/callback/corp", "/callback/partner", 1)
	w.refused(t, b, b.Open(t, mixed), http.StatusBadRequest, codeState)
	w.refused(t, b, b.Open(t, with(t, mixed, "iss", other)), http.StatusBadRequest, codeState)
	if n := second.Count(idp.Token); n != 0 {
		t.Errorf("RSP-4: the other provider's token endpoint got %d requests", n)
	}
	expect(t, b.Open(t, good), http.StatusOK, "alice sees")
}

func TestP093IssuerOfTheAnswer(t *testing.T) {
	for name, c := range map[string]struct {
		change func(t *testing.T, good string) string
		code   string
	}{
		"ISS-1 another":       {func(t *testing.T, good string) string { return with(t, good, "iss", "https://evil.test") }, codeFailed},
		"ISS-1 missing":       {func(t *testing.T, good string) string { return with(t, good, "iss") }, codeFailed},
		"ISS-1 slash":         {func(t *testing.T, good string) string { return with(t, good, "iss", corp+"/") }, codeFailed},
		"P107 twice":          {func(t *testing.T, good string) string { return with(t, good, "iss", corp, corp) }, codeBadRequest},
		"ISS-3 in an error":   {func(t *testing.T, good string) string { return with(t, good, "iss", "https://evil.test") + "&error=x" }, codeFailed},
		"ISS-3 missing there": {func(t *testing.T, good string) string { return with(t, good, "iss") + "&error=access_denied" }, codeFailed},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			b := w.net.Browser()
			good := w.answered(t, b, app+"/x")
			w.refused(t, b, b.Open(t, c.change(t, good)), http.StatusBadRequest, c.code)
		})
	}
	t.Run("ISS-2 compared although not announced", func(t *testing.T) {
		w := newWorld(t, func(p *plan) { p.idp = func(c *idp.Config) { c.OmitIss = true } })
		b := w.net.Browser()
		good := w.answered(t, b, app+"/x")
		w.refused(t, b, b.Open(t, with(t, good, "iss", "https://evil.test")), http.StatusBadRequest, codeFailed)
		expect(t, b.Open(t, app+"/x"), http.StatusOK, "alice sees")
	})
}

func TestRSP2ErrorResponses(t *testing.T) {
	for code, want := range map[string]struct {
		status int
		code   string
	}{
		"access_denied":             {http.StatusForbidden, codeDenied},
		"temporarily_unavailable":   {http.StatusServiceUnavailable, codeProviderDown},
		"server_error":              {http.StatusBadGateway, codeProviderBad},
		"invalid_scope":             {http.StatusBadGateway, codeMisconfigured},
		"unauthorized_client":       {http.StatusBadGateway, codeMisconfigured},
		"invalid_request":           {http.StatusBadGateway, codeMisconfigured},
		"unsupported_response_type": {http.StatusBadGateway, codeMisconfigured},
		"login_required":            {http.StatusBadRequest, codeFailed},
		"made_up":                   {http.StatusBadGateway, codeProviderBad},
	} {
		t.Run(code, func(t *testing.T) {
			w := newWorld(t)
			w.idp.Misbehave(idp.OAuthError(code).On(idp.Response).Always())
			b := w.net.Browser()
			page := b.Open(t, app+"/x").SignIn(t, "alice", "alice")
			w.refused(t, b, page, want.status, want.code)
			if n := len(attempts(b, app)); n != 0 {
				t.Errorf("RSP-7: %d attempts are left", n)
			}
			if len(page.Hops) > 8 {
				t.Errorf("P071: %d hops", len(page.Hops))
			}
			if want.status == http.StatusServiceUnavailable && page.Header.Get("Retry-After") == "" {
				t.Error("no Retry-After")
			}
		})
	}
	t.Run("login_required after prompt=none asks the person", func(t *testing.T) {
		w := newWorld(t, func(p *plan) {
			p.flows = func(c *Config) { c.Logins[0].Params = map[string][]string{"prompt": {"none"}} }
		})
		page := w.net.Browser().Open(t, app+"/x").SignIn(t, "alice", "alice")
		expect(t, page, http.StatusOK, "alice sees app.test/x")
	})
}

func TestP106ErrorText(t *testing.T) {
	w := newWorld(t)
	t.Run("is escaped", func(t *testing.T) {
		b := w.net.Browser()
		good := w.answered(t, b, app+"/x")
		bad := with(t, with(t, good, "error", "access_denied"), "error_description", "<script>alert(1)</script>\x1b[31m"+strings.Repeat("x", 5000))
		page := b.Open(t, bad)
		w.refused(t, b, page, http.StatusForbidden, codeDenied, "alert(1)")
		if strings.Contains(page.Body, "<script>alert") || strings.Contains(page.Body, "\x1b") || strings.Contains(page.Body, strings.Repeat("x", 500)) {
			t.Errorf("reflected: %s", page.Body)
		}
	})
	t.Run("without state nothing changes", func(t *testing.T) {
		b := w.signedIn(t, app+"/x")
		before := b.Jar.Get(app, sessionID)
		page := b.Open(t, app+"/oauth2/callback?error=access_denied&error_description=x")
		expect(t, page, http.StatusBadRequest, codeState)
		if b.Jar.Get(app, sessionID) != before {
			t.Error("the session was touched")
		}
		expect(t, b.Open(t, app+"/x"), http.StatusOK, "alice sees")
	})
}

func TestP107DuplicateParameters(t *testing.T) {
	w := newWorld(t)
	b := w.net.Browser()
	good := w.answered(t, b, app+"/x")
	q := must(url.Parse(good))(t).Query()
	for name, bad := range map[string]string{
		"code":           good + "&code=other",
		"the same code":  good + "&code=" + url.QueryEscape(q.Get("code")),
		"state":          good + "&state=other",
		"error":          good + "&error=a&error=b",
		"encoded name":   good + "&%63ode=other",
		"broken escape":  good + "&x=%zz",
		"semicolon":      good + "&a;b=c",
		"no code either": with(t, good, "code"),
	} {
		t.Run(name, func(t *testing.T) {
			w.refused(t, b, b.Open(t, bad), http.StatusBadRequest)
		})
	}
}

func TestRSP3UnknownParametersAreIgnored(t *testing.T) {
	w := newWorld(t)
	b := w.net.Browser()
	good := w.answered(t, b, app+"/x")
	expect(t, b.Open(t, good+"&session_state=a&session_state=b&scope=x&rd=//evil.test&login=other&redirect_uri=x&ticket=x"), http.StatusOK, "alice sees app.test/x")
}

func TestP108MethodsThatAreNotGET(t *testing.T) {
	w := newWorld(t)
	b := w.net.Browser()
	good := w.answered(t, b, app+"/x")
	cookie := attempts(b, app)[0] + "=" + b.Jar.Get(app, attempts(b, app)[0])
	for _, method := range []string{http.MethodHead, http.MethodPost, http.MethodPut, http.MethodOptions, http.MethodDelete, "PROPFIND"} {
		res := w.call(t, method, good, "Cookie", cookie, "Accept", "text/html")
		if res.StatusCode != http.StatusMethodNotAllowed || res.Header.Get("Allow") != "GET" || len(res.Cookies()) != 0 {
			t.Errorf("%s: %d, Allow %q, cookies %v", method, res.StatusCode, res.Header.Get("Allow"), res.Cookies())
		}
	}
	if w.idp.Count(idp.Token) != 0 {
		t.Error("the code was sent")
	}
	expect(t, b.Open(t, good), http.StatusOK, "alice sees")
}

func TestRSP5ALongCodeIsSent(t *testing.T) {
	for name, change := range map[string]func(*plan){"as it came": func(*plan) {}, "carried": oneCallback} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, change)
			b := w.net.Browser()
			good := w.answered(t, b, app+"/x")
			long := strings.Repeat("c", 6000)
			b.StopAt = func(next *url.URL) bool { return !next.Query().Has("ticket") }
			b.Open(t, with(t, good, "code", long))
			if got := w.idp.Last(idp.Token).Form.Get("code"); got != long {
				t.Errorf("a code of %d bytes arrived", len(got))
			}
		})
	}
}
