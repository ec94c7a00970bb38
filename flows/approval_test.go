package flows

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/doorward/doorward/demo/idp"
	"github.com/doorward/doorward/internal/approval"
	"github.com/doorward/doorward/internal/identity"
	"github.com/doorward/doorward/internal/pages"
	"github.com/doorward/doorward/internal/testnet"
	"github.com/doorward/doorward/sessions"
	"github.com/doorward/doorward/sessions/store"
)

// payer is somebody who is signed in by the authorization code flow, and asks for approvals.
type payer struct {
	*testing.T
	w       *world
	b       *testnet.Browser
	replica int
}

// newPayer makes a world with a CIBA login that only approves, and signs alice in.
func newPayer(t *testing.T, l Login, changes ...func(*plan)) *payer {
	t.Helper()
	w := newWorld(t, append([]func(*plan){withCIBA(l), func(p *plan) { p.logins = []string{"staff"} }}, changes...)...)
	return &payer{T: t, w: w, b: w.signedIn(t, app+"/")}
}

// at is the same payer at another replica.
func (p *payer) at(replica int) *payer {
	other := *p
	other.replica = replica
	return &other
}

func (p *payer) gateway() *gateway { return p.w.replicas[p.replica] }

func (p *payer) approver() *Approver {
	p.Helper()
	return must(p.gateway().flows.Approver("phone"))(p.T)
}

// request is one to the proxy: with the cookies of the browser.
func (p *payer) request() (*http.Request, *identity.Identity) {
	p.Helper()
	r := httptest.NewRequestWithContext(p.Context(), http.MethodPost, app+"/payments", http.NoBody)
	for _, name := range p.b.Jar.Names(app) {
		r.AddCookie(&http.Cookie{Name: name, Value: p.b.Jar.Get(app, name)})
	}
	session := must(p.gateway().keeper.Load(r))(p.T)
	if session == nil {
		p.Fatal("nobody is signed in")
	}
	return r, session.Who
}

func pay(amount string) approval.Question {
	q := approval.Question{Message: "PAY-" + amount, Request: "POST /payments", Asked: time.Now().Truncate(time.Second), Expires: 2 * time.Minute, Client: "203.0.113.9"}
	copy(q.Fingerprint[:], "fingerprint of "+amount)
	return q
}

func (p *payer) ask(q approval.Question) *approval.Approval {
	p.Helper()
	r, who := p.request()
	got, err := p.approver().Ask(r, who, q)
	if err != nil {
		p.Fatal(err)
	}
	return got
}

func (p *payer) refused(q approval.Question, code string) {
	p.Helper()
	r, who := p.request()
	got, err := p.approver().Ask(r, who, q)
	var e *pages.Error
	if !errors.As(err, &e) || e.Code != code {
		p.Errorf("got %+v, %v; want %s", got, err, code)
	}
}

func (p *payer) find(id string) *approval.Approval {
	p.Helper()
	r, who := p.request()
	got, err := p.approver().Find(r, who, id)
	if err != nil {
		p.Fatal(err)
	}
	return got
}

func (p *payer) status(id string) string {
	p.Helper()
	if a := p.find(id); a != nil {
		return a.Status
	}
	return "none"
}

func (p *payer) spend(id string) bool {
	p.Helper()
	return must(p.approver().Spend(p.Context(), id))(p.T)
}

// until polls until something else than pending is answered.
func (p *payer) until(id string) string {
	p.Helper()
	for range 100 {
		a := p.find(id)
		if a == nil || a.Status != approval.Pending {
			return p.status(id)
		}
		time.Sleep(a.Interval)
	}
	p.Fatal("it waits for ever")
	return ""
}

