package flows

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"

	"github.com/doorward/doorward/demo/idp"
	"github.com/doorward/doorward/internal/identity"
	"github.com/doorward/doorward/internal/pages"
	"github.com/doorward/doorward/internal/telemetry"
)

// passwords is a world with a login by password, next to the usual one.
func passwords(p *plan) {
	p.flows = func(c *Config) {
		c.Logins = append(c.Logins, Login{Name: "legacy", Flow: "password", Provider: "corp", Label: "Old programs", Form: true})
	}
	p.idp = grantsPasswords
}

func grantsPasswords(c *idp.Config) {
	c.Clients[0].Grants = []string{"authorization_code", "refresh_token", "password"}
}

// providerIs adds to what a plan does to the provider.
func providerIs(change func(*idp.Config)) func(*plan) {
	return func(p *plan) {
		before := p.idp
		p.idp = func(c *idp.Config) { before(c); change(c) }
	}
}

// doors are the routes of all replicas that accept Basic, or keys.
type doors struct {
	*world
	t     testing.TB
	basic []*Basic
	serve []http.Handler

	mu  sync.Mutex
	who *identity.Identity // who was let in last
}

// lets makes what a replica knows callers by.
type lets func(f *Flows) (authenticator, error)

type authenticator interface {
	Authenticate(w http.ResponseWriter, r *http.Request) (*identity.Identity, bool, error)
}

func newDoors(t testing.TB, replicas int, changes ...func(*plan)) *doors {
	t.Helper()
	return doorsFor(t, replicas, func(f *Flows) (authenticator, error) { return f.Basic("legacy") }, append([]func(*plan){passwords}, changes...)...)
}

func doorsFor(t testing.TB, replicas int, in lets, changes ...func(*plan)) *doors {
	t.Helper()
	d := &doors{world: newWorld(t, changes...), t: t}
	d.open(in)
	for range replicas - 1 {
		d.replica(t)
		d.open(in)
	}
	return d
}

// open gives the newest replica a route.
func (d *doors) open(in lets) {
	d.t.Helper()
	site := must(pages.New(pages.Config{Prefix: "/oauth2"}))(d.t)
	a := must(in(d.replicas[len(d.replicas)-1].flows))(d.t)
	access := telemetry.NewAccessLog(d.logger)
	d.t.Cleanup(access.Close)
	answer := site.Handle(func(w http.ResponseWriter, r *http.Request) error {
		telemetry.From(w).Client = r.Header.Get("X-Test-Client")
		who, ok, err := a.Authenticate(w, r)
		switch {
		case err != nil:
			return err
		case !ok:
			return &pages.Error{Code: codeLoginRequired}
		}
		token := ""
		if who.Tokens != nil {
			token = who.Tokens.AccessToken.Reveal()
		}
		d.mu.Lock()
		d.who = who
		d.mu.Unlock()
		_, err = fmt.Fprintf(w, "%s %s %s", who.Username, who.Login, token)
		return err
	})
	b, _ := a.(*Basic)
	d.basic = append(d.basic, b)
	d.serve = append(d.serve, access.Handler(answer, func(http.ResponseWriter, *http.Request) { d.t.Error("a handler panicked") }))
}

func basicHeader(user, password string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
}

// request is one of a program at the address client.
func (d *doors) request(user, password, client string) *http.Request {
	r := httptest.NewRequestWithContext(d.t.Context(), http.MethodGet, app+"/repo", http.NoBody)
	r.Header.Set("Authorization", basicHeader(user, password))
	r.Header.Set("X-Test-Client", client)
	return r
}

const (
	office = "192.0.2.7"  // where alice always is
	street = "203.0.113." // and a number: where anybody is
)

// try has a name and a password tried by the first replica.
func (d *doors) try(user, password, client string) *httptest.ResponseRecorder {
	return d.send(0, d.request(user, password, client))
}

func (d *doors) send(replica int, r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	d.serve[replica].ServeHTTP(w, r)
	return w
}

// passwordGrants counts how often the provider had a password to judge.
func (d *doors) passwordGrants() int {
	return d.grants("password")
}

func (w *world) grants(kind string) (n int) {
	for _, q := range w.idp.Requests(idp.Token) {
		if q.Form.Get("grant_type") == kind {
			n++
		}
	}
	return n
}

// want checks the answer to a program.
func (d *doors) want(w *httptest.ResponseRecorder, status int, code string) {
	d.t.Helper()
	got := ""
	if w.Code >= 400 {
		got, _ = decode(d.t, w.Body.String())["code"].(string)
	}
	if w.Code != status || got != code {
		d.t.Errorf("%d %s, want %d %s: %s", w.Code, got, status, code, w.Body)
	}
}

func statuses(all []*httptest.ResponseRecorder) (codes []int) {
	for _, w := range all {
		codes = append(codes, w.Code)
	}
	slices.Sort(codes)
	return slices.Compact(codes)
}

// sin makes the provider answer every token request in this way until it is healed.
func (w *world) sin(s idp.Sin) {
	s.Endpoint, s.Times = idp.Token, idp.Always
	w.idp.Misbehave(s)
}
