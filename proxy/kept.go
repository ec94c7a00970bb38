package proxy

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"

	"github.com/doorward/doorward/internal/pages"
)

// Keeper keeps forms that could not be sent because nobody was signed in, sealed and for a few minutes. Which browser gets one
// back it decides by cookies of its own: nobody else has it, not even whoever can read the store.
type Keeper interface {
	// Keep keeps a form for the browser that r came from, and gives it a cookie. id is "" where there is no room.
	Keep(w http.ResponseWriter, r *http.Request, form []byte) (id string, err error)
	// Find returns a form that this browser left, nil if there is none of that id.
	Find(r *http.Request, id string) ([]byte, error)
	// Take is Find, and takes the form away: of many that try, one gets it.
	Take(w http.ResponseWriter, r *http.Request, id string) ([]byte, error)
}

// kept is keep_post of all routes, made ready. nil keeps nothing.
type kept struct {
	prefix string // "/oauth2/kept/"
	keeper Keeper
	pages  *pages.Pages
	room   *room // for bodies that are being read
}

// keptRoom is what the forms that are being read may take in memory at a time, in bytes; one address gets a quarter of it, or
// somebody who sends slowly would keep everybody else's out (S18). Where keep_post is large it is larger.
const keptRoom = 16 << 20

// newKept returns nil where no route keeps anything.
func newKept(routes []*route, c Config, d Deps) *kept {
	if d.Posts == nil {
		return nil
	}
	k := &kept{prefix: c.Prefix + "/kept/", keeper: d.Posts, pages: d.Pages}
	largest := int64(0)
	for _, rt := range routes {
		if rt.keepPost > 0 && !rt.public {
			rt.kept, largest = k, max(largest, rt.keepPost)
		}
	}
	if largest == 0 {
		return nil
	}
	k.room = newRoom(largest)
	k.room.size = max(keptRoom, 4*largest)
	return k
}

// place is for the body of one form.
func (k *kept) place(req *CanonicalRequest) *place {
	p := k.room.place(nil)
	p.who.Subject = neighbourhood(req.Client)
	return p
}

// neighbourhood is an address, or of IPv6 the network in which everybody has all of them. Who has none shares one.
func neighbourhood(a netip.Addr) string {
	if a = a.Unmap(); a.Is4() || !a.IsValid() {
		return a.String()
	}
	return netip.PrefixFrom(a, 64).Masked().String()
}

// path is where a login returns to that begins with a form.
func (k *kept) path(id string) string { return k.prefix + id }

// maxKeptTarget is how long the target of a form may be that a page of ours leads to, in bytes.
const maxKeptTarget = 4000

// keepPosted keeps the form that a browser posts, and returns the path of the page that sends it after the login. The path is ""
// where it cannot be kept; why is for the person, if there is more to say than that. Nothing is answered here.
func (rt *route) keepPosted(w http.ResponseWriter, req *CanonicalRequest) (path, why string, err error) {
	k := rt.kept
	if k == nil || !fromThisSite(req) || len(inAttribute(req.Target())) > maxKeptTarget || req.in.Header["Content-Encoding"] != nil {
		return "", "", nil
	}
	p := k.place(req)
	defer p.leave()
	body, err := readBody(w, req.in, rt.keepPost, p)
	var e *pages.Error
	switch {
	case errors.As(err, &e) && e.Code == codeBodyTooLarge:
		return "", fmt.Sprintf("It has more than the %s that are kept here while you sign in.", size(rt.keepPost)), nil
	case errors.As(err, &e) && e.Code == codeTooMany:
		return "", "", nil
	case err != nil:
		return "", "", err
	}
	id, err := k.keeper.Keep(w, req.in, hold(req, body))
	switch {
	case err != nil:
		return "", "", unknowable(err)
	case id == "":
		return "", "", nil
	}
	return k.path(id), "", nil
}

// size writes a number of bytes as a person does.
func size(n int64) string {
	switch {
	case n%(1<<20) == 0:
		return fmt.Sprintf("%d MiB", n>>20)
	case n%(1<<10) == 0:
		return fmt.Sprintf("%d KiB", n>>10)
	}
	return fmt.Sprintf("%d bytes", n)
}

// fromThisSite reports whether a form comes from a page of this host, or of a neighbouring one, whom checkSite trusts too. What
// another site posts is never kept: after the login it would look like the person's own deed.
func fromThisSite(req *CanonicalRequest) bool {
	if site := req.in.Header["Sec-Fetch-Site"]; len(site) > 0 {
		return len(site) == 1 && (site[0] == "same-origin" || site[0] == "same-site")
	}
	from := req.in.Header["Origin"]
	return len(from) == 1 && from[0] == req.site.origin
}

// sendLater begins a login that leads to the page which sends a kept form. If it cannot begin, the form waits all the same, and
// the person can try again.
func (rt *route) sendLater(w http.ResponseWriter, req *CanonicalRequest, path string) error {
	err := rt.starter.Start(w, req.in, path)
	var e *pages.Error
	if errors.As(err, &e) && e.LoginURL == "" {
		again := *e
		again.LoginURL = rt.loginURL(req, path)
		return &again
	}
	return err
}
