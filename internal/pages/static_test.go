package pages

import (
	"net/http"
	"strings"
	"testing"
)

func TestJSON(t *testing.T) {
	p := newPages(t)
	write := func(v any) handler {
		return func(w http.ResponseWriter, r *http.Request) { p.JSON(w, r, http.StatusCreated, v) }
	}
	a := ask(t, write(map[string]string{"url": "https://a/?b&c"}), http.MethodGet, program...)
	if a.StatusCode != http.StatusCreated || a.body != "{\"url\":\"https://a/?b&c\"}\n" || a.Header.Get("Content-Type") != "application/json" {
		t.Errorf("%d %s %v", a.StatusCode, a.body, a.Header)
	}
	if a.Header.Get("Cache-Control") != "no-store" || a.Header.Get("X-Content-Type-Options") != "nosniff" || a.Header.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("P183, P188: %v", a.Header)
	}
	if a := ask(t, write(func() {}), http.MethodGet, program...); a.StatusCode != http.StatusInternalServerError || strings.Contains(a.body, "func") {
		t.Errorf("what is no JSON: %d %s", a.StatusCode, a.body)
	}
}

func TestStaticFiles(t *testing.T) {
	p := newPages(t)
	get := func(target, method string, headers ...string) answer {
		return ask(t, func(w http.ResponseWriter, r *http.Request) {
			r.URL.Path, r.URL.RawQuery, _ = strings.Cut(target, "?")
			http.StripPrefix("/oauth2/static/", p.Static()).ServeHTTP(w, r)
		}, method, headers...)
	}
	a := get(p.icon, http.MethodGet)
	if a.StatusCode != http.StatusOK || a.Header.Get("Content-Type") != "image/svg+xml" || !strings.Contains(a.body, "<svg") ||
		a.Header.Get("Cache-Control") != "public, max-age=31536000, immutable" || a.Header.Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("%d %v", a.StatusCode, a.Header)
	}
	for name, c := range map[string]struct {
		answer answer
		status int
		cache  string
	}{
		"under an older hash":  {get("/oauth2/static/mark.svg?v=old", "GET"), 200, "public, no-cache"},
		"without a hash":       {get("/oauth2/static/mark.svg", "GET"), 200, "public, no-cache"},
		"known already":        {get("/oauth2/static/mark.svg", "GET", "If-None-Match", a.Header.Get("Etag")), 304, "public, no-cache"},
		"HEAD":                 {get(p.icon, "HEAD"), 200, "public, max-age=31536000, immutable"},
		"POST":                 {get(p.icon, "POST"), 405, "no-store"},
		"nothing":              {get("/oauth2/static/", "GET"), 404, "no-store"},
		"nothing of this name": {get("/oauth2/static/x.svg", "GET"), 404, "no-store"},
		"above":                {get("/oauth2/static/../templates/style.css", "GET"), 404, "no-store"},
	} {
		if c.answer.StatusCode != c.status || c.answer.Header.Get("Cache-Control") != c.cache {
			t.Errorf("%s: %d %q", name, c.answer.StatusCode, c.answer.Header.Get("Cache-Control"))
		}
	}
	if allow := get(p.icon, "POST").Header.Get("Allow"); allow != "GET, HEAD" {
		t.Errorf("Allow %q", allow)
	}
}

func TestNewRefusesAPrefixThatIsNoPath(t *testing.T) {
	for _, prefix := range []string{"", "/", "oauth2", "/oauth2/", "//evil", "https://evil.test/x", "/a b"} {
		if _, err := New(Config{Prefix: prefix}); err == nil || !strings.Contains(err.Error(), "prefix") {
			t.Errorf("%q: %v", prefix, err)
		}
	}
}
