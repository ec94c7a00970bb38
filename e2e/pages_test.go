package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// shown is one of our own pages and the way to it.
type shown struct {
	name   string
	status int64
	reach  func(tb *tab)
}

// Every page that Doorward itself shows, in Chromium: it is readable at 320 pixels, at 200 %
// and in both colour schemes, asks nobody else for anything, violates no policy of its own,
// and can be used with the keyboard alone. "-artifacts -outputdir DIR" keeps the pictures.
func TestPagesAreReadableForEverybody(t *testing.T) {
	w := newPagesWorld(t)
	w.readable(t, newBrowser(t), w.pages())
}

// readable looks at each of these pages.
func (w *pagesWorld) readable(t *testing.T, b *browser, pages []shown) {
	t.Helper()
	pictures := t.ArtifactDir()
	for _, p := range pages {
		t.Run(p.name, func(t *testing.T) {
			tb := b.tab(t)
			p.reach(tb)
			tb.wait("the page", func(v view) bool { return v.Title != "" })
			if got := tb.document(); got.Status != p.status {
				t.Fatalf("the page has status %d, not %d: %+v", got.Status, p.status, tb.look())
			}
			w.checkDelivery(t, tb)
			checkStructure(t, tb)
			for _, scheme := range []string{"light", "dark"} {
				tb.colours(scheme)
				checkContrast(t, tb, scheme)
				checkAxe(t, tb, scheme)
				for _, width := range []int64{320, 1280} {
					tb.do(chromedp.EmulateViewport(width, 720))
					checkWidth(t, tb, fmt.Sprintf("%s at %d px", scheme, width))
					tb.picture(filepath.Join(pictures, fmt.Sprintf("%s-%s-%d.png", strings.ReplaceAll(p.name, " ", "-"), scheme, width)))
				}
			}
			tb.do(chromedp.EmulateViewport(640, 720))
			script[any](tb, `document.documentElement.style.fontSize = "200%"; return null;`)
			checkWidth(t, tb, "text at 200 %")
			checkKeyboard(t, tb)
		})
	}
}

// pagesWorld has a route, a login or a failure for each page.
type pagesWorld struct {
	*world
	evil    *app
	down    *world   // its provider never starts
	origins []string // of the gateways
}

func newPagesWorld(t *testing.T) *pagesWorld {
	t.Helper()
	w := prepare(t, providerOptions{})
	route := func(name, path, upstream, more string) string {
		return fmt.Sprintf("\n[[route]]\nname = %q\nhost = %q\npath = %q\nupstream = [%q]\n%s\n", name, w.gateway.origin, path, upstream, more)
	}
	w.gateway.configure(t, w.providerTable("")+
		"\n[login.staff]\nflow = \"authorization_code\"\nlabel = \"Staff of the Example Company\"\n"+
		"\n[login.partners]\nflow = \"authorization_code\"\nlabel = \"Partners and suppliers\"\n"+
		route("app", "/app", w.app.URL, `login = ["staff"]`)+
		route("choice", "/choice", w.app.URL, `login = ["staff", "partners"]`)+
		route("closed", "/closed", w.app.URL, `login = ["staff"]`+"\n"+`allow = [{ groups = ["board-of-directors"] }, { domains = ["partner.example"] }]`)+
		route("broken", "/broken", fmt.Sprintf("http://127.0.0.1:%d", freePort(t)), "public = true"))
	w.provider.start(t)
	w.gateway.start(t)
	down := prepare(t, providerOptions{})
	down.gateway.start(t)
	return &pagesWorld{world: w, evil: newApp(t), down: down, origins: []string{w.gateway.origin, down.gateway.origin}}
}

