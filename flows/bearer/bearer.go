package bearer

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/doorward/doorward/flows/provider"
	"github.com/doorward/doorward/internal/seal"
	"github.com/doorward/doorward/sessions/store"
)

const (
	defaultBytes = 64 << 20 // of verdicts
	minBytes     = 1 << 20
	maxToken     = 16 << 10 // bytes; what is longer is not looked at (P125)
	maxOpaque    = 3        // providers that one opaque token is shown to
)

// Config is what one route or egress takes.
type Config struct {
	// Issuers are names of providers; nil = every provider, by name. At most three of them may introspect: an opaque token
	// is shown to each in this order, until one knows it.
	Issuers  []string
	Audience []string // one of these must be in aud

	// Nonces has DPoP proofs hold a nonce of ours (RFC 9449 §9), so that none can be made ahead of its time. A client asks
	// once more when its nonce has ended, after one and a half to three minutes.
	Nonces bool
}

// Deps are what a Verifier is built on.
type Deps struct {
	Providers map[string]*provider.Client
	Shared    store.Store // marks of DPoP proofs that were used
	Ring      *seal.Ring  // nonces are drawn from it, the same on all replicas; needed with Config.Nonces only
	Now       func() time.Time
	Log       *slog.Logger
	MaxBytes  uint64 // of cached verdicts; 0 = 64 MiB, which is some 10,000 tokens of 1.4 kB; at least 1 MiB
}

// Verifier judges bearer tokens for all routes; they share its cache. A reload builds another with the new providers, and an
// empty cache: no verdict outlives the configuration that it was made under.
type Verifier struct {
	providers map[string]*provider.Client
	places    map[string]places // by provider name: introspections under way
	shared    store.Store
	ring      *seal.Ring
	now       func() time.Time
	log       *slog.Logger

	verdicts *verdicts
	flights  singleflight.Group
}

// New validates and never touches the network.
func New(d Deps) (*Verifier, error) {
	if d.Shared == nil {
		return nil, errors.New("bearer: no store to mark used DPoP proofs in")
	}
	if d.Now == nil {
		d.Now = time.Now
	}
	if d.Log == nil {
		d.Log = slog.New(slog.DiscardHandler)
	}
	if d.MaxBytes == 0 {
		d.MaxBytes = defaultBytes
	}
	if d.MaxBytes < minBytes {
		return nil, errors.New("bearer: less than 1 MiB for verdicts")
	}
	v := &Verifier{providers: maps.Clone(d.Providers), places: make(map[string]places), shared: d.Shared, ring: d.Ring, now: d.Now, log: d.Log}
	for name := range v.providers {
		v.places[name] = newPlaces()
	}
	var err error
	v.verdicts, err = newVerdicts(d.MaxBytes)
	return v, err
}

// Checker judges for one Config. It is a proxy.Bearer.
type Checker struct {
	v        *Verifier
	issuers  map[string]*provider.Client // by what iss must be, byte for byte (RS-10)
	opaque   []*provider.Client          // who is asked about a token that names no issuer, in order
	audience []string
	nonce    *nonces // nil = proofs need none
	scope    digest  // of everything but the token that a verdict depends on
}

// Checker returns one for c. Checkers with equal Configs share verdicts, others never do (P127). Errors begin with the key.
func (v *Verifier) Checker(c Config) (*Checker, error) {
	if len(c.Audience) == 0 || slices.Contains(c.Audience, "") {
		return nil, errors.New("audience: missing or empty; without one, any token of the issuer would do")
	}
	if c.Issuers == nil {
		c.Issuers = slices.Sorted(maps.Keys(v.providers))
	}
	if len(c.Issuers) == 0 {
		return nil, errors.New("issuers: there is none")
	}
	k := &Checker{v: v, issuers: make(map[string]*provider.Client), audience: slices.Compact(slices.Sorted(slices.Values(c.Audience)))}
	for _, name := range c.Issuers {
		p := v.providers[name]
		if p == nil {
			return nil, fmt.Errorf("issuers: there is no provider %q", name)
		}
		k.take(p)
	}
	if len(k.opaque) > maxOpaque {
		var names []string
		for _, p := range k.opaque {
			names = append(names, p.Name())
		}
		return nil, fmt.Errorf("issuers: %s introspect; at most %d may, as an opaque token is shown to each", strings.Join(names, ", "), maxOpaque)
	}
	if c.Nonces {
		if v.ring == nil {
			return nil, errors.New("bearer: no keys to make nonces with")
		}
		k.nonce = newNonces(v.ring)
	}
	k.scope = k.digest(c.Issuers)
	return k, nil
}

// take adds a provider. Of two with the same issuer the first judges its JWTs.
func (c *Checker) take(p *provider.Client) {
	names := []string{p.Issuer()}
	if p.Issuer() == "https://accounts.google.com" { // which may write its name without the scheme
		names = append(names, "accounts.google.com")
	}
	for _, name := range names {
		if c.issuers[name] == nil {
			c.issuers[name] = p
		}
	}
	if p.Introspects() && !slices.Contains(c.opaque, p) {
		c.opaque = append(c.opaque, p)
	}
}

// digest is over a length-prefixed tuple (S14). The order of the issuers decides who is asked first, and is part of it.
func (c *Checker) digest(issuers []string) digest {
	parts := []string{fmt.Sprint(len(c.audience))}
	parts = append(parts, c.audience...)
	for _, name := range issuers {
		p := c.v.providers[name]
		parts = append(parts, name, p.Issuer(), fmt.Sprint(p.Introspects()))
	}
	return digestOf(parts...)
}
