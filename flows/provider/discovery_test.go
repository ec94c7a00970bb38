package provider_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/doorward/doorward/flows/provider"
	"github.com/doorward/doorward/internal/seal"
	"github.com/doorward/doorward/sessions/store"
)

const wellKnown = "/.well-known/openid-configuration"

func TestNewTouchesNoNetwork(t *testing.T) {
	r := newRogue(t)
	c := r.client()
	if r.count(wellKnown) != 0 {
		t.Error("New asked the provider")
	}
	if c.Name() != "corp" || c.Issuer() != r.url {
		t.Errorf("%s %s", c.Name(), c.Issuer())
	}
}

func TestIssuerPaths(t *testing.T) {
	for issuer, want := range map[string]string{
		"/realms/main":  "/realms/main/.well-known/openid-configuration",
		"/realms/main/": "/realms/main/.well-known/openid-configuration",
		"":              "/.well-known/openid-configuration",
		"/":             "/.well-known/openid-configuration",
	} {
		t.Run("DIS-1 issuer path "+issuer, func(t *testing.T) {
			r := newRogue(t)
			r.set("issuer", r.url+issuer)
			r.on(want, func(w http.ResponseWriter, q *http.Request) {
				q.URL.Path = wellKnown
				r.on(wellKnown, nil)
				r.serve(w, q)
			})
			if err := r.client(conf(func(c *provider.Config) { c.Issuer += issuer })).Ready(t.Context()); err != nil {
				t.Fatal(err)
			}
		})
	}
	t.Run("DIS-7 a server that knows RFC 8414 only", func(t *testing.T) {
		r := newRogue(t)
		r.set("issuer", r.url+"/tenant")
		r.on("/.well-known/oauth-authorization-server/tenant", func(w http.ResponseWriter, q *http.Request) {
			q.URL.Path = wellKnown
			r.serve(w, q)
		})
		if err := r.client(conf(func(c *provider.Config) { c.Issuer += "/tenant" })).Ready(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
	t.Run("DIS-7 no discovery at all", func(t *testing.T) {
		r := newRogue(t)
		c := r.client(conf(func(c *provider.Config) {
			c.Discovery = false
			c.Endpoints = provider.Endpoints{Authorization: r.url + "/authorize", Token: r.url + "/token", JWKS: r.url + "/keys"}
			c.SigningAlgs = []string{"ES256"}
		}))
		if err := c.Ready(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Identify(t.Context(), response(r.idToken(nil)), ordinary); err != nil || r.count(wellKnown) != 0 {
			t.Fatal(err, r.count(wellKnown))
		}
	})
}

// TestBadDiscovery: each row is one document that must not be used, and no login begins.
func TestBadDiscovery(t *testing.T) {
	for name, row := range map[string]struct {
		member string
		value  any
		kind   provider.Kind
		code   string
	}{
		"DIS-2 P109 another issuer":                          {"issuer", "https://evil.example", provider.Misconfigured, "issuer_mismatch"},
		"DIS-2 no issuer":                                    {"issuer", nil, provider.Misconfigured, "issuer_mismatch"},
		"DIS-2 issuer is no string":                          {"issuer", []string{"x"}, provider.Misconfigured, "issuer_mismatch"},
		"P109 javascript: for the browser":                   {"authorization_endpoint", "javascript:alert(1)", provider.Misconfigured, "bad_endpoint"},
		"P109 javascript: with a host":                       {"authorization_endpoint", "javascript://x/%0aalert(1)", provider.Misconfigured, "bad_endpoint"},
		"P109 data: for the browser":                         {"end_session_endpoint", "data:text/html,x", provider.Misconfigured, "bad_endpoint"},
		"P109 jwks_uri at the metadata address":              {"jwks_uri", "http://169.254.169.254/latest/meta-data", provider.Misconfigured, "bad_endpoint"},
		"P109 token_endpoint in plain http":                  {"token_endpoint", "http://evil.example/token", provider.Misconfigured, "bad_endpoint"},
		"P109 authorization_endpoint in plain http":          {"authorization_endpoint", "http://evil.example/a", provider.Misconfigured, "bad_endpoint"},
		"P109 file:":                                         {"jwks_uri", "file:///etc/passwd", provider.Misconfigured, "bad_endpoint"},
		"P109 a user in the URL":                             {"token_endpoint", "https://a:b@evil.example/token", provider.Misconfigured, "bad_endpoint"},
		"P109 a fragment":                                    {"authorization_endpoint", "https://evil.example/#a", provider.Misconfigured, "bad_endpoint"},
		"P109 relative":                                      {"token_endpoint", "/token", provider.Misconfigured, "bad_endpoint"},
		"P109 a line break":                                  {"token_endpoint", "https://evil.example/\r\nX: y", provider.Misconfigured, "bad_endpoint"},
		"P109 endpoint is no string":                         {"token_endpoint", 5, provider.Misconfigured, "bad_endpoint"},
		"DIS-6 a list that is none":                          {"scopes_supported", "openid", provider.Misbehaved, "bad_discovery"},
		"P109 jwks_uri among the aliases is a plain address": {"mtls_endpoint_aliases", map[string]any{"token_endpoint": "http://evil.example/"}, provider.Misconfigured, "bad_endpoint"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRogue(t)
			r.set(row.member, row.value)
			c := r.client()
			e := wants(t, c.Ready(t.Context()), row.kind, row.code)
			if e.RetryAfter <= 0 {
				t.Error("it is tried again, but nobody says when")
			}
			if u, err := c.AuthorizationURL(t.Context(), loginRequest); err == nil {
				t.Errorf("a login was begun: %s", u)
			}
			r.set(row.member, nil)
			if row.member == "issuer" {
				r.set("issuer", r.url)
			}
			r.pass(time.Minute)
			if err := c.Ready(t.Context()); err != nil {
				t.Errorf("DIS-4: it does not recover: %v", err)
			}
		})
	}
}

// TestDiscoveryAnswers: what comes instead of a document.
func TestDiscoveryAnswers(t *testing.T) {
	for name, row := range map[string]struct {
		answer http.HandlerFunc
		kind   provider.Kind
		code   string
	}{
		"DIS-4 404":                   {answerJSON(404, "{}"), provider.Unavailable, "bad_status"},
		"DIS-4 503":                   {answerJSON(503, "{}"), provider.Unavailable, "server_error"},
		"DIS-4 429":                   {answerJSON(429, "{}"), provider.Unavailable, "rate_limited"},
		"not JSON":                    {answerJSON(200, "<html>"), provider.Misbehaved, "bad_discovery"},
		"an array":                    {answerJSON(200, "[]"), provider.Misbehaved, "bad_discovery"},
		"duplicate members":           {answerJSON(200, `{"issuer":"a","issuer":"b"}`), provider.Misbehaved, "bad_discovery"},
		"DIS-9 P110 redirect":         {http.RedirectHandler("http://127.0.0.1:1/x?secret=1", http.StatusFound).ServeHTTP, provider.Misbehaved, "redirect_refused"},
		"DIS-9 P058 more than 1 MiB":  {endless, provider.Misbehaved, "too_large"},
		"DIS-9 P058 a header of 1 MB": {func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("X", long(1<<20)) }, provider.Unavailable, "unreachable"},
		"cut off":                     {cut, provider.Unavailable, "unreachable"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRogue(t)
			r.on(wellKnown, row.answer)
			e := wants(t, r.client().Ready(t.Context()), row.kind, row.code)
			if strings.Contains(e.Error(), "secret") {
				t.Errorf("a query in the error: %v", e)
			}
		})
	}
}

func endless(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write([]byte(`{"a":"`))
	for range 3 << 20 / 1024 {
		if _, err := w.Write([]byte(long(1024))); err != nil {
			return
		}
	}
}

func cut(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Length", "100")
	_, _ = w.Write([]byte("{"))
	panic(http.ErrAbortHandler)
}

func TestDIS4TheProviderComesLater(t *testing.T) {
	r := newRogue(t)
	r.on(wellKnown, answerJSON(503, ""))
	c := r.client()
	for i := range 50 { // a crowd of visitors costs the provider no crowd of requests
		e := wants(t, c.Ready(t.Context()), provider.Unavailable, "server_error")
		if e.RetryAfter < time.Second || e.RetryAfter > 40*time.Second {
			t.Fatalf("attempt %d: retry after %v", i, e.RetryAfter)
		}
	}
	if n := r.count(wellKnown); n != 1 {
		t.Errorf("asked %d times within the back-off", n)
	}
	for range 20 { // the back-off grows, and ends at half a minute
		r.pass(37 * time.Second)
		_ = c.Ready(t.Context())
	}
	if n := r.count(wellKnown); n != 21 {
		t.Errorf("asked %d times in 20 × 37 s", n)
	}
	r.on(wellKnown, nil)
	r.pass(37 * time.Second)
	if err := c.Ready(t.Context()); err != nil {
		t.Fatalf("it does not recover by itself: %v", err)
	}
}

func TestRetryAfterOfTheProviderIsHeeded(t *testing.T) {
	r := newRogue(t)
	r.on(wellKnown, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "45")
		w.WriteHeader(503)
	})
	c := r.client()
	if e := wants(t, c.Ready(t.Context()), provider.Unavailable, "server_error"); e.RetryAfter != 45*time.Second {
		t.Errorf("retry after %v", e.RetryAfter)
	}
	r.pass(40 * time.Second)
	_ = c.Ready(t.Context())
	if r.count(wellKnown) != 1 {
		t.Error("asked before the time that the provider named")
	}
}

