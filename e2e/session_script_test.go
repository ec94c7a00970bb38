package e2e

import "testing"

func TestR8ASinglePageApplicationSignsInAgainInAWindowOfItsOwn(t *testing.T) {
	w := prepare(t, providerOptions{})
	w.gateway.configure(t, w.providerTable("")+w.routeTable(""))
	w.provider.start(t)
	w.gateway.start(t)
	tb := newBrowser(t).tab(t)
	tb.open(w.gateway.origin + "/edit")
	w.signIn(tb, "alice")
	tb.waitURL(w.gateway.origin + "/edit")
	script[bool](tb, `window.told = []; addEventListener("doorward:login_required", e => told.push(e.detail.code));
		const s = document.createElement("script"); s.src = "/oauth2/static/session.js";
		await new Promise(f => { s.onload = f; document.head.append(s) }); return true`)
	w.loseSession(tb)
	if got := script[string](tb, `const r = await fetch("/json"); await new Promise(f => setTimeout(f, 300)); return r.status + " " + told.join()`); got != "401 login_required" {
		t.Errorf("%s", got)
	}
	if got := script[string](tb, `const i = await Promise.race([doorward.login(), new Promise(f => setTimeout(f, 8000))]); return i ? i.user.login : "nobody"`); got != "corp" {
		t.Errorf("signed in by %q", got)
	}
	if got := script[int](tb, `return (await fetch("/json")).status`); got != 200 {
		t.Errorf("%d", got)
	}
}
