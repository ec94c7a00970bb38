package provider_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/flows/provider"
)

// TestUI4WhenUserInfoIsAsked counts the calls.
func TestUI4WhenUserInfoIsAsked(t *testing.T) {
	for name, row := range map[string]struct {
		mode   string
		scopes []string
		groups string
		claims map[string]any
		calls  int
	}{
		"never":                                {"never", []string{"openid", "email"}, "", nil, 0},
		"always":                               {"always", []string{"openid"}, "", nil, 1},
		"auto, nothing wanted":                 {"auto", []string{"openid"}, "", nil, 0},
		"auto, email wanted and there":         {"auto", []string{"openid", "email"}, "", map[string]any{"email": "a@b.c"}, 0},
		"auto, email wanted and missing":       {"auto", []string{"openid", "email"}, "", nil, 1},
		"auto, name wanted and missing":        {"auto", []string{"openid", "profile"}, "", nil, 1},
		"auto, name wanted and there":          {"auto", []string{"openid", "profile"}, "", map[string]any{"name": "A"}, 0},
		"auto, groups wanted and missing":      {"auto", []string{"openid", "groups"}, "", nil, 1},
		"auto, groups wanted and there":        {"auto", []string{"openid", "groups"}, "", map[string]any{"groups": []string{}}, 0},
		"auto, other groups claim and missing": {"auto", []string{"openid"}, "realm_access.roles", nil, 1},
		"auto, other groups claim and there":   {"auto", []string{"openid"}, "realm_access.roles", map[string]any{"realm_access": map[string]any{"roles": []string{"x"}}}, 0},
		"the default is auto":                  {"", []string{"openid", "email"}, "", nil, 1},
	} {
		t.Run("UI-4 "+name, func(t *testing.T) {
			r := newRogue(t)
			r.on("/userinfo", answerJSON(200, `{"sub":"alice"}`))
			c := r.client(conf(func(c *provider.Config) { c.UserInfo, c.Scopes, c.GroupsClaim = row.mode, row.scopes, row.groups }))
			if _, err := c.Identify(t.Context(), response(r.idToken(row.claims)), ordinary); err != nil {
				t.Fatal(err)
			}
			if n := r.count("/userinfo"); n != row.calls {
				t.Fatalf("asked %d times", n)
			}
			for _, q := range r.seen("/userinfo") {
				if q.Method != http.MethodGet || q.Header.Get("Authorization") != "Bearer access-1" || q.URL.RawQuery != "" {
					t.Errorf("UI-1: %s %s %v", q.Method, q.URL, q.Header)
				}
			}
		})
	}
}

// TestUserInfoAnswers: each row is one answer to userinfo = "always".
func TestUserInfoAnswers(t *testing.T) {
	for name, row := range map[string]struct {
		answer http.HandlerFunc
		kind   provider.Kind
		code   string
	}{
		"UI-2 P103 another subject":     {answerJSON(200, `{"sub":"bob","email":"bob@example.com"}`), provider.Misbehaved, "userinfo_subject"},
		"UI-2 P103 other case":          {answerJSON(200, `{"sub":"Alice"}`), provider.Misbehaved, "userinfo_subject"},
		"UI-2 P103 no subject":          {answerJSON(200, `{"email":"a@b.c"}`), provider.Misbehaved, "userinfo_subject"},
		"UI-2 P103 Sub is not sub":      {answerJSON(200, `{"Sub":"alice"}`), provider.Misbehaved, "userinfo_subject"},
		"UI-2 empty subject":            {answerJSON(200, `{"sub":""}`), provider.Misbehaved, "userinfo_subject"},
		"UI-2 subject is a list":        {answerJSON(200, `{"sub":["alice"]}`), provider.Misbehaved, "userinfo_subject"},
		"UI-2 subject twice":            {answerJSON(200, `{"sub":"bob","sub":"alice"}`), provider.Misbehaved, "bad_response"},
		"UI-3 HTML":                     {func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) }, provider.Misbehaved, "bad_response"},
		"UI-3 text that is JSON":        {func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`{"sub":"alice"}`)) }, provider.Misbehaved, "bad_response"},
		"UI-3 garbage":                  {answerJSON(200, "{"), provider.Misbehaved, "bad_response"},
		"UI-6 401":                      {answerJSON(401, ""), provider.Misbehaved, "userinfo_refused"},
		"UI-6 403":                      {answerJSON(403, ""), provider.Misbehaved, "userinfo_refused"},
		"UI-6 404":                      {answerJSON(404, ""), provider.Misbehaved, "bad_status"},
		"UI-6 204":                      {answerJSON(204, ""), provider.Misbehaved, "bad_status"},
		"UI-6 429":                      {answerJSON(429, ""), provider.Unavailable, "rate_limited"},
		"UI-6 500":                      {answerJSON(500, ""), provider.Unavailable, "server_error"},
		"UI-6 P058 more than 1 MiB":     {endless, provider.Misbehaved, "too_large"},
		"UI-6 P110 redirect":            {redirect(302), provider.Misbehaved, "redirect_refused"},
		"P059 more than 128 kB of them": {answerJSON(200, `{"sub":"alice","groups":"`+long(200<<10)+`"}`), provider.Misbehaved, "claims_too_large"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRogue(t)
			r.on("/userinfo", row.answer)
			who, err := r.client(conf(func(c *provider.Config) { c.UserInfo = "always" })).Identify(t.Context(), response(r.idToken(nil)), ordinary)
			if who != nil {
				t.Error("an identity came with the error")
			}
			wants(t, err, row.kind, row.code)
		})
	}
}

