package flows

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/doorward/doorward/demo/idp"
	"github.com/doorward/doorward/sessions/store"
)

func TestDEV8ADeviceLoginSignsInTheBrowserThatBeganIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, withDevice())
		b := w.net.Browser()
		now := startLogin(t, b, byCode())
		device := w.idp.PendingDevices()[0]
		want := begun{
			Status: "pending", Login: "tv", UserCode: device.UserCode, URI: now.URI, CompleteURI: now.CompleteURI,
			ExpiresIn: 600, Interval: 5, Poll: "/oauth2/device/poll",
		}
		if now != want || !strings.HasPrefix(now.URI, corp) || !strings.Contains(now.CompleteURI, device.UserCode) {
			t.Errorf("begun: %+v", now)
		}
		time.Sleep(5 * time.Second)
		if now = readAnswer(t, pollOnce(t, b, now.Poll)); now.Status != "pending" || now.ExpiresIn != 595 || now.UserCode != device.UserCode {
			t.Errorf("pending: %+v", now)
		}
		if err := w.idp.ApproveDevice(device.UserCode, "alice"); err != nil {
			t.Fatal(err)
		}
		arrived(t, b, pollOut(t, b, now))
		if n := len(w.asked(idp.GrantDevice)); n != 2 {
			t.Errorf("%d token requests", n)
		}
		session := w.idp.Last(idp.Token)
		w.quiet(t, now.UserCode, session.Form.Get("device_code"))
	})
}

func TestADeviceLoginWorksWithoutScript(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, withDevice())
		b := w.net.Browser()
		b.Header.Set("X-Test-Client", "203.0.113.9")
		page := b.Open(t, app+"/x?y=1")
		if w.idp.Count(idp.Device) > 0 && len(page.Hops) < 3 {
			t.Fatalf("a GET has begun a login\n%s", page.Trail())
		}
		if page.URL.Query().Get("attempt") == "" { // the page did not post its form by itself
			page = page.Submit(t, nil)
		}
		device := w.idp.PendingDevices()
		if len(device) != 1 {
			t.Fatalf("%d codes\n%s%s", len(device), page.Trail(), page.Text())
		}
		expect(t, page, http.StatusOK, "203.0.113.9", "app.test", corp+"/")
		if !strings.Contains(strings.Join(strings.Fields(page.Text()), ""), strings.ReplaceAll(device[0].UserCode, " ", "")) {
			t.Errorf("the code %s is not shown: %s", device[0].UserCode, page.Text())
		}
		again := page.URL.String()
		time.Sleep(6 * time.Second)
		expect(t, b.Open(t, again), http.StatusOK, "app.test")
		if err := w.idp.ApproveDevice(device[0].UserCode, "alice"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(6 * time.Second)
		page = b.Open(t, again)
		expect(t, page, http.StatusOK, "alice sees app.test/x?y=1")
		expect(t, b.Open(t, again), http.StatusOK, "alice sees app.test/") // the back button
		b.Jar.Clear(sessionID)
		page = b.Open(t, again) // and where nobody is signed in any more
		expect(t, page, http.StatusOK, "was finished already")
		if len(page.Forms()) == 0 {
			t.Error("no button to begin again")
		}
	})
}

func TestP157TheProviderIsAskedOnceAnIntervalHoweverOftenABrowserAsks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, withDevice())
		b := w.net.Browser()
		now := startLogin(t, b, byCode())
		w.idp.Misbehave(idp.Catalogue()["device_slow_down"])
		early := 0
		for range 600 { // ten a second for a minute
			time.Sleep(100 * time.Millisecond)
			switch page := pollOnce(t, b, now.Poll); page.Status {
			case http.StatusOK:
			case http.StatusTooManyRequests:
				if early++; page.Header.Get("Retry-After") == "" {
					t.Error("no Retry-After")
				}
			default:
				t.Fatalf("%d %s", page.Status, page.Body)
			}
		}
		times := w.asked(idp.GrantDevice)
		if len(times) != 6 { // at 5 (slow_down), 15, 25, 35, 45, 55 s
			t.Errorf("%d token requests in a minute", len(times))
		}
		for i := 1; i < len(times); i++ {
			if gap := times[i].Sub(times[i-1]); gap < 10*time.Second {
				t.Errorf("request %d came after %v", i, gap)
			}
		}
		if early < 400 {
			t.Errorf("only %d of 600 were told to wait", early)
		}
		for _, r := range w.idp.Requests(idp.Token)[1:] {
			if r.Error != "authorization_pending" {
				t.Errorf("the provider said %s", r.Error)
			}
		}
	})
}

