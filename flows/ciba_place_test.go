package flows

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/doorward/doorward/demo/idp"
	"github.com/doorward/doorward/internal/testnet"
)

func TestP167OneQuestionAtATimeForEachPerson(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, withCIBA(Login{}))
		b := w.net.Browser()
		now := startLogin(t, b, byHint("alice"))
		for i := range 100 {
			hint := []string{"alice", " ALICE ", "Alice", "ａｌｉｃｅ"}[i%4]
			page := w.net.Browser().Fetch(t, "", http.MethodPost, app+"/oauth2/ciba", byHint(hint))
			if page.Status != http.StatusTooManyRequests || page.Header.Get("Retry-After") == "" {
				t.Fatalf("%q: %d %s", hint, page.Status, page.Body)
			}
		}
		if n := w.idp.Count(idp.CIBA); n != 1 {
			t.Errorf("%d questions on one phone", n)
		}
		if again := startLogin(t, b, byHint("alice")); again.Message != now.Message || w.idp.Count(idp.CIBA) != 1 {
			t.Errorf("the browser that asked comes back to its own: %+v", again)
		}
		startLogin(t, w.net.Browser(), byHint("bob")) // nobody else is kept waiting
	})
}

func TestP167OfManyWhoAskForOnePersonAtOnceOneIsHeard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, withCIBA(Login{}))
		w.replica(t)
		for _, g := range w.replicas {
			g.flows.deps.Shared = slowReads{w.shared}
		}
		statuses := make(chan int)
		for i := range 40 {
			go func() {
				statuses <- on(w.net.Browser(), i%2).Fetch(t, "", http.MethodPost, app+"/oauth2/ciba", byHint("alice")).Status
			}()
		}
		made := 0
		for range 40 {
			switch status := <-statuses; status {
			case http.StatusCreated:
				made++
			case http.StatusTooManyRequests:
			default:
				t.Errorf("status %d", status)
			}
		}
		if made != 1 || w.idp.Count(idp.CIBA) != 1 {
			t.Errorf("%d begun, %d questions", made, w.idp.Count(idp.CIBA))
		}
	})
}

func TestP167WhoRefusesHasPeace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, withCIBA(Login{}))
		for i, rest := range []time.Duration{30, 60, 120, 240, 480, 900, 900} {
			b := w.net.Browser()
			now := startLogin(t, b, byHint("alice"))
			if _, err := w.idp.DenyCIBA(t.Context(), w.idp.PendingCIBA("alice")[0].ID); err != nil {
				t.Fatal(err)
			}
			if now = pollOut(t, b, now); now.Status != waitDenied {
				t.Fatalf("%+v", now)
			}
			time.Sleep(rest*time.Second - time.Second)
			if page := b.Fetch(t, "", http.MethodPost, app+"/oauth2/ciba", byHint("alice")); page.Status != http.StatusTooManyRequests {
				t.Errorf("after refusal %d: asked again within %d s", i+1, rest)
			}
			time.Sleep(2 * time.Second)
		}
		b := w.net.Browser()
		now := startLogin(t, b, byHint("alice"))
		w.approve(t)
		arrived(t, b, pollOut(t, b, now))
		startLogin(t, w.net.Browser(), byHint("alice")) // a consent ends it
	})
}

func TestP167WhoDoesNotAnswerHasPeaceToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, withCIBA(Login{}))
		var gaps []time.Duration
		last := time.Now()
		for len(gaps) < 6 {
			b := w.net.Browser()
			if page := b.Fetch(t, "", http.MethodPost, app+"/oauth2/ciba", byHint("alice")); page.Status == http.StatusCreated { // and never polls
				gaps, last = append(gaps, time.Since(last).Round(time.Second)), time.Now()
			}
			time.Sleep(time.Second)
		}
		for i, least := range []time.Duration{0, 120, 120, 150, 180, 240} {
			if gaps[i] < least*time.Second {
				t.Errorf("question %d came after %v, not %v", i+1, gaps[i], least*time.Second)
			}
		}
	})
}

func TestP167PeopleWhomNobodyKnowsAreAnsweredAlike(t *testing.T) {
	for _, delivery := range []string{"poll", "ping", "push"} {
		for _, sin := range []string{"", "ciba_keycloak_unknown"} {
			t.Run(delivery+" "+sin, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w := newWorld(t, withCIBA(Login{Delivery: delivery}))
					type seen struct {
						now  begun
						took time.Duration
					}
					script := func(hint string) (all []seen) {
						b := w.net.Browser()
						note := func(p *testnet.Page, began time.Time) begun {
							now := readAnswer(t, p)
							now.Message = fmt.Sprint(len(now.Message))
							all = append(all, seen{now, time.Since(began)})
							return now
						}
						began := time.Now()
						now := note(b.Fetch(t, "", http.MethodPost, app+"/oauth2/ciba", byHint(hint)), began)
						for now.Status == waitPending {
							time.Sleep(time.Duration(now.Interval)*time.Second - 300*time.Millisecond)
							began = time.Now()
							page := pollOnce(t, b, now.Poll)
							if page.Status == http.StatusTooManyRequests {
								t.Fatal(page.Body)
							}
							now = note(page, began)
						}
						return all
					}
					w.idp.Misbehave(idp.Sin{Endpoint: idp.Token, Delay: 100 * time.Millisecond, Times: idp.Always})
					w.idp.Misbehave(idp.Sin{Endpoint: idp.CIBA, Delay: 100 * time.Millisecond, Times: 1})
					known := script("alice")
					tokens := w.idp.Count(idp.Token)
					if sin != "" {
						w.idp.Misbehave(idp.Catalogue()[sin])
					}
					unknown := script("nobody")
					if w.idp.Count(idp.Token) != tokens {
						t.Error("the provider was asked for tokens of nobody")
					}
					if len(known) < 5 || len(known) != len(unknown) {
						t.Fatalf("%d and %d answers", len(known), len(unknown))
					}
					for i := range known {
						if known[i] != unknown[i] {
							t.Errorf("answer %d: %+v and %+v", i, known[i], unknown[i])
						}
					}
					page := w.net.Browser().Fetch(t, "", http.MethodPost, app+"/oauth2/ciba", byHint("nobody"))
					if page.Status != http.StatusCreated { // the second time, like everybody
						t.Errorf("%d %s", page.Status, page.Body)
					}
					if page := w.net.Browser().Fetch(t, "", http.MethodPost, app+"/oauth2/ciba", byHint("nobody")); page.Status != http.StatusTooManyRequests {
						t.Errorf("a decoy has no place: %d", page.Status)
					}
				})
			})
		}
	}
}

