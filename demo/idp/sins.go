package idp

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"
)

// Always returns the sin for every request until Heal.
func (s Sin) Always() Sin { s.Times = Always; return s }

// Repeat returns the sin for n requests.
func (s Sin) Repeat(n int) Sin { s.Times = n; return s }

// After returns the sin for the request after n that fit and are answered well.
func (s Sin) After(n int) Sin { s.Skip = n; return s }

// On returns the sin at another endpoint.
func (s Sin) On(endpoint string) Sin { s.Endpoint = endpoint; return s }

// For returns the sin for requests with this parameter only, such as grant_type=refresh_token.
func (s Sin) For(name, value string) Sin {
	when := map[string]string{name: value}
	for k, v := range s.When {
		when[k] = v
	}
	s.When = when
	return s
}

// InAccessToken returns a sin that concerns the access token rather than the ID token.
func (s Sin) InAccessToken() Sin { s.AccessToken = true; return s }

// Claim sets (or with nil removes) a claim of the ID token.
func Claim(name string, value any) Sin {
	return Sin{Name: "claim_" + name, Claims: map[string]any{name: value}}
}

// JOSEHeader sets (or with nil removes) a member of the ID token's header.
func JOSEHeader(name string, value any) Sin {
	return Sin{Name: "jose_" + name, JOSE: map[string]any{name: value}}
}

// Signed signs the ID token in the way of a Sign constant.
func Signed(how string) Sin { return Sin{Name: "sign_" + how, Sign: how} }

// Shifted moves a time claim of the ID token.
func Shifted(claim string, by time.Duration) Sin {
	return Sin{Name: "shift_" + claim, Shift: map[string]int{claim: int(by.Seconds())}}
}

// Member sets (or with nil removes) a member of the JSON answer of the token endpoint, or of another with On.
func Member(name string, value any) Sin {
	return Sin{Name: "member_" + name, Set: map[string]any{name: value}}
}

// Answer answers any status and body.
func Answer(status int, contentType, body string) Sin {
	return Sin{Name: "answer", Status: status, Type: contentType, Body: body}
}

// OAuthError answers an OAuth error; at Authorize and Response by a redirect.
func OAuthError(code string) Sin { return Sin{Name: code, Error: code} }

// ResponseParam sets a parameter of the authorization response: no value removes it, two duplicate it.
func ResponseParam(name string, values ...string) Sin {
	return Sin{Name: "response_" + name, Endpoint: Response, Params: map[string][]string{name: values}}
}

// Hanging never answers, until the client goes, Release or Heal.
func Hanging() Sin { return Sin{Name: "hang", Hang: true} }

// Dropped closes the connection without an answer.
func Dropped() Sin { return Sin{Name: "drop", Drop: true} }

// LostAnswer does what was asked and then closes the connection: the server has rotated, the client does not know.
func LostAnswer() Sin { return Sin{Name: "lost_answer", Lose: true} }

// RedirectedTo answers 307 to a URL: a client that follows sends its secrets there (P110).
func RedirectedTo(url string) Sin { return Sin{Name: "redirect", Redirect: url} }

// Oversized answers at least n bytes of valid JSON.
func Oversized(n int64) Sin { return Sin{Name: "oversize", Oversize: n} }

// Slow delays the answer.
func Slow(by time.Duration) Sin { return Sin{Name: "slow", Delay: by} }

// Skewed moves the Date header.
func Skewed(by time.Duration) Sin { return Sin{Name: "date_skew", DateSkew: by} }

