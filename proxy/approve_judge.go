package proxy

import (
	"errors"
	"math"
	"net/http"
	"time"

	"github.com/doorward/doorward/internal/approval"
	"github.com/doorward/doorward/internal/identity"
	"github.com/doorward/doorward/internal/pages"
	"github.com/doorward/doorward/proxy/policy"
)

// outcomeHeld is what the access log says of a request that waits for its approval.
const outcomeHeld = "held"

// demand is one request that needs an approval, read once.
type demand struct {
	*gate
	w           http.ResponseWriter
	req         *CanonicalRequest
	who         *identity.Identity
	fields      fields
	fingerprint approval.Fingerprint
	body        []byte
}

// judge decides over a request that may pass but for its approval: either it has one, or it gets an answer
// (an error, or answered with a redirect to the page that waits).
func (a *gate) judge(w http.ResponseWriter, req *CanonicalRequest, d Decision, named []string, p *place) (c permit, answered bool, err error) {
	switch {
	case d.Outcome != Allow || d.Who == nil:
		return c, false, d.refusal()
	case d.Who.Machine:
		return c, false, &pages.Error{Code: codeAccessDenied, Detail: "Only a person can approve this, and you are a machine."}
	case beforehand(req.in.Header):
		return c, false, impossible("Nobody is asked about what a browser loads beforehand.")
	case len(named) > 1:
		return c, false, &pages.Error{Code: codeBadRequest, Detail: "The request names several approvals."}
	}
	q, err := a.demand(w, req, d.Who, p)
	if err != nil {
		return c, false, err
	}
	if len(named) == 1 {
		c, err = q.redeem(named[0])
		if err == nil {
			req.record.Rule += ", approved"
		}
		if !errors.Is(err, errAnew) {
			return c, false, err
		}
	}
	answered, err = q.ask()
	return permit{}, answered, err
}

// beforehand reports whether a browser guesses that somebody may come here: no phone rings for that.
func beforehand(h http.Header) bool {
	return h["Sec-Purpose"] != nil || h["Purpose"] != nil || h["X-Purpose"] != nil || h["X-Moz"] != nil
}

// demand reads what is to be approved.
func (a *gate) demand(w http.ResponseWriter, req *CanonicalRequest, who *identity.Identity, p *place) (*demand, error) {
	body, err := readBody(w, req.in, a.maxBody, p)
	if err != nil {
		return nil, err
	}
	q := &demand{gate: a, w: w, req: req, who: who, body: body}
	refusal := ""
	if q.fields, refusal = a.reads.fields(req.in.Header, req.Query, body); refusal != "" {
		return nil, impossible(refusal)
	}
	q.fingerprint = fingerprint(a.route.name, req, body)
	return q, nil
}

// errAnew says that the approval is over and another may be asked for.
var errAnew = errors.New("the approval has expired")

// redeem finds out whether the approval of that name is one of this very request.
func (q *demand) redeem(name string) (permit, error) {
	id, ok := q.idIn(name)
	if !ok {
		return permit{}, mismatch() // of another route, or no name of ours
	}
	found, err := q.approver.Find(q.req.in, q.who, id)
	if err != nil {
		return permit{}, unknowable(err)
	}
	if found == nil || found.Fingerprint != q.fingerprint {
		return permit{}, mismatch()
	}
	// The message is made again, as of then: a header or a claim that it shows is bound by this.
	if message, err := q.say(found.Asked); err != nil || message != found.Message {
		return permit{}, mismatch()
	}
	switch found.Status {
	case approval.Approved:
		return permit{q.approver, id}, nil
	case approval.Pending:
		return permit{}, q.required(found)
	case approval.Used:
		return permit{}, &pages.Error{Code: codeApprovalUsed}
	case approval.Expired:
		return permit{}, errAnew
	}
	return permit{}, &pages.Error{Code: codeApprovalDenied}
}

func mismatch() error { return &pages.Error{Code: codeApprovalMismatch} }

// ask asks the person and answers who waits.
func (q *demand) ask() (answered bool, err error) {
	now := q.route.now().Truncate(time.Second)
	message, err := q.say(now)
	if err != nil {
		return false, err
	}
	browser := pages.KindOf(q.req.in) != pages.Program && q.req.Method != http.MethodHead
	question := approval.Question{
		Fingerprint: q.fingerprint, Message: message, Request: q.req.Method + " " + q.req.Path, Asked: now, Expires: q.expires, Client: q.req.client,
	}
	if browser {
		question.Held, question.Back = hold(q.req, q.body), formPage(q.req)
	}
	got, err := q.approver.Ask(q.req.in, q.who, question)
	switch {
	case err != nil:
		return false, unknowable(err)
	case got.Status == approval.Denied:
		return false, &pages.Error{Code: codeApprovalDenied}
	case !browser:
		return false, q.required(got)
	}
	q.req.record.Outcome = outcomeHeld
	h := q.w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("Location", q.path(got.ID))
	q.w.WriteHeader(http.StatusSeeOther)
	return true, nil
}

// say makes the message, as of a time.
func (q *demand) say(at time.Time) (string, error) {
	req := q.req
	message, err := q.message.Eval(req.in.Context(), &policy.Input{
		Who: q.who, Method: req.Method, Host: req.site.authority, Path: req.decoded, Query: req.Query, Header: req.in.Header, Secret: q.route.secretHeaders, IP: req.Client, Time: at.UTC(),
		Form: q.fields.form, JSON: q.fields.json,
	})
	var missing *policy.Missing
	switch {
	case errors.As(err, &missing):
		return "", &pages.Error{Code: codeApprovalImpossible, Detail: "What you are to approve cannot be said: " + missing.Error() + ".", Err: err}
	case err != nil:
		return "", &pages.Error{Code: codeApprovalImpossible, Detail: "What you are to approve cannot be said.", Err: err}
	case !faithful(message):
		return "", impossible("What you are to approve cannot be shown exactly as it is: it has more than 50 characters, or others than letters, digits and " + messageAlphabet)
	}
	return message, nil
}

// required is the answer to a program that must wait (CONTRACT §5).
func (q *demand) required(a *approval.Approval) error {
	name := q.tag + a.ID
	q.req.record.Outcome = outcomeHeld
	return &pages.Error{
		Code: codeApprovalRequired, Challenge: []string{`Approval id="` + name + `"`}, RetryAfter: max(a.Interval, time.Second),
		Members: map[string]any{"approval": map[string]any{
			"id": name, "status": a.Status, "binding_message": a.Message, "expires_in": seconds(a.ExpiresIn), "interval": seconds(a.Interval),
			"poll": q.req.site.origin + q.path(a.ID),
		}},
	}
}

func (a *gate) path(id string) string { return a.prefix + a.tag + id }

// seconds rounds up: who comes back after so long is not too early.
func seconds(d time.Duration) int { return max(0, int(math.Ceil(d.Seconds()))) }

// unknowable is the answer where the approver fails without one of its own.
func unknowable(err error) error {
	var e *pages.Error
	if errors.As(err, &e) {
		return err
	}
	return &pages.Error{Code: codeStoreUnavailable, RetryAfter: retryAfter, Err: err}
}
