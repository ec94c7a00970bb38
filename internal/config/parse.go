package config

import (
	"errors"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"
)

// kind is what TOML makes of a value.
type kind int

const (
	isTable kind = iota
	isList
	isText
	isBoolean
	isNumber
	isDate
)

func (k kind) String() string {
	return [...]string{"a table", "a list", "a text", "true or false", "a number", "a date"}[k]
}

// node is a value, with the place where it was written.
type node struct {
	kind   kind
	text   string // of a text, without its quotes; of a number or boolean, as it was written
	raw    string // of a text whose references were expanded, as it was written
	items  []*node
	keys   []string // of fields, in order
	fields map[string]*field
	at     place
	secret bool // never repeated
	bad    bool // something is wrong with it and was reported; to readers it is missing
}

// field is an entry of a table.
type field struct {
	at    place // of the key
	value *node
}

func newTable(at place) *node { return &node{kind: isTable, fields: make(map[string]*field), at: at} }

func (n *node) set(key string, at place, value *node) {
	if n.fields[key] == nil {
		n.keys = append(n.keys, key)
	}
	n.fields[key] = &field{at, value}
}

// value returns the value of a key, or nil if it is missing or was found wrong.
func (n *node) value(key string) *node {
	if n == nil {
		return nil
	}
	if f := n.fields[key]; f != nil && !f.value.bad {
		return f.value
	}
	return nil
}

// parse makes the tree of a file. Its error is a *toml.DecodeError or has no position.
func parse(src *source) (*node, error) {
	// Reading it into a map finds everything that is no TOML: syntax, keys that stand twice,
	// tables that are defined twice. The parser alone knows only syntax.
	var all map[string]any
	if err := toml.Unmarshal(src.data, &all); err != nil {
		return nil, err
	}
	b := &builder{src: src}
	b.parser.Reset(src.data)
	root := newTable(place{src: src, line: 1, col: 1})
	b.table = root
	for b.parser.NextExpression() {
		if err := b.expression(root, b.parser.Expression()); err != nil {
			return nil, err
		}
	}
	return root, b.parser.Error()
}

// parseValue reads one value that stands alone: in the environment, or behind --set.
func parseValue(text string, at place) (*node, error) {
	src := newFile("", []byte("x = "+text+"\n"))
	root, err := parse(src)
	if err != nil {
		return nil, err
	}
	v := root.value("x")
	if v == nil || len(root.keys) != 1 {
		return nil, errors.New("more than one value")
	}
	v.move(at)
	return v, nil
}

// move puts a value and all below it to one place.
func (n *node) move(at place) {
	n.at = at
	for _, i := range n.items {
		i.move(at)
	}
	for _, f := range n.fields {
		f.at = at
		f.value.move(at)
	}
}

type builder struct {
	parser unstable.Parser
	src    *source
	table  *node // the one whose header was read last
}

var errTree = errors.New("a key stands in something that is no table")

func (b *builder) expression(root *node, e *unstable.Node) error {
	var err error
	switch e.Kind {
	case unstable.KeyValue:
		return b.keyValue(b.table, e)
	case unstable.Table:
		b.table, err = b.header(root, e.Key(), false)
	case unstable.ArrayTable:
		b.table, err = b.header(root, e.Key(), true)
	}
	return err
}

// header finds or makes the table that a [header] or [[header]] names.
func (b *builder) header(t *node, key unstable.Iterator, list bool) (*node, error) {
	for key.Next() {
		name, at := b.key(key.Node())
		if list && key.IsLast() {
			if t.fields[name] == nil {
				t.set(name, at, &node{kind: isList, at: at})
			}
			row, rows := newTable(at), t.fields[name].value
			rows.items = append(rows.items, row)
			return row, nil
		}
		if t = t.descend(name, at); t == nil {
			return nil, errTree
		}
	}
	return t, nil
}

// descend returns the table of a key, made if it is missing; of a list of tables the last.
func (n *node) descend(name string, at place) *node {
	if n.fields[name] == nil {
		n.set(name, at, newTable(at))
	}
	v := n.fields[name].value
	if v.kind == isList && len(v.items) > 0 {
		v = v.items[len(v.items)-1]
	}
	if v.kind != isTable {
		return nil
	}
	return v
}

func (b *builder) key(n *unstable.Node) (name string, at place) {
	return string(n.Data), b.src.place(int(n.Raw.Offset), int(n.Raw.Length))
}

func (b *builder) keyValue(t *node, e *unstable.Node) error {
	for key := e.Key(); key.Next(); {
		name, at := b.key(key.Node())
		if key.IsLast() {
			v, err := b.value(e.Value(), at)
			if err == nil {
				t.set(name, at, v)
			}
			return err
		}
		if t = t.descend(name, at); t == nil {
			return errTree
		}
	}
	return nil
}

// value makes a value. Lists and inline tables have no range of their own in the parser: they are where
// their key is, or their list.
func (b *builder) value(v *unstable.Node, around place) (*node, error) {
	n := &node{text: string(v.Data), at: around}
	if v.Raw.Length > 0 {
		n.at = b.src.place(int(v.Raw.Offset), int(v.Raw.Length))
	}
	switch v.Kind {
	case unstable.String:
		n.kind = isText
	case unstable.Bool:
		n.kind = isBoolean
	case unstable.Integer, unstable.Float:
		n.kind = isNumber
	case unstable.Array:
		n.kind = isList
		for it := v.Children(); it.Next(); {
			item, err := b.value(it.Node(), around)
			if err != nil {
				return nil, err
			}
			n.items = append(n.items, item)
		}
	case unstable.InlineTable:
		n = newTable(around)
		for it := v.Children(); it.Next(); {
			if err := b.keyValue(n, it.Node()); err != nil {
				return nil, err
			}
		}
		if len(n.keys) > 0 {
			n.at = n.fields[n.keys[0]].at
		}
	default:
		n.kind = isDate
	}
	return n, nil
}
