package provider_test

import (
	"encoding/json"
	"net/url"
	"strings"
	"testing"

	"github.com/doorward/doorward/demo/idp"
	"github.com/doorward/doorward/flows/provider"
	"github.com/doorward/doorward/internal/identity"
	"github.com/doorward/doorward/internal/secret"
)

func TestOnBehalfOfFromEndToEnd(t *testing.T) {
	inBubble(t, func(t *testing.T, _ *rogue) {
		v := machines(t, nil, nil)
		who := v.signedIn()
		r, err := v.client.JWTBearer(t.Context(), provider.JWTBearerRequest{Assertion: who.Tokens.AccessToken, Dialect: provider.DialectEntraOBO, Scopes: []string{"api://orders/.default"}, Same: who})
		if err != nil {
			t.Fatal(err)
		}
		want := url.Values{
			"grant_type": {provider.GrantJWTBearer}, "assertion": {who.Tokens.AccessToken.Reveal()}, "requested_token_use": {"on_behalf_of"}, "scope": {"api://orders/.default"},
		}
		if q := v.Last(idp.Token); q.Form.Encode() != want.Encode() || q.ClientAuth != "client_secret_basic" {
			t.Errorf("%v", q.Form)
		}
		if _, claims := opened(t, r.AccessToken.Reveal()); claims["sub"] != who.Subject || claims["aud"] != "api://orders" || !r.RefreshToken.IsZero() {
			t.Errorf("TX-6 TX-8: %v", claims)
		}
	})
}

func TestTX10AnAssertionOfRFC7523(t *testing.T) {
	r := newRogue(t)
	r.on("/token", answerJSON(200, tokens))
	got, err := r.client().JWTBearer(t.Context(), provider.JWTBearerRequest{
		Assertion: secret.New("a.b.c"), Scopes: []string{"read"}, Audience: []string{"orders"}, Resource: []string{"https://orders.example"}, Extra: url.Values{"x": {"y"}},
	})
	if err != nil || got.AccessToken.Reveal() != "access-1" || !got.RefreshToken.IsZero() {
		t.Fatal(err)
	}
	want := url.Values{
		"grant_type": {provider.GrantJWTBearer}, "assertion": {"a.b.c"}, "scope": {"read"}, "audience": {"orders"}, "resource": {"https://orders.example"}, "x": {"y"},
	}
	if f := r.seen("/token")[0].PostForm; f.Encode() != want.Encode() {
		t.Errorf("%v", f)
	}
}

// TestStepUpOfOnBehalfOf: each row is how a provider says that it wants more of the person.
func TestStepUpOfOnBehalfOf(t *testing.T) {
	const wanted = `{"access_token":{"acrs":{"essential":true,"value":"c1"}}}`
	answer := func(members map[string]any) string { return string(must(json.Marshal(members))) }
	for name, row := range map[string]struct {
		body   string
		code   string
		claims string
		detail string
	}{
		"interaction_required":                   {answer(map[string]any{"error": "interaction_required", "claims": wanted, "suberror": "basic_action"}), "interaction_required", wanted, ""},
		"invalid_grant with claims":              {answer(map[string]any{"error": "invalid_grant", "error_description": "AADSTS50076: x", "claims": wanted}), "interaction_required", wanted, "AADSTS50076"},
		"without claims":                         {answer(map[string]any{"error": "interaction_required"}), "interaction_required", "", ""},
		"invalid_grant without claims":           {answer(map[string]any{"error": "invalid_grant"}), "invalid_grant", "", ""},
		"S16 claims that are no JSON":            {answer(map[string]any{"error": "interaction_required", "claims": "not json"}), "interaction_required", "", "left out"},
		"S16 claims that are an array":           {answer(map[string]any{"error": "interaction_required", "claims": "[]"}), "interaction_required", "", "left out"},
		"S16 claims that are an empty object":    {answer(map[string]any{"error": "interaction_required", "claims": "{}"}), "interaction_required", "", "left out"},
		"S16 claims that are an object, unasked": {answer(map[string]any{"error": "interaction_required", "claims": map[string]any{"id_token": 1}}), "interaction_required", "", ""},
		"S16 claims of more than 8 kB":           {answer(map[string]any{"error": "interaction_required", "claims": `{"x":"` + long(8<<10) + `"}`}), "interaction_required", "", "left out"},
		"S16 claims with a member twice":         {answer(map[string]any{"error": "interaction_required", "claims": `{"a":1,"a":2}`}), "interaction_required", "", "left out"},
		"S16 claims and something after them":    {answer(map[string]any{"error": "interaction_required", "claims": `{"a":1}{}`}), "interaction_required", "", "left out"},
		"S16 claims nested beyond measure":       {answer(map[string]any{"error": "interaction_required", "claims": strings.Repeat(`{"a":`, 40) + "1" + strings.Repeat("}", 40)}), "interaction_required", "", "left out"},
		"claims with another error do not count": {answer(map[string]any{"error": "access_denied", "claims": wanted}), "access_denied", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRogue(t)
			r.on("/token", answerJSON(400, row.body))
			_, err := r.at(atEntra).JWTBearer(t.Context(), provider.JWTBearerRequest{Assertion: secret.New("a.b.c"), Dialect: provider.DialectEntraOBO, Scopes: []string{"api://orders/.default"}})
			e := wants(t, err, provider.Refused, row.code)
			if e.Claims != row.claims || !strings.Contains(e.Detail, row.detail) || r.count("/token") != 1 {
				t.Errorf("%q, %v", e.Claims, e)
			}
		})
	}
}

