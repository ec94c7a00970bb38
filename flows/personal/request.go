package personal

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/doorward/doorward/internal/pages"
)

const maxBody = 16 << 10 // bytes

// wish is what a person asks for: a token, or the end of one.
type wish struct {
	name          string
	life          time.Duration // 0 = the usual one
	scopes, hosts []string
	readOnly      bool
	revoke        string // id; then nothing else is there
}

// readWish reads a form, or JSON.
func readWish(w http.ResponseWriter, r *http.Request) (wish, error) {
	media, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || len(r.Header["Content-Type"]) != 1 || r.Header.Get("Content-Encoding") != "" {
		return wish{}, bad("This is neither a form (application/x-www-form-urlencoded) nor JSON.")
	}
	if charset, ok := params["charset"]; ok && !strings.EqualFold(charset, "utf-8") {
		return wish{}, bad("The text must be encoded in UTF-8.")
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return wish{}, &pages.Error{Code: codeBodyTooLarge, Detail: fmt.Sprintf("That is more than %d kB.", maxBody>>10)}
	case err != nil:
		return wish{}, &pages.Error{Code: codeBadRequest, Detail: "The request broke off.", Err: err}
	}
	var asked wish
	switch media {
	case "application/x-www-form-urlencoded":
		asked, err = parseForm(string(body))
	case "application/json":
		asked, err = parseJSON(body)
	default:
		return wish{}, bad("This is neither a form (application/x-www-form-urlencoded) nor JSON.")
	}
	if err != nil {
		return asked, err
	}
	return asked, asked.check()
}

// parseForm reads a form. What it does not know, or is there twice, it refuses: whoever sent it meant something.
func parseForm(body string) (w wish, err error) {
	form, err := url.ParseQuery(body)
	if err != nil {
		return w, bad("The form is not encoded correctly.") // err repeats what was typed
	}
	for name, values := range form {
		if len(values) > 1 && name != "scopes" && name != "hosts" {
			return w, bad("The form says something twice.")
		}
		switch name {
		case "name":
			w.name = strings.TrimSpace(values[0])
		case "revoke":
			w.revoke = values[0]
		case "expires_in":
			seconds, err := strconv.ParseUint(values[0], 10, 31)
			if err != nil || seconds == 0 {
				return w, bad("expires_in is a number of seconds.")
			}
			w.life = time.Duration(seconds) * time.Second
		case "read_only":
			if w.readOnly = values[0] == "true"; !w.readOnly && values[0] != "false" {
				return w, bad("read_only is true or false.")
			}
		case "scopes":
			for _, v := range values { // several fields, or one with spaces between them as in RFC 6749 §3.3
				w.scopes = append(w.scopes, strings.Fields(v)...)
			}
		case "hosts":
			w.hosts = values
		default:
			return w, bad("The form has a field that is not known here.")
		}
	}
	return w, nil
}

// parseJSON reads the same from a JSON object.
func parseJSON(body []byte) (w wish, err error) {
	var o struct {
		Name      *string  `json:"name"`
		ExpiresIn *int64   `json:"expires_in"`
		Scopes    []string `json:"scopes"`
		Hosts     []string `json:"hosts"`
		ReadOnly  bool     `json:"read_only"`
		Revoke    string   `json:"revoke"`
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(&o); err != nil || d.More() || len(bytes.TrimSpace(body[d.InputOffset():])) > 0 {
		return w, bad("This is no JSON object of name, expires_in, scopes, hosts and read_only, or of revoke.")
	}
	w = wish{scopes: o.Scopes, hosts: o.Hosts, readOnly: o.ReadOnly, revoke: o.Revoke}
	if o.Name != nil {
		w.name = strings.TrimSpace(*o.Name)
	}
	if o.ExpiresIn != nil {
		if *o.ExpiresIn <= 0 || *o.ExpiresIn > 1<<31 {
			return w, bad("expires_in is a number of seconds.")
		}
		w.life = time.Duration(*o.ExpiresIn) * time.Second
	}
	return w, nil
}

// check refuses what asks for two things, or names a token so that nobody could tell it in a list.
func (w *wish) check() error {
	if w.revoke != "" {
		if w.name != "" || w.life != 0 || w.scopes != nil || w.hosts != nil || w.readOnly {
			return bad("One request either makes a token or revokes one.")
		}
		return nil
	}
	if utf8.RuneCountInString(w.name) > maxName || !utf8.ValidString(w.name) || strings.ContainsFunc(w.name, hidden) || !strings.ContainsFunc(w.name, legible) {
		return bad(fmt.Sprintf("A token needs a name of 1 to %d characters that can be read.", maxName))
	}
	return nil
}

// hidden reports whether a character is one that nobody sees, or that changes the order in which others are seen: who has got
// hold of a session must not be able to hide a token in its owner's list.
func hidden(r rune) bool {
	return !unicode.IsPrint(r) || r == braillePatternBlank || unicode.Is(unicode.Other_Default_Ignorable_Code_Point, r)
}

const braillePatternBlank = '\u2800' // counts as a symbol

// legible reports whether a character alone is enough to tell a name.
func legible(r rune) bool {
	return unicode.IsLetter(r) || unicode.IsNumber(r) || unicode.Is(unicode.So, r)
}
