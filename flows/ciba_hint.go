package flows

import (
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"github.com/doorward/doorward/internal/secret"
)

const (
	maxHint      = 256     // bytes of a name, an address, a number
	maxHintToken = 4 << 10 // of a login_hint_token
	maxUserCode  = 64
	maxMessage   = 50 // bytes of a binding message: Keycloak takes no more, and a phone shows no more

	// codeAlphabet has no vowels, so that no code is a word, and none of the characters that are taken for one
	// another: 0 and O, 1 I L, 2 and Z, 5 and S, U and V. All are in Keycloak's alphabet.
	codeAlphabet = "BCDFGHJKMNPQRTVWXY346789"
	codeLength   = 5

	codePlace = "{code}"
)

// checkHint says what is wrong with what a person has typed, "" if nothing is: printable, and short (P169). What it
// means is the provider's to judge.
func (c *ciba) checkHint(hint string) string {
	most := maxHint
	if c.hint == hintToken {
		most = maxHintToken
	}
	switch {
	case hint == "":
		return "Who is to be asked is missing."
	case len(hint) > most:
		return "What says who is to be asked is too long."
	case !printable(hint):
		return "What says who is to be asked holds characters that cannot be printed."
	}
	return ""
}

// checkUserCode says what is wrong with a user code, "" if nothing is.
func (c *ciba) checkUserCode(code secret.String) string {
	s := code.Reveal()
	switch {
	case !c.userCode && s != "":
		return "This sign-in takes no user code."
	case c.userCode && s == "":
		return "The code that is yours for sign-ins by phone is missing."
	case len(s) > maxUserCode || !printable(s):
		return "The user code is too long, or holds characters that cannot be printed."
	}
	return ""
}

// printable accepts letters, marks, numbers, punctuation, symbols and the ASCII space: no control characters,
// no line ends, and none of the marks that turn the direction of a text.
func printable(s string) bool {
	return utf8.ValidString(s) && strings.IndexFunc(s, func(r rune) bool { return !unicode.IsPrint(r) || r == utf8.RuneError }) < 0
}

// canonicalHint is the same for all ways to write one name, so that they are counted together.
func canonicalHint(hint string) string {
	return strings.ToLower(norm.NFKC.String(strings.Join(strings.Fields(hint), " ")))
}

// messageTemplate checks a configured binding message. Without a code in it, it would tell no request from
// another, and two screens could not be compared (CIBA §7.1, CD-2).
func messageTemplate(text string) (string, error) {
	if text == "" || text == "auto" {
		return codePlace, nil
	}
	switch long := len(text) - len(codePlace) + codeLength; {
	case strings.Count(text, codePlace) != 1:
		return "", errors.New("binding_message: {code} must stand in it once: it is what the person compares on both screens")
	case long > maxMessage:
		return "", fmt.Errorf("binding_message: it has %d characters with a code; at most %d", long, maxMessage)
	case !printable(text) || strings.ContainsFunc(text, func(r rune) bool { return r > unicode.MaxASCII }):
		return "", errors.New("binding_message: it must be plain ASCII text")
	}
	return text, nil
}

// bindingMessage is the message of one request.
func (c *ciba) bindingMessage() string {
	return strings.Replace(c.message, codePlace, shortCode(), 1)
}

// shortCode is for the eye: it binds two screens, and is no secret.
func shortCode() string {
	code := make([]byte, 0, codeLength)
	var b [1]byte
	for len(code) < codeLength {
		_, _ = rand.Read(b[:])
		if n := int(b[0]); n < 256/len(codeAlphabet)*len(codeAlphabet) { // else some would be more frequent
			code = append(code, codeAlphabet[n%len(codeAlphabet)])
		}
	}
	return string(code)
}
