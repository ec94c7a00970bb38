package e2e

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
)

const bearerRoutes = `
[provider.asking]
issuer = "ISSUER"
client_id = "` + clientID + `"
client_secret = "` + clientSecret + `"
access_tokens = "introspect"
[provider.signed]
issuer = "ISSUER"
client_id = "` + clientID + `"
client_secret = "` + clientSecret + `"
access_tokens = "introspect"
signed_introspection = true
[[route]]
name = "orders"
host = "%[1]s"
path = "/orders"
upstream = ["%[2]s"]
accept = ["bearer"]
issuers = ["corp"]
audience = ["` + ourAPI + `"]
allow = [{ scopes = ["orders.read"] }]
credential = "session"
[[route]]
name = "brief"
host = "%[1]s"
path = "/brief"
upstream = ["%[2]s"]
accept = ["bearer"]
issuers = ["corp"]
audience = ["` + briefAPI + `"]
[[route]]
name = "asking"
host = "%[1]s"
path = "/asking"
upstream = ["%[2]s"]
accept = ["bearer"]
issuers = ["asking"]
audience = ["` + opaqueAPI + `"]
allow = [{ scopes = ["orders.read"] }]
[[route]]
name = "signed"
host = "%[1]s"
path = "/signed"
upstream = ["%[2]s"]
accept = ["bearer"]
issuers = ["signed"]
audience = ["` + opaqueAPI + `"]
`

func newBearerWorld(t *testing.T) *machines {
	t.Helper()
	w := prepareMachines(t, providerOptions{})
	skew := w.providerTable("clock_skew = \"1s\"")
	w.provider.start(t)
	w.configure(t, skew+strings.ReplaceAll(bearerRoutes, "ISSUER", w.provider.issuer))
	w.gateway.start(t)
	return w
}

func TestAnAPIBehindTheGatewayIsToldWhoCallsIt(t *testing.T) {
	w := newBearerWorld(t)
	token, opaque := w.token(t, callerID, ourAPI, "orders.read"), w.token(t, callerID, opaqueAPI, "orders.read")
	for path, sent := range map[string]string{"/orders": token, "/asking": opaque, "/signed": opaque} {
		for range 3 {
			if got := call(t, w.gateway.origin+path, nil, "Authorization", "Bearer "+sent); got.Status != http.StatusOK {
				t.Fatalf("%s: %d %s", path, got.Status, got.Body)
			}
		}
		seen := w.app.last(t, path).Header
		if seen.Get("X-Forwarded-Client") != callerID || seen.Get("X-Forwarded-User") != "" || seen.Get("X-Forwarded-Email") != "" {
			t.Errorf("%s: the service sees %v", path, seen)
		}
		if got, want := seen.Get("Authorization"), "Bearer "+token; path == "/orders" && got != want || path != "/orders" && got != "" {
			t.Errorf("%s: the service got the Authorization %.12s…", path, got)
		}
	}
	if n := w.provider.count(t, "introspection", ""); n != 2 {
		t.Errorf("for three requests on each of two routes the provider was asked %d times", n)
	}
	w.gateway.keepsQuiet(t, token, opaque)
}

func TestWhoIsRefusedAtAnAPILearnsWhy(t *testing.T) {
	w := newBearerWorld(t)
	good := w.token(t, callerID, ourAPI, "orders.read")
	bearer := func(token string) []string { return []string{"Authorization", "Bearer " + token} }
	metadata := `resource_metadata="` + w.gateway.origin + `/.well-known/oauth-protected-resource/orders"`
	for name, c := range map[string]struct {
		uri       string
		headers   []string
		status    int
		challenge []string
	}{
		"no token":                              {"/orders", nil, 401, []string{`Bearer realm="`, metadata}},
		"rubbish":                               {"/orders", bearer("rubbish"), 401, []string{`error="invalid_token"`, metadata}},
		"for somebody else":                     {"/orders", bearer(w.token(t, callerID, otherAPI, "orders.read")), 401, []string{`error="invalid_token"`, otherAPI}},
		"a changed signature":                   {"/orders", bearer(good[:len(good)-8] + "AAAAAAAA"), 401, []string{`error="invalid_token"`}},
		"opaque":                                {"/orders", bearer(w.token(t, callerID, opaqueAPI, "orders.read")), 401, []string{`error="invalid_token"`}},
		"without the scope":                     {"/orders", bearer(w.token(t, callerID, ourAPI, "orders.write")), 403, []string{`error="insufficient_scope"`, `scope="orders.read"`}},
		"in the query":                          {"/orders?access_token=" + good, nil, 400, []string{`error="invalid_request"`}},
		"in both places":                        {"/orders?access_token=" + good, bearer(good), 400, []string{`error="invalid_request"`}},
		"twice":                                 {"/orders", append(bearer(good), bearer(good)...), 400, []string{`error="invalid_request"`}},
		"Basic":                                 {"/orders", []string{"Authorization", basic(callerID)}, 401, []string{`Bearer realm="`}},
		"unknown to whom we ask":                {"/asking", bearer("rubbish"), 401, []string{`error="invalid_token"`}},
		"without the scope, says whom we ask":   {"/asking", bearer(w.token(t, callerID, opaqueAPI, "orders.write")), 403, []string{`error="insufficient_scope"`}},
		"unknown to whom we ask for signatures": {"/signed", bearer("rubbish"), 401, []string{`error="invalid_token"`}},
	} {
		t.Run(name, func(t *testing.T) {
			got := call(t, w.gateway.origin+c.uri, nil, c.headers...)
			if got.Status != c.status || !holds(got.challenge(), c.challenge) {
				t.Errorf("%d, %s, %s", got.Status, got.challenge(), got.Body)
			}
			if c.headers == nil && c.status == http.StatusUnauthorized && strings.Contains(got.challenge(), "error=") {
				t.Errorf("who brings no token is told of an error: %s", got.challenge()) // RFC 6750 §3.1
			}
			if strings.Contains(got.challenge()+got.Body, good) {
				t.Error("the answer holds the token")
			}
		})
	}
	if n := len(w.app.all()); n != 0 {
		t.Errorf("the service was called %d times", n)
	}
	w.gateway.keepsQuiet(t, good)
}