func TestAnyReplicaAnswersAndOneAsks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, withDevice())
		w.replica(t)
		b := on(w.net.Browser(), 0)
		now := startLogin(t, b, byCode())
		w.idp.Misbehave(idp.Catalogue()["device_slow_down"].For("grant_type", idp.GrantDevice))
		name := attempts(b, app)[0]
		cookie := name + "=" + b.Jar.Get(app, name)
		for _, g := range w.replicas {
			g.flows.deps.Shared = slowReads{w.shared} // so that all have read before the first writes
		}
		for _, second := range []int{5, 16, 27} { // 50 browsers' tabs at once, at both replicas
			time.Sleep(time.Until(w.idp.Requests(idp.Device)[0].Time.Add(time.Duration(second)*time.Second + time.Second/10)))
			results := make(chan int)
			for i := range 50 {
				go func() {
					res := w.call(t, http.MethodGet, app+now.Poll, "Cookie", cookie, "X-Test-Replica", []string{"0", "1"}[i%2], "Sec-Fetch-Site", "same-origin", "Sec-Fetch-Mode", "cors")
					results <- res.StatusCode
				}()
			}
			for range 50 {
				if status := <-results; status != http.StatusOK && status != http.StatusTooManyRequests {
					t.Errorf("status %d", status)
				}
			}
		}
		times := w.asked(idp.GrantDevice)
		if len(times) != 3 || times[1].Sub(times[0]) < 10*time.Second || times[2].Sub(times[1]) < 10*time.Second {
			t.Errorf("token requests at %v", times)
		}
		if err := w.idp.ApproveDevice(now.UserCode, "alice"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(11 * time.Second)
		arrived(t, on(b, 1), readAnswer(t, pollOnce(t, on(b, 1), now.Poll)))
	})
}

// slowReads is a store in which time passes between a look and what follows from it.
type slowReads struct{ store.Store }

func (s slowReads) Get(ctx context.Context, keys ...string) ([]store.Item, error) {
	items, err := s.Store.Get(ctx, keys...)
	time.Sleep(10 * time.Millisecond)
	return items, err
}

func TestDEV4NothingIsSentAfterAFinalAnswer(t *testing.T) {
	for name, c := range map[string]struct {
		sin          string
		status, code string
		words        string
	}{
		"denied":                  {"device_denied", waitDenied, "", "refused"},
		"denied with 403":         {"device_denied_403", waitDenied, "", "refused"},
		"declined, as Entra says": {"device_declined", waitDenied, "", "refused"},
		"expired":                 {"device_expired_token", waitExpired, "", "expired"},
		"invalid_grant":           {"device_invalid_grant", waitFailed, codeProviderBad, "does not know"},
		"an error nobody knows":   {"device_unknown_error", waitFailed, codeProviderBad, "ended this sign-in"},
		"an error beside tokens":  {"device_error_and_tokens", waitDenied, "", "refused"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, withDevice())
				b := w.net.Browser()
				now := startLogin(t, b, byCode())
				if err := w.idp.ApproveDevice(now.UserCode, "alice"); err != nil {
					t.Fatal(err)
				}
				w.idp.Misbehave(idp.Catalogue()[c.sin])
				path := now.Poll
				now = pollOut(t, b, now)
				if now.Status != c.status || now.Code != c.code {
					t.Errorf("%+v", now)
				}
				for range 5 {
					time.Sleep(20 * time.Second)
					if again := readAnswer(t, pollOnce(t, b, path)); again.Status != c.status {
						t.Errorf("later: %+v", again)
					}
				}
				if n := len(w.asked(idp.GrantDevice)); n != 1 || b.Jar.Get(app, sessionID) != "" {
					t.Errorf("%d token requests", n)
				}
				id := strings.TrimPrefix(attempts(b, app)[0], "__Host-doorward-login.")
				page := b.Open(t, app+"/oauth2/device?login=tv&attempt="+id)
				expect(t, page, http.StatusOK, c.words)
				page = page.Submit(t, nil) // one click begins anew
				expect(t, page, http.StatusOK, "app.test")
				if w.idp.Count(idp.Device) != 2 || len(attempts(b, app)) != 1 {
					t.Errorf("%d requests for codes, %v", w.idp.Count(idp.Device), attempts(b, app))
				}
			})
		})
	}
}

