package proxy

import (
	"cmp"
	"net/http"
	"strings"

	"github.com/doorward/doorward/internal/approval"
	"github.com/doorward/doorward/internal/identity"
	"github.com/doorward/doorward/internal/pages"
)

// holds reports whether a path is that of an approval, and returns its name.
func (all *approvals) holds(req *CanonicalRequest) (name string, ok bool) {
	if all == nil || req.decoded != req.Path {
		return "", false
	}
	name, ok = strings.CutPrefix(req.decoded, all.prefix)
	return name, ok && approvalID(name)
}

// serveApproval answers approval/ID: a program's poll, the page on which a browser waits, and the POST of that
// page, which sends the held request. It knows an approval only for the caller who asked for it; for everybody
// else there is none.
func (g *Gateway) serveApproval(w http.ResponseWriter, req *CanonicalRequest, name string) error {
	req.record.Route, req.record.Outcome = "own", "own"
	if m := req.Method; m != http.MethodGet && m != http.MethodPost {
		return methodNotAllowed(w, "GET, POST")
	}
	a := g.approvals.tags[name[:min(len(name), tagLength)]]
	if a == nil {
		return &pages.Error{Code: codeAttemptUnknown}
	}
	id, ok := a.idIn(name)
	if !ok || !a.route.serves(req) {
		return &pages.Error{Code: codeAttemptUnknown}
	}
	d := a.route.decideOver(w, req, false)
	switch {
	case d.Outcome == Unavailable:
		return d.refusal()
	case d.Outcome != Allow || d.Who == nil:
		return &pages.Error{Code: codeAttemptUnknown}
	}
	found, err := a.approver.Find(req.in, d.Who, id)
	switch {
	case err != nil:
		return unknowable(err)
	case found == nil:
		return &pages.Error{Code: codeAttemptUnknown}
	case req.Method == http.MethodPost:
		return g.send(w, req, a, d.Who, found)
	}
	a.show(w, req, found)
	return nil
}

// serves reports whether a host is one of the route's.
func (rt *route) serves(req *CanonicalRequest) bool {
	for _, o := range rt.hosts {
		if o == req.Origin {
			return true
		}
	}
	return len(rt.hosts) == 0
}

// show tells how an approval stands: JSON to a program and to the script of the page, and where
// there is nothing that a page could send.
func (a *gate) show(w http.ResponseWriter, req *CanonicalRequest, found *approval.Approval) {
	path := a.path(found.ID)
	if pages.KindOf(req.in) == pages.Program || !found.Held {
		body := map[string]any{
			"id": a.tag + found.ID, "status": found.Status, "binding_message": found.Message,
			"expires_in": seconds(found.ExpiresIn), "interval": seconds(found.Interval),
		}
		if found.Status == approval.Approved && found.Held {
			body["location"] = path // the page that sends it
		}
		a.pages.JSON(w, req.in, http.StatusOK, body)
		return
	}
	var again pages.Form
	if found.Status == approval.Expired {
		again.Action = path
	}
	a.pages.Approval(w, req.in, pages.Approval{
		Host: req.site.authority, Request: found.Request, BindingMessage: found.Message, Send: pages.Form{Action: path}, Back: cmp.Or(found.Back, "/"),
		Waiting: pages.Waiting{
			Status: found.Status, Trouble: found.Trouble, ExpiresIn: seconds(found.ExpiresIn), Interval: seconds(found.Interval),
			Poll: path, Reload: path, Again: again,
		},
	})
}

// send forwards the held request of an approval, once. If nobody answered in time, it asks again.
func (g *Gateway) send(w http.ResponseWriter, req *CanonicalRequest, a *gate, who *identity.Identity, found *approval.Approval) error {
	if !fromOwnPage(req) {
		return crossSite(req) // nobody but the person says when it is sent (P184)
	}
	named := []string{a.tag + found.ID}
	switch found.Status {
	case approval.Approved:
	case approval.Expired:
		named = nil
	case approval.Used:
		return &pages.Error{Code: codeApprovalUsed}
	case approval.Denied:
		return &pages.Error{Code: codeApprovalDenied}
	default: // too early: the page says so
		w.Header().Set("Location", a.path(found.ID))
		w.WriteHeader(http.StatusSeeOther)
		return nil
	}
	text, err := a.approver.Held(req.in, who, found.ID)
	switch {
	case err != nil:
		return unknowable(err)
	case text == nil: // a program keeps its own, and nobody keeps one for long
		return &pages.Error{Code: codeAttemptUnknown}
	}
	h, err := unhold(text)
	if err != nil {
		return err
	}
	return g.resume(w, req, h, named)
}

// fromOwnPage is stricter than checkSite: a neighbouring host, and whoever does not say where they
// come from, is not our page.
func fromOwnPage(req *CanonicalRequest) bool {
	if site := req.in.Header["Sec-Fetch-Site"]; len(site) > 0 {
		return len(site) == 1 && site[0] == "same-origin"
	}
	from := req.in.Header["Origin"]
	return len(from) == 1 && from[0] == req.site.origin
}
