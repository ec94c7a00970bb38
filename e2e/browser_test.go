package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// browser is one Chromium with a profile of its own.
type browser struct {
	ctx context.Context
}

// newBrowser starts Chromium. Names outside this machine do not resolve in it; rules are
// further --host-resolver-rules.
func newBrowser(t *testing.T, rules ...string) *browser {
	t.Helper()
	return startBrowser(t, t.TempDir(), rules...)
}

// newBrowserWithoutCookiesOf starts one whose owner has forbidden one site to keep cookies.
func newBrowserWithoutCookiesOf(t *testing.T, origin string) *browser {
	t.Helper()
	profile := t.TempDir()
	settings := fmt.Sprintf(`{"profile": {"content_settings": {"exceptions": {"cookies": {"%s,*": {"setting": 2}}}}}}`, origin)
	if err := os.Mkdir(filepath.Join(profile, "Default"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(profile, "Default", "Preferences"), []byte(settings), 0o600); err != nil {
		t.Fatal(err)
	}
	return startBrowser(t, profile)
}

func startBrowser(t *testing.T, profile string, rules ...string) *browser {
	t.Helper()
	path, err := chromium()
	if err != nil {
		t.Fatal(err)
	}
	// The provider's own pages ask for a web font: without an answer at once they would
	// hang on a machine that is cut off.
	rules = append(rules, "MAP * ~NOTFOUND", "EXCLUDE localhost", "EXCLUDE *.localhost", "EXCLUDE 127.0.0.1")
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.IgnoreCertErrors,
		chromedp.UserDataDir(profile),
		chromedp.Flag("disable-quic", true),
		chromedp.Flag("disable-component-update", true),
		chromedp.Flag("host-resolver-rules", strings.Join(rules, ", ")),
	)
	allocator, stop := chromedp.NewExecAllocator(t.Context(), options...)
	t.Cleanup(stop)
	ctx, cancel := chromedp.NewContext(allocator)
	t.Cleanup(cancel)
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("starting %s: %v", path, err)
	}
	return &browser{ctx: ctx}
}

// apart is the same Chromium for somebody else: it shares no cookie and no storage with b.
func (b *browser) apart(t *testing.T) *browser {
	t.Helper()
	ctx, cancel := chromedp.NewContext(b.ctx, chromedp.WithNewBrowserContext())
	t.Cleanup(cancel)
	if err := chromedp.Do(ctx); err != nil {
		t.Fatal(err)
	}
	return &browser{ctx: ctx}
}

// tab is one tab of a browser. All tabs share its cookies.
type tab struct {
	t        *testing.T
	ctx      context.Context
	noScript bool

	mu       sync.Mutex
	answers  []answer // of all documents, subresources and fetches, in order
	messages []string // what the console complained about
}

// answer is one HTTP answer that the browser received.
type answer struct {
	URL    string
	Status int64
	Type   network.ResourceType
	Header map[string]string
}

// view is a page as its reader sees it.
type view struct {
	URL   string `json:"url"`
	Title string `json:"title"`
	Text  string `json:"text"`
	Ready bool   `json:"ready"`
}

func (b *browser) tab(t *testing.T) *tab {
	t.Helper()
	ctx, cancel := chromedp.NewContext(b.ctx)
	t.Cleanup(cancel)
	tb := &tab{t: t, ctx: ctx}
	if err := chromedp.Listen(ctx, tb.note); err != nil {
		t.Fatal(err)
	}
	tb.do(chromedp.Navigate("about:blank"))
	return tb
}

// withoutScript is a tab in which no page may run a script.
func (b *browser) withoutScript(t *testing.T) *tab {
	t.Helper()
	tb := b.tab(t)
	if _, err := chromedp.Call(tb.ctx, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true}); err != nil {
		t.Fatal(err)
	}
	tb.noScript = true
	return tb
}

// inBoth runs a test in a tab with scripts and in one without, each of a person of its own.
func (b *browser) inBoth(t *testing.T, test func(t *testing.T, tb *tab)) {
	t.Helper()
	t.Run("with script", func(t *testing.T) { test(t, b.apart(t).tab(t)) })
	t.Run("without script", func(t *testing.T) { test(t, b.apart(t).withoutScript(t)) })
}

func (tb *tab) note(ev any) {
	tb.mu.Lock()
	defer tb.mu.Unlock()
	switch e := ev.(type) {
	case *network.EventRequestWillBeSent:
		if e.RedirectResponse != nil { // a redirect has no event of its own
			tb.answers = append(tb.answers, answered(e.RedirectResponse, e.Type))
		}
	case *network.EventResponseReceived:
		tb.answers = append(tb.answers, answered(e.Response, e.Type))
	case *log.EventEntryAdded: // a violated Content-Security-Policy, a failed subresource
		tb.messages = append(tb.messages, fmt.Sprintf("%s: %s", e.Entry.Text, e.Entry.URL))
	case *runtime.EventExceptionThrown:
		tb.messages = append(tb.messages, e.ExceptionDetails.Text)
	}
}

func answered(r *network.Response, kind network.ResourceType) answer {
	a := answer{URL: r.URL, Status: r.Status, Type: kind, Header: map[string]string{}}
	for name, value := range r.Headers {
		a.Header[strings.ToLower(name)] = fmt.Sprint(value)
	}
	return a
}

func (tb *tab) do(actions ...chromedp.Action[chromedp.Void]) {
	tb.t.Helper()
	ctx, cancel := context.WithTimeout(tb.ctx, patience)
	defer cancel()
	if err := chromedp.Do(ctx, actions...); err != nil {
		tb.t.Fatalf("in the browser: %v\nthe page is %+v", err, tb.look())
	}
}

