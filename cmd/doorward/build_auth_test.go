package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/doorward/doorward/internal/testnet"
)

// askedStack is a stack that a proxy on this machine asks about /asked, which has no upstream.
func askedStack(t *testing.T) (s *stack, grpc string) {
	t.Helper()
	s = newStack(t, "[[route]]\nname = \"asked\"\npath = \"/asked\"\nallow = [{ groups = [\"staff\"] }]\n")
	grpc = fmt.Sprintf("127.0.0.1:%d", free(t))
	s.toml = strings.Replace(s.toml, "[listen]\n", fmt.Sprintf("[listen]\ntrusted_proxies = [\"127.0.0.1/32\"]\next_authz = %q\n", grpc), 1)
	return s.start(), grpc
}

// question opens the address of questions in a browser, as a proxy that passes its headers on.
func (s *stack) question(b *testnet.Browser, query, uri string) *testnet.Page {
	s.t.Helper()
	b.Header.Set("X-Forwarded-Uri", uri)
	defer b.Header.Del("X-Forwarded-Uri")
	return b.Open(s.t, s.origin+"/oauth2/auth"+query)
}

func TestAProxyAsksAboutAPersonWhoSignedIn(t *testing.T) {
	s, _ := askedStack(t)
	b := s.browser()
	if page := s.question(b, "", "/asked/x"); page.Status != 401 {
		t.Errorf("before the sign-in: %d", page.Status)
	}
	b.StopAt = func(*url.URL) bool { return true }
	page := s.question(b, "?redirect=true", "/asked/x?y=1")
	to := page.Header.Get("Location")
	if page.Status != 302 || !strings.HasPrefix(to, s.origin+"/oauth2/start?") {
		t.Fatalf("%d %s", page.Status, to)
	}
	b.StopAt = nil
	// The login ends at the address that was asked about, which this gateway does not proxy.
	if page := b.Open(t, to).SignIn(t, "alice", "wonderland-9"); page.URL.String() != s.origin+"/asked/x?y=1" || page.Status != 404 {
		t.Fatalf("landed on %s with %d\n%s", page.URL, page.Status, page.Trail())
	}
	if page := s.question(b, "", "/asked/x?y=1"); page.Status != 202 || page.Header.Get("X-Auth-Request-User") != "alice" || page.Header.Get("X-Auth-Request-Email") != "alice@example.com" {
		t.Errorf("after it: %d %v", page.Status, page.Header)
	}
	if page := s.question(b, "", "/x"); page.Status != 202 || page.Header.Get("X-Auth-Request-User") != "alice" || page.Header["Authorization"] != nil {
		t.Errorf("P191 about a route with an upstream and a credential: %d %v", page.Status, page.Header)
	}
	if page := s.question(b, "?allowed_groups=board", "/asked/x"); page.Status != 403 {
		t.Errorf("narrowed: %d", page.Status)
	}
	bob := s.browser()
	s.signedIn(bob, "/", "bob", "builder-9")
	if page := s.question(bob, "?redirect=true", "/asked/x"); page.Status != 403 || page.Header.Get("X-Auth-Request-User") != "" {
		t.Errorf("bob: %d %v", page.Status, page.Header)
	}
	if page := b.Open(t, s.origin+"/oauth2/sign_out"); page.Status != 200 {
		t.Fatalf("sign-out: %d", page.Status)
	}
	if page := s.question(b, "", "/asked/x"); page.Status != 401 {
		t.Errorf("after the sign-out: %d", page.Status)
	}
}

func TestEnvoyAsksByGRPC(t *testing.T) {
	s, grpc := askedStack(t)
	b := s.browser()
	page := s.signedIn(b, "/", "alice", "wonderland-9")
	cookie := page.Hops[len(page.Hops)-1].Request.Get("Cookie")
	p := new(http.Protocols)
	p.SetUnencryptedHTTP2(true)
	tr := &http.Transport{Protocols: p}
	defer tr.CloseIdleConnections()
	ask := func(path, cookie string) []byte {
		field := func(b []byte, n protowire.Number, value []byte) []byte {
			return protowire.AppendBytes(protowire.AppendTag(b, n, protowire.BytesType), value)
		}
		request := field(nil, 2, []byte("GET"))
		request = field(request, 4, []byte(path))
		request = field(request, 5, []byte(strings.TrimPrefix(s.origin, "http://")))
		request = field(request, 3, field(field(nil, 1, []byte("cookie")), 2, []byte(cookie)))
		message := field(nil, 1, field(nil, 4, field(nil, 2, request)))
		body := append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(message))), message...)
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+grpc+"/envoy.service.auth.v3.Authorization/Check", bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/grpc")
		res, err := tr.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		answer, _ := io.ReadAll(res.Body)
		if status := res.Trailer.Get("Grpc-Status"); status != "0" {
			t.Fatalf("grpc-status %q", status)
		}
		return answer
	}
	if answer := ask("/asked/x", cookie); !bytes.Contains(answer, []byte("x-auth-request-user\x12\x05alice")) {
		t.Errorf("a yes is %q", answer)
	}
	if answer := ask("/asked/x", ""); !bytes.Contains(answer, []byte("login_required")) || bytes.Contains(answer, []byte("alice")) {
		t.Errorf("a no is %q", answer)
	}
	deadlineLoop(t, func() bool { // lines are gathered for a while
		for _, line := range s.lines("request") {
			if line["route"] == "asked" && line["outcome"] == "allow" && line["user"] == "alice" && line["method"] == "GET" {
				return true
			}
		}
		return false
	})
}
