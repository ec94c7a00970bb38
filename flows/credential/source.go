package credential

import (
	"context"
	"fmt"
	"time"

	"github.com/doorward/doorward/internal/identity"
	"github.com/doorward/doorward/internal/telemetry"
)

// Source is one credential, ready to act. It is a proxy.Source.
type Source struct {
	set    *Set
	conf   Config
	name   string
	client client // nil where no provider is asked
	flow   flow
	place  place

	subject *Source // of a chain; nil = a token that the caller brought
	actor   *Source

	gate  *gate                // to the provider; nil where none is asked
	base  digest               // of everything that a token depends on, but for whom it is
	same  *handle              // for flows that obtain the same for everybody
	fixed *identity.Credential // of static
	mark  *mark
	asked *telemetry.CacheCounter // how often, and what the cache had
}

// mark is the key of a source's memo in an identity. It is no Source, because an identity may outlive a reload, and would
// keep the cache of the old configuration in memory.
type mark struct{ _ byte }

// flow is one way to a token.
type flow interface {
	// ask obtains a token for who. Its error is a *provider.Error if that is what a provider said, and else what Token
	// returns.
	ask(ctx context.Context, s *Source, who *identity.Identity) (*grant, error)
	// steps tells what ask would do.
	steps(s *Source, who *identity.Identity) ([]Step, error)

	asks() bool            // a provider
	individual() bool      // what is obtained depends on who calls
	shared() bool          // other replicas may use it
	personal(*Source) bool // nobody gets nothing
}

func flowOf(name string) flow {
	switch name {
	case flowClientCredentials:
		return clientCredentials{}
	case flowExchange:
		return exchange{}
	case flowJWTBearer:
		return jwtBearer{}
	case flowPassword:
		return password{}
	case flowAssertion:
		return assertion{}
	case flowStatic:
		return static{}
	}
	return nil
}

// settle finishes a source whose subject and actor are known.
func (s *Source) settle() error {
	s.base = s.baseKey()
	if !s.individual() {
		s.same = &handle{key: s.base}
	}
	if s.conf.Flow == flowStatic {
		c, ok := s.place.credential(s.name, identity.Tokens{AccessToken: s.conf.Token})
		if !ok { // check has built it before
			return fmt.Errorf("credential.%s: token: it cannot stand there", s.name)
		}
		s.fixed = c
	}
	return nil
}

// individual reports whether what is obtained depends on who calls: an exchange of what another credential obtains for
// everybody does not.
func (s *Source) individual() bool {
	if s.subject != nil {
		return s.subject.individual()
	}
	return s.flow.individual()
}

// Name is that of the [credential.NAME].
func (s *Source) Name() string { return s.name }

// Place is where its tokens go: the canonical name of a header, or "Cookie" and the name of the cookie. What a caller
// itself sends there must never pass for it.
func (s *Source) Place() (header, cookie string) { return s.place.header, s.conf.Cookie }

// Personal reports whether a token is obtained for whoever calls, so that an anonymous request can get none. An assertion
// is about the caller, but speaks for an anonymous one too, in the credential's own name.
func (s *Source) Personal() bool { return s.flow.personal(s) }

// Token returns what goes upstream for who; nil who = nobody, of whom Personal sources know nothing. What is cached costs
// no allocation. What is not is obtained once for all who ask at the same time; that goes on when ctx ends.
//
// Errors are a *credentials.Refusal where the caller must act (invalid_token: the provider does not exchange their
// token any more; insufficient_claims: it wants more of the person first), else a *pages.Error: credential_refused (502) for
// what the operator must mend, provider_unavailable (503) with Retry-After.
func (s *Source) Token(ctx context.Context, who *identity.Identity) (*identity.Credential, error) {
	if s.fixed != nil {
		return s.fixed, nil
	}
	h, err := s.handle(who)
	if err != nil {
		return nil, err
	}
	now := s.set.now().UnixNano()
	if e := s.set.cache.get(h.key); e != nil && e.usable(now) {
		if e.due(now) {
			s.renew(ctx, h, who, e)
		}
		s.asked.Hit()
		return e.credential, nil
	}
	s.asked.Miss()
	return s.obtain(ctx, h, who, false)
}

// Fresh is Token past the cache (skip_cache of the token API). What came less than a second ago is fresh, and a refusal of a
// moment ago counts all the same, so that nobody can make Doorward hammer a provider.
func (s *Source) Fresh(ctx context.Context, who *identity.Identity) (*identity.Credential, error) {
	if s.fixed != nil {
		return s.fixed, nil
	}
	h, err := s.handle(who)
	if err != nil {
		return nil, err
	}
	now := s.set.now().UnixNano()
	if e := s.set.cache.get(h.key); e != nil && e.usable(now) && now-e.from < int64(leeway+time.Second) {
		return e.credential, nil
	}
	return s.obtain(ctx, h, who, true)
}

func (s *Source) handle(who *identity.Identity) (*handle, error) {
	if s.same != nil {
		return s.same, nil
	}
	if who == nil {
		if s.Personal() {
			return nil, nobody(s)
		}
		return s.handleOf(&identity.Identity{}), nil
	}
	return who.Memo(s.mark, func() any { return s.handleOf(who) }).(*handle), nil
}
