package proxy

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/doorward/doorward/internal/origin"
)

// CORS says which other pages may read what a route answers. Doorward answers the preflights itself, before anybody is asked
// who they are, and adds the headers to every answer, also to its own refusals, so that a script can read them.
type CORS struct {
	Origins       []origin.Origin // exactly these; there is no "*" with cookies
	AnyOrigin     bool            // origins = ["*"]: without credentials
	Methods       []string        // = the route's
	Headers       []string        // that a script may send; = what it asks for
	ExposeHeaders []string
	Credentials   bool          // cookies are sent along
	MaxAge        time.Duration // = 10 min
}

const (
	headerOrigin           = "Origin"
	headerVary             = "Vary"
	headerAllowOrigin      = "Access-Control-Allow-Origin"
	headerAllowCredentials = "Access-Control-Allow-Credentials"
	headerAllowMethods     = "Access-Control-Allow-Methods"
	headerAllowHeaders     = "Access-Control-Allow-Headers"
	headerExpose           = "Access-Control-Expose-Headers"
	headerMaxAge           = "Access-Control-Max-Age"
	headerRequestMethod    = "Access-Control-Request-Method"
	headerRequestHeaders   = "Access-Control-Request-Headers"

	defaultMaxAge = 10 * time.Minute
	maxAsked      = 4 << 10 // bytes of header names that one preflight asks for
)

// cors is a CORS, compiled. nil adds nothing and answers no preflight. The slices are shared by all answers and never written to.
type cors struct {
	origins     map[string][]string // as a browser writes one, and the value that answers it
	any         []string            // the value for every origin, if there is one
	methods     []string            // nil = the one that is asked for, if the route takes it
	headers     []string            // nil = those that are asked for
	expose      []string            // nil = none
	credentials bool
	maxAge      []string
}

var (
	varyOrigin    = []string{headerOrigin}
	varyPreflight = []string{headerOrigin + ", " + headerRequestMethod + ", " + headerRequestHeaders}
	yes           = []string{"true"}
)

func newCORS(c *CORS) (*cors, error) {
	if c == nil {
		return nil, nil
	}
	if c.AnyOrigin && c.Credentials {
		return nil, errors.New(`cors.credentials: not with origins = ["*"]: every site could act in the name of whoever visits it`)
	}
	if len(c.Origins) == 0 && !c.AnyOrigin {
		return nil, errors.New(`cors.origins: at least one is needed, as "https://www.example.com"`)
	}
	made := &cors{origins: make(map[string][]string), credentials: c.Credentials}
	for _, o := range c.Origins {
		made.origins[o.String()] = []string{o.String()}
	}
	if c.AnyOrigin {
		made.any = []string{"*"}
	}
	for key, list := range map[string][]string{"methods": c.Methods, "headers": c.Headers, "expose_headers": c.ExposeHeaders} {
		for i, name := range list {
			if !isToken(name) || name == "*" {
				return nil, fmt.Errorf("cors.%s[%d]: %q is no name; there is no \"*\" here", key, i, name)
			}
		}
	}
	if c.MaxAge < 0 {
		return nil, errors.New("cors.max_age: it is less than nothing")
	}
	age := c.MaxAge
	if age == 0 {
		age = defaultMaxAge
	}
	made.methods, made.headers, made.expose = joined(c.Methods), joined(c.Headers), joined(c.ExposeHeaders)
	made.maxAge = []string{strconv.FormatInt(int64(age/time.Second), 10)}
	return made, nil
}

func joined(list []string) []string {
	if len(list) == 0 {
		return nil
	}
	return []string{strings.Join(list, ", ")}
}

// allowed returns the value of Access-Control-Allow-Origin for a request, nil if its page may not read the answer. An origin is
// compared as a whole, byte for byte: no suffix, no other port, no "null" (P183).
func (c *cors) allowed(h http.Header) []string {
	from := h[headerOrigin]
	switch {
	case len(from) != 1:
		return nil
	case c.any != nil && from[0] != "":
		return c.any
	}
	return c.origins[from[0]]
}

// trusts reports whether a page may do something in the name of whoever is signed in: that of a listed origin, where cookies go
// along.
func (c *cors) trusts(h http.Header) bool {
	return c != nil && c.credentials && c.any == nil && c.allowed(h) != nil
}

