package provider_test

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/demo/idp"
	"github.com/doorward/doorward/flows/provider"
	"github.com/doorward/doorward/internal/identity"
	"github.com/doorward/doorward/internal/secret"
)

// signedIn returns alice, signed in at v.
func (v *visit) signedIn() *identity.Identity {
	v.t.Helper()
	return must(v.client.Identify(v.t.Context(), must(v.tokens()), ordinary))
}

func (v *visit) exchange(who *identity.Identity, changes ...func(*provider.ExchangeRequest)) (*provider.Response, error) {
	q := provider.ExchangeRequest{Subject: who.Tokens.AccessToken, SubjectType: provider.TypeAccessToken, Audience: []string{"orders"}, Same: who}
	for _, change := range changes {
		change(&q)
	}
	return v.client.Exchange(v.t.Context(), q)
}

func TestTX1AnExchangeFromEndToEnd(t *testing.T) {
	inBubble(t, func(t *testing.T, _ *rogue) {
		v := machines(t, nil, nil)
		who := v.signedIn()
		own := must(v.client.ClientCredentials(t.Context(), provider.ClientCredentialsRequest{}))
		r, err := v.exchange(who, func(q *provider.ExchangeRequest) {
			q.Actor, q.Scopes, q.Audience, q.Resource, q.RequestedType = own.AccessToken, []string{"openid", "email"}, []string{"orders", "stock"}, []string{"https://orders.example"}, provider.TypeAccessToken
		})
		if err != nil {
			t.Fatal(err)
		}
		want := url.Values{
			"grant_type": {provider.GrantTokenExchange}, "subject_token": {who.Tokens.AccessToken.Reveal()}, "subject_token_type": {provider.TypeAccessToken},
			"actor_token": {own.AccessToken.Reveal()}, "actor_token_type": {provider.TypeAccessToken}, "requested_token_type": {provider.TypeAccessToken},
			"audience": {"orders", "stock"}, "resource": {"https://orders.example"}, "scope": {"openid email"},
		}
		if q := v.Last(idp.Token); q.Form.Encode() != want.Encode() || q.ClientAuth != "client_secret_basic" {
			t.Errorf("%s %v", q.ClientAuth, q.Form)
		}
		_, claims := opened(t, r.AccessToken.Reveal())
		act, _ := claims["act"].(map[string]any)
		if claims["sub"] != who.Subject || act["sub"] != "doorward" || r.IssuedTokenType != provider.TypeAccessToken || r.TokenType != "Bearer" {
			t.Errorf("TX-6 TX-7: %v %+v", claims, r.Tokens)
		}
	})
}

