package e2e

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// Each path is a route of its own; Keycloak's tokens name gateway in aud only where an audience mapper
// says so.
const keycloakBearer = `
[provider.azp]
issuer = "%[4]s"
audience_claim = "azp"
[provider.asking]
issuer = "%[4]s"
client_id = "gateway"
client_secret = "` + clientSecret + `"
access_tokens = "introspect"
[provider.outsider]
issuer = "%[4]s"
client_id = "outsider"
client_secret = "` + clientSecret + `"
access_tokens = "introspect"
[[route]]
name = "api"
host = "%[1]s"
upstream = ["%[2]s"]
accept = ["bearer"]
issuers = ["gateway"]
audience = ["gateway"]
[[route]]
name = "azp"
host = "%[1]s"
path = "/azp"
upstream = ["%[2]s"]
accept = ["bearer"]
issuers = ["azp"]
audience = ["gateway"]
[[route]]
name = "people"
host = "%[1]s"
path = "/people"
upstream = ["%[2]s"]
accept = ["bearer"]
issuers = ["gateway"]
audience = ["gateway"]
require = "!user.machine"
[[route]]
name = "asking"
host = "%[1]s"
path = "/asking"
upstream = ["%[2]s"]
accept = ["bearer"]
issuers = ["asking"]
audience = ["gateway"]
[[route]]
name = "outsider"
host = "%[1]s"
path = "/outsider"
upstream = ["%[2]s"]
accept = ["bearer"]
issuers = ["outsider"]
audience = ["gateway"]
`

func TestKeycloaksTokensAreTakenByTheirAudience(t *testing.T) {
	w := newKeycloakMachines(t, keycloakClient("gateway")+keycloakBearer)
	alice, own, backup := w.keycloak.token(t, "portal", "alice"), w.keycloak.token(t, "gateway", "alice"), w.keycloak.token(t, "nightly-backup", "")
	for name, c := range map[string]struct {
		path, token string
		status      int
		says        []string // in the challenge
	}{
		"for us":                              {"/", alice, 200, nil},
		"for us, a machine's":                 {"/", backup, 200, nil},
		"for us, a machine's, not wanted":     {"/people", backup, 403, nil},
		"for us, a person's, wanted":          {"/people", alice, 200, nil},
		"without an audience mapper":          {"/", own, 401, []string{`error="invalid_token"`, "in aud, got stock", "mapper of type Audience"}},
		"without one, by azp":                 {"/azp", own, 200, nil},
		"of another client, by azp":           {"/azp", alice, 401, []string{`error="invalid_token"`}},
		"by asking":                           {"/asking", alice, 200, nil},
		"by asking, for somebody else":        {"/asking", own, 401, []string{`error="invalid_token"`, "expected gateway in aud, got stock"}},
		"by asking as whom it is not for":     {"/outsider", alice, 401, []string{`error="invalid_token"`, "expected outsider in aud", "mapper of type Audience"}},
		"a machine's, by asking":              {"/asking", backup, 200, nil},
		"an ID token or anything that is not": {"/", "rubbish", 401, []string{`error="invalid_token"`}},
	} {
		t.Run(name, func(t *testing.T) {
			uri := c.path + "?" + url.QueryEscape(name)
			got := call(t, w.gateway.origin+uri, nil, "Authorization", "Bearer "+c.token)
			if got.Status != c.status || !holds(got.challenge(), c.says) {
				t.Errorf("the caller gets %d, %s, %s", got.Status, got.challenge(), got.Body)
			}
			if got.Status != http.StatusOK {
				return
			}
			seen := w.app.last(t, uri).Header
			want, name := "", claimsOf(t, c.token)["sub"]
			if c.token == backup {
				want, name = "nightly-backup", ""
			}
			if seen.Get("X-Forwarded-Client") != want || want == "" && seen.Get("X-Forwarded-User") != name || want != "" && seen.Get("X-Forwarded-User") != "" {
				t.Errorf("the service is told of %q and %q", seen.Get("X-Forwarded-Client"), seen.Get("X-Forwarded-User"))
			}
			if seen.Get("Authorization") != "" {
				t.Error("the token went on")
			}
		})
	}
	w.gateway.keepsQuiet(t, alice, own, backup)
}

// By its signature, a token is good until it ends; who asks is told that it was revoked.
func TestKeycloakTellsWhoAsksThatATokenIsRevoked(t *testing.T) {
	w := newKeycloakMachines(t, keycloakClient("gateway")+keycloakBearer)
	token := w.keycloak.token(t, "portal", "bob")
	call(t, w.keycloak.issuer+"/protocol/openid-connect/revoke", url.Values{"token": {token}}, "Authorization", basic("portal"))
	if got := call(t, w.gateway.origin+"/", nil, "Authorization", "Bearer "+token); got.Status != http.StatusOK {
		t.Errorf("by its signature: %d %s", got.Status, got.challenge())
	}
	got := call(t, w.gateway.origin+"/asking", nil, "Authorization", "Bearer "+token)
	if got.Status != http.StatusUnauthorized || !strings.Contains(got.challenge(), `error="invalid_token"`) {
		t.Errorf("by asking: %d %s", got.Status, got.challenge())
	}
}

