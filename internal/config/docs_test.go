package config

import (
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/doorward/doorward/flows"
	"github.com/doorward/doorward/internal/secret"
)

var (
	snippet   = regexp.MustCompile("(?ms)^```toml\n(.*?)^```")
	reference = regexp.MustCompile(`\$\{(env|file):([^}]+)\}`)
	htpasswd  = regexp.MustCompile(`htpasswd = "([^"]+)"`)
)

// hashed is what stands in the place of a password.
func hashed(t *testing.T) string {
	t.Helper()
	hash, err := flows.HashPassword(secret.New("correct horse"))
	if err != nil {
		t.Fatal(err)
	}
	return hash
}

// What the documentation shows is what a reader will paste: each TOML snippet loads, with the files and variables that it names.
func TestEverySnippetOfTheDocumentationLoads(t *testing.T) {
	pages := []string{"../../README.md"}
	err := filepath.WalkDir("../../docs", func(path string, d fs.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(path, ".md") {
			pages = append(pages, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, page := range pages {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range snippet.FindAllStringSubmatch(string(text), -1) {
			seen++
			g := given{toml: m[1], dir: t.TempDir()}
			if !strings.Contains(m[1], "[provider.") && !strings.Contains(m[1], "[[route]]") && !strings.Contains(m[1], "[[egress]]") {
				g.toml += minimal // it is about one table only
			}
			for _, r := range reference.FindAllStringSubmatch(m[1], -1) {
				switch r[1] {
				case "env":
					g.env = append(g.env, r[2]+"="+testKey)
				case "file":
					text := testKey
					if strings.HasSuffix(r[2], ".hash") {
						text = hashed(t)
					}
					if strings.HasSuffix(r[2], "google.json") {
						text = serviceAccount(t)
					}
					write(t, filepath.Join(g.dir, r[2]), text+"\n", 0o600)
				}
			}
			if err := os.MkdirAll(filepath.Join(g.dir, "www"), 0o700); err != nil {
				t.Fatal(err)
			}
			write(t, filepath.Join(g.dir, "www", "index.html"), "<title>x</title>", 0o600)
			for _, users := range htpasswd.FindAllStringSubmatch(m[1], -1) {
				write(t, filepath.Join(g.dir, users[1]), "bob:"+hashed(t)+"\n", 0o600)
			}
			if c, err := g.load(t); err != nil {
				t.Errorf("%s shows\n%s\nwhich is refused:\n%v", page, m[1], err)
			} else if w := unexpected(c.Warnings(), len(g.toml) > len(m[1])); len(w) > 0 {
				t.Errorf("%s shows\n%s\nwhich warns: %v", page, m[1], w)
			}
		}
	}
	if seen < 5 {
		t.Errorf("only %d snippets were found: the search is broken", seen)
	}
}

// unexpected leaves out the dangers of logins: a page that shows such a login is about them.
func unexpected(warnings []string, oneTable bool) []string {
	return slices.DeleteFunc(slices.Clone(warnings), func(w string) bool {
		if oneTable && strings.HasSuffix(w, "no route and no egress sends it") {
			return true
		}
		return slices.ContainsFunc(slices.Collect(maps.Values(dangers)), func(d string) bool { return strings.HasSuffix(w, d) })
	})
}
