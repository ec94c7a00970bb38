package main

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/doorward/doorward/demo/idp"
	"github.com/doorward/doorward/internal/testnet"
)

// audited makes a stack with an audit log in a file, and returns how to read it.
func audited(t *testing.T, privacy, extra string, change ...func(*idp.Config)) (s *stack, read func() []map[string]any) {
	t.Helper()
	s = newStack(t, extra, change...)
	file := filepath.Join(s.dir, "audit.jsonl")
	s.toml = strings.Replace(s.toml, "[telemetry]\n", fmt.Sprintf("[telemetry]\naudit = { to = %q, privacy = %q }\n", file, privacy), 1)
	return s, func() (events []map[string]any) {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			var e map[string]any
			if err := json.Unmarshal([]byte(line), &e); err != nil {
				t.Fatalf("%v in %q", err, line)
			}
			events = append(events, e)
		}
		return events
	}
}

// having returns the events whose keys have these values.
func having(events []map[string]any, keys map[string]any) (found []map[string]any) {
	for _, e := range events {
		all := true
		for k, v := range keys {
			all = all && fmt.Sprint(e[k]) == fmt.Sprint(v)
		}
		if all {
			found = append(found, e)
		}
	}
	return found
}

const everything = `accept = ["session", "token", "basic"]
login = ["staff", "legacy"]
credential = "orders"
allow = [{ groups = ["staff"] }]
[[route]]
name = "trial"
host = "HOST"
path = "/trial"
upstream = ["APP"]
dry_run = true
allow = [{ groups = ["nobody"] }]
[login.staff]
flow = "authorization_code"
[login.legacy]
flow = "password"
form = false
[credential.orders]
flow = "token_exchange"
audience = ["doorward"]
`

func withEverything(t *testing.T, privacy string) (*stack, func() []map[string]any) {
	s, read := audited(t, privacy, everything)
	s.toml = strings.NewReplacer("HOST", s.origin, "APP", s.app.URL, "credential = \"session\"\n", "").Replace(s.toml)
	return s, read
}

// driveEverything causes every event there is.
func driveEverything(t *testing.T, s *stack) *testnet.Browser {
	t.Helper()
	b := s.browser()
	s.signedIn(b, "/first?code=in-the-query", "alice", "wonderland-9")
	b.Open(t, s.origin+"/trial/x")
	b.Fetch(t, "", http.MethodPost, s.origin+"/oauth2/session/refresh", nil)

	made := b.Fetch(t, "", http.MethodPost, s.origin+"/oauth2/tokens", url.Values{"name": {"laptop"}})
	var answer struct{ ID, Token string }
	if err := json.Unmarshal([]byte(made.Body), &answer); err != nil || answer.ID == "" {
		t.Fatalf("no personal token: %v %d %s", err, made.Status, made.Body)
	}
	b.Fetch(t, "", http.MethodPost, s.origin+"/oauth2/tokens", url.Values{"revoke": {answer.ID}})

	basic := func(user, password string) {
		req, _ := http.NewRequest(http.MethodGet, s.origin+"/git", nil)
		req.SetBasicAuth(user, password)
		if res, err := http.DefaultClient.Do(req); err == nil {
			res.Body.Close()
		}
	}
	basic("alice", "wonderland-9")
	basic("alice", "wrong-password-77")
	s.signedIn(s.browser(), "/x", "bob", "builder-9") // 403
	s.idp.Misbehave(idp.Claim("nonce", "other"))
	s.signedIn(s.browser(), "/fails", "alice", "wonderland-9")
	s.idp.Heal()
	b.Open(t, s.origin+"/oauth2/sign_out")
	return b
}

