package provider

import (
	"context"
	"slices"
	"strings"

	"github.com/doorward/doorward/internal/identity"
	"github.com/doorward/doorward/internal/secret"
)

// AccessExpect says what a bearer token must fit.
type AccessExpect struct {
	Audience []string // one of these must be in aud, or in the claim that Config.AudienceClaim names

	// Bound says that the caller holds the token against the key that it is bound to (cnf of the identity's claims). Without
	// it a bound token is refused: whoever sends it as a plain Bearer has shown no key (RS-9).
	Bound bool
}

// VerifyAccessToken checks a JWT access token (RFC 9068 and ordinary ones) by the same
// validate as ID tokens. The caller is responsible for having chosen this provider by iss.
// Failures that are the token's fault have kind Misbehaved and are answered with 401.
func (c *Client) VerifyAccessToken(ctx context.Context, token secret.String, e AccessExpect) (*identity.Identity, error) {
	if len(e.Audience) == 0 { // without an audience any token of the issuer would do (P120)
		return nil, fail(Misconfigured, "bad_audience", "no audience is configured")
	}
	m, err := c.metadata(ctx)
	if err != nil {
		return nil, keysUnavailable(err)
	}
	t, err := c.validate(ctx, token.Reveal(), noMAC(c.accessAlgs(m)), accessTokenType, checkRequired, c.checkAudience(e), c.checkIsAccessToken, e.checkUnbound)
	if err != nil {
		return nil, err
	}
	return c.bearer(t.claims, token)
}

// bearer builds the identity of whoever sends an access token, of claims that have been checked.
func (c *Client) bearer(claims object, token secret.String) (*identity.Identity, error) {
	end, _, _ := claims.date("exp")
	scopes := scopesOf(claims)
	who, err := c.identity(claims, "", &identity.Tokens{
		AccessToken: token, TokenType: "Bearer", Scope: strings.Join(scopes, " "), ReceivedAt: c.now(), Expiry: end,
	})
	if err != nil {
		return nil, err
	}
	who.Scopes, who.Client, who.Ends = scopes, clientOf(claims), end
	who.Machine = machine(claims, who.Client)
	return who, nil
}

// accessAlgs is the allow-list for access tokens: the configured one, or that of ID tokens
// and ES256: providers announce nothing about access tokens (RFC 9068 §4 step 4 wants RS256).
func (c *Client) accessAlgs(m *metadata) []string {
	algs := c.algorithms(m)
	if len(c.conf.SigningAlgs) == 0 && !slices.Contains(algs, "ES256") {
		algs = append(slices.Clone(algs), "ES256")
	}
	return algs
}

func accessTokenType(t *jwt) error {
	if !t.isAccessToken() && !t.isPlain() {
		return fail(Misbehaved, "bad_type", "an access token has typ at+jwt, JWT or none, this one %s", shown(t.typ))
	}
	return nil
}

// checkRequired wants what RFC 9068 §2.2 demands of a token that says it follows it (RS-3).
func checkRequired(t *jwt) error {
	if !t.isAccessToken() {
		return nil
	}
	for _, name := range []string{"client_id", "jti"} {
		if s, err := t.claims.str(name); err != nil || s == "" {
			return fail(Misbehaved, "bad_claims", "%s: missing, or no string (RFC 9068 §2.2)", name)
		}
	}
	if _, ok, err := t.claims.date("iat"); err != nil || !ok {
		return fail(Misbehaved, "bad_claims", "iat: missing, or no date (RFC 9068 §2.2)")
	}
	return nil
}

// checkAudience wants the token to be for one of those that e names. Where the provider writes no aud, the claim that is
// configured instead is the only one that counts: were aud looked at too, there would be two answers to one question.
func (c *Client) checkAudience(e AccessExpect) check {
	return func(t *jwt) error {
		aud, name, err := c.audienceOf(t)
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(aud, func(a string) bool { return a != "" && slices.Contains(e.Audience, a) }) {
			e := fail(Misbehaved, "bad_audience", "expected one of %q in %s, got %s", e.Audience, name, shown(strings.Join(aud, " ")))
			if name == "aud" && c.vendor() == keycloak { // it writes only the audiences that a mapper or a role brings
				e.Detail += `; at Keycloak, a mapper of type "Audience" at the client that the token is issued to puts it there`
			}
			return e
		}
		return nil
	}
}

