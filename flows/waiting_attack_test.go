package flows

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/doorward/doorward/demo/idp"
	"github.com/doorward/doorward/flows/provider"
	"github.com/doorward/doorward/internal/identity"
	"github.com/doorward/doorward/internal/pages"
	"github.com/doorward/doorward/internal/testnet"
	"github.com/doorward/doorward/sessions/store"
)

// waitingID returns the id of the only waiting login of a browser, as addresses name it.
func waitingID(t testing.TB, b *testnet.Browser) string {
	t.Helper()
	names := attempts(b, app)
	if len(names) != 1 {
		t.Fatalf("attempts: %v", names)
	}
	return strings.TrimPrefix(names[0], "__Host-doorward-login.")
}

// Browsers send Lax cookies along with whatever neighbouring hosts embed, and with every navigation.
func TestS17NoOtherSitesPageCollectsAWaitingLogin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, withDevice())
		b := w.net.Browser()
		now := startLogin(t, b, byCode())
		name := attempts(b, app)[0]
		page := app + "/oauth2/device?attempt=" + waitingID(t, b)
		if err := w.idp.ApproveDevice(now.UserCode, "alice"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(6 * time.Second)
		for what, h := range map[string][]string{
			"an image of a neighbour":        {"Sec-Fetch-Site", "same-site", "Sec-Fetch-Mode", "no-cors", "Sec-Fetch-Dest", "image"},
			"a script of a neighbour":        {"Sec-Fetch-Site", "same-site", "Sec-Fetch-Mode", "cors", "Sec-Fetch-Dest", "empty", "Origin", wiki},
			"a link of a neighbour":          {"Sec-Fetch-Site", "same-site", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document"},
			"a link of another site":         {"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document"},
			"a frame of another site":        {"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "iframe"},
			"an image on a page of ours":     {"Sec-Fetch-Site", "same-origin", "Sec-Fetch-Mode", "no-cors", "Sec-Fetch-Dest", "image"},
			"a frame on a page of ours":      {"Sec-Fetch-Site", "same-origin", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "iframe"},
			"a prefetch of ours":             {"Sec-Fetch-Site", "same-origin", "Sec-Fetch-Mode", "no-cors", "Sec-Fetch-Dest", "empty", "Sec-Purpose", "prefetch"},
			"an old browser, another origin": {"Origin", "https://evil.example"},
			"nonsense":                       {"Sec-Fetch-Site", "nonsense"},
		} {
			header := append([]string{"Cookie", name + "=" + b.Jar.Get(app, name)}, h...)
			res := w.call(t, http.MethodGet, app+now.Poll, header...)
			if res.StatusCode != http.StatusForbidden || len(res.Cookies()) != 0 {
				t.Errorf("%s: %d %v", what, res.StatusCode, res.Cookies())
			}
			if strings.Contains(what, "link") {
				continue // a navigation to the page is the person's: they see where they are
			}
			if res := w.call(t, http.MethodGet, page, header...); len(res.Cookies()) != 0 || res.StatusCode != http.StatusUnauthorized {
				t.Errorf("the page for %s: %d %v", what, res.StatusCode, res.Cookies())
			}
		}
		for _, address := range []string{app + now.Poll, page} {
			if res := w.call(t, http.MethodHead, address, "Cookie", name+"="+b.Jar.Get(app, name)); res.StatusCode != http.StatusMethodNotAllowed || len(res.Cookies()) != 0 {
				t.Errorf("HEAD %s: %d", address, res.StatusCode)
			}
		}
		if n := len(w.asked(idp.GrantDevice)); n != 0 {
			t.Errorf("%d token requests", n)
		}
		arrived(t, b, pollOut(t, b, now))
	})
}

