package config

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write what errors look like to testdata")

// What people see when something is wrong, as a whole. Each testdata/X.toml is refused with
// the text of testdata/X.golden. Strings named canary are secrets, which no error shows.
func TestR24ErrorsShowTheLineAndUnderlineThePlace(t *testing.T) {
	files, err := filepath.Glob("testdata/*.toml")
	if err != nil || len(files) < 5 {
		t.Fatalf("%v %v", files, err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			_, err := Load(Options{Path: file, Environ: []string{}})
			var e *Error
			if !errors.As(err, &e) {
				t.Fatalf("got %v", err)
			}
			got := e.Error() + "\n"
			if strings.Contains(got, "canary") {
				t.Errorf("P213: a secret is shown:\n%s", got)
			}
			golden := strings.TrimSuffix(file, ".toml") + ".golden"
			if *update {
				write(t, golden, got, 0o644)
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
			for _, p := range e.Problems {
				if p.File != file || p.Line == 0 != strings.Contains(p.Text, ": there is none; ") {
					t.Errorf("%q has no position", p.Text)
				}
			}
		})
	}
}

// However a line with a secret is broken, the secret is in no error.
func TestP213NoErrorShowsASecret(t *testing.T) {
	const canary = "canary7f3kq2"
	for _, line := range []string{
		`client_secrett = "` + canary + `"`, `Client_Secret = '` + canary + `'`, `client_secret = ` + canary, `client_secret = "` + canary, `client_secret = '` + canary + "\nx = 1",
		`client_secret "` + canary + `"`, `client_secret = ["` + canary + `"]`, `client_secret = { x = "` + canary + `" }`, `client_secret = "${env:` + canary, `client_secret = "${` + canary + `}"`,
		`client_secret = """` + canary, "client_secret = \"\"\"\n" + canary + "\\q\n\"\"\"", `client_secret = "` + canary + `\q"`, `client_secret = "` + canary + `" x`, `client_secret = "x" # ` + canary + "\nclient_secret = 1",
		`client_secret = "` + canary + `"` + "\nclient_secret = \"" + canary + `"`, `private_key = "` + canary + `"`, `certificate_key = "` + canary + `"`, `secret = 7` + canary, `client_secret = "` + canary + `" # x` + "\nclient_auth = \"none\"",
		"client_secret = \"" + canary + "\"\nclient_auth = \"client_secret_jwt\"", "client_secret = \"" + canary + "\"\nsigning_algs = [\"HS256\"]",
		`x = { client_secret = "` + canary + `", y = z }`, "[sessions]\nkeys = [\"" + canary + "\"]", "[sessions]\nkeys = \"" + canary + `"`, "[sessions]\nkeys = [" + canary + "]", "[session]\nkeys = [\"" + canary + "\"]",
		"[sessions]\nstore = \"redis+tls://x:" + canary + "@h/0\"", "[listen]\nhttp = \"http://x:" + canary + "@h\"", "[[route]]\nhost = \"https://x:" + canary + "@h\"", "[[route]]\nupstream = [\"http://x:" + canary + "@h h/\", \"ftp://x:" + canary + "@h\", \"http://x:" + canary + "@h?x\"]",
		"[credential.key]\nflow = \"static\"\ntokne = \"" + canary + `"`, "[credential.key]\nflow = \"static\"\nheader = \"Host\"\ntoken = \"" + canary + `"`, "[users.a]\npassword = \"" + canary + `"`, "[key.a]\nhash = \"" + canary + `"`, "[sessions]\nstore = \"redis://:" + canary + "@h/0\"",
	} {
		toml := "[provider.corp]\nissuer = \"https://sso.example.com\"\nclient_id = \"x\"\n" + line + "\n[[route]]\nhost = \"a.example\"\nupstream = [\"http://127.0.0.1:1\"]\n"
		for _, p := range (given{toml: toml}).refused(t) {
			if strings.Contains(p.String(), canary) {
				t.Errorf("%s\nshows\n%s", line, p)
			}
		}
	}
	for _, g := range []given{
		{toml: minimal, set: []string{"provider.corp.client_secrett=" + canary}},
		{toml: minimal, set: []string{"provider.corp.private_key=" + canary}},
		{toml: minimal, set: []string{"sessions.keys=" + canary}},
		{toml: minimal, set: []string{"sessions.keys=[" + canary}},
		{toml: minimal, env: []string{"DOORWARD_SESSIONS_KEYS=" + canary}},
		{toml: minimal, env: []string{"DOORWARD_SESSIONS_STORE=redis://:" + canary + "@h/0"}},
		{toml: strings.Replace(minimal, "a-secret", "${env:X}", 1) + "[sessions]\nkeys = [\"${env:X}\"]\n", env: []string{"X=" + canary}},
		{toml: minimal + "[listen]\nhttp = \"${env:X}\"\n", env: []string{"X=" + canary}},
		{toml: minimal + "credential = \"${env:X}\"\n", env: []string{"X=" + canary}},
	} {
		for _, p := range g.refused(t) {
			if strings.Contains(p.String(), canary) {
				t.Errorf("%v %v\nshows\n%s", g.set, g.env, p)
			}
		}
	}
}
