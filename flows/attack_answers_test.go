package flows

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/doorward/doorward/demo/idp"
)

// everyEndpoint is a world in which every endpoint of ours exists, behind sockets that speak both versions of HTTP.
func everyEndpoint(t *testing.T) (w *world, at string) {
	t.Helper()
	w = newWorld(t, func(p *plan) {
		p.providers = []string{"partner"}
		p.flows = func(c *Config) {
			c.Logins = append(c.Logins,
				Login{Name: "guests", Flow: "authorization_code", Provider: "partner", Label: "Guests"},
				Login{Name: "tv", Flow: "device", Provider: "corp"}, Login{Name: "phone", Flow: "ciba", Provider: "corp"},
				Login{Name: "legacy", Flow: "password", Provider: "corp"}, Login{Name: "old", Flow: "implicit", Provider: "corp", ResponseMode: "form_post"})
		}
		p.logins = []string{"staff", "guests"}
	})
	w.startProvider(t, other, nil)
	server := httptest.NewUnstartedServer(w)
	server.Config.Protocols = new(http.Protocols)
	server.Config.Protocols.SetHTTP1(true)
	server.Config.Protocols.SetUnencryptedHTTP2(true)
	server.Start()
	t.Cleanup(server.Close)
	return w, server.URL
}

// TestP188EveryAnswerOfEveryEndpoint walks the endpoints as they are mounted, so that a new one is held to the same: no cache
// keeps an answer of ours, nobody frames it, and no address of ours is told to the next site.
func TestP188EveryAnswerOfEveryEndpoint(t *testing.T) {
	w, at := everyEndpoint(t)
	b := w.signedInBy(t, "staff")
	session := sessionID + "=" + b.Jar.Get(app, sessionID)
	kinds := map[string][]string{
		"typed": navigation("none"), "of another site": navigation("cross-site"), "of ours": append(navigation("same-origin"), "Origin", app),
		"a program": nil, "gRPC": {"Content-Type", "application/grpc", "Te", "trailers"}, "a script": {"Sec-Fetch-Site", "same-origin", "Sec-Fetch-Mode", "cors", "Origin", app, "Accept", "application/json"},
	}
	only := new(http.Protocols)
	only.SetUnencryptedHTTP2(true)
	for version, transport := range map[string]*http.Transport{"h1": {}, "h2": {Protocols: only}} {
		t.Run(version, func(t *testing.T) {
			defer transport.CloseIdleConnections()
			walked := 0
			for _, e := range w.flows.endpoints() {
				for _, method := range []string{"GET", "HEAD", "POST", "PUT", "OPTIONS"} {
					for kind, header := range kinds {
						for _, cookie := range []string{"", session} {
							if cookie != "" && strings.Contains(e.path, "out") && slices.Contains(e.methods, method) {
								continue // ends the session that the others need
							}
							res := speak(t, transport, method, at, e.path, cookie, header)
							if res.ProtoMajor != map[string]int{"h1": 1, "h2": 2}[version] {
								t.Fatalf("spoken over %s", res.Proto)
							}
							if why := careless(res, method); why != "" {
								t.Errorf("%s %s, %s, cookie %t: %d, %s: %v", method, e.path, kind, cookie != "", res.StatusCode, why, res.Header)
							}
							walked++
						}
					}
				}
			}
			if walked < 500 {
				t.Fatalf("only %d answers", walked)
			}
		})
	}
}

func speak(t *testing.T, transport http.RoundTripper, method, at, path, cookie string, header []string) *http.Response {
	t.Helper()
	r := must(http.NewRequestWithContext(t.Context(), method, at+path, http.NoBody))(t)
	r.Host = "app.test"
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	if cookie != "" {
		r.Header.Set("Cookie", cookie)
	}
	res := must(transport.RoundTrip(r))(t)
	_, _ = io.Copy(io.Discard, res.Body)
	_ = res.Body.Close()
	return res
}