// A link of another site brings no Strict session: the session of before must end with the login all the same.
func TestP072AStrictSessionEndsWithAWaitingLogin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, withDevice(), strict, func(p *plan) { p.logins = []string{"staff", "tv"} })
		b := w.net.Browser()
		settled(t, b, b.Open(t, app+"/oauth2/start?login=staff&rd=/x").SignIn(t, "bob", "bob"))
		old := b.Jar.Get(app, sessionID)
		b.Post(t, "", app+"/oauth2/device", byCode())
		if err := w.idp.ApproveDevice(w.idp.PendingDevices()[0].UserCode, "alice"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(6 * time.Second)
		page := settled(t, b, b.Visit(t, "https://elsewhere.example/", app+"/oauth2/device?login=tv&attempt="+waitingID(t, b)))
		expect(t, page, http.StatusOK, "alice sees app.test/x?y=1")
		if res := w.call(t, http.MethodGet, app+"/z", "Cookie", sessionID+"="+old); old == "" || res.StatusCode != http.StatusUnauthorized {
			t.Errorf("the old session still gets %d", res.StatusCode)
		}
	})
}

func TestAnAttemptServesNoOtherLoginFlowOrHost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, withDevice(), func(p *plan) {
			before := p.flows
			p.flows = func(c *Config) {
				before(c)
				c.Logins = append(c.Logins, Login{Name: "radio", Flow: "device", Provider: "corp"}, Login{Name: "phone", Flow: "ciba", Provider: "corp"})
			}
			p.logins = []string{"staff", "tv", "radio", "phone"}
		})
		b := w.net.Browser()
		now := startLogin(t, b, byCode())
		id := waitingID(t, b)
		if err := w.idp.ApproveDevice(now.UserCode, "alice"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(6 * time.Second)
		name := "__Host-doorward-login." + id
		value := b.Jar.Get(app, name)
		for what, address := range map[string]string{
			"another flow": app + "/oauth2/ciba/poll?attempt=" + id, "another host": wiki + "/oauth2/device/poll?attempt=" + id,
			"another id": app + "/oauth2/device/poll?attempt=AAAAAAAAAAAAAAAAAAAAAA",
		} {
			if res := w.call(t, http.MethodGet, address, "Cookie", name+"="+value); res.StatusCode != http.StatusNotFound || len(res.Cookies()) != 0 {
				t.Errorf("%s: %d %v", what, res.StatusCode, res.Cookies())
			}
		}
		for what, cookie := range map[string]string{
			"under another id": "__Host-doorward-login.AAAAAAAAAAAAAAAAAAAAAA=" + value, "twice": name + "=" + value + "; " + name + "=" + value,
			"as a posted one": "__Host-doorward-post." + id + "=" + value, "cut": name + "=" + value[:len(value)-4], "as the session": sessionID + "=" + value,
		} {
			for _, path := range []string{"/oauth2/device/poll?attempt=" + id, "/oauth2/device/poll", "/oauth2/device/poll?attempt=AAAAAAAAAAAAAAAAAAAAAA"} {
				if res := w.call(t, http.MethodGet, app+path, "Cookie", cookie); res.StatusCode != http.StatusNotFound || len(res.Cookies()) != 0 {
					t.Errorf("%s, %s: %d %v", what, path, res.StatusCode, res.Cookies())
				}
			}
		}
		code := w.net.Browser()
		w.answered(t, code, app+"/oauth2/start?login=staff&rd=/x") // holds an attempt of the code flow
		expect(t, pollOnce(t, code, "/oauth2/device/poll?attempt="+waitingID(t, code)), http.StatusNotFound)
		expect(t, pollOnce(t, code, "/oauth2/device/poll"), http.StatusNotFound)
		if n := len(w.asked(idp.GrantDevice)); n != 0 {
			t.Errorf("%d token requests", n)
		}
		arrived(t, b, pollOut(t, b, now))
	})
}

// The device_code of one provider is nothing to tell another.
func TestP092AWaitingLoginOfAnotherProviderIsNone(t *testing.T) {
	w := newWorld(t, withDevice())
	for _, issuer := range []string{corp, other, ""} {
		wait := newWaiting(time.Now(), random(idSize), w.flows.byName["tv"], "holder", time.Minute, 5*time.Second)
		wait.Issuer = issuer // as before the configuration changed
		if err := w.flows.store(t.Context(), wait); err != nil {
			t.Fatal(err)
		}
		if _, err := w.flows.loadWaiting(t.Context(), wait.id); errors.Is(err, errNoWaiting) != (issuer != corp) {
			t.Errorf("begun at %q: %v", issuer, err)
		}
	}
}

