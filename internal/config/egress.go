package config

import (
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/doorward/doorward/flows/bearer"
	"github.com/doorward/doorward/flows/credential"
	"github.com/doorward/doorward/internal/origin"
	"github.com/doorward/doorward/proxy"
)

func egressKeys() *spec {
	return &spec{form: rows, keys: map[string]*spec{
		"name": {form: text}, "host": {form: text}, "path": {form: text}, "upstream": {form: list}, "methods": {form: list},
		"accept": {form: list}, "issuers": {form: list}, "audience": {form: list}, "credential": {form: text},
		"concurrent": {form: number}, "retries": {form: number}, "timeout": {form: text}, "ca_file": {form: text},
		"encoded": {form: list},
	}}
}

// readEgress reads each [[egress]], in the order of the file.
func (c *composer) readEgress() {
	all := c.root.table("egress")
	if all.node == nil {
		return
	}
	c.c.egressCallers = make(map[string]bearer.Config)
	first := make(map[string]*node)
	for i, row := range all.node.items {
		if row.bad {
			continue
		}
		t := table{c.l, fmt.Sprintf("egress[%d]", i), row}
		name := t.text("name")
		if name != "" {
			t.path = join("egress", name)
		}
		switch old := first[name]; {
		case !t.given("name"):
			t.wrong("name", "it is missing; the log and the address go by it")
		case !validName(name):
			t.wrong("name", "%q: a name is made of small letters, digits and -, and begins with a letter", name)
		case old != nil:
			t.wrong("name", "there are two of this name; the other one begins in line %d", old.at.line)
		default:
			first[name] = row
		}
		c.c.egress = append(c.c.egress, c.readTarget(t, name))
	}
	c.tryEgress()
}

func (c *composer) readTarget(t table, name string) proxy.EgressTarget {
	e := proxy.EgressTarget{
		Name: name, Host: t.filled("host", ""), Path: t.filled("path", ""), Upstreams: c.readUpstreams(t),
		Methods: t.list("methods"), Credential: c.credential(t), Accept: "none",
		Concurrent: int(t.number("concurrent", 256, 1, 100_000)), Retries: int(t.number("retries", 0, 0, 5)),
		Timeout: t.duration("timeout", 2*time.Minute, 100*time.Millisecond, time.Hour), RootCAs: t.caFile(),
	}
	if e.Encoded = t.list("encoded"); !t.given("upstream") {
		t.wrong("upstream", "it is missing; where do calls go?")
	}
	if accepted := t.list("accept"); accepted != nil {
		switch {
		case len(accepted) == 1 && (accepted[0] == "none" || accepted[0] == "bearer"):
			e.Accept = accepted[0]
		case t.value("accept") != nil:
			t.wrong("accept", `one of ["none"] and ["bearer"] is possible here`)
		}
	}
	if e.Accept == "bearer" {
		c.c.egressCallers[name] = c.readBearer(t)
	} else {
		for _, key := range []string{"issuers", "audience"} {
			if t.given(key) {
				t.wrong(key, `it has no effect without accept = ["bearer"]`)
			}
		}
	}
	switch flow := c.credentialFlow(e.Credential); {
	case e.Credential == "id_token":
		t.wrong("credential", `"id_token" is the session's of a person, and nobody signs in here`)
	case e.Accept == "none" && e.Credential == "session":
		t.wrong("credential", `"session" is the token that the application was called with, so accept = ["bearer"] is needed, and audience`)
	case e.Accept == "bearer" && c.tradesIDToken(e.Credential):
		t.wrong("credential", `%q trades the caller's ID token, and a bearer token brings none; leave subject out`, e.Credential)
	case e.Accept == "none" && (flow == flowTokenExchange || flow == flowJWTBearer) && !c.ownSubject(e.Credential):
		t.wrong("credential", `%q trades the token of whoever calls, so accept = ["bearer"] is needed, and audience`, e.Credential)
	case e.Credential == "none":
		t.l.warn("%s: credential = \"none\": requests go out without a token", t.path)
	}
	for _, u := range e.Upstreams {
		if u.Scheme == "http" && e.Credential != "none" && !(origin.Origin{Scheme: "http", Host: bracketed(u.Hostname())}).Loopback() {
			t.l.warn("%s: the token goes to %s over plain http, where everybody on the way can read it", t.path, u.Host)
		}
	}
	return e
}

