package tokenapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"

	"github.com/doorward/doorward/internal/secret"
)

const maxBody = 64 << 10

const (
	typeJSON = "application/json"
	typeForm = "application/x-www-form-urlencoded"
)

var errTooLarge = errors.New("the body has more than 64 kB")

// request is what a caller may say. Nothing else is read: whatever else a body holds widens nothing (P141).
type request struct {
	provider  string // identity_provider, as a configuration spells it
	target    string
	userToken secret.String
	token     secret.String
	skipCache bool
}

// read reads the body of a request. Errors are for the caller; they name no content.
func read(w http.ResponseWriter, r *http.Request) (request, error) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if e := new(http.MaxBytesError); errors.As(err, &e) {
		return request{}, errTooLarge
	}
	if err != nil {
		return request{}, errors.New("the body could not be read")
	}
	return parse(r.Header.Get("Content-Type"), body)
}

func parse(contentType string, body []byte) (request, error) {
	kind, _, err := mime.ParseMediaType(contentType)
	if err != nil {
		kind = ""
	}
	var m members
	switch kind {
	case typeJSON:
		m, err = parseJSON(body)
	case typeForm:
		m, err = parseForm(string(body))
	default:
		return request{}, errors.New("unsupported media type; expected " + typeJSON + " or " + typeForm)
	}
	if err != nil {
		return request{}, err
	}
	return m.request()
}

// members are what was sent under the names that are read.
type members struct {
	text map[string]string
	skip bool
}

func known(name string) bool {
	switch name {
	case "identity_provider", "target", "user_token", "token", "skip_cache":
		return true
	}
	return false
}

func (m members) request() (request, error) {
	r := request{
		// Names of providers have no underscore here, and some of NAIS' have: entra_id is [provider.entra-id].
		provider:  strings.ReplaceAll(m.text["identity_provider"], "_", "-"),
		target:    m.text["target"],
		userToken: secret.New(m.text["user_token"]),
		token:     secret.New(m.text["token"]),
		skipCache: m.skip,
	}
	if r.provider == "" {
		return request{}, missing("identity_provider")
	}
	return r, nil
}

func missing(name string) error { return errors.New(name + " is missing") }

// parseJSON takes exactly one object without duplicate members: of two readers of one body, each could take another one.
// Names are compared exactly; Go's own decoder would take Target for target.
func parseJSON(body []byte) (members, error) {
	bad := errors.New("the body is not one JSON object")
	if !utf8.Valid(body) {
		return members{}, bad
	}
	d := json.NewDecoder(bytes.NewReader(body))
	if open, err := d.Token(); err != nil || open != json.Delim('{') {
		return members{}, bad
	}
	m := members{text: make(map[string]string)}
	seen := make(map[string]bool)
	for d.More() {
		t, err := d.Token()
		name, ok := t.(string)
		if err != nil || !ok {
			return members{}, bad
		}
		if seen[name] {
			return members{}, errors.New("the body has a member twice")
		}
		seen[name] = true
		var value json.RawMessage
		if d.Decode(&value) != nil {
			return members{}, bad
		}
		if err := m.take(name, value); err != nil {
			return members{}, err
		}
	}
	if _, err := d.Token(); err != nil {
		return members{}, bad
	}
	if _, err := d.Token(); err != io.EOF {
		return members{}, bad
	}
	return m, nil
}

func (m *members) take(name string, value json.RawMessage) error {
	if !known(name) || string(value) == "null" {
		return nil
	}
	if name == "skip_cache" {
		if json.Unmarshal(value, &m.skip) != nil {
			return errors.New("skip_cache is neither true nor false")
		}
		return nil
	}
	var s string
	if json.Unmarshal(value, &s) != nil {
		return fmt.Errorf("%s is not a string", name)
	}
	m.text[name] = s
	return nil
}

func parseForm(body string) (members, error) {
	form, err := url.ParseQuery(body)
	if err != nil {
		return members{}, errors.New("the body is not a form")
	}
	m := members{text: make(map[string]string)}
	for name, values := range form {
		switch {
		case !known(name):
		case len(values) > 1:
			return members{}, errors.New("the body has a parameter twice")
		case !utf8.ValidString(values[0]):
			return members{}, errors.New("the body is not UTF-8")
		case name != "skip_cache":
			m.text[name] = values[0]
		case values[0] == "true":
			m.skip = true
		case values[0] != "false" && values[0] != "":
			return members{}, errors.New("skip_cache is neither true nor false")
		}
	}
	return m, nil
}