func TestP158AProviderThatHangsHoldsABoundedNumberOfQuestions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, withDevice())
		b := w.net.Browser()
		now := startLogin(t, b, byCode())
		if err := w.idp.ApproveDevice(now.UserCode, "alice"); err != nil {
			t.Fatal(err)
		}
		w.idp.Misbehave(idp.Sin{Hang: true, Times: idp.Always})
		ids := make([][]byte, maxAsking+50)
		for i := range ids {
			ids[i] = random(idSize)
			wait := newWaiting(time.Now(), ids[i], w.flows.byName["tv"], "holder", time.Minute, time.Second)
			wait.Handle = fmt.Sprint("code-", i)
			if err := w.flows.store(t.Context(), wait); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(5 * time.Second)
		for _, id := range ids {
			go func() { _, _ = w.flows.step(t.Context(), id) }()
		}
		synctest.Wait()
		if n := len(w.asked(idp.GrantDevice)); n != maxAsking {
			t.Errorf("%d questions are under way", n)
		}
		if again := readAnswer(t, pollOnce(t, b, now.Poll)); again.Status != waitPending {
			t.Errorf("one that found no place: %+v", again)
		}
		w.idp.Heal()
		w.idp.Release()
		synctest.Wait()
		arrived(t, b, pollOut(t, b, now))
	})
}

// losing is a store whose compare-and-swaps are always won by somebody else.
type losing struct{ store.Store }

func (losing) Swap(context.Context, string, uint64, []byte, time.Duration) (bool, error) {
	return false, nil
}

func TestAChangeThatAlwaysLosesEnds(t *testing.T) {
	w := newWorld(t, withDevice())
	wait := newWaiting(time.Now(), random(idSize), w.flows.byName["tv"], "holder", time.Minute, 5*time.Second)
	if err := w.flows.store(t.Context(), wait); err != nil {
		t.Fatal(err)
	}
	w.flows.deps.Shared = losing{w.shared}
	wait = must(w.flows.loadWaiting(t.Context(), wait.id))(t)
	if got, err := w.flows.settle(t.Context(), wait, outcome{status: waitDenied}); err != nil || got.Status != waitPending {
		t.Errorf("%+v %v", got, err)
	}
	got, err := w.flows.settleTokens(t.Context(), wait, outcome{status: waitReady, tokens: &identity.Tokens{}})
	if err != nil || got.Status != waitPending {
		t.Errorf("%+v %v", got, err)
	}
}

// gone is a store that writes, and whose answer is lost if the caller has gone.
type gone struct{ store.Store }

func (s gone) Swap(ctx context.Context, key string, old uint64, value []byte, ttl time.Duration) (bool, error) {
	done, err := s.Store.Swap(context.WithoutCancel(ctx), key, old, value, ttl)
	if ctx.Err() != nil {
		return false, fmt.Errorf("test: %w: %w", store.ErrUnavailable, ctx.Err())
	}
	return done, err
}

func TestWhoGoesWhileTokensAreTakenDoesNotLoseThem(t *testing.T) {
	w := newWorld(t, withDevice())
	wait := newWaiting(time.Now(), random(idSize), w.flows.byName["tv"], "holder", time.Minute, 5*time.Second)
	wait.Status, wait.Tokens = waitReady, &sealedTokens{ID: "x"}
	if err := w.flows.store(t.Context(), wait); err != nil {
		t.Fatal(err)
	}
	wait = must(w.flows.loadWaiting(t.Context(), wait.id))(t)
	w.flows.deps.Shared = gone{w.shared}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if won, err := w.flows.takeWaiting(ctx, wait); !won || err != nil {
		t.Errorf("they are used, and nobody has them: %v %v", won, err)
	}
	wait = must(w.flows.loadWaiting(t.Context(), wait.id))(t)
	again, err := w.flows.settle(t.Context(), wait, outcome{status: waitReady, tokens: &identity.Tokens{}})
	if err != nil || again.Status != waitUsed || wait.Status != waitUsed {
		t.Errorf("what is over came back: %v %v", again.Status, err)
	}
}

