package config

import (
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/doorward/doorward/internal/seal"
	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/sessions"
)

func sessionsKeys() *spec {
	stores := []string{"redis://", "rediss://", "redis-sentinel://", "redis-cluster://"}
	return &spec{form: tables, keys: map[string]*spec{
		"store":    {form: word, words: []string{"bolt", "memory", "cookie"}, soon: stores},
		"shared":   {form: word, words: []string{"bolt", "memory"}, soon: stores},
		"keys":     {form: secretList},
		"idle":     {form: text},
		"lifetime": {form: text},
		"cookie": {form: tables, keys: map[string]*spec{
			"name":      {form: text},
			"same_site": {form: word, words: []string{"lax", "strict", "none"}},
			"domain":    {form: text},
		}},
	}}
}

func readSessions(t table, c *Config) {
	c.Store = t.textOr("store", "bolt")
	c.Shared = c.Store
	if c.Store == "cookie" {
		c.Shared = "bolt"
	}
	c.Shared = t.textOr("shared", c.Shared)
	c.Keys = t.keys()
	if c.Store == "cookie" && !t.given("keys") {
		t.wrong("store", `"cookie" needs sessions.keys, or every restart would sign everybody out; make one with: openssl rand -base64 32`)
	}
	c.sessions = sessions.Config{
		InCookie: c.Store == "cookie",
		Idle:     t.duration("idle", 8*time.Hour, time.Second, 0),
		Lifetime: t.duration("lifetime", 24*time.Hour, time.Second, 0),
		Cookie:   readCookie(t.table("cookie")),
	}
	if c.sessions.Idle > c.sessions.Lifetime && t.given("idle") {
		t.l.warn("sessions.idle: %s never takes effect, as a session ends after sessions.lifetime, %s", c.sessions.Idle, c.sessions.Lifetime)
	}
}

// keys reads sessions.keys. The errors of seal never repeat a key.
func (t table) keys() (keys [][]byte) {
	v := t.value("keys")
	if v == nil {
		return nil
	}
	if len(v.items) == 0 {
		t.wrong("keys", "the list is empty; leave it out to have a key made in state_dir")
	}
	t.each("keys", func(item string) error {
		key, err := seal.ParseKey(item)
		if err != nil {
			return err
		}
		keys = append(keys, key)
		if _, err := seal.New(keys...); err != nil {
			keys = keys[:len(keys)-1]
			return errors.New(strings.TrimPrefix(err.Error(), "seal: "))
		}
		return nil
	})
	return keys
}

func readCookie(t table) sessions.Cookie {
	c := sessions.Cookie{Name: t.filled("name", "doorward"), Domain: t.text("domain"), SameSite: http.SameSiteLaxMode}
	switch t.text("same_site") {
	case "strict":
		c.SameSite = http.SameSiteStrictMode
		t.l.warn(`sessions.cookie.same_site: with "strict", nothing that another site began brings the session: a page that is opened from there loads twice, and an embedded one looks signed out`)
	case "none":
		c.SameSite = http.SameSiteNoneMode
		t.l.warn(`sessions.cookie.same_site: with "none", browsers send the session with every request that another site makes them send`)
	}
	switch {
	case strings.HasPrefix(c.Name, "__"):
		t.wrong("name", `%q: leave "__Host-" and "__Secure-" out, Doorward puts the right one before it`, c.Name)
	case len(c.Name) > 64 || strings.ContainsFunc(c.Name, notNameByte):
		t.wrong("name", "%q: 1 to 64 letters, digits, - and _ are possible here", c.Name)
	}
	return c
}

func notNameByte(r rune) bool {
	return r != '-' && r != '_' && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
}

// placeholder recognises a secret that an example left behind (P211).
func placeholder(s secret.String) bool {
	switch strings.Trim(strings.ToLower(s.Reveal()), " <>*.-_") {
	case "changeme", "change-me", "change_me", "change me", "replaceme", "replace-me", "replace_me", "todo", "xxx", "xxxx", "your-client-secret", "your_client_secret", "your-secret", "your_secret":
		return true
	}
	return false
}
