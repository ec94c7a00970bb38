package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/doorward/doorward/demo/idp"
	"github.com/doorward/doorward/internal/testnet"
)

// process starts the real program and waits until it listens.
func (s *stack) process() (*exec.Cmd, *testnet.Output) {
	s.t.Helper()
	s.write(s.toml)
	cmd, log := program("serve", "--config", s.path()), &testnet.Output{}
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = cmd.Process.Kill() })
	deadlineLoop(s.t, func() bool { return strings.Count(log.String(), `"msg":"listening"`) == 2 })
	return cmd, log
}

// P215: the process gets SIGTERM while a person types their password, another one's request is with the application, and a
// third one's code is on its way.
func TestP215ALoginSurvivesTheEndOfTheProcessAndItsCodeIsUsedOnce(t *testing.T) {
	s := newStack(t, "")
	entered, release := make(chan struct{}, 2), make(chan struct{})
	slow := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "first ")
		_ = http.NewResponseController(w).Flush()
		entered <- struct{}{}
		<-release
		_, _ = io.WriteString(w, "last")
	}))
	t.Cleanup(slow.Close)
	s.toml += "[[route]]\nname = \"slow\"\nhost = \"" + s.origin + "\"\npath = \"/slow\"\nupstream = [\"" + slow.URL + "\"]\npublic = true\n"
	first, log := s.process()

	typing := s.browser()
	form := typing.Open(t, s.origin+"/reports?q=1")
	onItsWay := s.browser()
	onItsWay.StopAt = func(next *url.URL) bool { return next.Path == "/oauth2/callback" }
	callback := onItsWay.Open(t, s.origin+"/mail").SignIn(t, "bob", "builder-9").Header.Get("Location")
	onItsWay.StopAt = nil

	got := make(chan string, 2)
	s.bothVersions(t, func(w wire) { // both are in flight when the signal comes, and none is waited for here
		r, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, s.origin+"/slow/x", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		transport := w.RoundTripper.(*http.Transport).Clone()
		go func() {
			res, err := transport.RoundTrip(r)
			if err != nil {
				got <- err.Error()
				return
			}
			defer func() { _ = res.Body.Close() }()
			body, err := io.ReadAll(res.Body)
			if err != nil {
				body = []byte(err.Error())
			}
			got <- string(body)
		}()
		<-entered
	})
	if err := first.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	deadlineLoop(t, func() bool { return strings.Contains(log.String(), `"msg":"draining"`) })
	close(release)
	for range 2 {
		if body := <-got; body != "first last" {
			t.Errorf("a request in flight got %q", body)
		}
	}
	if err := first.Wait(); err != nil {
		t.Fatalf("the first process: %v\n%s", err, log)
	}

	second, log := s.process()
	tokens := s.idp.Count(idp.Token)
	if page := form.SignIn(t, "alice", "wonderland-9"); page.Status != 200 || page.URL.RequestURI() != "/reports?q=1" {
		t.Errorf("the login that was begun before ends on %s with %d\n%s\n%s", page.URL, page.Status, page.Trail(), log)
	}
	if page := onItsWay.Open(t, callback); page.Status != 200 || page.URL.RequestURI() != "/mail" {
		t.Errorf("the code that was on its way ends on %s with %d\n%s\n%s", page.URL, page.Status, page.Trail(), log)
	}
	if n := s.idp.Count(idp.Token) - tokens; n != 2 {
		t.Errorf("two logins made %d token requests", n)
	}
	if err := second.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := second.Wait(); err != nil {
		t.Fatalf("the second process: %v\n%s", err, log)
	}
	// The code is used, and every later process knows.
	third, log := s.process()
	if page := onItsWay.Open(t, callback); strings.HasPrefix(page.URL.Path, "/oauth2/callback") && page.Status < 400 || s.idp.Count(idp.Token) != tokens+2 {
		t.Errorf("the code was used again: %d\n%s", page.Status, page.Trail())
	}
	if page := typing.Open(t, s.origin+"/still"); page.Status != 200 || len(page.Hops) != 1 {
		t.Errorf("the session is gone: %d\n%s\n%s", page.Status, page.Trail(), log)
	}
	_ = third.Process.Signal(syscall.SIGTERM)
	_ = third.Wait()
}