// A browser that keeps no session is stopped here as at a callback (R5), and what it cannot hold is given back.
func TestR5AWaitingLoginInALoopEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, withDevice())
		b := w.net.Browser()
		for range loopLimit - 1 {
			now := startLogin(t, b, byCode())
			if err := w.idp.ApproveDevice(now.UserCode, "alice"); err != nil {
				t.Fatal(err)
			}
			if now = pollOut(t, b, now); now.Status != "approved" {
				t.Fatalf("%+v", now)
			}
			b.Jar.Clear(sessionID)
		}
		now := startLogin(t, b, byCode())
		if err := w.idp.ApproveDevice(now.UserCode, "alice"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(6 * time.Second)
		expect(t, pollOnce(t, b, now.Poll), http.StatusLoopDetected, codeLoop)
		w.flows.Wait()
		if b.Jar.Get(app, sessionID) != "" || len(attempts(b, app)) != 0 || w.idp.Count(idp.Revoke) != 1 {
			t.Errorf("attempts %v, %d tokens given back", attempts(b, app), w.idp.Count(idp.Revoke))
		}
	})
}

func TestABodyThatIsNoFormBeginsNothing(t *testing.T) {
	w := newWorld(t, func(p *plan) {
		withDevice()(p)
		before := p.flows
		p.flows = func(c *Config) {
			before(c)
			c.Logins = append(c.Logins, Login{Name: "phone", Flow: "ciba", Provider: "corp"})
		}
		p.logins = []string{"tv", "phone"}
	})
	post := func(path, media, body string) int {
		r := must(http.NewRequestWithContext(t.Context(), http.MethodPost, app+path, strings.NewReader(body)))(t)
		r.Header.Set("Accept", "application/json")
		if media != "" {
			r.Header.Set("Content-Type", media)
		}
		res := must(w.net.Client().Do(r))(t)
		_ = res.Body.Close()
		return res.StatusCode
	}
	for _, path := range []string{"/oauth2/device", "/oauth2/ciba"} {
		for media, body := range map[string]string{
			"application/json": `{"login":"tv","rd":"/x","hint":"alice"}`, "text/plain": "login=tv&hint=alice", "": "login=tv&hint=alice",
			"multipart/form-data; boundary=x": "--x\r\nContent-Disposition: form-data; name=\"hint\"\r\n\r\nalice\r\n--x--\r\n",
			formMedia:                         "login=%zz&hint=alice",
		} {
			if status := post(path, media, body); status != http.StatusBadRequest {
				t.Errorf("%s, %q: %d", path, media, status)
			}
		}
	}
	if w.idp.Count(idp.Device)+w.idp.Count(idp.CIBA) != 0 {
		t.Error("the provider was asked")
	}
	if status := post("/oauth2/device", "", ""); status != http.StatusCreated {
		t.Errorf("the only login of its kind needs no body at all: %d", status)
	}
}

func TestAProviderThatCannotBeReachedBeginsNothing(t *testing.T) {
	for path, change := range map[string]func(*plan){"/oauth2/device": withDevice(), "/oauth2/ciba": withCIBA(Login{})} {
		synctest.Test(t, func(t *testing.T) {
			form := byCode()
			if path == "/oauth2/ciba" {
				form = byHint("alice")
			}
			w := newWorld(t, change)
			up := w.providers["corp"]
			w.flows.byName[form.Get("login")].client = unreachable(t, w)
			b := w.net.Browser()
			for range 2 { // nobody's place is taken by a question that was not asked
				page := b.Post(t, "", app+path, form)
				expect(t, page, http.StatusServiceUnavailable, "/oauth2/start?")
				if page.Header.Get("Retry-After") == "" || len(attempts(b, app)) != 0 {
					t.Errorf("%v %v", page.Header, attempts(b, app))
				}
			}
			w.flows.byName[form.Get("login")].client = up
			startLogin(t, b, form)
		})
	}
}

