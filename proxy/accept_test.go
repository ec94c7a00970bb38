package proxy

import (
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/credentials"
	"github.com/doorward/doorward/internal/identity"
	"github.com/doorward/doorward/internal/origin"
	"github.com/doorward/doorward/internal/pages"
)

func authorization(line string) string { return "Authorization: " + line }

func basicLine(user, password string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
}

// carriers is the Authenticator of those who bring their proof in Authorization: the part behind the last dot of a
// ticket, or a password, says who it is.
type carriers struct {
	people
	asked *atomic.Int64
	gone  *atomic.Bool // ends their streams
}

func (c carriers) Authenticate(_ http.ResponseWriter, r *http.Request) (*identity.Identity, bool, error) {
	c.asked.Add(1)
	text, ok := credentials.Bearer(r.Header.Get("Authorization"))
	if !ok {
		_, secret, _, _ := credentials.Basic(r.Header.Get("Authorization"), nil)
		text = string(secret)
	}
	switch name := text[strings.LastIndexByte(text, '.')+1:]; name {
	case "broken":
		return nil, false, errors.New("the store does not answer")
	case "wrong":
		return nil, false, &pages.Error{Code: codeWrongCredentials}
	case "often":
		return nil, false, &pages.Error{Code: codeTooMany, RetryAfter: time.Minute}
	case "more":
		return nil, false, &pages.Error{Code: codeLoginDenied}
	case "down":
		return nil, false, &pages.Error{Code: codeProviderUnavailable, RetryAfter: time.Second}
	case "panic":
		panic("odd input")
	default:
		who, ok := c.people[name]
		return who, ok, nil
	}
}

func (c carriers) Alive(r *http.Request, who *identity.Identity) (bool, error) {
	return !c.gone.Load() && who.Subject == "alice" && r.Header.Get("Authorization") != "", nil
}

// acceptance is a laboratory with routes of all kinds of accept.
type acceptance struct {
	*lab
	tickets, passwords carriers
}

func newAcceptance(t *testing.T, change ...func(*Config, *Deps)) acceptance {
	t.Helper()
	a := acceptance{
		tickets:   carriers{everybody(), new(atomic.Int64), new(atomic.Bool)},
		passwords: carriers{everybody(), new(atomic.Int64), new(atomic.Bool)},
	}
	a.lab = newLab(t, func(c *Config, d *Deps) {
		add := func(name string, accept ...string) {
			c.Routes = append(c.Routes, Route{
				Name: name, Hosts: []origin.Origin{appTest}, Path: "/" + name, Upstreams: c.Routes[0].Upstreams, Logins: []string{"staff"}, Accept: accept,
			})
			d.Starters[name] = door{}
			d.Basic[name] = a.passwords
		}
		d.Tokens, d.Basic = a.tickets, map[string]Authenticator{}
		add("git", acceptBasic, acceptToken)
		add("basic", acceptBasic)
		add("ticket", acceptToken)
		add("cookie", acceptSession)
		add("all", acceptSession, acceptToken, acceptBasic)
		for _, f := range change {
			f(c, d)
		}
	})
	return a
}