func TestUserInfoThatIsNotThere(t *testing.T) {
	r := newRogue(t)
	r.set("userinfo_endpoint", nil)
	mode := func(mode string) *provider.Client {
		return r.client(conf(func(c *provider.Config) { c.UserInfo, c.Scopes = mode, []string{"openid", "email"} }))
	}
	_, err := mode("always").Identify(t.Context(), response(r.idToken(nil)), ordinary)
	wants(t, err, provider.Misconfigured, "no_endpoint")
	if _, err := mode("auto").Identify(t.Context(), response(r.idToken(nil)), ordinary); err != nil {
		t.Error(err)
	}
	r = newRogue(t)
	r.on("/userinfo", answerJSON(403, ""))
	var log lines
	c := r.client(func(c *provider.Config, d *provider.Deps) {
		c.Scopes, d.Log = []string{"openid", "email"}, log.logger()
	})
	if _, err := c.Identify(t.Context(), response(r.idToken(nil)), ordinary); err != nil { // a token for an API only
		t.Error(err)
	}
	if !strings.Contains(log.String(), "claims are missing") {
		t.Errorf("nobody is told: %s", log.String())
	}
	r.on("/userinfo", answerJSON(200, `{"sub":"bob"}`))
	_, err = c.Identify(t.Context(), response(r.idToken(nil)), ordinary)
	wants(t, err, provider.Misbehaved, "userinfo_subject") // P103, in any mode
	before := r.count("/userinfo")
	if _, err := c.Identify(t.Context(), &provider.Response{Tokens: tokensOf(r.idToken(nil), "")}, ordinary); err != nil || r.count("/userinfo") != before {
		t.Errorf("without an access token there is nothing to ask with: %v", err)
	}
}

// TestP113UserInfoNeverOverrides: what the signed token says stands, and an address is only
// verified by the word of whoever named it.
func TestP113UserInfoNeverOverrides(t *testing.T) {
	for name, row := range map[string]struct {
		claims   map[string]any
		info     string
		email    string
		verified bool
	}{
		"both say the same":                     {map[string]any{"email": "a@b.c"}, `"email":"a@b.c","email_verified":true`, "a@b.c", true},
		"the token says it is not verified":     {map[string]any{"email": "a@b.c", "email_verified": false}, `"email":"a@b.c","email_verified":true`, "a@b.c", false},
		"another address, verified":             {map[string]any{"email": "a@b.c"}, `"email":"evil@b.c","email_verified":true`, "a@b.c", false},
		"no address, only verified":             {map[string]any{"email": "a@b.c"}, `"email_verified":true`, "a@b.c", false},
		"verified in the token, address not":    {map[string]any{"email_verified": true}, `"email":"evil@b.c"`, "evil@b.c", false},
		"address and verified in userinfo":      {nil, `"email":"a@b.c","email_verified":true`, "a@b.c", true},
		"address in userinfo, the token denies": {map[string]any{"email_verified": false}, `"email":"a@b.c","email_verified":true`, "a@b.c", true},
		"address in the token is no text":       {map[string]any{"email": 7, "email_verified": true}, `"email":"a@b.c","email_verified":true`, "", false},
	} {
		t.Run("P113 IDT-14 "+name, func(t *testing.T) {
			r := newRogue(t)
			r.on("/userinfo", answerJSON(200, `{"sub":"alice",`+row.info+`}`))
			who, err := r.client(conf(func(c *provider.Config) { c.UserInfo = "always" })).Identify(t.Context(), response(r.idToken(row.claims)), ordinary)
			if err != nil {
				t.Fatal(err)
			}
			if who.Email != row.email || who.EmailVerified != row.verified {
				t.Errorf("%q verified %v, want %q %v", who.Email, who.EmailVerified, row.email, row.verified)
			}
		})
	}
	r := newRogue(t)
	r.on("/userinfo", answerJSON(200, `{"sub":"alice","iss":"https://evil","aud":"evil","acr":"9","amr":["hwk"],"auth_time":1,"exp":1,"nonce":"x","sid":"x","azp":"evil","groups":["root"],"cnf":{},
		"name":"From Userinfo","extra":{"a":1},"_claim_names":{"groups":"s"},"_claim_sources":{"s":{"endpoint":"https://evil"}}}`))
	who, err := r.client(conf(func(c *provider.Config) { c.UserInfo = "always" })).Identify(t.Context(),
		response(r.idToken(map[string]any{"groups": []string{"staff"}, "sid": nil, "acr": nil})), ordinary)
	if err != nil {
		t.Fatal(err)
	}
	if who.Issuer != r.url || who.ACR != "" || who.SID != "" || len(who.AMR) != 1 || who.AMR[0] != "pwd" || who.Client != clientID || len(who.Groups) != 1 || who.Groups[0] != "staff" || who.Name != "From Userinfo" {
		t.Errorf("IDT-15: %+v", who)
	}
	claims := who.Claims.Map()
	for _, name := range []string{"sid", "acr", "azp", "cnf", "_claim_names", "_claim_sources"} {
		if _, there := claims[name]; there {
			t.Errorf("IDT-15: userinfo brought %s in", name)
		}
	}
	if _, there := claims["extra"]; !there || claims["iss"] != r.url || claims["aud"] != clientID {
		t.Errorf("%v", claims)
	}
}

