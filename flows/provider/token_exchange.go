package provider

import (
	"context"
	"errors"
	"net/url"
	"strings"

	"github.com/doorward/doorward/internal/identity"
	"github.com/doorward/doorward/internal/secret"
)

// Grant types and token types of RFC 8693 §2.1 and §3, RFC 7523 §2.1.
const (
	GrantTokenExchange = "urn:ietf:params:oauth:grant-type:token-exchange"
	GrantJWTBearer     = "urn:ietf:params:oauth:grant-type:jwt-bearer"

	TypeAccessToken  = "urn:ietf:params:oauth:token-type:access_token"
	TypeRefreshToken = "urn:ietf:params:oauth:token-type:refresh_token"
	TypeIDToken      = "urn:ietf:params:oauth:token-type:id_token"
	TypeJWT          = "urn:ietf:params:oauth:token-type:jwt"
)

// ExchangeRequest trades one token for another (RFC 8693 §2.1).
type ExchangeRequest struct {
	Subject       secret.String
	SubjectType   string        // one of the types above
	Actor         secret.String // zero = none: impersonation; else delegation
	ActorType     string        // "" = TypeAccessToken, where there is an Actor
	RequestedType string        // "" = the server's choice, which must be an access token; never TypeRefreshToken (TX-8)
	Scopes        []string
	Audience      []string
	Resource      []string
	Extra         url.Values // none may be ReservedGrant

	// Same is whom the subject token is about: a JWT of the same issuer that comes back must be about the same subject
	// (TX-6), or an exchange could switch users. At Entra, whose subjects differ from client to client, that is oid. nil = the
	// subject is a service, and nothing is compared.
	Same *identity.Identity
}

// Exchange trades a token. The answer's AccessToken is what was asked for, whatever its type; IssuedTokenType says which.
// An answer of another type, without one, or with token_type N_A for an access token is Misbehaved (TX-2, P144), and so is
// a JWT whose exp has passed, whose aud has none of what was asked for, or that names another subject (TX-6). A refresh
// token or ID token that comes along is dropped (TX-8).
//
// invalid_grant is Refused, and so is, under that name, an invalid_request that speaks of the subject token (RFC 8693
// §2.2.2). What the operator must change at the provider is Misconfigured (invalid_target, invalid_scope,
// unauthorized_client, access_denied of Keycloak …), and its Detail names what was expected, what was answered, and
// the provider's setting.
func (c *Client) Exchange(ctx context.Context, r ExchangeRequest) (*Response, error) {
	for name, token := range map[string]secret.String{"subject_token": r.Subject, "actor_token": r.Actor} {
		if token.IsZero() && name == "actor_token" {
			continue
		}
		if err := usable(token); err != nil {
			return nil, fail(Refused, "invalid_grant", "the %s %v; the provider was not asked", name, err)
		}
	}
	form, err := r.form(c)
	if err != nil {
		return nil, err
	}
	got, err := c.trade(ctx, form)
	if err != nil {
		return nil, err
	}
	if err := checkIssued(got, r.RequestedType); err != nil {
		return nil, err
	}
	if err := c.checkTraded(got, form, r.Same); err != nil {
		return nil, err
	}
	got.alone()
	return got, nil
}

// usable refuses what no token endpoint can take for a token, so that it is not sent to one.
func usable(token secret.String) error {
	switch s := token.Reveal(); {
	case s == "":
		return errors.New("is missing")
	case len(s) > maxToken:
		return errors.New("has more than 64 kB")
	case !printable(s):
		return errors.New("holds spaces or control characters")
	}
	return nil
}

func (r ExchangeRequest) form(*Client) (url.Values, error) {
	form, err := target{r.Scopes, r.Audience, r.Resource, r.Extra}.form(GrantTokenExchange)
	switch {
	case err != nil:
		return nil, err
	case r.SubjectType == "":
		return nil, fail(Misconfigured, "incomplete_request", "a token exchange needs a subject_token_type (RFC 8693 §2.1)")
	case r.RequestedType == TypeRefreshToken:
		return nil, fail(Misconfigured, "incomplete_request", "requested_token_type: a refresh token is nothing for an upstream")
	case r.Actor.IsZero() && r.ActorType != "": // only together (RFC 8693 §2.1)
		return nil, fail(Misconfigured, "incomplete_request", "there is an actor_token_type, but no actor_token")
	}
	form.Set("subject_token", r.Subject.Reveal())
	form.Set("subject_token_type", r.SubjectType)
	if r.RequestedType != "" {
		form.Set("requested_token_type", r.RequestedType)
	}
	if !r.Actor.IsZero() {
		form.Set("actor_token", r.Actor.Reveal())
		form.Set("actor_token_type", TypeAccessToken)
		if r.ActorType != "" {
			form.Set("actor_token_type", r.ActorType)
		}
	}
	return form, nil
}

