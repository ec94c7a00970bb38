package flows

import (
	"context"
	"fmt"
	"maps"
	"net/url"
	"strconv"
	"time"

	"github.com/doorward/doorward/flows/provider"
	"github.com/doorward/doorward/internal/identity"
)

// authorizationCode is the standard flow: RFC 6749 §4.1 with PKCE (RFC 7636) and nonce,
// always both.
type authorizationCode struct {
	client *provider.Client
	login  string
	params url.Values
	maxAge time.Duration
}

func newAuthorizationCode(client *provider.Client, l Login) (flow, error) {
	a := &authorizationCode{client: client, login: l.Name, params: url.Values(maps.Clone(l.Params))}
	for name, values := range l.Params {
		if provider.Reserved(name) { // no configuration sets them, and no visitor's query gets near them (AUT-9)
			return nil, fmt.Errorf("params: %s is set by Doorward itself", name)
		}
		if len(values) != 1 {
			return nil, fmt.Errorf("params: %s: exactly one value is needed", name) // RFC 6749 §3.1
		}
	}
	if v := a.params.Get("max_age"); v != "" {
		seconds, err := strconv.ParseUint(v, 10, 31)
		if err != nil {
			return nil, fmt.Errorf("params: max_age: %q is no number of seconds", v)
		}
		// What is asked for is also checked (IDT-11). Zero would mean that nothing was asked.
		a.maxAge = max(time.Duration(seconds)*time.Second, time.Second)
	}
	return a, nil
}

func (c *authorizationCode) authorize(ctx context.Context, a *attempt, how authorization) (string, error) {
	extra := url.Values(maps.Clone(c.params))
	switch {
	case how.prompt != "":
		if extra == nil {
			extra = url.Values{}
		}
		extra.Set("prompt", how.prompt)
	case a.restarts > 0 && extra.Get("prompt") == "none":
		extra.Del("prompt") // the quiet way was tried (RSP-2)
	}
	return c.client.AuthorizationURL(ctx, provider.AuthorizationRequest{
		RedirectURI: how.redirectURI, State: how.state, Nonce: a.nonce(), CodeChallenge: a.challenge(), Extra: extra,
	})
}

func (c *authorizationCode) redeem(ctx context.Context, a *attempt, back answer) (*identity.Identity, error) {
	code := back.Get("code")
	if code == "" {
		return nil, &provider.Error{Kind: provider.Misbehaved, Code: codeBadAnswer, Detail: "the answer holds neither a code nor an error"}
	}
	response, err := c.client.Grant(ctx, url.Values{
		"grant_type":    {"authorization_code"},
		"code":          {code},
		"redirect_uri":  {back.redirectURI}, // as it stood in the authorization request (TOK-1)
		"code_verifier": {a.verifier().Reveal()},
	})
	if err != nil {
		return nil, err
	}
	return c.client.Identify(ctx, response, provider.Expect{Login: c.login, Nonce: a.nonce(), MaxAge: c.maxAge})
}
