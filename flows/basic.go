package flows

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/doorward/doorward/internal/credentials"
	"github.com/doorward/doorward/internal/identity"
	"github.com/doorward/doorward/internal/origin"
	"github.com/doorward/doorward/internal/pages"
	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/internal/telemetry"
	"github.com/doorward/doorward/sessions"
)

const (
	proofLife = 15 * time.Minute // for which a password that was right is not tried again

	// So long a session stays behind that, used by nobody: whoever proves the password again hands its tokens back,
	// and is no stranger (lockout.admit).
	proofGrace = 15 * time.Minute

	streamGrace = 5 * time.Minute // for which a stream goes on when the password cannot be tried again

	// leastProof keeps tokens that are born dead from making every request a password grant.
	leastProof = 5 * time.Second
)

// Basic authenticates callers by HTTP Basic (RFC 7617) for the routes that accept it: through the password grant of one
// login, as local users, or as OAuth clients by their own client credentials. It implements proxy.Authenticator and
// proxy.Streams.
//
// A name and a password that were right are a session for fifteen minutes: under a ticket that only
// they yield, by a keyed hash of both and of host, and of who judged them and by what. So each further request costs what
// one with a cookie does, all replicas know the session, and a stolen store holds nothing that a
// password could be guessed from. Tokens are refreshed meanwhile; when the provider refuses that, the
// session ends, and the next request has the password tried again, once.
type Basic struct {
	flows   *Flows
	judge   judge
	kept    *sessions.Derived
	hashers map[origin.Origin]*hasher

	mu      sync.Mutex
	flights map[digestOf]*proof
}

// judge says whom a name and a password prove.
type judge interface {
	// scope is what tells its proofs from those of other judges.
	scope() []string
	// stamp is what else a proof for this name depends on; nil = nothing. If it changes, there is no proof any more.
	stamp(username []byte) []byte
	// current reports whether what it judges by can still be so. One who asks elsewhere is always current.
	current() bool
	// prove tries, within the bounds of [Flows.try]. name is a keyed hash of all of this.
	prove(ctx context.Context, t typed, name digestOf) (*identity.Identity, error)
}

// proof is one trial under way. What stands below done is set when done is closed.
type proof struct {
	done chan struct{}
	who  *identity.Identity
	err  error
}

// Basic returns what authenticates for routes with accept = ["basic"] whose login this is; it must be
// one of flow "password". Call it before anything is served. It acts from then on.
func (f *Flows) Basic(login string) (*Basic, error) {
	l := f.byName[login]
	if l == nil || l.password == nil {
		return nil, fmt.Errorf("accept: \"basic\" needs a login of flow \"password\", and %q is none", login)
	}
	l.named = true
	return f.basic(&passwordJudge{f, l})
}

// basic returns what authenticates by a judge, the same for all routes that have one of the same scope.
func (f *Flows) basic(j judge) (*Basic, error) {
	key := fmt.Sprintf("%q", j.scope())
	if b := f.basics[key]; b != nil {
		return b, nil
	}
	if f.proofs == nil {
		kept, err := f.deps.Sessions.Derived(proofLife + proofGrace)
		if err != nil {
			return nil, err
		}
		f.proofs = kept
	}
	b := &Basic{flows: f, judge: j, kept: f.proofs, hashers: make(map[origin.Origin]*hasher), flights: make(map[digestOf]*proof)}
	for _, o := range f.deps.Origins.All() {
		b.hashers[o] = hasherFor(f.deps.Ring, "basic", o, j.scope()...)
	}
	f.basics[key] = b
	return b, nil
}

// passwordJudge asks a provider by the password grant of a login.
type passwordJudge struct {
	flows *Flows
	login *login
}

func (j *passwordJudge) scope() []string {
	l := j.login
	return []string{l.name, l.provider, l.client.Issuer(), l.client.ClientID()}
}

func (j *passwordJudge) stamp([]byte) []byte { return nil }
func (j *passwordJudge) current() bool       { return true }

func (j *passwordJudge) prove(ctx context.Context, t typed, name digestOf) (*identity.Identity, error) {
	return j.flows.tryPassword(ctx, j.login, t, name)
}

// Authenticate answers who sends these credentials. ok is false only where there are none that can be
// read. An error is a *pages.Error, or the store's: wrong_credentials (401), too_many_requests (429),
// login_denied (403) where a password is not enough, provider_unavailable (503) and the like.
func (b *Basic) Authenticate(w http.ResponseWriter, r *http.Request) (*identity.Identity, bool, error) {
	name, ok := b.name(r)
	if !ok {
		return nil, false, nil
	}
	s, err := b.kept.Authenticate(r, sessions.Seed(name), b.stale)
	switch {
	case err != nil:
		return nil, false, err
	case s != nil && !b.stale(s):
		return s.Who, true, nil
	}
	who, err := b.prove(r, name, telemetry.From(w).Client)
	if who != nil && err == nil {
		b.flows.tellLogin(w, r, who, "")
	}
	return who, who != nil, err
}

// Alive reports whether who would still be let in with the credentials of r. A clone of a large repository lasts longer
// than a proof: when that is over, the password is tried again, so that a stream ends when the provider says
// so. While it cannot be tried the stream goes on, for streamGrace at most: nobody who knows only an old
// password keeps a stream by keeping the provider from being asked.
func (b *Basic) Alive(r *http.Request, who *identity.Identity) (bool, error) {
	now, err := b.Current(r, who)
	return now != nil, err
}