// Catalogue returns every named sin: what Named, the control endpoint and table tests go by.
func Catalogue() map[string]Sin {
	const evil = "https://evil.example"
	all := map[string]Sin{
		// The ID token (spec-digest §8, attacks P096–P105).
		"wrong_iss":          Claim("iss", evil),
		"wrong_nonce":        Claim("nonce", "of-another-login"),
		"missing_nonce":      Claim("nonce", nil),
		"wrong_aud":          Claim("aud", "another-client"),
		"missing_aud":        Claim("aud", nil),
		"empty_aud":          Claim("aud", []string{}),
		"wrong_azp":          Claim("azp", "another-client"),
		"missing_sub":        Claim("sub", nil),
		"empty_sub":          Claim("sub", ""),
		"number_sub":         Claim("sub", 42),
		"missing_iat":        Claim("iat", nil),
		"missing_exp":        Claim("exp", nil),
		"future_iat":         Shifted("iat", 10*24*time.Hour),
		"expired":            {Shift: map[string]int{"exp": -3600, "iat": -3600}},
		"wrong_at_hash":      Claim("at_hash", halfHash("RS256", "another token")),
		"duplicate_sub":      {RawClaims: `"sub":"mallory"`},
		"typ_access_token":   JOSEHeader("typ", "at+jwt"),
		"typ_logout_token":   JOSEHeader("typ", "logout+jwt"),
		"typ_missing":        JOSEHeader("typ", nil),
		"missing_kid":        JOSEHeader("kid", nil),
		"crit":               {JOSE: map[string]any{"crit": []string{"urn:unknown"}, "urn:unknown": true}},
		"alg_none":           Signed(SignNone),
		"alg_hs256_key":      Signed(SignHS256PublicKey),
		"alg_hs256_secret":   Signed(SignHS256Secret),
		"wrong_signature":    Signed(SignWrongKey),
		"corrupt_signature":  Signed(SignCorrupt),
		"empty_signature":    Signed(SignEmpty),
		"unknown_kid":        Signed(SignUnknownKey),
		"embedded_key":       Signed(SignEmbeddedKey),
		"rotated_key":        Signed(SignFreshKey), // no sin at all: it must be accepted
		"refresh_wrong_sub":  Claim("sub", "mallory").For("grant_type", "refresh_token"),
		"refresh_wrong_iss":  Claim("iss", evil).For("grant_type", "refresh_token"),
		"refresh_lost":       LostAnswer().For("grant_type", "refresh_token"),
		"refresh_refused":    OAuthError("invalid_grant").For("grant_type", "refresh_token"),
		"missing_id_token":   Member("id_token", nil),
		"missing_access":     Member("access_token", nil),
		"unknown_token_type": Member("token_type", "mac"),
		"missing_token_type": Member("token_type", nil),
		"missing_expires_in": Member("expires_in", nil),
		"string_expires_in":  Member("expires_in", "300"), // to be tolerated
		"negative_expires":   Member("expires_in", -1),
		"lower_token_type":   Member("token_type", "bearer"), // to be tolerated
		// Any back channel; On moves them from the token endpoint.
		"server_error":  Answer(500, "text/html", "<h1>Internal Server Error</h1>"),
		"unavailable":   {Status: 503, Body: `{"error":"temporarily_unavailable"}`, Header: map[string]string{"Retry-After": "7"}},
		"too_many":      {Status: 429, Body: `{"error":"slow_down"}`, Header: map[string]string{"Retry-After": "3"}},
		"garbage":       Answer(200, "application/json", "\x00\xff{{{not json"),
		"html":          Answer(200, "text/html", "<!doctype html><title>Please wait</title>"),
		"empty_body":    {Status: 200},
		"truncated":     Answer(200, "application/json", `{"access_token":"abc","token_type":"Bea`),
		"oversize":      Oversized(64 << 20),
		"hang":          Hanging(),
		"drop":          Dropped(),
		"lost_answer":   LostAnswer(),
		"redirect":      RedirectedTo(evil + "/token"),
		"invalid_grant": OAuthError("invalid_grant"), "invalid_client": OAuthError("invalid_client"),
		"unauthorized_client": OAuthError("unauthorized_client"), "slow_down": OAuthError("slow_down"),
		"clock_ahead": Skewed(10 * time.Minute), "clock_behind": Skewed(-10 * time.Minute),
		// The authorization response (spec-digest §4, §5).
		"access_denied":      OAuthError("access_denied").On(Response),
		"login_required":     OAuthError("login_required").On(Response),
		"temporarily":        OAuthError("temporarily_unavailable").On(Response),
		"response_xss":       {Endpoint: Response, Error: "access_denied", Describe: "<script>alert(1)</script>"},
		"response_no_iss":    ResponseParam("iss"),
		"response_wrong_iss": ResponseParam("iss", evil),
		"response_two_iss":   ResponseParam("iss", evil, evil),
		"response_state":     ResponseParam("state", "of-another-login"),
		"response_no_state":  ResponseParam("state"),
		"response_two_codes": ResponseParam("code", "a", "b"),
		"response_no_code":   ResponseParam("code"),
		// Userinfo (spec-digest §9).
		"userinfo_other_sub": Member("sub", "mallory").On(UserInfo),
		"userinfo_no_sub":    Member("sub", nil).On(UserInfo),
		"userinfo_protected": {Endpoint: UserInfo, Set: map[string]any{"iss": evil, "aud": "x", "exp": 1, "acr": "gold"}},
		"userinfo_refused":   {Endpoint: UserInfo, Status: 401, Header: map[string]string{"WWW-Authenticate": `Bearer error="invalid_token"`}},
		// Discovery and keys (spec-digest §1, §2, P109, P123).
		"discovery_other_issuer": Member("issuer", evil).On(Discovery),
		"discovery_no_issuer":    Member("issuer", nil).On(Discovery),
		"discovery_javascript":   Member("authorization_endpoint", "javascript:alert(1)").On(Discovery),
		"discovery_http_token":   Member("token_endpoint", "http://idp.evil.example/token").On(Discovery),
		"discovery_metadata_ip":  Member("jwks_uri", "http://169.254.169.254/latest/meta-data").On(Discovery),
		"discovery_no_pkce":      Member("code_challenge_methods_supported", nil).On(Discovery),
		"discovery_plain_pkce":   Member("code_challenge_methods_supported", []string{"plain"}).On(Discovery),
		"discovery_none_alg":     Member("id_token_signing_alg_values_supported", []string{"none", "HS256", "RS256"}).On(Discovery),
		"discovery_no_token":     Member("token_endpoint", nil).On(Discovery),
		"discovery_404":          Answer(404, "text/plain", "not here").On(Discovery),
		"discovery_no_device":    Member("device_authorization_endpoint", nil).On(Discovery),
		"discovery_http_device":  Member("device_authorization_endpoint", "http://idp.evil.example/device").On(Discovery),
		"discovery_no_ciba":      Member("backchannel_authentication_endpoint", nil).On(Discovery),
		"discovery_poll_only":    Member("backchannel_token_delivery_modes_supported", []string{"poll"}).On(Discovery),
		"discovery_code_only":    Member("response_types_supported", []string{"code"}).On(Discovery),
		"jwks_empty":             Member("keys", []any{}).On(JWKS),
		"jwks_stranger_keys":     {Endpoint: JWKS, Prepend: strangerKeys()},
		"jwks_down":              Answer(503, "text/plain", "down").On(JWKS),
	}
	maps.Copy(all, frontSins())
	maps.Copy(all, passwordSins())
	maps.Copy(all, deviceSins())
	maps.Copy(all, cibaSins())
	maps.Copy(all, notificationSins())
	maps.Copy(all, machineSins())
	maps.Copy(all, introspectSins())
	for name, sin := range all {
		sin.Name = name
		all[name] = sin
	}
	return all
}

