package idp_test

import (
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"github.com/doorward/doorward/demo/idp"
)

func endSession(w *world, pairs ...string) string {
	return w.URL(idp.EndSession) + "?" + with(nil, pairs...).Encode()
}

func (w *world) signedIn() bool {
	w.t.Helper()
	return answer(w.t, w.browser.Open(w.t, w.authorizeURL("prompt", "none"))).Get("code") != ""
}

func TestEndSession(t *testing.T) {
	const bye = "https://app.test/bye"
	t.Run("LO-1 with a hint it is done at once", func(t *testing.T) {
		w := newWorld(t)
		r := w.tokens()
		p := w.browser.Open(t, endSession(w, "id_token_hint", r.text("id_token"), "post_logout_redirect_uri", bye, "state", "Z"))
		if p.Status != 303 || p.Header.Get("Location") != bye+"?state=Z" {
			t.Errorf("%d %s", p.Status, p.Header.Get("Location"))
		}
		if w.signedIn() {
			t.Error("still signed in")
		}
		w.wantError(w.post(idp.Token, refreshForm(r.text("refresh_token"))), 400, "invalid_grant")
	})
	t.Run("without a hint the person is asked", func(t *testing.T) {
		w := newWorld(t)
		w.tokens()
		p := w.browser.Visit(t, "https://evil.example/", endSession(w, "client_id", "doorward", "post_logout_redirect_uri", bye, "state", "Z"))
		if p.Status != 200 || len(p.Forms()) != 1 || !w.signedIn() {
			t.Fatalf("a link of another site has signed out: %d %s", p.Status, p.Text())
		}
		done := p.SubmitForm(t, "logout", nil)
		if done.Header.Get("Location") != bye+"?state=Z" || w.signedIn() {
			t.Errorf("%d %s", done.Status, done.Header.Get("Location"))
		}
	})
	t.Run("a forged confirmation only asks", func(t *testing.T) {
		w := newWorld(t)
		w.tokens()
		w.browser.Post(t, "https://evil.example", w.URL(idp.EndSession), url.Values{"confirm": {"x"}})
		w.browser.Post(t, "", w.URL(idp.EndSession), url.Values{"confirm": {""}})
		if !w.signedIn() {
			t.Error("signed out")
		}
	})
	t.Run("the hint of another session only asks", func(t *testing.T) {
		w := newWorld(t)
		old := w.tokens().text("id_token")
		w.login("prompt", "login")
		if p := w.browser.Open(t, endSession(w, "id_token_hint", old)); p.Status != 200 || !w.signedIn() {
			t.Errorf("%d", p.Status)
		}
	})
	t.Run("nowhere to go", func(t *testing.T) {
		w := newWorld(t)
		if p := w.browser.Open(t, endSession(w)); p.Status != 200 || !strings.Contains(p.Text(), "You are signed out") {
			t.Errorf("%d %s", p.Status, p.Text())
		}
	})
	t.Run("refused", func(t *testing.T) {
		w := newWorld(t)
		token := w.tokens().text("id_token")
		for name, pairs := range map[string][]string{
			"unregistered target":    {"id_token_hint", token, "post_logout_redirect_uri", "https://evil.example/"},
			"target with a suffix":   {"id_token_hint", token, "post_logout_redirect_uri", bye + "/x"},
			"target without client":  {"post_logout_redirect_uri", bye},
			"unknown client":         {"client_id", "other", "post_logout_redirect_uri", bye},
			"hint of another client": {"id_token_hint", token, "client_id", "other"},
			"nonsense hint":          {"id_token_hint", "a.b.c"},
			"forged hint":            {"id_token_hint", token[:len(token)-8] + "AAAAAAAA"},
		} {
			if p := w.browser.Open(t, endSession(w, pairs...)); p.Status != 400 || p.Header.Get("Location") != "" {
				t.Errorf("%s: %d %s", name, p.Status, p.Header.Get("Location"))
			}
		}
		if !w.signedIn() {
			t.Error("a refused logout has signed out")
		}
	})
	t.Run("an expired hint is good", func(t *testing.T) {
		w := newWorld(t)
		w.Misbehave(idp.Named("expired"))
		p := w.browser.Open(t, endSession(w, "id_token_hint", w.tokens().text("id_token"), "post_logout_redirect_uri", bye))
		if p.Status != 303 || w.signedIn() {
			t.Errorf("%d", p.Status)
		}
	})
}

