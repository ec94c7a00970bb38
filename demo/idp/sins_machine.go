package idp

import (
	"strings"
	"time"
)

// machineSins are what providers answer to the machine grants (spec-digest §15, §16; attacks
// P139–P150), each as client_credentials_NAME, exchange_NAME and jwt_bearer_NAME.
func machineSins() map[string]Sin {
	answers := map[string]Sin{
		"n_a":               Member("token_type", "N_A"),
		"mac":               Member("token_type", "mac"),
		"dpop":              Member("token_type", "DPoP"), // although nothing was proved
		"no_token_type":     Member("token_type", nil),
		"empty_access":      Member("access_token", ""),
		"no_access":         Member("access_token", nil),
		"number_access":     Member("access_token", 42),
		"control_access":    Member("access_token", "abc\r\nX-Injected: 1"),
		"huge_access":       Member("access_token", strings.Repeat("t", 1<<20)),
		"no_expires_in":     Member("expires_in", nil),
		"text_expires_in":   Member("expires_in", "300"), // to be tolerated
		"zero_expires_in":   Member("expires_in", 0),
		"negative_expires":  Member("expires_in", -300),
		"huge_expires_in":   Member("expires_in", 1e18),
		"word_expires_in":   Member("expires_in", "soon"),
		"refresh_token":     Member("refresh_token", "must-not-be-here"), // to be dropped
		"other_scope":       Member("scope", "less"),
		"html":              Answer(200, "text/html", "<!doctype html><title>Please sign in</title>"),
		"garbage":           Answer(200, "application/json", "\x00\xff{{{not json"),
		"list":              Answer(200, "application/json", "[]"),
		"null":              Answer(200, "application/json", "null"),
		"empty_body":        {Status: 200},
		"created":           {Status: 201, Body: `{"access_token":"abc","token_type":"Bearer"}`},
		"oversize":          Oversized(8 << 20),
		"server_error":      Answer(500, "text/html", "<h1>Internal Server Error</h1>"),
		"bad_gateway":       Answer(502, "text/html", "<h1>Bad Gateway</h1>"),
		"unavailable":       {Status: 503, Body: `{"error":"temporarily_unavailable"}`, Header: map[string]string{"Retry-After": "7"}},
		"too_many":          {Status: 429, Body: `{"error":"slow_down"}`, Header: map[string]string{"Retry-After": "3"}},
		"slow":              Slow(2 * time.Second),
		"hang":              Hanging(),
		"drop":              Dropped(),
		"lost":              LostAnswer(),
		"redirect":          RedirectedTo("https://evil.example/token"),
		"invalid_grant":     OAuthError("invalid_grant"),
		"invalid_client":    OAuthError("invalid_client"),
		"invalid_scope":     OAuthError("invalid_scope"),
		"invalid_target":    OAuthError("invalid_target"),
		"unauthorized":      OAuthError("unauthorized_client"),
		"unsupported_grant": OAuthError("unsupported_grant_type"),
		"denied":            {Status: 403, Error: "access_denied"},
		"echoed":            {Status: 400, Error: "invalid_request", Describe: "the assertion eyJhbGciOiJub25lIn0.e30.c2VjcmV0 is wrong"}, // for logs to leak
	}
	for name, sin := range map[string]Sin{ // the access token that comes, if it is a JWT
		"other_sub": Claim("sub", "mallory"), "no_sub": Claim("sub", nil),
		"other_aud": Claim("aud", "another-api"), "no_aud": Claim("aud", nil),
		"other_iss": Claim("iss", "https://evil.example"),
		"expired":   {Shift: map[string]int{"exp": -3600, "iat": -3600}},
		"no_exp":    Claim("exp", nil), "short": {Shift: map[string]int{"exp": -295}},
		"wrong_signature": Signed(SignWrongKey), "alg_none": Signed(SignNone),
	} {
		answers[name] = sin.InAccessToken()
	}
	out := map[string]Sin{
		"exchange_no_issued_type":      Member("issued_token_type", nil),
		"exchange_refresh_issued_type": Member("issued_token_type", TypeRefreshToken),
		"exchange_other_issued_type":   Member("issued_token_type", "urn:example:anything"),
		"exchange_number_issued_type":  Member("issued_token_type", 7),
		"exchange_other_act":           Claim("act", map[string]any{"sub": "mallory"}).InAccessToken(),
		"exchange_no_act":              Claim("act", nil).InAccessToken(),
		"exchange_not_in_audience":     {Status: 403, Error: "access_denied", Describe: "Client is not within the token audience"},
		"exchange_audience_missing":    {Status: 400, Error: "invalid_request", Describe: "Requested audience not available: orders"},
		"exchange_not_enabled":         {Status: 400, Error: "invalid_request", Describe: "Standard token exchange is not enabled for the requested client"},
		"exchange_invalid_token":       {Status: 400, Error: "invalid_request", Describe: "Invalid token"},
	}
	for name, sin := range out {
		out[name] = atGrant(GrantTokenExchange, sin)
	}
	for prefix, grantType := range map[string]string{
		"client_credentials_": "client_credentials", "exchange_": GrantTokenExchange, "jwt_bearer_": GrantJWTBearer,
	} {
		for name, sin := range answers {
			out[prefix+name] = atGrant(grantType, sin)
		}
	}
	out["client_credentials_off"] = atGrant("client_credentials", Sin{Status: 401, Error: "unauthorized_client", Describe: "Client not enabled to retrieve service account"})
	const wanted = `{"access_token":{"acrs":{"essential":true,"value":"c1"}}}`
	for name, code := range map[string]string{"jwt_bearer_step_up": "interaction_required", "jwt_bearer_step_up_grant": "invalid_grant"} {
		out[name] = atGrant(GrantJWTBearer, Sin{Status: 400, Error: code, Describe: "AADSTS50076: multi-factor authentication is needed", Set: map[string]any{"claims": wanted}})
	}
	out["jwt_bearer_step_up_garbage"] = atGrant(GrantJWTBearer, Sin{Status: 400, Error: "interaction_required", Set: map[string]any{"claims": "not json"}})
	return out
}

