package idp_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/doorward/doorward/demo/idp"
	"github.com/doorward/doorward/demo/idp/idptest"
)

// split decodes a JWT without looking at its signature.
func split(t *testing.T, token string) (header, claims map[string]any, payload string, signature []byte) {
	t.Helper()
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		t.Fatalf("not a JWT: %q", token)
	}
	raw := make([][]byte, 3)
	for i, part := range parts {
		var err error
		if raw[i], err = base64.RawURLEncoding.DecodeString(part); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(json.Unmarshal(raw[0], &header), json.Unmarshal(raw[1], &claims)); err != nil {
		t.Fatal(err)
	}
	return header, claims, string(raw[1]), raw[2]
}

func TestSinsInTheIDToken(t *testing.T) {
	w := newWorld(t, func(c *idp.Config) { c.SigningAlgs = []string{"RS256"} })
	for name, check := range map[string]func(header, claims map[string]any, payload string, signature []byte) bool{
		"wrong_iss":   func(_, c map[string]any, _ string, _ []byte) bool { return c["iss"] == "https://evil.example" },
		"missing_sub": func(_, c map[string]any, _ string, _ []byte) bool { _, there := c["sub"]; return !there },
		"empty_aud":   func(_, c map[string]any, _ string, _ []byte) bool { return len(c["aud"].([]any)) == 0 },
		"expired": func(_, c map[string]any, _ string, _ []byte) bool {
			return c["exp"].(float64) < float64(time.Now().Unix())
		},
		"future_iat": func(_, c map[string]any, _ string, _ []byte) bool {
			return c["iat"].(float64) > float64(time.Now().Unix()+86400)
		},
		"duplicate_sub":     func(_, _ map[string]any, p string, _ []byte) bool { return strings.Count(p, `"sub":`) == 2 },
		"typ_access_token":  func(h, _ map[string]any, _ string, _ []byte) bool { return h["typ"] == "at+jwt" },
		"missing_kid":       func(h, _ map[string]any, _ string, _ []byte) bool { _, there := h["kid"]; return !there },
		"alg_none":          func(h, _ map[string]any, _ string, s []byte) bool { return h["alg"] == "none" && len(s) == 0 },
		"alg_hs256_key":     func(h, _ map[string]any, _ string, s []byte) bool { return h["alg"] == "HS256" && len(s) == 32 },
		"empty_signature":   func(h, _ map[string]any, _ string, s []byte) bool { return h["alg"] == "RS256" && len(s) == 0 },
		"wrong_signature":   func(h, _ map[string]any, _ string, s []byte) bool { return h["kid"] == w.Keys()[0].ID && len(s) == 256 },
		"corrupt_signature": func(h, _ map[string]any, _ string, s []byte) bool { return h["kid"] == w.Keys()[0].ID && len(s) == 256 },
		"unknown_kid":       func(h, _ map[string]any, _ string, s []byte) bool { return h["kid"] != w.Keys()[0].ID && len(s) == 256 },
		"embedded_key":      func(h, _ map[string]any, _ string, _ []byte) bool { return h["jwk"].(map[string]any)["d"] == nil },
	} {
		t.Run(name, func(t *testing.T) {
			w.Misbehave(idp.Named(name))
			bad := w.tokens()
			header, claims, payload, signature := split(t, bad.text("id_token"))
			if !check(header, claims, payload, signature) {
				t.Errorf("header %v payload %s", header, payload)
			}
			if got := w.Last(idp.Token).Sins; !slices.Equal(got, []string{name}) {
				t.Errorf("recorded sins %v", got)
			}
			w.verify(bad.text("access_token")) // which the sin does not concern
			_, good := w.verify(w.tokens().text("id_token"))
			if good["sub"] != "8f2c-alice" || good["iss"] != w.Issuer() {
				t.Errorf("the sin stayed: %v", good)
			}
		})
	}
	t.Run("rotated_key is published", func(t *testing.T) {
		before := w.Keys()[0].ID
		w.Misbehave(idp.Named("rotated_key"))
		if header, _ := w.verify(w.tokens().text("id_token")); header.KeyID == before {
			t.Error("not rotated")
		}
	})
	t.Run("in the access token", func(t *testing.T) {
		w.Misbehave(idp.Claim("aud", "other").InAccessToken())
		r := w.tokens()
		if _, claims := w.verify(r.text("access_token")); claims["aud"] != "other" {
			t.Errorf("access token %v", claims)
		}
		if _, claims := w.verify(r.text("id_token")); claims["aud"] != "doorward" {
			t.Errorf("ID token %v", claims)
		}
	})
}

