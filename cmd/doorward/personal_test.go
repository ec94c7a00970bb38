package main

import (
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/demo/idp"
	"github.com/doorward/doorward/internal/testnet"
)

const forTools = `login = ["staff"]
[login.staff]
flow = "authorization_code"
[login.legacy]
flow = "password"
[credential.traded]
flow = "token_exchange"
provider = "corp"
audience = ["elsewhere"]
[[route]]
name = "git"
host = %ORIGIN%
path = "/git"
upstream = [%APP%]
credential = "none"
login = ["staff"]
[[route]]
name = "traded"
host = %ORIGIN%
path = "/traded"
upstream = [%APP%]
credential = "traded"
login = ["staff"]
[[route]]
name = "narrow"
host = %ORIGIN%
path = "/narrow"
upstream = [%APP%]
credential = "none"
require = "request.method == 'GET' && 'staff' in user.groups"
login = ["staff"]
[[route]]
name = "page"
host = %ORIGIN%
path = "/page"
upstream = [%APP%]
credential = "none"
accept = ["session"]
login = ["staff"]
[[route]]
name = "events"
host = %ORIGIN%
path = "/events"
upstream = [%APP%]
credential = "none"
login = ["staff"]
[[route]]
name = "open"
host = %ORIGIN%
path = "/open"
upstream = [%APP%]
public = true
[[route]]
name = "names"
host = %ORIGIN%
path = "/names"
upstream = [%APP%]
credential = "none"
login = ["staff", "legacy"]
accept = ["basic", "token"]
[[route]]
name = "wiki"
host = %OTHER%
upstream = [%APP%]
credential = "none"
login = ["staff"]
`

// forTokens is a stack whose people make tokens for their tools, on two hosts.
func forTokens(t *testing.T) (s *stack, other string) {
	t.Helper()
	s = newStack(t, "")
	other = strings.Replace(s.origin, "localhost", "wiki.localhost", 1)
	s.toml += strings.NewReplacer("%ORIGIN%", `"`+s.origin+`"`, "%OTHER%", `"`+other+`"`, "%APP%", `"`+s.app.URL+`"`).Replace(forTools)
	return s.start(), other
}

var shownToken = regexp.MustCompile(`dwp\.[A-Za-z0-9_-]{48}`)

// makesToken makes a token by the form of the page.
func (s *stack) makesToken(page *testnet.Page, values map[string]string) string {
	s.t.Helper()
	made := page.Submit(s.t, values)
	token := shownToken.FindString(made.Body)
	if made.Status != http.StatusCreated || token == "" {
		s.t.Fatalf("no token: %d\n%s\n%s", made.Status, made.Text(), s.log)
	}
	return token
}

// tool sends a request as a program does. headers are names and values in turn; Host is the host.
func (s *stack) tool(method, to string, headers ...string) (status int, body string, header http.Header) {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), method, s.origin+to, http.NoBody)
	if err != nil {
		s.t.Fatal(err)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		if headers[i] == "Host" {
			r.Host = headers[i+1]
			continue
		}
		r.Header.Add(headers[i], headers[i+1])
	}
	res, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		s.t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return res.StatusCode, string(text), res.Header
}

