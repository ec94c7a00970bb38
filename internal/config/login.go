package config

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/doorward/doorward/flows"
	"github.com/doorward/doorward/flows/provider"
	"github.com/doorward/doorward/proxy"
)

const (
	flowCode     = "authorization_code"
	flowImplicit = "implicit"
	flowHybrid   = "hybrid"
	flowPassword = "password"
	flowDevice   = "device"
	flowCIBA     = "ciba"
)

func loginKeys() *spec {
	return &spec{form: namedTables, keys: map[string]*spec{
		"flow":        {form: word, words: []string{flowCode, flowImplicit, flowHybrid, flowPassword, flowDevice, flowCIBA}},
		"provider":    {form: text},
		"label":       {form: text},
		"params":      {form: params},
		"scopes":      {form: list},
		"pass_params": {form: list},

		"response_type": {form: word, words: []string{"id_token", "id_token token", "code id_token", "code token", "code id_token token"}},
		"response_mode": {form: word, words: []string{"form_post", "fragment"}},

		"form": {form: boolean},
		"otp":  {form: text},

		"max_failures": {form: number},

		"delivery":         {form: word, words: []string{"poll", "ping", "push"}},
		"hint":             {form: word, words: []string{"login_hint", "id_token_hint", "login_hint_token"}},
		"binding_message":  {form: text},
		"acr_values":       {form: list},
		"requested_expiry": {form: text},
		"user_code":        {form: boolean},
		"signed_request":   {form: boolean},
	}}
}

// flowsOf names the flows that each key belongs to which is not every login's.
var flowsOf = map[string][]string{
	"response_type": {flowImplicit, flowHybrid}, "response_mode": {flowImplicit, flowHybrid},
	"form": {flowPassword}, "otp": {flowPassword}, "max_failures": {flowPassword},
	"delivery": {flowCIBA}, "hint": {flowCIBA}, "binding_message": {flowCIBA}, "acr_values": {flowCIBA},
	"requested_expiry": {flowCIBA}, "user_code": {flowCIBA}, "signed_request": {flowCIBA},
	"pass_params": {flowCode, flowImplicit, flowHybrid, flowPassword, flowCIBA},
}

// readLogins reads each [login.NAME]. If there is none, every provider with a client has one
// that is named like it.
func (c *composer) readLogins() {
	all := c.root.table("login")
	if all.node == nil || len(all.node.keys) == 0 {
		for _, p := range c.c.providers {
			if p.ClientID != "" && c.signsIn() {
				c.c.logins = append(c.c.logins, flows.Login{Name: p.Name, Flow: flowCode, Provider: p.Name, Label: p.Name})
			}
		}
	} else {
		for _, name := range all.node.keys {
			if all.value(name) != nil {
				c.c.logins = append(c.c.logins, c.readLogin(all.table(name), name))
			}
		}
	}
}

func (c *composer) readLogin(t table, name string) flows.Login {
	before := len(c.l.problems)
	l := flows.Login{
		Name: name, Flow: t.textOr("flow", flowCode), Provider: t.text("provider"), Label: t.filled("label", name),
		Params: t.lists("params"), PassParams: t.list("pass_params"),
		ResponseType: t.text("response_type"), ResponseMode: t.text("response_mode"),
		Form: t.boolean("form", false), OTP: t.filled("otp", ""), MaxFailures: int(t.number("max_failures", 0, 1, 30)),
		Delivery: t.text("delivery"), Hint: t.text("hint"), BindingMessage: t.filled("binding_message", ""), ACRValues: t.list("acr_values"),
		RequestedExpiry: t.duration("requested_expiry", 0, 10*time.Second, 10*time.Minute),
		UserCode:        t.boolean("user_code", false), SignedRequest: t.boolean("signed_request", false),
	}
	if t.given("scopes") {
		l.Scopes = c.loginScopes(t, l)
	}
	l = withDefaults(l)
	if !t.given("flow") {
		t.wrong("flow", `it is missing; write flow = "authorization_code"`)
	} else if t.value("flow") != nil {
		t.checkFlow(l)
	}
	t.checkParams(l)
	c.checkLoginProvider(t, &l)
	if len(c.l.problems) == before {
		c.tryLogin(t, l)
	}
	return l
}

// tryLogin asks the flow's own constructor, which knows what fits together.
func (c *composer) tryLogin(t table, l flows.Login) {
	conf := c.provider(l.Provider)
	if conf == nil {
		return // reported already
	}
	if client, err := provider.New(*conf, provider.Deps{}); err == nil { // else the provider is what is wrong
		t.foreign(flows.CheckLogin(client, l))
	}
}

// withDefaults fills in what CONTRACT §1 says of each flow.
func withDefaults(l flows.Login) flows.Login {
	or := func(s *string, otherwise string) {
		if *s == "" {
			*s = otherwise
		}
	}
	switch l.Flow {
	case flowImplicit:
		or(&l.ResponseType, "id_token")
		or(&l.ResponseMode, "form_post")
	case flowHybrid:
		or(&l.ResponseType, "code id_token")
		or(&l.ResponseMode, "form_post")
	case flowCIBA:
		or(&l.Delivery, "poll")
		or(&l.Hint, "login_hint")
		or(&l.BindingMessage, "auto")
	}
	return l
}

