package idp_test

import (
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/doorward/doorward/demo/idp"
	"github.com/doorward/doorward/demo/idp/idptest"
)

func TestCodeIsRefused(t *testing.T) {
	other := func(c *idp.Config) {
		c.Clients = append(c.Clients, idp.Client{ID: "other", Secret: "other", RedirectURIs: []string{callback}})
	}
	w := newWorld(t, other)
	for name, edit := range map[string]func(url.Values){
		"P095 another verifier": func(f url.Values) { f.Set("code_verifier", strings.Repeat("x", 43)) },
		"AUT-4 no verifier":     func(f url.Values) { f.Del("code_verifier") },
		"AUT-4 short verifier":  func(f url.Values) { f.Set("code_verifier", "short") },
		"the challenge itself":  func(f url.Values) { f.Set("code_verifier", challenge()) },
		"another redirect_uri":  func(f url.Values) { f.Set("redirect_uri", callback+"?keep=1") },
		"TOK-1 no redirect_uri": func(f url.Values) { f.Del("redirect_uri") },
		"code that never was":   func(f url.Values) { f.Set("code", "x") },
	} {
		t.Run(name, func(t *testing.T) {
			form := codeForm(w.login())
			code := form.Get("code")
			edit(form)
			w.wantError(w.post(idp.Token, form), 400, "invalid_grant")
			if form.Get("code") == code { // the failed attempt has used it up
				w.wantError(w.post(idp.Token, codeForm(code)), 400, "invalid_grant")
			}
		})
	}
	t.Run("of another client", func(t *testing.T) {
		code := w.login()
		r := w.post(idp.Token, codeForm(code), func(r *http.Request) { r.SetBasicAuth("other", "other") })
		w.wantError(r, 400, "invalid_grant")
		if r := w.post(idp.Token, codeForm(code)); r.status != 200 {
			t.Errorf("another client has used the code up: %s", r.body)
		}
	})
	t.Run("expired", func(t *testing.T) {
		now := time.Now()
		w := newWorld(t, func(c *idp.Config) { c.Now = func() time.Time { return now } })
		code := w.login()
		now = now.Add(time.Minute)
		w.wantError(w.post(idp.Token, codeForm(code)), 400, "invalid_grant")
	})
	t.Run("P091 replayed: all it brought is revoked", func(t *testing.T) {
		code := w.login()
		first := w.post(idp.Token, codeForm(code))
		w.wantError(w.post(idp.Token, codeForm(code)), 400, "invalid_grant")
		if r := w.get(w.URL(idp.UserInfo), first.text("access_token")); r.status != 401 {
			t.Errorf("the access token lives: %d", r.status)
		}
		w.wantError(w.post(idp.Token, refreshForm(first.text("refresh_token"))), 400, "invalid_grant")
	})
}

func TestTokenRequestIsRefused(t *testing.T) {
	w := newWorld(t)
	w.wantError(w.post(idp.Token, url.Values{}), 400, "invalid_request")
	w.wantError(w.post(idp.Token, url.Values{"grant_type": {"implicit"}}), 400, "unsupported_grant_type")
	w.wantError(w.post(idp.Token, url.Values{"grant_type": {"authorization_code"}}), 400, "invalid_request")
	w.wantError(w.post(idp.Token, url.Values{"grant_type": {"refresh_token", "refresh_token"}}), 400, "invalid_request")
	w.wantError(w.post(idp.Token, codeForm("x"), func(r *http.Request) { r.URL.RawQuery = "code=x" }), 400, "invalid_request")
	w.wantError(w.post(idp.Token, codeForm("x"), func(r *http.Request) { r.Header.Set("Content-Type", "application/json") }), 400, "invalid_request")
	w.wantError(w.post(idp.Token, url.Values{"pad": {strings.Repeat("x", 2<<20)}}), 413, "invalid_request")
	if r := w.get(w.URL(idp.Token), ""); r.status != 405 || r.header.Get("Allow") != "POST" {
		t.Errorf("GET: %d", r.status)
	}
	limited := newWorld(t, func(c *idp.Config) { c.Clients[0].Grants = []string{"authorization_code"} })
	limited.wantError(limited.post(idp.Token, refreshForm("x")), 400, "unauthorized_client")
}

