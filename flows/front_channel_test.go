package flows

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/doorward/doorward/internal/identity"
	"github.com/doorward/doorward/internal/pages"
	"github.com/doorward/doorward/internal/testnet"
)

const callbackURL = app + "/oauth2/callback"

var allResponseTypes = []string{"id_token", "id_token token", "code id_token", "code token", "code id_token token"}

// relayed does what the script of the relay page does, which testnet's browser does not: it posts the
// fragment's parameters with the page's token.
func relayed(t testing.TB, b *testnet.Browser, page *testnet.Page) *testnet.Page {
	t.Helper()
	next := b.Post(t, page.URL.String(), relayAction(t, page), relayForm(t, page))
	next.Hops = append(page.Hops, next.Hops...)
	return next
}

func relayForm(t testing.TB, page *testnet.Page) url.Values {
	t.Helper()
	forms := page.Forms()
	if page.Status != http.StatusOK || len(forms) != 1 {
		t.Fatalf("no relay page:\n%s%s", page.Trail(), page.Body)
	}
	fields := must(url.ParseQuery(page.URL.EscapedFragment()))(t)
	fields.Set(pages.RelayField, forms[0].Fields.Get(pages.RelayField))
	return fields
}

func relayAction(t testing.TB, page *testnet.Page) string {
	t.Helper()
	return must(page.URL.Parse(page.Forms()[0].Action))(t).String()
}

// through opens address and goes through a relay page if one comes.
func through(t testing.TB, b *testnet.Browser, address string) *testnet.Page {
	t.Helper()
	page := b.Open(t, address)
	if page.URL.Path == "/oauth2/callback" && page.Status == http.StatusOK && page.Header.Get("Refresh") == "" {
		page = relayed(t, b, page)
	}
	return page
}

// posted begins a login at address and returns the form that the provider's page would post.
func posted(t testing.TB, b *testnet.Browser, address string) url.Values {
	t.Helper()
	b.StopAt = func(next *url.URL) bool { return next.Path == "/oauth2/callback" }
	defer func() { b.StopAt = nil }()
	page := b.Open(t, address)
	if len(page.Forms()) != 1 || page.URL.Host != strings.TrimPrefix(pliant, "http://") {
		t.Fatalf("no form of the provider:\n%s%s", page.Trail(), page.Body)
	}
	return page.Forms()[0].Fields
}

// deliver posts a form as the provider's page does.
func deliver(t testing.TB, b *testnet.Browser, form url.Values) *testnet.Page {
	t.Helper()
	return b.Post(t, pliant+"/authorize", callbackURL, form)
}

// noTokenInAddresses fails if anything but the state came into an address of ours.
func noTokenInAddresses(t testing.TB, page *testnet.Page) {
	t.Helper()
	for _, hop := range page.Hops {
		for _, name := range []string{"code", "id_token", "access_token"} {
			if hop.URL.Query().Has(name) {
				t.Errorf("P116: %s in the address of %s %s", name, hop.Method, hop.URL.Host)
			}
		}
	}
}

func TestEveryResponseTypeInEveryModeSignsIn(t *testing.T) {
	for _, responseType := range allResponseTypes {
		for _, mode := range []string{formPost, fragment} {
			t.Run(responseType+" by "+mode, func(t *testing.T) {
				w, p := newPliant(t, frontLogin(responseType, mode))
				b := w.net.Browser()
				page := through(t, b, app+"/x?y=1&z")
				expect(t, page, http.StatusOK, "alice sees app.test/x?y=1&z")
				noTokenInAddresses(t, page)
				asked := p.lastAsked(t)
				if asked.Get("response_type") != responseType || asked.Get("response_mode") != mode || len(asked.Get("nonce")) != 43 {
					t.Errorf("IMP-2, IMP-4: %v", asked)
				}
				code := strings.Contains(responseType, "code")
				if code != (asked.Get("code_challenge") != "") || code != (p.grants() == 1) {
					t.Errorf("challenge %q, %d token requests", asked.Get("code_challenge"), p.grants())
				}
				if left := attempts(b, app); len(left) != 0 {
					t.Errorf("left behind: %v", left)
				}
				if page.URL.Fragment != "" {
					t.Errorf("P116: the fragment stays: %s", page.URL.Fragment)
				}
				for _, secret := range []string{"code-", "front-", "later-", "refresh-", "eyJ", asked.Get("state"), asked.Get("nonce")} {
					if strings.Contains(w.log.String(), secret) {
						t.Errorf("P189: %s is in the log", secret)
					}
				}
				session := b.Jar.Get(app, sessionID)
				who := w.whoIs(t, session)
				if token := who.Tokens.AccessToken.Reveal(); code && !strings.HasPrefix(token, "later-") || !code && strings.HasPrefix(token, "later-") {
					t.Errorf("IMP-7: the access token is %q", token)
				}
				if code == who.Tokens.RefreshToken.IsZero() {
					t.Errorf("IMP-9: refresh token: %v", !who.Tokens.RefreshToken.IsZero())
				}
			})
		}
	}
}

