package e2e

import (
	"net/http"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/network"
)

// fetched is what a page's script learns of an answer.
type fetched struct {
	Status     int    `json:"status"`
	Redirected bool   `json:"redirected"`
	Type       string `json:"type"`
	Challenge  string `json:"challenge"`
	Reference  string `json:"reference"`
	Body       string `json:"body"`
}

const fetchScript = `
	const r = await fetch(URL_, INIT);
	return {status: r.status, redirected: r.redirected, type: r.headers.get("Content-Type") ?? "",
		challenge: r.headers.get("WWW-Authenticate") ?? "", reference: r.headers.get("Doorward-Reference") ?? "", body: await r.text()};`

// fetch calls fetch(url, init) in the page; both are JavaScript expressions.
func fetch(tb *tab, url, init string) fetched {
	tb.t.Helper()
	return script[fetched](tb, strings.NewReplacer("URL_", url, "INIT", init).Replace(fetchScript))
}

func TestR8AScriptWithoutASessionIsToldSoAndSentNowhere(t *testing.T) {
	w := newWorld(t, providerOptions{})
	tb := w.signedIn(t, newBrowser(t), "alice", "/")
	if got := fetch(tb, `"/json?with=session"`, `{}`); got.Status != http.StatusOK {
		t.Fatalf("with a session, fetch gets %+v", got)
	}
	tb.command(network.ClearBrowserCookies)
	for name, init := range map[string]string{
		"GET":               `{}`,
		"GET asking HTML":   `{headers: {Accept: "text/html"}}`,
		"POST":              `{method: "POST", body: "x=1"}`,
		"manual redirects":  `{redirect: "manual"}`,
		"no cookies at all": `{credentials: "omit"}`,
	} {
		t.Run(name, func(t *testing.T) {
			tb.forget()
			got := fetch(tb, `"/json?without=session"`, init)
			if got.Status != http.StatusUnauthorized || got.Redirected || got.Type != "application/problem+json" {
				t.Fatalf("fetch gets %+v", got)
			}
			if !strings.HasPrefix(got.Challenge, "Bearer realm=") {
				t.Errorf("WWW-Authenticate is %q", got.Challenge)
			}
			for _, want := range []string{`"code":"login_required"`, `"login_url":"` + w.gateway.origin + `/oauth2/start?rd=`, got.Reference} {
				if !strings.Contains(got.Body, want) {
					t.Errorf("the body lacks %s: %s", want, got.Body)
				}
			}
			if got.Reference == "" {
				t.Error("there is no reference")
			}
			if c := tb.cookies(w.gateway.origin + "/oauth2/callback"); len(c) != 0 {
				t.Errorf("an attempt was made for a script: %+v", c)
			}
			if tb.visited(w.provider.issuer) {
				t.Error("the script was sent to the provider")
			}
		})
	}
	t.Run("the app saw none of them", func(t *testing.T) {
		for _, r := range w.app.all() {
			if strings.Contains(r.URI, "without") {
				t.Errorf("the app received %+v", r)
			}
		}
	})
}

func TestAScriptSeesItsSessionButNoToken(t *testing.T) {
	w := newWorld(t, providerOptions{})
	tb := w.signedIn(t, newBrowser(t), "alice", "/")
	for _, path := range []string{"/oauth2/session", "/oauth2/userinfo"} {
		got := fetch(tb, `"`+path+`"`, `{}`)
		if got.Status != http.StatusOK || !strings.Contains(got.Body, "alice") {
			t.Errorf("%s answers %+v", path, got)
		}
		token := strings.TrimPrefix(w.app.last(t, "/").Header.Get("Authorization"), "Bearer ")
		if token == "" || strings.Contains(got.Body, token) {
			t.Errorf("%s shows the token %q", path, token)
		}
	}
}
