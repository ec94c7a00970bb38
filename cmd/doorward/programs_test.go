package main

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/doorward/doorward/demo/idp"
	"github.com/doorward/doorward/internal/testnet"
)

const programs = `login = ["tv"]
[login.tv]
flow = "device"
[login.legacy]
flow = "password"
[[route]]
name = "git"
host = %ORIGIN%
path = "/git"
upstream = [%APP%]
login = ["tv", "legacy"]
accept = ["basic", "token"]
credential = "session"
`

// forPrograms is a stack with a device login and Basic.
func forPrograms(t *testing.T) *stack {
	t.Helper()
	s := newStack(t, "")
	s.toml += strings.NewReplacer("%ORIGIN%", `"`+s.origin+`"`, "%APP%", `"`+s.app.URL+`"`).Replace(programs)
	return s.start()
}

// curl sends one request as a program does and returns the status.
func (s *stack) curl(path, authorization string) (status int, res *http.Response) {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, s.origin+path, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	if authorization != "" {
		r.Header.Set("Authorization", authorization)
	}
	res, err = http.DefaultClient.Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	_ = res.Body.Close()
	return res.StatusCode, res
}

func TestWhoSignsInFromATerminalReachesTheAppWithCurlAndGit(t *testing.T) {
	t.Setenv("XDG_STATE_HOME", t.TempDir())
	s := forPrograms(t)
	var out, errs testnet.Output
	done := make(chan int, 1)
	go func() { done <- run(context.Background(), []string{"login", s.origin + "/"}, &out, &errs) }()
	deadlineLoop(t, func() bool { return len(s.idp.PendingDevices()) == 1 })
	waiting := s.idp.PendingDevices()[0]
	if err := s.idp.ApproveDevice(waiting.UserCode, "alice"); err != nil {
		t.Fatal(err)
	}
	if status := <-done; status != exitOK {
		t.Fatalf("login ended with %d\n%s\n%s", status, errs.String(), s.log)
	}
	if !strings.Contains(errs.String(), waiting.UserCode) || out.String() != "" {
		t.Errorf("it said\n%s\nand handed out %q", errs.String(), out.String())
	}

	ticket := strings.TrimSpace(s.command("token", s.origin))
	header := s.command("token", "--format", "header", s.origin)
	if !strings.HasPrefix(ticket, "dw1.") || header != "Authorization: Bearer "+ticket+"\n" {
		t.Fatalf("%q %q", ticket, header)
	}
	for path, authorization := range map[string]string{"/by-curl": "Bearer " + ticket, "/git/by-git": basic("doorward", ticket)} {
		if status, _ := s.curl(path, authorization); status != http.StatusOK {
			t.Fatalf("%s with the ticket: %d\n%s", path, status, s.log)
		}
		got := s.app.last(t)
		if got.URL.Path != path || got.Header.Get("X-Forwarded-User") != "alice" || strings.Contains(got.Header.Get("Authorization"), ticket) || !strings.HasPrefix(got.Header.Get("Authorization"), "Bearer ey") {
			t.Errorf("%s reached the app as %v", path, got.Header)
		}
	}
	if status, res := s.curl("/", "Bearer "+ticket[:len(ticket)-1]+"x"); status != http.StatusUnauthorized || res.Header.Get("Set-Cookie") != "" {
		t.Errorf("a wrong ticket: %d", status)
	}
	if strings.Contains(s.log.String(), ticket) || strings.Contains(s.log.String(), waiting.UserCode) {
		t.Error("the log holds the ticket or the code")
	}
}

// command runs the program and returns what it hands out.
func (s *stack) command(args ...string) string {
	s.t.Helper()
	var out, errs testnet.Output
	if status := run(s.t.Context(), args, &out, &errs); status != exitOK {
		s.t.Fatalf("%v ended with %d: %s", args, status, errs.String())
	}
	return out.String()
}

func TestATerminalIsToldThatItWasRefused(t *testing.T) {
	t.Setenv("XDG_STATE_HOME", t.TempDir())
	s := forPrograms(t)
	var out, errs testnet.Output
	done := make(chan int, 1)
	go func() { done <- run(context.Background(), []string{"login", s.origin}, &out, &errs) }()
	deadlineLoop(t, func() bool { return len(s.idp.PendingDevices()) == 1 })
	if err := s.idp.DenyDevice(s.idp.PendingDevices()[0].UserCode); err != nil {
		t.Fatal(err)
	}
	if status := <-done; status != exitRun || !strings.Contains(errs.String(), "the sign-in was refused") {
		t.Errorf("%d %s", status, errs.String())
	}
}

