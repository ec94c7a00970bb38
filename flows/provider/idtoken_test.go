package provider_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/flows/provider"
	"github.com/doorward/doorward/internal/identity"
	"github.com/doorward/doorward/internal/secret"
)

func TestAGoodIDTokenBecomesAnIdentity(t *testing.T) {
	r := newRogue(t)
	who, err := r.client().Identify(t.Context(), response(r.idToken(map[string]any{
		"email": "a@example.com", "email_verified": "true", "preferred_username": "al", "name": "Älice", "groups": []any{"staff", "", "dev"},
	})), ordinary)
	if err != nil {
		t.Fatal(err)
	}
	if who.Issuer != r.url || who.Subject != "alice" || who.Provider != "corp" || who.Login != "staff" || who.Machine || who.Client != clientID {
		t.Errorf("%+v", who)
	}
	if who.Email != "a@example.com" || !who.EmailVerified || who.Username != "al" || who.Name != "Älice" || fmt.Sprint(who.Groups) != "[staff dev]" || fmt.Sprint(who.Scopes) != "[openid]" {
		t.Errorf("%+v", who)
	}
	if who.ACR != "1" || fmt.Sprint(who.AMR) != "[pwd]" || who.SID != "S1" || !who.AuthTime.Equal(r.now().Add(-5*time.Second)) {
		t.Errorf("%+v", who)
	}
	if who.Tokens.AccessToken.Reveal() != "access-1" || who.Tokens.IDToken.IsZero() {
		t.Error("the tokens are lost")
	}
}

