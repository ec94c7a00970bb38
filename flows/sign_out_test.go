package flows

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/doorward/doorward/demo/idp"
	"github.com/doorward/doorward/internal/testnet"
)

const signOut = app + "/oauth2/sign_out"

// gone checks that a browser's session has ended, also for a copy of its cookie.
func (w *world) gone(t *testing.T, b *testnet.Browser, copied string) {
	t.Helper()
	if b.Jar.Get(app, sessionID) != "" {
		t.Error("the cookie is still there")
	}
	thief := w.net.Browser()
	thief.Jar.Put(app, &http.Cookie{Name: sessionID, Value: copied, Path: "/", Secure: true})
	if page := thief.Fetch(t, "", http.MethodGet, app+"/x", nil); page.Status != http.StatusUnauthorized {
		t.Errorf("P131: a copy of the cookie gets %d: %s", page.Status, page.Body)
	}
}

func TestSignOutEndsTheSessionHereAndAtTheProvider(t *testing.T) {
	w := newWorld(t)
	for name, c := range map[string]struct{ rd, end, words string }{
		"without rd":                {"", app + "/oauth2/logout/callback", "signed out"},
		"with rd":                   {"?rd=" + url.QueryEscape("/bye?x=1"), app + "/bye?x=1", ""},
		"P068 rd to another site":   {"?rd=" + url.QueryEscape("https://evil.test/"), app + "/oauth2/logout/callback", "signed out"},
		"P068 scheme-relative":      {"?rd=//evil.test&post_logout_redirect_uri=//evil.test", app + "/oauth2/logout/callback", "signed out"},
		"rd naming the provider":    {"?rd=" + url.QueryEscape(corp+"/protocol/openid-connect/logout?post_logout_redirect_uri="+url.QueryEscape(wiki+"/bye")), wiki + "/bye", ""},
		"rd naming, target refused": {"?rd=" + url.QueryEscape(corp+"/protocol/openid-connect/logout?post_logout_redirect_uri=https://evil.test/"), app + "/oauth2/logout/callback", "signed out"},
	} {
		t.Run(name, func(t *testing.T) {
			b := w.signedIn(t, app+"/x")
			cookie := b.Jar.Get(app, sessionID)
			w.idp.ResetRequests()
			b.StopAt = func(next *url.URL) bool { return strings.HasPrefix(next.Path, "/bye") }
			page := b.Post(t, "", signOut+c.rd, nil)
			b.StopAt = nil
			w.gone(t, b, cookie)
			asked := w.idp.Last(idp.EndSession).Query
			if asked.Get("id_token_hint") == "" || asked.Get("client_id") != "doorward" || asked.Get("post_logout_redirect_uri") != app+"/oauth2/logout/callback" || asked.Get("state") == "" {
				t.Errorf("LO-1: %v", asked)
			}
			w.flows.Wait()
			if r := w.idp.Last(idp.Revoke).Form; r.Get("token_type_hint") != "refresh_token" || r.Get("token") == "" {
				t.Errorf("REF-8: %v", r)
			}
			end := page.URL.String()
			if page.Status == http.StatusSeeOther {
				end = must(page.URL.Parse(page.Header.Get("Location")))(t).String()
			}
			if end, _, _ = strings.Cut(end, "?state="); end != c.end || !strings.Contains(strings.ToLower(page.Body), c.words) {
				t.Errorf("ended on %s\n%s%s", end, page.Trail(), page.Body)
			}
			for _, hop := range page.Hops {
				if hop.Location != "" && (hop.Header.Get("Referrer-Policy") != "no-referrer" || hop.Header.Get("Cache-Control") != "no-store") && hop.URL.Host == "app.test" {
					t.Errorf("P138: %s: %v", hop.URL.Path, hop.Header)
				}
			}
			if strings.Contains(w.log.String(), asked.Get("id_token_hint")) {
				t.Error("P138: the hint is in the log")
			}
			if page := b.Open(t, app+"/x"); len(page.Forms()) == 0 {
				t.Error("the provider still knows alice")
			}
		})
	}
}

