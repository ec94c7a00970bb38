package flows

import (
	"maps"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/doorward/doorward/internal/pages"
)

func TestP116TheRelayPage(t *testing.T) {
	w, _ := newPliant(t, frontLogin("code id_token token", fragment))
	b := w.net.Browser()
	page := b.Open(t, app+"/x")
	expect(t, page, http.StatusOK)
	h := page.Header
	if h.Get("Cache-Control") != "no-store" || h.Get("X-Content-Type-Options") != "nosniff" || h.Get("Referrer-Policy") == "" {
		t.Errorf("%v", h)
	}
	policy := h.Get("Content-Security-Policy")
	for _, want := range []string{"default-src 'none'", "frame-ancestors 'none'"} {
		if !strings.Contains(policy, want) {
			t.Errorf("the policy has no %s: %s", want, policy)
		}
	}
	for directive := range strings.SplitSeq(policy, "; ") { // scripts of this very text, and of nobody else
		words := strings.Fields(directive)
		if words[0] == "script-src" && (len(words) != 2 || !strings.HasPrefix(words[1], "'sha256-")) {
			t.Errorf("the policy lets others in: %s", directive)
		}
	}
	if !strings.Contains(page.Body, "history.replaceState") {
		t.Error("the fragment stays in the history")
	}
	for _, hop := range page.Hops {
		if strings.HasPrefix(hop.URL.String(), app) && strings.Contains(hop.URL.RequestURI(), "token") {
			t.Errorf("a token came to %s", hop.URL)
		}
	}
	fields := must(url.ParseQuery(page.URL.EscapedFragment()))(t)
	for _, name := range []string{"code", "id_token", "access_token"} {
		if value := fields.Get(name); value == "" || strings.Contains(page.Body, value) {
			t.Errorf("%s: %q", name, value)
		}
	}
	if forms := page.Forms(); len(forms) != 1 || forms[0].Action != "/oauth2/callback" || forms[0].Method != http.MethodPost {
		t.Errorf("%+v", forms)
	}
}

func TestP116TheRelayedAnswerMustComeFromOurOwnPage(t *testing.T) {
	w, p := newPliant(t, frontLogin("code id_token", fragment))
	b := w.net.Browser()
	page := b.Open(t, app+"/x")
	form := relayForm(t, page)
	foreign := relayForm(t, w.net.Browser().Open(t, app+"/x")).Get(pages.RelayField)
	name := attempts(b, app)[0]
	if !strings.HasPrefix(name, "__Host-doorward-login.") {
		t.Errorf("CONTRACT §3: %s", name)
	}
	cookie := name + "=" + b.Jar.Get(app, name)
	t.Run("not from another site", func(t *testing.T) {
		expect(t, b.Post(t, "https://evil.test/", callbackURL, form), http.StatusForbidden, codeCrossSite)
		expect(t, b.Post(t, wiki+"/", callbackURL, form), http.StatusForbidden, codeCrossSite)
		expect(t, b.Post(t, pliant+"/authorize", callbackURL, form), http.StatusForbidden, codeCrossSite)
	})
	t.Run("also if the cookie came along", func(t *testing.T) {
		for _, site := range []string{"cross-site", "same-site", ""} {
			res := w.post(t, callbackURL, form, "Cookie", cookie, "Sec-Fetch-Site", site, "Origin", "https://evil.test")
			if res.StatusCode != http.StatusForbidden {
				t.Errorf("%q: %d", site, res.StatusCode)
			}
		}
	})
	t.Run("only with the token of a page of this browser", func(t *testing.T) {
		for _, bad := range []string{"", "x", foreign, form.Get("state"), strings.Repeat("A", 5000)} {
			expect(t, b.Post(t, page.URL.String(), callbackURL, changed(form, pages.RelayField, bad)), http.StatusBadRequest, codeState)
		}
		without := maps.Clone(form)
		delete(without, pages.RelayField)
		expect(t, b.Post(t, page.URL.String(), callbackURL, without), http.StatusBadRequest, codeState)
	})
	unused(t, p, b)
	t.Run("the page itself works, once", func(t *testing.T) {
		expect(t, b.Post(t, page.URL.String(), callbackURL, form), http.StatusOK, "alice sees app.test/x")
		expect(t, b.Post(t, page.URL.String(), callbackURL, form), http.StatusOK, "alice sees app.test/x")
		if p.grants() != 1 {
			t.Errorf("P091: %d token requests", p.grants())
		}
	})
}

func TestTheRelayPageIsForBrowsersThatWait(t *testing.T) {
	w, _ := newPliant(t, frontLogin("id_token", fragment))
	expect(t, w.net.Browser().Open(t, callbackURL), http.StatusBadRequest, codeState)
	if res := w.call(t, http.MethodGet, callbackURL); res.StatusCode != http.StatusBadRequest {
		t.Errorf("a program gets %d", res.StatusCode)
	}
	t.Run("a program that holds an attempt gets none either", func(t *testing.T) {
		b := w.net.Browser()
		b.Open(t, app+"/x")
		name := attempts(b, app)[0]
		if res := w.call(t, http.MethodGet, callbackURL, "Cookie", name+"="+b.Jar.Get(app, name)); res.StatusCode != http.StatusBadRequest {
			t.Errorf("it gets %d", res.StatusCode)
		}
	})
	t.Run("not of form_post", func(t *testing.T) {
		w, _ := newPliant(t, frontLogin("id_token", formPost))
		b := w.net.Browser()
		posted(t, b, app+"/x")
		expect(t, b.Open(t, callbackURL), http.StatusBadRequest, codeState)
	})
	t.Run("not of a code login beside it", func(t *testing.T) {
		w, _ := newPliant(t, frontLogin("id_token", fragment), besides(Login{Name: "code", Flow: "authorization_code", Provider: "corp"}))
		b := w.net.Browser()
		b.StopAt = func(next *url.URL) bool { return next.Host == "127.0.0.1:9009" }
		b.Open(t, app+"/oauth2/start?login=code")
		expect(t, b.Open(t, callbackURL), http.StatusBadRequest, codeState)
	})
}

func TestTwoTabsByFragmentEachEndOnTheirOwnPage(t *testing.T) {
	w, _ := newPliant(t, frontLogin("code id_token token", fragment))
	b := w.net.Browser()
	one, two := b.Open(t, app+"/one"), b.Open(t, app+"/two")
	expect(t, relayed(t, b, two), http.StatusOK, "alice sees app.test/two")
	expect(t, relayed(t, b, one), http.StatusOK, "alice sees app.test/one")
}

func TestARelayPageThatWasLeftOpenBeginsAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, p := newPliant(t, frontLogin("id_token", fragment))
		b := w.net.Browser()
		page := b.Open(t, app+"/x")
		time.Sleep(attemptLife + time.Second)
		again := b.Post(t, page.URL.String(), callbackURL, relayForm(t, page))
		expect(t, again, http.StatusBadRequest, codeState, "ten minutes")
		unused(t, p, b)
	})
}

func TestStrictSessionsComeThroughAFragment(t *testing.T) {
	w, _ := newPliant(t, strict, frontLogin("id_token", fragment))
	b := w.net.Browser()
	page := relayed(t, b, b.Open(t, app+"/x"))
	for page.Header.Get("Refresh") != "" {
		page = refreshed(t, b, page)
	}
	expect(t, page, http.StatusOK, "alice sees app.test/x")
}
