package pages

import (
	"net/http"
	"slices"

	"github.com/doorward/doorward/internal/telemetry"
)

// button is a link or, with Post, a form of one button.
type button struct {
	Label, URL string
	Post       bool
	Quiet      bool // not the thing to do first
}

type errorPage struct {
	Title, Detail, Advice  string
	Buttons                []button
	Facts                  []Fact
	Fault, Code, Reference string
	Status                 int
}

// errorPage shows e to a person. The status and the code are on it because people are asked for
// them on the telephone.
func (p *Pages) errorPage(w http.ResponseWriter, r *http.Request, e *Error, kind Kind, record *telemetry.Record) {
	c := codes[e.Code]
	page := errorPage{
		Title: c.title, Detail: e.detail(), Advice: c.advice, Fault: string(c.fault),
		Code: e.Code, Status: e.status(), Reference: record.Reference, Buttons: buttons(e, kind),
	}
	for _, f := range e.Facts[:min(len(e.Facts), maxFacts)] {
		page.Facts = append(page.Facts, Fact{clean(f.Name, maxLabel), clean(f.Value, maxValue)})
	}
	forms := slices.ContainsFunc(page.Buttons, func(b button) bool { return b.Post })
	p.show(w, r, page.Status, p.failed, forms, c.title, page)
}

// buttons are what a person can do about e. "Try again" is a link to the page itself, so no address
// that a stranger wrote is repeated; after a form it would not be the same request.
func buttons(e *Error, kind Kind) (all []button) {
	add := func(b button) {
		b.Quiet = len(all) > 0
		all = append(all, b)
	}
	if to := link(e.LoginURL); to != "" {
		add(button{Label: "Sign in", URL: to})
	} else if codes[e.Code].again && kind == Navigation {
		add(button{Label: "Try again"})
	}
	for _, a := range e.Actions[:min(len(e.Actions), maxActions)] {
		if to := link(a.URL); to != "" {
			add(button{Label: clean(a.Label, maxLabel), URL: to, Post: a.Post})
		}
	}
	return all
}

// SignedOut writes the page after a logout. again is a path that starts a new login, or "".
func (p *Pages) SignedOut(w http.ResponseWriter, r *http.Request, again string) {
	p.show(w, r, http.StatusOK, p.signedOut, false, "You are signed out", link(again))
}

// ConfirmSignOut writes the page that a cross-site navigation to sign_out gets: a form that
// POSTs to action. rd goes with it as it came, for the endpoint to judge; it is no link here.
func (p *Pages) ConfirmSignOut(w http.ResponseWriter, r *http.Request, action, rd string) {
	if len(rd) > maxURL {
		rd = "" // then the sign-out ends on the page that says it's done
	}
	page := struct{ Action, Back string }{link(action), rd}
	p.show(w, r, http.StatusOK, p.confirm, true, "Sign out?", page)
}

// KeepFragment writes the page that carries location.hash into a login: script appends the
// fragment (percent-encoded) to start's rd, which must be its last parameter; without script the
// page goes to start by itself, and a link does too. Whatever the fragment holds, it ends
// within the value of that parameter, and start judges rd again.
func (p *Pages) KeepFragment(w http.ResponseWriter, r *http.Request, start string) {
	to := link(start)
	if to == "" || to[0] != '/' {
		to = p.prefix + "/start?rd=%2F"
	}
	p.show(w, r, http.StatusOK, p.fragment, false, "One moment", to)
}
