package e2e

import (
	"encoding/json"
	"fmt"
	"os/exec"
	"strings"
	"testing"
)

// provider is oidc-provider in a process of its own; oidc-provider/server.mjs says what
// can be told to it and what it tells.
type provider struct {
	*process
	issuer  string
	address string // where it listens, if something is before it
	options providerOptions
}

// providerOptions is the argument of oidc-provider/server.mjs.
type providerOptions struct {
	Port          int                       `json:"port"`
	Issuer        string                    `json:"issuer,omitempty"`
	Clients       []map[string]any          `json:"clients"`
	Reach         map[string]string         `json:"reach,omitempty"`
	TTL           map[string]int            `json:"ttl,omitempty"`
	IDTokenClaims bool                      `json:"idTokenClaims,omitempty"`
	People        map[string]map[string]any `json:"people,omitempty"`
	Resources     map[string]resource       `json:"resources,omitempty"`
}

// resource is something that access tokens can be for.
type resource struct {
	Scope  string `json:"scope"`
	Format string `json:"format,omitempty"` // jwt unless "opaque"
	TTL    int    `json:"ttl,omitempty"`    // seconds
	Owner  string `json:"owner,omitempty"`  // the client that may trade what it is sent
}

// providerEvent is one line of its output.
type providerEvent struct {
	Event     string   `json:"event"`
	GrantType string   `json:"grant_type"`
	Client    string   `json:"client"`
	Auth      string   `json:"auth"`
	Target    []string `json:"target"`
	Error     string   `json:"error"`
	Detail    string   `json:"detail"`

	Push           int    `json:"push"` // what a phone shows
	Login          string `json:"login"`
	BindingMessage string `json:"binding_message"`
}

// start runs the provider and waits until it listens.
func (p *provider) start(t *testing.T) {
	t.Helper()
	argument, err := json.Marshal(p.options)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("node", "server.mjs", string(argument))
	cmd.Dir = "oidc-provider"
	p.process = start(t, cmd)
	p.waitLine(t, "the provider is ready", func(line string) bool { return strings.Contains(line, `"event":"ready"`) })
}

// newProvider prepares a provider without starting it.
func newProvider(t *testing.T, o providerOptions) *provider {
	t.Helper()
	o.Port = freePort(t)
	return &provider{issuer: fmt.Sprintf("http://127.0.0.1:%d", o.Port), options: o}
}

// events returns what the provider told of, in order.
func (p *provider) events(t *testing.T) (events []providerEvent) {
	t.Helper()
	for _, line := range p.output() {
		if !strings.HasPrefix(line, "{") {
			continue // a warning of the library
		}
		var e providerEvent
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatalf("provider event %s: %v", line, err)
		}
		events = append(events, e)
	}
	return events
}

// count returns how many events have this name and, unless it is empty, this grant type.
func (p *provider) count(t *testing.T, event, grantType string) (n int) {
	t.Helper()
	for _, e := range p.events(t) {
		if e.Event == event && (grantType == "" || e.GrantType == grantType) {
			n++
		}
	}
	return n
}

// push waits for the n-th question on anybody's phone, counted from 1.
func (p *provider) push(t *testing.T, n int) providerEvent {
	t.Helper()
	var found providerEvent
	if !eventually(func() bool {
		for _, e := range p.events(t) {
			if e.Event == "push" && e.Push == n {
				found = e
			}
		}
		return found.Push == n
	}) {
		t.Fatalf("no phone shows a question: %+v", p.events(t))
	}
	return found
}

// answer is what the person does on the phone: "approve" or "deny".
func (p *provider) answer(t *testing.T, to providerEvent, what string) {
	t.Helper()
	before := p.count(t, "answered", "")
	if _, err := fmt.Fprintf(p.stdin, "{\"push\":%d,\"answer\":%q}\n", to.Push, what); err != nil {
		t.Fatal(err)
	}
	if !eventually(func() bool { return p.count(t, "answered", "") > before }) {
		t.Fatalf("the provider did not take %q: %+v", what, p.events(t))
	}
}
