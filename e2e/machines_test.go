package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// Who and what there is at oidc-provider for programs.
const (
	callerID     = "caller" // a service that calls others
	dataAPI      = "https://data.example"
	ourAPI       = "https://service.example" // the service behind the gateway
	opaqueAPI    = "https://opaque.example"  // the same with tokens that must be introspected
	briefAPI     = "https://brief.example"   // the same with tokens that end soon
	otherAPI     = "https://other.example"   // somebody else's
	grantTrade   = "urn:ietf:params:oauth:grant-type:token-exchange"
	accessToken  = "urn:ietf:params:oauth:token-type:access_token"
	briefSeconds = 3
)

// machines is a world in which programs call each other: the service of world.app, which calls the
// api by way of the gateway's egress listener.
type machines struct {
	*world
	api    *api
	egress string // the origin of that listener
}

// prepareMachines makes such a world in which no program runs yet.
func prepareMachines(t *testing.T, o providerOptions) *machines {
	t.Helper()
	g := newGateway(t)
	if o.Clients == nil {
		gateway := client(g.origin, "client_secret_basic")
		gateway["grant_types"] = []string{"authorization_code", "refresh_token", "client_credentials", grantTrade}
		gateway["introspection_signed_response_alg"] = "RS256"
		o.Clients = []map[string]any{gateway, machine(callerID)}
	}
	o.Resources = map[string]resource{
		dataAPI:   {Scope: "data.read data.write"},
		ourAPI:    {Scope: "orders.read orders.write", Owner: clientID},
		opaqueAPI: {Scope: "orders.read orders.write", Owner: clientID, Format: "opaque"},
		briefAPI:  {Scope: "orders.read orders.write", Owner: clientID, TTL: briefSeconds},
		otherAPI:  {Scope: "orders.read orders.write"},
	}
	w := &machines{world: &world{app: newApp(t), gateway: g, provider: newProvider(t, o)}, egress: fmt.Sprintf("http://127.0.0.1:%d", freePort(t))}
	w.api = newAPI(t, w.provider.issuer, dataAPI)
	return w
}

// start runs the provider, then the gateway with these tables. %[1]s in them is its origin, %[2]s the
// service and %[3]s the api.
func (w *machines) start(t *testing.T, tables string) {
	t.Helper()
	w.provider.start(t)
	w.configure(t, w.providerTable("")+tables)
	w.gateway.start(t)
}

func (w *machines) configure(t *testing.T, tables string) {
	t.Helper()
	listen := fmt.Sprintf("egress = %q\n", strings.TrimPrefix(w.egress, "http://"))
	w.gateway.configure(t, listen+strings.NewReplacer("%[1]s", w.gateway.origin, "%[2]s", w.app.URL, "%[3]s", w.api.URL).Replace(tables))
}

// machine is the registration of a client that nobody signs in at.
func machine(id string) map[string]any {
	return map[string]any{
		"client_id": id, "client_secret": clientSecret, "token_endpoint_auth_method": "client_secret_basic",
		"grant_types": []string{"client_credentials"}, "redirect_uris": []string{}, "response_types": []string{},
	}
}

// reply is what a program gets.
type reply struct {
	Status int
	Header http.Header
	Body   string
}

func (a reply) challenge() string { return strings.Join(a.Header.Values("WWW-Authenticate"), " | ") }

// json is the body as an object.
func (a reply) json(t *testing.T) (object map[string]any) {
	t.Helper()
	if err := json.Unmarshal([]byte(a.Body), &object); err != nil {
		t.Fatalf("%d %q is no JSON object: %v", a.Status, a.Body, err)
	}
	return object
}

// call sends a GET, or with a form a POST, as a program does: no cookies, no redirects. headers are
// names and values in turn.
func call(t *testing.T, to string, form url.Values, headers ...string) reply {
	t.Helper()
	method, body := http.MethodGet, io.Reader(http.NoBody)
	if form != nil {
		method, body = http.MethodPost, strings.NewReader(form.Encode())
	}
	r, err := http.NewRequestWithContext(t.Context(), method, to, body)
	if err != nil {
		t.Fatal(err)
	}
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	return roundTrip(t, r)
}

func roundTrip(t *testing.T, r *http.Request) reply {
	t.Helper()
	res, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return reply{res.StatusCode, res.Header, string(text)}
}

// token is what a client gets for itself at the provider, for this resource. headers are as for call.
func (w *machines) token(t *testing.T, id, resource, scope string, headers ...string) string {
	t.Helper()
	form := url.Values{"grant_type": {"client_credentials"}, "resource": {resource}, "scope": {scope}}
	got := call(t, w.provider.issuer+"/token", form, append(headers, "Authorization", basic(id))...)
	token, _ := got.json(t)["access_token"].(string)
	if token == "" {
		t.Fatalf("%s gets no token for %s: %d %s", id, resource, got.Status, got.Body)
	}
	return token
}

// basic is the Authorization of a client.
func basic(id string) string {
	r := &http.Request{Header: http.Header{}}
	r.SetBasicAuth(id, clientSecret)
	return r.Header.Get("Authorization")
}

// wrote waits until the gateway's log has a line with all of these words.
func (g *gateway) wrote(t *testing.T, words ...string) string {
	t.Helper()
	var found string
	if !eventually(func() bool {
		for _, line := range g.output() {
			if holds(line, words) {
				found = line
			}
		}
		return found != ""
	}) {
		t.Fatalf("the log has no line with %q:\n%s", words, strings.Join(g.output(), "\n"))
	}
	return found
}

func holds(line string, words []string) bool {
	for _, word := range words {
		if !strings.Contains(line, word) {
			return false
		}
	}
	return true
}

// keepsQuiet wants none of these tokens in the gateway's log.
func (g *gateway) keepsQuiet(t *testing.T, tokens ...string) {
	t.Helper()
	written := strings.Join(g.output(), "\n")
	for _, token := range tokens {
		if token != "" && strings.Contains(written, token) {
			t.Errorf("the log holds the token %.12s…", token)
		}
	}
}

func address(t *testing.T, text string) *url.URL {
	t.Helper()
	u, err := url.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return u
}
