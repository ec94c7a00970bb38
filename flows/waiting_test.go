package flows

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/doorward/doorward/demo/idp"
	"github.com/doorward/doorward/internal/testnet"
	"github.com/doorward/doorward/sessions"
	"github.com/doorward/doorward/sessions/store"
)

// A program is no browser: it sends none of the headers by which browsers say where they come from.
func TestAProgramSignsInByCode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, withDevice())
		jar := map[string]string{}
		call := func(method, path, form string) (*http.Response, begun) {
			r := must(http.NewRequestWithContext(t.Context(), method, app+path, strings.NewReader(form)))(t)
			r.Header.Set("Accept", "application/json")
			if form != "" {
				r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			}
			for name, value := range jar {
				r.AddCookie(&http.Cookie{Name: name, Value: value})
			}
			res := must(w.net.Client().Do(r))(t)
			for _, c := range res.Cookies() {
				if jar[c.Name] = c.Value; c.MaxAge < 0 {
					delete(jar, c.Name)
				}
			}
			var now begun
			if res.Header.Get("Content-Type") == "application/json" {
				now = decodeBegun(t, res)
			}
			_ = res.Body.Close()
			return res, now
		}
		res, now := call(http.MethodPost, "/oauth2/device", "rd=/x")
		if res.StatusCode != http.StatusCreated || now.UserCode == "" || res.Header.Get("Cache-Control") != "no-store" {
			t.Fatalf("%d %+v %v", res.StatusCode, now, res.Header)
		}
		time.Sleep(5 * time.Second)
		if _, now = call(http.MethodGet, now.Poll, ""); now.Status != waitPending {
			t.Errorf("%+v", now)
		}
		if err := w.idp.ApproveDevice(now.UserCode, "alice"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(now.Interval) * time.Second)
		if _, now = call(http.MethodGet, now.Poll, ""); now.Status != "approved" || now.Location != "/x" || len(jar) == 0 || jar[sessionID] == "" {
			t.Errorf("%+v %v", now, jar)
		}
		if res, _ = call(http.MethodGet, "/oauth2/session", ""); res.StatusCode != http.StatusOK {
			t.Errorf("the session: %d", res.StatusCode)
		}
		if res, _ = call(http.MethodGet, "/oauth2/device/poll", ""); res.StatusCode != http.StatusNotFound {
			t.Errorf("afterwards: %d", res.StatusCode)
		}
		r := must(http.NewRequestWithContext(t.Context(), http.MethodPost, app+"/oauth2/device", http.NoBody))(t)
		r.Header.Set("Origin", "https://evil.example") // an old browser: its script is no program
		if res := must(w.net.Client().Do(r))(t); res.StatusCode != http.StatusForbidden {
			t.Errorf("a page of another site: %d", res.StatusCode)
		}
	})
}

func TestAWaitingLoginReturnsToAnyTarget(t *testing.T) {
	for name, rd := range map[string]string{"long": "/x?y=" + strings.Repeat("1", 600), "very long": "/x?y=" + strings.Repeat("1", 3000), "another host": wiki + "/z"} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, withDevice())
			b := w.net.Browser()
			now := startLogin(t, b, url.Values{"rd": {rd}})
			if err := w.idp.ApproveDevice(now.UserCode, "alice"); err != nil {
				t.Fatal(err)
			}
			if now = pollOut(t, b, now); now.Location != rd {
				t.Errorf("%s: %q", name, now.Location)
			}
		})
	}
}

func TestAWaitingLoginWorksWithStrictCookies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, withDevice(), func(p *plan) {
			before := p.flows
			p.flows = func(c *Config) {
				before(c)
				c.Cookie = sessions.Cookie{Name: "doorward", SameSite: http.SameSiteStrictMode}
			}
		})
		b := w.net.Browser()
		page := b.Post(t, "", app+"/oauth2/device", byCode())
		if err := w.idp.ApproveDevice(w.idp.PendingDevices()[0].UserCode, "alice"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(6 * time.Second)
		page = b.Open(t, page.URL.String())
		if to := page.Header.Get("Refresh"); to != "0;url=/x?y=1" {
			t.Fatalf("Refresh %q\n%s", to, page.Trail())
		}
		expect(t, b.Open(t, app+"/x?y=1"), http.StatusOK, "alice sees")
	})
}

