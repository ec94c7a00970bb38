package provider_test

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/flows/provider"
	"github.com/doorward/doorward/internal/secret"
)

// TestFrontChannelAnswers: each row is what a browser brought.
func TestFrontChannelAnswers(t *testing.T) {
	r := newRogue(t)
	c := r.client()
	jwtExpiry := r.access(nil, map[string]any{"exp": r.now().Unix() + 77})
	for name, row := range map[string]struct {
		query  string
		ok     bool
		access string
		id     string
		expiry time.Duration // 0 = not known
	}{
		"IMP-2 id_token":                         {"id_token=a.b.c&state=S", true, "", "a.b.c", 0},
		"IMP-2 id_token token":                   {"id_token=a.b.c&access_token=A&token_type=Bearer&expires_in=300", true, "A", "a.b.c", 5 * time.Minute},
		"IMP-2 code id_token":                    {"code=C&id_token=a.b.c", true, "", "a.b.c", 0},
		"IMP-2 code token":                       {"code=C&access_token=A&token_type=bearer", true, "A", "", 0},
		"TOK-4 no expires_in, but a JWT":         {"access_token=" + jwtExpiry + "&token_type=Bearer", true, jwtExpiry, "", 77 * time.Second},
		"IMP-8 no token at all":                  {"code=C", true, "", "", 0},
		"IMP-8 a token_type without a token":     {"id_token=a.b.c&token_type=x&expires_in=x", true, "", "a.b.c", 0},
		"IMP-8 no token_type":                    {"access_token=A", false, "", "", 0},
		"IMP-8 another token_type":               {"access_token=A&token_type=mac", false, "", "", 0},
		"IMP-8 N_A":                              {"access_token=A&token_type=N_A", false, "", "", 0},
		"IMP-8 N_A with an issued_token_type":    {"access_token=A&token_type=N_A&issued_token_type=x", false, "", "", 0},
		"IMP-8 two access tokens":                {"access_token=A&access_token=B&token_type=Bearer", false, "", "", 0},
		"IMP-8 two ID tokens":                    {"id_token=a.b.c&id_token=a.b.c", false, "", "", 0},
		"IMP-8 an empty and a full one":          {"id_token=&id_token=a.b.c", false, "", "", 0},
		"IMP-8 two token_types":                  {"access_token=A&token_type=Bearer&token_type=mac", false, "", "", 0},
		"IMP-8 expires_in in words":              {"access_token=A&token_type=Bearer&expires_in=soon", false, "", "", 0},
		"IMP-8 expires_in below zero":            {"access_token=A&token_type=Bearer&expires_in=-1", false, "", "", 0},
		"S16 expires_in of for ever":             {"access_token=A&token_type=Bearer&expires_in=1e300", true, "A", "", 10 * 365 * 24 * time.Hour},
		"S16 a huge access token":                {"access_token=" + long(64<<10+1) + "&token_type=Bearer", false, "", "", 0},
		"S16 a huge ID token":                    {"id_token=" + long(64<<10+1), false, "", "", 0},
		"S16 a huge scope":                       {"id_token=a.b.c&scope=" + long(4<<10+1), false, "", "", 0},
		"S16 a line break in the access token":   {"access_token=A%0d%0aX-Evil:1&token_type=Bearer", false, "", "", 0},
		"S16 a space in the ID token":            {"id_token=a.b.+c", false, "", "", 0},
		"S16 bytes that are no text":             {"access_token=%ff%fe&token_type=Bearer", false, "", "", 0},
		"IMP-9 a refresh token":                  {"access_token=A&token_type=Bearer&refresh_token=R", false, "", "", 0},
		"IMP-9 an empty refresh token":           {"access_token=A&token_type=Bearer&refresh_token=", false, "", "", 0},
		"IMP-8 empty tokens are none":            {"id_token=&access_token=", true, "", "", 0},
		"TOK-8 what is refused is not told":      {"access_token=canary%0a&token_type=Bearer", false, "", "", 0},
		"TOK-8 what is refused is not told, too": {"id_token=canary%00", false, "", "", 0},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := c.FrontChannel(must(url.ParseQuery(row.query)))
			if !row.ok {
				if e := wants(t, err, provider.Misbehaved, "bad_response"); containsCanary(e.Error()) || len(e.Error()) > 300 {
					t.Errorf("TOK-8: %v", e)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got.AccessToken.Reveal() != row.access || got.IDToken.Reveal() != row.id || !got.RefreshToken.IsZero() || !got.ReceivedAt.Equal(r.now()) {
				t.Errorf("%q %q", got.AccessToken.Reveal(), got.IDToken.Reveal())
			}
			if row.expiry == 0 != got.Expiry.IsZero() || row.expiry != 0 && !got.Expiry.Equal(r.now().Add(row.expiry)) {
				t.Errorf("expires at %s", got.Expiry)
			}
		})
	}
	if n := r.count("/token"); n != 0 {
		t.Errorf("%d token requests", n)
	}
	if got := must(c.FrontChannel(url.Values{"id_token": {"a.b.c"}, "scope": {"openid email"}})); got.Scope != "openid email" {
		t.Errorf("scope %q", got.Scope)
	}
}

