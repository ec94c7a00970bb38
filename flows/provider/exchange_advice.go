package provider

import (
	"net/url"
	"strings"
)

// advice says what a refusal of a client credentials, token exchange or JWT bearer request means, and which setting of the
// provider mends it. An empty condition holds always. Texts of providers are fragments in lower case.
type advice struct {
	by    vendor
	grant string
	code  string // error
	says  string // in error_description

	kind Kind   // of the error
	as   string // its Code; "" = as the provider wrote it
	fix  string // {client}, {audience}, {scope}, {resource} stand for what was asked; "" = nothing can be mended
}

const (
	clientCredentials = "client_credentials"

	// A token that ended is the commonest cause of all, and the caller's to renew. RFC 8693 §2.2.2 calls it invalid_request.
	newToken = ""

	// More is wanted of the person, and the answer does not say as what claims.
	askPerson = ""
)

// advices are read in order; the first that holds counts. Keycloak's texts are those of its
// StandardTokenExchangeProvider, AbstractTokenExchangeProvider and ClientCredentialsGrantType (26.2 and later); Entra's
// codes are in its "authentication and authorization error codes".
func advices() []advice {
	const x, j, cc = GrantTokenExchange, GrantJWTBearer, clientCredentials
	return []advice{
		// Keycloak, by whichever grant.
		{keycloak, "", "", "invalid client credentials", Misconfigured, "invalid_client", `the realm has no client {client}, or it is disabled, or its secret is another one: compare client_id and client_secret with Clients › {client} › Credentials`},

		// Keycloak: standard token exchange.
		{keycloak, x, "", "standard token exchange is not enabled", Misconfigured, "unauthorized_client", `switch on "Standard token exchange" for client {client} (Clients › {client} › Settings › Capability config)`},
		{keycloak, x, "", "public client is not allowed", Misconfigured, "unauthorized_client", `client {client} is public: switch on "Client authentication" for it and give Doorward its secret, since only confidential clients may exchange tokens`},
		{keycloak, x, "", "client is not within the token audience", Misconfigured, "", `the subject token's aud does not contain {client}: add a protocol mapper of type "Audience" with "Included Client Audience" {client} to the client that the people sign in with (or to a client scope of it), then have them sign in again`},
		{keycloak, x, "", "client is not the holder of the token", Misconfigured, "", `the subject token was issued to another client: make {client} part of its aud by an "Audience" mapper on the login client, or sign in with {client}`},
		{keycloak, x, "", "requested audience not available", Misconfigured, "invalid_target", `audience only filters what the scopes of {client} already bring into aud: add a client scope with an "Audience" mapper for {audience} to client {client} (as default, or as optional and named in scope), or give the person a role of client {audience}`},
		{keycloak, x, "", "audience not found", Misconfigured, "invalid_target", `the realm has no client with the id {audience}: audience names the client id of the target at Keycloak, not its URL`},
		{keycloak, x, "", "client disabled", Misconfigured, "invalid_target", `the client {audience} is disabled in the realm: enable it`},
		{keycloak, x, "", "invalid scopes", Misconfigured, "invalid_scope", `add {scope} as a default or optional client scope to client {client} (Clients › {client} › Client scopes)`},
		{keycloak, x, "", "missing consents", Misconfigured, "consent_required", `client {client} demands consent, which the person has not given it: switch off "Consent required" for {client}, or let people consent to it by signing in with it once`},
		{keycloak, x, "", "supports access tokens only", Misconfigured, "invalid_request", `Keycloak exchanges access tokens only: set the subject token's type to access_token`},
		{keycloak, x, "", "invalid subject token type", Misconfigured, "invalid_request", `Keycloak exchanges access tokens only: set the subject token's type to access_token`},
		{keycloak, x, "", "refresh token not valid as requested_token_type", Misconfigured, "invalid_request", `ask for an access token: a refresh token needs a session of its own, which an exchange does not make`},
		{keycloak, x, "", "requested_token_type unsupported", Misconfigured, "invalid_request", `Keycloak issues access tokens and ID tokens by exchange (and refresh tokens only with "Allow refresh token in Standard Token Exchange"): set requested_token_type to access_token`},
		{keycloak, x, "", "scope offline_access not allowed", Misconfigured, "invalid_scope", `take offline_access out of the scopes`},
		{keycloak, x, "", "sender-constrained token exchange rejected", Misconfigured, "invalid_request", `the subject token is bound to a key of another client: sign people in with {client}, or switch off DPoP and certificate binding for the login client`},
		{keycloak, x, "", "dpop proof is missing", Misconfigured, "invalid_request", `the subject token is bound to a DPoP key: switch off "Require DPoP bound tokens" for the login client`},
		{keycloak, x, "", "parameter 'requested_subject'", Misconfigured, "invalid_request", `Keycloak's standard token exchange impersonates nobody: take requested_subject out`},
		{keycloak, x, "", "is not supported for standard token exchange", Misconfigured, "invalid_request", `Keycloak's standard token exchange knows no other issuers: take requested_issuer and subject_issuer out`},
		{keycloak, x, "", "client not allowed to exchange", Misconfigured, "", `this is Keycloak's old token exchange (v1): use the standard one of 26.2 or later, or allow it by fine-grained admin permissions`},
		{keycloak, x, "unsupported_grant_type", "", Misconfigured, "", `Keycloak has standard token exchange since 26.2; start it with the feature token-exchange-standard, which is on by default`},
		{keycloak, x, "", "invalid token type", Misconfigured, "invalid_request", `Keycloak exchanges access tokens only: set the subject token's type to access_token`},
		{keycloak, x, "invalid_request", "invalid token", Refused, "invalid_grant", newToken},

		// Keycloak: service accounts.
		{keycloak, cc, "", "client not enabled to retrieve service account", Misconfigured, "unauthorized_client", `switch on "Service account roles" for client {client} (Clients › {client} › Settings › Capability config)`},
		{keycloak, cc, "", "not allowed to retrieve service account", Misconfigured, "unauthorized_client", `client {client} is public or bearer-only: switch on "Client authentication" and "Service account roles" for it`},
		{keycloak, cc, "", "the associated service account", Misconfigured, "", `switch "Service account roles" of client {client} off and on again: its user is gone`},
		{keycloak, cc, "", "disabled", Misconfigured, "", `enable the service account user of client {client}`},
		{keycloak, cc, "invalid_scope", "", Misconfigured, "", `add {scope} as a default or optional client scope to client {client} (Clients › {client} › Client scopes)`},

		// Entra. Where an interaction code comes with claims, it is known by them and does not get here.
		{entra, j, "", "aadsts50072:", Refused, "interaction_required", askPerson},
		{entra, j, "", "aadsts50074:", Refused, "interaction_required", askPerson},
		{entra, j, "", "aadsts50076:", Refused, "interaction_required", askPerson},
		{entra, j, "", "aadsts50079:", Refused, "interaction_required", askPerson},
		{entra, j, "", "aadsts50158:", Refused, "interaction_required", askPerson},
		{entra, j, "", "aadsts53000:", Refused, "interaction_required", askPerson},
		{entra, j, "", "aadsts53001:", Refused, "interaction_required", askPerson},
		{entra, j, "", "aadsts53003:", Refused, "interaction_required", askPerson},
		{entra, j, "", "aadsts530003:", Refused, "interaction_required", askPerson},
		{entra, "", "", "aadsts500131:", Misconfigured, "invalid_target", `the assertion's aud is not this app: have the login ask for a scope of {client} itself (api://{client}/…), not one of Graph or another API`},
		{entra, "", "", "aadsts500133:", Refused, "invalid_grant", newToken},
		{entra, "", "", "aadsts50013:", Misconfigured, "", `the assertion was not made for this app or tenant: have the login ask for a scope of {client} itself, and set requestedAccessTokenVersion to 2 in the app manifest of {client}`},
		{entra, "", "", "aadsts50027:", Misconfigured, "", `the assertion is no access token of this tenant: use the access token of the login, not the ID token`},
		{entra, "", "", "aadsts240002:", Misconfigured, "", `on-behalf-of takes access tokens, no ID tokens: take the session's access token as the subject`},
		{entra, "", "", "aadsts65001:", Misconfigured, "consent_required", `grant consent to {client} for {scope}: App registrations › {client} › API permissions › add the permission, then "Grant admin consent", or name {client} in knownClientApplications of the target`},
		{entra, "", "", "aadsts65002:", Misconfigured, "consent_required", `the target must preauthorise {client}: App registrations › target › Expose an API › Authorized client applications`},
		{entra, "", "", "aadsts65005:", Misconfigured, "", `add the permission behind {scope} to {client}: App registrations › {client} › API permissions`},
		{entra, "", "", "aadsts50105:", Refused, "access_denied", `assign the person to the enterprise application, or switch off "Assignment required" there`},
		{entra, "", "", "aadsts501051:", Refused, "access_denied", `assign the application to the target's app roles, or switch off "Assignment required" there`},
		{entra, "", "", "aadsts500011:", Misconfigured, "invalid_target", `the tenant has no application behind {scope}: check the Application ID URI, and that the target has a service principal in this tenant`},
		{entra, "", "", "aadsts70011:", Misconfigured, "invalid_scope", `write scope as the target's Application ID URI with a permission or /.default, such as "api://CLIENT_ID/.default", and of one target only`},
		{entra, "", "", "aadsts1002012:", Misconfigured, "invalid_scope", `client credentials need a scope that ends with /.default`},
		{entra, "", "", "aadsts28000:", Misconfigured, "invalid_scope", `name scopes of one target only`},
		{entra, "", "", "aadsts7000218:", Misconfigured, "invalid_client", `{client} sent no secret or assertion: give Doorward a client_secret or private_key, and set "Allow public client flows" to No for {client}`},
		{entra, "", "", "aadsts7000215:", Misconfigured, "invalid_client", `the client secret is wrong: configure the secret's Value, not its ID (App registrations › {client} › Certificates & secrets)`},
		{entra, "", "", "aadsts7000222:", Misconfigured, "invalid_client", `the client secret has expired: make a new one (App registrations › {client} › Certificates & secrets)`},
		{entra, "", "", "aadsts7000216:", Misconfigured, "invalid_client", `this needs a client_secret or private_key`},
		{entra, "", "", "aadsts700027:", Misconfigured, "invalid_client", `upload the certificate that belongs to private_key (App registrations › {client} › Certificates & secrets)`},
		{entra, "", "", "aadsts700016:", Misconfigured, "unauthorized_client", `the tenant of the issuer has no application {client}: check client_id and the tenant in issuer`},
		{entra, "", "", "aadsts7000114:", Misconfigured, "", `an application token cannot be traded on behalf of somebody: the caller must be a person`},
		{entra, "", "", "aadsts50034:", Refused, "invalid_grant", newToken},

		// Auth0.
		{auth0, cc, "", "audience", Misconfigured, "invalid_target", `set audience to the Identifier of the API at Auth0 (Applications › APIs), and let {client} use it: APIs › {audience} › Machine to Machine Applications`},
		{"", cc, "", "client-grant", Misconfigured, "invalid_target", `let {client} use the API {audience}: Applications › APIs › {audience} › Machine to Machine Applications`},
		{auth0, cc, "access_denied", "", Misconfigured, "invalid_target", `let {client} use the API {audience} with {scope}: Applications › APIs › {audience} › Machine to Machine Applications`},
		{auth0, "", "unauthorized_client", "", Misconfigured, "", `allow the grant for {client}: Applications › {client} › Advanced Settings › Grant Types`},

		// Okta.
		{okta, cc, "invalid_scope", "", Misconfigured, "", `add {scope} to the custom authorization server, with an access policy that covers {client}; the org server grants okta.* scopes only`},
		{okta, x, "invalid_target", "", Misconfigured, "", `audience must be that of a custom authorization server (Security › API), and the subject token one of a trusted server`},
		{okta, "", "access_denied", "", Misconfigured, "", `no rule of the authorization server's access policy covers {client} with this grant: Security › API › Authorization Servers › Access Policies`},
		{okta, "", "unauthorized_client", "", Misconfigured, "", `allow the grant for {client}: Applications › {client} › General › Grant type`},

		// By whomever: a word of the standards, and texts that mean the subject token ended (RFC 8693 §2.2.2).
		{"", x, "invalid_request", "token type", Misconfigured, "", `the provider does not take a subject token of this type: look at what it exchanges`},
		{"", x, "invalid_request", "token_type", Misconfigured, "", `the provider does not take a token type of this request: look at what it exchanges`},
		{"", x, "invalid_request", "expired", Refused, "invalid_grant", newToken},
		{"", x, "invalid_request", "revoked", Refused, "invalid_grant", newToken},
		{"", x, "invalid_request", "not active", Refused, "invalid_grant", newToken},
		{"", x, "invalid_request", "invalid token", Refused, "invalid_grant", newToken},
		{"", x, "invalid_request", "invalid subject", Refused, "invalid_grant", newToken},
		{"", x, "invalid_request", "subject token is invalid", Refused, "invalid_grant", newToken},
		{"", x, "invalid_request", "subject_token is invalid", Refused, "invalid_grant", newToken},
		{"", x, "invalid_request", "actor", Misconfigured, "", `the provider may know no delegation (Keycloak's standard exchange does not): leave actor out, or look at what it allows`},
		{"", x, "invalid_request", "resource", Misconfigured, "invalid_target", `the provider may know no resource indicators (Keycloak's standard exchange does not): name the target by audience`},
		{auth0, x, "invalid_request", "", Misconfigured, "", `Auth0 exchanges tokens by a Custom Token Exchange Profile for just this subject_token_type, which {client} must be allowed to use`},
		{"", "", "invalid_target", "", Misconfigured, "", `register the target at the provider, and allow {client} to ask for it`},
		{"", "", "invalid_resource", "", Misconfigured, "invalid_target", `register the target at the provider, and allow {client} to ask for it`},
		{"", "", "invalid_scope", "", Misconfigured, "", `register {scope} at the provider, and allow {client} to ask for it`},
		{"", "", "consent_required", "", Misconfigured, "", `grant consent to {client} for {scope} at the provider`},
		{"", "", "unauthorized_client", "", Misconfigured, "", `allow this grant for client {client} at the provider`},
		{"", "", "unsupported_grant_type", "", Misconfigured, "", `the provider does not know this grant, or has it switched off`},
		{"", "", "invalid_client", "", Misconfigured, "", `the provider does not know {client} by what it was shown: check client_id, the secret or key, and client_auth`},
		{"", j, "invalid_request", "", Misconfigured, "", `the provider does not take this assertion: its aud must be {client} or the provider, as the provider wants it`},
	}
}