// careless says what an answer of ours lacks.
func careless(res *http.Response, method string) string {
	h := res.Header
	policy := h.Get("Content-Security-Policy")
	body := h.Get("Content-Type") != ""
	switch {
	case res.StatusCode >= 500:
		return "it failed"
	case strings.HasPrefix(res.Request.URL.Path, "/oauth2/static"):
		return ""
	case h.Get("Cache-Control") != "no-store":
		return "a cache may keep it"
	case body && h.Get("X-Content-Type-Options") != "nosniff":
		return "its type may be guessed"
	case strings.HasSuffix(res.Request.URL.Path, "/ping"):
		return "" // "pong": nothing in it, and nowhere to go from it
	case body && (!strings.Contains(policy, "default-src 'none'") || !strings.Contains(policy, "frame-ancestors 'none'")):
		return "it may be framed, or load what it likes"
	case (body || h.Get("Location") != "") && h.Get("Referrer-Policy") != "no-referrer" && h.Get("Referrer-Policy") != "same-origin":
		return "its address is told to the next site"
	case h.Get("Location") != "" && h.Get("Referrer-Policy") != "no-referrer":
		return "its address is told to where it leads"
	}
	for name := range h {
		if strings.HasPrefix(name, "Access-Control-") {
			return "another origin may read it (P183)"
		}
	}
	return ""
}

// Callbacks, sign-outs and sessions of https origins, whose cookies have other names and attributes than those of the
// whole program's tests, by HTTP/2.
func TestTheEntriesOfAnHTTPSOriginOverHTTP2(t *testing.T) {
	w, at := everyEndpoint(t)
	only := new(http.Protocols)
	only.SetUnencryptedHTTP2(true)
	transport := &http.Transport{Protocols: only}
	defer transport.CloseIdleConnections()
	b := w.signedInBy(t, "staff")
	session := sessionID + "=" + b.Jar.Get(app, sessionID)

	begun := speak(t, transport, "GET", at, "/x", "", navigation("none"))
	login := begun.Cookies()
	if begun.StatusCode/100 != 3 && begun.StatusCode != 200 {
		t.Fatalf("a login begins with %s", begun.Status)
	}
	t.Run("P074 P041 attributes", func(t *testing.T) {
		started := speak(t, transport, "GET", at, "/oauth2/start?login=staff", "", append(navigation("none"), "X-Forwarded-Proto", "http"))
		if len(started.Cookies()) == 0 {
			t.Fatalf("%s %v", started.Status, started.Header)
		}
		for _, c := range append(login, started.Cookies()...) {
			if !strings.HasPrefix(c.Name, "__Host-") || !c.Secure || !c.HttpOnly || c.Path != "/" || c.Domain != "" || c.SameSite == http.SameSiteNoneMode && !strings.Contains(c.Name, "post") || len(c.Raw) > 4096 {
				t.Errorf("%s", c.Raw)
			}
		}
		if to := must(url.Parse(started.Header.Get("Location")))(t); to.Query().Get("redirect_uri") == "" || !strings.HasPrefix(to.Query().Get("redirect_uri"), app+"/") {
			t.Errorf("P038: the login returns to %q", to.Query().Get("redirect_uri"))
		}
	})
	t.Run("P077 two cookies of one name", func(t *testing.T) {
		for _, cookie := range []string{session + "; " + sessionID + "=x", sessionID + "=x; " + session} {
			if res := speak(t, transport, "GET", at, "/oauth2/session", cookie, nil); res.StatusCode != 401 {
				t.Errorf("%s", res.Status)
			}
		}
	})
	t.Run("P130 another site signs nobody out", func(t *testing.T) {
		before := w.idp.Count(idp.EndSession)
		for _, header := range [][]string{{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "no-cors", "Sec-Fetch-Dest", "image"}, navigation("cross-site")} {
			speak(t, transport, "GET", at, "/oauth2/sign_out", session, header)
			speak(t, transport, "POST", at, "/oauth2/sign_out", session, header)
		}
		if res := speak(t, transport, "GET", at, "/oauth2/session", session, nil); res.StatusCode != 200 || w.idp.Count(idp.EndSession) != before {
			t.Errorf("the session is %s", res.Status)
		}
	})
	t.Run("P073 a copy is dead after the sign-out", func(t *testing.T) {
		if res := speak(t, transport, "POST", at, "/oauth2/sign_out", session, append(navigation("same-origin"), "Origin", app)); res.StatusCode/100 != 3 {
			t.Fatalf("%s", res.Status)
		}
		if res := speak(t, transport, "GET", at, "/oauth2/session", session, nil); res.StatusCode != 401 {
			t.Errorf("%s", res.Status)
		}
	})
}
