package architecture_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/doorward/doorward"

// rule forbids an import. Paths inside the module are written without it; a path covers
// what lies below it unless it ends in "$". Exceptions may import all the same.
type rule struct {
	from, to string
	except   []string
	tests    bool // test files are held to it too
	why      string
}

var rules = []rule{
	// One importer for each library that decides about tokens, cookies and bytes at rest.
	{"", "go.etcd.io/bbolt", []string{"sessions/store$"}, true, "what lies on disk has one owner"},
	{"", "github.com/gorilla", []string{"sessions$"}, true, "cookies are made and read in one place"},
	{"", "github.com/coreos/go-oidc", []string{"flows/provider$"}, true, "one validator of tokens"},
	{"", "golang.org/x/oauth2", []string{"flows/provider$"}, true, "one client of the token endpoint"},
	{"", "github.com/go-jose", []string{"flows/provider$", "internal/signing$", "demo/idp$"}, false, "one validator of tokens; what is signed for upstreams is made in one place, and the demo provider signs its own and shares no code with either"},
	{"", "cel.dev/cel-go", []string{"proxy/policy$"}, true, "one place where expressions are compiled and bounded"},
	{"", "github.com/pelletier/go-toml", []string{"internal/config$"}, true, "one reader of the configuration"},
	{"", "github.com/spf13/cobra", []string{"cmd/doorward$"}, true, "commands live in cmd"},
	{"", "github.com/prometheus", []string{"internal/telemetry$"}, false, "one place where metrics are made, so that one place bounds their labels (P060)"},
	{"", "encoding/gob", nil, true, "gob is slow, and decoding foreign bytes with it is dangerous"},
	{"", "math/rand", []string{"demo", "flows/provider$", "flows/credential$", "sessions$", "bench", "internal/telemetry$"}, false, "secrets come from crypto/rand; the exceptions draw jitter only"},
	{"", "net/http/pprof", nil, true, "registers itself on the default mux"},

	// The wings.
	{"sessions/store", "sessions$", nil, true, "stores know bytes, not sessions"},
	{"sessions/store", "internal/identity", nil, true, "stores know bytes, not people"},
	{"sessions/store", "flows", nil, true, "stores know nothing above them"},
	{"sessions/store", "proxy", nil, true, "stores know nothing above them"},
	{"sessions", "flows", nil, true, "a session knows no provider: the refresher is injected"},
	{"sessions", "proxy", nil, true, "sessions serve the proxy through an interface that the proxy declares"},
	{"sessions", "internal/pages", nil, true, "sessions return errors; others show them"},
	{"flows/provider", "flows$", nil, true, "the client of a provider serves flows, not the other way round"},
	{"flows/provider", "sessions$", nil, true, "the client of a provider keeps no sessions"},
	{"flows/provider", "internal/pages", nil, true, "the client of a provider answers no browser"},
	{"flows/provider", "proxy", nil, true, "no arrow between the wings"},
	{"flows", "proxy", nil, true, "no arrow between the wings"},
	{"proxy/policy", "flows", nil, true, "policy judges identities, however they were proved"},
	{"proxy/policy", "sessions", nil, true, "policy judges identities, wherever they are kept"},
	{"proxy/policy", "internal/pages", nil, true, "policy says yes or no; others show it"},
	{"proxy/policy", "net/http", nil, false, "policy takes no raw request (S1)"},
	{"proxy", "flows", nil, false, "no arrow between the wings: the proxy declares what it consumes"},
	{"proxy", "sessions", nil, false, "no arrow between the wings: the proxy declares what it consumes"},
	{"edge", "flows", nil, true, "listeners carry bytes"},
	{"edge", "proxy", nil, true, "listeners carry bytes"},
	{"edge", "sessions$", nil, true, "listeners carry bytes"},

	// What may be imported by whom.
	{"", "internal/config", []string{"cmd", "internal/config"}, true, "only cmd sees the whole configuration; each package has a Config of its own"},
	{"", "cmd", []string{"cmd"}, true, "cmd is the top"},
	{"", "demo/sequence", []string{"cmd", "demo"}, false, "production records no messages"},
	{"", "demo", []string{"cmd", "demo", "bench"}, false, "the demo's provider is no part of the product"},
	{"internal", "flows", []string{"internal/config"}, false, "what all share knows none of them; config composes their Configs"},
	{"internal", "sessions", []string{"internal/config"}, false, "what all share knows none of them; config composes their Configs"},
	{"internal", "proxy", []string{"internal/config"}, false, "what all share knows none of them; config composes their Configs"},
	{"internal/identity", "net/http", nil, true, "the noun that travels knows no HTTP"},
	{"demo/idp", "flows", nil, true, "the demo provider must not share the client's misunderstandings"},
	{"demo/idp", "sessions", nil, true, "the demo provider must not share the client's misunderstandings"},
}

func TestImportsKeepTheirDirections(t *testing.T) {
	seen := 0
	for _, i := range imports(t) {
		seen++
		for _, r := range rules {
			if i.test && !r.tests || !covers(r.from, i.from) || !covers(r.to, i.to) || excepted(r, i.from) {
				continue
			}
			t.Errorf("%s imports %s: %s", i.file, i.to, r.why)
		}
	}
	if seen < 100 {
		t.Fatalf("only %d imports were looked at: the walk is broken", seen)
	}
}

func TestEveryRuleNamesSomethingThatExists(t *testing.T) {
	packages := make(map[string]bool)
	targets := make(map[string]bool)
	for _, i := range imports(t) {
		packages[i.from], targets[i.to], targets[i.from] = true, true, true
	}
	some := func(in map[string]bool, pattern string) bool {
		for p := range in {
			if covers(pattern, p) {
				return true
			}
		}
		return false
	}
	for _, r := range rules {
		for _, p := range append([]string{r.from}, r.except...) {
			if !some(packages, p) {
				t.Errorf("a rule speaks of %q, which is no package", p)
			}
		}
		if strings.Contains(r.to, "github.com") && !some(targets, r.to) {
			t.Errorf("a rule speaks of %q, which nobody imports", r.to)
		}
	}
}

func excepted(r rule, from string) bool {
	for _, e := range r.except {
		if covers(e, from) {
			return true
		}
	}
	return false
}

func covers(pattern, p string) bool {
	if exact, ok := strings.CutSuffix(pattern, "$"); ok {
		return p == exact
	}
	return pattern == "" || p == pattern || strings.HasPrefix(p, pattern+"/")
}

type imported struct {
	file, from, to string
	test           bool
}

// imports lists what every package of this module imports.
func imports(t *testing.T) (all []imported) {
	t.Helper()
	root := filepath.Join("..", "..")
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(root, name)
		rel = filepath.ToSlash(rel)
		if d.IsDir() {
			if b := d.Name(); rel == "e2e" || b == "testdata" || b == "node_modules" || rel != "." && strings.HasPrefix(b, ".") {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(name, ".go") {
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		for _, s := range f.Imports {
			to, err := strconv.Unquote(s.Path.Value)
			if err != nil {
				return err
			}
			all = append(all, imported{rel, path.Dir(rel), strings.TrimPrefix(to, module+"/"), strings.HasSuffix(name, "_test.go")})
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}
