package secret

import (
	"crypto/subtle"
	"fmt"
	"log/slog"
)

const redacted = "[redacted]"

// String is a secret text. The zero value is the empty secret.
//
// It is comparable with == only for identity of the holder, not of the content;
// compare contents with [String.Equal].
type String struct {
	// A pointer, because fmt prints the unexported fields of a struct by reflection and
	// without asking their methods: it then prints an address instead of the content.
	p *string
}

// New wraps s.
func New(s string) String {
	if s == "" {
		return String{}
	}
	return String{&s}
}

// Reveal returns the content. Call it only where the content is handed to its one
// rightful receiver, as late as possible.
func (s String) Reveal() string {
	if s.p == nil {
		return ""
	}
	return *s.p
}

// IsZero reports whether the secret is empty.
func (s String) IsZero() bool { return s.p == nil }

// Equal compares two contents in a time that depends on their lengths only.
func (s String) Equal(o String) bool {
	return subtle.ConstantTimeCompare([]byte(s.Reveal()), []byte(o.Reveal())) == 1
}

// Format prints the same harmless word for every verb and flag.
func (s String) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(s.String())) }

// String returns "[redacted]", or "" for the empty secret, so that a configuration dump
// still tells a missing secret from a set one.
func (s String) String() string {
	if s.IsZero() {
		return ""
	}
	return redacted
}

// MarshalText keeps the content out of JSON, TOML and XML.
func (s String) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// LogValue keeps the content out of structured logs.
func (s String) LogValue() slog.Value { return slog.StringValue(s.String()) }
