package e2e

import (
	"strings"
	"testing"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
)

// loseSession lets the session end here; the provider's goes on, so that the next sign-in asks for nothing.
func (w *world) loseSession(tb *tab) {
	tb.t.Helper()
	if _, err := chromedp.Call(tb.ctx, network.DeleteCookies, network.DeleteCookiesParams{Name: "doorward", URL: w.gateway.origin}); err != nil {
		tb.t.Fatal(err)
	}
}

func TestR6AFormWithAFileThatIsPostedTooLateArrivesByItself(t *testing.T) {
	w := prepare(t, providerOptions{})
	w.gateway.configure(t, w.providerTable("")+w.routeTable(""))
	w.provider.start(t)
	w.gateway.start(t)
	tb := newBrowser(t).tab(t)
	tb.open(w.gateway.origin + "/edit")
	w.signIn(tb, "alice")
	tb.waitURL(w.gateway.origin + "/edit")
	w.loseSession(tb)
	script[bool](tb, `
		const form = document.createElement("form");
		form.method = "post"; form.action = "/save/(1)?q={a|b}'"; form.enctype = "multipart/form-data";
		form.innerHTML = "<input name=text value='a letter'><input type=file name=f>";
		const files = new DataTransfer();
		files.items.add(new File([new Uint8Array([0, 1, 255, 13, 10])], "a.bin"));
		form.lastChild.files = files.files;
		document.body.append(form);
		setTimeout(() => form.submit(), 0);
		return true;`)
	tb.wait("the answer to the form", func(v view) bool { return strings.HasPrefix(v.URL, w.gateway.origin+"/save/") })
	var posts []received
	for _, r := range w.app.all() {
		if r.Method == "POST" {
			posts = append(posts, r)
		}
	}
	if len(posts) != 1 {
		t.Fatalf("%d arrived: %+v", len(posts), posts)
	}
	got := posts[0]
	if got.URI != "/save/(1)?q={a|b}%27" || !strings.Contains(got.Body, "a letter") || !strings.Contains(got.Body, "\x00\x01\xff\r\n") {
		t.Errorf("the app got %s %q", got.URI, got.Body)
	}
	if h := got.Header; h.Get("Sec-Fetch-Site") != "same-origin" || h.Get("Origin") != w.gateway.origin || h.Get("Referer") != w.gateway.origin+"/edit" || h.Get("X-Forwarded-User") == "" {
		t.Errorf("%v", h)
	}
	for _, message := range tb.complaints() {
		if strings.Contains(message, "Content Security Policy") {
			t.Errorf("the console says %s", message)
		}
	}
}
