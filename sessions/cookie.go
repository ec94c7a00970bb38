package sessions

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/doorward/doorward/internal/origin"
)

const (
	hostPrefix   = "__Host-"
	securePrefix = "__Secure-"
	maxName      = 64 // bytes of the base name
)

// Owns reports whether a cookie of this name belongs to Doorward, session or login:
// such cookies never reach an upstream and are never taken from one. A name is ours in all
// spellings, whatever origin it would be set for, because a change of the configuration
// must not turn old cookies into somebody else's. It allocates nothing.
func (c Cookie) Owns(name string) bool {
	if rest, ok := strings.CutPrefix(name, hostPrefix); ok {
		name = rest
	} else if rest, ok := strings.CutPrefix(name, securePrefix); ok {
		name = rest
	}
	tail, ok := strings.CutPrefix(name, c.Name)
	if !ok {
		return false
	}
	switch {
	case tail == "":
		return true
	case len(tail) == 2 && tail[0] == '.':
		return tail[1] >= '1' && tail[1] <= '0'+maxChunks
	}
	return strings.HasPrefix(tail, "-login.") || strings.HasPrefix(tail, "-post.") || strings.HasPrefix(tail, "-at.") || strings.HasPrefix(tail, "-kept.")
}

// Prefixed returns the cookie name for an origin: suffix is put behind the base name, and "__Host-",
// "__Secure-" (with a Domain) or nothing (http) before it.
func (c Cookie) Prefixed(o origin.Origin, suffix string) string {
	switch {
	case !o.Secure():
		return c.Name + suffix
	case c.Domain != "":
		return securePrefix + c.Name + suffix
	}
	return hostPrefix + c.Name + suffix
}

// check says what is wrong with the cookie for these origins.
func (c Cookie) check(origins *origin.Set) error {
	if c.Name == "" || len(c.Name) > maxName {
		return fmt.Errorf("cookie.name: %q must have 1 to %d characters", c.Name, maxName)
	}
	for _, b := range []byte(c.Name) {
		if b != '-' && b != '_' && (b < '0' || b > '9') && (b < 'a' || b > 'z') && (b < 'A' || b > 'Z') {
			return fmt.Errorf("cookie.name: %q may have letters, digits, \"-\" and \"_\" only", c.Name)
		}
	}
	if strings.HasPrefix(c.Name, "__") {
		return fmt.Errorf("cookie.name: %q must not begin with \"__\"; Doorward puts the right prefix before it", c.Name)
	}
	if c.SameSite < 0 || c.SameSite > http.SameSiteNoneMode {
		return errors.New("cookie.same_site: must be lax, strict or none")
	}
	if c.Domain == "" {
		return nil
	}
	for _, o := range origins.All() {
		if o.Host != c.Domain && !strings.HasSuffix(o.Host, "."+c.Domain) {
			return fmt.Errorf("cookie.domain: no browser takes a cookie of %q from %s; every host must lie in it", c.Domain, o.Host)
		}
	}
	return nil
}

// readCookies looks for cookies of these names, at most maxChunks, in the Cookie lines of
// a request. found counts how often each is there. Names are matched exactly; a value is
// taken as it stands, quotes and all, because ours never has any.
func readCookies(lines, names []string) (values [maxChunks]string, found [maxChunks]int) {
	for _, line := range lines {
		for more := true; more; {
			var pair string
			pair, line, more = strings.Cut(line, ";")
			name, value, ok := strings.Cut(strings.Trim(pair, " \t"), "=")
			if !ok {
				continue
			}
			name = strings.TrimRight(name, " \t")
			for i, wanted := range names {
				if name == wanted {
					values[i] = strings.TrimLeft(value, " \t")
					found[i]++
				}
			}
		}
	}
	return values, found
}
