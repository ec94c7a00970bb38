package flows

import (
	"bytes"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/doorward/doorward/internal/origin"
	"github.com/doorward/doorward/internal/pages"
)

const (
	// ownInterval is how often a browser asks where no question of its goes on to the provider: by ping and push.
	ownInterval = 2 * time.Second

	// tooEarly is by how much a program may miss its interval: clocks and networks are not exact.
	tooEarly = time.Second
)

// poll is GET …/device/poll and GET …/ciba/poll. Without attempt= it is about the only one that this
// browser waits for. It can end in a session, so no other site's page may make a browser ask, neighbours included,
// and no image or prefetch (S17).
func (f *Flows) poll(kind string) handler {
	return func(w http.ResponseWriter, r *http.Request, here origin.Origin) error {
		if embedded(r) || !ownRequest(r, here) && (len(r.Header["Sec-Fetch-Site"]) > 0 || len(r.Header["Origin"]) > 0) {
			return &pages.Error{Code: codeCrossSite, Detail: "How a sign-in stands is told to the pages of " + here.Authority() + " alone, and to programs."}
		}
		a, wait, err := f.polled(r, here, kind)
		if err != nil {
			return err
		}
		record(w, f.byName[a.login])
		if wait == nil { // the record has outlived its time
			f.deps.Pages.JSON(w, r, http.StatusOK, waitingAnswer{Status: waitExpired, Login: a.login})
			return nil
		}
		if early := wait.early(f.deps.Now()); early > tooEarly {
			return &pages.Error{Code: codeTooMany, Detail: "This was asked sooner than after the interval that was answered.", RetryAfter: early}
		}
		done, trouble, wait, err := f.goOn(w, r, a, wait)
		switch {
		case err != nil:
			return err
		case done != nil:
			f.deps.Pages.JSON(w, r, http.StatusOK, waitingAnswer{Status: "approved", Location: done.to})
			return nil
		case wait.Status == waitUsed:
			return f.usedAnswer(w, r, a)
		}
		answer := f.waitingJSON(wait, f.pollPath(kind, a, f.several(r, here, kind, a)))
		answer.Trouble = trouble
		f.deps.Pages.JSON(w, r, http.StatusOK, answer)
		return nil
	}
}

// polled finds what a poll is about. wait is nil if only the cookie is left of it.
func (f *Flows) polled(r *http.Request, here origin.Origin, kind string) (*attempt, *waiting, error) {
	query := r.URL.Query()
	unknown := &pages.Error{Code: codeAttemptUnknown}
	if len(query["attempt"]) > 1 {
		return nil, nil, &pages.Error{Code: codeBadRequest, Detail: "The parameter attempt is there more than once."}
	}
	text := query.Get("attempt")
	if text == "" {
		only, err := f.only(r, here, kind)
		if err != nil {
			return nil, nil, err
		}
		text = only
	}
	a, _, err := f.waitingAttempt(r, here, kind, text)
	if err != nil {
		return nil, nil, err
	}
	if a == nil {
		return nil, nil, unknown
	}
	wait, err := f.loadWaiting(r.Context(), a.id)
	switch {
	case errors.Is(err, errNoWaiting):
		return a, nil, nil
	case err != nil:
		return nil, nil, err
	case !wait.heldBy(a.holder()):
		return nil, nil, unknown
	}
	return a, wait, nil
}

// only names the one attempt that a poll without a name can mean: the one that waits, or else the youngest, which
// says how it ended. "" = none.
func (f *Flows) only(r *http.Request, here origin.Origin, kind string) (string, error) {
	held := f.heldOf(r, here, kind)
	if len(held) > 1 {
		alive, err := f.alive(r, held)
		switch {
		case err != nil:
			return "", err
		case len(alive) > 1:
			return "", &pages.Error{Code: codeBadRequest, Detail: "Several sign-ins wait in this browser. The parameter attempt must say which one is meant."}
		case len(alive) == 1:
			held = alive
		}
	}
	if len(held) == 0 {
		return "", nil
	}
	return held[len(held)-1].name(), nil
}

