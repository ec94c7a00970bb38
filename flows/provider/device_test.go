package provider_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/flows/provider"
	"github.com/doorward/doorward/internal/secret"
)

const goodCodes = `{"device_code":"device-canary","user_code":"WDJB-MJHT","verification_uri":"https://sso.example/device","verification_uri_complete":"https://sso.example/device?user_code=WDJB-MJHT","expires_in":600,"interval":7}`

// devices is a rogue that speaks RFC 8628.
func devices(r *rogue) *rogue {
	r.set("device_authorization_endpoint", r.url+"/device")
	r.set("code_challenge_methods_supported", []string{"plain", "S256"})
	r.on("/device", answerJSON(200, goodCodes))
	return r
}

// each method of client authentication, to be held against what arrives at an endpoint.
func eachMethod() map[string]func(*provider.Config) {
	return map[string]func(*provider.Config){
		"client_secret_basic": func(*provider.Config) {},
		"client_secret_post":  func(c *provider.Config) { c.ClientAuth = "client_secret_post" },
		"client_secret_jwt":   func(c *provider.Config) { c.ClientAuth = "client_secret_jwt" },
		"private_key_jwt":     func(c *provider.Config) { c.ClientSecret, c.PrivateKeyPEM = secret.String{}, pkcs8(newKey()) },
		"none":                func(c *provider.Config) { c.ClientSecret = secret.String{} },
	}
}

// authenticated fails the test unless a request proves the client by this method alone (CA-9).
func authenticated(t *testing.T, q *http.Request, method string) {
	t.Helper()
	id, password, basic := q.BasicAuth()
	have := "none"
	switch {
	case basic && q.PostForm.Get("client_secret")+q.PostForm.Get("client_assertion") == "":
		have = "client_secret_basic"
		if id != clientID || password == "" {
			t.Errorf("CA-9 %s: Basic for %q", q.URL.Path, id)
		}
	case !basic && q.PostForm.Get("client_secret") != "" && q.PostForm.Get("client_assertion") == "":
		have = "client_secret_post"
	case !basic && q.PostForm.Get("client_assertion") != "" && q.PostForm.Get("client_secret") == "":
		header, claims := opened(t, q.PostForm.Get("client_assertion"))
		if have = "private_key_jwt"; header["alg"] == "HS256" {
			have = "client_secret_jwt"
		}
		if claims["sub"] != clientID {
			t.Errorf("CA-9 %s: an assertion of %v", q.URL.Path, claims["sub"])
		}
	case basic, q.PostForm.Get("client_id") != clientID:
		have = "a mixture"
	}
	if have != method || q.URL.RawQuery != "" || q.Method != http.MethodPost {
		t.Errorf("CA-9 %s %s?%s: authenticated by %s, want %s", q.Method, q.URL.Path, q.URL.RawQuery, have, method)
	}
}

func TestCA9TheDeviceGrantAuthenticatesTheClientAtBothEndpoints(t *testing.T) {
	for method, change := range eachMethod() {
		t.Run(method, func(t *testing.T) {
			r := devices(newRogue(t))
			r.on("/token", answerJSON(200, tokens))
			c, verifier := r.client(conf(change)), provider.NewVerifier()
			d, err := c.DeviceAuthorization(t.Context(), provider.DeviceRequest{Scopes: []string{"openid", "email"}, Verifier: verifier, Extra: url.Values{"audience": {"api"}}})
			if err != nil {
				t.Fatal(err)
			}
			if d.DeviceCode.Reveal() != "device-canary" || d.UserCode != "WDJB-MJHT" || d.ExpiresIn != 10*time.Minute || d.Interval != 7*time.Second ||
				d.VerificationURI != "https://sso.example/device" || d.VerificationURIComplete != "https://sso.example/device?user_code=WDJB-MJHT" {
				t.Errorf("DEV-2: %+v", d)
			}
			q := r.seen("/device")[0]
			authenticated(t, q, method)
			if f := q.PostForm; f.Get("scope") != "openid email" || f.Get("client_id") != clientID || f.Get("audience") != "api" ||
				f.Get("code_challenge") != provider.Challenge(verifier) || f.Get("code_challenge_method") != "S256" || f.Has("grant_type") {
				t.Errorf("DEV-1 DEV-3: %v", f)
			}
			got, err := c.DeviceToken(t.Context(), d.DeviceCode, verifier)
			if err != nil || got.AccessToken.Reveal() != "access-1" {
				t.Fatal(got, err)
			}
			q = r.seen("/token")[0]
			authenticated(t, q, method)
			if f := q.PostForm; f.Get("grant_type") != "urn:ietf:params:oauth:grant-type:device_code" || f.Get("device_code") != "device-canary" || f.Get("code_verifier") != verifier.Reveal() || f.Has("scope") {
				t.Errorf("DEV-3: %v", f)
			}
			if r.count("/device") != 1 || r.count("/token") != 1 {
				t.Error("DEV-6: more than one request each")
			}
		})
	}
}

