package flows

import (
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/doorward/doorward/demo/idp"
)

func TestSessionInformation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		b := w.signedIn(t, app+"/x")
		began := time.Now().UTC().Truncate(time.Second)
		time.Sleep(2 * time.Minute)
		page := b.Fetch(t, "", http.MethodGet, app+"/oauth2/session", nil)
		expect(t, page, http.StatusOK)
		info := decode(t, page.Body)
		session, tokens := info["session"].(map[string]any), info["tokens"].(map[string]any)
		for name, c := range map[string][2]any{
			"created_at":         {session["created_at"], began.Format(time.RFC3339)},
			"ends_at":            {session["ends_at"], began.Add(24 * time.Hour).Format(time.RFC3339)},
			"timeout_at":         {session["timeout_at"], began.Add(8 * time.Hour).Format(time.RFC3339)},
			"ends_in_seconds":    {session["ends_in_seconds"], 86400.0 - 120},
			"timeout_in_seconds": {session["timeout_in_seconds"], 28800.0 - 120},
			"active":             {session["active"], true},
			"expire_at":          {tokens["expire_at"], began.Add(5 * time.Minute).Format(time.RFC3339)},
			"expire_in_seconds":  {tokens["expire_in_seconds"], 180.0},
			"refreshed_at":       {tokens["refreshed_at"], began.Format(time.RFC3339)},
			"refresh_cooldown":   {tokens["refresh_cooldown"], false},
			"cooldown_seconds":   {tokens["refresh_cooldown_seconds"], 0.0},
			"user":               {info["user"], map[string]any{"iss": corp, "sub": "8f2c-alice", "login": "staff", "provider": "corp"}},
		} {
			if !reflect.DeepEqual(c[0], c[1]) {
				t.Errorf("%s: %v, want %v", name, c[0], c[1])
			}
		}
		if next, ok := tokens["next_auto_refresh_in_seconds"].(float64); !ok || next <= 0 || next > 180 {
			t.Errorf("next_auto_refresh_in_seconds: %v", tokens["next_auto_refresh_in_seconds"])
		}

		refreshed := b.Fetch(t, "", http.MethodPost, app+"/oauth2/session/refresh", url.Values{})
		expect(t, refreshed, http.StatusOK)
		tokens = decode(t, refreshed.Body)["tokens"].(map[string]any)
		if tokens["refreshed_at"] != began.Add(2*time.Minute).Format(time.RFC3339) || tokens["refresh_cooldown"] != true || tokens["refresh_cooldown_seconds"].(float64) <= 0 {
			t.Errorf("after a refresh: %v", tokens)
		}
		if got := w.idp.Last(idp.Token).Form.Get("grant_type"); got != "refresh_token" {
			t.Errorf("grant_type %q", got)
		}
		for _, page := range []string{page.Body, refreshed.Body} {
			if strings.Contains(page, "eyJ") || strings.Contains(page, "refresh_token\"") {
				t.Errorf("P191: %s", page)
			}
		}
	})
}

func TestUserinfo(t *testing.T) {
	w := newWorld(t)
	b := w.signedIn(t, app+"/x")
	page := b.Fetch(t, "", http.MethodGet, app+"/oauth2/userinfo", nil)
	expect(t, page, http.StatusOK)
	want := map[string]any{"user": "8f2c-alice", "email": "alice@example.com", "groups": []any{"staff", "admins"}, "preferredUsername": "alice"}
	if got := decode(t, page.Body); !reflect.DeepEqual(got, want) {
		t.Errorf("%v", got)
	}
	if page.Header.Get("Cache-Control") != "no-store" || !strings.HasPrefix(page.Header.Get("Content-Type"), "application/json") {
		t.Errorf("P188: %v", page.Header)
	}
	t.Run("an address that is not verified is not shown", func(t *testing.T) {
		w := newWorld(t, func(p *plan) { p.idp = func(c *idp.Config) { c.Users[0].EmailVerified = false } })
		b := w.signedIn(t, app+"/x")
		if got := decode(t, b.Fetch(t, "", http.MethodGet, app+"/oauth2/userinfo", nil).Body); got["email"] != nil {
			t.Errorf("%v", got)
		}
	})
}

func TestOwnJSONEndpointsWithoutASession(t *testing.T) {
	w := newWorld(t)
	b := w.net.Browser()
	for path, method := range map[string]string{"/oauth2/session": "GET", "/oauth2/userinfo": "GET", "/oauth2/session/refresh": "POST"} {
		page := b.Fetch(t, "", method, app+path, nil)
		expect(t, page, http.StatusUnauthorized)
		body := decode(t, page.Body)
		if body["code"] != codeLoginRequired || body["login_url"] != app+"/oauth2/start?rd=%2F" {
			t.Errorf("%s: %v", path, body)
		}
		if got := page.Header.Get("WWW-Authenticate"); got != `Bearer realm="app.test"` {
			t.Errorf("%s: WWW-Authenticate %q", path, got)
		}
		if len(b.Jar.Names(app)) != 0 {
			t.Errorf("P185: %s sets cookies", path)
		}
	}
}

