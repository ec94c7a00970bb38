package idp

import (
	"crypto"
	"encoding/json"
	"net/http"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// proofLifetime is how old a DPoP proof may be (RFC 9449 §11.1).
const proofLifetime = time.Minute

// checkDPoP verifies the proof of a token request (RFC 9449 §4.3) and remembers its key, to which the tokens are bound.
func (c *call) checkDPoP() error {
	proofs := c.r.Header.Values("DPoP")
	switch len(proofs) {
	case 0:
		return nil
	case 1:
	default:
		return refuse("invalid_dpop_proof", "more than one DPoP header")
	}
	jws, err := jose.ParseSignedCompact(proofs[0], algorithms(false))
	if err != nil {
		return refuse("invalid_dpop_proof", "malformed")
	}
	header := jws.Signatures[0].Protected
	if header.JSONWebKey == nil || !header.JSONWebKey.IsPublic() || header.ExtraHeaders[jose.HeaderType] != "dpop+jwt" {
		return refuse("invalid_dpop_proof", "typ must be dpop+jwt, and jwk a public key")
	}
	payload, err := jws.Verify(header.JSONWebKey)
	if err != nil {
		return refuse("invalid_dpop_proof", "wrong signature")
	}
	return c.bindTo(header.JSONWebKey, payload)
}

func (c *call) bindTo(key *jose.JSONWebKey, payload []byte) error {
	var claims struct {
		Method string  `json:"htm"`
		URL    string  `json:"htu"`
		ID     string  `json:"jti"`
		Issued float64 `json:"iat"`
	}
	now := c.s.now()
	switch {
	case json.Unmarshal(payload, &claims) != nil:
		return refuse("invalid_dpop_proof", "malformed claims")
	case claims.Method != http.MethodPost || claims.URL != c.s.URL(Token):
		return refuse("invalid_dpop_proof", "htm and htu are not those of this request")
	case claims.ID == "":
		return refuse("invalid_dpop_proof", "jti is missing")
	}
	issued := seconds(claims.Issued)
	if issued.After(now.Add(leeway)) || issued.Before(now.Add(-proofLifetime)) {
		return refuse("invalid_dpop_proof", "iat is not now")
	}
	print, err := key.Thumbprint(crypto.SHA256)
	if err != nil {
		return refuse("invalid_dpop_proof", "jwk has no thumbprint")
	}
	c.jkt = b64(print)
	if !c.s.firstUse(&Client{ID: "dpop " + c.jkt}, claims.ID, now.Add(proofLifetime)) {
		return refuse("invalid_dpop_proof", "jti was used before")
	}
	return nil
}