// checkFlow finds keys that belong to another flow than the login's.
func (t table) checkFlow(l flows.Login) {
	for _, key := range slices.Sorted(maps.Keys(flowsOf)) {
		if t.given(key) && !slices.Contains(flowsOf[key], l.Flow) {
			t.wrong(key, "it belongs to the flow %s, and this login's is %s", strings.Join(flowsOf[key], " or "), l.Flow)
		}
	}
	withCode := strings.HasPrefix(l.ResponseType, "code")
	if t.value("response_type") != nil && (l.Flow == flowImplicit && withCode || l.Flow == flowHybrid && !withCode) {
		t.wrong("response_type", "%q: with a code it is hybrid, without it is implicit", l.ResponseType)
	}
}

// checkParams refuses parameters that Doorward sets itself, or that a visitor must not choose.
func (t table) checkParams(l flows.Login) {
	for _, param := range slices.Sorted(maps.Keys(l.Params)) {
		if provider.Reserved(param) {
			table{t.l, join(t.path, "params"), t.value("params")}.wrong(param, "Doorward sets this parameter itself")
		}
	}
	t.each("pass_params", func(item string) error {
		switch {
		case item == "" || provider.Reserved(item) || slices.Contains([]string{"login", "rd", "prompt", "attempt"}, item):
			return fmt.Errorf("%q is not for visitors to choose", item)
		case l.Params[item] != nil:
			return fmt.Errorf("%q stands in params already; a visitor must not change it", item)
		}
		return nil
	})
}

// checkLoginProvider finds the login's provider: the only one, if it is not named.
func (c *composer) checkLoginProvider(t table, l *flows.Login) {
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
		if p.Name != l.Provider {
			continue
		}
		client := c.root.table("provider").table(p.Name)
		if p.ClientID == "" && !client.given("client_id") {
			t.wrong("provider", "provider %q has no client_id, so nobody can sign in with it", p.Name)
		}
		needs := map[string]bool{
			"device_authorization_endpoint":       l.Flow == flowDevice && p.Endpoints.DeviceAuthorization == "",
			"backchannel_authentication_endpoint": l.Flow == flowCIBA && p.Endpoints.BackchannelAuthentication == "",
		}
		for _, key := range slices.Sorted(maps.Keys(needs)) {
			if needs[key] && !p.Discovery && !client.given(key) {
				client.wrong(key, "needed without discovery: login %q asks there", l.Name)
			}
		}
		t.checkGitHubLogin(*l, p)
		if l.SignedRequest && p.PrivateKeyPEM.IsZero() {
			t.wrong("signed_request", "provider %q has no private_key to sign with", p.Name)
		}
	}
}

// byDefault reports whether a route that names no logins offers this one: the others are weaker, and
// naming them is the opt-in.
func byDefault(l flows.Login) bool { return l.Flow == flowCode || l.Flow == flowHybrid }

// dangers says why a flow acts only where a route names it.
var dangers = map[string]string{
	flowImplicit: "implicit: tokens come through the browser, where histories and other code can see them (RFC 9700 §2.1.2); authorization_code is better wherever the provider can do it",
	flowPassword: "password: people give their password to Doorward, and most second factors and passkeys cannot take part (RFC 9700 §2.4); for programs that can do nothing else",
	flowDevice:   "device: whoever talks a person into approving a code is signed in as that person (RFC 10027); keep it for screens without a keyboard",
	flowCIBA:     "ciba: whoever knows a person's name can have their phone ask them (RFC 10027); people must compare the code on both screens",
}

// checkLoginUse warns of logins with dangers, once each, and of those that nobody can use.
func (c *composer) checkLoginUse() {
	for _, l := range c.c.logins {
		used := slices.ContainsFunc(c.c.routes, func(rt proxy.Route) bool {
			return !rt.Public && (slices.Contains(rt.Logins, l.Name) || rt.Approve != nil && rt.Approve.Login == l.Name)
		})
		switch {
		case !used && c.root.given("login"):
			c.l.warn("login.%s: no route offers it", l.Name)
		case dangers[l.Flow] != "":
			c.l.warn("login.%s: %s", l.Name, dangers[l.Flow])
		}
	}
}

// checkProviderUse warns of providers that nothing asks.
func (c *composer) checkProviderUse() {
	used := make(map[string]bool)
	for _, l := range c.c.logins {
		used[l.Provider] = true
	}
	for _, cc := range c.c.credentials {
		used[cc.Provider] = true
	}
	for _, caller := range c.c.callers {
		for _, name := range caller.Bearer.Issuers {
			used[name] = true
		}
	}
	for _, b := range c.c.egressCallers {
		for _, name := range b.Issuers {
			used[name] = true
		}
	}
	for _, p := range c.c.providers {
		switch {
		case used[p.Name]:
		case p.ClientID == "":
			c.l.warn("provider.%s: nothing uses it: without a client_id it serves to check bearer tokens only, and no accept has \"bearer\"", p.Name)
		default:
			c.l.warn("provider.%s: nobody can sign in with it: no [login.NAME] names it", p.Name)
		}
	}
}
