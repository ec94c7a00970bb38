package e2e

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// keycloakMachines is a world of programs beside Keycloak. Its realm has these clients: portal, at which
// people sign in and whose tokens are for gateway; gateway, which may exchange them for tokens for stock;
// nightly-backup, a service account; and one client for each thing that can be set up wrongly.
type keycloakMachines struct {
	*machines
	keycloak *keycloak
}

func newKeycloakMachines(t *testing.T, tables string) *keycloakMachines {
	t.Helper()
	k := newKeycloak(t)
	w := &keycloakMachines{&machines{
		world:  &world{app: newApp(t), gateway: newGateway(t)},
		api:    newAPI(t, k.issuer, "stock"),
		egress: fmt.Sprintf("http://127.0.0.1:%d", freePort(t)),
	}, k}
	w.configure(t, strings.ReplaceAll(tables, "%[4]s", k.issuer))
	w.gateway.start(t)
	return w
}

// keycloakClient is the [provider.NAME] of a client of the realm, under its own name.
func keycloakClient(id string) string {
	table := fmt.Sprintf("\n[provider.%s]\nissuer = \"%%[4]s\"\nclient_id = %q\n", id, id)
	if id != "public-exchanger" {
		table += fmt.Sprintf("client_secret = %q\n", clientSecret)
	}
	return table
}

// token is what a client gets at Keycloak: for the person, or without one for itself. headers are as for call.
func (k *keycloak) token(t *testing.T, id, person string, headers ...string) string {
	t.Helper()
	form := url.Values{"grant_type": {"client_credentials"}}
	if person != "" {
		form = url.Values{"grant_type": {"password"}, "username": {person}, "password": {keycloakPasswords[person]}, "scope": {"openid"}}
	}
	got := call(t, k.issuer+"/protocol/openid-connect/token", form, append(headers, "Authorization", basic(id))...)
	token, _ := got.json(t)["access_token"].(string)
	if token == "" {
		t.Fatalf("%s gets no token of Keycloak for %q: %d %s", id, person, got.Status, got.Body)
	}
	return token
}

func TestKeycloakGivesTheEgressAServiceAccountsToken(t *testing.T) {
	w := newKeycloakMachines(t, keycloakClient("nightly-backup")+`
[credential.backup]
flow = "client_credentials"
[[egress]]
name = "stock"
upstream = ["%[3]s"]
credential = "backup"
`)
	for range 3 {
		if got := call(t, w.egress+"/stock/count", nil); got.Status != http.StatusOK {
			t.Fatalf("the service gets %d %s", got.Status, got.Body)
		}
	}
	tokens := map[string]bool{}
	for _, c := range w.api.all() {
		tokens[c.Token] = true
		if c.Claims["azp"] != "nightly-backup" || c.Claims["preferred_username"] != "service-account-nightly-backup" {
			t.Errorf("the API was called by %v", c.Claims)
		}
		w.gateway.keepsQuiet(t, c.Token)
	}
	if len(tokens) != 1 {
		t.Errorf("three calls have %d tokens", len(tokens))
	}
}

func TestKeycloakGivesTheEgressAServiceUsersToken(t *testing.T) {
	w := newKeycloakMachines(t, keycloakClient("gateway")+fmt.Sprintf(`
[credential.robot]
flow = "password"
username = "bob"
password = %q
[[egress]]
name = "stock"
upstream = ["%%[3]s"]
credential = "robot"
`, keycloakPasswords["bob"]))
	for range 2 {
		if got := call(t, w.egress+"/stock/count", nil); got.Status != http.StatusOK {
			t.Fatalf("the service gets %d %s", got.Status, got.Body)
		}
	}
	calls := w.api.all()
	if len(calls) != 2 || calls[0].Token != calls[1].Token || calls[0].Claims["preferred_username"] != "bob" {
		t.Errorf("the API was called with %+v", calls)
	}
	w.gateway.keepsQuiet(t, calls[0].Token, keycloakPasswords["bob"])
}

