package flows

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

type wrong struct {
	front  func(map[string]any)
	answer func(asked, answer url.Values)
}

func claim(name string, value any) wrong {
	return wrong{front: func(c map[string]any) {
		if value == nil {
			delete(c, name)
			return
		}
		c[name] = value
	}}
}

func parameter(name, value string) wrong {
	return wrong{answer: func(_, a url.Values) {
		if value == "" {
			a.Del(name)
			return
		}
		a.Set(name, value)
	}}
}

func TestP114WrongFrontChannelAnswersAreRefused(t *testing.T) {
	week := time.Now().Add(-7 * 24 * time.Hour).Unix()
	tokenOf := func(name, value string) string { // unsigned, or signed by nobody
		return base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"`+name+`"}`)) + "." + base64.RawURLEncoding.EncodeToString([]byte(`{"sub":"sub-alice"}`)) + "." + value
	}
	always := map[string]wrong{
		"IMP-4 no nonce":                 claim("nonce", nil),
		"P096 the nonce of another flow": claim("nonce", strings.Repeat("A", 43)),
		"P099 aud other":                 claim("aud", "somebody"),
		"P099 iss other":                 claim("iss", pliant+"/"),
		"P100 a second audience":         claim("aud", []string{"doorward", "evil"}),
		"P101 exp past":                  claim("exp", week),
		"P101 iat old":                   claim("iat", week),
		"P102 no sub":                    claim("sub", nil),
		"P104 a logout token":            claim("events", map[string]any{"http://schemas.openid.net/event/backchannel-logout": map[string]any{}}),
		"IMP-8 no ID token":              parameter("id_token", ""),
		"P097 alg none":                  parameter("id_token", tokenOf("none", "")),
		"P098 no signature":              parameter("id_token", tokenOf("ES256", "")),
		"P093 iss other":                 parameter("iss", "https://evil.test"),
	}
	withToken := map[string]wrong{
		"P114 no at_hash":                       claim("at_hash", nil),
		"P114 at_hash of another token":         claim("at_hash", half("other")),
		"P115 the access token of another user": parameter("access_token", "stolen"),
		"IMP-8 no access token":                 parameter("access_token", ""),
		"IMP-8 token_type other":                parameter("token_type", "DPoP"),
		"IMP-8 no token_type":                   parameter("token_type", ""),
		"a refresh token":                       parameter("refresh_token", "r"),
		"expires_in negative":                   parameter("expires_in", "-1"),
	}
	withCode := map[string]wrong{
		"IMP-6 no c_hash":               claim("c_hash", nil),
		"P105 c_hash of another code":   claim("c_hash", half("other")),
		"P095 the code of another user": parameter("code", "stolen"),
		"IMP-8 no code":                 parameter("code", ""),
		"IMP-6 s_hash of another state": claim("s_hash", half("other")),
	}
	extra := map[string]map[string]wrong{
		"id_token":       {"IMP-8 a code that was not asked for": parameter("code", "x"), "IMP-8 an access token that was not asked for": parameter("access_token", "x")},
		"id_token token": {"IMP-8 a code that was not asked for": parameter("code", "x")},
		"code id_token":  {"IMP-8 an access token that was not asked for": parameter("access_token", "x")},
	}
	lists := map[string][]map[string]wrong{
		"id_token": {always, extra["id_token"]}, "id_token token": {always, withToken, extra["id_token token"]},
		"code id_token": {always, withCode, extra["code id_token"]}, "code id_token token": {always, withCode, withToken},
		"code token": {{
			"IMP-8 no code": withCode["IMP-8 no code"], "IMP-8 no access token": withToken["IMP-8 no access token"],
			"IMP-8 an ID token that was not asked for": parameter("id_token", "x"), "P093 iss other": always["P093 iss other"],
		}},
	}
	for responseType, groups := range lists {
		for _, mode := range []string{formPost, fragment} {
			w, p := newPliant(t, frontLogin(responseType, mode))
			for _, group := range groups {
				for name, bad := range group {
					t.Run(responseType+" by "+mode+"/"+name, func(t *testing.T) {
						p.front, p.answer = bad.front, bad.answer
						b := w.net.Browser()
						page := through(t, b, app+"/x")
						expect(t, page, http.StatusBadRequest, codeFailed)
						if b.Jar.Get(app, sessionID) != "" || p.grants() != 0 {
							t.Errorf("IMP-6: session %q, %d token requests", b.Jar.Get(app, sessionID), p.grants())
						}
						if left := attempts(b, app); len(left) != 0 {
							t.Errorf("RSP-7: left behind: %v", left)
						}
						if log := w.log.String(); strings.Contains(log, "eyJ") || strings.Contains(log, "stolen") || strings.Contains(log, "front-") {
							t.Error("P189: a token is in the log")
						}
					})
				}
			}
		}
	}
}

func TestIMP7TheTokenEndpointMustNameTheSamePerson(t *testing.T) {
	for _, responseType := range []string{"code id_token", "code id_token token"} {
		t.Run(responseType, func(t *testing.T) {
			w, p := newPliant(t, frontLogin(responseType, formPost))
			for name, change := range map[string]func(map[string]any){
				"sub other":   func(c map[string]any) { c["sub"] = "sub-bob" },
				"iss other":   func(c map[string]any) { c["iss"] = "https://evil.test" },
				"nonce other": func(c map[string]any) { c["nonce"] = "other" },
				"no nonce":    func(c map[string]any) { delete(c, "nonce") },
			} {
				p.later = change
				b := w.net.Browser()
				page := b.Open(t, app+"/x")
				if page.Status < 400 || b.Jar.Get(app, sessionID) != "" {
					t.Errorf("%s: %d, session %q", name, page.Status, b.Jar.Get(app, sessionID))
				}
			}
		})
	}
}

func TestNewRefusesResponseTypesThatDontFit(t *testing.T) {
	w := newWorld(t)
	for name, c := range map[string]struct {
		login Login
		words string
	}{
		"token alone":          {Login{Flow: "implicit", ResponseType: "token"}, "id_token, id_token token"},
		"a code with implicit": {Login{Flow: "implicit", ResponseType: "code id_token"}, `none of the flow "implicit"`},
		"hybrid without code":  {Login{Flow: "hybrid", ResponseType: "id_token"}, "code id_token, code token, code id_token token"},
		"code alone":           {Login{Flow: "hybrid", ResponseType: "code"}, "none of the flow"},
		"a word twice":         {Login{Flow: "implicit", ResponseType: "id_token id_token"}, "none of the flow"},
		"none":                 {Login{Flow: "implicit", ResponseType: "none"}, "none of the flow"},
		"IMP-2 query":          {Login{Flow: "implicit", ResponseMode: "query"}, "form_post and fragment"},
		"jwt":                  {Login{Flow: "hybrid", ResponseMode: "form_post.jwt"}, "form_post and fragment"},
		"openid missing":       {Login{Flow: "implicit", Scopes: []string{"profile"}}, "openid is missing"},
		"reserved":             {Login{Flow: "implicit", Params: map[string][]string{"response_mode": {"query"}}}, "response_mode is set by Doorward"},
		"pass reserved":        {Login{Flow: "implicit", PassParams: []string{"scope"}}, "scope is set by Doorward"},
		"pass prompt":          {Login{Flow: "hybrid", PassParams: []string{"prompt"}}, "not for visitors"},
		"pass and params":      {Login{Flow: "hybrid", PassParams: []string{"kc_idp_hint"}, Params: map[string][]string{"kc_idp_hint": {"x"}}}, "stands among params"},
		"pass twice":           {Login{Flow: "hybrid", PassParams: []string{"hd", "hd"}}, "there twice"},
		"pass too many":        {Login{Flow: "hybrid", PassParams: strings.Fields("a b c d e f g h i")}, "at most"},
	} {
		t.Run(name, func(t *testing.T) {
			c.login.Name, c.login.Provider = "spa", "corp"
			_, err := New(Config{Prefix: "/oauth2", Logins: []Login{c.login}, Cookie: w.flows.cookie}, w.flows.deps)
			if err == nil || !strings.Contains(err.Error(), c.words) {
				t.Errorf("%v", err)
			}
		})
	}
	for flow, want := range map[string]string{"implicit": "id_token", "hybrid": "code id_token"} {
		c := must(newFrontChannel(w.providers["corp"], Login{Name: "spa", Flow: flow}))(t)
		if got := strings.Join(c.promised, " "); got != want || c.mode != formPost {
			t.Errorf("CONTRACT §1: the defaults of %s are %s, %s", flow, got, c.mode)
		}
	}
	if c := must(newFrontChannel(w.providers["corp"], Login{Name: "spa", Flow: "hybrid", ResponseType: "token  id_token code"}))(t); strings.Join(c.promised, " ") != "code id_token token" {
		t.Errorf("the order of words means something: %v", c.promised)
	}
}
