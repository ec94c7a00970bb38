package config

import (
	"maps"
	"slices"
	"strings"

	"github.com/doorward/doorward/flows/credential"
	"github.com/doorward/doorward/flows/provider"
	"github.com/doorward/doorward/internal/seal"
)

const (
	flowClientCredentials = "client_credentials"
	flowTokenExchange     = "token_exchange"
	flowJWTBearer         = "jwt_bearer"
	flowAssertion         = "assertion"
	flowStatic            = "static"
)

// builtInCredentials need no [credential.NAME].
var builtInCredentials = []string{"none", "session", "id_token"}

func credentialKeys() *spec {
	return &spec{form: namedTables, keys: map[string]*spec{
		"flow":     {form: word, words: []string{flowClientCredentials, flowTokenExchange, flowJWTBearer, flowPassword, flowAssertion, flowStatic}},
		"provider": {form: text},

		"scopes":     {form: list},
		"audience":   {form: list},
		"resource":   {form: list},
		"parameters": {form: params},

		"subject":              {form: text},
		"actor":                {form: text},
		"requested_token_type": {form: word, words: []string{"access_token", "id_token", "jwt"}},
		"dialect":              {form: word, words: []string{provider.DialectRFC7523, provider.DialectEntraOBO}},

		"username": {form: text},
		"password": {form: secretText},
		"token":    {form: secretText},

		"header": {form: text},
		"cookie": {form: text},
		"format": {form: text},
	}}
}

// credentialFlowsOf names the flows that each key belongs to which is not every credential's.
var credentialFlowsOf = map[string][]string{
	"provider":   {flowClientCredentials, flowTokenExchange, flowJWTBearer, flowPassword},
	"scopes":     {flowClientCredentials, flowTokenExchange, flowJWTBearer, flowPassword},
	"audience":   {flowClientCredentials, flowTokenExchange, flowJWTBearer, flowAssertion},
	"resource":   {flowClientCredentials, flowTokenExchange, flowJWTBearer},
	"parameters": {flowClientCredentials, flowTokenExchange, flowJWTBearer, flowPassword},
	"subject":    {flowTokenExchange, flowJWTBearer}, "actor": {flowTokenExchange}, "requested_token_type": {flowTokenExchange},
	"dialect":  {flowJWTBearer},
	"username": {flowPassword}, "password": {flowPassword},
	"token": {flowStatic},
}

// readCredentials reads each [credential.NAME], in the order of the file.
func (c *composer) readCredentials() {
	all := c.root.table("credential")
	if all.node == nil {
		return
	}
	before, sound := len(c.l.problems), all.node.sound()
	for _, name := range all.node.keys {
		if all.value(name) == nil {
			continue
		}
		if slices.Contains(builtInCredentials, name) {
			c.l.blame(all.value(name), "credential.%s: a credential of this name is built in; choose another", name)
			continue
		}
		c.c.credentials = append(c.c.credentials, c.readCredential(all.table(name), name))
	}
	if len(c.l.problems) == before && sound {
		c.tryCredentials()
	}
}

// sound reports whether nothing was found wrong below n yet.
func (n *node) sound() bool {
	for _, f := range n.fields {
		if f.value.bad || !f.value.sound() {
			return false
		}
	}
	return !slices.ContainsFunc(n.items, func(item *node) bool { return item.bad || !item.sound() })
}

func (c *composer) readCredential(t table, name string) credential.Config {
	cc := credential.Config{
		Name: name, Flow: t.text("flow"), Provider: t.text("provider"),
		Scopes: t.list("scopes"), Audience: t.list("audience"), Resource: t.list("resource"), Parameters: t.params("parameters"),
		Subject: t.filled("subject", ""), Actor: t.filled("actor", ""), RequestedType: t.text("requested_token_type"), Dialect: t.text("dialect"),
		Username: t.filled("username", ""), Password: t.secret("password"), Token: t.secret("token"),
		Header: t.filled("header", ""), Cookie: t.filled("cookie", ""), Format: t.filled("format", ""),
	}
	if !t.given("flow") {
		t.wrong("flow", "it is missing; there is %s", names(credentialKeys().keys["flow"].words))
		return cc
	}
	for _, key := range slices.Sorted(maps.Keys(credentialFlowsOf)) {
		if t.given(key) && t.value("flow") != nil && !slices.Contains(credentialFlowsOf[key], cc.Flow) {
			t.wrong(key, "it belongs to the flow %s, and this credential's is %s", strings.Join(credentialFlowsOf[key], " or "), cc.Flow)
		}
	}
	if slices.Contains(credentialFlowsOf["provider"], cc.Flow) {
		c.checkCredentialProvider(t, &cc)
	}
	return cc
}