func TestKeycloakExchangesWhatTheServiceWasCalledWith(t *testing.T) {
	w := newKeycloakMachines(t, keycloakClient("gateway")+`
[credential.stock]
flow = "token_exchange"
audience = ["stock"]
[[egress]]
name = "stock"
upstream = ["%[3]s"]
accept = ["bearer"]
audience = ["gateway"]
credential = "stock"
`)
	subjects := map[string]string{
		"alice":     w.keycloak.token(t, "portal", "alice"),
		"bob":       w.keycloak.token(t, "portal", "bob"),
		"a service": w.keycloak.token(t, "nightly-backup", ""),
	}
	for who, subject := range subjects {
		for range 2 {
			if got := call(t, w.egress+"/stock/"+url.PathEscape(who), nil, "Authorization", "Bearer "+subject); got.Status != http.StatusOK {
				t.Errorf("%s gets %d %s", who, got.Status, got.Body)
			}
		}
	}
	tokens := map[string]string{}
	for _, c := range w.api.all() {
		who, _ := url.PathUnescape(strings.TrimPrefix(c.URI, "/"))
		had := claimsOf(t, subjects[who])
		if c.Claims["sub"] != had["sub"] || c.Claims["azp"] != "gateway" || c.Claims["iss"] != had["iss"] || !slices.Equal(audiences(c.Claims), []string{"stock"}) {
			t.Errorf("for %s, whose token has %v, the API was called with %v", who, had, c.Claims)
		}
		if before := tokens[who]; before != "" && before != c.Token {
			t.Errorf("%s has two tokens", who)
		}
		tokens[who] = c.Token
		w.gateway.keepsQuiet(t, c.Token, subjects[who])
	}
	if len(tokens) != 3 {
		t.Errorf("the API was called for %d callers", len(tokens))
	}
	if got := call(t, w.egress+"/stock/x", nil); got.Status != http.StatusUnauthorized || !strings.HasPrefix(got.challenge(), "Bearer ") {
		t.Errorf("without a token: %d, %s", got.Status, got.challenge())
	}
	if got := call(t, w.egress+"/stock/x", nil, "Authorization", "Bearer "+w.keycloak.token(t, "gateway", "alice")); got.Status != http.StatusUnauthorized {
		t.Errorf("with a token that is not for this service: %d", got.Status)
	}
}

// A token that Keycloak has revoked, but that does not say so itself, is refused where it is traded.
func TestKeycloakExchangesNoRevokedToken(t *testing.T) {
	w := newKeycloakMachines(t, keycloakClient("gateway")+`
[credential.stock]
flow = "token_exchange"
audience = ["stock"]
[[egress]]
name = "stock"
upstream = ["%[3]s"]
accept = ["bearer"]
audience = ["gateway"]
credential = "stock"
`)
	subject := w.keycloak.token(t, "portal", "alice")
	call(t, w.keycloak.issuer+"/protocol/openid-connect/revoke", url.Values{"token": {subject}}, "Authorization", basic("portal"))
	got := call(t, w.egress+"/stock/x", nil, "Authorization", "Bearer "+subject)
	if got.Status != http.StatusUnauthorized || !strings.Contains(got.challenge(), `error="invalid_token"`) {
		t.Errorf("the caller gets %d, %s", got.Status, got.challenge())
	}
	if n := len(w.api.all()); n != 0 {
		t.Errorf("the API was called %d times", n)
	}
}

