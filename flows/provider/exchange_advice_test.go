package provider_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/doorward/doorward/demo/idp"
	"github.com/doorward/doorward/flows/provider"
	"github.com/doorward/doorward/internal/secret"
)

// at is a client of the scripted provider that takes it for the one of this issuer.
func (r *rogue) at(issuer string) *provider.Client {
	return r.client(conf(func(c *provider.Config) {
		c.Issuer, c.Discovery = issuer, false
		c.Endpoints = provider.Endpoints{Token: r.url + "/token", JWKS: r.url + "/keys"}
	}))
}

const (
	atKeycloak = "https://sso.example.com/realms/main"
	atEntra    = "https://login.microsoftonline.com/7a4e/v2.0"
	atAuth0    = "https://example.eu.auth0.com/"
	atOkta     = "https://example.okta.com/oauth2/default"
	atAny      = "https://sso.example.com"
)

// TestARefusalNamesTheSettingThatMendsIt: each row is what a provider answers, in its own words, and what the operator must read.
func TestARefusalNamesTheSettingThatMendsIt(t *testing.T) {
	const misconfigured, refused = provider.Misconfigured, provider.Refused
	ask := map[string]func(*testing.T, *provider.Client) error{
		"exchange": func(t *testing.T, c *provider.Client) error {
			_, err := c.Exchange(t.Context(), provider.ExchangeRequest{Subject: secret.New("subject-canary"), SubjectType: provider.TypeAccessToken, Audience: []string{"orders"}, Scopes: []string{"read"}})
			return err
		},
		"own": func(t *testing.T, c *provider.Client) error {
			_, err := c.ClientCredentials(t.Context(), provider.ClientCredentialsRequest{Audience: []string{"orders"}, Scopes: []string{"read"}})
			return err
		},
		"obo": func(t *testing.T, c *provider.Client) error {
			_, err := c.JWTBearer(t.Context(), provider.JWTBearerRequest{Assertion: secret.New("subject-canary"), Dialect: provider.DialectEntraOBO, Scopes: []string{"api://orders/.default"}})
			return err
		},
	}
	for name, row := range map[string]struct {
		at, ask     string
		status      int
		code, text  string
		kind        provider.Kind
		as, mention string
	}{
		"Keycloak: the switch":                     {atKeycloak, "exchange", 400, "invalid_request", "Standard token exchange is not enabled for the requested client", misconfigured, "unauthorized_client", `switch on "Standard token exchange" for client "doorward"`},
		"Keycloak: a public client":                {atKeycloak, "exchange", 400, "invalid_client", "Public client is not allowed to exchange token", misconfigured, "unauthorized_client", `"Client authentication"`},
		"Keycloak: aud of the subject token":       {atKeycloak, "exchange", 403, "access_denied", "Client is not within the token audience", misconfigured, "access_denied", `protocol mapper of type "Audience" with "Included Client Audience" "doorward" to the client that the people sign in with`},
		"Keycloak: an audience that no scope has":  {atKeycloak, "exchange", 400, "invalid_request", "Requested audience not available: orders", misconfigured, "invalid_target", `audience only filters`},
		"Keycloak: an audience that is no client":  {atKeycloak, "exchange", 400, "invalid_client", "Audience not found", misconfigured, "invalid_target", `no client with the id "orders"`},
		"Keycloak: a target that is disabled":      {atKeycloak, "exchange", 400, "invalid_client", "Client disabled", misconfigured, "invalid_target", `"orders" is disabled`},
		"Keycloak: a scope":                        {atKeycloak, "exchange", 400, "invalid_scope", "Invalid scopes: read", misconfigured, "invalid_scope", `add "read" as a default or optional client scope to client "doorward"`},
		"Keycloak: consent":                        {atKeycloak, "exchange", 400, "invalid_scope", "Missing consents for Token Exchange in client doorward", misconfigured, "consent_required", `"Consent required"`},
		"Keycloak: an ID token as subject":         {atKeycloak, "exchange", 400, "invalid_request", "Parameter 'subject_token' supports access tokens only", misconfigured, "invalid_request", "access tokens only"},
		"Keycloak: another subject type":           {atKeycloak, "exchange", 400, "invalid_request", "Invalid token type, must be access token", misconfigured, "invalid_request", "access tokens only"},
		"Keycloak: a refresh token is asked for":   {atKeycloak, "exchange", 400, "invalid_request", "requested_token_type unsupported", misconfigured, "invalid_request", `"Allow refresh token in Standard Token Exchange"`},
		"Keycloak: a bound subject token":          {atKeycloak, "exchange", 400, "invalid_request", "Sender-constrained token exchange rejected as the token was not issued for the requesting client", misconfigured, "invalid_request", "bound to a key"},
		"Keycloak: impersonation":                  {atKeycloak, "exchange", 400, "invalid_request", "Parameter 'requested_subject' is not supported for standard token exchange", misconfigured, "invalid_request", "take requested_subject out"},
		"Keycloak: an old one":                     {atKeycloak, "exchange", 400, "unsupported_grant_type", "Unsupported grant_type", misconfigured, "unsupported_grant_type", "since 26.2"},
		"Keycloak: v1":                             {atKeycloak, "exchange", 403, "access_denied", "Client not allowed to exchange", misconfigured, "access_denied", "v1"},
		"Keycloak TX-3: the subject token ended":   {atKeycloak, "exchange", 400, "invalid_request", "Invalid token", refused, "invalid_grant", ""},
		"Keycloak: an unknown client":              {atKeycloak, "own", 401, "invalid_client", "Invalid client or Invalid client credentials", misconfigured, "invalid_client", `the realm has no client "doorward"`},
		"Keycloak: service accounts":               {atKeycloak, "own", 401, "unauthorized_client", "Client not enabled to retrieve service account", misconfigured, "unauthorized_client", `switch on "Service account roles" for client "doorward"`},
		"Keycloak: a public client of its own":     {atKeycloak, "own", 401, "unauthorized_client", "Public client not allowed to retrieve service account", misconfigured, "unauthorized_client", `"Client authentication"`},
		"Keycloak: no such scope":                  {atKeycloak, "own", 400, "invalid_scope", "Invalid scopes: read", misconfigured, "invalid_scope", `optional client scope`},
		"Entra: the assertion's audience":          {atEntra, "obo", 400, "invalid_grant", "AADSTS500131: Assertion audience does not match the Client app presenting the assertion.", misconfigured, "invalid_target", "the assertion's aud is not this app"},
		"Entra: the assertion":                     {atEntra, "obo", 400, "invalid_grant", "AADSTS50013: Assertion failed signature validation.", misconfigured, "invalid_grant", "was not made for this app"},
		"Entra TX-3: the assertion ended":          {atEntra, "obo", 400, "invalid_grant", "AADSTS500133: Assertion is not within its valid time range.", refused, "invalid_grant", ""},
		"Entra: consent":                           {atEntra, "obo", 400, "invalid_grant", "AADSTS65001: The user or administrator has not consented to use the application", misconfigured, "consent_required", "Grant admin consent"},
		"Entra: the scope":                         {atEntra, "own", 400, "invalid_scope", "AADSTS70011: The provided request must include a 'scope' input parameter.", misconfigured, "invalid_scope", "/.default"},
		"Entra: the scope of its own":              {atEntra, "own", 400, "invalid_scope", "AADSTS1002012: The provided value for scope read is not valid.", misconfigured, "invalid_scope", "ends with /.default"},
		"Entra: no secret":                         {atEntra, "own", 401, "invalid_client", "AADSTS7000218: The request body must contain the following parameter: 'client_assertion' or 'client_secret'.", misconfigured, "invalid_client", `"Allow public client flows"`},
		"Entra: the secret's ID":                   {atEntra, "own", 401, "invalid_client", "AADSTS7000215: Invalid client secret provided.", misconfigured, "invalid_client", "Value, not its ID"},
		"Entra: no such target":                    {atEntra, "obo", 400, "invalid_resource", "AADSTS500011: The resource principal named api://orders was not found", misconfigured, "invalid_target", "Application ID URI"},
		"Entra: an ID token":                       {atEntra, "obo", 400, "invalid_grant", "AADSTS240002: Input id_token cannot be used", misconfigured, "invalid_grant", "no ID tokens"},
		"Entra: a machine's token":                 {atEntra, "obo", 400, "invalid_grant", "AADSTS7000114: Application is not allowed to make application on-behalf-of calls.", misconfigured, "invalid_grant", "must be a person"},
		"Entra: the person is not assigned":        {atEntra, "obo", 400, "invalid_grant", "AADSTS50105: The signed in user is not assigned to a role", refused, "access_denied", "assign the person"},
		"Auth0: the API":                           {atAuth0, "own", 403, "access_denied", "Service not enabled within domain: https://orders", misconfigured, "invalid_target", "Machine to Machine Applications"},
		"Auth0: the audience":                      {atAuth0, "own", 403, "access_denied", "Non-global clients are not allowed access to APIv1: no audience", misconfigured, "invalid_target", "set audience"},
		"Auth0: under a name of its own":           {atAny, "own", 403, "access_denied", `Client is not authorized to access "orders". You need to create a "client-grant" associated to this API.`, misconfigured, "invalid_target", "Machine to Machine Applications"},
		"Auth0: the profile of the exchange":       {atAuth0, "exchange", 400, "invalid_request", "no profile", misconfigured, "invalid_request", "Custom Token Exchange Profile"},
		"Auth0 TX-3: the subject token":            {atAuth0, "exchange", 400, "invalid_grant", "", refused, "invalid_grant", ""},
		"Auth0 TX-3: the subject token ended":      {atAuth0, "exchange", 400, "invalid_request", "subject_token expired", refused, "invalid_grant", ""},
		"Entra: more is wanted of the person":      {atEntra, "obo", 400, "invalid_grant", "AADSTS50076: Due to a configuration change made by your administrator", refused, "interaction_required", ""},
		"Okta: the policy":                         {atOkta, "exchange", 400, "access_denied", "Policy evaluation failed for this request, please check the policy configurations.", misconfigured, "access_denied", "Access Policies"},
		"Okta: the grant":                          {atOkta, "exchange", 400, "unauthorized_client", "The client is not authorized to use the provided grant type.", misconfigured, "unauthorized_client", "Grant type"},
		"anybody: the target":                      {atAny, "exchange", 400, "invalid_target", "", misconfigured, "invalid_target", "register the target"},
		"anybody: the client":                      {atAny, "exchange", 401, "invalid_client", "", misconfigured, "invalid_client", "check client_id, the secret or key"},
		"anybody: the scope":                       {atAny, "exchange", 400, "invalid_scope", "", misconfigured, "invalid_scope", `register "read"`},
		"anybody: the grant":                       {atAny, "exchange", 400, "unsupported_grant_type", "", misconfigured, "unsupported_grant_type", "does not know this grant"},
		"anybody: delegation":                      {atAny, "exchange", 400, "invalid_request", "actor_token is not supported", misconfigured, "invalid_request", "no delegation"},
		"anybody: resource":                        {atAny, "exchange", 400, "invalid_request", "unknown parameter resource", misconfigured, "invalid_target", "name the target by audience"},
		"anybody RFC 8693 §2.2.2: it ended":        {atAny, "exchange", 400, "invalid_request", "The subject_token has expired", refused, "invalid_grant", ""},
		"anybody RFC 8693 §2.2.2: it is bad":       {atAny, "exchange", 400, "invalid_request", "subject token is invalid", refused, "invalid_grant", ""},
		"anybody: the type of the subject":         {atAny, "exchange", 400, "invalid_request", "invalid subject_token_type", misconfigured, "invalid_request", "of this request"},
		"anybody: nothing that is known":           {atAny, "exchange", 400, "invalid_request", "computer says no", misconfigured, "invalid_request", "expected a token for audience"},
		"anybody: a no to the person":              {atAny, "exchange", 403, "access_denied", "", refused, "access_denied", ""},
		"anybody TX-3: the subject token":          {atAny, "exchange", 400, "invalid_grant", "", refused, "invalid_grant", ""},
		"anybody: a no to our own request":         {atAny, "own", 403, "access_denied", "", misconfigured, "access_denied", `audience "orders", scope "read"`},
		"anybody: a no to the grant of our own":    {atAny, "own", 400, "invalid_grant", "", misconfigured, "invalid_grant", `audience "orders", scope "read"`},
		"anybody: a no to the assertion":           {atAny, "obo", 400, "invalid_grant", "", refused, "invalid_grant", `scope "api://orders/.default"`},
		"Entra's codes mean nothing elsewhere":     {atAny, "obo", 400, "invalid_grant", "AADSTS65001: x", refused, "invalid_grant", ""},
		"AADSTS500131 is not AADSTS50013 of Entra": {atEntra, "obo", 400, "invalid_grant", "AADSTS5001399: new", refused, "invalid_grant", ""},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRogue(t)
			r.on("/token", answerJSON(row.status, string(must(json.Marshal(map[string]string{"error": row.code, "error_description": row.text})))))
			e := wants(t, ask[row.ask](t, r.at(row.at)), row.kind, row.as)
			if !strings.Contains(e.Detail, row.mention) || containsCanary(e.Error()) || len(e.Detail) > 1500 {
				t.Errorf("%v", e)
			}
			if row.text == "" && !strings.Contains(e.Detail, fmt.Sprintf("%d with %s and no description", row.status, row.code)) { // received
				t.Errorf("what came is missing: %v", e)
			}
			if e.Code == "invalid_grant" || e.Code == "access_denied" || row.kind == misconfigured {
				if grant := map[string]string{"exchange": "token-exchange", "own": "client_credentials", "obo": "jwt-bearer"}[row.ask]; !strings.Contains(e.Detail, grant) {
					t.Errorf("the grant is missing: %v", e)
				}
			} else {
				return
			}
			for _, part := range []string{"expected a token for ", `by client "doorward"`, row.code} { // expected against received
				if !strings.Contains(e.Error(), part) {
					t.Errorf("%q is missing: %v", part, e)
				}
			}
		})
	}
}