func TestDEV3NoChallengeGoesToAServerThatAnnouncesNone(t *testing.T) {
	for name, list := range map[string]any{"nothing said": nil, "plain only": []string{"plain"}} {
		t.Run(name, func(t *testing.T) {
			r := devices(newRogue(t))
			r.set("code_challenge_methods_supported", list)
			r.on("/token", answerJSON(200, tokens))
			c, verifier := r.client(), provider.NewVerifier()
			d := must(c.DeviceAuthorization(t.Context(), provider.DeviceRequest{Verifier: verifier}))
			must(c.DeviceToken(t.Context(), d.DeviceCode, verifier))
			if f := r.seen("/device")[0].PostForm; f.Has("code_challenge") || f.Has("code_challenge_method") || f.Get("scope") != "openid" {
				t.Errorf("%v", f)
			}
			if r.seen("/token")[0].PostForm.Has("code_verifier") {
				t.Error("a verifier without a challenge")
			}
		})
	}
	t.Run("no verifier", func(t *testing.T) {
		r := devices(newRogue(t))
		must(r.client().DeviceAuthorization(t.Context(), provider.DeviceRequest{}))
		if r.seen("/device")[0].PostForm.Has("code_challenge") {
			t.Error("a challenge without a verifier")
		}
	})
}

