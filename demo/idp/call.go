package idp

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// maxRequest caps the body of a request.
const maxRequest = 1 << 20

// call is one request on its way.
type call struct {
	s           *Server
	w           *answer
	r           *http.Request
	endpoint    string
	query, form url.Values
	bad         error // of parsing
	sins        []Sin
	record      *Request
	jkt         string // of the key that the request proves to have (RFC 9449 §5): tokens are bound to it
	connect     bool   // the page may ask this very origin by script
}

func (s *Server) begin(w http.ResponseWriter, r *http.Request, endpoint string) *call {
	c := &call{s: s, r: r, endpoint: endpoint}
	c.w = &answer{ResponseWriter: w, call: c}
	c.query, c.form, c.bad = parse(w, r)
	c.record = &Request{
		Endpoint: endpoint, Method: r.Method, URL: *r.URL, Query: c.query, Form: c.form,
		Header: r.Header.Clone(), Time: s.now(),
	}
	if endpoint != Phone || !wantsJSON(r) { // or an open page would soon have pushed out everything else
		s.records.add(c.record)
	}
	return c
}

// parse reads query and form. Semicolons, bad escapes and other content types are refused, not guessed at.
func parse(w http.ResponseWriter, r *http.Request) (query, form url.Values, err error) {
	query, err = url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return query, nil, refuse("invalid_request", "malformed query")
	}
	if r.Method != http.MethodPost {
		return query, nil, nil
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxRequest))
	if err != nil {
		return query, nil, &oauthError{Status: http.StatusRequestEntityTooLarge, Code: "invalid_request", Description: "body could not be read"}
	}
	if len(body) == 0 {
		return query, url.Values{}, nil
	}
	if kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); kind != "application/x-www-form-urlencoded" {
		return query, nil, refuse("invalid_request", "want Content-Type application/x-www-form-urlencoded")
	}
	if form, err = url.ParseQuery(string(body)); err != nil {
		return query, form, refuse("invalid_request", "malformed form")
	}
	return query, form, nil
}

// end completes the record. A swallowed answer ends in a broken connection.
func (c *call) end() {
	c.s.records.note(func() { c.record.Status, c.record.Took = c.w.status, c.s.now().Sub(c.record.Time) })
	if c.w.swallow {
		panic(http.ErrAbortHandler) // net/http closes the connection without a word
	}
}

// take adds the sins that are due at an endpoint and returns them.
func (c *call) take(endpoint string, params ...url.Values) []Sin {
	sins := c.s.sins.take(endpoint, params...)
	c.sins = append(c.sins, sins...)
	c.s.records.note(func() {
		names := slices.Clone(c.record.Sins) // others may hold the old list
		for _, sin := range sins {
			names = append(names, sin.Name)
		}
		c.record.Sins = names
	})
	return sins
}

// noteClient puts into the record who the request claims to come from.
func (c *call) noteClient(id, method string) {
	c.s.records.note(func() { c.record.ClientID, c.record.ClientAuth = id, method })
}

// noteAnswer keeps what is about to be answered, if that is wanted.
func (c *call) noteAnswer(members map[string]any) {
	if c.s.config.KeepAnswers {
		c.s.records.note(func() { c.record.Answer = members })
	}
}

// json answers JSON with the changes that sins make to its members.
func (c *call) json(status int, members map[string]any) {
	for _, sin := range c.sins {
		sin.edit(members)
	}
	if code, ok := members["error"].(string); ok {
		c.s.records.note(func() { c.record.Error = code })
	}
	members = clean(members)
	c.noteAnswer(members)
	body, err := json.Marshal(members)
	if err != nil {
		body, status = []byte(`{"error":"server_error"}`), http.StatusInternalServerError
	}
	c.w.Header().Set("Content-Type", "application/json")
	c.w.WriteHeader(status)
	_, _ = c.w.Write(body)
}

// noStore is RFC 6749 §5.1.
func (c *call) noStore() {
	c.w.Header().Set("Cache-Control", "no-store")
	c.w.Header().Set("Pragma", "no-cache")
}

// oauthError is an error of RFC 6749 §5.2 or of a page.
type oauthError struct {
	Status            int // = 400
	Code, Description string
	Challenge         string // WWW-Authenticate
	Claims            string // what the next authorization request must ask for, as Entra says it
}

func (e *oauthError) Error() string { return e.Code + ": " + e.Description }

func refuse(code, format string, args ...any) *oauthError {
	return &oauthError{Status: http.StatusBadRequest, Code: code, Description: fmt.Sprintf(format, args...)}
}

// fail answers an error: as a page where people are, as JSON where programs are.
func (c *call) fail(err error) {
	var e *oauthError
	if !errors.As(err, &e) {
		e = &oauthError{Status: http.StatusInternalServerError, Code: "server_error", Description: err.Error()}
	}
	if e.Challenge != "" {
		c.w.Header().Set("WWW-Authenticate", e.Challenge)
	}
	c.noStore()
	switch c.endpoint {
	case Authorize, Login, Consent, EndSession, DeviceVerification, Phone:
		c.errorPage(e)
		return
	}
	members := map[string]any{"error": e.Code}
	if e.Description != "" {
		members["error_description"] = strings.Map(errorChars, e.Description)
	}
	if e.Claims != "" {
		members["claims"] = e.Claims
	}
	c.json(e.Status, members)
}

// errorChars keeps to the alphabet of error_description (RFC 6749 §5.2).
func errorChars(r rune) rune {
	if r < 0x20 || r > 0x7e || r == '"' || r == '\\' {
		return '?'
	}
	return r
}
