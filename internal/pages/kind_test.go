package pages

import (
	"net/http"
	"strings"
	"testing"
)

// What real callers send.
const (
	chrome  = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"
	form    = "application/x-www-form-urlencoded"
	webView = "com.example.app"
)

func TestR8KindOf(t *testing.T) {
	for name, c := range map[string]struct {
		method  string
		headers []string
		want    Kind
	}{
		"a link":                        {"GET", []string{"Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document", "Accept", chrome}, Navigation},
		"HEAD of a browser":             {"HEAD", []string{"Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document"}, Navigation},
		"a form":                        {"POST", []string{"Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document", "Content-Type", form}, FormPost},
		"Chrome 76, mode only":          {"GET", []string{"Sec-Fetch-Mode", "navigate"}, Navigation},
		"dest only":                     {"GET", []string{"Sec-Fetch-Dest", "document"}, Navigation},
		"navigation by service worker":  {"GET", []string{"Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "empty", "Accept", chrome}, Navigation},
		"PWA start, navigation preload": {"GET", []string{"Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document", "Service-Worker-Navigation-Preload", "true"}, Navigation},
		"WebView says who it is":        {"GET", []string{"Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document", "X-Requested-With", webView}, Navigation},

		"fetch":                    {"GET", []string{"Sec-Fetch-Mode", "cors", "Sec-Fetch-Dest", "empty", "Accept", "*/*"}, Program},
		"fetch that wants HTML":    {"GET", []string{"Sec-Fetch-Mode", "cors", "Sec-Fetch-Dest", "empty", "Accept", chrome}, Program},
		"fetch of the same origin": {"POST", []string{"Sec-Fetch-Mode", "same-origin", "Sec-Fetch-Dest", "empty", "Accept", chrome}, Program},
		"P186 image":               {"GET", []string{"Sec-Fetch-Mode", "no-cors", "Sec-Fetch-Dest", "image", "Accept", "image/avif,*/*"}, Program},
		"script":                   {"GET", []string{"Sec-Fetch-Mode", "no-cors", "Sec-Fetch-Dest", "script"}, Program},
		"manifest":                 {"GET", []string{"Sec-Fetch-Mode", "cors", "Sec-Fetch-Dest", "manifest"}, Program},
		"service worker's script":  {"GET", []string{"Sec-Fetch-Mode", "same-origin", "Sec-Fetch-Dest", "serviceworker", "Service-Worker", "script"}, Program},
		"P186 iframe":              {"GET", []string{"Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "iframe", "Accept", chrome}, Program},
		"frame":                    {"GET", []string{"Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "frame", "Accept", chrome}, Program},
		"object":                   {"GET", []string{"Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "object", "Accept", chrome}, Program},
		"form into an iframe":      {"POST", []string{"Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "iframe", "Content-Type", form}, Program},
		"dest empty, no mode":      {"GET", []string{"Sec-Fetch-Dest", "empty", "Accept", chrome}, Program},
		"nonsense":                 {"GET", []string{"Sec-Fetch-Mode", "Navigate", "Sec-Fetch-Dest", "document"}, Program},
		"two modes":                {"GET", []string{"Sec-Fetch-Mode", "navigate", "Sec-Fetch-Mode", "cors", "Sec-Fetch-Dest", "document"}, Program},
		"two dests":                {"GET", []string{"Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document", "Sec-Fetch-Dest", "document"}, Program},
		"WebSocket":                {"GET", []string{"Sec-Fetch-Mode", "websocket", "Sec-Fetch-Dest", "empty", "Upgrade", "websocket"}, Program},

		"P186 prefetch":      {"GET", []string{"Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document", "Sec-Purpose", "prefetch"}, Program},
		"P186 prerender":     {"GET", []string{"Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document", "Sec-Purpose", "prefetch;prerender"}, Program},
		"old Chrome":         {"GET", []string{"Accept", chrome, "Purpose", "prefetch"}, Program},
		"Safari's preview":   {"GET", []string{"Accept", chrome, "X-Purpose", "preview"}, Program},
		"old Firefox":        {"GET", []string{"Accept", chrome, "X-Moz", "prefetch"}, Program},
		"speculative, empty": {"GET", []string{"Accept", chrome, "Sec-Purpose", ""}, Program},

		"an old browser":             {"GET", []string{"Accept", chrome}, Navigation},
		"HEAD of an old browser":     {"HEAD", []string{"Accept", chrome}, Navigation},
		"an old browser's form":      {"POST", []string{"Accept", chrome, "Content-Type", form}, FormPost},
		"with a file":                {"POST", []string{"Accept", chrome, "Content-Type", "multipart/form-data; boundary=x"}, FormPost},
		"as text":                    {"POST", []string{"Accept", chrome, "Content-Type", "Text/Plain"}, FormPost},
		"an empty form":              {"POST", []string{"Accept", chrome}, FormPost},
		"XHTML":                      {"GET", []string{"Accept", "application/xml,application/xhtml+xml"}, Navigation},
		"capitals":                   {"GET", []string{"Accept", "TEXT/HTML"}, Navigation},
		"two lines":                  {"GET", []string{"Accept", "image/png", "Accept", "text/html"}, Navigation},
		"Upgrade-Insecure-Requests":  {"GET", []string{"Accept", chrome, "Upgrade-Insecure-Requests", "1"}, Navigation},
		"an old WebView":             {"GET", []string{"Accept", chrome, "X-Requested-With", webView}, Navigation},
		"curl":                       {"GET", []string{"Accept", "*/*"}, Program},
		"curl -d":                    {"POST", []string{"Accept", "*/*", "Content-Type", form}, Program},
		"nothing said":               {"GET", nil, Program},
		"axios":                      {"GET", []string{"Accept", "application/json, text/plain, */*"}, Program},
		"JSON before HTML":           {"GET", []string{"Accept", "application/json, text/html;q=0.5"}, Program},
		"a dialect of JSON first":    {"GET", []string{"Accept", "application/vnd.api+json, text/html"}, Program},
		"P185 jQuery":                {"GET", []string{"Accept", "text/html, */*; q=0.01", "X-Requested-With", "XMLHttpRequest"}, Program},
		"no HTML, please":            {"GET", []string{"Accept", "text/html;q=0, */*"}, Program},
		"no HTML, please, 0.000":     {"GET", []string{"Accept", "text/html; level=1; Q=0.000"}, Program},
		"HTML within a word":         {"GET", []string{"Accept", "text/html5, x-text/html"}, Program},
		"old browser's WebSocket":    {"GET", []string{"Accept", chrome, "Upgrade", "websocket"}, Program},
		"POST of JSON":               {"POST", []string{"Accept", chrome, "Content-Type", "application/json"}, Program},
		"PUT":                        {"PUT", []string{"Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document", "Accept", chrome}, Program},
		"P182 OPTIONS":               {"OPTIONS", []string{"Accept", chrome}, Program},
		"DELETE":                     {"DELETE", []string{"Accept", chrome}, Program},
		"a method in small letters":  {"get", []string{"Accept", chrome}, Program},
		"EventSource of old browser": {"GET", []string{"Accept", "text/event-stream"}, Program},
		"gRPC":                       {"POST", []string{"Content-Type", "application/grpc"}, Program},
		"git":                        {"GET", []string{"Accept", "*/*", "User-Agent", "git/2.47", "Git-Protocol", "version=2"}, Program},
	} {
		t.Run(name, func(t *testing.T) {
			r := &http.Request{Method: c.method, Header: http.Header{}}
			for i := 0; i < len(c.headers); i += 2 {
				r.Header.Add(c.headers[i], c.headers[i+1])
			}
			if got := KindOf(r); got != c.want {
				t.Errorf("%s, not %s", got, c.want)
			}
			if n := testing.AllocsPerRun(10, func() { KindOf(r) }); n != 0 {
				t.Errorf("%v allocations", n)
			}
		})
	}
}

// In whatever way headers are twisted, what fetch metadata calls no top-level navigation is
// none, and neither is another method or a speculative load.
func FuzzKindOf(f *testing.F) {
	f.Add("GET", "navigate", "document", chrome, "", "", "", "")
	f.Add("POST", "", "", chrome, form, "", "", "")
	f.Add("POST", "cors", "empty", "text/html;q=0,;;q=;,", "", "XMLHttpRequest", "", "")
	f.Add("GET", "", "", ",,text/html ; q = 0 ,", "", webView, "websocket", "prefetch")
	f.Fuzz(func(t *testing.T, method, mode, dest, accept, contentType, with, upgrade, purpose string) {
		r := &http.Request{Method: method, Header: http.Header{}}
		for name, value := range map[string]string{
			"Sec-Fetch-Mode": mode, "Sec-Fetch-Dest": dest, "Accept": accept, "Content-Type": contentType,
			"X-Requested-With": with, "Upgrade": upgrade, "Sec-Purpose": purpose,
		} {
			if value != "" {
				r.Header.Set(name, value)
			}
		}
		kind := KindOf(r)
		if kind == Program {
			return
		}
		if (kind == FormPost) != (method == http.MethodPost) || method != http.MethodGet && method != http.MethodHead && method != http.MethodPost {
			t.Errorf("%s is a %s", method, kind)
		}
		if mode != "" && mode != "navigate" || dest != "" && dest != "document" && dest != "empty" || purpose != "" {
			t.Errorf("%q to %q for %q is a %s", mode, dest, purpose, kind)
		}
		if lower := strings.ToLower(accept); mode == "" && dest == "" && (upgrade != "" || !strings.Contains(lower, "text/html") && !strings.Contains(lower, "application/xhtml+xml")) {
			t.Errorf("Accept %q, Upgrade %q is a %s", accept, upgrade, kind)
		}
	})
}
