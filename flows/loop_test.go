package flows

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/doorward/doorward/demo/idp"
	"github.com/doorward/doorward/internal/testnet"
)

// forgetful returns a browser in which the provider knows alice and session cookies never come back.
func forgetful(t *testing.T, w *world) *testnet.Browser {
	t.Helper()
	b := w.signedIn(t, app+"/x")
	b.Jar.Clear(sessionID)
	b.Jar.Clear(w.flows.loopCookie(mustOrigin(t, app)))
	b.StopAt = func(*url.URL) bool {
		b.Jar.Clear(sessionID) // called at every redirect
		return false
	}
	w.idp.ResetRequests()
	return b
}

func TestR5ALoopEndsOnAPageWithWhatWasMeasured(t *testing.T) {
	w := newWorld(t)
	b := forgetful(t, w)
	page := b.Open(t, app+"/x?y")
	expect(t, page, http.StatusLoopDetected, codeLoop,
		"app.test", app, "https", "__Host-doorward; Path=/; HttpOnly; Secure; SameSite=Lax", "Cookie came back", "no", "Sec-Fetch-Site", "4 within")
	if n := w.idp.Count(idp.Token); n != loopLimit-1 {
		t.Errorf("%d codes were redeemed", n)
	}
	if n := attempts(b, app); len(n) != 0 {
		t.Errorf("left behind: %v", n)
	}
	var lines []map[string]any
	for line := range strings.Lines(w.log.String()) {
		var entry map[string]any
		if json.Unmarshal([]byte(line), &entry) == nil && entry["msg"] == "login loop" {
			lines = append(lines, entry)
		}
	}
	if len(lines) != 1 {
		t.Fatalf("%d log lines", len(lines))
	}
	for _, key := range []string{"request_host", "outside_origin", "scheme", "session_cookie", "cookie_came_back", "sec-fetch-site", "sign-ins", "times"} {
		if text, _ := lines[0][key].(string); text == "" {
			t.Errorf("the log line says nothing about %s: %v", key, lines[0])
		}
	}
	t.Run("trying again is a new chain", func(t *testing.T) {
		b.StopAt = nil
		expect(t, b.Open(t, app+"/x?y"), http.StatusOK, "alice sees app.test/x?y")
	})
}

// A session that comes back and is not accepted is a loop as well: an access token that has ended
// by our clock when it arrives, and that nothing can refresh.
func TestR5ALoopWithASessionEnds(t *testing.T) {
	w := newWorld(t, func(p *plan) {
		p.uses = true
		p.idp = func(c *idp.Config) { c.Clients[0].NoRefresh = true }
	})
	w.idp.Misbehave(idp.Member("expires_in", 0.000001).Always())
	b := w.net.Browser()
	page := b.Open(t, app+"/x").SignIn(t, "alice", "alice")
	expect(t, page, http.StatusLoopDetected, codeLoop, "yes, with a session that the page did not accept", "and cannot be refreshed", "must be listed in listen.trusted_proxies")
	if n := w.idp.Count(idp.Token); n != loopLimit-1 {
		t.Errorf("%d codes were redeemed", n)
	}
	t.Run("also through a page that begins the login by script", func(t *testing.T) {
		b := w.net.Browser()
		b.StopAt = func(next *url.URL) bool { return next.Path == "/" }
		page := b.Open(t, app+"/oauth2/start").SignIn(t, "alice", "alice")
		for range loopLimit - 1 {
			b.Header.Set("Sec-Fetch-User", "") // nobody has clicked
			page = b.Visit(t, app+"/", app+"/oauth2/start?rd=%2F")
		}
		expect(t, page, http.StatusLoopDetected, codeLoop)
	})
}

func TestALoopIsAChainAndNotANumber(t *testing.T) {
	t.Run("ten tabs are no loop", func(t *testing.T) {
		w := newWorld(t)
		b := w.net.Browser()
		for i, tab := range tabs(t, b, 10) {
			if page := tab.SignIn(t, "alice", "alice"); page.Status != http.StatusOK {
				t.Fatalf("tab %d: %d", i, page.Status)
			}
		}
	})
	t.Run("signing out and in again is no loop", func(t *testing.T) {
		w := newWorld(t)
		b := w.signedIn(t, app+"/x")
		for range 6 {
			b.Post(t, "", app+"/oauth2/sign_out", nil)
			page := b.Open(t, app+"/x")
			if len(page.Forms()) > 0 {
				page = page.SignIn(t, "alice", "alice")
			}
			expect(t, page, http.StatusOK, "alice sees")
		}
	})
	t.Run("routes that want different logins are no loop", func(t *testing.T) {
		w := newWorld(t, func(p *plan) {
			p.flows = func(c *Config) {
				c.Logins = append(c.Logins, Login{Name: "guests", Flow: "authorization_code", Provider: "corp"})
			}
		})
		b := w.signedInBy(t, "staff")
		b.Header.Set("Sec-Fetch-User", "")
		for i := range 8 {
			login := []string{"guests", "staff"}[i%2]
			expect(t, b.Open(t, app+"/oauth2/start?login="+login+"&rd=%2Fy"), http.StatusOK, "alice sees app.test/y")
		}
	})
	t.Run("switching accounts is no loop", func(t *testing.T) {
		w := newWorld(t)
		b := w.signedIn(t, app+"/x")
		for range 6 {
			expect(t, b.Open(t, app+"/oauth2/start?rd=%2Fy"), http.StatusOK, "alice sees app.test/y")
		}
	})
}

func TestASlowLoopIsNone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		b := w.signedIn(t, app+"/x")
		for range 6 {
			time.Sleep(25 * time.Second)
			b.Jar.Clear(sessionID)
			expect(t, b.Open(t, app+"/x"), http.StatusOK, "alice sees")
		}
	})
}

func TestTheChainCannotBeForged(t *testing.T) {
	f := sealing(t, 7)
	here := mustOrigin(t, app)
	for name, value := range map[string]string{
		"nonsense": "x", "another's": sealing(t, 9).sealParameter(purposeLoop, chain{[]int64{time.Now().Unix()}}, bound(here, f.loopCookie(here))),
		"another purpose": f.sealParameter(purposeAttempt, chain{[]int64{time.Now().Unix()}}, bound(here, f.loopCookie(here))),
	} {
		t.Run(name, func(t *testing.T) {
			r := must(http.NewRequest(http.MethodGet, app, http.NoBody))(t)
			r.AddCookie(&http.Cookie{Name: f.loopCookie(here), Value: value})
			a := newAttempt(t, "/")
			if err := f.readChain(r, a, beginning{}); err != nil || len(a.chain) != 0 {
				t.Errorf("%v %v", a.chain, err)
			}
		})
	}
}
