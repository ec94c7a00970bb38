package provider_test

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/doorward/doorward/flows/provider"
	"github.com/doorward/doorward/internal/secret"
)

const goodAck = `{"auth_req_id":"request-canary","expires_in":120,"interval":3}`

// phones is a rogue that speaks CIBA.
func phones(r *rogue) *rogue {
	r.set("backchannel_authentication_endpoint", r.url+"/bc")
	r.set("backchannel_token_delivery_modes_supported", []string{"poll", "ping"})
	r.set("backchannel_user_code_parameter_supported", true)
	r.on("/bc", answerJSON(200, goodAck))
	return r
}

// forAlice is a request with everything in it, changed.
func forAlice(change func(*provider.CIBARequest)) provider.CIBARequest {
	q := provider.CIBARequest{
		Hint: "login_hint", HintValue: secret.New("alice@hint-canary"), BindingMessage: "W4SCT", UserCode: secret.New("9-canary"), ACRValues: []string{"urn:mfa", "2"},
		RequestedExpiry: 90*time.Second + 1, NotificationToken: secret.New("notify-canary"), Extra: url.Values{"ui_locales": {"de"}, "resource": {"a", "b"}},
	}
	if change != nil {
		change(&q)
	}
	return q
}

func TestCA9CIBAAuthenticatesTheClientAtBothEndpoints(t *testing.T) {
	for method, change := range eachMethod() {
		t.Run(method, func(t *testing.T) {
			r := phones(newRogue(t))
			r.on("/token", answerJSON(200, tokens))
			c := r.client(conf(change))
			k, err := c.BackchannelAuthentication(t.Context(), forAlice(nil))
			if err != nil {
				t.Fatal(err)
			}
			if k.AuthReqID.Reveal() != "request-canary" || k.ExpiresIn != 2*time.Minute || k.Interval != 3*time.Second {
				t.Errorf("CIB-5: %+v", k)
			}
			q := r.seen("/bc")[0]
			authenticated(t, q, method)
			want := url.Values{
				"scope": {"openid"}, "login_hint": {"alice@hint-canary"}, "binding_message": {"W4SCT"}, "user_code": {"9-canary"}, "acr_values": {"urn:mfa 2"},
				"requested_expiry": {"91"}, "client_notification_token": {"notify-canary"}, "ui_locales": {"de"}, "resource": {"a", "b"},
			}
			for _, name := range []string{"client_id", "client_secret", "client_assertion", "client_assertion_type"} {
				q.PostForm.Del(name)
			}
			if q.PostForm.Encode() != want.Encode() {
				t.Errorf("CIB-1 CIB-2 CIB-3: %v, want %v", q.PostForm, want)
			}
			got, err := c.CIBAToken(t.Context(), k.AuthReqID)
			if err != nil || got.AccessToken.Reveal() != "access-1" {
				t.Fatal(got, err)
			}
			q = r.seen("/token")[0]
			authenticated(t, q, method)
			if f := q.PostForm; f.Get("grant_type") != "urn:openid:params:grant-type:ciba" || f.Get("auth_req_id") != "request-canary" {
				t.Errorf("CIB-7: %v", f)
			}
		})
	}
}

func TestCIB1ExactlyOneHintGoesOut(t *testing.T) {
	r := phones(newRogue(t))
	c, hints := r.client(), []string{"login_hint", "login_hint_token", "id_token_hint"}
	for i, hint := range hints {
		must(c.BackchannelAuthentication(t.Context(), provider.CIBARequest{Hint: hint, HintValue: secret.New("who"), Scopes: []string{"openid", "pay"}}))
		f := r.seen("/bc")[i].PostForm
		if len(f) != 2 || f.Get(hint) != "who" || f.Get("scope") != "openid pay" {
			t.Errorf("CIB-1 CIB-3: only what was asked for goes out: %v", f)
		}
	}
}