func TestP130WhoMaySignOut(t *testing.T) {
	w := newWorld(t)
	for name, c := range map[string]struct {
		method string
		header []string
		status int
		ends   bool
	}{
		"GET typed by the person":            {"GET", navigation("none"), 303, true},
		"GET link of our own":                {"GET", navigation("same-origin"), 303, true},
		"GET link of a neighbouring host":    {"GET", navigation("same-site"), 303, true},
		"GET link of another site":           {"GET", navigation("cross-site"), 200, false},
		"GET navigation that says nothing":   {"GET", []string{"Accept", "text/html"}, 200, false},
		"GET image of another site":          {"GET", []string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "no-cors", "Sec-Fetch-Dest", "image"}, 403, false},
		"GET image without Sec-Fetch":        {"GET", []string{"Accept", "image/*"}, 403, false},
		"GET image of our own":               {"GET", []string{"Sec-Fetch-Site", "same-origin", "Sec-Fetch-Mode", "no-cors", "Sec-Fetch-Dest", "image"}, 403, false},
		"GET frame of our own":               {"GET", []string{"Sec-Fetch-Site", "same-origin", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "iframe"}, 403, false},
		"GET prefetch, older Firefox":        {"GET", append(navigation("same-origin"), "X-Moz", "prefetch"), 403, false},
		"GET frame of another site":          {"GET", []string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "iframe"}, 403, false},
		"GET prefetch of our own link":       {"GET", append(navigation("same-origin"), "Sec-Purpose", "prefetch;prerender"), 403, false},
		"POST of our own":                    {"POST", navigation("same-origin"), 303, true},
		"POST of another site":               {"POST", navigation("cross-site"), 403, false},
		"POST by Origin":                     {"POST", []string{"Origin", app, "Accept", "text/html"}, 303, true},
		"POST by another Origin":             {"POST", []string{"Origin", "https://evil.test", "Accept", "text/html"}, 403, false},
		"POST by Origin null":                {"POST", []string{"Origin", "null", "Accept", "text/html"}, 403, false},
		"POST by http Origin":                {"POST", []string{"Origin", "http://app.test", "Accept", "text/html"}, 403, false},
		"P184 POST that says nothing":        {"POST", []string{"Content-Type", "text/plain", "Accept", "text/html"}, 403, false},
		"script of our own":                  {"POST", []string{"Sec-Fetch-Site", "same-origin", "Sec-Fetch-Mode", "cors", "Sec-Fetch-Dest", "empty"}, 204, true},
		"program":                            {"POST", []string{"X-Requested-With", "curl"}, 204, true},
		"two Origins":                        {"POST", []string{"Origin", app, "Origin", "https://evil.test"}, 403, false},
		"Sec-Fetch-Site is stronger":         {"POST", append(navigation("cross-site"), "Origin", app, "X-Requested-With", "x"), 403, false},
		"an unknown Sec-Fetch-Site is none":  {"POST", navigation("whatever"), 403, false},
		"PUT":                                {"PUT", navigation("same-origin"), 405, false},
		"HEAD":                               {"HEAD", navigation("same-origin"), 405, false},
		"OPTIONS":                            {"OPTIONS", navigation("same-origin"), 405, false},
		"P183 CORS is not answered with yes": {"POST", []string{"Origin", "https://app.test.evil", "Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "cors"}, 403, false},
	} {
		t.Run(name, func(t *testing.T) {
			b := w.signedIn(t, app+"/x")
			res := w.call(t, c.method, signOut, append([]string{"Cookie", sessionID + "=" + b.Jar.Get(app, sessionID)}, c.header...)...)
			if res.StatusCode != c.status {
				t.Errorf("%d, want %d", res.StatusCode, c.status)
			}
			if page := b.Fetch(t, "", http.MethodGet, app+"/x", nil); (page.Status == http.StatusUnauthorized) != c.ends {
				t.Errorf("the session afterwards: %d", page.Status)
			}
			for name := range res.Header {
				if strings.HasPrefix(name, "Access-Control-") {
					t.Errorf("P183: %s", name)
				}
			}
		})
	}
	t.Run("the page asks, and its form signs out", func(t *testing.T) {
		b := w.signedIn(t, app+"/x")
		cookie := b.Jar.Get(app, sessionID)
		page := b.Visit(t, "https://evil.test/", signOut+"?rd="+url.QueryEscape(`"><script>alert(1)</script>`))
		expect(t, page, http.StatusOK)
		if strings.Contains(page.Body, "<script>alert") {
			t.Error("P187: rd is reflected")
		}
		expect(t, page.Submit(t, map[string]string{"rd": "/oauth2/sign_out"}), http.StatusOK)
		w.gone(t, b, cookie)
	})
}

func navigation(site string) []string {
	return []string{"Sec-Fetch-Site", site, "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document", "Sec-Fetch-User", "?1", "Accept", "text/html"}
}

func TestSignOutWithoutASession(t *testing.T) {
	w := newWorld(t)
	b := w.net.Browser()
	expect(t, b.Post(t, "", signOut, nil), http.StatusOK, "signed out")
	b.StopAt = func(next *url.URL) bool { return next.Path == "/bye" }
	expect(t, b.Post(t, "", signOut+"?rd=/bye", nil), http.StatusSeeOther)
	if n := w.idp.Count(idp.EndSession); n != 0 {
		t.Errorf("%d requests to the provider", n)
	}
	t.Run("rd naming the provider's endpoint still logs out there", func(t *testing.T) {
		b := w.signedIn(t, app+"/x")
		b.Jar.Clear(sessionID)
		b.Post(t, "", signOut, url.Values{"rd": {corp + "/protocol/openid-connect/logout"}})
		if n := w.idp.Count(idp.EndSession); n != 1 {
			t.Errorf("%d requests to the provider", n)
		}
	})
	t.Run("an rd that only looks like it does not", func(t *testing.T) {
		w.idp.ResetRequests()
		for _, rd := range []string{"http://127.0.0.1:9001.evil.test/protocol/openid-connect/logout", "http://x@127.0.0.1:9001/protocol/openid-connect/logout", "https://127.0.0.1:9001/protocol/openid-connect/logout", corp + "/other"} {
			expect(t, b.Post(t, "", signOut, url.Values{"rd": {rd}}), http.StatusOK, "signed out")
		}
		if n := w.idp.Count(idp.EndSession); n != 0 {
			t.Errorf("%d requests to the provider", n)
		}
	})
}