// open goes to an address as if it had been typed, and waits until a page is there,
// however many redirects lie between and whatever its status is.
func (tb *tab) open(url string) {
	tb.t.Helper()
	tb.do(chromedp.Navigate(url))
}

const lookScript = `({url: location.href, title: document.title, ready: document.readyState === "complete",
	text: document.body ? document.body.innerText : ""})`

// look returns the page as it is now; an empty view while one page gives way to another.
func (tb *tab) look() view {
	ctx, cancel := context.WithTimeout(tb.ctx, 5*time.Second)
	defer cancel()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[view](lookScript))
	if err != nil {
		return view{}
	}
	return v
}

// wait waits until the page satisfies a condition.
func (tb *tab) wait(what string, ok func(v view) bool) view {
	tb.t.Helper()
	var v view
	if !eventually(func() bool { v = tb.look(); return v.Ready && ok(v) }) {
		tb.t.Fatalf("waited in vain for: %s\nthe page is %s\n%s\n%s", what, v.URL, v.Title, v.Text)
	}
	return v
}

// waitURL waits until the page of this address is there.
func (tb *tab) waitURL(url string) view {
	tb.t.Helper()
	return tb.wait("the page "+url, func(v view) bool { return v.URL == url })
}

// script runs JavaScript in the page (await is allowed) and decodes what it returns.
func script[T any](tb *tab, body string) T {
	tb.t.Helper()
	ctx, cancel := context.WithTimeout(tb.ctx, patience)
	defer cancel()
	// The result crosses as JSON text, so that it means the same to both sides.
	expression := "(async () => JSON.stringify(await (async () => {" + body + "})()) ?? 'null')()"
	text, err := chromedp.Run(ctx, chromedp.Evaluate[string](expression, chromedp.EvalAwaitPromise))
	if err != nil {
		tb.t.Fatalf("script: %v\n%s\nthe page is %+v", err, body, tb.look())
	}
	var v T
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		tb.t.Fatalf("script returned %s: %v", text, err)
	}
	return v
}

// all returns a copy of the answers so far.
func (tb *tab) all() []answer {
	tb.mu.Lock()
	defer tb.mu.Unlock()
	return append([]answer(nil), tb.answers...)
}

// complaints returns what the browser's console said so far.
func (tb *tab) complaints() []string {
	tb.mu.Lock()
	defer tb.mu.Unlock()
	return append([]string(nil), tb.messages...)
}

// document returns the newest answer that was a whole page.
func (tb *tab) document() answer {
	all := tb.all()
	for i := len(all) - 1; i >= 0; i-- {
		if all[i].Type == network.ResourceTypeDocument {
			return all[i]
		}
	}
	return answer{}
}

// visited reports whether any answer so far came from an address that begins so.
func (tb *tab) visited(prefix string) bool {
	for _, a := range tb.all() {
		if strings.HasPrefix(a.URL, prefix) {
			return true
		}
	}
	return false
}

// forget drops the answers and messages so far.
func (tb *tab) forget() {
	tb.mu.Lock()
	defer tb.mu.Unlock()
	tb.answers, tb.messages = nil, nil
}

// cookies returns the browser's cookies for these addresses.
func (tb *tab) cookies(urls ...string) []*network.Cookie {
	tb.t.Helper()
	got, err := chromedp.Call(tb.ctx, network.GetCookies, network.GetCookiesParams{URLs: urls})
	if err != nil {
		tb.t.Fatal(err)
	}
	return got.Cookies
}

// lasting is cookies without the note by which a login loop would be found out, which ends by
// itself a minute after a sign-in, and without the name of the login that was used last.
func (tb *tab) lasting(urls ...string) (cookies []*network.Cookie) {
	tb.t.Helper()
	for _, c := range tb.cookies(urls...) {
		if strings.HasSuffix(c.Name, "-login.last") {
			continue
		}
		if !strings.HasSuffix(c.Name, "-login.loop") {
			cookies = append(cookies, c)
			continue
		}
		if left := time.Until(time.Unix(int64(c.Expires), 0)); !c.HTTPOnly || left > time.Minute+time.Second {
			tb.t.Errorf("%s lasts for %s", c.Name, left)
		}
	}
	return cookies
}

// eventually asks until the answer is yes, or patience ends.
func eventually(ok func() bool) bool {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for tick := time.NewTicker(50 * time.Millisecond); ; {
		if ok() {
			tick.Stop()
			return true
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			tick.Stop()
			return !errors.Is(ctx.Err(), context.DeadlineExceeded)
		}
	}
}

// history is everything that the tab can go back to.
func (tb *tab) history() page.GetNavigationHistoryResult {
	tb.t.Helper()
	got, err := chromedp.Call(tb.ctx, page.GetNavigationHistory, cdp.Empty{})
	if err != nil {
		tb.t.Fatal(err)
	}
	return got
}

// back is the browser's own button.
func (tb *tab) back() {
	tb.t.Helper()
	h := tb.history()
	if h.CurrentIndex == 0 {
		tb.t.Fatal("there is nothing to go back to")
	}
	// A page that the browser has kept never says that it has loaded, so nothing waits for it here.
	to := page.NavigateToHistoryEntryParams{EntryID: h.Entries[h.CurrentIndex-1].ID}
	if _, err := chromedp.Call(tb.ctx, page.NavigateToHistoryEntry, to); err != nil {
		tb.t.Fatal(err)
	}
	tb.wait("the page before", func(v view) bool { return tb.history().CurrentIndex < h.CurrentIndex })
}

// command runs one command of the browser's protocol that takes nothing.
func (tb *tab) command(c cdp.Command[cdp.Empty, cdp.Empty]) {
	tb.t.Helper()
	if _, err := chromedp.Call(tb.ctx, c, cdp.Empty{}); err != nil {
		tb.t.Fatal(err)
	}
}
