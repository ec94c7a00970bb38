package provider_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/doorward/doorward/flows/provider"
	"github.com/doorward/doorward/internal/secret"
)

// found returns what a probe says, each line with good, warn or bad before it.
func found(t *testing.T, c *provider.Client, uris []string, needs ...provider.Needs) string {
	t.Helper()
	var b strings.Builder
	seen := map[string]bool{}
	for _, f := range c.Probe(t.Context(), uris, needs...) {
		if seen[f.Text] {
			t.Errorf("said twice: %s", f.Text)
		}
		seen[f.Text] = true
		switch {
		case f.OK:
			b.WriteString("good ")
		case f.Warn:
			b.WriteString("warn ")
		default:
			b.WriteString("bad ")
		}
		b.WriteString(f.Text + "\n")
	}
	return b.String()
}

// TestAProbeOfWhatTheLoginsNeed: each row is a login, what spoils it, and what check --online must say.
func TestAProbeOfWhatTheLoginsNeed(t *testing.T) {
	device, ciba := provider.Needs{GrantType: provider.GrantDevice}, provider.Needs{GrantType: provider.GrantCIBA, Delivery: "ping", UserCode: true}
	signed := provider.Needs{GrantType: provider.GrantCIBA, Delivery: "poll", SignedRequest: true}
	push := provider.Needs{GrantType: provider.GrantCIBA, Delivery: "push"}
	refuse := func(code string) func(*rogue) {
		return func(r *rogue) { r.on("/token", answerJSON(400, `{"error":"`+code+`"}`)) }
	}
	withKey := func(c *provider.Config) { c.ClientAuth, c.PrivateKeyPEM = "client_secret_basic", pkcs8(newKey()) }
	for name, row := range map[string]struct {
		needs []provider.Needs
		spoil func(*rogue)
		conf  func(*provider.Config)
		says  string
	}{
		"code":                          {[]provider.Needs{{ResponseType: "code"}}, nil, nil, "good response types: code is supported"},
		"code, PKCE":                    {[]provider.Needs{{ResponseType: "code"}}, nil, nil, "good PKCE methods: S256 is supported"},
		"hybrid in another order":       {[]provider.Needs{{ResponseType: "token code id_token"}}, nil, nil, "good response types: token code id_token is supported"},
		"implicit":                      {[]provider.Needs{{ResponseType: "id_token", ResponseMode: "form_post"}}, nil, nil, "good response modes: form_post is supported"},
		"implicit is off":               {[]provider.Needs{{ResponseType: "id_token token"}}, nil, nil, "warn response types: the provider announces"},
		"implicit grant is off":         {[]provider.Needs{{ResponseType: "id_token"}}, func(r *rogue) { r.set("grant_types_supported", []string{"authorization_code"}) }, nil, "warn grant types: the provider announces \"authorization_code\", but not implicit"},
		"no form_post":                  {[]provider.Needs{{ResponseType: "id_token", ResponseMode: "form_post"}}, func(r *rogue) { r.set("response_modes_supported", []string{"fragment"}) }, nil, "warn response modes: the provider announces \"fragment\", but not form_post"},
		"id_token and userinfo":         {[]provider.Needs{{ResponseType: "id_token"}}, nil, func(c *provider.Config) { c.UserInfo = "always" }, "warn userinfo = \"always\", but with response_type id_token"},
		"no authorization endpoint":     {[]provider.Needs{{ResponseType: "id_token"}}, func(r *rogue) { r.set("authorization_endpoint", nil) }, nil, "bad the provider names no authorization_endpoint"},
		"device":                        {[]provider.Needs{device}, nil, nil, "good the device authorization endpoint is http"},
		"device grant":                  {[]provider.Needs{device}, nil, nil, "good grant types: urn:ietf:params:oauth:grant-type:device_code is supported"},
		"no device endpoint":            {[]provider.Needs{device}, func(r *rogue) { r.set("device_authorization_endpoint", nil) }, nil, "bad the provider names no device_authorization_endpoint"},
		"no device grant":               {[]provider.Needs{device}, func(r *rogue) { r.set("grant_types_supported", []string{"password"}) }, nil, "warn grant types: the provider announces \"password\", but not urn:ietf"},
		"device not for this client":    {[]provider.Needs{device}, func(r *rogue) { r.on("/token", answerJSON(400, `{"error":"unauthorized_client"}`)) }, nil, "bad client \"doorward\" may not use the device authorization grant"},
		"device, the client is known":   {[]provider.Needs{device}, func(r *rogue) { r.on("/token", answerJSON(400, `{"error":"expired_token"}`)) }, nil, "good the provider accepts client"},
		"ciba":                          {[]provider.Needs{ciba}, nil, nil, "good the backchannel authentication endpoint is http"},
		"ciba delivery":                 {[]provider.Needs{ciba}, nil, nil, "good CIBA delivery modes: ping is supported"},
		"no ciba endpoint":              {[]provider.Needs{ciba}, func(r *rogue) { r.set("backchannel_authentication_endpoint", nil) }, nil, "bad the provider names no backchannel_authentication_endpoint"},
		"no push":                       {[]provider.Needs{{GrantType: provider.GrantCIBA, Delivery: "push"}}, nil, nil, "warn CIBA delivery modes: the provider announces \"poll ping\", but not push"},
		"no user code":                  {[]provider.Needs{ciba}, func(r *rogue) { r.set("backchannel_user_code_parameter_supported", false) }, nil, "warn user_code: the provider does not announce"},
		"ciba not for this client":      {[]provider.Needs{ciba}, func(r *rogue) { r.on("/token", answerJSON(400, `{"error":"unauthorized_client"}`)) }, nil, "bad client \"doorward\" may not use the CIBA grant"},
		"ciba by push, as it is right":  {[]provider.Needs{push}, refuse("unauthorized_client"), nil, "good the provider knows client \"doorward\" (client_secret_basic) and lets it fetch no tokens, as is right for push"},
		"ciba by push, not known":       {[]provider.Needs{push}, refuse("invalid_client"), nil, "bad the provider does not accept client"},
		"ciba by push, no CIBA":         {[]provider.Needs{push}, refuse("unsupported_grant_type"), nil, "bad client \"doorward\" may not use the CIBA grant"},
		"ciba by ping is off":           {[]provider.Needs{ciba}, refuse("unauthorized_client"), nil, "bad client \"doorward\" may not use the CIBA grant"},
		"push and device, both are off": {[]provider.Needs{push, device}, refuse("unauthorized_client"), nil, "bad client \"doorward\" may not use the device authorization grant"},
		"push and code, both are off":   {[]provider.Needs{push, {ResponseType: "code"}}, refuse("unauthorized_client"), nil, "bad client \"doorward\" may not use the authorization code flow"},
		"signed requests":               {[]provider.Needs{signed}, nil, withKey, "good CIBA request signatures: ES256 is supported"},
		"signed requests without a key": {[]provider.Needs{signed}, nil, nil, "bad signed CIBA requests need a private_key"},
		"signed by another kind of key": {[]provider.Needs{signed}, func(r *rogue) {
			r.set("backchannel_authentication_request_signing_alg_values_supported", []string{"PS256"})
		}, withKey, "warn CIBA request signatures: the provider announces \"PS256\", but not ES256"},
		"password":                       {[]provider.Needs{{GrantType: "password"}}, nil, nil, "good grant types: password is supported"},
		"password is off":                {[]provider.Needs{{GrantType: "password"}}, func(r *rogue) { r.set("grant_types_supported", []string{"implicit"}) }, nil, "warn grant types: the provider announces \"implicit\", but not password"},
		"password alone, code is off":    {[]provider.Needs{{GrantType: "password"}}, func(r *rogue) { r.on("/token", answerJSON(400, `{"error":"unauthorized_client"}`)) }, nil, "good whether the provider accepts client \"doorward\" cannot be told"},
		"nothing is announced":           {[]provider.Needs{device, ciba}, func(r *rogue) { r.set("grant_types_supported", nil) }, nil, "good the provider does not say which grant types it supports"},
		"no end_session_endpoint":        {[]provider.Needs{device}, func(r *rogue) { r.set("end_session_endpoint", nil) }, nil, "good the provider has no end_session_endpoint"},
		"two logins say one thing":       {[]provider.Needs{device, device, {ResponseType: "code"}, {ResponseType: "code"}}, nil, nil, "good response types: code is supported"},
		"a public client and a password": {[]provider.Needs{{GrantType: "password"}}, nil, func(c *provider.Config) { c.ClientSecret = secret.String{} }, "good grant types: password is supported"},
	} {
		t.Run(name, func(t *testing.T) {
			r := phones(devices(probed(t)))
			r.set("response_types_supported", []string{"code", "id_token", "code id_token token"})
			r.set("response_modes_supported", []string{"query", "fragment", "form_post"})
			r.set("grant_types_supported", []string{"authorization_code", "implicit", "password", provider.GrantDevice, provider.GrantCIBA})
			r.set("backchannel_authentication_request_signing_alg_values_supported", []string{"ES256", "PS256"})
			if row.spoil != nil {
				row.spoil(r)
			}
			settings := row.conf
			if settings == nil {
				settings = func(*provider.Config) {}
			}
			if says := found(t, r.client(conf(settings)), nil, row.needs...); !strings.Contains(says, row.says) {
				t.Errorf("nothing says %q:\n%s", row.says, says)
			}
			for _, q := range r.seen("/token") {
				if q.PostForm.Has("password") || q.PostForm.Has("username") {
					t.Error("P171: a probe tried a password")
				}
			}
			if r.count("/device")+r.count("/bc") != 0 {
				t.Error("a probe began a login")
			}
		})
	}
}

