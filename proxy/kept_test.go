package proxy

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/approval"
	"github.com/doorward/doorward/internal/credentials"
	"github.com/doorward/doorward/internal/identity"
	"github.com/doorward/doorward/internal/origin"
)

func TestR6AFormIsKeptOverTheLoginAndSentOnceAsItWas(t *testing.T) {
	l := newKeptLab(t, nil)
	multipart := "--b\r\nContent-Disposition: form-data; name=\"f\"; filename=\"a.bin\"\r\nContent-Type: application/octet-stream\r\n\r\n\x00\x01\xff\r\n--b--\r\n"
	for name, c := range map[string]struct {
		target, kind, body string
		more               []string
	}{
		"fields":                  {"/save?x=1&y=%2f", "application/x-www-form-urlencoded", keptForm, nil},
		"odd letters":             {"/save/(a)'b/%c3%bc?f={a|b}^`'()\"<>\xe9[1]&y=%7b", "application/x-www-form-urlencoded", keptForm, nil},
		"a file":                  {"/save", "multipart/form-data; boundary=b", multipart, nil},
		"plain text":              {"/save/", "text/plain", "a=b\r\n", nil},
		"nothing in it":           {"/save?", "application/x-www-form-urlencoded", "", []string{"Content-Length: 0"}},
		"as large as may be":      {"/save", "text/plain", strings.Repeat("x", keptLimit), nil},
		"of a neighbouring host":  {"/save", "application/x-www-form-urlencoded", keptForm, []string{"Sec-Fetch-Site: same-site", "Origin: https://open.app.test", "Referer:"}},
		"of a browser of its age": {"/save", "application/x-www-form-urlencoded", keptForm, []string{"Sec-Fetch-Site:", "Sec-Fetch-Mode:", "Sec-Fetch-Dest:", "Sec-Fetch-User:"}},
		"as long as our own":      {"/save", "application/x-www-form-urlencoded", "doorward_kept=!!!!!!!!!!!!!!!!!!!!!!", nil},
	} {
		t.Run(name, func(t *testing.T) {
			l.each(t, func(t *testing.T, l *keptLab) {
				lines := posted(append([]string{"Content-Type: " + c.kind, "X-Mine: 1"}, c.more...)...)
				id := l.keep(c.target, c.body, lines...)
				action := l.page(id, "alice")
				if inAttribute(action) != inAttribute(c.target) {
					t.Fatalf("it posts to %q", action)
				}
				a := l.press(action, id, "alice")
				got := l.passed(a)
				if got.Method != "POST" || got.RequestURI != c.target || got.body != c.body || got.ContentLength != int64(len(c.body)) {
					t.Errorf("E saw %s %s %q", got.Method, got.RequestURI, got.body)
				}
				got.one(t, "Content-Type", c.kind)
				got.one(t, "X-Forwarded-User", "alice")
				for _, name := range []string{"Origin", "Referer", "Sec-Fetch-Site", "Sec-Fetch-User", "Sec-Fetch-Mode"} {
					var want string
					for _, line := range lines {
						if rest, ok := strings.CutPrefix(line, name+": "); ok {
							want = rest
						}
					}
					if want == "" {
						got.lacks(t, name)
					} else {
						got.one(t, name, want)
					}
				}
				got.lacks(t, "Cookie")
				if l.drawer.has() != 0 {
					t.Error("it is kept still")
				}
				l.refused(l.press(c.target, id, "alice"), http.StatusGone)
				l.refused(l.say("GET", "/oauth2/kept/"+id, "", holder(id, "alice")), http.StatusGone)
			})
		})
	}
}

