package provider_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/flows/provider"
	"github.com/doorward/doorward/internal/identity"
	"github.com/doorward/doorward/internal/secret"
)

// signedIn is alice, an hour after her login.
func signedIn(t *testing.T, r *rogue, c *provider.Client, changes map[string]any) *identity.Identity {
	t.Helper()
	login := response(r.idToken(changes))
	login.RefreshToken, login.Scope, login.RefreshExpiry = secret.New("refresh-1"), "openid email", r.now().Add(30*time.Hour)
	who, err := c.Identify(t.Context(), login, ordinary)
	if err != nil {
		t.Fatal(err)
	}
	r.pass(time.Hour)
	return who
}

// like is the same person with other tokens.
func like(who *identity.Identity, tokens *identity.Tokens) *identity.Identity {
	return &identity.Identity{
		Issuer: who.Issuer, Subject: who.Subject, Provider: who.Provider, Login: who.Login, Scopes: who.Scopes, Claims: who.Claims, Tokens: tokens,
	}
}

// refreshed makes the token endpoint answer with these members; nil leaves one out.
func (r *rogue) refreshed(members map[string]any) {
	body := map[string]any{"access_token": "access-2", "token_type": "Bearer", "expires_in": 300}
	for name, value := range members {
		if body[name] = value; value == nil {
			delete(body, name)
		}
	}
	r.on("/token", answerJSON(200, string(must(json.Marshal(body)))))
}

func TestREF1Refresh(t *testing.T) {
	r := newRogue(t)
	c := r.client()
	who := signedIn(t, r, c, map[string]any{"groups": []string{"staff", "admins"}, "email": "old@example.com"})
	fresh := r.idToken(map[string]any{"nonce": nil, "groups": []string{"staff"}, "email": "new@example.com", "sid": nil, "acr": nil, "amr": nil, "auth_time": nil})
	r.refreshed(map[string]any{"id_token": fresh, "refresh_token": "refresh-2", "scope": "openid", "refresh_expires_in": 1800})
	next, err := c.Refresh(t.Context(), who)
	if err != nil {
		t.Fatal(err)
	}
	if form := r.seen("/token")[0].PostForm; form.Get("grant_type") != "refresh_token" || form.Get("refresh_token") != "refresh-1" || len(form) != 2 {
		t.Errorf("sent %v", form)
	}
	if next.Issuer != who.Issuer || next.Subject != "alice" || next.Provider != "corp" || next.Login != "staff" {
		t.Errorf("%+v", next)
	}
	if fmt.Sprint(next.Groups) != "[staff]" || next.Email != "new@example.com" || fmt.Sprint(next.Scopes) != "[openid]" {
		t.Errorf("R14: rights are judged anew: %+v", next)
	}
	if next.SID != "S1" || next.ACR != "1" || fmt.Sprint(next.AMR) != "[pwd]" || !next.AuthTime.Equal(who.AuthTime) {
		t.Errorf("what the login said of the session is lost: %+v", next)
	}
	tok := next.Tokens
	if tok.AccessToken.Reveal() != "access-2" || tok.RefreshToken.Reveal() != "refresh-2" || tok.IDToken.Reveal() != fresh || !tok.RefreshExpiry.Equal(r.now().Add(30*time.Minute)) {
		t.Error("rotation: not all tokens are the new ones")
	}
	if who.Tokens.RefreshToken.Reveal() != "refresh-1" || fmt.Sprint(who.Groups) != "[staff admins]" {
		t.Error("the identity of before was changed")
	}

	// A provider that says as little as it may: everything of before stays.
	r.refreshed(nil)
	if next, err = c.Refresh(t.Context(), who); err != nil {
		t.Fatal(err)
	}
	tok = next.Tokens
	if tok.AccessToken.Reveal() != "access-2" || tok.RefreshToken.Reveal() != "refresh-1" || !tok.RefreshExpiry.Equal(who.Tokens.RefreshExpiry) ||
		tok.IDToken.Reveal() != who.Tokens.IDToken.Reveal() || tok.Scope != "openid email" {
		t.Errorf("REF-1: %+v", tok)
	}
	if next.Email != "old@example.com" || fmt.Sprint(next.Groups) != "[staff admins]" || fmt.Sprint(next.Scopes) != "[openid email]" || next.SID != "S1" || !next.AuthTime.Equal(who.AuthTime) {
		t.Errorf("REF-1: %+v", next)
	}

	// A session need not keep its ID token; and a scope that was never named stays as it was.
	tokens := *who.Tokens
	tokens.IDToken, tokens.Scope = secret.String{}, ""
	if next, err = c.Refresh(t.Context(), like(who, &tokens)); err != nil || next.Email != "old@example.com" || next.Subject != "alice" || !next.Tokens.IDToken.IsZero() || fmt.Sprint(next.Scopes) != "[openid email]" {
		t.Errorf("REF-1: %+v %v", next, err)
	}
}