func TestARequestIsApprovedOnThePhoneAndUsedOnce(t *testing.T) {
	for _, delivery := range []string{"poll", "ping", "push"} {
		t.Run(delivery, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newPayer(t, Login{Delivery: delivery})
				p.w.replica(t)
				a := p.ask(pay("20"))
				if a.Status != approval.Pending || a.Message != "PAY-20" || a.Request != "POST /payments" || a.ExpiresIn != 2*time.Minute || a.Interval < 2*time.Second || a.Interval > 5*time.Second || a.Fingerprint != pay("20").Fingerprint || a.Held {
					t.Errorf("%+v", a)
				}
				question := p.w.idp.PendingCIBA("alice")
				if len(question) != 1 || question[0].BindingMessage != "PAY-20" {
					t.Fatalf("%+v", question)
				}
				request := p.w.idp.Last(idp.CIBA).Form
				if request.Get("login_hint") != "alice" || request.Get("requested_expiry") != "120" || request.Has("id_token_hint") {
					t.Errorf("%v", request)
				}
				if p.spend(a.ID) {
					t.Error("used before anybody agreed")
				}
				time.Sleep(a.Interval)
				if s := p.status(a.ID); s != approval.Pending {
					t.Error(s)
				}
				p.w.approve(t)
				other := p.at(1) // another replica goes on
				if s := other.until(a.ID); s != approval.Approved {
					t.Fatal(s)
				}
				if n, want := len(p.w.asked(idp.GrantCIBA)), map[string]int{"poll": 2, "ping": 1, "push": 0}[delivery]; n != want {
					t.Errorf("%d token requests, want %d", n, want)
				}
				if p.spend("x") || p.spend("") || p.spend(strings.Repeat("A", 22)) {
					t.Error("something else was used")
				}
				if !p.spend(a.ID) || other.spend(a.ID) || p.spend(a.ID) {
					t.Error("not used exactly once")
				}
				if s := other.status(a.ID); s != approval.Used {
					t.Error(s)
				}
				p.w.quiet(t, "PAY-20", "alice@", a.ID)
				p.gateway().flows.Wait()
				other.gateway().flows.Wait()
				if n := p.w.idp.Count(idp.Revoke); n != 1 {
					t.Errorf("%d tokens were given back", n)
				}
				expect(t, p.b.Open(t, app+"/z"), http.StatusOK, "alice sees app.test/z") // and nobody was signed in or out
			})
		})
	}
}

func TestTheSameRequestAsksOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPayer(t, Login{})
		p.w.replica(t)
		var wg sync.WaitGroup
		var mu sync.Mutex
		ids := map[string]int{}
		for i := range 20 {
			wg.Go(func() {
				r, who := p.at(i % 2).request()
				got, err := p.at(i%2).approver().Ask(r, who, pay("20"))
				mu.Lock()
				defer mu.Unlock()
				if err != nil {
					t.Error(err)
					return
				}
				ids[got.ID]++
			})
		}
		wg.Wait()
		if n := p.w.idp.Count(idp.CIBA); n != 1 || len(ids) != 1 {
			t.Errorf("%d questions, %d approvals", n, len(ids))
		}
		id := p.ask(pay("20")).ID
		p.w.approve(t)
		time.Sleep(6 * time.Second)
		if again := p.ask(pay("20")); again.ID != id || again.Status != approval.Approved {
			t.Errorf("approved, and then %+v", again)
		}
		if !p.spend(id) {
			t.Error("not used")
		}
		if next := p.ask(pay("20")); next.ID == id || next.Status != approval.Pending {
			t.Errorf("a second payment is no new question: %+v", next)
		}
		held := pay("20")
		held.Held = []byte("a browser's")
		if other := p.ask(held); other.ID == id || !other.Held {
			t.Errorf("%+v", other)
		}
	})
}

func TestHeldRequestsAreKeptSealedUntilTheyAreSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPayer(t, Login{})
		q := pay("20")
		q.Held, q.Back = []byte("amount=20&to=bob"), "/form"
		a := p.ask(q)
		if !a.Held || a.Back != "/form" {
			t.Errorf("%+v", a)
		}
		held := func() string {
			r, who := p.request()
			return string(must(p.approver().Held(r, who, a.ID))(t))
		}
		if got := held(); got != "amount=20&to=bob" {
			t.Errorf("%q", got)
		}
		raw, _ := f64(a.ID)
		if items := must(p.w.shared.Get(t.Context(), sharedKey("approval-held", raw), sharedKey("approval", raw)))(t); strings.Contains(string(items[0].Value)+string(items[1].Value), "amount=20") {
			t.Error("the store shows what is paid")
		}
		p.w.approve(t)
		if s := p.until(a.ID); s != approval.Approved || !p.spend(a.ID) {
			t.Fatal(s)
		}
		if got := held(); got != "" {
			t.Errorf("%q is kept after it was sent", got)
		}
	})
}

func TestTheHintIsWhatTheLoginIsConfiguredFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPayer(t, Login{Hint: "id_token_hint"})
		_, who := p.request()
		p.ask(pay("20"))
		form := p.w.idp.Last(idp.CIBA).Form
		if form.Get("id_token_hint") != who.Tokens.IDToken.Reveal() || form.Has("login_hint") {
			t.Error("the hint is not the session's ID token")
		}
		for want, who := range map[string]*identity.Identity{
			"u": {Username: "u", Email: "e", EmailVerified: true, Subject: "s"},
			"e": {Email: "e", EmailVerified: true, Subject: "s"},
			"s": {Email: "e", Subject: "s"},
		} {
			a := &Approver{p.w.flows, &login{ciba: &ciba{hint: hintLogin}}}
			if got, err := a.hint(who); err != nil || got.Reveal() != want {
				t.Errorf("%v, %v; want %s", got.Reveal(), err, want)
			}
		}
	})
}

