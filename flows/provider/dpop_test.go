package provider_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/json"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/doorward/doorward/flows/provider"
)

// prover makes DPoP proofs, right and wrong ones.
type prover struct {
	key   *ecdsa.PrivateKey
	other *ecdsa.PrivateKey
	now   time.Time
}

func newProver() *prover {
	return &prover{newKey(), newKey(), time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)}
}

const proofURL = "https://api.example/orders/1"

func ath(token string) string {
	sum := sha256.Sum256([]byte(token))
	return b64(sum[:])
}

// public is the JWK of a key as an object that a test can change.
func public(key any) map[string]any {
	var o map[string]any
	if err := json.Unmarshal(must(json.Marshal(jose.JSONWebKey{Key: key})), &o); err != nil {
		panic(err)
	}
	return o
}

// proof makes a good proof for GET proofURL with the token "T", changed: nil removes.
func (p *prover) proof(header, claims map[string]any) string {
	return p.signedBy(p.key, header, claims)
}

func (p *prover) signedBy(key *ecdsa.PrivateKey, header, claims map[string]any) string {
	head := changed(map[string]any{"typ": "dpop+jwt", "alg": "ES256", "jwk": public(p.key.Public())}, header)
	body := changed(map[string]any{"jti": "J1", "htm": "GET", "htu": proofURL, "iat": p.now.Unix(), "ath": ath("T")}, claims)
	return compact(key, must(json.Marshal(head)), must(json.Marshal(body)))
}

func changed(o, changes map[string]any) map[string]any {
	maps.Copy(o, changes)
	maps.DeleteFunc(o, func(_ string, v any) bool { return v == nil })
	return o
}

func compact(key *ecdsa.PrivateKey, head, body []byte) string {
	input := b64(head) + "." + b64(body)
	sum := sha256.Sum256([]byte(input))
	x, y, err := ecdsa.Sign(rand.Reader, key, sum[:])
	if err != nil {
		panic(err)
	}
	return input + "." + b64(append(x.FillBytes(make([]byte, 32)), y.FillBytes(make([]byte, 32))...))
}

func (p *prover) expect() provider.ProofExpect {
	return provider.ProofExpect{Method: "GET", URL: proofURL, AccessToken: "T", Now: p.now}
}

func TestDP9AProofNamesTheKeyThatSignedIt(t *testing.T) {
	p := newProver()
	r, err := provider.VerifyProof(p.proof(nil, nil), p.expect())
	if err != nil {
		t.Fatal(err)
	}
	want := b64(must((&jose.JSONWebKey{Key: p.key.Public()}).Thumbprint(crypto.SHA256)))
	if r.Thumbprint != want || r.JTI != "J1" || !r.IssuedAt.Equal(p.now) || !r.Ends.Equal(p.now.Add(5*time.Minute)) {
		t.Errorf("%+v, want %s", r, want)
	}
	edPublic, edKey, _ := ed25519.GenerateKey(rand.Reader)
	for alg, key := range map[jose.SignatureAlgorithm]any{jose.EdDSA: edKey, jose.RS256: rsaKey(), jose.PS256: rsaKey()} {
		signer := must(jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: key}, (&jose.SignerOptions{EmbedJWK: true}).WithType("dpop+jwt")))
		body := must(json.Marshal(map[string]any{"jti": "J", "htm": "GET", "htu": proofURL, "iat": p.now.Unix(), "ath": ath("T")}))
		raw := must(must(signer.Sign(body)).CompactSerialize())
		r, err := provider.VerifyProof(raw, p.expect())
		if err != nil {
			t.Errorf("%s: %v", alg, err)
			continue
		}
		var pub any = edPublic
		if k, ok := key.(*rsa.PrivateKey); ok {
			pub = k.Public()
		}
		if want := b64(must((&jose.JSONWebKey{Key: pub}).Thumbprint(crypto.SHA256))); r.Thumbprint != want {
			t.Errorf("%s: %s, want %s", alg, r.Thumbprint, want)
		}
	}
}

