package e2e

import (
	"fmt"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const ownToken = `
[credential.backup]
flow = "client_credentials"
scopes = ["data.write"]
resource = ["` + dataAPI + `"]
[[egress]]
name = "data"
upstream = ["%[3]s"]
credential = "backup"
`

// The API judges by itself whether the token is one for it.
func TestTheEgressAddsATokenOfItsOwnThatTheUpstreamAccepts(t *testing.T) {
	for _, method := range []string{"client_secret_basic", "private_key_jwt"} {
		t.Run(method, func(t *testing.T) {
			w := prepareMachines(t, providerOptions{})
			if method == "private_key_jwt" {
				registration := w.provider.options.Clients[0]
				delete(registration, "client_secret")
				jwk, file := privateKey(t, filepath.Dir(w.gateway.file))
				registration["token_endpoint_auth_method"] = method
				registration["jwks"] = map[string]any{"keys": []any{jwk}}
				registration["token_endpoint_auth_signing_alg"] = "ES256"
				w.provider.start(t)
				w.configure(t, fmt.Sprintf("[provider.corp]\nissuer = %q\nclient_id = %q\nprivate_key = \"${file:%s}\"\nprivate_key_id = \"k1\"\n",
					w.provider.issuer, clientID, file)+ownToken)
				w.gateway.start(t)
			} else {
				w.start(t, ownToken)
			}
			const guest = "the service's own"
			for range 3 {
				if got := call(t, w.egress+"/data/reports?year=1", nil, "Authorization", "Bearer "+guest); got.Status != http.StatusOK {
					t.Fatalf("the service gets %d %s", got.Status, got.Body)
				}
			}
			for _, c := range w.api.all() {
				if c.URI != "/reports?year=1" || c.Claims["client_id"] != clientID || c.Claims["scope"] != "data.write" {
					t.Errorf("the API was called for %s by %v", c.URI, c.Claims)
				}
				w.gateway.keepsQuiet(t, c.Token, guest)
			}
			asked := 0
			for _, e := range w.provider.events(t) {
				if e.Event == "grant" && e.GrantType == "client_credentials" && e.Auth == method && strings.Join(e.Target, " ") == dataAPI {
					asked++
				}
			}
			if asked != 1 {
				t.Errorf("for three calls the provider was asked %d times by %s: %+v", asked, method, w.provider.events(t))
			}
		})
	}
}

func TestTheEgressAnswersByHostAndAsAProxy(t *testing.T) {
	w := prepareMachines(t, providerOptions{})
	w.start(t, strings.Replace(ownToken, "upstream", "host = \"data.local\"\nupstream", 1))
	for name, get := range map[string]*http.Request{
		"by host":      {Host: "data.local", URL: address(t, w.egress+"/x")},
		"by path":      {URL: address(t, w.egress+"/data/x")},
		"by localhost": {URL: address(t, strings.Replace(w.egress, "127.0.0.1", "localhost", 1)+"/data/x")},
	} {
		get.Method, get.Header = http.MethodGet, http.Header{}
		if got := roundTrip(t, get.WithContext(t.Context())); got.Status != http.StatusOK {
			t.Errorf("%s: %d %s", name, got.Status, got.Body)
		}
	}
	through := &http.Transport{Proxy: http.ProxyURL(address(t, w.egress))}
	defer through.CloseIdleConnections()
	for _, target := range []string{"http://data.local/x", w.api.URL + "/x"} {
		res, err := (&http.Client{Transport: through}).Get(target)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		if res.StatusCode != http.StatusOK {
			t.Errorf("%s through the proxy: %s", target, res.Status)
		}
	}
	for _, c := range w.api.all() {
		if c.URI != "/x" {
			t.Errorf("the API was called for %s", c.URI)
		}
	}
	if n := len(w.api.all()); n != 5 {
		t.Errorf("the API was called %d times", n)
	}
	res, err := (&http.Client{Transport: through}).Get("http://elsewhere.example/")
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if res.StatusCode != http.StatusForbidden {
		t.Errorf("to a host that no egress has: %s", res.Status)
	}
}

// What the provider does not give is told to the operator with the setting, and to the caller as a failure.
func TestWhatTheProviderDoesNotGiveIsARefusalAndNoRequestWithoutAToken(t *testing.T) {
	w := prepareMachines(t, providerOptions{})
	w.start(t, strings.Replace(ownToken, dataAPI, "https://nowhere.example", 1))
	got := call(t, w.egress+"/data/x", nil)
	if got.Status != http.StatusBadGateway || got.json(t)["code"] != "credential_refused" {
		t.Errorf("the caller gets %d %s", got.Status, got.Body)
	}
	w.gateway.wrote(t, "invalid_target", "backup", "https://nowhere.example")
	if n := len(w.api.all()); n != 0 {
		t.Errorf("the API was called %d times", n)
	}
}

func TestTheEgressRecoversWithItsProvider(t *testing.T) {
	w := prepareMachines(t, providerOptions{})
	w.configure(t, w.providerTable("")+ownToken)
	w.gateway.start(t)
	got := call(t, w.egress+"/data/x", nil)
	if got.Status != http.StatusServiceUnavailable || got.Header.Get("Retry-After") == "" || got.json(t)["code"] != "provider_unavailable" {
		t.Errorf("without a provider the caller gets %d %v %s", got.Status, got.Header, got.Body)
	}
	w.provider.start(t)
	if !eventually(func() bool { return call(t, w.egress+"/data/x", nil).Status == http.StatusOK }) {
		t.Errorf("and with it still: %+v", call(t, w.egress+"/data/x", nil))
	}
}

// The upstream may know that a token is over before its end. Who calls notices nothing, unless their request has a body,
// which is not there a second time.
func TestATokenThatTheUpstreamRefusesIsReplaced(t *testing.T) {
	for name, c := range map[string]struct {
		body  url.Values
		gives []int
	}{
		"without a body": {nil, []int{200, 200}},
		"with a body":    {url.Values{"a": {"body"}}, []int{200, 401, 200}},
	} {
		t.Run(name, func(t *testing.T) {
			w := prepareMachines(t, providerOptions{})
			w.start(t, ownToken)
			for i, want := range c.gives {
				if got := call(t, w.egress+"/data/x", c.body); got.Status != want {
					t.Fatalf("request %d gets %d %s", i+1, got.Status, got.Body)
				}
				if i == 0 {
					w.api.bar(w.api.all()[0].Token)
				}
			}
			calls := w.api.all()
			second := calls[len(calls)-1].Token
			if calls[0].Token == second {
				t.Error("the API was shown the token again that it has refused")
			}
			// An upstream that refuses whatever it gets does not make the provider work at each request.
			w.api.bar(second)
			began := time.Now()
			for range 5 {
				if got := call(t, w.egress+"/data/x", c.body); got.Status != http.StatusUnauthorized {
					t.Errorf("it refuses the new one as well: %d %s", got.Status, got.Body)
				}
			}
			if n := w.provider.count(t, "grant", "client_credentials"); n != 2 && time.Since(began) < 5*time.Second { // or it may be asked again
				t.Errorf("the provider was asked %d times", n)
			}
		})
	}
}
