package proxy

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/doorward/doorward/internal/origin"
)

// Redirect sends the caller elsewhere: To is a URL, or a path of the same host. Where it leads is the configuration's to
// say and never the request's: only path and query may hold something of it. "{path}" is the path as it would go upstream,
// with strip_prefix and the like, and "{query}" the query.
type Redirect struct {
	To     string
	Status int // 301, 302, 303, 307, 308; 0 = 302
}

const (
	placeholderPath  = "{path}"
	placeholderQuery = "{query}"
)

// redirector is a Redirect, compiled: To in its pieces.
type redirector struct {
	to                         string
	status                     int
	relative                   bool // to a path of the same host
	beforePath, afterPath      string
	beforeQuery, afterQuery    string // "?…"; the query begins behind beforeQuery
	hasPath, asks, passesQuery bool
	fragment                   string // "#…"
}

func newRedirector(c Redirect, rc Route) (*redirector, error) {
	r := &redirector{to: c.To, status: c.Status}
	switch r.status {
	case 0:
		r.status = http.StatusFound
	case 301, 302, 303, 307, 308:
	default:
		return nil, fmt.Errorf("redirect.status: %d is not one of 301, 302, 303, 307 and 308", c.Status)
	}
	rest, fragment, hasFragment := strings.Cut(c.To, "#")
	if hasFragment {
		r.fragment = "#" + fragment
	}
	path, query, asks := strings.Cut(rest, "?")
	r.asks = asks
	r.beforePath, r.afterPath, r.hasPath = strings.Cut(path, placeholderPath)
	r.beforeQuery, r.afterQuery, r.passesQuery = strings.Cut(query, placeholderQuery)
	if err := r.check(rc); err != nil {
		return nil, fmt.Errorf("redirect.to: %w", err)
	}
	return r, nil
}

func (r *redirector) check(rc Route) error {
	for _, text := range [...]string{r.beforePath, r.afterPath, r.beforeQuery, r.afterQuery, r.fragment} {
		if strings.ContainsAny(text, "{}") {
			return fmt.Errorf("%q: %s stands once in the path, %s once behind the question mark, and there is nothing else in braces", r.to, placeholderPath, placeholderQuery)
		}
		if !visible(text) || strings.ContainsAny(text, `\"<>^|`+"`") {
			return fmt.Errorf("%q: it holds a character that no URL can hold; percent-encode it", r.to)
		}
	}
	own := r.beforePath // what of the path is the configuration's, behind the host
	if r.relative = !strings.Contains(r.beforePath, "://"); !r.relative {
		var err error
		if own, err = behindHost(r.beforePath); err != nil {
			return fmt.Errorf("%q: %w", r.to, err)
		}
	}
	switch {
	case r.relative && own == "" && !r.hasPath, own != "" && own[0] != '/':
		return fmt.Errorf("%q is neither a URL, https://…, nor a path, /…", r.to)
	case strings.HasPrefix(own, "//"):
		return fmt.Errorf("%q: a path that begins with two slashes names another host", r.to)
	case r.hasPath && strings.HasSuffix(own, "/"):
		return fmt.Errorf("%q: %s begins with a slash itself", r.to, placeholderPath)
	case r.relative && own == "" && r.afterPath == "" && !rc.StripPrefix && rc.Rewrite.AddPrefix == "" && rc.Rewrite.Paths == nil:
		return fmt.Errorf("%q leads to where it comes from", r.to)
	}
	return nil
}

// behindHost is what stands behind the host of a URL, which must be written out.
func behindHost(text string) (rest string, err error) {
	scheme, rest, _ := strings.Cut(text, "://")
	authority, _, _ := strings.Cut(rest, "/")
	if scheme != "http" && scheme != "https" || strings.Contains(authority, "@") {
		return "", errors.New("a URL begins with http:// or https:// and a host")
	}
	if _, err := origin.Parse(scheme + "://" + authority); err != nil {
		return "", err
	}
	if _, err := url.Parse(text); err != nil {
		return "", errors.New("it is no URL")
	}
	return rest[len(authority):], nil
}

func (r *redirector) String() string { return fmt.Sprintf("%d, to %s", r.status, r.to) }

func (r *redirector) serve(w http.ResponseWriter, req *CanonicalRequest, rt *route) error {
	location, err := r.location(req, rt)
	if err != nil {
		return err
	}
	h := w.Header()
	h["Location"] = []string{location}
	rt.dress(h)
	w.WriteHeader(r.status)
	return nil
}

var errAway = errors.New("the target of a redirect would be another host than the configured one")

// location builds the target. A canonical path begins with one slash and nothing in it ends a URL's path, so neither path
// nor query changes the host; what a relative one begins with is looked at once more (P062, P067).
func (r *redirector) location(req *CanonicalRequest, rt *route) (string, error) {
	var b strings.Builder
	b.WriteString(r.beforePath)
	if r.hasPath {
		path, _ := rt.inward(req.Path, req.decoded)
		if strings.HasPrefix(r.afterPath, "/") {
			path = strings.TrimSuffix(path, "/")
		}
		b.WriteString(path)
	}
	b.WriteString(r.afterPath)
	if r.asks {
		if query := r.query(req.Query); query != "" {
			b.WriteString("?" + query)
		}
	}
	b.WriteString(r.fragment)
	to := b.String()
	if r.relative && (to == "" || to[0] != '/' || len(to) > 1 && (to[1] == '/' || to[1] == '\\')) {
		return "", errAway
	}
	return to, nil
}

// query puts the request's into the configuration's, without an & that would separate nothing.
func (r *redirector) query(asked string) string {
	if !r.passesQuery {
		return r.beforeQuery
	}
	if asked == "" {
		if r.afterQuery == "" {
			return strings.TrimSuffix(r.beforeQuery, "&")
		}
		return r.beforeQuery + strings.TrimPrefix(r.afterQuery, "&")
	}
	return r.beforeQuery + forHeader(asked) + r.afterQuery
}

// forHeader percent-encodes what a query may hold on the wire, and a URL not: nobody reads Location with such bytes alike.
func forHeader(query string) string {
	clean := func(c byte) bool { return c > ' ' && c < 0x7f && strings.IndexByte("\\\"<>^`{|}", c) < 0 }
	for i := range len(query) {
		if !clean(query[i]) {
			var b strings.Builder
			for i := range len(query) {
				if c := query[i]; clean(c) {
					b.WriteByte(c)
				} else {
					b.Write([]byte{'%', upperHex[c>>4], upperHex[c&15]})
				}
			}
			return b.String()
		}
	}
	return query
}