// TestDP9Proofs: each row is one proof that must not count, or must.
func TestDP9Proofs(t *testing.T) {
	p := newProver()
	now := p.now.Unix()
	with := func(jwk map[string]any) map[string]any {
		return map[string]any{"jwk": changed(public(p.key.Public()), jwk)}
	}
	good := p.proof(nil, nil)
	parts := strings.Split(good, ".")
	small := must(rsa.GenerateKey(rand.Reader, 1024)) //nolint:gosec // it must be refused
	type change = func(*provider.ProofExpect)
	for name, row := range map[string]struct {
		proof  string
		expect change
		code   string
	}{
		"good":                                      {good, nil, ""},
		"nothing":                                   {"", nil, "invalid_dpop_proof"},
		"garbage":                                   {"garbage", nil, "invalid_dpop_proof"},
		"two, as two headers joined":                {good + ", " + good, nil, "invalid_dpop_proof"},
		"typ JWT":                                   {p.proof(map[string]any{"typ": "JWT"}, nil), nil, "invalid_dpop_proof"},
		"no typ":                                    {p.proof(map[string]any{"typ": nil}, nil), nil, "invalid_dpop_proof"},
		"typ at+jwt":                                {p.proof(map[string]any{"typ": "at+jwt"}, nil), nil, "invalid_dpop_proof"},
		"typ is a number":                           {p.proof(map[string]any{"typ": 1}, nil), nil, "invalid_dpop_proof"},
		"alg none":                                  {p.proof(map[string]any{"alg": "none"}, nil), nil, "invalid_dpop_proof"},
		"alg none without a signature":              {b64([]byte(`{"typ":"dpop+jwt","alg":"none"}`)) + "." + parts[1] + ".", nil, "invalid_dpop_proof"},
		"alg HS256":                                 {p.proof(map[string]any{"alg": "HS256"}, nil), nil, "invalid_dpop_proof"},
		"alg HS256 with a symmetric jwk":            {p.proof(map[string]any{"alg": "HS256", "jwk": map[string]any{"kty": "oct", "k": "AAAA"}}, nil), nil, "invalid_dpop_proof"},
		"alg of another curve":                      {p.proof(map[string]any{"alg": "ES384"}, nil), nil, "invalid_dpop_proof"},
		"alg of another kind of key":                {p.proof(map[string]any{"alg": "RS256"}, nil), nil, "invalid_dpop_proof"},
		"no alg":                                    {p.proof(map[string]any{"alg": nil}, nil), nil, "invalid_dpop_proof"},
		"no jwk":                                    {p.proof(map[string]any{"jwk": nil}, nil), nil, "invalid_dpop_proof"},
		"jwk is a text":                             {p.proof(map[string]any{"jwk": "x"}, nil), nil, "invalid_dpop_proof"},
		"jwk is the private key":                    {p.proof(map[string]any{"jwk": public(p.key)}, nil), nil, "invalid_dpop_proof"},
		"jwk with a private member of RSA":          {p.proof(with(map[string]any{"qi": "AA"}), nil), nil, "invalid_dpop_proof"},
		"jwk with a symmetric member":               {p.proof(with(map[string]any{"k": "AA"}), nil), nil, "invalid_dpop_proof"},
		"jwk with x5u":                              {p.proof(with(map[string]any{"x5u": "https://evil.example"}), nil), nil, "invalid_dpop_proof"},
		"jwk with x5c":                              {p.proof(with(map[string]any{"x5c": []string{"AA"}}), nil), nil, "invalid_dpop_proof"},
		"jwk off its curve":                         {p.proof(with(map[string]any{"y": b64(make([]byte, 32))}), nil), nil, "invalid_dpop_proof"},
		"jwk of a weak key":                         {p.proof(map[string]any{"alg": "RS256", "jwk": public(small.Public())}, nil), nil, "invalid_dpop_proof"},
		"jwk for encryption":                        {p.proof(with(map[string]any{"use": "enc"}), nil), nil, "invalid_dpop_proof"},
		"jwk of another alg":                        {p.proof(with(map[string]any{"alg": "ES384"}), nil), nil, "invalid_dpop_proof"},
		"jwk with its alg, kid and key_ops":         {p.proof(with(map[string]any{"alg": "ES256", "kid": "x", "key_ops": []string{"sign"}}), nil), nil, ""},
		"jwk of another key":                        {p.proof(map[string]any{"jwk": public(p.other.Public())}, nil), nil, "invalid_dpop_proof"},
		"signed by another key":                     {p.signedBy(p.other, nil, nil), nil, "invalid_dpop_proof"},
		"another payload":                           {parts[0] + "." + b64([]byte(`{"jti":"J2","htm":"GET","htu":"`+proofURL+`","iat":1793534400}`)) + "." + parts[2], nil, "invalid_dpop_proof"},
		"no signature":                              {parts[0] + "." + parts[1] + ".", nil, "invalid_dpop_proof"},
		"the signature spelt in another way":        {parts[0] + "." + parts[1] + "." + parts[2] + "=", nil, "invalid_dpop_proof"},
		"header crit":                               {p.proof(map[string]any{"crit": []string{"x"}}, nil), nil, "invalid_dpop_proof"},
		"header jku":                                {p.proof(map[string]any{"jku": "https://evil.example"}, nil), nil, "invalid_dpop_proof"},
		"header x5u":                                {p.proof(map[string]any{"x5u": "https://evil.example"}, nil), nil, "invalid_dpop_proof"},
		"header x5c":                                {p.proof(map[string]any{"x5c": []string{}}, nil), nil, "invalid_dpop_proof"},
		"header b64":                                {p.proof(map[string]any{"b64": false}, nil), nil, "invalid_dpop_proof"},
		"header zip":                                {p.proof(map[string]any{"zip": "DEF"}, nil), nil, "invalid_dpop_proof"},
		"header kid is harmless":                    {p.proof(map[string]any{"kid": "x"}, nil), nil, ""},
		"SEC-7 a header with typ twice":             {compact(p.key, []byte(`{"typ":"dpop+jwt","typ":"dpop+jwt","alg":"ES256","jwk":`+string(must(json.Marshal(public(p.key.Public()))))+`}`), []byte(`{}`)), nil, "invalid_dpop_proof"},
		"8 kB and more":                             {p.proof(nil, map[string]any{"x": long(8 << 10)}), nil, "invalid_dpop_proof"},
		"a megabyte":                                {long(1 << 20), nil, "invalid_dpop_proof"},
		"a million dots":                            {strings.Repeat(".", 1_000_000), nil, "invalid_dpop_proof"},
		"claims that are an array":                  {compact(p.key, must(json.Marshal(map[string]any{"typ": "dpop+jwt", "alg": "ES256", "jwk": public(p.key.Public())})), []byte(`[]`)), nil, "invalid_dpop_proof"},
		"no jti":                                    {p.proof(nil, map[string]any{"jti": nil}), nil, "invalid_dpop_proof"},
		"an empty jti":                              {p.proof(nil, map[string]any{"jti": ""}), nil, "invalid_dpop_proof"},
		"jti is a number":                           {p.proof(nil, map[string]any{"jti": 1}), nil, "invalid_dpop_proof"},
		"jti of 256 bytes":                          {p.proof(nil, map[string]any{"jti": long(256)}), nil, ""},
		"jti of 257 bytes":                          {p.proof(nil, map[string]any{"jti": long(257)}), nil, "invalid_dpop_proof"},
		"htm of another method":                     {p.proof(nil, map[string]any{"htm": "POST"}), nil, "invalid_dpop_proof"},
		"htm in small letters":                      {p.proof(nil, map[string]any{"htm": "get"}), nil, "invalid_dpop_proof"},
		"no htm":                                    {p.proof(nil, map[string]any{"htm": nil}), nil, "invalid_dpop_proof"},
		"no htm, and no method":                     {p.proof(nil, map[string]any{"htm": nil}), func(e *provider.ProofExpect) { e.Method = "" }, "invalid_dpop_proof"},
		"htu of another host":                       {p.proof(nil, map[string]any{"htu": "https://evil.example/orders/1"}), nil, "invalid_dpop_proof"},
		"htu of another path":                       {p.proof(nil, map[string]any{"htu": "https://api.example/orders/2"}), nil, "invalid_dpop_proof"},
		"htu of another case of path":               {p.proof(nil, map[string]any{"htu": "https://api.example/Orders/1"}), nil, "invalid_dpop_proof"},
		"htu with a slash more":                     {p.proof(nil, map[string]any{"htu": proofURL + "/"}), nil, "invalid_dpop_proof"},
		"htu by http":                               {p.proof(nil, map[string]any{"htu": "http://api.example/orders/1"}), nil, "invalid_dpop_proof"},
		"htu at another port":                       {p.proof(nil, map[string]any{"htu": "https://api.example:8443/orders/1"}), nil, "invalid_dpop_proof"},
		"htu that is a path":                        {p.proof(nil, map[string]any{"htu": "/orders/1"}), nil, "invalid_dpop_proof"},
		"htu with a user":                           {p.proof(nil, map[string]any{"htu": "https://api.example@api.example/orders/1"}), nil, "invalid_dpop_proof"},
		"htu that begins alike":                     {p.proof(nil, map[string]any{"htu": "https://api.example.evil/orders/1"}), nil, "invalid_dpop_proof"},
		"no htu":                                    {p.proof(nil, map[string]any{"htu": nil}), nil, "invalid_dpop_proof"},
		"htu is an array":                           {p.proof(nil, map[string]any{"htu": []string{proofURL}}), nil, "invalid_dpop_proof"},
		"RFC 3986 scheme and host in capitals":      {p.proof(nil, map[string]any{"htu": "HTTPS://API.Example/orders/1"}), nil, ""},
		"RFC 3986 the default port":                 {p.proof(nil, map[string]any{"htu": "https://api.example:443/orders/1"}), nil, ""},
		"RFC 3986 an escape that is needless":       {p.proof(nil, map[string]any{"htu": "https://api.example/%6frders/1"}), nil, ""},
		"RFC 3986 escapes in either case":           {p.proof(nil, map[string]any{"htu": "https://api.example/a%2fb%C3%bc"}), func(e *provider.ProofExpect) { e.URL = "https://api.example/a%2Fb%c3%BC" }, ""},
		"RFC 3986 an escaped slash is no slash":     {p.proof(nil, map[string]any{"htu": "https://api.example/orders%2F1"}), nil, "invalid_dpop_proof"},
		"RFC 3986 an empty path":                    {p.proof(nil, map[string]any{"htu": "https://api.example"}), func(e *provider.ProofExpect) { e.URL = "https://api.example/" }, ""},
		"RFC 3986 dot segments are not resolved":    {p.proof(nil, map[string]any{"htu": "https://api.example/x/../orders/1"}), nil, "invalid_dpop_proof"},
		"the query does not count":                  {p.proof(nil, map[string]any{"htu": proofURL + "?a=1#b"}), func(e *provider.ProofExpect) { e.URL = proofURL + "?c=2" }, ""},
		"plain http where it is so":                 {p.proof(nil, map[string]any{"htu": "http://127.0.0.1:80/x"}), func(e *provider.ProofExpect) { e.URL = "http://127.0.0.1/x" }, ""},
		"IPv6":                                      {p.proof(nil, map[string]any{"htu": "http://[::1]:8080/x"}), func(e *provider.ProofExpect) { e.URL = "http://[::1]:8080/x" }, ""},
		"no iat":                                    {p.proof(nil, map[string]any{"iat": nil}), nil, "invalid_dpop_proof"},
		"iat is a text":                             {p.proof(nil, map[string]any{"iat": "now"}), nil, "invalid_dpop_proof"},
		"iat 5 s ahead":                             {p.proof(nil, map[string]any{"iat": now + 5}), nil, ""},
		"iat 6 s ahead":                             {p.proof(nil, map[string]any{"iat": now + 6}), nil, "invalid_dpop_proof"},
		"iat 299 s ago":                             {p.proof(nil, map[string]any{"iat": now - 299}), nil, ""},
		"iat 300 s ago":                             {p.proof(nil, map[string]any{"iat": now - 300}), nil, "invalid_dpop_proof"},
		"iat with a fraction":                       {p.proof(nil, map[string]any{"iat": float64(now) + 0.5}), nil, ""},
		"iat beyond all time":                       {p.proof(nil, map[string]any{"iat": 1e300}), nil, "invalid_dpop_proof"},
		"ath of another token":                      {p.proof(nil, map[string]any{"ath": ath("U")}), nil, "invalid_dpop_proof"},
		"no ath":                                    {p.proof(nil, map[string]any{"ath": nil}), nil, "invalid_dpop_proof"},
		"ath is a number":                           {p.proof(nil, map[string]any{"ath": 1}), nil, "invalid_dpop_proof"},
		"no ath where no token is":                  {p.proof(nil, map[string]any{"ath": nil}), func(e *provider.ProofExpect) { e.AccessToken = "" }, ""},
		"DP-9 no nonce":                             {good, func(e *provider.ProofExpect) { e.Nonces = []string{"N1"} }, "use_dpop_nonce"},
		"DP-9 another nonce":                        {p.proof(nil, map[string]any{"nonce": "N0"}), func(e *provider.ProofExpect) { e.Nonces = []string{"N1", "N2"} }, "use_dpop_nonce"},
		"DP-9 the nonce of before":                  {p.proof(nil, map[string]any{"nonce": "N2"}), func(e *provider.ProofExpect) { e.Nonces = []string{"N1", "N2"} }, ""},
		"DP-9 an empty nonce":                       {p.proof(nil, map[string]any{"nonce": ""}), func(e *provider.ProofExpect) { e.Nonces = []string{""} }, "use_dpop_nonce"},
		"DP-9 a nonce of 257 bytes":                 {p.proof(nil, map[string]any{"nonce": long(257)}), nil, "invalid_dpop_proof"},
		"DP-9 a nonce of 256 bytes":                 {p.proof(nil, map[string]any{"nonce": long(256)}), nil, ""},
		"htu of 4 kB and more":                      {p.proof(nil, map[string]any{"htu": proofURL + "?" + long(4<<10)}), nil, "invalid_dpop_proof"},
		"htu with a dot behind the host":            {p.proof(nil, map[string]any{"htu": "https://api.example./orders/1"}), nil, "invalid_dpop_proof"},
		"htu without slashes":                       {p.proof(nil, map[string]any{"htu": "https:api.example/orders/1"}), nil, "invalid_dpop_proof"},
		"htu with an empty port":                    {p.proof(nil, map[string]any{"htu": "https://api.example:/orders/1"}), nil, ""},
		"htu with a port with a zero":               {p.proof(nil, map[string]any{"htu": "https://api.example:0443/orders/1"}), nil, "invalid_dpop_proof"},
		"htu with a backslash":                      {p.proof(nil, map[string]any{"htu": "https://api.example\\orders/1"}), nil, "invalid_dpop_proof"},
		"jti with control characters is a text":     {p.proof(nil, map[string]any{"jti": "a\x00\r\n"}), nil, ""},
		"iat twice":                                 {compact(p.key, must(json.Marshal(map[string]any{"typ": "dpop+jwt", "alg": "ES256", "jwk": public(p.key.Public())})), []byte(`{"jti":"J","htm":"GET","htu":"`+proofURL+`","iat":1,"iat":1793534400,"ath":"`+ath("T")+`"}`)), nil, "invalid_dpop_proof"},
		"DP-9 nonce is a number":                    {p.proof(nil, map[string]any{"nonce": 1}), nil, "invalid_dpop_proof"},
		"DP-9 a nonce that nobody asked for":        {p.proof(nil, map[string]any{"nonce": "x"}), nil, ""},
		"DP-9 a bad proof is bad before its nonce":  {p.proof(nil, map[string]any{"htm": "PUT"}), func(e *provider.ProofExpect) { e.Nonces = []string{"N1"} }, "invalid_dpop_proof"},
		"the present, where no other time is given": {good, func(e *provider.ProofExpect) { e.Now = time.Time{} }, "invalid_dpop_proof"},
	} {
		t.Run(name, func(t *testing.T) {
			e := p.expect()
			if row.expect != nil {
				row.expect(&e)
			}
			r, err := provider.VerifyProof(row.proof, e)
			if row.code == "" {
				if err != nil || r.Thumbprint == "" {
					t.Fatal(err)
				}
				return
			}
			got := wants(t, err, provider.Misbehaved, row.code)
			if r != (provider.ProofResult{}) || len(row.proof) > 20 && strings.Contains(got.Error(), row.proof) || len(got.Error()) > 500 {
				t.Errorf("%+v %v", r, got)
			}
		})
	}
}

func BenchmarkVerifyProof(b *testing.B) {
	p := newProver()
	raw, e := p.proof(nil, nil), p.expect()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := provider.VerifyProof(raw, e); err != nil {
			b.Fatal(err)
		}
	}
}