// Current is Alive for who wants to know also what the last proof or refresh has made of who; nil = they would not be let in
// any more.
func (b *Basic) Current(r *http.Request, who *identity.Identity) (*identity.Identity, error) {
	name, ok := b.name(r)
	if !ok || !b.judge.current() {
		return nil, nil
	}
	s, err := b.kept.Load(r, sessions.Seed(name))
	if s == nil || err != nil {
		return nil, err
	}
	now := s.Who
	if b.old(s) {
		now, err = b.prove(r, name, "")
		switch {
		case err != nil && (saysNo(err) || b.age(s) >= proofLife+streamGrace):
			return nil, nil
		case err != nil:
			return nil, err
		}
	}
	if now.Key() != who.Key() {
		return nil, nil
	}
	return now, nil
}

// fromElsewhere reports whether a browser says that a page of another site has made it ask.
func fromElsewhere(r *http.Request) bool {
	switch r.Header.Get("Sec-Fetch-Site") {
	case "", "none", "same-origin":
		return false
	}
	return true
}

// old reports whether the password must be tried again.
func (b *Basic) old(s *sessions.Session) bool { return b.age(s) >= proofLife }

func (b *Basic) age(s *sessions.Session) time.Duration { return b.flows.deps.Now().Sub(s.Created) }

// stale is old, or an access token has ended that nothing can renew: a route that passes it on could not use this
// session any more, and the password gets another.
func (b *Basic) stale(s *sessions.Session) bool {
	t := s.Who.Tokens
	ended := t != nil && !t.AccessToken.IsZero() && !t.Valid(b.flows.deps.Now(), 0) && t.RefreshToken.IsZero()
	return b.old(s) || ended && b.age(s) >= leastProof
}

// name returns the keyed hash of the credentials that r carries.
func (b *Basic) name(r *http.Request) (name digestOf, ok bool) {
	here, ok := b.flows.deps.Origins.Lookup(r.Host)
	lines := r.Header["Authorization"]
	if !ok || len(lines) != 1 {
		return name, false
	}
	h := b.hashers[here]
	s := h.begin()
	user, password, _, valid := credentials.Basic(lines[0], s.plain[:])
	ok = valid && !credentials.IsTicket(password) && !credentials.IsTicket(user)
	s.add(user, password)
	if stamp := b.judge.stamp(user); stamp != nil {
		s.add(stamp)
	}
	clear(user)
	clear(password) // they may lie elsewhere, if they are long
	return h.end(s), ok
}

// prove has a password tried, once for all who ask at the same time: whoever opens a page makes twenty
// requests at once, and twenty grants would be twenty sessions at the provider.
func (b *Basic) prove(r *http.Request, name digestOf, client string) (*identity.Identity, error) {
	b.mu.Lock()
	if p := b.flights[name]; p != nil {
		b.mu.Unlock()
		select {
		case <-p.done:
			return p.who, p.err
		case <-r.Context().Done():
			return nil, &pages.Error{Code: codeProviderDown, RetryAfter: retryAfter, Err: context.Cause(r.Context())}
		}
	}
	p := &proof{done: make(chan struct{}), err: errProofFailed}
	b.flights[name] = p
	b.mu.Unlock()
	defer func() {
		b.mu.Lock()
		delete(b.flights, name)
		b.mu.Unlock()
		close(p.done)
	}()
	p.who, p.err = b.proved(r, name, client)
	return p.who, p.err
}

var errProofFailed = errors.New("trying a password ended in a panic")

// proved looks once more, as somebody else may just have been ready, and has the password tried. It belongs to all who
// wait for it, so it goes on when the one who began it is gone.
func (b *Basic) proved(r *http.Request, name digestOf, client string) (*identity.Identity, error) {
	seed := sessions.Seed(name)
	whole, end := context.WithTimeout(context.WithoutCancel(r.Context()), passwordLimit+2*keepLimit)
	defer end()
	r = r.WithContext(whole)
	s, err := b.kept.Load(r, seed)
	switch {
	case err != nil:
		return nil, err
	case s != nil && !b.stale(s):
		return s.Who, nil
	}
	user, password, _, _ := credentials.Basic(r.Header["Authorization"][0], nil)
	t := typed{username: string(user), password: secret.New(string(password)), client: client, foreign: fromElsewhere(r), proven: s != nil}
	clear(user)
	clear(password)
	who, err := b.judge.prove(r.Context(), t, name)
	ctx, cancel := context.WithTimeout(r.Context(), keepLimit)
	defer cancel()
	if err != nil {
		if s != nil && saysNo(err) {
			b.dropped(ctx, r, seed)
		}
		return nil, err
	}
	kept, err := b.kept.Adopt(ctx, r, seed, who, b.stale)
	if err != nil {
		b.flows.deps.Revoker.Revoke(ctx, who) // nobody holds these tokens now (REF-8)
		return nil, b.flows.sessionError(err)
	}
	return kept.Who, nil
}

// dropped ends a session whose password is no longer right. It is too old to let anybody in; what is at
// stake is that its tokens are given back.
func (b *Basic) dropped(ctx context.Context, r *http.Request, seed sessions.Seed) {
	if err := b.kept.End(ctx, r, seed); err != nil {
		b.flows.deps.Log.WarnContext(ctx, "a session by a password that is no longer right was not ended", "error", err)
	}
}

const keepLimit = 10 * time.Second // for writing down what was proved
