package config

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const testKey = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="

// minimal protects one app; further lines may follow it.
const minimal = `[provider.corp]
issuer = "https://sso.example.com"
client_id = "doorward"
client_secret = "a-secret-that-nobody-knows"
[[route]]
name = "app"
host = "app.example.com"
upstream = ["http://127.0.0.1:3000"]
`

// given is a file, an environment and flags.
type given struct {
	toml string
	env  []string
	set  []string
	dir  string // of the file; "" = a new one
}

func (g given) load(t testing.TB) (*Config, error) {
	t.Helper()
	if g.dir == "" {
		g.dir = t.TempDir()
	}
	path := filepath.Join(g.dir, "doorward.toml")
	write(t, path, g.toml, 0o600)
	return Load(Options{Path: path, Set: g.set, Environ: append([]string{}, g.env...)})
}

func (g given) mustLoad(t testing.TB) *Config {
	t.Helper()
	c, err := g.load(t)
	if err != nil {
		t.Fatalf("refused:\n%v", err)
	}
	return c
}

// refused returns the problems.
func (g given) refused(t testing.TB) []Problem {
	t.Helper()
	_, err := g.load(t)
	var e *Error
	if !errors.As(err, &e) || len(e.Problems) == 0 {
		t.Fatalf("got %v, want problems, in\n%s", err, g.toml)
	}
	return e.Problems
}

func write(t testing.TB, path, text string, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil { // whatever the umask is
		t.Fatal(err)
	}
}

func hasWarning(c *Config, parts ...string) bool {
	for _, w := range c.Warnings() {
		all := true
		for _, p := range parts {
			all = all && strings.Contains(w, p)
		}
		if all {
			return true
		}
	}
	return false
}