// TestREF2TheRefreshedIDToken: each row is one changed claim, and whether the session ends.
func TestREF2TheRefreshedIDToken(t *testing.T) {
	r := newRogue(t)
	c := r.client()
	who := signedIn(t, r, c, nil)
	now := r.now().Unix()
	for name, row := range map[string]struct {
		change map[string]any
		code   string
	}{
		"REF-2 as it should be":              {map[string]any{"nonce": nil}, ""},
		"REF-2 the same nonce again":         {nil, ""},
		"REF-2 another nonce":                {map[string]any{"nonce": "M"}, "bad_nonce"},
		"REF-2 P083 another subject":         {map[string]any{"sub": "bob"}, "bad_subject"},
		"REF-2 no subject":                   {map[string]any{"sub": nil}, "bad_subject"},
		"REF-2 P083 another issuer":          {map[string]any{"iss": "https://evil.example"}, "bad_issuer"},
		"REF-2 another audience":             {map[string]any{"aud": "other"}, "bad_audience"},
		"REF-2 another azp":                  {map[string]any{"azp": "other"}, "bad_azp"},
		"REF-2 P101 iat of the login":        {map[string]any{"iat": now - 3600}, "token_too_old"},
		"REF-2 no iat":                       {map[string]any{"iat": nil}, "bad_claims"},
		"REF-2 expired":                      {map[string]any{"exp": now - 600}, "token_expired"},
		"REF-2 at_hash of another token":     {map[string]any{"at_hash": halfSHA256("access-1")}, "bad_at_hash"},
		"REF-2 at_hash of the new token":     {map[string]any{"at_hash": halfSHA256("access-2")}, ""},
		"REF-2 auth_time of now is not kept": {map[string]any{"auth_time": now}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			r.refreshed(map[string]any{"id_token": r.idToken(row.change)})
			next, err := c.Refresh(t.Context(), who)
			if row.code != "" {
				wants(t, err, provider.Refused, row.code)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if !next.AuthTime.Equal(who.AuthTime) {
				t.Errorf("auth_time moved from %v to %v: a refresh would satisfy max_age", who.AuthTime, next.AuthTime)
			}
		})
	}
	t.Run("REF-2 a login without nonce knows none to compare", func(t *testing.T) {
		login := response(r.idToken(map[string]any{"nonce": nil}))
		login.RefreshToken = secret.New("R")
		who, err := c.Identify(t.Context(), login, provider.Expect{NoNonce: true})
		if err != nil {
			t.Fatal(err)
		}
		r.refreshed(map[string]any{"id_token": r.idToken(nil)})
		if _, err := c.Refresh(t.Context(), who); err != nil {
			t.Error(err)
		}
	})
	t.Run("REF-2 auth_time stays unknown where the login said none", func(t *testing.T) {
		who := signedIn(t, r, c, map[string]any{"auth_time": nil})
		r.refreshed(map[string]any{"id_token": r.idToken(nil)})
		if next, err := c.Refresh(t.Context(), who); err != nil || !next.AuthTime.IsZero() {
			t.Errorf("%v %v", next, err)
		}
	})
	t.Run("S8 P083 the kept ID token of somebody else", func(t *testing.T) {
		tokens := *who.Tokens
		tokens.IDToken = secret.New(r.idToken(map[string]any{"sub": "bob", "groups": []string{"admins"}}))
		r.refreshed(nil)
		if next, err := c.Refresh(t.Context(), like(who, &tokens)); err != nil || next.Subject != "alice" || len(next.Groups) != 0 {
			t.Errorf("%v %v", next, err)
		}
	})
	forger := &rogue{t: t, key: newKey()}
	r.refreshed(map[string]any{"id_token": forger.sign(nil, must(json.Marshal(r.claims(nil))))})
	_, err := c.Refresh(t.Context(), who)
	wants(t, err, provider.Refused, "bad_signature")
}

