package sessions

import (
	"context"
	"errors"
	"net/http"

	gorilla "github.com/gorilla/sessions"

	"github.com/doorward/doorward/internal/identity"
)

// valueKey is a key in the Values of a gorilla session.
type valueKey string

const (
	// Who is an *identity.Identity. Save begins a session for it.
	Who valueKey = "who"
	// Current is the *Session: as loaded, and after Save as begun, or as it was when it
	// ended. Setting it does nothing.
	Current valueKey = "current"
)

// errNoHost is for requests whose Host no cookie could be made for.
var errNoHost = errors.New("sessions: the request is for none of the configured hosts")

// Store returns gorilla's interface to the sessions, for login, logout and our own pages. The
// hot path stays clear of it: its registry would cost a context and a copy of the
// request.
//
// New and Get return a session that IsNew unless the request has one. Save does one of two
// things: with Options.MaxAge below 0 it ends the session of the request, otherwise it ends
// that session and begins another under a new id for Values[Who]. So it is impossible to keep
// an id over a login (P072), and a cookie that was taken back is worth nothing (P073). Names
// are ignored: there is one session cookie, and its name follows the host.
func (k *Keeper) Store() gorilla.Store { return gorillaStore{k} }

type gorillaStore struct{ k *Keeper }

func (g gorillaStore) Get(r *http.Request, name string) (*gorilla.Session, error) {
	return gorilla.GetRegistry(r).Get(g, name)
}

func (g gorillaStore) New(r *http.Request, name string) (*gorilla.Session, error) {
	s := gorilla.NewSession(g, name)
	s.IsNew = true
	p, _ := g.k.presented(r)
	if p.site == nil {
		return s, errNoHost
	}
	options := p.site.options
	s.Options = &options
	current, err := g.k.Load(r)
	if current == nil || err != nil {
		return s, err
	}
	s.ID, s.IsNew = current.ID, false
	s.Values[Who], s.Values[Current] = current.Who, current
	return s, nil
}

func (g gorillaStore) Save(r *http.Request, w http.ResponseWriter, s *gorilla.Session) error {
	p, ok := g.k.presented(r)
	if p.site == nil {
		return errNoHost
	}
	delete(s.Values, Current)
	ended, err := g.k.endPresented(r, p, ok)
	if err != nil {
		return err
	}
	if s.Options != nil && s.Options.MaxAge < 0 {
		g.k.left(r.Context(), ended, nil)
		p.site.clear(w, r)
		s.ID = ""
		if ended != nil {
			s.Values[Current] = ended.session
		}
		return nil
	}
	who, _ := s.Values[Who].(*identity.Identity)
	g.k.left(r.Context(), ended, who)
	if who == nil {
		return errors.New("sessions: nobody to begin a session for")
	}
	e, p, err := g.k.home.begin(r.Context(), p.site, g.k.newRecord(who))
	if err != nil {
		return err
	}
	p.site.set(w, r, p.values())
	s.ID, s.IsNew = e.session.ID, false
	s.Values[Current] = e.session
	return nil
}

// left tells of the tokens of a session that ended, unless they belong to the same session
// at the provider as those of next, the one that follows: there are providers that end all of
// that when one of its tokens is revoked, and ten tabs that sign in at once are ten logins.
func (k *Keeper) left(ctx context.Context, e *entry, next *identity.Identity) {
	if e == nil {
		return
	}
	who := e.rec.who
	if next != nil && who.SID != "" && who.SID == next.SID && who.Key() == next.Key() {
		k.refreshed(ctx, who, nil)
		return
	}
	k.ended(ctx, who)
}

// endPresented ends the session that a request came with, if it came with one. One that is nobody's
// ends as well, but nobody gets it: its tokens are not for the providers of now.
func (k *Keeper) endPresented(r *http.Request, p presented, ok bool) (*entry, error) {
	if !ok {
		return nil, nil
	}
	if k.grace != nil {
		p = k.grace.follow(p, k.now())
	}
	e, err := k.home.end(r.Context(), p)
	if e == nil || err != nil || !k.valid(e.rec.who) {
		return nil, err
	}
	return e, nil
}

func (k *Keeper) newRecord(who *identity.Identity) record {
	now := k.now()
	return record{created: now, seen: now, ends: now.Add(k.limits.lifetime), idle: k.limits.idle, who: who}
}
