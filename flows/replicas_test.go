package flows

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/doorward/doorward/demo/idp"
	"github.com/doorward/doorward/internal/testnet"
	"github.com/doorward/doorward/sessions"
)

// on makes a browser speak to one replica.
func on(b *testnet.Browser, replica int) *testnet.Browser {
	b.Header.Set("X-Test-Replica", strconv.Itoa(replica))
	return b
}

// Two gateways share a store and keys, and nothing else.
func TestALoginBegunAtOneReplicaEndsAtAnother(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*plan)
		path   string
	}{
		"short target":                    {func(*plan) {}, "/x?y=1"},
		"target in the cookie":            {func(*plan) {}, "/x?y=" + fmt.Sprintf("%0600d", 1)},
		"target in the store":             {func(*plan) {}, "/x?y=" + fmt.Sprintf("%03000d", 1)},
		"one callback for all hosts":      {oneCallback, "/x?y=1"},
		"sessions in cookies":             {func(p *plan) { p.sessions = func(c *sessions.Config) { c.InCookie = true } }, "/x?y=1"},
		"one callback, target in a store": {oneCallback, "/x?y=" + fmt.Sprintf("%03000d", 1)},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, c.change)
			w.replica(t)
			b := on(w.net.Browser(), 0)
			page := b.Open(t, app+c.path)
			on(b, 1)
			page = page.SignIn(t, "alice", "alice")
			expect(t, page, http.StatusOK, "alice sees app.test"+c.path)
			t.Run("and is known at both, until it is over at both", func(t *testing.T) {
				for replica := range 2 {
					expect(t, on(b, replica).Open(t, app+"/z"), http.StatusOK, "alice sees app.test/z")
				}
				copied := b.Jar.Names(app)
				thief := on(w.net.Browser(), 1)
				for _, name := range copied {
					thief.Jar.Put(app, &http.Cookie{Name: name, Value: b.Jar.Get(app, name), Path: "/", Secure: true})
				}
				on(b, 0).Post(t, "", signOut, nil)
				if page := thief.Fetch(t, "", http.MethodGet, app+"/z", nil); page.Status != http.StatusUnauthorized {
					t.Errorf("P073: a copy of the cookie gets %d at the other replica", page.Status)
				}
			})
		})
	}
}

func TestP091OfCallbacksAtTwoReplicasOneGoesOn(t *testing.T) {
	w := newWorld(t)
	w.replica(t)
	for range 5 {
		w.idp.ResetRequests()
		b := w.net.Browser()
		good := w.answered(t, b, app+"/x")
		name := attempts(b, app)[0]
		cookie := name + "=" + b.Jar.Get(app, name)
		var done sync.WaitGroup
		var home, sessions atomic.Int32
		begin := make(chan struct{})
		for i := range 8 {
			done.Go(func() {
				<-begin
				res := w.call(t, http.MethodGet, good, append(navigation("cross-site"), "Cookie", cookie, "X-Test-Replica", strconv.Itoa(i%2))...)
				if res.StatusCode == http.StatusSeeOther {
					home.Add(1)
				}
				for _, c := range res.Cookies() {
					if c.Name == sessionID && c.MaxAge >= 0 {
						sessions.Add(1)
					}
				}
			})
		}
		close(begin)
		done.Wait()
		if home.Load() != 1 || sessions.Load() != 1 || w.idp.Count(idp.Token) != 1 {
			t.Errorf("%d went home, %d sessions, %d token requests", home.Load(), sessions.Load(), w.idp.Count(idp.Token))
		}
	}
}

func TestP088AGatewayWithOtherKeysBelievesNothing(t *testing.T) {
	w := newWorld(t)
	stranger := newWorld(t, func(p *plan) { p.hosts = []string{app} })
	stranger.flows.deps.Ring = sealing(t, 9).deps.Ring
	b := w.net.Browser()
	good := w.answered(t, b, app+"/x")
	name := attempts(b, app)[0]
	res := raw(t, stranger, http.MethodGet, must(url.Parse(good))(t).RequestURI(), append(navigation("cross-site"), "Cookie", name+"="+b.Jar.Get(app, name))...)
	if res.StatusCode != http.StatusBadRequest || stranger.idp.Count(idp.Token) != 0 {
		t.Errorf("%d, %d token requests", res.StatusCode, stranger.idp.Count(idp.Token))
	}
}
