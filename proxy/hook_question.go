package proxy

import (
	"encoding/json"
	"errors"
	"net/url"
	"slices"
	"strings"

	"github.com/doorward/doorward/internal/identity"
)

var errAmbiguousQuery = errors.New("the query can be read in more than one way, so that no decision could be asked for")

// hookUser is input.user of a question: what an expression knows as user.
type hookUser struct {
	Issuer  string   `json:"iss"`
	Subject string   `json:"sub"`
	Email   string   `json:"email,omitempty"` // if it is verified: no other takes part in a decision (P202)
	Groups  []string `json:"groups"`
	Scopes  []string `json:"scopes"`
	Login   string   `json:"login,omitempty"`
	Client  string   `json:"client,omitempty"`
	Machine bool     `json:"machine"`
}

// hookRequest is input.request, of the canonical request (S1).
type hookRequest struct {
	Method   string              `json:"method"`
	Host     string              `json:"host"`
	Path     string              `json:"path"`          // decoded once
	Segments []string            `json:"path_segments"` // each decoded by itself: an encoded slash ends none
	Query    map[string][]string `json:"query"`
	IP       string              `json:"ip,omitempty"`
	Headers  map[string][]string `json:"headers,omitempty"` // names in small letters
}

// aboutKey is under which an identity keeps its part of a question.
type aboutKey struct{}

// question is the body of a POST: {"input": {"user": …, "claims": …, "request": …, "route": …}}. There is never a token, a
// cookie or an Authorization in it.
func (h *hook) question(rt *route, req *CanonicalRequest, who *identity.Identity) ([]byte, error) {
	query, err := url.ParseQuery(req.Query)
	if err != nil { // a semicolon: what it separates differs from server to server
		return nil, errAmbiguousQuery
	}
	r := hookRequest{Method: req.Method, Host: req.site.authority, Path: req.decoded, Segments: segmentsOf(req.Path), Query: query, IP: req.client}
	for _, name := range h.headers {
		if values := req.in.Header[name]; len(values) > 0 && !slices.Contains(rt.secretHeaders, name) {
			if r.Headers == nil {
				r.Headers = make(map[string][]string, len(h.headers))
			}
			r.Headers[strings.ToLower(name)] = values
		}
	}
	about, _ := who.Memo(aboutKey{}, func() any { return aboutOf(who) }).([]byte)
	body := make([]byte, 0, len(about)+512)
	body = append(append(body, `{"input":{`...), about...)
	for _, part := range []struct {
		name  string
		value any
	}{{"request", r}, {"route", rt.name}} {
		text, err := json.Marshal(part.value)
		if err != nil {
			return nil, err // texts only
		}
		body = append(append(body, `,"`+part.name+`":`...), text...)
	}
	return append(body, "}}"...), nil
}

// aboutOf is what a question says of who is calling. Claims are written anew from what rules read, so that who decides reads
// the same.
func aboutOf(who *identity.Identity) []byte {
	u := hookUser{
		Issuer: who.Issuer, Subject: who.Subject, Groups: who.Groups, Scopes: who.Scopes, Login: who.Login, Client: who.Client, Machine: who.Machine,
	}
	if who.EmailVerified && !who.Machine {
		u.Email = who.Email
	}
	if u.Groups == nil {
		u.Groups = []string{}
	}
	if u.Scopes == nil {
		u.Scopes = []string{}
	}
	claims := who.Claims.Map()
	if claims == nil {
		claims = map[string]any{}
	}
	user, err := json.Marshal(u)
	all, also := json.Marshal(claims)
	if err != nil || also != nil {
		panic("proxy: claims that came as JSON are none") // decide makes an outage of it
	}
	return slices.Concat([]byte(`"user":`), user, []byte(`,"claims":`), all)
}

// segmentsOf splits a canonical path before it decodes: there is none for a slash at the end.
func segmentsOf(path string) []string {
	segments := []string{}
	for s := range strings.SplitSeq(strings.Trim(path, "/"), "/") {
		plain, err := url.PathUnescape(s)
		if err != nil {
			plain = s // a canonical path has none
		}
		if plain != "" {
			segments = append(segments, plain)
		}
	}
	return segments
}