// TestREF3WhatEndsASession: each row is one answer to a refresh.
func TestREF3WhatEndsASession(t *testing.T) {
	r := newRogue(t)
	c := r.client()
	who := signedIn(t, r, c, nil)
	for name, row := range map[string]struct {
		answer http.HandlerFunc
		kind   provider.Kind
		code   string
	}{
		"REF-3 invalid_grant":                     {answerJSON(400, `{"error":"invalid_grant"}`), provider.Refused, "invalid_grant"},
		"REF-3 invalid_grant with 401":            {answerJSON(401, `{"error":"invalid_grant"}`), provider.Refused, "invalid_grant"},
		"REF-3 the person must come":              {answerJSON(400, `{"error":"interaction_required"}`), provider.Refused, "interaction_required"},
		"REF-3 login_required":                    {answerJSON(400, `{"error":"login_required"}`), provider.Refused, "login_required"},
		"REF-3 access_denied":                     {answerJSON(400, `{"error":"access_denied"}`), provider.Refused, "access_denied"},
		"REF-3 a refusal that says nothing of it": {answerJSON(400, `{"error":"acme_quota"}`), provider.Misbehaved, "acme_quota"},
		"REF-3 invalid_client":                    {answerJSON(401, `{"error":"invalid_client"}`), provider.Misconfigured, "invalid_client"},
		"REF-3 invalid_request":                   {answerJSON(400, `{"error":"invalid_request"}`), provider.Misconfigured, "invalid_request"},
		"REF-3 500":                               {answerJSON(500, `{"error":"invalid_grant"}`), provider.Unavailable, "server_error"},
		"REF-3 503":                               {answerJSON(503, ``), provider.Unavailable, "server_error"},
		"REF-3 429":                               {answerJSON(429, ``), provider.Unavailable, "rate_limited"},
		"REF-3 the connection breaks":             {cut, provider.Unavailable, "unreachable"},
		"REF-3 HTML":                              {answerJSON(200, `<html>`), provider.Misbehaved, "bad_response"},
		"REF-3 P110 redirect":                     {redirect(307), provider.Misbehaved, "redirect_refused"},
		"REF-3 no access token":                   {answerJSON(200, `{"token_type":"Bearer"}`), provider.Misbehaved, "bad_response"},
	} {
		t.Run(name, func(t *testing.T) {
			r.on("/token", row.answer)
			before := r.count("/token")
			next, err := c.Refresh(t.Context(), who)
			wants(t, err, row.kind, row.code)
			if next != nil || r.count("/token") != before+1 {
				t.Errorf("%v after %d requests", next, r.count("/token")-before)
			}
		})
	}
	t.Run("REF-3 it hangs", func(t *testing.T) {
		inBubble(t, func(t *testing.T, r *rogue) {
			c := r.client()
			who := signedIn(t, r, c, nil)
			r.on("/token", hang)
			_, err := c.Refresh(t.Context(), who)
			wants(t, err, provider.Unavailable, "timeout")
		})
	})
	before := r.count("/token")
	stranger := like(who, who.Tokens)
	stranger.Issuer = "https://other.example"
	_, err := c.Refresh(t.Context(), stranger)
	wants(t, err, provider.Refused, "bad_issuer")
	for _, tokens := range []*identity.Tokens{nil, {AccessToken: secret.New("A")}} {
		_, err = c.Refresh(t.Context(), like(who, tokens))
		wants(t, err, provider.Misconfigured, "no_refresh_token")
	}
	if r.count("/token") != before {
		t.Error("a refresh token went to a provider that did not issue it, or nothing was sent as one")
	}
}

