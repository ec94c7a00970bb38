package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/doorward/doorward/demo/idp"
	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/internal/testnet"
)

// signingOut runs "doorward logout" against a gateway that answers with a status.
func signingOut(t *testing.T, target string, status int, ends time.Time) (asked []string, left int, said string, err error) {
	n := testnet.NewFor(t)
	n.Serve(t, "localhost:80", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, fmt.Sprint(r.Method, r.URL, r.Header["Cookie"], r.Header["X-Requested-With"], r.Header["Authorization"], r.Header["Accept"]))
		w.Header().Set("Location", "https://evil.test/")
		w.WriteHeader(status)
	}))
	dir := t.TempDir()
	kept := ticket{Origin: "http://localhost", Cookie: "doorward", Ends: ends, value: secret.New(handedOut)}
	if _, err := kept.keep(dir); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	err = logoutAt(t.Context(), target, dir, clientOptions{prefix: "/oauth2", dial: only(t, n, "localhost:80")}, &out)
	files, _ := os.ReadDir(dir)
	return asked, len(files), out.String(), err
}

// only reaches one address, and fails the test when another is wanted.
func only(t *testing.T, n *testnet.Network, wanted string) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		if address != wanted {
			t.Errorf("the ticket may go to %s", address)
		}
		return n.Dial(ctx, network, address)
	}
}

func TestAGatewayClientAsksNobodyElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := testnet.NewFor(t)
		at, err := gatewayURL("http://localhost/x")
		if err != nil {
			t.Fatal(err)
		}
		g, err := newGatewayClient(at, clientOptions{dial: only(t, n, "localhost:80")})
		if err != nil {
			t.Fatal(err)
		}
		for _, poll := range []string{"https://evil.test/", "//evil.test/poll", "https://localhost/poll", "http://localhost:81/", "http://u@evil.test/", "javascript:alert(1)", "://"} {
			if _, err := g.send(t.Context(), http.MethodGet, poll, nil); err == nil || !strings.Contains(err.Error(), "not its own") {
				t.Errorf("%s: %v", poll, err)
			}
		}
	})
}

func TestLogoutEndsTheTicketAtTheGatewayAndForgetsIt(t *testing.T) {
	want := "POST/oauth2/sign_out [doorward=" + handedOut + "] [doorward] [] [application/json]"
	for name, c := range map[string]struct {
		target string
		status int
		ended  bool
		asks   int
		left   int
	}{
		"by name":                       {"http://LOCALHOST:80/repo", 204, false, 1, 0},
		"the only one":                  {"", 204, false, 1, 0},
		"it ended at the gateway":       {"http://localhost", 401, false, 1, 0},
		"it has ended by the clock":     {"http://localhost", 204, true, 0, 0},
		"the gateway is in trouble":     {"http://localhost", 503, false, 1, 1},
		"it does not let one sign out":  {"http://localhost", 403, false, 1, 1},
		"there is no such address":      {"http://localhost", 404, false, 1, 1},
		"it sends somebody elsewhere":   {"http://localhost", 302, false, 1, 1},
		"there is no ticket for a site": {"https://localhost", 204, false, 0, 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ends := time.Now().Add(time.Hour)
				if c.ended {
					ends = time.Now()
				}
				asked, left, said, err := signingOut(t, c.target, c.status, ends)
				if len(asked) != c.asks || c.asks > 0 && asked[0] != want {
					t.Errorf("it asked %q", asked)
				}
				if left != c.left || (err == nil) != (left == 0) || (err == nil) != strings.Contains(said, "Signed out of http://localhost") {
					t.Errorf("%d tickets are left; %q, %v", left, said, err)
				}
				if err != nil && strings.Contains(err.Error(), handedOut) {
					t.Error("the error holds the ticket")
				}
			})
		})
	}
}

func TestASignedOutTicketCountsNowhere(t *testing.T) {
	t.Setenv("XDG_STATE_HOME", t.TempDir())
	s := forPrograms(t)
	done := make(chan int, 1)
	go func() {
		done <- run(context.Background(), []string{"login", s.origin}, &testnet.Output{}, &testnet.Output{})
	}()
	deadlineLoop(t, func() bool { return len(s.idp.PendingDevices()) == 1 })
	if err := s.idp.ApproveDevice(s.idp.PendingDevices()[0].UserCode, "alice"); err != nil {
		t.Fatal(err)
	}
	if status := <-done; status != exitOK {
		t.Fatalf("login ended with %d\n%s", status, s.log)
	}
	ticket := strings.TrimSpace(s.command("token", s.origin))
	for _, authorization := range []string{"Bearer " + ticket, basic("doorward", ticket)} {
		if status, _ := s.curl("/git/x", authorization); status != http.StatusOK {
			t.Fatalf("before: %d", status)
		}
	}
	s.command("logout", s.origin)
	before := len(s.app.requests())
	for _, authorization := range []string{"Bearer " + ticket, basic("doorward", ticket)} {
		if status, _ := s.curl("/git/x", authorization); status != http.StatusUnauthorized {
			t.Errorf("P073: a copy of the ticket gets %d", status)
		}
	}
	if len(s.app.requests()) != before {
		t.Error("the app saw it")
	}
	deadlineLoop(t, func() bool { return s.idp.Count(idp.Revoke) == 1 })
	var errs testnet.Output
	if status := run(t.Context(), []string{"token", s.origin}, &testnet.Output{}, &errs); status != exitRun || !strings.Contains(errs.String(), "no ticket for") {
		t.Errorf("%d %s", status, errs.String())
	}
	if strings.Contains(s.log.String(), ticket) {
		t.Error("the log holds the ticket")
	}
}
