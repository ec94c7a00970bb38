package proxy

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/doorward/doorward/internal/origin"
	"github.com/doorward/doorward/internal/pages"
)

// Rewrite is how the path and the host that go upstream differ from those that were asked for. What was judged is the
// canonical request; what is made of it must be canonical again, or the request is refused (S1, P015).
type Rewrite struct {
	AddPrefix string        // put in front, after StripPrefix: "/v2"; "" = nothing
	Paths     []PathRewrite // of the whole path, so not together with StripPrefix and AddPrefix: the first whose From fits; none = as it is
	Host      string        // "client" (= ""): the host that the caller asked for; "upstream": that of the upstream; else a fixed authority
}

// PathRewrite turns one shape of path into another, by whole segments: From "/old/{id}/{rest...}", To "/new/{rest...}/{id}".
// A slash at the end of a path stays there.
type PathRewrite struct{ From, To string }

const (
	hostClient   = "client"
	hostUpstream = "upstream"
)

// rewriter is a Rewrite, compiled. nil changes nothing.
type rewriter struct {
	prefix, decodedPrefix string // without a trailing slash
	shapes                []shape
}

func (rt *route) setRewrite(rc Route) error {
	switch rc.Rewrite.Host {
	case "", hostClient:
	case hostUpstream:
		rt.upstreamHost = true
	default:
		o, err := origin.Parse("https://" + rc.Rewrite.Host)
		if err != nil {
			return fmt.Errorf("host_header: %q is neither \"client\" nor \"upstream\" nor a host", rc.Rewrite.Host)
		}
		rt.fixedHost = o.Host
		if o.Port != "" {
			rt.fixedHost += ":" + o.Port
		}
	}
	if rc.StripPrefix {
		prefix, _, _ := parsePath(rc.Path) // setPath says what is wrong with it
		if prefix = strings.TrimSuffix(prefix, "/"); prefix != "" {
			rt.stripped = []string{prefix}
		}
	}
	if rc.Rewrite.AddPrefix == "" && rc.Rewrite.Paths == nil {
		return nil
	}
	return rt.setShapes(rc)
}

func (rt *route) setShapes(rc Route) (err error) {
	rt.rewrites = &rewriter{}
	if add := rc.Rewrite.AddPrefix; add != "" {
		encoded, decoded, refusal := parsePath(add)
		if refusal != "" || strings.HasSuffix(add, "/") || strings.ContainsAny(decoded, ";%") {
			return fmt.Errorf("add_prefix: %q is not the beginning of a path, such as \"/v2\"", add)
		}
		rt.rewrites.prefix, rt.rewrites.decodedPrefix = encoded, decoded
	}
	if len(rc.Rewrite.Paths) > 0 && (rc.StripPrefix || rc.Rewrite.AddPrefix != "") {
		return errors.New("rewrite: it says the whole path; write what strip_prefix and add_prefix should do into from and to")
	}
	for i, p := range rc.Rewrite.Paths {
		s, err := newShape(p)
		if err == nil && !s.liesIn(rc.Path) {
			err = fmt.Errorf("from: %q does not lie below the route's path %q, so that nothing fits it", p.From, rc.Path)
		}
		if err == nil && slices.ContainsFunc(rt.rewrites.shapes, s.hiddenBy) {
			err = fmt.Errorf("from: %q is never reached: whatever fits it fits one that stands before it", p.From)
		}
		if err != nil {
			return fmt.Errorf("rewrite[%d]: %w", i, err)
		}
		rt.rewrites.shapes = append(rt.rewrites.shapes, s)
	}
	return nil
}

// outgoing returns a path for an upstream, both ways of writing it, as [url.URL] wants them: the canonical path, rewritten,
// behind the upstream's own path.
func (rt *route) outgoing(encoded, decoded string, up *upstream) (string, string) {
	encoded, decoded = rt.inward(encoded, decoded)
	if up.base != "" {
		encoded, decoded = up.base+encoded, up.decodedBase+decoded
	}
	if rt.slash {
		decoded = unslashed(decoded)
	}
	return encoded, decoded
}

// inward is a canonical path as the route rewrites it. Segments are cut off, put in front and moved whole, and no slash of a
// canonical path separates them in one way of writing only, so the result is as canonical as what it is made of (P015).
func (rt *route) inward(encoded, decoded string) (string, string) {
	if rt.strip > 0 {
		encoded, decoded = cutSegments(encoded, rt.strip), cutSegments(decoded, rt.strip)
	}
	if rt.rewrites == nil {
		return encoded, decoded
	}
	for i := range rt.rewrites.shapes {
		if e, d, ok := rt.rewrites.shapes[i].apply(encoded, decoded); ok {
			return e, d
		}
	}
	return rt.rewrites.prefix + encoded, rt.rewrites.decodedPrefix + decoded
}

// judgeRewrite refuses what is not canonical any more. That cannot happen as far as anybody knows; if somebody is wrong,
// nothing passes.
func (rt *route) judgeRewrite(req *CanonicalRequest) error {
	if rt.rewrites == nil || req.Path == "*" {
		return nil
	}
	encoded, decoded := rt.inward(req.Path, req.decoded)
	parse := parsePath
	if rt.slash {
		parse = parseSlashed
	}
	if e, d, refusal := parse(encoded); refusal != "" || e != encoded || d != decoded {
		return &pages.Error{Code: codeBadRequest, Detail: "The path cannot be rewritten in a way that all servers read alike."}
	}
	return nil
}

// hostFor is the Host that an upstream is asked under.
func (rt *route) hostFor(site *site, up *upstream) string {
	switch {
	case rt.upstreamHost:
		return authorityOf(up)
	case rt.fixedHost != "":
		return rt.fixedHost
	}
	return site.authority
}

// setEncoded reads which characters may stand encoded in a path.
func setEncoded(list []string) (slash bool, err error) {
	for i, what := range list {
		if what != "slash" {
			return false, fmt.Errorf("encoded[%d]: %q is not \"slash\", the only character that may stand encoded in a path", i, what)
		}
		slash = true
	}
	return slash, nil
}

// cutSegments removes the first n segments of a path.
func cutSegments(path string, n int) string {
	for ; n > 0; n-- {
		i := strings.IndexByte(path[1:], '/')
		if i < 0 {
			return "/"
		}
		path = path[1+i:]
	}
	return path
}