func TestACodeThatRunsOutIsNotAskedAbout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, withDevice(), anyProvider(func(c *idp.Config) { c.DeviceCodeLifetime = 12 * time.Second }))
		b := w.net.Browser()
		now := startLogin(t, b, byCode())
		path := now.Poll
		if now.ExpiresIn != 12 {
			t.Errorf("%+v", now)
		}
		if now = pollOut(t, b, now); now.Status != waitExpired {
			t.Errorf("%+v", now)
		}
		if n := len(w.asked(idp.GrantDevice)); n != 2 {
			t.Errorf("%d token requests", n)
		}
		time.Sleep(time.Hour) // only the cookie's jar is left
		if page := pollOnce(t, b, path); page.Status != http.StatusNotFound {
			t.Errorf("an hour later: %d", page.Status)
		}
	})
}

func TestAProviderThatIsGoneForAMinuteLosesNothing(t *testing.T) {
	for _, sin := range []string{"unavailable", "drop", "device_poll_html"} {
		t.Run(sin, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, withDevice())
				b := w.net.Browser()
				now := startLogin(t, b, byCode())
				if err := w.idp.ApproveDevice(now.UserCode, "alice"); err != nil {
					t.Fatal(err)
				}
				w.idp.Misbehave(idp.Catalogue()[sin].For("grant_type", idp.GrantDevice).Always())
				troubled := false
				for begin := time.Now(); time.Since(begin) < time.Minute; {
					time.Sleep(time.Duration(now.Interval) * time.Second)
					page := pollOnce(t, b, now.Poll)
					if page.Status != http.StatusOK {
						t.Fatalf("%d %s", page.Status, page.Body)
					}
					now = readAnswer(t, page)
					troubled = troubled || now.Trouble
					if now.Status != waitPending {
						t.Fatalf("%+v", now)
					}
				}
				if n := len(w.asked(idp.GrantDevice)); !troubled || n < 2 || n > 5 {
					t.Errorf("trouble %v, %d token requests in a minute", troubled, n)
				}
				id := strings.TrimPrefix(attempts(b, app)[0], "__Host-doorward-login.")
				expect(t, b.Open(t, app+"/oauth2/device?attempt="+id), http.StatusOK, "does not answer")
				w.idp.Heal()
				arrived(t, b, pollOut(t, b, now))
			})
		})
	}
}

func TestABrowserThatReloadsInTheMiddleOfTheTokenRequestLosesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, withDevice())
		b := w.net.Browser()
		now := startLogin(t, b, byCode())
		if err := w.idp.ApproveDevice(now.UserCode, "alice"); err != nil {
			t.Fatal(err)
		}
		w.idp.Misbehave(idp.Sin{Hang: true})
		name := attempts(b, app)[0]
		time.Sleep(5 * time.Second)
		r := must(http.NewRequestWithContext(t.Context(), http.MethodGet, app+now.Poll, http.NoBody))(t)
		r.Header.Set("Cookie", name+"="+b.Jar.Get(app, name))
		client := w.net.Client()
		client.Timeout = 2 * time.Second
		if _, err := client.Do(r); err == nil {
			t.Fatal("the first poll was answered")
		}
		if again := readAnswer(t, pollOnce(t, b, now.Poll)); again.Status != waitPending {
			t.Errorf("while the request is under way: %+v", again)
		}
		synctest.Wait() // the server has noticed that the browser has gone
		w.idp.Release()
		synctest.Wait()
		arrived(t, b, readAnswer(t, pollOnce(t, b, now.Poll)))
		if n := len(w.asked(idp.GrantDevice)); n != 1 {
			t.Errorf("%d token requests", n)
		}
	})
}

func TestAReplicaThatDiesInTheMiddleOfATokenRequestStopsNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, withDevice())
		b := w.net.Browser()
		now := startLogin(t, b, byCode())
		if err := w.idp.ApproveDevice(now.UserCode, "alice"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Second)
		id := must(f64(strings.TrimPrefix(attempts(b, app)[0], "__Host-doorward-login.")))(t)
		wait := must(w.flows.loadWaiting(t.Context(), id))(t)
		wait.Pace = wait.Pace.asking(time.Now(), wait.callTime())
		if done, err := w.flows.swap(t.Context(), wait); !done || err != nil {
			t.Fatal(done, err)
		}
		arrived(t, b, pollOut(t, b, now))
	})
}

