package provider_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/doorward/doorward/flows/provider"
	"github.com/doorward/doorward/internal/secret"
)

var loginRequest = provider.AuthorizationRequest{RedirectURI: "https://app.test/oauth2/callback", State: "S", Nonce: "N", CodeChallenge: "C"}

func TestAUT1TheAuthorizationRequest(t *testing.T) {
	r := newRogue(t)
	r.set("authorization_endpoint", r.url+"/authorize?tenant=7&client_id=evil&state=evil&request_uri=evil")
	c := r.client(conf(func(c *provider.Config) {
		c.Scopes = []string{"openid", "email"}
		c.AuthorizationParams = url.Values{"prompt": {"login"}, "kc_idp_hint": {"x"}}
	}))
	req := loginRequest
	req.Extra = url.Values{"prompt": {"consent"}, "resource": {"https://a", "https://b"}}
	raw, err := c.AuthorizationURL(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(raw, r.url+"/authorize?") {
		t.Errorf("%s", raw)
	}
	want := url.Values{
		"tenant": {"7"}, "client_id": {clientID}, "response_type": {"code"}, "redirect_uri": {"https://app.test/oauth2/callback"}, "scope": {"openid email"},
		"state": {"S"}, "nonce": {"N"}, "code_challenge": {"C"}, "code_challenge_method": {"S256"}, // AUT-3, AUT-4, P094
		"prompt": {"consent"}, "kc_idp_hint": {"x"}, "resource": {"https://a", "https://b"},
	}
	if got := queryOf(t, raw); got.Encode() != want.Encode() {
		t.Errorf("got  %s\nwant %s", got.Encode(), want.Encode())
	}
	req = loginRequest
	req.ResponseType, req.ResponseMode, req.CodeChallenge, req.Scopes = "id_token", "form_post", "", []string{"openid"}
	if raw, err = c.AuthorizationURL(t.Context(), req); err != nil {
		t.Fatal(err)
	}
	if q := queryOf(t, raw); q.Get("response_type") != "id_token" || q.Get("response_mode") != "form_post" || q.Has("code_challenge") || q.Get("scope") != "openid" {
		t.Errorf("%s", raw)
	}
}

func TestAUT9NobodyOverridesTheProtocol(t *testing.T) {
	r := newRogue(t)
	c := r.client()
	for _, name := range []string{"client_id", "redirect_uri", "response_type", "response_mode", "scope", "state", "nonce", "code_challenge", "code_challenge_method", "request", "request_uri"} {
		req := loginRequest
		req.Extra = url.Values{name: {"evil"}}
		_, err := c.AuthorizationURL(t.Context(), req)
		wants(t, err, provider.Misconfigured, "reserved_parameter")
	}
	for name, req := range map[string]provider.AuthorizationRequest{
		"AUT-2 no state":                        {RedirectURI: "x", Nonce: "N", CodeChallenge: "C"},
		"AUT-3 no nonce":                        {RedirectURI: "x", State: "S", CodeChallenge: "C"},
		"AUT-4 no challenge":                    {RedirectURI: "x", State: "S", Nonce: "N"},
		"AUT-1 no redirect":                     {State: "S", Nonce: "N", CodeChallenge: "C"},
		"AUT-4 no challenge with code id_token": {RedirectURI: "x", State: "S", Nonce: "N", ResponseType: "code id_token"},
	} {
		if _, err := c.AuthorizationURL(t.Context(), req); err == nil {
			t.Errorf("%s: it was made all the same", name)
		}
	}
}

func TestP094PKCEEvenIfNotAnnounced(t *testing.T) {
	for _, announced := range []any{nil, []string{"plain"}} {
		r := newRogue(t)
		r.set("code_challenge_methods_supported", announced)
		raw, err := r.client().AuthorizationURL(t.Context(), loginRequest)
		if err != nil || queryOf(t, raw).Get("code_challenge_method") != "S256" {
			t.Errorf("%v: %s %v", announced, raw, err)
		}
	}
	// RFC 7636 appendix B
	if got := provider.Challenge(secret.New("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk")); got != "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM" {
		t.Errorf("challenge %s", got)
	}
	a, b := provider.NewVerifier(), provider.NewVerifier()
	if len(a.Reveal()) < 43 || a.Equal(b) {
		t.Error("a verifier is 43 characters or more, and never the same")
	}
}

func TestCheckIssuer(t *testing.T) {
	r := newRogue(t)
	announcing := newRogue(t)
	announcing.set("authorization_response_iss_parameter_supported", true)
	for name, row := range map[string]struct {
		r   *rogue
		iss []string
		ok  bool
	}{
		"ISS-1 P093 announced and absent": {announcing, nil, false},
		"ISS-1 P093 announced and wrong":  {announcing, []string{"https://evil.example"}, false},
		"ISS-1 announced and right":       {announcing, []string{announcing.url}, true},
		"ISS-1 with a slash":              {announcing, []string{announcing.url + "/"}, false},
		"ISS-1 P093 twice":                {announcing, []string{announcing.url, announcing.url}, false},
		"ISS-2 not announced and absent":  {r, nil, true},
		"ISS-2 not announced and right":   {r, []string{r.url}, true},
		"ISS-2 not announced and wrong":   {r, []string{announcing.url}, false},
		"ISS-3 empty":                     {r, []string{""}, false},
	} {
		t.Run(name, func(t *testing.T) {
			err := row.r.client().CheckIssuer(t.Context(), row.iss)
			if row.ok && err != nil {
				t.Fatal(err)
			}
			if !row.ok {
				wants(t, err, provider.Misbehaved, "bad_issuer")
			}
		})
	}
	r.on(wellKnown, answerJSON(503, ""))
	wants(t, r.client().CheckIssuer(t.Context(), nil), provider.Unavailable, "server_error")
}

func TestABearerOnlyProviderStartsNoLogin(t *testing.T) {
	r := newRogue(t)
	c := r.client(conf(func(c *provider.Config) { c.ClientID, c.ClientSecret, c.Scopes = "", secret.String{}, nil }))
	_, err := c.AuthorizationURL(t.Context(), loginRequest)
	wants(t, err, provider.Misconfigured, "no_client")
	_, err = c.Grant(t.Context(), url.Values{"grant_type": {"client_credentials"}})
	wants(t, err, provider.Misconfigured, "no_client")
	_, err = c.Identify(t.Context(), response(r.idToken(map[string]any{"aud": ""})), ordinary)
	wants(t, err, provider.Misbehaved, "bad_audience")
}
