package flows

import (
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/doorward/doorward/flows/provider"
	"github.com/doorward/doorward/internal/approval"
	"github.com/doorward/doorward/internal/identity"
	"github.com/doorward/doorward/internal/pages"
	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/internal/telemetry"
)

// Approver asks people by a CIBA login whether a single request of theirs may pass. The login serves for the
// question only: nobody is signed in by the answer, and its tokens are given back.
//
// An approval is a waiting of waiting.go, and a record of its own (approval_record.go) that says of
// which request and for whom it is. All of it is in the shared store, so any replica goes on with it.
type Approver struct {
	f *Flows
	l *login
}

// Approver makes one that asks by the CIBA login of that name.
func (f *Flows) Approver(login string) (*Approver, error) {
	l := f.byName[login]
	switch {
	case l == nil:
		return nil, fmt.Errorf("approve.login: there is no login %q", login)
	case l.ciba == nil:
		return nil, fmt.Errorf("approve.login: %q does not ask people on their phones; a login of the flow ciba does", login)
	case l.ciba.hint == hintToken:
		return nil, fmt.Errorf("approve.login: %q needs a login_hint_token, which a request does not bring", login)
	case l.ciba.userCode:
		return nil, fmt.Errorf("approve.login: %q asks people for a user code, and at a request there is no form for that", login)
	}
	return &Approver{f, l}, nil
}

const (
	codeAccessDenied = "access_denied"
	codeImpossible   = "approval_impossible"
	codeNotApproved  = "approval_denied"

	// approvalGrace is how long something approved in the last moment can still be sent.
	approvalGrace = time.Minute
	// approvalMemory is how long it is remembered what became of an approval.
	approvalMemory = time.Hour

	// A person is asked so many things at a time, and so often in one window of waiting_limits.go: whoever has their
	// session must not wear them down (CD-6).
	maxApprovals       = 5
	approvalsInAWindow = 20
)

// Ask asks who for their consent. While the same caller's same request is being asked already, or
// was approved and not used, it returns that and asks nobody again. The error is an answer.
func (a *Approver) Ask(r *http.Request, who *identity.Identity, q approval.Question) (*approval.Approval, error) {
	ctx := context.WithoutCancel(r.Context()) // a phone that rings must find its record, also if the caller has gone
	if who.Provider != a.l.provider || who.Issuer == "" || who.Subject == "" || who.Machine {
		return nil, &pages.Error{Code: codeAccessDenied, Detail: "You signed in with another identity provider than the one that asks for approvals here."}
	}
	hint, err := a.hint(who)
	if err != nil {
		return nil, err
	}
	caller, err := a.caller(r, who)
	if err != nil {
		return nil, err
	}
	made := a.newApproval(caller, who, q)
	other, _, err := a.same(ctx, made, who)
	if err != nil || other != nil {
		return other, err
	}
	if err := a.takeTurn(ctx, made); err != nil { // before anything is written down: what is refused leaves nothing behind
		return nil, err
	}
	if other, err = a.claim(ctx, made, who); err != nil || other != nil {
		return other, err // the turn is the other's too
	}
	if err := a.question(ctx, made, q, hint); err != nil {
		a.withdraw(ctx, made)
		return nil, err
	}
	return made.answer(a.f.deps.Now(), approval.Pending, nil), nil
}

// hint returns how the provider shall know whom to ask. Should it find somebody else, their answer counts for
// nothing: the ID token must be the caller's.
func (a *Approver) hint(who *identity.Identity) (secret.String, error) {
	if a.l.ciba.hint == hintIDToken {
		if who.Tokens == nil || who.Tokens.IDToken.IsZero() {
			return secret.String{}, &pages.Error{Code: codeMisconfigured, Detail: "The identity provider gave no ID token by which it could be told whom to ask."}
		}
		return who.Tokens.IDToken, nil
	}
	email := who.Email
	if !who.EmailVerified {
		email = ""
	}
	return secret.New(cmp.Or(who.Username, email, who.Subject)), nil
}

