package flows

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/doorward/doorward/demo/idp"
	"github.com/doorward/doorward/internal/approval"
	"github.com/doorward/doorward/internal/identity"
	"github.com/doorward/doorward/internal/pages"
	"github.com/doorward/doorward/sessions/store"
)

func TestAnApprovalIsThereForItsCallerOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPayer(t, Login{})
		a := p.ask(pay("20"))
		same := &payer{T: t, w: p.w, b: p.w.signedIn(t, app+"/")} // alice, in another browser
		if s := same.status(a.ID); s != "none" {
			t.Errorf("another session of the same person finds %s", s)
		}
		if other := same.ask(pay("20")); other.ID == a.ID {
			t.Error("another session shares the approval of the same request")
		}
		r, who := p.request()
		mallory := &identity.Identity{Issuer: who.Issuer, Subject: "mallory", Provider: who.Provider, Tokens: who.Tokens}
		if got, err := p.approver().Find(r, mallory, a.ID); got != nil || err == nil {
			t.Errorf("another person finds %+v, %v", got, err)
		}
		r.Header.Del("Cookie")
		r.Header.Set("Authorization", "Bearer dw1.x")
		if got, err := p.approver().Find(r, who, a.ID); got != nil || err != nil {
			t.Errorf("another proof finds %+v, %v", got, err)
		}
		if got, err := p.approver().Held(r, who, a.ID); got != nil || err != nil {
			t.Errorf("%q, %v", got, err)
		}
		for _, id := range []string{"", "x", a.ID + "A", a.ID[1:], strings.Repeat("A", 22), a.ID[:21] + "\n", "../" + a.ID} {
			if s := p.status(id); s != "none" {
				t.Errorf("%q finds %s", id, s)
			}
		}
		l := *p.approver().l
		l.name = "another"
		r, who = p.request()
		if got, err := (&Approver{p.gateway().flows, &l}).Find(r, who, a.ID); got != nil || err != nil {
			t.Errorf("another login finds %+v, %v", got, err)
		}
		if s := p.status(a.ID); s != approval.Pending {
			t.Error(s)
		}
	})
}

func TestAnotherPersonsConsentIsNone(t *testing.T) {
	for _, delivery := range []string{"poll", "push"} {
		t.Run(delivery, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newPayer(t, Login{Delivery: delivery})
				a := p.ask(pay("20"))
				sin := map[string]string{"poll": "ciba_other_sub", "push": "push_other_sub"}[delivery]
				p.w.idp.Misbehave(idp.Named(sin))
				p.w.approve(t)
				if s := p.until(a.ID); s != approval.Denied {
					t.Errorf("%s", s)
				}
				if p.spend(a.ID) {
					t.Error("used")
				}
			})
		})
	}
}

func TestWhoCannotBeAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPayer(t, Login{})
		r, who := p.request()
		for name, change := range map[string]func(*identity.Identity){
			"another provider": func(i *identity.Identity) { i.Provider = "other" },
			"a machine":        func(i *identity.Identity) { i.Machine = true },
			"nobody":           func(i *identity.Identity) { i.Subject = "" },
		} {
			changed := &identity.Identity{Issuer: who.Issuer, Subject: who.Subject, Provider: who.Provider, Username: who.Username}
			change(changed)
			var e *pages.Error
			if _, err := p.approver().Ask(r, changed, pay("1")); !errors.As(err, &e) || e.Code != codeAccessDenied {
				t.Errorf("%s: %v", name, err)
			}
		}
		if n := p.w.idp.Count(idp.CIBA); n != 0 {
			t.Errorf("%d questions", n)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		p := newPayer(t, Login{})
		p.w.idp.Misbehave(idp.Named("ciba_request_unknown_user_id"))
		p.refused(pay("1"), codeAccessDenied)
	})
}

func TestCD6PendingApprovalsOfAPersonAreFew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPayer(t, Login{})
		other := &payer{T: t, w: p.w, b: p.w.signedIn(t, app+"/")} // the limit is the person's
		var first *approval.Approval
		for i := range maxApprovals {
			time.Sleep(time.Second)
			who := p
			if i%2 == 1 {
				who = other
			}
			if a := who.ask(pay(fmt.Sprint(i))); first == nil {
				first = a
			}
		}
		p.refused(pay("99"), codeTooMany)
		if n := p.w.idp.Count(idp.CIBA); n != maxApprovals {
			t.Errorf("%d questions", n)
		}
		must(p.w.idp.DenyCIBA(t.Context(), p.w.idp.PendingCIBA("alice")[0].ID))(t)
		if s := p.until(first.ID); s != approval.Denied {
			t.Error(s)
		}
		p.ask(pay("99")) // a place is free again
		p.refused(pay("100"), codeTooMany)
		time.Sleep(3 * time.Minute)
		for range 50 { // and nobody is asked without end, however fast they refuse
			r, who := p.request()
			a, err := p.approver().Ask(r, who, pay("7"))
			if err != nil {
				break
			}
			for _, q := range p.w.idp.PendingCIBA("alice") {
				must(p.w.idp.DenyCIBA(t.Context(), q.ID))(t)
			}
			time.Sleep(5 * time.Second)
			p.status(a.ID)
		}
		if n := p.w.idp.Count(idp.CIBA); n > 2*approvalsInAWindow {
			t.Errorf("%d questions", n)
		}
	})
}

