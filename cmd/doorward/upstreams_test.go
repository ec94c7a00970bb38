package main

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// Several upstreams of the whole program: a check that begins with it, an outage, a reload, and the end of what the old
// configuration had begun.
func TestUpstreamsAreCheckedFromTheStartAndAfterAReload(t *testing.T) {
	var checks atomic.Int32
	var ill atomic.Bool
	app := func(name string) *httptest.Server {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/healthz" {
				if r.Header.Get("Cookie") != "" || r.Header.Get("Authorization") != "" {
					t.Error("a check brings a credential")
				}
				checks.Add(1)
				if ill.Load() && name == "a" {
					w.WriteHeader(http.StatusServiceUnavailable)
				}
				return
			}
			_, _ = io.WriteString(w, name)
		}))
		t.Cleanup(s.Close)
		return s
	}
	a, b := app("a"), app("b")
	s := newStack(t, "")
	route := "\n[[route]]\nname = \"team\"\nhost = \"" + s.origin + "\"\npath = \"/team\"\nupstream = [\"" + a.URL + "\", \"" + b.URL + "\"]\npublic = true\n" +
		"balance = { sticky = true }\nhealth = { path = \"/healthz\", interval = \"1s\", fall = 1, rise = 1 }\n"
	s.toml += route
	s.start()
	get := func(cookie string) (body, set string) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.origin+"/team/x", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		if cookie != "" {
			r.Header.Set("Cookie", cookie)
		}
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		page, _ := io.ReadAll(res.Body)
		if res.StatusCode != http.StatusOK {
			t.Errorf("answer %s %s", res.Status, page)
		}
		pair, _, _ := strings.Cut(res.Header.Get("Set-Cookie"), ";")
		return string(page), pair
	}
	deadlineLoop(t, func() bool { return checks.Load() >= 2 })
	first, cookie := get("")
	if !strings.HasPrefix(cookie, "doorward-at.") {
		t.Errorf("the cookie is %q", cookie)
	}
	for range 4 {
		if got, again := get(cookie); got != first || again != "" {
			t.Errorf("answer of %s, not of %s, and another cookie %q", got, first, again)
		}
	}
	ill.Store(true)
	deadlineLoop(t, func() bool { return len(s.lines("upstream is down")) == 1 })
	for range 4 {
		if got, _ := get(""); got != "b" {
			t.Errorf("answer of %s, which is down", got)
		}
	}
	ill.Store(false)
	deadlineLoop(t, func() bool { return len(s.lines("upstream is up")) == 1 })

	s.write(s.toml + "timeouts = { header = \"30s\" }\n")
	hangUp(t)
	deadlineLoop(t, func() bool { return len(s.lines("configuration reloaded")) == 1 })
	n := checks.Load()
	deadlineLoop(t, func() bool { return checks.Load() >= n+2 })
	if got, again := get(cookie); got != first || again != "" {
		t.Errorf("a reload sent the browser to %s, with %q", got, again)
	}
}

// gRPC clients and load balancers begin with HTTP/2 at once.
func TestTheProgramSpeaksHTTP2WithoutTLS(t *testing.T) {
	s := newStack(t, "").start()
	tr := &http.Transport{Protocols: new(http.Protocols), DialContext: (&net.Dialer{Timeout: time.Second}).DialContext}
	tr.Protocols.SetUnencryptedHTTP2(true)
	defer tr.CloseIdleConnections()
	res, err := (&http.Client{Transport: tr}).Get(s.origin + "/x")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.ProtoMajor != 2 || res.StatusCode != http.StatusUnauthorized {
		t.Errorf("%s by %s", res.Status, res.Proto)
	}
}