func TestTheCookieOfAFormPostAttemptComesFromAnotherSite(t *testing.T) {
	w, _ := newPliant(t, frontLogin("id_token", formPost))
	b := w.net.Browser()
	form := posted(t, b, app+"/x")
	names := attempts(b, app)
	if len(names) != 1 || !strings.HasPrefix(names[0], "__Host-doorward-post.") || len(b.Jar.Refused) != 0 {
		t.Fatalf("CONTRACT §3: %v, refused %v", names, b.Jar.Refused)
	}
	page := deliver(t, b, form)
	expect(t, page, http.StatusOK, "alice sees app.test/x")
	if sent := page.Hops[0].Sent; len(sent) != 1 || sent[0] != names[0] {
		t.Errorf("RSP-8: with the provider's POST came %v", sent)
	}
	if page.Hops[0].Status != http.StatusSeeOther {
		t.Errorf("AUT-8: %d", page.Hops[0].Status)
	}
}

func TestFormPostWorksOnLoopbackWithoutTLS(t *testing.T) {
	const local = "http://localhost"
	w, _ := newPliant(t, frontLogin("id_token token", formPost), func(p *plan) { p.hosts = append(p.hosts, local) })
	b := w.net.Browser()
	expect(t, b.Open(t, local+"/x"), http.StatusOK, "alice sees localhost/x")
	if len(b.Jar.Refused) != 0 {
		t.Errorf("refused: %v", b.Jar.Refused)
	}
}

func TestMaxAgeIsCheckedWhereItWasAsked(t *testing.T) {
	for _, responseType := range allResponseTypes {
		t.Run(responseType, func(t *testing.T) {
			w, p := newPliant(t, frontLogin(responseType, formPost), func(p *plan) {
				before := p.flows
				p.flows = func(c *Config) { before(c); c.Logins[0].Params = map[string][]string{"max_age": {"60"}} }
			})
			old := func(c map[string]any) { c["auth_time"] = time.Now().Add(-time.Hour).Unix() }
			p.front, p.later = old, old
			b := w.net.Browser()
			if page := b.Open(t, app+"/x"); page.Status < 400 || b.Jar.Get(app, sessionID) != "" {
				t.Errorf("IDT-11: %d", page.Status)
			}
			if got := p.lastAsked(t).Get("max_age"); got != "60" {
				t.Errorf("max_age %q", got)
			}
			p.front, p.later = nil, nil
			expect(t, b.Open(t, app+"/x"), http.StatusOK, "alice sees")
		})
	}
}

func TestP107ParametersOfAPostAreThereOnce(t *testing.T) {
	w, p := newPliant(t, frontLogin("code id_token", formPost))
	b := w.net.Browser()
	form := posted(t, b, app+"/x")
	twice := func(name string) url.Values {
		f := url.Values{}
		for k, v := range form {
			f[k] = v
		}
		f[name] = append(append([]string{}, form[name]...), "x")
		if len(form[name]) == 0 {
			f[name] = []string{"x", "x"}
		}
		return f
	}
	for _, name := range []string{"code", "state", "id_token", "iss", "anything"} {
		w.refused(t, b, deliver(t, b, twice(name)), http.StatusBadRequest, codeBadRequest)
	}
	t.Run("and nothing comes from the address", func(t *testing.T) {
		page := b.Post(t, pliant+"/authorize", callbackURL+"?"+form.Encode(), form)
		w.refused(t, b, page, http.StatusBadRequest, codeBadRequest)
		page = b.Post(t, pliant+"/authorize", callbackURL+"?"+form.Encode(), url.Values{})
		w.refused(t, b, page, http.StatusBadRequest, codeBadRequest)
	})
	if p.grants() != 0 {
		t.Error("the code was sent")
	}
	t.Run("the login still works", func(t *testing.T) {
		expect(t, deliver(t, b, form), http.StatusOK, "alice sees app.test/x")
	})
}

