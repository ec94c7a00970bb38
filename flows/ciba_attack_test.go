package flows

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/doorward/doorward/demo/idp"
)

// A phone may ring although nobody hears that it does.
func TestP167WhoHangsUpDoesNotFreeThePlace(t *testing.T) {
	for name, sin := range map[string]idp.Sin{
		"the caller hangs up": {Hang: true, Endpoint: idp.CIBA}, "the answer is lost": {Lose: true, Endpoint: idp.CIBA}, "no answer in time": {Hang: true, Endpoint: idp.CIBA, Times: 1},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, withCIBA(Login{}))
			for range 3 {
				asked := w.idp.Count(idp.CIBA)
				w.idp.Misbehave(sin)
				ctx, cancel := context.WithCancel(t.Context())
				r := must(http.NewRequestWithContext(ctx, http.MethodPost, app+"/oauth2/ciba", strings.NewReader("hint=alice")))(t)
				r.Header.Set("Content-Type", formMedia)
				if name == "the caller hangs up" {
					go func() {
						time.Sleep(time.Second)
						cancel()
					}()
				}
				if res, err := w.net.Client().Do(r); err == nil {
					_ = res.Body.Close()
				}
				cancel()
				if name == "the caller hangs up" {
					synctest.Wait()
					w.idp.Release()
					synctest.Wait()
				}
				page := w.net.Browser().Fetch(t, "", http.MethodPost, app+"/oauth2/ciba", byHint("alice"))
				if page.Status != http.StatusTooManyRequests || w.idp.Count(idp.CIBA) != asked+1 {
					t.Fatalf("%s: %d, %d questions", name, page.Status, w.idp.Count(idp.CIBA))
				}
				time.Sleep(time.Minute)
				if page := w.net.Browser().Fetch(t, "", http.MethodPost, app+"/oauth2/ciba", byHint("alice")); name == "the caller hangs up" && page.Status != http.StatusTooManyRequests {
					t.Errorf("%s: while the phone still rings: %d", name, page.Status)
				}
				time.Sleep(10 * time.Minute)
			}
		})
	}
}

// Whatever time the provider takes, decoys take it too: for the answers, and while a question is under way, which
// a second poll beside the first would show.
func TestP167TheTimeOfASlowProviderDoesNotShow(t *testing.T) {
	for _, slow := range []time.Duration{0, 100 * time.Millisecond, 700 * time.Millisecond} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, withCIBA(Login{}))
			w.idp.Misbehave(idp.Sin{Endpoint: idp.Token, Delay: slow, Times: idp.Always})
			script := func(hint string) (seen []string) {
				b := w.net.Browser()
				note := func(p string, began time.Time) { seen = append(seen, fmt.Sprint(p, time.Since(began))) }
				began := time.Now()
				now := startLogin(t, b, byHint(hint))
				note("begun ", began)
				for range 3 {
					time.Sleep(time.Duration(now.Interval)*time.Second + 50*time.Millisecond)
					done := make(chan string)
					began = time.Now()
					go func() {
						page := pollOnce(t, b, now.Poll)
						done <- fmt.Sprint(page.Status, readAnswer(t, page).Interval, time.Since(began))
					}()
					for range 8 { // beside it
						time.Sleep(40 * time.Millisecond)
						began := time.Now()
						page := pollOnce(t, b, now.Poll)
						note(fmt.Sprint(page.Status, page.Header.Get("Retry-After")), began)
					}
					note(<-done, began)
				}
				return seen
			}
			for range 4 {
				w.idp.Misbehave(idp.Sin{Endpoint: idp.CIBA, Delay: slow})
				known := script("alice")
				w.idp.Misbehave(idp.Sin{Endpoint: idp.CIBA}) // the error comes at once
				unknown := script("nobody")
				for i := range known {
					if known[i] != unknown[i] {
						t.Errorf("provider of %v, answer %d: %s and %s", slow, i, known[i], unknown[i])
					}
				}
				time.Sleep(time.Hour)
			}
		})
	}
}

