package proxy

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"net/http"
	"strings"

	"github.com/doorward/doorward/internal/origin"
)

// stickySuffix comes behind the name of the session cookie, and before a name of the route.
const stickySuffix = "-at."

// sticky keeps a browser with one upstream of a route. The cookie holds a keyed hash, so that nobody reads in it which
// upstreams there are, and whoever makes one up lands where any other request would. It is our own cookie: no upstream
// sees or sets it.
type sticky struct {
	names map[origin.Origin]string // of the cookie
	tags  map[string]*member
}

// newSticky gives each member of the balancer a tag that stays the same when others come and go, and at every replica.
func newSticky(b *balancer, c Config, d Deps) (*sticky, error) {
	if c.CookieName == nil {
		return nil, errors.New("balance.sticky: how our own cookies are called is not said")
	}
	route := sha256.Sum256([]byte(b.route))
	s := &sticky{names: make(map[origin.Origin]string), tags: make(map[string]*member)}
	for _, o := range d.Origins.All() {
		s.names[o] = c.CookieName(o, stickySuffix+hex.EncodeToString(route[:6]))
		if !c.OwnCookie(s.names[o]) {
			return nil, errors.New("balance.sticky: the cookie would not be one of our own")
		}
	}
	key := d.StickyKey
	if key == nil {
		key = make([]byte, 32)
		_, _ = rand.Read(key) // never fails
	}
	for _, m := range b.members {
		mac := hmac.New(sha256.New, key)
		for _, part := range []string{b.route, m.upstream.scheme, m.upstream.host, m.upstream.base} {
			_ = binary.Write(mac, binary.BigEndian, uint64(len(part)))
			_, _ = mac.Write([]byte(part))
		}
		m.tag = base64.RawURLEncoding.EncodeToString(mac.Sum(nil)[:16])
		s.tags[m.tag] = m
	}
	return s, nil
}

// named is the upstream that the request's cookie names, or nil.
func (s *sticky) named(req *CanonicalRequest) *member {
	name := s.names[req.Origin]
	for _, line := range req.in.Header["Cookie"] {
		for more := true; more; {
			var pair string
			pair, line, more = strings.Cut(line, ";")
			if n, tag, ok := strings.Cut(strings.Trim(pair, " \t"), "="); ok && n == name {
				if m := s.tags[tag]; m != nil {
					return m
				}
			}
		}
	}
	return nil
}

// cookie tells the browser where it belongs, until it is closed. Whoever moves because its upstream is down stays where
// it moved: what the application knows of it is there now.
func (s *sticky) cookie(o origin.Origin, m *member) string {
	line := s.names[o] + "=" + m.tag + "; Path=/; HttpOnly; SameSite=Lax"
	if o.Secure() {
		line += "; Secure"
	}
	return line
}

// stick sets the cookie where the browser doesn't have it. An answer with it must not be kept for somebody else.
func (v *visit) stick(h http.Header) {
	a := v.attempts
	if a == nil || a.balance.sticky == nil || a.member == a.named {
		return
	}
	h["Set-Cookie"] = append(h["Set-Cookie"], a.balance.sticky.cookie(v.req.Origin, a.member))
	keepPrivate(h)
}