// caller returns what stands for issuer, subject and session of a request; the session is what proved them.
func (a *Approver) caller(r *http.Request, who *identity.Identity) (string, error) {
	proof := "authorization " + base64.RawURLEncoding.EncodeToString(digest(r.Header.Get("Authorization")))
	session, err := a.f.deps.Sessions.Load(r)
	switch {
	case err != nil:
		return "", a.f.sessionError(err)
	case session != nil && session.Who.Key() == who.Key():
		proof = "session " + session.ID
	case r.Header.Get("Authorization") == "":
		return "", &pages.Error{Code: codeStore, Err: errors.New("a caller without a session"), RetryAfter: retryAfter} // it ended this moment
	}
	return fmt.Sprintf("%q %q %s", who.Issuer, who.Subject, proof), nil
}

// question has the provider ask.
func (a *Approver) question(ctx context.Context, made *approvalRecord, q approval.Question, hint secret.String) error {
	if err := a.keepHeld(ctx, made, q.Held); err != nil {
		return err
	}
	wait, err := a.f.beginCIBA(ctx, a.l, cibaAsk{
		id: random(idSize), holder: made.Caller, approves: true, hint: hint, message: q.Message, expiry: q.Expires.Truncate(time.Second), client: q.Client,
	})
	if err != nil {
		return a.refusal(err)
	}
	made.Waiting, made.Ends = wait.id, min(made.Ends, wait.Ends)
	made.interval = wait.interval(a.f.deps.Now())
	return a.put(ctx, made)
}

// refusal is the answer where the provider doesn't ask (CIBA §13).
func (a *Approver) refusal(err error) error {
	var e *provider.Error
	if !errors.As(err, &e) {
		return err
	}
	p := providerFailure(e, err)
	switch e.Code {
	case "unknown_user_id":
		p.Code, p.Detail = codeAccessDenied, "The identity provider does not know you as somebody whom it can ask on a phone."
	case "invalid_binding_message":
		p.Code, p.Detail = codeImpossible, "The identity provider cannot show on your phone what you are to approve."
	case "access_denied":
		p.Code = codeNotApproved
	case "missing_user_code", "invalid_user_code":
		p.Code = codeMisconfigured
	}
	return p
}

// Find returns an approval of this caller as it is now, nil if they have none of that id. It asks the provider at most
// once, and never faster than the provider wants.
func (a *Approver) Find(r *http.Request, who *identity.Identity, id string) (*approval.Approval, error) {
	rec, err := a.mine(r, who, id)
	if rec == nil || err != nil {
		return nil, err
	}
	status, wait, err := a.status(context.WithoutCancel(r.Context()), rec, who)
	if err != nil {
		return nil, err
	}
	return rec.answer(a.f.deps.Now(), status, wait), nil
}

// Held returns the request that was kept with an approval of this caller, nil if there is none (any more).
func (a *Approver) Held(r *http.Request, who *identity.Identity, id string) ([]byte, error) {
	rec, err := a.mine(r, who, id)
	if rec == nil || err != nil {
		return nil, err
	}
	return a.loadHeld(r.Context(), rec)
}

// Spend marks an approval as used and reports whether this call did it: at all replicas together one does.
func (a *Approver) Spend(ctx context.Context, id string) (bool, error) {
	rec, err := a.load(ctx, id)
	if rec == nil || err != nil {
		return false, err
	}
	_, spent, err := a.edit(ctx, rec, func(rec *approvalRecord) bool {
		if !rec.Approved || rec.Used || rec.late(a.f.deps.Now()) {
			return false
		}
		rec.Used = true
		return true
	})
	if spent {
		a.f.deps.Log.InfoContext(ctx, "an approved request is sent", "login", a.l.name, "provider", a.l.provider)
		a.tell(ctx, telemetry.OK, "sent", nil)
		a.leaveTurn(ctx, rec)
		a.dropHeld(context.WithoutCancel(ctx), rec)
	}
	return spent, err
}

