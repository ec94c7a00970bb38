package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/doorward/doorward/demo/idp"
)

// groupsAPI is the API of a provider that is asked for groups.
type groupsAPI struct {
	*httptest.Server
	asked atomic.Int32

	mu     sync.Mutex
	status int
	body   string
}

func newGroupsAPI(t *testing.T) *groupsAPI {
	d := &groupsAPI{}
	d.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		d.asked.Add(1)
		d.mu.Lock()
		defer d.mu.Unlock()
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(d.status)
		_, _ = w.Write([]byte(d.body))
	}))
	t.Cleanup(d.Close)
	return d
}

func (d *groupsAPI) answers(status int, groups ...string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	var list []string
	for _, g := range groups {
		list = append(list, fmt.Sprintf(`{"@odata.type":"#microsoft.graph.group","id":%q}`, g))
	}
	d.status, d.body = status, `{"value":[`+strings.Join(list, ",")+`]}`
}

func TestWhoIsInTooManyGroupsForATokenIsJudgedByThoseThatAreLookedUp(t *testing.T) {
	d := newGroupsAPI(t)
	s := newStack(t, "allow = [{ groups = [\"4711\"] }]\n", func(c *idp.Config) {
		c.Users[0].Groups, c.Users[0].Claims = nil, map[string]any{"hasgroups": true}
	})
	s.toml = strings.Replace(s.toml, `scopes = ["openid", "profile", "email", "groups"]`, fmt.Sprintf("scopes = [\"openid\", \"profile\", \"email\"]\ngroups = { from = \"entra\", url = %q }", d.URL), 1)
	s.start()
	b := s.browser()

	d.answers(503)
	if page := s.signedIn(b, "/x", "alice", "wonderland-9"); page.Status != http.StatusServiceUnavailable || page.Header.Get("Retry-After") == "" || !strings.Contains(page.Text(), "which groups you are in") {
		t.Fatalf("an outage: %d\n%s", page.Status, page.Text())
	}
	d.answers(403)
	if page := b.Open(t, s.origin+"/x"); page.Status != http.StatusBadGateway {
		t.Fatalf("a scope is missing: %d\n%s", page.Status, page.Text())
	}
	deadlineLoop(t, func() bool { return strings.Contains(s.log.String(), "User.Read") }) // the log is gathered for a while
	d.answers(200, "1", "4711")
	if page := b.Open(t, s.origin+"/x"); page.Status != http.StatusOK {
		t.Fatalf("in the group: %d\n%s\n%s", page.Status, page.Text(), s.log)
	}
	if got := s.app.last(t).Header.Get("X-Forwarded-Groups"); got != "1,4711" {
		t.Errorf("the application sees %q", got)
	}
	before := d.asked.Load()
	for range 3 {
		b.Open(t, s.origin+"/y")
	}
	if d.asked.Load() != before {
		t.Error("groups are looked up while requests pass")
	}

	d.answers(503) // while the access token lasts, what is known stays
	if page := b.Fetch(t, "", http.MethodPost, s.origin+"/oauth2/session/refresh", nil); page.Status != http.StatusServiceUnavailable {
		t.Errorf("a refresh in an outage: %d %s", page.Status, page.Body)
	}
	if page := b.Open(t, s.origin+"/x"); page.Status != http.StatusOK {
		t.Errorf("after it: %d", page.Status)
	}
	d.answers(200, "1")
	deadlineLoop(t, func() bool { // the failure is remembered for some seconds
		return b.Fetch(t, "", http.MethodPost, s.origin+"/oauth2/session/refresh", nil).Status == http.StatusOK
	})
	if page := b.Open(t, s.origin+"/x"); page.Status != http.StatusForbidden {
		t.Errorf("out of the group: %d\n%s", page.Status, s.log)
	}
}

// gitHub is as much of GitHub as a sign-in needs: whoever comes is octocat.
func gitHub(t *testing.T, teams *atomic.Value) *httptest.Server {
	t.Helper()
	mux := http.NewServeMux()
	answer := func(path, body string) {
		mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
			if strings.HasPrefix(path, "GET ") && r.Header.Get("Authorization") != "Bearer gho_octocat" {
				w.WriteHeader(http.StatusUnauthorized)
				return
			}
			w.Header().Set("Content-Type", "application/json")
			if body == "" {
				body := teams.Load().(string)
				_, _ = w.Write([]byte(body))
				return
			}
			_, _ = w.Write([]byte(body))
		})
	}
	mux.HandleFunc("/login/oauth/authorize", func(w http.ResponseWriter, r *http.Request) {
		q := url.Values{"code": {"C"}, "state": {r.FormValue("state")}}
		http.Redirect(w, r, r.FormValue("redirect_uri")+"?"+q.Encode(), http.StatusFound)
	})
	answer("POST /login/oauth/access_token", `{"access_token":"gho_octocat","scope":"read:org,user:email","token_type":"bearer"}`)
	answer("GET /api/v3/user", `{"login":"octocat","id":583231,"name":"monalisa octocat","email":null}`)
	answer("GET /api/v3/user/emails", `[{"email":"octocat@github.com","verified":true,"primary":true,"visibility":"public"}]`)
	answer("GET /api/v3/user/orgs", `[{"login":"acme"}]`)
	answer("GET /api/v3/user/teams", "")
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server
}

