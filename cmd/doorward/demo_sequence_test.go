package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/html"

	"github.com/doorward/doorward/demo"
	"github.com/doorward/doorward/internal/testnet"
)

// demoPassword is no word of any page.
const demoPassword = "correct-horse-7"

// shownPeople have passwords that are not their names, so that a page cannot hold one by accident.
func shownPeople() []demo.User {
	return []demo.User{{Username: "alice", Password: demoPassword, About: "x"}, {Username: "bob", Password: demoPassword + "b", About: "y"}}
}

// messages are what the page of an example shows, as "From to To METHOD /path STATUS …", in order, but for
// discovery: the gateway warms its providers up in the background, before a first visitor or beside them.
func (d *demoRun) messages(example string) []string {
	d.t.Helper()
	body, _, _ := strings.Cut(d.sequence(example), "Before anybody came")
	root, err := html.Parse(strings.NewReader(body))
	if err != nil {
		d.t.Fatal(err)
	}
	var all []string
	for n := range root.Descendants() {
		switch class(n) {
		case "who":
			all = append(all, strings.Replace(read(n), "→ ", "", 1)+":")
		case "what", "got":
			all[len(all)-1] += " " + read(n)
		}
	}
	return slices.DeleteFunc(all, func(m string) bool { return strings.Contains(m, "/.well-known/") })
}

func class(n *html.Node) string {
	for _, a := range n.Attr {
		if a.Key == "class" && n.Data == "span" {
			return a.Val
		}
	}
	return ""
}

func read(n *html.Node) string {
	var b strings.Builder
	for c := range n.Descendants() {
		if c.Type == html.TextNode {
			b.WriteString(c.Data + " ")
		}
	}
	return strings.Join(strings.Fields(b.String()), " ")
}

// expect compares messages with patterns, one for each.
func expect(t *testing.T, got []string, want ...string) {
	t.Helper()
	for i, pattern := range want {
		if i >= len(got) || !regexp.MustCompile("^"+pattern+"$").MatchString(got[i]) {
			t.Errorf("message %d does not match %s", i, pattern)
		}
	}
	if len(got) != len(want) || t.Failed() {
		t.Fatalf("%d messages, want %d:\n%s", len(got), len(want), strings.Join(got, "\n"))
	}
}

const (
	authPath  = "/protocol/openid-connect/auth"
	tokenPath = "/protocol/openid-connect/token"
)

func TestTheDemoShowsWhatCoolWebAppReallyExchanged(t *testing.T) {
	d := startDemoWith(t, demoOptions{users: shownPeople()})
	b := d.browser()
	wants(t, b.Open(t, d.origin).Click(t, "Open CoolWebApp.com").SignIn(t, "alice", demoPassword), 200, "Hello, alice")
	expect(t, d.messages("coolwebapp"),
		"Your browser to Doorward: GET /coolwebapp/ 302 to http://127.0.0.1:\\d+"+authPath,
		"Your browser to Identity provider: GET "+authPath+" 200",
		"Your browser to Identity provider: POST /login 303 to http://localhost:\\d+/oauth2/callback/coolwebapp",
		"Your browser to Doorward: GET /oauth2/callback/coolwebapp 303 to /coolwebapp/",
		"Doorward to Identity provider: POST "+tokenPath+" 200",
		"Doorward to Identity provider: GET /protocol/openid-connect/certs 200",
		"Your browser to Doorward: GET /coolwebapp/ 200",
		"Doorward to CoolWebApp.com: GET /coolwebapp/ 200",
	)
}