// TestUI3SignedUserInfo: each row is one JWT with the media type application/jwt.
func TestUI3SignedUserInfo(t *testing.T) {
	r := newRogue(t)
	c := r.client(conf(func(c *provider.Config) { c.UserInfo = "always" }))
	now := r.now().Unix()
	forger := &rogue{t: t, key: newKey()}
	good := map[string]any{"sub": "alice", "email": "a@b.c"}
	with := func(name string, value any) map[string]any {
		return map[string]any{"sub": "alice", "email": "a@b.c", name: value}
	}
	sign := func(claims map[string]any) string { return r.sign(nil, must(json.Marshal(claims))) }
	payload := must(json.Marshal(good))
	for name, row := range map[string]struct{ token, code string }{
		"UI-3 no iss, aud or exp":               {sign(good), ""},
		"UI-3 a line break at the end":          {sign(good) + "\n", ""},
		"UI-3 typ userinfo+jwt":                 {r.sign(map[string]any{"typ": "userinfo+jwt"}, payload), ""},
		"UI-3 iss ours":                         {sign(with("iss", r.url)), ""},
		"UI-3 iss other":                        {sign(with("iss", "https://evil.example")), "bad_issuer"},
		"UI-3 aud ours":                         {sign(with("aud", []string{"x", clientID})), ""},
		"UI-3 aud other":                        {sign(with("aud", "other")), "bad_audience"},
		"UI-3 aud empty":                        {sign(with("aud", []string{})), "bad_audience"},
		"UI-3 aud is a number":                  {sign(with("aud", 1)), "bad_audience"},
		"UI-3 exp in time":                      {sign(with("exp", now+60)), ""},
		"UI-3 exp past":                         {sign(with("exp", now-600)), "token_expired"},
		"UI-3 exp is a text":                    {sign(with("exp", "soon")), "bad_claims"},
		"UI-2 P103 another subject":             {sign(with("sub", "bob")), "userinfo_subject"},
		"UI-3 another key":                      {forger.sign(nil, payload), "bad_signature"},
		"UI-3 P097 alg none":                    {r.sign(map[string]any{"alg": "none"}, payload), "bad_alg"},
		"UI-3 P097 HS256 with the secret":       {mac([]byte("s3cret: +%/ü-and-at-least-32-bytes-long"), payload), "bad_alg"},
		"UI-3 P104 an access token":             {r.sign(map[string]any{"typ": "at+jwt"}, payload), "bad_alg"},
		"UI-3 encrypted":                        {"a.b.c.d.e", "malformed_token"},
		"UI-3 no JWT":                           {`{"sub":"alice"}`, "malformed_token"},
		"UI-3 a duplicate claim":                {r.sign(nil, []byte(`{"sub":"bob","sub":"alice"}`)), "bad_claims"},
		"UI-3 go-oidc finds a claim of no type": {sign(with("at_hash", 1)), "bad_claims"},
	} {
		t.Run(name, func(t *testing.T) {
			r.on("/userinfo", func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "application/jwt")
				_, _ = w.Write([]byte(row.token))
			})
			who, err := c.Identify(t.Context(), response(r.idToken(nil)), ordinary)
			if row.code == "" {
				if err != nil || who.Email != "a@b.c" {
					t.Fatalf("%v %v", who, err)
				}
				return
			}
			if who != nil {
				t.Error("an identity came with the error")
			}
			if _, plain := err.(*provider.Error); !plain {
				t.Errorf("%T", err)
			}
			wants(t, err, provider.Misbehaved, row.code)
		})
	}
	r.on("/keys", answerJSON(503, ""))
	r.pass(time.Minute)
	r.on("/userinfo", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/jwt")
		_, _ = w.Write([]byte(r.sign(map[string]any{"kid": "new"}, payload)))
	})
	_, err := c.Identify(t.Context(), &provider.Response{Tokens: tokensOf(r.idToken(nil), "A")}, ordinary)
	wants(t, err, provider.Unavailable, "keys_unavailable")
}
