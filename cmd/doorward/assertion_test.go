package main

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// What an upstream needs to know who is calling without trusting the network before it: the header, the keys, and the
// address under which people reach it.
func TestAnUpstreamVerifiesWhoIsCalling(t *testing.T) {
	s := newStack(t, "headers = { assertion = true }\n")
	s.toml += fmt.Sprintf("[[route]]\nname = \"pay\"\nhost = %q\npath = \"/pay\"\nupstream = [%q]\nheaders = { profile = \"pomerium\" }\n", s.origin, s.app.URL)
	s.toml += fmt.Sprintf("[[route]]\nname = \"open\"\nhost = %q\npath = \"/open\"\nupstream = [%q]\npublic = true\n", s.origin, s.app.URL)
	s.start()
	b := s.browser()
	if page := s.signedIn(b, "/x", "alice", "wonderland-9"); page.Status != 200 {
		t.Fatalf("%d\n%s", page.Status, s.log)
	}
	got := s.app.last(t).Header
	token := got.Get("X-Doorward-Assertion")
	_, _, keys := ask(t, http.MethodGet, s.origin+"/oauth2/jwks.json", "", nil)
	if !signedBy(t, token, keys) {
		t.Fatalf("no published key verifies %q", token)
	}
	claims := claimsIn(t, token)
	if claims["iss"] != s.origin || claims["sub"] != "alice" || claims["aud"] != s.origin || claims["login"] != "corp" || claims["idp"] != s.provider.URL || claims["exp"].(float64)-claims["iat"].(float64) != 60 {
		t.Errorf("claims %v", claims)
	}
	if got.Get("Authorization") == "Bearer "+token || !strings.HasPrefix(got.Get("Authorization"), "Bearer ") {
		t.Error("the credential of the route is not beside it")
	}

	b.Open(t, s.origin+"/x")
	if again := s.app.last(t).Header.Get("X-Doorward-Assertion"); again != token {
		t.Error("it is signed at each request")
	}
	b.Open(t, s.origin+"/pay/1")
	paid := s.app.last(t).Header
	if c := claimsIn(t, paid.Get("X-Pomerium-Jwt-Assertion")); c["aud"] != s.origin+"/pay" || c["sub"] != "alice" || paid.Get("X-Doorward-Assertion") != "" {
		t.Errorf("the other route's is %v", c)
	}
	b.Open(t, s.origin+"/open/1")
	if h := s.app.last(t).Header; h.Get("X-Doorward-Assertion")+h.Get("X-Pomerium-Jwt-Assertion") != "" {
		t.Errorf("a public route gets %v", h)
	}
	if status, _, _ := ask(t, http.MethodGet, s.origin+"/x", token, nil); status != 401 {
		t.Errorf("our own assertion opens a route: %d", status)
	}
	if strings.Contains(s.log.String(), token) {
		t.Error("it is in the log")
	}
}
