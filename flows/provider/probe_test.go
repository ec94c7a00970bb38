package provider_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/flows/provider"
	"github.com/doorward/doorward/internal/secret"
)

const callbackURI = "https://app.test/oauth2/callback"

// probed is a provider that a probe finds nothing wrong with.
func probed(t *testing.T) *rogue {
	r := newRogue(t)
	for name, list := range map[string][]string{
		"response_types_supported": {"code"}, "grant_types_supported": {"authorization_code"}, "code_challenge_methods_supported": {"S256"},
		"token_endpoint_auth_methods_supported": {"client_secret_basic"}, "scopes_supported": {"openid"},
	} {
		r.set(name, list)
	}
	r.on("/token", answerJSON(400, `{"error":"invalid_grant"}`))
	r.on("/authorize", func(w http.ResponseWriter, q *http.Request) {
		http.Redirect(w, q, q.URL.Query().Get("redirect_uri")+"?error=login_required&state=x", http.StatusFound)
	})
	return r
}

func TestAProbeOfAGoodProvider(t *testing.T) {
	r := probed(t)
	var all []string
	for _, f := range r.client().Probe(t.Context(), []string{callbackURI}) {
		if !f.OK || f.Warn {
			t.Errorf("not well: %s", f.Text)
		}
		all = append(all, f.Text)
	}
	text := strings.Join(all, "\n")
	for _, want := range []string{
		"its issuer is exactly", "the clocks agree", "1 of 1 published keys can be used for RS256, ES256", "response types: code is supported",
		"PKCE methods: S256 is supported", "client authentication: client_secret_basic is supported", `the provider accepts client "doorward" (client_secret_basic)`,
		"redirect URI " + callbackURI + " is registered",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("nothing is said of: %s", want)
		}
	}
	q := r.seen("/authorize")[0].URL.Query()
	if q.Get("prompt") != "none" || q.Get("redirect_uri") != callbackURI || q.Get("client_id") != clientID || q.Get("code_challenge_method") != "S256" {
		t.Errorf("%v", q)
	}
	if form := r.seen("/token")[0].PostForm; form.Get("grant_type") != "authorization_code" || !strings.HasPrefix(form.Get("code"), "doorward-check-") {
		t.Errorf("%v", form)
	}
}

