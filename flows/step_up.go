package flows

import (
	"encoding/json"
	"errors"
	"net/http"
	"slices"

	"github.com/doorward/doorward/internal/identity"
	"github.com/doorward/doorward/internal/origin"
	"github.com/doorward/doorward/internal/pages"
)

const (
	codeStepUp = "step_up_required" // of docs/errors.md
	maxClaims  = 8 << 10            // bytes of a claims parameter
)

// StepUp begins the login of a session once more, because a provider wants more of its person before it gives a token
// out: claims is what it wants, the claims parameter of OpenID Connect Core §5.5. It implements proxy.StepUp.
//
// Everything else is as with Start, the stop of login loops included: a provider that is never content is one. Whoever
// cannot be asked, a program or a session of a login that has no page of the provider, gets step_up_required (401).
func (s *Starter) StepUp(w http.ResponseWriter, r *http.Request, back, claims string) error {
	f := s.flows
	here, ok := f.deps.Origins.Lookup(r.Host)
	if !ok {
		return &pages.Error{Code: codeUnknownHost}
	}
	wanted, err := readClaims(claims)
	if err != nil {
		return f.stepUpRequired(here, err)
	}
	session, err := f.deps.Sessions.Load(r)
	if err != nil {
		return f.sessionError(err)
	}
	if session == nil || pages.KindOf(r) == pages.Program || r.Method == http.MethodHead {
		return f.stepUpRequired(here, errors.New("no browser with a session asked"))
	}
	l := s.again(session.Who)
	if l == nil {
		return f.stepUpRequired(here, errors.New("no login of this route can ask the session's provider for more"))
	}
	text, _ := json.Marshal(wanted) // it was just read
	return f.begin(w, r, here, l, beginning{back: back, demanded: true, claims: string(text)})
}

// again returns the login to ask the provider of who by: the same one, else another of the same provider.
func (s *Starter) again(who *identity.Identity) *login {
	can := func(l *login) bool {
		return l.flow != nil && l.provider == who.Provider && l.client.Issuer() == who.Issuer
	}
	i := slices.IndexFunc(s.logins, func(l *login) bool { return can(l) && l.name == who.Login })
	if i < 0 {
		i = slices.IndexFunc(s.logins, can)
	}
	if i < 0 {
		return nil
	}
	return s.logins[i]
}

func (f *Flows) stepUpRequired(here origin.Origin, err error) error {
	return &pages.Error{Code: codeStepUp, Challenge: bearerChallenge(here), Err: err}
}

// claimsRequest is a claims parameter: where to say it ("id_token", "userinfo", and what providers add), and what.
type claimsRequest map[string]json.RawMessage

func readClaims(text string) (c claimsRequest, err error) {
	if len(text) > maxClaims {
		return nil, errors.New("the claims that a provider wants are longer than 8 kB")
	}
	if err := json.Unmarshal([]byte(text), &c); err != nil || len(c) == 0 {
		return nil, errors.New("the claims that a provider wants are no JSON object, or an empty one")
	}
	return c, nil
}

// withClaims returns the claims parameter that asks for what is configured and for what is wanted; of two words about the
// same claim the one that is wanted now counts.
func withClaims(configured, wanted string) string {
	all, err := readClaims(configured)
	more, err2 := readClaims(wanted)
	if err != nil || err2 != nil {
		return wanted
	}
	for where, what := range more {
		all[where] = merged(all[where], what)
	}
	text, err := json.Marshal(all)
	if err != nil || len(text) > maxClaims {
		return wanted
	}
	return string(text)
}

// merged returns what is in two objects; if they are none, the second.
func merged(one, two json.RawMessage) json.RawMessage {
	var all, more map[string]json.RawMessage
	if json.Unmarshal(one, &all) != nil || json.Unmarshal(two, &more) != nil || all == nil || more == nil {
		return two
	}
	for name, value := range more {
		all[name] = value
	}
	text, err := json.Marshal(all)
	if err != nil {
		return two
	}
	return text
}
