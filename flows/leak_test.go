package flows

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/doorward/doorward/demo/idp"
	"github.com/doorward/doorward/internal/pages"
	"github.com/doorward/doorward/internal/testnet"
	"github.com/doorward/doorward/sessions"
	"github.com/doorward/doorward/sessions/store"
)

// P188: nothing of ours is kept by a cache or framed, and no address of ours is told to the next site.
func TestP188HeadersOfOwnAnswers(t *testing.T) {
	w := newWorld(t, twoLogins)
	w.startProvider(t, other, nil)
	b := w.signedInBy(t, "staff")
	for name, page := range map[string]struct {
		method, path string
		header       []string
	}{
		"start":                 {"GET", "/oauth2/start?login=staff", navigation("none")},
		"start, to choose":      {"GET", "/oauth2/start", navigation("none")},
		"start, refused":        {"GET", "/oauth2/start?login=x", navigation("none")},
		"start, program":        {"GET", "/oauth2/start", nil},
		"sign-in page":          {"GET", "/oauth2/sign_in", navigation("none")},
		"callback, refused":     {"GET", "/oauth2/callback/corp?code=x&state=y", navigation("none")},
		"callback, method":      {"PUT", "/oauth2/callback/corp?code=x&state=y", navigation("none")},
		"confirm":               {"GET", "/oauth2/sign_out", navigation("cross-site")},
		"cross-site":            {"POST", "/oauth2/sign_out", navigation("cross-site")},
		"signed out":            {"GET", "/oauth2/logout/callback", navigation("none")},
		"sign-out":              {"POST", "/oauth2/sign_out", navigation("same-origin")},
		"local":                 {"POST", "/oauth2/logout/local", navigation("same-origin")},
		"userinfo":              {"GET", "/oauth2/userinfo", nil},
		"session":               {"GET", "/oauth2/session", nil},
		"refresh":               {"POST", "/oauth2/session/refresh", []string{"Origin", app}},
		"page without session":  {"GET", "/x", append(navigation("none"), "Cookie", "")},
		"fetch without session": {"GET", "/x", []string{"Cookie", ""}},
	} {
		t.Run(name, func(t *testing.T) {
			header := page.header
			if len(header) == 0 || header[len(header)-1] != "" {
				header = append(header, "Cookie", sessionID+"="+b.Jar.Get(app, sessionID))
			}
			h := w.call(t, page.method, app+page.path, header...).Header
			want := map[string]string{"Cache-Control": "no-store"}
			if h.Get("Content-Type") != "" {
				want["X-Content-Type-Options"] = "nosniff"
			}
			for name, want := range want {
				if got := h.Get(name); got != want {
					t.Errorf("%s: %q", name, got)
				}
			}
			if strings.HasPrefix(h.Get("Content-Type"), "text/html") && !strings.Contains(h.Get("Content-Security-Policy"), "frame-ancestors 'none'") {
				t.Errorf("Content-Security-Policy: %q", h.Get("Content-Security-Policy"))
			}
			if got := h.Get("Referrer-Policy"); got != "no-referrer" && (name != "confirm" || got != "same-origin") && (h.Get("Content-Type") != "" || h.Get("Location") != "") {
				t.Errorf("Referrer-Policy: %q", got)
			}
			if csp := h.Get("Content-Security-Policy"); strings.HasPrefix(name, "callback") && (!strings.Contains(csp, "default-src 'none'") || strings.Contains(csp, "script-src")) {
				t.Errorf("P112: a page with a code in its address may load things: %q", csp)
			}
		})
	}
}

// signedInBy returns a browser that has chosen a login.
func (w *world) signedInBy(t *testing.T, login string) *testnet.Browser {
	t.Helper()
	b := w.net.Browser()
	b.Open(t, app+"/oauth2/start?login="+login+"&rd=/x").SignIn(t, "alice", "alice")
	return b
}

// P189 and P190: one line of JSON for each event, whatever a request holds, and nothing in it that opens a door.
func TestP190WhatARequestHoldsMakesNoLogLineOfItsOwn(t *testing.T) {
	w := newWorld(t)
	bad := "x\\x1b[31m\" \u2028 }\\n{\"msg\":\"forged\"}"
	b := w.net.Browser()
	good := w.answered(t, b, app+"/x")
	b.Open(t, with(t, with(t, good, "error", "a\nb\x1b[31m"), "error_description", "{\"msg\":\"forged\"}\n\r\x1b[2J"))
	for _, path := range []string{"/oauth2/start?rd=%0a%7b%22msg%22:%22forged%22%7d", "/oauth2/start?login=%0aforged", "/oauth2/callback?state=%0aforged&code=%0a", "/oauth2/logout/callback?state=%0aforged", "/x%0aforged"} {
		w.call(t, http.MethodGet, app+path, append(navigation("none"), "User-Agent", bad, "Referer", "javascript:alert(1)")...)
	}
	w.call(t, http.MethodPost, signOut, append(navigation("same-origin"), "User-Agent", bad)...)
	for line := range strings.Lines(w.log.String()) {
		var entry map[string]any
		if err := json.Unmarshal([]byte(line), &entry); err != nil || entry["msg"] == "forged" {
			t.Errorf("%v: %q", err, line)
		}
		if strings.ContainsAny(strings.TrimSuffix(line, "\n"), "\x1b\n\r") {
			t.Errorf("%q", line)
		}
	}
}

