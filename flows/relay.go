package flows

import (
	"bytes"
	"net/http"
	"slices"
	"time"

	"github.com/doorward/doorward/internal/origin"
	"github.com/doorward/doorward/internal/pages"
)

// relayToken says of a page that it was made for a browser that holds these attempts: a page that somebody
// else was given fits none of them. On the callback host, where no attempts are, it says only that the page is
// ours; there nothing ends, and the host where the login began asks for its attempt.
type relayToken struct {
	Created  int64    `json:"t"`
	Attempts [][]byte `json:"a,omitempty"`
}

// relay answers the callback of a login with response_mode fragment: what the provider says is behind the "#",
// where no server sees it. The page takes it out of the address and posts it to us (IMP-3, P116).
func (f *Flows) relay(w http.ResponseWriter, r *http.Request, here origin.Origin, provider string) error {
	host := f.callbacks[provider].host
	t := relayToken{Created: f.deps.Now().Unix()}
	for _, a := range f.holding(r, here, func(l *login) bool { return l.provider == provider && l.isFragment() }) {
		t.Attempts = append(t.Attempts, a.id)
	}
	if here != host && (!host.IsZero() || t.Attempts == nil) {
		return f.stateError(here, home, "No sign-in of this browser waits for an answer here.")
	}
	other := "" // for browsers without script; from the host that is registered for all a login could not go on
	if host.IsZero() {
		other = f.otherWays(here, home, nil)
	}
	f.deps.Pages.Relay(w, r, pages.Relay{
		Action: f.callbacks[provider].path,
		Token:  f.sealParameter(purposeRelay, t, bound(here, provider)),
		Other:  other,
	})
	return nil
}

// relayed checks that an answer was posted by that page: from our own origin, with its token.
func (f *Flows) relayed(r *http.Request, here origin.Origin, provider string, s state, token string) error {
	if !ownRequest(r, here) {
		return &pages.Error{Code: codeCrossSite, Detail: "The answer to this sign-in must be posted by a page of " + here.Authority() + " itself."}
	}
	var t relayToken
	if len(token) > maxState || !f.openParameter(purposeRelay, token, &t, bound(here, provider)) {
		return f.stateError(here, s.Back, "The page that posted this answer was not made here.")
	}
	if age := f.deps.Now().Sub(time.Unix(t.Created, 0)); age >= attemptLife || age < -clockSkew {
		return f.stateError(here, s.Back, "The page that posted this answer is older than ten minutes.")
	}
	if s.Origin == here.String() && !slices.ContainsFunc(t.Attempts, func(id []byte) bool { return bytes.Equal(id, s.ID) }) {
		return f.stateError(here, s.Back, "The page that posted this answer was made for another sign-in.")
	}
	return nil
}

func (l *login) isFragment() bool { return l.front != nil && l.front.mode == fragment }

func (f *Flows) relays(provider string) bool {
	return f.anyFront(provider, func(c *frontChannel) bool { return c.mode == fragment })
}