func (c *Client) audienceOf(t *jwt) (aud []string, name string, err error) {
	switch name = c.conf.AudienceClaim; name {
	case "", "aud":
		aud, err = t.audience()
		return aud, "aud", err
	case "resource": // several, as in the request (RFC 8707 §2)
		if aud, err = t.claims.strings(name, true); err != nil {
			return nil, name, fail(Misbehaved, "bad_audience", "%v", err)
		}
		return aud, name, nil
	}
	one, err := t.claims.str(name)
	if err != nil {
		return nil, name, fail(Misbehaved, "bad_audience", "%v", err)
	}
	return []string{one}, name, nil
}

// checkIsAccessToken refuses tokens of another kind that carry no telling typ: ID tokens
// above all (RS-4, P121).
func (c *Client) checkIsAccessToken(t *jwt) error {
	if t.isAccessToken() {
		return nil
	}
	for _, name := range []string{"nonce", "at_hash", "c_hash", "events"} {
		if t.claims.has(name) {
			return noAccessToken("it has the claim " + name + ", as ID and logout tokens have")
		}
	}
	if err := checkOwnKind(t.claims); err != nil {
		return err
	}
	if aud, err := t.audience(); err == nil && len(aud) == 1 && c.isClient(t, aud[0]) && !namesGrant(t.claims) {
		return noAccessToken("it is for a client alone and names no scope or client, as ID tokens do")
	}
	return nil
}

func noAccessToken(why string) error { return fail(Misbehaved, "not_an_access_token", "%s", why) }

// checkOwnKind reads what a provider calls the kind of a token in its claims. Only words for an access token pass: there are
// more kinds than anybody could list.
func checkOwnKind(o object) error {
	for _, name := range []string{
		"typ",       // Keycloak
		"token_use", // Cognito; Ory Hydra in introspection
		"tokenName", // PingAM, whose refresh tokens are signed and addressed as its access tokens are
		"tokenType", // Casdoor
	} {
		kind, err := o.str(name)
		switch strings.ToLower(kind) {
		case "", "access", "access_token", "access-token", "at+jwt", "bearer", "dpop", "jwt":
		default:
			return noAccessToken("its claim " + name + " is " + shown(kind))
		}
		if err != nil {
			return noAccessToken("its claim " + name + " is no text")
		}
	}
	return nil
}

// isClient tells whether an audience is a client, as that of an ID token is: this one, or the one that azp names.
func (c *Client) isClient(t *jwt, aud string) bool {
	return aud == c.conf.ClientID || aud == t.claims.text("azp")
}

// namesGrant tells whether claims name a scope, or a client in a way in which ID tokens do not. roles are none of these:
// Entra writes them into ID tokens too, but azpacr and appid into access tokens alone.
func namesGrant(o object) bool {
	return slices.ContainsFunc([]string{"scope", "scp", "client_id", "cid", "appid", "azpacr", "permissions"}, o.has)
}

// checkUnbound refuses a token that is bound to a key: whoever sends it as a plain Bearer
// has not shown that key (RS-9).
func (e AccessExpect) checkUnbound(t *jwt) error {
	if !e.Bound && t.claims.has("cnf") {
		return fail(Misbehaved, "token_bound", "it is bound to a key (cnf) and was sent as a plain Bearer")
	}
	return nil
}

// scopesOf reads scope (RFC 9068 §2.2.3), or scp in the dialects of Entra and Okta (RS-5).
func scopesOf(o object) []string {
	if s := o.text("scope"); s != "" {
		return strings.Fields(s)
	}
	list, err := o.strings("scp", true)
	if err != nil {
		return nil
	}
	return strings.Fields(strings.Join(list, " "))
}

func clientOf(o object) string {
	for _, name := range []string{"client_id", "azp", "cid", "appid"} {
		if s := o.text(name); s != "" {
			return s
		}
	}
	return ""
}

// machine tells a service account: the subject is the client itself (RFC 9068 §2.2), or
// the provider says so in its own words (Auth0, Entra, Keycloak).
func machine(o object, client string) bool {
	return client != "" && o.text("sub") == client ||
		o.text("gty") == "client-credentials" ||
		o.text("idtyp") == "app" ||
		client != "" && o.text("preferred_username") == "service-account-"+strings.ToLower(client) && !ofPerson(o)
}

// ofPerson tells whether a token of Keycloak's is of a person's session. There, whoever may choose a user name may choose
// that of a service account.
func ofPerson(o object) bool {
	return (o.has("sid") || o.has("session_state")) && !o.has("client_id") && !o.has("clientId")
}