func TestSinsAreTakenInOrderAndCounted(t *testing.T) {
	w := newWorld(t)
	status := func() int { return w.post(idp.Token, refreshForm("x")).status }
	w.Misbehave(idp.Answer(500, "", "").Repeat(2), idp.Answer(503, "", ""), idp.Answer(418, "", "").After(1), idp.Answer(500, "", "").For("grant_type", "password"))
	got := []int{status(), status(), status(), status(), status(), status()}
	if !slices.Equal(got, []int{500, 500, 503, 400, 418, 400}) {
		t.Errorf("got %v", got)
	}
	if w.Pending() != 1 {
		t.Errorf("%d pending, want the one for the password grant", w.Pending())
	}
	w.Heal()
	w.Misbehave(idp.Skewed(time.Hour).Always(), idp.Answer(500, "", "x"))
	for _, want := range []int{500, 400} {
		r := w.post(idp.Token, refreshForm("x"))
		at, err := http.ParseTime(r.header.Get("Date"))
		if r.status != want || err != nil || time.Until(at) < 50*time.Minute {
			t.Errorf("%d %s", r.status, r.header.Get("Date"))
		}
	}
	w.Heal()
	if r := w.post(idp.Token, refreshForm("x")); r.status != 400 || w.Pending() != 0 {
		t.Errorf("not healed: %d", r.status)
	}
}

func TestSinsInsteadOfAnAnswer(t *testing.T) {
	w := newWorld(t)
	post := func() (*http.Response, error) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, w.URL(idp.Token), strings.NewReader(refreshForm("x").Encode()))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		return w.http.Do(req)
	}
	w.Misbehave(idp.Dropped())
	if res, err := post(); err == nil {
		res.Body.Close()
		t.Errorf("dropped, but answered %d", res.StatusCode)
	}
	w.Misbehave(idp.RedirectedTo("https://evil.example/t"))
	if r := w.post(idp.Token, refreshForm("x")); r.status != 307 || r.header.Get("Location") != "https://evil.example/t" {
		t.Errorf("%d %v", r.status, r.header)
	}
	w.Misbehave(idp.Oversized(3 << 20))
	if r := w.post(idp.Token, refreshForm("x")); len(r.body) < 3<<20 || r.json == nil {
		t.Errorf("%d bytes, JSON %t", len(r.body), r.json != nil)
	}
	w.Misbehave(idp.Named("unavailable"))
	if r := w.post(idp.Token, refreshForm("x")); r.status != 503 || r.header.Get("Retry-After") != "7" {
		t.Errorf("%d %v", r.status, r.header)
	}
	w.Misbehave(idp.OAuthError("slow_down"))
	w.wantError(w.post(idp.Token, refreshForm("x")), 400, "slow_down")
	w.Misbehave(idp.Member("token_type", "mac"), idp.Member("id_token", nil))
	if r := w.tokens(); r.text("token_type") != "mac" {
		t.Errorf("%s", r.body)
	}
	if r := w.tokens(); r.text("id_token") != "" || r.text("token_type") != "Bearer" {
		t.Errorf("%s", r.body)
	}
	t.Run("lost rotation", func(t *testing.T) {
		form := refreshForm(w.tokens().text("refresh_token"))
		w.Misbehave(idp.Named("refresh_lost"))
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, w.URL(idp.Token), strings.NewReader(form.Encode()))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.SetBasicAuth("doorward", url.QueryEscape(idptest.Secret))
		req.GetBody = nil // or net/http may repeat it by itself
		if res, err := w.http.Do(req); err == nil {
			res.Body.Close()
			t.Fatal("answered")
		}
		w.wantError(w.post(idp.Token, form), 400, "invalid_grant")
	})
}

func TestHangingEndsWithTheClientOrRelease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.Misbehave(idp.Hanging().On(idp.JWKS).Always(), idp.Slow(time.Hour).On(idp.Discovery))
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, w.URL(idp.JWKS), nil)
		if err != nil {
			t.Fatal(err)
		}
		if res, err := w.http.Do(req); err == nil {
			res.Body.Close()
			t.Error("answered")
		}
		status := make(chan int)
		go func() { status <- w.get(w.URL(idp.JWKS), "").status }()
		synctest.Wait()
		w.Release()
		if got := <-status; got != 200 {
			t.Errorf("released: %d", got)
		}
		start := time.Now()
		if r := w.get(w.URL(idp.Discovery), ""); r.status != 200 || time.Since(start) != time.Hour {
			t.Errorf("%d after %v", r.status, time.Since(start))
		}
	})
}