// TestSinsOfTheExchange: what a provider can answer, and how that is refused; no code = it is tolerated.
func TestSinsOfTheExchange(t *testing.T) {
	const misbehaved, unavailable, misconfigured, refused = provider.Misbehaved, provider.Unavailable, provider.Misconfigured, provider.Refused
	for sin, row := range map[string]struct {
		kind provider.Kind
		code string
	}{
		"n_a": {misbehaved, "bad_response"}, "mac": {misbehaved, "bad_response"}, "dpop": {misbehaved, "bad_response"}, "no_token_type": {misbehaved, "bad_response"},
		"empty_access": {misbehaved, "bad_response"}, "no_access": {misbehaved, "bad_response"}, "number_access": {misbehaved, "bad_response"}, "control_access": {misbehaved, "bad_response"},
		"huge_access": {misbehaved, "too_large"}, "no_expires_in": {}, "text_expires_in": {}, "negative_expires": {misbehaved, "bad_response"}, "refresh_token": {},
		"html": {misbehaved, "bad_response"}, "garbage": {misbehaved, "bad_response"}, "list": {misbehaved, "bad_response"}, "null": {misbehaved, "bad_response"}, "empty_body": {misbehaved, "bad_response"},
		"oversize": {misbehaved, "too_large"}, "server_error": {unavailable, "server_error"}, "unavailable": {unavailable, "server_error"}, "too_many": {unavailable, "rate_limited"},
		"hang": {unavailable, "timeout"}, "drop": {unavailable, "unreachable"}, "lost": {unavailable, "unreachable"}, "redirect": {misbehaved, "redirect_refused"},
		"invalid_grant": {refused, "invalid_grant"}, "invalid_client": {misconfigured, "invalid_client"}, "invalid_scope": {misconfigured, "invalid_scope"}, "invalid_target": {misconfigured, "invalid_target"},
		"unauthorized": {misconfigured, "unauthorized_client"}, "unsupported_grant": {misconfigured, "unsupported_grant_type"}, "denied": {refused, "access_denied"},
		"no_issued_type": {misbehaved, "bad_response"}, "refresh_issued_type": {misbehaved, "bad_response"}, "other_issued_type": {misbehaved, "bad_response"}, "number_issued_type": {misbehaved, "bad_response"},
		"other_sub": {misbehaved, "bad_subject"}, "no_sub": {}, "other_aud": {misbehaved, "bad_audience"}, "no_aud": {}, "other_iss": {}, "expired": {misbehaved, "token_expired"}, "no_exp": {},
		"wrong_signature": {}, "alg_none": {}, // for the target to refuse; we only look what it says
	} {
		t.Run("TX-2 TX-6 P144 P145 "+sin, func(t *testing.T) {
			inBubble(t, func(t *testing.T, _ *rogue) {
				v := machines(t, nil, nil)
				who := v.signedIn()
				before := v.Count(idp.Token)
				v.Misbehave(idp.Named("exchange_" + sin))
				r, err := v.exchange(who)
				if row.code == "" {
					if err != nil || r.AccessToken.IsZero() || !r.RefreshToken.IsZero() || !r.IDToken.IsZero() {
						t.Fatal(err)
					}
					return
				}
				wants(t, err, row.kind, row.code)
				if r != nil || v.Count(idp.Token) != before+1 {
					t.Errorf("TOK-7: %d requests", v.Count(idp.Token)-before)
				}
			})
		})
	}
}

// traded is an answer of an exchange that holds this token.
func traded(token string, changes map[string]any) string {
	o := map[string]any{"access_token": token, "issued_token_type": provider.TypeAccessToken, "token_type": "Bearer", "expires_in": 60}
	for name, value := range changes {
		if o[name] = value; value == nil {
			delete(o, name)
		}
	}
	return string(must(json.Marshal(o)))
}

