package personal

import (
	"errors"
	"net/http"
	"net/url"
	"time"

	"github.com/doorward/doorward/internal/origin"
	"github.com/doorward/doorward/internal/pages"
	"github.com/doorward/doorward/internal/telemetry"
)

const path = "/tokens" // below the prefix

// serve is PREFIX/tokens.
func (t *Tokens) serve(w http.ResponseWriter, r *http.Request) error {
	here, ok := t.deps.Origins.Lookup(r.Host)
	if !ok {
		return &pages.Error{Code: codeUnknownHost}
	}
	switch r.Method {
	case http.MethodGet:
	case http.MethodPost:
		if !ownRequest(r, here) {
			return &pages.Error{Code: codeCrossSite, Detail: "This must be asked for by a page of " + here.Authority() + " itself."}
		}
	default:
		w.Header().Set("Allow", "GET, POST")
		return &pages.Error{Code: codeMethod, Detail: "Allowed here: GET, POST."}
	}
	p, err := t.person(r, here)
	switch {
	case err != nil:
		return answer(err)
	case p == nil && pages.KindOf(r) == pages.Navigation:
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("Location", t.start())
		w.WriteHeader(http.StatusFound)
		return nil
	case p == nil:
		return t.loginRequired(here)
	}
	record := telemetry.From(w)
	record.Subject, record.Provider, record.Login = p.who.Subject, p.who.Provider, p.who.Login
	if r.Method == http.MethodPost {
		return answer(t.change(w, r, p))
	}
	return answer(t.show(w, r, p, attempt{}))
}

// start is where a login begins that comes back here.
func (t *Tokens) start() string {
	return t.prefix + "/start?rd=" + url.QueryEscape(t.prefix+path)
}

// person is who r comes from by the cookie of their session, nil if there is none. What is in Authorization says nothing here: a
// token that could mint tokens would never end.
func (t *Tokens) person(r *http.Request, here origin.Origin) (*person, error) {
	s, err := t.deps.Sessions.Load(r)
	if s == nil || err != nil {
		return nil, err
	}
	p := &person{who: s.Who, asOf: s.Created, here: here}
	if s.Refreshed.After(p.asOf) {
		p.asOf = s.Refreshed
	}
	p.reach, err = t.reach(here, func(o origin.Origin) (bool, error) {
		there := r.WithContext(r.Context()) // a shallow copy
		there.Host = o.Authority()
		same, err := t.deps.Sessions.Load(there)
		return same != nil && same.ID == s.ID && same.Who.Key() == s.Who.Key(), err
	})
	if err != nil {
		return nil, err
	}
	p.index, err = t.indexOf(r.Context(), p.who)
	return p, err
}

// change is POST.
func (t *Tokens) change(w http.ResponseWriter, r *http.Request, p *person) error {
	asked, err := readWish(w, r)
	if err == nil && asked.revoke != "" {
		return t.end(w, r, p, asked.revoke)
	}
	var l limits
	if err == nil {
		l, err = t.judge(p, asked)
	}
	var tok token
	var made *listedRecord
	if err == nil {
		tok, made, err = t.mint(r.Context(), p, l)
	}
	var e *pages.Error
	switch {
	case errors.As(err, &e) && pages.KindOf(r) == pages.FormPost && (e.Code == codeBadRequest || e.Code == codeTooMany):
		return t.show(w, r, p, attempt{asked: asked, failed: e}) // with what was typed
	case err != nil:
		return err
	}
	t.deps.Log.InfoContext(r.Context(), "personal token made", "token", made.id.String(), "login", p.who.Login, "provider", p.who.Provider,
		"hosts", made.Hosts, "read_only", made.ReadOnly, "ends", time.UnixMilli(made.Ends).UTC())
	t.deps.Signals.Tell(w, r, telemetry.Event{
		Name: telemetry.EventToken, Outcome: telemetry.OK, Reason: "made", Who: p.who, Token: made.id.String(), Scopes: made.Scopes, Hosts: made.Hosts,
	})
	return t.hand(w, r, p, tok, made)
}

// end is the end of a token.
func (t *Tokens) end(w http.ResponseWriter, r *http.Request, p *person, text string) error {
	id, ok := parseDigest(text)
	var err error
	if ok {
		ok, err = t.revoke(r.Context(), p, id)
	}
	if err != nil {
		return err
	}
	if ok {
		t.deps.Log.InfoContext(r.Context(), "personal token revoked", "token", id.String(), "login", p.who.Login, "provider", p.who.Provider)
		t.deps.Signals.Tell(w, r, telemetry.Event{Name: telemetry.EventToken, Outcome: telemetry.OK, Reason: "revoked", Who: p.who, Token: id.String()})
	}
	w.Header().Set("Cache-Control", "no-store")
	switch {
	case pages.KindOf(r) == pages.FormPost: // the list shows that it is gone, also after a second click
		w.Header().Set("Location", t.prefix+path)
		w.WriteHeader(http.StatusSeeOther)
	case !ok:
		return &pages.Error{Code: codeNoRoute, Detail: "You have no token of this id here."}
	default:
		w.WriteHeader(http.StatusNoContent)
	}
	return nil
}
