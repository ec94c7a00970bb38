package provider_test

import (
	"encoding/json"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/flows/provider"
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
		"DIS-2 P109 another issuer":         {"issuer", "https://evil.example", provider.Misconfigured, "issuer_mismatch"},
		"DIS-2 no issuer":                   {"issuer", nil, provider.Misconfigured, "issuer_mismatch"},
		"DIS-2 issuer is no string":         {"issuer", []string{"x"}, provider.Misconfigured, "issuer_mismatch"},
		"P109 javascript: for the browser":  {"authorization_endpoint", "javascript:alert(1)", provider.Misconfigured, "bad_endpoint"},
		"P109 javascript: with a host":      {"authorization_endpoint", "javascript://x/%0aalert(1)", provider.Misconfigured, "bad_endpoint"},
		"P109 data: for the browser":        {"end_session_endpoint", "data:text/html,x", provider.Misconfigured, "bad_endpoint"},
		"P109 keys at the metadata address": {"jwks_uri", "http://169.254.169.254/latest/meta-data", provider.Misconfigured, "bad_endpoint"},
		"P109 token_endpoint in plain http": {"token_endpoint", "http://evil.example/token", provider.Misconfigured, "bad_endpoint"},
		"P109 authorization in plain http":  {"authorization_endpoint", "http://evil.example/a", provider.Misconfigured, "bad_endpoint"},
		"P109 a file in the place of keys":  {"jwks_uri", "file:///etc/passwd", provider.Misconfigured, "bad_endpoint"},
		"P109 a user in the URL":            {"token_endpoint", "https://a:b@evil.example/token", provider.Misconfigured, "bad_endpoint"},
		"P109 a fragment":                   {"authorization_endpoint", "https://evil.example/#a", provider.Misconfigured, "bad_endpoint"},
		"P109 relative":                     {"token_endpoint", "/token", provider.Misconfigured, "bad_endpoint"},
		"P109 a line break":                 {"token_endpoint", "https://evil.example/\r\nX: y", provider.Misconfigured, "bad_endpoint"},
		"P109 endpoint is no string":        {"token_endpoint", 5, provider.Misconfigured, "bad_endpoint"},
		"DIS-6 a list that is none":         {"scopes_supported", "openid", provider.Misbehaved, "bad_discovery"},
		"P109 an alias in plain http":       {"mtls_endpoint_aliases", map[string]any{"token_endpoint": "http://evil.example/"}, provider.Misconfigured, "bad_endpoint"},
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
	for { // until the other side hangs up
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
