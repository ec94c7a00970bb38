package provider_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/demo/idp"
	"github.com/doorward/doorward/flows/provider"
	"github.com/doorward/doorward/internal/secret"
)

var forOrders = provider.AccessExpect{Audience: []string{"orders"}}

func TestRS6AnOpaqueTokenIsIntrospected(t *testing.T) {
	for name, signed := range map[string]bool{"RFC 7662": false, "RS-8 RFC 9701": true} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, _ *rogue) {
				v := machines(t, nil, func(c *provider.Config) { c.SignedIntrospection = signed })
				token := v.MustMint(idp.Mint{Client: "orders", User: "alice", Audience: []string{"orders"}, Scopes: []string{"read", "write"}, Opaque: true})
				who, err := v.client.Introspect(t.Context(), secret.New(token), forOrders)
				if err != nil {
					t.Fatal(err)
				}
				if who.Issuer != v.Issuer() || who.Subject != "8f2c-alice" || who.Client != "orders" || who.Machine || who.Username != "alice" || fmt.Sprint(who.Scopes) != "[read write]" || who.Provider != "corp" {
					t.Errorf("%+v", who)
				}
				if !who.Ends.Equal(time.Now().Add(5*time.Minute)) || who.Tokens.AccessToken.Reveal() != token {
					t.Errorf("%s %+v", who.Ends, who.Tokens)
				}
				q := v.Last(idp.Introspect)
				if q.ClientAuth != "client_secret_basic" || q.Form.Get("token") != token || q.Form.Get("token_type_hint") != "access_token" || len(q.Form) != 2 ||
					q.Header.Get("Accept") != map[bool]string{false: "application/json", true: "application/token-introspection+jwt"}[signed] {
					t.Errorf("%s %v %v", q.ClientAuth, q.Form, q.Header)
				}
				own := v.MustMint(idp.Mint{Client: "backup: +%/", Audience: []string{"orders"}, Opaque: true})
				if who, err = v.client.Introspect(t.Context(), secret.New(own), forOrders); err != nil || !who.Machine || who.Subject != "backup: +%/" {
					t.Errorf("%+v %v", who, err)
				}
				v.EndToken(token)
				_, err = v.client.Introspect(t.Context(), secret.New(token), forOrders)
				wants(t, err, provider.Misbehaved, "inactive")
				before := v.Count(idp.Introspect)
				_, err = v.client.Introspect(t.Context(), secret.New("unknown"), forOrders)
				if wants(t, err, provider.Misbehaved, "inactive"); v.Count(idp.Introspect) != before+1 {
					t.Error("every call asks, once")
				}
			})
		})
	}
}

