package credential

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/doorward/doorward/internal/seal"
	"github.com/doorward/doorward/internal/signing"
	"github.com/doorward/doorward/internal/telemetry"
)

const (
	purposeSigning seal.Purpose = "credential signing"
	purposeToken   seal.Purpose = "credential token"
	purposeName    seal.Purpose = "credential name"
)

// Set is all configured credentials and their cache.
type Set struct {
	sources map[string]*Source
	order   []*Source // as configured
	signer  *signing.Keys
	issuer  string

	cache   *cache
	refused *negative
	flights flights
	shared  *shared          // nil = each replica fetches its own
	gates   map[string]*gate // by provider
	ring    *seal.Ring
	names   []*sync.Pool // of keyed hashes, one for each key of the ring; none without a ring

	signals *telemetry.Signals // nil = nobody is told

	now  func() time.Time
	log  *slog.Logger
	open context.Context // ends with Close
	end  context.CancelFunc
	busy sync.WaitGroup // renewals
}

// New validates and never touches the network. Errors begin with "credential.NAME: key".
func New(c []Config, d Deps) (*Set, error) {
	clients := make(map[string]client, len(d.Providers))
	for name, p := range d.Providers {
		if p != nil {
			clients[name] = p
		}
	}
	return build(c, d.withDefaults(), clients)
}

func build(c []Config, d Deps, clients map[string]client) (*Set, error) {
	if err := check(c, clients); err != nil {
		return nil, err
	}
	s := &Set{
		sources: make(map[string]*Source, len(c)), issuer: d.Issuer, ring: d.Ring,
		gates: make(map[string]*gate, len(clients)), now: d.Now, log: d.Log, signals: d.Signals,
	}
	if s.ring != nil {
		for _, key := range s.ring.Derive(purposeName, seal.KeySize) {
			s.names = append(s.names, &sync.Pool{New: func() any { return hmac.New(sha256.New, key) }})
		}
	}
	for name := range clients {
		s.gates[name] = newGate()
	}
	var err error
	if s.cache, err = newCache(d.MaxBytes); err != nil {
		return nil, fmt.Errorf("credential: %w", err)
	}
	if s.refused, err = newNegative(); err != nil {
		return nil, fmt.Errorf("credential: %w", err)
	}
	for i := range c {
		s.add(&c[i], clients)
	}
	for _, source := range s.order {
		source.subject, source.actor = s.sources[source.conf.Subject], s.sources[source.conf.Actor]
	}
	for _, source := range s.order {
		if err := source.settle(); err != nil {
			return nil, err
		}
	}
	if err := s.sign(); err != nil {
		return nil, err
	}
	s.open, s.end = context.WithCancel(context.Background())
	if err := s.share(d); err != nil {
		s.end()
		return nil, err
	}
	return s, nil
}

func (s *Set) add(c *Config, clients map[string]client) {
	source := &Source{
		set: s, conf: *c, name: c.Name, client: clients[c.Provider], flow: flowOf(c.Flow), place: newPlace(c), mark: new(mark),
		gate: s.gates[c.Provider],
	}
	if s.signals != nil && c.Flow != flowStatic {
		source.asked = s.signals.Metrics.Cache(c.Name)
	}
	s.sources[c.Name] = source
	s.order = append(s.order, source)
}

// sign makes the keys of assertions, if there is a credential that needs them.
func (s *Set) sign() (err error) {
	for _, source := range s.order {
		switch {
		case source.conf.Flow != flowAssertion || s.signer != nil:
			continue
		case s.ring == nil:
			return errors.New("credential." + source.name + ": flow: an assertion is signed with a key of the ring, and there is none")
		case s.issuer == "":
			return errors.New("credential." + source.name + ": flow: an assertion needs an issuer, and Doorward has no origin of its own")
		}
		if s.signer, err = signing.New(s.ring.Derive(purposeSigning, signing.SeedSize)); err != nil {
			return fmt.Errorf("credential.%s: flow: %w", source.name, err)
		}
	}
	return nil
}

// Source returns the credential of this name, nil if there is none.
func (s *Set) Source(name string) *Source { return s.sources[name] }

// JWKS is the public side of the keys that assertions are signed with, as a JWK Set; nil if no credential signs.
func (s *Set) JWKS() []byte {
	if s.signer == nil {
		return nil
	}
	return s.signer.JWKS()
}

// Close ends renewals that run ahead of expiry. What was handed out stays good, and Token still works.
func (s *Set) Close() {
	s.flights.mu.Lock() // see begin
	s.end()
	s.flights.mu.Unlock()
	s.busy.Wait()
}
