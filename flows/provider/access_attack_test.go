package provider_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/doorward/doorward/flows/provider"
	"github.com/doorward/doorward/internal/identity"
	"github.com/doorward/doorward/internal/secret"
)

// raw signs claims that are written as text, so that they may hold what no encoder writes. {…} are filled with what a good
// token has.
func (r *rogue) raw(header map[string]any, claims string) string {
	now := r.now().Unix()
	head := map[string]any{"typ": "at+jwt"}
	for name, value := range header {
		head[name] = value
	}
	return r.sign(head, []byte(strings.NewReplacer(
		"{iss}", fmt.Sprintf("%q", r.url), "{good}", fmt.Sprintf(`"iss":%q,"sub":"alice","aud":"api","exp":%d,"iat":%d,"jti":"J1","client_id":"spa"`, r.url, now+300, now),
		"{but times}", fmt.Sprintf(`"iss":%q,"sub":"alice","aud":"api","jti":"J1","client_id":"spa"`, r.url), "{now}", fmt.Sprint(now), "{soon}", fmt.Sprint(now+300),
	).Replace(claims)))
}

// TestTimesThatAreNoTimes: whatever stands in exp, nbf and iat, a token counts only by numbers between 1970 and 9999.
func TestTimesThatAreNoTimes(t *testing.T) {
	r := newRogue(t)
	c := r.client()
	for name, row := range map[string]struct{ claims, code string }{
		"whole":                       {`{{but times},"exp":{soon},"iat":{now}}`, ""},
		"a fraction":                  {`{{but times},"exp":{soon}.75,"iat":{now}.25}`, ""},
		"exp in the scientific way":   {`{{but times},"exp":9e10,"iat":{now}}`, ""},
		"exp is negative":             {`{{but times},"exp":-1,"iat":{now}}`, "bad_claims"},
		"exp is the least int64":      {`{{but times},"exp":-9223372036854775808,"iat":{now}}`, "bad_claims"},
		"exp is beyond int64":         {`{{but times},"exp":9223372036854775808,"iat":{now}}`, "bad_claims"},
		"exp is 1e308":                {`{{but times},"exp":1e308,"iat":{now}}`, "bad_claims"},
		"exp is 1e400":                {`{{but times},"exp":1e400,"iat":{now}}`, "bad_claims"},
		"exp has a thousand digits":   {`{{but times},"exp":` + strings.Repeat("9", 1000) + `,"iat":{now}}`, "bad_claims"},
		"exp is the year 10000":       {`{{but times},"exp":253402300800,"iat":{now}}`, "bad_claims"},
		"exp in milliseconds":         {`{{but times},"exp":{soon}000,"iat":{now}}`, "bad_claims"},
		"exp is a text":               {`{{but times},"exp":"{soon}","iat":{now}}`, "bad_claims"},
		"exp is true":                 {`{{but times},"exp":true,"iat":{now}}`, "bad_claims"},
		"exp is a list":               {`{{but times},"exp":[{soon}],"iat":{now}}`, "bad_claims"},
		"exp is null":                 {`{{but times},"exp":null,"iat":{now}}`, "bad_claims"},
		"exp is 0":                    {`{{but times},"exp":0,"iat":{now}}`, "token_expired"},
		"exp twice":                   {`{{but times},"exp":1,"iat":{now},"exp":{soon}}`, "bad_claims"},
		"exp twice, spelt by escapes": {`{{but times},"exp":1,"iat":{now},"\u0065xp":{soon}}`, "bad_claims"},
		"EXP is not exp":              {`{{but times},"EXP":{soon},"iat":{now}}`, "bad_claims"},
		"nbf is 1e400":                {`{{good},"nbf":1e400}`, "bad_claims"},
		"nbf is negative":             {`{{good},"nbf":-1}`, "bad_claims"},
		"nbf is a text":               {`{{good},"nbf":"0"}`, "bad_claims"},
		"iat is negative":             {`{{but times},"exp":{soon},"iat":-5}`, "bad_claims"},
		"iat is a text":               {`{{but times},"exp":{soon},"iat":"{now}"}`, "bad_claims"},
		"iat is 1e300":                {`{{but times},"exp":{soon},"iat":1e300}`, "bad_claims"},
		"iat is far ahead":            {`{{but times},"exp":9e10,"iat":8e10}`, "token_not_yet_valid"},
	} {
		t.Run(name, func(t *testing.T) {
			who, err := c.VerifyAccessToken(t.Context(), secret.New(r.raw(nil, row.claims)), forAPI)
			judged(t, who, err, row.code)
		})
	}
}

