package e2e

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
)

const tokenAPI = `
[credential.backup]
flow = "client_credentials"
scopes = ["data.write"]
resource = ["` + dataAPI + `"]
[credential.data]
flow = "token_exchange"
audience = ["` + dataAPI + `"]
[[egress]]
name = "data"
upstream = ["%[3]s"]
accept = ["bearer"]
audience = ["` + ourAPI + `"]
credential = "data"
`

// As a client of NAIS' token service ("Texas") asks, which knows nothing of Doorward: by form, and as JSON.
func TestATokenServicesClientsAreServed(t *testing.T) {
	w := prepareMachines(t, providerOptions{})
	w.start(t, tokenAPI)
	ask := func(path string, form url.Values, asJSON bool) reply {
		form.Set("identity_provider", "corp")
		if !asJSON {
			return call(t, w.egress+path, form)
		}
		var fields []string
		for name, values := range form {
			fields = append(fields, `"`+name+`":"`+values[0]+`"`)
		}
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, w.egress+path, strings.NewReader("{"+strings.Join(fields, ",")+"}"))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/json")
		return roundTrip(t, r)
	}
	user := w.token(t, callerID, ourAPI, "orders.read")
	var given []string
	for _, prefix := range []string{"", "/api/v1"} {
		for _, asJSON := range []bool{false, true} {
			for path, c := range map[string]struct {
				form url.Values
				sub  string
			}{
				"/token":          {url.Values{"target": {"backup"}}, clientID},
				"/token/exchange": {url.Values{"target": {"data"}, "user_token": {user}}, callerID},
			} {
				for _, target := range []string{c.form.Get("target"), dataAPI} {
					c.form.Set("target", target)
					got := ask(prefix+path, c.form, asJSON)
					answer := got.json(t)
					token, _ := answer["access_token"].(string)
					if got.Status != http.StatusOK || answer["token_type"] != "Bearer" || token == "" {
						t.Fatalf("%s%s for %s: %d %s", prefix, path, target, got.Status, got.Body)
					}
					if left, _ := answer["expires_in"].(float64); left < 60 || left > 3600 {
						t.Errorf("%s expires in %v", path, answer["expires_in"])
					}
					if claims, err := w.api.check(token); err != nil || claims["sub"] != c.sub {
						t.Errorf("%s gives what the API refuses (%v) or takes for another (%v)", path, err, claims)
					}
					given = append(given, token)
				}
			}
			got := ask(prefix+"/introspect", url.Values{"token": {user}}, asJSON)
			if about := got.json(t); got.Status != http.StatusOK || about["active"] != true || about["sub"] != callerID || about["iss"] != w.provider.issuer {
				t.Errorf("introspection: %d %s", got.Status, got.Body)
			}
		}
	}
	if n, x := w.provider.count(t, "grant", "client_credentials"), w.provider.count(t, "grant", grantTrade); n != 2 || x != 1 { // the caller's own is one of these
		t.Errorf("the provider was asked %d and %d times", n, x)
	}
	if !eventually(func() bool { // what came less than a second ago counts as new
		got := ask("/token", url.Values{"target": {"backup"}, "skip_cache": {"true"}}, false)
		return got.Status == http.StatusOK && got.json(t)["access_token"] != given[0]
	}) {
		t.Error("with skip_cache the token is still the one of before")
	}
	for name, c := range map[string]struct {
		path   string
		form   url.Values
		status int
		holds  string
	}{
		"a target that nobody configured": {"/token", url.Values{"target": {"https://other.example"}}, 400, `"error":"invalid_request"`},
		"no target":                       {"/token", url.Values{}, 400, `"error":"invalid_request"`},
		"nobody's token":                  {"/token/exchange", url.Values{"target": {"data"}, "user_token": {"rubbish"}}, 400, `"error":"invalid_grant"`},
		"no token":                        {"/token/exchange", url.Values{"target": {"data"}}, 400, `"error":"invalid_request"`},
		"a token for somebody else":       {"/token/exchange", url.Values{"target": {"data"}, "user_token": {given[0]}}, 400, `"error":"invalid_grant"`},
		"what is no token":                {"/introspect", url.Values{"token": {"rubbish"}}, 200, `"active":false`},
		"what is for somebody else":       {"/introspect", url.Values{"token": {given[0]}}, 200, `"active":false`},
	} {
		if got := ask(c.path, c.form, false); got.Status != c.status || !strings.Contains(strings.ReplaceAll(got.Body, " ", ""), c.holds) {
			t.Errorf("%s: %d %s", name, got.Status, got.Body)
		}
	}
	if got := call(t, w.egress+"/token", url.Values{"identity_provider": {"nobody"}, "target": {"backup"}}); got.Status != http.StatusBadRequest {
		t.Errorf("of a provider that is not configured: %d %s", got.Status, got.Body)
	}
	if got := call(t, w.egress+"/token", url.Values{"identity_provider": {"corp"}, "target": {"backup"}}, "Origin", "https://elsewhere.example"); got.Status != http.StatusForbidden {
		t.Errorf("a page of a browser gets %d %s", got.Status, got.Body)
	}
	w.gateway.keepsQuiet(t, append(given, user)...)
}

func TestATokenServiceSaysThatItsProviderIsGone(t *testing.T) {
	w := prepareMachines(t, providerOptions{})
	w.configure(t, w.providerTable("")+tokenAPI)
	w.gateway.start(t)
	got := call(t, w.egress+"/token", url.Values{"identity_provider": {"corp"}, "target": {"backup"}})
	if got.Status != http.StatusServiceUnavailable || got.Header.Get("Retry-After") == "" || got.json(t)["error"] != "temporarily_unavailable" {
		t.Errorf("%d %v %s", got.Status, got.Header, got.Body)
	}
}