// A verdict is kept, but not beyond the token's own end.
func TestATokenIsRefusedOnceItHasEnded(t *testing.T) {
	w := newBearerWorld(t)
	token := w.token(t, callerID, briefAPI, "orders.read")
	var got reply
	served := 0
	if !eventually(func() bool {
		got = call(t, w.gateway.origin+"/brief", nil, "Authorization", "Bearer "+token)
		if got.Status == http.StatusOK {
			served++
		}
		return got.Status != http.StatusOK
	}) || got.Status != http.StatusUnauthorized || !holds(got.challenge(), []string{`error="invalid_token"`, "expired"}) {
		t.Errorf("%d %s", got.Status, got.challenge())
	}
	if served < 2 {
		t.Errorf("it was served %d times before", served)
	}
}

func TestARevokedTokenIsRefusedAndSoIsWhatNobodyCanJudge(t *testing.T) {
	w := newBearerWorld(t)
	get := func(path, token string) reply {
		return call(t, w.gateway.origin+path, nil, "Authorization", "Bearer "+token)
	}
	revoked, opaque, late := w.token(t, callerID, opaqueAPI, "orders.read"), w.token(t, callerID, opaqueAPI, "orders.read"), w.token(t, callerID, opaqueAPI, "orders.read")
	token := w.token(t, callerID, ourAPI, "orders.read")
	if got := call(t, w.provider.issuer+"/token/revocation", url.Values{"token": {revoked}}, "Authorization", basic(callerID)); got.Status != http.StatusOK {
		t.Fatalf("the provider revokes nothing: %d %s", got.Status, got.Body)
	}
	if got := get("/asking", revoked); got.Status != http.StatusUnauthorized || !strings.Contains(got.challenge(), `error="invalid_token"`) {
		t.Errorf("a revoked token: %d %s", got.Status, got.challenge())
	}
	for path, sent := range map[string]string{"/asking": opaque, "/orders": token} {
		if got := get(path, sent); got.Status != http.StatusOK {
			t.Fatalf("%s, while the provider is there: %d %s", path, got.Status, got.challenge())
		}
	}
	w.provider.stop(t)
	if got := get("/orders", token); got.Status != http.StatusOK {
		t.Errorf("by its signature, without the provider: %d %s", got.Status, got.Body)
	}
	if got := get("/asking", late); got.Status != http.StatusServiceUnavailable || got.Header.Get("Retry-After") == "" || got.json(t)["code"] != "provider_unavailable" {
		t.Errorf("what must be asked for, without the provider: %d %v %s", got.Status, got.Header, got.Body)
	}
}

// RFC 9728: what a client that knows nothing finds.
func TestAnAPIDescribesItself(t *testing.T) {
	w := newBearerWorld(t)
	got := call(t, w.gateway.origin+"/.well-known/oauth-protected-resource/orders", nil)
	about := got.json(t)
	servers, _ := about["authorization_servers"].([]any)
	if got.Status != http.StatusOK || len(servers) != 1 || servers[0] != w.provider.issuer {
		t.Fatalf("%d %s", got.Status, got.Body)
	}
	if about["resource"] != w.gateway.origin+"/orders" && about["resource"] != ourAPI {
		t.Errorf("the resource is %v", about["resource"])
	}
}
