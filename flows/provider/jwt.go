package provider

import (
	"encoding/base64"
	"slices"
	"strings"
)

// Limits of a token, held before anything is decoded (P122, P125).
const (
	maxToken     = 64 << 10
	maxJOSEBytes = 8 << 10
)

// jwt is a token whose outer form is right. Nothing in it is trusted before verify has
// checked the signature.
type jwt struct {
	raw           string
	alg, kid, typ string
	claims        object
	payload       []byte
}

// parseJWT takes a JWS in compact serialization apart, and nothing else: no JSON
// serialization, no encrypted token (five parts; none was registered, IDT-1, P124).
func parseJWT(raw string) (*jwt, error) {
	if len(raw) > maxToken {
		return nil, fail(Misbehaved, "malformed_token", "it has more than %d bytes", maxToken)
	}
	if n := strings.Count(raw, "."); n != 2 {
		if n == 4 {
			return nil, fail(Misbehaved, "malformed_token", "it is encrypted (JWE), which was not agreed upon")
		}
		return nil, fail(Misbehaved, "malformed_token", "it is no JWT: %d dots instead of 2", n)
	}
	head, rest, _ := strings.Cut(raw, ".")
	body, signature, _ := strings.Cut(rest, ".")
	if len(head) > maxJOSEBytes {
		return nil, fail(Misbehaved, "malformed_token", "its header has more than %d bytes", maxJOSEBytes)
	}
	header, err := part(head)
	if err != nil {
		return nil, fail(Misbehaved, "malformed_token", "its header is not base64url")
	}
	t := &jwt{raw: raw}
	if t.payload, err = part(body); err != nil {
		return nil, fail(Misbehaved, "malformed_token", "its claims are not base64url")
	}
	if _, err := part(signature); err != nil || signature == "" {
		return nil, fail(Misbehaved, "bad_signature", "it has none")
	}
	if err := t.header(header); err != nil {
		return nil, err
	}
	if t.claims, err = parseObject(t.payload); err != nil {
		return nil, fail(Misbehaved, "bad_claims", "%v", err)
	}
	return t, nil
}

// part decodes one part. Strictly: two spellings of one token would be two tokens to a cache.
func part(s string) ([]byte, error) {
	if strings.ContainsAny(s, "\r\n") { // the decoder would skip them
		return nil, base64.CorruptInputError(0)
	}
	return base64.RawURLEncoding.Strict().DecodeString(s)
}

// header reads the JOSE header. Members that would have us fetch or believe a key that
// came with the token are refused, as is every critical extension (RFC 7515 §4.1.11, RFC
// 8725 §3.10, JWK-5, P119).
func (t *jwt) header(b []byte) error {
	o, err := parseObject(b)
	if err != nil {
		return fail(Misbehaved, "malformed_token", "its header: %v", err)
	}
	for _, name := range []string{"crit", "jwk", "jku", "x5u", "zip", "enc", "b64"} {
		if _, ok := o[name]; ok {
			return fail(Misbehaved, "malformed_token", "its header has a member %q", name)
		}
	}
	for name, to := range map[string]*string{"alg": &t.alg, "kid": &t.kid, "typ": &t.typ} {
		if *to, err = o.str(name); err != nil {
			return fail(Misbehaved, "malformed_token", "its header: %v", err)
		}
	}
	if len(t.kid) > longestKid {
		return fail(Misbehaved, "malformed_token", "its kid has more than %d bytes", longestKid)
	}
	return nil
}

// isPlain tells whether the typ is none or that of any JWT.
func (t *jwt) isPlain() bool {
	return t.typ == "" || strings.EqualFold(t.typ, "JWT") || strings.EqualFold(t.typ, "application/jwt")
}

// isAccessToken tells whether the typ is that of RFC 9068 §2.1.
func (t *jwt) isAccessToken() bool {
	return strings.EqualFold(t.typ, "at+jwt") || strings.EqualFold(t.typ, "application/at+jwt")
}

// str returns a claim that must be a string if it is there.
func (t *jwt) str(name string) (string, error) {
	s, err := t.claims.str(name)
	if err != nil {
		return "", fail(Misbehaved, "bad_claims", "%v", err)
	}
	return s, nil
}

// audience returns aud: a string or an array of strings (RFC 7519 §4.1.3).
func (t *jwt) audience() ([]string, error) {
	aud, err := t.claims.strings("aud", true)
	if err != nil {
		return nil, fail(Misbehaved, "bad_audience", "%v", err)
	}
	if slices.Contains(aud, "") {
		return nil, fail(Misbehaved, "bad_audience", "one is empty")
	}
	return aud, nil
}
