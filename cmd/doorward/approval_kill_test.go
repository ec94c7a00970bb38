package main

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/doorward/doorward/internal/testnet"
)

// run starts the gateway as a process of its own, which kill ends as a crash would.
func (s *stack) run() (kill func()) {
	s.t.Helper()
	log := &testnet.Output{}
	cmd := program("serve", "--config", s.path())
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { crash(cmd) })
	deadlineLoop(s.t, func() bool { return strings.Count(log.String(), `"msg":"listening"`) == 2 })
	return func() { crash(cmd) }
}

func crash(cmd *exec.Cmd) {
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
}

// The moment that matters lies between the mark in the store and the answer of the application: the
// application has the request, and nobody can tell the caller so.
func TestACrashWhileAnApprovedPaymentIsOnItsWayNeverSendsItTwice(t *testing.T) {
	for _, who := range []string{"program", "browser"} {
		t.Run(who, func(t *testing.T) {
			s := newPayStack(t)
			if err := s.stop(); err != nil {
				t.Fatal(err)
			}
			var payments atomic.Int32
			arrived := make(chan struct{}, 10)
			till := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Method != http.MethodPost {
					return
				}
				_, _ = io.Copy(io.Discard, r.Body)
				payments.Add(1)
				arrived <- struct{}{}
				<-r.Context().Done() // until the gateway is gone
			}))
			t.Cleanup(till.Close)
			s.write(strings.ReplaceAll(s.toml, s.app.URL, till.URL))
			kill := s.run()

			b := s.browser()
			s.signedIn(b, "/form", "alice", "wonderland-9")
			form := url.Values{"amount": {"20"}, "to": {"bob"}}
			address, body, header := s.origin+"/payments", form, http.Header{"Sec-Fetch-Site": {"same-origin"}}
			if who == "browser" {
				address, body = b.Post(t, s.origin+"/form", address, form).URL.String(), nil
			} else {
				var problem struct{ Approval struct{ ID string } }
				asked := b.Fetch(t, s.origin+"/", http.MethodPost, address, form)
				if err := json.Unmarshal([]byte(asked.Body), &problem); err != nil || problem.Approval.ID == "" {
					t.Fatalf("%d %s", asked.Status, asked.Body)
				}
				header.Set("Doorward-Approval", problem.Approval.ID)
			}
			kill() // while the phone rings: nothing is lost
			kill = s.run()
			s.agree()
			status := make(chan int, 1)
			go func() { status <- s.post(b, address, body, header) }()
			select {
			case <-arrived:
			case got := <-status:
				t.Fatalf("it did not reach the till: %d", got)
			}
			kill()
			if got := <-status; got != 0 {
				t.Errorf("a process that was killed answered %d", got)
			}
			s.run()
			for range 3 {
				if got := s.post(b, address, body, header); got != http.StatusConflict {
					t.Errorf("sent again: %d", got)
				}
			}
			if n := payments.Load(); n != 1 {
				t.Errorf("%d payments arrived", n)
			}
		})
	}
}

// post sends what a page or a program of the browser's would, and returns 0 if no answer came.
func (s *stack) post(b *testnet.Browser, address string, form url.Values, header http.Header) int {
	r, err := http.NewRequest(http.MethodPost, address, strings.NewReader(form.Encode()))
	if err != nil {
		return -1
	}
	r.Header = header.Clone()
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for _, name := range b.Jar.Names(s.origin) {
		r.AddCookie(&http.Cookie{Name: name, Value: b.Jar.Get(s.origin, name)})
	}
	res, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(r)
	if err != nil {
		return 0
	}
	_ = res.Body.Close()
	return res.StatusCode
}
