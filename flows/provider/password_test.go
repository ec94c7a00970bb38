package provider_test

import (
	"encoding/json"
	"html"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/doorward/doorward/flows/provider"
	"github.com/doorward/doorward/internal/secret"
)

func TestCA9ThePasswordGrantAuthenticatesTheClient(t *testing.T) {
	for method, change := range eachMethod() {
		t.Run(method, func(t *testing.T) {
			r := newRogue(t)
			r.on("/token", answerJSON(200, tokens))
			got, err := r.client(conf(change)).Password(t.Context(), provider.PasswordRequest{
				Username: "älice:x@example.com", Password: secret.New("pässword: +%&=\"ü"), Scopes: []string{"openid", "email"}, Extra: url.Values{"totp": {"123456"}},
			})
			if err != nil || got.AccessToken.Reveal() != "access-1" || got.RefreshToken.Reveal() != "refresh-1" {
				t.Fatal(got, err)
			}
			q := r.seen("/token")[0]
			authenticated(t, q, method)
			for _, name := range []string{"client_id", "client_secret", "client_assertion", "client_assertion_type"} {
				q.PostForm.Del(name)
			}
			want := url.Values{"grant_type": {"password"}, "username": {"älice:x@example.com"}, "password": {"pässword: +%&=\"ü"}, "scope": {"openid email"}, "totp": {"123456"}}
			if q.PostForm.Encode() != want.Encode() {
				t.Errorf("ROP-1 ROP-5: %v", q.PostForm)
			}
			if r.count("/token") != 1 {
				t.Error("P111: asked more than once")
			}
		})
	}
	r := newRogue(t)
	r.on("/token", answerJSON(200, tokens))
	must(r.client().Password(t.Context(), provider.PasswordRequest{Username: "a", Password: secret.New("b")}))
	if f := r.seen("/token")[0].PostForm; f.Get("scope") != "openid" {
		t.Errorf("the provider's scopes: %v", f)
	}
}

func TestROP5WhatCannotBeAPasswordIsNotSent(t *testing.T) {
	r := newRogue(t)
	c := r.client()
	for name, q := range map[string]provider.PasswordRequest{
		"an empty password":            {Username: "alice"},
		"an empty name":                {Password: secret.New("canary")},
		"a password of 4 kB and one":   {Username: "alice", Password: secret.New(long(4<<10 + 1))},
		"a name of 4 kB and one":       {Username: long(4<<10 + 1), Password: secret.New("x")},
		"bytes that are no text":       {Username: "alice", Password: secret.New("canary\xff")},
		"a name with a line break":     {Username: "canary\nx", Password: secret.New("x")},
		"a password with a NUL":        {Username: "alice", Password: secret.New("canary\x00")},
		"a name with a C1 control":     {Username: "canary\u0085", Password: secret.New("x")},
		"a name that is no valid text": {Username: "canary\xc3\x28", Password: secret.New("x")},
	} {
		_, err := c.Password(t.Context(), q)
		if e := wants(t, err, provider.Refused, "invalid_grant"); containsCanary(e.Error()) {
			t.Errorf("P175 %s: %v", name, e)
		}
	}
	for _, name := range []string{"username", "password", "grant_type", "scope", "client_id", "client_secret", "refresh_token"} {
		_, err := c.Password(t.Context(), provider.PasswordRequest{Username: "a", Password: secret.New("b"), Extra: url.Values{name: {"x"}}})
		wants(t, err, provider.Misconfigured, "reserved_parameter")
	}
	if provider.ReservedPassword("totp") || !provider.ReservedPassword("password") {
		t.Error("the wrong parameters are reserved")
	}
	if r.count("/token") != 0 {
		t.Error("the provider was asked")
	}
}