func judged(t *testing.T, who *identity.Identity, err error, code string) {
	t.Helper()
	if code == "" {
		if err != nil || who.Subject != "alice" {
			t.Fatal(err)
		}
		return
	}
	if who != nil {
		t.Error("an identity came with the error")
	}
	wants(t, err, provider.Misbehaved, code)
}

// TestNamesThatAreAlmostTheName: iss and aud are compared byte for byte, and by their exact member names.
func TestNamesThatAreAlmostTheName(t *testing.T) {
	r := newRogue(t)
	c := r.client()
	almost := func(iss string) string {
		return r.access(nil, map[string]any{"iss": iss})
	}
	aud := func(v any) string { return r.access(nil, map[string]any{"aud": v}) }
	for name, row := range map[string]struct{ token, code string }{
		"iss with a slash":             {almost(r.url + "/"), "bad_issuer"},
		"iss with a space":             {almost(r.url + " "), "bad_issuer"},
		"iss with a null byte":         {almost(r.url + "\x00"), "bad_issuer"},
		"iss with a soft hyphen":       {almost(r.url + "\u00ad"), "bad_issuer"},
		"iss with a fragment":          {almost(r.url + "#"), "bad_issuer"},
		"iss in capitals":              {almost(strings.ToUpper(r.url)), "bad_issuer"},
		"iss in full width":            {almost(strings.ReplaceAll(r.url, ".", "\uff0e")), "bad_issuer"},
		"iss of Google's old spelling": {almost("accounts.google.com"), "bad_issuer"},
		"iss is a list":                {r.access(nil, map[string]any{"iss": []string{r.url}}), "bad_claims"},
		"iss escaped is the same text": {r.raw(nil, `{"\u0069ss":{iss},"sub":"alice","aud":"\u0061pi","exp":{soon},"iat":{now},"jti":"J1","client_id":"spa"}`), ""},
		"iss and ISS":                  {r.raw(nil, `{{good},"ISS":"https://evil.example"}`), ""},
		"SUB is not sub":               {r.raw(nil, `{"iss":{iss},"SUB":"root","aud":"api","exp":{soon},"iat":{now},"jti":"J1","client_id":"spa"}`), "bad_subject"},
		"aud empty":                    {aud([]string{}), "bad_audience"},
		"aud is one empty text":        {aud([]string{""}), "bad_audience"},
		"aud is an empty text":         {aud(""), "bad_audience"},
		"aud with an empty one":        {aud([]string{"api", ""}), "bad_audience"},
		"aud nested":                   {aud([]any{[]string{"api"}}), "bad_audience"},
		"aud with a null":              {aud([]any{"api", nil}), "bad_audience"},
		"aud with a number":            {aud([]any{"api", 1}), "bad_audience"},
		"aud in another case":          {aud("API"), "bad_audience"},
		"aud with a zero-width space":  {aud("api\u200b"), "bad_audience"},
		"aud decomposed":               {aud("a\u0300pi"), "bad_audience"},
		"aud joined by a space":        {aud("other api"), "bad_audience"},
		"AUD is not aud":               {r.raw(nil, `{"iss":{iss},"sub":"alice","AUD":"api","exp":{soon},"iat":{now},"jti":"J1","client_id":"spa"}`), "bad_audience"},
		"a member twice, deep inside":  {r.raw(nil, `{{good},"x":{"y":[{"z":1,"z":2}]}}`), "bad_claims"},
		"sub is not ASCII":             {r.access(nil, map[string]any{"sub": "al\u0131ce"}), "bad_subject"},
		"sub with a null byte":         {r.access(nil, map[string]any{"sub": "alice\x00"}), "bad_subject"},
		"a BOM before the claims":      {r.raw(nil, "\ufeff{{good}}"), "bad_claims"},
		"something after the claims":   {r.raw(nil, "{{good}}{}"), "bad_claims"},
		"claims that are a list":       {r.raw(nil, "[{{good}}]"), "bad_claims"},
		"nested 100 deep":              {r.raw(nil, `{{good},"x":`+strings.Repeat("[", 100)+strings.Repeat("]", 100)+`}`), "bad_claims"},
	} {
		t.Run("P120 SEC-7 "+name, func(t *testing.T) {
			who, err := c.VerifyAccessToken(t.Context(), secret.New(row.token), forAPI)
			judged(t, who, err, row.code)
		})
	}
}

