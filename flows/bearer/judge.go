package bearer

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/doorward/doorward/flows/provider"
	"github.com/doorward/doorward/internal/credentials"
	"github.com/doorward/doorward/internal/identity"
	"github.com/doorward/doorward/internal/pages"
	"github.com/doorward/doorward/internal/secret"
)

const judgeTimeout = 15 * time.Second // for all that one token may cause

// judge finds out about a token once, however many bring it at the same time. The flight's life does not hang on the
// context of whoever came first.
func (c *Checker) judge(ctx context.Context, key digest, token string) (*verdict, error) {
	flight := c.v.flights.DoChan(string(key[:]), func() (any, error) { return c.fly(key, token) })
	select {
	case r := <-flight:
		if r.Err != nil {
			return nil, own(r.Err)
		}
		return r.Val.(*verdict), nil
	case <-ctx.Done():
		return nil, &pages.Error{Code: codeUnavailable, Err: ctx.Err(), RetryAfter: retryAfter}
	}
}

// fly makes a verdict and remembers it. An error is one that is not remembered.
func (c *Checker) fly(key digest, token string) (v *verdict, err error) {
	defer func() { // no token of a stranger, and no answer about it, may end the process
		if p := recover(); p != nil {
			c.v.log.Error("a bearer token could not be read", "panic", fmt.Sprintf("%T", p), "stack", string(debug.Stack()))
			v, err = nil, &pages.Error{Code: codeUnavailable, Err: errors.New("bearer: the token could not be read"), RetryAfter: retryAfter}
		}
	}()
	if v := c.v.verdicts.get(key, c.v.now()); v != nil { // the flight before has landed meanwhile
		return v, nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), judgeTimeout)
	defer cancel()
	who, life, err := c.ask(ctx, secret.New(token), c.v.verdicts.knows(key))
	if err != nil {
		if e := new(pages.Error); errors.As(err, &e) && e.Code == codeOverloaded {
			return nil, err
		}
	}
	v = c.verdictOn(who, life, err)
	c.v.verdicts.put(key, v, c.v.now())
	return v, nil
}

func (c *Checker) verdictOn(who *identity.Identity, life time.Duration, err error) *verdict {
	now := c.v.now()
	if err != nil {
		return rejected(err, now)
	}
	b, err := bindingOf(who.Claims)
	if err != nil {
		return rejected(refusal(credentials.InvalidToken, err.Error()), now)
	}
	return accepted(who, b, now, life)
}

// ask chooses who is to judge by what the token names, and before anything is asked over the network (RS-10). known: the
// token was accepted before.
func (c *Checker) ask(ctx context.Context, token secret.String, known bool) (*identity.Identity, time.Duration, error) {
	issuer, isJWT := provider.IssuerOf(token.Reveal())
	if !isJWT {
		who, err := c.askAll(ctx, token, known)
		return who, askedLife, err
	}
	p := c.issuers[issuer]
	switch {
	case p == nil && issuer == "":
		return nil, 0, refusal(credentials.InvalidToken, "token names no issuer (iss)")
	case p == nil:
		return nil, 0, refusal(credentials.InvalidToken, fmt.Sprintf("token is of an issuer that is not accepted here: %.100q", issuer))
	case p.Introspects():
		who, err := c.introspect(ctx, p, token, known)
		return who, askedLife, err
	}
	who, err := p.VerifyAccessToken(ctx, token, c.expect())
	if err != nil {
		return nil, 0, c.failure(p, err)
	}
	return who, signedLife, nil
}

// askAll shows an opaque token to every provider that introspects, until one knows it. If one of them cannot be asked and
// no other knows it, nothing is known: the one that was silent may be the one that gave it out.
func (c *Checker) askAll(ctx context.Context, token secret.String, known bool) (*identity.Identity, error) {
	var no *credentials.Refusal
	var trouble error
	for _, p := range c.opaque {
		who, err := c.introspect(ctx, p, token, known)
		if err == nil {
			return who, nil
		}
		r := new(credentials.Refusal)
		switch {
		case !errors.As(err, &r):
			trouble = err
		case no == nil || codeOf(no) == "inactive": // a provider that knows it says more than one that does not
			no = r
		}
	}
	switch {
	case trouble != nil:
		return nil, trouble
	case no != nil:
		return nil, no
	}
	return nil, refusal(credentials.InvalidToken, "token is no JWT, and opaque tokens are not accepted here")
}

func (c *Checker) introspect(ctx context.Context, p *provider.Client, token secret.String, known bool) (*identity.Identity, error) {
	leave, ok := c.v.places[p.Name()].enter(ctx, known)
	if !ok {
		return nil, &pages.Error{Code: codeOverloaded, Detail: "Too many tokens are being checked just now.", RetryAfter: retryAfter}
	}
	defer leave()
	who, err := p.Introspect(ctx, token, c.expect())
	if err != nil {
		return nil, c.failure(p, err)
	}
	return who, nil
}

// expect says Bound because the key that a token is bound to is asked for here, with each request.
func (c *Checker) expect() provider.AccessExpect {
	return provider.AccessExpect{Audience: c.audience, Bound: true}
}
