package idp

import "strings"

// atGrant is a sin of the token endpoint at one grant type.
func atGrant(grantType string, sin Sin) Sin { return sin.For("grant_type", grantType) }

// frontSins are about implicit and hybrid (spec-digest §10): the front-channel response, and the
// token response that must agree with it.
func frontSins() map[string]Sin {
	other := halfHash("RS256", "of another")
	sins := map[string]Sin{
		"front_extra_code":       ResponseParam("code", "SplxlOBeZQQYbYS6WxSbIA"),
		"front_extra_access":     {Endpoint: Response, Params: map[string][]string{"access_token": {"stray"}, "token_type": {"Bearer"}}},
		"front_extra_id_token":   ResponseParam("id_token", "e30.e30.e30"),
		"front_no_id_token":      ResponseParam("id_token"),
		"front_no_access":        ResponseParam("access_token"),
		"front_no_code":          ResponseParam("code"),
		"front_two_id_tokens":    ResponseParam("id_token", "a", "b"),
		"front_two_access":       ResponseParam("access_token", "a", "b"),
		"front_no_token_type":    ResponseParam("token_type"),
		"front_mac_token":        ResponseParam("token_type", "mac"),
		"front_no_expires_in":    ResponseParam("expires_in"),
		"front_negative_expires": ResponseParam("expires_in", "-1"),
		"front_huge_expires":     ResponseParam("expires_in", strings.Repeat("9", 40)),
		"front_refresh_token":    ResponseParam("refresh_token", "must-not-be-here"),
		"front_garbage_token":    ResponseParam("id_token", "not.a.jwt"),
		"front_huge_token":       ResponseParam("id_token", strings.Repeat("a", 64<<10)),
		"front_error_and_tokens": {Endpoint: Response, Params: map[string][]string{"error": {"access_denied"}}},

		"hybrid_other_sub":   Claim("sub", "mallory").For("grant_type", "authorization_code"),
		"hybrid_other_iss":   Claim("iss", "https://evil.example").For("grant_type", "authorization_code"),
		"hybrid_other_nonce": Claim("nonce", "of-another-login").For("grant_type", "authorization_code"),
		"hybrid_no_id_token": Member("id_token", nil).For("grant_type", "authorization_code"),
	}
	for name, sin := range map[string]Sin{ // the ID token that comes through the browser
		"wrong_at_hash": Claim("at_hash", other), "missing_at_hash": Claim("at_hash", nil),
		"wrong_c_hash": Claim("c_hash", other), "missing_c_hash": Claim("c_hash", nil),
		"wrong_s_hash": Claim("s_hash", other), "missing_s_hash": Claim("s_hash", nil),
		"number_c_hash": Claim("c_hash", 42),
		"wrong_nonce":   Claim("nonce", "of-another-login"), "missing_nonce": Claim("nonce", nil),
		"wrong_aud": Claim("aud", "another-client"), "wrong_iss": Claim("iss", "https://evil.example"),
		"missing_sub": Claim("sub", nil), "other_sub": Claim("sub", "mallory"),
		"expired":  {Shift: map[string]int{"exp": -3600, "iat": -3600}},
		"alg_none": Signed(SignNone), "alg_hs256_secret": Signed(SignHS256Secret),
		"wrong_signature": Signed(SignWrongKey), "empty_signature": Signed(SignEmpty),
	} {
		sins["front_"+name] = sin.On(Response)
	}
	return sins
}

// passwordSins are what providers answer to the password grant (spec-digest §14).
func passwordSins() map[string]Sin {
	sins := map[string]Sin{
		"password_refused":      {Status: 400, Error: "invalid_grant"},                                                   // as RFC 6749 has it
		"password_refused_401":  {Status: 401, Error: "invalid_grant", Describe: "Invalid user credentials"},             // Keycloak, also for who is locked out
		"password_not_set_up":   {Status: 400, Error: "invalid_grant", Describe: "Account is not fully set up"},          // Keycloak: required actions
		"password_mfa_required": {Status: 403, Error: "mfa_required", Set: map[string]any{"mfa_token": "Fe26.2*secret"}}, // Auth0
		"password_off":          {Status: 400, Error: "unauthorized_client"},
		"password_too_many":     {Status: 429, Error: "too_many_attempts", Header: map[string]string{"Retry-After": "30"}},
		"password_unavailable":  {Status: 503, Body: "down", Type: "text/plain"},
		"password_echoed":       {Status: 400, Error: "invalid_grant", Describe: "password 'alice' is wrong for alice"}, // for logs and pages to leak
		"password_other_sub":    Claim("sub", "mallory"),
		"password_no_id_token":  Member("id_token", nil),
	}
	for name, sin := range sins {
		sins[name] = atGrant("password", sin)
	}
	return sins
}

// hostileTexts are what a provider could want a page to show.
func hostileTexts() map[string]string {
	return map[string]string{
		"markup":  "<b onclick=alert(1)>WDJB</b>",
		"huge":    strings.Repeat("WDJB-", 2<<10),
		"rtl":     "WDJB\u202eTHJM\u2066",
		"control": "WDJB\x1b[2J\r\nMJHT",
		"empty":   "",
	}
}