// TestP126IntrospectionIsDisciplined: each row is an answer of the catalogue, and what becomes of the token: what is the
// token's fault is Misbehaved, and what says nothing about it is Unavailable.
func TestP126IntrospectionIsDisciplined(t *testing.T) {
	const misbehaved, unavailable, misconfigured = provider.Misbehaved, provider.Unavailable, provider.Misconfigured
	for sin, row := range map[string]struct {
		kind   provider.Kind
		code   string
		signed bool
	}{
		"text_active": {misbehaved, "inactive", false}, "number_active": {misbehaved, "inactive", false}, "null_active": {misbehaved, "inactive", false}, "no_active": {misbehaved, "inactive", false},
		"inactive": {misbehaved, "inactive", false}, "empty": {misbehaved, "inactive", false}, "list": {unavailable, "bad_response", false}, "null": {unavailable, "bad_response", false},
		"twice_active": {unavailable, "bad_response", false}, "garbage": {unavailable, "bad_response", false}, "html": {unavailable, "bad_response", false}, "server_error": {unavailable, "server_error", false},
		"unavailable": {unavailable, "server_error", false}, "too_many": {unavailable, "rate_limited", false}, "unauthorized": {misconfigured, "invalid_client", false}, "oversize": {unavailable, "too_large", false},
		"hang": {unavailable, "timeout", false}, "drop": {unavailable, "unreachable", false}, "slow": {}, "redirect": {unavailable, "redirect_refused", false},
		"other_iss": {misbehaved, "bad_issuer", false}, "other_aud": {misbehaved, "bad_audience", false}, "no_aud": {misbehaved, "bad_audience", false}, "no_sub": {misbehaved, "bad_subject", false}, "no_exp": {},
		"expired": {misbehaved, "token_expired", false}, "text_exp": {misbehaved, "bad_claims", false}, "future_nbf": {misbehaved, "token_not_yet_valid", false}, "refresh_typed": {misbehaved, "not_an_access_token", false},
		"cnf":          {misbehaved, "token_bound", false},
		"signed_wrong": {unavailable, "bad_signature", true}, "signed_none": {unavailable, "bad_signature", true}, "signed_hs256": {unavailable, "bad_alg", true}, "signed_typ": {unavailable, "bad_type", true},
		"signed_iss": {unavailable, "bad_issuer", true}, "signed_aud": {unavailable, "bad_audience", true}, "signed_old": {unavailable, "token_too_old", true}, "signed_nothing": {unavailable, "bad_claims", true},
		"signed_not": {misconfigured, "bad_response", true}, "signed_at_top": {unavailable, "bad_type", true}, "signed_as_plain": {unavailable, "bad_response", true},
	} {
		t.Run(sin, func(t *testing.T) {
			inBubble(t, func(t *testing.T, _ *rogue) {
				v := machines(t, nil, func(c *provider.Config) { c.SignedIntrospection = row.signed })
				token := v.MustMint(idp.Mint{Client: "orders", User: "alice", Audience: []string{"orders"}, Opaque: true})
				v.Misbehave(idp.Named("introspect_" + sin))
				who, err := v.client.Introspect(t.Context(), secret.New(token), forOrders)
				if row.code == "" {
					if err != nil || who.Subject != "8f2c-alice" || sin == "no_exp" && !who.Ends.IsZero() {
						t.Fatal(err)
					}
					return
				}
				if e := wants(t, err, row.kind, row.code); who != nil || strings.Contains(e.Error(), token) || v.Count(idp.Introspect) != 1 {
					t.Errorf("RS-7: %v, %d requests", e, v.Count(idp.Introspect))
				}
			})
		})
	}
}

// introspects is a scripted provider with an introspection endpoint.
func introspects(r *rogue, answer http.HandlerFunc) *rogue {
	r.set("introspection_endpoint", r.url+"/introspect")
	r.on("/introspect", answer)
	return r
}

// about is an answer about a good token, changed.
func (r *rogue) about(changes map[string]any) map[string]any {
	o := map[string]any{"active": true, "sub": "alice", "aud": "orders", "client_id": "spa", "scope": "read", "exp": r.now().Unix() + 60, "token_type": "Bearer"}
	maps.Copy(o, changes)
	maps.DeleteFunc(o, func(_ string, v any) bool { return v == nil })
	return o
}