func TestATokenThatAPersonMadeWorksForCurlAndGitUntilItIsRevoked(t *testing.T) {
	s, _ := forTokens(t)
	b := s.browser()
	page := s.signedIn(b, "/oauth2/tokens", "alice", "wonderland-9")
	if page.Status != http.StatusOK || page.URL.String() != s.origin+"/oauth2/tokens" {
		t.Fatalf("landed on %s with %d\n%s", page.URL, page.Status, page.Trail())
	}
	asked := s.idp.Count(idp.Token)
	token := s.makesToken(page, map[string]string{"name": "red laptop"})
	for name, authorization := range map[string]string{"curl": "Bearer " + token, "git": basic("anything", token), "git without a name": basic("", token)} {
		if status, body, _ := s.tool("GET", "/git/info/refs", "Authorization", authorization); status != http.StatusOK {
			t.Fatalf("%s: %d %s\n%s", name, status, body, s.log)
		}
		got := s.app.last(t)
		if got.Header.Get("X-Forwarded-User") != "alice" || got.Header.Get("X-Forwarded-Groups") != "staff" || got.Header.Get("Authorization") != "" {
			t.Errorf("%s reached the app as %v", name, got.Header)
		}
		if shownToken.MatchString(got.URL.String()) || strings.Contains(strings.Join(headerValues(got.Header), "\n"), token) {
			t.Errorf("%s: the app got the token", name)
		}
	}
	if status, _, _ := s.tool("GET", "/narrow/x", "Authorization", "Bearer "+token); status != http.StatusOK {
		t.Errorf("require sees another person: %d", status)
	}
	if status, _, header := s.tool("GET", "/git/x", "Authorization", "Bearer "+token, "Cookie", "doorward=x"); status != http.StatusOK || len(header.Values("Set-Cookie")) > 0 {
		t.Errorf("beside a cookie: %d %v", status, header)
	}
	list := b.Open(t, s.origin+"/oauth2/tokens")
	if !strings.Contains(list.Body, "red laptop") || shownToken.MatchString(list.Body) {
		t.Errorf("the list:\n%s", list.Text())
	}
	list = list.Press(t, "Revoke red laptop")
	if list.Status != http.StatusOK || strings.Contains(list.Body, "red laptop") {
		t.Errorf("after the revocation: %d\n%s", list.Status, list.Text())
	}
	before := len(s.app.requests())
	for _, authorization := range []string{"Bearer " + token, basic("anything", token)} {
		if status, _, header := s.tool("GET", "/git/info/refs", "Authorization", authorization); status != http.StatusUnauthorized || len(header.Values("Set-Cookie")) > 0 {
			t.Errorf("a revoked token: %d %v", status, header)
		}
	}
	if len(s.app.requests()) != before {
		t.Error("it reached the app")
	}
	if n := s.idp.Count(idp.Token); n != asked {
		t.Errorf("tokens of ours asked the provider %d times", n-asked)
	}
	if strings.Contains(s.log.String(), token) {
		t.Error("the log holds the token")
	}
}

func headerValues(h http.Header) (all []string) {
	for _, values := range h {
		all = append(all, values...)
	}
	return all
}

func TestP131AnEventStreamEndsWhenItsTokenIsRevoked(t *testing.T) {
	t.Parallel()
	s, _ := forTokens(t)
	b := s.browser()
	token := s.makesToken(s.signedIn(b, "/oauth2/tokens", "alice", "wonderland-9"), map[string]string{"name": "watcher"})
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.origin+"/events", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	res, err := http.DefaultClient.Do(r)
	if err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("%v %v", res, err)
	}
	defer res.Body.Close()
	ended := make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, res.Body)
		close(ended)
	}()
	b.Open(t, s.origin+"/oauth2/sign_out") // which is no end of a token
	select {
	case <-ended:
		t.Fatal("the stream ended by itself")
	case <-time.After(1500 * time.Millisecond):
	}
	s.signedIn(b, "/oauth2/tokens", "alice", "wonderland-9").Press(t, "Revoke watcher")
	select {
	case <-ended:
	case <-time.After(5 * time.Second):
		t.Error("the stream goes on after the revocation")
	}
}