func TestAFormThatIsNotKeptIsNotLostWithoutAWord(t *testing.T) {
	l := newKeptLab(t, nil)
	for name, c := range map[string]struct {
		target, body string
		lines        []string
		says         string
	}{
		"of another site":                 {"/save", keptForm, posted("Sec-Fetch-Site: cross-site", "Origin: https://evil.test"), "The form was not sent"},
		"of nowhere":                      {"/save", keptForm, posted("Sec-Fetch-Site: none", "Origin: null"), "The form was not sent"},
		"of another site, an older one":   {"/save", keptForm, posted("Sec-Fetch-Site:", "Sec-Fetch-Mode:", "Sec-Fetch-Dest:", "Origin: https://app.test.evil"), "The form was not sent"},
		"of a sandbox, an older one":      {"/save", keptForm, posted("Sec-Fetch-Site:", "Sec-Fetch-Mode:", "Sec-Fetch-Dest:", "Origin: null"), "The form was not sent"},
		"that says nothing, an older one": {"/save", keptForm, posted("Sec-Fetch-Site:", "Sec-Fetch-Mode:", "Sec-Fetch-Dest:", "Origin:"), "The form was not sent"},
		"too large":                       {"/save", strings.Repeat("x", keptLimit+1), posted(), "more than the 4 KiB that are kept"},
		"with an endless target":          {"/save?" + strings.Repeat("x", maxKeptTarget), keptForm, posted(), "The form was not sent"},
		"compressed":                      {"/save", keptForm, posted("Content-Encoding: gzip"), "The form was not sent"},
		"switched off":                    {"/off", keptForm, posted(), "The form was not sent"},
	} {
		t.Run(name, func(t *testing.T) {
			l.each(t, func(t *testing.T, l *keptLab) {
				a := l.say("POST", c.target, c.body, c.lines...)
				l.refused(a, http.StatusUnauthorized)
				if l.drawer.has() != 0 || !strings.Contains(a.body, c.says) || a.Header["Set-Cookie"] != nil || !strings.Contains(a.body, "/oauth2/start?rd=%2Fedit%3Fid%3D7") && c.says[0] == 'm' {
					t.Errorf("%d kept, %v\n%s", l.drawer.has(), a.Header, a.body)
				}
			})
		})
	}
	t.Run("where there is no room", func(t *testing.T) {
		l.each(t, func(t *testing.T, l *keptLab) {
			l.drawer.set(func(d *drawer) { d.full = true })
			l.refused(l.say("POST", "/save", keptForm, posted()...), http.StatusUnauthorized)
		})
	})
	t.Run("where the store is away", func(t *testing.T) {
		l.each(t, func(t *testing.T, l *keptLab) {
			l.drawer.set(func(d *drawer) { d.broken = true })
			l.refused(l.say("POST", "/save", keptForm, posted()...), http.StatusServiceUnavailable)
		})
	})
	t.Run("of unknown length", func(t *testing.T) {
		l := &keptLab{l.on(t), l.drawer, false}
		chunks := fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", keptLimit+1, strings.Repeat("x", keptLimit+1))
		l.refused(l.raw(request("POST", "/save", posted("Transfer-Encoding: chunked")...)+chunks), http.StatusUnauthorized)
	})
}

func TestP185NothingIsKeptForAProgram(t *testing.T) {
	l := newKeptLab(t, nil)
	for name, lines := range map[string][]string{
		"json":    {"Accept: application/json", jsonType},
		"fetch":   posted("Sec-Fetch-Mode: cors", "Sec-Fetch-Dest: empty"),
		"an xhr":  posted("Sec-Fetch-Mode:", "Sec-Fetch-Dest:", "Sec-Fetch-Site:", "X-Requested-With: XMLHttpRequest"),
		"a frame": posted("Sec-Fetch-Dest: iframe"),
	} {
		t.Run(name, func(t *testing.T) {
			l.each(t, func(t *testing.T, l *keptLab) {
				a := l.say("POST", "/save", keptForm, lines...)
				l.refused(a, http.StatusUnauthorized)
				if a.code() != codeLoginRequired || l.drawer.has() != 0 || a.Header["Set-Cookie"] != nil {
					t.Errorf("%v %s", a.Header, a.body)
				}
			})
		})
	}
}

func TestAKeptFormBelongsToItsBrowserAndItsAddress(t *testing.T) {
	l := newKeptLab(t, nil)
	l.each(t, func(t *testing.T, l *keptLab) {
		id := l.keep("/save", keptForm, posted()...)
		other := l.keep("/save", "theirs", posted()...)
		l.refused(l.say("GET", "/oauth2/kept/"+id, "", as("alice")), http.StatusGone)
		l.refused(l.say("GET", "/oauth2/kept/"+id, "", holder(other, "alice")), http.StatusGone)
		l.refused(l.say("POST", "/save", keptField+"="+id, posted(as("alice"))...), http.StatusGone)
		l.refused(l.say("POST", "/save", keptField+"="+id, posted(holder(other, "alice"))...), http.StatusGone)
		if l.drawer.has() != 2 {
			t.Fatal("somebody else has taken it")
		}
		l.refused(l.press("/elsewhere", other, "alice"), http.StatusGone)
		l.refused(l.say("POST", "/oauth2/kept/"+id, "", posted(holder(id, "alice"), "Content-Length: 0")...), http.StatusMethodNotAllowed)
		for _, path := range []string{"/oauth2/kept", "/oauth2/kept/", "/oauth2/kept/" + id[1:], "/oauth2/kept/" + id + "x", "/oauth2/kept/" + id[1:] + "%2e"} {
			l.refused(l.say("GET", path, "", holder(id, "alice")), http.StatusNotFound)
		}
		l.passed(l.press("/save", id, "alice"))
	})
}

