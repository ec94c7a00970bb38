package flows

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/doorward/doorward/flows/provider"
	"github.com/doorward/doorward/internal/origin"
	"github.com/doorward/doorward/internal/pages"
	"github.com/doorward/doorward/internal/seal"
	"github.com/doorward/doorward/internal/secret"
)

// What providers tell us by themselves (CIBA §10.2, §10.3). The waiting is found by the auth_req_id, at any
// replica, and the notification token that came along must be the one that was made for it.

const (
	purposeNotify seal.Purpose = "login-ciba-notify"

	maxPing = 16 << 10  // bytes of a body: an auth_req_id, and little else
	maxPush = 320 << 10 // four tokens, and what else a token response holds
)

func (f *Flows) expectsNotifications() bool {
	return slices.ContainsFunc(f.logins, func(l *login) bool { return l.ciba != nil && l.ciba.delivery != "" })
}

func (f *Flows) takesPushes() bool {
	return slices.ContainsFunc(f.logins, func(l *login) bool { return l.ciba != nil && l.ciba.delivery == deliveryPush })
}

// expectNotification makes a waiting findable by what its provider will name. The id alone opens nothing:
// it is sealed only because everything in the store is.
func (f *Flows) expectNotification(ctx context.Context, w *waiting) error {
	key := notifyKey(w.Handle)
	blob := f.deps.Ring.Seal(purposeNotify, w.id, []byte(key))
	if err := f.deps.Shared.Put(ctx, key, blob, w.life(f.deps.Now())); err != nil {
		return f.storeError(err)
	}
	return nil
}

func notifyKey(authReqID string) string { return sharedKey("ciba", []byte(authReqID)) }

// notify is POST …/ciba/notify. It never asks the provider anything because of a ping: that is the next poll's, so
// that whoever could send pings could not make us send requests (P165).
func (f *Flows) notify(w http.ResponseWriter, r *http.Request, _ origin.Origin) error {
	token, ok := bearerOf(r.Header)
	if !ok {
		return notBelieved() // of strangers not even the body is read
	}
	body, err := f.readBody(w, r)
	if err != nil {
		return err
	}
	n, err := readNotification(body)
	if err != nil {
		return &pages.Error{Code: codeBadRequest, Detail: "The body is no notification of CIBA."}
	}
	if n.tokens && !f.takesPushes() { // P163: whoever sends tokens that nobody waits for gets no further
		return &pages.Error{Code: codeBadRequest, Detail: "No tokens are taken here."}
	}
	wait, err := f.notified(r.Context(), n.authReqID, token)
	if err != nil {
		return err
	}
	record(w, f.byName[wait.Login])
	switch {
	case wait.Delivery == deliveryPing && n.tokens:
		return &pages.Error{Code: codeBadRequest, Detail: "No tokens are taken here."}
	case wait.Delivery == deliveryPing:
		err = f.ping(r.Context(), wait)
	default:
		err = f.push(r.Context(), wait, body)
	}
	if err != nil {
		return err
	}
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (f *Flows) readBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	most := int64(maxPing)
	if f.takesPushes() {
		most = maxPush
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, most))
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return nil, &pages.Error{Code: codeBodyTooLarge}
	case err != nil:
		return nil, &pages.Error{Code: codeBadRequest, Detail: "The body could not be read."}
	}
	return body, nil
}

// notification is as much of a body as must be known before anybody is believed.
type notification struct {
	authReqID string
	tokens    bool
}

func readNotification(body []byte) (n notification, err error) {
	var o map[string]json.RawMessage
	if err := json.Unmarshal(body, &o); err != nil {
		return n, err
	}
	if err := json.Unmarshal(o["auth_req_id"], &n.authReqID); err != nil {
		return n, err
	}
	if n.authReqID == "" || len(n.authReqID) > maxAuthReqID {
		return n, errors.New("auth_req_id")
	}
	for _, name := range []string{"access_token", "id_token", "refresh_token"} {
		if _, ok := o[name]; ok {
			n.tokens = true
		}
	}
	return n, nil
}

const maxAuthReqID = 8 << 10 // as much as we take when it is made

// notified finds the waiting that a notification is about. A wrong token, none at all, and an id that nobody knows
// are one answer (CIB-9, P162, P165). Tokens are compared as hashes, in constant time.
func (f *Flows) notified(ctx context.Context, authReqID, token string) (*waiting, error) {
	id, err := f.notifiedID(ctx, authReqID, token)
	if err != nil {
		return nil, err
	}
	if id == nil {
		return nil, notBelieved()
	}
	wait, err := f.loadWaiting(ctx, id)
	switch {
	case errors.Is(err, errNoWaiting):
		return nil, notBelieved()
	case err != nil:
		return nil, err
	case subtle.ConstantTimeCompare(wait.Bearer, digest(token)) != 1:
		return nil, notBelieved()
	}
	return wait, nil
}

