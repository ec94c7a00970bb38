package bearer

import (
	"context"
	"errors"
	"time"

	"github.com/doorward/doorward/internal/credentials"
	"github.com/doorward/doorward/internal/identity"
	"github.com/doorward/doorward/internal/pages"
)

// Check judges what was presented. The error is a *credentials.Refusal if that is the caller's fault, else a *pages.Error:
// provider_unavailable (503) where it cannot be judged now, overloaded (503) where too many are being judged,
// store_unavailable (503) where a DPoP proof cannot be marked as used. The identity's Tokens.AccessToken is the token, its
// Ends the token's end; it is shared by all requests that bring the token.
func (c *Checker) Check(ctx context.Context, p credentials.Presented) (*identity.Identity, error) {
	if len(p.Token) > maxToken {
		return nil, challenging(p.Scheme, refusal(credentials.InvalidToken, "token has more than 16 kB"))
	}
	now := c.v.now()
	v, err := c.verdict(ctx, p.Token, now)
	if err != nil {
		return nil, challenging(p.Scheme, err)
	}
	if v.who == nil {
		return nil, challenging(p.Scheme, own(v.err))
	}
	if err := c.possessed(ctx, v.binding, p, now); err != nil {
		return nil, challenging(p.Scheme, err)
	}
	return v.who, nil
}

// Alive reports whether a token that was accepted still would be: for streams, asked once a second. It makes no request
// more often than verdicts are renewed. An error means that it cannot be judged now, as in Check. The proof of possession
// that a stream began with holds as long as the stream.
func (c *Checker) Alive(ctx context.Context, who *identity.Identity) (bool, error) {
	now, err := c.Current(ctx, who)
	return now != nil, err
}

// Current is Alive for who wants to know also what the provider says of an opaque token by now; nil = it would not be
// accepted any more.
func (c *Checker) Current(ctx context.Context, who *identity.Identity) (*identity.Identity, error) {
	if who == nil || who.Tokens == nil {
		return nil, nil
	}
	now := c.v.now()
	if !who.Ends.IsZero() && !now.Before(who.Ends) {
		return nil, nil
	}
	v, err := c.verdict(ctx, who.Tokens.AccessToken.Reveal(), now)
	switch {
	case err != nil && refused(err):
		return nil, nil
	case err != nil:
		return nil, err
	case v.who != nil && v.who.Key() == who.Key():
		return v.who, nil
	case v.who != nil, refused(v.err):
		return nil, nil
	}
	return nil, own(v.err)
}

func refused(err error) bool {
	r := new(credentials.Refusal)
	return errors.As(err, &r)
}

// verdict looks first and reads the token afterwards: what is remembered has been read before.
func (c *Checker) verdict(ctx context.Context, token string, now time.Time) (*verdict, error) {
	key := c.key(token)
	if v := c.v.verdicts.get(key, now); v != nil {
		return v, nil
	}
	switch {
	case !credentials.IsToken(token):
		return nil, refusal(credentials.InvalidRequest, "token is empty or holds characters that no token has (RFC 6750 section 2.1)")
	case credentials.IsTicket(token): // no provider is ever shown one
		return nil, refusal(credentials.InvalidToken, "token is one of Doorward's own, and those are not accepted here")
	}
	return c.judge(ctx, key, token)
}

// challenging has a refusal answer in the scheme in which the token came (RFC 9449 §7.1).
func challenging(scheme string, err error) error {
	if r := new(credentials.Refusal); errors.As(err, &r) && isDPoP(scheme) && r.Scheme == "" {
		r.Scheme, r.Params = credentials.SchemeDPoP, algs()
	}
	return err
}

// own makes a copy of a remembered error: whoever answers may add to it.
func own(err error) error {
	switch err := err.(type) {
	case *credentials.Refusal:
		r := *err
		return &r
	case *pages.Error:
		e := *err
		return &e
	}
	return err
}