// unreachable is the same provider where nothing listens any more at its endpoints.
func unreachable(t testing.TB, w *world) *provider.Client {
	t.Helper()
	const nowhere = "http://127.0.0.1:9999/"
	return must(provider.New(provider.Config{
		Name: "corp", Issuer: corp, ClientID: "doorward", Scopes: []string{"openid"},
		Endpoints: provider.Endpoints{
			Authorization: nowhere, Token: nowhere, DeviceAuthorization: nowhere, BackchannelAuthentication: nowhere, JWKS: nowhere,
		},
	}, provider.Deps{Dial: w.net.Dial}))(t)
}

// The shapes of CONTRACT §5, byte by byte.
func TestTheJSONOfWaitingLoginsIsThatOfTheContract(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(p *plan) {
			withDevice()(p)
			before := p.flows
			p.flows = func(c *Config) {
				before(c)
				c.Logins = append(c.Logins, Login{Name: "phone", Flow: "ciba", Provider: "corp"})
			}
			p.logins = []string{"tv", "phone"}
		})
		exact := func(what string, p *testnet.Page, status int, want string) {
			t.Helper()
			if p.Status != status || strings.TrimSpace(p.Body) != want || p.Header.Get("Content-Type") != "application/json" || p.Header.Get("Cache-Control") != "no-store" {
				t.Errorf("%s: %d %v\n%s\nwant %d\n%s", what, p.Status, p.Header, p.Body, status, want)
			}
		}
		b := w.net.Browser()
		page := b.Fetch(t, "", http.MethodPost, app+"/oauth2/device", url.Values{"login": {"tv"}, "rd": {"/home"}})
		d := w.idp.PendingDevices()[0]
		device := func(expires, interval int) string {
			return fmt.Sprintf(`{"status":"pending","login":"tv","user_code":"%s","verification_uri":"%s/device","verification_uri_complete":"%s/device?user_code=%s","expires_in":%d,"interval":%d,"poll":"/oauth2/device/poll"}`,
				d.UserCode, corp, corp, d.UserCode, expires, interval)
		}
		exact("begun", page, http.StatusCreated, device(600, 5))
		page = b.Fetch(t, "", http.MethodPost, app+"/oauth2/ciba", url.Values{"login": {"phone"}, "rd": {"/home"}, "hint": {"alice"}})
		q := w.idp.PendingCIBA("alice")[0]
		phone := func(expires, interval int) string {
			return fmt.Sprintf(`{"status":"pending","login":"phone","binding_message":"%s","expires_in":%d,"interval":%d,"poll":"/oauth2/ciba/poll"}`, q.BindingMessage, expires, interval)
		}
		exact("asked", page, http.StatusCreated, phone(120, 5))
		time.Sleep(2 * time.Second)
		for _, path := range []string{"/oauth2/device/poll", "/oauth2/ciba/poll"} {
			page = pollOnce(t, b, path)
			expect(t, page, http.StatusTooManyRequests, `"code":"too_many_requests"`)
			if page.Header.Get("Retry-After") != "3" {
				t.Errorf("%s: Retry-After %q", path, page.Header.Get("Retry-After"))
			}
			expect(t, pollOnce(t, w.net.Browser(), path), http.StatusNotFound, `"code":"attempt_unknown"`)
		}
		time.Sleep(3 * time.Second)
		exact("device pending", pollOnce(t, b, "/oauth2/device/poll"), http.StatusOK, device(595, 5))
		exact("ciba pending", pollOnce(t, b, "/oauth2/ciba/poll"), http.StatusOK, phone(115, 5))
		if err := w.idp.DenyDevice(d.UserCode); err != nil {
			t.Fatal(err)
		}
		w.approve(t)
		time.Sleep(6 * time.Second)
		exact("denied", pollOnce(t, b, "/oauth2/device/poll"), http.StatusOK, `{"status":"denied","login":"tv"}`)
		page = pollOnce(t, b, "/oauth2/ciba/poll")
		exact("approved", page, http.StatusOK, `{"status":"approved","location":"/home"}`)
		if b.Jar.Get(app, sessionID) == "" {
			t.Error("no session cookie")
		}
		startLogin(t, b, byHint("alice"))
		w.idp.Misbehave(idp.Catalogue()["ciba_transaction_failed"])
		time.Sleep(6 * time.Second)
		exact("failed", pollOnce(t, b, "/oauth2/ciba/poll"), http.StatusOK, `{"status":"failed","login":"phone","code":"`+codeProviderBad+`"}`)
		b = w.net.Browser()
		startLogin(t, b, byHint("bob"))
		time.Sleep(121 * time.Second)
		exact("expired", pollOnce(t, b, "/oauth2/ciba/poll"), http.StatusOK, `{"status":"expired","login":"phone"}`)
	})
}