// introspectSins are answers of RFC 7662 and RFC 9701 that a resource server must not take for a yes (RS-6, P126).
func introspectSins() map[string]Sin {
	sins := map[string]Sin{
		"text_active":     Member("active", "true"),
		"number_active":   Member("active", 1),
		"null_active":     Answer(200, "application/json", `{"active":null,"sub":"x"}`),
		"no_active":       Member("active", nil),
		"inactive":        {Status: 200, Body: `{"active":false}`},
		"empty":           Answer(200, "application/json", "{}"),
		"list":            Answer(200, "application/json", "[]"),
		"null":            Answer(200, "application/json", "null"),
		"twice_active":    Answer(200, "application/json", `{"active":false,"active":true,"sub":"x"}`),
		"garbage":         Answer(200, "application/json", "\x00\xff{{{not json"),
		"html":            Answer(200, "text/html", "<!doctype html><title>Please wait</title>"),
		"server_error":    Answer(500, "text/html", "<h1>Internal Server Error</h1>"),
		"unavailable":     {Status: 503, Header: map[string]string{"Retry-After": "7"}, Body: "{}"},
		"too_many":        {Status: 429, Header: map[string]string{"Retry-After": "3"}, Body: "{}"},
		"unauthorized":    OAuthError("invalid_client"),
		"oversize":        Oversized(8 << 20),
		"hang":            Hanging(),
		"drop":            Dropped(),
		"slow":            Slow(2 * time.Second),
		"redirect":        RedirectedTo("https://evil.example/introspect"),
		"other_iss":       Member("iss", "https://evil.example"),
		"other_aud":       Member("aud", "another-api"),
		"no_aud":          Member("aud", nil),
		"no_sub":          Member("sub", nil),
		"no_exp":          Member("exp", nil),
		"expired":         Member("exp", 1),
		"text_exp":        Member("exp", "4102444800"),
		"future_nbf":      Member("nbf", 4102444800),
		"refresh_typed":   Member("token_type", "refresh_token"),
		"cnf":             Member("cnf", map[string]any{"jkt": strings.Repeat("A", 43)}),
		"signed_wrong":    Signed(SignWrongKey),
		"signed_none":     Signed(SignNone),
		"signed_hs256":    Signed(SignHS256Secret),
		"signed_typ":      JOSEHeader("typ", "JWT"),
		"signed_iss":      Claim("iss", "https://evil.example"),
		"signed_aud":      Claim("aud", "another-client"),
		"signed_old":      Shifted("iat", -time.Hour),
		"signed_nothing":  Claim("token_introspection", nil),
		"signed_not":      Answer(200, "application/json", `{"active":true,"sub":"x"}`), // plain, although a signed one was asked for
		"signed_at_top":   Answer(200, "application/"+introspectionJWT, "e30.e30.e30"),
		"signed_as_plain": {Header: map[string]string{"Content-Type": "application/json"}},
	}
	out := map[string]Sin{}
	for name, sin := range sins {
		out["introspect_"+name] = sin.On(Introspect)
	}
	return out
}
