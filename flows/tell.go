package flows

import (
	"context"
	"net/http"
	"strings"

	"github.com/doorward/doorward/internal/identity"
	"github.com/doorward/doorward/internal/telemetry"
)

// tellLogin says that somebody has signed in.
func (f *Flows) tellLogin(w http.ResponseWriter, r *http.Request, who *identity.Identity, session string) {
	e := telemetry.Event{Name: telemetry.EventLogin, Outcome: telemetry.OK, Who: who, Session: session, Login: who.Login, Provider: who.Provider}
	if l := f.byName[who.Login]; l != nil {
		e.Flow = l.kind
	}
	telemetry.From(w).Who = who
	f.deps.Signals.Tell(w, r, e)
}

// tellFailures tells of logins that an endpoint has refused. Those that wait for another device fail behind the
// answers: noteOutcome tells.
func (f *Flows) tellFailures(e endpoint, next http.Handler) http.Handler {
	if f.deps.Signals == nil {
		return next
	}
	callback := f.isCallback(e.path)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(w, r)
		rec := telemetry.From(w)
		switch {
		case rec.Code == "" || rec.Login == "" && !callback: // of an answer that nobody asked for no login is known
			return
		case rec.Code == codeTooMany && strings.HasSuffix(e.path, "/poll"), rec.Code == codeLoginRequired, rec.Code == codeMethod:
			return // nothing has ended
		}
		failed := telemetry.Event{Name: telemetry.EventLogin, Outcome: telemetry.Failed, Code: rec.Code, Login: rec.Login, Provider: rec.Provider}
		if l := f.byName[rec.Login]; l != nil {
			failed.Flow = l.kind
		}
		f.deps.Signals.Tell(w, r, failed)
	})
}

func (f *Flows) isCallback(path string) bool {
	for _, c := range f.callbacks {
		if c.path == path {
			return true
		}
	}
	return false
}

// tellWaiting tells how a login on another device has failed. What was to approve a request is no login: [Approver] tells.
func (f *Flows) tellWaiting(ctx context.Context, l *login, w *waiting) {
	if w.Approves {
		return
	}
	e := telemetry.Event{Name: telemetry.EventLogin, Outcome: telemetry.Failed, Code: w.Code, Flow: l.kind, Login: l.name, Provider: l.provider}
	if e.Code == "" {
		e.Code = "login_" + w.Status // login_denied, login_expired
	}
	f.deps.Signals.TellContext(ctx, e)
}

// tellApproval tells what became of the approval of a request.
func (a *Approver) tell(ctx context.Context, outcome, reason string, who *identity.Identity) {
	a.f.deps.Signals.TellContext(ctx, telemetry.Event{
		Name: telemetry.EventApproval, Outcome: outcome, Reason: reason, Flow: a.l.kind, Login: a.l.name, Provider: a.l.provider, Who: who,
	})
}
