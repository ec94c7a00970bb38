package proxy

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
)

// Response says what is changed of a route's answers on the way out: of those of its upstreams, and of those that it makes
// itself (Route.Answer). Doorward's own pages, refusals and logins among them, are never changed by it.
type Response struct {
	Set      map[string]string // header → value, in the place of what the answer says
	Default  map[string]string // the same, where the answer says nothing
	Remove   []string          // headers that go no further, nor as trailers and early hints
	Compress []string          // "zstd", "gzip": codings, the first one first where a client likes several as much; see compressor for what is compressed. nil = none
}

// response is a Response, compiled. nil changes nothing.
type response struct {
	set, otherwise []field
	remove         []string
	compressor     *compressor // nil = nothing is compressed
}

func newResponse(rc Route, e *encoders) (r *response, err error) {
	c := rc.Response
	if len(c.Set)+len(c.Default)+len(c.Remove)+len(c.Compress) == 0 {
		return nil, nil
	}
	r = &response{}
	taken := make(map[string]string) // header → key that speaks of it
	if r.set, err = responseFields("set", c.Set, rc.Public, taken); err != nil {
		return nil, err
	}
	if r.otherwise, err = responseFields("default", c.Default, rc.Public, taken); err != nil {
		return nil, err
	}
	for i, name := range c.Remove {
		key := fmt.Sprintf("response_headers.remove[%d]", i)
		canonical := http.CanonicalHeaderKey(name)
		switch {
		case !headerName(name):
			return nil, fmt.Errorf("%s: %q: a header name is made of letters, digits and -", key, name)
		case framing[canonical]:
			return nil, fmt.Errorf("%s: %s says how the answer is sent, and is not the route's to remove", key, canonical)
		case taken[canonical] != "":
			return nil, fmt.Errorf("%s: %s stands in %s already; set alone replaces what the answer says", key, canonical, taken[canonical])
		}
		taken[canonical] = "remove"
		r.remove = append(r.remove, canonical)
	}
	if len(c.Compress) > 0 {
		if r.compressor, err = newCompressor(c.Compress, e); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// framing are headers that belong to the message and not to the route: a wrong one splits it, or makes it unreadable.
var framing = set([]string{
	"Connection", "Proxy-Connection", "Keep-Alive", "Te", "Trailer", "Transfer-Encoding", "Upgrade", "Content-Length", "Content-Encoding", "Content-Range", "Date",
	"Doorward-Reference",
})

// sharedOnly says that Cache-Control speaks to shared caches.
func sharedOnly(value string) bool {
	return saysDirective([]string{value}, "public") || saysDirective([]string{value}, "s-maxage")
}

func responseFields(key string, values map[string]string, public bool, taken map[string]string) (fields []field, err error) {
	for _, name := range slices.Sorted(maps.Keys(values)) {
		value, canonical := values[name], http.CanonicalHeaderKey(name)
		switch {
		case !headerName(name):
			err = errors.New("a header name is made of letters, digits and -")
		case framing[canonical]:
			err = errors.New("it says how the answer is sent, and is not the route's to set")
		case canonical == "Set-Cookie":
			err = errors.New("a cookie for everybody who comes is none that anybody needs, and could take the place of the session's")
		case taken[canonical] != "":
			err = fmt.Errorf("%s stands in %s already", canonical, taken[canonical])
		case value == "":
			err = errors.New("it is empty; remove takes a header away")
		case !visible(strings.ReplaceAll(value, " ", "")) || value != strings.Trim(value, " "):
			err = errors.New("the text must be printable ASCII without spaces at its ends")
		case canonical == "Clear-Site-Data" && !clearsNoCookies(value):
			err = errors.New(`"cookies" and "*" would end the sessions of every host beside this one`)
		case !public && (canonical == "Cache-Control" && sharedOnly(value) || slices.Contains(sharedCacheOnly, canonical)):
			err = errors.New("no shared cache may keep what only some people may see; give what everybody may see a route of its own with public = true")
		}
		if err != nil {
			return nil, fmt.Errorf("response_headers.%s.%s: %w", key, name, err)
		}
		taken[canonical] = key
		fields = append(fields, field{name: canonical, values: []string{value}})
	}
	return fields, nil
}

func clearsNoCookies(value string) bool {
	h := http.Header{"Clear-Site-Data": {value}}
	keepCookies(h)
	return h.Get("Clear-Site-Data") == value
}

// change is for the header of each answer of an upstream and of the route itself, before Doorward takes out what may not pass.
func (r *response) change(h http.Header) {
	if r == nil {
		return
	}
	for _, name := range r.remove {
		delete(h, name)
	}
	for _, f := range r.set {
		h[f.name] = f.values
	}
	for _, f := range r.otherwise {
		if len(h[f.name]) == 0 {
			h[f.name] = f.values
		}
	}
}

// withhold is for trailers and early hints: what the route removes or says itself does not come in by another door.
func (r *response) withhold(h http.Header) {
	if r == nil {
		return
	}
	for _, name := range r.remove {
		withholdField(h, name)
	}
	for _, f := range r.set {
		withholdField(h, f.name)
	}
}

func withholdField(h http.Header, name string) {
	delete(h, name)
	delete(h, http.TrailerPrefix+name)
}

func (r *response) compresses() bool { return r != nil && r.compressor != nil }