func TestPeopleSignInByGitHubAndPassByTheirTeam(t *testing.T) {
	var teams atomic.Value
	teams.Store(`[{"slug":"ops","organization":{"login":"acme"}}]`)
	server := gitHub(t, &teams)
	s := newStack(t, "allow = [{ groups = [\"acme/ops\"] }]\n")
	head, tail, _ := strings.Cut(s.toml, "[provider.corp]")
	_, tail, _ = strings.Cut(tail, "[[route]]")
	s.toml = fmt.Sprintf("%s[provider.hub]\nprofile = \"github\"\nissuer = %q\nclient_id = \"Iv1.x\"\nclient_secret = %q\n[[route]]%s", head, server.URL, clientSecret, tail)
	s.start()
	b := s.browser()
	page := b.Open(t, s.origin+"/x")
	if page.Status != http.StatusOK || page.URL.Path != "/x" {
		t.Fatalf("%d %s\n%s\n%s", page.Status, page.URL, page.Trail(), s.log)
	}
	got := s.app.last(t).Header
	if got.Get("X-Forwarded-User") != "583231" || got.Get("X-Forwarded-Preferred-Username") != "octocat" || got.Get("X-Forwarded-Email") != "octocat@github.com" || got.Get("X-Forwarded-Groups") != "acme,acme/ops" || got.Get("Authorization") != "Bearer gho_octocat" {
		t.Errorf("the application sees %v", got)
	}
	teams.Store(`[]`)
	if page := b.Fetch(t, "", http.MethodPost, s.origin+"/oauth2/session/refresh", nil); page.Status != http.StatusOK {
		t.Fatalf("refresh: %d %s\n%s", page.Status, page.Body, s.log)
	}
	if page := b.Open(t, s.origin+"/x"); page.Status != http.StatusForbidden {
		t.Errorf("out of the team: %d", page.Status)
	}
}

// R2: an outage of the API that knows the groups signs nobody out, however long it lasts, and lets nobody pass by groups that
// nobody can confirm.
func TestAnOutageOfTheGroupsOutlastsTheAccessTokenAndNobodyIsSignedOut(t *testing.T) {
	d := newGroupsAPI(t)
	d.answers(200, "4711")
	s := newStack(t, "allow = [{ groups = [\"4711\"] }]\n", func(c *idp.Config) {
		c.Users[0].Groups, c.Users[0].Claims = nil, map[string]any{"hasgroups": true}
		c.AccessTokenLifetime, c.RotateRefresh = 2*time.Second, true
		for i := range c.Clients {
			c.Clients[i].AccessTokenLifetime = c.AccessTokenLifetime
		}
	})
	s.toml = strings.Replace(s.toml, `scopes = ["openid", "profile", "email", "groups"]`, fmt.Sprintf("scopes = [\"openid\", \"profile\", \"email\"]\ngroups = { from = \"entra\", url = %q }", d.URL), 1)
	s.toml = strings.Replace(s.toml, `credential = "session"`, `credential = "none"`, 1)
	s.start()
	b := s.browser()
	if page := s.signedIn(b, "/x", "alice", "wonderland-9"); page.Status != http.StatusOK {
		t.Fatalf("%d\n%s", page.Status, page.Text())
	}
	d.answers(503)
	deadlineLoop(t, func() bool {
		page := b.Open(t, s.origin+"/x")
		if page.Status != http.StatusOK && page.Status != http.StatusServiceUnavailable {
			t.Fatalf("%d\n%s\n%s", page.Status, page.Text(), s.log)
		}
		return page.Status == http.StatusServiceUnavailable && page.Header.Get("Retry-After") != "" && strings.Contains(page.Text(), "still signed in")
	})
	d.answers(200, "4711")
	deadlineLoop(t, func() bool { // the failure is remembered for some seconds
		page := b.Open(t, s.origin+"/x")
		if page.Status != http.StatusOK && page.Status != http.StatusServiceUnavailable {
			t.Fatalf("signed out by an outage: %d\n%s\n%s", page.Status, page.Text(), s.log)
		}
		return page.Status == http.StatusOK
	})
	d.answers(200, "1")
	deadlineLoop(t, func() bool { return b.Open(t, s.origin+"/x").Status == http.StatusForbidden })
}