func TestSinsInTheAuthorizationResponse(t *testing.T) {
	w := newWorld(t)
	w.login()
	for name, check := range map[string]func(url.Values) bool{
		"access_denied": func(q url.Values) bool {
			return q.Get("error") == "access_denied" && !q.Has("code") && q.Get("state") == "S"
		},
		"response_no_iss":    func(q url.Values) bool { return !q.Has("iss") && q.Has("code") },
		"response_wrong_iss": func(q url.Values) bool { return q.Get("iss") == "https://evil.example" },
		"response_two_iss":   func(q url.Values) bool { return len(q["iss"]) == 2 },
		"response_two_codes": func(q url.Values) bool { return len(q["code"]) == 2 },
		"response_state":     func(q url.Values) bool { return q.Get("state") == "of-another-login" },
		"response_xss":       func(q url.Values) bool { return q.Get("error_description") == "<script>alert(1)</script>" },
	} {
		w.Misbehave(idp.Named(name))
		if got := answer(t, w.browser.Open(t, w.authorizeURL())); !check(got) {
			t.Errorf("%s: %v", name, got)
		}
	}
	w.Misbehave(idp.OAuthError("server_error").On(idp.Authorize))
	if got := answer(t, w.browser.Open(t, w.authorizeURL())); got.Get("error") != "server_error" {
		t.Errorf("%v", got)
	}
}

// TestEverySinOfTheCatalogueIsCommitted runs a whole login with each and finds it used up.
func TestEverySinOfTheCatalogueIsCommitted(t *testing.T) {
	for name := range idp.Catalogue() {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, machines, func(c *idp.Config) { c.Issuer = "http://idp.test" })
				first := w.tokens()
				w.Misbehave(idp.Named(name))
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				drive(ctx, t, w, first)
				if w.Pending() != 0 {
					t.Errorf("nobody has seen it")
				}
				if !slices.ContainsFunc(w.Requests(), func(r idp.Request) bool { return slices.Contains(r.Sins, name) }) {
					t.Errorf("it is not in the record")
				}
			})
		})
	}
}

// drive asks every endpoint once and does not mind what comes back.
func drive(ctx context.Context, t *testing.T, w *world, tokens reply) {
	t.Helper()
	send := func(method, address string, form url.Values) {
		req, err := http.NewRequestWithContext(ctx, method, address, strings.NewReader(form.Encode()))
		if err != nil {
			t.Fatal(err)
		}
		if form != nil {
			req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			if !form.Has("client_id") {
				req.SetBasicAuth("doorward", url.QueryEscape(idptest.Secret))
			}
		} else {
			req.Header.Set("Authorization", "Bearer "+tokens.text("access_token"))
		}
		if res, err := w.http.Do(req); err == nil {
			_, _ = io.Copy(io.Discard, res.Body)
			res.Body.Close()
		}
	}
	send(http.MethodGet, w.URL(idp.Discovery), nil)
	send(http.MethodGet, w.URL(idp.JWKS), nil)
	send(http.MethodGet, w.URL(idp.UserInfo), nil)
	w.browser.Open(t, w.authorizeURL())
	w.browser.Open(t, w.authorizeURL("response_type", "code id_token token", "response_mode", "form_post"))
	send(http.MethodPost, w.URL(idp.Token), refreshForm(tokens.text("refresh_token")))
	send(http.MethodPost, w.URL(idp.Token), url.Values{"grant_type": {"authorization_code"}, "code": {"x"}})
	send(http.MethodPost, w.URL(idp.Token), passwordForm("alice", "alice"))
	send(http.MethodPost, w.URL(idp.Device), url.Values{})
	send(http.MethodPost, w.URL(idp.Token), url.Values{"grant_type": {idp.GrantDevice}, "device_code": {"x"}})
	send(http.MethodPost, w.URL(idp.CIBA), url.Values{"scope": {"openid"}, "login_hint": {"alice"}})
	send(http.MethodPost, w.URL(idp.Token), url.Values{"grant_type": {idp.GrantCIBA}, "auth_req_id": {"x"}})
	subject := tokens.text("access_token")
	send(http.MethodPost, w.URL(idp.Token), form("grant_type", "client_credentials"))
	send(http.MethodPost, w.URL(idp.Token), exchangeForm(subject))
	send(http.MethodPost, w.URL(idp.Token), oboForm(subject, "openid"))
	send(http.MethodPost, w.URL(idp.Introspect), form("token", subject))
	for _, client := range []string{"ping", "push"} {
		send(http.MethodPost, w.URL(idp.CIBA), url.Values{"client_id": {client}, "scope": {"openid"}, "login_hint": {"bob"}, "client_notification_token": {notificationToken}})
	}
	for _, waiting := range w.PendingCIBA("bob") {
		_, _ = w.ApproveCIBA(ctx, waiting.ID)
	}
}

