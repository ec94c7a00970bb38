package flows

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/netip"
	"net/url"
	"time"

	"github.com/doorward/doorward/internal/origin"
	"github.com/doorward/doorward/internal/pages"
	"github.com/doorward/doorward/internal/telemetry"
)

const (
	maxPosted     = 160 << 10 // bytes of an answer: two tokens of the size that is taken from anybody, and a code
	maxPostedKeys = 50        // parameters in it
	parkedLife    = 30 * time.Second
	maxParked     = 64 << 20       // bytes that wait at a time, give or take a factor of two
	parkedBytes   = "flows/parked" // how many do
	formMedia     = "application/x-www-form-urlencoded"
)

// parkedParams are what of a posted answer is looked at; all others are ignored (RSP-3).
var parkedParams = []string{
	"code", "state", "iss", "error", "error_description", "error_uri",
	"access_token", "token_type", "expires_in", "scope", "id_token",
	"refresh_token", // to be refused
}

// parked is an answer that waits for the browser that brought it.
type parked struct {
	Answer url.Values `json:"a"`
}

// received takes an answer that comes in a body: posted by the provider's page (form_post), or by a page of ours
// that read it from the fragment (relay.go).
//
// It is not judged here. The provider's page is another site, so this request comes without the
// session, without the chain of the loop detection, and without anything else that is SameSite=Lax, and a login that
// ended here would leave the old session alive (P072), see no loop, and take a signed-in person for
// nobody. So the answer is parked, and the browser sent to fetch it by a GET, which brings all
// cookies: from there on it is a callback like any other. In the address there is only a handle, worth
// nothing without the cookie of the attempt, and reloading or going back repeats no form. An answer for
// another host (callback_host) goes the same way. What is parked without need is bounded: it must name a live
// attempt, which only its own browser can, or, on the callback host, have a state of ours.
func (f *Flows) received(w http.ResponseWriter, r *http.Request, here origin.Origin, provider string) error {
	params, err := readPosted(w, r)
	if err != nil {
		return err
	}
	s, l, err := f.belongs(w, here, provider, params)
	if err != nil {
		return err
	}
	if l.front == nil { // its answers come in the address (P117)
		return &pages.Error{Code: codeFailed, Detail: "The answer to this sign-in does not come by a form."}
	}
	if l.front.mode == formPost && params.Has(pages.RelayField) { // it was in a fragment, for which nobody asked (IMP-8)
		return &pages.Error{Code: codeFailed, Detail: "The answer to this sign-in does not come by a page of ours."}
	}
	if l.front.mode == fragment {
		if err := f.relayed(r, here, provider, s, params.Get(pages.RelayField)); err != nil {
			return err
		}
	}
	began, mine, err := f.destination(here, provider, s, false)
	if err != nil {
		return err
	}
	if mine {
		a, err := f.pending(r, here, s)
		if err != nil {
			return err
		}
		if a == nil { // used, too old or somebody else's: what to do then the session says, which is not here
			return f.hop(w, here, began, provider, "state="+url.QueryEscape(params.Get("state"))) // as it was in addresses before
		}
	}
	from := network(telemetry.From(w).Client)
	if wait := f.budget.wait(from); wait > 0 {
		return &pages.Error{Code: codeTooMany, RetryAfter: wait}
	}
	handle, err := f.park(r.Context(), from, began, provider, params)
	if err != nil {
		return err
	}
	return f.hop(w, here, began, provider, "answer="+handle)
}

// hop sends a browser to the callback of the host where it began. A 303 is still a part of what the page has sent
// that posted the form, and browsers hold it to that page's form-action: to another host a page of ours goes on.
func (f *Flows) hop(w http.ResponseWriter, here, began origin.Origin, provider, query string) error {
	to := began.String() + f.callbacks[provider].path + "?" + query
	if began != here {
		return reload(w, to)
	}
	return redirect(w, http.StatusSeeOther, to) // never 307: the body has been read (AUT-8)
}

// park keeps an answer for thirty seconds, sealed, and returns its handle.
func (f *Flows) park(ctx context.Context, from netip.Prefix, began origin.Origin, provider string, params url.Values) (handle string, err error) {
	p := parked{Answer: url.Values{}}
	for _, name := range parkedParams {
		if params.Has(name) {
			p.Answer[name] = params[name]
		}
	}
	id := random(idSize)
	blob := f.sealParked(id, began, provider, p)
	if !f.shares.take(f.deps.Now(), from, len(blob)) {
		return "", &pages.Error{Code: codeTooMany, RetryAfter: parkedLife}
	}
	n, err := f.deps.Shared.Add(ctx, parkedBytes, int64(len(blob)), parkedLife)
	if err != nil {
		return "", f.storeError(err)
	}
	if n > maxParked { // the store is being filled: no further
		return "", &pages.Error{Code: codeTooMany, RetryAfter: parkedLife}
	}
	if err := f.deps.Shared.Put(ctx, sharedKey("answer", id), blob, parkedLife); err != nil {
		return "", f.storeError(err)
	}
	return base64.RawURLEncoding.EncodeToString(id), nil
}