// TestIDTokenClaims: each row is one changed claim of an otherwise good token.
func TestIDTokenClaims(t *testing.T) {
	r := newRogue(t)
	c := r.client(conf(func(c *provider.Config) { c.TrustedAudiences = []string{"known"} }))
	now := r.now().Unix()
	const ok = ""
	for name, row := range map[string]struct {
		change map[string]any
		code   string
	}{
		"IDT-2 P099 other issuer":                        {map[string]any{"iss": "https://evil.example"}, "bad_issuer"},
		"IDT-2 P099 issuer with a slash":                 {map[string]any{"iss": r.url + "/"}, "bad_issuer"},
		"IDT-2 P099 no issuer":                           {map[string]any{"iss": nil}, "bad_issuer"},
		"IDT-2 issuer is no string":                      {map[string]any{"iss": []string{r.url}}, "bad_claims"},
		"IDT-3 P099 other audience":                      {map[string]any{"aud": "other"}, "bad_audience"},
		"IDT-3 P099 no audience":                         {map[string]any{"aud": nil}, "bad_audience"},
		"IDT-3 P099 empty audience":                      {map[string]any{"aud": []string{}}, "bad_audience"},
		"IDT-3 audience with null":                       {map[string]any{"aud": []any{clientID, nil}}, "bad_audience"},
		"IDT-3 audience is a number":                     {map[string]any{"aud": 7}, "bad_audience"},
		"IDT-13 audience array of one":                   {map[string]any{"aud": []string{clientID}}, ok},
		"IDT-3 P100 extra audience, azp ours":            {map[string]any{"aud": []string{clientID, "x"}, "azp": clientID}, "bad_audience"},
		"IDT-4 P100 extra audience, azp other":           {map[string]any{"aud": []string{clientID, "known"}, "azp": "known"}, "bad_azp"},
		"IDT-4 P100 extra audience, no azp":              {map[string]any{"aud": []string{clientID, "known"}}, "bad_azp"},
		"IDT-3 trusted extra audience, azp ours":         {map[string]any{"aud": []string{clientID, "known"}, "azp": clientID}, ok},
		"IDT-4 azp other":                                {map[string]any{"azp": "other"}, "bad_azp"},
		"IDT-4 azp empty":                                {map[string]any{"azp": ""}, "bad_azp"},
		"IDT-4 azp ours":                                 {map[string]any{"azp": clientID}, ok},
		"IDT-7 P101 no exp":                              {map[string]any{"exp": nil}, "bad_claims"},
		"IDT-7 exp in quotes":                            {map[string]any{"exp": fmt.Sprint(now + 300)}, "bad_claims"},
		"IDT-7 P101 exp 1 s ago is within the leeway":    {map[string]any{"exp": now - 1}, ok},
		"IDT-7 P101 exp 60 s ago is not":                 {map[string]any{"exp": now - 60}, "token_expired"},
		"IDT-7 P101 exp 6 min ago":                       {map[string]any{"exp": now - 360}, "token_expired"},
		"IDT-7 exp overflows":                            {map[string]any{"exp": json.Number("1e300")}, "bad_claims"},
		"IDT-7 exp negative":                             {map[string]any{"exp": -1}, "bad_claims"},
		"IDT-13 dates with fractions":                    {map[string]any{"exp": float64(now) + 300.5, "iat": float64(now) - 0.25}, ok},
		"IDT-8 P101 no iat":                              {map[string]any{"iat": nil}, "bad_claims"},
		"IDT-8 P101 iat in an hour":                      {map[string]any{"iat": now + 3600}, "token_not_yet_valid"},
		"IDT-8 P101 iat in ten days":                     {map[string]any{"iat": now + 864000}, "token_not_yet_valid"},
		"IDT-8 iat in 59 s is within the leeway":         {map[string]any{"iat": now + 59}, ok},
		"IDT-8 P101 iat a week ago":                      {map[string]any{"iat": now - 7*86400}, "token_too_old"},
		"IDT-8 iat ten minutes ago":                      {map[string]any{"iat": now - 600}, ok},
		"IDT-13 P101 nbf in five minutes":                {map[string]any{"nbf": now + 300}, "token_not_yet_valid"},
		"IDT-13 nbf in the past":                         {map[string]any{"nbf": now - 300}, ok},
		"IDT-13 nbf is no number":                        {map[string]any{"nbf": "soon"}, "bad_claims"},
		"IDT-9 P102 no sub":                              {map[string]any{"sub": nil}, "bad_subject"},
		"IDT-9 P102 empty sub":                           {map[string]any{"sub": ""}, "bad_subject"},
		"IDT-9 P102 sub is a number":                     {map[string]any{"sub": 42}, "bad_subject"},
		"IDT-9 P102 sub is null":                         {map[string]any{"sub": json.RawMessage("null")}, "bad_subject"},
		"IDT-9 sub of 256 bytes":                         {map[string]any{"sub": long(256)}, "bad_subject"},
		"IDT-9 sub of 255 bytes":                         {map[string]any{"sub": long(255)}, ok},
		"IDT-9 sub not ASCII":                            {map[string]any{"sub": "älice"}, "bad_subject"},
		"IDT-9 sub with a line break":                    {map[string]any{"sub": "a\r\nX: y"}, "bad_subject"},
		"IDT-10 P096 other nonce":                        {map[string]any{"nonce": "M"}, "bad_nonce"},
		"IDT-10 P096 no nonce":                           {map[string]any{"nonce": nil}, "bad_nonce"},
		"IDT-10 P096 empty nonce":                        {map[string]any{"nonce": ""}, "bad_nonce"},
		"IDT-10 nonce is a list":                         {map[string]any{"nonce": []string{"N"}}, "bad_claims"},
		"IDT-12 P105 wrong at_hash in the code flow":     {map[string]any{"at_hash": "AAAAAAAAAAAAAAAAAAAAAA"}, "bad_at_hash"},
		"IDT-12 at_hash is a number":                     {map[string]any{"at_hash": 1}, "bad_at_hash"},
		"IDT-4 azp is a list":                            {map[string]any{"azp": []string{clientID}}, "bad_claims"},
		"IDT-8 iat is a text":                            {map[string]any{"iat": "now"}, "bad_claims"},
		"IDT-12 P105 empty at_hash":                      {map[string]any{"at_hash": ""}, "bad_at_hash"},
		"IDT-12 right at_hash":                           {map[string]any{"at_hash": halfSHA256("access-1")}, ok},
		"IDT-16 P104 claims of a logout token":           {map[string]any{"events": map[string]any{"http://schemas.openid.net/event/backchannel-logout": map[string]any{}}}, "bad_type"},
		"IDT-13 unknown claims are ignored":              {map[string]any{"x": map[string]any{"y": []int{1}}, "jti": "1"}, ok},
		"IDT-9 exact case: Sub is not sub":               {map[string]any{"sub": nil, "Sub": "mallory"}, "bad_subject"},
		"IDT-2 exact case: ISS beside iss does not harm": {map[string]any{"ISS": "https://evil.example"}, ok},
		"P059 a claim nested 33 deep":                    {map[string]any{"x": json.RawMessage(strings.Repeat("[", 40) + strings.Repeat("]", 40))}, "bad_claims"},
		"P059 a million characters":                      {map[string]any{"x": long(1 << 20)}, "malformed_token"},
		"P059 100000 groups":                             {map[string]any{"groups": make([]string, 100_000)}, "malformed_token"},
		"P059 21000 values":                              {map[string]any{"x": make([]int, 21_000)}, "bad_claims"},
	} {
		t.Run(name, func(t *testing.T) {
			who, err := c.Identify(t.Context(), response(r.idToken(row.change)), ordinary)
			if row.code == ok {
				if err != nil || who.Subject == "" || who.Issuer != r.url {
					t.Fatalf("refused: %v", err)
				}
				return
			}
			if who != nil {
				t.Error("an identity came with the error")
			}
			wants(t, err, provider.Misbehaved, row.code)
		})
	}
}