func TestGitWithANameAndAPasswordReachesTheAppWithATokenAndNoPassword(t *testing.T) {
	s := forPrograms(t)
	status, res := s.curl("/git/info/refs", "")
	if status != http.StatusUnauthorized || !strings.Contains(strings.Join(res.Header.Values("WWW-Authenticate"), "\n"), `Basic realm="`) {
		t.Fatalf("without credentials: %d %v", status, res.Header)
	}
	for range 3 {
		if status, _ := s.curl("/git/info/refs", basic("alice", "wonderland-9")); status != http.StatusOK {
			t.Fatalf("with the right password: %d\n%s", status, s.log)
		}
	}
	got := s.app.last(t).Header
	if got.Get("X-Forwarded-User") != "alice" || !strings.HasPrefix(got.Get("Authorization"), "Bearer ey") {
		t.Errorf("the app saw %v", got)
	}
	if n := s.idp.Count(idp.Token); n != 1 {
		t.Errorf("ROP-3: three requests asked the provider %d times", n)
	}
	if status, _ := s.curl("/git/info/refs", basic("alice", "wrong")); status != http.StatusUnauthorized {
		t.Errorf("with a wrong password: %d", status)
	}
	if strings.Contains(s.log.String(), "wonderland-9") {
		t.Error("P175: the password is in the log")
	}
}

func basic(name, password string) string {
	r := &http.Request{Header: http.Header{}}
	r.SetBasicAuth(name, password)
	return r.Header.Get("Authorization")
}

// h2 serves what a running gateway serves over HTTP/2 too, and returns a client that speaks nothing else.
func (s *stack) h2() (at string, client *http.Client) {
	s.t.Helper()
	s.write(s.toml)
	handler := make(chan http.Handler, 1)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		done <- serve(ctx, s.options(), s.log, nil, func(public http.Handler) http.Handler { handler <- public; return public })
	}()
	s.t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			s.t.Errorf("serve ended with %v", err)
		}
	})
	server := httptest.NewUnstartedServer(<-handler)
	server.Config.Protocols = new(http.Protocols)
	server.Config.Protocols.SetUnencryptedHTTP2(true)
	server.Start()
	s.t.Cleanup(server.Close)
	only := new(http.Protocols)
	only.SetUnencryptedHTTP2(true)
	tr := &http.Transport{Protocols: only}
	s.t.Cleanup(tr.CloseIdleConnections)
	return server.URL, &http.Client{Transport: tr}
}

func TestP170FiftyWrongPasswordsOverHTTP2AreFewCallsWhateverForwardedHeadersSay(t *testing.T) {
	s := newStack(t, "")
	s.toml += strings.NewReplacer("%ORIGIN%", `"`+s.origin+`"`, "%APP%", `"`+s.app.URL+`"`).Replace(programs)
	at, client := s.h2()
	statuses := make([]int, 50)
	var all sync.WaitGroup
	for n := range statuses {
		all.Go(func() { // as streams of one connection
			r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, at+"/git/x", nil)
			if err != nil {
				t.Error(err)
				return
			}
			r.Host = strings.TrimPrefix(s.origin, "http://")
			r.Header.Set("Authorization", basic("alice", fmt.Sprint("guess ", n)))
			for _, name := range []string{"X-Forwarded-For", "X-Real-Ip", "X-Client-Ip", "Cf-Connecting-Ip"} {
				r.Header.Set(name, fmt.Sprint("203.0.113.", n))
			}
			r.Header.Set("Forwarded", fmt.Sprint("for=203.0.113.", n))
			res, err := client.Do(r)
			if err != nil {
				t.Error(err)
				return
			}
			_ = res.Body.Close()
			if statuses[n] = res.StatusCode; res.ProtoMajor != 2 {
				t.Errorf("spoken over %s", res.Proto)
			}
		})
	}
	all.Wait()
	for _, status := range statuses {
		if status != http.StatusUnauthorized && status != http.StatusTooManyRequests {
			t.Errorf("%v", statuses)
			break
		}
	}
	if n := s.idp.Count(idp.Token); n == 0 || n > 5 {
		t.Errorf("the provider was asked %d times: %v", n, statuses)
	}
	if n := len(s.app.requests()); n > 0 {
		t.Errorf("%d requests reached the app", n)
	}
}