func TestLO4AProviderWithoutEndSession(t *testing.T) {
	w := newWorld(t)
	w.idp.Misbehave(idp.Member("end_session_endpoint", nil).On(idp.Discovery).Always())
	b := w.signedIn(t, app+"/x")
	cookie := b.Jar.Get(app, sessionID)
	expect(t, b.Post(t, "", signOut, nil), http.StatusOK, "signed out")
	w.gone(t, b, cookie)
	w.flows.Wait()
	if w.idp.Count(idp.Revoke) != 1 {
		t.Error("the refresh token was not revoked")
	}
}

func TestSignOutDoesNotWaitForTheProvider(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		b := w.signedIn(t, app+"/x")
		cookie := b.Jar.Get(app, sessionID)
		w.idp.Misbehave(idp.Hanging().On(idp.Revoke).Always())
		b.StopAt = func(next *url.URL) bool { return next.Hostname() == "127.0.0.1" }
		before := time.Now()
		expect(t, b.Post(t, "", signOut, nil), http.StatusSeeOther)
		if waited := time.Since(before); waited > time.Second {
			t.Errorf("it took %s", waited)
		}
		w.gone(t, b, cookie)
		w.flows.Wait()
		if waited := time.Since(before); waited > revocationWait+time.Second {
			t.Errorf("the revocation went on for %s", waited)
		}
	})
}

func TestLO3TheSignedOutPageNeedsNothing(t *testing.T) {
	w := newWorld(t)
	b := w.net.Browser()
	for name, query := range map[string]string{
		"no state": "", "foreign state": "?state=" + foreignState(t), "nonsense": "?state=%00<script>", "twice": "?state=a&state=b", "huge": "?state=" + strings.Repeat("A", 20000),
	} {
		t.Run(name, func(t *testing.T) {
			page := b.Open(t, app+"/oauth2/logout/callback"+query)
			expect(t, page, http.StatusOK, "signed out")
			if len(page.Hops) != 1 {
				t.Errorf("it leads on:\n%s", page.Trail())
			}
		})
	}
	t.Run("P069 its target is judged when it is used", func(t *testing.T) {
		evil := w.flows.sealParameter(purposeLogout, logoutState{time.Now().Unix(), "https://evil.test/"}, []byte(app))
		expect(t, b.Open(t, app+"/oauth2/logout/callback?state="+evil), http.StatusOK, "signed out")
	})
	t.Run("it leads to a new login", func(t *testing.T) {
		page := w.net.Browser().Open(t, app+"/oauth2/logout/callback").Click(t, "/oauth2/start?rd=%2F")
		expect(t, page.SignIn(t, "alice", "alice"), http.StatusOK, "alice sees app.test/")
	})
}

// Browsers send no Sec-Fetch headers to a plain http host. All that is left is Origin, and a page that hides
// it from its own form would make signing out impossible.
func TestSignOutOnAPlainHTTPHost(t *testing.T) {
	const intra = "http://intra.test"
	w := newWorld(t, func(p *plan) { p.hosts = []string{intra} })
	b := w.signedIn(t, intra+"/x")
	page := b.Visit(t, intra+"/x", intra+"/oauth2/sign_out")
	expect(t, page, http.StatusOK, "Sign out?")
	expect(t, page.Submit(t, nil), http.StatusOK, "signed out")
	if b.Jar.Get(intra, "doorward") != "" {
		t.Error("the session is still there")
	}
}

func TestALogoutsReturnTargetWaitsAnHour(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		b := w.net.Browser()
		b.StopAt = func(next *url.URL) bool { return next.Path == "/bye" }
		state := w.flows.sealParameter(purposeLogout, logoutState{time.Now().Unix(), "/bye"}, []byte(app))
		time.Sleep(59 * time.Minute)
		expect(t, b.Open(t, app+"/oauth2/logout/callback?state="+state), http.StatusSeeOther)
		time.Sleep(2 * time.Minute)
		expect(t, b.Open(t, app+"/oauth2/logout/callback?state="+state), http.StatusOK, "signed out")
		elsewhere := w.flows.sealParameter(purposeLogout, logoutState{time.Now().Unix(), "/bye"}, []byte(wiki))
		expect(t, b.Open(t, app+"/oauth2/logout/callback?state="+elsewhere), http.StatusOK, "signed out")
	})
}

func TestALongReturnTargetDoesNotGoToTheProvider(t *testing.T) {
	w := newWorld(t)
	b := w.signedIn(t, app+"/x")
	page := b.Post(t, "", signOut, url.Values{"rd": {"/bye?q=" + strings.Repeat("y", 3000)}})
	expect(t, page, http.StatusOK, "signed out")
	if asked := w.idp.Last(idp.EndSession); len(asked.URL.String()) > 2500 || asked.Query.Get("id_token_hint") == "" {
		t.Errorf("asked with %d bytes", len(asked.URL.String()))
	}
}