// TestDeviceAnswers: each row changes members of a good answer; nil takes one away. What is
// wanted of those that pass is in want, by name.
func TestDeviceAnswers(t *testing.T) {
	type members = map[string]any
	uri := func(u string) members { return members{"verification_uri": u} }
	for name, row := range map[string]struct {
		change members
		ok     bool
		want   string // substring of the answer in JSON
	}{
		"DEV-2 no interval":                       {members{"interval": nil}, true, `"Interval":5000000000`},
		"DEV-2 interval null":                     {members{"interval": json.RawMessage("null")}, true, `"Interval":5000000000`},
		"DEV-2 no verification_uri_complete":      {members{"verification_uri_complete": nil}, true, `"VerificationURIComplete":""`},
		"DEV-2 Google's names":                    {members{"verification_uri": nil, "verification_url": "https://www.google.com/device"}, true, `"VerificationURI":"https://www.google.com/device"`},
		"DEV-2 no verification_uri at all":        {members{"verification_uri": nil}, false, ""},
		"DEV-2 no device_code":                    {members{"device_code": nil}, false, ""},
		"DEV-2 no user_code":                      {members{"user_code": nil}, false, ""},
		"DEV-2 user_code is a number":             {members{"user_code": 1234}, false, ""},
		"DEV-2 Entra's message is left alone":     {members{"message": "To sign in, use a web browser"}, true, "WDJB-MJHT"},
		"S16 no expires_in":                       {members{"expires_in": nil}, false, ""},
		"S16 expires_in 0":                        {members{"expires_in": 0}, false, ""},
		"S16 expires_in negative":                 {members{"expires_in": -600}, false, ""},
		"S16 expires_in a text":                   {members{"expires_in": "soon"}, false, ""},
		"S16 expires_in NaN":                      {members{"expires_in": "NaN"}, false, ""},
		"S16 expires_in in quotes":                {members{"expires_in": "120"}, true, `"ExpiresIn":120000000000`},
		"S16 expires_in of a year":                {members{"expires_in": 31536000}, true, `"ExpiresIn":1800000000000`},
		"S16 expires_in overflows":                {members{"expires_in": json.RawMessage("1e308")}, true, `"ExpiresIn":1800000000000`},
		"S16 expires_in of a moment":              {members{"expires_in": 0.001}, true, `"ExpiresIn":1000000000`},
		"S16 interval negative":                   {members{"interval": -5}, true, `"Interval":5000000000`},
		"S16 interval 0":                          {members{"interval": 0}, true, `"Interval":5000000000`},
		"S16 interval of a moment":                {members{"interval": 0.01}, true, `"Interval":1000000000`},
		"S16 interval of a day":                   {members{"interval": 86400}, true, `"Interval":60000000000`},
		"S16 interval a text":                     {members{"interval": "often"}, false, ""},
		"S16 a huge device_code":                  {members{"device_code": long(8<<10 + 1)}, false, ""},
		"S16 a long device_code":                  {members{"device_code": long(8 << 10)}, true, "WDJB-MJHT"},
		"S16 a device_code with a line break":     {members{"device_code": "a\nb"}, false, ""},
		"P159 javascript:":                        {uri("javascript:alert(1)"), false, ""},
		"P159 javascript: in capitals":            {uri("JaVaScRiPt://sso.example/%0aalert(1)"), false, ""},
		"P159 data:":                              {uri("data:text/html,<script>alert(1)</script>"), false, ""},
		"P159 http":                               {uri("http://sso.example/device"), false, ""},
		"P159 a user name":                        {uri("https://sso.example@evil.test/device"), false, ""},
		"P159 no scheme":                          {uri("//evil.test/device"), false, ""},
		"P159 a path":                             {uri("/device"), false, ""},
		"P159 a space":                            {uri("https://sso.example/de vice"), false, ""},
		"P159 a backslash":                        {uri(`https://sso.example\@evil.test/`), false, ""},
		"P159 a line break":                       {uri("https://sso.example/\r\nx"), false, ""},
		"P159 letters that look like others":      {uri("https://ѕso.example/device"), false, ""},
		"P159 no host":                            {uri("https:///device"), false, ""},
		"P159 a backslash in the fragment":        {uri(`https://sso.example/#\x`), false, ""},
		"P159 a raw quote":                        {uri(`https://sso.example/d"x`), false, ""},
		"P159 a raw <":                            {uri("https://sso.example/d?a=<x"), false, ""},
		"P159 a raw >":                            {uri("https://sso.example/d>x"), false, ""},
		"P159 a raw quote in a complete one":      {members{"verification_uri_complete": `https://sso.example/d?c="x`}, true, `"VerificationURIComplete":""`},
		"P159 markup":                             {uri(`https://sso.example/"><script>alert(1)</script>`), false, ""},
		"P159 markup in the fragment":             {uri(`https://sso.example/#"><b>`), false, ""},
		"P159 a huge one":                         {uri("https://sso.example/" + long(512)), false, ""},
		"P159 empty":                              {uri(""), false, ""},
		"P159 no text":                            {members{"verification_uri": []string{"https://sso.example"}}, false, ""},
		"DEV-2 a page behind a fragment (AWS)":    {uri("https://d-1.awsapps.example/start/#/device"), true, `/start/#/device"`},
		"P159 a bad complete one is dropped":      {members{"verification_uri_complete": "javascript:alert(1)"}, true, `"VerificationURIComplete":""`},
		"P159 an http complete one is dropped":    {members{"verification_uri_complete": "http://sso.example/d?c=1"}, true, `"VerificationURIComplete":""`},
		"P159 a complete one that is no text":     {members{"verification_uri_complete": 7}, true, `"VerificationURIComplete":""`},
		"P160 markup":                             {members{"user_code": "<b>A</b>"}, false, ""},
		"P160 quotes":                             {members{"user_code": `A"B`}, false, ""},
		"P160 an ampersand":                       {members{"user_code": "A&lt;B"}, false, ""},
		"P160 10 kB":                              {members{"user_code": long(10 << 10)}, false, ""},
		"P160 64 bytes":                           {members{"user_code": long(64)}, true, long(64)},
		"P160 65 bytes":                           {members{"user_code": long(65)}, false, ""},
		"P160 a mark that turns the direction":    {members{"user_code": "AB\u202eDC"}, false, ""},
		"P160 full-width letters":                 {members{"user_code": "ＡＢ-ＣＤ"}, false, ""},
		"P160 a line break":                       {members{"user_code": "AB\nCD"}, false, ""},
		"P160 an escape":                          {members{"user_code": "\x1b[2JABCD"}, false, ""},
		"P160 nothing but spaces":                 {members{"user_code": "   "}, false, ""},
		"DEV-2 digits in groups with spaces":      {members{"user_code": "123 456 789"}, true, `"UserCode":"123 456 789"`},
		"S16 members that stand there twice":      {members{"x": json.RawMessage(`{"a":1,"a":2}`)}, false, ""},
		"DEV-4 an error with 200 (GitHub)":        {members{"error": "device_flow_disabled"}, false, ""},
		"DEV-2 unknown members are left alone":    {members{"x": []int{1}}, true, "WDJB-MJHT"},
		"P159 localhost from elsewhere":           {uri("https://localhost:8443/device"), true, "localhost"}, // the issuer of this test is on loopback
		"P159 http on loopback by a loopback one": {uri("http://127.0.0.1:8080/device"), true, "127.0.0.1"},
	} {
		t.Run(name, func(t *testing.T) {
			r := devices(newRogue(t))
			o := members{}
			if err := json.Unmarshal([]byte(goodCodes), &o); err != nil {
				t.Fatal(err)
			}
			for name, value := range row.change {
				if o[name] = value; value == nil {
					delete(o, name)
				}
			}
			r.on("/device", answerJSON(200, string(must(json.Marshal(o)))))
			d, err := r.client().DeviceAuthorization(t.Context(), provider.DeviceRequest{})
			if !row.ok {
				if name == "DEV-4 an error with 200 (GitHub)" {
					wants(t, err, provider.Misconfigured, "unauthorized_client")
					return
				}
				if e := wants(t, err, provider.Misbehaved, "bad_response"); containsCanary(e.Error()) || len(e.Error()) > 400 {
					t.Errorf("TOK-8: %v", e)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := string(must(json.Marshal(d))); !strings.Contains(got, row.want) || containsCanary(got) {
				t.Errorf("%s holds no %s", got, row.want)
			}
		})
	}
}

func TestP159AProviderElsewhereMayNotSendAnybodyToTheirOwnMachine(t *testing.T) {
	ca := newAuthority(t)
	inner := newRogue(t)
	for _, uri := range []string{"http://127.0.0.1/device", "https://127.0.0.1/device", "https://localhost/device", "http://localhost:3000/"} {
		at := serveTLS(t, ca, false, answerJSON(200, strings.Replace(goodCodes, "https://sso.example/device", uri, 1)))
		c := must(provider.New(provider.Config{
			Name: "corp", Issuer: "https://sso.example", ClientID: clientID, CAPEM: ca.pem, Discovery: false,
			Endpoints: provider.Endpoints{Token: at, JWKS: inner.url + "/keys", DeviceAuthorization: at},
		}, provider.Deps{}))
		_, err := c.DeviceAuthorization(t.Context(), provider.DeviceRequest{})
		c.Close()
		wants(t, err, provider.Misbehaved, "bad_response")
	}
}

// TestPolls: each row is an answer to a poll, and what DeviceToken and CIBAToken say of it. They
// are told by their word, not by their status.
func TestPolls(t *testing.T) {
	for name, row := range map[string]struct {
		status   int
		body     string
		kind     provider.Kind
		code     string
		interval time.Duration
	}{
		"DEV-4 pending":                              {400, `{"error":"authorization_pending"}`, provider.Refused, "authorization_pending", 0},
		"DEV-4 pending with 428 (Google)":            {428, `{"error":"authorization_pending"}`, provider.Refused, "authorization_pending", 0},
		"DEV-4 pending with 200 (GitHub)":            {200, `{"error":"authorization_pending"}`, provider.Refused, "authorization_pending", 0},
		"DEV-4 pending with 500":                     {500, `{"error":"authorization_pending"}`, provider.Refused, "authorization_pending", 0},
		"DEV-4 slow_down":                            {400, `{"error":"slow_down"}`, provider.Refused, "slow_down", 0},
		"DEV-4 slow_down with 403 (Google)":          {403, `{"error":"slow_down"}`, provider.Refused, "slow_down", 0},
		"DEV-4 slow_down with 429 (Auth0)":           {429, `{"error":"slow_down"}`, provider.Refused, "slow_down", 0},
		"DEV-4 slow_down with an interval (GitHub)":  {200, `{"error":"slow_down","interval":10}`, provider.Refused, "slow_down", 10 * time.Second},
		"S16 slow_down with an interval of an hour":  {400, `{"error":"slow_down","interval":3600}`, provider.Refused, "slow_down", time.Minute},
		"S16 slow_down with an interval below zero":  {400, `{"error":"slow_down","interval":-1}`, provider.Refused, "slow_down", 0},
		"S16 slow_down with an interval in words":    {400, `{"error":"slow_down","interval":"x"}`, provider.Refused, "slow_down", 0},
		"DEV-4 denied":                               {400, `{"error":"access_denied"}`, provider.Refused, "access_denied", 0},
		"DEV-4 denied with 403 (Google)":             {403, `{"error":"access_denied"}`, provider.Refused, "access_denied", 0},
		"DEV-4 authorization_declined (Entra)":       {400, `{"error":"authorization_declined"}`, provider.Refused, "access_denied", 0},
		"DEV-4 expired":                              {400, `{"error":"expired_token"}`, provider.Refused, "expired_token", 0},
		"DEV-4 code_expired (Entra)":                 {400, `{"error":"code_expired"}`, provider.Refused, "expired_token", 0},
		"DEV-4 bad_verification_code (Entra)":        {400, `{"error":"bad_verification_code"}`, provider.Refused, "invalid_grant", 0},
		"DEV-4 incorrect_device_code (GitHub)":       {200, `{"error":"incorrect_device_code"}`, provider.Refused, "invalid_grant", 0},
		"DEV-4 incorrect_client_credentials":         {200, `{"error":"incorrect_client_credentials"}`, provider.Misconfigured, "invalid_client", 0},
		"CIB-8 invalid_grant":                        {400, `{"error":"invalid_grant"}`, provider.Refused, "invalid_grant", 0},
		"CIB-8 unauthorized_client":                  {400, `{"error":"unauthorized_client"}`, provider.Misconfigured, "unauthorized_client", 0},
		"CIB-8 transaction_failed":                   {400, `{"error":"transaction_failed"}`, provider.Refused, "transaction_failed", 0},
		"CIB-8 invalid_request, polled too fast":     {400, `{"error":"invalid_request"}`, provider.Misconfigured, "invalid_request", 0},
		"DEV-4 an unknown word":                      {400, `{"error":"something_new"}`, provider.Refused, "something_new", 0},
		"DEV-5 503":                                  {503, `{"error":"unavailable"}`, provider.Unavailable, "server_error", 0},
		"DEV-5 502 of a proxy":                       {502, `<html>`, provider.Unavailable, "server_error", 0},
		"DEV-5 429 without a word":                   {429, ``, provider.Unavailable, "rate_limited", 0},
		"DEV-5 temporarily_unavailable":              {400, `{"error":"temporarily_unavailable"}`, provider.Unavailable, "temporarily_unavailable", 0},
		"DEV-4 an error that is no word":             {400, `{"error":["authorization_pending"]}`, provider.Misbehaved, "bad_response", 0},
		"DEV-4 an error that stands there twice":     {400, `{"error":"access_denied","error":"authorization_pending"}`, provider.Misbehaved, "bad_response", 0},
		"DEV-4 tokens and an error":                  {200, `{"access_token":"A","token_type":"Bearer","error":"access_denied"}`, provider.Refused, "access_denied", 0},
		"TOK-8 the device_code in the error":         {400, `{"error":"access_denied","error_description":"no to handle-canary"}`, provider.Refused, "access_denied", 0},
		"TOK-8 the device_code, encoded and shouted": {400, `{"error":"access_denied","error_description":"no to HANDLE-CANARY"}`, provider.Refused, "access_denied", 0},
		"TOK-8 the device_code as the error":         {400, `{"error":"handle-canary"}`, provider.Misbehaved, "bad_response", 0},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRogue(t)
			r.on("/token", answerJSON(row.status, row.body))
			c := r.client()
			_, err := c.DeviceToken(t.Context(), secret.New("handle-canary"), secret.String{})
			_, cibaErr := c.CIBAToken(t.Context(), secret.New("handle-canary"))
			for _, err := range []error{err, cibaErr} {
				e := wants(t, err, row.kind, row.code)
				if e.Interval != row.interval {
					t.Errorf("Interval %s, want %s", e.Interval, row.interval)
				}
				if strings.Contains(strings.ToLower(e.Error()), "canary") {
					t.Errorf("TOK-8: %v", e)
				}
			}
			if n := r.count("/token"); n != 2 {
				t.Errorf("DEV-6: %d requests for two polls", n)
			}
		})
	}
}

