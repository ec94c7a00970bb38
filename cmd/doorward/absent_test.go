package main

import (
	"crypto/tls"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/demo/idp"
	"github.com/doorward/doorward/internal/config"
)

// What the catalogue of attacks is about and Doorward does not have yet. What is absent is absent: its addresses answer 404
// or 405 and change nothing, and its keys are refused by name. Who builds one of these replaces its test by those of its rows.

// logoutPaths are where the two logouts by the provider will be.
var logoutPaths = []string{"/oauth2/backchannel-logout", "/oauth2/frontchannel-logout", "/oauth2/logout/frontchannel", "/oauth2/logout/backchannel"}

func TestAbsentBackChannelLogout(t *testing.T) {
	s := newStack(t, "").start()
	s.bothVersions(t, func(w wire) {
		b := w.person()
		s.signedIn(b, "/", "alice", "wonderland-9")
		cookies := s.cookies(b)
		me := s.app.last(w.t).Header.Get("X-Forwarded-User")
		token := func(sub string, sins ...idp.Sin) string {
			text, err := s.idp.LogoutToken("doorward", sub, "", sins...)
			if err != nil {
				w.t.Fatal(err)
			}
			return text
		}
		good := token(me)
		form := func(tokens ...string) string { return url.Values{"logout_token": tokens}.Encode() }
		for row, c := range map[string]struct{ method, kind, body string }{
			"P132 signed by nobody":     {"POST", "", form("eyJhbGciOiJub25lIn0." + strings.Split(good, ".")[1] + ".")},
			"P132 another signature":    {"POST", "", form(flipped(good, len(good)-4))},
			"P132 of another issuer":    {"POST", "", form(token(me, idp.Claim("iss", "https://evil.test")))},
			"P133 without events":       {"POST", "", form(token(me, idp.Claim("events", nil)))},
			"P133 with a nonce":         {"POST", "", form(token(me, idp.Claim("nonce", "x")))},
			"P133 about nobody":         {"POST", "", form(token(""))},
			"P134 even a good one":      {"POST", "", form(good)},
			"P134 which comes again":    {"POST", "", form(good)},
			"P135 by the subject alone": {"POST", "", form(token(me))},
			"P136 by GET":               {"GET", "", ""},
			"P136 as JSON":              {"POST", "application/json", `{"logout_token":"` + good + `"}`},
			"P136 two tokens":           {"POST", "", form(good, good)},
			"P136 10 MB":                {"POST", "", "logout_token=" + strings.Repeat("a", 10<<20)},
		} {
			for _, path := range logoutPaths {
				if len(c.body) > 1<<20 && path != logoutPaths[0] {
					continue
				}
				if c.kind == "" {
					c.kind = "application/x-www-form-urlencoded"
				}
				var a answer
				if len(c.body) > 1<<20 {
					a = w.upload(path, c.body, "Content-Type: "+c.kind)
				} else {
					a = w.post(c.method, path, c.body, "Content-Type: "+c.kind)
				}
				if a.Response != nil && a.StatusCode != http.StatusNotFound && a.StatusCode != http.StatusMethodNotAllowed {
					w.t.Errorf("%s at %s: %s", row, path, a.Status)
				}
			}
			if !w.isAlice(cookies) {
				w.t.Fatalf("%s: alice is signed out", row)
			}
		}
	})
}

