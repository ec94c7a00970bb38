package flows

import (
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/doorward/doorward/flows/provider"
)

// request is what all flows that go through the provider's own pages ask there by configuration.
type request struct {
	params url.Values
	scopes []string // nil = the provider's
	maxAge time.Duration
}

func newRequest(l Login) (request, error) {
	q := request{params: url.Values(maps.Clone(l.Params)), scopes: l.Scopes}
	for name, values := range l.Params {
		if provider.Reserved(name) { // no configuration sets them, and no visitor's query gets near them (AUT-9)
			return q, fmt.Errorf("params: %s is set by Doorward itself", name)
		}
		if len(values) != 1 {
			return q, fmt.Errorf("params: %s: exactly one value is needed", name) // RFC 6749 §3.1
		}
	}
	if l.Scopes != nil && !slices.Contains(l.Scopes, "openid") {
		return q, fmt.Errorf("scopes: openid is missing: without it nobody learns who signs in")
	}
	if v := q.params.Get("max_age"); v != "" {
		seconds, err := strconv.ParseUint(v, 10, 31)
		if err != nil {
			return q, fmt.Errorf("params: max_age: %q is no number of seconds", v)
		}
		// What is asked for is also checked (IDT-11). Zero would mean that nothing was asked.
		q.maxAge = max(time.Duration(seconds)*time.Second, time.Second)
	}
	return q, nil
}

// extra returns the parameters of a's authorization request beside those that every request has.
func (q request) extra(a *attempt, how authorization) url.Values {
	extra := url.Values{}
	maps.Copy(extra, q.params)
	maps.Copy(extra, a.passed) // of other names than params (pass.go)
	switch {
	case how.prompt != "":
		extra.Set("prompt", how.prompt)
	case a.restarts > 0 && extra.Get("prompt") == "none":
		extra.Del("prompt") // the quiet way was tried (RSP-2)
	}
	if how.claims != "" {
		extra.Set("claims", withClaims(extra.Get("claims"), how.claims))
	}
	return extra
}

// authorizationRequest is the whole request but for what a flow adds.
func (q request) authorizationRequest(a *attempt, how authorization) provider.AuthorizationRequest {
	return provider.AuthorizationRequest{
		RedirectURI: how.redirectURI, State: how.state, Nonce: a.nonce(), CodeChallenge: a.challenge(),
		Scopes: q.scopes, Extra: q.extra(a, how),
	}
}

// exchange is the token request for the code of a (TOK-1).
func exchange(a *attempt, back answer) url.Values {
	return url.Values{
		"grant_type":    {"authorization_code"},
		"code":          {back.Get("code")},
		"redirect_uri":  {back.redirectURI}, // as it stood in the authorization request
		"code_verifier": {a.verifier().Reveal()},
	}
}
