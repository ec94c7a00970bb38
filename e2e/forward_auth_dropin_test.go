package e2e

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"net/http"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// What set-ups made for oauth2-proxy have, word for word but for places: its documentation, "Configuring for use with the
// Nginx auth_request directive". Whoever changes the address behind it to Doorward's has changed enough.
const oauth2ProxySetUp = `
server {
  listen PUBLIC ssl;
  server_name wiki.example.com;
  ssl_certificate CERTIFICATE;
  ssl_certificate_key KEY;

  location /oauth2/ {
    proxy_pass       http://DOORWARD;
    proxy_set_header Host                    $host;
    proxy_set_header X-Real-IP               $remote_addr;
    proxy_set_header X-Auth-Request-Redirect $request_uri;
  }
  location = /oauth2/auth {
    proxy_pass       http://DOORWARD;
    proxy_set_header Host             $host;
    proxy_set_header X-Real-IP        $remote_addr;
    proxy_set_header X-Forwarded-Uri  $request_uri;
    proxy_set_header Content-Length   "";
    proxy_pass_request_body           off;
  }
  location / {
    auth_request /oauth2/auth;
    error_page 401 = @oauth2_signin;
    auth_request_set $user   $upstream_http_x_auth_request_user;
    auth_request_set $email  $upstream_http_x_auth_request_email;
    proxy_set_header X-User  $user;
    proxy_set_header X-Email $email;
    auth_request_set $token  $upstream_http_x_auth_request_access_token;
    proxy_set_header X-Access-Token $token;
    auth_request_set $auth_cookie $upstream_http_set_cookie;
    add_header Set-Cookie $auth_cookie;
    proxy_pass http://APP/;
  }
  location @oauth2_signin {
    return 302 /oauth2/sign_in?rd=$scheme://$host$request_uri;
  }
}
`

func TestForwardAuthTakesThePlaceOfOAuth2Proxy(t *testing.T) {
	g := newGuarded(t, asNginx(oauth2ProxySetUp), "", providerOptions{})
	const deep = "/reports/2026?sort=-date"
	tb := g.browser(t).tab(t)
	tb.open(wikiSite + deep)
	tb.do(chromedp.Click(chromedp.CSS(`a[href*="/oauth2/start"]`))) // the page with the button, as there
	g.signIn(tb, "alice")
	tb.waitURL(wikiSite + deep)
	r := g.app.last(t, deep)
	if r.Header.Get("X-User") != "alice" || r.Header.Get("X-Email") != "alice@example.com" {
		t.Errorf("the app got %v", r.Header)
	}
	if status := userinfo(t, g.provider.issuer, r.Header.Get("X-Access-Token")); status != http.StatusOK {
		t.Errorf("the provider answers %d to X-Access-Token %q", status, r.Header.Get("X-Access-Token"))
	}
	tb.open(wikiSite + "/admin")
	tb.waitURL(wikiSite + "/admin")
	if got := tb.document(); got.Status != http.StatusForbidden {
		t.Errorf("who is no administrator gets %d", got.Status)
	}
	before := len(g.app.all())
	for _, c := range [][]string{{"/admin", g.cookie(tb)}, {"/orders"}, {"/public/../admin", g.cookie(tb)}, {"/orders", "X-User: root", "X-Forwarded-Uri: /public/x"}} {
		if got := g.send(t, "GET", c[0], c[1:]...); got.Status == http.StatusOK {
			t.Errorf("%q: %d %s", c, got.Status, got.Body)
		}
	}
	if len(g.since(before)) > 0 {
		t.Errorf("the app got %+v", g.since(before))
	}
}

// The endpoint of wonderwall, for those who come from there: 204 or 401.
const wonderwallSetUp = `
server {
  listen PUBLIC ssl;
  server_name wiki.example.com;
  ssl_certificate CERTIFICATE;
  ssl_certificate_key KEY;
  location /oauth2/ {
    proxy_pass       http://DOORWARD;
    proxy_set_header Host $host;
  }
  location = /ask {
    internal;
    proxy_pass       http://DOORWARD/oauth2/session/forwardauth;
    proxy_set_header Host             $host;
    proxy_set_header X-Forwarded-Uri  $request_uri;
    proxy_set_header Content-Length   "";
    proxy_pass_request_body           off;
  }
  location / {
    auth_request /ask;
    error_page 401 = @login;
    proxy_pass http://APP;
  }
  location @login {
    return 302 /oauth2/login?redirect=$request_uri;
  }
}
`

func TestForwardAuthTakesThePlaceOfWonderwall(t *testing.T) {
	g := newGuarded(t, asNginx(wonderwallSetUp), "", providerOptions{})
	tb := g.browser(t).tab(t)
	tb.open(wikiSite + "/reports/2026")
	g.signIn(tb, "alice")
	tb.waitURL(wikiSite + "/reports/2026")
	g.app.last(t, "/reports/2026")
	before := len(g.app.all())
	if got := g.send(t, "GET", "/admin", g.cookie(tb)); got.Status != http.StatusForbidden {
		t.Errorf("who is no administrator gets %d", got.Status)
	}
	if got := g.send(t, "GET", "/orders"); got.Status != http.StatusFound {
		t.Errorf("nobody gets %d", got.Status)
	}
	if len(g.since(before)) > 0 {
		t.Errorf("the app got %+v", g.since(before))
	}
}

func asNginx(setUp string) func(t *testing.T, dir string, p places) *exec.Cmd {
	return func(t *testing.T, dir string, p places) *exec.Cmd {
		t.Helper()
		return nginx(t, dir, strings.NewReplacer("PUBLIC", p.public, "CERTIFICATE", p.certificate, "KEY", p.key, "DOORWARD", p.doorward, "APP", p.app).Replace(setUp))
	}
}

// With the store "cookie" a refreshed session is another cookie. Whoever does not pass it on loses the session at the next
// refresh, because the provider takes each refresh token once. deploy/README.md says that HAProxy passes all of it on; the others
// keep sessions in the store, where nothing has to be passed on.
func TestForwardAuthRecipesLoseNoRefreshedSession(t *testing.T) {
	const life = 4 * time.Second
	for _, r := range recipes() {
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			store := ""
			if r.name == "haproxy" {
				store = fmt.Sprintf("[sessions]\nstore = \"cookie\"\nkeys = [%q]\n", base64.StdEncoding.EncodeToString(bytes.Repeat([]byte("k"), 32)))
			}
			g := newGuarded(t, r.command, store, providerOptions{TTL: map[string]int{"AccessToken": int(life.Seconds()), "IdToken": int(life.Seconds())}})
			tb := g.signedIn(t, g.browser(t), "alice", "/")
			first, tokens := g.cookie(tb), map[string]bool{}
			if !eventually(func() bool {
				if got := fetch(tb, `"/json"`, `{}`); got.Status != http.StatusOK {
					t.Fatalf("after %d tokens: %+v", len(tokens), got)
				}
				tokens[g.app.last(t, "/json").Header.Get("Authorization")] = true
				return len(tokens) >= 3
			}) {
				t.Fatalf("the app saw %d tokens", len(tokens))
			}
			if n := g.provider.count(t, "grant_error", ""); n > 0 {
				t.Errorf("the provider refused %d times", n)
			}
			if renewed := g.cookie(tb) != first; renewed != (store != "") {
				t.Errorf("the cookie is another one: %v", renewed)
			}
			for _, r := range g.app.all() {
				if strings.Contains(fmt.Sprint(r.Header["Cookie"]), "doorward") {
					t.Errorf("P028: the app got Cookie: %q", r.Header["Cookie"])
				}
			}
		})
	}
}
