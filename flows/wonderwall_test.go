package flows

import (
	"io"
	"net/http"
	"net/url"
	"testing"

	"github.com/doorward/doorward/demo/idp"
)

func TestWonderwallLogin(t *testing.T) {
	w := newWorld(t)
	b := w.net.Browser()
	page := b.Open(t, app+"/oauth2/login?redirect="+url.QueryEscape("/x?y=1#z")+"&rd=/other&level=Level4").SignIn(t, "alice", "alice")
	expect(t, page, http.StatusOK, "alice sees app.test/x?y=1")
	if page.URL.Fragment != "z" {
		t.Errorf("ended on %s", page.URL)
	}
	for _, query := range []string{"redirect=/a&redirect=/b", "redirect=%zz", "prompt=none"} {
		expect(t, b.Open(t, app+"/oauth2/login?"+query), http.StatusBadRequest, codeBadRequest)
	}
	expect(t, b.Fetch(t, "", http.MethodGet, app+"/oauth2/login", nil), http.StatusUnauthorized, codeLoginRequired)
}

func TestWonderwallLogout(t *testing.T) {
	w := newWorld(t)
	b := w.signedIn(t, app+"/x")
	cookie := b.Jar.Get(app, sessionID)
	b.StopAt = func(next *url.URL) bool { return next.Path == "/bye" }
	page := b.Open(t, app+"/oauth2/logout?redirect=/bye")
	b.StopAt = nil
	if page.Header.Get("Location") != "/bye" || w.idp.Count(idp.EndSession) != 1 {
		t.Errorf("%s", page.Trail())
	}
	w.gone(t, b, cookie)
	t.Run("P130 another site's link is asked about", func(t *testing.T) {
		b := w.signedIn(t, app+"/x")
		cookie := b.Jar.Get(app, sessionID)
		page := b.Visit(t, "https://evil.test/", app+"/oauth2/logout?redirect=/bye")
		expect(t, page, http.StatusOK, "Sign out")
		if b.Jar.Get(app, sessionID) == "" {
			t.Fatal("signed out without having asked")
		}
		b.StopAt = func(next *url.URL) bool { return next.Path == "/bye" }
		if page := page.Submit(t, nil); page.Header.Get("Location") != "/bye" {
			t.Errorf("%s", page.Trail())
		}
		w.gone(t, b, cookie)
	})
}

func TestWonderwallLocalLogout(t *testing.T) {
	w := newWorld(t)
	for name, c := range map[string]struct {
		method string
		header []string
		status int
		ends   bool
	}{
		"script of our own":           {"GET", []string{"Sec-Fetch-Site", "same-origin", "Sec-Fetch-Mode", "cors", "Sec-Fetch-Dest", "empty"}, 204, true},
		"typed":                       {"GET", navigation("none"), 204, true},
		"POST":                        {"POST", []string{"Origin", app}, 204, true},
		"P130 link of another site":   {"GET", navigation("cross-site"), 403, false},
		"P130 image":                  {"GET", []string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "no-cors", "Sec-Fetch-Dest", "image"}, 403, false},
		"P130 image in a page of us":  {"GET", []string{"Sec-Fetch-Site", "same-origin", "Sec-Fetch-Mode", "no-cors", "Sec-Fetch-Dest", "image"}, 403, false},
		"P184 POST that says nothing": {"POST", nil, 403, false},
		"PUT":                         {"PUT", navigation("same-origin"), 405, false},
	} {
		t.Run(name, func(t *testing.T) {
			b := w.signedIn(t, app+"/x")
			cookie := b.Jar.Get(app, sessionID)
			w.idp.ResetRequests()
			res := w.call(t, c.method, app+"/oauth2/logout/local", append([]string{"Cookie", sessionID + "=" + cookie}, c.header...)...)
			if res.StatusCode != c.status || res.Header.Get("Location") != "" {
				t.Errorf("%d, want %d", res.StatusCode, c.status)
			}
			if page := b.Fetch(t, "", http.MethodGet, app+"/x", nil); (page.Status == http.StatusUnauthorized) != c.ends {
				t.Errorf("the session afterwards: %d", page.Status)
			}
			w.flows.Wait()
			if n := w.idp.Count(idp.EndSession); n != 0 {
				t.Errorf("%d logouts at the provider", n)
			}
			if n := w.idp.Count(idp.Revoke); (n == 1) != c.ends {
				t.Errorf("REF-8: %d revocations", n)
			}
		})
	}
	t.Run("without a session", func(t *testing.T) {
		if res := w.call(t, http.MethodGet, app+"/oauth2/logout/local", navigation("none")...); res.StatusCode != http.StatusNoContent {
			t.Errorf("%d", res.StatusCode)
		}
	})
}

func TestPingNeedsNothingAndSetsNothing(t *testing.T) {
	w := newWorld(t)
	w.shared.down.Store(true)
	res := w.call(t, http.MethodGet, app+"/oauth2/ping")
	if body := must(io.ReadAll(res.Body))(t); res.StatusCode != http.StatusOK || string(body) != "pong" || len(res.Cookies()) != 0 || res.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("%d %q %v", res.StatusCode, body, res.Header)
	}
	if res := w.call(t, http.MethodHead, app+"/oauth2/ping"); res.StatusCode != http.StatusOK {
		t.Errorf("HEAD: %d", res.StatusCode)
	}
	if res := w.call(t, http.MethodPost, app+"/oauth2/ping"); res.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("POST: %d", res.StatusCode)
	}
}