func TestCIBARequestsThatAreNotMade(t *testing.T) {
	r := phones(newRogue(t))
	for name, row := range map[string]struct {
		change func(*provider.CIBARequest)
		code   string
	}{
		"CIB-1 no hint":                        {func(q *provider.CIBARequest) { q.HintValue = secret.String{} }, "incomplete_request"},
		"CIB-1 a hint of another kind":         {func(q *provider.CIBARequest) { q.Hint = "phone" }, "incomplete_request"},
		"CIB-1 a second hint by the extras":    {func(q *provider.CIBARequest) { q.Extra = url.Values{"id_token_hint": {"x"}} }, "reserved_parameter"},
		"CIB-1 no openid":                      {func(q *provider.CIBARequest) { q.Scopes = []string{"email"} }, "incomplete_request"},
		"CIB-1 no scope":                       {func(q *provider.CIBARequest) { q.Scopes = []string{} }, "incomplete_request"},
		"CIB-3 a notification token of 1025":   {func(q *provider.CIBARequest) { q.NotificationToken = secret.New(long(1025)) }, "incomplete_request"},
		"CIB-3 a notification token in two":    {func(q *provider.CIBARequest) { q.NotificationToken = secret.New("a b") }, "incomplete_request"},
		"CIB-4 signed without a key":           {func(q *provider.CIBARequest) { q.Signed = true }, "incomplete_request"},
		"CIB-4 a request of the configuration": {func(q *provider.CIBARequest) { q.Extra = url.Values{"request": {"x"}} }, "reserved_parameter"},
		"CIB-4 a claim of the request":         {func(q *provider.CIBARequest) { q.Extra = url.Values{"jti": {"x"}} }, "reserved_parameter"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := r.client().BackchannelAuthentication(t.Context(), forAlice(row.change))
			wants(t, err, provider.Misconfigured, row.code)
		})
	}
	if r.count("/bc") != 0 {
		t.Error("a request was made")
	}
	if provider.ReservedCIBA("ui_locales") || !provider.ReservedCIBA("login_hint") || !provider.ReservedCIBA("client_id") {
		t.Error("the wrong parameters are reserved")
	}
	r.set("backchannel_authentication_endpoint", nil)
	_, err := r.client().BackchannelAuthentication(t.Context(), forAlice(nil))
	wants(t, err, provider.Misconfigured, "no_endpoint")
	r.on(wellKnown, answerJSON(503, ""))
	_, err = r.client().BackchannelAuthentication(t.Context(), forAlice(nil))
	wants(t, err, provider.Unavailable, "server_error")
	_, err = r.client().CIBASupport(t.Context())
	wants(t, err, provider.Unavailable, "server_error")
}