func TestCIB7AServerMayHoldAPollForHalfAMinuteAndADevicePollForTenSeconds(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rogue) {
		devices(r)
		slow := func(d time.Duration, status int, body string) http.HandlerFunc {
			return func(w http.ResponseWriter, q *http.Request) {
				select {
				case <-time.After(d):
					answerJSON(status, body)(w, q)
				case <-q.Context().Done():
				}
			}
		}
		c, handle := r.client(), secret.New("handle")
		for name, ask := range map[string]struct {
			poll        func() error
			held, given time.Duration
		}{
			"device": {func() error { _, err := c.DeviceToken(t.Context(), handle, secret.String{}); return err }, 9 * time.Second, 10 * time.Second},
			"ciba":   {func() error { _, err := c.CIBAToken(t.Context(), handle); return err }, 30 * time.Second, 35 * time.Second},
		} {
			r.on("/token", slow(ask.held, 400, `{"error":"authorization_pending"}`))
			wants(t, ask.poll(), provider.Refused, "authorization_pending")
			r.on("/token", slow(time.Hour, 200, tokens))
			began := time.Now()
			wants(t, ask.poll(), provider.Unavailable, "timeout")
			if d := time.Since(began); d != ask.given {
				t.Errorf("S18 %s: given up after %s", name, d)
			}
		}
		r.on("/device", slow(time.Hour, 200, goodCodes))
		began := time.Now()
		_, err := c.DeviceAuthorization(t.Context(), provider.DeviceRequest{})
		wants(t, err, provider.Unavailable, "timeout")
		_, err = c.Grant(t.Context(), codeForm())
		wants(t, err, provider.Unavailable, "timeout")
		if d := time.Since(began); d != 20*time.Second {
			t.Errorf("S18: two other requests took %s, not 10 s each", d)
		}
	})
}

