package config

import (
	"slices"
	"strings"
	"testing"

	"github.com/doorward/doorward/proxy"
)

func TestWhatIsWrongAboutHeadersIsToldWithItsPlace(t *testing.T) {
	for name, b := range map[string]broken{
		"profile":                  {minimal + "headers = { profile = \"autelia\" }\n", `"autelia"`, `did you mean "authelia"?`},
		"encoding":                 {minimal + "headers = { encoding = \"base64\" }\n", `"base64"`, `is none of "percent"`},
		"assertion that is a text": {minimal + "headers = { assertion = \"yes\" }\n", `"yes"`, "true or false"},
		"assertion about nobody":   {minimal + "public = true\nheaders = { assertion = true }\n", "true }", "nobody who they are"},
		"audience without one":     {minimal + "headers = { assertion_audience = [\"a\"] }\n", "assertion_audience", "add assertion = true"},
		"audience of pomerium's":   {minimal + "headers = { profile = \"pomerium\", assertion = false, assertion_audience = [\"a\"] }\n", "assertion_audience", "add assertion = true"},
		"no audience":              {minimal + "headers = { assertion = true, assertion_audience = [] }\n", "assertion_audience", "the list is empty"},
		"an empty audience":        {minimal + "headers = { assertion = true, assertion_audience = [\"\"] }\n", "assertion_audience", "an audience is empty"},
		"the assertion set again":  {minimal + "headers = { assertion = true, set = { X-Doorward-Assertion = \"x\" } }\n", `"x" }`, "not the route's to set"},
		"a placeholder in braces":  {minimal + "headers = { set = { X-A = \"{{user.sub}}\" } }\n", `"{{user.sub}}"`, "write {user.sub}"},
		"a token with otherwise":   {minimal + "headers = { set = { X-A = \"{access_token|none}\" } }\n", `"{access_token|none}"`, "no other value"},
	} {
		t.Run(name, b.check)
	}
}

func TestAnAssertionIsForTheOutsideURLOfItsRoute(t *testing.T) {
	const two = "[[route]]\nname = \"b\"\nhost = \"b.example.com\"\nupstream = [\"http://127.0.0.1:1\"]\n"
	for name, c := range map[string]struct {
		toml, header string
		audience     []string
	}{
		"host":           {minimal + "headers = { assertion = true }\n", "X-Doorward-Assertion", []string{"https://app.example.com"}},
		"host and path":  {minimal + "path = \"/pay/\"\nheaders = { assertion = true }\n", "X-Doorward-Assertion", []string{"https://app.example.com/pay"}},
		"every host":     {two + strings.Replace(minimal, "host = \"app.example.com\"\n", "path = \"/p\"\nheaders = { assertion = true }\n", 1), "X-Doorward-Assertion", []string{"https://b.example.com/p"}},
		"as it is given": {minimal + "headers = { assertion = true, assertion_audience = [\"legacy\", \"x\"] }\n", "X-Doorward-Assertion", []string{"legacy", "x"}},
		"pomerium":       {minimal + "headers = { profile = \"pomerium\" }\n", "X-Pomerium-Jwt-Assertion", []string{"https://app.example.com"}},
	} {
		t.Run(name, func(t *testing.T) {
			conf := given{toml: c.toml}.mustLoad(t)
			all := conf.Assertions()
			if len(all) != 1 || all[0].Name != "route.app" || all[0].Header != c.header || !slices.Equal(all[0].Audience, c.audience) {
				t.Errorf("%+v", all)
			}
			i := slices.IndexFunc(conf.Proxy().Routes, func(rt proxy.Route) bool { return rt.Name == "app" })
			if conf.Proxy().Routes[i].Headers.Assertion != "route.app" || len(conf.Credentials()) != 0 {
				t.Errorf("%+v", conf.Proxy().Routes[i].Headers)
			}
		})
	}
	for name, toml := range map[string]string{
		"not asked for": minimal, "turned off": minimal + "headers = { profile = \"pomerium\", assertion = false }\n", "public": minimal + "public = true\nheaders = { profile = \"pomerium\" }\n",
	} {
		t.Run(name, func(t *testing.T) {
			if all := (given{toml: toml}).mustLoad(t).Assertions(); len(all) != 0 {
				t.Errorf("%+v", all)
			}
		})
	}
}
