package proxy

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/doorward/doorward/internal/origin"
	"github.com/doorward/doorward/internal/pages"
	"github.com/doorward/doorward/internal/telemetry"
)

const codeNoSuchTarget = "no_such_target"

// call is one outgoing request: what it names, taken apart once. What was judged is what is sent (S1).
type call struct {
	in     *http.Request
	record *telemetry.Record

	target   *egressTarget // nil: the token API
	upstream *upstream     // that the address itself names; nil = whose turn it is

	authority        string // under which the application calls, as configured; never what it wrote
	asked            string // path as it was asked for, canonical
	prefix           string // what was cut off it
	encoded, decoded string // the rest, both ways of writing it; see parsePath
	whole            bool   // the rest is the upstream's own path, with its base
	query            string
	hasQuery         bool
}

// find reads what a request names, and says which target stands for it. Only what is written in the configuration is
// found: a name is never resolved, and no part of what the application wrote becomes a part of where the token goes
// (P146).
func (d *directory) find(w http.ResponseWriter, c *call) error {
	switch c.in.Method {
	case http.MethodConnect:
		return d.refuseTunnel(w, c.in.Host)
	case http.MethodTrace:
		return methodNotAllowed(w, anyMethod)
	}
	scheme, path, refusal := c.split()
	if refusal == "" {
		c.encoded, c.decoded, refusal = parsePath(path)
		if refusal != "" && d.slashed && d.takesSlash(c, scheme, path) {
			return nil
		}
	}
	if refusal == "" {
		refusal = checkQuery(c.query)
	}
	if refusal != "" {
		return &pages.Error{Code: codeBadRequest, Detail: refusal}
	}
	c.asked = c.encoded
	return d.locate(c, scheme)
}

// takesSlash reads a path once more, with encoded slashes as parts of its segments, and keeps that reading if the target
// it leads to has opted in, and is the one that plain slashes would lead to. The token API is no target.
func (d *directory) takesSlash(c *call, scheme, path string) bool {
	encoded, decoded, refusal := parseSlashed(path)
	if refusal != "" || checkQuery(c.query) != "" {
		return false
	}
	plain := *c
	plain.encoded, plain.decoded = plainSlashes.Replace(encoded), unslashed(decoded)
	plain.asked = plain.encoded
	c.encoded, c.decoded, c.asked = encoded, decoded, encoded
	if d.locate(c, scheme) != nil || c.target == nil || !c.target.slash ||
		d.locate(&plain, scheme) != nil || plain.target != c.target || plain.upstream != c.upstream {
		c.target, c.upstream = nil, nil
		return false
	}
	c.decoded = unslashed(c.decoded) // judged; from here on it is a URL's
	return true
}

// locate finds what a canonical path at the host that is called belongs to.
func (d *directory) locate(c *call, scheme string) error {
	at, ok := d.places[c.in.Host] // the usual case: as configured, and no proxy is spoken to
	if !ok || scheme != "" {
		at = d.lookup(scheme, c.in.Host)
	}
	switch {
	case at == nil:
	case at.self:
		return d.findByPath(c, at)
	case at.target != nil:
		c.target, c.authority = at.target, at.authority
		return nil
	case scheme != "": // an upstream's own address is for those who speak to a proxy
		return at.pick(c)
	}
	return noSuchTarget(c.in.Host + c.asked)
}

// split takes the request target apart by its text (RFC 9112 §3.2). The scheme is "" but in absolute form. There the host
// of the target is the host, whatever the header Host says (§3.2.2), and net/http has put it there.
func (c *call) split() (scheme, path, refusal string) {
	r, target := c.in, c.in.RequestURI
	switch {
	case strings.IndexByte(target, '#') >= 0:
		return "", "", "The request target holds a number sign (#)."
	case r.URL.Opaque != "":
		return "", "", "The request target is neither a path nor a complete URL."
	case strings.HasPrefix(target, "/"):
	case r.ProtoMajor >= 2:
		return "", "", "The request target is not a path."
	default:
		before, rest, ok := strings.Cut(target, "://")
		if scheme = strings.ToLower(before); !ok || scheme != "http" && scheme != "https" {
			return "", "", "The request target is neither a path nor a complete URL."
		}
		end := strings.IndexAny(rest, "/?")
		if end < 0 {
			end = len(rest)
		}
		if rest[:end] != r.Host { // user@host, and whatever else net/url reads in a way of its own
			return "", "", "The host of the request target cannot be used."
		}
		if target = rest[end:]; target == "" || target[0] == '?' {
			target = "/" + target // RFC 9110 §4.2.3
		}
	}
	path, c.query, c.hasQuery = strings.Cut(target, "?")
	return scheme, path, ""
}