// TestKeycloaksRulesAreNamedOverTheWire: the provider in Keycloak's manner refuses, and what the operator reads says why.
func TestKeycloaksRulesAreNamedOverTheWire(t *testing.T) {
	for name, row := range map[string]struct {
		idp     func(*idp.Config)
		code    string
		mention string
	}{
		"it is off": {func(c *idp.Config) { c.Clients[0].Exchange = idp.KeycloakOff }, "unauthorized_client", `switch on "Standard token exchange"`},
		"the login's tokens are not for us": {
			func(c *idp.Config) { c.Clients[0].Exchange = idp.Keycloak }, "access_denied",
			`the token that was to be traded is for "account", and was issued to client "orders"; to mend it at the provider: the subject token's aud does not contain "doorward"`,
		},
		"the target is none of ours": {
			func(c *idp.Config) { c.Clients[0].Exchange, c.Clients[0].Audiences = idp.Keycloak, []string{"stock"} }, "invalid_target",
			`expected a token for audience "orders", asked for by client "doorward"`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, _ *rogue) {
				v := machines(t, func(c *idp.Config) {
					c.Issuer, c.Paths = c.Issuer+"/realms/main", idp.KeycloakPaths()
					row.idp(c)
				}, nil)
				who := v.signedIn()
				_, err := v.exchange(who, func(q *provider.ExchangeRequest) {
					if row.code == "access_denied" { // of a login by another client
						q.Subject = secret.New(v.MustMint(idp.Mint{Client: "orders", User: "alice", Audience: []string{"account"}}))
					}
				})
				if e := wants(t, err, provider.Misconfigured, row.code); !strings.Contains(e.Detail, row.mention) {
					t.Errorf("%v", e)
				}
			})
		})
	}
}

