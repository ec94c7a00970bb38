package telemetry

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/doorward/doorward/internal/identity"
	"github.com/doorward/doorward/internal/testnet"
)

var auditKey = bytes.Repeat([]byte{7}, 32)

func newAudit(t testing.TB, c AuditConfig, m *Metrics, log *slog.Logger) *Audit {
	t.Helper()
	a, err := NewAudit(c, auditKey, m, log)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func alice() *identity.Identity {
	return &identity.Identity{Issuer: "https://sso.test", Subject: "8f2c", Provider: "corp", Login: "staff", Email: "alice@example.com", Username: "alice", Session: "s1", ACR: "mfa", AMR: []string{"pwd", "otp"}}
}

func decoded(t testing.TB, text []byte) (events []map[string]any) {
	t.Helper()
	for line := range bytes.Lines(text) {
		var e map[string]any
		if err := json.Unmarshal(line, &e); err != nil {
			t.Fatalf("%v in %q", err, line)
		}
		events = append(events, e)
	}
	return events
}

func TestAnEventIsALineWithWhoWhatWhereAndWhy(t *testing.T) {
	a := newAudit(t, AuditConfig{To: "stdout"}, nil, slog.New(slog.DiscardHandler))
	at := scene{reference: "7F3KQ2", trace: "0af7651916cd43dd8448eb211c80319c", client: "203.0.113.7", agent: "curl/8", method: "GET", host: "app.test", path: "/x", route: "app", rule: "allow[0]"}
	e := decoded(t, a.line(&Event{Name: EventLogin, Outcome: OK, Flow: "device", Who: alice(), Scopes: []string{"a", "b"}}, &at, time.Unix(1, 0)))[0]
	want := map[string]any{
		"time": "1970-01-01T00:00:01Z", "event": "login", "outcome": "ok", "reference": "7F3KQ2", "trace_id": at.trace, "session": "s1", "flow": "device", "login": "staff",
		"provider": "corp", "acr": "mfa", "amr": "[pwd otp]", "scopes": "[a b]", "client": "203.0.113.7", "method": "GET", "host": "app.test", "path": "/x", "route": "app", "rule": "allow[0]", "user_agent": "curl/8",
		"who": "map[email:alice@example.com iss:https://sso.test name:alice sub:8f2c]",
	}
	line(e).expect(t, want)
	if len(e) != len(want) {
		t.Errorf("%v", e)
	}
}

func TestHashesNamePeopleAlikeAndNobodyElse(t *testing.T) {
	a := newAudit(t, AuditConfig{To: "stdout", Privacy: "hash"}, nil, slog.New(slog.DiscardHandler))
	other, err := NewAudit(AuditConfig{To: "stdout", Privacy: "hash"}, bytes.Repeat([]byte{8}, 32), nil, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	name := func(a *Audit, iss, sub string) string {
		e := decoded(t, a.line(&Event{Who: &identity.Identity{Issuer: iss, Subject: sub}}, &scene{client: sub}, time.Now()))[0]
		return fmt.Sprint(e["who"], e["client"])
	}
	one := name(a, "https://i", "s")
	if one != name(a, "https://i", "s") || one == name(a, "https://i", "t") || name(a, "ab", "c") == name(a, "a", "bc") || one == name(other, "https://i", "s") {
		t.Error("hashes don't tell people apart")
	}
	if _, err := NewAudit(AuditConfig{To: "stdout", Privacy: "hash"}, nil, nil, nil); err == nil {
		t.Error("hashes without a key")
	}
}

func TestAddressesOfPrivacySubjectAreNetworks(t *testing.T) {
	a := newAudit(t, AuditConfig{To: "stdout", Privacy: "subject"}, nil, slog.New(slog.DiscardHandler))
	for address, want := range map[string]string{"203.0.113.77": "203.0.113.0/24", "2001:db8:1:2::3": "2001:db8:1::/48", "::ffff:203.0.113.77": "203.0.113.0/24", "": "", "nonsense": ""} {
		if got := a.address(address); got != want {
			t.Errorf("%s: %q, want %q", address, got, want)
		}
	}
}

func TestP190NothingThatAClientWroteBreaksAnAuditLine(t *testing.T) {
	a := newAudit(t, AuditConfig{To: "stdout"}, nil, slog.New(slog.DiscardHandler))
	evil := "a\r\n{\"event\":\"login\"}\x1b[31m\u202e\"\\" + strings.Repeat("x", 5000)
	who := alice()
	who.Email, who.Username = evil, evil
	text := a.line(&Event{Name: EventDeny, Outcome: Denied, Code: evil, Reason: evil, Who: who, Audience: []string{evil}}, &scene{path: evil, agent: evil, method: evil, host: evil}, time.Now())
	if bytes.Count(text, []byte("\n")) != 1 || bytes.ContainsAny(text, "\x1b\u202e\r") || len(text) > 8000 {
		t.Errorf("%d bytes: %q", len(text), text)
	}
	decoded(t, text)
}

func TestAuditLinesReachTheFileInTheirOrderAndItIsMadeAnewWhenItWasRenamed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	a := newAudit(t, AuditConfig{To: path}, nil, slog.New(slog.DiscardHandler))
	if err := a.Open(nil); err != nil {
		t.Fatal(err)
	}
	for i := range 1000 {
		a.write(&Event{Name: EventAdmin, Reason: fmt.Sprint(i)}, &scene{}, time.Now())
	}
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(10 * time.Second)
	for n := 1000; ; n++ {
		a.write(&Event{Name: EventAdmin, Reason: fmt.Sprint(n)}, &scene{}, time.Now())
		if _, err := os.Stat(path); err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the file was not made anew")
		}
		time.Sleep(5 * time.Millisecond)
	}
	a.Close()
	old, err := os.ReadFile(path + ".1")
	fresh, err2 := os.ReadFile(path)
	if err != nil || err2 != nil {
		t.Fatal(err, err2)
	}
	events := decoded(t, append(old, fresh...))
	for i, e := range events {
		if e["reason"] != fmt.Sprint(i) {
			t.Fatalf("line %d is %v", i, e)
		}
	}
	if len(events) < 1001 {
		t.Errorf("%d lines", len(events))
	}
}

