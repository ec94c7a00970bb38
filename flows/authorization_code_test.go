package flows

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/demo/idp"
	"github.com/doorward/doorward/flows/provider"
	"github.com/doorward/doorward/internal/secret"
)

func TestALoginEndsOnThePageThatWasAskedFor(t *testing.T) {
	w := newWorld(t)
	for name, address := range map[string]string{
		"AUT-6 query kept":             app + "/reports/7?from=2026-01-01&q=a%20b%26c",
		"another host":                 wiki + "/Start?x=%2F%2Fy",
		"AUT-6 too long for state":     app + "/a?q=" + strings.Repeat("x", 700),
		"AUT-6 too long for a cookie":  app + "/a?q=" + strings.Repeat("y", 5000),
		"encoded like one of the host": app + "/b?next=https://evil.test/",
	} {
		t.Run(name, func(t *testing.T) {
			b := w.net.Browser()
			page := b.Open(t, address).SignIn(t, "alice", "alice")
			expect(t, page, http.StatusOK, "alice sees "+strings.TrimPrefix(address, "https://"))
			if page.URL.String() != address {
				t.Errorf("ended on %s", page.URL)
			}
			if n := attempts(b, address); len(n) != 0 {
				t.Errorf("the attempt's cookie was left behind: %v", n)
			}
		})
	}
}

func TestP112CodeAndStateLeaveTheAddressBar(t *testing.T) {
	w := newWorld(t)
	page := w.net.Browser().Open(t, app+"/x").SignIn(t, "alice", "alice")
	seen := 0
	for _, hop := range page.Hops {
		if !strings.Contains(hop.URL.Path, "/oauth2/callback") {
			continue
		}
		seen++
		if hop.Status != http.StatusSeeOther || hop.Location != "/x" {
			t.Errorf("AUT-8: the callback answers %d to %q", hop.Status, hop.Location)
		}
		for name, want := range map[string]string{"Cache-Control": "no-store", "Referrer-Policy": "no-referrer"} {
			if got := hop.Header.Get(name); got != want {
				t.Errorf("P188: %s: %q", name, got)
			}
		}
		for _, line := range hop.Header.Values("Set-Cookie") {
			c := must(http.ParseSetCookie(line))(t)
			if !c.Secure || !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.Path != "/" || c.Domain != "" {
				t.Errorf("P074: cookie attributes: %s", line)
			}
		}
	}
	if seen != 1 {
		t.Errorf("%d callbacks", seen)
	}
	if page.URL.RawQuery != "" {
		t.Errorf("ended on %s", page.URL)
	}
}

func TestP094TheAuthorizationRequest(t *testing.T) {
	w := newWorld(t, func(p *plan) {
		p.flows = func(c *Config) {
			c.Logins[0].Params = map[string][]string{"ui_locales": {"de"}, "prompt": {"select_account"}}
		}
	})
	seen := map[string]bool{}
	for range 3 {
		b := w.net.Browser()
		b.Open(t, app+"/x").SignIn(t, "alice", "alice")
		asked, redeemed := w.idp.Last(idp.Authorize).Query, w.idp.Last(idp.Token).Form
		for name, want := range map[string]string{
			"AUT-1 response_type": "code", "AUT-1 client_id": "doorward", "AUT-13 redirect_uri": app + "/oauth2/callback",
			"AUT-4 code_challenge_method": "S256", "AUT-1 scope": "openid profile email groups", "AUT-9 ui_locales": "de", "AUT-9 prompt": "select_account",
		} {
			_, param, _ := strings.Cut(name, " ")
			if got := asked[param]; len(got) != 1 || got[0] != want {
				t.Errorf("%s = %q, want %q", name, got, want)
			}
		}
		verifier := redeemed.Get("code_verifier")
		if len(verifier) < 43 || provider.Challenge(secret.New(verifier)) != asked.Get("code_challenge") {
			t.Errorf("AUT-4: verifier %q, challenge %q", verifier, asked.Get("code_challenge"))
		}
		if redeemed.Get("redirect_uri") != asked.Get("redirect_uri") {
			t.Errorf("TOK-1: redirect_uri %q", redeemed.Get("redirect_uri"))
		}
		if n := len(asked.Get("state")); n < 64 || n > 600 {
			t.Errorf("state of %d characters", n)
		}
		for _, v := range []string{verifier, asked.Get("nonce"), asked.Get("state"), asked.Get("code_challenge")} {
			if len(v) < 43 || seen[v] {
				t.Errorf("P087: %q is short or was seen before", v)
			}
			seen[v] = true
		}
	}
}

