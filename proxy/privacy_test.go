package proxy

import (
	"net/http"
	"strings"
	"testing"
)

func TestBFF6AnUpstreamClearsNoCookiesOfOurs(t *testing.T) {
	l := newLab(t, nil)
	for said, want := range map[string]string{
		`"cookies"`: "", `"*"`: `"cache", "storage", "executionContexts"`, `"cache", "cookies","storage"`: `"cache", "storage"`, `"cache"`: `"cache"`, `"x, \"cookies\"", "cookies"`: "", `cookies, *`: "",
		`"Cookies"`: "", ` "cookies" , "storage"`: `"storage"`, `"clientHints"`: `"clientHints"`, "": "",
	} {
		t.Run(said, func(t *testing.T) {
			l.e.answers(func(w http.ResponseWriter, _ *http.Request) {
				w.Header()["Clear-Site-Data"] = []string{said, `"cookies"`}
				_, _ = w.Write([]byte("E"))
			})
			for _, target := range []string{"/x", "/public/x"} {
				l.both(t, "GET", target, []string{as("alice")}, func(l *lab, a answer) {
					l.passed(a)
					if got := strings.Join(a.Header["Clear-Site-Data"], "|"); got != want {
						l.Errorf("the client receives %q, not %q", got, want)
					}
				})
			}
		})
	}
}

func TestAnUpstreamSetsNoReference(t *testing.T) {
	l := newLab(t, nil)
	l.e.answers(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Doorward-Reference", "AAAAAA")
		w.Header().Set("Trailer", "Doorward-Reference, Clear-Site-Data")
		_, _ = w.Write([]byte("E"))
		w.Header().Set("Clear-Site-Data", `"cookies"`)
		w.Header()[http.TrailerPrefix+"Doorward-Reference"] = []string{"AAAAAA"}
		w.Header()[http.TrailerPrefix+"Clear-Site-Data"] = []string{`"cookies"`}
	})
	for _, target := range []string{"/x", "/public/x"} {
		l.both(t, "GET", target, []string{as("alice")}, func(l *lab, a answer) {
			l.passed(a)
			if len(a.Header["Doorward-Reference"]) != 0 || len(a.Trailer["Doorward-Reference"])+len(a.Trailer["Clear-Site-Data"]) != 0 {
				l.Errorf("the client receives %v and the trailers %v", a.Header, a.Trailer)
			}
		})
	}
}
