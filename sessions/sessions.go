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

// ErrTooLarge is wrapped where a session cannot be kept because of its size: in cookies there
// is room for about 19 kB (R3), in a store for 256 kB.
var ErrTooLarge = errors.New("session too large")

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

// Deps are what a Keeper is built on. The stores belong to the caller, who closes them
// after the Keeper.
type Deps struct {
	Sessions store.Store // where sessions live; nil with InCookie
	Shared   store.Store // locks, revocations
	Ring     *seal.Ring
	Origins  *origin.Set
	Refresh  Refresher // nil = tokens are never refreshed

	// Valid reports whether an identity still is one under this configuration. A session that
	// fails it is nobody's, as if there were none. It is asked once for each session that is
	// read from where it lives, and must not block. nil = all are.
	Valid func(who *identity.Identity) bool

	// Waits says why an identity whose access token has ended counts no longer, although its session goes on, until a
	// refresh succeeds: the error is what Authenticate returns. It is asked for each request once that token has ended,
	// and must not block. nil = all count on, as they were.
	Waits func(who *identity.Identity) error

	// Ended is told whose tokens no session holds any more: after a sign-out, a login over a
	// login, and for new tokens that came when their session had ended (P131). It must not block,
	// and may be called until Close has returned. nil = nobody wants to know.
	Ended func(ctx context.Context, who *identity.Identity)

	// Refreshed is told the identity of before when its session has new tokens, when it has none any more because the
	// provider refused them, and when a login over it went on with the provider's session, so that Ended is not called:
	// what was obtained with the old tokens is to be dropped. now is who the session is of from now on, with the claims
	// that came; nil if that session is no more. It must not block, and may be called until Close has returned.
	// nil = nobody wants to know.
	Refreshed func(ctx context.Context, old, now *identity.Identity)

	Now func() time.Time // nil = time.Now
	Log *slog.Logger     // nil = none
}

// Session is one signed-in browser: a snapshot, never modified.
type Session struct {
	ID        string             // names the session in logs and lists; worthless as a cookie
	Who       *identity.Identity // with Session = ID, and Ends
	Created   time.Time
	Seen      time.Time // last counted activity; written at most once a minute or 1/20 of idle
	Ends      time.Time // absolute end
	TimesOut  time.Time // idle end as things stand
	Refreshed time.Time // last refresh, zero = none
}