// broken is a disk that is full, or hangs, until it is mended.
type broken struct {
	mu   sync.Mutex
	text bytes.Buffer
	fail bool
	hang chan struct{}
}

func (b *broken) write(p []byte) (int, error) {
	if b.hang != nil {
		<-b.hang
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.fail {
		n, _ := b.text.Write(p[:len(p)/2])
		return n, errors.New("no space left on device")
	}
	return b.text.Write(p)
}
func (*broken) close() {}

func TestADiskThatHangsHoldsNobodyUpForLongAndTheGapStandsInTheLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, log := newMetrics(), &testnet.Output{}
		a := newAudit(t, AuditConfig{To: "stdout"}, m, logger(t, LogConfig{Format: "json"}, log))
		disk := &broken{hang: make(chan struct{})}
		a.queue.start(disk)
		event := func(i int) { a.write(&Event{Name: EventAdmin, Reason: fmt.Sprint(i)}, &scene{}, time.Now()) }
		began := time.Now()
		for i := range auditLines + 2000 {
			event(i)
		}
		if waited := time.Since(began); waited > 2*auditPatience {
			t.Errorf("2000 requests waited for %s", waited)
		}
		close(disk.hang)
		synctest.Wait()
		event(1_000_000)
		synctest.Wait()
		a.Close()
		events := decoded(t, disk.text.Bytes())
		lost, written := 0.0, 0
		for _, e := range events {
			if e["outcome"] == "lost" {
				lost += e["count"].(float64)
			} else {
				written++
			}
		}
		if written+int(lost) != auditLines+2001 || lost == 0 {
			t.Errorf("%d written and %v lost of %d", written, lost, auditLines+2001)
		}
		if n := scrape(t, m)["doorward_audit_lost_total"]; n != fmt.Sprint(lost) {
			t.Errorf("%s are counted as lost, %v are", n, lost)
		}
		if strings.Count(log.String(), "events are lost") != 1 {
			t.Errorf("the log does not say it once: %s", log)
		}
	})
}