func TestATokenDoesNothingWhereItIsNotMeantToBe(t *testing.T) {
	s, other := forTokens(t)
	b := s.browser()
	page := s.signedIn(b, "/oauth2/tokens", "alice", "wonderland-9")
	token := s.makesToken(page, map[string]string{"name": "red laptop"})
	reading := s.makesToken(b.Open(t, s.origin+"/oauth2/tokens"), map[string]string{"name": "reader", "read_only": "true"})
	host := strings.TrimPrefix(other, "http://")
	before := len(s.app.requests())
	for name, c := range map[string]struct {
		method, path string
		headers      []string
		status       int
		says         string
	}{
		"the upstream must get the person's token": {"GET", "/x", []string{"Authorization", "Bearer " + token}, 502, "credential_refused"},
		"the same as Basic":                        {"GET", "/x", []string{"Authorization", basic("x", token)}, 502, "credential_refused"},
		"the upstream must get an exchanged one":   {"GET", "/traded/x", []string{"Authorization", "Bearer " + token}, 502, "credential_refused"},
		"require says no":                          {"POST", "/narrow/x", []string{"Authorization", "Bearer " + token}, 403, "access_denied"},
		"another host":                             {"GET", "/git/x", []string{"Authorization", "Bearer " + token, "Host", host}, 401, ""},
		"another host that claims to be this one":  {"GET", "/x", []string{"Authorization", "Bearer " + token, "Host", host, "X-Forwarded-Host", strings.TrimPrefix(s.origin, "http://")}, 401, ""},
		"a route for sessions":                     {"GET", "/page/x", []string{"Authorization", "Bearer " + token}, 401, "login_required"},
		"as user name":                             {"GET", "/git/x", []string{"Authorization", basic(token, "")}, 401, ""},
		"as user name where names are tried":       {"GET", "/names/x", []string{"Authorization", basic(token, "x")}, 401, ""},
		"a damaged one where passwords are tried":  {"GET", "/names/x", []string{"Authorization", basic("alice", token+"x")}, 401, ""},
		"as DPoP":                           {"GET", "/git/x", []string{"Authorization", "DPoP " + token}, 401, ""},
		"twice":                             {"GET", "/git/x", []string{"Authorization", "Bearer " + token, "Authorization", "Bearer " + token}, 401, ""},
		"as key":                            {"GET", "/git/x", []string{"X-Api-Key", token}, 401, ""},
		"in the query":                      {"GET", "/git/x?access_token=" + token, nil, 401, ""},
		"in the cookie":                     {"GET", "/git/x", []string{"Cookie", "doorward=" + token}, 401, ""},
		"at the page":                       {"GET", "/oauth2/tokens", []string{"Authorization", "Bearer " + token}, 401, "login_required"},
		"to make another":                   {"POST", "/oauth2/tokens", []string{"Authorization", "Bearer " + token, "X-Requested-With", "x"}, 401, "login_required"},
		"writing with one for reading":      {"POST", "/git/x", []string{"Authorization", "Bearer " + reading}, 403, "insufficient_scope"},
		"WebDAV with one for reading":       {"COPY", "/git/x", []string{"Authorization", "Bearer " + reading, "Destination", "/git/y"}, 403, "insufficient_scope"},
		"another method of one for reading": {"POST", "/git/x", []string{"Authorization", "Bearer " + reading, "X-Http-Method-Override", "GET"}, 403, "insufficient_scope"},
		"a switch with one for reading":     {"GET", "/git/x", []string{"Authorization", "Bearer " + reading, "Connection", "Upgrade", "Upgrade", "websocket", "Sec-WebSocket-Version", "13", "Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="}, 403, "insufficient_scope"},
	} {
		status, body, header := s.tool(c.method, c.path, c.headers...)
		if status != c.status || !strings.Contains(body, c.says) {
			t.Errorf("%s: %d %v %s", name, status, header, body)
		}
	}
	if n := len(s.app.requests()) - before; n != 0 {
		t.Errorf("%d of them reached the app", n)
	}
	if strings.Contains(s.log.String(), token) || strings.Contains(s.log.String(), reading) {
		t.Error("the log holds a token")
	}
	// A public route asks nobody who they are, and learns nothing either.
	for _, authorization := range []string{"Bearer " + token, basic("x", token), basic(token, "x")} {
		if status, _, _ := s.tool("GET", "/open/x", "Authorization", authorization); status != 200 || s.app.last(t).Header.Get("Authorization") != "" {
			t.Errorf("a public route: %d %v", status, s.app.last(t).Header)
		}
	}
	if status, _, _ := s.tool("GET", "/git/x", "Authorization", "Bearer "+reading, "X-Http-Method-Override", "DELETE"); status != 200 || s.app.last(t).Header.Get("X-Http-Method-Override") != "" {
		t.Errorf("a reader's other method reached the app: %d %v", status, s.app.last(t).Header)
	}
}