func TestTheDemoPlaysSimpleSPAAndItsConfigurationChangesWhatIsShown(t *testing.T) {
	play := func(o demoOptions) (*demoRun, *testnet.Browser) {
		o.users = shownPeople()
		d := startDemoWith(t, o)
		b := d.browser()
		b.Open(t, d.origin).Click(t, "Open SimpleSPA.com").SignIn(t, "alice", demoPassword)
		return d, b
	}
	d, b := play(demoOptions{})
	posted := d.messages("simplespa")
	expect(t, posted,
		"Your browser to Doorward: GET /simplespa/ 302 to http://127.0.0.1:\\d+"+authPath,
		"Your browser to Identity provider: GET "+authPath+" 200",
		"Your browser to Identity provider: POST /login 200",
		"Your browser to Doorward: POST /oauth2/callback/simplespa 303 to /oauth2/callback/simplespa",
		"Your browser to Doorward: GET /oauth2/callback/simplespa 303 to /simplespa/",
		"Doorward to Identity provider: GET /protocol/openid-connect/certs 200",
		"Your browser to Doorward: GET /simplespa/ 200",
		"Doorward to SimpleSPA.com: GET /simplespa/ 200",
	)
	if body := d.sequence("simplespa"); !strings.Contains(body, "response_mode <code>form_post</code>") || !strings.Contains(body, "ID token <code>") {
		t.Error("the page doesn't show how the tokens came")
	}
	if body := b.Open(t, d.origin+"/simplespa/api/me.json").Body; !strings.Contains(body, `"user": "alice"`) || !strings.Contains(body, "good for another") || strings.Contains(body, "eyJ") {
		t.Errorf("the API says %s", body)
	}
	fragment := func(toml string) string { return strings.Replace(toml, "form_post", "fragment", 1) }
	d, _ = play(demoOptions{change: fragment})
	expect(t, d.messages("simplespa"), // this browser has no script, which would now send the fragment
		"Your browser to Doorward: GET /simplespa/ 302 to http://127.0.0.1:\\d+"+authPath,
		"Your browser to Identity provider: GET "+authPath+" 200",
		"Your browser to Identity provider: POST /login 303 to http://localhost:\\d+/oauth2/callback/simplespa",
		"Your browser to Doorward: GET /oauth2/callback/simplespa 200",
	)
	if body := d.sequence("simplespa"); !strings.Contains(body, "response_mode <code>fragment</code>") || strings.Contains(body, "form_post") {
		t.Error("the page shows another response_mode than the configured one")
	}
}

func TestTheDemoPlaysLegacyDesktopApp(t *testing.T) {
	d := startDemoWith(t, demoOptions{users: shownPeople()})
	b := d.browser()
	page := b.Open(t, d.origin).Click(t, "Start LegacyDesktopApp")
	page = page.Submit(t, map[string]string{"username": "alice", "password": "wrong-one"})
	wants(t, page, 200, "Not synchronised", "401")
	for range 2 {
		page = page.Submit(t, map[string]string{"username": "alice", "password": demoPassword})
		wants(t, page, 200, "Synchronised as alice", "Holiday.bmp", "an access token, good for another")
	}
	sent := []string{
		"LegacyDesktopApp to Doorward: GET /legacydesktopapp/files 401 wrong_credentials",
		"Doorward to Identity provider: POST " + tokenPath + " 401 invalid_grant",
		"LegacyDesktopApp to Doorward: GET /legacydesktopapp/files 200 2 times, last at .*", // the second time nobody is asked
		"Doorward to Identity provider: POST " + tokenPath + " 200",
	}
	got := d.messages("legacydesktopapp")
	if len(got) < len(sent) {
		t.Fatalf("%q", got)
	}
	expect(t, got[:len(sent)], sent...)
	wants(t, page.Click(t, "The same in a browser").SignIn(t, "bob", demoPassword+"b"), 200, "Files of bob", "an access token")
	form := d.messages("legacydesktopapp")
	i := slices.IndexFunc(form, func(m string) bool {
		return strings.HasPrefix(m, "Your browser to Doorward: POST /oauth2/password 303")
	})
	if i < 0 || !strings.HasPrefix(form[i+1], "Doorward to Identity provider: POST "+tokenPath+" 200") {
		t.Errorf("the form is not among %q", form)
	}
	if answer := d.program(t, "/legacydesktopapp/files", "alice", demoPassword); !strings.Contains(answer, "Holiday.bmp") {
		t.Errorf("the line to copy gets %s", answer)
	}
}

