package main

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// P211: what is wrong in a configuration is told with its place, and nothing listens meanwhile. All of it is read before
// the first port is opened.
func TestP211ABadConfigurationStartsNothing(t *testing.T) {
	s := newStack(t, "")
	again := fmt.Sprintf("[[route]]\nname = %%q\nhost = %q\nupstream = [%q]\n", s.origin, s.app.URL)
	key := filepath.Join(s.dir, "open.key")
	if err := os.WriteFile(key, []byte("MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="), 0o666); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(key, 0o666); err != nil { // whatever the umask says
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ from, to, says string }{
		"unknown key":         {"[[route]]", "[[route]]\npublik = true", "publik"},
		"unknown table":       {"[provider.corp]", "[provder.x]\n[provider.corp]", "provder"},
		"a route twice":       {"", fmt.Sprintf(again, "second"), "second"},
		"a name twice":        {"", fmt.Sprintf(again, "app"), "app"},
		"a rule that is none": {`credential = "session"`, "credential = \"session\"\nrequire = \"user.groups in (\"", "require"},
		"an empty rule":       {`credential = "session"`, "credential = \"session\"\nallow = [{}]", "allow"},
		"an empty group":      {`credential = "session"`, "credential = \"session\"\nallow = [{ groups = [\"\"] }]", "groups"},
		"an empty secret":     {clientSecret, "", "client_secret"},
		"a left-over secret":  {clientSecret, "changeme", "client_secret"},
		"a short key":         {"", "[sessions]\nkeys = [\"c2hvcnQ=\"]\n", "sessions.keys"},
		"a key of zeros":      {"", "[sessions]\nkeys = [\"" + strings.Repeat("A", 43) + "=\"]\n", "sessions.keys"},
		"no such file":        {"", "[sessions]\nkeys = [\"${file:none.key}\"]\n", "none.key"},
		"not TOML":            {"", "[[route\n", "doorward.toml:"},
	} {
		t.Run(name, func(t *testing.T) {
			toml := s.toml + c.to
			if c.from != "" {
				toml = strings.Replace(s.toml, c.from, c.to, 1)
			}
			if toml == s.toml {
				t.Fatal("nothing is wrong")
			}
			s.write(toml)
			for _, args := range [][]string{{"serve", "--config", s.path()}, {"check", "--config", s.path()}} {
				cmd := program(args...)
				out, _ := cmd.CombinedOutput()
				if code := cmd.ProcessState.ExitCode(); code != 78 || !strings.Contains(string(out), c.says) || !strings.Contains(string(out), "doorward.toml:") || strings.Contains(string(out), clientSecret) || strings.Contains(string(out), "listening") {
					t.Errorf("%s: status %d\n%s", args[0], code, out)
				}
			}
		})
	}
	t.Run("a key that everybody can read is told", func(t *testing.T) {
		s.write(s.toml + "[sessions]\nkeys = [\"${file:" + key + "}\"]\n")
		out, _ := program("check", "--config", s.path()).CombinedOutput()
		if !strings.Contains(string(out), "open.key") || !strings.Contains(string(out), "chmod") {
			t.Errorf("%s", out)
		}
	})
}

// P040: where a sign-out leads, and what links say, comes from the configuration.
func TestP040P187OwnPagesRepeatNothingOfARequest(t *testing.T) {
	s := newStack(t, "").start()
	s.bothVersions(t, func(w wire) {
		lies := append([]string{"X-Forwarded-Host: localhost.evil.test", "X-Forwarded-Proto: https", "X-Forwarded-Prefix: /evil", "Forwarded: host=evil.test", "X-Original-Host: evil.test", "Referer: javascript:alert('evil')"}, navigating...)
		const script = "%22%3E%3Cscript%3Ealert('evil')%3C/script%3E"
		for _, path := range []string{"/oauth2/sign_in", "/oauth2/start", "/oauth2/sign_out", "/oauth2/logout", "/oauth2/logout/callback", "/oauth2/callback", "/oauth2/userinfo", "/oauth2/session", "/oauth2/tokens", "/oauth2/none", "/x"} {
			for _, query := range []string{"", "?rd=" + script, "?error=" + script + "&error_description=" + script + "&state=" + script, "?login=" + script, "?" + script} {
				a := w.ask(http.MethodGet, path+query, lies...)
				at := a.Header.Get("Location")
				if strings.Contains(a.body, "<script>alert") || strings.Contains(a.body, "javascript:") || strings.Contains(a.body, "evil.test") || strings.Contains(at, "evil.test") || strings.Contains(at, "https%3A%2F%2Flocalhost") || a.StatusCode >= 500 {
					w.t.Errorf("%s%s: %s to %q: %s", path, query, a.Status, at, a.body)
				}
			}
		}
	})
}

// P198: sessions do not travel in the clear unless somebody says so in as many words.
func TestP198AHostInTheClearIsRefusedUnlessItIsThisMachine(t *testing.T) {
	s := newStack(t, "")
	here := s.origin
	for _, host := range []string{"http://app.example.com", "http://app.example.com:8080", "http://192.0.2.1", "http://[2001:db8::1]"} {
		s.toml = strings.Replace(s.toml, here, host, 1)
		here = host
		s.refuses("", "insecure_http = true")
	}
}