// TestWhatAnAnswerOfIntrospectionSays: each row changes a good answer.
func TestWhatAnAnswerOfIntrospectionSays(t *testing.T) {
	r := newRogue(t)
	now := r.now().Unix()
	for name, row := range map[string]struct {
		changes map[string]any
		conf    func(*provider.Config)
		code    string
		want    string // subject, client, machine, scopes, username
	}{
		"RS-6 good":                                {nil, nil, "", "alice spa false [read] "},
		"RS-6 aud of several":                      {map[string]any{"aud": []string{"x", "orders"}}, nil, "", "alice spa false [read] "},
		"RS-6 its own iss":                         {map[string]any{"iss": r.url}, nil, "", "alice spa false [read] "},
		"RS-6 another iss":                         {map[string]any{"iss": r.url + "/"}, nil, "bad_issuer", ""},
		"RS-6 iss is a number":                     {map[string]any{"iss": 1}, nil, "bad_claims", ""},
		"RS-6 within the leeway":                   {map[string]any{"exp": now - 59}, nil, "", "alice spa false [read] "},
		"RS-6 expired":                             {map[string]any{"exp": now - 60}, nil, "token_expired", ""},
		"RS-6 iat in the future":                   {map[string]any{"iat": now + 100}, nil, "token_not_yet_valid", ""},
		"RS-6 aud is a number":                     {map[string]any{"aud": 7}, nil, "bad_audience", ""},
		"RS-6 aud begins alike":                    {map[string]any{"aud": "orders.evil"}, nil, "bad_audience", ""},
		"P120 no aud, but client_id is configured": {map[string]any{"aud": nil, "client_id": "orders"}, func(c *provider.Config) { c.AudienceClaim = "client_id" }, "", "alice orders false [read] "},
		"P120 aud, and client_id is configured":    {nil, func(c *provider.Config) { c.AudienceClaim = "client_id" }, "bad_audience", ""},
		"P102 no sub but a username":               {map[string]any{"sub": nil, "username": "alice"}, nil, "bad_subject", ""},
		"P102 no sub but an acr":                   {map[string]any{"sub": nil, "acr": "1"}, nil, "bad_subject", ""},
		"P102 sub is a number":                     {map[string]any{"sub": 7}, nil, "bad_subject", ""},
		"P102 an empty sub":                        {map[string]any{"sub": ""}, nil, "bad_subject", ""},
		"SEC-7 no sub and nobody named: a client":  {map[string]any{"sub": nil}, nil, "", "spa spa true [read] "},
		"P102 neither sub nor client":              {map[string]any{"sub": nil, "client_id": nil}, nil, "bad_subject", ""},
		"RS-5 username":                            {map[string]any{"username": "al"}, nil, "", "alice spa false [read] al"},
		"RS-5 username with a line break":          {map[string]any{"username": "a\nl"}, nil, "", "alice spa false [read] "},
		"RS-5 preferred_username goes first":       {map[string]any{"username": "al", "preferred_username": "ali"}, nil, "", "alice spa false [read] ali"},
		"RS-5 scp":                                 {map[string]any{"scope": nil, "scp": []string{"a", "b"}}, nil, "", "alice spa false [a b] "},
		"SEC-7 a service account":                  {map[string]any{"sub": "spa"}, nil, "", "spa spa true [read] "},
		"RS-4 token_type DPoP":                     {map[string]any{"token_type": "DPoP", "cnf": map[string]any{"jkt": "x"}}, nil, "token_bound", ""},
		"RS-4 no token_type":                       {map[string]any{"token_type": nil}, nil, "", "alice spa false [read] "},
		"RS-4 token_type refresh_token":            {map[string]any{"token_type": "refresh_token"}, nil, "not_an_access_token", ""},
		"RS-4 token_type is an object":             {map[string]any{"token_type": map[string]any{}}, nil, "bad_claims", ""},
		"RS-4 Hydra's access token":                {map[string]any{"token_use": "access_token"}, nil, "", "alice spa false [read] "},
		"RS-4 Hydra's refresh token":               {map[string]any{"token_use": "refresh_token"}, nil, "not_an_access_token", ""},
		"RS-4 Keycloak's refresh token":            {map[string]any{"typ": "Refresh"}, nil, "not_an_access_token", ""},
		"RS-4 Keycloak's access token":             {map[string]any{"typ": "Bearer"}, nil, "", "alice spa false [read] "},
		"RS-4 P121 an ID token":                    {map[string]any{"at_hash": "x"}, nil, "not_an_access_token", ""},
		"RS-9 bound":                               {map[string]any{"cnf": map[string]any{"jkt": "x"}}, nil, "token_bound", ""},
	} {
		t.Run(name, func(t *testing.T) {
			introspects(r, answerJSON(200, string(must(json.Marshal(r.about(row.changes))))))
			c := r.client()
			if row.conf != nil {
				c = r.client(conf(row.conf))
			}
			who, err := c.Introspect(t.Context(), secret.New("opaque"), forOrders)
			if row.code != "" {
				wants(t, err, provider.Misbehaved, row.code)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := fmt.Sprintf("%s %s %v %v %s", who.Subject, who.Client, who.Machine, who.Scopes, who.Username); got != row.want {
				t.Errorf("%s, want %s", got, row.want)
			}
		})
	}
	introspects(r, answerJSON(200, string(must(json.Marshal(r.about(map[string]any{"cnf": map[string]any{"jkt": "x"}}))))))
	who, err := r.client().Introspect(t.Context(), secret.New("opaque"), provider.AccessExpect{Audience: []string{"orders"}, Bound: true})
	if err != nil {
		t.Fatal(err)
	}
	if cnf, _ := who.Claims.Lookup("cnf.jkt"); cnf != "x" {
		t.Errorf("RS-9: the caller cannot see what it is bound to: %v", cnf)
	}
}

// TestRS8ASignedAnswer: each row changes the JWT around a good answer.
func TestRS8ASignedAnswer(t *testing.T) {
	r := newRogue(t)
	now := r.now().Unix()
	forger := &rogue{t: t, url: r.url, key: newKey()}
	for name, row := range map[string]struct {
		by     *rogue
		header map[string]any
		claims map[string]any
		code   string
	}{
		"good":                            {r, nil, nil, ""},
		"aud of several":                  {r, nil, map[string]any{"aud": []string{"other", clientID}}, ""},
		"the long typ":                    {r, map[string]any{"typ": "application/token-introspection+jwt"}, nil, ""},
		"P119 another key":                {forger, nil, nil, "bad_signature"},
		"P119 alg none":                   {r, map[string]any{"alg": "none"}, nil, "bad_alg"},
		"P119 HS256":                      {r, map[string]any{"alg": "HS256"}, nil, "bad_alg"},
		"P119 an embedded key":            {forger, map[string]any{"jwk": jwk(&forger.key.PublicKey, "k1", "ES256")}, nil, "malformed_token"},
		"typ of an access token":          {r, map[string]any{"typ": "at+jwt"}, nil, "bad_type"},
		"no typ":                          {r, map[string]any{"typ": nil}, nil, "bad_type"},
		"another issuer":                  {r, nil, map[string]any{"iss": "https://other.example"}, "bad_issuer"},
		"no issuer":                       {r, nil, map[string]any{"iss": nil}, "bad_issuer"},
		"for another resource server":     {r, nil, map[string]any{"aud": "other"}, "bad_audience"},
		"for nobody":                      {r, nil, map[string]any{"aud": nil}, "bad_audience"},
		"no iat":                          {r, nil, map[string]any{"iat": nil}, "bad_claims"},
		"iat is a text":                   {r, nil, map[string]any{"iat": "now"}, "bad_claims"},
		"made long ago":                   {r, nil, map[string]any{"iat": now - 121}, "token_too_old"},
		"made in the future":              {r, nil, map[string]any{"iat": now + 61}, "token_not_yet_valid"},
		"an answer that is a text":        {r, nil, map[string]any{"token_introspection": "{}"}, "bad_claims"},
		"no answer":                       {r, nil, map[string]any{"token_introspection": nil}, "bad_claims"},
		"the members stand outside":       {r, nil, map[string]any{"token_introspection": nil, "active": true, "sub": "alice"}, "bad_claims"},
		"SEC-7 the outer sub is not read": {r, nil, map[string]any{"sub": "root", "active": false}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			claims := map[string]any{"iss": r.url, "aud": clientID, "iat": now, "token_introspection": r.about(nil)}
			maps.Copy(claims, row.claims)
			maps.DeleteFunc(claims, func(_ string, v any) bool { return v == nil })
			header := map[string]any{"typ": "token-introspection+jwt"}
			maps.Copy(header, row.header)
			body := row.by.sign(header, must(json.Marshal(claims)))
			introspects(r, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "application/token-introspection+jwt")
				_, _ = w.Write([]byte(body))
			})
			for _, demanded := range []bool{true, false} { // one that comes unasked is checked all the same
				who, err := r.client(conf(func(c *provider.Config) { c.SignedIntrospection = demanded })).Introspect(t.Context(), secret.New("opaque"), forOrders)
				if row.code != "" {
					wants(t, err, provider.Unavailable, row.code)
				} else if err != nil || who.Subject != "alice" {
					t.Error(err)
				}
			}
		})
	}
}

