package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

const cibaGrant = "urn:openid:params:grant-type:ciba"

// cibaWorld has a route that only CIBA leads to.
func cibaWorld(t *testing.T, delivery, more string, o providerOptions) *world {
	t.Helper()
	w := prepare(t, o)
	registration := client(w.gateway.origin, "client_secret_basic")
	registration["grant_types"] = []string{cibaGrant, "refresh_token"}
	registration["response_types"], registration["redirect_uris"] = []string{}, []string{}
	registration["backchannel_token_delivery_mode"] = delivery
	if delivery == "ping" {
		registration["backchannel_client_notification_endpoint"] = "https://localhost/oauth2/ciba/notify"
		w.provider.options.Reach = map[string]string{"https://localhost": w.gateway.origin}
	}
	registration["backchannel_user_code_parameter"] = strings.Contains(more, "user_code")
	w.provider.options.Clients = []map[string]any{registration}
	w.gateway.configure(t, w.providerTable("")+fmt.Sprintf(`
[login.phone]
flow = "ciba"
label = "Your phone"
delivery = %q
%s
`, delivery, more)+w.routeTable(`login = ["phone"]`))
	w.provider.start(t)
	w.gateway.start(t)
	return w
}

// hint says who is to be asked, on the page on which a sign-in by CIBA begins.
func (tb *tab) hint(who string) {
	tb.t.Helper()
	tb.wait("the question who it is", func(v view) bool { return strings.Contains(v.URL, "/oauth2/ciba") })
	tb.fill("hint", who+kb.Enter)
}

func TestCIBWhoAgreesOnTheirPhoneIsSignedIn(t *testing.T) {
	t.Parallel()
	for _, delivery := range []string{"poll", "ping"} {
		t.Run(delivery, func(t *testing.T) {
			w := cibaWorld(t, delivery, "", providerOptions{})
			b := newBrowser(t)
			n := 0
			b.inBoth(t, func(t *testing.T, tb *tab) {
				n++
				w.signsInByPhone(t, b, tb, n)
			})
			for _, e := range w.provider.events(t) {
				if e.Event == "server_error" || e.Event == "grant_error" && e.Error != "authorization_pending" {
					t.Errorf("the provider is not content: %+v", e)
				}
			}
			// By ping nothing is asked for before it is there to be had.
			if vain := w.provider.count(t, "grant_error", cibaGrant); delivery == "ping" && vain != 0 {
				t.Errorf("the provider was asked %d times in vain", vain)
			}
		})
	}
}

func (w *world) signsInByPhone(t *testing.T, b *browser, tb *tab, n int) {
	t.Helper()
	const deep = "/pay?amount=20&to=%C3%BC"
	tb.open(w.gateway.origin + deep)
	tb.hint("alice")
	tb.waiting()
	question := w.provider.push(t, n)
	if question.Login != "alice" || question.BindingMessage == "" || question.BindingMessage != tb.bindingMessage() {
		t.Errorf("the phone shows %+v, and the page %q", question, tb.bindingMessage())
	}
	if strings.Contains(tb.look().URL, "alice") {
		t.Errorf("who it is stands in the address: %s", tb.look().URL)
	}
	t.Run("P166 another browser with the same address gets nothing", func(t *testing.T) {
		tb.nobodyElseGets(t, b.apart(t), question.BindingMessage)
	})
	tb.do(chromedp.Reload())
	if tb.waiting(); tb.bindingMessage() != question.BindingMessage {
		t.Errorf("after a reload the page says %q", tb.bindingMessage())
	}
	agreed := time.Now()
	w.provider.answer(t, question, "approve")
	tb.waitURL(w.gateway.origin + deep)
	t.Logf("signed in %s after the person had agreed", time.Since(agreed).Round(100*time.Millisecond))
	got := w.app.last(t, deep)
	if got.Header.Get("X-Forwarded-User") != "alice" || got.Header.Get("X-Forwarded-Groups") != "staff,everyone" {
		t.Errorf("the app saw %v", got.Header)
	}
	if c := tb.lasting(w.gateway.origin+"/", w.gateway.origin+"/oauth2/ciba"); len(c) != 1 || c[0].Name != "doorward" || !c[0].HTTPOnly {
		t.Errorf("the cookies that are left are %+v", c)
	}
	if n := w.provider.count(t, "push", ""); n > 2 {
		t.Errorf("%d questions went to phones: a reload asked again", n)
	}
}