func TestAnAuthorizationThatTheRouteAcceptsIsJudgedByItself(t *testing.T) {
	a := newAcceptance(t)
	root := as("root") // the cookie of somebody else, who would be let in
	for name, c := range map[string]struct {
		target string
		lines  []string
		who    string // "" = 401
	}{
		"a ticket, by default":                    {"/x", []string{authorization("Bearer dw1.alice")}, "alice"},
		"a ticket beside a cookie":                {"/x", []string{authorization("Bearer dw1.alice"), root}, "alice"},
		"a bad ticket beside a good cookie":       {"/x", []string{authorization("Bearer dw1.nobody"), root}, ""},
		"a ticket as a password":                  {"/x", []string{authorization(basicLine("git", "dw1.alice"))}, "alice"},
		"a bad one":                               {"/x", []string{authorization(basicLine("git", "dw1.nobody")), root}, ""},
		"a ticket of a login that doesn't count":  {"/x", []string{authorization("Bearer dw1.other-login"), root}, ""},
		"a ticket whose token has ended for good": {"/session", []string{authorization("Bearer dw1.gone"), root}, ""},
		"two tickets":                             {"/x", []string{authorization("Bearer dw1.alice"), authorization("Bearer dw1.alice"), root}, ""},
		"a ticket and something else":             {"/x", []string{authorization("Bearer dw1.alice"), authorization("Token x"), root}, ""},
		"something else and a ticket":             {"/x", []string{authorization("Token x"), authorization("Bearer dw1.alice"), root}, ""},
		"a ticket as a user name":                 {"/x", []string{authorization(basicLine("dw1.alice", "x")), root}, ""},
		"a ticket of another scheme":              {"/x", []string{authorization("Token dw1.alice"), root}, ""},
		"a ticket without a scheme":               {"/x", []string{authorization("dw1.alice"), root}, ""},
		"a ticket in a list":                      {"/x", []string{authorization("Bearer eyJ, Bearer dw1.alice"), root}, ""},
		"a ticket behind a tab":                   {"/x", []string{authorization("bEARER\tdw1.alice"), root}, "alice"},
		"a ticket and a no-break space":           {"/x", []string{authorization("Bearer\u00a0dw1.alice"), root}, ""},
		"a scheme in another script":              {"/x", []string{authorization("Вearer dw1.alice"), root}, ""},
		"Basic by another alphabet":               {"/all", []string{authorization("Basic Pz8_Ojp-"), root}, ""},
		"Basic with a space within":               {"/all", []string{authorization("Basic YTph bGljZQ=="), root}, ""},
		"a scheme with a long s":                  {"/all", []string{authorization("Ba\u017fic YTphbGljZQ=="), root}, "root"},
		"a bearer token of another's":             {"/x", []string{authorization("Bearer eyJ"), root}, "root"},
		"another's password":                      {"/x", []string{authorization(basicLine("a", "b")), root}, "root"},
		"broken Basic where none is accepted":     {"/x", []string{authorization("Basic !"), root}, "root"},
		"two that mean nothing here":              {"/x", []string{authorization("Token x"), authorization("Token y"), root}, "root"},
		"a ticket where none is accepted":         {"/cookie", []string{authorization("Bearer dw1.alice"), root}, "root"},
		"the same without a cookie":               {"/cookie", []string{authorization("Bearer dw1.alice")}, ""},

		"a password":              {"/all", []string{authorization(basicLine("a", "alice")), root}, "alice"},
		"a wrong one":             {"/all", []string{authorization(basicLine("a", "wrong")), root}, ""},
		"an unknown one":          {"/all", []string{authorization(basicLine("a", "nobody")), root}, ""},
		"a broken one":            {"/all", []string{authorization("Basic !"), root}, ""},
		"nothing of one":          {"/all", []string{authorization("Basic"), root}, ""},
		"with control characters": {"/all", []string{authorization(basicLine("a", "al\x00ice")), root}, ""},
		"two":                     {"/all", []string{authorization(basicLine("a", "alice")), authorization(basicLine("a", "root")), root}, ""},
		"two in one line":         {"/all", []string{authorization(basicLine("a", "alice") + ", " + basicLine("a", "root")), root}, ""},
		"a password of a login that doesn't count": {"/all", []string{authorization(basicLine("a", "other-login")), root}, ""},
		"another scheme": {"/all", []string{authorization("Digest x"), root}, "root"},
		"a cookie":       {"/all", []string{root}, "root"},

		"no session: a cookie":        {"/git", []string{root}, ""},
		"no session: a password":      {"/git", []string{authorization(basicLine("a", "alice")), root}, "alice"},
		"no session: a ticket":        {"/git", []string{authorization(basicLine("a", "dw1.alice"))}, "alice"},
		"no session: another token":   {"/git", []string{authorization("Bearer eyJ"), root}, ""},
		"only tickets: a password":    {"/ticket", []string{authorization(basicLine("a", "alice")), root}, ""},
		"only passwords: a ticket":    {"/basic", []string{authorization(basicLine("a", "dw1.alice")), root}, ""},
		"only passwords: as a bearer": {"/basic", []string{authorization("Bearer dw1.alice"), root}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			a.both(t, "GET", c.target, c.lines, func(l *lab, got answer) {
				if c.who != "" {
					sent := l.passed(got)
					sent.one(l, "X-Forwarded-User", c.who)
					if c.target != "/session" {
						sent.lacks(l, "Authorization")
					}
					return
				}
				l.refused(got, 401)
				if got.Header.Get("Location") != "" || len(got.Header.Values("Set-Cookie")) > 0 {
					l.Errorf("a login was begun: %v", got.Header)
				}
			})
		})
	}
}

