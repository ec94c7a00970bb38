package provider

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/identity"
	"github.com/doorward/doorward/internal/secret"
)

// fuzzed is a client that never reaches anybody.
func fuzzed(issuer string) *Client {
	c, err := New(Config{
		Name: "corp", Issuer: issuer, ClientID: "doorward", ClientSecret: secret.New("s3cret"),
		Endpoints: Endpoints{Token: "https://sso.example.com/t", JWKS: "https://sso.example.com/k", Introspection: "https://sso.example.com/i"},
	}, Deps{Now: func() time.Time { return time.Unix(1_800_000_000, 0) }})
	if err != nil {
		panic(err)
	}
	return c
}

// FuzzExchangeAnswer: whatever passes is the type of token that was asked for, of the same person, and usable as a header;
// nothing that went out comes back in an error.
func FuzzExchangeAnswer(f *testing.F) {
	for _, s := range []string{
		`{"access_token":"T","token_type":"Bearer","issued_token_type":"urn:ietf:params:oauth:token-type:access_token","expires_in":60}`,
		`{"access_token":"e30.eyJpc3MiOiJodHRwczovL3Nzby5leGFtcGxlLmNvbSIsInN1YiI6ImJvYiIsImF1ZCI6Im9yZGVycyJ9.x","token_type":"bearer","issued_token_type":"urn:ietf:params:oauth:token-type:access_token"}`,
		`{"access_token":"T","token_type":"N_A","issued_token_type":"urn:ietf:params:oauth:token-type:id_token"}`, `{"access_token":"T","token_type":"N_A"}`,
		`{"error":"invalid_request","error_description":"subject-canary expired"}`, `{"error":"invalid_grant","claims":"{\"a\":1}"}`, `{"error":"access_denied","error_description":"Client is not within the token audience"}`,
		`{"error":"interaction_required","claims":"x"}`, `[]`, ``, `{"error":"subject-canary"}`,
	} {
		f.Add(200, s, "")
		f.Add(400, s, TypeIDToken)
	}
	c := fuzzed("https://sso.example.com")
	same := &identity.Identity{Issuer: "https://sso.example.com", Subject: "alice"}
	f.Fuzz(func(t *testing.T, status int, body, requested string) {
		for _, grant := range []string{GrantTokenExchange, GrantJWTBearer} {
			form := url.Values{"grant_type": {grant}, "subject_token": {"subject-canary"}, "audience": {"orders"}}
			k := call{form: form, judge: func(e *Error, o object) *Error { return c.advised(e, o, form) }}
			a := &answer{status: status, header: http.Header{}, media: "application/json", body: []byte(body)}
			r, err := parseTokenResponse(a, c.now(), c.sent(form), nil)
			if err == nil && grant == GrantTokenExchange {
				if err = checkIssued(r, requested); err == nil {
					err = c.checkTraded(r, form, same)
				}
			} else if err != nil {
				err = k.judged(err, a)
			}
			if err != nil {
				told(t, err)
				e, ok := err.(*Error)
				if !ok || strings.Contains(strings.ToLower(err.Error()), "subject-canary") {
					t.Fatalf("%T %v", err, err)
				}
				if e.Claims != "" && (e.Code != "interaction_required" || len(e.Claims) > maxChallenge || e.Kind != Refused) {
					t.Fatalf("%d bytes of claims with %s", len(e.Claims), e.Code)
				}
				continue
			}
			if !printable(r.AccessToken.Reveal()) {
				t.Fatal("no token")
			}
			if grant != GrantTokenExchange {
				continue
			}
			want := requested
			if want == "" {
				want = TypeAccessToken
			}
			if r.IssuedTokenType != want || want == TypeAccessToken && r.TokenType != "Bearer" {
				t.Fatalf("%s %s, want %s", r.IssuedTokenType, r.TokenType, want)
			}
			if claims, ok := readClaims(r.AccessToken.Reveal()); ok && claims.text("iss") == same.Issuer && claims.text("sub") != "" && claims.text("sub") != "alice" {
				t.Fatalf("a token of %q", claims.text("sub"))
			}
		}
	})
}