func TestAProbeAsksTheTokenEndpointAboutAGrantThatIsUsed(t *testing.T) {
	for grant, row := range map[string]struct {
		needs []provider.Needs
		param string
	}{
		"authorization_code": {[]provider.Needs{{GrantType: provider.GrantDevice}, {ResponseType: "code id_token"}}, "code"},
		provider.GrantDevice: {[]provider.Needs{{GrantType: "password"}, {GrantType: provider.GrantDevice}}, "device_code"},
		provider.GrantCIBA:   {[]provider.Needs{{ResponseType: "id_token"}, {GrantType: provider.GrantCIBA}}, "auth_req_id"},
	} {
		r := probed(t)
		_ = found(t, r.client(), nil, row.needs...)
		if f := r.seen("/token")[0].PostForm; f.Get("grant_type") != grant || !strings.HasPrefix(f.Get(row.param), "doorward-check-") {
			t.Errorf("%s: %v", grant, f)
		}
	}
}

func TestAProbeOfTheIndependentProviderFindsNothingWrong(t *testing.T) {
	inBubble(t, func(t *testing.T, _ *rogue) {
		v := visitingEvery(t, nil, nil)
		says := found(t, v.client, []string{callbackURI},
			provider.Needs{ResponseType: "code"}, provider.Needs{ResponseType: "code id_token", ResponseMode: "form_post"}, provider.Needs{ResponseType: "id_token", ResponseMode: "fragment"},
			provider.Needs{GrantType: "password"}, provider.Needs{GrantType: provider.GrantDevice}, provider.Needs{GrantType: provider.GrantCIBA, Delivery: "poll"})
		if strings.Contains(says, "bad ") || strings.Contains(says, "warn ") {
			t.Error(says)
		}
	})
}

