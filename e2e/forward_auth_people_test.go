package e2e

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

// The recipes of deploy/, with people in front of them and an app behind them.
func TestForwardAuthRecipesLetPeopleIn(t *testing.T) {
	for _, r := range recipes() {
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			g := newGuarded(t, r.command, "", providerOptions{})
			b := g.browser(t)
			const deep = "/reports/2026%20Q3?sort=-date&q=a%26b&q=%C3%BC"
			alice := b.tab(t)
			t.Run("R19 a person lands on the page that they asked for, and the app learns who it is", func(t *testing.T) { g.landsOn(t, alice, deep) })
			t.Run("a script is answered as one, signed in or not", func(t *testing.T) { g.scriptsAreAnswered(t, alice, b.apart(t).tab(t)) })
			t.Run("a program gets 401, and learns where its person may sign in", func(t *testing.T) { g.programsAreTold(t, r.name) })
			t.Run("the address that one came from is the application's own", func(t *testing.T) { g.queriesAreTheApplications(t) })
			t.Run("nobody goes in circles", func(t *testing.T) { g.noCircles(t, alice, b.apart(t).tab(t)) })
			t.Run("a refusal says why", func(t *testing.T) { g.refusalsSayWhy(t, alice) })
			t.Run("a Doorward that hangs is waited for", func(sub *testing.T) { g.hangs(t, sub, alice) })
			t.Run("a POST without a session reaches nobody", func(t *testing.T) { g.postsAreRefused(t, alice) })
			t.Run("who may not pass gets 403", func(t *testing.T) { g.refuses(t, b.apart(t).tab(t), alice) })
			t.Run("R9 a WebSocket passes both ways, and P179 no other site's page opens one", func(t *testing.T) { g.webSockets(t, alice) })
			t.Run("P035 nobody but the proxy is answered", func(t *testing.T) { g.strangersAreRefused(t, alice) })
			t.Run("nobody is let in while Doorward is away", func(sub *testing.T) { g.outage(t, sub, alice) })
			t.Run("sign-out ends it", func(t *testing.T) { g.signsOut(t, alice) })
		})
	}
}

func (g *guarded) landsOn(t *testing.T, tb *tab, deep string) {
	tb.open(wikiSite + deep)
	g.signIn(tb, "alice")
	tb.waitURL(wikiSite + deep)
	got := g.app.last(t, deep)
	for name, want := range map[string]string{
		"X-Forwarded-User": "alice", "X-Forwarded-Email": "alice@example.com", "X-Forwarded-Preferred-Username": "alice",
		"X-Forwarded-Groups": "staff,everyone", "X-Forwarded-Host": wikiHost, "X-Forwarded-Proto": "https", "X-Forwarded-For": "127.0.0.1",
	} {
		if got := got.Header[name]; len(got) != 1 || got[0] != want {
			t.Errorf("%s is %q, not %q", name, got, want)
		}
	}
	if got.Host != wikiHost {
		t.Errorf("the app is called %q", got.Host)
	}
	token, ok := strings.CutPrefix(got.Header.Get("Authorization"), "Bearer ")
	if !ok || userinfo(t, g.provider.issuer, token) != http.StatusOK {
		t.Errorf("the app got Authorization %q", got.Header.Get("Authorization"))
	}
	if c := got.Header["Cookie"]; strings.Contains(strings.Join(c, ";"), "doorward") {
		t.Errorf("P028: the app got Cookie: %q", c)
	}
	cookies := tb.lasting(wikiSite + "/")
	if len(cookies) != 1 || cookies[0].Name != "__Host-doorward" || !cookies[0].Secure || !cookies[0].HTTPOnly {
		t.Errorf("the cookies are %+v", cookies)
	}
	for _, a := range tb.all() {
		for name := range a.Header {
			if strings.HasPrefix(name, "x-auth-request-") || strings.HasPrefix(name, "x-forwarded-") || name == "authorization" {
				t.Errorf("the browser is told %s by %s", name, a.URL)
			}
		}
	}
	tb.forget()
	tb.open(wikiSite + "/next")
	tb.waitURL(wikiSite + "/next")
	if tb.visited(g.provider.issuer) {
		t.Error("the browser was sent to the provider again")
	}
}

