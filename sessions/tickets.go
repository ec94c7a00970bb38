package sessions

import (
	"net/http"

	"github.com/doorward/doorward/internal/credentials"
	"github.com/doorward/doorward/internal/identity"
)

// Tickets knows callers who bring their ticket in Authorization and not in a cookie (CONTRACT §6):
// curl, a credential helper of git, a kubectl plugin. It is the same session as the cookie's, by
// the same lookup, and counts where that counts: on the same host, or in the same Cookie.Domain. It sets no cookie and takes none back.
type Tickets struct{ k *Keeper }

// Tickets returns who answers for tickets. In cookie mode there are none, and nobody is known.
func (k *Keeper) Tickets() *Tickets { return &Tickets{k} }

// Authenticate is [Keeper.Authenticate] for a ticket: "Bearer dw1.…", or Basic with the ticket for
// a password and any user name, in exactly one Authorization header. The cookie is not looked at.
func (t *Tickets) Authenticate(_ http.ResponseWriter, r *http.Request) (*identity.Identity, bool, error) {
	p, ok := t.presented(r)
	if !ok {
		return nil, false, nil
	}
	_, e, err := t.k.use(r.Context(), p)
	if e == nil || err != nil {
		return nil, false, err
	}
	if err := t.k.counts(e); err != nil {
		return nil, false, err
	}
	return e.session.Who, true, nil
}

// Alive is [Keeper.Alive] for a ticket.
func (t *Tickets) Alive(r *http.Request, who *identity.Identity) (bool, error) {
	now, err := t.Current(r, who)
	return now != nil, err
}

// Current is [Keeper.Current] for a ticket.
func (t *Tickets) Current(r *http.Request, who *identity.Identity) (*identity.Identity, error) {
	p, ok := t.presented(r)
	if !ok {
		return nil, nil
	}
	_, e, err := t.k.find(r.Context(), p)
	if e == nil || err != nil || e.session.Who.Key() != who.Key() {
		return nil, err
	}
	return e.session.Who, nil
}

// presented reads the ticket that r carries.
func (t *Tickets) presented(r *http.Request) (p presented, ok bool) {
	lines := r.Header["Authorization"]
	if t.k.inCookie || len(lines) != 1 {
		return p, false
	}
	text, ok := credentials.Bearer(lines[0])
	if !ok {
		var buf [256]byte
		_, password, _, _ := credentials.Basic(lines[0], buf[:])
		text = string(password)
	}
	if len(text) != ticketLength || !credentials.IsTicket(text) {
		return p, false
	}
	o, ok := t.k.origins.Lookup(r.Host)
	if !ok {
		return p, false
	}
	p.site, p.n, p.parts[0] = t.k.sites[o], 1, text
	p.key = p.site.digest(p.values())
	return p, true
}
