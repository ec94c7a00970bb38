package e2e

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

func TestSignOutEndsTheSessionInEveryTabBeforeTheProviderIsAsked(t *testing.T) {
	w := newWorld(t, providerOptions{})
	b := newBrowser(t)
	tb := w.signedIn(t, b, "alice", "/one")
	other := b.tab(t)
	other.open(w.gateway.origin + "/two")
	other.waitURL(w.gateway.origin + "/two")
	stolen := tb.lasting(w.gateway.origin + "/")[0].Value

	tb.do(chromedp.Click(chromedp.CSS("#sign-out-form button")))
	w.atProvidersLogout(tb)
	if got := fetch(other, `"/json"`, `{}`); got.Status != http.StatusUnauthorized {
		t.Errorf("in the other tab a script gets %+v", got)
	}
	if c := tb.cookies(w.gateway.origin + "/"); len(c) != 0 {
		t.Errorf("cookies are left: %+v", c)
	}
	t.Run("P074 the old cookie is worth nothing", func(t *testing.T) {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, w.gateway.origin+"/json", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.AddCookie(&http.Cookie{Name: "doorward", Value: stolen})
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		if res.StatusCode != http.StatusUnauthorized {
			t.Errorf("it gets %d", res.StatusCode)
		}
	})
	t.Run("P131 the refresh token is revoked at the provider", func(t *testing.T) {
		if !eventually(func() bool {
			return w.provider.count(t, "refresh_token_destroyed", "")+w.provider.count(t, "grant_revoked", "") > 0
		}) {
			t.Errorf("the provider was told of nothing: %+v", w.provider.events(t))
		}
	})
	t.Run("who signs out everywhere comes back, and both have forgotten", func(t *testing.T) {
		tb.do(chromedp.Click(chromedp.CSS("button[value=yes]")))
		signedOut(tb, w)
		if n := w.provider.count(t, "end_session", ""); n != 1 {
			t.Errorf("the provider ended %d sessions: %+v", n, w.provider.events(t))
		}
		tb.open(w.gateway.origin + "/two")
		w.signIn(tb, "bob")
		tb.waitURL(w.gateway.origin + "/two")
		if got := w.app.last(t, "/two").Header.Get("X-Forwarded-User"); got != "bob" {
			t.Errorf("the app saw %q", got)
		}
	})
}

func TestSignOutComesBackToThePageThatWasAskedFor(t *testing.T) {
	w := prepare(t, providerOptions{})
	w.gateway.configure(t, w.providerTable("")+w.routeTable("")+fmt.Sprintf(
		"\n[[route]]\nname = \"goodbye\"\nhost = %q\npath = \"/goodbye\"\nupstream = [%q]\npublic = true\n", w.gateway.origin, w.app.URL))
	w.provider.start(t)
	w.gateway.start(t)
	goodbye := w.gateway.origin + "/goodbye?from=app"
	for name, rd := range map[string]string{
		"a path": "/goodbye?from=app",
		"the provider's endpoint, as for oauth2-proxy": w.provider.issuer + "/session/end?post_logout_redirect_uri=" + url.QueryEscape(goodbye),
	} {
		t.Run(name, func(t *testing.T) {
			tb := w.signedIn(t, newBrowser(t), "alice", "/one")
			script[any](tb, `document.querySelector("#sign-out").href += "?rd=`+url.QueryEscape(rd)+`"; return null;`)
			tb.do(chromedp.Click(chromedp.CSS("#sign-out")))
			q := w.atProvidersLogout(tb)
			if q.Get("id_token_hint") == "" || q.Get("post_logout_redirect_uri") != w.gateway.origin+"/oauth2/logout/callback" {
				t.Errorf("the provider was asked %v", q)
			}
			tb.do(chromedp.Click(chromedp.CSS("button[value=yes]")))
			tb.waitURL(goodbye)
			if got := w.app.last(t, "/goodbye?from=app").Header; got.Get("X-Forwarded-User") != "" || got.Get("Authorization") != "" {
				t.Errorf("after the sign-out the app still saw %v", got)
			}
		})
	}
}

