package attacks

import (
	"bytes"
	_ "embed"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write docs/attacks-covered.md")

//go:embed catalogue.tsv
var catalogue string

const (
	root  = "../.."
	table = root + "/docs/attacks-covered.md"
	names = 4 // tests that a line of the table names; the others are counted
)

// attack is a line of the catalogue.
type attack struct{ number, severity, group, title string }

func attacks(t *testing.T) (all []attack) {
	t.Helper()
	for line := range strings.Lines(catalogue) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		f := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		if len(f) != 4 {
			t.Fatalf("catalogue.tsv: %q has %d fields, not 4", line, len(f))
		}
		all = append(all, attack{f[0], f[1], f[2], f[3]})
	}
	if len(all) < 200 {
		t.Fatalf("the catalogue has %d attacks: it is not whole", len(all))
	}
	return all
}

func TestEveryAttackIsATestOrAFeatureThatIsAbsent(t *testing.T) {
	tests := testsByNumber(t)
	known := make(map[string]bool)
	for _, a := range attacks(t) {
		known[a.number] = true
		if len(tests[a.number]) == 0 {
			t.Errorf("%s (%s): no test has this number in its name", a.number, a.title)
		}
	}
	for number, by := range tests {
		if !known[number] {
			t.Errorf("%s stands in the name of %s, and not in the catalogue", number, by[0].name)
		}
	}
}

func TestTheTableOfAttacksIsCurrent(t *testing.T) {
	want := render(attacks(t), testsByNumber(t))
	if *update {
		if err := os.WriteFile(filepath.FromSlash(table), want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(filepath.FromSlash(table))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Error("docs/attacks-covered.md is not what the tests say: go test ./internal/attacks -update")
	}
}

func render(all []attack, tests map[string][]found) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "# Attacks, and the tests that try them\n\n<!-- Made by go test ./internal/attacks -update; do not edit. -->\n\n"+
		"Each line is an attack that has worked on a gateway, an identity provider or one of their libraries, or is known as a\n"+
		"technique. The tests have its number in their names: `go test ./... -run P154` finds those of a whole test, `grep -r P154` all of\n"+
		"them. Where what is attacked is not part of Doorward yet, a test shows that it is absent.\n\n"+
		"*over* says by which versions of HTTP these tests speak to Doorward: h1 is HTTP/1.1, h2 is HTTP/2. Where Doorward itself is\n"+
		"the client (it asks the provider, or an upstream), or a part of it is called directly, there is no connection to it. What a\n"+
		"client may send is tried by both; where a row has a meaning in one of them only, it says why.\n")
	absent := 0
	group := ""
	for _, a := range all {
		if a.group != group {
			group = a.group
			fmt.Fprintf(&b, "\n## %s\n\n| # | severity | attack | over | tests |\n|---|---|---|---|---|\n", group)
		}
		cell, gone := cell(tests[a.number])
		if gone {
			absent++
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", a.number, a.severity, a.title, over(a, tests[a.number]), cell)
	}
	fmt.Fprintf(&b, "\n%d attacks: %d on what Doorward has, %d on what it does not have.\n", len(all), len(all)-absent, absent)
	return b.Bytes()
}

// cell names the first tests, and counts the others.
func cell(by []found) (text string, absent bool) {
	var parts []string
	absent = len(by) > 0
	for _, f := range by {
		absent = absent && f.absent()
	}
	for i, f := range by {
		if i == names {
			parts = append(parts, fmt.Sprintf("and %d more", len(by)-names))
			break
		}
		parts = append(parts, fmt.Sprintf("`%s` %s", f.dir, f.name))
	}
	text = strings.Join(parts, "<br>")
	if absent {
		text = "absent: " + text
	}
	return text, absent
}