// ownSubject reports whether the first token of a chain is our own, so that nobody has to bring one.
func (c *composer) ownSubject(name string) bool {
	for range len(c.c.credentials) + 1 {
		i := slices.IndexFunc(c.c.credentials, func(cc credential.Config) bool { return cc.Name == name })
		if i < 0 {
			return false
		}
		cc := c.c.credentials[i]
		switch {
		case cc.Flow != flowTokenExchange && cc.Flow != flowJWTBearer:
			return true
		case cc.Subject == "" || cc.Subject == "access_token" || cc.Subject == "id_token":
			return false
		}
		name = cc.Subject
	}
	return false
}

// tryEgress asks the constructor of the outbound side about each target by itself.
func (c *composer) tryEgress() {
	all := c.root.table("egress")
	sound := len(c.l.problems) == 0
	for i, e := range c.c.egress {
		if !validName(e.Name) || e.Credential == "session" && e.Accept == "none" {
			continue // reported already
		}
		if len(e.Upstreams) == 0 {
			e.Upstreams = []*url.URL{{Scheme: "https", Host: "upstream.invalid"}}
		}
		_, err := proxy.NewEgress(proxy.EgressConfig{Self: []string{"127.0.0.1:4182"}, Targets: []proxy.EgressTarget{e}}, c.nobodyOutbound(e))
		if err != nil {
			t := table{c.l, join("egress", e.Name), all.node.items[i]}
			t.foreign(fmt.Errorf("%s", strings.TrimPrefix(err.Error(), "egress."+e.Name+": ")))
		}
	}
	if sound && len(c.l.problems) == 0 {
		c.tryTogether(all)
	}
}

// tryTogether finds what two targets cannot both have: it adds them one by one, and blames the one with which it no longer
// works.
func (c *composer) tryTogether(all table) {
	d := c.nobodyOutbound(proxy.EgressTarget{})
	for i, e := range c.c.egress {
		d.Bearers[e.Name], d.Sources[e.Credential] = nobody{}, nobody{}
		if _, err := proxy.NewEgress(proxy.EgressConfig{Self: []string{"127.0.0.1:4182"}, Targets: c.c.egress[:i+1]}, d); err != nil {
			t := table{c.l, join("egress", e.Name), all.node.items[i]}
			t.foreign(fmt.Errorf("%s", strings.TrimPrefix(err.Error(), "egress."+e.Name+": ")))
			return
		}
	}
}

// outward reports whether there is an outbound side: something to call through, or the token API alone.
func (c *composer) outward() bool {
	return c.root.given("egress") || c.root.table("listen").given("egress")
}

// readEgressListener reads where local applications call.
func (c *composer) readEgressListener() {
	t := c.root.table("listen")
	if !c.outward() {
		return
	}
	c.c.Listen.Egress = t.address("egress", "127.0.0.1:4182")
	c.c.Listen.InsecureEgress = t.boolean("insecure_egress", false)
	for _, other := range []struct{ name, at string }{{"http", c.c.Listen.HTTP}, {"admin", c.c.Listen.Admin}} {
		if other.at == c.c.Listen.Egress && !strings.HasSuffix(other.at, ":0") {
			t.wrong("egress", "it is the address of listen.%s; the two need different ones", other.name)
		}
	}
	host, _, err := net.SplitHostPort(c.c.Listen.Egress)
	if strings.HasPrefix(c.c.Listen.Egress, "unix:") || err != nil || (origin.Origin{Host: bracketed(host)}).Loopback() {
		return
	}
	if !c.c.Listen.InsecureEgress {
		t.wrong("egress", "%s can be reached from other machines, and whoever reaches it gets tokens; use a loopback address or a unix socket, or write insecure_egress = true beside it", c.c.Listen.Egress)
		return
	}
	t.l.warn("listen.insecure_egress: whoever reaches %s gets our tokens; let only this pod or network in", c.c.Listen.Egress)
}