// checkIssued holds the answer's type against the one that was asked for (RFC 8693 §2.2.1, TX-2, P144): a token of another
// kind would go upstream as what it is not.
func checkIssued(got *Response, want string) error {
	if want == "" {
		want = TypeAccessToken
	}
	switch {
	case got.IssuedTokenType == "":
		return fail(Misbehaved, "bad_response", "the token endpoint's answer: issued_token_type is missing (RFC 8693 §2.2.1)")
	case got.IssuedTokenType != want:
		return fail(Misbehaved, "bad_response", "the token endpoint's answer: expected issued_token_type %q, got %s", want, shown(got.IssuedTokenType))
	case want == TypeAccessToken:
		return checkBearer(got)
	}
	return nil
}

// checkBearer refuses N_A: what came is no access token then (RFC 8693 §2.2.1).
func checkBearer(got *Response) error {
	if got.TokenType != "Bearer" {
		return fail(Misbehaved, "bad_response", "the token endpoint's answer: token_type %s for an access token", shown(got.TokenType))
	}
	return nil
}

// checkTraded looks into a token that was traded for another, if it is a JWT (TX-6). It came from the token endpoint over
// TLS and is for somebody else, so that its signature is not ours to check; what it says is only held against what was
// asked, to see whether the wrong one came.
func (c *Client) checkTraded(got *Response, form url.Values, same *identity.Identity) error {
	claims, ok := readClaims(got.AccessToken.Reveal())
	if !ok {
		return nil
	}
	t := &jwt{claims: claims}
	end, ok, err := claims.date("exp")
	if err != nil {
		return fail(Misbehaved, "bad_claims", "the token that came: %v", err)
	}
	if now := c.now(); ok && !now.Before(end.Add(c.conf.ClockSkew)) {
		return c.late("token_expired", "the token that came ended %s ago, leeway %s", now.Sub(end), c.conf.ClockSkew)
	}
	if err := c.checkTarget(t, form); err != nil {
		return err
	}
	if form.Has("actor_token") && !claims.has("act") && c.vendor() == keycloak {
		return fail(Misconfigured, "invalid_request", "the token that came has no act: Keycloak's standard token exchange knows no delegation and passes over actor_token; leave actor out")
	}
	return c.checkPerson(claims, same, form.Has("requested_token_use"))
}

// checkTarget wants one of the audiences that were asked for, where some were and the token names any. A server may give a
// resource another name in aud (RFC 8707 §2), so that asking for resources alone compares nothing.
func (c *Client) checkTarget(t *jwt, form url.Values) error {
	deaf := len(form["resource"]) > 0 && c.vendor() == keycloak // it passes over resource, and would say so to nobody
	if len(form["audience"]) == 0 && !deaf || !t.claims.has("aud") {
		return nil
	}
	got, err := t.audience()
	if err != nil {
		return err
	}
	for _, want := range append(form["audience"], form["resource"]...) {
		for _, aud := range got {
			if aud == want {
				return nil
			}
		}
	}
	if deaf && len(form["audience"]) == 0 {
		return fail(Misconfigured, "invalid_target", "the token that came is for %s; %s; Keycloak's standard token exchange passes over resource: name the target's client id as audience", listed(got), c.asked(form))
	}
	return fail(Misbehaved, "bad_audience", "the token that came is for %s; %s", listed(got), c.asked(form))
}

// checkPerson wants the token to be about the same person.
func (c *Client) checkPerson(claims object, who *identity.Identity, onBehalfOf bool) error {
	if name, got, want := c.otherPerson(claims, who, onBehalfOf); name != "" {
		return fail(Misbehaved, "bad_subject", "the token that came is about another person: expected %s %s, got %s", name, shown(want), shown(got))
	}
	return nil
}

// otherPerson returns the claim by which a token's person differs from who, as far as both name one in the same words: sub
// within an issuer; "" if none does. Entra gives a person another sub for every client, but one oid for all of a tenant,
// whichever of its two issuers a token is of.
func (c *Client) otherPerson(claims object, who *identity.Identity, onBehalfOf bool) (name, got, want string) {
	if who == nil {
		return "", "", ""
	}
	sameIssuer := claims.text("iss") == who.Issuer
	name, want = "sub", who.Subject
	switch oid := claimOf(who, "oid"); {
	case c.vendor() == entra:
		tenant := claimOf(who, "tid")
		sameIssuer = sameIssuer || tenant != "" && claims.text("tid") == tenant
		name, want = "oid", oid
	case onBehalfOf && oid != "" && claims.has("oid"):
		name, want = "oid", oid
	}
	if got = claims.text(name); sameIssuer && got != "" && want != "" && got != want {
		return name, got, want
	}
	return "", "", ""
}

// claimOf returns a claim that is a text, else "".
func claimOf(who *identity.Identity, name string) string {
	if who.Claims == nil {
		return ""
	}
	v, _ := who.Claims.Lookup(name)
	s, _ := v.(string)
	return s
}

// readClaims reads the claims of a JWT without believing them; ok is false for what is none, such as an opaque token.
func readClaims(token string) (claims object, ok bool) {
	if len(token) > maxToken || strings.Count(token, ".") != 2 {
		return nil, false
	}
	_, rest, _ := strings.Cut(token, ".")
	body, _, _ := strings.Cut(rest, ".")
	claims, err := partObject(body)
	return claims, err == nil
}