// TestCIBAAnswers: each row is an answer of the backchannel authentication endpoint.
func TestCIBAAnswers(t *testing.T) {
	ok := provider.Kind(-1)
	for name, row := range map[string]struct {
		status   int
		body     string
		kind     provider.Kind
		code     string
		interval time.Duration
		expires  time.Duration
	}{
		"CIB-5 no interval":                      {200, `{"auth_req_id":"A","expires_in":60}`, ok, "", 5 * time.Second, time.Minute},
		"P168 no auth_req_id":                    {200, `{"expires_in":60}`, provider.Misbehaved, "bad_response", 0, 0},
		"P168 an empty auth_req_id":              {200, `{"auth_req_id":"","expires_in":60}`, provider.Misbehaved, "bad_response", 0, 0},
		"P168 an auth_req_id that is a number":   {200, `{"auth_req_id":7,"expires_in":60}`, provider.Misbehaved, "bad_response", 0, 0},
		"P168 no expires_in":                     {200, `{"auth_req_id":"A"}`, provider.Misbehaved, "bad_response", 0, 0},
		"P168 expires_in 0":                      {200, `{"auth_req_id":"A","expires_in":0}`, provider.Misbehaved, "bad_response", 0, 0},
		"P168 expires_in negative":               {200, `{"auth_req_id":"A","expires_in":-1}`, provider.Misbehaved, "bad_response", 0, 0},
		"S16 a huge auth_req_id":                 {200, `{"auth_req_id":"` + long(8<<10+1) + `","expires_in":60}`, provider.Misbehaved, "bad_response", 0, 0},
		"S16 a long auth_req_id (Keycloak)":      {200, `{"auth_req_id":"` + long(4000) + `","expires_in":60}`, ok, "", 5 * time.Second, time.Minute},
		"S16 an auth_req_id with a line break":   {200, `{"auth_req_id":"A\r\nB","expires_in":60}`, provider.Misbehaved, "bad_response", 0, 0},
		"S16 a negative interval":                {200, `{"auth_req_id":"A","expires_in":60,"interval":-3}`, ok, "", 5 * time.Second, time.Minute},
		"S16 an interval and a life of for ever": {200, `{"auth_req_id":"A","expires_in":1e12,"interval":1e12}`, ok, "", time.Minute, 30 * time.Minute},
		"S16 an interval in words":               {200, `{"auth_req_id":"A","expires_in":60,"interval":"x"}`, provider.Misbehaved, "bad_response", 0, 0},
		"a page":                                 {200, `<html>`, provider.Misbehaved, "bad_response", 0, 0},
		"202":                                    {202, goodAck, provider.Misbehaved, "bad_response", 0, 0},
		"CIB-6 unknown_user_id":                  {400, `{"error":"unknown_user_id"}`, provider.Refused, "unknown_user_id", 0, 0},
		"CIB-6 Keycloak's unknown user":          {400, `{"error":"invalid_request","error_description":"invalid user"}`, provider.Refused, "unknown_user_id", 0, 0},
		"CIB-6 Keycloak 26.7's unknown user":     {400, `{"error":"invalid_request","error_description":"invalid_user"}`, provider.Refused, "unknown_user_id", 0, 0},
		"CIB-6 Keycloak's unknown user, shouted": {400, `{"error":"invalid_request","error_description":" Invalid User "}`, provider.Refused, "unknown_user_id", 0, 0},
		"CIB-6 another invalid_request":          {400, `{"error":"invalid_request","error_description":"missing parameter : login_hint"}`, provider.Misconfigured, "invalid_request", 0, 0},
		"CIB-6 an invalid user, says a 500":      {500, `{"error":"invalid_request","error_description":"invalid user"}`, provider.Unavailable, "server_error", 0, 0},
		"CIB-6 expired_login_hint_token":         {400, `{"error":"expired_login_hint_token"}`, provider.Refused, "expired_login_hint_token", 0, 0},
		"CIB-6 missing_user_code":                {400, `{"error":"missing_user_code"}`, provider.Refused, "missing_user_code", 0, 0},
		"CIB-6 invalid_user_code":                {400, `{"error":"invalid_user_code"}`, provider.Refused, "invalid_user_code", 0, 0},
		"CIB-6 invalid_user_code with 429":       {429, `{"error":"invalid_user_code"}`, provider.Refused, "invalid_user_code", 0, 0},
		"CIB-6 invalid_binding_message":          {400, `{"error":"invalid_binding_message"}`, provider.Refused, "invalid_binding_message", 0, 0},
		"CIB-6 access_denied":                    {403, `{"error":"access_denied"}`, provider.Refused, "access_denied", 0, 0},
		"CIB-6 unauthorized_client":              {400, `{"error":"unauthorized_client"}`, provider.Misconfigured, "unauthorized_client", 0, 0},
		"CIB-6 invalid_scope":                    {400, `{"error":"invalid_scope"}`, provider.Misconfigured, "invalid_scope", 0, 0},
		"CIB-6 invalid_client":                   {401, `{"error":"invalid_client"}`, provider.Misconfigured, "invalid_client", 0, 0},
		"CIB-6 503 without a channel (Keycloak)": {503, `{"error":"server_error"}`, provider.Unavailable, "server_error", 0, 0},
		"CIB-6 429":                              {429, ``, provider.Unavailable, "rate_limited", 0, 0},
		"P110 a redirect":                        {307, ``, provider.Misbehaved, "redirect_refused", 0, 0},
		"TOK-8 the hint comes back":              {400, `{"error":"unknown_user_id","error_description":"no ALICE%40HINT-CANARY here"}`, provider.Refused, "unknown_user_id", 0, 0},
		"TOK-8 the user code comes back":         {400, `{"error":"invalid_user_code","error_description":"not 9-canary"}`, provider.Refused, "invalid_user_code", 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			r := phones(newRogue(t))
			r.on("/bc", answerJSON(row.status, row.body))
			key := conf(func(c *provider.Config) { c.ClientAuth, c.PrivateKeyPEM = "client_secret_basic", pkcs8(newKey()) })
			for _, signed := range []bool{false, true} {
				k, err := r.client(key).BackchannelAuthentication(t.Context(), forAlice(func(q *provider.CIBARequest) { q.Signed = signed }))
				if row.kind == ok {
					if err != nil || k.Interval != row.interval || k.ExpiresIn != row.expires {
						t.Errorf("%+v %v", k, err)
					}
					continue
				}
				if e := wants(t, err, row.kind, row.code); strings.Contains(strings.ToLower(e.Error()), "canary") {
					t.Errorf("TOK-8: %v", e)
				}
			}
		})
	}
}