// TestRS4TokensOfOtherKindsAreNoAccessTokens: all are signed by the provider's key, name it as iss and the API as aud.
func TestRS4TokensOfOtherKindsAreNoAccessTokens(t *testing.T) {
	r := newRogue(t)
	c := r.client()
	typed := func(typ string) string { return r.access(map[string]any{"typ": typ}, nil) }
	plain := func(changes map[string]any) string { return r.access(map[string]any{"typ": "JWT"}, changes) }
	nested := r.sign(map[string]any{"typ": "at+jwt", "cty": "JWT"}, []byte(r.access(nil, nil)))
	quoted := r.sign(map[string]any{"typ": "at+jwt", "cty": "JWT"}, must(json.Marshal(r.access(nil, nil))))
	for name, row := range map[string]struct{ token, code string }{
		"a signed answer of introspection":      {typed("token-introspection+jwt"), "bad_type"},
		"a DPoP proof":                          {typed("dpop+jwt"), "bad_type"},
		"a client assertion":                    {typed("client-authentication+jwt"), "bad_type"},
		"a request object":                      {typed("oauth-authz-req+jwt"), "bad_type"},
		"a security event":                      {typed("secevent+jwt"), "bad_type"},
		"a logout token":                        {typed("logout+jwt"), "bad_type"},
		"an identity assertion":                 {typed("oauth-id-jag+jwt"), "bad_type"},
		"a verifiable credential":               {typed("vc+sd-jwt"), "bad_type"},
		"typ with a space":                      {typed("at+jwt "), "bad_type"},
		"typ application/application/at+jwt":    {typed("application/application/at+jwt"), "bad_type"},
		"typ is a list":                         {r.access(map[string]any{"typ": []string{"at+jwt"}}, nil), "malformed_token"},
		"a nested JWT":                          {nested, "bad_claims"},
		"a nested JWT in quotes":                {quoted, "bad_claims"},
		"an answer by another's client id":      {plain(map[string]any{"iss": clientID}), "bad_issuer"},
		"JARM, which has no sub":                {plain(map[string]any{"sub": nil, "code": "c"}), "bad_subject"},
		"Keycloak's token for a mail":           {plain(map[string]any{"typ": "verify-email"}), "not_an_access_token"},
		"Keycloak's registration token":         {plain(map[string]any{"typ": "RegistrationAccessToken"}), "not_an_access_token"},
		"Keycloak's logout token":               {plain(map[string]any{"typ": "Logout"}), "not_an_access_token"},
		"Keycloak's DPoP token":                 {plain(map[string]any{"typ": "DPoP"}), ""},
		"a claim typ in small letters":          {plain(map[string]any{"typ": "bearer"}), ""},
		"PingAM's access token":                 {plain(map[string]any{"tokenName": "access_token", "token_type": "Bearer"}), ""},
		"PingAM's refresh token":                {plain(map[string]any{"tokenName": "refresh_token", "token_type": "Bearer"}), "not_an_access_token"},
		"PingAM's ID token":                     {plain(map[string]any{"tokenName": "id_token"}), "not_an_access_token"},
		"Casdoor's access token":                {plain(map[string]any{"tokenType": "access-token"}), ""},
		"Casdoor's refresh token":               {plain(map[string]any{"tokenType": "refresh-token"}), "not_an_access_token"},
		"token_use is a word of nobody":         {plain(map[string]any{"token_use": "other"}), "not_an_access_token"},
		"token_use is no text":                  {plain(map[string]any{"token_use": []string{"id"}}), "not_an_access_token"},
		"typ is no text":                        {plain(map[string]any{"typ": []string{"ID"}}), "not_an_access_token"},
		"nonce null is no nonce":                {plain(map[string]any{"nonce": json.RawMessage("null")}), ""},
		"an ID token of another client":         {plain(map[string]any{"aud": "api", "azp": "api", "client_id": nil, "scope": nil, "jti": nil}), "not_an_access_token"},
		"an access token for the client itself": {plain(map[string]any{"aud": "api", "azp": "api", "client_id": nil, "jti": nil}), ""},
	} {
		t.Run(name, func(t *testing.T) {
			who, err := c.VerifyAccessToken(t.Context(), secret.New(row.token), forAPI)
			judged(t, who, err, row.code)
		})
	}
}