// What an issue says in one sentence, each part by itself: without script the page loads itself anew at the answered
// interval, nothing is held open, and a poll that may not ask asks nothing.
func TestWithoutScriptThePageLoadsItselfAtTheAnsweredInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, withDevice())
		b := w.net.Browser()
		page := b.Post(t, "", app+"/oauth2/device", byCode())
		refresh := func(p *testnet.Page) (seconds int) {
			_, rest, _ := strings.Cut(p.Body, `<noscript><meta http-equiv="refresh" content="`)
			var to string
			if n, _ := fmt.Sscanf(rest, `%d;url=%s`, &seconds, &to); n != 2 || !strings.HasPrefix(to, "/oauth2/device?attempt=") {
				t.Fatalf("no meta refresh: %s", p.Body)
			}
			return seconds
		}
		if got := refresh(page); got != 5 {
			t.Errorf("at first: %d s", got)
		}
		w.idp.Misbehave(idp.Catalogue()["device_slow_down"])
		address := page.URL.String()
		for i, want := range []struct{ seconds, asked int }{{10, 1}, {10, 2}, {10, 3}} {
			time.Sleep(time.Duration(refresh(page)) * time.Second)
			began := time.Now()
			page = b.Open(t, address)
			if got := refresh(page); got != want.seconds || len(w.asked(idp.GrantDevice)) != want.asked || time.Since(began) > time.Second {
				t.Errorf("%d: refresh %d s, %d token requests, took %v", i, got, len(w.asked(idp.GrantDevice)), time.Since(began))
			}
			b.Open(t, address) // an impatient reload asks nobody
			if n := len(w.asked(idp.GrantDevice)); n != want.asked {
				t.Errorf("%d: a reload asked the provider", i)
			}
		}
	})
}

// P188 for waiting logins: an attempt's id stands in the address of its page.
func TestP188HeadersOfWaitingLogins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, withDevice())
		b := w.net.Browser()
		all := map[string]*testnet.Page{"to begin": b.Open(t, app+"/oauth2/device?login=tv"), "waiting": b.Post(t, "", app+"/oauth2/device", byCode())}
		all["too early"] = pollOnce(t, b, "/oauth2/device/poll")
		all["nobody's"] = pollOnce(t, w.net.Browser(), "/oauth2/device/poll")
		time.Sleep(6 * time.Second)
		all["pending"] = pollOnce(t, b, "/oauth2/device/poll")
		all["begun"] = b.Fetch(t, "", http.MethodPost, app+"/oauth2/device", byCode())
		if err := w.idp.ApproveDevice(w.idp.PendingDevices()[0].UserCode, "alice"); err != nil {
			t.Fatal(err)
		}
		for name, page := range all {
			h := page.Header
			if h.Get("Cache-Control") != "no-store" || h.Get("Referrer-Policy") != "no-referrer" && (name != "to begin" || h.Get("Referrer-Policy") != "same-origin") || h.Get("X-Content-Type-Options") != "nosniff" ||
				!strings.Contains(h.Get("Content-Security-Policy"), "default-src 'none'") || !strings.Contains(h.Get("Content-Security-Policy"), "frame-ancestors 'none'") {
				t.Errorf("%s (%d): %v", name, page.Status, h)
			}
		}
	})
}

