package pages

import (
	"fmt"
	"net/http"
)

// Waiting is what pages that wait have in common.
//
// Their script asks Poll, Interval seconds after each answer. It reads of a JSON answer: status, location
// (with approved), interval, expires_in, and trouble (a boolean: pending, but the provider does not
// answer just now). 429 is obeyed by its Retry-After; a 5xx or no answer is said and tried
// again, less and less often up to once a minute. With approved it goes to location, if that is a path of
// this site; with any other status, or a 4xx, it goes to Reload, for the server to say what is.
type Waiting struct {
	Status    string // "pending", "denied", "expired", "failed"
	Problem   string // with failed: in a sentence
	Trouble   bool   // pending, but the provider does not answer just now
	ExpiresIn int    // seconds
	Interval  int    // seconds until the next poll
	Poll      string // path that script asks for JSON; its answer has status, and location with approved
	Reload    string // path that the page itself reloads without script
	Again     Form   // begins anew
	Other     string // path to the other ways of signing in; "" = none
}

// What a page that waits can say, in the words of CONTRACT §5.
const (
	pending  = "pending"
	approved = "approved"
	failed   = "failed"
)

// Limits of what the script is told, in seconds.
const (
	maxInterval = 300
	maxLife     = 24 * 3600
	minRefresh  = 5 // without script the whole page is loaded anew: nobody reads faster
)

// waitingView is a page that waits.
type waitingView struct {
	Subject        string // what runs out: "code", "request"
	Poll, Reload   string
	Interval, Life int
	Refresh        int
	Left           string // of its life, in words
	Trouble        bool
	Other, Back    string
}

func (w Waiting) view(subject string) waitingView {
	v := waitingView{
		Subject: subject, Poll: ownPath(w.Poll), Reload: ownPath(w.Reload), Trouble: w.Trouble, Other: ownPath(w.Other),
		Interval: min(max(w.Interval, 1), maxInterval), Life: min(max(w.ExpiresIn, 0), maxLife),
	}
	v.Refresh, v.Left = max(v.Interval, minRefresh), inWords(v.Life)
	return v
}

// inWords says a time as one says it: nobody needs the seconds of ten minutes.
func inWords(seconds int) string {
	n, unit := seconds, "second"
	if seconds >= 100 {
		n, unit = (seconds+30)/60, "minute"
	}
	if n != 1 {
		unit += "s"
	}
	return fmt.Sprintf("%d %s", n, unit)
}

// ending is how a page that waits ends other than well.
type ending struct{ title, what, advice string }

// endings are those of one kind of page, and what its button says that begins anew.
type endings struct {
	of           map[string]ending
	again, other string
}

var (
	deviceEndings = endings{map[string]ending{
		"denied": {
			"Sign-in refused", "It was refused on the other device. Nobody is signed in here.",
			"If you refused it because you had not begun it, you did right: close this page. Otherwise begin again with a new code.",
		},
		"expired": {
			"The code has expired", "It was not approved in time, and can no longer be used.",
			"Get a new one whenever you are ready.",
		},
		failed: {
			"Sign-in failed", "What came back from the identity provider does not fit this sign-in.",
			"Begin again with a new code. If this happens each time, tell the people who run this site.",
		},
	}, "Get a new code", "Sign in another way"}

	cibaEndings = endings{map[string]ending{
		"denied": {
			"Sign-in refused", "It was refused on the phone. Nobody is signed in here.",
			"If it was not you who refused, tell the people who look after your account.",
		},
		"expired": {
			"No answer in time", "Nobody approved it on the phone in time, and the request no longer counts.",
			"Have the phone at hand and ask again. If no request arrives there, check the name that you give.",
		},
		failed: {
			"Sign-in failed", "What came back from the identity provider does not fit this sign-in.",
			"Begin again. If this happens each time, tell the people who run this site.",
		},
	}, "Begin again", "Sign in another way"}

	approvalEndings = endings{map[string]ending{
		"denied": {
			"Not approved", "The request was refused on the phone. It was not sent.",
			"If it was not you who refused, tell the people who run this site at once.",
		},
		"expired": {
			"No approval in time", "Nobody approved the request on the phone in time. It was not sent.",
			"Have the phone at hand, and ask again.",
		},
		"used": {
			"Already sent", "This approval was good for one request, and that has been sent already. It is not sent again.",
			"See whether it has arrived before you begin anew.",
		},
		failed: {
			"Approval failed", "What came back from the identity provider does not fit this approval.",
			"The request was not sent. If this happens each time, tell the people who run this site.",
		},
	}, "Ask again", "Go back"}
)

// end writes how it ended. A status that nobody knows is a failure.
func (p *Pages) end(w http.ResponseWriter, r *http.Request, ended Waiting, e endings) {
	words, ok := e.of[ended.Status]
	if !ok {
		words = e.of[failed]
	}
	if ended.Status == failed && ended.Problem != "" {
		words.what = clean(ended.Problem, maxDetail)
	}
	forms := ended.Again.Action != ""
	if forms {
		if err := ended.Again.check(); err != nil {
			p.Error(w, r, err)
			return
		}
	}
	p.show(w, r, http.StatusOK, p.ended, forms, words.title, struct {
		Title, What, Advice string
		Again               Form
		AgainLabel          string
		Other, OtherLabel   string
	}{words.title, words.what, words.advice, ended.Again, e.again, ownPath(ended.Other), e.other})
}