func TestApproversAreCheckedAtStart(t *testing.T) {
	w := newWorld(t, func(p *plan) {
		p.flows = func(c *Config) {
			c.Logins = append(
				c.Logins,
				Login{Name: "token", Flow: "ciba", Provider: "corp", Hint: "login_hint_token"},
				Login{Name: "code", Flow: "ciba", Provider: "corp", UserCode: true},
			)
		}
		p.logins = []string{"staff"}
	})
	for login, word := range map[string]string{"nowhere": "no login", "staff": "ciba", "token": "login_hint_token", "code": "user code"} {
		if _, err := w.flows.Approver(login); err == nil || !strings.HasPrefix(err.Error(), "approve.login: ") || !strings.Contains(err.Error(), word) {
			t.Errorf("%s: %v", login, err)
		}
	}
}

func TestDeniedExpiredAndLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPayer(t, Login{})
		a := p.ask(pay("20"))
		must(p.w.idp.DenyCIBA(t.Context(), p.w.idp.PendingCIBA("alice")[0].ID))(t)
		if s := p.until(a.ID); s != approval.Denied || p.spend(a.ID) {
			t.Error(s)
		}
		tokens := len(p.w.asked(idp.GrantCIBA))
		for range 5 {
			time.Sleep(10 * time.Second)
			p.status(a.ID)
		}
		if n := len(p.w.asked(idp.GrantCIBA)); n != tokens {
			t.Error("the provider was asked after it had said no")
		}
		a = p.ask(pay("20"))
		if s := p.until(a.ID); s != approval.Expired || p.spend(a.ID) {
			t.Error(s)
		}
		short := pay("21")
		short.Expires = 30 * time.Second
		a = p.ask(short)
		if a.ExpiresIn != 30*time.Second {
			t.Errorf("%+v", a)
		}
		p.w.approve(t)
		time.Sleep(6 * time.Second)
		if s := p.status(a.ID); s != approval.Approved {
			t.Fatal(s)
		}
		time.Sleep(80 * time.Second) // beyond the end, within the grace
		if s := p.status(a.ID); s != approval.Approved {
			t.Error(s)
		}
		time.Sleep(10 * time.Second)
		if s := p.status(a.ID); s != approval.Expired || p.spend(a.ID) {
			t.Errorf("%s after its end", s)
		}
		time.Sleep(2 * time.Hour)
		if s := p.status(a.ID); s != "none" {
			t.Errorf("%s is remembered for ever", s)
		}
	})
}

// swapping is a store whose Swap fails, before or after it has written.
func TestAProviderThatDoesNotAnswerLeavesNothingPending(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPayer(t, Login{})
		p.w.idp.Misbehave(idp.OAuthError("server_error").On(idp.CIBA))
		r, who := p.request()
		_, err := p.approver().Ask(r, who, pay("20"))
		var e *pages.Error
		if !errors.As(err, &e) || e.Code != codeProviderDown && e.Code != codeProviderBad {
			t.Errorf("%v", err)
		}
		if a := p.ask(pay("20")); a.Status != approval.Pending {
			t.Errorf("%+v", a)
		}
	})
}

func TestAnApprovalLastsOverARefreshOfTheSession(t *testing.T) {
	for name, inCookie := range map[string]bool{"in the store": false, "in cookies": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newPayer(t, Login{}, func(p *plan) {
					p.sessions = func(c *sessions.Config) { c.InCookie = inCookie }
				})
				time.Sleep(2 * time.Minute)
				a := p.ask(pay("20"))
				if page := p.b.Fetch(t, app+"/", http.MethodPost, app+"/oauth2/session/refresh", nil); page.Status != http.StatusOK {
					t.Fatalf("%d %s", page.Status, page.Body)
				}
				p.w.approve(t)
				if s := p.until(a.ID); s != approval.Approved || !p.spend(a.ID) {
					t.Error(s)
				}
			})
		})
	}
}

// An approval lies in the store, and nowhere else: a process that ends in the middle loses nothing.
func TestAnApprovalOutlivesTheProcess(t *testing.T) {
	path := t.TempDir() + "/shared.db"
	open := func() *store.Bolt { return must(store.OpenBolt(store.BoltConfig{Path: path}, store.Deps{}))(t) }
	p := newPayer(t, Login{})
	disk := open()
	p.gateway().flows.deps.Shared = disk
	q := pay("20")
	q.Held = []byte("amount=20")
	a := p.ask(q)
	if err := disk.Close(); err != nil {
		t.Fatal(err)
	}
	disk = open()
	t.Cleanup(func() { _ = disk.Close() })
	next := p.at(1)
	p.w.replica(t)
	next.gateway().flows.deps.Shared = disk
	if s := next.status(a.ID); s != approval.Pending {
		t.Error(s)
	}
	if again := next.ask(q); again.ID != a.ID {
		t.Error("the person is asked again")
	}
	r, who := next.request()
	if held := must(next.approver().Held(r, who, a.ID))(t); string(held) != "amount=20" {
		t.Errorf("%q", held)
	}
}
