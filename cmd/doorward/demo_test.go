package main

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/doorward/doorward/demo"
	"github.com/doorward/doorward/internal/config"
	"github.com/doorward/doorward/internal/testnet"
)

// demoRun is a demo that is up.
type demoRun struct {
	t            *testing.T
	origin       string
	said, logged *testnet.Output
	stop         func() error
	serving      atomic.Int64 // requests that a handler has not returned from
}

func startDemo(t *testing.T) *demoRun {
	t.Helper()
	return startDemoWith(t, demoOptions{users: demoUsers})
}

func startDemoWith(t *testing.T, o demoOptions) *demoRun {
	t.Helper()
	o.port = free(t)
	t.Setenv("TMPDIR", t.TempDir())
	ctx, cancel := context.WithCancel(context.Background())
	d := &demoRun{t: t, said: &testnet.Output{}, logged: &testnet.Output{}}
	watch := o.watch
	o.watch = func(at string, h http.Handler) http.Handler {
		if watch != nil {
			h = watch(at, h)
		}
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			d.serving.Add(1)
			defer d.serving.Add(-1)
			h.ServeHTTP(w, r)
		})
	}
	said := &announcement{Output: d.said, made: make(chan struct{})}
	done := make(chan error, 1)
	go func() { done <- playDemo(ctx, o, said, d.logged) }()
	select {
	case <-said.made:
	case err := <-done:
		cancel()
		t.Fatalf("the demo ended with %v\n%s", err, d.logged)
	}
	d.stop = sync.OnceValue(func() error { cancel(); return <-done })
	t.Cleanup(func() {
		if err := d.stop(); err != nil {
			t.Errorf("the demo ended with %v", err)
		}
	})
	d.origin = d.find(`open (http://localhost:\d+)`)
	return d
}

// settle waits until everything was recorded: a browser has an answer a moment before its handler returns.
func (d *demoRun) settle() {
	d.t.Helper()
	deadlineLoop(d.t, func() bool { return d.serving.Load() == 0 })
}

// announcement closes made at the first write: the demo says everything in one.
type announcement struct {
	*testnet.Output
	once sync.Once
	made chan struct{}
}

func (a *announcement) Write(p []byte) (int, error) {
	n, err := a.Output.Write(p)
	a.once.Do(func() { close(a.made) })
	return n, err
}

// find returns what the pattern's group matches in what the demo printed.
func (d *demoRun) find(pattern string) string {
	d.t.Helper()
	m := regexp.MustCompile(pattern).FindStringSubmatch(d.said.String())
	if m == nil {
		d.t.Fatalf("the demo doesn't say %s:\n%s", pattern, d.said)
	}
	return m[1]
}

func (d *demoRun) browser() *testnet.Browser {
	return testnet.NewBrowser(&http.Transport{DisableKeepAlives: true})
}

func wants(t *testing.T, p *testnet.Page, status int, words ...string) {
	t.Helper()
	if p.Status != status {
		t.Errorf("%s: status %d, want %d\n%s", p.URL, p.Status, status, p.Trail())
	}
	for _, w := range words {
		if !strings.Contains(strings.Join(strings.Fields(p.Text()), " "), w) {
			t.Errorf("%s doesn't say %q:\n%s", p.URL, w, p.Text())
		}
	}
}

