package config

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"
)

// Whatever stands in the file, reading it ends, without a panic, with a configuration or with
// problems of which each has its place in the file, or names the key.
func FuzzLoad(f *testing.F) {
	f.Add([]byte(minimal), "", "")
	f.Add([]byte(with(`client_auth = "private_key_jwt"`, "allow = [{}]\n[[route.allow]]\n")), "ROUTE_APP_ALLOW=[{}]", "route.app.path=/x")
	f.Add([]byte("route = [1, {}, []]\nprovider = { a = 1, b = {} }\nlogin.x = 1\n[sessions]\ncookie = []\n"), "PROVIDER_A_ISSUER=x", "provider.b.issuer=x")
	f.Add([]byte("\xef\xbb\xbf[a]\r\n\"\\u0000\" = '''\n"), "X", "a.b.c=d")
	for _, name := range []string{"wrong", "syntax", "string"} {
		text, err := os.ReadFile(filepath.Join("testdata", name+".toml"))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text, "LISTEN_HTTP=${env:X}", "listen.http")
	}
	path := filepath.Join(f.TempDir(), "fuzz.toml")
	f.Fuzz(func(t *testing.T, text []byte, variable, set string) {
		if strings.Contains(string(text)+variable+set, "${file:") || strings.Contains(string(text)+variable+set, "ca_file") {
			return // it would read what lies around here
		}
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := Load(Options{Path: path, Environ: []string{"DOORWARD_" + variable}, Set: []string{set}})
		if err == nil {
			return
		}
		var e *Error
		if !errors.As(err, &e) || len(e.Problems) == 0 {
			t.Fatalf("%T: %v", err, err)
		}
		for _, p := range e.Problems {
			if p.File == "" || p.Text == "" {
				t.Errorf("a problem without a place: %+v", p)
			}
			if p.Line == 0 && p.File == path && !strings.Contains(p.Text, ": ") {
				t.Errorf("a problem that names no key: %+v", p)
			}
			if p.Line > 0 {
				checkExcerpt(t, text, p)
			}
		}
	})
}

// checkExcerpt wants a number, a line and carets below the line, nothing that a terminal acts upon.
func checkExcerpt(t *testing.T, text []byte, p Problem) {
	t.Helper()
	lines := strings.Split(p.excerpt, "\n")
	if len(lines) != 2 || !strings.HasSuffix(lines[1], "^") || strings.Trim(lines[1], " |^") != "" {
		t.Fatalf("an excerpt like\n%q", p.excerpt)
	}
	if carets := utf8.RuneCountInString(lines[1]); carets > utf8.RuneCountInString(lines[0])+1 {
		t.Errorf("the carets are beyond the line:\n%s", p.excerpt)
	}
	if n := strings.Count(string(text), "\n") + 1; p.Line > n || p.Column < 1 {
		t.Errorf("%d:%d in a file of %d lines", p.Line, p.Column, n)
	}
	for _, r := range p.excerpt {
		if r != '\n' && (r < ' ' || r == 0x7f || r == 0x9b) {
			t.Errorf("%q in an excerpt", r)
		}
	}
}