func TestDeviceRequestsThatAreNotMade(t *testing.T) {
	r := devices(newRogue(t))
	for _, name := range []string{"scope", "client_id", "client_secret", "code_challenge", "grant_type", "client_assertion"} {
		_, err := r.client().DeviceAuthorization(t.Context(), provider.DeviceRequest{Extra: url.Values{name: {"x"}}})
		wants(t, err, provider.Misconfigured, "reserved_parameter")
		if !provider.ReservedDevice(name) {
			t.Errorf("AUT-9: %s is not reserved", name)
		}
	}
	if provider.ReservedDevice("audience") || provider.ReservedDevice("acr_values") {
		t.Error("too much is reserved")
	}
	if r.count("/device") != 0 {
		t.Error("a request was made")
	}
	r.set("device_authorization_endpoint", nil)
	_, err := r.client().DeviceAuthorization(t.Context(), provider.DeviceRequest{})
	wants(t, err, provider.Misconfigured, "no_endpoint")
	r.on(wellKnown, answerJSON(503, ""))
	c := r.client()
	_, err = c.DeviceAuthorization(t.Context(), provider.DeviceRequest{})
	wants(t, err, provider.Unavailable, "server_error")
	_, err = c.DeviceToken(t.Context(), secret.New("x"), secret.String{})
	wants(t, err, provider.Unavailable, "server_error")
}

