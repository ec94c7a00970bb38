package main

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/doorward/doorward/demo/idp"
)

// Return targets, cookies and sign-outs at the real entries, by both versions of HTTP.

// elsewhere are targets that a browser would leave the site by.
var elsewhere = map[string][]string{
	"P062": {"//evil.test", `/\evil.test`, `\\evil.test`, `/\/evil.test`, "///evil.test"},
	"P063": {"/\t/evil.test", "/\r\n/evil.test", "/\v/evil.test", "\t//evil.test", "/ /evil.test", "%2f%2fevil.test"},
	"P064": {"http://evillocalhost", "http://localhost.evil.test", "http://localhost@evil.test", `http://evil.test\.localhost`, "http://evil.test#.localhost"},
	"P065": {"javascript:alert(1)", "data:text/html,x", "ftp://localhost/x"},
	"P066": {"http://localhost:1/", "http://localhost:99999", "http://localhost:"},
}

func TestNoReturnTargetLeadsAwayOverBothVersions(t *testing.T) {
	s := newStack(t, "").start()
	s.bothVersions(t, func(w wire) {
		for row, targets := range elsewhere {
			for _, target := range targets {
				rd := "?rd=" + url.QueryEscape(target)
				b := w.person()
				page := b.Open(w.t, s.origin+"/oauth2/start"+rd)
				if page.Status == http.StatusOK && strings.HasPrefix(page.URL.String(), s.provider.URL) {
					page = page.SignIn(w.t, "alice", "wonderland-9")
				}
				if !strings.HasPrefix(page.URL.String(), s.origin+"/") || strings.Contains(page.URL.String(), "evil") && !strings.HasPrefix(page.URL.Path, "/oauth2/") {
					w.t.Errorf("%s %q: landed on %s\n%s", row, target, page.URL, page.Trail())
				}
				// P068: the same after a sign-out, and by the names that other gateways give it.
				for _, name := range []string{"rd", "redirect_uri", "post_logout_redirect_uri", "redirect"} {
					for _, path := range []string{"/oauth2/sign_out", "/oauth2/logout"} {
						a := w.ask(http.MethodGet, path+"?"+name+"="+url.QueryEscape(target), append([]string{s.cookies(b)}, navigating...)...)
						if strings.Contains(a.Header.Get("Location"), "evil") || a.StatusCode >= 500 {
							w.t.Errorf("P068 %s %s=%q: %s to %s", path, name, target, a.Status, a.Header.Get("Location"))
						}
					}
				}
			}
		}
	})
}

func TestP067WhatWasAskedForIsAPathOfThisSiteOverBothVersions(t *testing.T) {
	s := newStack(t, "").start()
	s.bothVersions(t, func(w wire) {
		for _, target := range []string{"//evil.test/x", "/%5cevil.test", "/%2f/evil.test"} {
			a := w.ask(http.MethodGet, target, navigating...)
			if a.StatusCode != http.StatusBadRequest || a.Header.Get("Location") != "" || len(a.Cookies()) > 0 {
				w.t.Errorf("%s: %s %v", target, a.Status, a.Header)
			}
		}
	})
}

// P069: a target at rest is sealed with its login: what a browser holds cannot be exchanged for another.
func TestP069ATargetThatWasPutIntoTheCookieIsNotUsed(t *testing.T) {
	s := newStack(t, "").start()
	s.bothVersions(t, func(w wire) {
		a := w.ask(http.MethodGet, "/x", navigating...)
		at, err := url.Parse(a.Header.Get("Location"))
		if err != nil || len(a.Cookies()) == 0 {
			w.t.Fatalf("%s %v", a.Status, a.Header)
		}
		state := at.Query().Get("state")
		for _, value := range []string{"https://evil.test", "aHR0cHM6Ly9ldmlsLnRlc3Q", state, state + ".https://evil.test", ""} {
			for _, cookie := range a.Cookies() {
				got := w.ask(http.MethodGet, "/oauth2/callback?code=x&state="+url.QueryEscape(state), append([]string{"Cookie: " + cookie.Name + "=" + value}, navigating...)...)
				if got.StatusCode != http.StatusBadRequest || strings.Contains(fmt.Sprint(got.Header), "evil") {
					w.t.Errorf("%s=%q: %s %v", cookie.Name, value, got.Status, got.Header)
				}
			}
		}
	})
}

