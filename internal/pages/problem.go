package pages

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
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
	send(w, r, e.status(), "application/problem+json", bare, noReferrer, body)
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