func halfSHA256(s string) string {
	sum := sha256.Sum256([]byte(s))
	return b64(sum[:16])
}

// TestIDTokenForm: each row is one token whose form or signature is wrong.
func TestIDTokenForm(t *testing.T) {
	r := newRogue(t)
	x := newRogue(t) // whoever is pointed to from a token must never be asked
	c := r.client()
	payload := must(json.Marshal(r.claims(nil)))
	good := r.sign(nil, payload)
	parts := strings.Split(good, ".")
	other := newKey()
	forged := &rogue{t: t, key: other}
	publicPEM := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: must(x509.MarshalPKIXPublicKey(&r.key.PublicKey))})
	for name, row := range map[string]struct{ token, code string }{
		"IDT-6 P097 JWK-4 alg none":                          {b64([]byte(`{"alg":"none"}`)) + "." + b64(payload) + ".", "bad_signature"},
		"IDT-6 P097 alg none with a signature":               {r.sign(map[string]any{"alg": "none"}, payload), "bad_alg"},
		"IDT-6 P097 alg None":                                {r.sign(map[string]any{"alg": "None"}, payload), "bad_alg"},
		"IDT-6 no alg":                                       {r.sign(map[string]any{"alg": nil}, payload), "bad_alg"},
		"IDT-6 alg is a list":                                {r.sign(map[string]any{"alg": []string{"ES256"}}, payload), "malformed_token"},
		"JWK-4 P097 HS256 with the public key":               {mac(publicPEM, payload), "bad_alg"},
		"JWK-4 P097 HS256 with the client secret, not asked": {mac([]byte("s3cret: +%/ü-and-at-least-32-bytes-long"), payload), "bad_alg"},
		"IDT-6 RS256 header over an EC signature":            {r.sign(map[string]any{"alg": "RS256"}, payload), "bad_signature"},
		"IDT-6 ES384 is not announced":                       {r.sign(map[string]any{"alg": "ES384"}, payload), "bad_alg"},
		"IDT-5 P098 another key":                             {forged.sign(nil, payload), "bad_signature"},
		"IDT-5 P098 one bit flipped":                         {parts[0] + "." + parts[1] + "." + flip(parts[2]), "bad_signature"},
		"IDT-5 P098 other claims under the signature":        {parts[0] + "." + b64(must(json.Marshal(r.claims(map[string]any{"sub": "root"})))) + "." + parts[2], "bad_signature"},
		"IDT-5 P098 empty signature":                         {parts[0] + "." + parts[1] + ".", "bad_signature"},
		"JWK-2 P098 unknown kid":                             {r.sign(map[string]any{"kid": "nobody"}, payload), "bad_signature"},
		"JWK-5 crit":                                         {r.sign(map[string]any{"crit": []string{"exp"}}, payload), "malformed_token"},
		"JWK-5 P119 embedded jwk":                            {forged.sign(map[string]any{"jwk": jwk(&other.PublicKey, "k1", "ES256")}, payload), "malformed_token"},
		"JWK-5 P119 jku":                                     {forged.sign(map[string]any{"jku": x.url + "/keys"}, payload), "malformed_token"},
		"JWK-5 P119 x5u":                                     {forged.sign(map[string]any{"x5u": x.url + "/keys"}, payload), "malformed_token"},
		"JWK-5 P119 x5c":                                     {forged.sign(map[string]any{"x5c": []string{b64([]byte("not a certificate"))}}, payload), "malformed_token"},
		"IDT-16 P104 typ at+jwt":                             {r.sign(map[string]any{"typ": "at+jwt"}, payload), "bad_type"},
		"IDT-16 P104 typ application/at+jwt":                 {r.sign(map[string]any{"typ": "application/at+jwt"}, payload), "bad_type"},
		"IDT-16 P104 typ logout+jwt":                         {r.sign(map[string]any{"typ": "logout+jwt"}, payload), "bad_type"},
		"IDT-16 P104 typ dpop+jwt":                           {r.sign(map[string]any{"typ": "dpop+jwt"}, payload), "bad_type"},
		"P122 kid is a path":                                 {r.sign(map[string]any{"kid": "../../etc/passwd"}, payload), "bad_signature"},
		"P122 kid is SQL":                                    {r.sign(map[string]any{"kid": "k1' OR 1"}, payload), "bad_signature"},
		"P122 kid of 64 kB":                                  {r.sign(map[string]any{"kid": long(64 << 10)}, payload), "malformed_token"},
		"P122 kid of 2 kB":                                   {r.sign(map[string]any{"kid": long(2 << 10)}, payload), "malformed_token"},
		"P125 a header of 9 kB":                              {r.sign(map[string]any{"x": long(9 << 10)}, payload), "malformed_token"},
		"P122 kid is a number":                               {r.sign(map[string]any{"kid": 1}, payload), "malformed_token"},
		"IDT-1 P124 a JWE":                                   {b64([]byte(`{"alg":"PBES2-HS256+A128KW","enc":"A128GCM","p2c":1000000000,"zip":"DEF"}`)) + ".a.b.c.d", "malformed_token"},
		"P124 zip":                                           {r.sign(map[string]any{"zip": "DEF"}, payload), "malformed_token"},
		"P125 a megabyte":                                    {long(1 << 20), "malformed_token"},
		"P125 a million dots":                                {strings.Repeat(".", 1_000_000), "malformed_token"},
		"P125 many dots":                                     {strings.Repeat(".", 1000), "malformed_token"},
		"JSON serialization":                                 {`{"payload":"` + parts[1] + `","protected":"` + parts[0] + `","signature":"` + parts[2] + `"}`, "malformed_token"},
		"padding":                                            {parts[0] + "==." + parts[1] + "." + parts[2], "malformed_token"},
		"a line break":                                       {parts[0] + "." + parts[1][:4] + "\n" + parts[1][4:] + "." + parts[2], "malformed_token"},
		"a space before":                                     {" " + good, "malformed_token"},
		"P125 the signature, spelt in another way":           {parts[0] + "." + parts[1] + "." + respelt(parts[2]), "bad_signature"},
		"empty parts":                                        {"..", "bad_signature"},
		"duplicate member of the header":                     {b64([]byte(`{"alg":"ES256","kid":"k1","alg":"none"}`)) + "." + parts[1] + "." + parts[2], "malformed_token"},
		"duplicate claim":                                    {r.sign(nil, []byte(`{"sub":"mallory",`+string(payload[1:]))), "bad_claims"},
		"duplicate claim, escaped":                           {r.sign(nil, []byte(`{"s\u0075b":"mallory",`+string(payload[1:]))), "bad_claims"},
		"claims are an array":                                {r.sign(nil, []byte(`[1]`)), "bad_claims"},
		"claims are null":                                    {r.sign(nil, []byte(`null`)), "bad_claims"},
		"claims are two objects":                             {r.sign(nil, append(payload, payload...)), "bad_claims"},
		"claims are not UTF-8":                               {r.sign(nil, []byte("{\"sub\":\"\xff\"}")), "bad_claims"},
	} {
		t.Run(name, func(t *testing.T) {
			start := time.Now()
			who, err := c.Identify(t.Context(), response(row.token), ordinary)
			if who != nil {
				t.Fatal("it was believed")
			}
			e := wants(t, err, provider.Misbehaved, row.code)
			if len(e.Error()) > 1000 {
				t.Errorf("the error has %d bytes", len(e.Error()))
			}
			if d := time.Since(start); d > 500*time.Millisecond {
				t.Errorf("it took %v to say no", d)
			}
		})
	}
	for _, name := range []string{"/keys", "/.well-known/openid-configuration"} {
		if x.count(name) != 0 {
			t.Errorf("P119: the stranger was asked for %s", name)
		}
	}
	if _, err := c.Identify(t.Context(), response(good), ordinary); err != nil {
		t.Fatalf("the unchanged token was refused: %v", err)
	}
	if _, err := c.Identify(t.Context(), response(r.sign(map[string]any{"typ": nil, "kid": nil, "x5t": "abc"}, payload)), ordinary); err != nil {
		t.Fatalf("a token without typ and kid was refused: %v", err)
	}
}

