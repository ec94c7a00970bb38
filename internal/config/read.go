package config

import (
	"fmt"
	"net/netip"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/doorward/doorward/internal/origin"
	"github.com/doorward/doorward/internal/secret"
)

// table reads one table of the tree. A key that is missing, or was found wrong already, reads as
// nothing: each problem is reported once.
type table struct {
	l    *loader
	path string
	node *node // nil = the table is missing
}

func (t table) value(key string) *node { return t.node.value(key) }

// given reports whether the configuration says something of key, right or wrong.
func (t table) given(key string) bool { return t.node != nil && t.node.fields[key] != nil }

// wrong reports a problem with a key: at its value, or at the table if it doesn't have the key.
func (t table) wrong(key, format string, args ...any) {
	n := t.node
	if t.given(key) {
		n = n.fields[key].value
	}
	t.l.blame(n, "%s: %s", join(t.path, key), fmt.Sprintf(format, args...))
}

// blame reports a problem with a value. nil stands for a table that nobody wrote.
func (l *loader) blame(n *node, format string, args ...any) {
	switch {
	case n == nil:
		l.report(place{}, aValue, format, args...)
	case n.secret:
		l.report(n.at, aSecret, format, args...)
	case n.kind == isTable:
		l.report(n.at, aKey, format, args...)
	default:
		l.report(n.at, aValue, format, args...)
	}
}

func (t table) table(key string) table { return table{t.l, join(t.path, key), t.value(key)} }

func (t table) text(key string) string {
	if v := t.value(key); v != nil {
		return v.text
	}
	return ""
}

func (t table) textOr(key, otherwise string) string {
	if v := t.value(key); v != nil {
		return v.text
	}
	return otherwise
}

// filled is text that must not be empty if the key is there.
func (t table) filled(key, otherwise string) string {
	v := t.value(key)
	if v != nil && v.text == "" {
		t.wrong(key, "it is empty; leave the key out for its default")
		v.bad = true
		return otherwise
	}
	return t.textOr(key, otherwise)
}

func (t table) secret(key string) secret.String {
	v := t.value(key)
	if v == nil {
		return secret.String{}
	}
	if v.text == "" {
		t.wrong(key, "it is empty")
	}
	return secret.New(v.text)
}

func (t table) boolean(key string, otherwise bool) bool {
	if v := t.value(key); v != nil {
		return v.text == "true"
	}
	return otherwise
}

func (t table) number(key string, otherwise, least, most int64) int64 {
	v := t.value(key)
	if v == nil {
		return otherwise
	}
	n, err := strconv.ParseInt(v.text, 10, 64)
	if err != nil || n < least || n > most {
		t.wrong(key, "a whole number from %d to %d is wanted here", least, most)
		return otherwise
	}
	return n
}

// list is nil only if the key is missing.
func (t table) list(key string) []string {
	v := t.value(key)
	if v == nil {
		return nil
	}
	list := make([]string, 0, len(v.items))
	for _, item := range v.items {
		list = append(list, item.text)
	}
	return list
}

// each calls read for each item of a list; its error is reported at the item.
func (t table) each(key string, read func(item string) error) {
	v := t.value(key)
	if v == nil {
		return
	}
	for i, item := range v.items {
		if err := read(item.text); err != nil {
			t.l.blame(item, "%s[%d]: %s", join(t.path, key), i, err)
		}
	}
}

func (t table) duration(key string, otherwise, least, most time.Duration) time.Duration {
	v := t.value(key)
	if v == nil {
		return otherwise
	}
	d, err := time.ParseDuration(v.text)
	switch {
	case err != nil:
		t.wrong(key, "%s is no duration; write it with units, such as \"90s\", \"8h\" or \"1h30m\" (a day is \"24h\")", v.shown())
		return otherwise
	case d < least:
		t.wrong(key, "%s is too short; at least %s", v.shown(), least)
		return otherwise
	case most > 0 && d > most:
		t.wrong(key, "%s is too long; at most %s", v.shown(), most)
		return otherwise
	}
	return d
}

func (t table) origins(key string) (all []origin.Origin) {
	t.each(key, func(item string) error {
		o, err := origin.Parse(item)
		if err == nil {
			all = append(all, o)
		}
		return err
	})
	return all
}

func (t table) origin(key string) (o origin.Origin, ok bool) {
	v := t.value(key)
	if v == nil {
		return o, false
	}
	o, err := origin.Parse(v.text)
	if err != nil {
		t.wrong(key, "%s", err)
		return o, false
	}
	return o, true
}

func (t table) prefixes(key string) (all []netip.Prefix) {
	t.each(key, func(item string) error {
		p, err := netip.ParsePrefix(item)
		if err == nil && p == p.Masked() {
			all = append(all, p)
			return nil
		}
		if a, addr := netip.ParseAddr(item); addr == nil && a.Zone() == "" {
			return fmt.Errorf("%q is one address; write %q", item, netip.PrefixFrom(a, a.BitLen()))
		}
		if err == nil {
			return fmt.Errorf("%q names an address within a network; the network is %q", item, p.Masked())
		}
		return fmt.Errorf("%q is no network in CIDR form, such as \"10.0.0.0/8\"", item)
	})
	return all
}

// strings reads a table of texts.
func (t table) strings(key string) map[string]string {
	v := t.value(key)
	if v == nil {
		return nil
	}
	m := make(map[string]string, len(v.keys))
	for _, k := range v.keys {
		if e := v.value(k); e != nil {
			m[k] = e.text
		}
	}
	return m
}

// lists reads a table of texts or lists.
func (t table) lists(key string) map[string][]string {
	v := t.value(key)
	if v == nil {
		return nil
	}
	inner := table{t.l, join(t.path, key), v}
	m := make(map[string][]string, len(v.keys))
	for _, k := range v.keys {
		e := v.value(k)
		switch {
		case e == nil:
		case e.kind == isList:
			m[k] = inner.list(k)
		default:
			m[k] = []string{e.text}
		}
	}
	return m
}

func (t table) params(key string) url.Values { return t.lists(key) }

// step is a key at the beginning of an error of another package: "allow[0]: …", "headers.set.X-Y: …".
var step = regexp.MustCompile(`^([A-Za-z_][A-Za-z0-9_.-]*)(?:\[(\d+)\])?: `)

// foreign reports what another package found wrong with the values of this table. Such errors
// begin with the key; that is where they are reported.
func (t table) foreign(err error) {
	if err == nil {
		return
	}
	for line := range strings.SplitSeq(err.Error(), "\n") {
		n, rest := t.node, line
		for {
			m := step.FindStringSubmatch(rest)
			if m == nil {
				break
			}
			deeper := n.below(m[1], m[2])
			if deeper == nil {
				break
			}
			n, rest = deeper, rest[len(m[0]):]
		}
		t.l.blame(n, "%s", join(t.path, line))
	}
}

// below finds a value by a path with dots, and an index if it is a list.
func (n *node) below(path, index string) *node {
	for n != nil && path != "" {
		if f := n.fields[path]; f != nil { // a free key may have dots
			n, path = f.value, ""
			break
		}
		key, rest, _ := strings.Cut(path, ".")
		f := n.fields[key]
		if f == nil {
			return nil
		}
		n, path = f.value, rest
	}
	if n == nil || index == "" {
		return n
	}
	i := 0
	for _, c := range index {
		i = min(i*10+int(c-'0'), 1<<20)
	}
	if i >= len(n.items) {
		return nil
	}
	return n.items[i]
}