// status finds out how an approval stands. It is approved only once its ID token was checked to be the caller's
// own, and that is written down.
func (a *Approver) status(ctx context.Context, rec *approvalRecord, who *identity.Identity) (string, *waiting, error) {
	now := a.f.deps.Now()
	switch {
	case rec.Used:
		return approval.Used, nil, nil
	case rec.Denied:
		return approval.Denied, nil, nil
	case rec.Approved && !rec.late(now):
		return approval.Approved, nil, nil
	case rec.Over || rec.late(now) || rec.abandoned(now):
		return approval.Expired, nil, nil
	case rec.Waiting == nil:
		return approval.Pending, nil, nil // another request is asking just now
	}
	wait, err := a.f.step(ctx, rec.Waiting)
	if err == nil && wait.Status == waitReady {
		return a.agreed(ctx, rec, who, wait)
	}
	switch {
	case errors.Is(err, errNoWaiting):
		return approval.Expired, nil, nil
	case err != nil:
		return "", nil, err
	case wait.Status == waitDenied, wait.Status == waitFailed:
		return approval.Denied, nil, a.note(ctx, rec, who, func(rec *approvalRecord) { rec.Denied = true })
	case wait.Status == waitExpired, !now.Before(rec.ends()):
		return approval.Expired, nil, a.note(ctx, rec, who, func(rec *approvalRecord) { rec.Over = true })
	}
	return approval.Pending, wait, nil
}

// agreed judges the answer of a phone. Whoever wins the tokens writes down what they say and gives them back;
// the others still see something pending. A crash in between leaves it so until it expires.
func (a *Approver) agreed(ctx context.Context, rec *approvalRecord, who *identity.Identity, wait *waiting) (string, *waiting, error) {
	person := &identity.Identity{Issuer: who.Issuer, Subject: who.Subject}
	got, won, err := a.f.take(ctx, rec.Waiting, person)
	switch {
	case err != nil && unavailable(err):
		return approval.Pending, wait, nil // nothing is lost; the next look tries again
	case err != nil:
		return "", nil, err
	case !won:
		return a.notTaken(ctx, rec, who, wait)
	}
	a.f.deps.Revoker.Revoke(ctx, got) // the consent is all that was asked for
	if got.Key() != who.Key() {
		return approval.Denied, nil, a.note(ctx, rec, who, func(rec *approvalRecord) { rec.Denied = true })
	}
	_, done, err := a.edit(ctx, rec, func(rec *approvalRecord) bool {
		if rec.Denied || rec.Over || rec.Used {
			return false
		}
		rec.Approved = true
		return true
	})
	switch {
	case err != nil:
		return "", nil, err
	case !done:
		return approval.Denied, nil, nil
	}
	a.f.deps.Log.InfoContext(ctx, "a request was approved", "login", a.l.name, "provider", a.l.provider)
	a.tell(ctx, telemetry.OK, "approved", got)
	return approval.Approved, nil, nil
}

// notTaken tells apart why an answer could not be had: it is not to be believed, or somebody else was faster.
func (a *Approver) notTaken(ctx context.Context, rec *approvalRecord, who *identity.Identity, wait *waiting) (string, *waiting, error) {
	now, err := a.f.loadWaiting(ctx, rec.Waiting)
	switch {
	case err != nil && !errors.Is(err, errNoWaiting):
		return "", nil, err
	case err == nil && now.Status == waitFailed:
		return approval.Denied, nil, a.note(ctx, rec, who, func(rec *approvalRecord) { rec.Denied = true })
	}
	return approval.Pending, wait, nil
}

// note writes down an end, which frees the person's turn. What was denied is not kept any longer; what
// ran out can be asked about again.
func (a *Approver) note(ctx context.Context, rec *approvalRecord, who *identity.Identity, change func(*approvalRecord)) error {
	now, done, err := a.edit(ctx, rec, func(rec *approvalRecord) bool {
		if rec.Used || rec.Denied || rec.Over {
			return false
		}
		change(rec)
		return true
	})
	if done {
		a.leaveTurn(ctx, rec)
	}
	if done && now.Denied {
		a.tell(ctx, telemetry.Denied, "denied", who)
		a.dropHeld(ctx, rec)
	}
	return err
}