// TestVerifyFront: each row changes the claims of the ID token in a hybrid response with code C, state S and access token access-1.
func TestVerifyFront(t *testing.T) {
	for name, row := range map[string]struct {
		claims map[string]any
		access string // "" = none came along
		code   string
	}{
		"IMP-6 good":                           {nil, "access-1", ""},
		"IMP-6 good, without an access token":  {map[string]any{"at_hash": nil}, "", ""},
		"IMP-6 no s_hash":                      {map[string]any{"s_hash": nil}, "access-1", ""},
		"IMP-6 no c_hash":                      {map[string]any{"c_hash": nil}, "access-1", "bad_c_hash"},
		"IMP-6 an empty c_hash":                {map[string]any{"c_hash": ""}, "access-1", "bad_c_hash"},
		"IMP-6 c_hash of another code":         {map[string]any{"c_hash": halfSHA256("D")}, "access-1", "bad_c_hash"},
		"IMP-6 s_hash of another state":        {map[string]any{"s_hash": halfSHA256("T")}, "access-1", "bad_s_hash"},
		"IMP-6 an empty s_hash":                {map[string]any{"s_hash": ""}, "access-1", "bad_s_hash"},
		"IMP-6 s_hash that is a number":        {map[string]any{"s_hash": 5}, "access-1", "bad_s_hash"},
		"IMP-5 no at_hash":                     {map[string]any{"at_hash": nil}, "access-1", "bad_at_hash"},
		"IMP-5 at_hash of another token":       {nil, "access-2", "bad_at_hash"},
		"P096 another nonce":                   {map[string]any{"nonce": "other"}, "access-1", "bad_nonce"},
		"P096 no nonce":                        {map[string]any{"nonce": nil}, "access-1", "bad_nonce"},
		"P099 another issuer":                  {map[string]any{"iss": "https://evil.example"}, "access-1", "bad_issuer"},
		"P099 another audience":                {map[string]any{"aud": "other"}, "access-1", "bad_audience"},
		"P100 another azp":                     {map[string]any{"azp": "other"}, "access-1", "bad_azp"},
		"P101 expired":                         {map[string]any{"exp": 5}, "access-1", "token_expired"},
		"P102 no subject":                      {map[string]any{"sub": nil}, "access-1", "bad_subject"},
		"IMP-8 no ID token, though one needed": {map[string]any{"": 0}, "access-1", "id_token_missing"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRogue(t)
			c := r.client()
			claims := map[string]any{"c_hash": halfSHA256("C"), "s_hash": halfSHA256("S"), "at_hash": halfSHA256("access-1")}
			for name, value := range row.claims {
				claims[name] = value
			}
			got := response(r.idToken(claims))
			got.AccessToken = secret.New(row.access)
			if _, none := row.claims[""]; none {
				got.IDToken = secret.String{}
			}
			who, err := c.VerifyFront(t.Context(), got, provider.Expect{Nonce: "N", Code: secret.New("C"), State: "S"})
			if row.code != "" {
				wants(t, err, provider.Misbehaved, row.code)
				if who.Subject != "" {
					t.Error("an identity came with the error")
				}
				return
			}
			if err != nil || who.Issuer != r.url || who.Subject != "alice" {
				t.Errorf("%+v %v", who, err)
			}
			if r.count("/token")+r.count("/userinfo") != 0 {
				t.Error("IMP-6: the network was asked before the code is used")
			}
		})
	}
	r := newRogue(t)
	c := r.client()
	good := r.idToken(map[string]any{"c_hash": halfSHA256("C")})
	_, err := c.VerifyFront(t.Context(), response(good), provider.Expect{Nonce: "N"})
	wants(t, err, provider.Misconfigured, "incomplete_request")
	_, err = c.VerifyFront(t.Context(), nil, provider.Expect{Nonce: "N", Code: secret.New("C")})
	wants(t, err, provider.Misbehaved, "id_token_missing")
	cut := strings.LastIndexByte(good, '.') + 1
	_, err = c.VerifyFront(t.Context(), response(good[:cut]+flip(good[cut:])), provider.Expect{Nonce: "N", Code: secret.New("C")})
	wants(t, err, provider.Misbehaved, "bad_signature") // IMP-4
}

