package proxy

import (
	"fmt"
	"net/http"
	"net/netip"
	"strconv"
	"strings"

	"github.com/doorward/doorward/internal/origin"
	"github.com/doorward/doorward/internal/pages"
	"github.com/doorward/doorward/internal/telemetry"
)

// CanonicalRequest is the one view of a request that routes, policy and the upstream
// share: what was judged is, byte for byte, what is forwarded (S1). It is made by
// canonical only, and never changes.
type CanonicalRequest struct {
	Method string
	Origin origin.Origin // as configured; never what the client wrote
	Path   string        // percent-encoded, for the wire; see parsePath
	Query  string        // the client's bytes, without "?"
	Client netip.Addr    // of the caller; the zero Addr if it has none (a unix socket)

	decoded     string // Path, decoded once: what routes are matched against; an encoded slash is "%2F" in it
	hasQuery    bool   // "/x?" is not "/x"
	client      string // Client as text, "" if it has none
	via         string // ", "-separated trusted proxies behind Client, the nearest last
	site        *site
	record      *telemetry.Record
	certificate string        // of the caller, as a trusted proxy says it: x5t#S256 (RFC 8705 §3.1); "" = it says none
	destination destination   // of COPY and MOVE; the zero value is none
	in          *http.Request // cleaned; only identify, challenge and forward look at it
}

// Target is path and query, as they go upstream and as a login returns to them (S13).
func (c *CanonicalRequest) Target() string {
	if !c.hasQuery {
		return c.Path
	}
	return c.Path + "?" + c.Query
}

// canonical is the first thing that happens to every request, without exceptions: its
// headers are cleaned, its host must be configured, its target must mean one thing only.
func (g *Gateway) canonical(w http.ResponseWriter, r *http.Request) (*CanonicalRequest, error) {
	req := &CanonicalRequest{Method: r.Method, record: telemetry.From(w), in: r}
	req.Client, req.via = g.trust.client(r.RemoteAddr, r.Header["X-Forwarded-For"])
	req.certificate = g.possession.forwarded(r)
	g.hygiene.clean(r)
	if req.Client.IsValid() {
		req.client = req.Client.String()
		req.record.Client = req.client
	}
	if r.Method == http.MethodConnect || r.Method == http.MethodTrace {
		return nil, methodNotAllowed(w, anyMethod) // P016: a tunnel, or an echo of headers that scripts may not see
	}
	here, ok := g.origins.Lookup(r.Host)
	if !ok {
		return nil, &pages.Error{Code: codeUnknownHost, Detail: "This host is not served here.", Err: fmt.Errorf("the host was %s", excerpt(r.Host))}
	}
	req.Origin, req.site = here, g.sites[here]
	req.record.Host = req.site.authority
	path, query, hasQuery, refusal := splitTarget(r, here)
	if refusal == "" {
		refusal = req.parse(path, query, hasQuery)
		if refusal != "" && g.routes.slashed && g.takesSlash(req, path, query, hasQuery) {
			refusal = ""
		}
	}
	if refusal != "" {
		return nil, &pages.Error{Code: codeBadRequest, Detail: refusal}
	}
	if namesDestination(req.Method) {
		if req.destination, refusal = parseDestination(r.Header[headerDestination], here); refusal != "" {
			return nil, badDestination(refusal)
		}
	}
	req.record.Path = req.Path
	return req, nil
}

// excerpt is the host that a client asked for, for the log: an operator with a wrong name in the DNS looks for it.
func excerpt(s string) string { return strconv.QuoteToASCII(s[:min(len(s), 100)]) }

func (c *CanonicalRequest) parse(path, query string, hasQuery bool) (refusal string) {
	if path == "*" {
		c.Path, c.decoded = path, path // no route matches it
		return ""
	}
	if c.Path, c.decoded, refusal = parsePath(path); refusal != "" {
		return refusal
	}
	c.Query, c.hasQuery = query, hasQuery
	return checkQuery(query)
}

// takesSlash reads a path once more, with encoded slashes as parts of its segments, and keeps that reading if the route
// it leads to has opted in (S1). What would be one of our own endpoints with a plain slash stays refused; and what would
// be another route's, the table does (P006).
func (g *Gateway) takesSlash(req *CanonicalRequest, path, query string, hasQuery bool) bool {
	encoded, decoded, refusal := parseSlashed(path)
	if refusal != "" || checkQuery(query) != "" || g.own.holds(unslashed(decoded)) {
		return false
	}
	req.Path, req.decoded, req.Query, req.hasQuery = encoded, decoded, query, hasQuery
	n, sure := g.routes.rules(req.Origin, decoded)
	rt := n.route(req.Method, req.header(), query)
	return sure && rt != nil && rt.slash
}

// splitTarget takes the request target apart by its text (RFC 9112 §3.2), not by what
// net/url made of it: an opaque "http:internal/admin" leaves URL.Path empty and would
// still be written to the upstream (P013).
func splitTarget(r *http.Request, here origin.Origin) (path, query string, hasQuery bool, refusal string) {
	target := r.RequestURI
	switch {
	case strings.IndexByte(target, '#') >= 0:
		return "", "", false, "The request target holds a number sign (#)." // P002
	case r.URL.Opaque != "":
		return "", "", false, "The request target is neither a path nor a complete URL."
	case strings.HasPrefix(target, "/"):
	case target == "*" && r.Method == http.MethodOptions:
		return target, "", false, ""
	case r.ProtoMajor >= 2: // RFC 9113 §8.3.1: nothing but a path; the host is :authority
		return "", "", false, "The request target is not a path."
	default:
		if target, refusal = absoluteForm(target, r.Host, here); refusal != "" {
			return "", "", false, refusal
		}
	}
	path, query, hasQuery = strings.Cut(target, "?")
	return path, query, hasQuery, ""
}

// absoluteForm accepts a complete URL of the host that was asked (P014): net/http has
// already put its host in the place of the Host header, as RFC 9112 §3.2.2 wants.
func absoluteForm(target, host string, here origin.Origin) (rest, refusal string) {
	scheme, rest, ok := strings.Cut(target, "://")
	if !ok || !strings.EqualFold(scheme, "http") && !strings.EqualFold(scheme, "https") {
		return "", "The request target is neither a path nor a complete URL."
	}
	if !strings.EqualFold(scheme, here.Scheme) {
		return "", "The scheme of the request target is not the one under which this host is served."
	}
	end := strings.IndexAny(rest, "/?")
	if end < 0 {
		end = len(rest)
	}
	if rest[:end] != host { // also refuses user@host
		return "", "The host of the request target is not the one of the Host header."
	}
	rest = rest[end:]
	if rest == "" || rest[0] == '?' {
		rest = "/" + rest // RFC 9110 §4.2.3: an empty path is "/"
	}
	return rest, ""
}
