package proxy

import (
	"strings"

	"github.com/doorward/doorward/internal/origin"
	"github.com/doorward/doorward/internal/pages"
)

const headerDestination = "Destination"

// destination is the second target of a COPY or MOVE (RFC 4918 §10.3): what it names is written
// to, and the source can be read there afterwards. It is judged like the first.
type destination struct {
	encoded, decoded string // a path; see parsePath
	absolute         bool   // it was written as a URL
}

// namesDestination reports whether the header means something with a method. With every other it
// is deleted: an upstream may believe it all the same.
func namesDestination(method string) bool { return method == "COPY" || method == "MOVE" }

// judgeDestination accepts a destination that the same route decides over as over the request
// itself, so that one judgement holds for both. Neither may have other routes below: a
// collection is copied, moved and overwritten together with what it holds.
func (g *Gateway) judgeDestination(req *CanonicalRequest, rt *route) error {
	if !namesDestination(req.Method) {
		return nil
	}
	if g.routes.holdsOthers(req.Origin, req.decoded) {
		return badDestination("What is to be copied or moved holds paths with rules of their own.")
	}
	d := req.destination
	if d.encoded == "" {
		return nil // the upstream's to refuse
	}
	n, sure := g.routes.rules(req.Origin, d.decoded)
	switch { // what is written there is read without a query
	case g.own.holds(d.decoded), !sure, n.route(req.Method, req.header(), "") != rt:
		return badDestination("The header Destination names a path that other rules hold for.")
	case g.routes.holdsOthers(req.Origin, d.decoded):
		return badDestination("The header Destination names a path that holds others with rules of their own.")
	}
	return nil
}

func badDestination(detail string) error {
	return &pages.Error{Code: codeAccessDenied, Detail: detail}
}

// parseDestination reads a URL of this very host, or a path. A query decides nothing anywhere, and
// is refused.
func parseDestination(lines []string, here origin.Origin) (d destination, refusal string) {
	if len(lines) == 0 {
		return d, ""
	}
	if len(lines) > 1 {
		return d, "There is more than one header Destination."
	}
	path := lines[0]
	if !strings.HasPrefix(path, "/") {
		if path, d.absolute = pathOfURL(path, here); !d.absolute {
			return d, "The header Destination names neither a path nor a URL of this host."
		}
	}
	d.encoded, d.decoded, refusal = parsePath(path)
	if refusal != "" {
		return d, "The header Destination cannot be used: " + refusal
	}
	return d, ""
}

func pathOfURL(u string, here origin.Origin) (path string, ok bool) {
	scheme, rest, _ := strings.Cut(u, "://")
	i := strings.IndexByte(rest, '/')
	if i < 0 {
		return "", false
	}
	o, err := origin.Parse(scheme + "://" + rest[:i])
	return rest[i:], err == nil && o == here
}

// destination is the header for the upstream: as the client wrote it, with the path that the
// upstream knows it by.
func (v *visit) destination() string {
	d := v.req.destination
	path, _ := v.route.outgoing(d.encoded, d.decoded, v.upstream)
	switch {
	case !d.absolute:
		return path
	case v.route.upstreamHost:
		return v.upstream.scheme + "://" + v.route.hostFor(v.req.site, v.upstream) + path
	case v.route.fixedHost != "":
		return v.req.Origin.Scheme + "://" + v.route.fixedHost + path
	}
	return v.req.site.origin + path
}
