package proxy

import (
	"context"
	"net/http"
	"net/netip"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/credentials"
	"github.com/doorward/doorward/internal/identity"
	"github.com/doorward/doorward/internal/origin"
	"github.com/doorward/doorward/internal/secret"
)

// renewable is a session whose refresh takes its group away.
type renewable struct{ people }

func (renewable) Renew(http.ResponseWriter, *http.Request) (*identity.Identity, bool, error) {
	return someone("carol", func(w *identity.Identity) { w.Tokens.AccessToken = secret.New("at-new") }), true, nil
}

// exchanging takes no token but the renewed one.
type exchanging struct{ service }

func (e exchanging) Token(_ context.Context, who *identity.Identity) (*identity.Credential, error) {
	if who.Tokens.AccessToken.Reveal() != "at-new" {
		return nil, &credentials.Refusal{Word: credentials.InvalidToken}
	}
	return bearerCredential("exchanged"), nil
}

func TestARefreshWhileAQuestionIsAnsweredIsNarrowedToo(t *testing.T) {
	l := asking(t, func(c *Config, d *Deps) {
		p := d.Session.(people)
		p["carol"] = someone("carol", func(w *identity.Identity) { w.Groups = []string{"board"} })
		d.Session, d.Sources["exchange"] = renewable{p}, exchanging{}
		c.Routes = append(c.Routes, Route{Name: "exchange", Hosts: []origin.Origin{{Scheme: "https", Host: "wiki.test"}}, Path: "/exchange", Logins: []string{"staff"}, Credential: "exchange"})
		d.Starters["exchange"] = door{}
	})
	a := l.send("GET", "/oauth2/auth", about("/exchange/x", as("carol"), "Host: wiki.test")...)
	l.verdict(a, 202)
	l.tells(a, "Authorization", "Bearer exchanged")
	l.verdict(l.send("GET", "/oauth2/auth?allowed_groups=board", about("/exchange/x", as("carol"), "Host: wiki.test")...), 403)
}

func TestQuestionsCountInTheLimitsOfTheirRoute(t *testing.T) {
	for name, limits := range map[string]Limits{"per person": {PerUser: Rate{2, time.Hour}}, "per address": {PerAddress: Rate{2, time.Hour}}} {
		t.Run(name, func(t *testing.T) {
			l := asking(t, func(c *Config, _ *Deps) {
				c.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
				c.route("root").Limits = limits
			})
			ask := func(status int) {
				l.verdict(l.send("GET", "/oauth2/auth", about("/x", as("alice"), "X-Forwarded-For: 192.0.2.1")...), status)
			}
			if ask(202); l.send("GET", "/x", as("alice"), "X-Forwarded-For: 192.0.2.1").StatusCode != 200 {
				t.Error("the request itself is refused")
			}
			l.e.take()
			ask(503) // 429 is not known to nginx
		})
	}
}
