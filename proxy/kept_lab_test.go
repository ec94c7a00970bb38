package proxy

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/doorward/doorward/internal/origin"
	"github.com/doorward/doorward/proxy/policy"
)

// drawer is the Keeper, in memory. A browser has what it has the cookie of.
type drawer struct {
	mu     sync.Mutex
	forms  map[string][]byte
	left   int
	full   bool
	broken bool
}

var errDrawer = errors.New("the store at 10.9.8.7:6379 does not answer")

func keptCookie(id string) string { return "__Host-doorward-kept." + id }

func (d *drawer) Keep(w http.ResponseWriter, _ *http.Request, form []byte) (string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case d.broken:
		return "", errDrawer
	case d.full:
		return "", nil
	}
	d.left++
	id := fmt.Sprintf("%022d", d.left)
	d.forms[id] = form
	http.SetCookie(w, &http.Cookie{Name: keptCookie(id), Value: "key", Path: "/", Secure: true})
	return id, nil
}

func (d *drawer) Find(r *http.Request, id string) ([]byte, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.broken {
		return nil, errDrawer
	}
	if len(r.CookiesNamed(keptCookie(id))) != 1 {
		return nil, nil
	}
	return d.forms[id], nil
}

func (d *drawer) Take(w http.ResponseWriter, r *http.Request, id string) ([]byte, error) {
	form, err := d.Find(r, id)
	if form == nil || err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.forms, id)
	http.SetCookie(w, &http.Cookie{Name: keptCookie(id), MaxAge: -1, Path: "/", Secure: true})
	return form, nil
}

func (d *drawer) set(change func(*drawer)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	change(d)
}

func (d *drawer) has() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.forms)
}

// keptLab is a laboratory whose routes keep forms.
type keptLab struct {
	*lab
	drawer *drawer
	h2     bool
}

const keptLimit = 4 << 10

func newKeptLab(t *testing.T, change func(*Config, *Deps)) *keptLab {
	t.Helper()
	d := &drawer{forms: make(map[string][]byte)}
	l := newLab(t, func(c *Config, deps *Deps) {
		deps.Posts = d
		app := []origin.Origin{appTest}
		c.Routes = append(c.Routes,
			Route{Name: "off", Hosts: app, Path: "/off", Upstreams: c.Routes[0].Upstreams, Logins: []string{"staff"}},
			Route{Name: "board", Hosts: app, Path: "/board", Upstreams: c.Routes[0].Upstreams, Logins: []string{"staff"}, Allow: []policy.Rule{{Groups: []string{"board"}}}})
		for i, rt := range c.Routes {
			if rt.Name != "off" {
				c.Routes[i].KeepPost = keptLimit
			}
			if !rt.Public {
				deps.Starters[rt.Name] = door{}
			}
		}
		if change != nil {
			change(c, deps)
		}
	})
	return &keptLab{lab: l, drawer: d}
}

// each runs a test over HTTP/1.1 and over HTTP/2.
func (l *keptLab) each(t *testing.T, test func(t *testing.T, l *keptLab)) {
	t.Helper()
	for name, h2 := range map[string]bool{"h1": false, "h2": true} {
		t.Run(name, func(t *testing.T) {
			l.drawer.set(func(d *drawer) { clear(d.forms); d.full, d.broken = false, false })
			test(t, &keptLab{l.on(t), l.drawer, h2})
		})
	}
}

// say sends a request with a body, if it has one.
func (l *keptLab) say(method, target, body string, lines ...string) answer {
	l.Helper()
	if !l.h2 {
		if body == "" {
			return l.send(method, target, lines...)
		}
		return l.raw(withBody(method, target, body, lines...))
	}
	if body == "" {
		return l.send2(method, target, lines...)
	}
	fields := []string{":method: " + method, ":scheme: https", ":path: " + target, ":authority: app.test"}
	for _, line := range append(lines, fmt.Sprintf("Content-Length: %d", len(body))) {
		name, value, _ := strings.Cut(line, ":")
		fields = append(fields, strings.ToLower(name)+": "+strings.TrimSpace(value))
	}
	h := l.lab.h2()
	h.headers(1, false, fields...)
	h.data(1, true, body)
	return h.read(1)
}

// posted are the headers of a browser that posts a form from a page of this site.
func posted(more ...string) []string {
	lines := []string{
		"Accept: text/html,*/*;q=0.8", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document", "Sec-Fetch-Site: same-origin", "Sec-Fetch-User: ?1",
		"Origin: https://app.test", "Referer: https://app.test/edit?id=7", formType,
	}
	for _, line := range more {
		name, _, _ := strings.Cut(line, ":")
		lines = slices.DeleteFunc(lines, func(old string) bool { return strings.HasPrefix(old, name+":") })
		if !strings.HasSuffix(line, ":") {
			lines = append(lines, line)
		}
	}
	return lines
}

const keptForm = "text=a+long+letter&to=bob"

// keep posts a form as nobody, and returns the id under which it is kept.
func (l *keptLab) keep(target, body string, lines ...string) string {
	l.Helper()
	a := l.say("POST", target, body, lines...)
	l.untouched()
	to, err := url.Parse(a.location())
	if err != nil || to.Host != "idp.test" {
		l.Fatalf("answer %s %v: %.300s", a.Status, a.Header, a.body)
	}
	id, ok := strings.CutPrefix(to.Query().Get("back"), "/oauth2/kept/")
	if !ok || !keptID(id) || !slices.ContainsFunc(a.Header["Set-Cookie"], func(s string) bool { return strings.HasPrefix(s, keptCookie(id)+"=") }) {
		l.Fatalf("the login returns to %s, with %q", to.Query().Get("back"), a.Header["Set-Cookie"])
	}
	return id
}

// holder is the Cookie header of the browser that left a form.
func holder(id, who string) string {
	line := "Cookie: " + keptCookie(id) + "=key"
	if who != "" {
		line += "; __Host-doorward=" + who
	}
	return line
}

var keptAction = regexp.MustCompile(`<form class="actions" id="send" method="post" action="([^"]*)" data-auto><input type="hidden" name="doorward_kept" value="([^"]*)">`)

// page opens the page that sends a form, and returns where it posts to.
func (l *keptLab) page(id, who string) (action string) {
	l.Helper()
	a := l.say("GET", "/oauth2/kept/"+id, "", holder(id, who), "Accept: text/html", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document", "Sec-Fetch-Site: cross-site")
	m := keptAction.FindStringSubmatch(a.body)
	if a.StatusCode != http.StatusOK || m == nil || m[2] != id {
		l.Fatalf("answer %s: %s", a.Status, a.body)
	}
	l.untouched()
	return strings.ReplaceAll(m[1], "&amp;", "&")
}

// press is what the script, or the button, of that page does.
func (l *keptLab) press(target, id, who string, more ...string) answer {
	l.Helper()
	more = append([]string{holder(id, who), "Referer: https://app.test/oauth2/kept/" + id, "Sec-Fetch-User:"}, more...)
	return l.say("POST", target, keptField+"="+id, posted(more...)...)
}
