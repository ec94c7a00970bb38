package flows

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/doorward/doorward/demo/idp"
	"github.com/doorward/doorward/internal/origin"
	"github.com/doorward/doorward/internal/testnet"
)

const loginHost = "https://login.test"

// oneCallback gives all hosts one registered redirect URI.
func oneCallback(p *plan) {
	p.flows = func(c *Config) {
		host, _ := origin.Parse(loginHost)
		c.Callbacks = map[string]Callback{"corp": {Host: host}}
	}
}

// carried begins a login at address and returns the URL with the ticket, which the browser has not opened.
func (w *world) carried(t *testing.T, b *testnet.Browser, address string) string {
	t.Helper()
	b.StopAt = func(next *url.URL) bool { return next.Query().Has("ticket") }
	defer func() { b.StopAt = nil }()
	page := b.Open(t, address)
	if len(page.Forms()) > 0 {
		page = page.SignIn(t, "alice", "alice")
	}
	to := page.Header.Get("Location")
	if !strings.Contains(to, "?ticket=") {
		t.Fatalf("no ticket:\n%s%s", page.Trail(), page.Body)
	}
	return to
}

func TestOneRegisteredURIServesAllHosts(t *testing.T) {
	w := newWorld(t, oneCallback)
	if got := w.flows.RedirectURIs("corp"); len(got) != 1 || got[0] != loginHost+"/oauth2/callback" {
		t.Fatalf("to register: %q", got)
	}
	for _, host := range []string{app, wiki, loginHost} {
		t.Run(host, func(t *testing.T) {
			b := w.net.Browser()
			page := b.Open(t, host+"/x?y=1").SignIn(t, "alice", "alice")
			expect(t, page, http.StatusOK, "alice sees "+strings.TrimPrefix(host, "https://")+"/x?y=1")
			if got := w.idp.Last(idp.Token).Form.Get("redirect_uri"); got != loginHost+"/oauth2/callback" {
				t.Errorf("TOK-1: redirect_uri %q", got)
			}
			if host != loginHost && len(b.Jar.Names(loginHost)) != 0 {
				t.Errorf("cookies at the callback host: %v", b.Jar.Names(loginHost))
			}
			for _, hop := range page.Hops {
				if strings.HasPrefix(hop.URL.String(), host) && hop.URL.Query().Has("code") && host != loginHost {
					t.Errorf("the code came to %s in the open", hop.URL.Host)
				}
			}
		})
	}
}

func TestATicketIsWorthNothingElsewhere(t *testing.T) {
	w := newWorld(t, oneCallback)
	b := w.net.Browser()
	good := w.carried(t, b, app+"/x")
	name := attempts(b, app)[0]
	copied := &http.Cookie{Name: name, Value: b.Jar.Get(app, name), Path: "/", Secure: true}
	ticket := must(url.Parse(good))(t).Query().Get("ticket")
	t.Run("P089 in another browser", func(t *testing.T) {
		victim := w.net.Browser()
		w.refused(t, victim, victim.Visit(t, "https://evil.test/", good), http.StatusBadRequest, codeState)
	})
	t.Run("at another host", func(t *testing.T) {
		w.refused(t, b, b.Open(t, strings.Replace(good, app, wiki, 1)), http.StatusBadRequest, codeState)
		w.refused(t, b, b.Open(t, strings.Replace(good, app, loginHost, 1)), http.StatusBadRequest, codeState)
	})
	t.Run("changed", func(t *testing.T) {
		for _, bad := range []string{"", "x", ticket[:len(ticket)-4], strings.Repeat("A", 20000)} {
			w.refused(t, b, b.Open(t, app+"/oauth2/callback?ticket="+bad), http.StatusBadRequest, codeState)
		}
		w.refused(t, b, b.Open(t, good+"&ticket=x"), http.StatusBadRequest)
	})
	t.Run("it works where it belongs", func(t *testing.T) {
		expect(t, b.Open(t, good), http.StatusOK, "alice sees app.test/x")
	})
	t.Run("P091 once", func(t *testing.T) {
		thief := w.net.Browser()
		thief.Jar.Put(app, copied)
		expect(t, thief.Open(t, good), http.StatusBadRequest, codeState)
		if n := w.idp.Count(idp.Token); n != 1 {
			t.Errorf("the code was sent %d times", n)
		}
	})
}

func TestATicketEndsAfterThirtySeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, oneCallback)
		b := w.net.Browser()
		good := w.carried(t, b, app+"/x")
		time.Sleep(31 * time.Second)
		w.refused(t, b, b.Open(t, good), http.StatusBadRequest, codeState)
		expect(t, b.Open(t, app+"/x"), http.StatusOK, "alice sees")
	})
}

func TestTheCallbackHostSealsNothingForStrangers(t *testing.T) {
	w := newWorld(t, oneCallback)
	b := w.net.Browser()
	state := must(url.Parse(w.idpRequest(t, b, app+"/x")))(t).Query().Get("state")
	w.refused(t, b, b.Open(t, loginHost+"/oauth2/callback?code=x&state="+foreignState(t)), http.StatusBadRequest, codeState)
	w.refused(t, b, b.Open(t, loginHost+"/oauth2/callback?code=x&code=y&state="+state), http.StatusBadRequest)
	t.Run("an answer at the wrong host is not taken in the open", func(t *testing.T) {
		w.refused(t, b, b.Open(t, app+"/oauth2/callback?code=x&iss="+url.QueryEscape(corp)+"&state="+state), http.StatusBadRequest, codeState)
		w.refused(t, b, b.Open(t, wiki+"/oauth2/callback?code=x&iss="+url.QueryEscape(corp)+"&state="+state), http.StatusBadRequest, codeState)
	})
	t.Run("errors are carried too", func(t *testing.T) {
		page := b.Open(t, loginHost+"/oauth2/callback?error=access_denied&iss="+url.QueryEscape(corp)+"&state="+state)
		w.refused(t, b, page, http.StatusForbidden, codeDenied)
		if page.URL.Host != "app.test" {
			t.Errorf("ended on %s", page.URL)
		}
	})
}

// idpRequest begins a login and returns the authorization request's URL.
func (w *world) idpRequest(t *testing.T, b *testnet.Browser, address string) string {
	t.Helper()
	b.StopAt = func(next *url.URL) bool { return next.Hostname() == "127.0.0.1" }
	defer func() { b.StopAt = nil }()
	return b.Open(t, address).Header.Get("Location")
}
