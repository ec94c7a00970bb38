package proxy

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/identity"
	"github.com/doorward/doorward/internal/origin"
	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/proxy/policy"
)

// decider is who is asked: it notes each question, and answers as a test says.
type decider struct {
	*httptest.Server
	mu        sync.Mutex
	questions []map[string]any
	headers   []http.Header
	answer    atomic.Pointer[func(http.ResponseWriter, *http.Request)]
}

func newDecider(t *testing.T) *decider {
	t.Helper()
	d := &decider{}
	d.says(`{"result":true}`)
	d.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		var q map[string]any
		_ = json.Unmarshal(body, &q)
		d.mu.Lock()
		d.questions, d.headers = append(d.questions, q), append(d.headers, r.Header.Clone())
		d.mu.Unlock()
		(*d.answer.Load())(w, r)
	}))
	t.Cleanup(d.Close)
	return d
}

func (d *decider) does(f func(http.ResponseWriter, *http.Request)) { d.answer.Store(&f) }

func (d *decider) says(body string) {
	d.does(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, body) })
}

func (d *decider) asked() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.questions)
}

func (d *decider) last() (map[string]any, http.Header) {
	d.mu.Lock()
	defer d.mu.Unlock()
	q, _ := d.questions[len(d.questions)-1]["input"].(map[string]any)
	return q, d.headers[len(d.headers)-1]
}

// decided is a laboratory with one more route, /ruled, that asks.
func decided(t *testing.T, d *decider, change func(*Route, *Hook)) *lab {
	t.Helper()
	return newLab(t, func(c *Config, deps *Deps) {
		h := &Hook{URL: d.URL + "/v1/data/doorward/allow", Cache: time.Minute}
		rt := Route{Name: "ruled", Hosts: []origin.Origin{appTest}, Path: "/ruled", Upstreams: c.Routes[0].Upstreams, Logins: []string{"staff"}, Hook: h}
		if change != nil {
			change(&rt, h)
		}
		c.Routes = append(c.Routes, rt)
		deps.Starters["ruled"] = door{}
		deps.Session.(people)["bob"] = someone("bob", func(w *identity.Identity) {
			w.EmailVerified, w.Groups, w.Scopes = false, []string{"staff"}, []string{"openid"}
			w.Claims = identity.NewClaims([]byte(`{"department":"sales","n":12345678901234567890}`))
		})
	})
}

func TestADecisionIsAskedInTheShapeOfOPAAndGetsNoSecret(t *testing.T) {
	d := newDecider(t)
	l := decided(t, d, func(_ *Route, h *Hook) { h.Token, h.Headers = secret.New("opa-token"), []string{"x-tenant"} })
	l.both(t, "GET", "/ruled/a%20b/c/?x=1&x=2&y", []string{as("bob"), "X-Tenant: t1", "Authorization: Bearer of-somebody", "X-Forwarded-For: 6.6.6.6"}, func(l *lab, a answer) {
		l.passed(a)
	})
	if d.asked() != 1 {
		t.Errorf("asked %d times for the same over HTTP/1.1 and HTTP/2", d.asked())
	}
	input, header := d.last()
	got, _ := json.Marshal(input)
	want := `{"claims":{"department":"sales","n":12345678901234567000},"request":{"headers":{"x-tenant":["t1"]},"host":"app.test","ip":"127.0.0.1","method":"GET","path":"/ruled/a b/c/","path_segments":["ruled","a b","c"],` +
		`"query":{"x":["1","2"],"y":[""]}},"route":"ruled","user":{"groups":["staff"],"iss":"https://idp.test","login":"staff","machine":false,"scopes":["openid"],"sub":"bob"}}`
	if string(got) != want {
		t.Errorf("the question is\n%s, not\n%s", got, want)
	}
	if header.Get("Authorization") != "Bearer opa-token" || header.Get("Cookie") != "" || header.Get("Content-Type") != "application/json" {
		t.Errorf("the headers are %v", header)
	}
	for _, secret := range []string{"at-bob", "idt-bob", "__Host-doorward", "of-somebody"} {
		if strings.Contains(string(got)+fmt.Sprint(header), secret) {
			t.Errorf("%s is sent", secret)
		}
	}
	if strings.Contains(l.log.String(), "opa-token") {
		t.Error("the token is in the log")
	}
}