func TestPasswordsAreAskedForOnlyWhereTheyAreAccepted(t *testing.T) {
	a := newAcceptance(t)
	for _, line := range []string{"Bearer dw1.alice", basicLine("dw1.alice", "alice"), basicLine("a", "alice"), basicLine("a", "dw1.alice"), "Basic !"} {
		a.send("GET", "/cookie", authorization(line), as("alice"))
		a.send("GET", "/public/x", authorization(line), as("alice"))
	}
	if a.tickets.asked.Load()+a.passwords.asked.Load() > 0 {
		t.Errorf("%d and %d asked", a.tickets.asked.Load(), a.passwords.asked.Load())
	}
	a.send("GET", "/basic", authorization(basicLine("a", "dw1.alice")))
	a.send("GET", "/basic", authorization(basicLine("dw1.alice", "a")))
	a.send("GET", "/all", authorization(basicLine("dw1.alice", "a")))
	if a.passwords.asked.Load() > 0 {
		t.Error("a ticket was tried as a password")
	}
}

func TestWhoFailsByAuthorizationIsToldSoAndNeverSentToALogin(t *testing.T) {
	a := newAcceptance(t)
	bearer, both := []string{`Bearer realm="app.test"`}, []string{`Bearer realm="app.test"`, `Basic realm="app.test", charset="UTF-8"`}
	for name, c := range map[string]struct {
		target, line string
		status       int
		code         string
		challenge    []string
	}{
		"no session: nothing":       {"/git", "", 401, codeLoginRequired, both},
		"tickets: nothing":          {"/ticket", "", 401, codeLoginRequired, bearer},
		"a bad ticket":              {"/x", "Bearer dw1.nobody", 401, codeLoginRequired, bearer},
		"a bad ticket, all":         {"/all", "Bearer dw1.nobody", 401, codeLoginRequired, both},
		"a broken header":           {"/all", "Basic !", 401, codeLoginRequired, both},
		"a wrong password":          {"/all", basicLine("a", "wrong"), 401, codeWrongCredentials, both},
		"too many wrong ones":       {"/all", basicLine("a", "often"), 429, codeTooMany, nil},
		"a password is not enough":  {"/all", basicLine("a", "more"), 403, codeLoginDenied, nil},
		"the provider is down":      {"/all", basicLine("a", "down"), 503, codeProviderUnavailable, nil},
		"the store is down":         {"/all", basicLine("a", "broken"), 503, codeStoreUnavailable, nil},
		"the store is down, ticket": {"/x", "Bearer dw1.broken", 503, codeStoreUnavailable, nil},
		"P201 a panic":              {"/x", "Bearer dw1.panic", 500, "internal_error", nil},
	} {
		t.Run(name, func(t *testing.T) {
			lines := []string{as("root")}
			if c.line != "" {
				lines = append(lines, authorization(c.line))
			}
			a.both(t, "GET", c.target, lines, func(l *lab, got answer) {
				l.refused(got, c.status)
				if got.code() != c.code || !slices.Equal(got.Header.Values("WWW-Authenticate"), c.challenge) {
					l.Errorf("%s, challenge %q: %s", got.code(), got.Header.Values("WWW-Authenticate"), got.body)
				}
				if c.status == 429 && got.Header.Get("Retry-After") != "60" {
					l.Errorf("Retry-After %q", got.Header.Get("Retry-After"))
				}
			})
			a.both(t, "GET", c.target, append(lines, navigation...), func(l *lab, got answer) {
				l.refused(got, c.status)
				if !slices.Equal(got.Header.Values("WWW-Authenticate"), c.challenge) || got.Header.Get("Location") != "" || !strings.Contains(got.body, "<!doctype html>") {
					l.Errorf("a browser gets %v %.100s", got.Header, got.body)
				}
			})
		})
	}
}

func TestANavigationWithoutAnythingBeginsALoginWhereItWouldHelp(t *testing.T) {
	a := newAcceptance(t)
	for target, status := range map[string]int{"/x": 302, "/all": 302, "/cookie": 302, "/git": 401, "/ticket": 401, "/basic": 401} {
		a.both(t, "GET", target, navigation, func(l *lab, got answer) { l.refused(got, status) })
	}
	a.both(t, "GET", "/x", append(slices.Clone(navigation), authorization("Bearer eyJ")), func(l *lab, got answer) { l.refused(got, 302) }) // as if it weren't there
	noPage := newAcceptance(t, func(_ *Config, d *Deps) { d.Starters["all"] = noDoor{} })
	noPage.both(t, "GET", "/all", navigation, func(l *lab, got answer) {
		l.refused(got, 401)
		if len(got.Header.Values("WWW-Authenticate")) != 2 {
			l.Errorf("a browser is not asked: %v", got.Header)
		}
	})
	for target, has := range map[string]bool{"/x": true, "/all": true, "/git": false, "/ticket": false} {
		if got := a.send("GET", target); strings.Contains(got.body, "login_url") != has {
			t.Errorf("%s: %s", target, got.body)
		}
	}
}