func (g *guarded) scriptsAreAnswered(t *testing.T, signedIn, nobody *tab) {
	if got := fetch(signedIn, `"/json?a=b"`, `{method: "PUT", body: "text"}`); got.Status != http.StatusOK {
		t.Errorf("signed in: %+v", got)
	}
	if got := g.app.last(t, "/json?a=b"); got.Method != "PUT" || got.Body != "text" || got.Header.Get("X-Forwarded-User") != "alice" {
		t.Errorf("the app got %+v", got)
	}
	nobody.open(wikiSite + "/public/page")
	nobody.waitURL(wikiSite + "/public/page")
	if got := fetch(nobody, `"/json?nobody"`, `{}`); got.Status != http.StatusUnauthorized || got.Redirected {
		t.Errorf("nobody: %+v", got)
	}
}

func (g *guarded) programsAreTold(t *testing.T, proxy string) {
	before := len(g.app.all())
	both(t, func(t *testing.T, send sender) {
		got := send(g, t, "GET", "/orders?x=1", "Accept: application/json")
		if got.Status != http.StatusUnauthorized || got.Header.Get("Content-Type") != "application/problem+json" {
			t.Fatalf("%d %v %s", got.Status, got.Header, got.Body)
		}
		if !strings.Contains(got.Body, `"login_url":"`+wikiSite+"/oauth2/start?rd="+url.QueryEscape("/orders?x=1")+`"`) {
			t.Errorf("the body is %s", got.Body)
		}
		if c := got.Header["Www-Authenticate"]; len(c) != 1 || !strings.HasPrefix(c[0], "Bearer") {
			t.Errorf("WWW-Authenticate: %q", c)
		}
		if got.Header["Location"] != nil || got.Header["Set-Cookie"] != nil {
			t.Errorf("the header is %v", got.Header)
		}
	})
	if len(g.since(before)) > 0 {
		t.Errorf("the app got %+v", g.since(before))
	}
}