func (w *pagesWorld) pages() []shown {
	at := func(url string) func(*tab) { return func(tb *tab) { tb.open(url) } }
	here := w.gateway.origin
	return []shown{
		{"sign in", 200, at(here + "/choice/page")},
		{"signed out", 200, at(here + "/oauth2/logout/callback")},
		{"confirm sign out", 200, func(tb *tab) {
			tb.open(w.evil.URL)
			script[any](tb, `location.href = "`+here+`/oauth2/sign_out"; return null;`)
			tb.wait("the question", func(v view) bool { return strings.HasPrefix(v.URL, here) })
		}},
		{"400 ambiguous path", 400, at(here + "/app/a%2fb")},
		{"400 callback refused", 400, at(here + "/oauth2/callback?code=c&state=forged")},
		{"403 cancelled", 403, func(tb *tab) {
			tb.open(here + "/app/")
			w.atProvider(tb)
			tb.do(chromedp.Click(chromedp.CSS(".login-help a")))
			tb.wait("our page", func(v view) bool { return strings.HasPrefix(v.URL, here) })
		}},
		{"403 not allowed", 403, func(tb *tab) {
			tb.open(here + "/closed/minutes")
			w.signIn(tb, "alice")
			tb.waitURL(here + "/closed/minutes")
		}},
		{"404 no route", 404, at(here + "/nowhere")},
		{"421 unknown host", 421, at(strings.Replace(here, "localhost", "127.0.0.1", 1) + "/")},
		{"502 app down", 502, at(here + "/broken/")},
		{"503 provider down", 503, at(w.down.gateway.origin + "/")},
	}
}

// checkDelivery looks at how the page came: small, by itself, and under a strict policy.
func (w *pagesWorld) checkDelivery(t *testing.T, tb *tab) {
	t.Helper()
	page := tb.document()
	csp := page.Header["content-security-policy"]
	if !strings.Contains(csp, "default-src 'none'") || !strings.Contains(csp, "frame-ancestors 'none'") {
		t.Errorf("Content-Security-Policy is %q", csp)
	}
	if page.Status >= 400 && (page.Header["doorward-reference"] == "" || !strings.Contains(tb.look().Text, page.Header["doorward-reference"])) {
		t.Errorf("the reference %q is not on the page: %s", page.Header["doorward-reference"], tb.look().Text)
	}
	if size := script[int](tb, "return new Blob([document.documentElement.outerHTML]).size"); size > 20_000 {
		t.Errorf("the page has %d bytes", size)
	}
	favicon := script[string](tb, "return location.origin") + "/favicon.ico" // Chromium's own idea, where a page names no icon
	for _, url := range script[[]string](tb, `return performance.getEntriesByType("resource").map((e) => e.name)`) {
		if url != favicon && !slices.ContainsFunc(w.origins, func(origin string) bool {
			return strings.HasPrefix(url, origin+"/oauth2/static/") || strings.HasPrefix(url, origin+"/oauth2/device/poll") || strings.HasPrefix(url, origin+"/oauth2/ciba/poll") || strings.HasPrefix(url, origin+"/oauth2/approval/")
		}) {
			t.Errorf("the page asked for %s", url)
		}
	}
	for _, m := range tb.complaints() {
		if strings.Contains(m, "Content Security Policy") || strings.Contains(m, "Uncaught") {
			t.Errorf("the console says: %s", m)
		}
	}
}

func checkStructure(t *testing.T, tb *tab) {
	t.Helper()
	got := script[struct {
		Lang, Viewport            string
		Headings, Mains, Nameless int
	}](tb, `return {
		Lang: document.documentElement.lang,
		Viewport: document.querySelector("meta[name=viewport]")?.content ?? "",
		Headings: document.querySelectorAll("h1").length,
		Mains: document.querySelectorAll("main").length,
		Nameless: [...document.querySelectorAll("a, button, input:not([type=hidden]), img")].filter((e) =>
			!(e.innerText || e.alt || e.ariaLabel || e.labels?.length)).length,
	}`)
	if got.Lang == "" || got.Headings != 1 || got.Mains != 1 || got.Nameless != 0 || !strings.Contains(got.Viewport, "width=device-width") {
		t.Errorf("a screen reader finds %+v", got)
	}
	if strings.Contains(strings.ReplaceAll(got.Viewport, " ", ""), "maximum-scale") || strings.Contains(got.Viewport, "user-scalable") {
		t.Errorf("the page forbids zooming: %s", got.Viewport)
	}
}