// TestWhatKeycloakPassesOverIsNotTakenForDone: it answers as if it had not heard of actor_token and resource.
func TestWhatKeycloakPassesOverIsNotTakenForDone(t *testing.T) {
	r := newRogue(t)
	exchange := func(issuer, claims string, change func(*provider.ExchangeRequest)) error {
		r.on("/token", answerJSON(200, traded("e30."+b64([]byte(claims))+".c2ln", nil)))
		q := provider.ExchangeRequest{Subject: secret.New("subject-canary"), SubjectType: provider.TypeAccessToken}
		change(&q)
		_, err := r.at(issuer).Exchange(t.Context(), q)
		return err
	}
	actor := func(q *provider.ExchangeRequest) { q.Actor = secret.New("actor-canary") }
	resource := func(q *provider.ExchangeRequest) { q.Resource = []string{"https://orders.example"} }
	if e := wants(t, exchange(atKeycloak, `{"sub":"alice"}`, actor), provider.Misconfigured, "invalid_request"); !strings.Contains(e.Detail, "no delegation") {
		t.Errorf("%v", e)
	}
	if e := wants(t, exchange(atKeycloak, `{"aud":"account"}`, resource), provider.Misconfigured, "invalid_target"); !strings.Contains(e.Detail, "as audience") {
		t.Errorf("%v", e)
	}
	for name, err := range map[string]error{
		"it knows delegation by now":      exchange(atKeycloak, `{"sub":"alice","act":{"sub":"doorward"}}`, actor),
		"it knows resources by now":       exchange(atKeycloak, `{"aud":["https://orders.example"]}`, resource),
		"another provider calls it so":    exchange(atAny, `{"aud":"orders"}`, resource),
		"another provider impersonates":   exchange(atAny, `{"sub":"alice"}`, actor),
		"what is opaque cannot be looked": exchange(atKeycloak, `{{`, actor),
	} {
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
