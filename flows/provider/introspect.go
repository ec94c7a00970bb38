package provider

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/doorward/doorward/internal/identity"
	"github.com/doorward/doorward/internal/secret"
)

const (
	maxIntrospection = 256 << 10   // bytes of an answer (spec-digest §31)
	introspectionAge = time.Minute // of a signed answer: it was made for this question
	signedAnswer     = "application/token-introspection+jwt"
)

// Introspect asks the provider about a token (RFC 7662), and holds its answer against e as VerifyAccessToken does with a
// JWT: exp, nbf, iss, aud, and whether it is an access token at all. An inactive token is Misbehaved with Code inactive;
// only the boolean true is active (RS-6, P126). With Config.SignedIntrospection the answer must be a signed one (RFC 9701).
// Identity.Ends is exp, zero if the answer has none. Every call asks; caching is the caller's.
//
// Misbehaved is always the token's fault. An answer that is none, or is not to be believed, is Unavailable, and so is a
// provider that cannot be reached (RS-7): then nobody knows what the token is worth. An endpoint that refuses us is
// Misconfigured. A token without sub is about the client that it was issued to, if the answer names no person either.
func (c *Client) Introspect(ctx context.Context, token secret.String, e AccessExpect) (*identity.Identity, error) {
	if len(e.Audience) == 0 { // without an audience any token of the issuer would do (P120)
		return nil, fail(Misconfigured, "bad_audience", "no audience is configured")
	}
	if err := usable(token); err != nil {
		return nil, fail(Misbehaved, "malformed_token", "it %v; the provider was not asked", err)
	}
	claims, err := c.askAbout(ctx, token)
	if err != nil {
		return nil, unjudged(err)
	}
	return c.introspected(claims, token, e)
}

// introspected judges an answer that is one.
func (c *Client) introspected(claims object, token secret.String, e AccessExpect) (*identity.Identity, error) {
	if string(claims["active"]) != "true" {
		return nil, fail(Misbehaved, "inactive", "the provider says that it is not active%s", c.whyInactive(token))
	}
	c.nameClient(claims)
	bindAsNamed(claims, token)
	t := &jwt{claims: claims}
	for _, check := range []check{c.checkNamedIssuer, checkSubject, c.checkPeriod, c.checkAudience(e), checkKind, c.checkIsAccessToken, checkKeyNamed, e.checkUnbound} {
		if err := check(t); err != nil {
			return nil, err
		}
	}
	who, err := c.bearer(claims, token)
	if err != nil {
		return nil, err
	}
	if who.Username == "" {
		who.Username = attribute(claims.text("username"))
	}
	return who, nil
}

// whyInactive tells of a rule of Keycloak's that its answer is silent about: to a client that is not in the token's aud no
// token is active, not even one that was issued to it.
func (c *Client) whyInactive(token secret.String) string {
	claims, ok := readClaims(token.Reveal())
	if !ok || c.vendor() != keycloak {
		return ""
	}
	aud, err := claims.strings("aud", true)
	if err != nil || slices.Contains(aud, c.conf.ClientID) {
		return ""
	}
	return fmt.Sprintf("; Keycloak says so of every token whose aud lacks the client that asks: expected %q in aud, got %s; a mapper of type \"Audience\" at the client that the token is issued to puts it there", c.conf.ClientID, cmp.Or(listed(aud), "none"))
}

// askAbout returns the members of the answer. Its failures say nothing about the token.
func (c *Client) askAbout(ctx context.Context, token secret.String) (object, error) {
	m, err := c.metadata(ctx)
	if err != nil {
		return nil, err
	}
	form := url.Values{"token": {token.Reveal()}, "token_type_hint": {"access_token"}}
	k := call{endpoint: "introspection_endpoint", of: func(e *Endpoints) *string { return &e.Introspection }, form: form}
	if c.conf.SignedIntrospection {
		k.accept = signedAnswer
	}
	a, err := c.send(ctx, m, k)
	if err != nil {
		return nil, err
	}
	if len(a.body) > maxIntrospection {
		return nil, fail(Misbehaved, "too_large", "the introspection endpoint answered with more than %d bytes", maxIntrospection)
	}
	if a.media == signedAnswer && a.status == 200 {
		return c.signedIntrospection(ctx, m, a)
	}
	o, err := a.granted("the introspection endpoint", c.now(), c.sent(form), nil)
	if err != nil {
		return nil, c.explained(ours(err))
	}
	if c.conf.SignedIntrospection {
		how := fmt.Sprintf("have it sign for client %q (RFC 9701), or switch signed_introspection off", c.conf.ClientID)
		if c.vendor() == keycloak {
			how = "Keycloak has no signed answers (RFC 9701): switch signed_introspection off"
		}
		return nil, fail(Misconfigured, "bad_response", "the introspection endpoint answers without a signature: %s", how)
	}
	return o, nil
}

// signedIntrospection reads an answer of RFC 9701. Its outer claims have neither sub nor exp, so that nobody takes it for a
// token (§5); who signed it, for whom and when, is checked as for any other JWT.
func (c *Client) signedIntrospection(ctx context.Context, m *metadata, a *answer) (object, error) {
	t, err := c.validateAny(ctx, strings.TrimSpace(string(a.body)), noMAC(c.accessAlgs(m)), introspectionType, c.checkOurAudience, c.checkJustMade)
	if err != nil {
		return nil, err
	}
	o, err := parseObject(t.claims["token_introspection"])
	if err != nil {
		return nil, fail(Misbehaved, "bad_claims", "token_introspection: %v", err)
	}
	return o, nil
}