func TestBackchannelLogout(t *testing.T) {
	const uri = "https://app.test/backchannel-logout"
	w := newWorld(t, func(c *idp.Config) { c.Clients[0].BackchannelLogoutURI = uri })
	var mu sync.Mutex
	var got []url.Values
	status := http.StatusOK
	w.net.ServeTLS(t, "app.test:443", http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm()
		mu.Lock()
		defer mu.Unlock()
		got = append(got, r.PostForm)
		rw.WriteHeader(status)
	}))
	received := func() []url.Values {
		mu.Lock()
		defer mu.Unlock()
		all := got
		got = nil
		return all
	}
	r := w.tokens()
	_, idToken := w.verify(r.text("id_token"))
	deliveries, err := w.BackchannelLogout(t.Context(), "alice")
	if err != nil || len(deliveries) != 1 || deliveries[0].Status != 200 || deliveries[0].URI != uri {
		t.Fatalf("%+v %v", deliveries, err)
	}
	posts := received()
	if len(posts) != 1 || len(posts[0]) != 1 {
		t.Fatalf("posts %v", posts)
	}
	header, claims := w.verify(posts[0].Get("logout_token"))
	events, _ := claims["events"].(map[string]any)
	if header.ExtraHeaders[jose.HeaderType] != "logout+jwt" || claims["sid"] != idToken["sid"] || claims["sub"] != idToken["sub"] ||
		claims["aud"] != "doorward" || claims["nonce"] != nil || claims["exp"] == nil || claims["jti"] == nil || events[idp.BackchannelEvent] == nil {
		t.Errorf("BC-1 %v %v", header, claims)
	}
	if w.signedIn() {
		t.Error("the session lives")
	}
	w.wantError(w.post(idp.Token, refreshForm(r.text("refresh_token"))), 400, "invalid_grant")

	t.Run("end_session sends it too, and sins change it", func(t *testing.T) {
		hint := w.tokens().text("id_token")
		w.Misbehave(idp.Claim("nonce", "N").On(idp.LogoutToken))
		status = http.StatusBadRequest
		w.browser.Open(t, endSession(w, "id_token_hint", hint))
		posts := received()
		if len(posts) != 1 {
			t.Fatalf("posts %v", posts)
		}
		if _, claims := w.verify(posts[0].Get("logout_token")); claims["nonce"] != "N" {
			t.Errorf("%v", claims)
		}
	})
	t.Run("nobody signed in", func(t *testing.T) {
		if d, err := w.BackchannelLogout(t.Context(), "bob"); len(d) != 0 || err != nil {
			t.Errorf("%v %v", d, err)
		}
		if _, err := w.BackchannelLogout(t.Context(), "nobody"); err == nil {
			t.Error("an unknown user was accepted")
		}
	})
	t.Run("a client that is down", func(t *testing.T) {
		w := newWorld(t, func(c *idp.Config) { c.Clients[0].BackchannelLogoutURI = uri })
		w.tokens()
		d, err := w.BackchannelLogout(t.Context(), "alice")
		if err != nil || len(d) != 1 || d[0].Err == nil {
			t.Errorf("%v %v", d, err)
		}
	})
	t.Run("offline grants outlive it", func(t *testing.T) {
		w := newWorld(t)
		w.browser.StopAt = func(u *url.URL) bool { return u.Host == "app.test" }
		p := w.browser.Open(t, w.authorizeURL("scope", "openid offline_access", "prompt", "consent")).SignIn(t, "alice", "alice")
		r := w.post(idp.Token, codeForm(answer(t, p).Get("code")))
		if _, err := w.BackchannelLogout(t.Context(), "alice"); err != nil {
			t.Fatal(err)
		}
		if r := w.post(idp.Token, refreshForm(r.text("refresh_token"))); r.status != 200 {
			t.Errorf("%d %s", r.status, r.body)
		}
	})
}