func TestEveryEventOfTheAuditLogIsWrittenByTheRealProgram(t *testing.T) {
	s, read := withEverything(t, "full")
	s.start()
	driveEverything(t, s)

	// A reload that works and one that does not; then a refresh that the provider refuses.
	s.write(s.toml + "\n[tokens]\nmax_lifetime = \"100h\"\n")
	deadlineLoop(t, func() bool { return len(s.lines("configuration reloaded")) > 0 })
	s.write(s.toml + "\n[nonsense]\n")
	deadlineLoop(t, func() bool { return len(s.lines("the configuration was not reloaded, the old one stays")) > 0 })
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	events := read()
	for name, want := range map[string]map[string]any{
		"login":         {"event": "login", "outcome": "ok", "login": "staff", "flow": "authorization_code", "provider": "corp", "client": "127.0.0.1", "method": "GET", "path": "/oauth2/callback"},
		"basic login":   {"event": "login", "outcome": "ok", "login": "legacy", "flow": "password", "path": "/git"},
		"failed login":  {"event": "login", "outcome": "failed", "code": "login_failed", "login": "staff", "flow": "authorization_code"},
		"refresh":       {"event": "refresh", "outcome": "ok", "provider": "corp"},
		"logout":        {"event": "logout", "outcome": "ok", "reason": "user"},
		"exchange":      {"event": "exchange", "outcome": "ok", "credential": "orders", "flow": "token_exchange", "audience": "[doorward]", "provider": "corp"},
		"deny":          {"event": "deny", "outcome": "denied", "code": "access_denied", "route": "app", "path": "/x"},
		"password deny": {"event": "deny", "outcome": "denied", "code": "wrong_credentials", "route": "app", "path": "/git"},
		"would deny":    {"event": "deny", "outcome": "would_deny", "route": "trial", "path": "/trial/x"},
		"token made":    {"event": "token", "outcome": "ok", "reason": "made"},
		"token revoked": {"event": "token", "outcome": "ok", "reason": "revoked"},
		"start":         {"event": "admin", "outcome": "ok", "reason": "start: " + versionLine()},
		"reload":        {"event": "admin", "outcome": "ok", "reason": "reload: a file of the configuration changed"},
		"no reload":     {"event": "admin", "outcome": "failed", "reason": "reload: a file of the configuration changed"},
		"stop":          {"event": "admin", "outcome": "ok", "reason": "stop"},
	} {
		found := having(events, want)
		if len(found) == 0 {
			t.Errorf("no event %q: %v", name, want)
			continue
		}
		if e := found[0]; e["event"] != "admin" && e["reference"] == nil {
			t.Errorf("%s leads to no line of the access log: %v", name, e)
		}
	}
	for _, e := range having(events, map[string]any{"event": "login", "outcome": "ok"}) {
		who, _ := e["who"].(map[string]any)
		if who["iss"] != s.provider.URL || who["email"] != fmt.Sprint(who["sub"])+"@example.com" || e["login"] == "staff" && e["user_agent"] == nil {
			t.Errorf("who signed in is not said: %v", e)
		}
	}
	text, _ := json.Marshal(events)
	for _, secret := range []string{"in-the-query", "wonderland-9", "wrong-password-77", "builder-9", clientSecret, "dwp.", "eyJ"} {
		if bytes.Contains(text, []byte(secret)) {
			t.Errorf("P189: %q is in the audit log", secret)
		}
	}
	if strings.Contains(s.log.String(), `"event":`) {
		t.Error("audit events are in the access log")
	}
	if info, err := os.Stat(filepath.Join(s.dir, "audit.jsonl")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("others can read who did what: %v %v", info.Mode(), err)
	}
}

func TestAnAuditLogTellsNoMoreOfPeopleThanItsPrivacyAllows(t *testing.T) {
	for privacy, never := range map[string][]string{
		"subject": {"alice@example.com", "bob@example.com", "Alice Example", `"127.0.0.1"`, "user_agent"},
		"hash":    {"alice", "bob", "Alice", "127.0.0.", "user_agent", `"sub"`},
	} {
		t.Run(privacy, func(t *testing.T) {
			s, read := withEverything(t, privacy)
			s.start()
			driveEverything(t, s)
			if err := s.stop(); err != nil {
				t.Fatal(err)
			}
			events := read()
			if len(events) < 10 {
				t.Fatalf("%d events only", len(events))
			}
			text, _ := json.Marshal(events)
			for _, n := range never {
				if strings.Contains(string(text), n) {
					t.Errorf("%q is in it: %s", n, text)
				}
			}
			names := map[string]bool{}
			for _, e := range having(events, map[string]any{"event": "login", "outcome": "ok", "login": "staff"}) {
				names[fmt.Sprint(e["who"])] = true
			}
			if len(names) != 2 {
				t.Errorf("two people signed in, and are called %v", names)
			}
		})
	}
}