// TestWhatIsReadOfATokenThatWasTraded: each row is what a JWT that comes back says.
func TestWhatIsReadOfATokenThatWasTraded(t *testing.T) {
	r := newRogue(t)
	now := r.now().Unix()
	jwtOf := func(claims map[string]any) string {
		return r.sign(map[string]any{"typ": "at+jwt"}, must(json.Marshal(claims)))
	}
	good := func(changes map[string]any) string {
		claims := map[string]any{"iss": r.url, "sub": "alice", "aud": []string{"orders"}, "exp": now + 60}
		maps.Copy(claims, changes)
		maps.DeleteFunc(claims, func(_ string, v any) bool { return v == nil })
		return jwtOf(claims)
	}
	same := &identity.Identity{Issuer: r.url, Subject: "alice"}
	for name, row := range map[string]struct {
		token     string
		audience  []string
		same      *identity.Identity
		kind, and string
	}{
		"TX-6 as asked":                                 {good(nil), []string{"orders"}, same, "", ""},
		"TX-6 opaque":                                   {"opaque", []string{"orders"}, same, "", ""},
		"TX-6 opaque with dots":                         {"a.b.c", []string{"orders"}, same, "", ""},
		"TX-6 aud is a string":                          {good(map[string]any{"aud": "orders"}), []string{"orders"}, same, "", ""},
		"TX-6 aud of one of several":                    {good(map[string]any{"aud": []string{"account", "stock"}}), []string{"orders", "stock"}, same, "", ""},
		"TX-6 aud of another":                           {good(map[string]any{"aud": "account"}), []string{"orders"}, same, "bad_audience", `is for "account"; expected a token for audience "orders", asked for by client "doorward"`},
		"TX-6 aud empty":                                {good(map[string]any{"aud": []string{}}), []string{"orders"}, same, "bad_audience", ""},
		"TX-6 aud is an object":                         {good(map[string]any{"aud": map[string]any{}}), []string{"orders"}, same, "bad_audience", ""},
		"TX-6 no aud":                                   {good(map[string]any{"aud": nil}), []string{"orders"}, same, "", ""},
		"TX-6 no audience was asked for":                {good(map[string]any{"aud": "account"}), nil, same, "", ""},
		"TX-6 P142 another subject":                     {good(map[string]any{"sub": "bob"}), nil, same, "bad_subject", `expected sub "alice", got "bob"`},
		"TX-6 another subject, whatever oid says":       {good(map[string]any{"sub": "bob", "oid": "O"}), nil, &identity.Identity{Issuer: r.url, Subject: "alice", Claims: identity.NewClaims([]byte(`{"oid":"O"}`))}, "bad_subject", ""},
		"TX-6 another subject of another issuer":        {good(map[string]any{"sub": "bob", "iss": "https://other.example"}), nil, same, "", ""},
		"TX-6 a service":                                {good(map[string]any{"sub": "bob"}), nil, nil, "", ""},
		"TX-6 no sub, as in Keycloak's lightweight one": {good(map[string]any{"sub": nil}), nil, same, "", ""},
		"TX-6 expired":                                  {good(map[string]any{"exp": now - 60}), nil, same, "token_expired", "ended 1m0s ago"},
		"RS-12 expired within the leeway":               {good(map[string]any{"exp": now - 59}), nil, same, "", ""},
		"TX-6 exp is a text":                            {good(map[string]any{"exp": "soon"}), nil, same, "bad_claims", ""},
		"TX-6 no exp":                                   {good(map[string]any{"exp": nil}), nil, same, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			r.on("/token", answerJSON(200, traded(row.token, nil)))
			got, err := r.client().Exchange(t.Context(), provider.ExchangeRequest{
				Subject: secret.New("subject-canary"), SubjectType: provider.TypeAccessToken, Audience: row.audience, Same: row.same,
			})
			if row.kind == "" {
				if err != nil || got.AccessToken.Reveal() != row.token {
					t.Fatal(err)
				}
				return
			}
			if e := wants(t, err, provider.Misbehaved, row.kind); got != nil || !strings.Contains(e.Detail, row.and) || strings.Contains(e.Error(), row.token) {
				t.Errorf("%v", e)
			}
		})
	}
}

func TestTX2TheTypeThatWasAskedForIsTheOneThatComes(t *testing.T) {
	r := newRogue(t)
	c := r.client()
	for name, row := range map[string]struct {
		asked   string
		changes map[string]any
		ok      bool
	}{
		"an access token":                        {provider.TypeAccessToken, nil, true},
		"the server's choice":                    {"", nil, true},
		"the server's choice is an ID token":     {"", map[string]any{"issued_token_type": provider.TypeIDToken, "token_type": "N_A"}, false},
		"the server's choice is a JWT":           {"", map[string]any{"issued_token_type": provider.TypeJWT}, false},
		"an ID token":                            {provider.TypeIDToken, map[string]any{"issued_token_type": provider.TypeIDToken, "token_type": "N_A"}, true},
		"an ID token, and its token_type given":  {provider.TypeIDToken, map[string]any{"issued_token_type": provider.TypeIDToken}, true},
		"a JWT":                                  {provider.TypeJWT, map[string]any{"issued_token_type": provider.TypeJWT, "token_type": "n_a"}, true},
		"an access token instead of an ID token": {provider.TypeIDToken, nil, false},
		"P144 N_A for an access token":           {provider.TypeAccessToken, map[string]any{"token_type": "N_A"}, false},
		"P144 a refresh token":                   {"", map[string]any{"issued_token_type": provider.TypeRefreshToken, "token_type": "N_A"}, false},
		"P144 no issued_token_type":              {"", map[string]any{"issued_token_type": nil}, false},
		"P144 N_A and no issued_token_type":      {"", map[string]any{"issued_token_type": nil, "token_type": "N_A"}, false},
		"P144 an empty access token":             {"", map[string]any{"access_token": ""}, false},
	} {
		t.Run(name, func(t *testing.T) {
			r.on("/token", answerJSON(200, traded("T", row.changes)))
			got, err := c.Exchange(t.Context(), provider.ExchangeRequest{Subject: secret.New("subject-canary"), SubjectType: provider.TypeAccessToken, RequestedType: row.asked})
			if row.ok {
				if err != nil || got.AccessToken.Reveal() != "T" {
					t.Fatal(err)
				}
				return
			}
			wants(t, err, provider.Misbehaved, "bad_response")
		})
	}
}

