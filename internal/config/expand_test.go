package config

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func secretOf(t *testing.T, g given, written string) string {
	t.Helper()
	g.toml = strings.Replace(minimal, `"a-secret-that-nobody-knows"`, written, 1)
	return g.mustLoad(t).Providers()[0].ClientSecret.Reveal()
}

func TestReferencesAreReplacedInEveryText(t *testing.T) {
	dir, creds := t.TempDir(), t.TempDir()
	write(t, filepath.Join(dir, "one"), "file-secret-of-some-length\n", 0o600)
	write(t, filepath.Join(dir, "two"), "file-secret-of-some-length\n\n", 0o600)
	write(t, filepath.Join(dir, "crlf"), "file-secret-of-some-length\r\n", 0o600)
	write(t, filepath.Join(dir, "bare"), "file-secret-of-some-length", 0o600)
	write(t, filepath.Join(dir, "nested"), "${env:X}-of-some-length", 0o600)
	write(t, filepath.Join(creds, "idp"), "credential-of-some-length\n", 0o400)
	g := given{dir: dir, env: []string{"X=value-of-x-of-some-length", "A=a", "EMPTY=", "CREDENTIALS_DIRECTORY=" + creds}}
	for written, want := range map[string]string{
		`"${env:X}"`:                "value-of-x-of-some-length",
		`"<${env:A}-${env:X}>"`:     "<a-value-of-x-of-some-length>",
		`"${env:EMPTY}x"`:           "x",
		`"${file:one}"`:             "file-secret-of-some-length",
		`"${file:two}"`:             "file-secret-of-some-length\n",
		`"${file:crlf}"`:            "file-secret-of-some-length",
		`"${file:bare}"`:            "file-secret-of-some-length",
		`"${file:` + dir + `/one}"`: "file-secret-of-some-length",
		`"${file:./../` + filepath.Base(dir) + `/one}"`: "file-secret-of-some-length",
		`"${file:nested}"`:    "${env:X}-of-some-length", // not expanded again
		`"${cred:idp}"`:       "credential-of-some-length",
		`"$${env:X}"`:         "${env:X}",
		`"a$${b"`:             "a${b",
		`"$ {env:X} $x $$ }"`: "$ {env:X} $x $$ }",
		`"$$$${env:X}"`:       "$$${env:X}",
	} {
		if got := secretOf(t, g, written); got != want {
			t.Errorf("%s: %q, want %q", written, got, want)
		}
	}
	c := given{dir: dir, env: []string{"HOST=a.example.com", "PROXY=10.0.0.0/8"}, toml: strings.Replace(minimal, "app.example.com", "${env:HOST}", 1) + "[listen]\ntrusted_proxies = [\"${env:PROXY}\"]\n"}.mustLoad(t)
	if c.Origins()[0].Host != "a.example.com" || c.Listen.TrustedProxies[0].String() != "10.0.0.0/8" {
		t.Errorf("%v %v", c.Origins(), c.Listen.TrustedProxies)
	}
}

func TestAReferenceThatYieldsNothingIsAnErrorWithItsPlace(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "large"), strings.Repeat("x", maxFile+1), 0o600)
	if err := os.Mkdir(filepath.Join(dir, "dir"), 0o700); err != nil {
		t.Fatal(err)
	}
	for written, says := range map[string]string{
		`"${env:NOPE}"`:       "the environment variable NOPE is not set",
		`"${file:nope}"`:      "there is no such file",
		`"${file:dir}"`:       "is a directory",
		`"${file:large}"`:     "larger than the limit of 1 MiB",
		`"${file:/dev/zero}"`: "is no file",
		`"${cred:idp}"`:       "LoadCredential=",
		`"${env:}"`:           "a reference is",
		`"${NOPE}"`:           "a reference is",
		`"${ENV:NOPE}"`:       "a reference is",
		`"x${env:NOPE"`:       "without a }",
	} {
		toml := strings.Replace(minimal, `"a-secret-that-nobody-knows"`, written, 1)
		p := given{dir: dir, toml: toml}.refused(t)
		if len(p) != 1 || p[0].Line != 4 || p[0].Column != 17 || !strings.Contains(p[0].Text, says) || !strings.HasPrefix(p[0].Text, "provider.corp.client_secret: ") {
			t.Errorf("%s: %v", written, &Error{p})
		}
	}
	for _, name := range []string{"../x", "a/b", ".."} {
		p := given{toml: strings.Replace(minimal, "a-secret-that-nobody-knows", "${cred:"+name+"}", 1), env: []string{"CREDENTIALS_DIRECTORY=" + dir}}.refused(t)
		if !strings.Contains(p[0].Text, "a name, not a path") {
			t.Errorf("%s: %v", name, p)
		}
	}
}

func TestFilesListsWhatIsWatched(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"secret", "key"} {
		write(t, filepath.Join(dir, name), testKey+"\n", 0o600)
	}
	c := given{dir: dir, toml: strings.Replace(minimal, "a-secret-that-nobody-knows", "${file:secret}", 1) + "[sessions]\nkeys = [\"${file:key}\"]\n"}.mustLoad(t)
	want := []string{filepath.Join(dir, "doorward.toml"), filepath.Join(dir, "key"), filepath.Join(dir, "secret")}
	if got := slices.Sorted(slices.Values(c.Files())); !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

func TestP211ASecretThatEverybodyCanReadWarns(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "open"), "a-secret-that-nobody-knows\n", 0o644)
	write(t, filepath.Join(dir, "closed"), "a-secret-that-nobody-knows\n", 0o640)
	reference := func(name string) string {
		return strings.Replace(minimal, "a-secret-that-nobody-knows", "${file:"+name+"}", 1)
	}
	if c := (given{dir: dir, toml: reference("open")}).mustLoad(t); !hasWarning(c, filepath.Join(dir, "open"), "chmod") {
		t.Errorf("no warning: %v", c.Warnings())
	}
	if c := (given{dir: dir, toml: reference("closed")}).mustLoad(t); len(c.Warnings()) != 0 {
		t.Errorf("%v", c.Warnings())
	}
	if c := (given{dir: dir, toml: strings.Replace(reference("closed"), "app.example.com", "${file:host}", 1)}); true {
		write(t, filepath.Join(dir, "host"), "app.example.com\n", 0o644)
		if c := c.mustLoad(t); len(c.Warnings()) != 0 { // no secret
			t.Errorf("%v", c.Warnings())
		}
	}
	path := filepath.Join(dir, "world.toml")
	write(t, path, minimal, 0o644)
	c, err := Load(Options{Path: path, Environ: []string{}})
	if err != nil || !hasWarning(c, "provider.corp.client_secret", path) {
		t.Errorf("a secret in a file that everybody can read: %v %v", c, err)
	}
}