func TestOneFetchForAllWhoWaitAndNobodyHoldsUpTheOthers(t *testing.T) {
	r := newRogue(t)
	release, arrived := make(chan struct{}), make(chan struct{})
	r.on(wellKnown, func(w http.ResponseWriter, q *http.Request) {
		close(arrived)
		<-release
		r.on(wellKnown, nil)
		r.serve(w, q)
	})
	c := r.client()
	first, cancel := context.WithCancel(t.Context())
	gone := make(chan error)
	go func() { gone <- c.Ready(first) }()
	<-arrived
	var wg sync.WaitGroup
	var good atomic.Int64
	for range 50 {
		wg.Go(func() {
			if c.Ready(t.Context()) == nil {
				good.Add(1)
			}
		})
	}
	cancel() // whoever came first goes; the fetch goes on for the others
	wants(t, <-gone, provider.Unavailable, "canceled")
	close(release)
	wg.Wait()
	if good.Load() != 50 || len(r.seen(wellKnown)) != 2 { // 2: serve counts the replaced answer and the real one
		t.Errorf("%d of 50 were served, %d requests", good.Load(), len(r.seen(wellKnown)))
	}
}

func TestDIS5AWorkingDocumentIsNeverDropped(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rogue) {
		c := r.client()
		if err := c.Ready(t.Context()); err != nil {
			t.Fatal(err)
		}
		r.on(wellKnown, answerJSON(200, `{"issuer":"https://evil.example"}`))
		for range 10 {
			r.pass(25 * time.Hour)
			if err := c.Ready(t.Context()); err != nil {
				t.Fatalf("dropped: %v", err)
			}
		}
		r.pass(0)
		if n := r.count(wellKnown); n != 11 {
			t.Errorf("asked %d times in ten days", n)
		}
		r.on(wellKnown, nil)
		r.set("end_session_endpoint", r.url+"/new-logout")
		r.pass(25 * time.Hour)
		_ = c.Ready(t.Context()) // only begins the fetch: during an outage nobody waits
		r.pass(0)
		if u, err := c.EndSessionURL(t.Context(), provider.EndSession{}); err != nil || !strings.HasPrefix(u, r.url+"/new-logout") {
			t.Errorf("the new document is not used: %s %v", u, err)
		}
	})
}

