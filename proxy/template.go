package proxy

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/doorward/doorward/internal/identity"
)

// template is one entry of headers.set: text with placeholders.
type template struct {
	name  string // canonical
	parts []part
}

// part is literal text, or a placeholder.
type part struct {
	text        string // literal, or the placeholder's name
	placeholder bool
}

const placeholders = "{access_token} {id_token} {claim.NAME} {user.sub} {user.iss} {user.email} {user.username} {user.name} {user.groups} {user.scopes} {user.login} {user.provider} {user.client}"

func parseTemplate(name, text string) (template, error) {
	t := template{name: http.CanonicalHeaderKey(name)}
	if err := settable(name); err != nil {
		return t, err
	}
	if !visible(strings.ReplaceAll(text, " ", "")) || text != strings.Trim(text, " ") {
		return t, fmt.Errorf("headers.set.%s: the text must be printable ASCII without spaces at its ends", name)
	}
	for rest := text; rest != ""; {
		literal, after, found := strings.Cut(rest, "{")
		if strings.Contains(literal, "}") {
			return t, fmt.Errorf("headers.set.%s: there is a } without a {", name)
		}
		if literal != "" {
			t.parts = append(t.parts, part{text: literal})
		}
		if !found {
			break
		}
		key, tail, closed := strings.Cut(after, "}")
		if !closed {
			return t, fmt.Errorf("headers.set.%s: there is a { without a }", name)
		}
		if !known(key) {
			return t, fmt.Errorf("headers.set.%s: {%s} is not one of %s", name, key, placeholders)
		}
		t.parts = append(t.parts, part{text: key, placeholder: true})
		rest = tail
	}
	return t, nil
}

func known(key string) bool {
	if claim, ok := strings.CutPrefix(key, "claim."); ok {
		return claim != ""
	}
	return !strings.Contains(key, "NAME") && strings.Contains(placeholders, "{"+key+"}")
}

func (t template) uses(key string) bool {
	for _, p := range t.parts {
		if p.placeholder && p.text == key {
			return true
		}
	}
	return false
}

// value fills the template for who, or reports that a part is missing: then there is no
// header at all, because half a value is a wrong one.
func (t template) value(who *identity.Identity, unverified bool) (value string, ok bool) {
	var b strings.Builder
	for _, p := range t.parts {
		s := p.text
		if p.placeholder {
			if who == nil {
				return "", false
			}
			if s = lookUp(who, p.text, unverified); s == "" {
				return "", false
			}
		}
		b.WriteString(s)
	}
	return b.String(), b.Len() > 0
}

// lookUp returns the value of a placeholder, encoded for a header, or "".
func lookUp(who *identity.Identity, key string, unverified bool) string {
	if claim, ok := strings.CutPrefix(key, "claim."); ok {
		return encodeList(who.Claims.Strings(claim))
	}
	switch key {
	case "access_token", "id_token":
		return token(who, key)
	case "user.iss":
		return encodeValue(who.Issuer)
	case "user.login":
		return encodeValue(who.Login)
	case "user.provider":
		return encodeValue(who.Provider)
	case "user.client":
		return encodeValue(who.Client)
	case "user.scopes":
		return encodeList(who.Scopes)
	}
	if who.Machine {
		return "" // what follows describes a person (SEC-7)
	}
	switch key {
	case "user.sub":
		return encodeValue(who.Subject)
	case "user.email":
		if who.EmailVerified || unverified {
			return encodeValue(who.Email)
		}
	case "user.username":
		return encodeValue(who.Username)
	case "user.name":
		return encodeValue(who.Name)
	case "user.groups":
		return encodeList(who.Groups)
	}
	return ""
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
