package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestExplainTakesAnAddressAndHeaders(t *testing.T) {
	const alice = `{"iss":"https://id.example","sub":"alice","groups":["staff"]}`
	toml := explainedTOML + `
[[route]]
name = "near"
host = "app.example.com"
path = "/near"
upstream = ["http://10.0.0.5"]
allow = [{ networks = ["10.0.0.0/8"] }]
require = 'request.header["x-tenant"][0] == "t:1"'
`
	for name, c := range map[string]struct {
		flags []string
		says  string
	}{
		"from there":         {[]string{"--client", "10.1.2.3", "-H", "x-tenant: t:1"}, "allow[0], require: may pass"},
		"from this machine":  {[]string{"-H", "x-tenant: t:1"}, "refused: no rule matched"},
		"without the header": {[]string{"--client", "10.1.2.3"}, "refused: require"},
	} {
		if status, out, errs := runExplain(t, toml, alice, append(c.flags, "https://app.example.com/near")...); status != exitOK || !strings.Contains(out, c.says) {
			t.Errorf("%s: status %d\n%s%s", name, status, out, errs)
		}
	}
	for name, flags := range map[string][]string{"--client": {"--client", "here"}, "--header": {"--header", "x-tenant"}, "the host stands in the URL": {"-H", "Host: app.example.com"}, "is not of the form": {"-H", "a b: c"}} {
		if status, out, errs := runExplain(t, toml, alice, append(flags, "https://app.example.com/near")...); status != exitRun || !strings.Contains(errs, name) {
			t.Errorf("%s: status %d\n%s%s", name, status, out, errs)
		}
	}
}

func TestCheckSaysWhereEnvoyAsks(t *testing.T) {
	path := filepath.Join(t.TempDir(), "doorward.toml")
	if err := os.WriteFile(path, []byte(strings.Replace(explainedTOML, "[listen]\n", "[listen]\next_authz = \"127.0.0.1:4183\"\n", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	status, out, errs := runCheck(t, path)
	if status != exitOK || !strings.Contains(out, "for Envoy's questions on 127.0.0.1:4183") {
		t.Errorf("status %d\n%s%s", status, out, errs)
	}
}
