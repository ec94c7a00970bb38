package identity

import (
	"bytes"
	"encoding/json"
	"strings"
	"sync"
)

// Claims are the claims of an identity as the provider wrote them, decoded at the first
// look and then shared. Numbers stay json.Number, so that a large id is not rounded.
type Claims struct {
	raw  []byte
	once sync.Once
	m    map[string]any
}

// NewClaims wraps a JSON object. Text that is not an object behaves like an empty one:
// whoever built it has validated it.
func NewClaims(raw []byte) *Claims { return &Claims{raw: raw} }

// Raw returns the JSON object. The caller must not modify it.
func (c *Claims) Raw() []byte {
	if c == nil || len(c.raw) == 0 {
		return []byte("{}")
	}
	return c.raw
}

// Map returns the decoded object. The caller must not modify it.
func (c *Claims) Map() map[string]any {
	if c == nil {
		return nil
	}
	c.once.Do(func() {
		d := json.NewDecoder(bytes.NewReader(c.Raw()))
		d.UseNumber()
		if err := d.Decode(&c.m); err != nil {
			c.m = nil
		}
	})
	return c.m
}

// Lookup finds a claim by name, or by a path of names joined by dots
// ("realm_access.roles"). A name that itself holds dots ("https://example.com/roles")
// is found first, as written.
func (c *Claims) Lookup(path string) (any, bool) {
	return lookup(c.Map(), path)
}

func lookup(m map[string]any, path string) (any, bool) {
	if v, ok := m[path]; ok {
		return v, true
	}
	for i := strings.IndexByte(path, '.'); i >= 0; {
		if sub, ok := m[path[:i]].(map[string]any); ok {
			if v, ok := lookup(sub, path[i+1:]); ok {
				return v, true
			}
		}
		next := strings.IndexByte(path[i+1:], '.')
		if next < 0 {
			break
		}
		i += 1 + next
	}
	return nil, false
}

// Strings returns a claim as a list: a string is a list of one, an array keeps its
// strings, booleans and numbers become their JSON text, anything else is left out. Empty
// strings never appear: an empty group must match no rule (attack P203).
func (c *Claims) Strings(path string) []string {
	v, ok := c.Lookup(path)
	if !ok {
		return nil
	}
	list, ok := v.([]any)
	if !ok {
		list = []any{v}
	}
	var out []string
	for _, e := range list {
		if s := scalar(e); s != "" {
			out = append(out, s)
		}
	}
	return out
}

func scalar(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case json.Number:
		return v.String()
	case bool:
		if v {
			return "true"
		}
		return "false"
	}
	return ""
}