// alive returns the attempts of one kind in this browser that are not over.
func (f *Flows) alive(r *http.Request, held []*attempt) (alive []*attempt, err error) {
	if len(held) == 0 {
		return nil, nil
	}
	keys := make([]string, len(held))
	for i, a := range held {
		keys[i] = sharedKey("waiting", a.id)
	}
	items, err := f.deps.Shared.Get(r.Context(), keys...)
	if err != nil {
		return nil, f.storeError(err)
	}
	for i, a := range held {
		w := &waiting{id: a.id, key: keys[i]}
		if items[i].Version != 0 && f.openWaiting(w, items[i].Value) && !w.over() {
			alive = append(alive, a)
		}
	}
	return alive, nil
}

func (f *Flows) heldOf(r *http.Request, here origin.Origin, kind string) []*attempt {
	return f.holding(r, here, func(l *login) bool { return l.waits() == kind })
}

// several reports whether this browser waits for more of one kind than a.
func (f *Flows) several(r *http.Request, here origin.Origin, kind string, a *attempt) bool {
	others := slices.DeleteFunc(f.heldOf(r, here, kind), func(b *attempt) bool { return bytes.Equal(a.id, b.id) })
	alive, err := f.alive(r, others)
	return err != nil || len(alive) > 0
}

// usedAnswer is for another tab of the browser that has just been signed in.
func (f *Flows) usedAnswer(w http.ResponseWriter, r *http.Request, a *attempt) error {
	signedIn, err := f.signedIn(r)
	if err != nil {
		return err
	}
	if !signedIn {
		return &pages.Error{Code: codeAttemptUnknown}
	}
	f.deps.Pages.JSON(w, r, http.StatusOK, waitingAnswer{Status: "approved", Location: f.target(a.here, a.back)})
	return nil
}

// waitingAnswer is the JSON of CONTRACT §5.
type waitingAnswer struct {
	Status      string `json:"status"`
	Login       string `json:"login,omitempty"`
	UserCode    string `json:"user_code,omitempty"`
	URI         string `json:"verification_uri,omitempty"`
	CompleteURI string `json:"verification_uri_complete,omitempty"`
	Message     string `json:"binding_message,omitempty"`
	ExpiresIn   int    `json:"expires_in,omitempty"`
	Interval    int    `json:"interval,omitempty"`
	Poll        string `json:"poll,omitempty"`
	Trouble     bool   `json:"trouble,omitempty"` // the provider does not answer just now
	Location    string `json:"location,omitempty"`
	Code        string `json:"code,omitempty"`
}

func (f *Flows) waitingJSON(w *waiting, poll string) waitingAnswer {
	if w.over() {
		return waitingAnswer{Status: w.Status, Login: w.Login, Code: w.Code}
	}
	now := f.deps.Now()
	return waitingAnswer{
		Status: waitPending, Login: w.Login, UserCode: w.UserCode, URI: w.URI, CompleteURI: w.CompleteURI, Message: w.Message,
		ExpiresIn: wholeSeconds(w.ends().Sub(now)), Interval: wholeSeconds(w.interval(now)), Poll: poll,
	}
}

// early returns how much too soon a program asks; 0 where its questions don't go on to the provider, or
// where there is something to tell.
func (w *waiting) early(now time.Time) time.Duration {
	if w.Status != waitPending || w.Delivery != "" || now.UnixMilli() < w.Pace.Busy {
		return 0
	}
	return min(w.Pace.early(now), w.ends().Sub(now))
}

// interval returns how long whoever waits shall wait before they ask again: until a question may go on to the
// provider, and no longer than until the end.
func (w *waiting) interval(now time.Time) time.Duration {
	if w.Delivery != "" || w.Status == waitReady {
		return ownInterval
	}
	wait := w.Pace.early(now)
	if now.UnixMilli() < w.Pace.Busy || wait <= 0 {
		wait = w.Pace.interval()
	}
	return min(wait, max(w.ends().Sub(now), time.Second))
}

// wholeSeconds rounds up: whoever comes a little later is never too early.
func wholeSeconds(d time.Duration) int {
	return max(0, int((d+time.Second-1)/time.Second))
}

func (f *Flows) pollPath(kind string, a *attempt, several bool) string {
	path := f.prefix + "/" + kind + "/poll"
	if several {
		path += "?attempt=" + a.name()
	}
	return path
}
