package personal

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
)

// outages are all the ways in which a store can fail from its nth call on: before or after it has done its work, once or for good.
func outages(t *testing.T, test func(t *testing.T, w *world, begin func(n int))) {
	t.Helper()
	for _, late := range []bool{false, true} {
		for _, once := range []bool{false, true} {
			t.Run(fmt.Sprintf("late %v once %v", late, once), func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					w := newWorld(t)
					test(t, w, func(n int) {
						synctest.Wait()
						w.store.late.Store(late)
						w.store.once.Store(once)
						w.store.steps.Store(int64(n))
					})
				})
			})
		}
	}
}

// An answer that hands out a token is the end of making it, and any other hands out nothing.
func TestAnOutageAtAnyStepHandsOutNoTokenThatCannotBeRevoked(t *testing.T) {
	outages(t, func(t *testing.T, w *world, begin func(int)) {
		b := w.signedIn("alice", git)
		failed := 0
		for n := 1; n <= 15; n++ {
			begin(n)
			p := b.Fetch(t, "", http.MethodPost, git+"/oauth2/tokens", named("ci"))
			w.store.steps.Store(0)
			list := w.list(b, git)
			switch p.Status {
			case http.StatusCreated:
				made := decoded[shown](t, p.Body)
				if len(list) != 1 || list[0].ID != made.ID {
					t.Errorf("step %d: a token that is not in the list: %+v", n, list)
				}
				w.expect(made.Token, git, 200, "alice")
			case http.StatusServiceUnavailable:
				failed++
				if strings.Contains(p.Body, tokenPrefix) || len(list) > 1 {
					t.Errorf("step %d: %s %+v", n, p.Body, list)
				}
			default:
				t.Errorf("step %d: %d %s", n, p.Status, p.Body)
			}
			for _, made := range list {
				if p := b.Fetch(t, "", http.MethodPost, git+"/oauth2/tokens", url.Values{"revoke": {made.ID}}); p.Status != http.StatusNoContent {
					t.Errorf("step %d: %d %s", n, p.Status, p.Body)
				}
			}
		}
		if failed < 7 {
			t.Errorf("only %d steps have failed", failed)
		}
	})
}

// A token that is not said to be revoked may have been, and one that is said to be has been.
func TestAnOutageAtAnyStepRevokesOrSaysThatItDidNot(t *testing.T) {
	outages(t, func(t *testing.T, w *world, begin func(int)) {
		b := w.signedIn("alice", git)
		failed := 0
		for n := 1; n <= 5; n++ {
			made := w.mint(b, git, named("ci"))
			w.expect(made.Token, git, 200, "alice")
			begin(n)
			p := b.Fetch(t, "", http.MethodPost, git+"/oauth2/tokens", url.Values{"revoke": {made.ID}})
			w.store.steps.Store(0)
			switch p.Status {
			case http.StatusNoContent:
			case http.StatusServiceUnavailable:
				failed++
				b.Fetch(t, "", http.MethodPost, git+"/oauth2/tokens", url.Values{"revoke": {made.ID}})
			default:
				t.Errorf("step %d: %d %s", n, p.Status, p.Body)
			}
			w.expect(made.Token, git, 401, "nobody")
			if list := w.list(b, git); len(list) != 0 {
				t.Errorf("step %d: %+v", n, list)
			}
		}
		if failed == 0 {
			t.Error("no step has failed")
		}
	})
}
