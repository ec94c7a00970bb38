package flows

import (
	"errors"
	"net/url"
	"strings"

	"github.com/doorward/doorward/internal/origin"
)

const (
	home       = "/"
	maxBack    = 8 << 10 // bytes of a return target; longer than any URL that reaches us through the proxy
	upperHex   = "0123456789ABCDEF"
	asciiSpace = 0x20
	asciiDel   = 0x7f
)

var errTarget = errors.New("not a path of a single leading slash without dot segments, empty segments, misplaced encoded slashes or control characters")

// target is the one judge of where a browser may be sent after a login or a logout
// (S13, AUT-6). rd is a path on here, or an absolute URL whose origin is exactly one of
// those configured. The result is written anew from what was judged: a path with exactly one
// leading slash, or an origin of ours followed by such a path. Whatever else rd says, the
// result is "/" (P062–P069). It is called when the target is used, also for one that
// comes out of a sealed blob.
func (f *Flows) target(here origin.Origin, rd string) string {
	if to, ok := f.judge(here, rd); ok {
		return to
	}
	return home
}

// judge is target for those who have something better than "/".
func (f *Flows) judge(here origin.Origin, rd string) (to string, ok bool) {
	there, path, err := split(here, rd)
	if err != nil || there != here && !f.targets[there] {
		return "", false
	}
	if _, ours := f.deps.Origins.Lookup(there.Authority()); ours && f.ownPath(path) {
		return "", false // a login that ends in a sign-out, or begins the next one
	}
	if there == here {
		return path, true
	}
	return there.String() + path, true
}

// ownPath reports whether a checked target lies under the prefix or is a callback, however it is encoded; pages
// that one signs in for do not count.
func (f *Flows) ownPath(target string) bool {
	path, _, _ := strings.Cut(target, "?")
	path, _, _ = strings.Cut(path, "#")
	decoded, err := url.PathUnescape(path)
	if err == nil && (decoded == f.prefix+"/tokens" || path == f.prefix+signedInPath || f.keptForm(path)) { // pages that people sign in to see
		return false
	}
	if err != nil || decoded == f.prefix || strings.HasPrefix(decoded, f.prefix+"/") {
		return true
	}
	for _, c := range f.callbacks {
		if decoded == c.path {
			return true
		}
	}
	return false
}

// split takes rd apart into an origin and a checked path with query and fragment.
func split(here origin.Origin, rd string) (there origin.Origin, path string, err error) {
	if rd == "" || len(rd) > maxBack {
		return origin.Origin{}, "", errTarget
	}
	there, path = here, rd
	if rd[0] != '/' {
		scheme, rest, ok := strings.Cut(rd, "://")
		scheme = strings.ToLower(scheme)
		if !ok || scheme != "https" && scheme != "http" {
			return origin.Origin{}, "", errTarget // javascript:, data:, https:/host, host/path (P065)
		}
		authority := rest
		if i := strings.IndexAny(rest, "/?#"); i >= 0 {
			authority = rest[:i]
		}
		// A user, a backslash, a broken port or a name that is not plain ASCII is refused by
		// origin.Parse; what it accepts is compared as a whole, so no suffix, no other port
		// and no other scheme passes (P064, P065, P066).
		if there, err = origin.Parse(scheme + "://" + authority); err != nil {
			return origin.Origin{}, "", errTarget
		}
		if path = rest[len(authority):]; path == "" || path[0] != '/' {
			path = "/" + path
		}
	}
	path, err = encode(path)
	if err != nil || len(path) > maxBack {
		return origin.Origin{}, "", errTarget
	}
	plain, _, _ := strings.Cut(path, "#")
	plain, _, _ = strings.Cut(plain, "?")
	return there, path, checkPath(plain)
}

// encode percent-encodes what is not ASCII and refuses what browsers strip, turn around or
// read as the end: spaces, control characters and backslashes (P062, P063). Behind the path a
// backslash is data that browsers send as it is, so there it is kept, encoded.
func encode(s string) (string, error) {
	var b strings.Builder
	path := true
	for _, c := range []byte(s) {
		if c == '?' || c == '#' {
			path = false
		}
		switch {
		case c <= asciiSpace || c == asciiDel || c == '\\' && path:
			return "", errTarget
		case c < asciiDel && c != '\\':
			b.WriteByte(c)
		default:
			b.Write([]byte{'%', upperHex[c>>4], upperHex[c&15]})
		}
	}
	return b.String(), nil
}

// checkPath accepts a path with one leading slash that means the same to every reader:
// no empty and no dot segments, no encoded backslash or control character (S1, P067). An encoded
// slash is one for routes that take it; so that it leads nowhere else, the path must mean
// nothing new to a reader who takes it for a plain one.
func checkPath(p string) error {
	if !strings.HasPrefix(p, "/") || strings.HasSuffix(strings.ToUpper(p), "%2F") {
		return errTarget
	}
	segments := strings.Split(strings.NewReplacer("%2F", "/", "%2f", "/").Replace(p[1:]), "/")
	for i, segment := range segments {
		decoded, err := url.PathUnescape(segment)
		if err != nil || decoded == "." || decoded == ".." || decoded == "" && i < len(segments)-1 {
			return errTarget
		}
		for _, c := range []byte(decoded) {
			if c < asciiSpace || c == asciiDel || c == '/' || c == '\\' {
				return errTarget
			}
		}
	}
	return nil
}