func TestTheGatewayDoesNotStartWithoutTheAuditLogThatItIsToWrite(t *testing.T) {
	s := newStack(t, "")
	s.toml = strings.Replace(s.toml, "[telemetry]\n", fmt.Sprintf("[telemetry]\naudit = { to = %q }\n", filepath.Join(s.dir, "missing", "audit.jsonl")), 1)
	s.write(s.toml)
	err := serve(t.Context(), s.options(), s.log, nil)
	if err == nil || !strings.Contains(err.Error(), "telemetry.audit.to") || !strings.Contains(err.Error(), "missing") {
		t.Errorf("started: %v", err)
	}
}

func (s *stack) metrics() string {
	s.t.Helper()
	res, err := http.Get(s.admin + "/metrics")
	if err != nil {
		s.t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != 200 {
		s.t.Fatalf("metrics: %d %v", res.StatusCode, err)
	}
	return string(text)
}

func TestMetricsCountWhatHappens(t *testing.T) {
	s, _ := withEverything(t, "full")
	s.start()
	driveEverything(t, s)
	wanted := []string{
		`doorward_requests_total{code="",outcome="allow",route="app",status="2xx"} `,
		`doorward_requests_total{code="access_denied",outcome="deny",route="app",status="4xx"} `,
		`doorward_request_seconds_bucket{route="app",le="0.1"} `,
		`doorward_upstream_seconds_count{route="app",upstream="` + s.app.URL + `"} `,
		`doorward_upstream_up{route="app",upstream="` + s.app.URL + `"} 1`,
		`doorward_logins_total{code="",login="staff",provider="corp",result="ok"} 2`,
		`doorward_logins_total{code="login_failed",login="staff",provider="corp",result="failed"} 1`,
		`doorward_logouts_total{reason="user"} 1`,
		`doorward_refreshes_total{provider="corp",result="ok"} 1`,
		`doorward_provider_requests_total{endpoint="token_endpoint",grant="authorization_code",provider="corp",result="2xx"} 3`,
		`doorward_provider_requests_total{endpoint="token_endpoint",grant="token_exchange",provider="corp",result="2xx"} `,
		`doorward_credential_requests_total{cache="miss",credential="orders"} `,
		`doorward_store_seconds_count{operation="swap",store="sessions"} `,
		`doorward_config_reloads_total{result="ok"} 0`,
		`doorward_build_info{go_version="go`,
		"go_goroutines ", "process_open_fds ",
		`doorward_audit_lost_total 0`,
		`doorward_requests_in_flight{listener="http"} 0`,
	}
	var text string
	missing := func() (none []string) {
		text = s.metrics()
		for _, want := range wanted {
			if !strings.Contains(text, want) {
				none = append(none, want)
			}
		}
		return none
	}
	for end := time.Now().Add(5 * time.Second); len(missing()) > 0; { // a client may see the answer before it is counted
		if time.Now().After(end) {
			t.Fatalf("no %q in\n%s", missing(), text)
		}
	}
}

func TestP192NothingOfTheAdminListenerIsOnThePublicOne(t *testing.T) {
	s := newStack(t, "").start()
	b := s.browser()
	s.signedIn(b, "/", "alice", "wonderland-9")
	before := len(s.app.requests())
	for _, path := range []string{"/oauth2/metrics", "/oauth2/livez", "/oauth2/readyz", "/oauth2/traces/1", "/oauth2/sessions/all", "/oauth2/debug/pprof/"} {
		if page := b.Open(t, s.origin+path); page.Status != 404 {
			t.Errorf("%s: %d", path, page.Status)
		}
	}
	if len(s.app.requests()) != before {
		t.Error("the application was asked")
	}
	for _, path := range []string{"/metrics", "/livez", "/readyz", "/debug/pprof/"} { // of the application, if of anybody
		if page := b.Open(t, s.origin+path); strings.Contains(page.Body, "doorward_") || !strings.Contains(page.Body, "app at "+path) {
			t.Errorf("%s is not the application's: %s", path, page.Body)
		}
	}
	for _, path := range []string{"/debug/pprof/", "/config", "/healthz", "/"} {
		if res, err := http.Get(s.admin + path); err != nil || res.StatusCode != 404 {
			t.Errorf("admin %s: %v %v", path, res, err)
		}
	}
}

func TestP194APageCannotReadMetricsByTheBrowserOfAnOperator(t *testing.T) {
	s := newStack(t, "").start()
	for _, h := range []http.Header{{"Origin": {"https://evil.example"}}, {"Sec-Fetch-Site": {"cross-site"}, "Sec-Fetch-Mode": {"no-cors"}}, {"Sec-Fetch-Site": {"same-origin"}}} {
		req, _ := http.NewRequest(http.MethodGet, s.admin+"/metrics", nil)
		req.Header = h
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(res.Body)
		res.Body.Close()
		if res.StatusCode != 403 || bytes.Contains(body, []byte("doorward_")) {
			t.Errorf("%v: %d %s", h, res.StatusCode, body)
		}
	}
}

// collector takes traces.
type collector struct {
	*httptest.Server
	mu     sync.Mutex
	bodies bytes.Buffer
	header http.Header
}

func newCollector(t *testing.T) *collector {
	c := &collector{}
	c.Server = httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		z, err := gzip.NewReader(r.Body)
		if err != nil || r.URL.Path != "/v1/traces" || r.Header.Get("Content-Type") != "application/x-protobuf" {
			t.Errorf("not OTLP: %v %s %v", err, r.URL, r.Header)
			return
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		c.header = r.Header.Clone()
		_, _ = io.Copy(&c.bodies, z)
	}))
	t.Cleanup(c.Close)
	return c
}