func notBelieved() error {
	return &pages.Error{Code: codeLoginRequired, Detail: "The notification token is not right.", Challenge: []string{"Bearer"}}
}

// notifiedID returns the id of the waiting that an auth_req_id belongs to, nil if nobody knows it.
//
// A provider whose person answers at once can be faster with its notification than with the answer that names the
// auth_req_id. So a token that goes out just now lets its bearer wait for a moment.
func (f *Flows) notifiedID(ctx context.Context, authReqID, token string) ([]byte, error) {
	key := notifyKey(authReqID)
	for tries := 0; ; tries++ {
		items, err := f.deps.Shared.Get(ctx, key, earlyKey(token))
		if err != nil {
			return nil, f.storeError(err)
		}
		if id, err := f.deps.Ring.Open(purposeNotify, items[0].Value, []byte(key)); err == nil {
			return id, nil
		}
		if items[1].Version == 0 || tries == earlyTries {
			return nil, nil
		}
		pause(ctx, earlyPause)
	}
}

const (
	earlyTries = 20
	earlyPause = 150 * time.Millisecond
)

// expectEarly lets a notification be found whose request has not been answered yet.
func (f *Flows) expectEarly(ctx context.Context, token secret.String) error {
	if err := f.deps.Shared.Put(ctx, earlyKey(token.Reveal()), []byte{1}, time.Minute); err != nil {
		return f.storeError(err)
	}
	return nil
}

func earlyKey(token string) string { return sharedKey("ciba-early", []byte(token)) }

// bearerOf returns the one Bearer token of a request (RFC 6750 §2.1).
func bearerOf(h http.Header) (string, bool) {
	values := h["Authorization"]
	if len(values) != 1 {
		return "", false
	}
	scheme, token, ok := strings.Cut(values[0], " ")
	token = strings.TrimLeft(token, " ")
	return token, ok && strings.EqualFold(scheme, "Bearer") && token != "" && !strings.ContainsAny(token, " ,\t")
}

// ping lets the next poll through. A second ping changes nothing: one token request for each waiting is all
// that pings can cause (P165).
func (f *Flows) ping(ctx context.Context, w *waiting) error {
	_, _, err := f.change(context.WithoutCancel(ctx), w, func(w *waiting) bool {
		if w.Status != waitPending || w.Pinged {
			return false
		}
		w.Pinged, w.Pace = true, w.Pace.called(f.deps.Now())
		return true
	})
	if errors.Is(err, errNoWaiting) {
		return nil
	}
	return err
}

// push takes tokens, or the news that there will be none. Tokens are checked before anything of them is kept:
// by auth_req_id, at_hash and rt_hash they must belong together and to this request (CIB-10, P164). What doesn't
// hold is 400, and the waiting goes on: the right ones may still come. They are checked again when they are taken.
func (f *Flows) push(ctx context.Context, w *waiting, body []byte) error {
	l := f.byName[w.Login]
	if w.Status != waitPending {
		return nil // pushed again
	}
	if !f.deps.Now().Before(w.ends()) {
		return &pages.Error{Code: codeBadRequest, Detail: "The time for this request has run out."}
	}
	handle, response, err := l.client.ReadPush(body)
	if handle != w.Handle {
		return badPush(err)
	}
	if err != nil {
		var e *provider.Error
		if !errors.As(err, &e) || e.Kind != provider.Refused { // no error of CIBA §12
			return badPush(err)
		}
		return f.settlePush(ctx, w, w.judge(err))
	}
	_, err = l.client.Identify(ctx, response, provider.Expect{Login: l.name, NoNonce: true, Pushed: handle})
	if unavailable(err) {
		return &pages.Error{Code: codeProviderDown, Err: err, RetryAfter: 5 * time.Second} // the keys cannot be had: send it again
	}
	if err != nil {
		return badPush(err)
	}
	return f.settlePush(ctx, w, outcome{status: waitReady, tokens: &response.Tokens, pushed: true})
}

// settlePush writes what was pushed. What could not be written is not thanked for: the provider shall send it again.
func (f *Flows) settlePush(ctx context.Context, w *waiting, o outcome) error {
	now, err := f.settle(context.WithoutCancel(ctx), w, o)
	if err == nil && now.Status == waitPending {
		err = f.storeError(errLost)
	}
	return err
}

func badPush(cause error) error {
	return &pages.Error{Code: codeBadRequest, Detail: "What was pushed does not hold.", Err: cause}
}
