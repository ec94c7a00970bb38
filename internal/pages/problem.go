package pages

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
)

// bare is the policy of answers that are no page.
const bare = "default-src 'none'; frame-ancestors 'none'"

// problem is RFC 9457 as CONTRACT §5 fixes it.
type problem struct {
	Type      string `json:"type"`
	Title     string `json:"title"`
	Status    int    `json:"status"`
	Code      string `json:"code"`
	Detail    string `json:"detail,omitempty"`
	Reference string `json:"reference,omitempty"`
	LoginURL  string `json:"login_url,omitempty"`
}

func (p *Pages) problem(w http.ResponseWriter, r *http.Request, e *Error, reference string) {
	body, err := encode(problem{
		Type:      "urn:doorward:error:" + e.Code,
		Title:     codes[e.Code].title,
		Status:    e.status(),
		Code:      e.Code,
		Detail:    e.detail(),
		Reference: reference,
		LoginURL:  link(e.LoginURL),
	})
	if err != nil { // strings and a number always encode
		panic(err)
	}
	body, err = extend(body, e.Members)
	if err != nil {
		p.Error(w, r, fmt.Errorf("members of the problem %s: %w", e.Code, err))
		return
	}
	send(w, r, e.status(), "application/problem+json", bare, noReferrer, body)
}

// standard are the members of a problem document that no further member takes the place of,
// also where one of them is left out: readers would take it for ours.
var standard = []string{"type", "title", "status", "code", "detail", "instance", "reference", "login_url"}

// extend puts further members after those of the document (RFC 9457 §3.2), by name.
func extend(document []byte, members map[string]any) ([]byte, error) {
	further := maps.Clone(members)
	maps.DeleteFunc(further, func(name string, _ any) bool {
		return slices.ContainsFunc(standard, func(s string) bool { return strings.EqualFold(s, name) })
	})
	if len(further) == 0 {
		return document, nil
	}
	more, err := encode(further)
	if err != nil {
		return nil, err
	}
	document = bytes.TrimSuffix(document, []byte("}\n"))
	document = append(document, ',')
	return append(document, more[1:]...), nil
}

// JSON writes v with no-store. Only for our own endpoints.
func (p *Pages) JSON(w http.ResponseWriter, r *http.Request, status int, v any) {
	body, err := encode(v)
	if err != nil {
		p.Error(w, r, fmt.Errorf("encoding the answer: %w", err))
		return
	}
	send(w, r, status, "application/json", bare, noReferrer, body)
}

// encode leaves "&" in URLs as it is, for people who read what curl shows them; no browser takes
// the answer for HTML, because its type says so and nosniff forbids to guess.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(v)
	return b.Bytes(), err
}
