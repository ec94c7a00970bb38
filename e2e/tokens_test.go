package e2e

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/chromedp/chromedp/kb"
)

var personalToken = regexp.MustCompile(`dwp\.[A-Za-z0-9_-]{48}`)

// newTokensWorld is one in which nobody needs a token of the provider.
func newTokensWorld(t *testing.T) *world {
	t.Helper()
	w := prepare(t, providerOptions{})
	w.gateway.configure(t, w.providerTable("")+strings.Replace(w.routeTable(""), `credential = "session"`, `credential = "none"`, 1))
	w.provider.start(t)
	w.gateway.start(t)
	return w
}

// A person makes a token by the page, with the keyboard alone, uses it as curl and git do, and revokes it.
func TestAPersonMakesUsesAndRevokesATokenWithAndWithoutScript(t *testing.T) {
	w := newTokensWorld(t)
	newBrowser(t).inBoth(t, func(t *testing.T, tb *tab) {
		here := w.gateway.origin
		tb.open(here + "/oauth2/tokens")
		if !strings.HasPrefix(tb.look().URL, here) {
			w.signIn(tb, "alice")
		}
		tb.waitURL(here + "/oauth2/tokens")
		name := fmt.Sprintf("nightly <b>build</b>, script %v", !tb.noScript)
		tb.fill("name", name+kb.Enter)
		v := tb.says("Copy it now")
		token := personalToken.FindString(v.Text)
		if token == "" || v.URL != here+"/oauth2/tokens" {
			t.Fatalf("%+v", v)
		}
		for _, authorization := range []string{"Bearer " + token, userPassword("anything", token)} {
			if got := call(t, here+"/x", nil, "Authorization", authorization); got.Status != http.StatusOK {
				t.Errorf("a tool gets %d %s", got.Status, got.Body)
			}
		}
		tb.press("your list of tokens")
		v = tb.says("Your tokens")
		if !strings.Contains(v.Text, name) || !strings.Contains(v.Text, "as you, ") || personalToken.MatchString(v.Text) {
			t.Errorf("the list shows\n%s", v.Text)
		}
		if !eventually(func() bool { // the use is written in the background
			tb.open(here + "/oauth2/tokens")
			return strings.Contains(tb.look().Text, "Last used")
		}) {
			t.Error("the list does not say that it was used")
		}
		tb.press("Revoke")
		tb.wait("a list without it", func(v view) bool { return v.Ready && !strings.Contains(v.Text, name) })
		if got := call(t, here+"/x", nil, "Authorization", "Bearer "+token); got.Status != http.StatusUnauthorized {
			t.Errorf("after the revocation: %d", got.Status)
		}
	})
}

func userPassword(name, password string) string {
	r := &http.Request{Header: http.Header{}}
	r.SetBasicAuth(name, password)
	return r.Header.Get("Authorization")
}

func TestTheTokenIsCopiedByItsButton(t *testing.T) {
	w := newTokensWorld(t)
	tb := w.signedIn(t, newBrowser(t), "alice", "/oauth2/tokens")
	tb.fill("name", "ci"+kb.Enter)
	token := personalToken.FindString(tb.says("Copy it now").Text)
	script[any](tb, `navigator.clipboard.writeText = (text) => { document.title = text; return Promise.resolve(); }; return null;`)
	tb.press("Copy")
	tb.wait("the copy", func(v view) bool { return token != "" && v.Title == token })
	tb.says("Copied")
}

func TestThePagesOfTokensAreReadableForEverybody(t *testing.T) {
	w := &pagesWorld{world: newTokensWorld(t)}
	w.origins = []string{w.gateway.origin}
	b := newBrowser(t)
	w.signedIn(t, b, "alice", "/oauth2/tokens")
	list := func(tb *tab) { tb.open(w.gateway.origin + "/oauth2/tokens") }
	make := func(name string) func(*tab) {
		return func(tb *tab) {
			list(tb)
			script[any](tb, `document.querySelector("input[name=name]").removeAttribute("required"); return null;`)
			tb.fill("name", name)
			tb.press("Make token")
			tb.says("Copy it now", "No token was made")
		}
	}
	w.readable(t, b, []shown{
		{"tokens none yet", 200, list},
		{"new token", 201, make("backup on my laptop")},
		{"new token of a long name", 201, make(strings.Repeat("W", 64))},
		{"tokens", 200, list},
		{"tokens wrong", 400, make("")},
	})
}
