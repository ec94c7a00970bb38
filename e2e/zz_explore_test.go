package e2e

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

func TestKeycloakZZExplore(t *testing.T) {
	w := newKeycloakMachines(t, keycloakClient("gateway")+keycloakClient("exchange-off")+`
[credential.stock]
flow = "token_exchange"
provider = "gateway"
audience = ["stock"]
[credential.ida]
flow = "token_exchange"
provider = "gateway"
audience = ["stock"]
scopes = ["openid"]
requested_token_type = "id_token"
[credential.id]
flow = "token_exchange"
provider = "gateway"
scopes = ["openid"]
requested_token_type = "id_token"
[credential.res]
flow = "token_exchange"
provider = "gateway"
resource = ["https://stock.example"]
[credential.self]
flow = "client_credentials"
provider = "gateway"
[credential.act]
flow = "token_exchange"
provider = "gateway"
audience = ["stock"]
actor = "self"
[credential.off]
flow = "token_exchange"
provider = "gateway"
audience = ["stock"]
scopes = ["offline_access"]
[credential.robot]
flow = "password"
provider = "gateway"
username = "bob"
password = "bob's password"
[[route]]
name = "basic"
host = "%[1]s"
upstream = ["%[2]s"]
accept = ["basic"]
basic = "client_credentials"
issuers = ["gateway"]
[[route]]
name = "bearer"
host = "%[1]s"
path = "/bearer"
upstream = ["%[2]s"]
accept = ["bearer"]
issuers = ["gateway"]
audience = ["gateway"]
`+func() (s string) {
	for _, n := range []string{"stock", "ida", "id", "res", "act", "off"} {
		s += "[[egress]]\nname = \"" + n + "\"\nupstream = [\"%[3]s\"]\naccept = [\"bearer\"]\naudience = [\"gateway\"]\nissuers = [\"gateway\"]\ncredential = \"" + n + "\"\n"
	}
	return s
}()+"[[egress]]\nname = \"robot\"\nupstream = [\"%[3]s\"]\ncredential = \"robot\"\n")
	k := w.keycloak
	alice := k.token(t, "portal", "alice")
	for _, n := range []string{"stock", "ida", "id", "res", "act", "off", "robot"} {
		got := call(t, w.egress+"/"+n+"/x", nil, "Authorization", "Bearer "+alice)
		fmt.Println("EGRESS", n, got.Status, got.Body)
		for _, line := range w.gateway.output() {
			if strings.Contains(line, `"path":"/`+n+`/x"`) && strings.Contains(line, "error") { fmt.Println("  LOG", line) }
		}
	}
	// DPoP
	h := newHolder(t)
	form := url.Values{"grant_type": {"password"}, "username": {"alice"}, "password": {keycloakPasswords["alice"]}, "scope": {"openid"}}
	got := call(t, k.issuer+"/protocol/openid-connect/token", form, "Authorization", basic("portal"), "DPoP", h.proof(t, http.MethodPost, k.issuer+"/protocol/openid-connect/token", ""))
	fmt.Println("DPOP token", got.Status, got.Body[:200])
	bound, _ := got.json(t)["access_token"].(string)
	fmt.Println(claimsOf(t, bound)["cnf"], got.json(t)["token_type"])
	got = call(t, w.gateway.origin+"/bearer", nil, "Authorization", "DPoP "+bound, "DPoP", h.proof(t, http.MethodGet, w.gateway.origin+"/bearer", bound))
	fmt.Println("DPOP route", got.Status, got.challenge(), got.Body)
	got = call(t, w.egress+"/stock/x", nil, "Authorization", "DPoP "+bound, "DPoP", h.proof(t, http.MethodGet, w.egress+"/stock/x", bound))
	fmt.Println("DPOP egress", got.Status, got.challenge(), got.Body)
	for _, line := range w.gateway.output() {
		if strings.Contains(line, `"path":"/stock/x"`) { fmt.Println("  LOG", line) }
	}
	got = call(t, k.issuer+"/protocol/openid-connect/token", url.Values{"grant_type": {grantTrade}, "subject_token": {bound}, "subject_token_type": {accessToken}, "audience": {"stock"}}, "Authorization", basic("gateway"))
	fmt.Println("DPOP exchange", got.Status, got.Body)
	h2 := newHolder(t)
	got = call(t, k.issuer+"/protocol/openid-connect/token", url.Values{"grant_type": {grantTrade}, "subject_token": {bound}, "subject_token_type": {accessToken}, "audience": {"stock"}}, "Authorization", basic("gateway"), "DPoP", h2.proof(t, http.MethodPost, k.issuer+"/protocol/openid-connect/token", ""))
	fmt.Println("DPOP exchange with another", got.Status, got.Body)
	for id, secret := range map[string]string{"nightly-backup": clientSecret, "gateway": "wrong", "exchange-off": clientSecret, "nobody": "x", "public-exchanger": "", "retired": clientSecret} {
		r := &http.Request{Header: http.Header{}}
		r.SetBasicAuth(id, secret)
		got = call(t, w.gateway.origin+"/?"+id, nil, "Authorization", r.Header.Get("Authorization"))
		fmt.Println("BASIC", id, got.Status, got.challenge(), got.Body[:min(150, len(got.Body))])
	}
	for _, line := range w.gateway.output() {
		if strings.Contains(line, `"route":"basic"`) { fmt.Println("  LOG", line) }
	}
	for _, c := range w.api.all() { fmt.Println(c.URI, c.Claims) }
}
