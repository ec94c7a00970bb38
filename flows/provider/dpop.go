package provider

import (
	"crypto"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// What a DPoP proof may cost and how old it may be (S18, spec-digest §31).
const (
	maxProof     = 8 << 10
	maxProofJTI  = 256
	proofAge     = 5 * time.Minute
	proofAhead   = 5 * time.Second
	maxNonce     = 256
	maxProofHTUs = 4 << 10
)

// ProofExpect says what a DPoP proof must fit (RFC 9449 §4.3).
type ProofExpect struct {
	Method      string    // of the request, as it stands in the request
	URL         string    // absolute, as it is seen from outside; query and fragment do not count
	AccessToken string    // that the request presents; ath must be its hash. "" = none is presented, as at a token endpoint
	Nonces      []string  // of ours: the proof must hold one of these (§8, §9); nil = none was asked for
	Now         time.Time // zero = the present
}

// ProofResult is what a proof that holds says. That it is used once only is for the caller to see to: by Thumbprint and JTI
// together, until the proof is too old (RFC 9449 §11.1), which is at Ends.
type ProofResult struct {
	Thumbprint string // of the key that signed it: the jkt that the token's cnf must name (RFC 7638 with SHA-256)
	JTI        string
	IssuedAt   time.Time
	Ends       time.Time // no proof of this iat is accepted from then on
}

// VerifyProof checks a DPoP proof (RFC 9449 §4.3) in all but whether its jti was seen before and whether the token is bound
// to its key. It never touches the network: the key comes with the proof and proves only that its holder has sent it.
//
// Failures are a *Error of kind Misbehaved: with Code use_dpop_nonce if only the nonce is missing or not ours, else
// invalid_dpop_proof. Proofs have at most 8 kB, and are accepted from 5 s before to 5 min after their iat.
func VerifyProof(proof string, e ProofExpect) (ProofResult, error) {
	p, err := parseProof(proof)
	if err != nil {
		return ProofResult{}, badProof(err)
	}
	if err := p.verify(); err != nil { // before any claim: what is not signed by the key says nothing
		return ProofResult{}, badProof(err)
	}
	r, err := p.check(e)
	if err != nil {
		return ProofResult{}, badProof(err)
	}
	if e.Nonces != nil {
		if nonce := p.claims.text("nonce"); !slices.ContainsFunc(e.Nonces, func(ours string) bool { return same(ours, nonce) }) {
			return ProofResult{}, fail(Misbehaved, "use_dpop_nonce", "its nonce is missing, or not one of ours that still counts")
		}
	}
	return r, nil
}

func badProof(err error) error {
	return fail(Misbehaved, "invalid_dpop_proof", "%v", err)
}

func same(a, b string) bool {
	return a != "" && subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1
}

// proof is a DPoP proof whose outer form is right.
type proof struct {
	raw, alg string
	key      publicKey
	claims   object
}

// parseProof takes a proof apart. The header of a proof is the only one that may bring its key along; whatever would have
// us fetch one, or believe a certificate, is refused here too (RFC 8725 §3.10).
func parseProof(raw string) (*proof, error) {
	if len(raw) > maxProof {
		return nil, errors.New("it has more than 8 kB")
	}
	if strings.Count(raw, ".") != 2 {
		return nil, errors.New("it is no JWT, or more than one")
	}
	head, rest, _ := strings.Cut(raw, ".")
	body, signature, _ := strings.Cut(rest, ".")
	header, err := partObject(head)
	if err != nil {
		return nil, errors.New("its header cannot be read")
	}
	claims, err := partObject(body)
	if err != nil {
		return nil, errors.New("its claims cannot be read")
	}
	if _, err := part(signature); err != nil || signature == "" {
		return nil, errors.New("it has no signature")
	}
	p := &proof{raw: raw, claims: claims}
	return p, p.header(header)
}

func partObject(s string) (object, error) {
	b, err := part(s)
	if err != nil {
		return nil, err
	}
	return parseObject(b)
}

func (p *proof) header(o object) error {
	for _, name := range []string{"crit", "jku", "x5u", "x5c", "x5t", "x5t#S256", "zip", "enc", "b64"} {
		if _, ok := o[name]; ok {
			return errors.New("its header has a member " + name)
		}
	}
	if typ, err := o.str("typ"); err != nil || typ != "dpop+jwt" { // a token of another kind is no proof (RFC 8725 §3.11)
		return errors.New("its typ is not dpop+jwt")
	}
	var err error
	if p.alg, err = o.str("alg"); err != nil || !slices.Contains(asymmetric(), p.alg) {
		return errors.New("its alg is none of " + strings.Join(asymmetric(), ", "))
	}
	if p.key, err = proofKey(o["jwk"]); err != nil {
		return err
	}
	if !p.key.fits(p.alg) {
		return errors.New("its key cannot have made a signature of its alg")
	}
	return nil
}

// proofKey reads the jwk: a strong public key and nothing else. A proof that carries its private key has given it away, to
// us and to every log on the way.
func proofKey(raw []byte) (publicKey, error) {
	if len(raw) == 0 {
		return publicKey{}, errors.New("its header has no jwk")
	}
	var o object // each of its members stands there once: the header as a whole was looked at
	if json.Unmarshal(raw, &o) != nil || o == nil {
		return publicKey{}, errors.New("its jwk is no object")
	}
	for _, name := range []string{"d", "p", "q", "dp", "dq", "qi", "oth", "k"} {
		if _, ok := o[name]; ok {
			return publicKey{}, errors.New("its jwk holds a private or symmetric key")
		}
	}
	for _, name := range []string{"x5u", "x5c"} {
		if _, ok := o[name]; ok {
			return publicKey{}, errors.New("its jwk has a member " + name)
		}
	}
	delete(o, "key_ops") // those of a key that signs, or of one that verifies: both are written
	k, err := readKey(o)
	if err != nil {
		return publicKey{}, errors.New("its jwk: " + err.Error())
	}
	return k, nil
}

func (p *proof) verify() error {
	jws, err := jose.ParseSignedCompact(p.raw, []jose.SignatureAlgorithm{jose.SignatureAlgorithm(p.alg)})
	if err != nil {
		return errors.New("it is no compact JWS")
	}
	if _, err := jws.Verify(p.key.key); err != nil {
		return errors.New("its signature is not that of its key")
	}
	return nil
}

// check holds the claims against the request (§4.3 steps 4, 8 to 12).
func (p *proof) check(e ProofExpect) (ProofResult, error) {
	var r ProofResult
	jti, err := p.claims.str("jti")
	if err != nil || jti == "" || len(jti) > maxProofJTI {
		return r, errors.New("its jti is missing, or has more than 256 bytes")
	}
	if htm, err := p.claims.str("htm"); err != nil || htm == "" || htm != e.Method { // methods are case-sensitive (RFC 9110 §9.1)
		return r, errors.New("its htm is not the method of this request")
	}
	if err := p.checkTarget(e.URL); err != nil {
		return r, err
	}
	at, ok, err := p.claims.date("iat")
	if err != nil || !ok {
		return r, errors.New("its iat is missing, or no date")
	}
	now := e.Now
	if now.IsZero() {
		now = time.Now()
	}
	ends := at.Add(proofAge)
	if at.After(now.Add(proofAhead)) || !now.Before(ends) {
		return r, errors.New("its iat is not of now: " + now.Sub(at).Round(time.Second).String() + " ago; 5m at most, and 5s ahead")
	}
	if err := p.checkToken(e.AccessToken); err != nil {
		return r, err
	}
	if nonce, err := p.claims.str("nonce"); err != nil || len(nonce) > maxNonce {
		return r, errors.New("its nonce is no string, or has more than 256 bytes")
	}
	sum, err := (&jose.JSONWebKey{Key: p.key.key}).Thumbprint(crypto.SHA256)
	if err != nil {
		return r, errors.New("its key has no thumbprint")
	}
	return ProofResult{Thumbprint: base64.RawURLEncoding.EncodeToString(sum), JTI: jti, IssuedAt: at, Ends: ends}, nil
}

// checkToken wants ath where a token is presented, so that a proof made for one token proves nothing for another.
func (p *proof) checkToken(token string) error {
	ath, err := p.claims.str("ath")
	if err != nil {
		return errors.New("its ath is no string")
	}
	if token == "" {
		return nil
	}
	sum := sha256.Sum256([]byte(token))
	if !same(ath, base64.RawURLEncoding.EncodeToString(sum[:])) {
		return errors.New("its ath is missing, or not the hash of the token")
	}
	return nil
}

// checkTarget compares htu with the request's URL after the normalisation of RFC 3986 §6.2.2 and §6.2.3, as §4.3 wants.
func (p *proof) checkTarget(target string) error {
	htu, err := p.claims.str("htu")
	if err != nil || htu == "" || len(htu) > maxProofHTUs {
		return errors.New("its htu is missing, or too long")
	}
	theirs, ok := normalTarget(htu)
	if !ok {
		return errors.New("its htu is no absolute http or https URL")
	}
	if ours, ok := normalTarget(target); !ok || theirs != ours {
		return errors.New("its htu is not the URL of this request: expected " + shown(bare(target)))
	}
	return nil
}

// normalTarget is a URL without query and fragment in the one spelling that all its spellings share: scheme and host in
// lower case, no port that the scheme has anyhow, no empty path, and percent-encoding only where it is needed, in capitals.
// Dot segments are left as they are: no client sends them, and to resolve them would be to read a path twice.
func normalTarget(raw string) (string, bool) {
	u, err := url.Parse(raw)
	if err != nil || u.Opaque != "" || u.User != nil || u.Hostname() == "" {
		return "", false
	}
	scheme, host, port := strings.ToLower(u.Scheme), strings.ToLower(u.Hostname()), u.Port()
	switch {
	case scheme != "https" && scheme != "http":
		return "", false
	case scheme == "https" && port == "443", scheme == "http" && port == "80":
		port = ""
	}
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	if port != "" {
		host += ":" + port
	}
	path := u.EscapedPath()
	if path == "" {
		path = "/"
	}
	return scheme + "://" + host + normalEscapes(path), true
}

// normalEscapes decodes what is unreserved and writes the other escapes in capitals (RFC 3986 §6.2.2.1, §6.2.2.2).
func normalEscapes(path string) string {
	if strings.IndexByte(path, '%') < 0 {
		return path
	}
	out := make([]byte, 0, len(path))
	for i := 0; i < len(path); i++ {
		if path[i] != '%' || i+2 >= len(path) {
			out = append(out, path[i])
			continue
		}
		escape := strings.ToUpper(path[i : i+3])
		if c, err := url.PathUnescape(escape); err == nil && unreserved(c[0]) {
			out = append(out, c[0])
		} else {
			out = append(out, escape...)
		}
		i += 2
	}
	return string(out)
}

func unreserved(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("-._~", c) >= 0
}
