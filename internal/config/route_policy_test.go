package config

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/proxy/policy"
)

func TestWhoMayPassIsReadWithEveryKey(t *testing.T) {
	dir := t.TempDir()
	staff := filepath.Join(dir, "staff.txt")
	if err := os.WriteFile(staff, []byte("\ufeff# staff\r\na@x.example  # Alice\r\n\r\n  @y.example\n a#b@x.example"), 0o600); err != nil {
		t.Fatal(err)
	}
	c := given{dir: dir, toml: minimal + `
allow = [{ roles = ["admin"], networks = ["10.0.0.0/8", "2001:db8::/32"], methods = ["GET"] }, { email_files = ["staff.txt"], claims = { "https://example.com/roles" = ["r"], "address.country" = ["de"] } }]
deny = [{ groups = ["out"] }]
require = "!user.machine"
dry_run = true
decision = { url = "https://opa.example/v1/data/x", token = "t", timeout = "2s", cache = "1m", headers = ["X-Tenant"] }
`}.mustLoad(t)
	rt := c.Proxy().Routes[0]
	want := []policy.Rule{
		{Roles: []string{"admin"}, Networks: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("2001:db8::/32")}, Methods: []string{"GET"}},
		{EmailFiles: []policy.EmailFile{{Name: "staff.txt", Entries: []string{"a@x.example", "@y.example", "a#b@x.example"}}}, Claims: map[string][]string{"https://example.com/roles": {"r"}, "address.country": {"de"}}},
	}
	if fmt.Sprint(rt.Allow) != fmt.Sprint(want) || fmt.Sprint(rt.Deny) != fmt.Sprint([]policy.Rule{{Groups: []string{"out"}}}) || rt.Require != "!user.machine" || !rt.DryRun {
		t.Errorf("%+v", rt)
	}
	if h := rt.Hook; h.URL != "https://opa.example/v1/data/x" || h.Token.Reveal() != "t" || h.Timeout != 2*time.Second || h.Cache != time.Minute || fmt.Sprint(h.Headers) != "[X-Tenant]" {
		t.Errorf("%+v", h)
	}
	if !slices.Contains(c.Files(), staff) {
		t.Errorf("a change of the list reloads nothing: %q", c.Files())
	}
	if c.Proxy().RoleClients["corp"] != "doorward" {
		t.Errorf("roles of %v count", c.Proxy().RoleClients)
	}
	if w := strings.Join(c.Warnings(), "\n"); !strings.Contains(w, "dry_run: whoever is signed in may pass") {
		t.Errorf("nobody is told of the dry run: %s", w)
	}
	h := given{toml: minimal + "decision = { url = \"http://127.0.0.1:8181/v1/data/x\" }\n"}.mustLoad(t).Proxy().Routes[0].Hook
	if h.Timeout != time.Second || h.Cache != 10*time.Second || !h.Token.IsZero() || h.Headers != nil {
		t.Errorf("the defaults are %+v", h)
	}
	for _, url := range []string{"http://localhost:8181/x", "http://[::1]:8181/x", "https://opa.example", "http://127.0.0.1/x?strict"} {
		given{toml: minimal + "decision = { url = \"" + url + "\" }\n"}.mustLoad(t)
	}
	if w := (given{toml: minimal + "dry_run = true\n"}).mustLoad(t).Warnings(); !strings.Contains(strings.Join(w, "\n"), "dry_run has no effect") {
		t.Errorf("%q", w)
	}
}