// preflightOf returns the method that a real preflight asks for (Fetch §3.3.2): OPTIONS with one Origin, one method and no body.
// Every other OPTIONS goes the ordinary way (P182).
func preflightOf(req *CanonicalRequest) (method string, ok bool) {
	h := req.in.Header
	if req.Method != http.MethodOptions || req.in.ContentLength != 0 || len(h[headerOrigin]) != 1 || len(h[headerRequestMethod]) != 1 {
		return "", false
	}
	return h[headerRequestMethod][0], true
}

// preflight answers a preflight of a listed origin for the route that the request will go to, and reports whether it did. Nobody
// is asked who they are, and nothing goes upstream: a browser sends no credentials with it (Fetch §3.3.4).
func (g *Gateway) preflight(w http.ResponseWriter, req *CanonicalRequest) bool {
	if !g.crossOrigin || req.Method != http.MethodOptions {
		return false
	}
	method, ok := preflightOf(req)
	if !ok {
		return false
	}
	will := *req
	will.Method = method
	rt, err := g.routes.Find(discard{}, &will)
	if err != nil || !rt.cors.preflight(w, req) {
		return false
	}
	req.record.Route, req.record.Outcome, req.record.Rule = rt.name, Allow.String(), "preflight"
	return true
}

// preflight answers a preflight for a route that takes the method which it asks for, and reports whether it did.
func (c *cors) preflight(w http.ResponseWriter, req *CanonicalRequest) bool {
	method, ok := preflightOf(req)
	if c == nil || !ok {
		return false
	}
	from := c.allowed(req.in.Header)
	if from == nil {
		return false
	}
	headers, ok := c.asked(req.in.Header[headerRequestHeaders])
	if !ok {
		return false
	}
	h := w.Header()
	h[headerAllowOrigin], h[headerVary], h[headerMaxAge] = from, varyPreflight, c.maxAge
	if c.credentials {
		h[headerAllowCredentials] = yes
	}
	h[headerAllowMethods] = c.methods
	if c.methods == nil {
		h[headerAllowMethods] = []string{method}
	}
	if headers != nil {
		h[headerAllowHeaders] = headers
	}
	w.WriteHeader(http.StatusNoContent)
	return true
}

// asked returns the headers that a script may send: the configured ones, else those that it asks for, if they are names.
func (c *cors) asked(lines []string) (headers []string, ok bool) {
	if c.headers != nil || len(lines) == 0 {
		return c.headers, true
	}
	list := strings.Join(lines, ",")
	if len(list) > maxAsked {
		return nil, false
	}
	for name := range strings.SplitSeq(list, ",") {
		if name = strings.TrimSpace(name); name != "" && (!isToken(name) || name == "*") {
			return nil, false
		}
	}
	return []string{list}, true
}

// allow adds the headers to an answer of ours, a refusal above all.
func (c *cors) allow(w http.ResponseWriter, req *CanonicalRequest) {
	if c != nil {
		c.add(w.Header(), req)
	}
}

func (c *cors) add(h http.Header, req *CanonicalRequest) {
	addVary(h)
	from := c.allowed(req.in.Header)
	if from == nil {
		return
	}
	h[headerAllowOrigin] = from
	if c.credentials {
		h[headerAllowCredentials] = yes
	}
	if c.expose != nil {
		h[headerExpose] = c.expose
	}
}

// addVary says that the answer depends on Origin, also where there is none: a cache must not give what one page got to the next.
func addVary(h http.Header) {
	for _, line := range h[headerVary] {
		for name := range strings.SplitSeq(line, ",") {
			if name = strings.TrimSpace(name); name == "*" || strings.EqualFold(name, headerOrigin) {
				return
			}
		}
	}
	if h[headerVary] == nil {
		h[headerVary] = varyOrigin
		return
	}
	h[headerVary] = append(slices.Clip(h[headerVary]), headerOrigin)
}

// replace puts our word in the place of an upstream's. What allow has said already would stand there twice.
func (c *cors) replace(theirs http.Header, req *CanonicalRequest, ours ...http.Header) {
	if c == nil {
		return
	}
	for name := range theirs {
		if strings.HasPrefix(name, "Access-Control-") {
			delete(theirs, name)
		}
	}
	for _, name := range []string{headerAllowOrigin, headerAllowCredentials, headerExpose, headerVary} {
		for _, said := range ours {
			delete(said, name)
		}
	}
	c.add(theirs, req)
}

// discard is the ResponseWriter of a question that nobody hears the answer of.
type discard struct{}

func (discard) Header() http.Header         { return make(http.Header) }
func (discard) Write(p []byte) (int, error) { return len(p), nil }
func (discard) WriteHeader(int)             {}