func TestStepUpOverTheWire(t *testing.T) {
	for sin, wanted := range map[string]bool{"jwt_bearer_step_up": true, "jwt_bearer_step_up_grant": true, "jwt_bearer_step_up_garbage": false} {
		t.Run(sin, func(t *testing.T) {
			inBubble(t, func(t *testing.T, _ *rogue) {
				v := machines(t, nil, nil)
				who := v.signedIn()
				v.Misbehave(idp.Named(sin))
				_, err := v.client.JWTBearer(t.Context(), provider.JWTBearerRequest{Assertion: who.Tokens.AccessToken, Dialect: provider.DialectEntraOBO, Scopes: []string{"api://orders/.default"}, Same: who})
				e := wants(t, err, provider.Refused, "interaction_required")
				if wanted != strings.Contains(e.Claims, `"acrs"`) {
					t.Errorf("%q", e.Claims)
				}
			})
		})
	}
}

func TestWhatIsNoAssertionIsNotSent(t *testing.T) {
	r := newRogue(t)
	c := r.client()
	good := provider.JWTBearerRequest{Assertion: secret.New("a.b.c"), Dialect: provider.DialectEntraOBO, Scopes: []string{"api://orders/.default"}}
	for name, row := range map[string]struct {
		change func(*provider.JWTBearerRequest)
		kind   provider.Kind
		code   string
	}{
		"no assertion":                     {func(q *provider.JWTBearerRequest) { q.Assertion = secret.String{} }, provider.Refused, "invalid_grant"},
		"an assertion with a line break":   {func(q *provider.JWTBearerRequest) { q.Assertion = secret.New("canary\n") }, provider.Refused, "invalid_grant"},
		"on-behalf-of without a scope":     {func(q *provider.JWTBearerRequest) { q.Scopes = nil }, provider.Misconfigured, "incomplete_request"},
		"on-behalf-of with an audience":    {func(q *provider.JWTBearerRequest) { q.Audience = []string{"orders"} }, provider.Misconfigured, "incomplete_request"},
		"on-behalf-of with a resource":     {func(q *provider.JWTBearerRequest) { q.Resource = []string{"https://orders.example"} }, provider.Misconfigured, "incomplete_request"},
		"a dialect that nobody speaks":     {func(q *provider.JWTBearerRequest) { q.Dialect = "klingon" }, provider.Misconfigured, "incomplete_request"},
		"P139 an assertion among the rest": {func(q *provider.JWTBearerRequest) { q.Extra = url.Values{"assertion": {"canary"}} }, provider.Misconfigured, "reserved_parameter"},
	} {
		t.Run(name, func(t *testing.T) {
			q := good
			row.change(&q)
			_, err := c.JWTBearer(t.Context(), q)
			if e := wants(t, err, row.kind, row.code); containsCanary(e.Error()) {
				t.Errorf("%v", e)
			}
		})
	}
	if r.count("/token") != 0 {
		t.Error("asked all the same")
	}
}