// What is set up wrongly at Keycloak: as Keycloak says it, which is checked first, and as the operator
// reads it in the log. The caller is told none of it.
func TestKeycloakEveryRefusalNamesTheSettingThatMendsIt(t *testing.T) {
	const capability = `Settings › Capability config`
	refusals := []struct {
		name, client   string
		form           url.Values // besides the grant's own
		status         int        // of Keycloak
		err, describes string
		logged         []string
	}{
		{
			"off", "exchange-off",
			url.Values{"audience": {"stock"}},
			400, "invalid_request", "Standard token exchange is not enabled for the requested client",
			[]string{`Standard token exchange`, `Clients › `, "exchange-off", capability},
		},
		{
			"outsider", "outsider",
			url.Values{"audience": {"stock"}},
			403, "access_denied", "Client is not within the token audience",
			[]string{`Included Client Audience`, "outsider", "gateway", "portal"},
		},
		{
			"public", "public-exchanger",
			url.Values{"audience": {"stock"}},
			400, "invalid_client", "Public client is not allowed to exchange token",
			[]string{`Client authentication`, "public-exchanger"},
		},
		{
			"elsewhere", "gateway",
			url.Values{"audience": {"elsewhere"}},
			400, "invalid_request", "Requested audience not available: elsewhere",
			[]string{`Audience`, "mapper", "elsewhere", "gateway"},
		},
		{
			"nowhere", "gateway",
			url.Values{"audience": {"nowhere"}},
			400, "invalid_client", "Audience not found",
			[]string{"the realm has no client", "nowhere"},
		},
		{
			"retired", "gateway",
			url.Values{"audience": {"retired"}},
			400, "invalid_client", "Client disabled",
			[]string{"disabled", "retired"},
		},
		{
			"scope", "gateway",
			url.Values{"audience": {"stock"}, "scope": {"nonsense"}},
			400, "invalid_scope", "Invalid scopes: nonsense",
			[]string{"client scope", "nonsense", "gateway"},
		},
		{
			"consent", "consenter",
			url.Values{"audience": {"stock"}},
			400, "invalid_scope", "Missing consents for Token Exchange in client consenter",
			[]string{`Consent required`, "consenter"},
		},
		{
			"account", "exchange-off", nil, 401, "unauthorized_client", "Client not enabled to retrieve service account",
			[]string{`Service account roles`, "exchange-off", capability},
		},
		{
			"secret", "mistyped",
			url.Values{"audience": {"stock"}},
			401, "unauthorized_client", "Invalid client or Invalid client credentials",
			[]string{"Credentials", "invalid_client", "gateway"},
		},
		{
			"account-secret", "mistyped", nil, 401, "unauthorized_client", "Invalid client or Invalid client credentials",
			[]string{"Credentials", "invalid_client", "gateway"},
		},
		{
			"account-scope", "gateway",
			url.Values{"scope": {"nonsense"}},
			400, "invalid_scope", "Invalid scopes: nonsense",
			[]string{"client scope", "nonsense", "gateway"},
		},
	}
	var tables strings.Builder
	for _, id := range []string{"gateway", "exchange-off", "outsider", "public-exchanger", "consenter"} {
		tables.WriteString(keycloakClient(id))
	}
	tables.WriteString("\n[provider.mistyped]\nissuer = \"%[4]s\"\nclient_id = \"gateway\"\nclient_secret = \"mistyped\"\n")
	for _, r := range refusals {
		fmt.Fprintf(&tables, "\n[credential.%s]\nprovider = %q\n", r.name, r.client)
		egress := fmt.Sprintf("[[egress]]\nname = %q\nupstream = [\"%%[3]s\"]\ncredential = %q\n", r.name, r.name)
		if strings.HasPrefix(r.name, "account") {
			tables.WriteString("flow = \"client_credentials\"\n")
		} else {
			tables.WriteString("flow = \"token_exchange\"\n")
			egress += "accept = [\"bearer\"]\nissuers = [\"gateway\"]\naudience = [\"gateway\"]\n"
		}
		for key, parameter := range map[string]string{"audience": "audience", "scopes": "scope"} {
			if r.form.Has(parameter) {
				fmt.Fprintf(&tables, "%s = [%q]\n", key, r.form.Get(parameter))
			}
		}
		tables.WriteString(egress)
	}
	w := newKeycloakMachines(t, tables.String())
	subject := w.keycloak.token(t, "portal", "alice")
	for _, r := range refusals {
		t.Run(r.name, func(t *testing.T) {
			form, headers := url.Values{"grant_type": {"client_credentials"}}, []string{"Authorization", basic(r.client)}
			if !strings.HasPrefix(r.name, "account") {
				form = url.Values{"grant_type": {grantTrade}, "subject_token": {subject}, "subject_token_type": {accessToken}}
			}
			for key, values := range r.form {
				form[key] = values
			}
			switch r.client {
			case "public-exchanger":
				form.Set("client_id", r.client)
				headers = nil
			case "mistyped":
				form.Set("client_id", "gateway")
				form.Set("client_secret", r.client)
				headers = nil
			}
			said := call(t, w.keycloak.issuer+"/protocol/openid-connect/token", form, headers...)
			if said.Status != r.status || said.json(t)["error"] != r.err || said.json(t)["error_description"] != r.describes {
				t.Errorf("Keycloak itself says %d %s", said.Status, said.Body)
			}
			got := call(t, w.egress+"/"+r.name+"/x", nil, "Authorization", "Bearer "+subject)
			if got.Status != http.StatusBadGateway || got.json(t)["code"] != "credential_refused" {
				t.Errorf("the caller gets %d %s", got.Status, got.Body)
			}
			if strings.Contains(got.Body, r.client) || strings.Contains(got.Body, r.describes) {
				t.Errorf("the caller is told what is the operator's: %s", got.Body)
			}
			w.gateway.wrote(t, append(r.logged, "credential_refused", r.name, r.describes)...)
		})
	}
	w.gateway.keepsQuiet(t, subject, clientSecret)
	if n := len(w.api.all()); n != 0 {
		t.Errorf("the API was called %d times", n)
	}
}