func TestIMP2AnAnswerInTheAddressIsRefused(t *testing.T) {
	for _, responseType := range allResponseTypes {
		for _, mode := range []string{formPost, fragment} {
			w, p := newPliant(t, frontLogin(responseType, mode))
			p.respond = func(rw http.ResponseWriter, q url.Values) bool {
				a := url.Values{"state": q["state"]}
				p.tokens(q, a)
				rw.Header().Set("Location", q.Get("redirect_uri")+"?"+a.Encode())
				rw.WriteHeader(http.StatusSeeOther)
				return true
			}
			b := w.net.Browser()
			page := b.Open(t, app+"/x")
			expect(t, page, http.StatusBadRequest, codeFailed)
			if p.grants() != 0 || b.Jar.Get(app, sessionID) != "" {
				t.Errorf("%s by %s: used", responseType, mode)
			}
		}
	}
}

func TestErrorsOfTheProviderAreUnderstoodByEveryWay(t *testing.T) {
	for _, mode := range []string{formPost, fragment} {
		for _, way := range []string{mode, "query"} {
			t.Run(mode+" by "+way, func(t *testing.T) {
				w, p := newPliant(t, frontLogin("id_token token", mode))
				p.respond = func(rw http.ResponseWriter, q url.Values) bool {
					q.Set("response_mode", way)
					a := url.Values{"state": q["state"], "error": {"access_denied"}, "error_description": {"<script>alert(1)</script>"}}
					send(rw, &http.Request{Method: http.MethodGet, URL: &url.URL{Path: "/authorize"}}, q, a)
					return true
				}
				b := w.net.Browser()
				page := through(t, b, app+"/x")
				expect(t, page, http.StatusForbidden, codeDenied)
				if strings.Contains(page.Body, "<script>alert") || b.Jar.Get(app, sessionID) != "" || len(attempts(b, app)) != 0 {
					t.Error("P106")
				}
			})
		}
	}
}

func TestRSP2ASilentAttemptIsFollowedByOneThatAsks(t *testing.T) {
	for _, mode := range []string{formPost, fragment} {
		t.Run(mode, func(t *testing.T) {
			w, p := newPliant(t, frontLogin("id_token token", mode), func(p *plan) {
				before := p.flows
				p.flows = func(c *Config) { before(c); c.Logins[0].Params = map[string][]string{"prompt": {"none"}} }
			})
			p.person = ""
			b := w.net.Browser()
			page := through(t, b, app+"/x")
			if mode == fragment { // the second login ends on the relay page again
				page = relayed(t, b, page)
			}
			expect(t, page, http.StatusOK, "alice sees app.test/x")
			if len(p.asked) != 2 || p.asked[0].Get("prompt") != "none" || p.asked[1].Has("prompt") {
				t.Errorf("asked %d times", len(p.asked))
			}
		})
	}
}

func TestIMP9TheEndOfAnAccessTokenWithoutRefreshIsANewLogin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, p := newPliant(t, frontLogin("id_token token", formPost), func(p *plan) { p.uses = true })
		b := w.net.Browser()
		expect(t, b.Open(t, app+"/x"), http.StatusOK, "alice sees")
		time.Sleep(6 * time.Minute)
		expect(t, b.Open(t, app+"/y"), http.StatusOK, "alice sees app.test/y")
		if len(p.asked) != 2 {
			t.Errorf("%d logins", len(p.asked))
		}
	})
}

// whoIs returns whose session a cookie is.
func (w *world) whoIs(t testing.TB, session string) *identity.Identity {
	t.Helper()
	r := must(http.NewRequest(http.MethodGet, app+"/", http.NoBody))(t)
	r.AddCookie(&http.Cookie{Name: sessionID, Value: session})
	s := must(w.keeper.Load(r))(t)
	if s == nil {
		t.Fatal("no session")
	}
	return s.Who
}