// TestAProbeOfWhatTheCredentialsNeed: each row is a credential or a bearer check, what spoils it, and what check --online must say.
func TestAProbeOfWhatTheCredentialsNeed(t *testing.T) {
	own, exchange, bearer := provider.Needs{GrantType: "client_credentials"}, provider.Needs{GrantType: provider.GrantTokenExchange}, provider.Needs{GrantType: provider.GrantJWTBearer}
	introspect := provider.Needs{Introspection: true}
	grants := func(names ...string) func(*rogue) {
		return func(r *rogue) { r.set("grant_types_supported", names) }
	}
	says := func(status int, body string) func(*rogue) {
		return func(r *rogue) {
			r.set("token_endpoint", r.url+"/realms/main/protocol/openid-connect/token")
			r.on("/realms/main/protocol/openid-connect/token", answerJSON(status, body))
		}
	}
	signed := func(c *provider.Config) { c.SignedIntrospection = true }
	for name, row := range map[string]struct {
		need  provider.Needs
		spoil func(*rogue)
		conf  func(*provider.Config)
		says  string
		not   string
	}{
		"client credentials":                   {own, grants("client_credentials"), nil, "good grant types: client_credentials is supported", "without openid"},
		"client credentials, no word of it":    {own, nil, nil, "good the provider does not say which grant types it supports; client_credentials is assumed", "end_session"},
		"client credentials are not announced": {own, grants("authorization_code"), nil, `warn grant types: the provider announces "authorization_code", but not client_credentials`, ""},
		"exchange":                             {exchange, grants(provider.GrantTokenExchange), nil, "good grant types: urn:ietf:params:oauth:grant-type:token-exchange is supported", "nobody can sign in"},
		"exchange is not announced":            {exchange, grants("authorization_code"), nil, "but not urn:ietf:params:oauth:grant-type:token-exchange", ""},
		"exchange works":                       {exchange, says(400, `{"error":"invalid_request","error_description":"Invalid token"}`), nil, `good the provider accepts client "doorward"`, ""},
		"exchange is off":                      {exchange, says(400, `{"error":"invalid_request","error_description":"Standard token exchange is not enabled for the requested client"}`), nil, `switch on "Standard token exchange" for client "doorward"`, ""},
		"exchange, a wrong secret":             {exchange, says(401, `{"error":"invalid_client","error_description":"Invalid client or Invalid client credentials"}`), nil, `bad the provider does not accept client "doorward"`, ""},
		"JWT bearer":                           {bearer, grants(provider.GrantJWTBearer), nil, "good grant types: urn:ietf:params:oauth:grant-type:jwt-bearer is supported", ""},
		"introspection":                        {introspect, func(r *rogue) { introspects(r, answerJSON(200, "{}")) }, nil, "good the introspection endpoint is http", "without openid"},
		"no introspection":                     {introspect, nil, nil, "bad the provider names no introspection_endpoint", ""},
		"introspection without a client":       {introspect, nil, func(c *provider.Config) { c.ClientID, c.ClientSecret = "", secret.String{} }, "bad no client_id is configured", ""},
		"signed introspection": {introspect, func(r *rogue) {
			introspects(r, answerJSON(200, "{}")).set("introspection_signing_alg_values_supported", []string{"ES256"})
		}, signed, "good the introspection endpoint is http", "signed_introspection"},
		"signed introspection by another key": {introspect, func(r *rogue) {
			introspects(r, answerJSON(200, "{}")).set("introspection_signing_alg_values_supported", []string{"HS256"})
		}, signed, `warn signed_introspection: the provider announces "HS256"`, ""},
		"signed introspection, no word of it": {introspect, func(r *rogue) { introspects(r, answerJSON(200, "{}")) }, signed, "warn signed_introspection: the provider does not announce", ""},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRogue(t)
			r.on("/token", answerJSON(400, `{"error":"invalid_grant"}`))
			if row.spoil != nil {
				row.spoil(r)
			}
			r.set("end_session_endpoint", nil)
			c := r.client(conf(func(c *provider.Config) {
				c.Scopes = []string{"read"}
				if row.conf != nil {
					row.conf(c)
				}
			}))
			got := found(t, c, nil, row.need)
			if !strings.Contains(got, row.says) || row.not != "" && strings.Contains(got, row.not) {
				t.Errorf("%s", got)
			}
		})
	}
}

