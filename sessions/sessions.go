package sessions

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/doorward/doorward/internal/identity"
	"github.com/doorward/doorward/internal/origin"
	"github.com/doorward/doorward/internal/seal"
	"github.com/doorward/doorward/sessions/store"
)

// ErrRefused is wrapped by a Refresher whose provider said invalid_grant, or whose answer
// names another user: the session ends at once (R2). Any other error is passing trouble.
var ErrRefused = errors.New("refresh refused")

// Config is [sessions], validated.
type Config struct {
	InCookie bool          // store = "cookie": the whole session is sealed into the cookie
	Idle     time.Duration // without a request for so long, a session ends; = 8h
	Lifetime time.Duration // absolute; = 24h
	Cookie   Cookie
}

// Cookie is [sessions] cookie.
type Cookie struct {
	Name     string // base name; "__Host-" or "__Secure-" is put before it on https; = "doorward"
	SameSite http.SameSite
	Domain   string // "" = host-only
}

// Refresher gets new tokens for an identity. The result is a new identity of the same
// issuer and subject, with the claims as they are now.
type Refresher interface {
	Refresh(ctx context.Context, who *identity.Identity) (*identity.Identity, error)
}

// Deps are what a Keeper is built on.
type Deps struct {
	Sessions store.Store // where sessions live; nil with InCookie
	Shared   store.Store // locks, revocations
	Ring     *seal.Ring
	Origins  *origin.Set
	Refresh  Refresher
	Now      func() time.Time // nil = time.Now
	Log      *slog.Logger
}

// Session is one signed-in browser: a snapshot, never modified.
type Session struct {
	ID        string // names the session in logs and lists; worthless as a cookie
	Who       *identity.Identity
	Created   time.Time
	Seen      time.Time // last counted activity; written at most once a minute or 1/20 of idle
	Ends      time.Time // absolute end
	TimesOut  time.Time // idle end as things stand
	Refreshed time.Time // last refresh, zero = none
}

// Keeper keeps sessions.
type Keeper struct{}

// New validates and never touches network or disk.
func New(Config, Deps) (*Keeper, error) { panic("unbuilt") }

// Load returns the session whose cookie r carries, or nil. A malformed, foreign, ended or
// duplicated cookie is nil without an error; an error means the store cannot be asked
// (wraps store.ErrUnavailable). It refreshes nothing and writes nothing.
func (k *Keeper) Load(r *http.Request) (*Session, error) { panic("unbuilt") }

// Authenticate is Load for the hot path, and more: it counts activity and refreshes tokens that are
// about to end. ok is false when there is no session.
func (k *Keeper) Authenticate(w http.ResponseWriter, r *http.Request) (who *identity.Identity, ok bool, err error) {
	panic("unbuilt")
}

// Start begins a session under a new id and sets its cookie; the session that r came
// with, if any, is dead afterwards (P072, P086).
func (k *Keeper) Start(w http.ResponseWriter, r *http.Request, who *identity.Identity) (*Session, error) {
	panic("unbuilt")
}

// End ends the session of r on every replica, clears its cookies, and returns it as it was (nil if there was none).
func (k *Keeper) End(w http.ResponseWriter, r *http.Request) (*Session, error) { panic("unbuilt") }

// Refresh refreshes the session's tokens now, unless that was done less than a minute ago.
func (k *Keeper) Refresh(w http.ResponseWriter, r *http.Request) (*Session, error) { panic("unbuilt") }

// NextRefresh returns when the session's tokens will be refreshed by themselves, and until
// when a further Refresh would do nothing.
func (k *Keeper) NextRefresh(s *Session) (next, cooldown time.Time) { panic("unbuilt") }

// Owns reports whether a cookie of this name belongs to Doorward, session or login:
// such cookies never reach an upstream and are never taken from one.
func (c Cookie) Owns(name string) bool { panic("unbuilt") }

// Prefixed returns the cookie name for an origin: suffix is put behind the base name, and "__Host-",
// "__Secure-" (with a Domain) or nothing (http) before it.
func (c Cookie) Prefixed(o origin.Origin, suffix string) string { panic("unbuilt") }