func TestP184NobodyButThePageSendsAKeptForm(t *testing.T) {
	l := newKeptLab(t, nil)
	for name, lines := range map[string][]string{
		"another site":            {"Sec-Fetch-Site: cross-site", "Origin: https://evil.test"},
		"a neighbouring host":     {"Sec-Fetch-Site: same-site", "Origin: https://open.app.test"},
		"an older one, elsewhere": {"Sec-Fetch-Site:", "Origin: https://evil.test"},
		"who does not say":        {"Sec-Fetch-Site:", "Origin:"},
		"a sandbox":               {"Sec-Fetch-Site:", "Origin: null"},
	} {
		t.Run(name, func(t *testing.T) {
			l.each(t, func(t *testing.T, l *keptLab) {
				id := l.keep("/save", keptForm, posted()...)
				l.refused(l.press("/save", id, "alice", lines...), http.StatusForbidden)
				if got := l.passed(l.press("/save", id, "alice")); got.body != keptForm {
					t.Errorf("E saw %q", got.body)
				}
			})
		})
	}
}

func TestAKeptFormIsJudgedByTheRulesOfNow(t *testing.T) {
	l := newKeptLab(t, nil)
	l.each(t, func(t *testing.T, l *keptLab) {
		id := l.keep("/board/vote", keptForm, posted()...)
		l.refused(l.press("/board/vote", id, "alice"), http.StatusForbidden)
		if l.drawer.has() != 0 {
			t.Error("what was refused is kept still")
		}
		l.refused(l.press("/board/vote", id, "alice"), http.StatusGone)

		id = l.keep("/save", keptForm, posted()...)
		next := l.press("/save", id, "") // the login has come to nothing
		l.untouched()
		again := strings.TrimPrefix(next.location(), "https://idp.test/authorize?back=%2Foauth2%2Fkept%2F")
		if !keptID(again) || again == id || l.drawer.has() != 1 {
			t.Fatalf("it is not kept anew: %s %v", next.Status, next.Header)
		}
		if got := l.passed(l.press("/save", again, "root")); got.body != keptForm {
			t.Errorf("E saw %q", got.body)
		}
	})
}

func TestAKeptFormIsNotLostWhereItCannotBeSentJustNow(t *testing.T) {
	l := newKeptLab(t, nil)
	l.each(t, func(t *testing.T, l *keptLab) {
		id := l.keep("/save", keptForm, posted()...)
		l.drawer.set(func(d *drawer) { d.broken = true })
		l.refused(l.press("/save", id, "alice"), http.StatusServiceUnavailable)
		l.refused(l.say("GET", "/oauth2/kept/"+id, "", holder(id, "alice")), http.StatusServiceUnavailable)
		l.drawer.set(func(d *drawer) { d.broken = false })

		a := l.press("/save", id, "broken") // the store of sessions
		l.refused(a, http.StatusServiceUnavailable)
		_, rest, _ := strings.Cut(a.body, `href="/oauth2/kept/`)
		again, _, _ := strings.Cut(rest, `"`)
		if !keptID(again) || !strings.Contains(a.body, "Send the form again") {
			t.Fatalf("no way back: %s", a.body)
		}
		if got := l.passed(l.press(l.page(again, "alice"), again, "alice")); got.body != keptForm {
			t.Errorf("E saw %q", got.body)
		}
	})
}

func TestAKeptFormIsHeldForApprovalWhereThatIsNeeded(t *testing.T) {
	phone := &phones{kept: map[string]*phoned{}}
	l := newKeptLab(t, func(c *Config, d *Deps) {
		c.Routes = append(c.Routes, Route{
			Name: "pay", Hosts: []origin.Origin{appTest}, Path: "/payments", Upstreams: c.Routes[0].Upstreams, Logins: []string{"staff"}, KeepPost: keptLimit,
			Approve: &Approve{Login: "phone", Methods: []string{"POST"}, BindingMessage: payMessage, MaxBody: 1000, Expires: 2 * time.Minute},
		})
		d.Starters["pay"], d.Approvers = door{}, map[string]Approver{"pay": phone}
	})
	l.each(t, func(t *testing.T, l *keptLab) {
		id := l.keep("/payments", payForm, posted()...)
		waiting := l.press("/payments", id, "alice")
		l.untouched()
		page := waiting.location()
		if waiting.StatusCode != http.StatusSeeOther || !strings.HasPrefix(page, "/oauth2/approval/") {
			t.Fatalf("answer %s %v %s", waiting.Status, waiting.Header, waiting.body)
		}
		phone.answer(approval.Approved)
		got := l.passed(l.say("POST", page, "", posted(holder(id, "alice"), "Content-Length: 0")...))
		if got.body != payForm || got.RequestURI != "/payments" {
			t.Errorf("E saw %s %q", got.RequestURI, got.body)
		}
	})
}

