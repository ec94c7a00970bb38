package idp_test

import (
	"crypto/sha256"
	"encoding/base64"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/doorward/doorward/demo/idp"
)

// half is the left half of SHA-256, as OIDC Core §3.3.2.11 has it for ES256.
func half(value string) string {
	sum := sha256.Sum256([]byte(value))
	return base64.RawURLEncoding.EncodeToString(sum[:16])
}

func TestTheFrontChannelCarriesWhatTheResponseTypePromises(t *testing.T) {
	w := newWorld(t, everyFlow)
	w.login()
	always := []string{"iss", "session_state", "state"}
	token := []string{"access_token", "expires_in", "scope", "token_type"}
	for responseType, promised := range map[string][]string{
		"id_token":            {"id_token"},
		"id_token token":      append([]string{"id_token"}, token...),
		"token id_token":      append([]string{"id_token"}, token...), // the order does not matter
		"token":               token,
		"code id_token":       {"code", "id_token"},
		"code token":          append([]string{"code"}, token...),
		"code id_token token": append([]string{"code", "id_token"}, token...),
	} {
		t.Run(responseType, func(t *testing.T) {
			p := w.browser.Open(t, w.authorizeURL("response_type", responseType))
			if location := p.Header.Get("Location"); p.Status != 303 || !strings.HasPrefix(location, callback+"#") {
				t.Fatalf("%d %s", p.Status, location)
			}
			got := answer(t, p)
			want := slices.Sorted(slices.Values(append(slices.Clone(promised), always...)))
			if names := slices.Sorted(maps.Keys(got)); !slices.Equal(names, want) {
				t.Errorf("got %v, want %v", names, want)
			}
			if got.Has("access_token") && w.get(w.URL(idp.UserInfo), got.Get("access_token")).status != 200 {
				t.Error("the access token is good for nothing")
			}
			if !got.Has("id_token") {
				return
			}
			_, claims := w.verify(got.Get("id_token"))
			if claims["nonce"] != "N" || claims["sub"] != "8f2c-alice" || claims["s_hash"] != half("S") {
				t.Errorf("claims %v", claims)
			}
			for claim, of := range map[string]string{"at_hash": "access_token", "c_hash": "code"} {
				if got.Has(of) && claims[claim] != half(got.Get(of)) || !got.Has(of) && claims[claim] != nil {
					t.Errorf("%s = %v with %s %q", claim, claims[claim], of, got.Get(of))
				}
			}
		})
	}
}

func TestAHybridCodeBringsTokensOfTheSameUserWithTheNonce(t *testing.T) {
	w := newWorld(t, everyFlow)
	got := answer(t, w.browser.Open(t, w.authorizeURL("response_type", "code id_token")).SignIn(t, "alice", "alice"))
	_, front := w.verify(got.Get("id_token"))
	_, back := w.verify(w.ok(idp.Token, codeForm(got.Get("code"))).text("id_token"))
	if front["sub"] != back["sub"] || back["nonce"] != "N" || back["c_hash"] != nil {
		t.Errorf("%v\n%v", front, back)
	}
}

func TestFormPostBringsTokensToTheClient(t *testing.T) {
	w := newWorld(t, everyFlow)
	w.login()
	var got url.Values
	w.net.ServeTLS(t, "app.test:443", http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm()
		got = r.PostForm
		if r.URL.RawQuery != "" {
			t.Errorf("something is in the URL: %s", r.URL.RawQuery)
		}
	}))
	w.browser.StopAt = nil
	w.browser.Open(t, w.authorizeURL("response_type", "code id_token", "response_mode", "form_post"))
	if got.Get("code") == "" || got.Get("id_token") == "" || got.Get("state") != "S" {
		t.Errorf("got %v", got)
	}
}

