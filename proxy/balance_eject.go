package proxy

import (
	"context"
	"log/slog"
	"net/http"
)

// The passive check: what becomes of real requests tells how an upstream is.

// unavailable reports whether an answer says that the upstream itself, or what stands behind it, doesn't work now.
func unavailable(res *http.Response) bool {
	switch res.StatusCode {
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return false
}

// worked ends a row of failures. One that was left out is back with the first answer after its time.
func (b *balancer) worked(m *member) {
	until := m.until.Load()
	if until == 0 && m.failures.Load() == 0 {
		return
	}
	m.failures.Store(0)
	if until != 0 && b.now().UnixNano() >= until && m.until.CompareAndSwap(until, 0) {
		b.tell(slog.LevelInfo, "upstream is back", m)
	}
}

// readmit ends the time of one that was left out, and has answered when all others were as well: it is the best there is.
func (b *balancer) readmit(m *member) {
	if until := m.until.Load(); until != 0 && m.until.CompareAndSwap(until, 0) {
		b.tell(slog.LevelInfo, "upstream is back", m)
	}
}

// failed notes a failure. After as many in a row as the route allows, the upstream is left out for a while; then it gets
// requests again, and the first of them that fails ends that.
func (b *balancer) failed(m *member, why string) {
	n := m.failures.Add(1)
	if b.eject.Failures == 0 || n < int32(b.eject.Failures) {
		return
	}
	now := b.now()
	until := m.until.Load()
	if now.UnixNano() < until { // it is left out already: an attempt of despair, or one that began before
		return
	}
	if m.until.CompareAndSwap(until, now.Add(b.eject.For).UnixNano()) {
		b.tell(slog.LevelWarn, "upstream is left out for a while", m, slog.Int("failures_in_a_row", int(n)), slog.String("for", b.eject.For.String()), slog.String("error", why))
	}
}

// tell logs a change, in one line.
func (b *balancer) tell(level slog.Level, what string, m *member, more ...slog.Attr) {
	b.log.LogAttrs(context.Background(), level, what, append([]slog.Attr{slog.String("route", b.route), slog.String("upstream", m.upstream.display)}, more...)...)
}