// TestKeycloaksSilenceAboutAudiencesIsBroken: it calls inactive what is not for whoever asks, and signs nothing.
func TestKeycloaksSilenceAboutAudiencesIsBroken(t *testing.T) {
	r := newRogue(t)
	jwt := func(claims string) secret.String { return secret.New("e30." + b64([]byte(claims)) + ".c2ln") }
	const rule = `expected "doorward" in aud, got `
	for name, row := range map[string]struct {
		at     string
		token  secret.String
		signed bool
		answer string
		says   string
		not    string
	}{
		"for others":                   {atKeycloak, jwt(`{"aud":["stock","orders"]}`), false, `{"active":false}`, rule + `"stock", "orders"`, ""},
		"for nobody, but of ours":      {atKeycloak, jwt(`{"azp":"doorward"}`), false, `{"active":false}`, rule, ""},
		"for us: it is really over":    {atKeycloak, jwt(`{"aud":["stock","doorward"]}`), false, `{"active":false}`, "not active", "Keycloak"},
		"it cannot be read":            {atKeycloak, secret.New("opaque"), false, `{"active":false}`, "not active", "Keycloak"},
		"another provider has no rule": {atAny, jwt(`{"aud":"stock"}`), false, `{"active":false}`, "not active", "Keycloak"},
		"signed answers":               {atKeycloak, jwt(`{"aud":"doorward"}`), true, `{"active":true}`, "Keycloak has no signed answers", "have it sign"},
		"signed answers of another":    {atAny, jwt(`{"aud":"doorward"}`), true, `{"active":true}`, "have it sign", "Keycloak"},
	} {
		t.Run(name, func(t *testing.T) {
			r.on("/introspect", answerJSON(200, row.answer))
			c := r.client(conf(func(c *provider.Config) {
				c.Issuer, c.Discovery, c.SignedIntrospection = row.at, false, row.signed
				c.Endpoints = provider.Endpoints{Token: r.url + "/token", JWKS: r.url + "/keys", Introspection: r.url + "/introspect"}
			}))
			_, err := c.Introspect(t.Context(), row.token, forOrders)
			if err == nil || !strings.Contains(err.Error(), row.says) || row.not != "" && strings.Contains(err.Error(), row.not) || strings.Contains(err.Error(), row.token.Reveal()) {
				t.Error(err)
			}
		})
	}
}

