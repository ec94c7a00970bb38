package config

import (
	"strings"
	"testing"
)

var (
	asked     = strings.Replace(minimal, "upstream = [\"http://127.0.0.1:3000\"]\n", "", 1)
	behind    = "[listen]\ntrusted_proxies = [\"10.0.0.0/8\"]\n"
	askedGRPC = "[listen]\next_authz = \"127.0.0.1:4183\"\n"
)

func TestARouteWithoutAnUpstreamIsForWhoeverMayAsk(t *testing.T) {
	for name, toml := range map[string]string{"a trusted proxy": behind + asked, "Envoy on this machine": askedGRPC + asked} {
		t.Run(name, func(t *testing.T) {
			if rt := (given{toml: toml}).mustLoad(t).Proxy().Routes[0]; len(rt.Upstreams) != 0 || rt.Answer != nil {
				t.Errorf("%+v", rt)
			}
		})
	}
	broken{asked, "route]]", "nobody could ask about it: name the proxies that do in listen.trusted_proxies"}.check(t)
	phone := "approve = { login = \"phone\", methods = [\"POST\"], binding_message = '\"x\"' }\n[login.phone]\nflow = \"ciba\"\nprovider = \"corp\"\nhint = \"login_hint\"\n[login.staff]\nflow = \"authorization_code\"\nprovider = \"corp\"\n"
	broken{behind + asked + phone, "login = \"phone\", m", "it needs an upstream"}.check(t)
}

func TestWhereEnvoyAsks(t *testing.T) {
	if c := (given{toml: minimal}).mustLoad(t); c.Listen.ExtAuthz != "" {
		t.Errorf("it is on by itself: %q", c.Listen.ExtAuthz)
	}
	for _, at := range []string{"127.0.0.1:4183", "unix:/run/authz.sock", "[::1]:0"} {
		if c := (given{toml: "[listen]\next_authz = \"" + at + "\"\n" + minimal}).mustLoad(t); c.Listen.ExtAuthz != at {
			t.Errorf("%q became %q", at, c.Listen.ExtAuthz)
		}
	}
	given{toml: behind + "ext_authz = \":4183\"\n" + minimal}.mustLoad(t)
	for name, b := range map[string]broken{
		"no address":              {"[listen]\next_authz = \"envoy\"\n" + minimal, `"envoy"`, `"host:port"`},
		"the public listener":     {"[listen]\next_authz = \"127.0.0.1:4180\"\n" + minimal, `"127.0.0.1:4180"`, "the address of listen.http"},
		"the admin listener":      {"[listen]\next_authz = \"127.0.0.1:4181\"\n" + minimal, `"127.0.0.1:4181"`, "the address of listen.admin"},
		"nobody there is trusted": {"[listen]\next_authz = \":4183\"\n" + minimal, `":4183"`, "listen.trusted_proxies"},
		"an upstream is itself":   {askedGRPC + strings.Replace(minimal, "127.0.0.1:3000", "127.0.0.1:4183", 1), `"http://127`, "circle"},
	} {
		t.Run(name, b.check)
	}
}
