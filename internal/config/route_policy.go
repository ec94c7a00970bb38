package config

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/doorward/doorward/proxy"
	"github.com/doorward/doorward/proxy/policy"
)

// ruleKeys are those of one table of allow and of deny.
func ruleKeys() *spec {
	return &spec{form: rows, keys: map[string]*spec{
		"groups": {form: list}, "roles": {form: list}, "emails": {form: list}, "email_files": {form: list}, "domains": {form: list}, "users": {form: list},
		"scopes": {form: list}, "clients": {form: list}, "claims": {form: lists}, "networks": {form: list}, "methods": {form: list},
	}}
}

func decisionKeys() *spec {
	return &spec{form: tables, keys: map[string]*spec{
		"url": {form: text}, "token": {form: secretText}, "timeout": {form: text}, "cache": {form: text}, "ca_file": {form: text}, "headers": {form: list},
	}}
}

// readPolicy reads who may pass. The policy's own constructor judges the values.
func (t table) readPolicy(rt *proxy.Route) {
	rt.Allow = t.rules("allow", "leave it out to let everybody pass who is signed in")
	rt.Deny = t.rules("deny", "leave it out to refuse nobody")
	rt.Require, rt.DryRun, rt.Hook = t.filled("require", ""), t.boolean("dry_run", false), t.decision()
	t.checkMethods("allow", rt.Methods)
	t.checkMethods("deny", rt.Methods)
}

// rules reads a list of tables. What is wrong in one was reported, and is marked as bad.
func (t table) rules(key, instead string) (rules []policy.Rule) {
	v := t.value(key)
	if v == nil {
		return nil
	}
	if len(v.items) == 0 {
		t.wrong(key, "the list is empty; %s", instead)
	}
	for i, item := range v.items {
		r := table{t.l, fmt.Sprintf("%s.%s[%d]", t.path, key, i), item}
		found := len(t.l.problems)
		rule := policy.Rule{
			Groups: r.list("groups"), Roles: r.list("roles"), Emails: r.list("emails"), EmailFiles: r.emailFiles(), Domains: r.list("domains"),
			Users: r.list("users"), Scopes: r.list("scopes"), Clients: r.list("clients"), Claims: r.lists("claims"),
			Networks: r.prefixes("networks"), Methods: r.list("methods"),
		}
		for _, k := range item.keys {
			switch list := item.value(k); {
			case list == nil: // reported already
				item.bad = true
			case list.kind == isList && len(list.items) == 0:
				r.wrong(k, "the list is empty, so it would be no condition at all")
			}
		}
		if item.bad = item.bad || len(t.l.problems) > found; item.bad {
			rule = policy.Rule{}
		}
		rules = append(rules, rule)
	}
	return rules
}

// emailFiles reads lists of addresses. Their content is a part of the configuration: a change reloads it.
func (t table) emailFiles() (files []policy.EmailFile) {
	t.each("email_files", func(item string) error {
		path := t.l.beside(item)
		t.l.watch(path)
		data, _, err := readFile(path, maxFile)
		if err != nil {
			return err
		}
		entries, err := emailList(string(data))
		if err != nil {
			return fmt.Errorf("%s, %w", path, err)
		}
		files = append(files, policy.EmailFile{Name: item, Entries: entries})
		return nil
	})
	return files
}

// emailList reads one address or @domain per line. What stands behind a # is a comment, if nothing or a space stands before
// it: an address may hold one. A list without any is refused: half a second ago it may have been another, which its editor
// is about to write anew.
func emailList(text string) (entries []string, err error) {
	number := 0
	for line := range strings.Lines(strings.TrimPrefix(text, "\ufeff")) {
		number++
		line = strings.TrimSpace(withoutComment(line))
		if line == "" {
			continue
		}
		if err := policy.CheckEntry(line); err != nil {
			return nil, fmt.Errorf("line %d: %w", number, err)
		}
		entries = append(entries, line)
	}
	if len(entries) == 0 {
		return nil, fmt.Errorf("line %d: there is no address up to the end of the file; leave it out as long as it names nobody", max(number, 1))
	}
	return entries, nil
}

