package flows

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/doorward/doorward/demo/idp"
	"github.com/doorward/doorward/demo/idp/idptest"
	"github.com/doorward/doorward/internal/testnet"
)

// everyType lets the client at demo/idp ask for every response type.
func everyType(p *plan) {
	p.idp = func(c *idp.Config) { c.Clients[0].ResponseTypes = idptest.Every().Clients[0].ResponseTypes }
}

// signsIn opens address, signs a person in at demo/idp, and goes through a relay page.
func signsIn(t testing.TB, b *testnet.Browser, address, person string) *testnet.Page {
	t.Helper()
	page := b.Open(t, address)
	if page.URL.Host == strings.TrimPrefix(corp, "http://") {
		page = page.SignIn(t, person, person)
	}
	if page.URL.Path == "/oauth2/callback" && page.Status == http.StatusOK && page.Header.Get("Refresh") == "" {
		page = relayed(t, b, page)
	}
	return page
}

func TestEveryResponseTypeAtACompleteProvider(t *testing.T) {
	for _, responseType := range allResponseTypes {
		for _, mode := range []string{formPost, fragment} {
			t.Run(responseType+" by "+mode, func(t *testing.T) {
				w := newWorld(t, everyType, frontLogin(responseType, mode))
				b := w.net.Browser()
				page := signsIn(t, b, app+"/x?y=1", "alice")
				expect(t, page, http.StatusOK, "alice sees app.test/x?y=1")
				noTokenInAddresses(t, page)
				want := 0
				if strings.Contains(responseType, "code") {
					want = 1
				}
				if n := w.idp.Count(idp.Token); n != want {
					t.Errorf("%d token requests", n)
				}
				expect(t, b.Open(t, app+"/z"), http.StatusOK, "alice sees app.test/z")
				if log := w.log.String(); strings.Contains(log, "eyJ") {
					t.Error("P189: a token is in the log")
				}
				t.Run("and out, and in as somebody else", func(t *testing.T) {
					b.Post(t, "", signOut, nil)
					page := signsIn(t, b, app+"/oauth2/start?prompt=login&rd=/q", "bob")
					expect(t, page, http.StatusOK, "bob sees app.test/q")
				})
			})
		}
	}
}

// Group H of the attacks once more, with tokens that come by form_post or by fragment.
func TestGroupHOverTheFrontChannel(t *testing.T) {
	sins := map[string]idp.Sin{}
	for name, sin := range idp.Catalogue() {
		if strings.HasPrefix(name, "front_") || strings.HasPrefix(name, "hybrid_") {
			sins[name] = sin
		}
	}
	for _, name := range []string{
		"wrong_nonce", "missing_nonce", "alg_none", "alg_hs256_key", "alg_hs256_secret", "wrong_signature", "empty_signature", "unknown_kid", "embedded_key",
		"wrong_iss", "wrong_aud", "missing_aud", "empty_aud", "wrong_azp", "expired", "future_iat", "missing_iat", "missing_sub", "empty_sub", "number_sub",
		"typ_access_token", "typ_logout_token",
	} {
		sins["H "+name] = idp.Catalogue()[name].On(idp.Response)
	}
	for _, responseType := range allResponseTypes {
		for _, mode := range []string{formPost, fragment} {
			w := newWorld(t, everyType, frontLogin(responseType, mode))
			for name, sin := range sins {
				if !wrongs(name, responseType) {
					continue // it changes nothing that counts in such an answer
				}
				t.Run(responseType+" by "+mode+"/"+name, func(t *testing.T) {
					w.idp.ResetRequests()
					w.idp.Misbehave(sin.Always())
					defer w.idp.Heal()
					b := w.net.Browser()
					page := signsIn(t, b, app+"/x", "alice")
					if page.Status < 400 || b.Jar.Get(app, sessionID) != "" {
						t.Errorf("%d, session %q\n%s", page.Status, b.Jar.Get(app, sessionID), page.Trail())
					}
					// Only the token endpoint can tell that the two ID tokens are of different people.
					if !strings.HasPrefix(name, "hybrid_") && name != "front_other_sub" && w.idp.Count(idp.Token) != 0 {
						t.Error("IMP-6: the code was used")
					}
					if left := attempts(b, app); len(left) != 0 && page.Status != http.StatusBadRequest {
						t.Errorf("RSP-7: left behind: %v", left)
					}
				})
			}
		}
	}
}

// wrongs reports whether a sin makes an answer of this type wrong.
func wrongs(sin, responseType string) bool {
	words := strings.Fields(responseType)
	code, token, idToken := slices.Contains(words, "code"), slices.Contains(words, "token"), slices.Contains(words, "id_token")
	switch sin {
	case "front_missing_s_hash", "front_no_expires_in", "front_huge_expires":
		return false // may be missing; is clamped
	case "hybrid_other_sub":
		return code && idToken // else there is nobody to compare with
	case "front_other_sub":
		return code && idToken // else it is simply who signed in
	case "front_no_code":
		return code
	case "front_extra_code":
		return idToken // of "code token" the token endpoint alone can tell
	case "front_wrong_c_hash", "front_missing_c_hash", "front_number_c_hash":
		return code && idToken
	case "front_wrong_at_hash", "front_missing_at_hash":
		return token && idToken
	case "front_extra_access":
		return !token
	case "front_no_access", "front_two_access", "front_no_token_type", "front_mac_token", "front_negative_expires":
		return token
	case "front_extra_id_token", "front_two_id_tokens", "front_garbage_token", "front_huge_token", "front_refresh_token", "front_error_and_tokens":
		return true
	}
	if strings.HasPrefix(sin, "hybrid_") {
		return code
	}
	return idToken // all others are about the one that comes through the browser
}

func TestASilentLoginFollowsTheEndOfAFrontChannelToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, everyType, frontLogin("id_token token", formPost), func(p *plan) { p.uses = true })
		b := w.net.Browser()
		expect(t, signsIn(t, b, app+"/x", "alice"), http.StatusOK, "alice sees")
		time.Sleep(2 * time.Hour)
		page := b.Open(t, app+"/y") // the provider remembers alice, and asks nothing
		expect(t, page, http.StatusOK, "alice sees app.test/y")
		if n := w.idp.Count(idp.Authorize); n != 2 {
			t.Errorf("IMP-9: %d authorization requests", n)
		}
	})
}

// An access token that the ID token vouches for reaches userinfo as it is: what that says is the provider's.
func TestWhatUserinfoSaysIsTheProvidersFault(t *testing.T) {
	for sin, status := range map[string]int{
		"P103 userinfo_other_sub": http.StatusBadGateway, "P103 userinfo_no_sub": http.StatusBadGateway, "P114 wrong_at_hash": http.StatusBadRequest,
	} {
		t.Run(sin, func(t *testing.T) {
			w := newWorld(t, everyType, frontLogin("id_token token", formPost), func(p *plan) {
				before := p.idp
				p.idp = func(c *idp.Config) { before(c); c.Clients[0].LeanIDToken = true }
			})
			wrong := idp.Catalogue()[strings.Fields(sin)[1]]
			if status == http.StatusBadRequest {
				wrong = wrong.On(idp.Response)
			}
			w.idp.Misbehave(wrong.Always())
			b := w.net.Browser()
			expect(t, signsIn(t, b, app+"/x", "alice"), status)
			if b.Jar.Get(app, sessionID) != "" {
				t.Error("a session was made")
			}
		})
	}
}