// checkCredentialProvider finds the provider that is asked: the only one with a client, if it is not named.
func (c *composer) checkCredentialProvider(t table, cc *credential.Config) {
	var known, clients []string
	for _, p := range c.c.providers {
		known = append(known, p.Name)
		if p.ClientID != "" {
			clients = append(clients, p.Name)
		}
	}
	switch {
	case t.given("provider") && t.value("provider") == nil:
		// reported already
	case cc.Provider == "" && len(clients) == 1:
		cc.Provider = clients[0]
	case cc.Provider == "" && len(known) == 0:
		t.wrong("flow", "it asks a provider, and there is none; write [provider.NAME]")
	case cc.Provider == "" && len(clients) == 0:
		t.wrong("flow", "it asks a provider as its client, and none has a client_id")
	case cc.Provider == "":
		t.wrong("provider", "name one of %s", names(clients))
	case !slices.Contains(known, cc.Provider):
		t.wrong("provider", "there is no provider %s%s", t.value("provider").shown(), didYouMean(cc.Provider, known))
	case !slices.Contains(clients, cc.Provider):
		t.wrong("provider", "provider %q has no client_id, so it gives us no token", cc.Provider)
	}
}

// tryCredentials asks the constructor of all credentials, which knows what fits together.
func (c *composer) tryCredentials() {
	clients := make(map[string]*provider.Client)
	for _, p := range c.c.providers {
		client, err := provider.New(p, provider.Deps{})
		if err != nil {
			return // reported already
		}
		clients[p.Name] = client
	}
	_, err := credential.New(c.c.credentials, credential.Deps{Providers: clients, Ring: scratchRing(), Issuer: "https://issuer.invalid"})
	c.root.foreign(err)
}

// scratchRing is a ring for constructors that are only asked whether they would work.
func scratchRing() *seal.Ring {
	key := make([]byte, seal.KeySize)
	key[0] = 1
	ring, err := seal.New(key)
	if err != nil {
		panic("config: " + err.Error()) // the key is a constant
	}
	return ring
}

// credential reads what goes upstream.
func (c *composer) credential(t table) string {
	name := t.filled("credential", "none")
	known := slices.Clone(builtInCredentials)
	for _, cc := range c.c.credentials {
		known = append(known, cc.Name)
	}
	switch {
	case slices.Contains(known, name):
		return name
	case c.root.table("credential").given(name):
		return "none" // what is wrong with it was reported
	}
	hint := didYouMean(name, known)
	if hint == "" {
		hint = "; there is " + names(known)
	}
	t.wrong("credential", "there is no credential %s%s", t.value("credential").shown(), hint)
	return "none"
}

// credentialFlow is the flow of a credential, "" for those built in.
func (c *composer) credentialFlow(name string) string {
	for _, cc := range c.c.credentials {
		if cc.Name == name {
			return cc.Flow
		}
	}
	return ""
}

// tradesIDToken reports whether what a credential trades is the ID token of whoever calls.
func (c *composer) tradesIDToken(name string) bool {
	for range len(c.c.credentials) + 1 {
		i := slices.IndexFunc(c.c.credentials, func(cc credential.Config) bool { return cc.Name == name })
		if i < 0 {
			return false
		}
		cc := c.c.credentials[i]
		if cc.Flow != flowTokenExchange && cc.Flow != flowJWTBearer {
			return false
		}
		if cc.Subject == "id_token" {
			return true
		}
		name = cc.Subject
	}
	return false
}

// checkCredentialUse warns of credentials that nothing sends, and of those that nobody can verify.
func (c *composer) checkCredentialUse() {
	used := make(map[string]bool)
	for _, rt := range c.c.routes {
		used[rt.Credential] = true
	}
	for _, e := range c.c.egress {
		used[e.Credential] = true
	}
	for _, cc := range c.c.credentials {
		used[cc.Actor], used[cc.Subject] = true, true
	}
	for _, cc := range c.c.credentials {
		if !used[cc.Name] && !c.outward() { // the token API hands out those that nothing names
			c.l.warn("credential.%s: no route and no egress sends it", cc.Name)
		}
		if cc.Flow == flowAssertion && len(c.c.routes) == 0 {
			c.l.warn("credential.%s: without a [[route]] there is no host at which the keys are published, so nobody can verify it", cc.Name)
		}
	}
	for i, rt := range c.c.routes {
		if rt.Public && !slices.Contains(builtInCredentials, rt.Credential) {
			c.l.warn("%s: requests of anyone go upstream with credential %q", c.tables[i].path, rt.Credential)
		}
	}
}