func TestP070ALoginThatOthersBeginObeysTheConfiguration(t *testing.T) {
	s := newStack(t, "").start()
	s.bothVersions(t, func(w wire) {
		for _, path := range []string{"/oauth2/start", "/oauth2/login"} {
			query := url.Values{
				"iss": {"https://evil.test"}, "target_link_uri": {"https://evil.test/"}, "login_hint": {"a"}, "scope": {"admin"}, "client_id": {"evil"}, "redirect_uri": {"https://evil.test/"},
				"audience": {"evil"}, "claims": {"{}"}, "state": {"evil"}, "nonce": {"evil"}, "code_challenge": {"evil"}, "response_type": {"token"}, "request_uri": {"https://evil.test/"},
			}
			a := w.ask(http.MethodGet, path+"?"+query.Encode(), append([]string{"Sec-Fetch-Site: cross-site"}, navigating[:2]...)...)
			if at := a.Header.Get("Location"); strings.Contains(at, "evil") || strings.Contains(at, "admin") || at != "" && !strings.HasPrefix(at, s.provider.URL+"/") || a.StatusCode >= 500 {
				w.t.Errorf("%s: %s to %s", path, a.Status, at)
			}
		}
	})
}

func TestP071AProviderThatAlwaysErrsEndsOnAPage(t *testing.T) {
	s := newStack(t, "").start()
	s.bothVersions(t, func(w wire) {
		b := w.person()
		for range 6 {
			b.StopAt = func(next *url.URL) bool { return strings.HasPrefix(next.String(), s.provider.URL) }
			begun := b.Open(w.t, s.origin+"/x")
			at, _ := url.Parse(begun.Header.Get("Location"))
			b.StopAt = nil
			if at == nil || at.Query().Get("state") == "" {
				if begun.Status < 400 || begun.Status == 404 || begun.Status >= 500 {
					w.t.Errorf("it ends on %d\n%s", begun.Status, begun.Text())
				}
				return // it is told to stop
			}
			page := b.Open(w.t, s.origin+"/oauth2/callback?error=server_error&state="+url.QueryEscape(at.Query().Get("state")))
			if len(page.Hops) > 4 || page.Status < 400 {
				w.t.Fatalf("%d after %d hops\n%s", page.Status, len(page.Hops), page.Trail())
			}
		}
	})
}

func TestSessionCookiesAreNobodysWhenTheyAreNotOursOverBothVersions(t *testing.T) {
	for _, store := range []string{"bolt", "cookie"} {
		t.Run(store, func(t *testing.T) {
			s := newStack(t, "[sessions]\nstore = \""+store+"\"\nkeys = [\"MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=\"]\n").start()
			s.bothVersions(t, func(w wire) {
				b := w.person()
				s.signedIn(b, "/", "alice", "wonderland-9")
				login := w.ask(http.MethodGet, "/x", navigating...).Cookies()
				good, name := b.Jar.Get(s.origin, "doorward"), "doorward"
				if good == "" || len(login) == 0 || !w.isAlice(s.cookies(b)) {
					w.t.Fatalf("no session: %v", b.Jar.Names(s.origin))
				}
				for row, cookie := range map[string]string{
					"P075 empty": name + "=", "P075 null": name + "=null", "P075 truncated": name + "=" + good[:len(good)-1], "P075 longer": name + "=" + good + "A",
					"P075 percent": name + "=%%%", "P075 flipped": name + "=" + flipped(good, len(good)/2), "P075 first byte": name + "=" + flipped(good, 0), "P075 last byte": name + "=" + flipped(good, len(good)-2), "P075 long": name + "=" + strings.Repeat("A", 5000),
					"P076 a login's": name + "=" + login[0].Value, "P077 twice": name + "=x; " + name + "=" + good, "P077 twice, other order": name + "=" + good + "; " + name + "=x",
					"P078 a chunk without the first": name + ".1=" + good, "P078 a count": name + "=dwc99999999." + good, "P078 a negative count": name + "=dwc-1." + good, "P078 a count of five": name + "=dwc5." + good + "; " + name + ".1=A",
					"P078 500 chunks": strings.Join(chunks(name, 500), "; "), "P078 500 chunks beside the first": name + "=dwc5." + strings.Join(chunks(name, 500), "; "),
				} {
					if w.isAlice("Cookie: " + cookie) {
						w.t.Errorf("%s: it is alice", row)
					}
					if a := w.ask(http.MethodGet, "/x", "Cookie: "+cookie); a.StatusCode != http.StatusUnauthorized {
						w.t.Errorf("%s: %s", row, a.Status)
					}
					if a := w.ask(http.MethodGet, "/oauth2/session", "Cookie: "+cookie); a.StatusCode != http.StatusUnauthorized || strings.Contains(a.body, "alice") {
						w.t.Errorf("%s: session: %s %s", row, a.Status, a.body)
					}
				}
				// P076, the other way round: a session is no login.
				if a := w.ask(http.MethodGet, "/oauth2/callback?code=x&state="+url.QueryEscape(login[0].Value), append([]string{"Cookie: " + login[0].Name + "=" + good}, navigating...)...); a.StatusCode != http.StatusBadRequest {
					w.t.Errorf("P076: %s", a.Status)
				}
				if !w.isAlice(s.cookies(b)) {
					w.t.Error("afterwards the good one is nobody's")
				}
			})
		})
	}
}