// program is curl; without a user name it sends no credentials.
func (d *demoRun) program(t *testing.T, path, username, password string) string {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, d.origin+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	if username != "" {
		r.SetBasicAuth(username, password)
	}
	res, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

// sequence is the page of an example, as it is sent.
func (d *demoRun) sequence(example string) string {
	d.t.Helper()
	d.settle()
	return d.program(d.t, "/sequence/"+example, "", "")
}

// phone is another browser, at a page of the provider.
func (d *demoRun) phone(path string) *testnet.Page {
	d.t.Helper()
	return d.browser().Open(d.t, d.find(`The provider +(http://\S+)`)+path)
}

type pollAnswer struct{ Status, Location string }

// outcome polls for the page on which a browser waits, as its script does, until it is over.
func (d *demoRun) outcome(b *testnet.Browser, page *testnet.Page) (answer pollAnswer) {
	d.t.Helper()
	m := regexp.MustCompile(`data-poll="([^"]*)"`).FindStringSubmatch(page.Body)
	if m == nil {
		d.t.Fatalf("%s does not wait:\n%s", page.URL, page.Text())
	}
	deadlineLoop(d.t, func() bool {
		<-time.After(pollInterval / 4)
		polled := b.Fetch(d.t, "", http.MethodGet, d.origin+html.UnescapeString(m[1]), nil)
		_ = json.Unmarshal([]byte(polled.Body), &answer)
		return polled.Status == http.StatusOK && answer.Status != "pending"
	})
	return answer
}

// waits until what a browser waits for was approved, and goes on.
func (d *demoRun) waits(b *testnet.Browser, page *testnet.Page) *testnet.Page {
	d.t.Helper()
	answer := d.outcome(b, page)
	if answer.Status != "approved" {
		d.t.Fatalf("the waiting ended with %+v", answer)
	}
	return b.Open(d.t, d.origin+answer.Location)
}

// signInTV plays SmartTV from its landing page.
func (d *demoRun) signInTV(b *testnet.Browser) {
	d.t.Helper()
	page := b.Open(d.t, d.origin).Click(d.t, "Switch the TV on").Press(d.t, "Sign in")
	code := regexp.MustCompile(`data-code="([^"]+)"`).FindStringSubmatch(page.Body)
	if code == nil {
		d.t.Fatalf("the TV shows no code:\n%s", page.Text())
	}
	polled := b.Fetch(d.t, "", http.MethodGet, d.origin+html.UnescapeString(regexp.MustCompile(`data-poll="([^"]*)"`).FindStringSubmatch(page.Body)[1]), nil)
	if !strings.Contains(polled.Body, `"pending"`) && polled.Status != http.StatusTooManyRequests {
		d.t.Errorf("nobody has approved, and the TV is told %d %s", polled.Status, polled.Body)
	}
	approval := d.phone("/device?user_code="+code[1]).SignIn(d.t, "alice", demoPassword)
	wants(d.t, approval, 200, "Does it show this very code", code[1])
	wants(d.t, approval.Press(d.t, "Approve"), 200, "Approved")
	wants(d.t, d.waits(b, page), 200, "Good evening, alice", "an access token")
}

func TestTheDemoPlaysSmartTV(t *testing.T) {
	d := startDemoWith(t, demoOptions{users: shownPeople()})
	b := d.browser()
	d.signInTV(b)
	expect(t, unlessPolls(d.messages("smarttv")),
		"TV to Doorward: GET /smarttv/ 302 to /oauth2/device",
		"TV to Doorward: GET /oauth2/device 200",
		"TV to Doorward: POST /oauth2/device 303 to /oauth2/device",
		"Doorward to Identity provider: POST "+authPath+"/device 200",
		"TV to Doorward: GET /oauth2/device 200",
		"Your phone to Identity provider: GET /device 200",
		"Your phone to Identity provider: POST /login 303 to /device",
		"Your phone to Identity provider: GET /device 200",
		"Your phone to Identity provider: POST /device 200",
		"TV to Doorward: GET /oauth2/device/poll 200 approved",
		"Doorward to Identity provider: POST "+tokenPath+" 200",
		"Doorward to Identity provider: GET /protocol/openid-connect/certs 200",
		"TV to Doorward: GET /smarttv/ 200",
		"Doorward to TV service: GET /smarttv/ 200",
	)
}

// till is a till that alice has signed in to, and her phone.
type till struct {
	demo  *demoRun
	b     *testnet.Browser
	phone *testnet.Browser
	page  *testnet.Page
}

func (d *demoRun) signInTill() *till {
	d.t.Helper()
	s := &till{demo: d, b: d.browser(), phone: d.browser()}
	page := s.b.Open(d.t, d.origin).Click(d.t, "Switch the till on").Submit(d.t, map[string]string{"hint": "alice"})
	wants(d.t, page, 200, "Look at your phone")
	s.onPhone().SignIn(d.t, "alice", demoPassword)
	s.press("Approve", "PointOfSaleTerminal asks: ")
	s.page = d.waits(s.b, page)
	wants(d.t, s.page, 200, "20.00 EUR", "Signed in by phone as alice")
	return s
}

func (s *till) onPhone() *testnet.Page {
	s.demo.t.Helper()
	return s.phone.Open(s.demo.t, s.demo.find(`The provider +(http://\S+)`)+"/phone")
}

// press presses a button on the phone, which must say something.
func (s *till) press(button, said string) {
	s.demo.t.Helper()
	page := s.onPhone()
	wants(s.demo.t, page, 200, said)
	if page = page.Press(s.demo.t, button); page.Status != 200 {
		s.demo.t.Fatalf("the phone: %d\n%s", page.Status, page.Text())
	}
}

// unlessPolls leaves out what tests do more often than pages.
func unlessPolls(messages []string) []string {
	return slices.DeleteFunc(messages, func(m string) bool { return strings.Contains(m, "pending") || strings.Contains(m, "/poll 429") })
}

func TestTheDemoPlaysPointOfSaleTerminal(t *testing.T) {
	d := startDemoWith(t, demoOptions{users: shownPeople()})
	s := d.signInTill()
	expect(t, unlessPolls(d.messages("pointofsale")),
		"Till to Doorward: GET /pointofsale/ 302 to /oauth2/ciba",
		"Till to Doorward: GET /oauth2/ciba 200",
		"Till to Doorward: POST /oauth2/ciba 303 to /oauth2/ciba",
		"Doorward to Identity provider: POST /protocol/openid-connect/ext/ciba/auth 200",
		"Till to Doorward: GET /oauth2/ciba 200",
		"BankingApp to Identity provider: GET /phone 200",
		"BankingApp to Identity provider: POST /login 303 to /phone",
		"BankingApp to Identity provider: GET /phone 200( 2 times.*)?",
		"BankingApp to Identity provider: POST /phone 303 to /phone",
		"BankingApp to Identity provider: GET /phone 200",
		"Till to Doorward: GET /oauth2/ciba/poll 200 approved",
		"Doorward to Identity provider: POST "+tokenPath+" 200",
		"Doorward to Identity provider: GET /protocol/openid-connect/certs 200",
		"Till to Doorward: GET /pointofsale/ 200",
		"Doorward to Payments: GET /pointofsale/ 200",
	)
	before := len(unlessPolls(d.messages("pointofsale")))
	held := s.page.Press(t, "Take 20 euros")
	wants(t, held, 200, "Approve this on your phone", "PAY-20-EUR", "POST /pointofsale/payments")
	if page := s.b.Open(t, d.origin+"/pointofsale/"); strings.Contains(page.Text(), "Taken so far") {
		t.Error("the till took money before anybody had approved it")
	}
	s.press("Approve", "PointOfSaleTerminal asks: PAY-20-EUR Approve this only if the other screen shows the same")
	wants(t, d.waits(s.b, held).Press(t, "Send it"), 200, "Receipt 1", "Approved by alice on their phone", "Taken so far")
	got := strings.Join(unlessPolls(d.messages("pointofsale"))[before:], "\n")
	for _, pattern := range []string{
		`Till to Doorward: POST /pointofsale/payments 303 to /oauth2/approval/…[0-9a-f]{6}…\n` +
			`Doorward to Identity provider: POST /protocol/openid-connect/ext/ciba/auth 200\n`,
		`BankingApp to Identity provider: POST /phone 303 to /phone\n`,
		`Till to Doorward: GET /oauth2/approval/…[0-9a-f]{6}… 200 approved\n` +
			`Doorward to Identity provider: POST ` + tokenPath + ` 200\n`,
		`Till to Doorward: POST /oauth2/approval/…[0-9a-f]{6}… 303 to /pointofsale/\n` +
			`Doorward to Payments: POST /pointofsale/payments 303 to /pointofsale/\n`,
	} {
		if !regexp.MustCompile(pattern).MatchString(got) {
			t.Errorf("nothing matches %s in\n%s", pattern, got)
		}
	}
	if n := strings.Count(got, "Doorward to Payments: POST"); n != 1 {
		t.Errorf("the payment went through %d times", n)
	}
}

func TestAPaymentThatIsDeniedOnThePhoneNeverReachesTheTill(t *testing.T) {
	d := startDemoWith(t, demoOptions{users: shownPeople()})
	s := d.signInTill()
	held := s.page.Press(t, "Take 20 euros")
	s.press("Deny", "PAY-20-EUR")
	if answer := d.outcome(s.b, held); answer.Status != "denied" {
		t.Errorf("the page that waits is told %+v", answer)
	}
	if page := s.b.Open(t, d.origin+"/pointofsale/"); strings.Contains(page.Text(), "Taken so far") {
		t.Error("the till took money all the same")
	}
	if got := strings.Join(d.messages("pointofsale"), "\n"); strings.Contains(got, "Doorward to Payments: POST") {
		t.Errorf("it reached the till:\n%s", got)
	}
}

// secrets collects, on the wire and without any of the code under test, what a demo may not show.
type secrets struct {
	mu    sync.Mutex
	all   map[string]string // what it is
	kinds map[string]bool   // that occurred
}

// secretNames are what parameters and members are called that may not be shown.
var secretNames = []string{
	"access_token", "refresh_token", "id_token", "id_token_hint", "code", "device_code", "auth_req_id", "password", "client_secret", "code_verifier",
	"state", "nonce", "interaction", "confirm", "request", "subject_token", "actor_token",
}

func (s *secrets) add(what, value string) {
	if strings.HasSuffix(what, "doorward-login.last") { // the name of the login that was used last
		return
	}
	if len(value) < 4 || strings.HasSuffix(what, " code") && strings.Contains(value, "_") { // "code" is also what a problem document calls its error
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all[value] = what
	s.kinds[what[strings.LastIndex(what, " ")+1:]] = true
}

func (s *secrets) values(at string, v url.Values) {
	for _, name := range secretNames {
		for _, value := range v[name] {
			s.add(at+" "+name, value)
		}
	}
}

// watch sees a request and its answer as they are.
func (s *secrets) watch(at string, h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		r.Body = io.NopCloser(bytes.NewReader(body))
		form, _ := url.ParseQuery(string(body))
		s.values(at, form)
		s.values(at, r.URL.Query())
		scheme, credentials, _ := strings.Cut(r.Header.Get("Authorization"), " ")
		s.add(at+" Authorization", credentials)
		if raw, err := base64.StdEncoding.DecodeString(credentials); scheme == "Basic" && err == nil {
			_, password, _ := strings.Cut(string(raw), ":")
			s.add(at+" Basic", password)
		}
		for _, c := range r.Cookies() {
			s.add(at+" cookie "+c.Name, c.Value)
		}
		answer := httptest.NewRecorder()
		h.ServeHTTP(answer, r)
		s.answer(at, answer)
		for name, values := range answer.Header() {
			w.Header()[name] = values
		}
		w.WriteHeader(answer.Code)
		_, _ = w.Write(answer.Body.Bytes())
	})
}

