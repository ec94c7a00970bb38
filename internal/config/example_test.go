package config

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const examplePath = "../../config.example.toml"

// commented is a line of the example with a key that is switched off.
var commented = regexp.MustCompile(`^# ([a-z_]+ *= |\[|\]|  \{)`)

func example(t *testing.T) []string {
	t.Helper()
	text, err := os.ReadFile(examplePath)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(string(text), "\n")
}

func TestTheExampleLoads(t *testing.T) {
	if _, err := Load(Options{Path: examplePath, Environ: []string{"CORP_SECRET=a-secret-that-nobody-knows"}}); err != nil {
		t.Fatal(err)
	}
}

func TestTheExampleHoldsEveryKeyAndNoOther(t *testing.T) {
	var all []string
	for _, line := range example(t) {
		if commented.MatchString(line) {
			line = line[2:]
		}
		all = append(all, line)
	}
	root, err := parse(newFile("example", []byte(strings.Join(all, "\n"))))
	if err != nil {
		t.Fatal(err)
	}
	found := make(map[string]bool)
	keysOf("", schema(), root, found)
	var want []string
	for leaf, s := range allLeaves("", schema()) {
		if s.form != later {
			want = append(want, leaf)
		}
	}
	slices.Sort(want)
	for _, key := range want {
		if !found[key] {
			t.Errorf("%s is not in the example", key)
		}
		delete(found, key)
	}
	for key := range found {
		t.Errorf("%s is in the example, and does not exist", key)
	}
	if len(want) < 50 {
		t.Errorf("only %d keys: the search is broken", len(want))
	}
}

// keysOf collects the keys of a tree, with * for names.
func keysOf(path string, s *spec, n *node, found map[string]bool) {
	for _, k := range n.keys {
		v, below := n.fields[k].value, join(path, k)
		sub := s.keys[k]
		switch {
		case sub == nil:
			found[below] = true
		case sub.form == tables:
			keysOf(below, sub, v, found)
		case sub.form == namedTables:
			for _, name := range v.keys {
				keysOf(below+".*", &spec{keys: sub.keys}, v.value(name), found)
			}
		case sub.form == rows:
			for _, row := range v.items {
				keysOf(below+".*", &spec{keys: sub.keys}, row, found)
			}
		default:
			found[below] = true
		}
	}
}

func allLeaves(path string, s *spec) map[string]*spec {
	all := make(map[string]*spec)
	for k, sub := range s.keys {
		below := join(path, k)
		switch sub.form {
		case tables:
			for p, leaf := range allLeaves(below, sub) {
				all[p] = leaf
			}
		case namedTables, rows:
			for p, leaf := range allLeaves(below+".*", sub) {
				all[p] = leaf
			}
		default:
			all[below] = sub
		}
	}
	return all
}

// Lines that say "= this" are defaults: switching them on changes nothing.
func TestTheExampleTellsTheDefaultsAsTheyAre(t *testing.T) {
	env := []string{"CORP_SECRET=a-secret-that-nobody-knows"}
	var asIs, on []string
	defaults := 0
	for _, line := range example(t) {
		asIs = append(asIs, line)
		if commented.MatchString(line) && strings.Contains(line, "# = this") {
			line = line[2:]
			defaults++
		}
		on = append(on, line)
	}
	if defaults < 25 {
		t.Fatalf("only %d defaults: the search is broken", defaults)
	}
	a := given{toml: strings.Join(asIs, "\n"), env: env}.mustLoad(t)
	b := given{toml: strings.Join(on, "\n"), env: env}.mustLoad(t)
	for name, of := range map[string]func(*Config) any{
		"state_dir": func(c *Config) any { return c.StateDir },
		"listen":    func(c *Config) any { return c.Listen },
		"stores":    func(c *Config) any { return []string{c.Store, c.Shared} },
		"sessions":  func(c *Config) any { return c.Sessions() },
		"providers": func(c *Config) any { return c.Providers() },
		"flows":     func(c *Config) any { return c.Flows() },
		"routes":    func(c *Config) any { return c.Proxy().Routes },
		"log":       func(c *Config) any { return c.Log },
		"warnings":  func(c *Config) any { return c.Warnings() },
	} {
		if x, y := printedValue(of(a)), printedValue(of(b)); x != y {
			t.Errorf("%s is\n%s\nand with what the example calls defaults\n%s", name, x, y)
		}
	}
}

// printedValue is a value as it can be compared: addresses of secrets and URLs differ.
func printedValue(v any) string { return addresses.ReplaceAllString(fmt.Sprintf("%+v", v), "0x") }

var addresses = regexp.MustCompile(`0x[0-9a-f]+`)
