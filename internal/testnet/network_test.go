package testnet_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/doorward/doorward/internal/testnet"
)

func TestServersTalkInsideABubbleAndTheClockMoves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := testnet.NewFor(t)
		net.Serve(t, "upstream.test:80", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			time.Sleep(time.Hour)
			_, _ = io.WriteString(w, "from "+r.RemoteAddr[:len("192.0.2.1")])
		}))
		gateway := net.Client()
		net.Serve(t, "gateway.test:80", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			res, err := gateway.Get("http://upstream.test/")
			if err != nil {
				t.Error(err)
				return
			}
			defer res.Body.Close()
			_, _ = io.Copy(w, res.Body)
		}))
		start := time.Now()
		res, err := net.Client().Get("http://gateway.test/")
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		body, err := io.ReadAll(res.Body)
		if err != nil || string(body) != "from 192.0.2.1" {
			t.Errorf("got %q, %v", body, err)
		}
		if passed := time.Since(start); passed != time.Hour {
			t.Errorf("%v passed, want 1h", passed)
		}
	})
}

func TestTLSIsTrustedWithinTheNetworkOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		one, other := testnet.NewFor(t), testnet.NewFor(t)
		for _, n := range []*testnet.Network{one, other} {
			n.ServeTLS(t, "app.test:443", http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
		}
		res, err := one.Client().Get("https://app.test/")
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		stranger := one.Transport()
		stranger.DialContext = other.Dial
		if res, err := (&http.Client{Transport: stranger}).Get("https://app.test/"); err == nil {
			res.Body.Close()
			t.Error("a certificate of another network was trusted")
		}
	})
}

func TestDialRefusesWhereNothingListens(t *testing.T) {
	n := testnet.NewFor(t)
	if _, err := n.Dial(t.Context(), "tcp", "nobody.test:80"); err == nil {
		t.Error("dialled an address without listener")
	}
	l := n.Listen("gone.test:80")
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := n.Dial(t.Context(), "tcp", "gone.test:80"); err == nil {
		t.Error("dialled a closed listener")
	}
	if _, err := l.Accept(); err != net.ErrClosed {
		t.Errorf("Accept on a closed listener: %v", err)
	}
}

func TestDialEndsWithItsContext(t *testing.T) {
	l := testnet.Listen()
	defer l.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := l.Dial(ctx, "tcp", "any"); err != context.Canceled {
		t.Errorf("got %v, want context.Canceled", err)
	}
}

func TestListenAgainIsARestart(t *testing.T) {
	n := testnet.NewFor(t)
	serve := func(text string) *http.Server {
		return n.Serve(t, "app.test:80", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, text)
		}))
	}
	b := n.Browser()
	first := serve("first")
	if p := b.Open(t, "http://app.test/"); p.Body != "first" {
		t.Fatalf("got %q", p.Body)
	}
	first.Close()
	serve("second")
	if p := b.Open(t, "http://app.test/"); p.Body != "second" {
		t.Errorf("got %q", p.Body)
	}
}