func TestCIBWhoRefusesOnTheirPhoneIsNotSignedInAndMayAskAgain(t *testing.T) {
	t.Parallel()
	for _, delivery := range []string{"poll", "ping"} {
		t.Run(delivery, func(t *testing.T) {
			w := cibaWorld(t, delivery, "", providerOptions{})
			n := 0
			newBrowser(t).inBoth(t, func(t *testing.T, tb *tab) {
				tb.open(w.gateway.origin + "/page")
				tb.hint([]string{"alice", "bob"}[n]) // who refuses is left in peace for a while
				tb.waiting()
				n++
				w.provider.answer(t, w.provider.push(t, n), "deny")
				tb.says("refused", "denied", "declined")
				if got := len(w.app.all()); got != 0 {
					t.Errorf("the app received %d requests", got)
				}
				tb.press("gain")
				tb.wait("a new beginning", func(v view) bool { return strings.Contains(v.URL, "/oauth2/ciba") })
			})
		})
	}
}

func TestCIBNoAnswerInTimeIsSaidPlainly(t *testing.T) {
	t.Parallel()
	w := cibaWorld(t, "poll", `requested_expiry = "10s"`, providerOptions{})
	n := 0
	newBrowser(t).inBoth(t, func(t *testing.T, tb *tab) {
		tb.open(w.gateway.origin + "/page")
		tb.hint([]string{"alice", "bob"}[n])
		n++
		tb.waiting()
		tb.says("no answer in time")
		tb.press("gain")
		tb.wait("a new beginning", func(v view) bool { return strings.Contains(v.URL, "/oauth2/ciba") })
	})
}

// Whether somebody has an account must not show in what the page does (CIB-6).
func TestCIBAnUnknownPersonIsShownWhatAKnownOneIs(t *testing.T) {
	t.Parallel()
	w := cibaWorld(t, "poll", "", providerOptions{People: map[string]map[string]any{"nobody": nil}})
	b := newBrowser(t)
	shown := map[string]string{}
	for _, who := range []string{"alice", "nobody"} {
		tb := b.apart(t).tab(t)
		tb.open(w.gateway.origin + "/page")
		tb.hint(who)
		v := tb.waiting()
		message := tb.bindingMessage()
		// The message, and what counts down, differ from one to the next anyway.
		text := strings.ReplaceAll(v.Text, message, "MESSAGE")
		shown[who] = digits.ReplaceAllString(text, "#")
	}
	if shown["alice"] != shown["nobody"] {
		t.Errorf("a known person is shown\n%s\n\nand an unknown one\n%s", shown["alice"], shown["nobody"])
	}
	if n := w.provider.count(t, "push", ""); n != 1 {
		t.Errorf("%d phones were asked", n)
	}
}

func TestCIBTheUserCodeThatAProviderWantsIsAskedFor(t *testing.T) {
	t.Parallel()
	w := cibaWorld(t, "poll", "user_code = true", providerOptions{People: map[string]map[string]any{"alice": {"user_code": "4711"}}})
	tb := newBrowser(t).tab(t)
	tb.open(w.gateway.origin + "/page")
	tb.wait("the question who it is", func(v view) bool { return strings.Contains(v.URL, "/oauth2/ciba") })
	tb.fill("hint", "alice")
	tb.fill("user_code", "4711"+kb.Enter)
	tb.waiting()
	w.provider.answer(t, w.provider.push(t, 1), "approve")
	tb.waitURL(w.gateway.origin + "/page")
	if written := strings.Join(w.gateway.output(), "\n"); strings.Contains(written, "4711") {
		t.Error("the log holds the person's code")
	}
}