func TestAnAddressThatNamesNoAttemptIsHarmless(t *testing.T) {
	w := newWorld(t, withDevice())
	b := w.net.Browser()
	for _, attempt := range []string{"x", "AAAAAAAAAAAAAAAAAAAAAA", "%00", strings.Repeat("A", 4000), "../../x", "<script>alert(1)</script>"} {
		page := b.Open(t, app+"/oauth2/device?attempt="+url.QueryEscape(attempt))
		expect(t, page, http.StatusOK, "another browser")
		if strings.Contains(page.Body, "<script>alert") {
			t.Error("not escaped")
		}
		expect(t, pollOnce(t, b, "/oauth2/device/poll?attempt="+url.QueryEscape(attempt)), http.StatusNotFound, codeAttemptUnknown)
	}
	expect(t, pollOnce(t, b, "/oauth2/device/poll"), http.StatusNotFound, codeAttemptUnknown)
	expect(t, pollOnce(t, b, "/oauth2/device/poll?attempt=a&attempt=b"), http.StatusBadRequest)
	expect(t, b.Open(t, app+"/oauth2/device?attempt=a&attempt=b"), http.StatusBadRequest)
	if w.idp.Count(idp.Device)+w.idp.Count(idp.Token) != 0 {
		t.Error("the provider was asked")
	}
}

func TestAStoreThatIsAwayLosesNoWaitingLogin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, withDevice())
		b := w.net.Browser()
		now := startLogin(t, b, byCode())
		if err := w.idp.ApproveDevice(now.UserCode, "alice"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Second)
		w.shared.down.Store(true)
		expect(t, pollOnce(t, b, now.Poll), http.StatusServiceUnavailable, codeStore)
		expect(t, b.Open(t, app+"/oauth2/device?attempt="+strings.TrimPrefix(attempts(b, app)[0], "__Host-doorward-login.")), http.StatusServiceUnavailable)
		if page := w.net.Browser().Fetch(t, "", http.MethodPost, app+"/oauth2/device", byCode()); page.Status != http.StatusServiceUnavailable || w.idp.Count(idp.Device) != 1 {
			t.Errorf("begin: %d", page.Status)
		}
		w.shared.down.Store(false)
		arrived(t, b, pollOut(t, b, now))
	})
}

func TestAProviderThatIsAwayBeginsNothing(t *testing.T) {
	for _, c := range []struct {
		change   func(*plan)
		endpoint string
		path     string
		form     url.Values
	}{
		{withDevice(), idp.Device, "/oauth2/device", byCode()},
		{withCIBA(Login{}), idp.CIBA, "/oauth2/ciba", byHint("alice")},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, c.change)
			b := w.net.Browser()
			w.idp.Misbehave(idp.Catalogue()["unavailable"].On(c.endpoint).Always())
			page := b.Fetch(t, "", http.MethodPost, app+c.path, c.form)
			expect(t, page, http.StatusServiceUnavailable, codeProviderDown)
			if page.Header.Get("Retry-After") == "" || len(attempts(b, app)) != 0 {
				t.Errorf("%v %v", page.Header, attempts(b, app))
			}
			expect(t, b.Post(t, "", app+c.path, c.form), http.StatusServiceUnavailable)
			w.idp.Heal()
			startLogin(t, b, c.form)
		})
	}
}

func TestOnlyAPersonWhoCameByThemselvesNeedsNoClick(t *testing.T) {
	w := newWorld(t, withDevice())
	b := w.net.Browser()
	for name, c := range map[string]struct {
		page *testnet.Page
		auto bool
	}{
		"typed":                      {b.Open(t, app+"/x"), true},
		"a link of our own":          {b.Visit(t, app+"/y", app+"/x"), true},
		"a link of another site":     {b.Visit(t, "https://elsewhere.example/", app+"/x"), false},
		"a neighbour's link":         {b.Visit(t, wiki+"/", app+"/x"), false},
		"after a sign-in that ended": {b.Open(t, app+"/oauth2/device?login=tv&attempt=AAAAAAAAAAAAAAAAAAAAAA"), false},
	} {
		if auto := strings.Contains(c.page.Body, "data-auto"); auto != c.auto || len(c.page.Forms()) != 1 {
			t.Errorf("%s: by itself %v\n%s", name, auto, c.page.Trail())
		}
	}
	if w.idp.Count(idp.Device) != 0 {
		t.Error("a GET began one")
	}
}

