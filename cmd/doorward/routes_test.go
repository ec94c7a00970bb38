package main

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/doorward/doorward/demo/idp"
	"github.com/doorward/doorward/demo/idp/idptest"
	"github.com/doorward/doorward/internal/config"
)

func TestOneInstanceServesSeveralHostsWithSeveralProviders(t *testing.T) {
	s := newStack(t, "login = [\"corp\"]\n", func(c *idp.Config) {
		c.Clients[0].RedirectURIs = []string{c.Clients[0].RedirectURIs[0] + "/corp"}
	})
	partner := strings.Replace(s.origin, "localhost", "127.0.0.1", 1)
	other := idptest.Start(t, idp.Config{
		Clients: []idp.Client{{
			ID: "partner-client", Secret: clientSecret, SkipConsent: true, RedirectURIs: []string{partner + "/oauth2/callback/partner"},
			Grants: []string{"authorization_code"}, ResponseTypes: []string{"code"},
		}},
		Users: []idp.User{{Username: "carol", Password: "looking-glass-9", Email: "carol@partner.example", EmailVerified: true}},
	})
	s.toml += fmt.Sprintf(`
[provider.partner]
issuer = %q
client_id = "partner-client"
client_secret = %q
[[route]]
name = "partner-app"
host = %q
upstream = [%q]
login = ["partner"]
`, other.Issuer(), clientSecret, partner, s.app.URL)
	s.start()

	b := s.browser()
	if page := s.signedIn(b, "/mine", "alice", "wonderland-9"); page.Status != 200 || page.URL.String() != s.origin+"/mine" {
		t.Fatalf("landed on %s with %d\n%s\n%s", page.URL, page.Status, page.Trail(), s.log)
	}
	if got := s.app.last(t); got.Header.Get("X-Forwarded-Email") != "alice@example.com" || got.Host != strings.TrimPrefix(s.origin, "http://") {
		t.Errorf("the app saw %s at %s", got.Header.Get("X-Forwarded-Email"), got.Host)
	}
	page := b.Open(t, partner+"/theirs")
	if !strings.HasPrefix(page.URL.String(), other.Issuer()) {
		t.Fatalf("a session of the first provider opened %s, or led to %s\n%s", partner, page.URL, page.Trail())
	}
	if page = page.SignIn(t, "carol", "looking-glass-9"); page.Status != 200 || page.URL.String() != partner+"/theirs" {
		t.Fatalf("landed on %s with %d\n%s\n%s", page.URL, page.Status, page.Trail(), s.log)
	}
	if got := s.app.last(t); got.Header.Get("X-Forwarded-Email") != "carol@partner.example" {
		t.Errorf("the app saw %s", got.Header.Get("X-Forwarded-Email"))
	}
	if page = b.Open(t, s.origin+"/mine"); page.Status != 200 || s.app.last(t).Header.Get("X-Forwarded-Email") != "alice@example.com" {
		t.Errorf("the first session is gone: %d\n%s", page.Status, page.Trail())
	}
}

func TestAWholeSiteOfRoutesWithAndWithoutUpstreams(t *testing.T) {
	s := newStack(t, "encoded = [\"slash\"]\n")
	root := filepath.Join(s.dir, "www")
	if err := os.Mkdir(root, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"www/index.html": "<p>single page", "www/app.js": "1", "notice.html": "<p>first"} {
		if err := os.WriteFile(filepath.Join(s.dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s.toml += fmt.Sprintf(`
[[route]]
path = "/spa"
strip_prefix = true
files = { root = "www", fallback = "index.html" }
public = true
[[route]]
path = "/notice"
respond = { file = "notice.html", status = 503 }
public = true
[[route]]
path = "/old"
strip_prefix = true
redirect = { to = "{path}?{query}", status = 301 }
public = true
[[route]]
path = "/closed"
redirect = { to = "https://www.example.com/" }
[[route]]
name = "preview"
path = "/api"
match = { query = { preview = ["true"] } }
upstream = [%[1]q]
public = true
add_prefix = "/next"
[[route]]
name = "api"
path = "/api"
upstream = [%[1]q]
public = true
encoded = ["slash"]
rewrite = [{ from = "/api/{a}/{b}", to = "/{b}/{a}" }]
host_header = "legacy.internal"
`, s.app.URL)
	s.start()
	b := s.browser()
	for path, want := range map[string]string{
		"/spa/app.js": "200 1", "/spa/some/view": "200 <p>single page", "/notice": "503 <p>first", "/old/spa/app.js?x": "200 1",
		"/api/a?preview=true": "200 <p>app at /next/api/a?preview=true</p>", "/api/x%2fy/z": "200 <p>app at /z/x%2fy</p>", "/spa/..%2fnotice": "400",
	} {
		page := b.Open(t, s.origin+path)
		if got := fmt.Sprintf("%d %s", page.Status, page.Body); !strings.HasPrefix(got, want) {
			t.Errorf("%s: %.100q, not %q", path, got, want)
		}
	}
	if got := s.app.last(t); got.RequestURI == "/z/x%2fy" && got.Host != "legacy.internal" {
		t.Errorf("the app saw the host %s", got.Host)
	}
	if page := b.Fetch(t, "", http.MethodGet, s.origin+"/closed", nil); page.Status != 401 {
		t.Errorf("a protected redirect: %d", page.Status)
	}
	// A path with an encoded slash comes back from the login as it was.
	if page := s.signedIn(s.browser(), "/projects/group%2Fproject?x=%2f", "alice", "wonderland-9"); page.Status != 200 || !strings.Contains(page.Body, "app at /projects/group%2Fproject?x=%2f") {
		t.Errorf("landed on %s with %d %.200s\n%s", page.URL, page.Status, page.Body, page.Trail())
	}
	var out strings.Builder
	c, err := config.Load(s.options())
	if err != nil {
		t.Fatal(err)
	}
	printRoutes(&out, c)
	for _, want := range []string{
		"spa: serves the files below " + root + "\n", "notice: answers 503 with 8 bytes\n", "old: redirects by 301 to {path}?{query}\n",
		"all methods with ?preview=true", "preview: to " + s.app.URL + " below /next\n", "api: to " + s.app.URL + ", /api/{a}/{b} as /{b}/{a} as legacy.internal\n",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("check does not say %q\n%s", want, out.String())
		}
	}
	// A file of an answer is part of the configuration: it is read again when it changes.
	if err := os.WriteFile(filepath.Join(s.dir, "notice.html"), []byte("<p>second"), 0o600); err != nil {
		t.Fatal(err)
	}
	deadlineLoop(t, func() bool { return b.Open(t, s.origin+"/notice").Body == "<p>second" })
}