// Named returns a sin of the catalogue and panics when there is none: for tests.
func Named(name string) Sin {
	sin, ok := Catalogue()[name]
	if !ok {
		var near []string
		for other := range Catalogue() {
			if strings.Contains(other, name) || strings.Contains(name, other) {
				near = append(near, other)
			}
		}
		slices.Sort(near)
		panic("idp: no sin " + name + "; did you mean " + strings.Join(near, ", "))
	}
	return sin
}

// strangerKeys are keys that a client must skip and not stumble over (JWK-3): secp256k1 without
// alg, Ed448, a kty from the future, one that is broken, and one for encryption.
func strangerKeys() []any {
	return []any{
		map[string]any{
			"kty": "EC", "crv": "secp256k1", "kid": "koblitz", "use": "sig",
			"x": "MBdPLNE6fXplVE1ikgKpk_UkUjU6XhqyVnoQEXy4DFI", "y": "4yvTFRcVqmGkFRQzRXNuWbvBzZUxyTFPqNm0OOR3Tn8",
		},
		map[string]any{"kty": "OKP", "crv": "Ed448", "kid": "ed448", "use": "sig", "x": strings.Repeat("A", 76)},
		map[string]any{"kty": "LATTICE", "kid": "future", "alg": "ML-DSA-65", "pub": "AAAA"},
		map[string]any{"kty": "RSA", "kid": "broken", "n": "!", "e": "AQAB"},
		map[string]any{"kty": "oct", "kid": "shared", "k": "c2VjcmV0"},
	}
}

// resolve fills in the sin of the catalogue that a mere name means, and refuses sins that do nothing.
func (s Sin) resolve() (Sin, error) {
	known, ok := Catalogue()[s.Name]
	bare := Sin{Name: s.Name, Endpoint: s.Endpoint, Times: s.Times, Skip: s.Skip, When: s.When}
	switch {
	case !reflect.DeepEqual(s, bare):
		return s, nil
	case !ok:
		return s, fmt.Errorf("idp: no sin is called %q, and it changes nothing by itself", s.Name)
	}
	if s.Endpoint != "" {
		known.Endpoint = s.Endpoint
	}
	if s.When != nil {
		known.When = s.When
	}
	known.Times, known.Skip = s.Times, s.Skip
	return known, nil
}
