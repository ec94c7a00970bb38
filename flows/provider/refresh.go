package provider

import (
	"context"
	"errors"
	"net/url"

	"github.com/doorward/doorward/internal/identity"
)

// Refresh gets new tokens for an identity and judges its claims anew (R2). The result is a
// new identity of the same issuer and subject; refresh token, ID token, scope and what is
// true of the whole session (sid, acr, amr, auth_time) stay if the provider says nothing
// new (REF-1).
//
// A *Error of kind Refused ends the session: the provider said so (Code invalid_grant, or
// that the person must come themselves), or its answer is for somebody else or not to be
// believed (Code bad_subject, bad_issuer, bad_signature …; P083). Every other kind is
// passing trouble, or the operator's: the session goes on as long as its access token does.
// An identity without a refresh token is Misconfigured with Code no_refresh_token, not
// Refused, so that nobody is signed out for it.
//
// Where groups are looked up, whatever goes wrong with it before the access token has ended is an error of another kind
// than Refused, and the refresh token is not spent: the session keeps what it has. After that the new tokens are the result,
// and what was looked up is [Client.Unconfirmed] until it can be had. Only if the API says no to the new access token, too,
// the session ends.
//
// Refresh calls the token endpoint once. Calling it twice with one refresh token is for the
// caller to prevent.
func (c *Client) Refresh(ctx context.Context, who *identity.Identity) (*identity.Identity, error) {
	switch {
	case who.Issuer != c.conf.Issuer:
		return nil, fail(Refused, "bad_issuer", "the session is of %s, the provider %q", shown(who.Issuer), c.conf.Issuer)
	case who.Tokens == nil || who.Tokens.RefreshToken.IsZero():
		return nil, fail(Misconfigured, "no_refresh_token", "the provider gave none at the login; does it need the scope offline_access?")
	}
	if c.isGitHub() {
		return c.refreshGitHub(ctx, who)
	}
	ahead, err := c.groupsAhead(ctx, who)
	if err != nil {
		return nil, err
	}
	r, err := c.Grant(ctx, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {who.Tokens.RefreshToken.Reveal()}})
	if err != nil {
		return nil, refreshError(err)
	}
	old := who.Tokens
	if r.RefreshToken.IsZero() { // RFC 6749 §6
		r.RefreshToken, r.RefreshExpiry = old.RefreshToken, old.RefreshExpiry
	}
	if r.Scope == "" {
		r.Scope = old.Scope
	}
	claims, newer, err := c.refreshedClaims(ctx, r, who)
	if err != nil {
		return nil, err
	}
	if err := c.refreshedUserInfo(ctx, claims, r, who, newer); err != nil {
		return nil, err
	}
	lasting(claims, who)
	tokens := r.Tokens
	next, err := c.identity(claims, who.Login, &tokens)
	if err != nil {
		return nil, err
	}
	if tokens.Scope == "" {
		next.Scopes = who.Scopes
	}
	return c.regrouped(ctx, next, who, claims, ahead)
}

// refreshError keeps Refused for the answers that end a session. A refusal for another
// reason is not about the session.
func refreshError(err error) error {
	var e *Error
	if !errors.As(err, &e) || e.Kind != Refused {
		return err
	}
	switch e.Code {
	case "invalid_grant", "access_denied", "interaction_required", "login_required", "consent_required", "account_selection_required", "mfa_required", "expired_token":
		return err
	}
	again := *e
	again.Kind = Misbehaved
	return &again
}

// refreshedClaims returns the claims of the new ID token, checked as REF-2 (OIDC Core
// §12.2) says, or those of before if none came or none can be checked. newer tells that userinfo is younger than
// the claims.
func (c *Client) refreshedClaims(ctx context.Context, r *Response, who *identity.Identity) (claims object, newer bool, err error) {
	if !r.IDToken.IsZero() {
		t, err := c.idToken(ctx, &r.Tokens, Expect{NoNonce: true, Same: who})
		switch {
		case err == nil:
			return t.claims, false, nil
		case !c.uncheckable(err, r, who):
			return nil, false, final(err)
		}
		c.log.Warn("the refreshed ID token cannot be checked just now; what was known before stays", "error", err)
	}
	r.IDToken = who.Tokens.IDToken
	// The claims of the login's ID token were checked then; with them it is clear again which
	// ones userinfo has to bring. Without it (a session need not keep it) all we know serves.
	if t, err := parseJWT(r.IDToken.Reveal()); err == nil && t.claims.text("sub") == who.Subject {
		return t.claims, true, nil
	}
	if claims, err = parseObject(who.Claims.Raw()); err != nil {
		return nil, false, fail(Refused, "bad_claims", "the session's claims cannot be read")
	}
	return claims, true, nil
}

// uncheckable tells whether a refreshed ID token is not refused but cannot be judged, as the
// keys cannot be had. The tokens that came with it are the provider's own words over TLS, and
// the refresh token of before may be dead: to lose them would sign the person out (REF-3). A
// token that does not even claim to be the same person's is refused all the same.
func (c *Client) uncheckable(err error, r *Response, who *identity.Identity) bool {
	var e *Error
	if !errors.As(err, &e) || e.Kind != Unavailable {
		return false
	}
	t, err := parseJWT(r.IDToken.Reveal())
	return err == nil && c.checkIssuerOf(t) == nil && c.checkSame(t, who) == nil
}

// final turns an answer that is not to be believed into one that ends the session.
func final(err error) error {
	var e *Error
	if errors.As(err, &e) && e.Kind == Misbehaved {
		again := *e
		again.Kind = Refused
		return &again
	}
	return err
}

// refreshedUserInfo asks userinfo as at the login. The new tokens are already issued and
// the old refresh token may be dead, so that trouble with userinfo must not lose them: then
// what is known stays. Another subject, or no to the new token, ends the session.
func (c *Client) refreshedUserInfo(ctx context.Context, claims object, r *Response, who *identity.Identity, newer bool) error {
	info, err := c.completed(ctx, claims, r.AccessToken)
	var e *Error
	if errors.As(err, &e) {
		if e.Code == "userinfo_subject" || e.Code == "userinfo_refused" {
			return final(err)
		}
		c.log.Warn("userinfo could not be asked at a refresh; what it said before stays", "error", err)
		if info, err = parseObject(who.Claims.Raw()); err != nil {
			return nil
		}
		newer = false
	}
	merge(claims, info, newer)
	return nil
}

// lasting puts back what the login said about the session as a whole, where the refreshed
// token does not repeat it. auth_time is always that of the login (§12.2): if it could move,
// a refresh would satisfy max_age without a person.
func lasting(claims object, who *identity.Identity) {
	old, err := parseObject(who.Claims.Raw())
	if err != nil {
		return
	}
	for _, name := range []string{"sid", "acr", "amr", "nonce"} {
		if !claims.has(name) && old.has(name) {
			claims[name] = old[name]
		}
	}
	delete(claims, "auth_time")
	if old.has("auth_time") {
		claims["auth_time"] = old["auth_time"]
	}
}
