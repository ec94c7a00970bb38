package config

import (
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/doorward/doorward/flows"
	"github.com/doorward/doorward/flows/personal"
)

func usersKeys() *spec {
	return &spec{form: namedTables, keys: map[string]*spec{
		"password": {form: secretText}, "htpasswd": {form: text}, "email": {form: text}, "groups": {form: list},
	}}
}

func keyKeys() *spec {
	return &spec{form: namedTables, keys: map[string]*spec{
		"hash": {form: secretText}, "owner": {form: text}, "groups": {form: list}, "scopes": {form: list}, "expires": {form: text},
	}}
}

func tokensKeys() *spec {
	return &spec{form: tables, keys: map[string]*spec{"max_lifetime": {form: text}}}
}

// readUsers reads each [users.NAME]: a local user, or a file of them.
func (c *composer) readUsers() {
	all := c.root.table("users")
	if all.node == nil {
		return
	}
	for _, name := range all.node.keys {
		if all.value(name) == nil {
			continue
		}
		t := all.table(name)
		before := len(c.l.problems)
		u := flows.User{Name: name, Hash: t.secret("password"), Email: t.filled("email", ""), Groups: t.list("groups")}
		if path := t.filled("htpasswd", ""); path != "" {
			text, err := c.l.file(c.l.beside(path), true)
			if err != nil {
				t.wrong("htpasswd", "%s", err)
			}
			u.Lines = []byte(text)
		}
		switch {
		case !t.given("password") && !t.given("htpasswd"):
			t.wrong("password", "it is missing: the hash of a password, as `doorward hash` prints it; or htpasswd names a file of users")
		case t.given("password") && t.given("htpasswd"):
			t.wrong("htpasswd", "a table is one user with a password, or a file of users; make two of it")
		case t.given("htpasswd") && t.given("email"):
			t.wrong("email", "a file of users has no address of its own")
		}
		if len(c.l.problems) == before {
			t.foreign(flows.CheckUser(u))
		}
		c.c.users = append(c.c.users, u)
	}
}

func (c *Config) userNames() (all []string) {
	for _, u := range c.users {
		all = append(all, u.Name)
	}
	return all
}

func (c *Config) keyNames() (all []string) {
	for _, k := range c.keys {
		all = append(all, k.Name)
	}
	return all
}

// readKeys reads each [key.NAME].
func (c *composer) readKeys() {
	all := c.root.table("key")
	if all.node == nil {
		return
	}
	for _, name := range all.node.keys {
		if all.value(name) == nil {
			continue
		}
		t := all.table(name)
		k := flows.Key{Name: name, Owner: t.filled("owner", ""), Groups: t.list("groups"), Scopes: t.list("scopes"), Expires: t.date("expires")}
		switch hash, err := keyHash(t.text("hash")); {
		case !t.given("hash"):
			t.wrong("hash", "it is missing: the hash of the key, as `doorward hash --key` prints it")
		case err != nil && t.value("hash") != nil:
			t.wrong("hash", "%s", err)
		default:
			k.Hash = hash
		}
		if i := slices.IndexFunc(c.c.keys, func(other flows.Key) bool { return other.Hash == k.Hash && k.Hash != [32]byte{} }); i >= 0 {
			t.wrong("hash", "it is the key of %q already; who calls could not be told", c.c.keys[i].Name)
		}
		if !k.Expires.IsZero() && time.Until(k.Expires) < 0 {
			t.l.warn("key.%s: it expired on %s and is refused", name, k.Expires.Format(time.DateOnly))
		}
		c.c.keys = append(c.c.keys, k)
	}
}

func keyHash(text string) (hash [32]byte, err error) {
	digits, ok := strings.CutPrefix(text, "sha256:")
	if !ok || len(digits) != hex.EncodedLen(len(hash)) {
		return hash, fmt.Errorf("a hash is \"sha256:\" and 64 hexadecimal digits, as `doorward hash --key` prints it")
	}
	if _, err := hex.Decode(hash[:], []byte(digits)); err != nil {
		return hash, fmt.Errorf("a hash is \"sha256:\" and 64 hexadecimal digits")
	}
	return hash, nil
}

// date reads a day or a moment.
func (t table) date(key string) time.Time {
	v := t.value(key)
	if v == nil {
		return time.Time{}
	}
	for _, layout := range []string{time.DateOnly, time.RFC3339} {
		if at, err := time.Parse(layout, v.text); err == nil {
			return at
		}
	}
	t.wrong(key, "%s is no date; write it as \"2027-01-31\", or with a time as \"2027-01-31T18:00:00Z\"", v.shown())
	return time.Time{}
}

// readTokens reads [tokens]: what people may mint for their tools.
func (c *composer) readTokens() {
	t := c.root.table("tokens")
	c.c.tokens = personal.Config{Prefix: c.c.Listen.Prefix, MaxLifetime: t.duration("max_lifetime", 90*24*time.Hour, 0, 366*24*time.Hour)}
	if c.c.tokens.MaxLifetime > 0 && c.c.tokens.MaxLifetime < time.Hour {
		t.wrong("max_lifetime", `%s is too short to be of use; "0s" turns personal tokens off`, t.value("max_lifetime").shown())
	}
}
