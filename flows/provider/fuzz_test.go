package provider

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"
)

// FuzzParseObject: what is read is an object with each member once, and both decoders agree.
func FuzzParseObject(f *testing.F) {
	for _, s := range []string{`{}`, `{"a":1,"a":2}`, `{"s\u0075b":1,"sub":2}`, `{"a":[{"b":null}]}`, `null`, "{}\n{}", `{"\ud800":"\udfff"}`, strings.Repeat(`{"a":`, 40)} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		o, err := parseObject(b)
		if err != nil {
			if o != nil {
				t.Fatal("an object came with the error")
			}
			return
		}
		var loose map[string]any
		if err := json.Unmarshal(b, &loose); err != nil || len(loose) != len(o) {
			t.Fatalf("%d members, of %d; %v", len(o), len(loose), err)
		}
		again, err := o.marshal()
		if err != nil {
			t.Fatal(err)
		}
		if o2, err := parseObject(again); err != nil || len(o2) != len(o) {
			t.Fatalf("what was read cannot be read again: %v", err)
		}
		for name := range o {
			_, _ = o.str(name)
			_, _ = o.boolean(name)
			_, _ = o.strings(name, true)
			_ = o.text(name)
			if n, ok, err := o.number(name, true); ok && (err != nil || n != n) {
				t.Fatal("a number that is none")
			}
			if at, ok, _ := o.date(name); ok && (at.Year() < 1970 || at.Year() > 9999) {
				t.Fatalf("date %v", at)
			}
		}
	})
}

// FuzzParseJWT: whatever passes has three parts, spelt in one way only, and a header that
// points nowhere.
func FuzzParseJWT(f *testing.F) {
	for _, s := range []string{
		"", "..", "a.b.c", "a.b.c.d.e", "eyJhbGciOiJub25lIn0.e30.", "eyJhbGciOiJFUzI1NiIsImtpZCI6ImsxIiwidHlwIjoiSldUIn0.eyJzdWIiOiJhIn0.AAAA",
		"eyJhbGciOiJFUzI1NiIsImp3ayI6e319.e30.AAAA", "eyJhbGciOiJFUzI1NiJ9.eyJhIjoxLCJhIjoyfQ.AAAA", "eyJhbGciOiJFUzI1NiJ9.e31.AAAA",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		p, err := parseJWT(raw)
		if err != nil {
			if e, ok := err.(*Error); !ok || e.Kind != Misbehaved || len(e.Error()) > 1000 {
				t.Fatalf("%T %v", err, err)
			}
			return
		}
		if len(raw) > maxToken || strings.Count(raw, ".") != 2 || strings.HasSuffix(raw, ".") || strings.ContainsAny(raw, "=\r\n ") || p.claims == nil {
			t.Fatalf("%q passes", raw)
		}
		var header map[string]any
		b, err := part(raw[:strings.IndexByte(raw, '.')])
		if err != nil || json.Unmarshal(b, &header) != nil {
			t.Fatalf("%q passes", b)
		}
		for _, name := range []string{"crit", "jwk", "jku", "x5u", "zip", "enc", "b64"} {
			if _, there := header[name]; there {
				t.Fatalf("%s passes", name)
			}
		}
		_, _ = p.audience()
		_, _ = p.str("iss")
		_ = checkSubject(p)
	})
}

