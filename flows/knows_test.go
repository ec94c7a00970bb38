package flows

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/doorward/doorward/demo/idp"
	"github.com/doorward/doorward/internal/identity"
	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/sessions"
)

// A configuration may change between two starts so that a name means somebody else. P083 and P131 at rest:
// nobody gets in by the session of before, and its tokens go to no other provider.
func TestP083ASessionOfAnotherIssuerIsNobodys(t *testing.T) {
	for name, change := range map[string]func(*plan){
		"the provider is another issuer": func(p *plan) { p.issuer = other },
		"the login has another provider": func(p *plan) {
			p.providers, p.flows = []string{"prod"}, func(c *Config) { c.Logins[0].Provider = "prod" }
		},
		"the login is gone": func(p *plan) { p.flows = func(c *Config) { c.Logins[0].Name = "people" } },
	} {
		for home, inCookie := range map[string]bool{"in a store": false, "in cookies": true} {
			t.Run(name+", "+home, func(t *testing.T) {
				w := newWorld(t, func(p *plan) { p.sessions = func(c *sessions.Config) { c.InCookie = inCookie } })
				b := w.signedIn(t, app+"/x")
				var pairs []string
				for _, name := range b.Jar.Names(app) {
					pairs = append(pairs, name+"="+b.Jar.Get(app, name))
				}
				cookies := strings.Join(pairs, "; ")
				change(&w.plan)
				w.replica(t) // the next start
				next := w.startProvider(t, other, nil)

				ask := func(replica, method, path string, header ...string) *http.Response {
					return w.call(t, method, app+path, append(header, "Cookie", cookies, "X-Test-Replica", replica)...)
				}
				if res := ask("0", "GET", "/x"); res.StatusCode != http.StatusOK {
					t.Fatalf("before the change: %d", res.StatusCode)
				}
				res := ask("1", "GET", "/x", "X-Requested-With", "x")
				if res.StatusCode != http.StatusUnauthorized {
					t.Errorf("the application answers with %d", res.StatusCode)
				}
				if set := strings.Join(res.Header.Values("Set-Cookie"), "\n"); !strings.Contains(set, sessionID+"=;") {
					t.Errorf("the cookie stays: %q", set)
				}
				for _, path := range []string{"/oauth2/session", "/oauth2/userinfo"} {
					if res := ask("1", "GET", path); res.StatusCode != http.StatusUnauthorized {
						t.Errorf("%s: %d", path, res.StatusCode)
					}
				}
				if res := ask("1", "POST", "/oauth2/session/refresh", "Sec-Fetch-Site", "same-origin"); res.StatusCode != http.StatusUnauthorized {
					t.Errorf("refresh: %d", res.StatusCode)
				}
				res = ask("1", "POST", "/oauth2/sign_out", navigation("same-origin")...)
				if to := res.Header.Get("Location"); to != "/oauth2/logout/callback" {
					t.Errorf("the sign-out leads to %s", to)
				}
				w.replicas[1].flows.Wait()
				for _, p := range []*idp.Server{w.idp, next} {
					if n := p.Count(idp.Revoke) + p.Count(idp.EndSession); n != 0 {
						t.Errorf("%s was asked %d times to end the session", p.Issuer(), n)
					}
				}
				if res := ask("0", "GET", "/x", "X-Requested-With", "x"); res.StatusCode != http.StatusUnauthorized {
					t.Errorf("P131: signed out, and with the old configuration it is alive again: %d", res.StatusCode)
				}
			})
		}
	}
}

func TestP083TokensGoToNoOtherIssuer(t *testing.T) {
	w := newWorld(t)
	who := &identity.Identity{
		Issuer: other, Provider: "corp", Login: "staff", Subject: "alice",
		Tokens: &identity.Tokens{RefreshToken: secret.New("rt"), IDToken: secret.New("id")},
	}
	w.flows.deps.Revoker.Revoke(t.Context(), who)
	w.flows.Wait()
	if n := w.idp.Count(idp.Revoke); n != 0 {
		t.Errorf("%d revocations", n)
	}
	to := w.flows.afterSignOut(t.Context(), mustOrigin(t, app), &sessions.Session{Who: who}, "")
	if u := must(url.Parse(to))(t); u.IsAbs() || u.Query().Has("id_token_hint") {
		t.Errorf("the sign-out leads to %s", u.Redacted())
	}
}