func TestDeviceEndpointFailures(t *testing.T) {
	for name, row := range map[string]struct {
		answer http.HandlerFunc
		kind   provider.Kind
		code   string
	}{
		"P110 a redirect":            {redirect(307), provider.Misbehaved, "redirect_refused"},
		"P058 an endless answer":     {endless, provider.Misbehaved, "too_large"},
		"a page":                     {answerJSON(200, "<html>"), provider.Misbehaved, "bad_response"},
		"DEV-1 the client unknown":   {answerJSON(401, `{"error":"invalid_client"}`), provider.Misconfigured, "invalid_client"},
		"a scope that is not known":  {answerJSON(400, `{"error":"invalid_scope"}`), provider.Misconfigured, "invalid_scope"},
		"429":                        {answerJSON(429, `{"error":"slow_down"}`), provider.Unavailable, "rate_limited"},
		"500":                        {answerJSON(500, `{"error":"access_denied"}`), provider.Unavailable, "server_error"},
		"created, but with no codes": {answerJSON(201, goodCodes), provider.Misbehaved, "bad_response"},
	} {
		t.Run(name, func(t *testing.T) {
			r := devices(newRogue(t))
			r.on("/device", row.answer)
			r.on("/elsewhere", func(http.ResponseWriter, *http.Request) { t.Error("P110: a redirect was followed") })
			_, err := r.client().DeviceAuthorization(t.Context(), provider.DeviceRequest{})
			wants(t, err, row.kind, row.code)
		})
	}
}