// respelt changes only bits that the decoder throws away.
func respelt(s string) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	last := strings.IndexByte(alphabet, s[len(s)-1])
	return s[:len(s)-1] + string(alphabet[last^1])
}

func flip(signature string) string {
	c := byte('A')
	if signature[10] == c {
		c = 'B'
	}
	return signature[:10] + string(c) + signature[11:]
}

// mac signs with HS256.
func mac(key, payload []byte) string {
	input := b64([]byte(`{"alg":"HS256","typ":"JWT"}`)) + "." + b64(payload)
	h := hmac.New(sha256.New, key)
	h.Write([]byte(input))
	return input + "." + b64(h.Sum(nil))
}

func TestHS256OnlyIfConfigured(t *testing.T) {
	r := newRogue(t)
	c := r.client(conf(func(c *provider.Config) { c.SigningAlgs = []string{"HS256"} }))
	payload := must(json.Marshal(r.claims(nil)))
	if _, err := c.Identify(t.Context(), response(mac([]byte("s3cret: +%/ü-and-at-least-32-bytes-long"), payload)), ordinary); err != nil {
		t.Fatalf("JWK-4: %v", err)
	}
	_, err := c.Identify(t.Context(), response(mac([]byte("another key that is long enough, by far"), payload)), ordinary)
	wants(t, err, provider.Misbehaved, "bad_signature")
	_, err = c.Identify(t.Context(), response(r.idToken(nil)), ordinary)
	wants(t, err, provider.Misbehaved, "bad_alg") // IDT-6: only what is configured
	if r.count("/keys") != 0 {
		t.Error("keys were fetched for nothing")
	}
}