// TestProbeFindings: each row spoils one thing, and says what check --online must tell of it.
func TestProbeFindings(t *testing.T) {
	weak := map[string]any{"kty": "RSA", "kid": "old", "n": b64([]byte{0xff, 1, 1, 1}), "e": "AQAB"}
	with := func(change func(*provider.Config)) func(*rogue) []func(*provider.Config, *provider.Deps) {
		return func(*rogue) []func(*provider.Config, *provider.Deps) {
			return []func(*provider.Config, *provider.Deps){conf(change)}
		}
	}
	spoil := func(change func(*rogue)) func(*rogue) []func(*provider.Config, *provider.Deps) {
		return func(r *rogue) []func(*provider.Config, *provider.Deps) {
			change(r)
			return nil
		}
	}
	by := func(d time.Duration) func(*rogue) []func(*provider.Config, *provider.Deps) {
		return func(r *rogue) []func(*provider.Config, *provider.Deps) {
			return []func(*provider.Config, *provider.Deps){func(_ *provider.Config, deps *provider.Deps) {
				deps.Now = func() time.Time { return r.now().Add(d) }
			}}
		}
	}
	const bad, warn, good = "bad", "warn", "good"
	for name, row := range map[string]struct {
		change func(*rogue) []func(*provider.Config, *provider.Deps)
		how    string
		text   string
	}{
		"DIS-4 down":            {spoil(func(r *rogue) { r.on(wellKnown, answerJSON(503, "")) }), bad, "cannot be reached"},
		"DIS-2 another issuer":  {spoil(func(r *rogue) { r.set("issuer", "https://x.example") }), bad, "is not the configured one"},
		"DIS-2 garbage":         {spoil(func(r *rogue) { r.on(wellKnown, answerJSON(200, "<html>")) }), bad, "cannot be used"},
		"R21 we are behind":     {by(-10 * time.Minute), bad, "your clock is 600 s behind the provider's; tokens are refused beyond 1m0s"},
		"R21 we are ahead":      {by(10 * time.Minute), bad, "your clock is 600 s ahead of the provider's"},
		"R21 within the leeway": {by(30 * time.Second), good, "the clocks differ by 30 s, which the leeway of 1m0s covers"},
		"R21 no Date": {spoil(func(r *rogue) {
			r.on(wellKnown, undated(r.document))
			r.on("/keys", undated(map[string]any{"keys": r.keys}))
		}), good, "could not be compared"},
		"JWK-3 no jwks_uri":                 {spoil(func(r *rogue) { r.set("jwks_uri", nil) }), bad, "names no jwks_uri"},
		"JWK-6 no keys":                     {spoil(func(r *rogue) { r.on("/keys", answerJSON(500, "")) }), bad, "no sign-in can succeed without them"},
		"JWK-4 no key fits":                 {spoil(func(r *rogue) { r.publish(jwk(&r.key.PublicKey, "k1", "ES384")) }), bad, "none of the 1 published keys fits"},
		"JWK-3 a key that is not used":      {spoil(func(r *rogue) { r.publish(jwk(&r.key.PublicKey, "k1", ""), weak) }), good, `not used: key 2 (kid "old"): an RSA key of 32 bits`},
		"JWK-3 of two keys one can be used": {spoil(func(r *rogue) { r.publish(jwk(&r.key.PublicKey, "k1", ""), weak) }), good, "1 of 2 published keys can be used"},
		"DIS-6 response types":              {spoil(func(r *rogue) { r.set("response_types_supported", []string{"id_token"}) }), warn, `the provider announces "id_token", but not code`},
		"DIS-6 grant types":                 {spoil(func(r *rogue) { r.set("grant_types_supported", []string{"implicit"}) }), warn, "grant types: "},
		"DIS-6 PKCE":                        {spoil(func(r *rogue) { r.set("code_challenge_methods_supported", []string{"plain"}) }), warn, "Doorward sends S256 all the same"},
		"DIS-6 PKCE unknown":                {spoil(func(r *rogue) { r.set("code_challenge_methods_supported", nil) }), good, "does not say which PKCE methods it supports; S256 is assumed"},
		"DIS-6 client authentication":       {with(func(c *provider.Config) { c.ClientAuth = "client_secret_post" }), warn, "Set client_auth to one of these"},
		"DIS-6 scopes":                      {with(func(c *provider.Config) { c.Scopes = []string{"openid", "groups"} }), warn, `"groups" is not announced`},
		"AUT-1 no openid":                   {with(func(c *provider.Config) { c.Scopes = []string{"email"} }), bad, "without openid the provider sends no ID token"},
		"DIS-8 no authorization_endpoint":   {spoil(func(r *rogue) { r.set("authorization_endpoint", nil) }), bad, "names no authorization_endpoint"},
		"DIS-8 no token_endpoint":           {spoil(func(r *rogue) { r.set("token_endpoint", nil) }), bad, "names no token_endpoint"},
		"LO-4 no end_session_endpoint":      {spoil(func(r *rogue) { r.set("end_session_endpoint", nil) }), good, "signing out ends the session here, not there"},
		"UI-4 no userinfo_endpoint": {func(r *rogue) []func(*provider.Config, *provider.Deps) {
			r.set("userinfo_endpoint", nil)
			return []func(*provider.Config, *provider.Deps){conf(func(c *provider.Config) { c.UserInfo = "always" })}
		}, bad, "has no userinfo_endpoint"},
		"TOK-6 the client is not known":      {spoil(func(r *rogue) { r.on("/token", answerJSON(401, `{"error":"invalid_client"}`)) }), bad, `does not accept client "doorward" (client_secret_basic)`},
		"TOK-6 the flow is off":              {spoil(func(r *rogue) { r.on("/token", answerJSON(400, `{"error":"unauthorized_client"}`)) }), bad, "may not use the authorization code flow"},
		"TOK-6 tokens for nothing":           {spoil(func(r *rogue) { r.on("/token", answerJSON(200, tokens)) }), bad, "do not trust this provider"},
		"TOK-6 the token endpoint is down":   {spoil(func(r *rogue) { r.on("/token", answerJSON(503, "")) }), bad, "the token endpoint cannot be reached"},
		"TOK-6 an answer that says nothing":  {spoil(func(r *rogue) { r.on("/token", answerJSON(400, `{"error":"invalid_request"}`)) }), good, "cannot be told from here (invalid_request)"},
		"AUT-1 redirect URI refused":         {spoil(func(r *rogue) { r.on("/authorize", answerJSON(400, "")) }), bad, "Register exactly this URI"},
		"AUT-1 a page instead of a redirect": {spoil(func(r *rogue) { r.on("/authorize", answerJSON(200, "")) }), good, "cannot be told from here; it must be"},
		"AUT-1 a redirect elsewhere":         {spoil(func(r *rogue) { r.on("/authorize", redirect(302)) }), good, "cannot be told from here; it must be"},
		"AUT-1 the authorization endpoint breaks": {spoil(func(r *rogue) {
			r.on("/authorize", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
		}), bad, "the authorization endpoint cannot be asked"},
		"no client": {with(func(c *provider.Config) { c.ClientID, c.ClientSecret, c.Scopes = "", secret.String{}, nil }), good, "only vouches for bearer tokens"},
		"DIS-7 no discovery": {func(r *rogue) []func(*provider.Config, *provider.Deps) {
			return []func(*provider.Config, *provider.Deps){conf(func(c *provider.Config) {
				c.Discovery = false
				c.Endpoints = provider.Endpoints{Authorization: r.url + "/authorize", Token: r.url + "/token", JWKS: r.url + "/keys"}
			})}
		}, good, "discovery is off"},
		"DIS-7 R21 no discovery, the keys tell the time": {func(r *rogue) []func(*provider.Config, *provider.Deps) {
			return append(by(time.Hour)(r), conf(func(c *provider.Config) {
				c.Discovery = false
				c.Endpoints = provider.Endpoints{Authorization: r.url + "/authorize", Token: r.url + "/token", JWKS: r.url + "/keys"}
			}))
		}, bad, "your clock is 3600 s ahead"},
	} {
		t.Run(name, func(t *testing.T) {
			r := probed(t)
			r.on("/elsewhere", func(http.ResponseWriter, *http.Request) { t.Error("P110: a redirect was followed") })
			found := r.client(row.change(r)...).Probe(t.Context(), []string{callbackURI})
			for _, f := range found {
				if !strings.Contains(f.Text, row.text) {
					continue
				}
				if got := map[bool]string{true: good, false: map[bool]string{true: warn, false: bad}[f.Warn]}[f.OK]; got != row.how {
					t.Errorf("%q is %s, want %s", f.Text, got, row.how)
				}
				return
			}
			t.Errorf("nothing says %q:\n%+v", row.text, found)
		})
	}
}

// The second provider of an issuer finds discovery and keys in the store, and no answer has told it the time.
func TestR21AProbeComparesTheClocksOfASecondProviderOfOneIssuer(t *testing.T) {
	for name, row := range map[string]struct {
		ahead time.Duration
		spoil func(*rogue)
		says  string
	}{
		"they agree":       {0, nil, "good the clocks agree"},
		"they do not":      {10 * time.Minute, nil, "bad your clock is 600 s ahead"},
		"it is in trouble": {0, func(r *rogue) { r.on(wellKnown, answerJSON(503, "")) }, "good the clocks agree"}, // with a Date all the same
		"the network ends": {0, func(r *rogue) { r.on(wellKnown, hangUp) }, "warn the clocks could not be compared: provider: unreachable"},
	} {
		t.Run(name, func(t *testing.T) {
			r := probed(t)
			s := new(shelves)
			sharing := func(_ *provider.Config, d *provider.Deps) { d.Store, d.Ring = s, newRing() }
			if err := r.client(sharing).Ready(t.Context()); err != nil {
				t.Fatal(err)
			}
			_ = found(t, r.client(sharing), nil) // the keys, too
			if row.spoil != nil {
				row.spoil(r)
			}
			late := func(_ *provider.Config, d *provider.Deps) { d.Now = func() time.Time { return r.now().Add(row.ahead) } }
			if says := found(t, r.client(sharing, late), nil); !strings.Contains(says, row.says) || strings.Contains(says, "no Date") {
				t.Errorf("nothing says %q:\n%s", row.says, says)
			}
		})
	}
}

func hangUp(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }

func undated(body any) http.HandlerFunc {
	return func(w http.ResponseWriter, q *http.Request) {
		w.Header()["Date"] = nil
		answerJSON(200, string(must(json.Marshal(body))))(w, q)
	}
}

func TestAProbeHoldsNoSecrets(t *testing.T) {
	r := probed(t)
	r.on("/token", func(w http.ResponseWriter, q *http.Request) {
		_, password, _ := q.BasicAuth()
		answerJSON(401, `{"error":"invalid_client","error_description":"wrong: `+password+` `+q.PostForm.Get("code_verifier")+`"}`)(w, q)
	})
	c := r.client(conf(func(c *provider.Config) { c.ClientSecret = secret.New("s3cret-canary") }))
	for _, f := range c.Probe(t.Context(), []string{callbackURI}) {
		if containsCanary(f.Text) {
			t.Errorf("S10: %s", f.Text)
		}
	}
}