func TestControl(t *testing.T) {
	config := idptest.Standard(callback)
	config.Control = true
	s := idptest.Start(t, config)
	call := func(method, path, body string, header ...string) (int, string) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, s.Issuer()+"/_control/"+path, bytes.NewBufferString(body))
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; i < len(header); i += 2 {
			req.Header.Set(header[i], header[i+1])
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		out, _ := io.ReadAll(res.Body)
		return res.StatusCode, string(out)
	}
	jwks := func() int {
		res, err := http.Get(s.URL(idp.JWKS))
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		return res.StatusCode
	}
	if status, body := call("POST", "misbehave", `[{"name":"jwks_down"},{"endpoint":"jwks","status":418,"times":2}]`); status != 204 {
		t.Fatalf("%d %s", status, body)
	}
	if got := []int{jwks(), jwks(), jwks(), jwks()}; !slices.Equal(got, []int{503, 418, 418, 200}) {
		t.Errorf("got %v", got)
	}
	for _, bad := range []string{``, `{`, `{"name":"no such sin"}`, `{"name":"jwks_down","claim":{}}`, `{}`, `[1]`} {
		if status, _ := call("POST", "misbehave", bad); bad != "" && status != 400 {
			t.Errorf("%q: %d", bad, status)
		}
	}
	if status, _ := call("POST", "misbehave", `{"name":"drop"}`, "Origin", "https://evil.example"); status != 403 {
		t.Errorf("a web page may steer it: %d", status)
	}
	if _, body := call("GET", "requests?endpoint=jwks", ""); strings.Count(body, `"Endpoint":"jwks"`) != 4 {
		t.Errorf("requests %s", body)
	}
	before := s.Keys()[0].ID
	for _, path := range []string{"rotate", "heal", "release", "reset"} {
		if status, body := call("POST", path, ""); status != 204 {
			t.Errorf("%s: %d %s", path, status, body)
		}
	}
	if s.Keys()[0].ID == before || s.Count(idp.JWKS) != 0 {
		t.Error("not rotated or not reset")
	}
	if status, body := call("POST", "logout?user=alice", ""); status != 200 || strings.TrimSpace(body) != "[]" {
		t.Errorf("logout: %d %s", status, body)
	}
	status, minted := call("POST", "mint", `{"User":"alice","Audience":["orders"],"Claims":{"azp":null}}`)
	if token := strings.TrimSuffix(strings.TrimPrefix(strings.TrimSpace(minted), `{"token":"`), `"}`); status != 200 || strings.Count(token, ".") != 2 {
		t.Errorf("mint: %d %s", status, minted)
	} else if status, body := call("POST", "end?token="+token, ""); status != 204 {
		t.Errorf("end: %d %s", status, body)
	} else if status, _ := call("POST", "end?token="+token, ""); status != 400 {
		t.Errorf("ended twice: %d", status)
	}
	for _, bad := range []string{`{"User":"nobody"}`, `{"Client":"nobody"}`, `{"user_name":"alice"}`, `[`} {
		if status, _ := call("POST", "mint", bad); status != 400 {
			t.Errorf("mint %s: %d", bad, status)
		}
	}
	if status, _ := call("GET", "heal", ""); status != 404 {
		t.Errorf("GET heal: %d", status)
	}
	t.Run("off by default", func(t *testing.T) {
		rec := httptest.NewRecorder()
		newWorld(t).ServeHTTP(rec, httptest.NewRequest("POST", "/_control/heal", nil))
		if rec.Code != 404 {
			t.Errorf("%d", rec.Code)
		}
	})
}