func TestJWK4AShortPreviousSecretIsNoKey(t *testing.T) {
	r := newRogue(t)
	c := r.client(conf(func(c *provider.Config) { c.SigningAlgs, c.PreviousSecret = []string{"HS256"}, secret.New("short") }))
	_, err := c.Identify(t.Context(), response(mac([]byte("short"), must(json.Marshal(r.claims(nil))))), ordinary)
	wants(t, err, provider.Misbehaved, "bad_signature")
	c = r.client(conf(func(c *provider.Config) {
		c.SigningAlgs, c.PreviousSecret = []string{"HS256"}, secret.New("the secret of before, long enough too")
	}))
	if _, err := c.Identify(t.Context(), response(mac([]byte("the secret of before, long enough too"), must(json.Marshal(r.claims(nil))))), ordinary); err != nil {
		t.Errorf("CA-8: %v", err)
	}
}

func TestIDTokenFitsTheLogin(t *testing.T) {
	r := newRogue(t)
	c := r.client()
	with := func(change func(*provider.Expect)) provider.Expect {
		e := ordinary
		change(&e)
		return e
	}
	code := secret.New("the-code")
	now := r.now().Unix()
	for name, row := range map[string]struct {
		change map[string]any
		expect provider.Expect
		code   string
	}{
		"IDT-10 neither nonce nor its absence expected": {nil, provider.Expect{}, "bad_nonce"},
		"IDT-10 none was sent, one came":                {nil, provider.Expect{NoNonce: true}, "bad_nonce"},
		"IDT-10 none was sent, none came":               {map[string]any{"nonce": nil}, provider.Expect{NoNonce: true}, ""},
		"P105 no c_hash in hybrid":                      {nil, with(func(e *provider.Expect) { e.Code = code }), "bad_c_hash"},
		"P105 wrong c_hash in hybrid":                   {map[string]any{"c_hash": halfSHA256("other")}, with(func(e *provider.Expect) { e.Code = code }), "bad_c_hash"},
		"P105 right c_hash in hybrid":                   {map[string]any{"c_hash": halfSHA256("the-code")}, with(func(e *provider.Expect) { e.Code = code }), ""},
		"IDT-12 no at_hash in the front channel":        {nil, with(func(e *provider.Expect) { e.FrontChannel = true }), "bad_at_hash"},
		"IDT-12 right at_hash in the front channel":     {map[string]any{"at_hash": halfSHA256("access-1")}, with(func(e *provider.Expect) { e.FrontChannel = true }), ""},
		"IDT-11 max_age satisfied":                      {nil, with(func(e *provider.Expect) { e.MaxAge = time.Minute }), ""},
		"IDT-11 max_age exceeded":                       {map[string]any{"auth_time": now - 200}, with(func(e *provider.Expect) { e.MaxAge = time.Minute }), "bad_auth_time"},
		"IDT-11 no auth_time":                           {map[string]any{"auth_time": nil}, with(func(e *provider.Expect) { e.MaxAge = time.Minute }), "bad_auth_time"},
		"IDT-11 auth_time in the future":                {map[string]any{"auth_time": now + 3600}, with(func(e *provider.Expect) { e.MaxAge = time.Minute }), "bad_auth_time"},
		"IDT-11 acr satisfied":                          {nil, with(func(e *provider.Expect) { e.ACR = []string{"2", "1"} }), ""},
		"IDT-11 acr not satisfied":                      {nil, with(func(e *provider.Expect) { e.ACR = []string{"2"} }), "bad_acr"},
		"IMP-7 another subject":                         {nil, with(func(e *provider.Expect) { e.Same = &identity.Identity{Issuer: r.url, Subject: "bob"} }), "bad_subject"},
		"IMP-7 another issuer":                          {nil, with(func(e *provider.Expect) { e.Same = &identity.Identity{Issuer: "https://x", Subject: "alice"} }), "bad_issuer"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := c.Identify(t.Context(), response(r.idToken(row.change)), row.expect)
			if row.code == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			wants(t, err, provider.Misbehaved, row.code)
		})
	}
	_, err := c.Identify(t.Context(), response(""), ordinary) // TOK-5
	wants(t, err, provider.Misbehaved, "id_token_missing")
	_, err = c.Identify(t.Context(), nil, ordinary)
	wants(t, err, provider.Misbehaved, "id_token_missing")
}