func TestP193ErrorsTellStrangersNothing(t *testing.T) {
	w := newWorld(t)
	w.shared.down.Store(true)
	b := w.net.Browser()
	for name, page := range map[string]func() string{
		"store": func() string { return b.Open(t, app+"/a?q="+strings.Repeat("y", 3000)).Body },
		"provider": func() string {
			w := newWorld(t)
			w.net.Listen("127.0.0.1:9001").Close()
			return w.net.Browser().Open(t, app+"/x").Body
		},
	} {
		body := page()
		for _, inside := range []string{"dial", "9001", "127.0.0.1", "test: store", "goroutine", ".go:"} {
			if body == "" || strings.Contains(body, inside) {
				t.Errorf("%s: the page says %q", name, inside)
			}
		}
	}
}

// P072, P076: nothing that a browser brings to a login survives it, and nothing of a login is a session.
func TestP072ASessionThatWasPlantedIsNotTheOneAfterALogin(t *testing.T) {
	w := newWorld(t)
	attacker := w.signedIn(t, app+"/x")
	for name, planted := range map[string]string{
		"made up": "attacker", "the attacker's own": attacker.Jar.Get(app, sessionID),
	} {
		t.Run(name, func(t *testing.T) {
			b := w.net.Browser()
			b.Jar.Put(app, &http.Cookie{Name: sessionID, Value: planted, Path: "/", Secure: true})
			page := b.Open(t, app+"/oauth2/start?rd=%2Fy").SignIn(t, "bob", "bob")
			expect(t, page, http.StatusOK, "bob sees app.test/y")
			if b.Jar.Get(app, sessionID) == planted {
				t.Error("the session is the planted one")
			}
			w.gone(t, w.net.Browser(), planted)
		})
	}
}

func TestP076ALoginsBlobsAreNoSession(t *testing.T) {
	w := newWorld(t)
	b := w.net.Browser()
	state := must(url.Parse(w.idpRequest(t, b, app+"/x")))(t).Query().Get("state")
	for name, value := range map[string]string{
		"state": state, "attempt": b.Jar.Get(app, attempts(b, app)[0]),
		"logout state": w.flows.sealParameter(purposeLogout, logoutState{}, []byte(app)),
	} {
		res := w.call(t, http.MethodGet, app+"/x", "Cookie", sessionID+"="+value)
		if res.StatusCode != http.StatusUnauthorized {
			t.Errorf("%s: %d", name, res.StatusCode)
		}
	}
	t.Run("and a session is no state", func(t *testing.T) {
		b := w.signedIn(t, app+"/x")
		w.idp.ResetRequests()
		page := w.net.Browser().Open(t, app+"/oauth2/callback?code=x&state="+url.QueryEscape(b.Jar.Get(app, sessionID)))
		expect(t, page, http.StatusBadRequest, codeState)
	})
}

// P085: what a page of another site can do to a browser in the background.
func TestP085BackgroundRequestsLeaveNothing(t *testing.T) {
	w := newWorld(t)
	b := w.net.Browser()
	for i := range 500 {
		b.Fetch(t, "https://evil.test/", http.MethodGet, fmt.Sprintf("%s/oauth2/start?rd=/%d", app, i), nil)
	}
	if len(b.Jar.Names(app)) != 0 || w.shared.puts.Load() != 0 {
		t.Errorf("%v, %d writes", b.Jar.Names(app), w.shared.puts.Load())
	}
}

func TestWhatASessionCannotHoldIsTheOperatorsToMend(t *testing.T) {
	w := newWorld(t, func(p *plan) {
		p.sessions = func(c *sessions.Config) { c.InCookie = true }
		p.idp = func(c *idp.Config) {
			for i := range 1000 {
				c.Users[0].Groups = append(c.Users[0].Groups, fmt.Sprintf("group-%d", i*7919))
			}
		}
	})
	page := w.net.Browser().Open(t, app+"/x").SignIn(t, "alice", "alice")
	expect(t, page, http.StatusBadGateway, codeMisconfigured, "more than a session can hold")
	w.flows.Wait()
	if n := w.idp.Count(idp.Revoke); n != 1 {
		t.Errorf("REF-8: %d revocations", n)
	}
}

func TestSessionErrors(t *testing.T) {
	f := &Flows{}
	for _, c := range []struct {
		err  error
		code string
	}{
		{fmt.Errorf("x: %w", store.ErrUnavailable), codeStore},
		{fmt.Errorf("x: %w", sessions.ErrTooLarge), codeMisconfigured},
		{errors.New("x"), ""},
	} {
		var e *pages.Error
		if errors.As(f.sessionError(c.err), &e); e == nil && c.code != "" || e != nil && e.Code != c.code {
			t.Errorf("%v: %v", c.err, e)
		}
	}
}