func TestTheDemoTakesAPersonFromTheLandingPageToTheAppAndOutAgain(t *testing.T) {
	d := startDemo(t)
	b := d.browser()
	page := b.Open(t, d.origin)
	wants(t, page, 200, "CoolWebApp.com", "LegacyDesktopApp", "SimpleSPA.com", "NightlyBackupService → DataStorageAPI", "MicroserviceA → MicroserviceB",
		"SmartTV", "PointOfSaleTerminal / BankingApp", "alice", "bob", `client_secret = "${env:CORP_SECRET}"`)
	page = page.Click(t, "Open CoolWebApp.com")
	wants(t, page, 200, "Sign in", "CoolWebApp.com", "alice , password alice")
	page = page.SignIn(t, "alice", "alice")
	wants(t, page, 200, "Hello, alice", "X-Forwarded-User alice", "X-Forwarded-Email alice@example.com", "X-Forwarded-Groups staff", "Authorization Bearer ey",
		"The access token, decoded", `"sub": "alice"`, "GET /coolwebapp/ HTTP/1.1")
	if page.URL.String() != d.origin+"/coolwebapp/" || len(page.Hops) > 5 {
		t.Errorf("a long way to %s:\n%s", page.URL, page.Trail())
	}
	if strings.Contains(page.Body, b.Jar.Get(d.origin, "doorward")) {
		t.Error("P028: the session cookie reached the app")
	}
	wants(t, page.Click(t, "Staff page"), 200, "The staff page", "Groups staff")
	var session struct{ User struct{ Sub string } }
	if err := json.Unmarshal([]byte(page.Click(t, "Session as JSON").Body), &session); err != nil || session.User.Sub != "alice" {
		t.Errorf("the session: %v %+v", err, session)
	}
	var received struct{ Headers http.Header }
	if err := json.Unmarshal([]byte(page.Click(t, "The same as JSON").Body), &received); err != nil || received.Headers.Get("X-Forwarded-User") != "alice" {
		t.Errorf("the request as JSON: %v %+v", err, received)
	}
	out := page.Click(t, "Sign out")
	if out.Status != 200 || !strings.HasPrefix(out.URL.String(), d.origin) {
		t.Errorf("signed out to %d %s\n%s", out.Status, out.URL, out.Trail())
	}
	wants(t, b.Open(t, d.origin+"/coolwebapp/"), 200, "Sign in")
	if logged := d.logged.String(); logged != "" {
		t.Errorf("the demo has something to complain of: %s", logged)
	}
}

func TestTheDemosStaffPageRefusesBobAndSaysWho(t *testing.T) {
	d := startDemo(t)
	page := d.browser().Open(t, d.origin+"/coolwebapp/staff").SignIn(t, "bob", "bob")
	wants(t, page, 403, "bob")
	if strings.Contains(page.Body, "The staff page") {
		t.Error("the app was reached")
	}
}

func TestWhatTheLandingPageInvitesToHappens(t *testing.T) {
	d := startDemo(t)
	get := func(header string) *http.Response {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, d.origin+"/coolwebapp/", nil)
		if err != nil {
			t.Fatal(err)
		}
		if header != "" {
			r.Header.Set("X-Forwarded-User", header)
		}
		res, err := http.DefaultTransport.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		return res
	}
	for _, header := range []string{"", "alice"} {
		if res := get(header); res.StatusCode != 401 || res.Header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("X-Forwarded-User: %q gets %s %s", header, res.Status, res.Header.Get("Content-Type"))
		}
	}
	wants(t, d.browser().Open(t, d.origin).Click(t, "ambiguous address"), 400, "bad_request")
}

