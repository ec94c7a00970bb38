package config

import (
	"maps"
	"slices"
	"strings"
)

const envPrefix = "DOORWARD_"

// fromEnvironment lays the DOORWARD_… variables over the tree. One that names no key warns and is
// ignored: whoever sets the environment is not always who runs Doorward.
func (l *loader) fromEnvironment(root *node) {
	for _, name := range slices.Sorted(maps.Keys(l.environ)) {
		rest, ok := strings.CutPrefix(name, envPrefix)
		if !ok || rest == "CONFIG" {
			continue
		}
		at := place{src: &source{name: "environment variable " + name}}
		path, s := l.find(rest, l.schema, root)
		switch {
		case s != nil && s.form != later:
			l.put(root, l.schema, path, s, l.environ[name], at)
		case injected(rest):
		case s != nil:
			l.notYet(strings.Join(path, "."), at, s.note)
		default:
			hint := l.tableHint(rest, root)
			if hint == "" {
				hint = didYouMean(name, l.variables(root))
			}
			l.warn("the environment variable %s names no key and is ignored%s", name, hint)
		}
	}
}

// injected recognises what Kubernetes sets for a service that is called doorward, or doorward-x.
func injected(rest string) bool {
	rest = "_" + rest + "_"
	return strings.Contains(rest, "_SERVICE_") || strings.Contains(rest, "_PORT_")
}

// variable is how a key or name is written in the environment.
func variable(key string) string { return strings.ToUpper(strings.ReplaceAll(key, "-", "_")) }

// find returns the path of the key that a variable names, and its spec, or nil. "_" stands between
// keys as well as within them, so the longest that fits is taken: keys from the schema, names of
// providers, logins and routes from the tree.
func (l *loader) find(rest string, s *spec, n *node) (path []string, found *spec) {
	switch {
	case s.form == tables:
		for _, key := range byLength(slices.Collect(maps.Keys(s.keys))) {
			sub := s.keys[key]
			below, ok := strings.CutPrefix(rest, variable(key)+"_")
			if rest == variable(key) && sub.form != tables && !sub.byName() || ok && sub.form == later {
				return []string{key}, sub
			}
			if !ok {
				continue
			}
			if path, found = l.find(below, sub, n.value(key)); found != nil {
				return append([]string{key}, path...), found
			}
		}
	case s.byName():
		for _, name := range byLength(n.entries()) {
			if below, ok := strings.CutPrefix(rest, variable(name)+"_"); ok {
				if path, found = l.find(below, &spec{form: tables, keys: s.keys}, n.entry(name)); found != nil {
					return append([]string{name}, path...), found
				}
			}
		}
		// Names that the file does not have are taken only if it has none at all: a mistyped one
		// must not make another route.
		if !n.written() {
			return l.invent(rest, s)
		}
	}
	return nil, nil
}

// tableHint says of a variable that names a table how the keys of that are set: one by one, as with --set.
func (l *loader) tableHint(rest string, root *node) string {
	path, keys := findTable(rest, l.schema, root)
	if path == nil {
		return ""
	}
	inner := &spec{form: tables, keys: keys}
	plain := slices.DeleteFunc(inner.known(), func(key string) bool { return keys[key].form == tables || keys[key].byName() })
	example := ""
	if len(plain) > 0 {
		example = ", as in " + envPrefix + rest + "_" + variable(plain[0])
	}
	return "; " + strings.Join(path, ".") + " is a table: its keys are set one by one" + example
}

// findTable is find for tables: it returns the path of the one that a variable names, and its keys.
func findTable(rest string, s *spec, n *node) (path []string, keys map[string]*spec) {
	below := make(map[string]*spec) // by name
	switch {
	case s.form == tables:
		below = s.keys
	case s.byName():
		for _, name := range n.entries() {
			below[name] = &spec{form: tables, keys: s.keys}
		}
	}
	for _, key := range byLength(slices.Collect(maps.Keys(below))) {
		sub := below[key]
		if rest == variable(key) && sub.form == tables {
			return []string{key}, sub.keys
		}
		inner, ok := strings.CutPrefix(rest, variable(key)+"_")
		if !ok {
			continue
		}
		v := n.value(key)
		if s.byName() {
			v = n.entry(key)
		}
		if path, keys = findTable(inner, sub, v); path != nil {
			return append([]string{key}, path...), keys
		}
	}
	return nil, nil
}

// invent takes the name of a provider, login or route from the variable itself.
func (l *loader) invent(rest string, s *spec) (path []string, found *spec) {
	leaves := s.leaves("")
	for _, leaf := range byLength(slices.Collect(maps.Keys(leaves))) {
		name, ok := strings.CutSuffix(rest, "_"+variable(strings.ReplaceAll(leaf, ".", "_")))
		name = strings.ToLower(strings.ReplaceAll(name, "_", "-"))
		if ok && validName(name) {
			return append([]string{name}, strings.Split(leaf, ".")...), leaves[leaf]
		}
	}
	return nil, nil
}

// leaves lists the keys below s that a variable can name, by path.
func (s *spec) leaves(path string) map[string]*spec {
	all := make(map[string]*spec)
	for key, sub := range s.keys {
		if sub.form == tables {
			maps.Copy(all, sub.leaves(join(path, key)))
		} else {
			all[join(path, key)] = sub
		}
	}
	return all
}

// variables lists all that would be known, for "did you mean".
func (l *loader) variables(root *node) (all []string) {
	add := func(prefix string, s *spec) {
		for leaf, sub := range s.leaves("") {
			if sub.form != later && !sub.byName() {
				all = append(all, prefix+variable(strings.ReplaceAll(leaf, ".", "_")))
			}
		}
	}
	add(envPrefix, l.schema)
	for key, sub := range l.schema.keys {
		if sub.byName() {
			for _, name := range root.value(key).entries() {
				add(envPrefix+variable(key)+"_"+variable(name)+"_", sub)
			}
		}
	}
	return append(all, envPrefix+"CONFIG")
}

// byLength sorts the longest first.
func byLength(list []string) []string {
	slices.SortFunc(list, func(a, b string) int {
		if len(a) != len(b) {
			return len(b) - len(a)
		}
		return strings.Compare(a, b)
	})
	return list
}

// entries lists the names in a table of named tables, or of rows that have a name.
func (n *node) entries() (names []string) {
	if n == nil {
		return nil
	}
	if n.kind == isTable {
		return slices.Clone(n.keys)
	}
	for _, row := range n.items {
		if name := row.value("name"); name != nil {
			names = append(names, name.text)
		}
	}
	return names
}

// entry returns what entries lists by its name, or nil.
func (n *node) entry(name string) *node {
	if n == nil {
		return nil
	}
	if n.kind == isTable {
		return n.value(name)
	}
	for _, row := range n.items {
		if v := row.value("name"); v != nil && v.text == name {
			return row
		}
	}
	return nil
}

// written reports whether a file says something of n.
func (n *node) written() bool { return n != nil && n.at.line > 0 }
