package proxy

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/doorward/doorward/internal/identity"
)

// template is one entry of headers.set: text with placeholders.
type template struct {
	name     string // canonical
	parts    []part
	encoding encoding
}

// part is literal text, or a placeholder.
type part struct {
	text        string // literal, or the placeholder's name
	placeholder bool
	otherwise   string // in the place of a missing value
	optional    bool   // there is an otherwise, which may be ""
}

const placeholders = "{access_token} {id_token} {claim.NAME} {user.sub} {user.iss} {user.email} {user.username} {user.name} {user.groups} {user.roles} {user.scopes} {user.login} {user.provider} {user.client}"

// parseTemplate reads text with {placeholder} and {placeholder|text if there is no value}; {{ and }} are braces.
func parseTemplate(name, text string) (template, error) {
	t := template{name: http.CanonicalHeaderKey(name), encoding: encodingPercent}
	wrong := func(format string, args ...any) (template, error) {
		return t, fmt.Errorf("headers.set."+strings.ReplaceAll(name, "%", "%%")+": "+format, args...)
	}
	if err := settable(name); err != nil {
		return t, err
	}
	if !visible(strings.ReplaceAll(text, " ", "")) || text != strings.Trim(text, " ") {
		return wrong("the text must be printable ASCII without spaces at its ends")
	}
	literal := ""
	for rest := text; rest != ""; {
		switch {
		case strings.HasPrefix(rest, "{{"):
			if key, _, _ := strings.Cut(rest[2:], "}}"); known(strings.Trim(key, " ")) {
				return wrong("{{%s}} would be the text {%s} and no value; write {%s}", key, key, strings.Trim(key, " "))
			}
			literal, rest = literal+"{", rest[2:]
			continue
		case strings.HasPrefix(rest, "}}"):
			literal, rest = literal+"}", rest[2:]
			continue
		case rest[0] == '}':
			return wrong("there is a } without a {; }} is one")
		case rest[0] != '{':
			literal, rest = literal+rest[:1], rest[1:]
			continue
		}
		inside, after, closed := strings.Cut(rest[1:], "}")
		if !closed {
			return wrong("there is a { without a }; {{ is one")
		}
		p := part{placeholder: true}
		p.text, p.otherwise, p.optional = strings.Cut(inside, "|")
		switch {
		case !known(p.text):
			return wrong("{%s} is not one of %s", p.text, placeholders)
		case strings.ContainsAny(p.otherwise, "{|"):
			return wrong("what stands behind the | must be a text without { and |")
		case p.optional && isTokenKey(p.text):
			return wrong("{%s} has no other value: a request without the token must not look like one with it", p.text)
		}
		if literal != "" {
			t.parts, literal = append(t.parts, part{text: literal}), ""
		}
		t.parts, rest = append(t.parts, p), after
	}
	if literal != "" {
		t.parts = append(t.parts, part{text: literal})
	}
	return t, nil
}

func known(key string) bool {
	if claim, ok := strings.CutPrefix(key, "claim."); ok {
		return claim != ""
	}
	return !strings.Contains(key, "NAME") && strings.Contains(placeholders, "{"+key+"}")
}

func isTokenKey(key string) bool { return key == "access_token" || key == "id_token" }

func (t template) uses(key string) bool {
	for _, p := range t.parts {
		if p.placeholder && p.text == key {
			return true
		}
	}
	return false
}

// secret reports whether a token is in it.
func (t template) secret() bool { return t.uses("access_token") || t.uses("id_token") }

// value fills the template for who, or reports that a part is missing: then there is no
// header at all, because half a value is a wrong one.
func (t template) value(who *identity.Identity, unverified bool) (value string, ok bool, err error) {
	var b strings.Builder
	for _, p := range t.parts {
		s := p.text
		if p.placeholder {
			if s, err = t.lookUp(who, p.text, unverified); err != nil {
				return "", false, err
			}
			switch {
			case s == "" && !p.optional:
				return "", false, nil
			case s == "":
				s = p.otherwise
			}
		}
		b.WriteString(s)
	}
	value = strings.Trim(b.String(), " ") // an otherwise may be, or end with, a space
	return value, value != "", nil
}

// lookUp returns the value of a placeholder, encoded for a header, or "".
func (t template) lookUp(who *identity.Identity, key string, unverified bool) (string, error) {
	if who == nil {
		return "", nil
	}
	if claim, ok := strings.CutPrefix(key, "claim."); ok {
		return t.encoding.list(who.Claims.Strings(claim), false)
	}
	switch key {
	case "access_token", "id_token":
		return token(who, key), nil
	case "user.iss":
		return t.encoding.value(who.Issuer)
	case "user.login":
		return t.encoding.value(who.Login)
	case "user.provider":
		return t.encoding.value(who.Provider)
	case "user.client":
		return t.encoding.value(who.Client)
	case "user.scopes":
		return t.encoding.list(who.Scopes, false)
	}
	if who.Machine {
		return "", nil // what follows describes a person (SEC-7)
	}
	f := facts{who, unverified}
	switch key {
	case "user.sub":
		return t.encoding.value(f.subject())
	case "user.email":
		return t.encoding.value(f.email())
	case "user.username":
		return t.encoding.value(f.username())
	case "user.name":
		return t.encoding.value(f.fullName())
	case "user.groups":
		return t.encoding.list(f.groups(), false)
	case "user.roles":
		return t.encoding.list(f.roles(), false)
	}
	return "", nil
}

// token returns a token as it is: an encoded one would be another. One that no header can
// carry is missing.
func token(who *identity.Identity, key string) string {
	if who.Tokens == nil {
		return ""
	}
	t := who.Tokens.AccessToken
	if key == "id_token" {
		t = who.Tokens.IDToken
	}
	if s := t.Reveal(); visible(s) {
		return s
	}
	return ""
}