func TestRefresh(t *testing.T) {
	t.Run("REF-2 the ID token stays the person's", func(t *testing.T) {
		w := newWorld(t)
		first := w.tokens()
		second := w.post(idp.Token, refreshForm(first.text("refresh_token")))
		_, before := w.verify(first.text("id_token"))
		_, after := w.verify(second.text("id_token"))
		for _, same := range []string{"iss", "sub", "aud", "azp", "auth_time", "sid"} {
			if before[same] != after[same] {
				t.Errorf("%s changed from %v to %v", same, before[same], after[same])
			}
		}
		if after["nonce"] != nil {
			t.Error("a refreshed ID token has a nonce")
		}
	})
	t.Run("REF-1 reuse revokes the family", func(t *testing.T) {
		w := newWorld(t)
		first := w.tokens()
		second := w.post(idp.Token, refreshForm(first.text("refresh_token")))
		if second.text("refresh_token") == "" || second.text("refresh_token") == first.text("refresh_token") {
			t.Fatalf("not rotated: %s", second.body)
		}
		w.wantError(w.post(idp.Token, refreshForm(first.text("refresh_token"))), 400, "invalid_grant")
		w.wantError(w.post(idp.Token, refreshForm(second.text("refresh_token"))), 400, "invalid_grant")
		if r := w.get(w.URL(idp.UserInfo), second.text("access_token")); r.status != 401 {
			t.Errorf("an access token of the family lives: %d", r.status)
		}
	})
	t.Run("of two at once one wins", func(t *testing.T) {
		w := newWorld(t)
		form := refreshForm(w.tokens().text("refresh_token"))
		var good atomic.Int32
		var done sync.WaitGroup
		for range 8 {
			done.Go(func() {
				if w.post(idp.Token, form).status == 200 {
					good.Add(1)
				}
			})
		}
		done.Wait()
		if good.Load() != 1 {
			t.Errorf("%d succeeded", good.Load())
		}
	})
	t.Run("without rotation none is returned", func(t *testing.T) {
		w := newWorld(t, func(c *idp.Config) { c.RotateRefresh = false })
		form := refreshForm(w.tokens().text("refresh_token"))
		for range 2 {
			if r := w.post(idp.Token, form); r.status != 200 || r.text("refresh_token") != "" {
				t.Errorf("%d %s", r.status, r.body)
			}
		}
	})
	t.Run("scope may only shrink", func(t *testing.T) {
		w := newWorld(t)
		form := refreshForm(w.tokens().text("refresh_token"))
		form.Set("scope", "openid groups")
		w.wantError(w.post(idp.Token, form), 400, "invalid_scope")
		form.Set("scope", "openid")
		if r := w.post(idp.Token, form); r.text("scope") != "openid" {
			t.Errorf("%d %s", r.status, r.body)
		}
	})
	t.Run("expires", func(t *testing.T) {
		now := time.Now()
		w := newWorld(t, func(c *idp.Config) { c.Now = func() time.Time { return now } })
		form := refreshForm(w.tokens().text("refresh_token"))
		now = now.Add(30 * time.Minute)
		w.wantError(w.post(idp.Token, form), 400, "invalid_grant")
	})
}

