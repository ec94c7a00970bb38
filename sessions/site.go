package sessions

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strconv"

	gorilla "github.com/gorilla/sessions"

	"github.com/doorward/doorward/internal/origin"
)

// digest names a session, or a cookie value. It is made by a hash, so that it gives nothing
// away of what it was made from.
type digest [16]byte

func (d digest) String() string { return hex.EncodeToString(d[:]) }

// site is what cookies are on one origin.
type site struct {
	names   [maxChunks]string // of the session cookie; all but the first in cookie mode only
	realm   string            // where a cookie counts: its name, and its origin or domain
	hashed  [sha256.Size]byte // of realm
	options gorilla.Options
}

// newSite makes the site of an origin. A kind that is not "" makes it another one than that of
// cookies: what counts there counts in no cookie.
func newSite(c Cookie, o origin.Origin, kind string) *site {
	s := &site{realm: c.Prefixed(o, "") + "\x00" + o.String()}
	if c.Domain != "" {
		s.realm = c.Prefixed(o, "") + "\x00" + c.Domain
	}
	if kind != "" {
		s.realm += "\x00" + kind
	}
	s.hashed = sha256.Sum256([]byte(s.realm))
	for i := range s.names {
		s.names[i] = c.Prefixed(o, chunkSuffix(i))
	}
	// No MaxAge: how long a session lasts is for its record to say, which the browser cannot change.
	s.options = gorilla.Options{Path: "/", Domain: c.Domain, Secure: o.Secure(), HttpOnly: true, SameSite: c.SameSite}
	if c.SameSite < http.SameSiteLaxMode || c.SameSite == http.SameSiteNoneMode && !o.Secure() {
		s.options.SameSite = http.SameSiteLaxMode // browsers take None with Secure only
	}
	return s
}

// digest hashes cookie values together with the realm: a cookie that is carried to another
// origin names nothing there.
func (s *site) digest(values []string) (d digest) {
	buf := make([]byte, 0, 512) // a ticket needs no more, and it stays on the stack
	buf = append(buf, s.hashed[:]...)
	for _, v := range values {
		buf = append(buf, v...)
	}
	sum := sha256.Sum256(buf)
	copy(d[:], sum[:])
	return d
}

func chunkSuffix(i int) string {
	if i == 0 {
		return ""
	}
	return "." + strconv.Itoa(i)
}

// set gives a browser the parts of a cookie value, and takes back the chunks of a longer one.
func (s *site) set(w http.ResponseWriter, r *http.Request, parts []string) {
	for i, part := range parts {
		http.SetCookie(w, gorilla.NewCookie(s.names[i], part, &s.options))
	}
	s.expire(w, r, len(parts))
}

// clear takes all session cookies back that a request came with.
func (s *site) clear(w http.ResponseWriter, r *http.Request) { s.expire(w, r, 0) }

// expire takes back the cookies from the nth on, of those that r came with.
func (s *site) expire(w http.ResponseWriter, r *http.Request, n int) {
	_, found := readCookies(r.Header["Cookie"], s.names[:])
	gone := s.options
	gone.MaxAge = -1
	for i := n; i < maxChunks; i++ {
		if found[i] > 0 {
			http.SetCookie(w, gorilla.NewCookie(s.names[i], "", &gone))
		}
	}
}