func TestWhatIsNoExchangeIsNotSent(t *testing.T) {
	r := newRogue(t)
	c := r.client()
	good := provider.ExchangeRequest{Subject: secret.New("subject-canary"), SubjectType: provider.TypeAccessToken}
	for name, row := range map[string]struct {
		change func(*provider.ExchangeRequest)
		kind   provider.Kind
		code   string
	}{
		"P139 no subject token":           {func(q *provider.ExchangeRequest) { q.Subject = secret.String{} }, provider.Refused, "invalid_grant"},
		"P140 a subject that is no token": {func(q *provider.ExchangeRequest) { q.Subject = secret.New("canary\r\nX: y") }, provider.Refused, "invalid_grant"},
		"P125 a subject of 64 kB":         {func(q *provider.ExchangeRequest) { q.Subject = secret.New(long(64<<10 + 1)) }, provider.Refused, "invalid_grant"},
		"an actor that is no token":       {func(q *provider.ExchangeRequest) { q.Actor = secret.New("canary canary") }, provider.Refused, "invalid_grant"},
		"TX-1 no subject type":            {func(q *provider.ExchangeRequest) { q.SubjectType = "" }, provider.Misconfigured, "incomplete_request"},
		"TX-1 an actor type alone":        {func(q *provider.ExchangeRequest) { q.ActorType = provider.TypeJWT }, provider.Misconfigured, "incomplete_request"},
		"TX-8 a refresh token":            {func(q *provider.ExchangeRequest) { q.RequestedType = provider.TypeRefreshToken }, provider.Misconfigured, "incomplete_request"},
		"RI-1 a resource with fragment":   {func(q *provider.ExchangeRequest) { q.Resource = []string{"https://x.example#a"} }, provider.Misconfigured, "incomplete_request"},
		"P139 a subject among the extra":  {func(q *provider.ExchangeRequest) { q.Extra = url.Values{"subject_token": {"canary"}} }, provider.Misconfigured, "reserved_parameter"},
	} {
		t.Run(name, func(t *testing.T) {
			q := good
			row.change(&q)
			_, err := c.Exchange(t.Context(), q)
			if e := wants(t, err, row.kind, row.code); containsCanary(e.Error()) {
				t.Errorf("%v", e)
			}
		})
	}
	if r.count("/token") != 0 {
		t.Error("asked all the same")
	}
}

func TestTOK8NoErrorRepeatsATokenThatWasToBeTraded(t *testing.T) {
	r := newRogue(t)
	c := r.client()
	for _, text := range []string{"subject-canary", "actor-canary", "SUBJECT-CANARY", "extra-canary"} {
		for _, status := range []int{400, 401, 403} {
			body := string(must(json.Marshal(map[string]string{"error": "invalid_request", "error_description": "the token " + text + " is bad"})))
			r.on("/token", answerJSON(status, body))
			_, err := c.Exchange(t.Context(), provider.ExchangeRequest{
				Subject: secret.New("subject-canary"), SubjectType: provider.TypeAccessToken, Actor: secret.New("actor-canary"), Extra: url.Values{"x": {"extra-canary"}}, Audience: []string{"orders"},
			})
			if err == nil || containsCanary(strings.ToLower(err.Error())) {
				t.Errorf("%s: %v", text, err)
			}
		}
	}
}

func TestAnExchangeThatIsLateIsNotRepeated(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rogue) {
		r.on("/token", func(w http.ResponseWriter, q *http.Request) { <-q.Context().Done() })
		began := time.Now()
		_, err := r.client().Exchange(t.Context(), provider.ExchangeRequest{Subject: secret.New("subject-canary"), SubjectType: provider.TypeAccessToken})
		wants(t, err, provider.Unavailable, "timeout")
		if d := time.Since(began); d > 11*time.Second || r.count("/token") != 1 {
			t.Errorf("%s, %d requests", d, r.count("/token"))
		}
	})
}
