package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/doorward/doorward/internal/config"
	"github.com/doorward/doorward/proxy"
	"github.com/doorward/doorward/proxy/policy"
)

// terms says on which terms a route lets requests pass, and what it adds to them.
func terms(rt proxy.Route, caller config.Caller) []string {
	if rt.Public {
		all := []string{"anyone"}
		if rt.Credential != "none" && rt.Credential != "session" && rt.Credential != "id_token" {
			all = append(all, "sends credential "+rt.Credential)
		}
		return append(all, sets(rt)...)
	}
	all := []string{who(rt)}
	if len(rt.Logins) > 0 {
		all[0] += ", signed in by " + strings.Join(rt.Logins, " or ")
	}
	if rt.Accept != nil {
		all = append(all, "accepts "+strings.Join(accepted(rt, caller), " and "))
	}
	if a := rt.Approve; a != nil {
		all = append(all, strings.Join(a.Methods, " ")+" once approved by "+a.Login)
	}
	switch {
	case rt.PassAuthorization:
		all = append(all, "passes the client's own Authorization")
	case rt.Credential == "session":
		all = append(all, "sends the access token")
	case rt.Credential == "id_token":
		all = append(all, "sends the ID token")
	case rt.Credential != "none":
		all = append(all, "sends credential "+rt.Credential)
	}
	if rt.Headers.Profile == "none" {
		all = append(all, "sends no identity headers")
	}
	return append(all, sets(rt)...)
}

// accepted says by what callers prove who they are, and to whom.
func accepted(rt proxy.Route, caller config.Caller) (all []string) {
	for _, what := range rt.Accept {
		switch {
		case what == "bearer":
			what += " tokens of " + strings.Join(caller.Bearer.Issuers, " or ") + " for " + strings.Join(caller.Bearer.Audience, " or ")
		case what == "basic" && caller.Basic == "users":
			what += " by local users"
		case what == "basic" && caller.Basic == "client_credentials":
			what += " by clients of " + strings.Join(caller.Bearer.Issuers, "")
		case what == "key":
			what += " in " + rt.KeyHeader
		}
		all = append(all, what)
	}
	return all
}

func sets(rt proxy.Route) []string {
	if len(rt.Headers.Set) == 0 {
		return nil
	}
	return []string{"sets " + strings.Join(slices.Sorted(maps.Keys(rt.Headers.Set)), ", ")}
}

func who(rt proxy.Route) string {
	words := "everybody"
	if len(rt.Allow) > 0 {
		words = anyOf(rt.Allow)
	}
	if rt.Require != "" {
		if len(rt.Allow) > 0 {
			words = "(" + words + ")"
		}
		words += " who meets require"
	}
	if len(rt.Deny) > 0 {
		words += ", but not " + anyOf(rt.Deny)
	}
	if rt.Hook != nil {
		words += ", if " + rt.Hook.URL + " agrees"
	}
	if rt.DryRun {
		words = "whoever is signed in (dry run; it would be " + words + ")"
	}
	return words
}

func anyOf(rules []policy.Rule) string {
	words := make([]string, 0, len(rules))
	for _, r := range rules {
		words = append(words, ruleWords(r))
	}
	return strings.Join(words, ", or ")
}

// ruleWords is a rule as a person would say it. Unlike a refusal, this is for the operator,
// who may see single persons' names.
func ruleWords(r policy.Rule) string {
	var all []string
	add := func(what string, values []string) {
		if len(values) > 0 {
			all = append(all, what+" "+strings.Join(values, "|"))
		}
	}
	add("group", r.Groups)
	add("role", r.Roles)
	add("e-mail", r.Emails)
	for _, f := range r.EmailFiles {
		all = append(all, fmt.Sprintf("one of %d e-mail entries in %s", len(f.Entries), f.Name))
	}
	add("domain", r.Domains)
	add("user", r.Users)
	if len(r.Scopes) > 0 {
		all = append(all, "scope "+strings.Join(r.Scopes, "+"))
	}
	add("client", r.Clients)
	for _, name := range slices.Sorted(maps.Keys(r.Claims)) {
		add("claim "+name+" =", r.Claims[name])
	}
	networks := make([]string, 0, len(r.Networks))
	for _, n := range r.Networks {
		networks = append(networks, n.String())
	}
	add("from", networks)
	add("by", r.Methods)
	return strings.Join(all, " and ")
}