// TestREF3KeysThatCannotBeHadLoseNoTokens: the refresh token of before may be dead already.
func TestREF3KeysThatCannotBeHadLoseNoTokens(t *testing.T) {
	r := newRogue(t)
	var log lines
	c := r.client(func(_ *provider.Config, d *provider.Deps) { d.Log = log.logger() })
	who := signedIn(t, r, c, map[string]any{"email": "old@example.com"})
	for name, answer := range map[string]http.HandlerFunc{"503": answerJSON(503, ""), "an error page": answerJSON(200, "<html>")} {
		r.on("/keys", answer)
		r.pass(time.Minute)
		rotated := map[string]any{"kid": "k2"}
		sign := func(change map[string]any) string { return r.sign(rotated, must(json.Marshal(r.claims(change)))) }
		r.refreshed(map[string]any{"refresh_token": "refresh-2", "id_token": sign(map[string]any{"email": "new@example.com"})})
		next, err := c.Refresh(t.Context(), who)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if next.Tokens.RefreshToken.Reveal() != "refresh-2" || next.Tokens.AccessToken.Reveal() != "access-2" {
			t.Errorf("%s: the new tokens are lost", name)
		}
		if next.Email != "old@example.com" || next.Tokens.IDToken.Reveal() != who.Tokens.IDToken.Reveal() {
			t.Errorf("%s: an ID token that was not checked is believed: %+v", name, next)
		}
		if !strings.Contains(log.String(), "cannot be checked just now") {
			t.Errorf("%s: nobody is told", name)
		}
		for claim, value := range map[string]string{"sub": "bob", "iss": "https://evil.example"} {
			r.refreshed(map[string]any{"id_token": sign(map[string]any{claim: value})})
			if _, err := c.Refresh(t.Context(), who); err == nil {
				t.Errorf("%s: P083: another %s is taken", name, claim)
			}
		}
	}
}

func TestUserInfoAtARefresh(t *testing.T) {
	r := newRogue(t)
	var log lines
	c := r.client(func(c *provider.Config, d *provider.Deps) { c.UserInfo, d.Log = "always", log.logger() })
	r.on("/userinfo", answerJSON(200, `{"sub":"alice","email":"one@example.com","email_verified":true,"groups":["a"],"iss":"https://evil.example"}`))
	who := signedIn(t, r, c, nil)
	if who.Email != "one@example.com" || !who.EmailVerified {
		t.Fatalf("%+v", who)
	}
	info := func(body string) { r.on("/userinfo", answerJSON(200, body)) }

	r.refreshed(nil) // no ID token: userinfo is younger than what the login's says
	info(`{"sub":"alice","email":"two@example.com","groups":["b"]}`)
	next, err := c.Refresh(t.Context(), who)
	if err != nil || next.Email != "two@example.com" || next.EmailVerified || fmt.Sprint(next.Groups) != "[b]" {
		t.Errorf("%+v %v", next, err)
	}
	r.refreshed(map[string]any{"id_token": r.idToken(map[string]any{"groups": []string{"c"}})})
	if next, err = c.Refresh(t.Context(), who); err != nil || fmt.Sprint(next.Groups) != "[c]" || next.Email != "two@example.com" || next.Issuer != r.url {
		t.Errorf("what the new ID token says stands: %+v %v", next, err)
	}

	r.refreshed(nil)
	for name, answer := range map[string]http.HandlerFunc{
		"503": answerJSON(503, ""), "404": answerJSON(404, ""), "garbage": answerJSON(200, "{"), "cut off": cut,
	} { // trouble: the new tokens are not lost for it
		r.on("/userinfo", answer)
		next, err := c.Refresh(t.Context(), who)
		if err != nil || next.Tokens.AccessToken.Reveal() != "access-2" || next.Email != "one@example.com" || !next.EmailVerified || fmt.Sprint(next.Groups) != "[a]" {
			t.Errorf("REF-3 %s: %+v %v", name, next, err)
		}
	}
	if !strings.Contains(log.String(), "userinfo could not be asked at a refresh") {
		t.Error("nobody is told")
	}
	info(`{"sub":"bob","email":"bob@example.com"}`)
	_, err = c.Refresh(t.Context(), who)
	wants(t, err, provider.Refused, "userinfo_subject")
	r.on("/userinfo", answerJSON(401, ""))
	_, err = c.Refresh(t.Context(), who)
	wants(t, err, provider.Refused, "userinfo_refused") // UI-6
}

func TestP059ARefreshThatSaysTooMuch(t *testing.T) {
	r := newRogue(t)
	c := r.client(conf(func(c *provider.Config) { c.UserInfo = "always" }))
	r.on("/userinfo", answerJSON(200, `{"sub":"alice"}`))
	who := signedIn(t, r, c, nil)
	r.refreshed(nil)
	r.on("/userinfo", answerJSON(200, `{"sub":"alice","x":"`+long(200<<10)+`"}`))
	_, err := c.Refresh(t.Context(), who)
	if e := wants(t, err, provider.Misbehaved, "claims_too_large"); !strings.Contains(e.Detail, `"x" alone`) || len(e.Error()) > 300 {
		t.Errorf("%v", e)
	}
}
