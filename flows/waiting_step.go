package flows

import (
	"context"
	"errors"
	"time"

	"github.com/doorward/doorward/flows/provider"
	"github.com/doorward/doorward/internal/identity"
)

// step goes on with a waiting, for whoever asks about it: at most one token request, and none before
// its time, whichever replicas are asked and however often (DEV-3, DEV-7, P157, P158, P168). It returns
// the record as it stands then. Errors: errNoWaiting, and answers for trouble with our own store.
//
// The caller's context counts for nothing: a browser that reloads in the middle of the token
// request must not lose the tokens.
func (f *Flows) step(ctx context.Context, id []byte) (*waiting, error) {
	ctx = context.WithoutCancel(ctx)
	w, err := f.loadWaiting(ctx, id)
	if err != nil {
		return nil, err
	}
	return f.stepFrom(ctx, w)
}

// stepFrom is step for a caller who has just read the record.
func (f *Flows) stepFrom(ctx context.Context, w *waiting) (*waiting, error) {
	ctx = context.WithoutCancel(ctx)
	if w.Status != waitPending {
		return w, nil
	}
	now := f.deps.Now()
	// While a request is under way its answer may still be the tokens.
	if !now.Before(w.ends()) && now.UnixMilli() >= w.Pace.Busy {
		return f.settle(ctx, w, outcome{status: waitExpired})
	}
	if !w.due(now) {
		return w, nil
	}
	leave, ok := f.asking.enter(f.byName[w.Login].provider)
	if !ok {
		return w, nil // the next poll tries again
	}
	defer leave()
	claimed := *w
	claimed.Pace = w.Pace.asking(now, w.callTime())
	if won, err := f.swap(ctx, &claimed); err != nil || !won {
		return w, err // somebody else asks
	}
	w, err := f.loadWaiting(ctx, w.id) // for its version
	if err != nil {
		return nil, err
	}
	o := f.ask(ctx, w)
	if o.at = f.deps.Now(); w.Kind == kindCIBA {
		o.at = later(o.at, now.Add(levelTime)) // no sooner than a decoy's could be (P167)
	}
	if o.status != waitReady {
		return f.settle(ctx, w, o)
	}
	return f.settleTokens(ctx, w, o)
}

// settleTokens is settle for what cannot be had again: a store that is away for a moment must not lose it.
// Tokens that nobody will collect are given back (REF-8).
func (f *Flows) settleTokens(ctx context.Context, w *waiting, o outcome) (settled *waiting, err error) {
	for range 4 {
		if settled, err = f.settle(ctx, w, o); err == nil {
			break
		}
		pause(ctx, settlePause)
	}
	if err != nil || settled.Status != waitReady {
		l := f.byName[w.Login]
		f.deps.Revoker.Revoke(ctx, &identity.Identity{Issuer: l.client.Issuer(), Provider: l.provider, Login: l.name, Tokens: o.tokens})
	}
	return settled, err
}

const settlePause = 500 * time.Millisecond

// callTime is how long one token request may take.
func (w *waiting) callTime() time.Duration {
	if w.Kind == kindDevice {
		return deviceCallTime
	}
	return cibaCallTime
}

// due reports whether the next step is a token request. Who has everything pushed asks for nothing.
func (w *waiting) due(now time.Time) bool {
	return w.Status == waitPending && w.Delivery != deliveryPush && w.Pace.due(now) && now.Before(w.ends())
}

func later(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}

// outcome is what one token request, or a push, says.
type outcome struct {
	status string
	tokens *identity.Tokens // with ready
	pushed bool             // with ready
	code   string           // with failed
	why    string           // with failed
	err    error            // for the log
	pace   func(p pace, now time.Time) pace
	at     time.Time // with pending: when it was answered
}

// ask makes the one token request. A decoy is one that asks nobody (P167).
func (f *Flows) ask(ctx context.Context, w *waiting) outcome {
	l := f.byName[w.Login]
	if w.Handle == "" {
		f.askNobody(ctx, l)
		return outcome{status: waitPending, pace: w.patience()}
	}
	began := f.deps.Now()
	asking, cancel := context.WithTimeout(ctx, w.callTime())
	defer cancel()
	response, err := l.askToken(asking, w)
	if err == nil {
		return outcome{status: waitReady, tokens: &response.Tokens}
	}
	o := w.judge(err)
	if l.ciba != nil && o.status == waitPending && o.err == nil {
		f.learnPoll(ctx, l, f.deps.Now().Sub(began))
	}
	return o
}