// deviceSins are about RFC 8628 (spec-digest §12): the device authorization response, and polls.
func deviceSins() map[string]Sin {
	sins := map[string]Sin{
		"device_no_code":         Member("device_code", nil),
		"device_huge_code":       Member("device_code", strings.Repeat("d", 1<<20)),
		"device_no_user_code":    Member("user_code", nil),
		"device_number_code":     Member("user_code", 12345678),
		"device_no_uri":          Member("verification_uri", nil),
		"device_url_for_uri":     {Rename: map[string]string{"verification_uri": "verification_url"}}, // to be tolerated: Google
		"device_no_complete_uri": Member("verification_uri_complete", nil),                            // to be tolerated: Entra
		"device_message":         Member("message", "<script>alert(1)</script>"),
	}
	for name, text := range hostileTexts() {
		sins["device_user_code_"+name] = Member("user_code", text)
	}
	for name, uri := range map[string]string{
		"javascript": "javascript:alert(document.domain)//", "data": "data:text/html,<script>alert(1)</script>",
		"http": "http://idp.evil.example/device", "userinfo": "https://idp.test@evil.example/device", "file": "file:///etc/passwd",
		"relative": "/device", "scheme_relative": "//evil.example/device", "huge": "https://evil.example/" + strings.Repeat("x", 10<<10),
		"control": "https://evil.example/\r\nSet-Cookie:a=b", "markup": `https://evil.example/"><script>alert(1)</script>`,
		"rtl": "https://evil.example/\u202emoc.elpmaxe", "tel": "tel:+1900",
	} {
		sins["device_uri_"+name] = Member("verification_uri", uri)
		sins["device_complete_"+name] = Member("verification_uri_complete", uri)
	}
	for name, sin := range times() {
		sins["device_"+name] = sin
	}
	for name, sin := range sins {
		sins[name] = sin.On(Device)
	}
	for name, sin := range pending() {
		sins["device_"+name] = atGrant(GrantDevice, sin)
	}
	sins["device_declined"] = atGrant(GrantDevice, OAuthError("authorization_declined"))  // Entra, for access_denied
	sins["device_bad_code"] = atGrant(GrantDevice, OAuthError("bad_verification_code"))   // Entra, GitHub
	sins["device_late_nonce"] = atGrant(GrantDevice, Claim("nonce", "that nobody asked")) // nothing to compare it with
	sins["device_unsupported"] = OAuthError("unauthorized_client").On(Device)
	return sins
}

// times are hostile expires_in and interval members, of both flows.
func times() map[string]Sin {
	return map[string]Sin{
		"interval_missing":  Member("interval", nil), // to be tolerated: 5 s
		"interval_zero":     Member("interval", 0),
		"interval_negative": Member("interval", -5),
		"interval_huge":     Member("interval", 1e18),
		"interval_string":   Member("interval", "5"),
		"interval_float":    Member("interval", 0.001),
		"expires_missing":   Member("expires_in", nil),
		"expires_zero":      Member("expires_in", 0),
		"expires_negative":  Member("expires_in", -600),
		"expires_huge":      Member("expires_in", 1e18),
		"expires_string":    Member("expires_in", "600"),
		"expires_null":      {Status: 200, Body: `{"device_code":"d","auth_req_id":"d","user_code":"WDJB-MJHT","verification_uri":"https://idp.test/device","expires_in":null}`},
		"twice":             {Status: 200, Body: `{"device_code":"d","auth_req_id":"d","user_code":"WDJB-MJHT","verification_uri":"https://idp.test/device","expires_in":600,"interval":5,"interval":-1}`},
	}
}

// pending are the answers to a poll, usual and unusual, of both flows.
func pending() map[string]Sin {
	return map[string]Sin{
		"pending":            OAuthError("authorization_pending"),
		"pending_428":        {Status: 428, Error: "authorization_pending"}, // to be tolerated: Google
		"pending_200":        {Status: 200, Error: "authorization_pending"}, // to be tolerated: GitHub
		"slow_down":          OAuthError("slow_down"),
		"slow_down_403":      {Status: 403, Error: "slow_down"},                                      // to be tolerated: Google
		"slow_down_200":      {Status: 200, Error: "slow_down", Set: map[string]any{"interval": 15}}, // to be tolerated: GitHub
		"slow_down_huge":     {Status: 400, Error: "slow_down", Set: map[string]any{"interval": 1e18}},
		"slow_down_negative": {Status: 400, Error: "slow_down", Set: map[string]any{"interval": -60}},
		"denied":             OAuthError("access_denied"),
		"denied_403":         {Status: 403, Error: "access_denied"},
		"denied_200":         {Status: 200, Error: "access_denied"},
		"expired_token":      OAuthError("expired_token"),
		"invalid_grant":      OAuthError("invalid_grant"),
		"unknown_error":      OAuthError("the_dog_ate_it"),
		"error_and_tokens":   {Set: map[string]any{"error": "access_denied"}},
		"poll_html":          Answer(502, "text/html", "<h1>Bad Gateway</h1>"),
		"poll_drop":          Dropped(),
		"poll_lost":          LostAnswer(),
	}
}