func TestEmailIsVerifiedOnlyByTheWordTrue(t *testing.T) {
	r := newRogue(t)
	for raw, want := range map[string]bool{`true`: true, `"true"`: true, `false`: false, `"false"`: false, `1`: false, `"True"`: false, `null`: false, `[true]`: false} {
		who, err := r.client().Identify(t.Context(), response(r.idToken(map[string]any{"email": "a@b.c", "email_verified": json.RawMessage(raw)})), ordinary)
		if err != nil || who.EmailVerified != want {
			t.Errorf("IDT-14 %s: %v %v", raw, who, err)
		}
	}
	c := r.client(conf(func(c *provider.Config) { c.InsecureUnverifiedEmail = true }))
	for email, want := range map[string]bool{"a@b.c": true, "": false, "a@b.c\r\nX-Admin: yes": false} {
		who, err := c.Identify(t.Context(), response(r.idToken(map[string]any{"email": email})), ordinary)
		if err != nil || who.EmailVerified != want || strings.ContainsAny(who.Email, "\r\n") {
			t.Errorf("%q: %v %v", email, who, err)
		}
	}
}

func TestGroupsComeFromAnyPath(t *testing.T) {
	r := newRogue(t)
	c := r.client(conf(func(c *provider.Config) { c.GroupsClaim = "realm_access.roles" }))
	who, err := c.Identify(t.Context(), response(r.idToken(map[string]any{"realm_access": map[string]any{"roles": []string{"admin"}}, "groups": []string{"x"}})), ordinary)
	if err != nil || fmt.Sprint(who.Groups) != "[admin]" {
		t.Fatalf("%v %v", who, err)
	}
	if who, err = r.client().Identify(t.Context(), response(r.idToken(map[string]any{"groups": "only"})), ordinary); err != nil || fmt.Sprint(who.Groups) != "[only]" {
		t.Fatalf("%v %v", who, err)
	}
}

func TestWrongClocksAreNamed(t *testing.T) {
	r := newRogue(t)
	behind := func(c *provider.Config, d *provider.Deps) {
		d.Now = func() time.Time { return r.now().Add(-94 * time.Second) }
	}
	c := r.client(behind)
	_, err := c.Identify(t.Context(), response(r.idToken(nil)), ordinary)
	e := wants(t, err, provider.Misbehaved, "token_not_yet_valid")
	if !strings.Contains(e.Detail, "your clock is 94 s behind the provider's") {
		t.Errorf("R21: %s", e.Detail)
	}
	r.on("/.well-known/openid-configuration", func(w http.ResponseWriter, q *http.Request) {
		w.Header().Set("Age", "300")
		r.on("/.well-known/openid-configuration", nil)
		r.serve(w, q)
	})
	_, err = r.client(func(c *provider.Config, d *provider.Deps) {
		d.Now = func() time.Time { return r.now().Add(time.Hour) }
	}).Identify(t.Context(), response(r.idToken(nil)), ordinary)
	if e := wants(t, err, provider.Misbehaved, "token_expired"); !strings.Contains(e.Detail, "ahead") {
		t.Errorf("R21: %s", e.Detail)
	}
}
