package config

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// form is what the value of a key has to look like.
type form int

const (
	text        form = iota
	secretText       // a text that is never repeated
	word             // one of spec.words
	boolean          // true or false
	number           // a whole one
	numbers          // a list of them
	list             // of texts
	secretList       // of texts that are never repeated
	texts            // a table of texts, its keys are free
	lists            // a table of lists of texts, its keys are free
	params           // a table of texts or lists of texts, its keys are free
	tables           // a table with the keys of spec.keys
	namedTables      // tables with names, each with the keys of spec.keys
	rows             // a list of tables, each with the keys of spec.keys
	later            // in the contract, but not built yet
)

// spec describes a key. All specs together are the one list of keys: for unknown keys, for
// the environment, for --set, and for config.example.toml.
type spec struct {
	form  form
	words []string         // of a word
	soon  []string         // words that the contract promises: not built yet
	keys  map[string]*spec // of tables
	note  string           // what to do without a key that is not built yet
}

// schema is the whole configuration.
func schema() *spec {
	return &spec{form: tables, keys: map[string]*spec{
		"state_dir":  {form: text},
		"listen":     listenKeys(),
		"sessions":   sessionsKeys(),
		"provider":   providerKeys(),
		"login":      loginKeys(),
		"route":      routeKeys(),
		"telemetry":  telemetryKeys(),
		"tls":        {form: later, note: "let a load balancer or web server terminate TLS in front of Doorward"},
		"credential": credentialKeys(),
		"egress":     egressKeys(),
		"users":      usersKeys(),
		"key":        keyKeys(),
		"tokens":     tokensKeys(),
	}}
}

// known lists the keys that exist.
func (s *spec) known() (known []string) {
	for k, sub := range s.keys {
		if sub.form != later {
			known = append(known, k)
		}
	}
	slices.Sort(known)
	return known
}

// byName tells whether s holds tables that have names: the environment and --set speak of such a
// table by its name.
func (s *spec) byName() bool { return s.form == namedTables || s.form == rows && s.keys["name"] != nil }

// join makes the path of a key.
func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

// conform holds a value against its spec. What does not fit is reported and marked bad.
func (l *loader) conform(path string, s *spec, n *node) {
	if n.bad {
		return // reported already
	}
	switch s.form {
	case later:
		l.notYet(path, n.at, s.note)
		n.bad = true
	case boolean:
		l.want(path, n, isBoolean, "true or false")
	case number:
		l.want(path, n, isNumber, "a number")
	case text, secretText, word:
		l.conformText(path, s, n)
	case numbers:
		l.conformNumbers(path, n)
	case list, secretList:
		l.conformList(path, s, n)
	case texts, lists, params:
		l.conformFree(path, s, n)
	case tables:
		l.conformTable(path, s, n)
	case namedTables:
		l.conformNamed(path, s, n)
	case rows:
		l.conformRows(path, s, n)
	}
}

func (l *loader) want(path string, n *node, k kind, what string) bool {
	if n.kind == k {
		return true
	}
	n.bad = true
	l.report(n.at, aSecret, "%s: %s is wanted here, and this is %s", path, what, n.kind)
	return false
}

func (l *loader) notYet(path string, at place, note string) {
	if note != "" {
		note = ": " + note
	}
	l.report(at, aKey, "%s: this version of Doorward does not have it yet%s", path, note)
}

func (l *loader) conformText(path string, s *spec, n *node) {
	what := "a text in quotes"
	if isDuration(path) {
		what = `a duration in quotes with its unit, such as "8h",`
	}
	n.secret = s.form == secretText || s.form == secretList
	if !l.want(path, n, isText, what) || !l.expand(path, n, n.secret) {
		return
	}
	if n.secret && n.raw == "" && n.at.line > 0 && l.readable {
		l.warn("%s stands in the configuration itself, which every user of this machine can read; move it out by ${file:…} or ${env:…}, or take that away: chmod o-r %s", path, n.at.src.name)
	}
	if s.form != word || slices.Contains(s.words, n.text) {
		return
	}
	n.bad = true
	for _, w := range s.soon {
		if n.text == w || strings.HasSuffix(w, "://") && strings.HasPrefix(n.text, w) {
			l.report(n.at, aValue, "%s: %q: this version of Doorward does not have it yet; there is %s", path, strings.TrimSuffix(w, "://"), names(s.words))
			return
		}
	}
	l.report(n.at, aValue, "%s: %s is none of %s%s", path, n.shown(), names(s.words), didYouMean(n.text, s.words))
}

// isDuration tells keys whose text is a duration, so that whoever leaves the quotes out learns why.
func isDuration(path string) bool {
	key := path[strings.LastIndexByte(path, '.')+1:]
	if strings.Contains(path, ".timeouts.") || strings.HasSuffix(path, ".health.interval") || strings.HasSuffix(path, ".eject.for") {
		return true
	}
	if key == "expires" {
		return strings.Contains(path, ".approve.")
	}
	if strings.HasSuffix(path, ".decision.cache") {
		return true
	}
	return slices.Contains([]string{"idle", "lifetime", "clock_skew", "requested_expiry", "timeout", "max_lifetime", "retry_after"}, key)
}

