package proxy

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func closing(m Maintenance) func(*Config, *Deps) {
	return func(c *Config, _ *Deps) {
		for i := range c.Routes {
			c.Routes[i].Maintenance = &m
		}
	}
}

func TestAClosedRouteTellsPeopleKindlyAndProgramsPlainly(t *testing.T) {
	l := newLab(t, closing(Maintenance{On: true, Message: "Back at noon <Berlin>.", RetryAfter: 90 * time.Second}))
	for _, target := range []string{"/x", "/public/x", "/admin/x"} {
		l.both(t, "GET", target, append([]string{as("alice")}, navigation...), func(l *lab, a answer) {
			l.refused(a, 503)
			if a.Header.Get("Retry-After") != "90" || !strings.Contains(a.body, "Back at noon &lt;Berlin&gt;.") || !strings.Contains(a.body, "You stay signed in") {
				l.Errorf("answer %v %s", a.Header, a.body)
			}
		})
		l.both(t, "POST", target, []string{"Content-Length: 0"}, func(l *lab, a answer) {
			l.refused(a, 503)
			if a.code() != codeMaintenance || !strings.Contains(a.body, "Back at noon <Berlin>.") {
				l.Errorf("answer %s", a.body)
			}
		})
	}
	if a := l.send("GET", "/oauth2/sign_out"); a.StatusCode != 200 {
		t.Errorf("own endpoints are closed, too: %s", a.Status)
	}
}

func TestP188AnswersOfLimitsAndMaintenanceAreNeitherFramedNorStored(t *testing.T) {
	for name, change := range map[string]func(*Config, *Deps){
		"503 maintenance": closing(Maintenance{On: true}),
		"429":             limiting(Limits{PerAddress: Rate{1, time.Hour}}),
		"413":             limiting(Limits{MaxBody: 1}),
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t, change)
			l.send("GET", "/public/x")
			check := func(l *lab, a answer) {
				h := a.Header
				if !strings.HasPrefix(a.Status, name[:3]) || !strings.Contains(h.Get("Content-Security-Policy"), "frame-ancestors 'none'") || h.Get("X-Content-Type-Options") != "nosniff" ||
					h.Get("Cache-Control") != "no-store" || h.Get("Referrer-Policy") == "" || h.Get("Doorward-Reference") == "" {
					l.Errorf("answer %s %v", a.Status, h)
				}
			}
			for _, lines := range [][]string{navigation, {"Accept: application/json"}} {
				if name == "413" { // over HTTP/2 no header may promise a body that never comes
					check(l, l.send("GET", "/public/x", append([]string{"Content-Length: 2"}, lines...)...))
					continue
				}
				l.both(t, "GET", "/public/x", lines, check)
			}
		})
	}
}

func TestWhoIsExceptedComesIn(t *testing.T) {
	l := newLab(t, func(c *Config, d *Deps) {
		trusting("127.0.0.0/8")(c, d)
		closing(Maintenance{On: true, Except: []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24"), netip.MustParsePrefix("2001:db8::/32")}})(c, d)
	})
	for _, from := range []string{"198.51.100.9", "2001:db8::1"} {
		l.passed(l.send("GET", "/public/x", "X-Forwarded-For: "+from))
	}
	for _, from := range []string{"198.51.101.9", "198.51.100.9, 203.0.113.1"} {
		l.refused(l.send("GET", "/public/x", "X-Forwarded-For: "+from), 503)
	}
}

func TestAFileClosesARouteAndItIsLookedForOnceASecond(t *testing.T) {
	file := filepath.Join(t.TempDir(), "closed")
	var c handClock
	l := newLab(t, func(config *Config, d *Deps) {
		d.Now = c.now
		closing(Maintenance{File: file})(config, d)
	})
	is := func(status int) {
		t.Helper()
		if a := l.send("GET", "/public/x"); a.StatusCode != status {
			t.Errorf("answer %s, not %d", a.Status, status)
		}
	}
	is(200)
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	is(200) // it was looked for already in this second
	c.forward(time.Second)
	is(503)
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	c.forward(time.Second - 1)
	is(503)
	c.forward(1)
	is(200)
}

func TestARouteThatBeginsClosedIsClosedFromTheFirstRequest(t *testing.T) {
	file := filepath.Join(t.TempDir(), "closed")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	m, err := newMaintenance(&Maintenance{File: file}, time.Now)
	if err != nil || !m.present.Load() {
		t.Errorf("%v, %v", m, err)
	}
	// Where it cannot be told whether it is there, it is as it was.
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	m.file, m.now = file+strings.Repeat("x", 300), func() time.Time { return time.Now().Add(time.Hour) }
	if !m.there() {
		t.Error("a name that cannot be looked for opens the route")
	}
}

func TestMaintenanceThatSaysNothingIsNone(t *testing.T) {
	for _, m := range []*Maintenance{nil, {}, {Message: "x"}} {
		if made, err := newMaintenance(m, time.Now); made != nil || err != nil {
			t.Errorf("%v, %v", made, err)
		}
	}
	for _, message := range []string{"two\nlines", "\x1b[31m", "\u202e", "\xff", strings.Repeat("x", 501)} {
		if _, err := newMaintenance(&Maintenance{On: true, Message: message}, time.Now); err == nil || !strings.HasPrefix(err.Error(), "maintenance.message: ") {
			t.Errorf("%q: %v", message, err)
		}
	}
	var open *maintenance
	if n := testing.AllocsPerRun(100, func() { _ = open.closed(nil) }); n != 0 || open.closed(nil) != nil {
		t.Error("a route without it pays for it")
	}
}