func TestAScriptSignsOutHereOnly(t *testing.T) {
	w := newWorld(t, providerOptions{})
	tb := w.signedIn(t, newBrowser(t), "alice", "/one")
	if got := fetch(tb, `"/oauth2/sign_out"`, `{method: "POST"}`); got.Status != http.StatusNoContent || got.Redirected {
		t.Fatalf("the script gets %+v", got)
	}
	if got := fetch(tb, `"/json"`, `{}`); got.Status != http.StatusUnauthorized {
		t.Errorf("afterwards it gets %+v", got)
	}
	if w.provider.count(t, "end_session", "") != 0 {
		t.Error("the session at the provider ended as well")
	}
}

// atProvidersLogout waits until the tab shows the provider's question, and returns what the provider was told.
func (w *world) atProvidersLogout(tb *tab) url.Values {
	tb.t.Helper()
	v := tb.wait("the provider's question", func(v view) bool { return strings.HasPrefix(v.URL, w.provider.issuer+"/session/end") })
	u, err := url.Parse(v.URL)
	if err != nil {
		tb.t.Fatal(err)
	}
	return u.Query()
}

// signedOut waits for our own page after a sign-out.
func signedOut(tb *tab, w *world) {
	tb.t.Helper()
	tb.wait("the page that says that one is signed out", func(v view) bool {
		return strings.HasPrefix(v.URL, w.gateway.origin) && strings.Contains(strings.ToLower(v.Title+v.Text), "signed out")
	})
}

// A page of another site must not be able to sign anybody out (LO-2).
func TestLO2AnotherSiteCannotSignAnybodyOut(t *testing.T) {
	w := newWorld(t, providerOptions{})
	b := newBrowser(t)
	tb := w.signedIn(t, b, "alice", "/one")
	evil := newApp(t)
	for name, attack := range map[string]string{
		"an image":        `await new Promise((done) => { const i = new Image(); i.onload = i.onerror = done; i.src = OUT; });`,
		"a fetch":         `await fetch(OUT, {mode: "no-cors", credentials: "include"}).catch(() => {});`,
		"a form POST":     `const f = document.createElement("form"); f.method = "post"; f.action = OUT; document.body.append(f); f.submit();`,
		"a navigation":    `location.href = OUT;`,
		"a frame":         `await new Promise((done) => { const f = document.createElement("iframe"); f.onload = done; f.src = OUT; document.body.append(f); });`,
		"a POST by fetch": `await fetch(OUT, {method: "POST", mode: "no-cors", credentials: "include"}).catch(() => {});`,
	} {
		t.Run(name, func(t *testing.T) {
			page := b.tab(t)
			page.open(evil.URL + "/")
			script[any](page, strings.ReplaceAll(attack, "OUT", `"`+w.gateway.origin+`/oauth2/sign_out"`)+" return null;")
			page.wait("a quiet page", func(view) bool { return true })
			if got := fetch(tb, `"/json"`, `{}`); got.Status != http.StatusOK {
				t.Errorf("afterwards the person's own page gets %+v", got)
			}
		})
	}
	t.Run("a navigation is asked to confirm", func(t *testing.T) {
		page := b.tab(t)
		page.open(evil.URL + "/")
		script[any](page, `location.href = "`+w.gateway.origin+`/oauth2/sign_out"; return null;`)
		page.wait("the question", func(v view) bool { return strings.HasPrefix(v.URL, w.gateway.origin+"/oauth2/sign_out") })
		page.do(chromedp.Click(chromedp.CSS("form button")))
		w.atProvidersLogout(page)
		if got := fetch(tb, `"/json"`, `{}`); got.Status != http.StatusUnauthorized {
			t.Errorf("after the person has confirmed, their page gets %+v", got)
		}
	})
}