func FuzzReadAddress(f *testing.F) {
	for _, seed := range []string{"login=tv&rd=%2Fx", "attempt=a&attempt=b", "login=%zz", "user_code=1", "login=tv;rd=x", "rd=//evil.example", "login=phone&hint=%00"} {
		f.Add(seed)
	}
	w := newWorld(f, func(p *plan) {
		withDevice()(p)
		before := p.flows
		p.flows = func(c *Config) {
			before(c)
			c.Logins = append(c.Logins, Login{Name: "phone", Flow: "ciba", Provider: "corp"})
		}
		p.logins = []string{"tv", "phone"}
	})
	here := mustOrigin(f, app)
	f.Fuzz(func(t *testing.T, query string) {
		for _, kind := range []string{kindDevice, kindCIBA} {
			b, values, err := w.flows.readAddress(&http.Request{URL: &url.URL{RawQuery: query}}, here, kind)
			if err != nil {
				continue
			}
			if b.login.waits() != kind || len(values["login"]) > 1 || len(values["attempt"]) > 1 || !strings.HasPrefix(b.back, "/") && !strings.HasPrefix(b.back, app+"/") && !strings.HasPrefix(b.back, wiki+"/") && !strings.HasPrefix(b.back, "https://login.test/") {
				t.Errorf("%q: %+v", query, b)
			}
			if kind == kindCIBA && (values.Has("user_code") || !b.userCode.IsZero()) {
				t.Errorf("%q: a user code in an address is taken", query)
			}
		}
	})
}

// The id alone opens nothing, not even in a cookie that is ours in every other respect.
func TestP155OnlyTheSecretOfTheBrowserThatBeganOpensAWaitingLogin(t *testing.T) {
	for path, change := range map[string]func(*plan){"/oauth2/device": withDevice(), "/oauth2/ciba": withCIBA(Login{})} {
		synctest.Test(t, func(t *testing.T) {
			form := byCode()
			if path == "/oauth2/ciba" {
				form = byHint("alice")
			}
			w := newWorld(t, change)
			b := w.net.Browser()
			now := startLogin(t, b, form)
			name := attempts(b, app)[0]
			forged := name + "=" + w.flows.sealParameter(purposeAttempt, sealed{
				Created: time.Now().Unix(), Secret: random(secretSize), Provider: "corp", Login: now.Login, Back: "/x?y=1",
			}, bound(mustOrigin(t, app), name))
			time.Sleep(6 * time.Second)
			if res := w.call(t, http.MethodGet, app+now.Poll, "Cookie", forged); res.StatusCode != http.StatusNotFound {
				t.Errorf("the poll: %d", res.StatusCode)
			}
			res := w.call(t, http.MethodGet, app+path+"?attempt="+waitingID(t, b), append(navigation("none"), "Cookie", forged)...)
			body := string(must(io.ReadAll(res.Body))(t))
			if !strings.Contains(body, "another browser") || now.UserCode != "" && strings.Contains(body, now.UserCode) || now.Message != "" && strings.Contains(body, now.Message) {
				t.Errorf("the page: %d %s", res.StatusCode, body)
			}
			if w.idp.Count(idp.Token) != 0 {
				t.Error("the provider was asked")
			}
		})
	}
}

