package proxy

import (
	"context"
	"errors"
	"net/http"

	"github.com/doorward/doorward/internal/credentials"
	"github.com/doorward/doorward/internal/identity"
	"github.com/doorward/doorward/internal/pages"
)

// identify finds out for whom an application calls, by the bearer token that it was called with itself and passes on. nil
// is nobody: the target asks for none.
func (t *egressTarget) identify(w http.ResponseWriter, c *call) (*identity.Identity, error) {
	if t.bearer == nil {
		return nil, nil
	}
	lines := c.in.Header[headerAuthorization]
	token, scheme := "", ""
	if len(lines) == 1 {
		token, scheme = inAuthorization(lines[0])
	}
	if !credentials.IsToken(token) {
		nothing := credentials.Refusal{}
		return nil, &pages.Error{
			Code: codeLoginRequired, Challenge: []string{nothing.Challenge(c.authority)},
			Detail: "This target needs the access token that the application itself was called with, in exactly one header Authorization.",
		}
	}
	who, err := t.bearer.Check(c.in.Context(), credentials.Presented{
		Token: token, Scheme: scheme, Proofs: c.in.Header[headerDPoP], Method: c.in.Method, URL: "http://" + c.authority + c.asked,
	})
	if err != nil {
		return nil, c.told(w, err, &pages.Error{Code: codeProviderUnavailable, RetryAfter: retryAfter, Err: err})
	}
	if who == nil {
		c.record.Outcome = Unavailable.String()
		return nil, &pages.Error{Code: codeProviderUnavailable, RetryAfter: retryAfter, Err: errors.New("the token was neither accepted nor refused")}
	}
	return who, nil
}

// credential obtains what goes upstream; nil only where nothing shall.
func (t *egressTarget) credential(ctx context.Context, who *identity.Identity) (*identity.Credential, error) {
	switch {
	case t.session:
		return t.passOn(who)
	case t.source == nil:
		return nil, nil
	}
	return obtain(ctx, t.source, who)
}

// passOn makes of the checked token itself what goes upstream. It is built once for each identity.
func (t *egressTarget) passOn(who *identity.Identity) (*identity.Credential, error) {
	type built struct {
		pass *identity.Credential
		err  error
	}
	b := who.Memo(t, func() any {
		if who.Tokens == nil || who.Tokens.AccessToken.IsZero() {
			return built{err: missing("access token", Decision{})}
		}
		if keyBound(who) {
			return built{err: errKeyBound()}
		}
		value, err := bearer(who.Tokens.AccessToken)
		return built{&identity.Credential{Name: credentialSession, Tokens: who.Tokens, Header: headerAuthorization, Values: []string{value}}, err}
	}).(built)
	if b.err != nil {
		return nil, b.err
	}
	return b.pass, nil
}

// noCredential is the answer where nobody says what is wrong.
func noCredential(err error) *pages.Error {
	return &pages.Error{Code: codeCredentialRefused, Detail: "No token could be obtained for this target; nothing was sent.", Err: err}
}

// told makes an answer of why there is no token, or why the caller's own does not count; otherwise is the one where the
// caller has no part in it and nobody has said more.
func (c *call) told(w http.ResponseWriter, err error, otherwise *pages.Error) error {
	var refusal *credentials.Refusal
	if errors.As(err, &refusal) {
		c.record.Outcome = Deny.String()
		return refuse(w, refusal, refusal.Challenge(c.authority))
	}
	c.record.Outcome = Unavailable.String()
	var known *pages.Error
	if errors.As(err, &known) {
		return err
	}
	return otherwise
}