func (f *Flows) sealParked(id []byte, began origin.Origin, provider string, p parked) []byte {
	plain, err := json.Marshal(p)
	if err != nil {
		panic("flows: " + err.Error()) // strings only
	}
	return f.deps.Ring.Seal(purposeAnswer, plain, boundParked(id, began, provider))
}

// boundParked lets an answer be opened under its own handle, at its host and for its provider only.
func boundParked(id []byte, began origin.Origin, provider string) []byte {
	return bytes.Join([][]byte{id, bound(began, provider)}, []byte{0})
}

// collect returns the answer that a handle names. It stays until the login goes on (forget), so that
// loading again goes on where a provider or the store was away for a moment; that it
// goes on once is the business of the attempt's mark.
func (f *Flows) collect(r *http.Request, here origin.Origin, provider, handle string) (none answer, err error) {
	gone := f.stateError(here, home, "The answer that the address names was used, is older than thirty seconds, or is none of ours.")
	id, err := base64.RawURLEncoding.Strict().DecodeString(handle)
	if err != nil || len(id) != idSize {
		return none, gone
	}
	items, err := f.deps.Shared.Get(r.Context(), sharedKey("answer", id))
	if err != nil {
		return none, f.storeError(err)
	}
	if items[0].Version == 0 {
		return none, gone
	}
	var p parked
	plain, err := f.deps.Ring.Open(purposeAnswer, items[0].Value, boundParked(id, here, provider))
	if err != nil || json.Unmarshal(plain, &p) != nil {
		return none, gone
	}
	return answer{Values: p.Answer, posted: true, handle: id}, nil
}

// forget leaves of an answer that is being used only its state, by which a second request for it is led home.
func (f *Flows) forget(ctx context.Context, here origin.Origin, provider string, back answer) {
	if back.handle == nil {
		return
	}
	blob := f.sealParked(back.handle, here, provider, parked{url.Values{"state": back.Values["state"]}})
	if err := f.deps.Shared.Put(ctx, sharedKey("answer", back.handle), blob, parkedLife); err != nil {
		f.deps.Log.WarnContext(ctx, "an answer that was used stays in the store until its thirty seconds are over", "error", err)
	}
}

// readPosted reads the body of a callback strictly (Form Post Response Mode §2): one type of content, no more
// than any honest answer has, each parameter once, and nothing from the address (P107).
func readPosted(w http.ResponseWriter, r *http.Request) (url.Values, error) {
	if r.URL.RawQuery != "" || r.URL.ForceQuery {
		return nil, &pages.Error{Code: codeBadRequest, Detail: "An answer that is posted has nothing in its address."}
	}
	media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || media != formMedia || len(r.Header.Values("Content-Type")) != 1 || r.Header.Get("Content-Encoding") != "" {
		return nil, &pages.Error{Code: codeBadRequest, Detail: "The answer is not a form (" + formMedia + ")."}
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxPosted))
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		return nil, &pages.Error{Code: codeBodyTooLarge, Detail: "The answer of the provider has more than 160 kB."}
	}
	if err != nil {
		return nil, &pages.Error{Code: codeBadRequest, Detail: "The answer broke off.", Err: err}
	}
	return parsePosted(body)
}

func parsePosted(body []byte) (url.Values, error) {
	if bytes.Count(body, []byte("&")) >= maxPostedKeys {
		return nil, &pages.Error{Code: codeBadRequest, Detail: "The answer has too many parameters."}
	}
	params, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, &pages.Error{Code: codeBadRequest, Detail: "The answer is not encoded correctly."}
	}
	for _, values := range params {
		if len(values) > 1 {
			return nil, &pages.Error{Code: codeBadRequest, Detail: "The answer says something twice."}
		}
	}
	return params, nil
}

// takesPosts reports whether the callback of a provider takes POST at all.
func (f *Flows) takesPosts(provider string) bool {
	return f.anyFront(provider, func(*frontChannel) bool { return true })
}

func (f *Flows) anyFront(provider string, wanted func(*frontChannel) bool) bool {
	for _, l := range f.logins {
		if l.provider == provider && l.front != nil && wanted(l.front) {
			return true
		}
	}
	return false
}
