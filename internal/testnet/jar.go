package testnet

import (
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"golang.org/x/net/publicsuffix"
)

// maxCookie is Chrome's limit for name and value together; a larger cookie is dropped without a word.
const maxCookie = 4096

// Jar holds cookies by the rules of RFC 6265bis as Chrome applies them. It uses time.Now, so in
// a synctest bubble Max-Age follows the bubble's clock. Unlike Chrome it has no two-minute
// exception for cookies without SameSite: they are Lax at once.
type Jar struct {
	Refused []string // Set-Cookie lines that were not stored, each with the reason

	cookies []*stored
}

type stored struct {
	http.Cookie
	domain   string
	hostOnly bool
	expires  time.Time // zero: as long as the browser runs
}

// NewJar returns an empty jar.
func NewJar() *Jar { return &Jar{} }

// Set stores the Set-Cookie lines of an answer from u.
func (j *Jar) Set(u *url.URL, lines []string) {
	for _, line := range lines {
		c, err := http.ParseSetCookie(line)
		if err != nil {
			j.Refused = append(j.Refused, line+": "+err.Error())
			continue
		}
		s, reason := accept(u, c)
		if reason != "" {
			j.Refused = append(j.Refused, line+": "+reason)
			continue
		}
		j.put(s)
	}
}

// accept applies the storage rules; reason is "" if the cookie may be stored.
func accept(u *url.URL, c *http.Cookie) (s *stored, reason string) {
	host := strings.ToLower(u.Hostname())
	s = &stored{Cookie: *c, domain: host, hostOnly: true}
	if len(c.Name)+len(c.Value) > maxCookie {
		return nil, "longer than 4096 bytes"
	}
	if domain := strings.ToLower(strings.TrimPrefix(c.Domain, ".")); domain != "" {
		if host != domain && (net.ParseIP(host) != nil || !strings.HasSuffix(host, "."+domain)) {
			return nil, "Domain is not the host's"
		}
		if suffix, _ := publicsuffix.PublicSuffix(domain); suffix == domain && host != domain {
			return nil, "Domain is a public suffix"
		}
		s.domain, s.hostOnly = domain, net.ParseIP(host) != nil || host == domain && !strings.Contains(domain, ".")
	}
	if !strings.HasPrefix(c.Path, "/") {
		s.Path = defaultPath(u)
	}
	if reason := secureRules(u, c); reason != "" {
		return nil, reason
	}
	switch {
	case c.MaxAge < 0:
		s.expires = time.Unix(1, 0)
	case c.MaxAge > 0:
		s.expires = time.Now().Add(time.Duration(c.MaxAge) * time.Second)
	case !c.Expires.IsZero():
		s.expires = c.Expires
	}
	return s, ""
}

// secureRules are Secure, SameSite=None and the name prefixes (RFC 6265bis §5.7). Over http to
// this machine Secure is stored as Chrome does, but never a prefix.
func secureRules(u *url.URL, c *http.Cookie) string {
	name := strings.ToLower(c.Name)
	switch {
	case c.Secure && !trustworthy(u):
		return "Secure over http"
	case c.SameSite == http.SameSiteNoneMode && !c.Secure:
		return "SameSite=None without Secure"
	case strings.HasPrefix(name, "__secure-") && (!c.Secure || u.Scheme != "https"):
		return "__Secure- without Secure over https"
	case strings.HasPrefix(name, "__host-") && (!c.Secure || u.Scheme != "https" || c.Domain != "" || c.Path != "/"):
		return "__Host- without Secure, https, Path=/ and no Domain"
	}
	return ""
}

func defaultPath(u *url.URL) string {
	if i := strings.LastIndexByte(u.Path, '/'); i > 0 {
		return u.Path[:i]
	}
	return "/"
}

// put replaces a cookie of the same name, domain and path in its place, or appends.
func (j *Jar) put(s *stored) {
	i := slices.IndexFunc(j.cookies, func(o *stored) bool {
		return o.Name == s.Name && o.domain == s.domain && o.Path == s.Path
	})
	expired := !s.expires.IsZero() && !s.expires.After(time.Now())
	switch {
	case i >= 0 && expired:
		j.cookies = slices.Delete(j.cookies, i, i+1)
	case i >= 0:
		j.cookies[i] = s
	case !expired:
		j.cookies = append(j.cookies, s)
	}
}

// Cookies returns what is sent to u, longest path first, then oldest first. sameSite tells
// whether the initiator is of the same site, navigation whether it is a top-level one.
func (j *Jar) Cookies(u *url.URL, sameSite bool, method string, navigation bool) []*http.Cookie {
	host, path := strings.ToLower(u.Hostname()), u.EscapedPath()
	if path == "" {
		path = "/"
	}
	var out []*http.Cookie
	for _, c := range j.cookies {
		switch {
		case !c.expires.IsZero() && !c.expires.After(time.Now()):
		case c.hostOnly && host != c.domain, !c.hostOnly && host != c.domain && !strings.HasSuffix(host, "."+c.domain):
		case path != c.Path && (!strings.HasPrefix(path, c.Path) || !strings.HasSuffix(c.Path, "/") && path[len(c.Path)] != '/'):
		case c.Secure && !trustworthy(u):
		case !sameSite && !sentCrossSite(c.SameSite, method, navigation):
		default:
			out = append(out, &c.Cookie)
		}
	}
	slices.SortStableFunc(out, func(a, b *http.Cookie) int { return len(b.Path) - len(a.Path) })
	return out
}

func sentCrossSite(mode http.SameSite, method string, navigation bool) bool {
	switch mode {
	case http.SameSiteNoneMode:
		return true
	case http.SameSiteStrictMode:
		return false
	}
	return navigation && (method == http.MethodGet || method == http.MethodHead)
}

// Get returns the value of the cookie that would be sent to the address, or "".
func (j *Jar) Get(address, name string) string {
	for _, c := range j.at(address) {
		if c.Name == name {
			return c.Value
		}
	}
	return ""
}

// Names returns the names of the cookies that would be sent to the address, in order.
func (j *Jar) Names(address string) []string {
	var names []string
	for _, c := range j.at(address) {
		names = append(names, c.Name)
	}
	return names
}

func (j *Jar) at(address string) []*http.Cookie {
	u, err := url.Parse(address)
	if err != nil {
		return nil
	}
	return j.Cookies(u, true, http.MethodGet, true)
}

// Put stores a cookie as if an answer from the address had set it; it says why not, or "".
func (j *Jar) Put(address string, c *http.Cookie) string {
	u, err := url.Parse(address)
	if err != nil {
		return err.Error()
	}
	s, reason := accept(u, c)
	if reason == "" {
		j.put(s)
	}
	return reason
}

// Clear forgets everything, or with names only these, at whatever host.
func (j *Jar) Clear(names ...string) {
	j.cookies = slices.DeleteFunc(j.cookies, func(c *stored) bool {
		return len(names) == 0 || slices.Contains(names, c.Name)
	})
}