func TestDIS5WhatMovedIsFoundBeforeTheDocumentIsOld(t *testing.T) {
	move := func(r *rogue, to string) {
		r.set("jwks_uri", r.url+to+"/keys")
		r.set("token_endpoint", r.url+to+"/token")
		r.on(to+"/keys", answerJSON(200, string(must(json.Marshal(map[string]any{"keys": r.keys})))))
		r.on(to+"/token", answerJSON(200, `{"access_token":"A","token_type":"Bearer"}`))
		r.on("/keys", answerJSON(404, ""))
		r.on("/token", answerJSON(404, ""))
	}
	grant := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {"R"}}
	inBubble(t, func(t *testing.T, r *rogue) {
		c := r.client()
		if _, err := c.Identify(t.Context(), response(r.idToken(nil)), ordinary); err != nil {
			t.Fatal(err)
		}
		move(r, "/b")
		r.pass(10 * time.Minute)
		_, err := c.Grant(t.Context(), grant)
		wants(t, err, provider.Misbehaved, "bad_response")
		if _, err = c.Grant(t.Context(), grant); err != nil {
			t.Errorf("a token endpoint that moved: %v", err)
		}
		if _, err := c.Identify(t.Context(), response(r.idToken(nil)), ordinary); err != nil {
			t.Errorf("jwks_uri moved: %v", err)
		}
		move(r, "/c")
		r.pass(61 * time.Minute) // the keys are too old now, the document is not
		r.on("/b/keys", answerJSON(503, ""))
		for range 2 {
			if _, err := c.Identify(t.Context(), response(r.idToken(nil)), ordinary); err != nil {
				t.Errorf("jwks_uri moved: %v", err)
			}
		}
		if r.count("/c/keys") != 1 {
			t.Error("the keys were not looked for where they are now")
		}
		asked := r.count(wellKnown)
		r.on("/c/token", answerJSON(404, ""))
		for range 20 {
			_, err = c.Grant(t.Context(), grant)
			wants(t, err, provider.Misbehaved, "bad_response")
		}
		if n := r.count(wellKnown) - asked; n > 1 {
			t.Errorf("asked %d times because of one endpoint that is gone", n)
		}
	})
}

