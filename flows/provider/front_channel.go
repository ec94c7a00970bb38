package provider

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"time"
	"unicode/utf8"

	"github.com/doorward/doorward/internal/identity"
)

// FrontChannel reads the tokens of an authorization response that came through the browser
// (OIDC Core §3.2.2.5, §3.3.2.5), by the rules for answers of the token endpoint, except that
// either token may be missing: what the response type promises is for the caller to check. It
// checks no token, and Raw stays empty. Failures are Misbehaved, and are answered with 400, as for all that a
// browser brings.
func (c *Client) FrontChannel(answer url.Values) (*Response, error) {
	o := make(object)
	for _, name := range []string{"access_token", "token_type", "expires_in", "id_token", "scope"} {
		values := answer[name]
		switch {
		case len(values) == 0:
			continue
		case len(values) > 1: // RFC 6749 §3.1
			return nil, fail(Misbehaved, "bad_response", "the authorization response has %d %s", len(values), name)
		case !utf8.ValidString(values[0]):
			return nil, fail(Misbehaved, "bad_response", "the authorization response: %s is not UTF-8", name)
		}
		if values[0] == "" {
			continue
		}
		quoted, err := json.Marshal(values[0])
		if err != nil {
			return nil, fail(Misbehaved, "bad_response", "the authorization response: %s cannot be read", name)
		}
		o[name] = quoted
	}
	if answer.Has("refresh_token") { // RFC 6749 §4.2.2: never through a browser
		return nil, fail(Misbehaved, "bad_response", "the authorization response has a refresh_token")
	}
	t, err := readFrontTokens(o, c.now())
	if err != nil {
		return nil, fail(Misbehaved, "bad_response", "the authorization response: %v", err)
	}
	return &Response{Tokens: *t}, nil
}

func readFrontTokens(o object, now time.Time) (*identity.Tokens, error) {
	if scope := o.text("scope"); len(scope) > maxScope {
		return nil, fmt.Errorf("scope has more than %d bytes", maxScope)
	}
	if o.has("access_token") {
		return readTokens(o, now)
	}
	t := &identity.Tokens{ReceivedAt: now, Scope: o.text("scope")}
	var err error
	t.IDToken, err = token(o, "id_token")
	return t, err
}

// maxScope bounds the scope that a browser may bring, in bytes.
const maxScope = 4 << 10

// VerifyFront checks the ID token of a hybrid response, before the code in it is used (IMP-6):
// everything that Identify checks, with c_hash for e.Code, at_hash if an access token came along,
// and s_hash for e.State if it is there. The identity is Identify's to build, from the later
// token response, which must be of the issuer and subject that VerifyFront returns (IMP-7).
func (c *Client) VerifyFront(ctx context.Context, r *Response, e Expect) (identity.Key, error) {
	if e.Code.IsZero() {
		return identity.Key{}, fail(Misconfigured, "incomplete_request", "a hybrid response is checked with its code")
	}
	if r == nil || r.IDToken.IsZero() {
		return identity.Key{}, fail(Misbehaved, "id_token_missing", "the authorization response has no id_token")
	}
	e.FrontChannel = true
	t, err := c.idToken(ctx, &r.Tokens, e)
	if err != nil {
		return identity.Key{}, err
	}
	return identity.Key{Issuer: c.conf.Issuer, Subject: t.claims.text("sub")}, nil
}