// advised finds out what a refusal means, and adds to its Detail what was asked for and which setting mends it. The answer's
// text decides, but only the part that refusal found fit to show is repeated.
func (c *Client) advised(e *Error, answer object, form url.Values) *Error {
	if form.Get("grant_type") == GrantJWTBearer {
		if e = challenged(e, answer); e.Code == "interaction_required" {
			return e
		}
	}
	a, ok := c.adviceOn(form.Get("grant_type"), e.Code, strings.ToLower(answer.text("error_description")))
	if ok {
		e.Kind = a.kind
		if a.as != "" && a.as != e.Code {
			e.Detail = e.Code + ": " + e.Detail
			e.Code = a.as
		}
	}
	e.Detail += "; " + c.asked(form) + " with grant_type " + shown(form.Get("grant_type")) + subjectOf(form)
	if a.fix != "" {
		e.Detail += "; to mend it at the provider: " + c.filled(a.fix, form)
	}
	return e
}

// subjectOf tells for whom the token is that was to be traded, if that can be read: most refusals are about just that.
func subjectOf(form url.Values) string {
	claims, ok := readClaims(form.Get("subject_token") + form.Get("assertion"))
	if !ok {
		return ""
	}
	aud, err := claims.strings("aud", true)
	if err != nil {
		return ""
	}
	whom := "nobody (it has no aud)"
	if len(aud) > 0 {
		whom = listed(aud)
	}
	return "; the token that was to be traded is for " + whom + ", and was issued to client " + shown(clientOf(claims))
}

func (c *Client) adviceOn(grant, code, says string) (advice, bool) {
	v := c.vendor()
	for _, a := range advices() {
		if (a.by == "" || a.by == v) && (a.grant == "" || a.grant == grant) && (a.code == "" || a.code == code) && strings.Contains(says, a.says) {
			return a, true
		}
	}
	return advice{}, false
}

// filled puts what was asked into a piece of advice.
func (c *Client) filled(fix string, form url.Values) string {
	or := func(values []string, otherwise string) string {
		if len(values) == 0 {
			return otherwise
		}
		return listed(values)
	}
	return strings.NewReplacer(
		"{client}", shown(c.conf.ClientID),
		"{audience}", or(form["audience"], "the target"),
		"{resource}", or(form["resource"], "the target"),
		"{scope}", or(form["scope"], "the scope"),
	).Replace(fix)
}