func TestP208ADecisionThatIsNoYesAndNoNoFailsClosed(t *testing.T) {
	d := newDecider(t)
	l := decided(t, d, func(_ *Route, h *Hook) { h.Timeout = 300 * time.Millisecond })
	loop := d.URL + "/v1/data/doorward/allow"
	for name, f := range map[string]func(http.ResponseWriter, *http.Request){
		"a redirect": func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, loop, http.StatusTemporaryRedirect) },
		"an error": func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(500)
			_, _ = io.WriteString(w, `{"result":true}`)
		},
		"201": func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(201)
			_, _ = io.WriteString(w, `{"result":true}`)
		},
		"a time-out": func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
		"a break":    func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"a flood": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, `{"result":true,"x":"`+strings.Repeat("x", hookMost)+`"}`)
		},
		"half a flow": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			_, _ = io.WriteString(w, `{"result":true}`)
		},
	} {
		t.Run(name, func(t *testing.T) {
			before := d.asked()
			d.does(f)
			l.both(t, "GET", "/ruled/x", []string{as("alice")}, func(l *lab, a answer) {
				l.refused(a, 503)
				if a.code() != codeDecisionUnavailable || a.Header.Get("Retry-After") == "" {
					l.Errorf("answer %s", a.body)
				}
			})
			if n := d.asked() - before; n != 2 {
				t.Errorf("asked %d times: an error is remembered, or a redirect was followed", n)
			}
		})
	}
	for _, body := range []string{
		"", "{}", "[]", "true", `"true"`, `{"result":null}`, `{"result":"true"}`, `{"result":1}`, `{"result":[true]}`, `{"result":{}}`, `{"result":{"allow":"true"}}`, `{"result":{"allow":null}}`, `{"result":{"Allow":true}}`,
		`{"Result":true}`, `{"RESULT":true}`, `{"result":true}x`, `{"result":true}{"result":false}`, `{"result":false,"result":true}`, `{"result":{"allow":false,"allow":true}}`, `{"result":true`, `{"allow":true}`, `{"result":TRUE}`,
	} {
		d.says(body)
		l := l.on(t)
		if a := l.send("GET", "/ruled/x", as("alice")); a.StatusCode != 503 || a.code() != codeDecisionUnavailable {
			t.Errorf("%s: answer %s", body, a.Status)
		}
		l.untouched()
	}
	d.Close()
	l.on(t).refused(l.send("GET", "/ruled/x", as("alice")), 503)
	if strings.Contains(l.log.String(), d.URL+"/v1") {
		t.Error("the log shows the whole URL")
	}
}