func TestCA8ThePreviousSecretServesTheDeviceEndpointToo(t *testing.T) {
	r := devices(newRogue(t))
	r.on("/device", func(w http.ResponseWriter, q *http.Request) {
		if _, password, _ := q.BasicAuth(); password != "old" {
			answerJSON(401, `{"error":"invalid_client"}`)(w, q)
			return
		}
		answerJSON(200, goodCodes)(w, q)
	})
	c := r.client(conf(func(c *provider.Config) { c.ClientSecret, c.PreviousSecret = secret.New("new"), secret.New("old") }))
	if _, err := c.DeviceAuthorization(t.Context(), provider.DeviceRequest{}); err != nil || r.count("/device") != 2 {
		t.Errorf("%v after %d requests", err, r.count("/device"))
	}
}

// TestP161TheIDTokenOfADeviceIsCheckedLikeAnyOther: everything but the nonce, of which there is none.
func TestP161TheIDTokenOfADeviceIsCheckedLikeAnyOther(t *testing.T) {
	r := devices(newRogue(t))
	c := r.client()
	for name, row := range map[string]struct {
		changes map[string]any
		code    string
	}{
		"good":           {map[string]any{"nonce": nil}, ""},
		"a nonce":        {map[string]any{}, "bad_nonce"},
		"wrong aud":      {map[string]any{"nonce": nil, "aud": "other"}, "bad_audience"},
		"wrong iss":      {map[string]any{"nonce": nil, "iss": "https://x.example"}, "bad_issuer"},
		"old":            {map[string]any{"nonce": nil, "exp": r.now().Unix() - 3600}, "token_expired"},
		"wrong at_hash":  {map[string]any{"nonce": nil, "at_hash": "x"}, "bad_at_hash"},
		"no sub":         {map[string]any{"nonce": nil, "sub": nil}, "bad_subject"},
		"issued in 1970": {map[string]any{"nonce": nil, "iat": 5}, "token_too_old"},
	} {
		t.Run(name, func(t *testing.T) {
			r.on("/token", answerJSON(200, `{"access_token":"access-1","token_type":"Bearer","id_token":"`+r.idToken(row.changes)+`"}`))
			got, err := c.DeviceToken(t.Context(), secret.New("x"), secret.String{})
			if err != nil {
				t.Fatal(err)
			}
			who, err := c.Identify(t.Context(), got, provider.Expect{Login: "tv", NoNonce: true})
			if row.code != "" {
				wants(t, err, provider.Misbehaved, row.code)
				return
			}
			if err != nil || who.Subject != "alice" || who.Login != "tv" {
				t.Errorf("%+v %v", who, err)
			}
		})
	}
	forged := r.idToken(map[string]any{"nonce": nil})
	_, err := c.Identify(t.Context(), response(forged[:strings.LastIndexByte(forged, '.')+1]+flip(forged[strings.LastIndexByte(forged, '.')+1:])), provider.Expect{NoNonce: true})
	wants(t, err, provider.Misbehaved, "bad_signature")
	_, err = c.Identify(t.Context(), response(""), provider.Expect{NoNonce: true})
	wants(t, err, provider.Misbehaved, "id_token_missing")
}

