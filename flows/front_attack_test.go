package flows

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/doorward/doorward/internal/pages"
	"github.com/doorward/doorward/internal/testnet"
)

// handled begins a form_post login at address, posts the answer, and returns the form and the address with the
// handle, which the browser has not opened.
func handled(t testing.TB, b *testnet.Browser, address string) (form url.Values, hop string) {
	t.Helper()
	form = posted(t, b, address)
	b.StopAt = func(next *url.URL) bool { return next.Query().Has("answer") }
	defer func() { b.StopAt = nil }()
	hop = deliver(t, b, form).Header.Get("Location")
	if !strings.Contains(hop, "answer=") {
		t.Fatalf("no handle: %s", hop)
	}
	return form, hop
}

func TestP089AHandleOfSomebodyElseChangesNothing(t *testing.T) {
	w, p := newPliant(t, frontLogin("code id_token", formPost))
	attacker := w.net.Browser()
	_, trap := handled(t, attacker, app+"/x")
	p.person = "bob"
	victim := w.net.Browser()
	expect(t, victim.Open(t, app+"/y"), http.StatusOK, "bob sees")
	session, grants := victim.Jar.Get(app, sessionID), p.grants()
	own := posted(t, victim, app+"/oauth2/start?prompt=login&rd=/z")
	expect(t, victim.Visit(t, "https://evil.test/", trap), http.StatusOK, "bob sees app.test/x") // as a link to /x
	if victim.Jar.Get(app, sessionID) != session || p.grants() != grants {
		t.Error("the session changed, or the code was sent")
	}
	expect(t, deliver(t, victim, own), http.StatusOK, "bob sees app.test/z")
	p.person = "alice"
	expect(t, attacker.Open(t, trap), http.StatusOK, "alice sees app.test/x") // it was not used up either
}

// A browser with two logins of one provider under way, and an answer that holds parts of both.
func TestP115TheAnswersOfTwoLoginsAreNotMixed(t *testing.T) {
	w, p := newPliant(t, frontLogin("code id_token", formPost), besides(Login{
		Name: "spa", Flow: "implicit", Provider: "corp", ResponseType: "id_token token",
	}))
	for name, mix := range map[string]func(one, two url.Values) url.Values{
		"the ID token of the other login": func(one, two url.Values) url.Values { return changed(one, "id_token", two.Get("id_token")) },
		"the code of the other login":     func(one, two url.Values) url.Values { return changed(two, "code", one.Get("code")) },
		"the state of the other login":    func(one, two url.Values) url.Values { return changed(one, "state", two.Get("state")) },
		"and the other way":               func(one, two url.Values) url.Values { return changed(two, "state", one.Get("state")) },
		"an access token beside a code": func(one, two url.Values) url.Values {
			return changed(changed(one, "access_token", two.Get("access_token")), "token_type", "bearer")
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := w.net.Browser()
			one, two := posted(t, b, app+"/oauth2/start?login=staff&rd=/x"), posted(t, b, app+"/oauth2/start?login=spa&rd=/y")
			expect(t, deliver(t, b, mix(one, two)), http.StatusBadRequest, codeFailed)
			unused(t, p, b)
		})
	}
}

// A provider that was asked for form_post and answers by a fragment, while the page for fragments is there because
// of another login.
func TestIMP8AFormPostLoginDoesNotEndByTheRelayPage(t *testing.T) {
	w, p := newPliant(t, frontLogin("id_token", formPost), besides(Login{
		Name: "spa", Flow: "implicit", Provider: "corp", ResponseType: "id_token", ResponseMode: fragment,
	}))
	b := w.net.Browser()
	form := posted(t, b, app+"/oauth2/start?login=staff&rd=/x")
	page := b.Open(t, app+"/oauth2/start?login=spa&rd=/y")
	relay := relayForm(t, page).Get(pages.RelayField)
	expect(t, b.Post(t, page.URL.String(), callbackURL, changed(form, pages.RelayField, relay)), http.StatusBadRequest, codeFailed)
	unused(t, p, b)
	t.Run("nor the other way", func(t *testing.T) {
		fields := relayForm(t, page)
		delete(fields, pages.RelayField)
		expect(t, deliver(t, b, fields), http.StatusForbidden, codeCrossSite)
		expect(t, b.Post(t, page.URL.String(), callbackURL, fields), http.StatusBadRequest, codeState)
		unused(t, p, b)
	})
	t.Run("and each works as it should", func(t *testing.T) {
		expect(t, deliver(t, b, form), http.StatusOK, "alice sees app.test/x")
		expect(t, relayed(t, b, page), http.StatusOK, "alice sees app.test/y")
	})
}

