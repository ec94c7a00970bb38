package e2e

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/chromedp/chromedp"
)

// The morning after: a browser restores ten tabs at once, and all of them need a sign-in.
func TestR4TenTabsOpenedAtOnceEachEndOnTheirOwnPage(t *testing.T) {
	w := newWorld(t, providerOptions{})
	b := newBrowser(t)
	const n = 10
	page := func(i int) string { return fmt.Sprintf("%s/tab/%d?of=%d", w.gateway.origin, i, n) }
	tabs := make([]*tab, n)
	for i := range tabs {
		tabs[i] = b.tab(t)
	}
	openAtOnce(t, tabs, page)
	for _, tb := range tabs {
		w.atProvider(tb)
	}
	if attempts := len(tabs[0].cookies(w.gateway.origin + "/oauth2/callback")); attempts != n {
		t.Errorf("%d attempts are kept, not %d", attempts, n)
	}
	for i := range tabs { // begun in one order, ended in another
		at := (i*7 + 3) % n
		w.signIn(tabs[at], "alice")
		tabs[at].waitURL(page(at))
	}
	for i, tb := range tabs {
		if v := tb.waitURL(page(i)); v.Title != "The app" {
			t.Errorf("tab %d shows %q", i, v.Title)
		}
	}
	if c := tabs[0].lasting(w.gateway.origin + "/oauth2/callback"); len(c) != 1 {
		t.Errorf("%d cookies are left after all attempts have ended: %+v", len(c), c)
	}
	if errors := w.provider.count(t, "grant_error", ""); errors != 0 {
		t.Errorf("the provider refused %d grants: %+v", errors, w.provider.events(t))
	}
}

// A second sign-in in another tab must not take the first tab's page away.
func TestR4TabsLeftAtTheProviderStillWorkAfterOneOfThemHasSignedIn(t *testing.T) {
	w := newWorld(t, providerOptions{})
	b := newBrowser(t)
	left := b.tab(t)
	left.open(w.gateway.origin + "/left")
	w.atProvider(left)
	w.signedIn(t, b, "alice", "/first")
	w.signIn(left, "alice")
	left.waitURL(w.gateway.origin + "/left")
	if got := w.app.last(t, "/left").Header.Get("X-Forwarded-User"); got != "alice" {
		t.Errorf("the app saw %q", got)
	}
}

func openAtOnce(t *testing.T, tabs []*tab, page func(i int) string) {
	t.Helper()
	errs := make([]error, len(tabs))
	var opening sync.WaitGroup
	for i, tb := range tabs {
		opening.Go(func() {
			ctx, cancel := context.WithTimeout(tb.ctx, patience)
			defer cancel()
			errs[i] = chromedp.Do(ctx, chromedp.Navigate(page(i)))
		})
	}
	opening.Wait()
	for i, err := range errs {
		if err != nil {
			t.Errorf("tab %d: %v", i, err)
		}
	}
}