// FuzzKeys: every key that is kept is strong and public, and fits no algorithm that is not ours.
func FuzzKeys(f *testing.F) {
	for _, s := range []string{
		`{"keys":[]}`, `{"keys":{}}`, `{"keys":[null,1,"x",[],{}]}`, `{}`, `[]`, `{"keys":[{"kty":"oct","k":"AA"}]}`,
		`{"keys":[{"kty":"EC","crv":"P-256","kid":"a","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4","y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"}]}`,
		`{"keys":[{"kty":"EC","crv":"P-256","x":"AA","y":"AA"}]}`, `{"keys":[{"kty":"RSA","n":"AQAB","e":"AQAB"}]}`, `{"keys":[{"kty":"RSA","n":"","e":""}]}`,
		`{"keys":[{"kty":"OKP","crv":"Ed25519","alg":"EdDSA","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		set, err := parseKeys(b)
		if err != nil {
			return
		}
		if len(set.keys) > maxKeys {
			t.Fatalf("%d keys", len(set.keys))
		}
		for _, k := range set.keys {
			if err := strong(k.key); err != nil {
				t.Fatal(err)
			}
			for _, alg := range []string{"none", "HS256", "HS512", "XX"} {
				if k.fits(alg) {
					t.Fatalf("%T fits %s", k.key, alg)
				}
			}
			if keys, known := set.candidates(k.kid, "ES256"); known && len(keys) == 0 {
				t.Fatal("known, but not there")
			}
		}
	})
}

// FuzzDiscovery: no document makes us use an endpoint that we may not call.
func FuzzDiscovery(f *testing.F) {
	for _, s := range []string{
		`{"issuer":"https://sso.example.com"}`, `{"issuer":"https://sso.example.com","token_endpoint":"https://sso.example.com/t","scopes_supported":["openid"]}`,
		`{"issuer":"https://sso.example.com","jwks_uri":"http://169.254.169.254/"}`, `{"issuer":"https://sso.example.com","authorization_endpoint":"javascript:alert(1)"}`,
		`{"issuer":"https://sso.example.com","mtls_endpoint_aliases":{"token_endpoint":"https://mtls.example.com/t"}}`, `{"issuer":["https://sso.example.com"]}`,
		`{"issuer":"https://sso.example.com","token_endpoint":"https://[::1]/t"}`, `{"issuer":"https://sso.example.com","mtls_endpoint_aliases":[]}`,
	} {
		f.Add([]byte(s))
	}
	conf := Config{Issuer: "https://sso.example.com"}
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := parseMetadata(&conf, b)
		if err != nil {
			if m != nil || len(err.Error()) > 4000 {
				t.Fatalf("%d bytes of error", len(err.Error()))
			}
			return
		}
		for _, p := range endpoints() {
			for _, of := range []*Endpoints{&m.Endpoints, &m.mtls} {
				if u := *p.of(of); u != "" && (!strings.HasPrefix(strings.ToLower(u), "https://") || strings.ContainsAny(u, "\r\n \\#") || loopback(u)) {
					t.Fatalf("%s is %q", p.name, u)
				}
			}
		}
	})
}

// FuzzTokenResponse: what is taken from an answer of the token endpoint can be put into a
// header, and what is refused does not come back in the error.
func FuzzTokenResponse(f *testing.F) {
	for _, s := range []string{
		`{"access_token":"A","token_type":"Bearer","expires_in":300}`, `{"access_token":"A\n","token_type":"bearer"}`, `{"error":"invalid_grant","error_description":"secret-canary"}`,
		`{"access_token":"a.e30.c","token_type":"N_A","issued_token_type":"x","expires_in":"1e9"}`, `{"error":{}}`, `<html>`, ``, `{"access_token":"A","token_type":"Bearer","refresh_expires_in":-1}`,
	} {
		f.Add(200, "application/json", []byte(s))
		f.Add(400, "", []byte(s))
	}
	now := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, status int, media string, body []byte) {
		if len(body) > maxBody {
			return
		}
		a := &answer{status: status, header: http.Header{}, media: media, body: body}
		r, err := parseTokenResponse(a, now, []string{"secret-canary"}, nil)
		if err != nil {
			e, ok := err.(*Error)
			if !ok || r != nil || strings.Contains(e.Error(), "secret-canary") || len(e.Error()) > 2000 || bytes.ContainsAny([]byte(e.Error()), "\r\n\x1b") {
				t.Fatalf("%T %q", err, err)
			}
			return
		}
		if status != http.StatusOK || !printable(r.AccessToken.Reveal()) {
			t.Fatal("it passes")
		}
		for _, s := range []string{r.RefreshToken.Reveal(), r.IDToken.Reveal()} {
			if s != "" && !printable(s) {
				t.Fatalf("%q passes", s)
			}
		}
		if !r.Expiry.IsZero() && (r.Expiry.Year() < 1970 || r.Expiry.Year() > 9999) {
			t.Fatalf("expiry %v", r.Expiry)
		}
	})
}