// TestRS4AnEntraIDTokenWithAppRoles: roles stand in Entra's ID tokens too, and a login without a nonce (device, password)
// gives one that has nothing else to tell it by.
func TestRS4AnEntraIDTokenWithAppRoles(t *testing.T) {
	r := newRogue(t)
	c := r.client()
	mine := provider.AccessExpect{Audience: []string{clientID}}
	entra := func(changes map[string]any) secret.String {
		all := map[string]any{"aud": clientID, "scope": nil, "client_id": nil, "jti": nil, "roles": []string{"Admin"}, "ver": "2.0"}
		for name, value := range changes {
			all[name] = value
		}
		return secret.New(r.access(map[string]any{"typ": "JWT"}, all))
	}
	_, err := c.VerifyAccessToken(t.Context(), entra(nil), mine)
	wants(t, err, provider.Misbehaved, "not_an_access_token")
	for name, changes := range map[string]map[string]any{
		"an application's":  {"azp": "robot", "azpacr": "1"},
		"its own":           {"azp": clientID, "azpacr": "1"},
		"version 1":         {"appid": "robot", "appidacr": "1"},
		"a person's":        {"azp": clientID, "azpacr": "0", "scp": "orders.read"},
		"an ID token's azp": nil,
	} {
		if changes == nil {
			_, err := c.VerifyAccessToken(t.Context(), entra(map[string]any{"azp": clientID}), mine)
			wants(t, err, provider.Misbehaved, "not_an_access_token")
			continue
		}
		if _, err := c.VerifyAccessToken(t.Context(), entra(changes), mine); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestNobodyBecomesAMachineByChoosingAName: at Keycloak people may choose theirs.
func TestNobodyBecomesAMachineByChoosingAName(t *testing.T) {
	r := newRogue(t)
	c := r.client()
	for name, row := range map[string]struct {
		claims  map[string]any
		machine bool
	}{
		"a service account with a session":      {map[string]any{"client_id": "spa", "sid": "S1"}, true},
		"a service account of older versions":   {map[string]any{"client_id": nil, "clientId": "spa", "session_state": "S1"}, true},
		"a service account without its mappers": {map[string]any{"client_id": nil}, true},
		"a person of that name":                 {map[string]any{"client_id": nil, "sid": "S1"}, false},
		"a person of that name, long ago":       {map[string]any{"client_id": nil, "session_state": "S1"}, false},
	} {
		all := map[string]any{"azp": "spa", "preferred_username": "service-account-spa"}
		for name, value := range row.claims {
			all[name] = value
		}
		who, err := c.VerifyAccessToken(t.Context(), secret.New(r.access(map[string]any{"typ": "JWT"}, all)), forAPI)
		if err != nil || who.Machine != row.machine {
			t.Errorf("%s: %+v, %v", name, who, err)
		}
	}
}

// TestRS9IntrospectionTakesNoBindingOff: an answer that is silent about the key makes no Bearer of a bound token.
func TestRS9IntrospectionTakesNoBindingOff(t *testing.T) {
	r := newRogue(t)
	ask := func(token string, changes map[string]any, bound bool) (*identity.Identity, error) {
		introspects(r, answerJSON(200, string(must(json.Marshal(r.about(changes))))))
		return r.client().Introspect(t.Context(), secret.New(token), provider.AccessExpect{Audience: []string{"orders"}, Bound: bound})
	}
	cnf := map[string]any{"jkt": "K"}
	for name, row := range map[string]struct {
		token   string
		changes map[string]any
		cnf     any // what the caller sees; nil = refused
	}{
		"DPoP and its key":               {"opaque", map[string]any{"token_type": "DPoP", "cnf": cnf}, "K"},
		"DPoP without a key":             {"opaque", map[string]any{"token_type": "DPoP"}, nil},
		"DPoP and a certificate":         {"opaque", map[string]any{"token_type": "dpop", "cnf": map[string]any{"x5t#S256": "C"}}, nil},
		"the token itself names the key": {r.access(nil, map[string]any{"cnf": cnf}), nil, "K"},
		"both name it":                   {r.access(nil, map[string]any{"cnf": map[string]any{"jkt": "J"}}), map[string]any{"cnf": cnf}, "K"},
	} {
		who, err := ask(row.token, row.changes, true)
		if row.cnf == nil {
			if wants(t, err, provider.Misbehaved, "token_bound"); who != nil {
				t.Errorf("%s: %+v", name, who)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if jkt, _ := who.Claims.Lookup("cnf.jkt"); jkt != row.cnf {
			t.Errorf("%s: %v", name, jkt)
		}
	}
	_, err := ask(r.access(nil, map[string]any{"cnf": cnf}), nil, false)
	wants(t, err, provider.Misbehaved, "token_bound")
}

// TestP120NoAudienceFitsNoAudience: a claim that is missing is not for a caller who expects an empty one.
func TestP120NoAudienceFitsNoAudience(t *testing.T) {
	r := newRogue(t)
	for _, claim := range []string{"", "azp", "resource"} {
		c := r.client(conf(func(c *provider.Config) { c.AudienceClaim = claim }))
		for _, aud := range []any{nil, "", []string{}, []string{""}} {
			_, err := c.VerifyAccessToken(t.Context(), secret.New(r.access(nil, map[string]any{"aud": aud, "resource": aud})), provider.AccessExpect{Audience: []string{""}})
			wants(t, err, provider.Misbehaved, "bad_audience")
		}
	}
}

// TestRS8ASignedRefusalIsNoAnswer: the status comes before the signature.
func TestRS8ASignedRefusalIsNoAnswer(t *testing.T) {
	r := newRogue(t)
	body := r.sign(map[string]any{"typ": "token-introspection+jwt"}, must(json.Marshal(map[string]any{"iss": r.url, "aud": clientID, "iat": r.now().Unix(), "token_introspection": r.about(nil)})))
	for status, ok := range map[int]bool{200: true, 201: false, 400: false, 401: false, 500: false} {
		introspects(r, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/token-introspection+jwt")
			w.WriteHeader(status)
			_, _ = w.Write([]byte(body))
		})
		who, err := r.client(conf(func(c *provider.Config) { c.SignedIntrospection = true })).Introspect(t.Context(), secret.New("opaque"), forOrders)
		if ok != (err == nil && who != nil) {
			t.Errorf("%d: %+v, %v", status, who, err)
		}
	}
}