func TestFrontChannelRequestsAreRefused(t *testing.T) {
	w := newWorld(t, everyFlow)
	for name, tt := range map[string]struct {
		ask  []string
		want string
	}{
		"tokens in the query":          {[]string{"response_type", "id_token", "response_mode", "query"}, "invalid_request"},
		"a hybrid in the query":        {[]string{"response_type", "code token", "response_mode", "query"}, "invalid_request"},
		"no nonce":                     {[]string{"response_type", "id_token", "nonce", ""}, "invalid_request"},
		"a hybrid without nonce":       {[]string{"response_type", "code id_token", "nonce", ""}, "invalid_request"},
		"an ID token without openid":   {[]string{"response_type", "id_token token", "scope", "profile"}, "invalid_scope"},
		"a hybrid without PKCE":        {[]string{"response_type", "code id_token", "code_challenge", ""}, "invalid_request"},
		"a part that nobody knows":     {[]string{"response_type", "code token id_token cookie"}, "unsupported_response_type"},
		"nobody is signed in, no page": {[]string{"response_type", "id_token", "prompt", "none"}, "login_required"},
	} {
		got := answer(t, w.browser.Open(t, w.authorizeURL(tt.ask...)))
		if got.Get("error") != tt.want || got.Get("state") != "S" || got.Has("id_token") || got.Has("code") {
			t.Errorf("%s: got %v, want %s", name, got, tt.want)
		}
	}
	p := w.browser.Open(t, w.authorizeURL("response_type", "id_token", "response_mode", "query"))
	if !strings.HasPrefix(p.Header.Get("Location"), callback+"#") {
		t.Errorf("the refusal of query went into the query: %s", p.Header.Get("Location"))
	}
	standard := newWorld(t)
	if got := answer(t, standard.browser.Open(t, standard.authorizeURL("response_type", "id_token"))); got.Get("error") != "unauthorized_client" {
		t.Errorf("a client that is registered for code alone: %v", got)
	}
	w.login("code_challenge", challenge())
	if got := answer(t, w.browser.Open(t, w.authorizeURL("response_type", "id_token", "code_challenge", "", "code_challenge_method", ""))); !got.Has("id_token") {
		t.Errorf("implicit needs no PKCE: %v", got)
	}
}

func TestSinsInTheFrontChannel(t *testing.T) {
	w := newWorld(t, everyFlow)
	w.login()
	open := func(name string) url.Values {
		w.Misbehave(idp.Named(name))
		return answer(t, w.browser.Open(t, w.authorizeURL("response_type", "code id_token token")))
	}
	for _, hash := range []string{"at_hash", "c_hash", "s_hash"} {
		if _, claims := w.verify(open("front_missing_" + hash).Get("id_token")); claims[hash] != nil {
			t.Errorf("%s is still there", hash)
		}
		got := open("front_wrong_" + hash)
		if _, claims := w.verify(got.Get("id_token")); claims[hash] == nil || claims[hash] == half(got.Get(map[string]string{"at_hash": "access_token", "c_hash": "code", "s_hash": "state"}[hash])) {
			t.Errorf("%s is right: %v", hash, claims[hash])
		}
	}
	if got := open("front_no_id_token"); got.Has("id_token") || !got.Has("code") {
		t.Errorf("%v", got)
	}
	if got := open("front_two_access"); len(got["access_token"]) != 2 {
		t.Errorf("%v", got)
	}
	if got := open("access_denied"); got.Get("error") != "access_denied" || got.Has("access_token") || got.Has("id_token") {
		t.Errorf("an error with tokens: %v", got)
	}
	got := open("hybrid_other_sub")
	if _, claims := w.verify(got.Get("id_token")); claims["sub"] != "8f2c-alice" {
		t.Errorf("the sin of the second ID token is in the first: %v", claims)
	}
	if _, claims := w.verify(w.ok(idp.Token, codeForm(got.Get("code"))).text("id_token")); claims["sub"] != "mallory" {
		t.Errorf("second ID token %v", claims)
	}
}

func TestAnIDTokenAloneBringsTheProfileEvenIfLean(t *testing.T) {
	w := newWorld(t, everyFlow, func(c *idp.Config) { c.Clients[0].LeanIDToken = true })
	w.login()
	for responseType, want := range map[string]any{"id_token": "alice@example.com", "id_token token": nil, "code id_token": nil} {
		got := answer(t, w.browser.Open(t, w.authorizeURL("response_type", responseType)))
		if _, claims := w.verify(got.Get("id_token")); claims["email"] != want {
			t.Errorf("%s: email %v, want %v", responseType, claims["email"], want)
		}
	}
}