func TestAStoreThatHangsDoesNotKeepUsFromTheProvider(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rogue) {
		c := r.client(func(_ *provider.Config, d *provider.Deps) { d.Store = hanging{} })
		start := time.Now()
		if err := c.Ready(t.Context()); err != nil {
			t.Fatalf("P208: %v", err)
		}
		if d := time.Since(start); d > 5*time.Second {
			t.Errorf("it took %v", d)
		}
	})
}

func newRing() *seal.Ring { return must(seal.New([]byte("0123456789abcdefghijklmnopqrstuv"))) }

// hanging is a store that answers nothing.
type hanging struct{ store.Store }

func (hanging) Get(ctx context.Context, _ ...string) ([]store.Item, error) {
	<-ctx.Done()
	return nil, store.ErrUnavailable
}

func (hanging) Put(ctx context.Context, _ string, _ []byte, _ time.Duration, _ ...string) error {
	<-ctx.Done()
	return store.ErrUnavailable
}

func TestAnOverrideHelpsAgainstAWrongDocument(t *testing.T) {
	r := newRogue(t)
	r.set("token_endpoint", "http://internal.example/token")
	r.set("mtls_endpoint_aliases", map[string]any{"token_endpoint": "ftp://x/"})
	r.on("/real", answerJSON(200, `{"access_token":"A","token_type":"Bearer"}`))
	wants(t, r.client().Ready(t.Context()), provider.Misconfigured, "bad_endpoint")
	c := r.client(conf(func(c *provider.Config) { c.Endpoints.Token = r.url + "/real" }))
	if _, err := c.Grant(t.Context(), url.Values{"grant_type": {"refresh_token"}}); err != nil || r.count("/real") != 1 {
		t.Errorf("DIS-3: %v", err)
	}
}

