package personal

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/doorward/doorward/internal/identity"
	"github.com/doorward/doorward/internal/origin"
	"github.com/doorward/doorward/internal/pages"
	"github.com/doorward/doorward/internal/seal"
	"github.com/doorward/doorward/internal/telemetry"
	"github.com/doorward/doorward/sessions"
	"github.com/doorward/doorward/sessions/store"
)

// Config is [tokens].
type Config struct {
	Prefix      string        // "/oauth2"
	MaxLifetime time.Duration // that a person may choose; 0 = nobody can mint a token, and none counts
}

// Limits.
const (
	shortestLife = time.Minute
	usualLife    = 30 * 24 * time.Hour
	maxTokens    = 100 // of a person
	maxMints     = 20  // of a person in mintWindow
	mintWindow   = time.Hour
	maxName      = 64       // characters
	maxClaims    = 32 << 10 // bytes of an owner's claims
	cacheWeight  = 32 << 20 // bytes of decoded tokens
)

// Deps are what Tokens are built on.
type Deps struct {
	Store    store.Store // what all replicas share
	Ring     *seal.Ring
	Sessions *sessions.Keeper // who mints, lists and revokes
	Origins  *origin.Set
	Pages    *pages.Pages
	Now      func() time.Time // nil = time.Now
	Log      *slog.Logger     // nil = none

	// Valid reports whether an identity still is one under this configuration. It is asked once for each token that is read
	// from the store, and must not block; nil = all are.
	Valid func(who *identity.Identity) bool

	Signals *telemetry.Signals // is told of tokens that are made and revoked; nil = nobody is
}

// Tokens are all personal access tokens. It is a proxy.Authenticator for requests whose Authorization holds one. It is safe for
// concurrent use. End it with Close.
type Tokens struct {
	prefix  string
	longest time.Duration
	deps    Deps
	names   *names
	cache   *cache

	firstKey []byte // id of the key that seals

	open    context.Context // ends with Close
	closing context.CancelFunc
	mu      sync.Mutex // guards closed against spawn
	closed  bool
	running sync.WaitGroup
	touches chan struct{} // places for writes of "last used"
}

// New validates and never touches the network.
func New(c Config, d Deps) (*Tokens, error) {
	if err := check(c, &d); err != nil {
		return nil, err
	}
	t := &Tokens{prefix: c.Prefix, longest: c.MaxLifetime, deps: d, names: &names{store: d.Store, ring: d.Ring}, touches: make(chan struct{}, maxTouches)}
	t.firstKey = keyID(d.Ring.Seal(purposeToken, nil, nil))
	var err error
	if t.cache, err = newCache(cacheWeight); err != nil {
		return nil, fmt.Errorf("tokens: %w", err)
	}
	t.open, t.closing = context.WithCancel(context.Background())
	if err := d.Store.Watch(t.open, liveKeys, t.changed); err != nil {
		t.closing()
		return nil, fmt.Errorf("tokens: %w", err)
	}
	return t, nil
}

func check(c Config, d *Deps) error {
	if d.Now == nil {
		d.Now = time.Now
	}
	if d.Log == nil {
		d.Log = slog.New(slog.DiscardHandler)
	}
	if d.Valid == nil {
		d.Valid = func(*identity.Identity) bool { return true }
	}
	switch {
	case !strings.HasPrefix(c.Prefix, "/") || len(c.Prefix) < 2 || strings.HasSuffix(c.Prefix, "/"):
		return fmt.Errorf("prefix: %q must be a path such as \"/oauth2\"", c.Prefix)
	case c.MaxLifetime != 0 && c.MaxLifetime < shortestLife:
		return fmt.Errorf("max_lifetime: %s is too short; it must be %s at least, or 0 for no personal tokens", c.MaxLifetime, shortestLife)
	case d.Store == nil:
		return errors.New("tokens: no store")
	case d.Ring == nil:
		return errors.New("tokens: no keys")
	case d.Sessions == nil:
		return errors.New("tokens: no session keeper")
	case d.Origins == nil || len(d.Origins.All()) == 0:
		return errors.New("tokens: no host is configured")
	case d.Pages == nil:
		return errors.New("tokens: no pages")
	}
	return nil
}

// Mount serves PREFIX/tokens: GET lists one's own (page or JSON), POST mints (name, scopes, hosts, expires_in, read_only) or
// revokes (revoke=ID). All changes are same-origin POSTs of a person with a session; a token never mints or lists tokens.
func (t *Tokens) Mount(mux *http.ServeMux) {
	if t.longest > 0 {
		mux.Handle(t.prefix+path, t.deps.Pages.Handle(t.serve))
	}
}

// Close ends what runs in the background, and waits for it: at most ten seconds. Requests may still come, but each is answered
// from the store from now on. The store stays open.
func (t *Tokens) Close() {
	t.mu.Lock()
	t.closed = true
	t.mu.Unlock()
	t.cache.close()
	t.closing()
	t.running.Wait()
}

// spawn runs f in the background, unless Tokens are closed.
func (t *Tokens) spawn(f func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.closed {
		t.running.Go(f)
	}
}

// changed is told by the store, for changes of any replica. A key that it cannot read means everything.
func (t *Tokens) changed(key string) {
	if id, ok := inKey(key); ok {
		t.cache.invalidate(id)
	} else {
		t.cache.flush()
	}
}
