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
	options providerOptions
}

// providerOptions is the argument of oidc-provider/server.mjs.
type providerOptions struct {
	Port          int                       `json:"port"`
	Clients       []map[string]any          `json:"clients"`
	TTL           map[string]int            `json:"ttl,omitempty"`
	IDTokenClaims bool                      `json:"idTokenClaims,omitempty"`
	People        map[string]map[string]any `json:"people,omitempty"`
}

// providerEvent is one line of its output.
type providerEvent struct {
	Event     string `json:"event"`
	GrantType string `json:"grant_type"`
	Client    string `json:"client"`
	Auth      string `json:"auth"`
	Error     string `json:"error"`
	Detail    string `json:"detail"`
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