func TestDIS5ETagAndCacheControl(t *testing.T) {
	r := newRogue(t)
	conditional := 0
	r.on(wellKnown, func(w http.ResponseWriter, q *http.Request) {
		w.Header().Set("ETag", `"v1"`)
		w.Header().Set("Cache-Control", "public, max-age=600")
		if q.Header.Get("If-None-Match") == `"v1"` {
			conditional++
			w.WriteHeader(http.StatusNotModified)
			return
		}
		body := r.document
		answerJSON(200, string(must(json.Marshal(body))))(w, q)
	})
	c := r.client()
	for range 3 {
		if err := c.Ready(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	r.pass(9 * time.Minute)
	_ = c.Ready(t.Context())
	if n := r.count(wellKnown); n != 1 {
		t.Errorf("asked %d times within max-age", n)
	}
	r.pass(2 * time.Minute)
	if err := c.Ready(t.Context()); err != nil || conditional != 1 || r.count(wellKnown) != 2 {
		t.Errorf("%v, %d conditional of %d", err, conditional, r.count(wellKnown))
	}
}

func TestARestartSurvivesAnOutage(t *testing.T) {
	r := newRogue(t)
	s, ring := new(shelves), newRing()
	remembering := func(_ *provider.Config, d *provider.Deps) { d.Store, d.Ring = s, ring }
	if _, err := r.client(remembering).Identify(t.Context(), response(r.idToken(nil)), ordinary); err != nil {
		t.Fatal(err)
	}
	down := answerJSON(503, "")
	r.on(wellKnown, down)
	r.on("/keys", down)
	r.pass(23 * time.Hour)
	if _, err := r.client(remembering).Identify(t.Context(), response(r.idToken(nil)), ordinary); err != nil {
		t.Fatalf("R22: a restart during the outage: %v", err)
	}
	_, err := r.client().Identify(t.Context(), response(r.idToken(nil)), ordinary)
	wants(t, err, provider.Unavailable, "server_error")
	r.pass(3 * time.Hour)
	_, err = r.client(remembering).Identify(t.Context(), response(r.idToken(nil)), ordinary)
	wants(t, err, provider.Unavailable, "keys_unavailable") // keys of more than a day ago vouch for nobody
	other := newRogue(t)
	other.on(wellKnown, down)
	wants(t, other.client(remembering).Ready(t.Context()), provider.Unavailable, "server_error")

	r.on(wellKnown, nil)
	r.on("/keys", nil)
	s.down = true
	var log lines
	c := r.client(remembering, func(_ *provider.Config, d *provider.Deps) { d.Log = log.logger() })
	if _, err := c.Identify(t.Context(), response(r.idToken(nil)), ordinary); err != nil {
		t.Errorf("a store that is down must not matter: %v", err)
	}
	if !strings.Contains(log.String(), "could not be remembered") {
		t.Errorf("nobody is told: %s", log.String())
	}
}

func TestWhatLiesInTheStoreIsNotBelievedBlindly(t *testing.T) {
	for name, ring := range map[string]*seal.Ring{"without a ring": nil, "sealed": newRing()} {
		t.Run(name, func(t *testing.T) {
			r := newRogue(t)
			s := new(shelves)
			remembering := func(_ *provider.Config, d *provider.Deps) { d.Store, d.Ring = s, ring }
			if err := r.client(remembering).Ready(t.Context()); err != nil {
				t.Fatal(err)
			}
			for _, garbage := range []string{"", "null", "{", `{"at":"x"}`, `{"at":"2026-11-01T12:00:00Z","max_age":1,"body":"e30="}`, "\x00\xff"} {
				for k := range s.items {
					s.items[k] = []byte(garbage)
				}
				if err := r.client(remembering).Ready(t.Context()); err != nil {
					t.Errorf("%q: %v", garbage, err)
				}
			}
		})
	}
}

// TestNobodyPutsKeysIntoASharedStore: whoever can write to the store cannot make a key of
// theirs the provider's, neither in the clear, nor sealed for something else, nor by giving
// us the remembered keys of another provider, nor long after they were withdrawn.
func TestNobodyPutsKeysIntoASharedStore(t *testing.T) {
	r, evil := newRogue(t), newRogue(t)
	ring := newRing()
	with := func(s *shelves, ring *seal.Ring) func(*provider.Config, *provider.Deps) {
		return func(_ *provider.Config, d *provider.Deps) { d.Store, d.Ring = s, ring }
	}
	know := func(r *rogue, s *shelves, ring *seal.Ring) {
		if _, err := r.client(with(s, ring)).Identify(t.Context(), response(r.idToken(nil)), ordinary); err != nil {
			t.Fatal(err)
		}
	}
	mine, clear, theirs := new(shelves), new(shelves), new(shelves)
	know(r, mine, ring)
	for _, v := range mine.items {
		if strings.Contains(string(v), "issuer") || strings.Contains(string(v), "keys") {
			t.Error("a document lies there in the clear")
		}
	}
	know(evil, clear, nil)
	know(evil, theirs, ring)
	stranger := must(seal.New([]byte("another key of thirty-two bytes.")))
	key := func(s *shelves, kind string) string {
		for k := range s.items {
			if strings.Contains(k, kind) {
				return k
			}
		}
		t.Fatalf("nothing of %s is remembered", kind)
		return ""
	}
	at, plain := key(mine, "keys"), clear.items[key(clear, "keys")]
	forged := evil.sign(nil, must(json.Marshal(r.claims(nil))))
	for name, value := range map[string][]byte{
		"in the clear":              plain,
		"sealed by another ring":    stranger.Seal("provider document", plain, []byte(at)),
		"sealed for something else": ring.Seal("session", plain, []byte(at)),
		"those of another provider": theirs.items[key(theirs, "keys")],
	} {
		t.Run("P109 "+name, func(t *testing.T) {
			s := &shelves{items: map[string][]byte{at: value}}
			_, err := r.client(with(s, ring)).Identify(t.Context(), response(forged), ordinary)
			wants(t, err, provider.Misbehaved, "bad_signature")
			s = &shelves{items: map[string][]byte{at: value}}
			if _, err = r.client(with(s, ring)).Identify(t.Context(), response(r.idToken(nil)), ordinary); err != nil {
				t.Errorf("the true key is not found any more: %v", err)
			}
		})
	}
	t.Run("JWK-6 a copy from the future", func(t *testing.T) {
		r.on("/keys", answerJSON(503, ""))
		r.pass(-time.Hour)
		_, err := r.client(with(mine, ring)).Identify(t.Context(), response(r.idToken(nil)), ordinary)
		wants(t, err, provider.Unavailable, "keys_unavailable")
	})
}

func TestP058AProviderThatHangs(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rogue) {
		r.on(wellKnown, hang)
		c := r.client()
		start := time.Now()
		wants(t, c.Ready(t.Context()), provider.Unavailable, "timeout")
		if d := time.Since(start); d != 10*time.Second {
			t.Errorf("gave up after %v", d)
		}
		start = time.Now()
		if err := c.Ready(t.Context()); err == nil || time.Since(start) != 0 {
			t.Errorf("within the back-off nobody waits: %v after %v", err, time.Since(start))
		}
		r.pass(time.Minute)
		short, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start = time.Now()
		if err := c.Ready(short); err == nil || time.Since(start) != time.Second {
			t.Errorf("a visitor's own deadline is not heeded: %v after %v", err, time.Since(start))
		}
		r.pass(time.Minute)
	})
}