func (g *guarded) postsAreRefused(t *testing.T, alice *tab) {
	before := len(g.app.all())
	both(t, func(t *testing.T, send sender) {
		for name, lines := range map[string][]string{
			"a form":    {"Content-Type: application/x-www-form-urlencoded", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document", "Sec-Fetch-Site: same-origin", "Origin: " + wikiSite, "Accept: text/html", "\na=b"},
			"a program": {"Content-Type: application/json", "Accept: application/json", "\n{}"},
		} {
			got := send(g, t, "POST", "/orders", lines...)
			if got.Status != http.StatusUnauthorized || got.Header["Location"] != nil || len(got.Header["Www-Authenticate"]) != 1 {
				t.Errorf("%s: %d %v", name, got.Status, got.Header)
			}
		}
	})
	if len(g.since(before)) > 0 {
		t.Errorf("the app got %+v", g.since(before))
	}
	both(t, func(t *testing.T, send sender) {
		if got := send(g, t, "POST", "/orders", g.cookie(alice), "Content-Type: application/json", "Origin: "+wikiSite, "\n{}"); got.Status != http.StatusOK {
			t.Errorf("signed in: %d %s", got.Status, got.Body)
		}
		if got := g.app.last(t, "/orders"); got.Method != "POST" || got.Body != "{}" || got.Header.Get("X-Forwarded-User") != "alice" {
			t.Errorf("the app got %+v", got)
		}
	})
}

func (g *guarded) refuses(t *testing.T, mallory, alice *tab) {
	mallory.open(wikiSite + "/orders?mallory")
	g.signIn(mallory, "mallory")
	mallory.wait("the refusal", func(v view) bool { return v.URL == wikiSite+"/orders?mallory" })
	if got := mallory.document(); got.Status != http.StatusForbidden {
		t.Errorf("a person of no group gets %d", got.Status)
	}
	alice.open(wikiSite + "/admin/users")
	alice.waitURL(wikiSite + "/admin/users")
	if got := alice.document(); got.Status != http.StatusForbidden {
		t.Errorf("a person who is no administrator gets %d", got.Status)
	}
	for _, r := range g.app.all() {
		if strings.HasPrefix(r.URI, "/admin") || strings.Contains(r.URI, "mallory") {
			t.Errorf("the app got %+v", r)
		}
	}
	mallory.open(wikiSite + "/public/mallory")
	mallory.waitURL(wikiSite + "/public/mallory")
}

func (g *guarded) webSockets(t *testing.T, tb *tab) {
	tb.open(wikiSite + "/before")
	tb.waitURL(wikiSite + "/before")
	echoed := script[[]string](tb, `
		const socket = new WebSocket(location.origin.replace("http", "ws") + "/websocket");
		const next = () => new Promise((ok, no) => {
			socket.onmessage = (e) => ok(e.data);
			socket.onclose = (e) => no(new Error("closed: " + e.code + " " + e.reason));
		});
		await new Promise((ok, no) => { socket.onopen = ok; socket.onerror = () => no(new Error("no socket")); });
		const seen = [];
		for (const text of ["hello", "x".repeat(100000)]) {
			const answer = next();
			socket.send(text);
			seen.push((await answer).slice(0, 12));
		}
		socket.close();
		return seen;`)
	if want := []string{"alice: hello", "alice: xxxxx"}; len(echoed) != 2 || echoed[0] != want[0] || echoed[1] != want[1] {
		t.Errorf("the socket echoed %q", echoed)
	}
	waitEnded(t, g.app, "websocket")

	before := len(g.app.all())
	upgrade := []string{"Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="}
	for name, lines := range map[string][]string{
		"another site's": {g.cookie(tb), "Origin: https://evil.example"}, "nobody's": {"Origin: " + wikiSite}, "a page's that says no origin": {g.cookie(tb), "Origin: null"},
	} {
		if got := g.send(t, "GET", "/websocket", append(lines, upgrade...)...); got.Status != http.StatusForbidden && got.Status != http.StatusUnauthorized {
			t.Errorf("%s: %d %s", name, got.Status, got.Body)
		}
	}
	for _, kind := range []string{"h2c", "TLS/1.2", "websocket, h2c"} { // P049
		got := g.send(t, "GET", "/tunnel", g.cookie(tb), "Connection: Upgrade, HTTP2-Settings", "Upgrade: "+kind, "HTTP2-Settings: AAMAAABkAAQAAP__")
		if got.Status == http.StatusSwitchingProtocols {
			t.Errorf("the connection was changed to %s", kind)
		}
	}
	for _, r := range g.since(before) {
		if r.URI == "/websocket" || r.Header["Upgrade"] != nil {
			t.Errorf("the app got %+v", r)
		}
	}
}

func (g *guarded) signsOut(t *testing.T, tb *tab) {
	tb.open(wikiSite + "/last")
	tb.waitURL(wikiSite + "/last")
	old := g.cookie(tb)
	tb.do(chromedp.Click(chromedp.CSS("#sign-out-form button")))
	g.atProvidersLogout(tb)
	tb.do(chromedp.Click(chromedp.CSS("button[value=yes]")))
	signedOut(tb, g.world)
	before := len(g.app.all())
	both(t, func(t *testing.T, send sender) {
		if got := send(g, t, "GET", "/last", old); got.Status != http.StatusUnauthorized {
			t.Errorf("P074: the old cookie gets %d", got.Status)
		}
	})
	if len(g.since(before)) > 0 {
		t.Errorf("the app got %+v", g.since(before))
	}
}

// sender is send or send2.
type sender func(g *guarded, t *testing.T, method, target string, lines ...string) rawAnswer

// both tests over HTTP/1.1 and over HTTP/2.
func both(t *testing.T, test func(t *testing.T, send sender)) {
	t.Helper()
	t.Run("HTTP/1.1", func(t *testing.T) { test(t, (*guarded).send) })
	t.Run("HTTP/2", func(t *testing.T) { test(t, (*guarded).send2) })
}