func TestP091OfParallelRequestsForOneHandleOneGoesOn(t *testing.T) {
	w, p := newPliant(t, frontLogin("code id_token", formPost))
	b := w.net.Browser()
	form := posted(t, b, app+"/x")
	cookie := attempts(b, app)[0] + "=" + b.Jar.Get(app, attempts(b, app)[0])
	hop := w.post(t, callbackURL, form, "Cookie", cookie).Header.Get("Location")
	var done sync.WaitGroup
	made := make(chan string, 8)
	for range cap(made) {
		done.Go(func() {
			for _, c := range w.call(t, http.MethodGet, hop, "Cookie", cookie, "Accept", "text/html").Cookies() {
				if c.Name == sessionID {
					made <- c.Value
				}
			}
		})
	}
	done.Wait()
	if len(made) != 1 || p.grants() != 1 {
		t.Errorf("%d sessions, %d token requests", len(made), p.grants())
	}
}

// What was posted does not come a second time in an address, and an address ends nobody else's login.
func TestP090AStateIsGoodForOneAnswerByOneWay(t *testing.T) {
	w, p := newPliant(t, frontLogin("id_token token", formPost))
	b := w.net.Browser()
	form := posted(t, b, app+"/x")
	stranger := w.net.Browser()
	expect(t, stranger.Open(t, callbackURL+"?error=access_denied&state="+url.QueryEscape(form.Get("state"))), http.StatusBadRequest, codeState)
	expect(t, stranger.Post(t, "https://evil.test/", callbackURL, url.Values{"error": {"access_denied"}, "state": form["state"]}), http.StatusBadRequest, codeState)
	expect(t, deliver(t, b, form), http.StatusOK, "alice sees app.test/x")
	b.Jar.Clear(sessionID)
	expect(t, b.Open(t, callbackURL+"?"+form.Encode()), http.StatusBadRequest, codeState)
	unused(t, p, b)
}

func TestP070NothingIsSmuggledInWhatALoginPassesOn(t *testing.T) {
	w, p := choice(t)
	b := w.net.Browser()
	hint := "a&prompt=none&client_id=evil#x;redirect_uri=https://evil.test"
	expect(t, b.Open(t, app+"/oauth2/start?login=both&rd=/x&login_hint="+url.QueryEscape(hint)), http.StatusOK, "alice sees app.test/x")
	asked := p.lastAsked(t)
	if asked.Get("login_hint") != hint || asked.Has("prompt") || len(asked["client_id"]) != 1 || len(asked["redirect_uri"]) != 1 {
		t.Errorf("%v", asked)
	}
	for _, bad := range []string{"a%00b", "a%0d%0ab", "a%ff", "%c2%85"} {
		expect(t, b.Open(t, app+"/oauth2/start?login=both&login_hint="+bad), http.StatusBadRequest, codeBadRequest)
	}
}

func TestIMP2NoTokenIsCarriedInATicket(t *testing.T) {
	w, p := newPliant(t, oneCallback, frontLogin("code id_token token", formPost))
	b := w.net.Browser()
	form := posted(t, b, app+"/x")
	b.StopAt = func(next *url.URL) bool { return next.Query().Has("ticket") }
	to := must(url.Parse(b.Open(t, loginHost+"/oauth2/callback?"+form.Encode()).Header.Get("Location")))(t)
	b.StopAt = nil
	carried := must(w.flows.openTicket(mustOrigin(t, app), "corp", to.Query().Get("ticket")))(t)
	if carried.Has("id_token") || carried.Has("access_token") || carried.Get("state") != form.Get("state") {
		t.Errorf("%d parameters are carried", len(carried))
	}
	expect(t, b.Open(t, to.String()), http.StatusBadRequest, codeFailed)
	unused(t, p, b)
}

// Not at another host, not for another provider; and whoever can write to the store cannot hand one browser the
// answer of another.
func TestAParkedAnswerOpensOnlyForWhatItWasSealed(t *testing.T) {
	w, p := newPliant(t, frontLogin("id_token token", formPost))
	b, other := w.net.Browser(), w.net.Browser()
	_, one := handled(t, b, app+"/x")
	_, two := handled(t, other, app+"/y")
	key := func(hop string) string {
		handle := must(url.Parse(hop))(t).Query().Get("answer")
		return sharedKey("answer", must(base64.RawURLEncoding.DecodeString(handle))(t))
	}
	r, handle := must(http.NewRequest(http.MethodGet, one, http.NoBody))(t), must(url.Parse(one))(t).Query().Get("answer")
	for _, c := range []struct {
		host, provider string
		opens          bool
	}{{app, "corp", true}, {wiki, "corp", false}, {app, "guests", false}} {
		if _, err := w.flows.collect(r, mustOrigin(t, c.host), c.provider, handle); (err == nil) != c.opens {
			t.Errorf("P092 %s, %s: %v", c.host, c.provider, err)
		}
	}
	items := must(w.shared.Get(t.Context(), key(one), key(two)))(t)
	for i, hop := range []string{two, one} {
		if err := w.shared.Put(t.Context(), key(hop), items[i].Value, parkedLife); err != nil {
			t.Fatal(err)
		}
	}
	expect(t, b.Open(t, one), http.StatusBadRequest, codeState, "none of ours")
	expect(t, other.Open(t, two), http.StatusBadRequest, codeState, "none of ours")
	unused(t, p, b)
}