func TestGitIsToldThatATicketMayBeAPassword(t *testing.T) {
	a := newAcceptance(t)
	for agent, want := range map[string]bool{"git/2.47.1": true, "git-lfs/3.6.0 (GitHub; linux amd64)": true, "curl/8.11": false, "Mozilla/5.0 git/2": false, "": false} {
		got := a.send("GET", "/x/info/refs?service=git-upload-pack", "User-Agent: "+agent)
		a.refused(got, 401)
		if has := len(got.Header.Values("WWW-Authenticate")) == 2; has != want {
			t.Errorf("%q: %q", agent, got.Header.Values("WWW-Authenticate"))
		}
	}
	if got := a.send("GET", "/cookie", "User-Agent: git/2.47.1"); len(got.Header.Values("WWW-Authenticate")) != 1 {
		t.Errorf("where no ticket is accepted: %q", got.Header.Values("WWW-Authenticate"))
	}
}

func TestBFF4OnlyABearerTicketMayComeFromAnotherSite(t *testing.T) {
	a := newAcceptance(t)
	foreign := []string{"Sec-Fetch-Site: cross-site", "Origin: https://evil.test"}
	for line, pass := range map[string]bool{"Bearer dw1.alice": true, basicLine("a", "dw1.alice"): false, basicLine("a", "alice"): false} {
		a.both(t, "POST", "/all", append([]string{authorization(line)}, foreign...), func(l *lab, got answer) {
			if pass {
				l.passed(got)
				return
			}
			l.refused(got, 403)
			if got.code() != codeCrossSite {
				l.Error(got.body)
			}
		})
		a.both(t, "POST", "/all", []string{authorization(line)}, func(l *lab, got answer) { l.passed(got) }) // curl, git
	}
	a.both(t, "POST", "/all", append([]string{authorization("Bearer eyJ"), as("alice")}, foreign...), func(l *lab, got answer) { l.refused(got, 403) })
}

func TestP027ATicketNeverGoesUpstream(t *testing.T) {
	a := newAcceptance(t, func(c *Config, d *Deps) {
		c.Routes = append(c.Routes, Route{
			Name: "through", Hosts: []origin.Origin{appTest}, Path: "/through", Upstreams: c.Routes[0].Upstreams, Logins: []string{"staff"}, PassAuthorization: true,
		})
		d.Starters["through"] = door{}
		c.Routes = append(c.Routes, Route{Name: "open", Hosts: []origin.Origin{appTest}, Path: "/open", Upstreams: c.Routes[0].Upstreams, Public: true, PassAuthorization: true})
	})
	for _, target := range []string{"/through", "/pass/x"} {
		for _, line := range []string{"Bearer dw1.alice", "bearer   dw1.alice", basicLine("x", "dw1.alice"), basicLine("", "dw1.alice")} {
			a.both(t, "GET", target, []string{authorization(line)}, func(l *lab, got answer) { l.passed(got).lacks(l, "Authorization") })
		}
		a.both(t, "GET", target, []string{authorization("Bearer eyJ"), as("alice")}, func(l *lab, got answer) { l.passed(got).one(l, "Authorization", "Bearer eyJ") })
	}
	for _, line := range []string{"Bearer dw1.alice", "Token dw1.alice", "dw1.alice", "Bearer x, Bearer dw1.alice", basicLine("dw1.alice", ""), basicLine("dw1.alice", "x-oauth-basic")} {
		a.both(t, "GET", "/open", []string{authorization(line)}, func(l *lab, got answer) { l.passed(got).lacks(l, "Authorization") }) // nobody is asked there
	}
}

