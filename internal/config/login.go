package config

import (
	"maps"
	"slices"

	"github.com/doorward/doorward/flows"
	"github.com/doorward/doorward/flows/provider"
)

func loginKeys() *spec {
	soon := []string{"implicit", "hybrid", "password", "device", "ciba"}
	return &spec{form: namedTables, keys: map[string]*spec{
		"flow":            {form: word, words: []string{"authorization_code"}, soon: soon},
		"provider":        {form: text},
		"label":           {form: text},
		"params":          {form: params},
		"response_type":   {form: later, note: "it belongs to the implicit and hybrid flows"},
		"response_mode":   {form: later, note: "it belongs to the implicit and hybrid flows"},
		"form":            {form: later, note: "it belongs to the password flow"},
		"delivery":        {form: later, note: "it belongs to CIBA"},
		"hint":            {form: later, note: "it belongs to CIBA"},
		"binding_message": {form: later, note: "it belongs to CIBA"},
	}}
}

// readLogins reads each [login.NAME]. If there is none, every provider with a client has one
// that is named like it.
func (c *composer) readLogins() {
	all := c.root.table("login")
	if all.node == nil || len(all.node.keys) == 0 {
		for _, p := range c.c.providers {
			if p.ClientID != "" {
				c.c.logins = append(c.c.logins, flows.Login{Name: p.Name, Flow: "authorization_code", Provider: p.Name, Label: p.Name})
			}
		}
	} else {
		for _, name := range all.node.keys {
			if all.value(name) != nil {
				c.c.logins = append(c.c.logins, c.readLogin(all.table(name), name))
			}
		}
	}
	for _, p := range c.c.providers {
		if !slices.ContainsFunc(c.c.logins, func(l flows.Login) bool { return l.Provider == p.Name }) {
			why := "no [login.NAME] names it"
			if p.ClientID == "" {
				why = "it has no client_id, and bearer tokens are not accepted yet"
			}
			c.l.warn("provider.%s: nobody can sign in with it: %s", p.Name, why)
		}
	}
}

func (c *composer) readLogin(t table, name string) flows.Login {
	l := flows.Login{Name: name, Flow: "authorization_code", Provider: t.text("provider"), Label: t.filled("label", name), Params: t.lists("params")}
	if !t.given("flow") {
		t.wrong("flow", `it is missing; write flow = "authorization_code"`)
	}
	for _, param := range slices.Sorted(maps.Keys(l.Params)) {
		if provider.Reserved(param) {
			table{t.l, join(t.path, "params"), t.value("params")}.wrong(param, "Doorward sets this parameter itself")
		}
	}
	known := make([]string, 0, len(c.c.providers))
	for _, p := range c.c.providers {
		known = append(known, p.Name)
	}
	switch {
	case t.given("provider") && t.value("provider") == nil:
		// reported already
	case l.Provider == "" && len(known) == 1:
		l.Provider = known[0]
	case l.Provider == "" && len(known) > 1:
		t.wrong("provider", "there are several: name one of %s", names(known))
	case l.Provider != "" && !slices.Contains(known, l.Provider):
		t.wrong("provider", "there is no provider %s%s", t.value("provider").shown(), didYouMean(l.Provider, known))
	}
	for _, p := range c.c.providers {
		client := c.root.table("provider").table(p.Name)
		if p.Name == l.Provider && p.ClientID == "" && !client.given("client_id") {
			t.wrong("provider", "provider %q has no client_id, so nobody can sign in with it", p.Name)
		}
	}
	return l
}