// Keycloak has no answers as of RFC 9701, whatever is asked for, and so none is believed.
func TestKeycloakSignsNoIntrospectionSoThatNoneIsTaken(t *testing.T) {
	w := newKeycloakMachines(t, strings.Replace(keycloakClient("gateway"), "client_id", "access_tokens = \"introspect\"\nsigned_introspection = true\nclient_id", 1)+`
[[route]]
host = "%[1]s"
upstream = ["%[2]s"]
accept = ["bearer"]
audience = ["gateway"]
`)
	token := w.keycloak.token(t, "portal", "alice")
	said := call(t, w.keycloak.issuer+"/protocol/openid-connect/token/introspect", url.Values{"token": {token}},
		"Authorization", basic("gateway"), "Accept", "application/token-introspection+jwt")
	if said.Status != http.StatusOK || said.Header.Get("Content-Type") != "application/json" || said.json(t)["active"] != true {
		t.Errorf("Keycloak itself answers %d %s %s", said.Status, said.Header.Get("Content-Type"), said.Body)
	}
	got := call(t, w.gateway.origin+"/", nil, "Authorization", "Bearer "+token)
	if got.Status != http.StatusBadGateway && got.Status != http.StatusServiceUnavailable {
		t.Errorf("the caller gets %d %s", got.Status, got.Body)
	}
	w.gateway.wrote(t, "Keycloak has no signed answers", "signed_introspection")
	if n := len(w.app.all()); n != 0 {
		t.Errorf("the service was called %d times", n)
	}
}

// Keycloak binds a token to a key; it is taken from whoever shows that key, once for each proof.
func TestKeycloaksBoundTokenIsTakenFromWhoHoldsTheKey(t *testing.T) {
	w := newKeycloakMachines(t, keycloakClient("gateway")+keycloakBearer)
	holder, endpoint := newHolder(t), w.keycloak.issuer+"/protocol/openid-connect/token"
	token := w.keycloak.token(t, "portal", "alice", "DPoP", holder.proof(t, http.MethodPost, endpoint, ""))
	if cnf, _ := claimsOf(t, token)["cnf"].(map[string]any); cnf["jkt"] != holder.thumbprint() {
		t.Fatalf("Keycloak has bound the token to %v", cnf)
	}
	for _, path := range []string{"/", "/asking"} {
		here := w.gateway.origin + path
		proof := holder.proof(t, http.MethodGet, here, token)
		if got := call(t, here, nil, "Authorization", "DPoP "+token, "DPoP", proof); got.Status != http.StatusOK {
			t.Errorf("%s with a proof: %d %s", path, got.Status, got.challenge())
		}
		if got := call(t, here, nil, "Authorization", "DPoP "+token, "DPoP", proof); got.Status != http.StatusUnauthorized || !strings.Contains(got.challenge(), `error="invalid_dpop_proof"`) {
			t.Errorf("%s with the same proof again: %d %s", path, got.Status, got.challenge())
		}
		if got := call(t, here, nil, "Authorization", "Bearer "+token); got.Status != http.StatusUnauthorized {
			t.Errorf("%s as Bearer: %d", path, got.Status)
		}
	}
}

// The id and secret of a client, by HTTP Basic. Keycloak has two words for a wrong secret; nobody is to learn from them which
// clients there are.
func TestKeycloaksClientsAreTakenByHTTPBasic(t *testing.T) {
	w := newKeycloakMachines(t, keycloakClient("gateway")+`
[[route]]
name = "api"
host = "%[1]s"
upstream = ["%[2]s"]
accept = ["basic"]
issuers = ["gateway"]
basic = "client_credentials"
`)
	var wrong []string
	for name, c := range map[string]struct {
		id, secret string
		status     int
		code       string
	}{
		"right":                     {"nightly-backup", clientSecret, http.StatusOK, ""},
		"a wrong secret":            {"nightly-backup", "wrong", http.StatusUnauthorized, "wrong_credentials"},
		"an unknown client":         {"nobody", "wrong", http.StatusUnauthorized, "wrong_credentials"},
		"one that is switched off":  {"retired", clientSecret, http.StatusUnauthorized, "wrong_credentials"},
		"one that is not a machine": {"exchange-off", clientSecret, http.StatusForbidden, "login_denied"},
	} {
		r := &http.Request{Header: http.Header{}}
		r.SetBasicAuth(c.id, c.secret)
		got := call(t, w.gateway.origin+"/?"+c.id, nil, "Authorization", r.Header.Get("Authorization"))
		if got.Status != c.status || c.code != "" && got.json(t)["code"] != c.code {
			t.Errorf("%s: %d %s", name, got.Status, got.Body)
		}
		if c.status == http.StatusUnauthorized {
			wrong = append(wrong, got.json(t)["detail"].(string))
		}
	}
	if len(wrong) != 3 || wrong[0] != wrong[1] || wrong[0] != wrong[2] {
		t.Errorf("who does not get in is told %q", wrong)
	}
	seen := w.app.last(t, "/?nightly-backup").Header
	if seen.Get("X-Forwarded-Client") != "nightly-backup" || seen.Get("X-Forwarded-User") != "" || seen.Get("Authorization") != "" {
		t.Errorf("the service sees %v", seen)
	}
	if n := len(w.app.all()); n != 1 {
		t.Errorf("the service was called %d times", n)
	}
}
