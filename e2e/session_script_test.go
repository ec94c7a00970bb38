package e2e

import (
	"strings"
	"testing"
)

// singlePage is a page of an application with the script, whose session has just ended. before runs ahead of the script.
func singlePage(t *testing.T, before string) (*world, *tab) {
	t.Helper()
	w := prepare(t, providerOptions{})
	w.gateway.configure(t, w.providerTable("")+w.routeTable(""))
	w.provider.start(t)
	w.gateway.start(t)
	tb := newBrowser(t).tab(t)
	tb.open(w.gateway.origin + "/edit")
	w.signIn(tb, "alice")
	tb.waitURL(w.gateway.origin + "/edit")
	script[bool](tb, before+`; window.told = []; addEventListener("doorward:login_required", e => told.push(e.detail.code));
		const s = document.createElement("script"); s.src = "/oauth2/static/session.js";
		await new Promise(f => { s.onload = f; document.head.append(s) }); return true`)
	w.loseSession(tb)
	return w, tb
}

// signsInAgain calls doorward.login, and waits for the session.
func (tb *tab) signsInAgain() {
	tb.t.Helper()
	if got := script[string](tb, `const i = await Promise.race([doorward.login(), new Promise(f => setTimeout(f, 8000))]); return i ? i.user.login : "nobody"`); got != "corp" {
		tb.t.Errorf("signed in by %q", got)
	}
	if got := script[int](tb, `return (await fetch("/json")).status`); got != 200 {
		tb.t.Errorf("%d", got)
	}
}

func TestR8ASinglePageApplicationSignsInAgainInAWindowOfItsOwn(t *testing.T) {
	_, tb := singlePage(t, "")
	if got := script[string](tb, `const r = await fetch("/json"); await new Promise(f => setTimeout(f, 300)); return r.status + " " + told.join()`); got != "401 login_required" {
		t.Errorf("%s", got)
	}
	tb.signsInAgain()
}

// Safari had ES2017 years before it had BroadcastChannel. The focus that comes back to the page serves as well.
func TestR8TheScriptNeedsNoBroadcastChannel(t *testing.T) {
	_, tb := singlePage(t, `delete window.BroadcastChannel`)
	script[bool](tb, `setInterval(() => dispatchEvent(new Event("focus")), 500); return true`)
	tb.signsInAgain()
	for _, message := range tb.complaints() {
		if strings.Contains(message, "BroadcastChannel") {
			t.Errorf("the console says %s", message)
		}
	}
}

// Whatever a provider shows in the window, or leads it to, has no hold of the page that opened it.
func TestTheWindowOfASignInCannotLeadThePageElsewhere(t *testing.T) {
	_, tb := singlePage(t, `window.was = open; window.open = (...a) => window.opened = was(...a)`)
	script[bool](tb, `doorward.login(); return true`)
	if got := script[string](tb, `return String(opened.opener)`); got != "null" {
		t.Errorf("its opener is %s", got)
	}
}