// The moment at which a question may go on to the provider is a clock too: it must not tell whether one does.
func TestP167TheProvidersOwnTimeDoesNotShow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, withCIBA(Login{}))
		w.idp.Misbehave(idp.Sin{Endpoint: idp.Token, Delay: 100 * time.Millisecond, Times: idp.Always})
		script := func(hint string) (seen []string) {
			b := w.net.Browser()
			now := startLogin(t, b, byHint(hint))
			for range 3 {
				time.Sleep(4 * time.Second)
				for range 100 {
					began := time.Now()
					page := pollOnce(t, b, now.Poll)
					seen = append(seen, fmt.Sprint(page.Status, page.Header.Get("Retry-After"), time.Since(began)))
					time.Sleep(20 * time.Millisecond)
				}
			}
			return seen
		}
		known, unknown := script("alice"), script("nobody")
		if n := len(w.asked(idp.GrantCIBA)); n != 3 {
			t.Errorf("%d token requests", n)
		}
		for i := range known {
			if known[i] != unknown[i] {
				t.Fatalf("answer %d: %s and %s", i, known[i], unknown[i])
			}
		}
	})
}

func TestWithUserCodesAWrongNameAndAWrongCodeAreOneAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, withCIBA(Login{UserCode: true}), anyProvider(func(c *idp.Config) { c.Users[0].CIBAUserCode = "4711" }))
		form := func(hint, code string) url.Values {
			f := byHint(hint)
			f.Set("user_code", code)
			return f
		}
		ask := func(hint, code string) string {
			page := w.net.Browser().Fetch(t, "", http.MethodPost, app+"/oauth2/ciba", form(hint, code))
			if page.Status != http.StatusUnauthorized {
				t.Errorf("%s: %d %s", hint, page.Status, page.Body)
			}
			body := decode(t, page.Body)
			delete(body, "reference")
			return fmt.Sprint(body)
		}
		wrongCode, wrongName := ask("alice", "0000"), ask("nobody", "4711")
		if wrongCode != wrongName || !strings.Contains(wrongCode, codeWrongCredentials) {
			t.Errorf("%s\n%s", wrongCode, wrongName)
		}
		b := w.net.Browser()
		page := b.Post(t, "", app+"/oauth2/ciba", form("alice", "1111"))
		expect(t, page, http.StatusUnauthorized, "is not right")
		if strings.Contains(page.Body, "1111") {
			t.Error("the user code is on the page")
		}
		now := startLogin(t, b, form("alice", "4711"))
		w.approve(t)
		arrived(t, b, pollOut(t, b, now))
		w.quiet(t, "4711", "0000")
		if page := b.Fetch(t, "", http.MethodPost, app+"/oauth2/ciba", byHint("alice")); page.Status != http.StatusBadRequest {
			t.Errorf("without a code: %d", page.Status)
		}
	})
}

func TestUserCodesCannotBeGuessed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, withCIBA(Login{UserCode: true}), anyProvider(func(c *idp.Config) { c.Users[0].CIBAUserCode = "4711" }))
		for _, hint := range []string{"alice", "nobody"} { // alike
			w.idp.ResetRequests()
			var late time.Duration
			for begin := time.Now(); time.Since(begin) < time.Hour; {
				f := byHint(hint)
				f.Set("user_code", "1234")
				page := w.net.Browser().Fetch(t, "", http.MethodPost, app+"/oauth2/ciba", f)
				switch page.Status {
				case http.StatusUnauthorized:
					if w.idp.Count(idp.CIBA) > 20 {
						t.Fatal("nothing slows them down")
					}
				case http.StatusTooManyRequests:
					seconds := must(strconv.Atoi(page.Header.Get("Retry-After")))(t)
					late = time.Duration(seconds) * time.Second
					time.Sleep(late)
				default:
					t.Fatalf("%d %s", page.Status, page.Body)
				}
			}
			if n := w.idp.Count(idp.CIBA); n > 12 || late != longestRest {
				t.Errorf("%s: %d guesses in an hour, the last rest was %v", hint, n, late)
			}
		}
	})
}