func checkWidth(t *testing.T, tb *tab, how string) {
	t.Helper()
	if over := script[[]string](tb, `
		const width = document.documentElement.clientWidth;
		return [...document.body.querySelectorAll("*")].filter((e) => e.getBoundingClientRect().right > width + 1).map((e) => e.outerHTML.slice(0, 120));`); len(over) > 0 {
		t.Errorf("%s: wider than the window: %q", how, over)
	}
}

// WCAG 2.2, 1.4.3: text has a contrast of 4.5 to 1 at least (3 to 1 if it is large).
func checkContrast(t *testing.T, tb *tab, scheme string) {
	t.Helper()
	if poor := script[[]string](tb, `
		const canvas = new OffscreenCanvas(1, 1).getContext("2d", {willReadFrequently: true});
		const rgba = (colour) => { // any notation of CSS
			canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1);
			return canvas.getImageData(0, 0, 1, 1).data;
		};
		const light = (c) => [0.2126, 0.7152, 0.0722].reduce((sum, weight, i) => {
			const v = c[i] / 255;
			return sum + weight * (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
		}, 0);
		const probe = document.createElement("i"); probe.style.color = "Canvas"; document.body.append(probe);
		const base = rgba(getComputedStyle(probe).color); probe.remove();
		const ground = (e) => {
			for (; e; e = e.parentElement) {
				const c = rgba(getComputedStyle(e).backgroundColor);
				if (c[3] === 255) return c;
			}
			return base;
		};
		return [...document.body.querySelectorAll("*")].filter((e) =>
			e.checkVisibility() && [...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim())
		).flatMap((e) => {
			const style = getComputedStyle(e);
			const [a, b] = [light(rgba(style.color)), light(ground(e))].sort((x, y) => y - x);
			const ratio = (a + 0.05) / (b + 0.05);
			const least = parseFloat(style.fontSize) >= 24 ? 3 : 4.5;
			return ratio < least ? [ratio.toFixed(2) + ": " + e.outerHTML.slice(0, 120)] : [];
		});`); len(poor) > 0 {
		t.Errorf("%s: contrast too small: %q", scheme, poor)
	}
}

// checkKeyboard walks through all links and buttons with the Tab key and sees where it is.
func checkKeyboard(t *testing.T, tb *tab) {
	t.Helper()
	const usable = `[...document.querySelectorAll("a[href], button, input:not([type=hidden]), select, summary")].filter((e) => e.checkVisibility())`
	// From the top, also where the page has put the focus into a field.
	n := script[int](tb, `document.body.tabIndex = -1; document.body.focus(); document.body.blur(); document.body.removeAttribute("tabindex"); return `+usable+".length")
	for i := range n {
		tb.do(chromedp.KeyEvent(kb.Tab))
		got := script[struct {
			Index   int
			Visible bool
		}](tb, `const e = document.activeElement, s = getComputedStyle(e);
			return {Index: `+usable+`.indexOf(e), Visible: e.matches(":focus-visible") && (s.outlineStyle !== "none" && parseFloat(s.outlineWidth) > 0 || s.boxShadow !== "none")};`)
		if got.Index != i || !got.Visible {
			t.Errorf("after %d times Tab the focus is on element %d (visible: %v)", i+1, got.Index, got.Visible)
		}
	}
}

// colours sets what the person prefers.
func (tb *tab) colours(scheme string) {
	tb.t.Helper()
	p := emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}}
	if _, err := chromedp.Call(tb.ctx, emulation.SetEmulatedMedia, p); err != nil {
		tb.t.Fatal(err)
	}
}

// picture keeps the whole page as a PNG.
func (tb *tab) picture(name string) {
	tb.t.Helper()
	png, err := chromedp.Run(tb.ctx, chromedp.FullScreenshot(100))
	if err != nil {
		tb.t.Fatal(err)
	}
	if err := os.WriteFile(name, png, 0o600); err != nil {
		tb.t.Fatal(err)
	}
}