// TestCIB4ASignedRequest: everything stands in the JWT, and nothing but client authentication beside it.
func TestCIB4ASignedRequest(t *testing.T) {
	p256 := newKey()
	for name, row := range map[string]struct {
		change    func(*provider.Config)
		announced []string
		alg       string
		verify    any
	}{
		"beside a client secret":    {func(c *provider.Config) { c.ClientAuth, c.PrivateKeyPEM = "client_secret_basic", pkcs8(p256) }, nil, "ES256", &p256.PublicKey},
		"with private_key_jwt":      {func(c *provider.Config) { c.ClientSecret, c.PrivateKeyPEM = secret.String{}, pkcs8(p256) }, nil, "ES256", &p256.PublicKey},
		"as the provider announces": {func(c *provider.Config) { c.ClientAuth, c.PrivateKeyPEM = "client_secret_post", pkcs1() }, []string{"PS256", "ES256"}, "PS256", &rsaKey().PublicKey},
		"as configured": {func(c *provider.Config) {
			c.ClientAuth, c.PrivateKeyPEM, c.PrivateKeyAlg = "client_secret_post", pkcs1(), "PS384"
		}, nil, "PS384", &rsaKey().PublicKey},
		"by a public client, with its kid": {func(c *provider.Config) {
			c.ClientSecret, c.ClientAuth, c.PrivateKeyPEM = secret.String{}, "none", pkcs8(p256)
		}, nil, "ES256", &p256.PublicKey},
	} {
		t.Run(name, func(t *testing.T) {
			r := phones(newRogue(t))
			r.set("backchannel_authentication_request_signing_alg_values_supported", row.announced)
			c := r.client(conf(func(c *provider.Config) { c.PrivateKeyID = "mine"; row.change(c) }))
			ids := map[any]bool{}
			for range 2 {
				must(c.BackchannelAuthentication(t.Context(), forAlice(func(q *provider.CIBARequest) { q.Signed = true })))
				seen := r.seen("/bc")
				f := seen[len(seen)-1].PostForm
				raw := f.Get("request")
				for _, name := range []string{"request", "client_id", "client_secret", "client_assertion", "client_assertion_type"} {
					f.Del(name)
				}
				if len(f) != 0 {
					t.Errorf("beside the JWT: %v", f)
				}
				jws, err := jose.ParseSignedCompact(raw, []jose.SignatureAlgorithm{jose.SignatureAlgorithm(row.alg)})
				if err != nil {
					t.Fatal(err)
				}
				if _, err := jws.Verify(row.verify); err != nil {
					t.Errorf("signature: %v", err)
				}
				header, claims := opened(t, raw)
				if header["kid"] != "mine" || header["alg"] != row.alg {
					t.Errorf("%v", header)
				}
				now := float64(r.now().Unix())
				if iat, nbf, exp := claims["iat"].(float64), claims["nbf"].(float64), claims["exp"].(float64); iat != now || nbf > now || exp <= now || exp-nbf > 3600 {
					t.Errorf("times: %v", claims)
				}
				ids[claims["jti"]] = true
				for _, name := range []string{"iat", "nbf", "exp", "jti"} {
					delete(claims, name)
				}
				want := map[string]any{
					"iss": clientID, "aud": r.url, "scope": "openid", "login_hint": "alice@hint-canary", "binding_message": "W4SCT", "user_code": "9-canary", "acr_values": "urn:mfa 2",
					"requested_expiry": float64(91), "client_notification_token": "notify-canary", "ui_locales": "de", "resource": []any{"a", "b"},
				}
				if fmt.Sprint(claims) != fmt.Sprint(want) {
					t.Errorf("got  %v\nwant %v", claims, want)
				}
			}
			if len(ids) != 2 {
				t.Error("two requests with one jti")
			}
		})
	}
}