type swapping struct {
	store.Store
	before, after bool
}

func (s *swapping) Swap(ctx context.Context, key string, old uint64, value []byte, ttl time.Duration) (bool, error) {
	if s.before {
		return false, fmt.Errorf("test: %w", store.ErrUnavailable)
	}
	done, err := s.Store.Swap(ctx, key, old, value, ttl)
	if s.after {
		return false, fmt.Errorf("test: %w", store.ErrUnavailable)
	}
	return done, err
}

func TestAFailingStoreNeverLetsARequestPassTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPayer(t, Login{})
		a := p.ask(pay("20"))
		p.w.approve(t)
		if s := p.until(a.ID); s != approval.Approved {
			t.Fatal(s)
		}
		frail := &swapping{Store: p.w.shared, before: true}
		p.gateway().flows.deps.Shared = frail
		if ok, err := p.approver().Spend(t.Context(), a.ID); ok || err == nil {
			t.Errorf("%v, %v", ok, err)
		}
		p.w.shared.down.Store(true)
		r, who := p.request()
		for what, err := range map[string]error{
			"find": failure(p.approver().Find(r, who, a.ID)), "spend": failure(p.approver().Spend(t.Context(), a.ID)), "ask": failure(p.approver().Ask(r, who, pay("1"))), "held": failure(p.approver().Held(r, who, a.ID)),
		} {
			var e *pages.Error
			if !errors.As(err, &e) || e.Code != codeStore {
				t.Errorf("%s: %v", what, err)
			}
		}
		p.w.shared.down.Store(false)
		frail.before, frail.after = false, true
		if ok, err := p.approver().Spend(t.Context(), a.ID); ok || err == nil { // written, and nobody knows
			t.Errorf("%v, %v", ok, err)
		}
		frail.after = false
		if p.spend(a.ID) {
			t.Error("used a second time")
		}
		if s := p.status(a.ID); s != approval.Used {
			t.Error(s)
		}
	})
}

func failure[T any](_ T, err error) error { return err }

func TestFiftyAtOnceUseAnApprovalOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPayer(t, Login{})
		p.w.replica(t)
		a := p.ask(pay("20"))
		p.w.approve(t)
		time.Sleep(6 * time.Second)
		var wg sync.WaitGroup
		var mu sync.Mutex
		used, approved := 0, 0
		for i := range 50 {
			wg.Go(func() {
				who := p.at(i % 2)
				s := who.status(a.ID)
				ok := who.spend(a.ID)
				mu.Lock()
				defer mu.Unlock()
				if ok {
					used++
				}
				if s == approval.Approved {
					approved++
				}
			})
		}
		wg.Wait()
		if used != 1 || approved == 0 {
			t.Errorf("used %d times, approved for %d", used, approved)
		}
		if n := len(p.w.asked(idp.GrantCIBA)); n != 1 {
			t.Errorf("%d token requests", n)
		}
	})
}

// keyed notes under which keys something was written.
type keyed struct {
	store.Store
	mu   sync.Mutex
	keys map[string]bool
}

func (k *keyed) note(key string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.keys[key] = true
}

func (k *keyed) Put(ctx context.Context, key string, value []byte, ttl time.Duration, index ...string) error {
	k.note(key)
	return k.Store.Put(ctx, key, value, ttl, index...)
}

func (k *keyed) Swap(ctx context.Context, key string, old uint64, value []byte, ttl time.Duration) (bool, error) {
	k.note(key)
	return k.Store.Swap(ctx, key, old, value, ttl)
}

func TestS18ARequestThatIsRefusedForItsNumberLeavesNothingInTheStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPayer(t, Login{})
		for i := range maxApprovals {
			time.Sleep(time.Second)
			p.ask(pay(fmt.Sprint(i)))
		}
		k := &keyed{Store: p.w.shared, keys: make(map[string]bool)}
		p.gateway().flows.deps.Shared = k
		for i := range 3 * approvalsInAWindow {
			p.refused(pay(fmt.Sprint("x", i)), codeTooMany)
		}
		for key := range k.keys {
			t.Errorf("written: %s", key)
		}
		if a := p.ask(pay("0")); a.Status != approval.Pending { // what waits is found all the same
			t.Errorf("%+v", a)
		}
	})
}

func TestADeniedRequestIsNotKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPayer(t, Login{})
		q := pay("20")
		q.Held = []byte("a form")
		a := p.ask(q)
		r, who := p.request()
		if held := must(p.approver().Held(r, who, a.ID))(t); string(held) != "a form" {
			t.Fatalf("%q", held)
		}
		must(p.w.idp.DenyCIBA(t.Context(), p.w.idp.PendingCIBA("alice")[0].ID))(t)
		if s := p.until(a.ID); s != approval.Denied {
			t.Fatal(s)
		}
		if held := must(p.approver().Held(r, who, a.ID))(t); held != nil {
			t.Errorf("%q", held)
		}
	})
}