// A program makes a login_hint_token, and no page asks a person for one.
func TestALoginThatProgramsBeginShowsNoForm(t *testing.T) {
	for name, l := range map[string]Login{"login_hint_token": {Hint: hintToken}, "a user code beside the session": {Hint: hintIDToken, UserCode: true}} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, withCIBA(l), func(p *plan) { p.logins = []string{"staff", "phone"} })
			b := w.net.Browser()
			for _, path := range []string{"/oauth2/ciba?login=phone&rd=/x", "/oauth2/ciba?login=phone&attempt=AAAAAAAAAAAAAAAAAAAAAA"} {
				page := b.Open(t, app+path)
				expect(t, page, http.StatusBadRequest, "begun by a program")
				if len(page.Forms()) != 0 || !strings.Contains(page.Body, "login=staff") {
					t.Errorf("%s: %d forms\n%s", name, len(page.Forms()), page.Text())
				}
			}
			page := b.Post(t, "", app+"/oauth2/ciba", url.Values{"login": {"phone"}})
			if page.Status < 400 || len(page.Forms()) != 0 || w.idp.Count(idp.CIBA) != 0 {
				t.Errorf("%s: an empty form: %d", name, page.Status)
			}
			if l.Hint != hintToken {
				return
			}
			token := must(w.idp.LoginHintToken("alice", time.Minute))(t)
			page = b.Post(t, "", app+"/oauth2/ciba", byHint(token)) // the program may well be a page
			expect(t, page, http.StatusOK, w.idp.PendingCIBA("alice")[0].BindingMessage)
			expect(t, w.net.Browser().Post(t, "", app+"/oauth2/ciba", byHint(token)), http.StatusTooManyRequests)
		})
	}
}

func TestP178AUserCodeInAnAddressIsRefused(t *testing.T) {
	w := newWorld(t, withCIBA(Login{UserCode: true}))
	page := w.net.Browser().Open(t, app+"/oauth2/ciba?login=phone&user_code=4711")
	expect(t, page, http.StatusBadRequest)
	if strings.Contains(page.Body, "4711") {
		t.Error("and repeated")
	}
	expect(t, w.net.Browser().Open(t, app+"/oauth2/ciba?login=%zz"), http.StatusBadRequest)
}

func TestAPushThatCouldNotBeWrittenIsNotThankedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, withCIBA(Login{Delivery: "push"}))
		b := w.net.Browser()
		now := startLogin(t, b, byHint("alice"))
		question := w.idp.PendingCIBA("alice")[0].ID
		w.flows.deps.Shared = losing{w.shared}
		if d := must(w.idp.ApproveCIBA(t.Context(), question))(t); d.Status != http.StatusServiceUnavailable {
			t.Errorf("%d %v", d.Status, d.Err)
		}
		w.flows.deps.Shared = w.shared
		if d := must(w.idp.Notify(t.Context(), question))(t); d.Status != http.StatusNoContent {
			t.Errorf("sent again: %d %v", d.Status, d.Err)
		}
		arrived(t, b, pollOut(t, b, now))
	})
}

// What was checked when it was pushed is checked again when it is taken, against the request that it lies with.
func TestP164PushedTokensServeOnlyTheirOwnRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, withCIBA(Login{Delivery: "push"}))
		b := w.net.Browser()
		now := startLogin(t, b, byHint("alice"))
		w.approve(t)
		id := must(f64(waitingID(t, b)))(t)
		wait := must(w.flows.loadWaiting(t.Context(), id))(t)
		wait.Handle = "of-another-request"
		if done, err := w.flows.swap(t.Context(), wait); !done || err != nil || wait.Status != waitReady {
			t.Fatal(done, err, wait.Status)
		}
		if now = pollOut(t, b, now); now.Status != waitFailed || b.Jar.Get(app, sessionID) != "" {
			t.Errorf("%+v", now)
		}
	})
}

