package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/doorward/doorward/demo/idp"
	"github.com/doorward/doorward/internal/testnet"
)

// auditFromNow turns the audit log on by a reload, and returns how to read it when the process has ended.
func (s *stack) auditFromNow() (read func() []map[string]any) {
	s.t.Helper()
	file := filepath.Join(s.dir, "audit.jsonl")
	s.toml = strings.Replace(s.toml, "[telemetry]\n", fmt.Sprintf("[telemetry]\naudit = { to = %q }\n", file), 1)
	s.write(s.toml)
	if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
		s.t.Fatal(err)
	}
	deadlineLoop(s.t, func() bool { return len(s.lines("configuration reloaded")) > 0 })
	return func() (events []map[string]any) {
		s.t.Helper()
		if err := s.stop(); err != nil {
			s.t.Fatal(err)
		}
		text, err := os.ReadFile(file)
		if err != nil {
			s.t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			var e map[string]any
			if err := json.Unmarshal([]byte(line), &e); err != nil {
				s.t.Fatalf("%v in %q", err, line)
			}
			events = append(events, e)
		}
		return events
	}
}

// oneOf expects one event with these values, and with all of these keys.
func oneOf(t *testing.T, events []map[string]any, want map[string]any, keys ...string) {
	t.Helper()
	found := having(events, want)
	if len(found) != 1 {
		t.Errorf("%d events are %v: %v", len(found), want, events)
		return
	}
	for _, k := range keys {
		if found[0][k] == nil {
			t.Errorf("no %s in %v", k, found[0])
		}
	}
}

// pay asks for a payment and returns the approval that it waits for.
func (s *stack) pay(b *testnet.Browser) (id string) {
	s.t.Helper()
	page := b.Fetch(s.t, s.origin+"/", http.MethodPost, s.origin+"/payments", url.Values{"amount": {"20"}})
	var problem struct{ Approval struct{ ID string } }
	if err := json.Unmarshal([]byte(page.Body), &problem); err != nil || problem.Approval.ID == "" {
		s.t.Fatalf("%d %s", page.Status, page.Body)
	}
	return problem.Approval.ID
}

func TestApprovalsLeaveWhoSaidYesAndWhoSaidNo(t *testing.T) {
	s := newPayStack(t)
	read := s.auditFromNow()
	b := s.browser()
	s.signedIn(b, "/", "alice", "wonderland-9")
	poll := func(id, status string) {
		t.Helper()
		deadlineLoop(t, func() bool {
			return strings.Contains(b.Fetch(t, s.origin+"/", http.MethodGet, s.origin+"/oauth2/approval/"+id, nil).Body, `"status":"`+status+`"`)
		})
	}
	yes := s.pay(b)
	s.agree()
	poll(yes, "approved")
	b.Header.Set("Doorward-Approval", yes)
	if page := b.Fetch(t, s.origin+"/", http.MethodPost, s.origin+"/payments", url.Values{"amount": {"20"}}); page.Status != 200 {
		t.Fatalf("%d %s", page.Status, page.Body)
	}
	b.Header.Del("Doorward-Approval")

	no := s.pay(b)
	if _, err := s.idp.DenyCIBA(t.Context(), s.idp.PendingCIBA("alice")[0].ID); err != nil {
		t.Fatal(err)
	}
	poll(no, "denied")
	events := read()
	oneOf(t, events, map[string]any{"event": "approval", "outcome": "ok", "reason": "approved", "flow": "ciba", "login": "phone"}, "who", "reference", "client")
	oneOf(t, events, map[string]any{"event": "approval", "outcome": "ok", "reason": "sent", "path": "/payments", "method": "POST", "client": "127.0.0.1"}, "reference")
	oneOf(t, events, map[string]any{"event": "approval", "outcome": "denied", "reason": "denied"}, "who")
	if n := len(having(events, map[string]any{"event": "login", "outcome": "failed"})); n != 0 {
		t.Errorf("%d approvals are told as logins", n)
	}
}

func TestALoginOnAnotherDeviceThatIsDeniedLeavesAnEvent(t *testing.T) {
	t.Setenv("XDG_STATE_HOME", t.TempDir())
	s := forPrograms(t)
	read := s.auditFromNow()
	var out, errs testnet.Output
	done := make(chan int, 1)
	go func() { done <- run(context.Background(), []string{"login", s.origin}, &out, &errs) }()
	deadlineLoop(t, func() bool { return len(s.idp.PendingDevices()) == 1 })
	if err := s.idp.DenyDevice(s.idp.PendingDevices()[0].UserCode); err != nil {
		t.Fatal(err)
	}
	if status := <-done; status != exitRun {
		t.Fatalf("%d %s", status, errs.String())
	}
	oneOf(t, read(), map[string]any{"event": "login", "outcome": "failed", "code": "login_denied", "flow": "device", "login": "tv", "provider": "corp", "client": "127.0.0.1", "path": "/oauth2/device/poll"}, "reference")
}

func TestASessionThatItsProviderEndsLeavesARefusalAndALogout(t *testing.T) {
	s, _ := audited(t, "full", "")
	s.start()
	b := s.browser()
	s.signedIn(b, "/", "alice", "wonderland-9")
	s.idp.Misbehave(idp.OAuthError("invalid_grant").On("token"))
	b.Fetch(t, "", http.MethodPost, s.origin+"/oauth2/session/refresh", nil)
	text := s.metrics()
	for _, want := range []string{`doorward_logouts_total{reason="refresh_refused"} 1`, `doorward_refreshes_total{provider="corp",result="refused"} 1`} {
		if !strings.Contains(text, want) {
			t.Errorf("no %s", want)
		}
	}
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(filepath.Join(s.dir, "audit.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	var events []map[string]any
	for line := range strings.Lines(string(raw)) {
		var e map[string]any
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatal(err)
		}
		events = append(events, e)
	}
	oneOf(t, events, map[string]any{"event": "refresh", "outcome": "refused", "client": "127.0.0.1", "path": "/oauth2/session/refresh"}, "who", "session", "reference", "reason")
	oneOf(t, events, map[string]any{"event": "logout", "reason": "refresh_refused", "client": "127.0.0.1"}, "who", "session", "reference")
}

// As in a container: events on the standard output, everything else on the standard error, JSON lines in both.
func TestTheAuditLogOnStandardOutputIsApartFromTheLog(t *testing.T) {
	reading, writing, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	var out testnet.Output
	read := make(chan struct{})
	go func() { defer close(read); _, _ = io.Copy(&out, reading) }()
	s := newStack(t, "")
	s.toml = strings.Replace(s.toml, "[telemetry]\n", "[telemetry]\naudit = { to = \"stdout\", privacy = \"hash\" }\n", 1)
	terminal := os.Stdout
	os.Stdout = writing
	s.start() // by then it has been asked for
	os.Stdout = terminal
	s.signedIn(s.browser(), "/", "alice", "wonderland-9")
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	writing.Close()
	<-read
	for name, stream := range map[string]string{"output": out.String(), "error": s.log.String()} {
		n := 0
		for line := range strings.Lines(stream) {
			var e map[string]any
			if err := json.Unmarshal([]byte(line), &e); err != nil {
				t.Fatalf("standard %s: %v in %q", name, err, line)
			}
			if n++; (e["event"] != nil) != (name == "output") {
				t.Errorf("on standard %s: %v", name, e)
			}
		}
		if n < 3 {
			t.Errorf("%d lines on standard %s", n, name)
		}
	}
}
