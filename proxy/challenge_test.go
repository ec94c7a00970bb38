package proxy

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/doorward/doorward/internal/origin"
)

// R8: what is no navigation hears so in its own language, and no login begins for it.
func TestP185R8RefusalsSpeakTheLanguageOfWhoAsks(t *testing.T) {
	l := newLab(t, nil)
	for name, lines := range map[string][]string{
		"a service worker":                    {"Accept: */*", "Service-Worker: script", "Sec-Fetch-Mode: same-origin", "Sec-Fetch-Dest: serviceworker"},
		"a service worker of an older one":    {"Accept: text/html,*/*", "Service-Worker: script"},
		"a worker":                            {"Accept: */*", "Sec-Fetch-Mode: same-origin", "Sec-Fetch-Dest: worker"},
		"a shared worker":                     {"Accept: */*", "Sec-Fetch-Mode: same-origin", "Sec-Fetch-Dest: sharedworker"},
		"a manifest, which brings no cookies": {"Accept: */*", "Sec-Fetch-Mode: cors", "Sec-Fetch-Dest: manifest"},
		"a manifest of an older one":          {"Accept: application/manifest+json,*/*"},
		"an icon":                             {"Accept: image/avif,image/webp,*/*", "Sec-Fetch-Mode: no-cors", "Sec-Fetch-Dest: image"},
		"an icon of an older one":             {"Accept: image/avif,image/webp,*/*"},
		"an event source":                     {"Accept: text/event-stream", "Sec-Fetch-Mode: cors", "Sec-Fetch-Dest: empty", "Cache-Control: no-cache"},
		"an object":                           {"Accept: text/html", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: object"},
		"a preload by a link":                 {"Accept: text/html", "X-Moz: prefetch"},
		"htmx of an older one":                {"Accept: text/html, */*", "HX-Request: true"},
	} {
		t.Run(name, func(t *testing.T) {
			l.both(t, "GET", "/x", lines, func(l *lab, a answer) {
				l.refused(a, http.StatusUnauthorized)
				if a.Header["Location"] != nil || a.Header["Set-Cookie"] != nil || a.code() != codeLoginRequired || !strings.Contains(a.body, `"login_url"`) || a.Header.Get("Cache-Control") != "no-store" {
					l.Errorf("%v %s", a.Header, a.body)
				}
			})
		})
	}
	t.Run("a WebSocket", func(t *testing.T) {
		l := l.on(t)
		for _, more := range [][]string{nil, {"Accept: text/html"}, {"Sec-Fetch-Mode: websocket", "Sec-Fetch-Dest: empty"}} {
			a := l.raw(request("GET", "/x", append(more, "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==", "Origin: https://app.test")...))
			l.refused(a, http.StatusUnauthorized)
			if a.Header["Location"] != nil || a.code() != codeLoginRequired {
				l.Errorf("%v %s", a.Header, a.body)
			}
		}
	})
}

func TestR8AgRPCCallGetsAStatusOfItsOwn(t *testing.T) {
	l := newKeptLab(t, nil)
	for name, c := range map[string]struct {
		target, who, media, status, says string
		answered                         string
	}{
		"nobody":               {"/x.Service/Call", "", "application/grpc", "16", "login_required: ", "application/grpc"},
		"whom a rule refuses":  {"/admin/x.Service/Call", "alice", "application/grpc+proto", "7", "access_denied: ", "application/grpc+proto"},
		"a store that is down": {"/x.Service/Call", "broken", "application/grpc", "14", "", "application/grpc"},
		"another host's":       {"/x.Service//Call", "alice", "application/grpc", "3", "bad_request: ", "application/grpc"},
		"of a browser":         {"/x.Service/Call", "", "application/grpc-web+proto", "16", "login_required: ", "application/grpc-web+proto"},
		"an odd one":           {"/x.Service/Call", "", "application/grpc+thrift; a=b", "16", "login_required: ", "application/grpc"},
	} {
		t.Run(name, func(t *testing.T) {
			l.each(t, func(t *testing.T, l *keptLab) {
				lines := []string{"Content-Type: " + c.media, "TE: trailers"}
				if c.who != "" {
					lines = append(lines, as(c.who))
				}
				a := l.say("POST", c.target, "\x00\x00\x00\x00\x00", lines...)
				l.refused(a, http.StatusOK)
				text, err := url.PathUnescape(a.Header.Get("Grpc-Message"))
				if a.Header.Get("Grpc-Status") != c.status || a.Header.Get("Content-Type") != c.answered || err != nil || !strings.HasPrefix(text, c.says) || a.body != "" {
					t.Errorf("%v %q %s", a.Header, text, a.body)
				}
				if c.status == "16" && !strings.Contains(text, "https://app.test/oauth2/start?rd=") {
					t.Errorf("it does not say where to sign in: %q", text)
				}
				if l.drawer.has() != 0 {
					t.Error("a call is kept")
				}
			})
		})
	}
	l.e.server.Close()
	l.each(t, func(t *testing.T, l *keptLab) {
		a := l.say("POST", "/x.Service/Call", "\x00\x00\x00\x00\x00", "Content-Type: application/grpc", as("alice"))
		if a.StatusCode != http.StatusOK || a.Header.Get("Grpc-Status") != "14" || a.Header.Get("Grpc-Message") == "" {
			t.Errorf("%s %v", a.Status, a.Header)
		}
	})
}

func TestR8HTMXLeadsThePageToTheLoginAndBackToItself(t *testing.T) {
	l := newLab(t, nil)
	start := "https://app.test/oauth2/start?rd="
	for page, want := range map[string]string{
		"https://app.test/mail?folder=1#top": start + "%2Fmail%3Ffolder%3D1",
		"https://evil.test/mail":             start + "%2F",
		"https://app.test.evil/":             start + "%2F",
		"javascript:alert(1)":                start + "%2F",
		"":                                   start + "%2F",
	} {
		lines := []string{"Accept: */*", "HX-Request: true", "HX-Current-URL: " + page, "Sec-Fetch-Mode: cors", "Sec-Fetch-Dest: empty", "Sec-Fetch-Site: same-origin"}
		for _, method := range []string{"GET", "POST"} {
			l.both(t, method, "/part", lines, func(l *lab, a answer) {
				l.refused(a, http.StatusUnauthorized)
				if got := a.Header.Get("Hx-Redirect"); got != want {
					l.Errorf("%q leads to %q", page, got)
				}
			})
		}
	}
	l.both(t, "GET", "/part", []string{"HX-Current-URL: https://app.test/mail"}, func(l *lab, a answer) {
		if a.Header["Hx-Redirect"] != nil {
			l.Error("nobody asked")
		}
	})
}

func TestR8ARouteSaysWhatHappensToRequestsOfNobody(t *testing.T) {
	l := newKeptLab(t, func(c *Config, d *Deps) {
		app, to := []origin.Origin{appTest}, c.Routes[0].Upstreams
		for _, name := range []string{"401", "login"} {
			c.Routes = append(c.Routes, Route{Name: name, Hosts: app, Path: "/" + name, Upstreams: to, Logins: []string{"staff"}, Unauthenticated: name, KeepPost: keptLimit, KeepFragment: name == "401"})
			d.Starters[name] = door{}
		}
	})
	html := "Accept: text/html,*/*"
	l.both(t, "GET", "/401", []string{html, "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document"}, func(l *lab, a answer) {
		if l.refused(a, http.StatusUnauthorized); !strings.Contains(a.body, `href="https://app.test/oauth2/start?rd=%2F401"`) || a.Header["Set-Cookie"] != nil {
			l.Errorf("no way in: %s", a.body)
		}
	})
	l.each(t, func(t *testing.T, l *keptLab) {
		a := l.say("POST", "/401", keptForm, posted()...)
		if l.refused(a, http.StatusUnauthorized); l.drawer.has() != 0 || !strings.Contains(a.body, "The form was not sent") {
			t.Errorf("%s", a.body)
		}
		l.keep("/login", keptForm, posted()...)
	})
	for name, lines := range map[string][]string{"nothing": nil, "everything": {"Accept: */*"}, "json": {"Accept: application/json"}, "a navigation": {html}} {
		t.Run(name, func(t *testing.T) {
			for _, method := range []string{"GET", "HEAD"} {
				l.both(t, method, "/login/x", lines, func(l *lab, a answer) {
					if l.refused(a, http.StatusFound); a.Header.Get("Location") != "https://idp.test/authorize?back=%2Flogin%2Fx" {
						l.Errorf("%v", a.Header)
					}
				})
			}
		})
	}
	for name, lines := range map[string][]string{
		"P185 fetch":      {"Accept: */*", "Sec-Fetch-Mode: cors", "Sec-Fetch-Dest: empty"},
		"P185 xhr":        {"X-Requested-With: XMLHttpRequest"},
		"P186 image":      {"Sec-Fetch-Dest: image", "Sec-Fetch-Mode: no-cors"},
		"P186 prefetch":   {html, "Sec-Purpose: prefetch"},
		"P186 prefetch 2": {"Purpose: prefetch"},
		"another origin":  {"Origin: https://evil.test"},
		"htmx":            {"HX-Request: true"},
	} {
		t.Run(name, func(t *testing.T) {
			l.both(t, "GET", "/login/x", lines, func(l *lab, a answer) {
				if l.refused(a, http.StatusUnauthorized); a.Header["Set-Cookie"] != nil {
					l.Errorf("%v", a.Header)
				}
			})
		})
	}
	for _, method := range []string{"POST", "DELETE", "OPTIONS"} {
		l.both(t, method, "/login/x", nil, func(l *lab, a answer) { l.refused(a, http.StatusUnauthorized) })
	}
	if _, err := newRoute(Route{Name: "x", Unauthenticated: "never"}, Config{OwnCookie: ours}, Deps{}); err == nil || !strings.Contains(err.Error(), "unauthenticated: ") {
		t.Errorf("%v", err)
	}
}

func TestR8PagesOfOtherOriginsCanReadARefusal(t *testing.T) {
	l := corsLab(t)
	l.both(t, "POST", "/api/x", []string{ofWWW, jsonType, "Sec-Fetch-Mode: cors", "Sec-Fetch-Site: cross-site"}, func(l *lab, a answer) {
		l.refused(a, http.StatusUnauthorized)
		if a.Header.Get(headerAllowOrigin) != "https://www.test" || a.code() != codeLoginRequired {
			l.Errorf("%v %s", a.Header, a.body)
		}
	})
}