func (s *secrets) answer(at string, answer *httptest.ResponseRecorder) {
	for _, c := range answer.Result().Cookies() {
		s.add(at+" cookie "+c.Name, c.Value)
	}
	if to, err := url.Parse(answer.Header().Get("Location")); err == nil {
		s.values(at, to.Query())
		fragment, _ := url.ParseQuery(to.EscapedFragment())
		s.values(at, fragment)
	}
	var object map[string]any
	if json.Unmarshal(answer.Body.Bytes(), &object) == nil {
		for _, name := range secretNames {
			s.add(at+" "+name, fmt.Sprint(object[name]))
		}
	}
}

// Every example is played, by person and by program, rightly and wrongly, with the tokens through posts and through addresses.
func TestNoPageOfTheDemoShowsASecretThatOccurred(t *testing.T) {
	seen := &secrets{all: map[string]string{}, kinds: map[string]bool{}}
	for _, mode := range []string{"form_post", "fragment"} {
		d := startDemoWith(t, demoOptions{users: shownPeople(), watch: seen.watch, change: func(toml string) string {
			return strings.Replace(toml, `response_mode = "form_post"`, `response_mode = "`+mode+`"`, 1)
		}})
		b := d.browser()
		b.Open(t, d.origin+"/coolwebapp/?access_token=typed-by-somebody").SignIn(t, "alice", "a-wrong-password").SignIn(t, "alice", demoPassword)
		seen.add("typed", "typed-by-somebody")
		b.Open(t, d.origin+"/simplespa/")
		b.Open(t, d.origin+"/oauth2/sign_out?rd=/")
		d.program(t, "/legacydesktopapp/files", "alice", "another-wrong-password")
		d.program(t, "/legacydesktopapp/files", "bob", demoPassword+"b")
		d.browser().Open(t, d.origin+"/legacydesktopapp/files").SignIn(t, "alice", demoPassword)
		if mode == "form_post" {
			d.signInTV(d.browser())
			s := d.signInTill()
			s.page.Press(t, "Take 20 euros")
			d.playMachines()
		}
		shown := ""
		for _, example := range []string{"coolwebapp", "simplespa", "legacydesktopapp", "smarttv", "pointofsale", demo.Backup, demo.Exchange} {
			for _, part := range []string{"", "?part=rows"} {
				page := d.sequence(example + part)
				if !strings.Contains(page, `class="who"`) && mode == "form_post" {
					t.Errorf("the sequence of %s is empty", example)
				}
				shown += html.UnescapeString(page)
			}
		}
		for value, what := range seen.all {
			if strings.Contains(shown, value) {
				t.Errorf("%s: %s is shown: …%s…", mode, what, value)
			}
		}
		if strings.Contains(shown, "eyJ") {
			t.Errorf("%s: a JWT is shown", mode)
		}
		for _, kind := range []string{"access_token", "refresh_token", "id_token", "code", "device_code", "auth_req_id", "password", "Basic", "Authorization", "doorward", "state", "nonce", "code_verifier", "interaction", "subject_token", "actor_token"} {
			if !seen.kinds[kind] {
				t.Errorf("no %s occurred: %v", kind, seen.kinds)
			}
		}
	}
}

func TestTheLiveSequenceIsAnsweredAnewOnlyAfterItHasChanged(t *testing.T) {
	d := startDemo(t)
	b := d.browser()
	get := func(etag string) (int, string) {
		d.settle()
		if etag != "" {
			b.Header.Set("If-None-Match", etag)
		}
		page := b.Fetch(t, "", http.MethodGet, d.origin+"/sequence/coolwebapp?part=rows", nil)
		return page.Status, page.Header.Get("Etag")
	}
	status, etag := get("")
	if status != 200 || etag == "" {
		t.Fatalf("%d %q", status, etag)
	}
	if status, _ = get(etag); status != http.StatusNotModified {
		t.Errorf("nothing has happened, and the answer is %d", status)
	}
	b.Open(t, d.origin+"/coolwebapp/")
	if status, now := get(etag); status != 200 || now == etag {
		t.Errorf("a message later the answer is %d %s", status, now)
	}
}