// TestCA6TheOtherEndpointsOverMutualTLS: a client that shows a certificate does so wherever a
// flow begins, at the alias for it.
func TestCA6TheOtherEndpointsOverMutualTLS(t *testing.T) {
	ca := newAuthority(t)
	chain, keyPEM := certificateFor(t, newKey(), ca)
	r := phones(devices(newRogue(t)))
	strict := serveTLS(t, ca, true, http.HandlerFunc(r.serve))
	for _, name := range []string{"device_authorization_endpoint", "backchannel_authentication_endpoint"} {
		r.set(name, r.url+"/never")
	}
	r.set("mtls_endpoint_aliases", map[string]any{"device_authorization_endpoint": strict + "/device", "backchannel_authentication_endpoint": strict + "/bc"})
	c := r.client(conf(func(c *provider.Config) {
		c.ClientSecret, c.ClientAuth, c.CertificatePEM, c.CertificateKeyPEM, c.CAPEM = secret.String{}, "tls_client_auth", chain, keyPEM, ca.pem
	}))
	must(c.DeviceAuthorization(t.Context(), provider.DeviceRequest{}))
	must(c.BackchannelAuthentication(t.Context(), forAlice(nil)))
	for _, path := range []string{"/device", "/bc"} {
		q := r.seen(path)[0]
		if q.TLS == nil || len(q.TLS.PeerCertificates) != 1 || q.PostForm.Get("client_id") != clientID || q.PostForm.Has("client_secret") || q.Header["Authorization"] != nil {
			t.Errorf("%s: %v %v", path, q.PostForm, q.Header)
		}
	}
	if r.count("/never") != 0 {
		t.Error("the ordinary endpoint was asked")
	}
}

func TestCA10TheAssertionOfAFileServesTheOtherEndpoints(t *testing.T) {
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte("e30.e30.c2ln\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	r := phones(devices(newRogue(t)))
	c := r.client(conf(func(c *provider.Config) { c.ClientSecret, c.AssertionFile = secret.String{}, file }))
	must(c.DeviceAuthorization(t.Context(), provider.DeviceRequest{}))
	must(c.BackchannelAuthentication(t.Context(), forAlice(nil)))
	for _, path := range []string{"/device", "/bc"} {
		if f := r.seen(path)[0].PostForm; f.Get("client_assertion") != "e30.e30.c2ln" || f.Get("client_id") != clientID {
			t.Errorf("CA-9 %s: %v", path, f)
		}
	}
}
