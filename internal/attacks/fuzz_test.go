package attacks

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
)

// targets are what reads the network or a file on the way of a request, and the fuzz target that each of them has.
var targets = map[string][]string{
	"the canonical form: what is judged is forwarded": {"proxy FuzzCanonical", "proxy FuzzParsePath", "proxy FuzzSlashedRequest", "proxy FuzzRewrite", "proxy FuzzParameter"},
	"header hygiene":    {"proxy FuzzHygiene", "proxy FuzzTemplate", "proxy FuzzEncoding"},
	"what is written":   {"proxy/wire FuzzRequest", "proxy/wire FuzzAnswer"},
	"redirect targets":  {"flows FuzzTarget", "proxy FuzzRedirectTarget", "internal/pages FuzzLink"},
	"cookies":           {"sessions FuzzCookieHeader", "sessions FuzzJoin", "proxy FuzzStripCookies", "internal/seal FuzzOpen"},
	"forwarded headers": {"proxy FuzzForwardedFor", "proxy FuzzForwardAuth", "proxy FuzzForwardedCertificate"},
	"tokens":            {"flows/provider FuzzParseJWT", "flows/bearer FuzzCheck", "flows/personal FuzzParseToken", "internal/credentials FuzzBasic", "proxy FuzzTokenInQuery"},
	"the configuration": {"internal/config FuzzLoad", "internal/config FuzzEmailList"},
	"callbacks":         {"flows FuzzCallback", "flows FuzzCallbackQuery", "flows FuzzSealedInput", "flows FuzzAuthenticState"},
}

// TestEveryParserThatMeetsTheNetworkIsFuzzedFromCommittedSeeds: seeds stand in the code, by f.Add, so that each run of the
// tests tries them.
func TestEveryParserThatMeetsTheNetworkIsFuzzedFromCommittedSeeds(t *testing.T) {
	seeded := map[string]bool{}
	err := filepath.WalkDir(filepath.FromSlash(root), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			return err
		}
		dir, err := filepath.Rel(filepath.FromSlash(root), filepath.Dir(path))
		for _, decl := range file.Decls {
			if f, ok := decl.(*ast.FuncDecl); ok && f.Recv == nil && f.Body != nil && strings.HasPrefix(f.Name.Name, "Fuzz") {
				seeded[filepath.ToSlash(dir)+" "+f.Name.Name] = addsSeeds(f.Body)
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, has := range seeded {
		if !has {
			t.Errorf("%s has no seeds", name)
		}
	}
	for what, all := range targets {
		for _, name := range all {
			if !seeded[name] {
				t.Errorf("%s: there is no %s with seeds", what, name)
			}
		}
	}
}

func addsSeeds(body *ast.BlockStmt) (found bool) {
	ast.Inspect(body, func(n ast.Node) bool {
		sel, ok := n.(*ast.SelectorExpr)
		found = found || ok && tail(sel) == "f.Add"
		return true
	})
	return found
}
