package pages

import (
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

func TestTheScriptOfSinglePageApplicationsIsSmallAndCachedByItsHash(t *testing.T) {
	p := newPages(t)
	get := func(query string) answer {
		return ask(t, func(w http.ResponseWriter, r *http.Request) {
			r.URL.Path, r.URL.RawQuery = "session.js", query
			p.Static().ServeHTTP(w, r)
		}, http.MethodGet)
	}
	path, query, _ := strings.Cut(p.SessionScript(), "?")
	a := get(query)
	if path != "/oauth2/static/session.js" || a.Header.Get("Cache-Control") != "public, max-age=31536000, immutable" || a.Header.Get("Content-Type") != "text/javascript; charset=utf-8" {
		t.Errorf("%s: %v", p.SessionScript(), a.Header)
	}
	if len(a.body) > 1024 || strings.Contains(a.body, "//") {
		t.Errorf("it has %d bytes:\n%s", len(a.body), a.body)
	}
	if got := get("").Header.Get("Cache-Control"); got != "public, no-cache" {
		t.Errorf("without its hash: %s", got)
	}
	for _, later := range []string{"?.", "??", "catch{", "async*", "#", "eval", "innerHTML", "import"} { // ES2017, and no way for a text to become code
		if strings.Contains(a.body, later) {
			t.Errorf("it has %q", later)
		}
	}
}

func TestAKeptFormIsSentByOneButtonToAPathOfOurs(t *testing.T) {
	p := newPages(t)
	page := func(action string) answer {
		return ask(t, func(w http.ResponseWriter, r *http.Request) {
			p.KeptForm(w, r, KeptForm{host, "POST </script><script>", Form{action, []Field{{"f", `"><script>`}}}})
		}, http.MethodGet, navigation...)
	}
	a := page(`/x?a="><script>alert(1)</script>`)
	if a.StatusCode != http.StatusOK || strings.Count(a.body, "<script") != 1 || strings.Count(a.body, "<button") != 1 || !strings.Contains(a.body, "data-auto") {
		t.Errorf("P187: %d %s", a.StatusCode, a.body)
	}
	for _, action := range []string{"", "//evil.test/", "https://evil.test/", "javascript:alert(1)", `/\evil.test`, "/a b"} {
		if a := page(action); a.StatusCode != http.StatusInternalServerError {
			t.Errorf("%q: %d", action, a.StatusCode)
		}
	}
}

func TestR8AGRPCCallIsAnsweredByTrailersOnly(t *testing.T) {
	p := newPages(t)
	seen := map[int]bool{}
	for name, c := range codes {
		a := ask(t, failing(p, &Error{Code: name, Detail: "100 % “so”\r\n", RetryAfter: 5e9, Err: errCause}), http.MethodPost, "Content-Type", "application/grpc")
		status, err := strconv.Atoi(a.Header.Get("Grpc-Status"))
		if a.StatusCode != http.StatusOK || err != nil || status != grpcStatus(c.status) || status == 0 || a.body != "" || a.Header.Get("Content-Type") != "application/grpc" || a.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %d %v %q", name, a.StatusCode, a.Header, a.body)
		}
		message := a.Header.Get("Grpc-Message")
		if text, err := url.PathUnescape(message); err != nil || !strings.HasPrefix(text, name+": 100 % “so”") || strings.ContainsFunc(message, func(r rune) bool { return r < ' ' || r > '~' }) {
			t.Errorf("%s: %q", name, message)
		}
		if strings.Contains(message, "10.0.0.7") || !strings.Contains(a.log, name) {
			t.Errorf("P193: %s: %q, %s", name, message, a.log)
		}
		seen[status] = true
	}
	for _, status := range []int{3, 7, 8, 10, 12, 13, 14, 16} {
		if !seen[status] {
			t.Errorf("no error is %d", status)
		}
	}
	for media, want := range map[string]string{
		"application/grpc": "application/grpc", "Application/GRPC+Proto; x=y": "application/grpc+proto", "application/grpc-web-text": "application/grpc-web-text",
		"application/grpc-web+thrift": "application/grpc", "application/grpcx": "", "application/json": "", "": "", "application/gr": "",
	} {
		if got := grpcKind(&http.Request{Method: http.MethodPost, Header: http.Header{"Content-Type": {media}}}); got != want {
			t.Errorf("%q: %q, not %q", media, got, want)
		}
	}
	for _, r := range []*http.Request{
		{Method: http.MethodGet, Header: http.Header{"Content-Type": {"application/grpc"}}},
		{Method: http.MethodPost, Header: http.Header{"Content-Type": {"application/grpc", "application/grpc"}}},
	} {
		if grpcKind(r) != "" {
			t.Errorf("%+v", r)
		}
	}
}

func FuzzGRPCMessages(f *testing.F) {
	f.Add("100 %")
	f.Add("ü\r\n\x00\xff")
	printable := regexp.MustCompile(`^[ -~]*$`)
	f.Fuzz(func(t *testing.T, text string) {
		encoded := percent(text)
		decoded, err := url.PathUnescape(encoded)
		if err != nil || decoded != text || !printable.MatchString(encoded) {
			t.Errorf("%q: %q %v", text, encoded, err)
		}
	})
}