// cibaSins are about the acknowledgement of CIBA (spec-digest §13) and polls.
func cibaSins() map[string]Sin {
	sins := map[string]Sin{
		"no_id":            Member("auth_req_id", nil),
		"empty_id":         Member("auth_req_id", ""),
		"number_id":        Member("auth_req_id", 42),
		"huge_id":          Member("auth_req_id", strings.Repeat("q", 1<<20)),
		"control_id":       Member("auth_req_id", "a\r\nb"),
		"keycloak_unknown": {Status: 400, Error: "invalid_request", Describe: "invalid user"}, // Keycloak, for unknown_user_id
		"refused_403":      {Status: 403, Error: "access_denied"},
	}
	for _, code := range []string{ // §13
		"invalid_request", "invalid_scope", "expired_login_hint_token", "unknown_user_id", "unauthorized_client",
		"missing_user_code", "invalid_user_code", "invalid_binding_message", "invalid_client",
	} {
		sins["request_"+code] = OAuthError(code)
	}
	for name, sin := range times() {
		sins[name] = sin
	}
	out := map[string]Sin{}
	for name, sin := range sins {
		out["ciba_"+name] = sin.On(CIBA)
	}
	for name, sin := range pending() {
		out["ciba_"+name] = atGrant(GrantCIBA, sin)
	}
	out["ciba_transaction_failed"] = atGrant(GrantCIBA, OAuthError("transaction_failed"))
	out["ciba_other_sub"] = atGrant(GrantCIBA, Claim("sub", "mallory")) // of an approval: somebody else's consent
	return out
}

// notificationSins are about ping and push (CIBA §10.2, §10.3, §12; attacks P162–P165).
func notificationSins() map[string]Sin {
	other := halfHash("RS256", "of another")
	sins := map[string]Sin{
		"ping_wrong_bearer": {Header: map[string]string{"Authorization": "Bearer " + strings.Repeat("w", 43)}},
		"ping_no_bearer":    {Header: map[string]string{"Authorization": ""}},
		"ping_basic":        {Header: map[string]string{"Authorization": "Basic ZG9vcndhcmQ6eA=="}},
		"ping_replayed":     {Replay: 2},
		"ping_lost":         Dropped(),
		"ping_other":        {Other: true},
		"ping_unknown_id":   Member("auth_req_id", "of-nobody"),
		"ping_no_id":        Member("auth_req_id", nil),
		"ping_number_id":    Member("auth_req_id", 42),
		"ping_huge":         Member("padding", strings.Repeat("x", 2<<20)),
		"ping_garbage":      {Body: "\x00\xff{{{not json"},
		"ping_twice_id":     {Body: `{"auth_req_id":"a","auth_req_id":"b"}`},
		"ping_form":         {Header: map[string]string{"Content-Type": "application/x-www-form-urlencoded"}},
		"ping_with_tokens":  {Set: map[string]any{"access_token": "stray", "token_type": "Bearer", "id_token": "e30.e30.e30"}}, // P163

		"push_wrong_id_claim":   Claim(ClaimAuthReqID, "of-another"),
		"push_no_id_claim":      Claim(ClaimAuthReqID, nil),
		"push_wrong_at_hash":    Claim("at_hash", other),
		"push_no_at_hash":       Claim("at_hash", nil),
		"push_wrong_rt_hash":    Claim(ClaimRefreshHash, other),
		"push_no_rt_hash":       Claim(ClaimRefreshHash, nil),
		"push_wrong_aud":        Claim("aud", "another-client"),
		"push_wrong_iss":        Claim("iss", "https://evil.example"),
		"push_no_sub":           Claim("sub", nil),
		"push_other_sub":        Claim("sub", "mallory"),
		"push_expired":          {Shift: map[string]int{"exp": -3600, "iat": -3600}},
		"push_wrong_signature":  Signed(SignWrongKey),
		"push_alg_none":         Signed(SignNone),
		"push_hs256_secret":     Signed(SignHS256Secret),
		"push_no_id_token":      Member("id_token", nil),
		"push_no_access":        Member("access_token", nil),
		"push_no_token_type":    Member("token_type", nil),
		"push_other":            {Other: true}, // everything about somebody else's request, but this one's bearer
		"push_swapped_id":       Member("auth_req_id", "of-nobody"),
		"push_replayed":         {Replay: 2},
		"push_wrong_bearer":     {Header: map[string]string{"Authorization": "Bearer " + strings.Repeat("w", 43)}},
		"push_error":            OAuthError("transaction_failed"),
		"push_expired_token":    OAuthError("expired_token"),
		"push_error_and_tokens": Member("error", "access_denied"),
	}
	for name, sin := range sins {
		sins[name] = sin.On(Notification)
	}
	return sins
}