func TestS18AnAddressThatFailsTooOftenParksNothing(t *testing.T) {
	w, _ := newPliant(t, frontLogin("id_token", formPost))
	b := w.net.Browser()
	b.Header.Set("X-Test-Client", "203.0.113.7")
	form := posted(t, b, app+"/x")
	for range failureBurst {
		w.flows.budget.fail(network("203.0.113.7"))
	}
	puts := w.shared.puts.Load()
	page := deliver(t, b, form)
	expect(t, page, http.StatusTooManyRequests, codeTooMany)
	if w.shared.puts.Load() != puts || page.Header.Get("Retry-After") == "" || len(attempts(b, app)) != 1 {
		t.Errorf("%d writes, Retry-After %q, attempts %v", w.shared.puts.Load()-puts, page.Header.Get("Retry-After"), attempts(b, app))
	}
}

// A login page that was open while the configuration changed: nothing is redeemed for a login that is no more what it was.
func TestAnAnswerForALoginThatWasChangedIsRefused(t *testing.T) {
	w := newWorld(t, func(p *plan) {
		p.providers = []string{"guests"}
		p.flows = func(c *Config) {
			c.Logins = append(c.Logins,
				Login{Name: "guest", Flow: "authorization_code", Provider: "guests"},
				Login{Name: "spa", Flow: "implicit", Provider: "corp"},
				Login{Name: "tv", Flow: "device", Provider: "corp"},
			)
		}
	})
	for name, change := range map[string]func(*attempt){
		"it is gone":                   func(a *attempt) { a.login = "gone" },
		"it has another provider":      func(a *attempt) { a.login = "guest" },
		"it has no callback any more":  func(a *attempt) { a.login = "tv" },
		"its host is gone":             func(a *attempt) { a.here = mustOrigin(t, "https://gone.test") },
		"its host has no TLS any more": func(a *attempt) { a.here = mustOrigin(t, "http://app.test") },
	} {
		t.Run(name, func(t *testing.T) {
			a := newAttempt(t, "/x")
			change(a)
			query := "code=x&state=" + url.QueryEscape(w.flows.sealState(a))
			b := w.net.Browser()
			expect(t, b.Open(t, app+"/oauth2/callback/corp?"+query), http.StatusBadRequest, codeState, "configuration has changed")
			expect(t, b.Post(t, corp+"/", app+"/oauth2/callback/corp", must(url.ParseQuery(query))(t)), http.StatusBadRequest)
		})
	}
	t.Run("P092 it is another provider's, or another host's", func(t *testing.T) {
		query := "?code=x&state=" + url.QueryEscape(w.flows.sealState(newAttempt(t, "/x")))
		expect(t, w.net.Browser().Open(t, app+"/oauth2/callback/guests"+query), http.StatusBadRequest, codeState, "not begun here")
		expect(t, w.net.Browser().Open(t, wiki+"/oauth2/callback/corp"+query), http.StatusBadRequest, codeState, "on another host")
	})
}

func TestTheRelayPageIsOfOneProviderAndHost(t *testing.T) {
	w, _ := newPliant(t, func(p *plan) { p.providers = []string{"guests"} }, frontLogin("id_token", fragment),
		besides(Login{Name: "guest", Flow: "implicit", ResponseMode: fragment, Provider: "guests"}))
	b := w.net.Browser()
	if page := b.Open(t, app+"/oauth2/start?login=staff&rd=/x"); len(page.Forms()) != 1 || page.URL.Path != "/oauth2/callback/corp" {
		t.Fatalf("no relay page:\n%s", page.Trail())
	}
	expect(t, b.Open(t, app+"/oauth2/callback/guests"), http.StatusBadRequest, codeState)
	t.Run("with one callback it is there only", func(t *testing.T) {
		w, _ := newPliant(t, oneCallback, frontLogin("id_token", fragment))
		b := w.net.Browser()
		page := b.Open(t, app+"/x")
		if len(page.Forms()) != 1 || page.URL.Host != "login.test" {
			t.Fatalf("no relay page:\n%s", page.Trail())
		}
		expect(t, b.Open(t, callbackURL), http.StatusBadRequest, codeState)
	})
}
