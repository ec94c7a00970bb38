package provider

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestEndpointRules: each row is one URL named by whoever the columns say.
func TestEndpointRules(t *testing.T) {
	const remote, near = false, true
	for name, row := range map[string]struct {
		url     string
		browser bool
		near    bool
		ok      bool
	}{
		"https":                                {"https://sso.example.com/token", false, remote, true},
		"https with a port":                    {"https://sso.example.com:8443/token", false, remote, true},
		"https with a query":                   {"https://sso.example.com/authorize?tenant=7", true, remote, true},
		"an inner address":                     {"https://10.1.2.3/token", false, remote, true},
		"another host than the issuer's":       {"https://api.example.net/token", false, remote, true},
		"P109 plain http":                      {"http://sso.example.com/token", false, remote, false},
		"P109 plain http for the browser":      {"http://sso.example.com/authorize", true, remote, false},
		"P109 plain http even from the config": {"http://sso.example.com/token", false, near, false},
		"P109 the metadata address":            {"https://169.254.169.254/latest", false, remote, false},
		"P109 the metadata address, mapped":    {"https://[::ffff:169.254.169.254]/latest", false, remote, false},
		"P109 link-local":                      {"https://[fe80::1]/token", false, remote, false},
		"P109 multicast":                       {"https://224.0.0.1/token", false, remote, false},
		"P109 unspecified":                     {"https://0.0.0.0/token", false, remote, false},
		"P109 unspecified, IPv6":               {"https://[::]/token", false, remote, false},
		"P109 loopback of a remote issuer":     {"https://127.0.0.1/token", false, remote, false},
		"P109 loopback, mapped":                {"https://[::ffff:127.0.0.1]/token", false, remote, false},
		"P109 loopback, IPv6":                  {"https://[::1]:8443/token", false, remote, false},
		"P109 localhost":                       {"https://localhost/token", false, remote, false},
		"P109 LOCALHOST":                       {"https://LOCALHOST/token", false, remote, false},
		"P109 localhost with a dot":            {"https://localhost./token", false, remote, false},
		"P109 a name below localhost":          {"https://x.localhost/token", false, remote, false},
		"P109 localhost for the browser":       {"https://localhost/authorize", true, remote, false},
		"loopback of a loopback issuer":        {"http://127.0.0.1:8080/token", false, near, true},
		"localhost of a loopback issuer":       {"http://localhost:8080/token", false, near, true},
		"P109 javascript:":                     {"javascript:alert(1)", true, near, false},
		"P109 javascript: with a host":         {"javascript://x/%0aalert(1)", true, near, false},
		"P109 data:":                           {"data:text/html,x", true, near, false},
		"P109 file:":                           {"file:///etc/passwd", false, near, false},
		"P109 file: with a host":               {"file://localhost/etc/passwd", false, near, false},
		"P109 a custom scheme":                 {"app://x/y", true, near, false},
		"P109 opaque":                          {"https:evil.example/token", false, near, false},
		"P109 relative":                        {"/token", false, near, false},
		"P109 without a scheme":                {"//evil.example/token", false, near, false},
		"P109 no host":                         {"https:///token", false, near, false},
		"P109 only a port":                     {"https://:443/token", false, near, false},
		"P109 empty":                           {"", false, near, false},
		"P109 a user":                          {"https://canary:pw@sso.example.com/", false, near, false},
		"P109 an empty user":                   {"https://@sso.example.com/", false, near, false},
		"P109 a fragment":                      {"https://sso.example.com/#canary", false, near, false},
		"P109 an empty fragment":               {"https://sso.example.com/#", false, near, false},
		"P109 a line break":                    {"https://sso.example.com/\r\nX: y", false, near, false},
		"P109 a space":                         {"https://sso.example.com/a b", false, near, false},
		"P109 a backslash":                     {"https://sso.example.com\\@evil.example/", false, near, false},
		"P109 not ASCII":                       {"https://sso.exämple.com/", false, near, false},
		"P109 a bad escape":                    {"https://sso.example.com/%zz", false, near, false},
		"P109 very long":                       {"https://sso.example.com/" + strings.Repeat("x", 2048), false, near, false},
		"P109 a bad port":                      {"https://sso.example.com:port/", false, near, false},
	} {
		t.Run(name, func(t *testing.T) {
			err := checkEndpoint(row.url, row.browser, row.near)
			if row.ok != (err == nil) {
				t.Fatalf("%s: %v", row.url, err)
			}
			if err != nil && (strings.Contains(err.Error(), "canary") || strings.ContainsAny(err.Error(), "\r\n") || len(err.Error()) > 300) {
				t.Errorf("S10: %v", err)
			}
		})
	}
}

