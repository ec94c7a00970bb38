package demo_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"github.com/doorward/doorward/demo"
)

func settings() demo.Config {
	return demo.Config{
		App: "/coolwebapp", Prefix: "/oauth2", Origin: "http://localhost:4180", Provider: "http://127.0.0.1:9001",
		Users: []demo.User{{Username: "alice", Password: "wonderland", About: "is in the group staff"}, {Username: "bob", Password: "builder", About: "is in no group"}},
		TOML:  "[provider.corp]\nissuer = \"https://sso.example.com\"\n",
		Now:   func() time.Time { return time.Unix(1_800_000_000, 0) },
		Log:   demo.NewLog(demo.Config{App: "/coolwebapp", Prefix: "/oauth2"}), Client: &http.Client{}, Local: &http.Client{},
		Egress: "http://127.0.0.1:4182", Storage: "http://127.0.0.1:9004", ServiceB: "http://127.0.0.1:9005",
	}
}

func landing(t *testing.T) http.Handler {
	t.Helper()
	h, err := demo.Landing(settings())
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func app(t *testing.T) http.Handler {
	t.Helper()
	h, err := demo.Echo(settings())
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func apps(t *testing.T) http.Handler {
	t.Helper()
	h, err := demo.Apps(settings())
	if err != nil {
		t.Fatal(err)
	}
	return h
}

type answer struct {
	status int
	header http.Header
	body   string
}

func ask(t *testing.T, h http.Handler, method, target string, headers ...string) answer {
	t.Helper()
	r := httptest.NewRequest(method, "http://localhost:4180"+target, nil)
	r.RequestURI = target
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	body, _ := io.ReadAll(w.Result().Body)
	return answer{w.Code, w.Result().Header, string(body)}
}

// text is what a person reads.
func text(t *testing.T, page string) string {
	t.Helper()
	root, err := html.Parse(strings.NewReader(page))
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for n := range root.Descendants() {
		if n.Type == html.TextNode && n.Parent.Data != "style" {
			b.WriteString(n.Data + " ")
		}
	}
	return strings.Join(strings.Fields(b.String()), " ")
}

var navigation = []string{"Sec-Fetch-Mode", "navigate", "Accept", "text/html"}

func TestTheLandingPageTellsEachFlowWithItsExampleAndWhichOnesWork(t *testing.T) {
	a := ask(t, landing(t), http.MethodGet, "/")
	read := text(t, a.body)
	for _, words := range []string{
		"Authorization code with PKCE CoolWebApp.com", "Direct access grant (password) LegacyDesktopApp", "Implicit and hybrid SimpleSPA.com",
		"Client credentials NightlyBackupService → DataStorageAPI", "Token exchange MicroserviceA → MicroserviceB", "Device authorization SmartTV",
		"CIBA PointOfSaleTerminal / BankingApp",
		"alice password wonderland is in the group staff", "bob password builder is in no group", `[provider.corp] issuer = "https://sso.example.com"`, "This is a demo",
		"http://127.0.0.1:9001", "curl -i http://localhost:4180/coolwebapp/",
	} {
		if !strings.Contains(read, words) {
			t.Errorf("the page doesn't say %q", words)
		}
	}
	if n := strings.Count(a.body, `<div class="play">`); n != 7 {
		t.Errorf("%d flows play, not seven", n)
	}
	for _, link := range []string{"/coolwebapp/", "/nightlybackup/", "/microservice-a/", "/sequence/nightlybackup", "/sequence/microservice-a", "/legacydesktopapp/", "/simplespa/", "/smarttv/", "/pointofsale/", "/legacydesktopapp/files", "http://127.0.0.1:9001/device", "http://127.0.0.1:9001/phone"} {
		if !strings.Contains(a.body, `href="`+link+`"`) {
			t.Errorf("there is no button that leads to %s", link)
		}
	}
	for _, line := range []string{"curl -u alice http://localhost:4180/legacydesktopapp/files", "doorward login http://localhost:4180/smarttv/", "curl -d everything http://127.0.0.1:4182/data/backups"} {
		if !strings.Contains(read, line) {
			t.Errorf("there is no line %q to copy", line)
		}
	}
}

func TestTheLandingPageIsNowhereElse(t *testing.T) {
	for _, c := range []struct {
		method, target string
		status         int
	}{{http.MethodGet, "/", 200}, {http.MethodHead, "/", 200}, {http.MethodGet, "/favicon.ico", 404}, {http.MethodPost, "/", 404}} {
		if a := ask(t, landing(t), c.method, c.target); a.status != c.status {
			t.Errorf("%s %s: %d, want %d", c.method, c.target, a.status, c.status)
		}
	}
}

func TestTheEchoPageShowsWhoOneIsAndEveryHeaderByWhoseWordItIs(t *testing.T) {
	a := ask(t, app(t), http.MethodGet, "/coolwebapp/x?q=1&r=%20", append([]string{
		"X-Forwarded-User", "8f2c", "X-Forwarded-Preferred-Username", "alice", "X-Forwarded-Email", "alice@example.com", "X-Forwarded-Groups", "staff,dev",
		"X-Forwarded-For", "127.0.0.1", "User-Agent", "Netscape 4", "Cookie", "theme=dark",
	}, navigation...)...)
	read := text(t, a.body)
	before, after, ok := strings.Cut(read, "Sent by your browser")
	if !ok {
		t.Fatal(read)
	}
	for _, words := range []string{"Hello, alice", "Email alice@example.com", "Groups staff , dev", "GET /coolwebapp/x?q=1&r=%20 HTTP/1.1", "X-Forwarded-User 8f2c", "X-Forwarded-Groups staff,dev", "X-Forwarded-For 127.0.0.1"} {
		if !strings.Contains(before, words) {
			t.Errorf("before what the browser sent there is no %q in %s", words, before)
		}
	}
	for _, words := range []string{"Host localhost:4180", "User-Agent Netscape 4", "Cookie theme=dark", "Sec-Fetch-Mode navigate"} {
		if !strings.Contains(after, words) {
			t.Errorf("among what the browser sent there is no %q in %s", words, after)
		}
	}
	for _, link := range []string{"/coolwebapp/staff", "/oauth2/session", "/oauth2/sign_out?rd=/", "/coolwebapp/request.json", "/"} {
		if !strings.Contains(a.body, `href="`+link+`"`) {
			t.Errorf("there is no link to %s", link)
		}
	}
}

func TestTheEchoPageClaimsNobodyWhereNobodyIs(t *testing.T) {
	read := text(t, ask(t, app(t), http.MethodGet, "/coolwebapp/", navigation...).body)
	if !strings.Contains(read, "whoever you are") || strings.Contains(read, "Signed in as") || strings.Contains(read, "Added by Doorward") {
		t.Error(read)
	}
}

func TestTheStaffPageSaysWhoseRuleItIs(t *testing.T) {
	read := text(t, ask(t, app(t), http.MethodGet, "/coolwebapp/staff", append([]string{"X-Forwarded-User", "alice"}, navigation...)...).body)
	if !strings.Contains(read, "The staff page") || !strings.Contains(read, "Groups none") {
		t.Error(read)
	}
}

func jwt(claims string) string {
	b := func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }
	return b(`{"alg":"RS256"}`) + "." + b(claims) + ".c2ln"
}

func TestTheAccessTokenIsShownDecoded(t *testing.T) {
	for name, c := range map[string]struct {
		authorization string
		want          []string
	}{
		"good":       {"Bearer " + jwt(`{"sub":"alice","exp":1800000299}`), []string{`"alg": "RS256"`, `"sub": "alice"`, "in 4m59s"}},
		"ended":      {"Bearer " + jwt(`{"exp":1799999999}`), []string{"It ended at 07:59:59 UTC"}},
		"timeless":   {"Bearer " + jwt(`{"sub":"<script>alert(1)</script>"}`), []string{`"sub": "<script>alert(1)</script>"`}},
		"odd times":  {"Bearer " + jwt(`{"exp":1e300}`), []string{`"exp": 1e300`}},
		"opaque":     {"Bearer 9f8e7d", []string{"It is opaque"}},
		"three dots": {"Bearer a.b.c", []string{"It is opaque"}},
		"no object":  {"Bearer e30.e30", []string{"It is opaque"}},
		"basic":      {"Basic YTpi", nil},
		"none":       {"", nil},
	} {
		t.Run(name, func(t *testing.T) {
			a := ask(t, app(t), http.MethodGet, "/coolwebapp/", append([]string{"Authorization", c.authorization}, navigation...)...)
			read := text(t, a.body)
			for _, words := range c.want {
				if !strings.Contains(read, words) {
					t.Errorf("the page doesn't say %q: %s", words, read)
				}
			}
			if shown := strings.Contains(read, "The access token, decoded"); a.status != 200 || shown != (c.want != nil) {
				t.Errorf("status %d, a token is shown: %v", a.status, shown)
			}
		})
	}
}

func TestProgramsGetTheRequestAsJSON(t *testing.T) {
	for name, headers := range map[string][]string{
		"curl":       {"Accept", "*/*"},
		"fetch":      {"Sec-Fetch-Mode", "cors", "Accept", "text/html"},
		"no headers": nil,
	} {
		a := ask(t, app(t), http.MethodPut, "/coolwebapp/a?b=c", append(headers, "X-Forwarded-User", "alice")...)
		var got struct {
			Method, Target, Protocol, Host string
			Headers                        http.Header
		}
		if err := json.Unmarshal([]byte(a.body), &got); err != nil || a.header.Get("Content-Type") != "application/json" {
			t.Errorf("%s: %v %s", name, err, a.body)
		}
		if got.Method != "PUT" || got.Target != "/coolwebapp/a?b=c" || got.Protocol != "HTTP/1.1" || got.Host != "localhost:4180" || got.Headers.Get("X-Forwarded-User") != "alice" {
			t.Errorf("%s: %+v", name, got)
		}
	}
	if a := ask(t, app(t), http.MethodGet, "/coolwebapp/request.json", navigation...); a.header.Get("Content-Type") != "application/json" {
		t.Error("a person's browser cannot see the JSON")
	}
}

func TestP187WhatARequestHoldsIsTextOnThePage(t *testing.T) {
	const evil = `"><script>alert(1)</script><img src=x onerror=alert(1)>`
	a := ask(t, app(t), http.MethodGet, "/coolwebapp/"+strings.ReplaceAll(evil, " ", "/"), append([]string{
		"X-Forwarded-User", evil, "X-Forwarded-Email", evil, "X-Forwarded-Groups", evil, "User-Agent", evil, "X-Odd", evil,
		"Authorization", "Bearer " + jwt(`{"sub":`+fmt.Sprintf("%q", evil)+`}`),
	}, navigation...)...)
	root, err := html.Parse(strings.NewReader(a.body))
	if err != nil {
		t.Fatal(err)
	}
	for n := range root.Descendants() {
		if n.Type == html.ElementNode && (n.Data == "script" || n.Data == "img") {
			t.Errorf("the page has an element %s", n.Data)
		}
	}
}

func TestPagesLoadNothingAndRunNoScriptButTheirOwn(t *testing.T) {
	browser := append([]string{"X-Forwarded-User", "alice", "Authorization", "Bearer " + jwt(`{}`)}, navigation...)
	const own = "script-src 'sha256-[A-Za-z0-9+/=]{44}'; "
	for name, c := range map[string]struct {
		answer answer
		form   string
		script string
	}{
		"landing":  {ask(t, landing(t), http.MethodGet, "/"), "none", own},
		"sequence": {ask(t, landing(t), http.MethodGet, "/sequence/smarttv"), "none", own + "connect-src 'self'; "},
		"nothing":  {ask(t, landing(t), http.MethodGet, "/x"), "none", ""},
		"echo":     {ask(t, apps(t), http.MethodGet, "/coolwebapp/", browser...), "none", ""},
		"spa":      {ask(t, apps(t), http.MethodGet, "/simplespa/", browser...), "none", own + "connect-src 'self'; "},
		"tv":       {ask(t, apps(t), http.MethodGet, "/smarttv/", browser...), "none", ""},
		"desktop":  {ask(t, apps(t), http.MethodGet, "/legacydesktopapp/", browser...), "self", ""},
		"files":    {ask(t, apps(t), http.MethodGet, "/legacydesktopapp/files", browser...), "none", ""},
		"backup":   {ask(t, apps(t), http.MethodGet, "/nightlybackup/", browser...), "self", ""},
		"service":  {ask(t, apps(t), http.MethodGet, "/microservice-a/", browser...), "self", ""},
		"till":     {ask(t, apps(t), http.MethodGet, "/pointofsale/", browser...), "self", ""},
	} {
		t.Run(name, func(t *testing.T) {
			a, policy := c.answer, c.answer.header.Get("Content-Security-Policy")
			want := `^default-src 'none'; style-src 'sha256-[A-Za-z0-9+/=]{44}'; img-src data:; form-action '` + c.form + `'; ` + c.script + `base-uri 'none'; frame-ancestors 'none'$`
			if !regexp.MustCompile(want).MatchString(policy) {
				t.Errorf("policy %q", policy)
			}
			if a.header.Get("X-Content-Type-Options") != "nosniff" || a.header.Get("Cache-Control") != "no-store" || a.header.Get("Content-Type") != "text/html; charset=utf-8" {
				t.Errorf("headers %v", a.header)
			}
			checkMarkup(t, a.body)
			checkHashes(t, policy, a.body)
		})
	}
}

// checkHashes expects that the policy lets run what the page holds, and nothing else.
func checkHashes(t *testing.T, policy, page string) {
	t.Helper()
	for _, element := range []string{"style", "script"} {
		for _, m := range regexp.MustCompile(`(?s)<`+element+`>(.*?)</`+element+`>`).FindAllStringSubmatch(page, -1) {
			sum := sha256.Sum256([]byte(m[1]))
			if hash := element + "-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"; !strings.Contains(policy, hash) {
				t.Errorf("a browser refuses the page's own %s: %s is not in %s", element, hash, policy)
			}
		}
	}
	if scripts := strings.Count(page, "<script"); scripts > 1 || scripts == 1 != strings.Contains(policy, "script-src") {
		t.Errorf("%d scripts under %s", scripts, policy)
	}
}

// checkMarkup expects a page that is complete without a request, a script or an inline style, and
// whose outline a screen reader can follow.
func checkMarkup(t *testing.T, page string) {
	t.Helper()
	root, err := html.Parse(strings.NewReader(page))
	if err != nil {
		t.Fatal(err)
	}
	seen, ids, level := map[string]int{}, map[string]bool{}, 0
	for n := range root.Descendants() {
		if n.Type != html.ElementNode {
			continue
		}
		seen[n.Data]++
		if len(n.Data) == 2 && n.Data[0] == 'h' && n.Data[1] >= '1' && n.Data[1] <= '6' {
			if now := int(n.Data[1] - '0'); now > level+1 {
				t.Errorf("%s follows h%d", n.Data, level)
			} else {
				level = now
			}
		}
		for _, attr := range n.Attr {
			switch {
			case attr.Key == "src", attr.Key == "style", strings.HasPrefix(attr.Key, "on"):
				t.Errorf("<%s %s=%q>", n.Data, attr.Key, attr.Val)
			case attr.Key == "href" && n.Data == "link" && !strings.HasPrefix(attr.Val, "data:"),
				attr.Key == "href" && n.Data == "a" && strings.Contains(attr.Val, ":") && !strings.HasPrefix(attr.Val, settings().Provider+"/"):
				t.Errorf("<%s> leads to %q", n.Data, attr.Val)
			case attr.Key == "id":
				ids[attr.Val] = true
			}
		}
	}
	if seen["h1"] != 1 || seen["main"] != 1 || seen["title"] != 1 || seen["style"] != 1 {
		t.Errorf("elements %v", seen)
	}
	for n := range root.Descendants() {
		for _, attr := range n.Attr {
			if attr.Key == "aria-labelledby" && !ids[attr.Val] {
				t.Errorf("nothing has the id %q", attr.Val)
			}
		}
	}
}

func TestWithoutItsPathsThereIsNoDemo(t *testing.T) {
	if _, err := demo.Landing(demo.Config{}); err == nil {
		t.Error("a landing page that leads nowhere")
	}
	if _, err := demo.Apps(demo.Config{App: "/x", Prefix: "/y"}); err == nil {
		t.Error("a desktop application that reaches nobody")
	}
	if _, err := demo.Apps(demo.Config{App: "/x", Prefix: "/y", Client: &http.Client{}}); err == nil {
		t.Error("services that reach nobody")
	}
	if _, _, err := demo.APIs(demo.Config{App: "/x", Prefix: "/y"}); err == nil {
		t.Error("APIs that can read no keys")
	}
	if _, err := demo.Echo(demo.Config{App: "/x"}); err == nil {
		t.Error("an echo application without a way out")
	}
}