// Whatever is wrong with the provider's answer, nobody is signed in, nothing panics, the code is
// sent once, and the person reads a page.
func TestBadAnswersMakeNoSession(t *testing.T) {
	for name, c := range map[string]struct {
		sin    idp.Sin
		status int
	}{
		"P096 nonce of another login": {idp.Catalogue()["wrong_nonce"], 400},
		"P096 no nonce":               {idp.Catalogue()["missing_nonce"], 400},
		"P097 alg none":               {idp.Catalogue()["alg_none"], 502},
		"P097 HS256, public key":      {idp.Catalogue()["alg_hs256_key"], 502},
		"P097 HS256, secret":          {idp.Catalogue()["alg_hs256_secret"], 502},
		"P098 signature":              {idp.Catalogue()["wrong_signature"], 502},
		"P098 empty signature":        {idp.Catalogue()["empty_signature"], 502},
		"P098 unknown kid":            {idp.Catalogue()["unknown_kid"], 502},
		"P098 key in the token":       {idp.Catalogue()["embedded_key"], 502},
		"P099 iss":                    {idp.Catalogue()["wrong_iss"], 502},
		"P099 iss with a slash":       {idp.Claim("iss", corp+"/"), 502},
		"P099 aud":                    {idp.Catalogue()["wrong_aud"], 502},
		"P099 no aud":                 {idp.Catalogue()["missing_aud"], 502},
		"P099 empty aud":              {idp.Catalogue()["empty_aud"], 502},
		"P100 azp":                    {idp.Catalogue()["wrong_azp"], 502},
		"P100 two aud":                {idp.Claim("aud", []string{"doorward", "x"}), 502},
		"P101 expired":                {idp.Catalogue()["expired"], 502},
		"P101 iat in ten days":        {idp.Catalogue()["future_iat"], 502},
		"P101 no iat":                 {idp.Catalogue()["missing_iat"], 502},
		"P101 nbf tomorrow":           {idp.Claim("nbf", time.Now().Add(24*time.Hour).Unix()), 502},
		"P102 no sub":                 {idp.Catalogue()["missing_sub"], 502},
		"P102 empty sub":              {idp.Catalogue()["empty_sub"], 502},
		"P102 sub is a number":        {idp.Catalogue()["number_sub"], 502},
		"P103 userinfo of another":    {idp.Catalogue()["userinfo_other_sub"], 502},
		"P104 access token":           {idp.Catalogue()["typ_access_token"], 502},
		"P104 logout token":           {idp.Catalogue()["typ_logout_token"], 502},
		"P105 at_hash":                {idp.Catalogue()["wrong_at_hash"], 502},
		"P111 one style, one try":     {idp.OAuthError("unauthorized_client"), 502},
		"TOK-5 no ID token":           {idp.Catalogue()["missing_id_token"], 502},
		"TOK-5 garbage":               {idp.Catalogue()["garbage"], 502},
		"TOK-6 invalid_client":        {idp.OAuthError("invalid_client"), 502},
		"TOK-7 server error":          {idp.Catalogue()["server_error"], 503},
		"TOK-7 unavailable":           {idp.Catalogue()["unavailable"], 503},
		"TOK-7 dropped":               {idp.Catalogue()["drop"], 503},
		"P110 redirect":               {idp.RedirectedTo(other + "/steal"), 502},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, func(p *plan) { p.idp = func(c *idp.Config) { c.Clients[0].LeanIDToken = true } })
			w.idp.Misbehave(c.sin.Always())
			b := w.net.Browser()
			page := b.Open(t, app+"/x").SignIn(t, "alice", "alice")
			expect(t, page, c.status)
			if b.Jar.Get(app, sessionID) != "" || len(attempts(b, app)) != 0 {
				t.Errorf("cookies are left: %v", b.Jar.Names(app))
			}
			if n := w.idp.Count(idp.Token); n != 1 {
				t.Errorf("TOK-7: %d token requests", n)
			}
			if c.status == 503 && page.Header.Get("Retry-After") == "" {
				t.Error("503 without Retry-After")
			}
			w.idp.Heal()
			expect(t, b.Open(t, app+"/x"), http.StatusOK, "alice sees")
		})
	}
}

func TestTOK6ARefusedCodeBeginsTheLoginAnewOnce(t *testing.T) {
	t.Run("the second try works", func(t *testing.T) {
		w := newWorld(t)
		w.idp.Misbehave(idp.OAuthError("invalid_grant"))
		page := w.net.Browser().Open(t, app+"/x?y").SignIn(t, "alice", "alice")
		expect(t, page, http.StatusOK, "alice sees app.test/x?y")
		if n := w.idp.Count(idp.Token); n != 2 {
			t.Errorf("%d token requests", n)
		}
	})
	t.Run("the second try fails too", func(t *testing.T) {
		w := newWorld(t)
		w.idp.Misbehave(idp.OAuthError("invalid_grant").Always())
		page := w.net.Browser().Open(t, app+"/x").SignIn(t, "alice", "alice")
		expect(t, page, http.StatusBadRequest, codeFailed)
		if n := w.idp.Count(idp.Token); n != 2 {
			t.Errorf("RSP-7: %d token requests", n)
		}
	})
}