func TestCA9IntrospectionAuthenticatesTheClient(t *testing.T) {
	for method, change := range eachMethod() {
		t.Run(method, func(t *testing.T) {
			r := newRogue(t)
			introspects(r, answerJSON(200, string(must(json.Marshal(r.about(nil))))))
			must(r.client(conf(change)).Introspect(t.Context(), secret.New("opaque"), forOrders))
			q := r.seen("/introspect")[0]
			authenticated(t, q, method)
			if q.PostForm.Get("token") != "opaque" {
				t.Error(q.PostForm)
			}
		})
	}
}

// TestNobodyIsAskedAboutWhatIsNoToken: garbage makes no work for the provider.
func TestNobodyIsAskedAboutWhatIsNoToken(t *testing.T) {
	r := introspects(newRogue(t), answerJSON(200, `{"active":true}`))
	c := r.client()
	for name, token := range map[string]string{"P118 nothing": "", "P118 a space": "canary x", "P118 a line break": "canary\n", "P118 no ASCII": "cänary", "P125 64 kB": long(64<<10 + 1), "P125 1 MB": long(1 << 20)} {
		t.Run(name, func(t *testing.T) {
			_, err := c.Introspect(t.Context(), secret.New(token), forOrders)
			if e := wants(t, err, provider.Misbehaved, "malformed_token"); containsCanary(e.Error()) {
				t.Error(e)
			}
		})
	}
	_, err := c.Introspect(t.Context(), secret.New("opaque"), provider.AccessExpect{})
	wants(t, err, provider.Misconfigured, "bad_audience") // P120
	if r.count("/introspect") != 0 {
		t.Error("asked all the same")
	}
}

