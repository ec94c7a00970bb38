package config

import (
	"slices"
	"strconv"
	"strings"
)

// fromFlags lays --set key=value over the tree. Here a key that does not exist is an error.
func (l *loader) fromFlags(root *node, set []string) {
	for _, assignment := range set {
		key, value, ok := strings.Cut(assignment, "=")
		key = strings.TrimSpace(key)
		at := place{src: &source{name: "--set " + key}}
		if !ok || key == "" {
			at.src.name = "--set"
			l.report(at, aSecret, "key=value is wanted, as in --set listen.http=127.0.0.1:8080")
			continue
		}
		path := strings.Split(key, ".")
		s, hint := l.locate(path, root)
		switch {
		case s == nil:
			l.report(at, aSecret, "there is no such key%s", hint)
		case s.form == later:
			l.notYet(key, at, s.note)
		default:
			if (s.form == secretText || s.form == secretList) && !wholeReference.MatchString(value) {
				l.warn("--set %s: whoever lists the processes of this machine sees it; use the environment, or a reference such as ${file:…}", key)
			}
			if s.form == text && len(path) > 1 { // in a table with free keys
				path = l.free(path)
			}
			l.put(root, l.schema, path, s, value, at)
		}
	}
}

// locate returns the spec of a path, or what may have been meant.
func (l *loader) locate(path []string, root *node) (s *spec, hint string) {
	s, n := l.schema, root
	for i := 0; i < len(path); i++ {
		switch {
		case s.form == tables:
			sub := s.keys[path[i]]
			if sub == nil {
				return nil, didYouMean(path[i], s.known())
			}
			s, n = sub, n.value(path[i])
			if sub.form == later {
				return s, ""
			}
		case s.byName():
			if entry := n.entry(path[i]); entry == nil && n.written() {
				return nil, "; the names are " + names(n.entries()) + didYouMean(path[i], n.entries())
			} else if entry == nil && !validName(path[i]) {
				return nil, "; a name is made of small letters, digits and -, and begins with a letter"
			} else {
				n = entry
			}
			s = &spec{form: tables, keys: s.keys}
		case s.form == texts || s.form == params:
			return &spec{form: text}, ""
		default:
			return nil, "; there is nothing below " + strings.Join(path[:i], ".")
		}
	}
	if s.form == tables || s.byName() {
		return nil, "; " + strings.Join(path, ".") + " is a table, name a key below it"
	}
	return s, ""
}

// free joins the rest of a path that leads into a table with free keys: headers and claims may
// have dots in their names.
func (l *loader) free(path []string) []string {
	s := l.schema
	for i, key := range path {
		switch s.form {
		case tables:
			s = s.keys[key]
		case namedTables, rows:
			s = &spec{form: tables, keys: s.keys}
		default:
			return append(slices.Clone(path[:i]), strings.Join(path[i:], "."))
		}
	}
	return path
}

// put writes a value at a path that exists in the schema, and makes the tables on the way.
func (l *loader) put(root *node, s *spec, path []string, leaf *spec, value string, at place) {
	n := root
	for _, key := range path[:len(path)-1] {
		switch s.form {
		case rows:
			row := n.entry(key)
			if row == nil {
				row = newTable(at)
				row.set("name", at, &node{kind: isText, text: key, at: at})
				n.items = append(n.items, row)
			}
			n, s = row, &spec{form: tables, keys: s.keys}
			continue
		case namedTables:
			s = &spec{form: tables, keys: s.keys}
		default:
			s = s.keys[key]
		}
		f := n.fields[key]
		if f == nil {
			v := newTable(at)
			if s.form == rows {
				v = &node{kind: isList, at: at}
			}
			n.set(key, at, v)
			f = n.fields[key]
		}
		if want := isTable; f.value.kind != want && s.form != rows || s.form == rows && f.value.kind != isList {
			return // the file has something else there, which conform reports
		}
		n = f.value
	}
	v, err := leaf.read(value, at)
	if err != nil {
		l.report(at, aSecret, "%s: this is neither TOML nor a list with commas", strings.Join(path, "."))
		v = &node{bad: true, at: at}
	}
	n.set(path[len(path)-1], at, v)
}

// read makes a value of what stands in a variable or behind --set: TOML where TOML needs
// brackets, commas between the texts of a list, and everything else as it is.
func (s *spec) read(value string, at place) (*node, error) {
	trimmed := strings.TrimSpace(value)
	switch s.form {
	case boolean:
		if trimmed == "true" || trimmed == "false" {
			return &node{kind: isBoolean, text: trimmed, at: at}, nil
		}
	case number:
		if _, err := strconv.ParseInt(trimmed, 10, 64); err == nil {
			return &node{kind: isNumber, text: trimmed, at: at}, nil
		}
	case list, secretList:
		if strings.HasPrefix(trimmed, "[") {
			return parseValue(trimmed, at)
		}
		n := &node{kind: isList, at: at}
		for item := range strings.SplitSeq(value, ",") {
			if item = strings.TrimSpace(item); item != "" {
				n.items = append(n.items, &node{kind: isText, text: item, at: at})
			}
		}
		return n, nil
	case numbers:
		if !strings.HasPrefix(trimmed, "[") {
			trimmed = "[" + trimmed + "]"
		}
		return parseValue(trimmed, at)
	case texts, lists, params, rows:
		return parseValue(trimmed, at)
	}
	return &node{kind: isText, text: value, at: at}, nil
}
