package flows

import (
	"context"
	"net/http"
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/doorward/doorward/internal/identity"
)

// greeted is who a world was told has signed in.
type greeted struct {
	mu  sync.Mutex
	all []string
}

func (l *greeted) hear(w *world) {
	w.flows.deps.SignedIn = func(_ context.Context, who *identity.Identity) {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.all = append(l.all, who.Login+" "+who.Username)
	}
}

func (l *greeted) want(t *testing.T, want ...string) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	if !slices.Equal(l.all, want) {
		t.Errorf("told of %q, want %q", l.all, want)
	}
	l.all = nil
}

func TestEachSignInIsToldOnceAndBeforeItsAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		var heard greeted
		heard.hear(w)
		b := w.signedIn(t, app+"/x")
		heard.want(t, "staff alice")
		expect(t, b.Open(t, app+"/y"), 200, "alice sees")
		heard.want(t) // a session that goes on is no sign-in

		w = newWorld(t, onlyPasswords)
		heard.hear(w)
		form := w.net.Browser().Open(t, app+"/x")
		form = form.Submit(t, typing("alice", "wrong"))
		expect(t, form, 401)
		heard.want(t)
		expect(t, form.Submit(t, typing("alice", "alice")), 200, "alice sees")
		heard.want(t, "legacy alice")
	})
}

func TestASignInThatCannotBeKeptIsToldToNobody(t *testing.T) {
	w := newWorld(t, func(p *plan) { p.frail = true })
	var heard greeted
	heard.hear(w)
	b := w.net.Browser()
	to := w.answered(t, b, app+"/x")
	w.shared.down.Store(true)
	expect(t, b.Open(t, to), http.StatusServiceUnavailable, codeStore)
	heard.want(t)
}
