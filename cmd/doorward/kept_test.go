package main

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/doorward/doorward/internal/testnet"
)

// letters is an application to which forms are posted. It tells what it got, as "POST /path body".
type letters struct {
	*httptest.Server
	mu  sync.Mutex
	got []string
}

func newLetters(t *testing.T) *letters {
	l := &letters{}
	l.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		l.mu.Lock()
		defer l.mu.Unlock()
		if r.Method == http.MethodPost {
			l.got = append(l.got, fmt.Sprintf("%s %s %s by %s from %s %s", r.Method, r.RequestURI, body, r.Header.Get("X-Forwarded-User"), r.Header.Get("Sec-Fetch-Site"), r.Header.Get("Referer")))
		}
		_, _ = fmt.Fprintf(w, "<p>app at %s</p>", r.RequestURI)
	}))
	t.Cleanup(l.Close)
	return l
}

func (l *letters) all() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.got
}

func (s *stack) letters(lines string) *letters {
	l := newLetters(s.t)
	s.toml = strings.Replace(s.toml, s.app.URL, l.URL, 1) + lines
	return l
}

var letter = url.Values{"text": {"a secret letter"}, "to": {"bob"}}

func arrived(t *testing.T, l *letters, page *testnet.Page, s *stack) {
	t.Helper()
	want := "POST /save?x=1 text=a+secret+letter&to=bob by alice from same-origin " + s.origin + "/edit"
	if got := l.all(); len(got) != 1 || got[0] != want {
		t.Errorf("the application got %q\n%s", got, page.Trail())
	}
	if page.Status != http.StatusOK || page.URL.RequestURI() != "/save?x=1" {
		t.Errorf("it ends on %s with %d\n%s", page.URL, page.Status, page.Trail())
	}
	if strings.Contains(s.log.String(), "secret letter") || strings.Contains(s.log.String(), "secret+letter") {
		t.Error("S10: the letter is in the log")
	}
}

func TestR6AFormThatIsPostedTooLateArrivesOnceAfterTheSignIn(t *testing.T) {
	s := newStack(t, "")
	l := s.letters("keep_fragment = true\n")
	s.start()
	b := s.browser()
	at := b.Post(t, s.origin+"/edit", s.origin+"/save?x=1", letter)
	if first := at.Hops[0]; first.Status != http.StatusSeeOther || len(l.all()) != 0 {
		t.Fatalf("%s", at.Trail())
	}
	page := at.SignIn(t, "alice", "wonderland-9")
	if page.Status != http.StatusOK || !strings.HasPrefix(page.URL.Path, "/oauth2/kept/") || len(l.all()) != 0 {
		t.Fatalf("%d %s\n%s", page.Status, page.URL, page.Trail())
	}
	arrived(t, l, page.Press(t, "Send it"), s)
	if again := page.Press(t, "Send it"); again.Status != http.StatusGone || len(l.all()) != 1 {
		t.Errorf("sent twice: %d %q", again.Status, l.all())
	}
	if names := b.Jar.Names(s.origin); strings.Contains(strings.Join(names, " "), "kept") {
		t.Errorf("cookies are left: %q", names)
	}
}

func TestR6AFormIsKeptWhicheverWayAPersonSignsIn(t *testing.T) {
	s := newStack(t, "")
	s.toml = strings.Replace(s.toml, "[[route]]\n", "[login.staff]\nflow = \"authorization_code\"\n[login.legacy]\nflow = \"password\"\nform = true\n[[route]]\nlogin = [\"staff\", \"legacy\"]\n", 1)
	l := s.letters("")
	s.start()
	choice := s.browser().Post(t, s.origin+"/edit", s.origin+"/save?x=1", letter)
	if !strings.HasPrefix(choice.URL.Path, "/oauth2/sign_in") {
		t.Fatalf("%s", choice.Trail())
	}
	_, after, _ := strings.Cut(choice.Body, `href="/oauth2/start?login=legacy`)
	rest, _, _ := strings.Cut(after, `"`)
	form := choice.Click(t, "/oauth2/start?login=legacy"+strings.ReplaceAll(rest, "&amp;", "&"))
	for _, f := range form.Forms() {
		if !f.Fields.Has("username") && len(f.Buttons) == 1 { // the page that begins the login
			form = form.Press(t, f.Buttons[0].Text)
			break
		}
	}
	page := form.Submit(t, map[string]string{"username": "alice", "password": "wonderland-9"})
	arrived(t, l, page.Press(t, "Send it"), s)
}

