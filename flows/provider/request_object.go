package provider

import (
	"crypto/rand"
	"encoding/json"
	"net/url"
	"time"
)

// requestLife is how long a signed request is good for: it is sent at once. nbf lies a
// little back, for servers whose clock does (CIBA §7.1.1; FAPI-CIBA §5.2.2 allows an hour).
const (
	requestLife = time.Minute
	requestBack = 30 * time.Second
)

// signedRequest puts the parameters of an authentication request into a JWT (CIBA §7.1.1,
// CIB-4). Nothing but client authentication stands beside it.
func (c *Client) signedRequest(m *metadata, form url.Values) (url.Values, error) {
	if c.requests == nil {
		return nil, fail(Misconfigured, "incomplete_request", "a signed request needs a private_key at the provider %q", c.conf.Name)
	}
	now := c.now()
	claims := map[string]any{
		"iss": c.conf.ClientID, "aud": c.conf.Issuer, "jti": rand.Text(),
		"iat": now.Unix(), "nbf": now.Add(-requestBack).Unix(), "exp": now.Add(requestLife).Unix(),
	}
	for name, values := range form {
		switch {
		case name == "requested_expiry":
			claims[name] = json.Number(values[0])
		case len(values) == 1:
			claims[name] = values[0]
		case len(values) > 1:
			claims[name] = values
		}
	}
	jws, err := c.requests.sign(claims, chooseAlg(c.conf.PrivateKeyAlg, c.requests.algs, m.ciba.RequestAlgorithms))
	if err != nil {
		return nil, err
	}
	return url.Values{"request": {jws}}, nil
}