// demanding is a door that can ask for more.
type demanding struct{ door }

func (d demanding) StepUp(w http.ResponseWriter, r *http.Request, back, _ string) error {
	return d.Start(w, r, back)
}

func TestAFormIsKeptOverAStepUpToo(t *testing.T) {
	l := newKeptLab(t, func(c *Config, d *Deps) {
		c.Routes = append(c.Routes, Route{Name: "strict", Hosts: []origin.Origin{appTest}, Path: "/strict", Upstreams: c.Routes[0].Upstreams, Logins: []string{"staff"}, KeepPost: keptLimit, Credential: "strict"})
		d.Starters["strict"], d.Sources = demanding{}, map[string]Source{"strict": source(func(context.Context, *identity.Identity) (*identity.Credential, error) {
			return nil, &credentials.Refusal{Word: credentials.InsufficientClaims, Params: [][2]string{{"claims", `{"id_token":{"acr":{"essential":true}}}`}}}
		})}
	})
	l.each(t, func(t *testing.T, l *keptLab) {
		id := l.keep("/strict", keptForm, posted(as("alice"))...)
		if l.page(id, "alice") != "/strict" {
			t.Error("it posts elsewhere")
		}
	})
}

func TestP085AFloodOfFormsOfNobodyIsBoundInMemory(t *testing.T) {
	l := newKeptLab(t, trusting("127.0.0.1/32"))
	l.g.kept.room.size = 4 * int64(len(keptForm))
	l.each(t, func(t *testing.T, l *keptLab) {
		l.keep("/save", keptForm, posted()...)
		l.refused(l.say("POST", "/save", keptForm+"x", posted()...), http.StatusUnauthorized)
		if l.g.kept.room.taken != 0 || len(l.g.kept.room.by) != 0 {
			t.Errorf("%d bytes are never given back", l.g.kept.room.taken)
		}
	})
	if k := newKept([]*route{{keepPost: 1 << 30}}, Config{}, Deps{Posts: &drawer{}}); k.room.size != 4<<30 {
		t.Errorf("a form that may be kept would never fit: %d", k.room.size)
	}
}

func TestS18WhoSendsFormsSlowlyKeepsOnlyTheirOwnOut(t *testing.T) {
	l := newKeptLab(t, trusting("127.0.0.1/32"))
	l.g.kept.room.size = 4 * int64(len(keptForm))
	from := func(client string) []string { return posted("X-Forwarded-For: " + client) }
	for name, c := range map[string]struct{ slow, same, other string }{
		"IPv4": {"192.0.2.1", "192.0.2.1", "192.0.2.2"},
		"IPv6": {"2001:db8::1", "2001:db8::2", "2001:db8:0:1::1"},
	} {
		t.Run(name, func(t *testing.T) {
			l := &keptLab{l.on(t), l.drawer, false}
			taken := func(n int64) {
				t.Helper()
				pollUntil(t, "the body", func() bool {
					l.g.kept.room.mu.Lock()
					defer l.g.kept.room.mu.Unlock()
					return l.g.kept.room.taken == n
				})
			}
			slow := l.write(strings.TrimSuffix(withBody("POST", "/save", keptForm+"x", from(c.slow)...), "x")) // one byte never comes
			taken(int64(len(keptForm)))
			l.refused(l.say("POST", "/save", keptForm, from(c.same)...), http.StatusUnauthorized)
			l.keep("/save", keptForm, from(c.other)...)
			_ = slow.Close()
			taken(0)
			l.keep("/save", keptForm, from(c.same)...)
		})
	}
}

func TestARouteWithoutKeptFormsAsksNobodyForThem(t *testing.T) {
	var k *kept
	req := &CanonicalRequest{in: &http.Request{Method: http.MethodPost, ContentLength: int64(keptBody)}}
	if n := testing.AllocsPerRun(100, func() {
		if _, ok := k.sent(req); ok {
			t.Error("sent")
		}
		if _, ok := k.holds(req); ok {
			t.Error("held")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
	if newKept([]*route{{keepPost: 1}}, Config{}, Deps{}) != nil || newKept([]*route{{keepPost: 1, public: true}, {}}, Config{}, Deps{Posts: &drawer{}}) != nil {
		t.Error("made for nothing")
	}
}
