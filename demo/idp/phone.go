package idp

import (
	"net/http"
	"strings"
	"time"
)

type phonePage struct {
	Action, User, Done, IDs string
	Requests                []phoneRequest
}

type phoneRequest struct {
	ID, Client, Message, From, Asked, Expires, Confirm string
	Scopes                                             []string
}

// clock is a time as pages show it.
func clock(t time.Time) string { return t.UTC().Format("15:04:05 UTC") }

// servePhone is the authentication device of CIBA: what waits for a person, with two buttons. It is
// signed in by a session of its own. Accept: application/json answers only the IDs, for the page's script,
// and is not recorded.
func (s *Server) servePhone(c *call) error {
	session := s.sessionIn(c, "phone")
	if session == nil || c.query.Has("switch") {
		return s.askLogin(c, &interaction{next: s.URL(Phone), kind: "phone", browser: s.browserID(c)}, "")
	}
	if c.r.Method == http.MethodPost {
		return s.pressPhone(c, session)
	}
	waiting := s.PendingCIBA(session.user.Username)
	ids := make([]string, 0, len(waiting))
	for _, w := range waiting {
		ids = append(ids, w.ID)
	}
	if wantsJSON(c.r) {
		c.noStore()
		c.json(http.StatusOK, map[string]any{"pending": strings.Join(ids, " ")})
		return nil
	}
	c.connect = true
	return c.page(http.StatusOK, "phone", s.phonePage(c, session, waiting, strings.Join(ids, " ")))
}

func (s *Server) phonePage(c *call, session *session, waiting []PendingCIBA, ids string) phonePage {
	page := phonePage{Action: s.URL(Phone), User: session.user.Username, IDs: ids}
	switch c.query.Get("done") {
	case "approved":
		page.Done = "Approved. Look at the other device."
	case "denied":
		page.Done = "Denied. The other device is told so."
	case "late":
		page.Done = "That request had expired, or was decided before."
	}
	for _, w := range waiting {
		// What an approval is for, a sign-in or a payment, CIBA tells no provider (Core §7.1). The binding message
		// is what the person can judge by.
		shown := phoneRequest{
			ID: w.ID, Client: s.clients[w.ClientID].Name, Message: w.BindingMessage, From: w.From,
			Asked: clock(w.Asked), Expires: clock(w.Expires), Confirm: session.confirmation("phone " + w.ID),
			Scopes: scopeTexts(w.Scopes),
		}
		page.Requests = append(page.Requests, shown)
	}
	return page
}

func wantsJSON(r *http.Request) bool {
	return strings.Contains(r.Header.Get("Accept"), "application/json")
}

// pressPhone takes Approve or Deny.
func (s *Server) pressPhone(c *call, session *session) error {
	id := c.form.Get("request")
	request := s.cibaByID(id)
	if request == nil || request.user != session.user || !c.ours(session.confirmation("phone "+request.id)) {
		return &oauthError{Status: http.StatusForbidden, Code: "invalid_request", Description: "this form was not sent from our page"}
	}
	c.noteClient(request.client.ID, "")
	approve, done := c.form.Get("decision") == "allow", "denied"
	if approve {
		done = "approved"
	}
	if _, err := s.decideCIBA(c.r.Context(), id, approve); err != nil {
		done = "late"
	}
	c.noStore()
	c.redirect(s.URL(Phone) + "?done=" + done)
	return nil
}