// findByPath finds what stands below the listener's own address.
func (d *directory) findByPath(c *call, at *entry) error {
	c.authority = at.authority
	if isAPI(c.decoded) {
		return nil
	}
	first, _, _ := strings.Cut(c.decoded[1:], "/")
	for _, t := range d.paths[first] {
		if liesIn(c.decoded, t.path) {
			c.target = t
			c.encoded, c.decoded = cutSegments(c.encoded, t.depth), cutSegments(c.decoded, t.depth)
			c.prefix, _ = strings.CutSuffix(c.asked, c.encoded) // of "/data" the rest is "/", without being there
			return nil
		}
	}
	return noSuchTarget(at.authority + c.asked)
}

// pick finds the target whose upstream an absolute URL names: of several at one host, the one with the longest path
// that the URL lies in.
func (p *entry) pick(c *call) error {
	var best *origins
	for i := range p.upstreams { // the longest first
		o := &p.upstreams[i]
		switch {
		case !liesIn(c.decoded, o.upstream.decodedBase):
		case best == nil:
			best = o
		case o.target != best.target && o.upstream.decodedBase == best.upstream.decodedBase:
			return &pages.Error{Code: codeNoSuchTarget, Detail: "More than one [[egress]] has this upstream; call the one that is meant by its host or its path."}
		}
	}
	if best == nil {
		return noSuchTarget(p.authority + c.asked)
	}
	c.target, c.upstream, c.authority, c.whole = best.target, best.upstream, p.authority, true
	return nil
}

// liesIn reports whether a path is base, or lies below it; both are decoded, and base has no slash at its end.
func liesIn(decoded, base string) bool {
	return strings.HasPrefix(decoded, base) && (len(decoded) == len(base) || decoded[len(base)] == '/')
}

// isAPI reports whether a path is the token API's: its endpoints, and whatever lies below them.
func isAPI(decoded string) bool {
	short, _ := strings.CutPrefix(decoded, "/api/v1")
	return liesIn(short, "/token") || liesIn(short, "/introspect")
}

// noSuchTarget denies by default.
func noSuchTarget(asked string) error {
	return &pages.Error{Code: codeNoSuchTarget, Detail: "No [[egress]] of the configuration stands for this address; nothing was sent.", Err: fmt.Errorf("the address was %s", excerpt(asked))}
}

// refuseTunnel answers CONNECT: no token can be put into what is encrypted between the application and its upstream.
func (d *directory) refuseTunnel(w http.ResponseWriter, authority string) error {
	instead, then := d.example, ": towards an https upstream it becomes https."
	if at := d.lookup("http", strings.TrimSuffix(strings.TrimSuffix(authority, ":443"), ":80")); at != nil && !at.self {
		instead, then = "http://"+at.authority+"/", "."
		if at.secure() {
			then = ": towards the upstream it becomes https."
		}
	}
	w.Header().Set("Allow", anyMethod)
	return &pages.Error{
		Code:   codeMethodNotAllowed,
		Detail: "No token can be put into a tunnel. Call " + instead + " instead, with http:// and over this address as the proxy" + then,
	}
}

// secure reports whether whatever is called by this authority goes out over https.
func (p *entry) secure() bool {
	if p.target != nil {
		return !slices.ContainsFunc(p.target.upstreams, func(up upstream) bool { return up.scheme != "https" })
	}
	return !slices.ContainsFunc(p.upstreams, func(o origins) bool { return o.upstream.scheme != "https" })
}

// lookup finds what an authority means under a scheme; "" is that of the listener.
func (d *directory) lookup(scheme, authority string) *entry {
	if scheme == "" {
		scheme = "http"
	}
	for i := range len(authority) {
		c := authority[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && strings.IndexByte(".-_:[]", c) < 0 {
			return nil // nothing in it is ever decoded
		}
	}
	o, err := origin.Parse(scheme + "://" + authority)
	if err != nil {
		return nil
	}
	return d.origins[o]
}
