package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

const traded = `
[credential.self]
flow = "client_credentials"
resource = ["` + ourAPI + `"]
scopes = ["orders.read"]
[credential.data]
flow = "token_exchange"
audience = ["` + dataAPI + `"]
scopes = ["data.read"]
actor = "self"
`

// The person's token stays within; the API gets one about the same person, good for it alone, that says
// who acts for them.
func TestARouteExchangesThePersonsTokenForTheUpstreams(t *testing.T) {
	w := prepareMachines(t, providerOptions{})
	w.start(t, traded+`
[[route]]
name = "app"
host = "%[1]s"
upstream = ["%[3]s"]
credential = "data"
[[route]]
name = "own"
host = "%[1]s"
path = "/own"
upstream = ["%[2]s"]
credential = "session"
`)
	b := newBrowser(t)
	seen := map[string]string{}
	for _, who := range []string{"alice", "bob"} {
		tb := b.apart(t).tab(t)
		tb.open(w.gateway.origin + "/cart?of=" + who)
		w.signIn(tb, who)
		tb.waitURL(w.gateway.origin + "/cart?of=" + who)
		for range 3 {
			if got := fetch(tb, fmt.Sprintf(`"/cart?of=%s"`, who), `{}`); got.Status != http.StatusOK {
				t.Fatalf("%s's script gets %+v", who, got)
			}
		}
		if got := fetch(tb, fmt.Sprintf(`"/own?of=%s"`, who), `{}`); got.Status != http.StatusOK {
			t.Fatalf("%s's script gets %+v", who, got)
		}
		seen[who] = strings.TrimPrefix(w.app.last(t, "/own?of="+who).Header.Get("Authorization"), "Bearer ")
	}
	tokens := map[string]string{}
	for _, c := range w.api.all() {
		who, ok := strings.CutPrefix(c.URI, "/cart?of=")
		if !ok {
			continue // a browser also wants an icon
		}
		act, _ := c.Claims["act"].(map[string]any)
		if c.Claims["sub"] != who || c.Claims["client_id"] != clientID || c.Claims["scope"] != "data.read" || act["sub"] != clientID {
			t.Errorf("for %s the API was called with %v", who, c.Claims)
		}
		if c.Token == seen[who] || tokens[who] != "" && tokens[who] != c.Token {
			t.Errorf("for %s the API got another token than the one that was exchanged", who)
		}
		tokens[who] = c.Token
		w.gateway.keepsQuiet(t, c.Token, seen[who])
	}
	if n := w.provider.count(t, "grant", grantTrade); len(tokens) != 2 || n != 2 {
		t.Errorf("for two people there were %d tokens and %d exchanges: %+v", len(tokens), n, w.provider.events(t))
	}
}

func TestTheEgressExchangesWhatTheServiceWasCalledWith(t *testing.T) {
	w := prepareMachines(t, providerOptions{})
	w.start(t, traded+`
[[egress]]
name = "data"
upstream = ["%[3]s"]
accept = ["bearer"]
audience = ["`+ourAPI+`"]
credential = "data"
`)
	subject := w.token(t, callerID, ourAPI, "orders.read")
	for range 3 {
		if got := call(t, w.egress+"/data/x", nil, "Authorization", "Bearer "+subject); got.Status != http.StatusOK {
			t.Fatalf("the service gets %d %s", got.Status, got.Body)
		}
	}
	for _, c := range w.api.all() {
		act, _ := c.Claims["act"].(map[string]any)
		if c.Claims["sub"] != callerID || c.Claims["client_id"] != clientID || act["sub"] != clientID {
			t.Errorf("the API was called with %v", c.Claims)
		}
		w.gateway.keepsQuiet(t, c.Token, subject)
	}
	if n := w.provider.count(t, "grant", grantTrade); n != 1 {
		t.Errorf("for three calls there were %d exchanges", n)
	}
	before := len(w.api.all())
	for name, headers := range map[string][]string{
		"no token":            nil,
		"somebody else's API": {"Authorization", "Bearer " + w.token(t, callerID, otherAPI, "orders.read")},
		"a changed signature": {"Authorization", "Bearer " + subject[:len(subject)-8] + "AAAAAAAA"},
		"Basic":               {"Authorization", basic(callerID)},
	} {
		if got := call(t, w.egress+"/data/x", nil, headers...); got.Status != http.StatusUnauthorized || !strings.HasPrefix(got.challenge(), "Bearer ") {
			t.Errorf("%s: %d, %s", name, got.Status, got.challenge())
		}
	}
	if now := len(w.api.all()); now != before {
		t.Errorf("the API was called %d times more", now-before)
	}
}

// A chain: what the person brought is traded for a token of ours, and that for one of the API.
func TestAChainOfTwoExchangesEndsAtTheUpstream(t *testing.T) {
	w := prepareMachines(t, providerOptions{})
	w.start(t, traded+`
[credential.first]
flow = "token_exchange"
resource = ["`+ourAPI+`"]
[credential.second]
flow = "token_exchange"
subject = "first"
audience = ["`+dataAPI+`"]
actor = "self"
[[egress]]
name = "data"
upstream = ["%[3]s"]
accept = ["bearer"]
audience = ["`+ourAPI+`"]
credential = "second"
`)
	subject := w.token(t, callerID, ourAPI, "orders.read")
	if got := call(t, w.egress+"/data/x", nil, "Authorization", "Bearer "+subject); got.Status != http.StatusOK {
		t.Fatalf("the service gets %d %s", got.Status, got.Body)
	}
	c := w.api.all()[0]
	if act, _ := c.Claims["act"].(map[string]any); c.Claims["sub"] != callerID || act["sub"] != clientID {
		t.Errorf("the API was called with %v", c.Claims)
	}
	if n := w.provider.count(t, "grant", grantTrade); n != 2 {
		t.Errorf("there were %d exchanges: %+v", n, w.provider.events(t))
	}
}

// With the session end the tokens that were got in its name.
func TestWhoHasSignedOutHasNoExchangedTokenLeft(t *testing.T) {
	w := prepareMachines(t, providerOptions{})
	w.start(t, traded+`
[[route]]
name = "app"
host = "%[1]s"
upstream = ["%[3]s"]
credential = "data"
`)
	b := newBrowser(t)
	tb := w.signedIn(t, b, "alice", "/cart")
	cookies := tb.cookies(w.gateway.origin + "/cart")
	if got := fetch(tb, `"/cart"`, `{}`); got.Status != http.StatusOK {
		t.Fatalf("signed in: %+v", got)
	}
	var kept []string // as a thief would
	for _, c := range cookies {
		kept = append(kept, c.Name+"="+c.Value)
	}
	if got := call(t, w.gateway.origin+"/cart", nil, "Cookie", strings.Join(kept, "; ")); got.Status != http.StatusOK {
		t.Fatalf("with the cookie alone: %d %s", got.Status, got.Body)
	}
	if got := fetch(tb, `"/oauth2/sign_out"`, `{method: "POST", redirect: "manual"}`); got.Status >= 400 {
		t.Fatalf("signing out: %+v", got)
	}
	before := len(w.api.all())
	if got := call(t, w.gateway.origin+"/cart", nil, "Cookie", strings.Join(kept, "; ")); got.Status != http.StatusUnauthorized {
		t.Errorf("with the cookie of a session that has ended: %d %s", got.Status, got.Body)
	}
	if now := len(w.api.all()); now != before {
		t.Errorf("the API was called %d times more", now-before)
	}
}