func TestWhatIsSealedForOneWaitingOpensForNoOther(t *testing.T) {
	w := newWorld(t, withDevice())
	var waits []*waiting
	for range 2 {
		wait := newWaiting(time.Now(), random(idSize), w.flows.byName["tv"], "holder", time.Minute, 5*time.Second)
		wait.Handle = "the-device-code"
		if err := w.flows.store(t.Context(), wait); err != nil {
			t.Fatal(err)
		}
		waits = append(waits, wait)
	}
	first := must(w.shared.Get(t.Context(), waits[0].key))(t)[0].Value
	if strings.Contains(string(first), "the-device-code") {
		t.Error("the store holds the device code as it is")
	}
	if err := w.shared.Put(t.Context(), waits[1].key, first, time.Minute); err != nil {
		t.Fatal(err)
	}
	if _, err := w.flows.loadWaiting(t.Context(), waits[1].id); !errors.Is(err, errNoWaiting) {
		t.Errorf("another's record: %v", err)
	}
	got := must(w.flows.loadWaiting(t.Context(), waits[0].id))(t)
	if !got.heldBy("holder") || got.heldBy("holde") || got.heldBy("") {
		t.Error("the holder")
	}
}

func TestOneOfManyTakesWhatIsReady(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, withDevice())
		w.replica(t)
		b := w.net.Browser()
		now := startLogin(t, b, byCode())
		if err := w.idp.ApproveDevice(now.UserCode, "alice"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Second)
		id := must(f64(strings.TrimPrefix(attempts(b, app)[0], "__Host-doorward-login.")))(t)
		if wait, err := w.flows.step(t.Context(), id); err != nil || wait.Status != waitReady {
			t.Fatal(wait, err)
		}
		for _, g := range w.replicas {
			g.flows.deps.Shared = slowReads{w.shared}
		}
		won := make(chan bool)
		for i := range 16 {
			go func() {
				who, won1, err := w.replicas[i%2].flows.take(t.Context(), id, nil)
				if err != nil || won1 && who.Username != "alice" {
					t.Error(who, err)
				}
				won <- won1
			}()
		}
		winners := 0
		for range 16 {
			if <-won {
				winners++
			}
		}
		if winners != 1 {
			t.Errorf("%d of 16 got the identity", winners)
		}
	})
}

// swapless is a store whose writes by compare-and-swap fail for a while: after skip of them, the next fail.
type swapless struct {
	store.Store
	skip, fail atomic.Int32
}

func (s *swapless) Swap(ctx context.Context, key string, old uint64, value []byte, ttl time.Duration) (bool, error) {
	if s.skip.Add(-1) < 0 && s.fail.Add(-1) >= 0 {
		return false, fmt.Errorf("test: %w", store.ErrUnavailable)
	}
	return s.Store.Swap(ctx, key, old, value, ttl)
}

func TestTokensOutliveAStoreThatIsAwayWhenTheyCome(t *testing.T) {
	for name, fails := range map[string]int32{"for a moment": 3, "for long": 1000} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, withDevice())
			b := w.net.Browser()
			now := startLogin(t, b, byCode())
			if err := w.idp.ApproveDevice(now.UserCode, "alice"); err != nil {
				t.Fatal(err)
			}
			frail := &swapless{Store: w.shared}
			frail.skip.Store(1) // the claim
			frail.fail.Store(fails)
			w.flows.deps.Shared = frail
			time.Sleep(5 * time.Second)
			page := pollOnce(t, b, now.Poll)
			if fails == 3 {
				arrived(t, b, readAnswer(t, page))
				return
			}
			expect(t, page, http.StatusServiceUnavailable, codeStore)
			w.flows.Wait()
			if w.idp.Count(idp.Revoke) != 1 {
				t.Errorf("%s: tokens that nobody can have are not given back", name)
			}
		})
	}
}