func TestADecisionSaysYesNoAndWhy(t *testing.T) {
	d := newDecider(t)
	l := decided(t, d, func(_ *Route, h *Hook) { h.Cache = 0 })
	for body, shown := range map[string]string{
		`{"result":false}`:           "",
		`{"result":{"allow":false}}`: "",
		`{"result":{"allow":false,"reason":"the office is closed"}}`:             "the office is closed",
		`{"result":{"allow":false,"reason":"` + strings.Repeat("x", 201) + `"}}`: "-" + strings.Repeat("x", 201),
		`{"result":{"allow":false,"reason":"two\nlines"}}`:                       "-lines",
		`{"result":{"allow":false,"reason":{"a":1}}}`:                            "",
		`{"decision_id":"1","result":{"allow":false,"reason":"é <b>"}}`:          "é",
	} {
		d.says(body)
		l := l.on(t)
		a := l.send("GET", "/ruled/x", as("alice"))
		l.refused(a, 403)
		text, not := strings.CutPrefix(shown, "-")
		if a.code() != codeAccessDenied || strings.Contains(a.body, text) == not {
			t.Errorf("%s: the answer is %s", body, a.body)
		}
		page := l.send("GET", "/ruled/x", as("alice"), "Accept: text/html", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document")
		l.refused(page, 403)
		if strings.Contains(page.body, text) == not || strings.Contains(page.body, "<b>") {
			t.Errorf("%s: the page is %s", body, page.body)
		}
	}
	if !strings.Contains(l.log.String(), "the office is closed") {
		t.Error("the log does not say why")
	}
	d.says(`{"result":{"allow":true,"reason":"fine"},"metrics":{}}`)
	l.on(t).passed(l.send("GET", "/ruled/x", as("alice")))
	before := d.asked()
	l.on(t).refused(l.send("GET", "/ruled/x"), 401)
	if d.asked() != before {
		t.Error("it was asked about nobody")
	}
	l.on(t).refused(l.send("GET", "/ruled/x?a=1;b=2", as("alice")), 403)
	if d.asked() != before {
		t.Error("it was asked about a query that can be read in two ways")
	}
}

func TestS14AnAnswerCountsForExactlyTheSameQuestion(t *testing.T) {
	d := newDecider(t)
	var late atomic.Int64
	l := newLab(t, func(c *Config, deps *Deps) {
		deps.Now = func() time.Time { return time.Now().Add(time.Duration(late.Load())) }
		c.TrustedProxies = append(c.TrustedProxies, netip.MustParsePrefix("127.0.0.0/8"))
		for _, name := range []string{"one", "two"} {
			c.Routes = append(c.Routes, Route{Name: name, Hosts: []origin.Origin{appTest}, Path: "/" + name, Upstreams: c.Routes[0].Upstreams, Logins: []string{"staff"}, Hook: &Hook{URL: d.URL, Cache: 10 * time.Second, Headers: []string{"X-A"}}})
			deps.Starters[name] = door{}
		}
		deps.Session.(people)["alice2"] = someone("alice", func(w *identity.Identity) { w.Groups = []string{"staff"} })
		deps.Session.(people)["alice3"] = someone("alice", func(w *identity.Identity) { w.Claims = identity.NewClaims([]byte(`{"x":1}`)) })
	})
	for _, q := range []struct {
		method, target string
		lines          []string
		again          bool
	}{
		{"GET", "/one/x", []string{as("alice")}, false},
		{"GET", "/one/x", []string{as("alice")}, true},
		{"POST", "/one/x", []string{as("alice"), "Content-Length: 0"}, false},
		{"GET", "/one/y", []string{as("alice")}, false},
		{"GET", "/one/x/", []string{as("alice")}, false},
		{"GET", "/one/x?a", []string{as("alice")}, false},
		{"GET", "/one/x", []string{as("root")}, false},
		{"GET", "/one/x", []string{as("alice2")}, false},
		{"GET", "/one/x", []string{as("alice3")}, false},
		{"GET", "/one/x", []string{as("alice"), "X-A: 1"}, false},
		{"GET", "/one/x", []string{as("alice"), "X-B: 1"}, true},
		{"GET", "/one/x", []string{as("alice"), "X-Forwarded-For: 6.6.6.6"}, false},
		{"GET", "/two/x", []string{as("alice")}, false},
	} {
		before := d.asked()
		l := l.on(t)
		l.passed(l.send(q.method, q.target, q.lines...))
		if asked := d.asked() > before; asked == q.again {
			t.Errorf("%s %s %q: asked: %v", q.method, q.target, q.lines, asked)
		}
	}
	d.says(`{"result":false}`)
	l.on(t).passed(l.send("GET", "/one/x", as("alice")))
	late.Store(int64(10 * time.Second))
	l.on(t).refused(l.send("GET", "/one/x", as("alice")), 403)
	before := d.asked()
	d.says(`{"result":true}`)
	l.on(t).refused(l.send("GET", "/one/x", as("alice")), 403) // a no counts as long
	if d.asked() != before {
		t.Error("a no is not remembered")
	}
	late.Store(int64(20 * time.Second))
	l.on(t).passed(l.send("GET", "/one/x", as("alice")))
}

func TestTheSameQuestionAtOnceIsAskedOnce(t *testing.T) {
	d := newDecider(t)
	begun, answer := make(chan struct{}, 100), make(chan struct{})
	d.does(func(w http.ResponseWriter, _ *http.Request) {
		begun <- struct{}{}
		<-answer
		_, _ = io.WriteString(w, `{"result":true}`)
	})
	l := decided(t, d, func(_ *Route, h *Hook) { h.Timeout = patience })
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			if a := l.send("GET", "/ruled/x", as("alice")); a.StatusCode != 200 {
				t.Errorf("answer %s", a.Status)
			}
		})
	}
	<-begun
	close(answer)
	all.Wait()
	if n := d.asked(); n > 2 { // who came in the moment after the answer may have asked again before it was remembered
		t.Errorf("asked %d times", n)
	}
}