func TestAnEndpointThatRefusesUsIsTheOperators(t *testing.T) {
	for name, row := range map[string]struct {
		answer http.HandlerFunc
		kind   provider.Kind
		code   string
	}{
		"401":                {answerJSON(401, `{"error":"invalid_client"}`), provider.Misconfigured, "invalid_client"},
		"403":                {answerJSON(403, `{"error":"access_denied"}`), provider.Misconfigured, "access_denied"},
		"invalid_token":      {answerJSON(401, `{"error":"invalid_token"}`), provider.Misconfigured, "invalid_token"},
		"400 without a word": {answerJSON(400, `{}`), provider.Unavailable, "bad_response"},
		"404":                {answerJSON(404, ``), provider.Unavailable, "bad_response"},
		"204":                {answerJSON(204, ``), provider.Unavailable, "bad_response"},
		"257 kB":             {answerJSON(200, `{"active":true,"sub":"alice","aud":"orders","x":"`+long(257<<10)+`"}`), provider.Unavailable, "too_large"},
	} {
		t.Run(name, func(t *testing.T) {
			r := introspects(newRogue(t), row.answer)
			_, err := r.client().Introspect(t.Context(), secret.New("opaque-canary"), forOrders)
			if e := wants(t, err, row.kind, row.code); containsCanary(e.Error()) {
				t.Error(e)
			}
		})
	}
	r := newRogue(t)
	_, err := r.client().Introspect(t.Context(), secret.New("opaque"), forOrders)
	wants(t, err, provider.Misconfigured, "no_endpoint")
	r.on(wellKnown, answerJSON(200, "<html>"))
	_, err = r.client().Introspect(t.Context(), secret.New("opaque"), forOrders)
	if e, ok := err.(*provider.Error); !ok || e.Kind != provider.Unavailable {
		t.Errorf("discovery in trouble: %v", err)
	}
}

func TestIssuerOf(t *testing.T) {
	r := newRogue(t)
	for name, row := range map[string]struct {
		token, issuer string
		ok            bool
	}{
		"a JWT":                    {r.access(nil, nil), r.url, true},
		"of another":               {r.access(nil, map[string]any{"iss": "https://evil.example"}), "https://evil.example", true},
		"without iss":              {r.access(nil, map[string]any{"iss": nil}), "", true},
		"iss is a number":          {r.access(nil, map[string]any{"iss": 1}), "", true},
		"SEC-7 iss stands twice":   {r.sign(nil, []byte(`{"iss":"a","iss":"b"}`)), "", true},
		"SEC-7 ISS is not iss":     {r.sign(nil, []byte(`{"ISS":"a"}`)), "", true},
		"claims that are no JSON":  {r.sign(nil, []byte(`x`)), "", true},
		"opaque":                   {"opaque", "", false},
		"opaque with dots":         {"a.b.c", "", false},
		"opaque, with JSON in it":  {"e30.e30.e30", "", false},
		"a JWE":                    {r.access(nil, nil) + ".x.y", "", false},
		"nothing":                  {"", "", false},
		"P125 a million dots":      {strings.Repeat(".", 1_000_000), "", false},
		"P125 more than may be":    {long(64<<10+1) + ".e30.x", "", false},
		"P125 a header of 9 kB":    {r.sign(map[string]any{"x": long(9 << 10)}, []byte(`{"iss":"a"}`)), "", false},
		"a header without alg":     {r.sign(map[string]any{"alg": nil}, []byte(`{"iss":"a"}`)), "", false},
		"P118 a line break inside": {"e\n30.e30.x", "", false},
	} {
		if issuer, ok := provider.IssuerOf(row.token); issuer != row.issuer || ok != row.ok {
			t.Errorf("%s: %q %v", name, issuer, ok)
		}
	}
}
