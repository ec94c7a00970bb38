package flows

import (
	"context"
	"encoding/base64"
	"errors"
	"time"

	"github.com/doorward/doorward/flows/provider"
	"github.com/doorward/doorward/internal/secret"
)

// hidden wraps what lay in a sealed record.
func hidden(s string) secret.String { return secret.New(s) }

// deviceAsk is one device authorization request.
type deviceAsk struct {
	id       []byte
	holder   string
	verifier secret.String
	client   string // address from which it is asked for; "" = not known
}

// beginDevice asks the provider for codes and stores the waiting. The errors are *provider.Error, or answers.
func (f *Flows) beginDevice(ctx context.Context, l *login, ask deviceAsk) (*waiting, error) {
	codes, err := l.client.DeviceAuthorization(ctx, provider.DeviceRequest{Scopes: l.device.scopes, Verifier: ask.verifier, Extra: l.device.params})
	if err != nil {
		return nil, err
	}
	w := newWaiting(f.deps.Now(), ask.id, l, ask.holder, codes.ExpiresIn, codes.Interval)
	w.Handle, w.Verifier, w.Client = codes.DeviceCode.Reveal(), ask.verifier.Reveal(), ask.client
	w.UserCode, w.URI, w.CompleteURI = codes.UserCode, codes.VerificationURI, codes.VerificationURIComplete
	return w, f.store(ctx, w)
}

// cibaAsk is one CIBA authentication request.
type cibaAsk struct {
	id        []byte        // of the waiting; at least 16 random bytes
	holder    string        // what whoever goes on must show again (waiting.heldBy)
	approves  bool          // a request, and signs nobody in
	kind      string        // "login_hint", "login_hint_token", "id_token_hint"; "" = as the login is configured
	hint      secret.String // its value
	message   string        // the binding message as it goes out and is shown; "" = none
	userCode  secret.String // zero = none
	expiry    time.Duration // requested_expiry; 0 = as the login is configured
	shown     string        // what of the hint may be filled in again, if it is begun anew
	client    string        // address from which it is asked for; "" = not known
	notBefore time.Time     // when it counts as begun at the earliest: as for a decoy (P167); zero = at once
	subject   string        // who it must be; "" = anybody
	place     string        // key of the person's place (ciba_place.go); "" = not limited
}

// beginCIBA asks a person by way of the provider and stores the waiting. Delivery by ping or push works for whoever
// called this: their next step finds what the provider has said meanwhile. The errors are *provider.Error
// (Code unknown_user_id for somebody whom the provider doesn't know: see decoy), or answers.
func (f *Flows) beginCIBA(ctx context.Context, l *login, ask cibaAsk) (*waiting, error) {
	c := l.ciba
	if ask.kind == "" {
		ask.kind = c.hint
	}
	if ask.expiry == 0 {
		ask.expiry = c.expiry
	}
	var bearer secret.String
	if c.delivery != "" {
		bearer = secret.New(base64.RawURLEncoding.EncodeToString(random(secretSize))) // 256 bit, for this request alone (CIB-3)
		if err := f.expectEarly(ctx, bearer); err != nil {
			return nil, err
		}
	}
	began := f.deps.Now()
	answer, err := l.client.BackchannelAuthentication(ctx, provider.CIBARequest{
		Hint: ask.kind, HintValue: ask.hint, BindingMessage: ask.message, UserCode: ask.userCode, ACRValues: c.acr, RequestedExpiry: ask.expiry,
		NotificationToken: bearer, Scopes: c.scopes, Signed: c.signed, Extra: c.params,
	})
	if err != nil {
		return nil, err
	}
	if ask.place != "" { // a login: what an approval asks for itself would give decoys away (P167)
		f.learnAnswer(ctx, l, answer.ExpiresIn, answer.Interval, f.deps.Now().Sub(began))
	}
	w := f.cibaWaiting(l, ask, answer.ExpiresIn, answer.Interval)
	w.Handle = answer.AuthReqID.Reveal()
	if !bearer.IsZero() {
		w.Bearer = digest(bearer.Reveal())
	}
	if err := f.store(ctx, w); err != nil {
		return nil, err
	}
	if w.Delivery == "" {
		return w, nil
	}
	return w, f.expectNotification(ctx, w)
}

// cibaWaiting is what real requests and decoys have in common, so that they cannot be told apart (P167).
func (f *Flows) cibaWaiting(l *login, ask cibaAsk, life, interval time.Duration) *waiting {
	now := later(f.deps.Now(), ask.notBefore)
	w := newWaiting(now, ask.id, l, ask.holder, life, interval)
	w.Approves = ask.approves
	w.Delivery, w.Message, w.Client, w.Place, w.Hint, w.Subject = l.ciba.delivery, ask.message, ask.client, ask.place, ask.shown, ask.subject
	if w.Delivery == deliveryPing {
		w.Pace = newPace(now, max(interval, pingFallback))
		w.Pace.Interval = interval.Milliseconds()
	}
	return w
}

// store writes a waiting that begins. An id is random: if the record is there already, something is wrong.
func (f *Flows) store(ctx context.Context, w *waiting) error {
	done, err := f.swap(ctx, w)
	if err == nil && !done {
		err = errors.New("flows: an id was given twice")
	}
	if err != nil {
		return err
	}
	l := f.byName[w.Login]
	f.deps.Log.InfoContext(ctx, "waiting for an answer on another device", "login", l.name, "provider", l.provider, "expires_in", w.ends().Sub(w.created()).String())
	return nil
}
