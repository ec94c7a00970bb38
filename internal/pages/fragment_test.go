package pages

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"golang.org/x/net/html"
)

// carried does what the page's script does: it appends encodeURIComponent(location.hash) to the link.
func carried(t *testing.T, href, fragment string) *url.URL {
	t.Helper()
	base := &url.URL{Scheme: "https", Host: host, Path: "/mail"}
	u, err := base.Parse(href)
	if err != nil {
		t.Fatal(err)
	}
	u, err = url.Parse(u.String() + encodeURIComponent(fragment))
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// encodeURIComponent is ECMA-262 §19.2.6.4: all but letters, digits and - _ . ! ~ * ' ( ) as UTF-8 in hexadecimal.
func encodeURIComponent(s string) string {
	return strings.NewReplacer("+", "%20", "%21", "!", "%27", "'", "%28", "(", "%29", ")", "%2A", "*").Replace(url.QueryEscape(s))
}

func startLink(t *testing.T, page string) string {
	t.Helper()
	doc, err := html.Parse(strings.NewReader(page))
	if err != nil {
		t.Fatal(err)
	}
	for n := range doc.Descendants() {
		if n.Data == "a" && attribute(n, "id") == "start" {
			return attribute(n, "href")
		}
	}
	t.Fatalf("no link: %s", page)
	return ""
}

func TestR7TheFragmentEndsInRd(t *testing.T) {
	p := newPages(t)
	start := "/oauth2/start?login=staff&rd=" + url.QueryEscape("/mail?box=in&x=+")
	a := ask(t, func(w http.ResponseWriter, r *http.Request) { p.KeepFragment(w, r, start) }, http.MethodGet, navigation...)
	href := startLink(t, a.body)
	if href != start {
		t.Fatalf("the link is %q", href)
	}
	for _, fragment := range []string{"", "#/message/42?reply=%2Fyes&a=b", "#a&rd=//evil.test", "#%26rd%3D%2F%2Fevil.test", "#é", `#"><script>`, "#?x#y"} {
		u := carried(t, href, fragment)
		q := u.Query()
		if u.Host != host || u.Path != "/oauth2/start" || u.Fragment != "" || len(q) != 2 || len(q["rd"]) != 1 || q.Get("rd") != "/mail?box=in&x=+"+fragment {
			t.Errorf("%q ends in %s", fragment, u)
		}
	}
	t.Run("without script the page goes there by itself", func(t *testing.T) {
		refresh := `<noscript><meta http-equiv="refresh" content="0;url=` + html.EscapeString(start) + `"></noscript>`
		head, _, _ := strings.Cut(a.body, "</head>")
		if !strings.Contains(html.UnescapeString(head), html.UnescapeString(refresh)) {
			t.Errorf("%s", sheet.ReplaceAllString(head, ""))
		}
	})
	t.Run("there is nothing of the request in the script", func(t *testing.T) {
		_, script, _ := strings.Cut(a.body, "<script>")
		if script, _, _ = strings.Cut(script, "</script>"); strings.Contains(script, "start?") || !strings.Contains(script, "encodeURIComponent(location.hash)") {
			t.Errorf("%s", script)
		}
	})
}

// A link of ours, resolved as a browser does it, stays on this host or names one in full.
func FuzzLink(f *testing.F) {
	for _, s := range []string{"/x", "//evil.test", `/\evil.test`, "/\t/evil.test", "https://evil.test", "javascript:alert(1)", "/oauth2/start?rd=%2F#x", "http:/\\evil.test"} {
		f.Add(s)
	}
	base := &url.URL{Scheme: "https", Host: host, Path: "/mail"}
	f.Fuzz(func(t *testing.T, s string) {
		to := link(s)
		if to == "" {
			return
		}
		if to != s || len(to) > maxURL {
			t.Errorf("%q became %q", s, to)
		}
		// WHATWG URL §4.4: browsers drop tabs and newlines, trim controls, and take "\" for "/".
		browser := strings.NewReplacer("\t", "", "\n", "", "\r", "", `\`, "/").Replace(strings.TrimFunc(to, func(r rune) bool { return r <= ' ' }))
		if to[0] == '/' {
			if strings.HasPrefix(browser, "//") {
				t.Errorf("%q leads to another host", to)
			}
			if u, err := base.Parse(browser); err == nil && u.Host != host {
				t.Errorf("%q leads to %s", to, u.Host)
			}
			return
		}
		if lower := strings.ToLower(browser); !strings.HasPrefix(lower, "https://") && !strings.HasPrefix(lower, "http://") {
			t.Errorf("%q has another scheme", to)
		}
	})
}

// Whatever is put into a page, what comes out has the elements it should have.
func FuzzKeepFragment(f *testing.F) {
	p, err := New(Config{Prefix: "/oauth2"})
	if err != nil {
		f.Fatal(err)
	}
	render := func(t *testing.T, start string) string {
		w := &recorder{header: http.Header{}}
		p.KeepFragment(w, &http.Request{Method: http.MethodGet}, start)
		if w.status != http.StatusOK {
			t.Fatalf("%d %s", w.status, w.body.String())
		}
		return w.body.String()
	}
	f.Add("/oauth2/start?rd=%2F", "#a")
	f.Add(`/"><script>`, "#</script>")
	f.Add("/';url=//evil.test", "#&rd=x")
	f.Fuzz(func(t *testing.T, start, fragment string) {
		page := render(t, start)
		if shape(t, page) != shape(t, render(t, "/a")) {
			t.Errorf("%q changes the page: %s", start, page)
		}
		if u := carried(t, startLink(t, page), fragment); u.Scheme != "https" || u.Host != host {
			t.Errorf("%q and %q end on %s", start, fragment, u)
		}
	})
}

// recorder is a ResponseWriter that keeps what it is given.
type recorder struct {
	header http.Header
	status int
	body   strings.Builder
}

func (r *recorder) Header() http.Header         { return r.header }
func (r *recorder) WriteHeader(status int)      { r.status = status }
func (r *recorder) Write(p []byte) (int, error) { return r.body.Write(p) }
