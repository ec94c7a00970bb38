package provider

import (
	"crypto/subtle"
	"net/http"
	"slices"
	"time"

	"github.com/doorward/doorward/internal/identity"
)

// maxPush bounds what is pushed to us: four tokens, and what else a response holds.
const maxPush = 4*maxToken + 64<<10

// Claims of an ID token that was pushed (CIBA §10.3.1).
const (
	claimAuthReqID = "urn:openid:params:jwt:claim:auth_req_id"
	claimRTHash    = "urn:openid:params:jwt:claim:rt_hash"
)

// ReadPush reads what a provider delivered by push (§10.3.1): a token response, or an error of
// §12 as *Error of kind Refused, with which authReqID is returned too. Anything else is
// Misbehaved. It checks no token: that is Identify's, with Expect.Pushed set.
func (c *Client) ReadPush(body []byte) (authReqID string, r *Response, err error) {
	return readPush(body, c.now())
}

func readPush(body []byte, now time.Time) (authReqID string, r *Response, err error) {
	if len(body) > maxPush {
		return "", nil, fail(Misbehaved, "too_large", "a push of more than %d bytes", maxPush)
	}
	o, err := parseObject(body)
	if err != nil {
		return "", nil, fail(Misbehaved, "bad_response", "a push: %v", err)
	}
	id, err := handle(o, "auth_req_id")
	if err != nil {
		return "", nil, fail(Misbehaved, "bad_response", "a push: %v", err)
	}
	if o.has("error") {
		return id.Reveal(), nil, pushedError(o, id.Reveal())
	}
	t, err := readTokens(o, now)
	if err != nil {
		return "", nil, fail(Misbehaved, "bad_response", "a push: %v", err)
	}
	return id.Reveal(), &Response{Tokens: *t, Raw: slices.Clone(body)}, nil
}

// pushedError reads an error of CIBA §12. There are three of them, and they come without tokens.
func pushedError(o object, id string) error {
	code := o.text("error")
	if !slices.Contains([]string{"access_denied", "expired_token", "transaction_failed"}, code) || o.has("access_token") || o.has("id_token") {
		return fail(Misbehaved, "bad_response", "a push of an error that CIBA §12 does not know")
	}
	return refusal("a push", http.StatusOK, o, []string{id})
}

// checkPushed holds a pushed ID token against the request that it answers and the tokens
// beside it (CIBA §10.3.1, P164). Pushed tokens did not come over a connection that we opened:
// without these claims, those of one answer could be put beside the ID token of another.
func (e Expect) checkPushed(t *jwt, with *identity.Tokens) error {
	if e.Pushed == "" {
		return nil
	}
	id, err := t.claims.str(claimAuthReqID)
	switch {
	case err != nil:
		return fail(Misbehaved, "bad_auth_req_id", "%v", err)
	case id == "":
		return fail(Misbehaved, "bad_auth_req_id", "missing")
	case subtle.ConstantTimeCompare([]byte(id), []byte(e.Pushed)) != 1:
		return fail(Misbehaved, "bad_auth_req_id", "it is that of another request")
	}
	return checkHash(t, "rt_hash", claimRTHash, with.RefreshToken, !with.RefreshToken.IsZero())
}
