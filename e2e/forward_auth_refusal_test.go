package e2e

import (
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"testing"
	"time"
)

// twofold are addresses that can be read in two ways. Browsers send all but the last as they are.
var twofold = []string{"/a%2Fb", "/a//b", "/a%23b", "/a%5Cb", "/a/./b"}

// navigating is what a browser says of itself when a person opens a page.
var navigating = []string{"Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document", "Accept: text/html"}

func (g *guarded) noCircles(t *testing.T, signedIn, nobody *tab) {
	before := len(g.app.all())
	session := g.cookie(signedIn)
	for _, tb := range []*tab{signedIn, nobody} {
		for _, target := range twofold[:len(twofold)-1] {
			tb.forget()
			tb.open(wikiSite + target)
			v := tb.waitURL(wikiSite + target)
			if got := tb.document(); got.Status != http.StatusBadRequest && got.Status != http.StatusUnauthorized {
				t.Errorf("%s: %d", target, got.Status)
			}
			if !strings.Contains(v.Text, "The path holds") {
				t.Errorf("%s: the page does not say what is wrong:\n%s", target, v.Text)
			}
			if tb.visited(g.provider.issuer) {
				t.Errorf("%s leads to the provider", target)
			}
		}
	}
	both(t, func(t *testing.T, send sender) {
		for _, target := range twofold {
			for _, method := range []string{"GET", "HEAD", "POST"} {
				for _, who := range [][]string{nil, {session}} {
					got := send(g, t, method, target, append(who, navigating...)...)
					if got.Status != http.StatusBadRequest && got.Status != http.StatusUnauthorized || got.Header["Location"] != nil || got.Header["Set-Cookie"] != nil {
						t.Errorf("%s %s: %d %v", method, target, got.Status, got.Header)
					}
				}
			}
		}
	})
	if len(g.since(before)) > 0 {
		t.Errorf("the app got %+v", g.since(before))
	}
}

// A page of the application may have a query that would mean something to Doorward.
func (g *guarded) queriesAreTheApplications(t *testing.T) {
	both(t, func(t *testing.T, send sender) {
		for _, target := range []string{"/orders?rd=/elsewhere", "/orders?login=nobody&prompt=none&redirect=true&refusal=page"} {
			got := send(g, t, "GET", target, "Accept: application/json")
			if got.Status != http.StatusUnauthorized || !strings.Contains(got.Body, `"login_url":"`+wikiSite+"/oauth2/start?rd="+url.QueryEscape(target)+`"`) {
				t.Errorf("%s: %d %s", target, got.Status, got.Body)
			}
		}
	})
}

func (g *guarded) refusalsSayWhy(t *testing.T, alice *tab) {
	before := len(g.app.all())
	alice.forget()
	alice.open(wikiSite + "/admin/users?x=1")
	v := alice.waitURL(wikiSite + "/admin/users?x=1")
	if got := alice.document(); got.Status != http.StatusForbidden {
		t.Errorf("the status is %d", got.Status)
	}
	for _, want := range []string{"No access", "alice"} {
		if !strings.Contains(v.Text, want) {
			t.Errorf("the page does not say %q:\n%s", want, v.Text)
		}
	}
	session := g.cookie(alice)
	both(t, func(t *testing.T, send sender) {
		for _, method := range []string{"GET", "POST", "DELETE"} {
			lines := []string{session, "Accept: application/json", "Origin: " + wikiSite, "X-Forwarded-Uri: /public/x", "X-Original-Url: /public/x", "X-Forwarded-Method: GET"}
			if method == "POST" {
				lines = append(lines, "Content-Type: application/json", "\n{}")
			}
			got := send(g, t, method, "/admin/x", lines...)
			if got.Status != http.StatusForbidden || got.Header.Get("Content-Type") != "application/problem+json" || !strings.Contains(got.Body, `"code":"access_denied"`) {
				t.Errorf("%s: %d %v %s", method, got.Status, got.Header, got.Body)
			}
			for name := range got.Header {
				if strings.HasPrefix(name, "X-Auth-Request-") || strings.HasPrefix(name, "X-Forwarded-") || name == "Authorization" || name == "X-Doorward-Assertion" {
					t.Errorf("%s: the client is told %s", method, name)
				}
			}
		}
	})
	if len(g.since(before)) > 0 {
		t.Errorf("the app got %+v", g.since(before))
	}
}

// hangs stops Doorward in its midst, for as long as a test that goes on needs it. A proxy that would wait on keeps a connection of
// everybody who comes.
func (g *guarded) hangs(longer, t *testing.T, tb *tab) {
	session, before := g.cookie(tb), len(g.app.all())
	doorward := g.gateway.cmd.Process
	if err := doorward.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	longer.Cleanup(func() { _ = doorward.Signal(syscall.SIGCONT) })
	began := time.Now()
	got := g.send(t, "GET", "/orders", session)
	if took := time.Since(began); got.Status < 500 || took > 25*time.Second {
		t.Errorf("%d after %s", got.Status, took)
	}
	if err := doorward.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	if len(g.since(before)) > 0 {
		t.Errorf("the app got %+v", g.since(before))
	}
	if !eventually(func() bool { return g.send(t, "GET", "/orders?awake", session).Status == http.StatusOK }) {
		t.Error("Doorward is awake, and nobody is let in")
	}
}

// A proxy that was not listed hears 401 of everybody. Nobody may be led to the login by that.
func TestForwardAuthByAForgottenProxyEndsOnAPage(t *testing.T) {
	g := newGuardedTrusting(t, "10.1.2.3/32", nginxShipped, "", providerOptions{})
	for _, target := range []string{"/orders", "/a//b", "/public/x"} {
		got := g.send(t, "GET", target, navigating...)
		if got.Status != http.StatusUnauthorized || got.Header["Location"] != nil || !strings.Contains(got.Body, "Only proxies that are trusted") {
			t.Errorf("%s: %d %v %s", target, got.Status, got.Header, got.Body)
		}
	}
	if log := strings.Join(g.gateway.output(), "\n"); !strings.Contains(log, `write listen.trusted_proxies = [\"127.0.0.1/32\"]`) {
		t.Errorf("the log does not say what to write:\n%s", log)
	}
	if len(g.app.all()) > 0 {
		t.Errorf("the app got %+v", g.app.all())
	}
}
