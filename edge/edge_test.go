package edge_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/edge"
)

func start(t *testing.T, c edge.Config, public http.Handler, health *edge.Health) (*edge.Server, context.CancelFunc, chan error) {
	t.Helper()
	if health == nil {
		health = &edge.Health{Checks: func(context.Context) []edge.Check { return nil }}
	}
	s, err := edge.New(c, edge.Deps{Public: public, Admin: health.Handler(), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Listen(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(cancel)
	return s, cancel, done
}

func TestDrainLetsRequestsInFlightFinishAndRefusesNewConnections(t *testing.T) {
	entered, finish := make(chan struct{}), make(chan struct{})
	s, stop, done := start(t, edge.Config{HTTP: "127.0.0.1:0"}, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		close(entered)
		<-finish
		fmt.Fprint(w, "whole")
	}), nil)
	address := s.Address("http").String()
	body := make(chan string, 1)
	go func() {
		res, err := http.Get("http://" + address)
		if err != nil {
			body <- err.Error()
			return
		}
		defer res.Body.Close()
		b, _ := io.ReadAll(res.Body)
		body <- string(b)
	}()
	<-entered
	stop()
	for { // the listener closes as soon as the drain has begun
		conn, err := net.Dial("tcp", address)
		if err != nil {
			break
		}
		_ = conn.Close()
	}
	close(finish)
	if got := <-body; got != "whole" {
		t.Errorf("the request in flight got %q", got)
	}
	if err := <-done; err != nil {
		t.Errorf("a drain in time is no error: %v", err)
	}
}

func TestARequestThatOutlastsTheDrainIsCutAndSaid(t *testing.T) {
	entered := make(chan struct{})
	s, stop, done := start(t, edge.Config{HTTP: "127.0.0.1:0", Drain: 20 * time.Millisecond}, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(entered)
		<-r.Context().Done()
	}), nil)
	go func() { _, _ = http.Get("http://" + s.Address("http").String()) }()
	<-entered
	stop()
	if err := <-done; !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "requests were cut") {
		t.Errorf("got %v", err)
	}
}

func TestAPortInUseIsToldWithTheKeyThatNamesIt(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	s, err := edge.New(edge.Config{HTTP: "127.0.0.1:0", Admin: l.Addr().String()}, edge.Deps{Public: http.NotFoundHandler(), Admin: http.NotFoundHandler(), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Listen(t.Context()); err == nil || !strings.Contains(err.Error(), "listen.admin") {
		t.Errorf("got %v", err)
	}
}

func TestUnixSocketReplacesADeadOneAndRefusesALivingOne(t *testing.T) {
	path := filepath.Join(t.TempDir(), "d.sock")
	dead, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	dead.SetUnlinkOnClose(false)
	_ = dead.Close()

	s, _, _ := start(t, edge.Config{HTTP: "unix:" + path}, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "ok") }), nil)
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o660 {
		t.Errorf("mode %v %v", info, err)
	}
	conn, err := net.Dial("unix", s.Address("http").String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprint(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	if res, err := http.ReadResponse(bufio.NewReader(conn), nil); err != nil || res.StatusCode != 200 {
		t.Errorf("%v %v", res, err)
	}

	second, err := edge.New(edge.Config{HTTP: "unix:" + path}, edge.Deps{Public: http.NotFoundHandler(), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	if err := second.Listen(t.Context()); err == nil || !strings.Contains(err.Error(), "another process") {
		t.Errorf("a living socket was taken over: %v", err)
	}
}

func TestP054AHeaderOverTheLimitIs431(t *testing.T) {
	s, _, _ := start(t, edge.Config{HTTP: "127.0.0.1:0"}, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}), nil)
	conn, err := net.Dial("tcp", s.Address("http").String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	go func() {
		fmt.Fprintf(conn, "GET / HTTP/1.1\r\nHost: x\r\nX-Big: %s\r\n\r\n", strings.Repeat("a", 1<<20))
	}()
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil || res.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("%v %v", res, err)
	}
}

func TestReadinessNamesWhatIsMissingAndTurnsFirstAtShutdown(t *testing.T) {
	checks := []edge.Check{{Name: "provider corp", Error: "not reached yet"}}
	health := &edge.Health{Checks: func(context.Context) []edge.Check { return checks }}
	s, _, _ := start(t, edge.Config{HTTP: "127.0.0.1:0", Admin: "127.0.0.1:0"}, http.NotFoundHandler(), health)
	get := func(path string, header ...string) (int, string) {
		r, _ := http.NewRequest("GET", "http://"+s.Address("admin").String()+path, nil)
		for i := 0; i < len(header); i += 2 {
			r.Header.Set(header[i], header[i+1])
		}
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		b, _ := io.ReadAll(res.Body)
		return res.StatusCode, string(b)
	}
	if code, body := get("/readyz"); code != 503 || !strings.Contains(body, "not reached yet") {
		t.Errorf("%d %s", code, body)
	}
	checks = nil
	if code, _ := get("/readyz"); code != 200 {
		t.Errorf("ready: %d", code)
	}
	t.Run("P194 a web page is refused", func(t *testing.T) {
		for _, h := range [][]string{{"Origin", "https://evil.test"}, {"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Site", "same-site"}} {
			if code, _ := get("/livez", h...); code != 403 {
				t.Errorf("%v: %d", h, code)
			}
		}
		if code, _ := get("/livez", "Sec-Fetch-Site", "none"); code != 200 {
			t.Error("a person who types the address is welcome")
		}
	})
	health.Drain()
	if code, body := get("/readyz"); code != 503 || !strings.Contains(body, "draining") {
		t.Errorf("%d %s", code, body)
	}
	if code, _ := get("/livez"); code != 200 {
		t.Errorf("alive while draining: %d", code)
	}
}