// TestEntraKnowsAPersonByOID: its sub is another one for every client, so that comparing it would refuse everybody.
func TestEntraKnowsAPersonByOID(t *testing.T) {
	r := newRogue(t)
	issuer := atEntra
	obo := func(claims string, same *identity.Identity) error {
		r.on("/token", answerJSON(200, `{"token_type":"Bearer","expires_in":3599,"access_token":"e30.`+b64([]byte(claims))+`.c2ln"}`))
		_, err := r.at(issuer).JWTBearer(t.Context(), provider.JWTBearerRequest{Assertion: secret.New("a.b.c"), Dialect: provider.DialectEntraOBO, Scopes: []string{"api://orders/.default"}, Same: same})
		return err
	}
	alice := &identity.Identity{Issuer: atEntra, Subject: "pairwise-1", Claims: identity.NewClaims([]byte(`{"oid":"alice"}`))}
	if err := obo(`{"iss":"`+atEntra+`","sub":"pairwise-2","oid":"alice"}`, alice); err != nil {
		t.Error(err)
	}
	wants(t, obo(`{"iss":"`+atEntra+`","sub":"pairwise-1","oid":"bob"}`, alice), provider.Misbehaved, "bad_subject")
	if err := obo(`{"iss":"`+atEntra+`","sub":"pairwise-2","oid":"bob"}`, &identity.Identity{Issuer: atEntra, Subject: "pairwise-1"}); err != nil {
		t.Errorf("nothing to compare with: %v", err)
	}
	const v1 = `{"iss":"https://sts.windows.net/7a4e/","tid":"7a4e","sub":"pairwise-2",` // a target may want tokens of version 1, which have another iss
	alice.Claims = identity.NewClaims([]byte(`{"oid":"alice","tid":"7a4e"}`))
	wants(t, obo(v1+`"oid":"bob"}`, alice), provider.Misbehaved, "bad_subject")
	for _, same := range []string{v1 + `"oid":"alice"}`, v1 + `"x":1}`, `{"iss":"https://sts.windows.net/other/","tid":"other","oid":"guest-of-another-tenant"}`} {
		if err := obo(same, alice); err != nil {
			t.Errorf("%s: %v", same, err)
		}
	}
	alice.Claims = identity.NewClaims([]byte(`{"oid":"alice"}`)) // whose tenant nobody knows
	if err := obo(`{"iss":"https://sts.windows.net/7a4e/","oid":"bob"}`, alice); err != nil {
		t.Errorf("nothing to compare with: %v", err)
	}
	issuer = "https://login.corp.example/7a4e/v2.0" // Entra under a name of the company's own
	alice = &identity.Identity{Issuer: issuer, Subject: "pairwise-1", Claims: identity.NewClaims([]byte(`{"oid":"alice"}`))}
	if err := obo(`{"iss":"`+issuer+`","sub":"pairwise-2","oid":"alice"}`, alice); err != nil {
		t.Error(err)
	}
	wants(t, obo(`{"iss":"`+issuer+`","sub":"pairwise-1","oid":"bob"}`, alice), provider.Misbehaved, "bad_subject")
	wants(t, obo(`{"iss":"`+issuer+`","sub":"pairwise-2"}`, alice), provider.Misbehaved, "bad_subject")
}

// TestSinsOfTheJWTBearerGrant: what a provider can answer, and how that is refused; no code = it is tolerated.
func TestSinsOfTheJWTBearerGrant(t *testing.T) {
	const misbehaved, unavailable, misconfigured, refused = provider.Misbehaved, provider.Unavailable, provider.Misconfigured, provider.Refused
	for sin, row := range map[string]struct {
		kind provider.Kind
		code string
	}{
		"n_a": {misbehaved, "bad_response"}, "mac": {misbehaved, "bad_response"}, "empty_access": {misbehaved, "bad_response"}, "control_access": {misbehaved, "bad_response"}, "refresh_token": {},
		"html": {misbehaved, "bad_response"}, "oversize": {misbehaved, "too_large"}, "server_error": {unavailable, "server_error"}, "hang": {unavailable, "timeout"}, "redirect": {misbehaved, "redirect_refused"},
		"invalid_grant": {refused, "invalid_grant"}, "invalid_scope": {misconfigured, "invalid_scope"}, "unauthorized": {misconfigured, "unauthorized_client"}, "other_sub": {misbehaved, "bad_subject"}, "expired": {misbehaved, "token_expired"},
		"other_aud": {}, // targets go by scope, and aud is named as the target likes it
	} {
		t.Run("P144 P145 "+sin, func(t *testing.T) {
			inBubble(t, func(t *testing.T, _ *rogue) {
				v := machines(t, nil, nil)
				who := v.signedIn()
				before := v.Count(idp.Token)
				v.Misbehave(idp.Named("jwt_bearer_" + sin))
				r, err := v.client.JWTBearer(t.Context(), provider.JWTBearerRequest{Assertion: who.Tokens.AccessToken, Dialect: provider.DialectEntraOBO, Scopes: []string{"api://orders/.default"}, Same: who})
				if row.code == "" {
					if err != nil || r.AccessToken.IsZero() || !r.RefreshToken.IsZero() {
						t.Fatal(err)
					}
					return
				}
				wants(t, err, row.kind, row.code)
				if v.Count(idp.Token) != before+1 {
					t.Errorf("TOK-7: %d requests", v.Count(idp.Token)-before)
				}
			})
		})
	}
}
