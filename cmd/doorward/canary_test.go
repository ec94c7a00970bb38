package main

import (
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/doorward/doorward/demo/idp"
	"github.com/doorward/doorward/internal/testnet"
)

// TestP189NoSecretEverLeavesInALogOrAPage drives every flow that exists, well and badly,
// at the most talkative log level, then looks for every secret that was in play.
func TestP189NoSecretEverLeavesInALogOrAPage(t *testing.T) {
	to := newCollector(t)
	s, _ := audited(t, "full", "")
	s.toml = strings.Replace(s.toml, "[telemetry]\n", fmt.Sprintf("[telemetry]\notlp = %q\n", to.URL), 1)
	s.start()
	b := s.browser()
	var shown strings.Builder // every page and header that Doorward itself wrote
	look := func(p *testnet.Page) *testnet.Page {
		for _, h := range p.Hops {
			if strings.HasPrefix(h.URL.String(), s.origin) && h.Location == "" {
				for name, values := range h.Header {
					if name != "Set-Cookie" {
						shown.WriteString(name + ": " + strings.Join(values, "\n") + "\n")
					}
				}
			}
		}
		if strings.HasPrefix(p.URL.String(), s.origin) {
			shown.WriteString(p.Body)
		}
		return p
	}

	look(s.signedIn(b, "/first", "alice", "wonderland-9"))
	cookies := []string{}
	remember := func() {
		for _, name := range b.Jar.Names(s.origin) {
			cookies = append(cookies, b.Jar.Get(s.origin, name))
		}
	}
	remember()
	look(b.Fetch(t, "", http.MethodGet, s.origin+"/oauth2/session", nil))
	look(b.Fetch(t, "", http.MethodGet, s.origin+"/oauth2/userinfo", nil))
	look(b.Fetch(t, "", http.MethodPost, s.origin+"/oauth2/session/refresh", nil))
	remember()

	// Callbacks that are refused in every way, with what a person's browser really held.
	for _, sins := range [][]idp.Sin{
		{idp.Claim("nonce", "other")},
		{idp.Claim("iss", "https://evil.example")},
		{idp.Signed(idp.SignNone)},
		{idp.ResponseParam("iss", "https://evil.example")},
		{idp.Answer(500, "text/html", "<p>oops</p>")},
		{idp.OAuthError("invalid_client")},
		{idp.OAuthError("invalid_grant")},
		{idp.OAuthError("access_denied").On(idp.Response)},
		{idp.Claim("sub", "bob").On(idp.UserInfo)},
	} {
		s.idp.Misbehave(sins...)
		other := s.browser()
		look(s.signedIn(other, "/fails", "alice", "wonderland-9"))
		for _, name := range other.Jar.Names(s.origin) {
			cookies = append(cookies, other.Jar.Get(s.origin, name))
		}
		s.idp.Heal()
	}
	stray := s.idp.Last(idp.Token).Form
	look(s.browser().Open(t, s.origin+"/oauth2/callback?"+url.Values{"code": {stray.Get("code")}, "state": {"stray"}}.Encode()))
	look(b.Open(t, s.origin+"/oauth2/sign_out"))
	metrics := s.metrics()
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}

	secrets := map[string]string{"client secret": clientSecret, "password": "wonderland-9"}
	for _, c := range cookies {
		if len(c) > 8 {
			secrets["cookie "+c[:4]] = c
		}
	}
	for _, q := range s.idp.Requests(idp.Token) {
		for _, name := range []string{"code", "code_verifier", "refresh_token"} {
			if v := q.Form.Get(name); v != "" {
				secrets[name+" "+v[:4]] = v
			}
		}
		if basic := strings.TrimPrefix(q.Header.Get("Authorization"), "Basic "); basic != "" {
			secrets["basic"] = basic
		}
	}
	for _, q := range s.idp.Requests(idp.Authorize) {
		for _, name := range []string{"state", "nonce"} {
			secrets[name+" "+q.Query.Get(name)] = q.Query.Get(name)
		}
	}
	for _, q := range s.idp.Requests(idp.EndSession) {
		secrets["id_token_hint"] = q.Query.Get("id_token_hint")
	}
	for _, r := range s.app.requests() {
		if a := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "); a != "" {
			secrets["access token "+a[len(a)-4:]] = a
		}
	}
	if len(secrets) < 25 {
		t.Fatalf("only %d secrets were in play: the canary sings of nothing", len(secrets))
	}
	audit, err := os.ReadFile(filepath.Join(s.dir, "audit.jsonl"))
	if err != nil || len(audit) < 2000 || to.bodies.Len() < 2000 {
		t.Fatalf("nothing was audited or traced: %v", err)
	}
	for name, secret := range secrets {
		if secret == "" {
			continue
		}
		if strings.Contains(s.log.String(), secret) {
			t.Errorf("the log holds a %s", name)
		}
		for where, text := range map[string]string{"the audit log": string(audit), "a metric": metrics, "a trace": to.bodies.String()} {
			if strings.Contains(text, secret) {
				t.Errorf("%s holds a %s", where, name)
			}
		}
		if strings.Contains(shown.String(), secret) {
			t.Errorf("a page holds a %s", name)
		}
	}
	if strings.Count(s.log.String(), `"msg":"request"`) < 30 {
		t.Errorf("the access log is missing:\n%s", s.log)
	}
}