func TestAFullDiskLosesNothingThatFitsIntoTheQueueAndBreaksNoLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &testnet.Output{}
		a := newAudit(t, AuditConfig{To: "stdout"}, nil, logger(t, LogConfig{Format: "json"}, log))
		disk := &broken{fail: true}
		a.queue.start(disk)
		for i := range 100 {
			a.write(&Event{Name: EventAdmin, Reason: fmt.Sprint(i)}, &scene{}, time.Now())
		}
		time.Sleep(5 * time.Second)
		disk.mu.Lock()
		disk.fail = false
		disk.mu.Unlock()
		time.Sleep(2 * auditRetry)
		a.Close()
		if events := decoded(t, disk.text.Bytes()); len(events) != 100 || events[99]["reason"] != "99" {
			t.Errorf("%d events", len(events))
		}
		if strings.Count(log.String(), "cannot be written") != 1 || !strings.Contains(log.String(), "written again") {
			t.Errorf("%s", log)
		}
	})
}

func TestAProcessEndsThoughItsAuditLogCannotBeWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAudit(t, AuditConfig{To: "stdout"}, nil, slog.New(slog.DiscardHandler))
		a.queue.start(&broken{fail: true})
		a.write(&Event{Name: EventAdmin}, &scene{}, time.Now())
		began := time.Now()
		a.Close()
		a.Close()
		if d := time.Since(began); d > 2*auditLast {
			t.Errorf("it took %s", d)
		}
		a.write(&Event{Name: EventAdmin}, &scene{}, time.Now()) // after the end: lost, and no panic
	})
}

func TestDenialsOfNobodyAreBoundedAndCounted(t *testing.T) {
	a := newAudit(t, AuditConfig{To: "stdout"}, nil, slog.New(slog.DiscardHandler))
	disk := &broken{}
	now := time.Unix(1000, 0)
	for range 3000 {
		a.write(&Event{Name: EventDeny, Outcome: Denied}, &scene{}, now)
		a.write(&Event{Name: EventDeny, Outcome: Denied, Who: alice()}, &scene{}, now.Add(time.Millisecond))
		if len(a.queue.lines) > auditLines-10 {
			break
		}
	}
	known := len(a.queue.lines) - maxFlood
	a.write(&Event{Name: EventDeny, Outcome: Denied}, &scene{}, now.Add(time.Second))
	a.queue.start(disk)
	a.Close()
	count, whole := 0.0, 0
	for _, e := range decoded(t, disk.text.Bytes()) {
		switch {
		case e["count"] != nil:
			count += e["count"].(float64)
		case e["who"] != nil:
			whole++
		}
	}
	if whole != known || count == 0 || int(count) != known-maxFlood {
		t.Errorf("%d of %d denials of somebody, and %v counted", whole, known, count)
	}
}

func TestRefusalsAreDenialsAndSignInsAreNot(t *testing.T) {
	for name, c := range map[string]struct {
		rec  Record
		want string
	}{
		"allowed":           {Record{Outcome: "allow", Status: 200}, ""},
		"upstream's 403":    {Record{Outcome: "allow", Status: 403}, ""},
		"refused":           {Record{Outcome: "deny", Status: 403, Code: "access_denied"}, "denied"},
		"bad token":         {Record{Outcome: "login", Status: 401, Code: "invalid_token"}, "denied"},
		"nobody":            {Record{Outcome: "login", Status: 401, Code: "login_required"}, ""},
		"sent to the login": {Record{Outcome: "login", Status: 302}, ""},
		"store down":        {Record{Outcome: "unavailable", Status: 503, Code: "store_unavailable"}, ""},
		"too many":          {Record{Status: 429, Code: "too_many_requests"}, "denied"},
		"dry run":           {Record{Outcome: "allow", Status: 200, WouldDeny: "allow[0]"}, "would_deny"},
		"told already":      {Record{Outcome: "own", Status: 403, Code: "login_denied", told: true}, ""},
		"no route":          {Record{Status: 404, Code: "no_route"}, ""},
	} {
		a := newAudit(t, AuditConfig{To: "stdout"}, nil, slog.New(slog.DiscardHandler))
		disk := &broken{}
		(&Signals{Audit: a}).ended(&c.rec, &http.Request{Header: http.Header{}}, time.Now())
		a.queue.start(disk)
		a.Close()
		got := ""
		if e := decoded(t, disk.text.Bytes()); len(e) == 1 {
			got = e[0]["outcome"].(string)
		}
		if got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}
