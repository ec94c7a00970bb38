package flows

import (
	"context"
	"errors"
	"net/url"
	"strings"
	"time"

	"github.com/doorward/doorward/internal/credentials"
	"github.com/doorward/doorward/internal/identity"
	"github.com/doorward/doorward/internal/pages"
	"github.com/doorward/doorward/internal/secret"
)

const (
	codeWrongCredentials = "wrong_credentials" // of docs/errors.md
	codeOverloaded       = "overloaded"

	passwordLimit = 30 * time.Second // for a trial; whoever has begun it may be gone by then
	maxTyped      = 1 << 10          // bytes of a user name or a password
)

// tries bound how often names and passwords are tried against the accounts of somebody: the people of a provider, its
// clients, or local users.
type tries struct {
	accounts string // whose: an issuer. Failures at one account add up, whatever it was tried for
	most     int    // failures at one user that are judged in strikeWindow
	places   chan struct{}
	crowded  string // the code where there was no place
	refuse   refusals
}

func newTries(accounts string, places int, crowded string, most int) *tries {
	return &tries{accounts: accounts, most: most, places: make(chan struct{}, places), crowded: crowded}
}

// typed is what a person or a program gives to prove who they are.
type typed struct {
	username string
	password secret.String
	code     secret.String // one-time; zero = none
	passed   url.Values    // what of a visitor's query goes along (pass.go)
	client   string        // the address from where; "" = not known
	foreign  bool          // a page of another site has made the browser ask
	proven   bool          // the very same were right until a short while ago
}

// hopeless reports what cannot be right, so that nobody need be asked (ROP-5).
func (t typed) hopeless() bool {
	return !typable(t.username) || !typable(t.password.Reveal()) || len(t.code.Reveal()) > maxTyped || !plain(t.code.Reveal()) || strings.TrimSpace(t.username) == ""
}

// typable reports whether this can be a name or a password at all. What is a ticket or a key of ours is
// neither, and never shown to a provider.
func typable(s string) bool {
	return s != "" && len(s) <= maxTyped && plain(s) && !credentials.IsTicket(s)
}

// judgement is what proves somebody: an identity, or the answer to who is none. verdict tells that the answer is about the
// person, and not about us or the weather: then it counts as a failure.
type judgement func(ctx context.Context) (who *identity.Identity, answer *pages.Error, verdict bool)

// try has a name and a password judged, if that may be. name is a keyed hash of all that was typed. Every error is an
// answer, and none tells whether there is such a user (P174): a refusal says the same of a name that nobody has, and is
// counted and remembered in the same way.
func (f *Flows) try(ctx context.Context, p *tries, t typed, name digestOf, judge judgement) (*identity.Identity, error) {
	if t.hopeless() {
		return nil, wrongCredentials(errors.New("what was typed is empty, too long, or no text; nobody was asked"))
	}
	if err := p.refuse.find(name, f.deps.Now()); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), passwordLimit)
	defer cancel()
	if err := p.enter(ctx); err != nil {
		return nil, err
	}
	defer p.leave()
	s, err := f.lockoutOf(p).admit(ctx, t)
	if err != nil {
		return nil, err
	}
	who, answer, verdict := judge(ctx)
	after, end := context.WithTimeout(context.WithoutCancel(ctx), keepLimit) // the time for judging may be used up
	defer end()
	switch {
	case answer == nil:
		p.refuse.forget(name)
		s.succeeded(after)
		return who, nil
	case !verdict:
		s.forgive(after) // nothing was said about the password
	default:
		p.refuse.remember(name, answer, f.deps.Now())
	}
	return nil, answer
}

// enter waits for a place among the trials: a provider that takes its time to refuse must not collect all
// the callers that there are (S18).
func (p *tries) enter(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, grantWait)
	defer cancel()
	select {
	case p.places <- struct{}{}:
		return nil
	case <-ctx.Done():
		return &pages.Error{Code: p.crowded, Detail: "Too many sign-ins are under way just now.", RetryAfter: retryAfter}
	}
}

func (p *tries) leave() { <-p.places }

// saysNo reports whether an answer is about the person, and not about us or the weather.
func saysNo(err error) bool {
	var e *pages.Error
	return errors.As(err, &e) && (e.Code == codeWrongCredentials || e.Code == codeDenied)
}

func wrongCredentials(err error) *pages.Error {
	return &pages.Error{Code: codeWrongCredentials, Detail: "The user name, the password or the one-time code is not right.", Err: err}
}