// browsers are one that speaks HTTP/1.1 and one that speaks HTTP/2 to the gateway; the provider has HTTP/1.1 only.
func (s *stack) browsers(t *testing.T, test func(t *testing.T, b *testnet.Browser)) {
	t.Run("h1", func(t *testing.T) { test(t, s.browser()) })
	t.Run("h2", func(t *testing.T) {
		plural := &http.Transport{Protocols: new(http.Protocols)}
		plural.Protocols.SetUnencryptedHTTP2(true)
		t.Cleanup(plural.CloseIdleConnections)
		test(t, testnet.NewBrowser(twoWays{strings.TrimPrefix(s.origin, "http://"), plural, &http.Transport{DisableKeepAlives: true}}))
	})
}

type twoWays struct {
	host         string
	there, other *http.Transport
}

func (w twoWays) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Host == w.host {
		return w.there.RoundTrip(r)
	}
	return w.other.RoundTrip(r)
}

// A browser that never brings its session back does not turn for ever, and the form is not lost on the way.
func TestP071AKeptFormDoesNotTurnForEver(t *testing.T) {
	s := newStack(t, "")
	l := s.letters("")
	s.start()
	s.browsers(t, func(t *testing.T, b *testnet.Browser) {
		page := b.Post(t, s.origin+"/edit", s.origin+"/save?x=1", letter).SignIn(t, "alice", "wonderland-9")
		for n := 1; page.Status == http.StatusOK; n++ {
			if n > 5 || len(l.all()) != 0 {
				t.Fatalf("turn %d, %q\n%s", n, l.all(), page.Trail())
			}
			b.Jar.Clear("doorward")
			page = page.Press(t, "Send it")
		}
		if page.Status != http.StatusLoopDetected || !strings.Contains(page.Body, "%2Foauth2%2Fkept%2F") {
			t.Errorf("it ends with %d\n%s", page.Status, page.Text())
		}
	})
}

// Whoever sends a person to the start of a login says neither where it ends nor what is asked for.
func TestP070ALoginThatAnotherSiteBeginsEndsHere(t *testing.T) {
	s := newStack(t, "").start()
	s.browsers(t, func(t *testing.T, b *testnet.Browser) {
		at := b.Visit(t, "https://evil.test/", s.origin+"/oauth2/start?iss=https://evil.test&target_link_uri=https://evil.test/x&login_hint=a&scope=admin&rd=https://evil.test/y")
		if !strings.HasPrefix(at.URL.String(), s.provider.URL) || strings.Contains(at.Hops[0].Location, "evil") || strings.Contains(at.Hops[0].Location, "admin") || strings.Contains(at.Hops[0].Location, "login_hint") {
			t.Fatalf("%s", at.Trail())
		}
		if page := at.SignIn(t, "alice", "wonderland-9"); page.URL.String() != s.origin+"/" {
			t.Errorf("it ends on %s\n%s", page.URL, page.Trail())
		}
	})
}

func TestAnotherPersonsRulesHoldForAKeptForm(t *testing.T) {
	s := newStack(t, "allow = [{ groups = [\"staff\"] }]\n")
	l := s.letters("")
	s.start()
	b := s.browser()
	page := b.Post(t, s.origin+"/edit", s.origin+"/save?x=1", letter).SignIn(t, "bob", "builder-9").Press(t, "Send it")
	if page.Status != http.StatusForbidden || len(l.all()) != 0 {
		t.Errorf("%d %q", page.Status, l.all())
	}
}

func TestTheScriptOfSinglePageApplicationsIsServedToEverybody(t *testing.T) {
	s := newStack(t, "").start()
	page := s.browser().Fetch(t, "", http.MethodGet, s.origin+"/oauth2/static/session.js", nil)
	if page.Status != http.StatusOK || page.Header.Get("Content-Type") != "text/javascript; charset=utf-8" || len(page.Body) > 1024 {
		t.Errorf("%d %v", page.Status, page.Header)
	}
}