// Where some logins take pushes, one that waits for a ping still takes none.
func TestP163TokensForAPingBesidePushesAreRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, withCIBA(Login{Delivery: "push"}))
		b := w.net.Browser()
		now := startLogin(t, b, byHint("alice"))
		id := must(f64(waitingID(t, b)))(t)
		wait := must(w.flows.loadWaiting(t.Context(), id))(t)
		wait.Delivery = deliveryPing
		if done, err := w.flows.swap(t.Context(), wait); !done || err != nil {
			t.Fatal(done, err)
		}
		if d := w.approve(t); d.Status != http.StatusBadRequest {
			t.Errorf("%d %v", d.Status, d.Err)
		}
		if now = readAnswer(t, pollOnce(t, b, now.Poll)); now.Status != waitPending || b.Jar.Get(app, sessionID) != "" {
			t.Errorf("%+v", now)
		}
	})
	w := newWorld(t, withCIBA(Login{Delivery: "ping"}))
	if status := w.notice(t, `{"auth_req_id":"x","access_token":"a"}`, "Authorization", "Bearer of-nobody"); status != http.StatusBadRequest {
		t.Errorf("tokens where nobody takes any: %d", status)
	}
}

// A provider that changes its mind, or comes too late, signs nobody in.
func TestP164APushAfterTheEndChangesNothing(t *testing.T) {
	for _, end := range []string{waitDenied, waitExpired} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, withCIBA(Login{Delivery: "push"}))
			b := w.net.Browser()
			now := startLogin(t, b, byHint("alice"))
			w.idp.Misbehave(idp.Catalogue()["ping_lost"])
			w.approve(t)
			tokens, bearer := w.idp.Last(idp.Notification).Body, w.idp.Last(idp.CIBA).Form.Get("client_notification_token")
			push := func(body string) int { return w.notice(t, body, "Authorization", "Bearer "+bearer) }
			want := http.StatusNoContent // as for a push that is repeated
			if end == waitDenied {
				id := must(json.Marshal(decode(t, tokens)["auth_req_id"]))(t)
				if status := push(`{"auth_req_id":` + string(id) + `,"error":"access_denied"}`); status != http.StatusNoContent {
					t.Fatalf("the denial: %d", status)
				}
			} else {
				time.Sleep(121 * time.Second)
				want = http.StatusBadRequest
			}
			if status := push(tokens); status != want || !strings.Contains(tokens, "id_token") {
				t.Errorf("%s: %d", end, status)
			}
			if now = readAnswer(t, pollOnce(t, b, now.Poll)); now.Status != end || b.Jar.Get(app, sessionID) != "" {
				t.Errorf("%+v, want %s", now, end)
			}
		})
	}
}

// Only whom we have just asked may be faster than their own answer: nobody else makes us hold a request.
func TestP165AStrangersNotificationIsAnsweredAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, withCIBA(Login{Delivery: "ping"}))
		startLogin(t, w.net.Browser(), byHint("alice"))
		begin := time.Now()
		if status := w.notice(t, `{"auth_req_id":"of-nobody"}`, "Authorization", "Bearer "+strings.Repeat("w", 43)); status != http.StatusUnauthorized || time.Since(begin) > 0 {
			t.Errorf("%d after %v", status, time.Since(begin))
		}
		_, bearer := w.handle(t)
		if status := w.notice(t, `{"auth_req_id":"of-nobody"}`, "Authorization", "Bearer "+bearer); status != http.StatusUnauthorized || time.Since(begin) > earlyTries*earlyPause {
			t.Errorf("one who holds a token: %d after %v", status, time.Since(begin))
		}
		time.Sleep(2 * time.Minute) // the answer has come, or never will
		begin = time.Now()
		if status := w.notice(t, `{"auth_req_id":"of-nobody"}`, "Authorization", "Bearer "+bearer); status != http.StatusUnauthorized || time.Since(begin) > 0 {
			t.Errorf("two minutes later: %d after %v", status, time.Since(begin))
		}
	})
}