func TestP180AStreamOfATicketEndsWithItsSession(t *testing.T) {
	cookie := &fate{}
	cookie.gone.Store(true) // what the cookie's keeper says is of no matter
	a := newAcceptance(t, func(_ *Config, d *Deps) { d.Streams, d.vigil = cookie, impatience })
	begun, ended := make(chan struct{}), make(chan struct{})
	a.e.streams(func(w http.ResponseWriter, r *http.Request) {
		defer close(ended)
		_, _ = io.WriteString(w, "E")
		_ = http.NewResponseController(w).Flush()
		close(begun)
		<-r.Context().Done()
	})
	c := a.write(request("GET", "/x?stream", authorization("Bearer dw1.alice"), "Connection: keep-alive"))
	<-begun
	began := time.Now()
	time.AfterFunc(4*impatience, func() { a.tickets.gone.Store(true) })
	_ = readToEnd(c)
	within(t, ended, "E to see the end")
	if lasted := time.Since(began); lasted < 4*impatience {
		t.Errorf("it ended after %s, when its session was still there", lasted)
	}
}

func TestAcceptIsRefusedWhereItCannotWork(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*Config, *Deps)
		want   string
	}{
		"an unknown word":  {func(c *Config, _ *Deps) { c.Routes[0].Accept = []string{"cookie"} }, "cookie"},
		"twice":            {func(c *Config, _ *Deps) { c.Routes[0].Accept = []string{"token", "token"} }, "twice"},
		"an empty list":    {func(c *Config, _ *Deps) { c.Routes[0].Accept = []string{} }, "nothing is accepted"},
		"no tickets":       {func(c *Config, _ *Deps) { c.Routes[0].Accept = []string{"token"} }, "no tickets"},
		"nobody for Basic": {func(c *Config, _ *Deps) { c.Routes[0].Accept = []string{"basic"} }, "nobody who tries passwords"},
		"Basic that is passed on": {func(c *Config, d *Deps) {
			c.Routes[0].Accept, c.Routes[0].PassAuthorization, d.Basic = []string{"basic"}, true, map[string]Authenticator{"app": everybody()}
		}, "pass_authorization"},
		"sessions without a login": {func(_ *Config, d *Deps) { delete(d.Starters, "app") }, "nothing can begin a login"},
	} {
		t.Run(name, func(t *testing.T) {
			config, deps := configuration(t)
			c.change(&config, &deps)
			if _, err := New(config, deps); err == nil || !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), "route.app: ") {
				t.Error(err)
			}
		})
	}
	config, deps := configuration(t)
	config.Routes[0].Accept, deps.Basic = []string{"basic"}, map[string]Authenticator{"app": everybody()}
	delete(deps.Starters, "app")
	if _, err := New(config, deps); err != nil {
		t.Errorf("a route for programs only needs no page to sign in on: %v", err)
	}
}

func FuzzClaim(f *testing.F) {
	for _, s := range []string{"", "Bearer dw1.x", "Bearer eyJ", "Basic !", basicLine("a", "b"), basicLine("a", "dw1."), "bearer\tdw1.", "Basic  " + basicLine("a", "b")[6:], ","} {
		f.Add(s, "Bearer x", true, true)
		f.Add(s, s, false, true)
	}
	f.Add("DPoP eyJ", "dpop dwp.x", true, true)
	f.Fuzz(func(t *testing.T, one, two string, token, basic bool) {
		for _, lines := range [][]string{{one}, {one, two}} {
			a := accept{session: true, token: token, basic: basic, bearer: true}
			switch c := a.claim(lines); {
			case c.ofProvider() && (len(lines) != 1 || carriesTicket(lines)):
				t.Errorf("%q would be shown to a provider", lines)
			case c == noClaim && token && carriesTicket(lines):
				t.Errorf("%q holds a ticket that the cookie may stand in for", lines)
			}
			if c := a.claim(lines); c.ofProvider() {
				if token, _ := inAuthorization(lines[0]); !credentials.IsToken(token) {
					t.Errorf("%q is no token", token)
				}
			}
		}
		a := accept{session: true, token: token, basic: basic}
		for _, lines := range [][]string{nil, {one}, {one, two}} {
			switch c := a.claim(lines); {
			case (c == bearerTicket || c == basicTicket) && (!token || len(lines) != 1 || !carriesTicket(lines)):
				t.Errorf("%q is a ticket", lines)
			case c == password && (!basic || len(lines) != 1 || carriesTicket(lines)):
				t.Errorf("%q is a password", lines)
			case c == noClaim && token && carriesTicket(lines):
				t.Errorf("%q holds a ticket that the cookie may stand in for", lines)
			}
		}
	})
}

// noDoor is the Starter of a login that no page begins.
type noDoor struct{ door }

func (noDoor) LoginURL(*http.Request, string) string { return "" }