// upload posts more than anybody wants: an answer may come, or the connection ends.
func (w wire) upload(path, body string, lines ...string) answer {
	w.t.Helper()
	r, err := http.NewRequestWithContext(w.t.Context(), http.MethodPost, w.origin+path, strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	for _, line := range lines {
		name, value, _ := strings.Cut(line, ": ")
		r.Header.Set(name, value)
	}
	res, err := w.RoundTripper.RoundTrip(r)
	if err != nil {
		return answer{}
	}
	_ = res.Body.Close()
	return answer{Response: res}
}

func TestAbsentFrontChannelLogout(t *testing.T) {
	s := newStack(t, "").start()
	s.bothVersions(t, func(w wire) {
		b := w.person()
		s.signedIn(b, "/", "alice", "wonderland-9")
		cookies, revoked, ended := s.cookies(b), s.idp.Count(idp.Revoke), s.idp.Count(idp.EndSession)
		for row, query := range map[string]string{
			"P137 nothing": "", "P137 the right issuer": "?iss=" + url.QueryEscape(s.provider.URL) + "&sid=x", "P137 another issuer": "?iss=https%3A%2F%2Fevil.test&sid=x", "P137 no sid": "?iss=" + url.QueryEscape(s.provider.URL),
		} {
			for _, path := range logoutPaths {
				for _, lines := range [][]string{nil, {cookies}, {cookies, "Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: iframe"}} {
					a := w.ask(http.MethodGet, path+query, lines...)
					if a.StatusCode != http.StatusNotFound || len(a.Header.Values("Set-Cookie")) > 0 {
						w.t.Errorf("%s at %s: %s %v", row, path, a.Status, a.Header)
					}
				}
			}
		}
		if !w.isAlice(cookies) || s.idp.Count(idp.Revoke) != revoked || s.idp.Count(idp.EndSession) != ended {
			w.t.Error("something was ended")
		}
	})
}

// refuses expects that a configuration with these lines is none, and that the key is named.
func (s *stack) refuses(lines, key string) {
	s.t.Helper()
	s.write(lines + s.toml)
	_, err := config.Load(s.options())
	if err == nil || !strings.Contains(err.Error(), key) {
		s.t.Errorf("%q: %v", lines, err)
	}
}

func TestAbsentTLSListener(t *testing.T) {
	s := newStack(t, "").start()
	t.Run("P195 P196 P199 its keys are refused by name", func(t *testing.T) {
		s := newStack(t, "")
		s.refuses("[tls]\nacme = { email = \"ops@example.com\" }\n", "tls: this version of Doorward does not have it yet")
		s.refuses("[tls]\nacme = { on_demand = true }\n", "tls: this version of Doorward does not have it yet")
		s.refuses("[tls]\nmin_version = \"1.0\"\n", "tls: this version of Doorward does not have it yet")
		s.toml = strings.Replace(s.toml, "[listen]\n", "[listen]\nhttps = \":443\"\n", 1)
		s.refuses("", "listen.https: this version of Doorward does not have it yet")
	})
	address := strings.TrimPrefix(s.origin, "http://")
	handshake := func(t *testing.T, c *tls.Config) {
		t.Helper()
		c.InsecureSkipVerify = true // there is nothing to verify
		dialer := &tls.Dialer{NetDialer: &net.Dialer{Timeout: 10 * time.Second}, Config: c}
		conn, err := dialer.DialContext(t.Context(), "tcp", address)
		if err == nil {
			_ = conn.Close()
			t.Fatalf("somebody answers TLS for %q", c.ServerName)
		}
	}
	t.Run("P195 no name in a handshake chooses a policy", func(t *testing.T) {
		handshake(t, &tls.Config{ServerName: "open.test"})
	})
	t.Run("P196 no handshake orders a certificate", func(t *testing.T) {
		before := s.files()
		for i := range 50 {
			handshake(t, &tls.Config{ServerName: fmt.Sprintf("name-%d.test", i), NextProtos: []string{"acme-tls/1"}})
		}
		if now := s.files(); !slices.Equal(now, before) {
			t.Errorf("the state directory held %q, and holds %q", before, now)
		}
	})
	t.Run("P199 no old version is spoken", func(t *testing.T) {
		for _, version := range []uint16{tls.VersionTLS10, tls.VersionTLS11, tls.VersionTLS12, tls.VersionTLS13} {
			handshake(t, &tls.Config{MinVersion: version, MaxVersion: version})
		}
	})
	s.bothVersions(t, func(w wire) {
		for _, host := range []string{"mtls.test", "open.test", address + "0"} { // P195: the Host alone decides, and it is one of ours
			if a := w.ask(http.MethodGet, "/x", "Host: "+host); a.StatusCode != http.StatusMisdirectedRequest {
				w.t.Errorf("P195 %s: %s", host, a.Status)
			}
		}
	})
}

// files are those of the state directory.
func (s *stack) files() (all []string) {
	_ = filepath.WalkDir(filepath.Join(s.dir, "state"), func(path string, _ fs.DirEntry, err error) error {
		all = append(all, path)
		return err
	})
	return all
}

func TestAbsentACMEChallenges(t *testing.T) {
	s := newStack(t, "").start()
	s.bothVersions(t, func(w wire) {
		before := len(s.app.requests())
		for _, path := range []string{"/.well-known/acme-challenge/x", "/.well-known/acme-challenge/", "/.well-known/acme-challenge/x/admin"} {
			if a := w.ask(http.MethodGet, path); a.StatusCode != http.StatusUnauthorized {
				w.t.Errorf("P197 %s is answered %s, and not by the policy of its route", path, a.Status)
			}
		}
		for _, path := range []string{"/.well-known/acme-challenge/../../admin/x", "/.well-known/acme-challenge/%2e%2e/%2e%2e/admin/x", "/.well-known/acme-challenge/..%2f..%2fadmin"} {
			if a := w.ask(http.MethodGet, path); a.StatusCode != http.StatusBadRequest {
				w.t.Errorf("P197 %s: %s", path, a.Status)
			}
		}
		if n := len(s.app.requests()); n != before {
			w.t.Errorf("P197: %d requests reached the application", n-before)
		}
		b := w.person()
		s.signedIn(b, "/", "alice", "wonderland-9")
		if a := w.ask(http.MethodGet, "/.well-known/acme-challenge/x", s.cookies(b)); a.StatusCode != http.StatusOK {
			w.t.Errorf("P197: the application's own: %s", a.Status)
		}
	})
}

// TestAbsentRequirementsOnTheLogin: a route cannot ask for a level or an age of the login by keys of their own yet. What a
// route can demand of the claims is TestP206TheLevelIsThatOfTheTokenAndNotOfTheQuestion.
func TestAbsentRequirementsOnTheLogin(t *testing.T) {
	for _, key := range []string{"acr = [\"2\"]", "acr_values = [\"2\"]", "amr = [\"hwk\"]", "max_age = \"5m\"", "auth_time = \"5m\"", "step_up = true"} {
		t.Run("P206 "+key, func(t *testing.T) {
			s := newStack(t, key+"\n")
			name, _, _ := strings.Cut(key, " ")
			s.refuses("", "route.app."+name+": there is no such key")
		})
	}
}