func TestADryRunLetsPassAndLogsWhoWouldBeRefused(t *testing.T) {
	d := newDecider(t)
	d.says(`{"result":false}`)
	l := newLab(t, func(c *Config, deps *Deps) {
		add := func(name string, change func(*Route)) {
			rt := Route{Name: name, Hosts: []origin.Origin{appTest}, Path: "/" + name, Upstreams: c.Routes[0].Upstreams, Logins: []string{"staff"}, DryRun: true}
			change(&rt)
			c.Routes = append(c.Routes, rt)
			deps.Starters[name] = door{}
		}
		add("listed", func(rt *Route) { rt.Allow = []policy.Rule{{Groups: []string{"nobody-has-it"}}} })
		add("denied", func(rt *Route) { rt.Deny = []policy.Rule{{Users: []string{"alice"}}} })
		add("required", func(rt *Route) { rt.Require = `claims.nowhere == "x"` })
		add("decided", func(rt *Route) { rt.Hook = &Hook{URL: d.URL} })
		add("unknowable", func(rt *Route) { rt.Hook = &Hook{URL: "http://127.0.0.1:1/"} })
	})
	for name, rule := range map[string]string{
		"listed": "dry run: would_deny: no rule matched", "denied": "dry run: would_deny: deny[0]", "required": "dry run: would_deny: require", "decided": "dry run: would_deny: decision", "unknowable": "dry run: would be unavailable: decision",
	} {
		t.Run(name, func(t *testing.T) {
			l.both(t, "GET", "/"+name+"/x", []string{as("alice")}, func(l *lab, a answer) {
				l.passed(a).one(l, "X-Forwarded-User", "alice")
			})
			if !strings.Contains(l.log.String(), rule) {
				t.Errorf("the log does not say %q", rule)
			}
			l.both(t, "GET", "/"+name+"/x", nil, func(l *lab, a answer) { l.refused(a, 401) })
			l.both(t, "GET", "/"+name+"/x", []string{as("half")}, func(l *lab, a answer) { l.refused(a, 401, 403) })
			l.both(t, "GET", "/"+name+"/x", []string{as("other-login")}, func(l *lab, a answer) { l.refused(a, 401) })
			l.both(t, "GET", "/"+name+"/x", []string{as("panic")}, func(l *lab, a answer) { l.refused(a, 503, 500) })
			l.both(t, "POST", "/"+name+"/x", []string{as("alice"), "Sec-Fetch-Site: cross-site", "Content-Length: 0"}, func(l *lab, a answer) { l.refused(a, 403) })
			if name == "decided" || name == "unknowable" { // nobody is asked by explain
				return
			}
			e := explained(t, l, "GET", "https://app.test/"+name+"/x", everybody()["alice"])
			if !e.Allowed || !strings.HasPrefix(e.Rule, rule) {
				t.Errorf("explain says %+v", e)
			}
			if e := explained(t, l, "GET", "https://app.test/"+name+"/x", nil); e.Allowed {
				t.Errorf("explain lets nobody pass: %+v", e)
			}
		})
	}
	if e := explained(t, l, "GET", "https://app.test/decided/x", everybody()["alice"]); !e.Allowed || !strings.Contains(e.Rule, "the decision hook") {
		t.Errorf("explain says %+v", e)
	}
}

func FuzzDecisionAnswer(f *testing.F) {
	for _, s := range []string{`{"result":true}`, `{"result":{"allow":true,"reason":"x"}}`, `{}`, `{"result":true,"result":false}`, `[`, `{"result":{"allow":true}}x`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		a, err := readAnswer(body)
		if err != nil && a.allow {
			t.Fatalf("%q: a yes and %v", body, err)
		}
		if err != nil || !a.allow {
			return
		}
		var plain struct{ Result any }
		if json.Unmarshal(body, &plain) != nil {
			t.Fatalf("%q is no JSON, and a yes", body)
		}
		if m, ok := plain.Result.(map[string]any); plain.Result != true && (!ok || m["allow"] != true) {
			t.Fatalf("%q is a yes", body)
		}
	})
}

func BenchmarkDecisionRemembered(b *testing.B) {
	var asked atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		_, _ = io.WriteString(w, `{"result":true}`)
	}))
	defer s.Close()
	h, err := newHook(&Hook{URL: s.URL, Cache: time.Hour}, Deps{Now: time.Now})
	if err != nil {
		b.Fatal(err)
	}
	who := someone("alice", nil)
	req := &CanonicalRequest{Method: "GET", Path: "/a/b", decoded: "/a/b", client: "192.0.2.1", site: &site{authority: "app.test"}, in: typical()}
	rt := &route{name: "app"}
	b.ReportAllocs()
	for b.Loop() {
		if ok, _, err := h.allows(b.Context(), rt, req, who); !ok || err != nil {
			b.Fatal(err)
		}
	}
}