func TestKeysThatCannotBeHadLoseNoTokens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, withDevice())
		b := w.net.Browser()
		now := startLogin(t, b, byCode())
		if err := w.idp.ApproveDevice(now.UserCode, "alice"); err != nil {
			t.Fatal(err)
		}
		w.idp.Misbehave(idp.Catalogue()["unavailable"].On(idp.JWKS).Always())
		time.Sleep(5 * time.Second)
		if now = readAnswer(t, pollOnce(t, b, now.Poll)); now.Status != waitPending || !now.Trouble {
			t.Errorf("%+v", now)
		}
		w.idp.Heal()
		time.Sleep(30 * time.Second)
		arrived(t, b, pollOut(t, b, now))
		if n := len(w.asked(idp.GrantDevice)); n != 1 {
			t.Errorf("%d token requests", n)
		}
	})
}

func TestOfSeveralDeviceLoginsTheAttemptSaysWhich(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, withDevice(), func(p *plan) {
			before := p.flows
			p.flows = func(c *Config) {
				before(c)
				c.Logins = append(c.Logins, Login{Name: "radio", Flow: "device", Provider: "corp", Label: "The radio"})
			}
			p.logins = []string{"tv", "radio"}
		})
		b := w.net.Browser()
		expect(t, b.Fetch(t, "", http.MethodPost, app+"/oauth2/device", url.Values{}), http.StatusBadRequest)
		page := b.Post(t, "", app+"/oauth2/device", url.Values{"login": {"radio"}, "rd": {"/x"}})
		expect(t, page, http.StatusOK, w.idp.PendingDevices()[0].UserCode[:4])
		if page = b.Open(t, page.URL.String()); !strings.Contains(page.Body, "The radio") {
			t.Errorf("the page is of another login: %s", page.Text())
		}
		expect(t, b.Open(t, app+"/oauth2/device?attempt=AAAAAAAAAAAAAAAAAAAAAA"), http.StatusOK, "The radio", "Another device") // choose
	})
}

func TestSeveralWaitingLoginsAreToldApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, withDevice())
		b := w.net.Browser()
		first, second := startLogin(t, b, byCode()), startLogin(t, b, byCode())
		if first.Poll != "/oauth2/device/poll" || !strings.HasPrefix(second.Poll, "/oauth2/device/poll?attempt=") {
			t.Errorf("%q %q", first.Poll, second.Poll)
		}
		time.Sleep(6 * time.Second)
		expect(t, pollOnce(t, b, first.Poll), http.StatusBadRequest)
		if now := readAnswer(t, pollOnce(t, b, second.Poll)); now.UserCode != second.UserCode || now.Poll != second.Poll {
			t.Errorf("%+v", now)
		}
		if err := w.idp.DenyDevice(second.UserCode); err != nil {
			t.Fatal(err)
		}
		if now := pollOut(t, b, second); now.Status != waitDenied {
			t.Errorf("%+v", now)
		}
		if now := readAnswer(t, pollOnce(t, b, first.Poll)); now.UserCode != first.UserCode || now.Poll != first.Poll {
			t.Errorf("one is left, and needs no name: %+v", now)
		}
	})
}

func TestTheBeginningAndTheEndOfAWaitingLoginAreLogged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, withDevice())
		b := w.net.Browser()
		now := startLogin(t, b, byCode())
		if err := w.idp.DenyDevice(now.UserCode); err != nil {
			t.Fatal(err)
		}
		pollOut(t, b, now)
		pollOnce(t, b, now.Poll)
		var lines []string
		for line := range strings.Lines(w.log.String()) {
			if strings.Contains(line, "waiting for an answer on another device") || strings.Contains(line, "waiting ended") {
				lines = append(lines, line)
			}
		}
		if len(lines) != 2 || !strings.Contains(lines[1], `"status":"denied"`) || slices.ContainsFunc(lines, func(l string) bool { return strings.Contains(l, now.UserCode) }) {
			t.Errorf("%q", lines)
		}
	})
}
