package provider

import (
	"context"
	"errors"

	"github.com/doorward/doorward/internal/identity"
)

// groupsAhead looks groups up before a refresh spends the refresh token, as long as the old access token can still ask: a
// failure then costs nothing, the session keeps what it has and tries again a little later.
func (c *Client) groupsAhead(ctx context.Context, who *identity.Identity) (*found, error) {
	unconfirmed := waits(who.Tokens)
	if !unconfirmed && !who.Tokens.Valid(c.now(), 0) {
		return nil, nil
	}
	claims, err := parseObject(who.Claims.Raw())
	if err != nil {
		return nil, nil // refreshedClaims says what that means
	}
	ahead, err := c.look(ctx, c.enquiry(claims), who.Tokens.AccessToken)
	if unconfirmed && lacksRights(err) {
		return nil, nil // the token that waits may have ended meanwhile: another one can ask
	}
	return ahead, err
}

// regrouped gives an identity after a refresh its groups. Its tokens are new, and must not be lost whatever happens now.
func (c *Client) regrouped(ctx context.Context, next, who *identity.Identity, claims object, ahead *found) (*identity.Identity, error) {
	again, err := c.grouped(ctx, next, claims, next.Tokens.AccessToken, ahead)
	switch {
	case err == nil:
		return again, nil
	case lacksRights(err):
		return nil, ended(err)
	}
	c.log.Warn("groups cannot be looked up after a refresh; those of before count until the old access token ends", "error", err)
	next.Groups, next.Tokens = who.Groups, waiting(next.Tokens, who.Tokens)
	return next, nil
}

// waiting returns new tokens whose person could not be looked up. What was known counts as long as it would have without
// them, which is until the old access token ends, at once if it has. From then on the session waits until a look-up
// succeeds (see Unconfirmed): no outage signs anybody out (R2), and nobody goes on with rights that nobody can confirm. At
// GitHub everybody can use up their own allowance, and would keep the API from telling that they have left.
func waiting(tokens, old *identity.Tokens) *identity.Tokens {
	t := *tokens
	switch {
	case !old.Expiry.After(t.ReceivedAt):
		t.Expiry = t.ReceivedAt
	case t.Expiry.IsZero() || old.Expiry.Before(t.Expiry):
		t.Expiry = old.Expiry
	}
	return &t
}

// waits knows tokens that were born ended, which only waiting makes: they still can ask.
func waits(t *identity.Tokens) bool { return !t.Expiry.IsZero() && t.Expiry.Equal(t.ReceivedAt) }

// LooksUp reports whether anything about people is looked up beyond their tokens, so that Unconfirmed can be true.
func (c *Client) LooksUp() bool { return c.isGitHub() || c.conf.Groups.From != fromClaims }

// Unconfirmed reports whether what was looked up about somebody counts no longer: it does until their access token ends, and
// then a refresh has to bring it anew. Without a refresh token, it stays as it was at the login.
func (c *Client) Unconfirmed(who *identity.Identity) bool {
	if !c.LooksUp() || who.Tokens == nil || who.Tokens.RefreshToken.IsZero() || who.Tokens.Valid(c.now(), 0) {
		return false
	}
	if c.isGitHub() {
		return true
	}
	claims, err := parseObject(who.Claims.Raw())
	return err != nil || c.enquiry(claims) != (enquiry{})
}

// refused tells whether a failure is the provider's no.
func refused(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.Kind == Refused
}

// lacksRights tells whether a new token cannot say what has to be known. No waiting mends that, and a new login may: it asks
// for the scopes of now, and its page says what is wrong.
func lacksRights(err error) bool {
	var e *Error
	return errors.As(err, &e) && (e.Code == codeGroupsRefused || e.Code == codeTooManyGroups)
}

// ended makes a failure one that ends the session.
func ended(err error) error {
	var e *Error
	if !errors.As(err, &e) || e.Kind == Refused {
		return err
	}
	again := *e
	again.Kind, again.Detail = Refused, "the person's groups cannot be had any more: "+e.Detail
	return &again
}