// TestIdentifyOfAnImplicitLogin: the identity of tokens that came through the browser alone.
func TestIdentifyOfAnImplicitLogin(t *testing.T) {
	implicit := provider.Expect{Login: "spa", Nonce: "N", FrontChannel: true}
	for name, row := range map[string]struct {
		userinfo string
		access   string
		claims   map[string]any
		asked    int
		code     string
	}{
		"id_token":                            {"auto", "", nil, 0, ""},
		"id_token, userinfo never":            {"never", "", nil, 0, ""},
		"id_token, userinfo always":           {"always", "", nil, 0, ""}, // there is nothing to ask it with
		"id_token token, userinfo always":     {"always", "access-1", map[string]any{"at_hash": halfSHA256("access-1")}, 1, ""},
		"IMP-5 id_token token, no at_hash":    {"always", "access-1", nil, 0, "bad_at_hash"},
		"IMP-5 id_token token, wrong at_hash": {"auto", "access-1", map[string]any{"at_hash": halfSHA256("x")}, 0, "bad_at_hash"},
		"IMP-4 another nonce":                 {"auto", "", map[string]any{"nonce": "x"}, 0, "bad_nonce"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRogue(t)
			r.on("/userinfo", answerJSON(200, `{"sub":"alice","email":"alice@example.com"}`))
			c := r.client(conf(func(c *provider.Config) { c.UserInfo, c.Scopes = row.userinfo, []string{"openid", "email"} }))
			answer := url.Values{"id_token": {r.idToken(row.claims)}}
			if row.access != "" {
				answer["access_token"], answer["token_type"] = []string{row.access}, []string{"Bearer"}
			}
			got, err := c.FrontChannel(answer)
			if err != nil {
				t.Fatal(err)
			}
			who, err := c.Identify(t.Context(), got, implicit)
			if row.code != "" {
				wants(t, err, provider.Misbehaved, row.code)
				return
			}
			if err != nil || who.Subject != "alice" || who.Login != "spa" || who.Tokens.AccessToken.Reveal() != row.access || who.Tokens.Valid(r.now(), 0) != (row.access != "") {
				t.Errorf("%+v %v", who, err)
			}
			if n := r.count("/userinfo"); n != row.asked {
				t.Errorf("userinfo was asked %d times", n)
			}
		})
	}
}

func TestIMP2NoTokenIsAskedForInAQuery(t *testing.T) {
	r := newRogue(t)
	for _, responseType := range []string{"id_token", "code id_token", "code token"} {
		_, err := r.client().AuthorizationURL(t.Context(), provider.AuthorizationRequest{
			RedirectURI: callbackURI, State: "S", Nonce: "N", CodeChallenge: "C", ResponseType: responseType, ResponseMode: "query",
		})
		wants(t, err, provider.Misconfigured, "incomplete_request")
	}
	to := must(r.client().AuthorizationURL(t.Context(), provider.AuthorizationRequest{RedirectURI: callbackURI, State: "S", Nonce: "N", ResponseType: "id_token", ResponseMode: "form_post"}))
	if q := queryOf(t, to); q.Get("response_type") != "id_token" || q.Get("response_mode") != "form_post" || q.Get("nonce") != "N" || q.Has("code_challenge") {
		t.Errorf("IMP-2 IMP-4: %v", q)
	}
}