// hang answers when the other side has gone.
func hang(_ http.ResponseWriter, q *http.Request) { <-q.Context().Done() }

func TestP209DuringAnOutageNobodyWaits(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rogue) {
		c := r.client()
		if err := c.Ready(t.Context()); err != nil {
			t.Fatal(err)
		}
		r.on(wellKnown, hang)
		r.pass(25 * time.Hour)
		waited := time.Duration(0)
		for range 600 { // ten minutes of visitors, one a second
			start := time.Now()
			if err := c.Ready(t.Context()); err != nil {
				t.Fatal(err)
			}
			waited += time.Since(start)
			time.Sleep(time.Second)
		}
		if waited > 10*time.Second {
			t.Errorf("visitors waited %v together; only the first one may", waited)
		}
		if n := r.count(wellKnown); n > 30 {
			t.Errorf("the provider was asked %d times", n)
		}
		r.pass(time.Minute)
	})
}

func TestDIS4TheBackOffGrowsAndIsJittered(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rogue) {
		r.on(wellKnown, answerJSON(503, ""))
		c := r.client()
		for i, want := range []time.Duration{1, 2, 4, 8, 16, 30, 30, 30} {
			want *= time.Second
			e := wants(t, c.Ready(t.Context()), provider.Unavailable, "server_error")
			if d := e.RetryAfter; d < want*8/10 && d != time.Second || d > want*12/10 {
				t.Errorf("failure %d: again in %v, want %v give or take a fifth", i+1, d, want)
			}
			if n := r.count(wellKnown); n != i+1 {
				t.Errorf("failure %d: %d requests", i+1, n)
			}
			r.pass(want*12/10 + time.Millisecond)
		}
		r.on(wellKnown, nil)
		if err := c.Ready(t.Context()); err != nil {
			t.Fatalf("it does not recover by itself: %v", err)
		}
		r.on(wellKnown, answerJSON(503, ""))
		r.pass(25 * time.Hour)
		_ = c.Ready(t.Context())
		r.pass(2 * time.Second)
		_ = c.Ready(t.Context())
		r.pass(0)
		if n := r.count(wellKnown); n != 11 {
			t.Errorf("%d requests: after a success the back-off begins anew", n)
		}
	})
}

// TestCloseLeavesNothingRunning: the bubble waits for every goroutine that was started in it.
func TestCloseLeavesNothingRunning(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rogue) {
		c := r.client()
		for range 3 {
			if _, err := c.Identify(t.Context(), response(r.idToken(nil)), ordinary); err != nil {
				t.Fatal(err)
			}
			c.Close() // it works afterwards all the same: a reload may close one in use
		}
	})
}

func TestP200UntrustedCertificates(t *testing.T) {
	server := httptest.NewTLSServer(http.NotFoundHandler())
	defer server.Close()
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	c, err := provider.New(provider.Config{Name: "corp", Issuer: server.URL, ClientID: clientID, Discovery: true}, provider.Deps{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	e := wants(t, c.Ready(t.Context()), provider.Unavailable, "tls_untrusted")
	if !strings.Contains(e.Detail, "ca_file") {
		t.Errorf("nobody is told what to do: %v", e)
	}
	if errors.Unwrap(e) == nil {
		t.Error("the cause is lost")
	}
}