func (l *loader) conformList(path string, s *spec, n *node) {
	if n.kind == isText && s.form == list {
		n.bad = true
		l.report(n.at, aValue, "%s: a list is wanted here: [%s]", path, n.shown())
		return
	}
	if !l.want(path, n, isList, "a list") {
		return
	}
	for i, item := range n.items {
		l.conformText(fmt.Sprintf("%s[%d]", path, i), s, item)
		n.bad = n.bad || item.bad
	}
}

func (l *loader) conformNumbers(path string, n *node) {
	if !l.want(path, n, isList, "a list of whole numbers, as in [3, 1],") {
		return
	}
	for i, item := range n.items {
		l.want(fmt.Sprintf("%s[%d]", path, i), item, isNumber, "a whole number")
		n.bad = n.bad || item.bad
	}
}

func (l *loader) conformFree(path string, s *spec, n *node) {
	if !l.want(path, n, isTable, "a table") {
		return
	}
	for _, k := range n.keys {
		v, below := n.fields[k].value, join(path, k)
		switch {
		case s.form == lists || s.form == params && v.kind == isList:
			l.conformList(below, &spec{form: list}, v)
		default:
			l.conformText(below, &spec{form: text}, v)
		}
		n.bad = n.bad || v.bad && s.form != texts // half a condition would be another one
	}
}

func (l *loader) conformTable(path string, s *spec, n *node) {
	if !l.want(path, n, isTable, "a table") {
		return
	}
	for _, k := range n.keys {
		f := n.fields[k]
		if sub := s.keys[k]; sub == nil {
			f.value.bad = true
			l.unknownKey(path, k, s, f.at)
		} else if sub.form == later {
			f.value.bad = true
			l.notYet(join(path, k), f.at, sub.note)
		} else {
			l.conform(join(path, k), sub, f.value)
		}
	}
}

func (l *loader) unknownKey(path, key string, s *spec, at place) {
	if len(l.problems) >= maxProblems {
		return // the search below takes its time
	}
	hint := didYouMean(key, s.known())
	if strings.Contains(key, "skip_verify") || strings.Contains(key, "skip-verify") { // P200
		hint = "; certificates are always verified: name the authority in ca_file, and server_name if the certificate has another name"
	}
	if meant := s.calledHere(key); meant != "" {
		hint = "; here it is " + meant
	}
	if allow := s.keys["allow"]; hint == "" && allow != nil && allow.keys[key] != nil {
		hint = "; it belongs into allow, as in allow = [{ " + key + " = [\"…\"] }]"
	}
	if hint == "" {
		if others := l.schema.tablesWith("", key); len(others) == 1 || len(others) == 2 {
			hint = "; there is one in " + strings.Join(others, " and in ")
		}
	}
	l.report(at, aKey, "%s: there is no such key%s", join(path, key), hint)
}

// tablesWith lists the tables, as they are written, that have a key of this name.
func (s *spec) tablesWith(path, key string) (found []string) {
	for _, k := range slices.Sorted(maps.Keys(s.keys)) {
		sub, header := s.keys[k], "["+join(path, k)+"]"
		switch sub.form {
		case namedTables:
			header = "[" + join(path, k) + ".NAME]"
		case rows:
			header = "[[" + join(path, k) + "]]"
		case tables:
		default:
			continue
		}
		if inner := sub.keys[key]; inner != nil && inner.form != later {
			found = append(found, header)
		}
		found = append(found, sub.tablesWith(join(path, k), key)...)
	}
	return found
}

func (l *loader) conformNamed(path string, s *spec, n *node) {
	if !l.want(path, n, isTable, "a table for each name, as in ["+path+".NAME],") {
		return
	}
	each := &spec{form: tables, keys: s.keys}
	for _, name := range n.keys {
		f := n.fields[name]
		if f.value.kind != isTable && s.keys[name] != nil {
			f.value.bad = true
			l.report(f.at, aKey, "%s: a name is missing: this key belongs in a table such as [%s.NAME]", join(path, name), path)
			continue
		}
		if !validName(name) {
			l.report(f.at, aKey, "%s: a name is made of small letters, digits and -, and begins with a letter", join(path, name))
		}
		l.conform(join(path, name), each, f.value)
	}
}

func (l *loader) conformRows(path string, s *spec, n *node) {
	if !l.want(path, n, isList, "a list of tables, as in [["+path+"]],") {
		return
	}
	each := &spec{form: tables, keys: s.keys}
	for i, row := range n.items {
		below := fmt.Sprintf("%s[%d]", path, i)
		if name := row.value("name"); name != nil && name.kind == isText && s.byName() {
			below = join(path, name.text)
		}
		l.conform(below, each, row)
	}
}

// validName is what providers, logins and routes may be called.
func validName(s string) bool {
	if s == "" || len(s) > 63 || s[0] < 'a' || s[0] > 'z' {
		return false
	}
	return !strings.ContainsFunc(s, func(c rune) bool { return c != '-' && (c < '0' || c > '9') && (c < 'a' || c > 'z') })
}

// shown is a text as it was written: what a reference yields is not repeated.
func (n *node) shown() string {
	if n.raw != "" {
		return fmt.Sprintf("%q", n.raw)
	}
	return fmt.Sprintf("%q", n.text)
}
