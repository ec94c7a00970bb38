package attacks

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// found is a test that has the number of an attack in its name, or in that of a subtest.
type found struct {
	dir, name string
	over      spoken
}

func (f found) absent() bool { return strings.HasPrefix(f.name, "TestAbsent") }

// number matches P001.
var number = regexp.MustCompile(`P[0-9]{3}`)

// curves are no attacks.
var curves = []string{"P224", "P256", "P384", "P521"}

// testsByNumber reads every test of the tree. A number counts in the name of a test and in the texts in it that begin with
// it, which are what subtests are called; one in the midst of a text or in a comment is a remark.
func testsByNumber(t *testing.T) map[string][]found {
	t.Helper()
	all := make(map[string][]found)
	sources := make(map[string]*source)
	files := 0
	err := filepath.WalkDir(filepath.FromSlash(root), func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == "testdata" || d.Name() == "node_modules" || strings.HasPrefix(d.Name(), ".") && len(d.Name()) > 2) {
			return filepath.SkipDir
		}
		if strings.HasSuffix(path, "_test.go") {
			files++
			return scan(path, all, sources)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if files < 100 {
		t.Fatalf("only %d files of tests were read: the walk is broken", files)
	}
	for _, by := range all {
		for i := range by {
			by[i].over = sources[by[i].dir].of(by[i].name)
		}
		slices.SortFunc(by, func(a, b found) int { return strings.Compare(a.dir+a.name, b.dir+b.name) })
	}
	return all
}

func scan(path string, all map[string][]found, sources map[string]*source) error {
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
	if err != nil {
		return err
	}
	dir, err := filepath.Rel(filepath.FromSlash(root), filepath.Dir(path))
	if err != nil {
		return err
	}
	dir = filepath.ToSlash(dir)
	if sources[dir] == nil {
		sources[dir] = newSource()
	}
	for _, decl := range file.Decls {
		f, ok := decl.(*ast.FuncDecl)
		if !ok || f.Body == nil {
			continue
		}
		sources[dir].add(f)
		if f.Recv != nil || !isTest(f.Name.Name) {
			continue
		}
		test := found{dir: dir, name: f.Name.Name}
		note := func(text string) {
			for _, n := range number.FindAllString(text, -1) {
				if !slices.Contains(curves, n) && !slices.Contains(all[n], test) {
					all[n] = append(all[n], test)
				}
			}
		}
		note(f.Name.Name)
		ast.Inspect(f.Body, func(n ast.Node) bool {
			if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING {
				if text, err := strconv.Unquote(lit.Value); err == nil && number.MatchString(text[:min(4, len(text))]) {
					note(text)
				}
			}
			return true
		})
	}
	return nil
}

func isTest(name string) bool {
	return strings.HasPrefix(name, "Test") || strings.HasPrefix(name, "Fuzz")
}