func TestATraceGoesThroughTheLoginTheProviderTheStoreAndTheUpstream(t *testing.T) {
	to := newCollector(t)
	s, read := withEverything(t, "full")
	s.toml = strings.Replace(s.toml, "[telemetry]\n", fmt.Sprintf("[telemetry]\notlp = %q\n", to.URL), 1)
	s.start()
	b := s.browser()
	stranger := "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	b.Header.Set("Traceparent", stranger)
	b.Header.Set("Tracestate", "evil=1")
	s.signedIn(b, "/traced?code=in-the-query", "alice", "wonderland-9")
	seen := s.app.last(t).Header
	driveEverything(t, s)
	if err := s.stop(); err != nil { // sends what waits
		t.Fatal(err)
	}
	if p := seen.Get("Traceparent"); len(p) != 55 || strings.Contains(p, stranger[3:35]) || seen.Get("Tracestate") != "" {
		t.Errorf("the upstream was given %q %q", p, seen.Get("Tracestate"))
	}
	sent := to.bodies.String()
	for _, want := range []string{"GET app", "token_endpoint authorization_code", "token_endpoint token_exchange", "store swap", "doorward.upstream", "service.name", "doorward.reference"} {
		if !strings.Contains(sent, want) {
			t.Errorf("no %q was sent", want)
		}
	}
	for _, secret := range []string{"in-the-query", "wonderland-9", "wrong-password-77", "eyJ", clientSecret, "alice", "dwp."} {
		if strings.Contains(sent, secret) {
			t.Errorf("P189: %q is in a trace", secret)
		}
	}
	trace := ""
	for _, l := range s.lines("request") {
		if l["path"] == "/traced" && l["status"] == 200.0 {
			trace, _ = l["trace_id"].(string)
		}
	}
	if trace == "" || trace != seen.Get("Traceparent")[3:35] {
		t.Errorf("the access log names trace %q, the upstream %q", trace, seen.Get("Traceparent"))
	}
	if len(having(read(), map[string]any{"event": "exchange", "trace_id": trace})) == 0 {
		t.Error("no exchange of this trace is in the audit log")
	}
}

func TestWithoutTracesAClientsOwnGoesThroughIfItIsOne(t *testing.T) {
	s := newStack(t, "").start()
	b := s.browser()
	s.signedIn(b, "/", "alice", "wonderland-9")
	good := "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	for given, want := range map[string]string{good: good, "00-0af7651916cd43dd8448eb211c80319C-b7ad6b7169203331-01": "", "x": "", good + "\t": good} {
		b.Header.Set("Traceparent", given)
		b.Header.Set("Tracestate", "vendor=1")
		b.Open(t, s.origin+"/p")
		h := s.app.last(t).Header
		if h.Get("Traceparent") != want || (h.Get("Tracestate") != "") != (want != "") {
			t.Errorf("%q: the upstream was given %q %q", given, h.Get("Traceparent"), h.Get("Tracestate"))
		}
	}
}