func withoutComment(line string) string {
	for i := range len(line) {
		if line[i] == '#' && (i == 0 || line[i-1] == ' ' || line[i-1] == '\t') {
			return line[:i]
		}
	}
	return line
}

// checkMethods finds conditions on methods that the route never sees.
func (t table) checkMethods(key string, served []string) {
	v := t.value(key)
	if v == nil || len(served) == 0 {
		return
	}
	for i, item := range v.items {
		r := table{t.l, fmt.Sprintf("%s.%s[%d]", t.path, key, i), item}
		r.each("methods", func(m string) error {
			if m != "" && !slices.Contains(withHead(served), m) {
				return fmt.Errorf("the route serves no %s: %s; drop it here, or add it to the route's methods", m, names(served))
			}
			return nil
		})
	}
}

// decision reads whom else to ask. nil = nobody.
func (t table) decision() *proxy.Hook {
	if !t.given("decision") || t.value("decision") == nil {
		return nil
	}
	d := t.table("decision")
	if !d.given("url") {
		d.wrong("url", "it is missing; write where to ask, such as \"http://127.0.0.1:8181/v1/data/doorward/allow\"")
		return nil
	}
	h := &proxy.Hook{
		URL: d.text("url"), Token: d.secret("token"), RootCAs: d.caFile(), Headers: d.list("headers"),
		Timeout: d.duration("timeout", time.Second, 10*time.Millisecond, 30*time.Second), Cache: d.duration("cache", 10*time.Second, 0, time.Hour),
	}
	if d.value("url") == nil {
		return nil
	}
	return h
}

// checkPolicy looks for policies that cannot be meant.
func (t table) checkPolicy(rt *proxy.Route) {
	if rt.Public {
		for key, asks := range map[string]string{"allow": "allow would not be asked", "deny": "deny would not be asked", "decision": "decision would not be asked"} {
			if t.given(key) {
				t.wrong(key, "public = true lets everybody pass, so %s; drop one of them", asks)
			}
		}
		return
	}
	switch policed := len(rt.Allow)+len(rt.Deny) > 0 || rt.Require != "" || rt.Hook != nil; {
	case rt.DryRun && !policed:
		t.l.warn("%s: dry_run has no effect: there is no allow, deny, require or decision that it could try out", t.path)
	case rt.DryRun:
		t.l.warn("%s: dry_run: whoever is signed in may pass, whatever allow, deny, require and decision say; whom they would refuse stands in the log as would_deny", t.path)
	}
}

// tryPolicy reports rules that are wrong, and those that can never decide. It returns the others.
func (t table) tryPolicy(rt *proxy.Route) (allow, deny []policy.Rule) {
	allow = t.tryRules("allow", rt.Allow, func(r policy.Rule) policy.Config { return policy.Config{Allow: []policy.Rule{r}} })
	deny = t.tryRules("deny", rt.Deny, func(r policy.Rule) policy.Config { return policy.Config{Deny: []policy.Rule{r}} })
	overlaps := policy.Overlaps(policy.Config{Allow: allow, Deny: deny})
	for _, err := range overlaps {
		t.foreign(err)
	}
	if len(overlaps) > 0 {
		return nil, nil
	}
	bad := func(r policy.Rule) bool {
		_, err := policy.New(policy.Config{Allow: []policy.Rule{r}})
		return err != nil
	}
	return slices.DeleteFunc(allow, bad), slices.DeleteFunc(deny, bad)
}

// tryRules tries each rule by itself. In the place of those that are wrong stands nothing, which overlaps with nothing.
func (t table) tryRules(key string, rules []policy.Rule, alone func(policy.Rule) policy.Config) []policy.Rule {
	tried := make([]policy.Rule, len(rules))
	for i, r := range rules {
		if t.value(key).items[i].bad {
			continue
		}
		if _, err := policy.New(alone(r)); err != nil {
			t.foreign(fmt.Errorf("%s[%d]: %s", key, i, strings.TrimPrefix(err.Error(), key+"[0]: ")))
			continue
		}
		tried[i] = r
	}
	return tried
}
