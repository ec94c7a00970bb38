package proxy

import (
	"strings"

	"github.com/doorward/doorward/proxy/policy"
)

// looks are the names that a message looks for. Where it asks has(form.urgent), a field "Urgent" or a parameter
// "urgent" of the address would not be shown, and still be found by many an application.
type looks struct {
	form, json, query nameSet
	below             nameSet // in objects inside of json
	header            []string
}

func looksOf(message *policy.Text) looks {
	return looks{
		form: newNameSet(message.Names("form")), json: newNameSet(message.Names("json")), query: newNameSet(message.Names("request.query")),
		below: newNameSet(message.Names("json.")), header: message.Names("request.header"),
	}
}

// nameSet finds the other ways to write a name: in another case, with other separators, as a list or an object.
type nameSet struct {
	exact map[string]bool
	whole map[string]bool // loosely
	bases map[string]bool // of those with brackets
}

func newNameSet(names []string) nameSet {
	s := nameSet{exact: set(names), whole: make(map[string]bool), bases: make(map[string]bool)}
	for _, name := range names {
		s.whole[loosely(name)] = true
		if base, _, nested := strings.Cut(name, "["); nested {
			s.bases[loosely(base)] = true
		}
	}
	return s
}

// holds reports whether a reader may take name for one of the set.
func (s nameSet) holds(name string) bool {
	if len(s.exact) == 0 {
		return false
	}
	base, _, nested := strings.Cut(name, "[")
	loose := loosely(base)
	return s.whole[loosely(name)] || s.whole[loose] || !nested && s.bases[loose]
}

// strays reports whether name is another way to write one of the set.
func (s nameSet) strays(name string) bool { return s.holds(name) && !s.exact[name] }

// loosely folds what any reader in use takes for one name: protojson reads amount_due as amountDue.
func loosely(name string) string {
	return strings.Map(func(r rune) rune {
		if strings.ContainsRune("_-. ", r) {
			return -1
		}
		return r
	}, foldCase(name))
}

func stray(name string) string {
	return "The request says " + quoted(name) + ", in another place or spelling than it is looked for."
}

// check refuses fields that the message looks for and does not find, while the application may.
func (l *looks) check(f *fields, query map[string]int) (refusal string) {
	for name := range query {
		if l.form.holds(name) || l.json.holds(name) || l.query.strays(name) {
			return stray(name)
		}
	}
	for name := range f.form {
		if l.form.strays(name) || l.query.holds(name) {
			return stray(name)
		}
	}
	object, _ := f.json.(map[string]any)
	for name := range object {
		if l.query.holds(name) {
			return stray(name)
		}
	}
	return l.checkJSON(f.json, l.json)
}

func (l *looks) checkJSON(v any, names nameSet) (refusal string) {
	switch v := v.(type) {
	case map[string]any:
		for name, member := range v {
			if names.strays(name) {
				return stray(name)
			}
			if refusal = l.checkJSON(member, l.below); refusal != "" {
				return refusal
			}
		}
	case []any:
		for _, member := range v {
			if refusal = l.checkJSON(member, l.below); refusal != "" {
				return refusal
			}
		}
	}
	return ""
}

// onceInHeader refuses a header that the message shows and that stands twice: which of them
// counts differs from server to server.
func (l *looks) onceInHeader(h map[string][]string) (refusal string) {
	for name, values := range h {
		for _, shown := range l.header {
			if len(values) > 1 && strings.EqualFold(name, shown) {
				return twice(name)
			}
		}
	}
	return ""
}