func TestIntrospectionAndRevocation(t *testing.T) {
	w := newWorld(t, func(c *idp.Config) {
		c.Clients[0].OpaqueTokens = true
		c.Clients = append(c.Clients, idp.Client{ID: "api", Secret: "api"}, idp.Client{ID: "public"})
	})
	asAPI := func(r *http.Request) { r.SetBasicAuth("api", "api") }
	r := w.tokens()
	access, refresh := r.text("access_token"), r.text("refresh_token")
	if strings.Contains(access, ".") {
		t.Errorf("not opaque: %s", access)
	}
	got := w.post(idp.Introspect, url.Values{"token": {access}}, asAPI)
	if got.json["active"] != true || got.text("sub") != "8f2c-alice" || got.text("client_id") != "doorward" || got.text("scope") != "openid profile email" {
		t.Errorf("access token: %s", got.body)
	}
	if got := w.post(idp.Introspect, url.Values{"token": {refresh}}, asAPI); got.json["active"] != true {
		t.Errorf("refresh token: %s", got.body)
	}
	if got := w.post(idp.Introspect, url.Values{"token": {"nonsense"}}, asAPI); got.body != `{"active":false}` {
		t.Errorf("nonsense: %s", got.body)
	}
	w.wantError(w.post(idp.Introspect, url.Values{}, asAPI), 400, "invalid_request")
	public := func(r *http.Request) { r.Header.Del("Authorization") }
	w.wantError(w.post(idp.Introspect, url.Values{"token": {access}, "client_id": {"public"}}, public), 401, "invalid_client")

	w.wantError(w.post(idp.Revoke, url.Values{"token": {refresh}}, asAPI), 400, "invalid_grant")
	if got := w.post(idp.Revoke, url.Values{"token": {"nonsense"}}); got.status != 200 || got.body != "" {
		t.Errorf("unknown token: %d %s", got.status, got.body)
	}
	if got := w.post(idp.Introspect, url.Values{"token": {access}}, asAPI); got.json["active"] != true {
		t.Errorf("another client could revoke: %s", got.body)
	}
	if got := w.post(idp.Revoke, url.Values{"token": {refresh}, "token_type_hint": {"refresh_token"}}); got.status != 200 {
		t.Errorf("revocation: %d %s", got.status, got.body)
	}
	for _, token := range []string{access, refresh} {
		if got := w.post(idp.Introspect, url.Values{"token": {token}}, asAPI); got.body != `{"active":false}` {
			t.Errorf("after revocation: %s", got.body)
		}
	}
}

func TestUserInfoIsRefused(t *testing.T) {
	w := newWorld(t)
	noOpenID := w.tokens("scope", "profile")
	if noOpenID.text("id_token") != "" {
		t.Error("an ID token without openid")
	}
	if r := w.get(w.URL(idp.UserInfo), noOpenID.text("access_token")); r.status != 403 || !strings.Contains(r.header.Get("WWW-Authenticate"), "insufficient_scope") {
		t.Errorf("without openid: %d %v", r.status, r.header)
	}
	access := w.tokens().text("access_token")
	for name, address := range map[string]string{"no token": w.URL(idp.UserInfo), "UI-1 in the query": w.URL(idp.UserInfo) + "?access_token=" + access} {
		if r := w.get(address, ""); r.status != 401 || r.header.Get("WWW-Authenticate") != `Bearer realm="idp"` {
			t.Errorf("%s: %d %v", name, r.status, r.header)
		}
	}
	if r := w.get(w.URL(idp.UserInfo), "nonsense"); r.status != 401 || !strings.Contains(r.header.Get("WWW-Authenticate"), "invalid_token") {
		t.Errorf("nonsense: %d %v", r.status, r.header)
	}
}

func TestUserInfoCanBeSignedAndIDTokensLean(t *testing.T) {
	w := newWorld(t, func(c *idp.Config) { c.Clients[0].UserInfoAlg, c.Clients[0].LeanIDToken = "ES256", true })
	r := w.tokens()
	if _, claims := w.verify(r.text("id_token")); claims["email"] != nil || claims["sub"] != "8f2c-alice" {
		t.Errorf("ID token %v", claims)
	}
	info := w.get(w.URL(idp.UserInfo), r.text("access_token"))
	if _, claims := w.verify(info.body); info.header.Get("Content-Type") != "application/jwt" || claims["aud"] != "doorward" || claims["email"] != "alice@example.com" {
		t.Errorf("userinfo %v %v", info.header, claims)
	}
}

func TestRequestsAreRecorded(t *testing.T) {
	w := newWorld(t)
	w.tokens()
	last := w.Last(idp.Token)
	if w.Count(idp.Token) != 1 || last.ClientAuth != "client_secret_basic" || last.ClientID != "doorward" || last.Status != 200 || last.Form.Get("code_verifier") != verifier {
		t.Errorf("%+v", last)
	}
	w.post(idp.Token, url.Values{"grant_type": {"x"}, "client_secret": {idptest.Secret}})
	if last = w.Last(idp.Token); last.ClientAuth != "client_secret_basic+client_secret_post" || last.Error != "invalid_request" || last.Status != 400 {
		t.Errorf("P111 both ways at once: %+v", last)
	}
	w.get("https://idp.test/guess", "")
	if w.Last("").URL.Path != "/guess" || w.Last("").Status != 404 {
		t.Errorf("unknown path: %+v", w.Last(""))
	}
	w.ResetRequests()
	if w.Count(idp.Token) != 0 || len(w.Requests()) != 0 {
		t.Error("not reset")
	}
}