func (l *login) askToken(ctx context.Context, w *waiting) (*provider.Response, error) {
	if l.device != nil {
		return l.client.DeviceToken(ctx, hidden(w.Handle), hidden(w.Verifier))
	}
	return l.client.CIBAToken(ctx, hidden(w.Handle))
}

// judge sorts the errors of RFC 8628 §3.5 and CIBA §11 and §12. What isn't named goes the way the
// specifications want for everything else: nothing more is sent.
func (w *waiting) judge(err error) outcome {
	var e *provider.Error
	if !errors.As(err, &e) {
		return outcome{status: waitFailed, code: codeInternal, why: "Something failed here.", err: err}
	}
	switch {
	case e.Code == "authorization_pending":
		return outcome{status: waitPending, pace: w.patience()}
	case e.Code == "slow_down":
		return outcome{status: waitPending, pace: func(p pace, now time.Time) pace { return p.slower(now, e.Interval) }}
	case e.Code == "expired_token":
		return outcome{status: waitExpired}
	case e.Code == "access_denied", e.Code == "authorization_declined":
		return outcome{status: waitDenied}
	case e.Code == "transaction_failed":
		return outcome{status: waitFailed, code: codeProviderBad, why: "The provider could not finish the sign-in, although nobody refused it.", err: err}
	case e.Code == "invalid_grant" && w.Pace.Lost: // the request before was answered after we gave it up, and has used the code up
		return outcome{status: waitFailed, code: codeLoginExpired, why: "The answer of the provider was lost on its way. Begin again.", err: err}
	case e.Code == "invalid_grant":
		return outcome{status: waitFailed, code: codeProviderBad, why: "The provider does not know this request any more.", err: err}
	case e.Kind == provider.Unavailable:
		return outcome{status: waitPending, err: err, pace: func(p pace, now time.Time) pace {
			if mayBeAnswered(e) {
				p = p.lost()
			}
			return p.troubled(now, e.RetryAfter)
		}}
	}
	return outcome{status: waitFailed, code: providerFailure(e, err).Code, why: failureInWords(e), err: err}
}

// mayBeAnswered reports whether the provider may have given tokens in answer to a request that failed, which then
// are lost: whoever was told to come later, or did not trust the server, got none.
func mayBeAnswered(e *provider.Error) bool {
	return e.Code != "rate_limited" && e.Code != "tls_untrusted"
}

func failureInWords(e *provider.Error) string {
	switch e.Kind {
	case provider.Misconfigured:
		return "The identity provider and this site do not agree on how people sign in. The people who run this site must change something."
	case provider.Refused:
		return "The identity provider ended this sign-in with an error."
	}
	return "The identity provider answered in a way that cannot be accepted."
}

// patience is the pace after authorization_pending. In ping mode a request without a ping before it is only
// for the case that the ping was lost.
func (w *waiting) patience() func(pace, time.Time) pace {
	var least time.Duration
	if w.Delivery == deliveryPing && !w.Pinged {
		least = pingFallback
	}
	return func(p pace, now time.Time) pace { return p.pending(now, least) }
}

// settle writes what came of a request. A ping that came meanwhile is not lost: its request is still due.
func (f *Flows) settle(ctx context.Context, w *waiting, o outcome) (*waiting, error) {
	pinged := w.Pinged
	now, changed, err := f.change(ctx, w, func(w *waiting) bool {
		if w.Status != waitPending {
			return false
		}
		w.Status, w.Code, w.Why = o.status, o.code, o.why
		switch {
		case o.status == waitReady:
			w.Tokens, w.Pushed = sealTokens(o.tokens), o.pushed
		case o.status == waitPending:
			w.Pace = o.pace(w.Pace, o.at)
			if w.Pinged && !pinged {
				w.Pace = w.Pace.called(f.deps.Now())
			}
		}
		if o.status != waitPending {
			w.forget()
		}
		return true
	})
	if err != nil {
		return nil, err
	}
	if changed {
		f.noteOutcome(ctx, now, o)
	}
	return now, nil
}