func TestP183NoCORSAnswerEver(t *testing.T) {
	w := newWorld(t)
	b := w.signedIn(t, app+"/x")
	cookie := sessionID + "=" + b.Jar.Get(app, sessionID)
	for _, origin := range []string{"https://evil.test", "null", "https://app.test.evil", app, wiki} {
		for _, path := range []string{"/oauth2/session", "/oauth2/userinfo", "/oauth2/start", "/oauth2/sign_in", "/oauth2/callback", "/oauth2/session/refresh"} {
			for _, method := range []string{http.MethodGet, http.MethodOptions, http.MethodPost} {
				res := w.call(t, method, app+path, "Cookie", cookie, "Origin", origin, "Access-Control-Request-Method", "POST")
				for name := range res.Header {
					if strings.HasPrefix(name, "Access-Control-") {
						t.Errorf("%s %s from %s: %s", method, path, origin, name)
					}
				}
			}
		}
	}
}

func TestP184RefreshIsForOurOwnPagesOnly(t *testing.T) {
	w := newWorld(t)
	b := w.signedIn(t, app+"/x")
	cookie := sessionID + "=" + b.Jar.Get(app, sessionID)
	for name, header := range map[string][]string{
		"cross-site text/plain, no Origin": {"Content-Type", "text/plain"},
		"cross-site":                       {"Sec-Fetch-Site", "cross-site", "Origin", "https://evil.test"},
		"same-site":                        {"Sec-Fetch-Site", "same-site", "Origin", "https://neighbour.test"},
		"another Origin":                   {"Origin", "https://evil.test"},
	} {
		t.Run(name, func(t *testing.T) {
			w.idp.ResetRequests()
			res := w.call(t, http.MethodPost, app+"/oauth2/session/refresh", append([]string{"Cookie", cookie}, header...)...)
			if res.StatusCode != http.StatusForbidden || w.idp.Count(idp.Token) != 0 {
				t.Errorf("%d, %d token requests", res.StatusCode, w.idp.Count(idp.Token))
			}
		})
	}
	if res := w.call(t, http.MethodGet, app+"/oauth2/session/refresh", "Cookie", cookie); res.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("GET: %d", res.StatusCode)
	}
}

func TestRefreshFailures(t *testing.T) {
	for name, c := range map[string]struct {
		sin    idp.Sin
		status int
		lives  bool
	}{
		"REF-3 invalid_grant ends the session": {idp.Catalogue()["refresh_refused"], 401, false},
		"P083 another subject ends it":         {idp.Catalogue()["refresh_wrong_sub"], 401, false},
		"P083 another issuer ends it":          {idp.Catalogue()["refresh_wrong_iss"], 401, false},
		"REF-3 an outage does not":             {idp.Catalogue()["unavailable"], 503, true},
		"REF-3 a dropped connection does not":  {idp.Catalogue()["drop"], 503, true},
		"garbage does not":                     {idp.Catalogue()["garbage"], 502, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				b := w.signedIn(t, app+"/x")
				time.Sleep(90 * time.Second)
				w.idp.Misbehave(c.sin.Always())
				expect(t, b.Fetch(t, "", http.MethodPost, app+"/oauth2/session/refresh", url.Values{}), c.status)
				if page := b.Fetch(t, "", http.MethodGet, app+"/oauth2/session", nil); (page.Status == http.StatusOK) != c.lives {
					t.Errorf("the session afterwards: %d %s", page.Status, page.Body)
				}
			})
		})
	}
}

func TestEndpointsMatchExactly(t *testing.T) {
	w := newWorld(t)
	var paths []string
	for _, e := range w.flows.endpoints() {
		paths = append(paths, e.path)
	}
	slices.Sort(paths)
	want := []string{
		"/oauth2/callback", "/oauth2/login", "/oauth2/logout", "/oauth2/logout/callback", "/oauth2/logout/local", "/oauth2/ping",
		"/oauth2/session", "/oauth2/session/refresh", "/oauth2/sign_in", "/oauth2/sign_out", "/oauth2/signed_in", "/oauth2/start", "/oauth2/userinfo",
	}
	if !slices.Equal(paths, want) {
		t.Errorf("%q", paths)
	}
}