// TestAProbeAsksForTheTokensOfItsOwn: each row is how the provider takes a client_credentials credential, and what check --online must say.
func TestAProbeAsksForTheTokensOfItsOwn(t *testing.T) {
	need := provider.Needs{GrantType: "client_credentials", Credential: "backup", Own: &provider.ClientCredentialsRequest{
		Scopes: []string{"read"}, Audience: []string{"data"}, Resource: []string{"https://data.example"}, Extra: url.Values{"tenant": {"t1"}},
	}}
	jwt := func(claims string) string { return "e30." + b64([]byte(claims)) + ".canary" }
	for name, row := range map[string]struct {
		answer http.HandlerFunc
		says   string
	}{
		"it comes":                    {answerJSON(200, traded(jwt(`{"aud":["data","x"],"scope":"read"}`), nil)), `good credential backup: a token came, scope "read", aud "data", "x"`},
		"the answer names the scope":  {answerJSON(200, traded(jwt(`{"aud":"data"}`), map[string]any{"scope": "read more"})), `good credential backup: a token came, scope "read more", aud "data"`},
		"it is opaque":                {answerJSON(200, traded("canary-opaque", nil)), "good credential backup: a token came, scope as asked for, and it is opaque to us"},
		"it is for somebody else":     {answerJSON(200, traded(jwt(`{"aud":"account","scope":"read"}`), nil)), `warn credential backup: a token came, scope "read", aud "account", but audience "data" was asked for`},
		"it lacks a scope":            {answerJSON(200, traded(jwt(`{"aud":"data","scope":"other"}`), nil)), `warn credential backup: a token came, scope "other", aud "data", but scope "read" was asked for`},
		"the service account is off":  {answerJSON(401, `{"error":"unauthorized_client","error_description":"Client not enabled to retrieve service account"}`), `bad credential backup: no token came`},
		"the audience is not allowed": {answerJSON(400, `{"error":"invalid_target"}`), `to mend it at the provider: register the target`},
		"the provider hangs up":       {answerJSON(503, `{}`), `bad the token endpoint cannot be reached`},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRogue(t)
			asked := 0
			r.on("/token", func(w http.ResponseWriter, q *http.Request) {
				if q.PostFormValue("grant_type") != "client_credentials" && !strings.Contains(name, "hangs up") {
					answerJSON(400, `{"error":"unauthorized_client"}`)(w, q)
					return
				}
				if f := q.PostForm; f.Get("grant_type") == "client_credentials" {
					asked++
					if f.Get("scope") != "read" || f.Get("audience") != "data" || f.Get("resource") != "https://data.example" || f.Get("tenant") != "t1" {
						t.Errorf("it asks for %v", f)
					}
				}
				row.answer(w, q)
			})
			says := found(t, r.client(), nil, need)
			if !strings.Contains(says, row.says) {
				t.Errorf("nothing says %q:\n%s", row.says, says)
			}
			if strings.Contains(says, "canary") || strings.Contains(says, "cannot be told") {
				t.Errorf("it shows a token, or doubts what it has seen:\n%s", says)
			}
			if asked > 1 {
				t.Errorf("asked %d times", asked)
			}
		})
	}
}

func TestAProbeThatIsRefusedAsAClientAsksForNothingMore(t *testing.T) {
	r := newRogue(t)
	r.on("/token", answerJSON(401, `{"error":"invalid_client"}`))
	says := found(t, r.client(), nil, provider.Needs{GrantType: "client_credentials", Credential: "backup", Own: &provider.ClientCredentialsRequest{}})
	if n := r.count("/token"); n != 1 || !strings.Contains(says, "bad the provider does not accept client") {
		t.Errorf("%d wrong secrets, which a provider counts:\n%s", n, says)
	}
}