// forget drops what is of no use after the last request.
func (w *waiting) forget() {
	if !w.Pushed {
		w.Handle = "" // else it is what the ID token must name
	}
	w.Verifier = ""
	w.Pace = pace{Interval: w.Pace.Interval, Next: w.Pace.Next}
}

// noteOutcome logs what an operator wants to know: the end of a waiting, and the first trouble of several.
// Neither codes nor hints nor messages are in it.
func (f *Flows) noteOutcome(ctx context.Context, w *waiting, o outcome) {
	l := f.byName[w.Login]
	attrs := []any{"login", l.name, "provider", l.provider, "waited", f.deps.Now().Sub(w.created()).Round(time.Second).String()}
	switch {
	case w.Status == waitPending && w.Pace.Failures == 1:
		f.deps.Log.WarnContext(ctx, "the provider does not say whether somebody has answered", append(attrs, "error", o.err)...)
	case w.Status == waitDenied, w.Status == waitExpired:
		f.deps.Log.InfoContext(ctx, "waiting ended", append(attrs, "status", w.Status)...)
	case w.Status == waitFailed:
		f.deps.Log.WarnContext(ctx, "waiting ended", append(attrs, "status", w.Status, "code", w.Code, "error", o.err)...)
	}
	if w.Status != waitPending && w.Status != waitReady && w.Status != waitUsed {
		f.tellWaiting(ctx, l, w)
	}
	f.released(ctx, w)
}

// take takes what a ready waiting holds: of several callers exactly one wins, and the record is used
// from then on (CD-3, P155, P166). The ID token is judged before, in every respect but the nonce that these
// flows don't have (DEV-10, CIB-11, P161); one that doesn't hold makes the waiting fail.
//
// person is who it must be: an approval counts only from the caller (issuer and subject). nil = anybody, or the
// person whose ID token said whom to ask.
//
// won false without an error: nothing is ready, somebody else was faster, or the tokens were not to be
// believed; step tells. An error (the keys cannot be had, the store is down) loses nothing: call again later.
func (f *Flows) take(ctx context.Context, id []byte, person *identity.Identity) (who *identity.Identity, won bool, err error) {
	w, err := f.loadWaiting(ctx, id)
	if err != nil || w.Status != waitReady {
		return nil, false, err
	}
	if person == nil && w.Subject != "" {
		person = &identity.Identity{Issuer: f.byName[w.Login].client.Issuer(), Subject: w.Subject}
	}
	who, err = f.identify(ctx, w, person)
	if err != nil {
		if unavailable(err) {
			return nil, false, err
		}
		return nil, false, f.reject(ctx, w, err)
	}
	won, err = f.takeWaiting(ctx, w)
	return who, won, err
}

// takeWaiting marks w as used. Half a write would lose the tokens, so whether the caller has gone counts for nothing.
func (f *Flows) takeWaiting(ctx context.Context, w *waiting) (won bool, err error) {
	ctx = context.WithoutCancel(ctx)
	used := *w
	used.Status, used.Tokens, used.Handle = waitUsed, nil, ""
	won, err = f.swap(ctx, &used)
	if won {
		f.released(ctx, &used)
	}
	return won, err
}

func (f *Flows) identify(ctx context.Context, w *waiting, person *identity.Identity) (*identity.Identity, error) {
	l := f.byName[w.Login]
	expect := provider.Expect{Login: l.name, NoNonce: true, Same: person}
	if w.Pushed {
		expect.Pushed = w.Handle
	}
	who, err := l.client.Identify(ctx, &provider.Response{Tokens: w.Tokens.tokens()}, expect)
	if err != nil {
		return nil, err
	}
	return who, l.checkLevel(who)
}

// reject ends a waiting whose tokens are not to be believed.
func (f *Flows) reject(ctx context.Context, w *waiting, cause error) error {
	o := outcome{status: waitFailed, code: codeProviderBad, why: "What the identity provider sent is not to be believed.", err: cause}
	var e *provider.Error
	if errors.As(cause, &e) {
		o.code = providerFailure(e, cause).Code
	}
	failed, changed, err := f.change(ctx, w, func(w *waiting) bool {
		if w.Status != waitReady {
			return false
		}
		w.Status, w.Code, w.Why, w.Tokens, w.Handle = o.status, o.code, o.why, nil, ""
		return true
	})
	if changed {
		f.noteOutcome(ctx, failed, o)
	}
	return err
}
