package proxy

import (
	"net/url"
	"strings"
	"testing"
)

// Group F, as far as the proxy decides: where a login returns to.

var navigation = []string{"Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document", "Accept: text/html"}

func TestP067TheOriginalTargetIsAPathOfThisSite(t *testing.T) {
	l := newLab(t, nil)
	for _, target := range []string{"//evil.test/x", `/\evil.test`, `/\/evil.test`, "///evil.test", "/%2f/evil.test", "/%5cevil.test", "/%09/evil.test", "/.//evil.test", "/%0d%0a/evil.test"} {
		t.Run(target, func(t *testing.T) {
			l.both(t, "GET", target, navigation, func(l *lab, a answer) {
				l.refused(a, 400)
				if a.Header["Location"] != nil || strings.Contains(a.body, "evil") {
					l.Errorf("answer %v %s", a.Header, a.body)
				}
			})
		})
	}
	t.Run("http://evil.test/x", func(t *testing.T) {
		l := l.on(t)
		if a := l.send("GET", "http://evil.test/x", navigation...); a.StatusCode != 421 || a.Header["Location"] != nil {
			t.Errorf("answer %s %v", a.Status, a.Header)
		}
	})
	for target, back := range map[string]string{
		"/x?u=//evil.test": "/x?u=//evil.test", "/x?": "/x?", "/": "/", "/@evil.test": "/@evil.test", "/a%20b?c#": "", "/x?rd=https://evil.test": "/x?rd=https://evil.test", "/evil.test;x": "/evil.test;x", "/<x>": "/%3Cx%3E",
	} {
		t.Run(target, func(t *testing.T) {
			l.both(t, "GET", target, navigation, func(l *lab, a answer) {
				if back == "" {
					l.refused(a, 400)
					return
				}
				l.refused(a, 302)
				if u, err := url.Parse(a.Header.Get("Location")); err != nil || u.Query().Get("back") != back {
					l.Errorf("the login returns to %q", a.Header.Get("Location"))
				}
			})
		})
	}
}

func TestALostFormReturnsToItsPageOnThisSiteOnly(t *testing.T) {
	l := newLab(t, nil)
	form := []string{"Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document", "Sec-Fetch-Site: same-origin", "Accept: text/html", "Content-Type: application/x-www-form-urlencoded", "Content-Length: 0"}
	for referer, back := range map[string]string{
		"https://app.test/form?a=1": "/form?a=1", "https://app.test": "/", "": "/", "https://evil.test/form": "/", "https://app.test.evil.test/form": "/", "http://app.test/form": "/",
		"https://app.test@evil.test/form": "/", "https://evil@app.test/form": "/", "https://app.test//evil.test": "/", `https://app.test/\evil.test`: "/", "javascript:alert(1)": "/", "/form": "/", "https://app.test/../form": "/",
		"https://app.test/form?a=%zz": "/", "%%%": "/",
	} {
		t.Run(referer, func(t *testing.T) {
			l := l.on(t)
			a := l.send("POST", "/save", append([]string{"Referer: " + referer}, form...)...)
			l.refused(a, 401)
			if want := "/oauth2/start?rd=" + url.QueryEscape(back) + `"`; !strings.Contains(a.body, want) || a.Header["Set-Cookie"] != nil || strings.Contains(a.body, "evil") {
				t.Errorf("the page leads elsewhere than %s: %v %s", want, a.Header, a.body)
			}
		})
	}
}