func TestOnlyAPersonAtTheirBrowserMakesATokenWhateverARequestSays(t *testing.T) {
	s, other := forTokens(t)
	b := s.browser()
	s.signedIn(b, "/oauth2/tokens", "alice", "wonderland-9")
	name, session := "", ""
	for _, n := range b.Jar.Names(s.origin) {
		if v := b.Jar.Get(s.origin, n); strings.Contains(n, "doorward") && len(v) > 30 {
			name, session = n, v
		}
	}
	cookie := name + "=" + session
	host := strings.TrimPrefix(other, "http://")
	for what, c := range map[string]struct {
		status  int
		headers []string
	}{
		"from another site":                {403, []string{"Cookie", cookie, "Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example"}},
		"from a neighbour":                 {403, []string{"Cookie", cookie, "Sec-Fetch-Site", "same-site", "Origin", other}},
		"from a neighbour, long ago":       {403, []string{"Cookie", cookie, "Origin", other}},
		"at a neighbour":                   {401, []string{"Cookie", cookie, "Origin", other, "Host", host}},
		"at a neighbour that claims to be": {401, []string{"Cookie", cookie, "Origin", other, "Host", host, "X-Forwarded-Host", strings.TrimPrefix(s.origin, "http://")}},
		"a name that we do not have":       {421, []string{"Cookie", cookie, "X-Requested-With", "x", "Host", "evil.example"}},
		"two sessions":                     {401, []string{"Cookie", cookie + "; " + name + "=" + strings.Repeat("A", len(session)), "X-Requested-With", "x"}},
		"by Basic":                         {401, []string{"Authorization", basic("alice", "wonderland-9"), "X-Requested-With", "x"}},
		"without a word":                   {403, []string{"Cookie", cookie}},
	} {
		status, body, _ := s.tool("POST", "/oauth2/tokens?name=x", append(c.headers, "Content-Type", "application/x-www-form-urlencoded")...)
		if status != c.status || strings.Contains(body, "dwp.") {
			t.Errorf("%s: %d %s", what, status, body)
		}
	}
	page := b.Open(t, s.origin+"/oauth2/tokens")
	if strings.Contains(page.Body, `name="revoke"`) {
		t.Errorf("there is a token now:\n%s", page.Text())
	}
	if h := page.Header; h.Get("Cache-Control") != "no-store" || h.Get("X-Frame-Options") != "DENY" || !strings.Contains(h.Get("Content-Security-Policy"), "frame-ancestors 'none'") {
		t.Errorf("another site can frame the page, or a cache keep it: %v", h)
	}
}

func TestOnlyThePageOfTokensIsALoginsTargetBelowThePrefix(t *testing.T) {
	s, _ := forTokens(t)
	for rd, want := range map[string]string{
		"/oauth2/tokens": "/oauth2/tokens", "/oauth2/tokens?name=x": "/oauth2/tokens?name=x",
		"/oauth2/tokens/../sign_out": "/", "/oauth2/tokens/%2e%2e/sign_out": "/", "/oauth2/tokens/..%2fsign_out": "/", "/oauth2/tokens/": "/", "/oauth2/tokens;x": "/", "/oauth2/tokens%3Fx": "/",
		"/oauth2/sign_out": "/", "/oauth2//tokens": "/", "//oauth2/tokens": "/", "/oauth2/tokens%00": "/", "/oauth2/./tokens": "/",
	} {
		b := s.browser()
		page := b.Open(t, s.origin+"/oauth2/start?rd="+url.QueryEscape(rd)).SignIn(t, "alice", "wonderland-9")
		if page.URL.RequestURI() != want || page.Status != 200 && page.Status != 502 {
			t.Errorf("%s: landed on %s with %d", rd, page.URL, page.Status)
		}
		if list := b.Open(t, s.origin+"/oauth2/tokens"); list.Status != 200 || strings.Contains(list.Body, `name="revoke"`) {
			t.Errorf("%s: signed out again, or a token was made: %d", rd, list.Status)
		}
	}
}

func TestAGroupThatWasTakenAwayIsGoneFromTokensWithTheNextRefresh(t *testing.T) {
	s, _ := forTokens(t)
	b := s.browser()
	token := s.makesToken(s.signedIn(b, "/oauth2/tokens", "alice", "wonderland-9"), map[string]string{"name": "laptop"})
	narrow := func() int {
		status, _, _ := s.tool("GET", "/narrow/x", "Authorization", "Bearer "+token)
		return status
	}
	if status := narrow(); status != http.StatusOK {
		t.Fatalf("before: %d\n%s", status, s.log)
	}
	s.idp.Misbehave(idp.Claim("groups", []string{}).Always())
	if page := b.Fetch(t, "", http.MethodPost, s.origin+"/oauth2/session/refresh", nil); page.Status != http.StatusOK {
		t.Fatalf("refresh: %d %s\n%s", page.Status, page.Body, s.log)
	}
	deadlineLoop(t, func() bool { return narrow() == http.StatusForbidden }) // it is written in the background
}