// A person who agrees in the last second is signed in, whoever else asks meanwhile.
func TestAnAnswerThatIsUnderWayAtTheEndStillCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, withDevice(), anyProvider(func(c *idp.Config) { c.DeviceCodeLifetime = 12 * time.Second }))
		b := w.net.Browser()
		now := startLogin(t, b, byCode())
		if err := w.idp.ApproveDevice(now.UserCode, "alice"); err != nil {
			t.Fatal(err)
		}
		w.idp.Misbehave(idp.Sin{Hang: true})
		time.Sleep(11 * time.Second)
		first := make(chan *testnet.Page)
		go func() { first <- pollOnce(t, b, now.Poll) }()
		synctest.Wait()
		w.flows.deps.Shared = slowSwaps{w.flows.deps.Shared}
		w.idp.Release() // what it answers is on its way
		time.Sleep(1500 * time.Millisecond)
		name := attempts(b, app)
		if len(name) == 1 {
			res := w.call(t, http.MethodGet, app+now.Poll, "Cookie", name[0]+"="+b.Jar.Get(app, name[0]))
			if late := decodeBegun(t, res); late.Status != waitPending {
				t.Errorf("who asks after the end, while a question is under way: %+v", late)
			}
		}
		arrived(t, b, readAnswer(t, <-first))
	})
}

// slowSwaps is a store whose writes take their time.
type slowSwaps struct{ store.Store }

func (s slowSwaps) Swap(ctx context.Context, key string, old uint64, value []byte, ttl time.Duration) (bool, error) {
	time.Sleep(3 * time.Second)
	return s.Store.Swap(ctx, key, old, value, ttl)
}

func TestARecordForgetsWhatNobodyNeedsAnyMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, withDevice())
		for _, end := range []string{waitDenied, waitUsed} {
			b := w.net.Browser()
			now := startLogin(t, b, byCode())
			id := must(f64(waitingID(t, b)))(t)
			decide := func(code string) error { return w.idp.ApproveDevice(code, "alice") }
			if end == waitDenied {
				decide = w.idp.DenyDevice
			}
			if err := decide(now.UserCode); err != nil {
				t.Fatal(err)
			}
			pollOut(t, b, now)
			if left := must(w.flows.loadWaiting(t.Context(), id))(t); left.Status != end || left.Handle != "" || left.Verifier != "" || left.Tokens != nil {
				t.Errorf("%s: %+v", end, left.waitRecord)
			}
		}
	})
}

func TestP158StartsAreCountedByNetworkAndAltogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, withDevice())
		ctx := t.Context()
		refused := func(client string) bool {
			err := w.flows.mayStart(ctx, client)
			var e *pages.Error
			if err != nil && (!errors.As(err, &e) || e.Code != codeTooMany || e.RetryAfter <= 0 || e.RetryAfter > startWindow) {
				t.Fatal(err)
			}
			return err != nil
		}
		begun := 0
		for i := range 2 * startsOfNetwork { // one subscriber has a whole /64
			if !refused(fmt.Sprintf("2001:db8::%x", i)) {
				begun++
			}
		}
		if begun != startsOfNetwork || refused("2001:db8:0:1::1") || refused("") {
			t.Errorf("%d of one network", begun)
		}
		all := sharedKey("starts-of-all", fmt.Appendf(nil, " %d", time.Now().Truncate(startWindow).Unix()))
		if n := must(w.shared.Add(ctx, all, 0, time.Minute))(t); n != startsOfNetwork+2 {
			t.Errorf("%d are counted: who is refused uses up what others have", n)
		}
		must(w.shared.Add(ctx, all, startsOfAll-startsOfNetwork-3, time.Minute))(t)
		if refused("198.51.100.1") || !refused("198.51.100.2") || !refused("") {
			t.Error("the limit of all")
		}
		time.Sleep(startWindow)
		if refused("198.51.100.2") {
			t.Error("the next window")
		}
	})
}

func TestWhoBeginsAnewLosesNothingThatStillWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, withDevice())
		b := w.net.Browser()
		first := startLogin(t, b, byCode())
		form := byCode()
		form.Set("attempt", waitingID(t, b))
		startLogin(t, b, form)
		if err := w.idp.ApproveDevice(first.UserCode, "alice"); err != nil {
			t.Fatal(err)
		}
		first.Poll = "/oauth2/device/poll?attempt=" + form.Get("attempt")
		arrivedAs(t, b, pollOut(t, b, first))
	})
}