// TestPasswordRefusals: a wrong password must be told from everything that is not the person's fault.
func TestPasswordRefusals(t *testing.T) {
	for name, row := range map[string]struct {
		user   string
		status int
		body   string
		kind   provider.Kind
		code   string
	}{
		"ROP-4 wrong":                              {"alice", 400, `{"error":"invalid_grant"}`, provider.Refused, "invalid_grant"},
		"ROP-4 wrong (Keycloak)":                   {"alice", 401, `{"error":"invalid_grant","error_description":"Invalid user credentials"}`, provider.Refused, "invalid_grant"},
		"ROP-4 a person called Grant":              {"grant", 401, `{"error":"invalid_grant"}`, provider.Refused, "invalid_grant"},
		"ROP-4 a person called a":                  {"a", 401, `{"error":"invalid_grant"}`, provider.Refused, "invalid_grant"},
		"ROP-4 a person called invalid_client":     {"invalid_client", 401, `{"error":"invalid_client"}`, provider.Misconfigured, "invalid_client"},
		"ROP-4 a second factor is wanted (Auth0)":  {"alice", 403, `{"error":"mfa_required"}`, provider.Refused, "mfa_required"},
		"ROP-4 interaction is wanted (Entra)":      {"alice", 400, `{"error":"interaction_required"}`, provider.Refused, "interaction_required"},
		"ROP-4 the grant is off":                   {"alice", 400, `{"error":"unauthorized_client"}`, provider.Misconfigured, "unauthorized_client"},
		"ROP-4 the grant is unknown":               {"alice", 400, `{"error":"unsupported_grant_type"}`, provider.Misconfigured, "unsupported_grant_type"},
		"ROP-4 the client is unknown":              {"alice", 401, `{"error":"invalid_client"}`, provider.Misconfigured, "invalid_client"},
		"ROP-4 the provider is down":               {"alice", 503, ``, provider.Unavailable, "server_error"},
		"ROP-4 the provider is down, with a word":  {"alice", 503, `{"error":"invalid_grant"}`, provider.Unavailable, "server_error"},
		"ROP-4 too many":                           {"alice", 429, `{"error":"too_many_attempts"}`, provider.Unavailable, "rate_limited"},
		"ROP-4 a page":                             {"alice", 200, `<html>`, provider.Misbehaved, "bad_response"},
		"ROP-4 a redirect, which would re-post it": {"alice", 307, ``, provider.Misbehaved, "redirect_refused"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRogue(t)
			r.on("/token", answerJSON(row.status, row.body))
			_, err := r.client().Password(t.Context(), provider.PasswordRequest{Username: row.user, Password: secret.New("secret")})
			wants(t, err, row.kind, row.code)
			if r.count("/token") != 1 {
				t.Error("P170: asked more than once")
			}
		})
	}
}

// TestP175NothingThatWasTypedComesBackToLight: the provider repeats it in every way, in errors
// and in answers that are none.
func TestP175NothingThatWasTypedComesBackToLight(t *testing.T) {
	const user, password, otp = "Alice Müller", "pä$$ w0rd&<x>", "123456"
	echoes := map[string]func(q *http.Request) string{
		"as it was":     func(q *http.Request) string { return q.PostForm.Get("username") + " " + q.PostForm.Get("password") },
		"the password":  func(q *http.Request) string { return "bad: " + q.PostForm.Get("password") },
		"the name":      func(q *http.Request) string { return "no such user: " + q.PostForm.Get("username") },
		"in lower case": func(q *http.Request) string { return strings.ToLower(q.PostForm.Get("username")) },
		"as a form":     func(q *http.Request) string { return q.PostForm.Encode() },
		"as a path":     func(q *http.Request) string { return url.PathEscape(q.PostForm.Get("password")) },
		"as a page":     func(q *http.Request) string { return html.EscapeString(q.PostForm.Get("password")) },
		"the factor":    func(q *http.Request) string { return "bad totp " + q.PostForm.Get("totp") },
	}
	for name, echo := range echoes {
		for _, status := range []int{200, 400, 401} {
			r, log := newRogue(t), new(lines)
			r.on("/token", func(w http.ResponseWriter, q *http.Request) {
				answerJSON(status, string(must(json.Marshal(map[string]string{"error": "invalid_grant", "error_description": echo(q), "error_uri": echo(q)}))))(w, q)
			})
			c := r.client(func(_ *provider.Config, deps *provider.Deps) { deps.Log = log.logger() })
			_, err := c.Password(t.Context(), provider.PasswordRequest{Username: user, Password: secret.New(password), Extra: url.Values{"totp": {otp}}})
			e := wants(t, err, provider.Refused, "invalid_grant")
			for _, typed := range []string{user, password, otp, "Müller", "M%C3%BCller", "m\\u00fcller", "w0rd"} {
				if told := strings.ToLower(e.Error() + log.String()); strings.Contains(told, strings.ToLower(typed)) {
					t.Errorf("%s (%d): %q in %q", name, status, typed, told)
				}
			}
			r.on("/token", func(w http.ResponseWriter, q *http.Request) { answerJSON(status, echo(q))(w, q) })
			_, err = c.Password(t.Context(), provider.PasswordRequest{Username: user, Password: secret.New(password), Extra: url.Values{"totp": {otp}}})
			e = wants(t, err, provider.Misbehaved, "bad_response")
			if told := e.Error() + log.String(); strings.Contains(told, "w0rd") || strings.Contains(told, otp) {
				t.Errorf("%s (%d), no JSON: %q", name, status, told)
			}
		}
	}
	r := newRogue(t)
	r.on("/token", answerJSON(400, `{"error":"invalid_grant","error_description":"xyz is wrong"}`))
	_, err := r.client().Password(t.Context(), provider.PasswordRequest{Username: "bob", Password: secret.New("xyz")})
	if e := wants(t, err, provider.Refused, "invalid_grant"); strings.Contains(e.Error(), "xyz") {
		t.Errorf("a short password: %v", e)
	}
	r.on("/token", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	_, err = r.client().Password(t.Context(), provider.PasswordRequest{Username: "name-canary", Password: secret.New("password-canary")})
	if e := wants(t, err, provider.Unavailable, "unreachable"); containsCanary(e.Error()) {
		t.Errorf("a broken connection: %v", e)
	}
}