// FuzzIntrospection: whoever passes is named, alive, and for us.
func FuzzIntrospection(f *testing.F) {
	for _, s := range []string{
		`{"active":true,"sub":"alice","aud":"orders","exp":1800000060}`, `{"active":"true","sub":"alice","aud":"orders"}`, `{"active":true,"aud":["orders"],"client_id":"spa"}`, `{"active":false}`, `{}`, `[]`, `null`,
		`{"active":true,"active":false}`, `{"active":true,"sub":"","aud":"orders"}`, `{"active":true,"sub":"a","aud":"orders","exp":1e300}`, `{"active":true,"sub":"a","aud":"orders","token_type":"refresh_token"}`,
		`{"active":true,"sub":"a","aud":"orders","iss":"https://sso.example.com","username":"\u202e","scope":7,"cnf":null}`, `{"active": true ,"sub":"a","aud":"orders","nbf":9e9}`,
	} {
		f.Add(s)
	}
	c, e := fuzzed("https://sso.example.com"), AccessExpect{Audience: []string{"orders"}}
	f.Fuzz(func(t *testing.T, body string) {
		a := &answer{status: http.StatusOK, header: http.Header{}, media: "application/json", body: []byte(body)}
		o, err := a.granted("the introspection endpoint", c.now(), []string{"token-canary"}, nil)
		if err != nil {
			told(t, unjudged(ours(err)))
			return
		}
		who, err := c.introspected(o, secret.New("token-canary"), e)
		if err != nil {
			told(t, err)
			if x, ok := err.(*Error); !ok || x.Kind != Misbehaved || who != nil {
				t.Fatalf("%T %v", err, err)
			}
			return
		}
		if who.Subject == "" || len(who.Subject) > 255 || who.Issuer != c.conf.Issuer || who.Claims == nil || who.Username != attribute(who.Username) {
			t.Fatalf("%+v", who)
		}
		if !who.Ends.IsZero() && !c.now().Before(who.Ends.Add(c.conf.ClockSkew)) || string(o["active"]) != "true" || o.has("cnf") {
			t.Fatalf("%s ended", body)
		}
	})
}

// FuzzProof: what passes was signed by the key that it names, for this request, now.
func FuzzProof(f *testing.F) {
	const head = `{"typ":"dpop+jwt","alg":"ES256","jwk":{"kty":"EC","crv":"P-256","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4","y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"}}`
	part := base64.RawURLEncoding.EncodeToString
	for _, s := range []string{
		"", "a.b.c", part([]byte(head)) + "." + part([]byte(`{"jti":"J","htm":"GET","htu":"https://api.example/","iat":1800000000}`)) + "." + part(make([]byte, 64)),
		part([]byte(`{"typ":"dpop+jwt","alg":"none","jwk":{}}`)) + ".e30.", part([]byte(`{"typ":"dpop+jwt","alg":"HS256","jwk":{"kty":"oct","k":"AA"}}`)) + ".e30.AA", part([]byte(head)) + ".e30.AA", "..", strings.Repeat(".", 100),
	} {
		f.Add(s, "https://api.example/")
	}
	now := time.Unix(1_800_000_000, 0)
	f.Fuzz(func(t *testing.T, raw, target string) {
		r, err := VerifyProof(raw, ProofExpect{Method: "GET", URL: target, AccessToken: "T", Now: now})
		if err != nil {
			told(t, err)
			if e, ok := err.(*Error); !ok || e.Kind != Misbehaved || e.Code != "invalid_dpop_proof" || r != (ProofResult{}) {
				t.Fatalf("%T %v", err, err)
			}
			return
		}
		sum := sha256.Sum256([]byte("T"))
		p, err := parseProof(raw)
		if err != nil || len(raw) > maxProof || r.JTI == "" || len(r.JTI) > maxProofJTI || len(r.Thumbprint) != 43 || p.claims.text("ath") != part(sum[:]) || !r.Ends.After(now) {
			t.Fatalf("%+v %v", r, err)
		}
	})
}

// FuzzNormalTarget: the normal form is normal, and all that it drops is query, fragment and spelling.
func FuzzNormalTarget(f *testing.F) {
	for _, s := range []string{"https://api.example", "HTTPS://API.example:443/%7ea%2f?x#y", "http://[::1]:80/", "https://a@b/", "https:a", "//a", "https://a/%zz", "https://a/%", "http://a:080/", "https://ü.example/ü"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		once, ok := normalTarget(raw)
		if !ok {
			return
		}
		if twice, ok := normalTarget(once); !ok || twice != once {
			t.Fatalf("%q becomes %q becomes %q", raw, once, twice)
		}
		if with, ok := normalTarget(once + "?x=%41#y"); !ok || with != once {
			t.Fatalf("the query of %q counts: %q", once, with)
		}
		if !strings.HasPrefix(once, "https://") && !strings.HasPrefix(once, "http://") || strings.ContainsAny(once, "?# ") {
			t.Fatalf("%q", once)
		}
	})
}

// FuzzIssuerOf: an issuer comes from a JWT only, and is the one that validate would see.
func FuzzIssuerOf(f *testing.F) {
	for _, s := range []string{
		"", "opaque", "a.b.c", "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJodHRwczovL3Nzby5leGFtcGxlLmNvbSJ9.AAAA", "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJhIiwiaXNzIjoiYiJ9.AAAA",
		"eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOjF9.AAAA", "eyJhbGciOiJub25lIn0.eyJJU1MiOiJhIn0.", "e30.eyJpc3MiOiJhIn0.x", "....", "eyJhbGciOiJFUzI1NiJ9.!.AAAA",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		issuer, ok := IssuerOf(raw)
		if !ok && issuer != "" {
			t.Fatalf("%q of no JWT", issuer)
		}
		p, err := parseJWT(raw)
		if err == nil && p.alg != "" {
			if iss, err := p.str("iss"); err == nil && (!ok || iss != issuer) {
				t.Fatalf("%q, but validate sees %q", issuer, iss)
			}
		}
	})
}
