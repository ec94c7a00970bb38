package e2e

import (
	"net/http"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/network"
)

func TestAPersonSignsInAndLandsOnThePageTheyAskedFor(t *testing.T) {
	w := newWorld(t, providerOptions{})
	tb := newBrowser(t).tab(t)
	const deep = "/reports/2026%20Q3?sort=-date&q=a%26b&q=%C3%BC"
	tb.open(w.gateway.origin + deep)
	w.signIn(tb, "alice")
	tb.waitURL(w.gateway.origin + deep)

	got := w.app.last(t, deep)
	t.Run("R19 the app sees who it is", func(t *testing.T) {
		for name, want := range map[string]string{
			"X-Forwarded-User":               "alice",
			"X-Forwarded-Email":              "alice@example.com",
			"X-Forwarded-Preferred-Username": "alice",
			"X-Forwarded-Groups":             "staff,everyone",
		} {
			if got := got.Header.Get(name); got != want {
				t.Errorf("%s is %q, not %q", name, got, want)
			}
		}
	})
	t.Run("the app gets the person's access token", func(t *testing.T) {
		token, ok := strings.CutPrefix(got.Header.Get("Authorization"), "Bearer ")
		if !ok {
			t.Fatalf("Authorization is %q", got.Header.Get("Authorization"))
		}
		if status := userinfo(t, w.provider.issuer, token); status != http.StatusOK {
			t.Errorf("the provider answers %d to the token that the app got", status)
		}
	})
	t.Run("no cookie of the gateway's reaches the app", func(t *testing.T) {
		if c := got.Header.Get("Cookie"); c != "" {
			t.Errorf("the app got Cookie: %s", c)
		}
	})
	t.Run("what stays in the browser is one small cookie that no script sees", func(t *testing.T) {
		cookies := tb.lasting(w.gateway.origin + "/")
		if len(cookies) != 1 {
			t.Fatalf("%d cookies are left: %+v", len(cookies), cookies)
		}
		c := cookies[0]
		if c.Name != "doorward" || !c.HTTPOnly || c.SameSite != network.CookieSameSiteLax || len(c.Value) >= 100 || c.Path != "/" {
			t.Errorf("the session cookie is %+v", c)
		}
		if seen := script[string](tb, "return document.cookie"); seen != "" {
			t.Errorf("a script sees %q", seen)
		}
	})
	t.Run("one code was redeemed, once", func(t *testing.T) {
		if n := w.provider.count(t, "grant", ""); n != 1 {
			t.Errorf("%d grants: %+v", n, w.provider.events(t))
		}
	})
	t.Run("S10 nothing secret is written", func(t *testing.T) {
		written := strings.Join(w.gateway.output(), "\n")
		for what, secret := range map[string]string{
			"the access token":  strings.TrimPrefix(got.Header.Get("Authorization"), "Bearer "),
			"the session":       tb.lasting(w.gateway.origin + "/")[0].Value,
			"the client secret": clientSecret,
			"a code":            "code=",
			"a state":           "state=",
			"the query":         "sort=-date",
		} {
			if strings.Contains(written, secret) {
				t.Errorf("the log holds %s (%q)", what, secret)
			}
		}
	})
	t.Run("the next page needs no sign-in", func(t *testing.T) {
		tb.forget()
		tb.open(w.gateway.origin + "/next")
		tb.waitURL(w.gateway.origin + "/next")
		if tb.visited(w.provider.issuer) {
			t.Error("the browser was sent to the provider again")
		}
	})
}

// userinfo asks the provider whether a token is good.
func userinfo(t *testing.T, issuer, token string) int {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, issuer+"/me", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	return res.StatusCode
}