func chunks(name string, n int) (all []string) {
	for i := range n {
		all = append(all, fmt.Sprintf("%s.%d=%s", name, i, strings.Repeat("A", 20)))
	}
	return all
}

// flipped changes one letter into another of base64url.
func flipped(s string, i int) string {
	b := []byte(s)
	if b[i]++; !strings.ContainsRune("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_", rune(b[i])) {
		b[i] = 'A'
	}
	return string(b)
}

func TestP072P073P086SessionsChangeAndEndOverBothVersions(t *testing.T) {
	s := newStack(t, "").start()
	s.bothVersions(t, func(w wire) {
		b := w.person()
		b.Jar.Put(s.origin, &http.Cookie{Name: "doorward", Value: "dw1." + strings.Repeat("A", 43), Path: "/"})
		s.signedIn(b, "/", "alice", "wonderland-9")
		first := s.cookies(b)
		if strings.Contains(first, "AAAAAAAA") || !w.isAlice(first) {
			w.t.Fatalf("P072: %.60s", first)
		}
		// P086: somebody else in the same browser.
		b.Open(w.t, s.origin+"/oauth2/start?prompt=login&rd=/").SignIn(w.t, "bob", "builder-9")
		second := s.cookies(b)
		if a := w.ask(http.MethodGet, "/who", second); a.StatusCode != 200 || w.app.last(w.t).Header.Get("X-Forwarded-User") != "bob" || w.app.last(w.t).Header.Get("X-Forwarded-Groups") != "" {
			w.t.Errorf("P086: %s %v", a.Status, w.app.last(w.t).Header)
		}
		if second == first || w.isAlice(first) {
			w.t.Error("P086: alice's session goes on")
		}
		// P073: a copy.
		b.Open(w.t, s.origin+"/oauth2/sign_out")
		if a := w.ask(http.MethodGet, "/who", second); a.StatusCode != http.StatusUnauthorized {
			w.t.Errorf("P073: %s", a.Status)
		}
	})
}

func TestOtherSitesChangeNothingOverBothVersions(t *testing.T) {
	s := newStack(t, "").start()
	s.bothVersions(t, func(w wire) {
		b := w.person()
		s.signedIn(b, "/", "alice", "wonderland-9")
		cookies := s.cookies(b)
		refreshes, ends := s.idp.Count(idp.Token), s.idp.Count(idp.EndSession)
		image := []string{cookies, "Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: no-cors", "Sec-Fetch-Dest: image"}
		for _, path := range []string{"/oauth2/sign_out", "/oauth2/logout", "/oauth2/logout/local"} {
			w.ask(http.MethodGet, path, image...) // P130
			for _, origin := range []string{"Origin: https://evil.test", "Origin: null"} {
				if a := w.post(http.MethodPost, path, "x=y", cookies, origin, "Sec-Fetch-Site: cross-site", "Content-Type: text/plain"); a.StatusCode/100 == 2 || a.StatusCode/100 == 3 { // P184
					w.t.Errorf("P184 %s: %s", path, a.Status)
				}
			}
		}
		for _, lines := range [][]string{{"Origin: https://evil.test"}, {"Origin: null"}, {"Sec-Fetch-Site: cross-site"}, nil} {
			if a := w.post(http.MethodPost, "/oauth2/session/refresh", "", append(lines, cookies, "Content-Type: text/plain")...); a.StatusCode != http.StatusForbidden {
				w.t.Errorf("P184 refresh by %v: %s", lines, a.Status)
			}
		}
		if !w.isAlice(cookies) || s.idp.Count(idp.Token) != refreshes || s.idp.Count(idp.EndSession) != ends {
			w.t.Error("P130: another site changed something")
		}
		for _, origin := range []string{"https://evil.test", "null", s.origin + ".evil"} { // P183, P191
			for _, path := range []string{"/oauth2/userinfo", "/oauth2/session"} {
				a := w.ask(http.MethodGet, path, cookies, "Origin: "+origin)
				for name := range a.Header {
					if strings.HasPrefix(name, "Access-Control-") {
						w.t.Errorf("P183 %s: %s", path, name)
					}
				}
				if strings.Contains(a.body, "eyJ") || strings.Contains(strings.ToLower(a.body), "_token\"") {
					w.t.Errorf("P191 %s: %s", path, a.body)
				}
			}
		}
	})
}