func TestR24WhatIsWrongAboutWhoMayPassIsRefusedWithItsPlace(t *testing.T) {
	decision := func(more string) string {
		return minimal + "decision = { url = \"https://o.example/v1/data/x\", " + more + " }\n"
	}
	for name, b := range map[string]broken{
		"a network that is none":        {minimal + "allow = [{ networks = [\"ten\"] }]\n", `"ten"`, "CIDR"},
		"one address":                   {minimal + "allow = [{ networks = [\"10.0.0.1\"] }]\n", `"10.0.0.1"`, `write "10.0.0.1/32"`},
		"a mapped network":              {minimal + "allow = [{ networks = [\"::ffff:10.0.0.0/104\"] }]\n", "networks", "read as IPv4"},
		"no networks":                   {minimal + "allow = [{ networks = [] }]\n", "networks", "no condition"},
		"a method in small letters":     {minimal + "allow = [{ methods = [\"get\"] }]\n", "methods", "is not a method as requests have it"},
		"a method that is not served":   {minimal + "methods = [\"GET\"]\nallow = [{ groups = [\"a\"], methods = [\"POST\"] }]\n", `"POST"`, "the route serves no POST"},
		"P203 an empty role":            {minimal + "deny = [{ roles = [\"\"] }]\n", "roles", "empty"},
		"P205 a pattern in deny":        {minimal + "deny = [{ domains = [\"*.example.com\"] }]\n", "domains", "patterns"},
		"deny nobody":                   {minimal + "deny = []\n", "deny", "empty"},
		"deny everybody":                {minimal + "deny = [{}]\n", "deny", "fit everybody"},
		"a list that is not there":      {minimal + "allow = [{ email_files = [\"none.txt\"] }]\n", `"none.txt"`, "no such file"},
		"a list that is a directory":    {minimal + "allow = [{ email_files = [\".\"] }]\n", `"."`, "directory"},
		"a list of something else":      {minimal + "allow = [{ email_files = [\"doorward.toml\"] }]\n", `"doorward.toml"`, "doorward.toml, line 1: a line is an e-mail address"},
		"S20 the same entry":            {minimal + "allow = [{ groups = [\"a\"] }, { groups = [\"a\"] }]\n", `groups = ["a"] }]`, "allow[1]: allow[0] says the same already"},
		"S20 a narrower entry":          {minimal + "allow = [{ groups = [\"a\"] }, { users = [\"u\"], groups = [\"a\"] }]\n", `users`, "allow[1]: it never decides: whoever it fits is let in by allow[0]"},
		"S20 a denied entry":            {minimal + "allow = [{ groups = [\"a\"] }]\ndeny = [{ groups = [\"a\", \"b\"] }]\n", `groups = ["a"] }]`, "allow[0]: it lets nobody in: deny[0] refuses"},
		"S20 a wrong one before it":     {minimal + "allow = [{ domains = [\"*\"] }, { groups = [\"a\"] }]\n", `domains`, "patterns"},
		"a require that asks nothing":   {minimal + "require = 'true || user.machine'\n", `'true`, "true for every request"},
		"a require that lets nobody in": {minimal + "require = '1 > 2'\n", `'1 > 2'`, "false for every request"},
		"deny on a public route":        {minimal + "public = true\ndeny = [{ groups = [\"a\"] }]\n", "deny", "deny would not be asked"},
		"decision on a public route":    {minimal + "public = true\ndecision = { url = \"https://o.example\" }\n", `url = "https://o`, "decision would not be asked"},
		"no url":                        {minimal + "decision = { timeout = \"1s\" }\n", `timeout = "1s"`, "decision.url: it is missing"},
		"in the clear to elsewhere":     {minimal + "decision = { url = \"http://opa.example/v1\" }\n", `"http://opa`, "use https"},
		"a name that begins like ours":  {minimal + "decision = { url = \"http://localhost.evil.example/v1\" }\n", `"http://local`, "use https"},
		"no URL":                        {minimal + "decision = { url = \"opa\" }\n", `"opa"`, "no complete URL"},
		"a password in the URL":         {minimal + "decision = { url = \"https://u:p@o.example\" }\n", `"https://u`, "decision.token"},
		"ourselves":                     {minimal + "decision = { url = \"http://127.0.0.1:4180/v1/data/x\" }\n", `"http://127.0.0.1:4180`, "in a circle"},
		"our administration, by name":   {minimal + "decision = { url = \"http://localhost:4181\" }\n", `"http://localhost`, "in a circle"},
		"the metadata of a cloud":       {minimal + "decision = { url = \"https://metadata.google.internal/x\" }\n", `"https://metadata`, "credentials"},
		"a number for a duration":       {decision("cache = 10"), "10 }", `such as "8h"`},
		"a cache for a day":             {decision(`cache = "24h"`), `"24h"`, "too long"},
		"no time":                       {decision(`timeout = "0s"`), `"0s"`, "too short"},
		"a CA that is none":             {decision(`ca_file = "doorward.toml"`), `"doorward.toml"`, "no certificate in PEM"},
		"the session's cookie":          {decision(`headers = ["cookie"]`), "headers", "proves who is calling"},
		"the token":                     {decision(`headers = ["Authorization"]`), "headers", "proves who is calling"},
		"a header that is none":         {decision(`headers = ["a b"]`), "headers", "no name of a header"},
		"an empty token":                {decision(`token = ""`), `""`, "empty"},
	} {
		t.Run(name, b.check)
	}
}

func TestWhereEverybodyCanRegisterMethodsAreNoAnswerToWhoMayPass(t *testing.T) {
	toml := strings.Replace(minimal, "https://sso.example.com", "https://accounts.google.com", 1)
	broken{toml + "allow = [{ methods = [\"GET\"] }]\n", "allow", "an entry asks for nothing but methods"}.check(t)
	given{toml: toml + "allow = [{ networks = [\"10.0.0.0/8\"] }]\n"}.mustLoad(t)
}

func TestAnEMailListWithoutAnAddressIsRefused(t *testing.T) {
	for text, says := range map[string]string{
		"": "line 1: there is no address", "# nobody yet\n\n": "line 2: there is no address", "a@x.example\n*@y.example\n": "line 2: a line is", "a@x.example b@x.example": "line 1", "a@x.example,b@y.example": "line 1",
		"a@x.example#Alice": "line 1: a line is", "@": "line 1",
	} {
		if _, err := emailList(text); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func FuzzEmailList(f *testing.F) {
	for _, s := range []string{"a@x.example\n@y.example # z", "#", "\ufeffa@b.c\r\n", "a@b@c", "\x00@x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		entries, err := emailList(text)
		if err != nil {
			return
		}
		if _, err := policy.New(policy.Config{Allow: []policy.Rule{{EmailFiles: []policy.EmailFile{{Name: "f", Entries: entries}}}}}); err != nil {
			t.Errorf("%q: the list is taken, and the policy refuses it: %v", text, err)
		}
		for _, e := range entries {
			if strings.Count(e, "@") != 1 || strings.TrimSpace(e) != e || !strings.Contains(text, e) {
				t.Errorf("%q holds %q", text, e)
			}
		}
	})
}
