package pages

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

const aToken = "dwp.qL0c5mXKq3J8yq1Yb2v7n9T4w6Rz0sUeHkGfDaPiOxEtVnBm"

func tokenPage(tokens ...PersonalToken) PersonalTokens {
	return PersonalTokens{
		Origin: "https://" + host, Host: host, Action: "/oauth2/tokens", Tokens: tokens,
		Form: PersonalTokenForm{Lifetimes: []Choice{{"86400", "one day", false, ""}, {"2592000", "30 days", true, ""}}},
	}
}

func newToken() NewPersonalToken {
	return NewPersonalToken{
		Origin: "https://" + host, Token: aToken, Back: "/oauth2/tokens",
		About: PersonalToken{ID: "0123456789abcdef0123456789abcdef", Name: "backup on my laptop", Ends: "28 December 2026", Hosts: []string{host}},
	}
}

// tokenPages are those of personal tokens.
func tokenPages(p *Pages) []shown {
	var all []shown
	add := func(name string, page PersonalTokens) {
		all = append(all, shown{name, "GET", navigation, func(w http.ResponseWriter, r *http.Request) { p.PersonalTokens(w, r, page) }})
	}
	add("tokens none yet", tokenPage())
	some := tokenPage(
		PersonalToken{"0123456789abcdef0123456789abcdef", "backup on my laptop", "28 December 2026", "28 November 2026, 02:03 UTC", []string{host, "git.example.com"}, []string{"orders.read", "profile"}, true},
		PersonalToken{"fedcba9876543210fedcba9876543210", "git", "5 December 2026", "", []string{"git.example.com"}, nil, false},
	)
	some.Person = "alice@example.com"
	some.Form.Hosts = []Choice{{"https://" + host, host, true, ""}, {"https://git.example.com", "git.example.com", false, ""}}
	some.Form.Scopes = []Choice{{"orders.read", "orders.read", false, ""}, {"profile", "profile", false, ""}}
	add("tokens", some)
	wrong := some
	wrong.Status, wrong.Notice, wrong.Form.Name, wrong.Form.ReadOnly = 400, "A token can only have scopes that your own sign-in has.", "ci", true
	add("tokens wrong", wrong)
	often := tokenPage()
	often.Status, often.Notice = 429, "You have made 20 tokens within an hour. Wait a while before the next one."
	add("tokens too often", often)
	full := some
	full.Full = true
	add("tokens full", full)
	add2 := func(name string, page NewPersonalToken) {
		all = append(all, shown{name, "GET", navigation, func(w http.ResponseWriter, r *http.Request) { p.NewPersonalToken(w, r, page) }})
	}
	add2("new_token", newToken())
	reading := newToken()
	reading.About.ReadOnly, reading.About.Scopes = true, []string{"orders.read"}
	add2("new_token for reading", reading)
	return all
}

func TestANewTokenIsShownAndItsPageIsKeptNowhere(t *testing.T) {
	p := newPages(t)
	a := ask(t, func(w http.ResponseWriter, r *http.Request) { p.NewPersonalToken(w, r, newToken()) }, http.MethodPost, navigation...)
	if a.StatusCode != http.StatusCreated || strings.Count(a.body, aToken) != 1 {
		t.Errorf("%d, and the token is there %d times", a.StatusCode, strings.Count(a.body, aToken))
	}
	if a.Header.Get("Cache-Control") != "no-store" || a.Header.Get("Referrer-Policy") != "no-referrer" || strings.Contains(a.log, aToken[8:]) {
		t.Errorf("somebody keeps it: %v %s", a.Header, a.log)
	}
	if !strings.Contains(a.body, `id="copy" hidden>`) {
		t.Error("a button that needs script can be seen without it")
	}
}

func TestATokenThatIsNoneIsNotShown(t *testing.T) {
	p := newPages(t)
	for _, bad := range []string{"", "dwp.\n", "dwp.\u202e", strings.Repeat("x", maxValue+1)} {
		page := newToken()
		page.Token = bad
		a := ask(t, func(w http.ResponseWriter, r *http.Request) { p.NewPersonalToken(w, r, page) }, http.MethodPost, navigation...)
		if a.StatusCode != http.StatusInternalServerError {
			t.Errorf("%q: %d", bad, a.StatusCode)
		}
	}
}

func TestEachRevokeButtonNamesItsToken(t *testing.T) {
	p := newPages(t)
	var many []PersonalToken
	for i := range 2 * maxShownTokens {
		many = append(many, PersonalToken{ID: fmt.Sprintf("id-%d", i), Name: fmt.Sprintf("tool %d", i), Ends: "then"})
	}
	a := ask(t, func(w http.ResponseWriter, r *http.Request) { p.PersonalTokens(w, r, tokenPage(many...)) }, http.MethodGet, navigation...)
	if n := strings.Count(a.body, `name="revoke"`); n != maxShownTokens {
		t.Errorf("%d buttons", n)
	}
	if !strings.Contains(a.body, `value="id-7"><button class="quiet">Revoke<span class="heard"> tool 7</span></button>`) {
		t.Error("who hears the page cannot tell the buttons apart")
	}
}