// What Keycloak does not know it passes over without a word; the token that comes is not what was asked for.
func TestKeycloakWhatItPassesOverIsNotTakenForDone(t *testing.T) {
	tables := keycloakClient("gateway") + `
[credential.self]
flow = "client_credentials"
[credential.delegated]
flow = "token_exchange"
audience = ["stock"]
actor = "self"
[credential.resource]
flow = "token_exchange"
resource = ["https://stock.example"]
[credential.id-token]
flow = "token_exchange"
audience = ["stock"]
scopes = ["openid"]
requested_token_type = "id_token"
[credential.jwt]
flow = "token_exchange"
audience = ["stock"]
requested_token_type = "jwt"
[credential.bound]
flow = "token_exchange"
audience = ["stock"]
`
	for _, name := range []string{"delegated", "resource", "id-token", "jwt", "bound"} {
		tables += fmt.Sprintf("[[egress]]\nname = %q\nupstream = [\"%%[3]s\"]\naccept = [\"bearer\"]\naudience = [\"gateway\"]\ncredential = %q\n", name, name)
	}
	w := newKeycloakMachines(t, tables)
	plain := w.keycloak.token(t, "portal", "alice")
	holder := newHolder(t)
	bound := w.keycloak.token(t, "portal", "alice", "DPoP", holder.proof(t, http.MethodPost, w.keycloak.issuer+"/protocol/openid-connect/token", ""))
	for name, words := range map[string][]string{
		"delegated": {"no delegation", "leave actor out"},
		"resource":  {"passes over resource", "as audience", "https://stock.example"},
		"id-token":  {"the token that came is for", "gateway", "stock"},
		"jwt":       {"requested_token_type unsupported", "set requested_token_type to access_token"},
		"bound":     {"Sender-constrained token exchange rejected", "switch off DPoP"},
	} {
		to := w.egress + "/" + name + "/x"
		headers := []string{"Authorization", "Bearer " + plain}
		if name == "bound" {
			headers = []string{"Authorization", "DPoP " + bound, "DPoP", holder.proof(t, http.MethodGet, to, bound)}
		}
		if got := call(t, to, nil, headers...); got.Status != http.StatusBadGateway || got.json(t)["code"] != "credential_refused" {
			t.Errorf("%s: the caller gets %d %s", name, got.Status, got.Body)
		}
		w.gateway.wrote(t, append(words, `"/`+name+`/x"`, "credential_refused")...)
	}
	if n := len(w.api.all()); n != 0 {
		t.Errorf("the API was called %d times", n)
	}
	w.gateway.keepsQuiet(t, plain, bound)
}

// Whose token is traded need not be its audience where it is its own: only a client that did not sign the person in must
// be in aud.
func TestKeycloakARouteExchangesThePersonsToken(t *testing.T) {
	const tables = `
[login.main]
flow = "authorization_code"
provider = "SIGNER"
[credential.stock]
flow = "token_exchange"
provider = "gateway"
audience = ["stock"]
[[route]]
name = "app"
host = "%[1]s"
upstream = ["%[3]s"]
login = ["main"]
credential = "stock"
[[route]]
name = "own"
host = "%[1]s"
path = "/own"
upstream = ["%[2]s"]
login = ["main"]
credential = "session"
`
	b := newBrowser(t)
	for _, signer := range []string{"portal", "gateway"} {
		t.Run("signed in by "+signer, func(t *testing.T) {
			w := newKeycloakMachines(t, keycloakClient("portal")+keycloakClient("gateway")+strings.ReplaceAll(tables, "SIGNER", signer))
			tb := b.apart(t).tab(t)
			tb.open(w.gateway.origin + "/cart")
			tb.wait("Keycloak's sign-in form", func(v view) bool { return strings.HasPrefix(v.URL, w.keycloak.issuer) })
			tb.do(
				chromedp.SendKeys(chromedp.CSS("#username"), "alice"),
				chromedp.SendKeys(chromedp.CSS("#password"), keycloakPasswords["alice"]+kb.Enter),
			)
			tb.waitURL(w.gateway.origin + "/cart")
			for range 5 {
				if got := fetch(tb, `"/cart"`, `{}`); got.Status != http.StatusOK {
					t.Fatalf("the page's script gets %+v", got)
				}
			}
			if got := fetch(tb, `"/own"`, `{}`); got.Status != http.StatusOK {
				t.Fatalf("with the session's own token: %+v", got)
			}
			session := strings.TrimPrefix(w.app.last(t, "/own").Header.Get("Authorization"), "Bearer ")
			had := claimsOf(t, session)
			if had["azp"] != signer || slices.Contains(audiences(had), "gateway") != (signer == "portal") {
				t.Errorf("the session's own token has %v", had)
			}
			tokens := map[string]bool{}
			for _, c := range w.api.all() {
				tokens[c.Token] = true
				if c.Claims["sub"] != had["sub"] || c.Claims["preferred_username"] != "alice" || c.Claims["azp"] != "gateway" || c.Token == session {
					t.Errorf("the API was called with %v", c.Claims)
				}
				w.gateway.keepsQuiet(t, c.Token)
			}
			if len(tokens) != 1 {
				t.Errorf("one session has %d exchanged tokens", len(tokens))
			}
		})
	}
}