func introspectionType(t *jwt) error {
	if !strings.EqualFold(t.typ, "token-introspection+jwt") && !strings.EqualFold(t.typ, signedAnswer) {
		return fail(Misbehaved, "bad_type", "a signed answer of introspection has typ token-introspection+jwt, this one %s", shown(t.typ))
	}
	return nil
}

// checkOurAudience wants us among those whom a signed answer is for.
func (c *Client) checkOurAudience(t *jwt) error {
	aud, err := t.audience()
	if err != nil {
		return err
	}
	for _, a := range aud {
		if a == c.conf.ClientID {
			return nil
		}
	}
	return fail(Misbehaved, "bad_audience", "the signed answer is for %s, not for %q", shown(strings.Join(aud, " ")), c.conf.ClientID)
}

// checkJustMade wants iat, and of now: an old answer may speak of a token that was revoked since.
func (c *Client) checkJustMade(t *jwt) error {
	iat, ok, err := t.claims.date("iat")
	if err != nil || !ok {
		return fail(Misbehaved, "bad_claims", "iat: missing, or no date (RFC 9701 §5)")
	}
	if age := c.now().Sub(iat); age > introspectionAge+c.conf.ClockSkew {
		return c.late("token_too_old", "the signed answer was made %s ago (iat), leeway %s", age, c.conf.ClockSkew)
	}
	return c.checkPeriod(t)
}

// checkNamedIssuer compares iss where the answer has one (RFC 7662 §2.2).
func (c *Client) checkNamedIssuer(t *jwt) error {
	if !t.claims.has("iss") {
		return nil
	}
	return c.checkIssuerOf(t)
}

// checkKind refuses what the answer says is no access token: servers introspect refresh tokens too (RFC 7662 §2.1).
func checkKind(t *jwt) error {
	kind, err := t.claims.str("token_type")
	switch {
	case err != nil:
		return fail(Misbehaved, "bad_claims", "%v", err)
	case kind == "", strings.EqualFold(kind, "Bearer"), strings.EqualFold(kind, "DPoP"), strings.EqualFold(kind, "access_token"), kind == TypeAccessToken:
		return nil
	}
	return fail(Misbehaved, "not_an_access_token", "its token_type is %s", shown(kind))
}

// checkKeyNamed refuses an answer that calls a token DPoP and does not say to which key it is bound (RFC 9449 §6.2): nobody
// could hold a proof against it, and it would pass as a plain Bearer (RS-9).
func checkKeyNamed(t *jwt) error {
	if !strings.EqualFold(t.claims.text("token_type"), "DPoP") {
		return nil
	}
	if cnf, err := parseObject(t.claims["cnf"]); err == nil && cnf.has("jkt") {
		return nil
	}
	return fail(Misbehaved, "token_bound", "its token_type is DPoP, and the answer does not name the key (cnf with jkt, RFC 9449 §6.2)")
}

// bindAsNamed binds a token to the key that it names itself, if it is a JWT, where the answer is silent. What is not verified
// here can only make a token worth less.
func bindAsNamed(claims object, token secret.String) {
	if own, ok := readClaims(token.Reveal()); ok && own.has("cnf") && !claims.has("cnf") {
		claims["cnf"] = own["cnf"]
	}
}

// nameClient gives a token without sub the subject that RFC 9068 §2.2 gives to tokens of a client's own: the client. Only
// where nothing else in the answer speaks of a person.
func (c *Client) nameClient(claims object) {
	for _, name := range []string{"sub", "username", "preferred_username", "name", "email", "sid", "auth_time", "acr", "amr"} {
		if claims.has(name) {
			return
		}
	}
	if id := claims.text("client_id"); id != "" {
		claims["sub"], _ = json.Marshal(id)
	}
}

// unjudged makes a failure that is not the token's one that nobody takes for it.
func unjudged(err error) error {
	var e *Error
	if errors.As(err, &e) && e.Kind == Misbehaved {
		again := *e
		again.Kind = Unavailable
		return &again
	}
	return err
}

// noMAC leaves out what every client of a shared secret could make (JWK-4).
func noMAC(algs []string) []string {
	var out []string
	for _, alg := range algs {
		if alg != "HS256" {
			out = append(out, alg)
		}
	}
	return out
}

// IssuerOf reads the issuer that a JWT names, without believing it: it only decides who is to verify the token. ok is
// false for what is no JWT: an opaque token. A JWT that names no issuer, or none that can be read, has the issuer "".
func IssuerOf(token string) (issuer string, ok bool) {
	if len(token) > maxToken || strings.Count(token, ".") != 2 {
		return "", false
	}
	head, _, _ := strings.Cut(token, ".")
	if len(head) > maxJOSEBytes {
		return "", false
	}
	header, err := partObject(head)
	if err != nil || !header.has("alg") {
		return "", false
	}
	claims, ok := readClaims(token)
	if !ok {
		return "", true
	}
	return claims.text("iss"), true
}