func TestTheDemoListensOnLoopbackOnly(t *testing.T) {
	apps, err := startDemoApps(t.Context(), demoOptions{port: free(t), users: demoUsers}, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer apps.close()
	path := filepath.Join(t.TempDir(), "doorward.toml")
	if err := os.WriteFile(path, []byte(apps.toml), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := config.Load(config.Options{Path: path, Environ: []string{}})
	if err != nil {
		t.Fatal(err)
	}
	addresses := []string{c.Listen.HTTP, c.Listen.Admin, c.Listen.Egress, strings.TrimPrefix(apps.pages.Provider, "http://")}
	for _, r := range c.Proxy().Routes {
		addresses = append(addresses, r.Upstreams[0].Host) // where applications and landing page listen
	}
	targets, _ := c.Egress()
	for _, target := range targets {
		addresses = append(addresses, target.Upstreams[0].Host) // where the APIs listen
	}
	if len(addresses) != 4+11+3 {
		t.Fatalf("the demo has %q", addresses)
	}
	for _, a := range addresses {
		if host, _, err := net.SplitHostPort(a); err != nil || host != "127.0.0.1" {
			t.Errorf("something listens on %s", a)
		}
	}
}

func TestNobodyElseReachesTheDemo(t *testing.T) {
	d := startDemo(t)
	gateway, provider := strings.TrimPrefix(d.origin, "http://localhost:"), d.find(`The provider +http://127\.0\.0\.1:(\d+)`)
	egress := d.find(`For services +http://127\.0\.0\.1:(\d+)`)
	outside, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range append(outside, &net.IPNet{IP: net.IPv6loopback}) { // not even by IPv6
		ip := a.(*net.IPNet).IP
		if ip.Equal(net.IPv4(127, 0, 0, 1)) {
			continue
		}
		for _, port := range []string{gateway, provider, egress} {
			if c, err := net.DialTimeout("tcp", net.JoinHostPort(ip.String(), port), time.Second); err == nil {
				_ = c.Close()
				t.Errorf("port %s is reached at %s", port, ip)
			}
		}
	}
}

func TestTheDemoSaysThatItIsOneWhoCanSignInAndHowItIsDoneForReal(t *testing.T) {
	d := startDemo(t)
	for _, words := range []string{"This is a demo", "alice            password alice", "bob              password bob", "Ctrl-C", d.origin + "/coolwebapp/", `    issuer        = "https://sso.example.com/realms/main"`} {
		if !strings.Contains(d.said.String(), words) {
			t.Errorf("the demo doesn't say %q:\n%s", words, d.said)
		}
	}
	for line := range strings.Lines(d.said.String()) {
		if line != strings.TrimRight(line, " \n")+"\n" || len(line) > 110 {
			t.Errorf("an untidy line %q", line)
		}
	}
}

func TestTheTOMLThatTheDemoShowsIsAConfiguration(t *testing.T) {
	path := filepath.Join(t.TempDir(), "doorward.toml")
	if err := os.WriteFile(path, []byte(productionTOML), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := config.Load(config.Options{Path: path, Environ: []string{"CORP_SECRET=a-client-secret-of-good-length"}})
	if err != nil {
		t.Fatal(err)
	}
	if n := len(c.Proxy().Routes); n != 2 {
		t.Errorf("it has %d routes", n)
	}
	if warnings := c.Warnings(); len(warnings) != 0 {
		t.Errorf("it warns of %q", warnings)
	}
}

func TestEachExampleIsShownAsItIsDoneInProduction(t *testing.T) {
	provider, _, _ := strings.Cut(productionTOML, "[[route]]")
	d := startDemo(t)
	page := d.browser().Open(t, d.origin)
	for id, lines := range map[string][]string{
		"coolwebapp": {`flow = "authorization_code"`, `login = ["coolwebapp"]`},
		demo.SPA:     {`flow = "implicit"`, `response_type = "id_token token"`, `response_mode = "form_post"`, `login = ["spa"]`},
		demo.Desktop: {`flow = "password"`, `form = true`, `accept = ["session", "basic"]`, `login = ["legacy"]`},
		demo.TV:      {`flow = "device"`, `login = ["tv"]`},
		demo.Till:    {`flow = "ciba"`, `login = ["phone"]`, `approve = { login = "phone", methods = ["POST"], binding_message = '"PAY-" + form.amount + "-" + form.currency', expires = "2m" }`},
	} {
		recipe := recipes()[id]
		for _, line := range append(lines, "[[route]]", `provider = "corp"`, `credential = "session"`, `host = "app.example.com"`) {
			if !strings.Contains(recipe, line+"\n") {
				t.Errorf("%s has no line %s:\n%s", id, line, recipe)
			}
		}
		if !strings.Contains(strings.Join(strings.Fields(page.Text()), " "), strings.Join(strings.Fields(recipe), " ")) {
			t.Errorf("the landing page does not show %s", id)
		}
		path := filepath.Join(t.TempDir(), "doorward.toml")
		if err := os.WriteFile(path, []byte(provider+recipe), 0o600); err != nil {
			t.Fatal(err)
		}
		c, err := config.Load(config.Options{Path: path, Environ: []string{"CORP_SECRET=a-client-secret-of-good-length"}})
		if err != nil {
			t.Errorf("%s is no configuration: %v\n%s", id, err, recipe)
		} else if n := len(c.Proxy().Routes); n != 1 {
			t.Errorf("%s has %d routes", id, n)
		}
	}
}

func TestEachExampleForMachinesIsShownAsItIsDoneInProduction(t *testing.T) {
	d := startDemo(t)
	page := d.browser().Open(t, d.origin)
	for id, lines := range map[string][]string{
		demo.Backup:   {`[credential.backup]`, `flow = "client_credentials"`, `scopes = ["data.write"]`, `audience = ["data-storage-api"]`, `name = "data"`, `credential = "backup"`},
		demo.Exchange: {`flow = "token_exchange"`, `audience = ["microservice-b"]`, `actor = "microservice-a"`, `accept = ["bearer"]`, `issuers = ["corp"]`, `name = "microservice-b"`},
	} {
		recipe := recipes()[id]
		for _, line := range append(lines, "[[egress]]", `provider = "corp"`) {
			if !strings.Contains(recipe, line+"\n") {
				t.Errorf("%s has no line %s:\n%s", id, line, recipe)
			}
		}
		if !strings.Contains(strings.Join(strings.Fields(page.Text()), " "), strings.Join(strings.Fields(recipe), " ")) {
			t.Errorf("the landing page does not show %s", id)
		}
		path := filepath.Join(t.TempDir(), "doorward.toml")
		if err := os.WriteFile(path, []byte(productionTOML+"\n"+recipe), 0o600); err != nil {
			t.Fatal(err)
		}
		c, err := config.Load(config.Options{Path: path, Environ: []string{"CORP_SECRET=a-client-secret-of-good-length"}})
		if err != nil {
			t.Errorf("%s is no configuration: %v\n%s", id, err, recipe)
			continue
		}
		if targets, _ := c.Egress(); len(targets) != 1 {
			t.Errorf("%s has %d targets", id, len(targets))
		}
	}
}

func TestNothingOfADemoIsKept(t *testing.T) {
	d := startDemo(t)
	left := func() (names []string) {
		entries, err := os.ReadDir(os.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			names = append(names, e.Name())
		}
		return names
	}
	during := left()
	if len(during) != 1 {
		t.Errorf("a demo has %q", during)
	}
	if err := d.stop(); err != nil {
		t.Error(err)
	}
	if after := left(); len(after) != 0 {
		t.Errorf("a demo leaves %q", after)
	}
	if _, err := net.DialTimeout("tcp", strings.TrimPrefix(d.origin, "http://"), time.Second); err == nil {
		t.Error("it still listens")
	}
}

func TestADemoEndsWellByCtrlC(t *testing.T) {
	d := startDemo(t)
	if err := syscall.Kill(os.Getpid(), syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	deadlineLoop(t, func() bool {
		_, err := net.DialTimeout("tcp", strings.TrimPrefix(d.origin, "http://"), time.Second)
		return err != nil
	})
	if err := d.stop(); err != nil {
		t.Error(err)
	}
}

func TestADemoThatIsStoppedBeforeItIsUpEndsWellToo(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := runDemo(ctx, free(t), &testnet.Output{}, &testnet.Output{}); err != nil {
		t.Error(err)
	}
}

func TestTheDemoTakesTheNextPortIfItsOwnIsInUse(t *testing.T) {
	for _, host := range []string{"127.0.0.1", "::1"} {
		var taken net.Listener
		var port int
		for { // until the port after it is free as well
			l, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
			if err != nil {
				if host == "::1" {
					return // a machine without IPv6 has nobody there
				}
				t.Fatal(err)
			}
			port = l.Addr().(*net.TCPAddr).Port
			if p, err := tryPort(t.Context(), port+1); err == nil && p == port+1 {
				taken = l
				break
			}
			_ = l.Close()
		}
		got, err := freePort(t.Context(), port)
		if err != nil || got != port+1 {
			t.Errorf("%s:%d is taken; the demo takes %d (%v)", host, port, got, err)
		}
		_ = taken.Close()
	}
	if port, err := freePort(t.Context(), 0); err != nil || port == 0 {
		t.Errorf("--port 0 takes %d: %v", port, err)
	}
	if code := run(t.Context(), []string{"demo", "--port", "70000"}, &testnet.Output{}, &testnet.Output{}); code != exitUsage {
		t.Errorf("--port 70000 ends with %d", code)
	}
}