// TestP109OddAddressesBehindANameAreRefused: the address is judged after the name was resolved.
func TestP109OddAddressesBehindANameAreRefused(t *testing.T) {
	check := refuseOddAddresses("sso.example.com")
	for address, ok := range map[string]bool{
		"93.184.216.34:443": true, "10.0.0.1:443": true, "127.0.0.1:80": true, "[2001:db8::1]:443": true,
		"169.254.169.254:80": false, "[fe80::1%eth0]:443": false, "[::ffff:169.254.169.254]:80": false, "0.0.0.0:80": false, "[::]:80": false, "224.0.0.1:80": false, "sso.example.com:443": false,
	} {
		if err := check("tcp", address, nil); ok != (err == nil) {
			t.Errorf("%s: %v", address, err)
		}
	}
	if err := refuseOddAddresses("169.254.10.1")("tcp", "169.254.10.1:443", nil); err != nil {
		t.Errorf("the operator named it: %v", err)
	}
	if err := refuseOddAddresses("169.254.10.1")("tcp", "169.254.169.254:443", nil); err == nil {
		t.Error("an issuer there opens no other address")
	}
}

func TestDIS5CacheControlWithinReason(t *testing.T) {
	for header, want := range map[string]time.Duration{
		"": time.Hour, "public": time.Hour, "max-age=600": 10 * time.Minute, "public, MAX-AGE=\"600\"": 10 * time.Minute, "max-age=0": 5 * time.Minute, "max-age=1": 5 * time.Minute,
		"max-age=999999": time.Hour, "max-age=99999999999999999999": time.Hour, "max-age=-1": time.Hour, "max-age": time.Hour, "no-store": 5 * time.Minute, "no-cache, private": 5 * time.Minute,
	} {
		d := document[int]{maxAge: time.Hour}
		if got := d.age(http.Header{"Cache-Control": {header}}); got != want {
			t.Errorf("%q: %v, want %v", header, got, want)
		}
	}
}

// TestJWK1Candidates: which keys a signature is tried against, and in which order.
func TestJWK1Candidates(t *testing.T) {
	set, err := parseKeys([]byte(`{"keys":[` +
		`{"kty":"EC","crv":"P-256","kid":"a","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4","y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"},` +
		`{"kty":"OKP","crv":"Ed25519","alg":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}`))
	if err != nil || len(set.keys) != 2 {
		t.Fatal(err, set)
	}
	for name, row := range map[string]struct {
		kid, alg string
		n        int
		known    bool
	}{
		"by kid":                       {"a", "ES256", 1, true},
		"by kid, but of another curve": {"a", "ES384", 0, false},
		"without a kid":                {"", "ES256", 1, true},
		"a key without kid":            {"x", "EdDSA", 1, false},
		"nobody's":                     {"x", "ES256", 0, false},
		"RS256":                        {"a", "RS256", 0, false},
	} {
		if keys, known := set.candidates(row.kid, row.alg); len(keys) != row.n || known != row.known {
			t.Errorf("%s: %d keys, known %v", name, len(keys), known)
		}
	}
	if slices.Contains(asymmetric(), "none") || slices.ContainsFunc(asymmetric(), func(alg string) bool { return strings.HasPrefix(alg, "HS") }) {
		t.Error("JWK-4")
	}
}