func TestAPrivateKeyForRequestsIsCheckedAtTheStart(t *testing.T) {
	r := newRogue(t)
	small := must(rsa.GenerateKey(rand.Reader, 1024))
	for name, key := range map[string]secret.String{"no PEM": secret.New("x"), "a short one": pkcs8(small)} {
		_, err := provider.New(provider.Config{
			Name: "corp", Issuer: r.url, ClientID: clientID, ClientSecret: secret.New("s"), ClientAuth: "client_secret_basic", PrivateKeyPEM: key, Discovery: true,
		}, provider.Deps{})
		if err == nil || !strings.Contains(err.Error(), "private_key: ") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestP169WhatNobodyTypesIsNotSent(t *testing.T) {
	r := phones(newRogue(t))
	c := r.client()
	for code, change := range map[string]func(*provider.CIBARequest, string){
		"unknown_user_id":         func(q *provider.CIBARequest, s string) { q.HintValue = secret.New(s) },
		"invalid_binding_message": func(q *provider.CIBARequest, s string) { q.BindingMessage = s },
		"invalid_user_code":       func(q *provider.CIBARequest, s string) { q.UserCode = secret.New(s) },
	} {
		for _, text := range []string{"canary\nx", "canary\x00", "canary\xff", "canary\u0085", "canary" + long(64<<10)} {
			_, err := c.BackchannelAuthentication(t.Context(), forAlice(func(q *provider.CIBARequest) { change(q, text) }))
			if e := wants(t, err, provider.Refused, code); containsCanary(e.Error()) {
				t.Errorf("TOK-8: %v", e)
			}
		}
	}
	if r.count("/bc") != 0 {
		t.Error("a request was made")
	}
	for i, text := range []string{`<script>alert(1)</script>`, `{"a":"b"}`, "Grüße, 42 €", "a&scope=admin"} { // harmless in a form and in a JWT
		must(c.BackchannelAuthentication(t.Context(), forAlice(func(q *provider.CIBARequest) { q.BindingMessage = text })))
		if f := r.seen("/bc")[i].PostForm; f.Get("binding_message") != text || f.Get("scope") != "openid" {
			t.Errorf("%v", f)
		}
	}
}

func TestCIBASupportIsWhatDiscoverySays(t *testing.T) {
	r := phones(newRogue(t))
	r.set("backchannel_authentication_request_signing_alg_values_supported", []string{"PS256"})
	s := must(r.client().CIBASupport(t.Context()))
	if !s.Endpoint || !s.UserCode || !slices.Equal(s.DeliveryModes, []string{"poll", "ping"}) || !slices.Equal(s.RequestAlgorithms, []string{"PS256"}) {
		t.Errorf("%+v", s)
	}
	if s := must(newRogue(t).client().CIBASupport(t.Context())); s.Endpoint || s.UserCode || s.DeliveryModes != nil {
		t.Errorf("%+v", s)
	}
	for _, name := range []string{"backchannel_user_code_parameter_supported", "backchannel_token_delivery_modes_supported", "backchannel_authentication_request_signing_alg_values_supported"} {
		r := newRogue(t)
		r.set(name, 7)
		_, err := r.client().CIBASupport(t.Context())
		wants(t, err, provider.Misbehaved, "bad_discovery")
	}
	r = newRogue(t)
	r.set("backchannel_authentication_endpoint", "http://169.254.169.254/bc")
	_, err := r.client().CIBASupport(t.Context())
	wants(t, err, provider.Misconfigured, "bad_endpoint")
}

// pushOf is the body of a push (CIBA §10.3.1), changed: a nil value removes.
func pushOf(changes map[string]any) []byte {
	o := map[string]any{"auth_req_id": "R1", "access_token": "access-1", "token_type": "Bearer", "refresh_token": "refresh-1", "expires_in": 120, "id_token": "a.b.c"}
	for name, value := range changes {
		if o[name] = value; value == nil {
			delete(o, name)
		}
	}
	return must(json.Marshal(o))
}

func TestReadingAPush(t *testing.T) {
	r := newRogue(t)
	c := r.client()
	ok := provider.Kind(-1)
	failed := func(code string) []byte { return []byte(`{"auth_req_id":"R1","error":"` + code + `"}`) }
	for name, row := range map[string]struct {
		body []byte
		kind provider.Kind
		code string
		id   string
	}{
		"good":                                   {pushOf(nil), ok, "", "R1"},
		"CIB-10 without a refresh token":         {pushOf(map[string]any{"refresh_token": nil}), ok, "", "R1"},
		"CIB-10 denied":                          {failed("access_denied"), provider.Refused, "access_denied", "R1"},
		"CIB-10 expired":                         {failed("expired_token"), provider.Refused, "expired_token", "R1"},
		"CIB-10 failed":                          {failed("transaction_failed"), provider.Refused, "transaction_failed", "R1"},
		"CIB-10 another error":                   {failed("authorization_pending"), provider.Misbehaved, "bad_response", "R1"},
		"CIB-10 an error that is no text":        {[]byte(`{"auth_req_id":"R1","error":{}}`), provider.Misbehaved, "bad_response", "R1"},
		"CIB-10 an error with tokens":            {pushOf(map[string]any{"error": "access_denied"}), provider.Misbehaved, "bad_response", "R1"},
		"P164 no auth_req_id":                    {pushOf(map[string]any{"auth_req_id": nil}), provider.Misbehaved, "bad_response", ""},
		"P164 an auth_req_id that is a number":   {pushOf(map[string]any{"auth_req_id": 1}), provider.Misbehaved, "bad_response", ""},
		"P164 a huge auth_req_id":                {pushOf(map[string]any{"auth_req_id": long(9000)}), provider.Misbehaved, "bad_response", ""},
		"P164 no access token":                   {pushOf(map[string]any{"access_token": nil}), provider.Misbehaved, "bad_response", ""},
		"P164 another token_type":                {pushOf(map[string]any{"token_type": "mac"}), provider.Misbehaved, "bad_response", ""},
		"P164 auth_req_id twice":                 {[]byte(`{"auth_req_id":"R1","auth_req_id":"R2","access_token":"A","token_type":"Bearer"}`), provider.Misbehaved, "bad_response", ""},
		"P164 something after the object":        {append(pushOf(nil), "{}"...), provider.Misbehaved, "bad_response", ""},
		"P164 no JSON":                           {[]byte("auth_req_id=R1"), provider.Misbehaved, "bad_response", ""},
		"P164 nothing":                           {nil, provider.Misbehaved, "bad_response", ""},
		"P164 a huge push":                       {pushOf(map[string]any{"x": long(400 << 10)}), provider.Misbehaved, "too_large", ""},
		"P164 a huge token":                      {pushOf(map[string]any{"refresh_token": long(64<<10 + 1)}), provider.Misbehaved, "bad_response", ""},
		"TOK-8 an error that repeats a handle":   {[]byte(`{"auth_req_id":"id-canary","error":"access_denied","error_description":"id-canary"}`), provider.Refused, "access_denied", "id-canary"},
		"CIB-10 an error_description to be read": {[]byte(`{"auth_req_id":"R1","error":"access_denied","error_description":"no\u0000pe"}`), provider.Refused, "access_denied", "R1"},
	} {
		t.Run(name, func(t *testing.T) {
			id, got, err := c.ReadPush(row.body)
			if id != row.id {
				t.Errorf("auth_req_id %q, want %q", id, row.id)
			}
			if row.kind == ok {
				if err != nil || got.AccessToken.Reveal() != "access-1" || got.IDToken.Reveal() != "a.b.c" || !got.Expiry.Equal(r.now().Add(2*time.Minute)) {
					t.Errorf("%v %v", got, err)
				}
				return
			}
			if e := wants(t, err, row.kind, row.code); containsCanary(e.Error()) || got != nil {
				t.Errorf("TOK-8: %v, %v", e, got)
			}
		})
	}
}

// TestP164APushedIDToken: each row changes the claims of a good one, or what came beside it.
func TestP164APushedIDToken(t *testing.T) {
	const requestID, refreshHash = "urn:openid:params:jwt:claim:auth_req_id", "urn:openid:params:jwt:claim:rt_hash"
	r := newRogue(t)
	c := r.client()
	for name, row := range map[string]struct {
		claims, push map[string]any
		code         string
	}{
		"good":                              {nil, nil, ""},
		"no refresh token, no rt_hash":      {map[string]any{refreshHash: nil}, map[string]any{"refresh_token": nil}, ""},
		"no auth_req_id":                    {map[string]any{requestID: nil}, nil, "bad_auth_req_id"},
		"an empty auth_req_id":              {map[string]any{requestID: ""}, nil, "bad_auth_req_id"},
		"auth_req_id of another":            {map[string]any{requestID: "R2"}, nil, "bad_auth_req_id"},
		"auth_req_id in a list":             {map[string]any{requestID: []string{"R1"}}, nil, "bad_auth_req_id"},
		"auth_req_id by its short name":     {map[string]any{requestID: nil, "auth_req_id": "R1"}, nil, "bad_auth_req_id"},
		"no at_hash":                        {map[string]any{"at_hash": nil}, nil, "bad_at_hash"},
		"at_hash of another token":          {nil, map[string]any{"access_token": "access-2"}, "bad_at_hash"},
		"no rt_hash":                        {map[string]any{refreshHash: nil}, nil, "bad_rt_hash"},
		"rt_hash of another token":          {nil, map[string]any{"refresh_token": "refresh-2"}, "bad_rt_hash"},
		"rt_hash that is a number":          {map[string]any{refreshHash: 5}, nil, "bad_rt_hash"},
		"aud":                               {map[string]any{"aud": "other"}, nil, "bad_audience"},
		"iss":                               {map[string]any{"iss": "https://evil.example"}, nil, "bad_issuer"},
		"a nonce that nobody sent":          {map[string]any{"nonce": "N"}, nil, "bad_nonce"},
		"expired":                           {map[string]any{"exp": r.now().Unix() - 3600}, nil, "token_expired"},
		"no ID token":                       {nil, map[string]any{"id_token": nil}, "id_token_missing"},
		"an access token as ID token":       {nil, map[string]any{"id_token": r.access(nil, nil)}, "bad_type"},
		"the refresh token of an old offer": {map[string]any{refreshHash: halfSHA256("refresh-2")}, nil, "bad_rt_hash"},
	} {
		t.Run(name, func(t *testing.T) {
			claims := map[string]any{"nonce": nil, requestID: "R1", "at_hash": halfSHA256("access-1"), refreshHash: halfSHA256("refresh-1")}
			for name, value := range row.claims {
				claims[name] = value
			}
			push := map[string]any{"id_token": r.idToken(claims)}
			for name, value := range row.push {
				push[name] = value
			}
			id, got, err := c.ReadPush(pushOf(push))
			if err != nil || id != "R1" {
				t.Fatal(id, err)
			}
			who, err := c.Identify(t.Context(), got, provider.Expect{Login: "phone", NoNonce: true, Pushed: "R1"})
			if row.code != "" {
				wants(t, err, provider.Misbehaved, row.code)
				return
			}
			if err != nil || who.Subject != "alice" {
				t.Errorf("%v %v", who, err)
			}
		})
	}
	t.Run("a forged signature", func(t *testing.T) {
		good := r.idToken(map[string]any{"nonce": nil, requestID: "R1", "at_hash": halfSHA256("access-1")})
		cut := strings.LastIndexByte(good, '.') + 1
		_, err := c.Identify(t.Context(), response(good[:cut]+flip(good[cut:])), provider.Expect{NoNonce: true, Pushed: "R1"})
		wants(t, err, provider.Misbehaved, "bad_signature")
	})
}

func TestAPolledIDTokenNeedsNoClaimsOfAPush(t *testing.T) {
	r := phones(newRogue(t))
	r.on("/token", func(w http.ResponseWriter, q *http.Request) {
		answerJSON(200, `{"access_token":"access-1","token_type":"Bearer","refresh_token":"R","id_token":"`+r.idToken(map[string]any{"nonce": nil})+`"}`)(w, q)
	})
	c := r.client()
	got := must(c.CIBAToken(t.Context(), secret.New("x")))
	if who, err := c.Identify(t.Context(), got, provider.Expect{Login: "phone", NoNonce: true}); err != nil || who.Subject != "alice" {
		t.Errorf("CIB-11: %v %v", who, err)
	}
}