func TestP086LoginAsSomebodyElseReplacesTheSession(t *testing.T) {
	w := newWorld(t)
	b := w.signedIn(t, app+"/x")
	before := b.Jar.Get(app, sessionID)
	page := b.Open(t, app+"/oauth2/start?prompt=login&rd=%2Fy").SignIn(t, "bob", "bob")
	expect(t, page, http.StatusOK, "bob sees app.test/y")
	after := b.Jar.Get(app, sessionID)
	if after == before {
		t.Error("P072: the session id stayed the same")
	}
	thief := w.net.Browser()
	thief.Jar.Put(app, &http.Cookie{Name: sessionID, Value: before, Path: "/", Secure: true})
	thief.StopAt = func(*url.URL) bool { return true }
	expect(t, thief.Open(t, app+"/x"), http.StatusFound)
}

func TestP095AnotherLoginsCodeMakesNobody(t *testing.T) {
	w := newWorld(t)
	alices := must(url.Parse(w.answered(t, w.net.Browser(), app+"/x")))(t).Query().Get("code")
	b := w.net.Browser()
	b.Open(t, corp+"/") // a page of the provider's, where bob …
	b.StopAt = func(next *url.URL) bool { return next.Query().Has("code") }
	bobs := b.Open(t, app+"/y").SignIn(t, "bob", "bob").Header.Get("Location")
	b.StopAt = func(next *url.URL) bool { return next.Hostname() == "127.0.0.1" }
	page := b.Open(t, with(t, bobs, "code", alices))
	if page.Status != http.StatusFound || b.Jar.Get(app, sessionID) != "" {
		t.Fatalf("%d %v", page.Status, b.Jar.Names(app)) // TOK-6: the login begins anew
	}
	b.StopAt = nil
	t.Run("it ends as the one who signed in", func(t *testing.T) {
		expect(t, b.Visit(t, app+"/", page.Header.Get("Location")), http.StatusOK, "bob sees app.test/y")
	})
	t.Run("injected again it is refused", func(t *testing.T) {
		w := newWorld(t)
		b := w.net.Browser()
		first := w.answered(t, b, app+"/y")
		second := w.answered(t, b, with(t, first, "code", "injected"))
		expect(t, b.Open(t, with(t, second, "code", "injected")), http.StatusBadRequest, codeFailed)
		if b.Jar.Get(app, sessionID) != "" {
			t.Error("a session was made")
		}
	})
}

func TestP094PKCEIsNeverDowngraded(t *testing.T) {
	for _, sin := range []string{"discovery_no_pkce", "discovery_plain_pkce"} {
		w := newWorld(t)
		w.idp.Misbehave(idp.Catalogue()[sin].Always())
		w.signedIn(t, app+"/x")
		if asked := w.idp.Last(idp.Authorize).Query; asked.Get("code_challenge_method") != "S256" || asked.Get("code_challenge") == "" {
			t.Errorf("%s: %v", sin, asked)
		}
	}
}

func TestP109ADiscoveryThatLiesBeginsNoLogin(t *testing.T) {
	for _, sin := range []string{"discovery_other_issuer", "discovery_javascript", "discovery_http_token", "discovery_metadata_ip", "discovery_404"} {
		t.Run(sin, func(t *testing.T) {
			w := newWorld(t)
			w.idp.Misbehave(idp.Catalogue()[sin].Always())
			b := w.net.Browser()
			page := b.Open(t, app+"/x")
			if page.Status != http.StatusBadGateway && page.Status != http.StatusServiceUnavailable || len(page.Hops) != 1 || len(b.Jar.Names(app)) != 0 {
				t.Errorf("%d %v\n%s", page.Status, b.Jar.Names(app), page.Trail())
			}
			if strings.Contains(page.Body, "169.254") || strings.Contains(page.Body, "9001") || strings.Contains(page.Body, "javascript:") {
				t.Errorf("P193: %s", page.Text())
			}
		})
	}
}

func TestP113UserinfoOverridesNothingThatIsProtected(t *testing.T) {
	w := newWorld(t, func(p *plan) { p.idp = func(c *idp.Config) { c.Clients[0].LeanIDToken = true } })
	w.idp.Misbehave(idp.Catalogue()["userinfo_protected"].Always())
	b := w.signedIn(t, app+"/x")
	got := decode(t, b.Fetch(t, "", http.MethodGet, app+"/oauth2/session", nil).Body)["user"].(map[string]any)
	if got["iss"] != corp || got["sub"] != "8f2c-alice" {
		t.Errorf("%v", got)
	}
}

func TestIDT11MaxAgeIsCheckedAsItWasAsked(t *testing.T) {
	for _, age := range []string{"0", "60"} {
		w := newWorld(t, func(p *plan) {
			p.flows = func(c *Config) { c.Logins[0].Params = map[string][]string{"max_age": {age}} }
		})
		w.signedIn(t, app+"/x")
		w.idp.Misbehave(idp.Claim("auth_time", time.Now().Add(-time.Hour).Unix()).Always())
		b := w.net.Browser()
		expect(t, b.Open(t, app+"/x").SignIn(t, "alice", "alice"), http.StatusBadGateway, codeProviderBad)
		if asked := w.idp.Last(idp.Authorize).Query.Get("max_age"); asked != age {
			t.Errorf("asked for %q", asked)
		}
	}
}
