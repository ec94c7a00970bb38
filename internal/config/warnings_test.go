package config

import (
	"strings"
	"testing"
)

func TestWhatIsPossibleButDoubtfulWarnsAtEveryStart(t *testing.T) {
	for name, c := range map[string]struct {
		toml string
		says []string
	}{
		"insecure_http":                {strings.Replace(minimal, `"app.example.com"`, `"http://app.example.com"`, 1) + "insecure_http = true\n", []string{"route.app", "insecure_http"}},
		"insecure_http for nothing":    {minimal + "insecure_http = true\n", []string{"route.app", "insecure_http", "no effect"}},
		"unverified, provider":         {with("insecure_unverified_email = true", ""), []string{"provider.corp", "insecure_unverified_email"}},
		"unverified, route":            {minimal + "insecure_unverified_email = true\n", []string{"route.app", "insecure_unverified_email"}},
		"everybody is a proxy":         {minimal + "[listen]\ntrusted_proxies = [\"0.0.0.0/0\"]\n", []string{"listen.trusted_proxies"}},
		"admin for everybody":          {minimal + "[listen]\nadmin = \":4181\"\n", []string{"listen.admin"}},
		"strict":                       {minimal + "[sessions]\ncookie = { same_site = \"strict\" }\n", []string{"same_site", "strict"}},
		"none":                         {minimal + "[sessions]\ncookie = { same_site = \"none\" }\n", []string{"same_site", "none"}},
		"idle never":                   {minimal + "[sessions]\nidle = \"48h\"\n", []string{"sessions.idle"}},
		"short secret":                 {strings.Replace(minimal, "a-secret-that-nobody-knows", "short", 1), []string{"provider.corp.client_secret"}},
		"public with a login":          {minimal + "public = true\nlogin = [\"corp\"]\n", []string{"route.app", "login", "no effect"}},
		"public with a credential":     {minimal + "public = true\ncredential = \"session\"\n", []string{"route.app", "credential", "no effect"}},
		"public with a fragment":       {minimal + "public = true\nkeep_fragment = true\n", []string{"route.app", "keep_fragment", "no effect"}},
		"provider without a client":    {minimal + "[provider.bare]\nissuer = \"https://b.example\"\n", []string{"provider.bare", "client_id"}},
		"provider without a login":     {minimal + second + "[login.x]\nflow = \"authorization_code\"\nprovider = \"corp\"\n", []string{"provider.second", "[login.NAME]"}},
		"upstream that is a host":      {strings.Replace(minimal, "http://127.0.0.1:3000", "https://app.example.com", 1), []string{"route.app", "come back"}},
		"upstream that is a later one": {strings.Replace(minimal, "http://127.0.0.1:3000", "https://b.example.com", 1) + "[[route]]\nhost = \"b.example.com\"\nupstream = [\"http://127.0.0.1:1\"]\n", []string{"route.app", "b.example.com", "come back"}},
	} {
		t.Run(name, func(t *testing.T) {
			conf := given{toml: c.toml}.mustLoad(t)
			if len(conf.Warnings()) != 1 || !hasWarning(conf, c.says...) {
				t.Errorf("the warnings are %q, want one with %q", conf.Warnings(), c.says)
			}
		})
	}
	for value, warns := range map[string]bool{"a-secret-that-nobody-knows": true, "${env:X}": false} {
		c := given{toml: minimal, env: []string{"X=a-secret-that-nobody-knows"}, set: []string{"provider.corp.client_secret=" + value}}.mustLoad(t)
		if hasWarning(c, "--set provider.corp.client_secret", "processes") != warns || hasWarning(c, "nobody-knows") {
			t.Errorf("CA-8: a secret on the command line, %s: %q", value, c.Warnings())
		}
	}
	if c := (given{toml: minimal}).mustLoad(t); len(c.Warnings()) != 0 {
		t.Errorf("a good configuration warns: %v", c.Warnings())
	}
}
