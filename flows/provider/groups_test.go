package provider_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/doorward/doorward/flows/provider"
	"github.com/doorward/doorward/internal/identity"
	"github.com/doorward/doorward/internal/secret"
)

const memberships = "/v1.0/me/transitiveMemberOf"

// graphPage has the shape that Microsoft documents for "list a user's memberships".
const graphPage = `{"@odata.context":"https://graph.microsoft.com/v1.0/$metadata#directoryObjects(id,displayName)","value":[
	{"@odata.type":"#microsoft.graph.group","id":"02bd9fd6-8f93-4758-87c3-1fb73740a315","displayName":"All Users"},
	{"@odata.type":"#microsoft.graph.directoryRole","id":"43a63cc2-582b-4d81-a79d-1591f91d5558","displayName":"Global Administrator"},
	{"@odata.type":"#microsoft.graph.group","id":"1a9db3ab-0acf-4808-99ae-e8ed581cb2e0","displayName":null},
	{"@odata.type":"#microsoft.graph.group","id":"02bd9fd6-8f93-4758-87c3-1fb73740a315","displayName":"All Users"}]}`

// overages are the forms in which Entra says that there are more groups than fit.
func overages() map[string]map[string]any {
	legacy := map[string]any{"src1": map[string]any{"endpoint": "https://graph.windows.net/t/users/u/getMemberObjects"}}
	return map[string]map[string]any{
		"distributed claim":  {"_claim_names": map[string]any{"groups": "src1"}, "_claim_sources": legacy},
		"hasgroups":          {"hasgroups": true},
		"hasgroups in words": {"hasgroups": "true"},
	}
}

func ofEntra(r *rogue, change func(*provider.Groups)) func(*provider.Config, *provider.Deps) {
	return conf(func(c *provider.Config) {
		c.UserInfo, c.Groups = "never", provider.Groups{From: "entra", URL: r.url}
		if change != nil {
			change(&c.Groups)
		}
	})
}

func TestGroupsThatEntraLeavesOutAreLookedUp(t *testing.T) {
	for name, claims := range overages() {
		t.Run(name, func(t *testing.T) {
			r := newRogue(t)
			r.on(memberships, answerJSON(200, graphPage))
			who, err := r.client(ofEntra(r, nil)).Identify(t.Context(), response(r.idToken(claims)), ordinary)
			if err != nil {
				t.Fatal(err)
			}
			want := []string{"02bd9fd6-8f93-4758-87c3-1fb73740a315", "1a9db3ab-0acf-4808-99ae-e8ed581cb2e0"}
			if !slices.Equal(who.Groups, want) {
				t.Errorf("groups %q: a role is no group, and one that stands there twice is one", who.Groups)
			}
			q := r.seen(memberships)
			if len(q) != 1 || q[0].Header.Get("Authorization") != "Bearer access-1" || q[0].URL.Query().Get("$select") != "id" || strings.Contains(q[0].URL.RawQuery, "access-1") {
				t.Errorf("asked %v", q)
			}
		})
	}
}

func TestEntraIsNotAskedWithoutNeed(t *testing.T) {
	r := newRogue(t)
	c := r.client(ofEntra(r, nil))
	for name, claims := range map[string]map[string]any{
		"groups in the token": {"groups": []string{"a", "b"}}, "no groups": nil,
		"another claim is distributed": {"_claim_names": map[string]any{"roles": "src1"}, "_claim_sources": overages()["distributed claim"]["_claim_sources"]}, "hasgroups is false": {"hasgroups": false},
	} {
		if _, err := c.Identify(t.Context(), response(r.idToken(claims)), ordinary); err != nil || r.count(memberships) != 0 {
			t.Errorf("%s: %v, asked %d times", name, err, r.count(memberships))
		}
	}
	claims := conf(func(c *provider.Config) { c.UserInfo = "never" }) // not Entra by its issuer, and nobody says so
	if who, err := r.client(claims).Identify(t.Context(), response(r.idToken(overages()["hasgroups"])), ordinary); err != nil || who.Groups != nil {
		t.Errorf("%v %v", who, err)
	}
}

func TestOverageThatUserInfoClaimsIsNotBelieved(t *testing.T) {
	r := newRogue(t)
	r.on("/userinfo", answerJSON(200, `{"sub":"alice","_claim_names":{"groups":"src1"}}`))
	r.on(memberships, answerJSON(200, graphPage))
	c := r.client(ofEntra(r, nil), conf(func(c *provider.Config) { c.UserInfo = "always" }))
	if who, err := c.Identify(t.Context(), response(r.idToken(nil)), ordinary); err != nil || who.Groups != nil || r.count(memberships) != 0 {
		t.Errorf("%v %v", who, err)
	}
}

func TestNamesOfGroupsAreTakenOnlyWhereThatIsAskedFor(t *testing.T) {
	r := newRogue(t)
	c := r.client(ofEntra(r, func(g *provider.Groups) { g.InsecureNames = true }))
	r.on(memberships, answerJSON(200, `{"value":[{"@odata.type":"#microsoft.graph.group","id":"1","displayName":"Staff"},{"@odata.type":"#microsoft.graph.group","id":"2","displayName":"bad\u0000name"}]}`))
	who, err := c.Identify(t.Context(), response(r.idToken(map[string]any{"groups": []string{"1"}})), ordinary)
	if err != nil || !slices.Equal(who.Groups, []string{"Staff"}) {
		t.Fatalf("%v %v", who, err)
	}
	r.on(memberships, answerJSON(200, graphPage)) // without the permission, names are null
	_, err = c.Identify(t.Context(), response(r.idToken(nil)), ordinary)
	if e := wants(t, err, provider.Misconfigured, "groups_refused"); !strings.Contains(e.Detail, "GroupMember.Read.All") {
		t.Errorf("it does not say what is missing: %s", e.Detail)
	}
}

func TestOnlyGroupsThatAreToBeKeptAreKept(t *testing.T) {
	r := newRogue(t)
	r.on(memberships, func(w http.ResponseWriter, q *http.Request) {
		answerJSON(200, graphGroups(0, 5000, ""))(w, q)
	})
	_, err := r.client(ofEntra(r, nil)).Identify(t.Context(), response(r.idToken(overages()["hasgroups"])), ordinary)
	if e := wants(t, err, provider.Misconfigured, "too_many_groups"); !strings.Contains(e.Detail, "keep") {
		t.Errorf("it does not say what to do: %s", e.Detail)
	}
	c := r.client(ofEntra(r, func(g *provider.Groups) { g.Keep = []string{"g4999", "g17", "other"} }))
	who, err := c.Identify(t.Context(), response(r.idToken(overages()["hasgroups"])), ordinary)
	if err != nil || !slices.Equal(who.Groups, []string{"g17", "g4999"}) {
		t.Errorf("%v %v", who, err)
	}
}

// graphGroups is a page with the groups from to to.
func graphGroups(from, to int, next string) string {
	var b strings.Builder
	b.WriteString(`{"value":[`)
	for i := from; i < to; i++ {
		if i > from {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"@odata.type":"#microsoft.graph.group","id":"g%d"}`, i)
	}
	fmt.Fprintf(&b, `],"@odata.nextLink":%q}`, next)
	return b.String()
}

func TestAllPagesAreRead(t *testing.T) {
	r := newRogue(t)
	r.on(memberships, func(w http.ResponseWriter, q *http.Request) {
		switch q.FormValue("$skiptoken") {
		case "":
			answerJSON(200, graphGroups(0, 999, r.url+memberships+"?$select=id&$skiptoken=RFNwdA"))(w, q)
		default:
			answerJSON(200, graphGroups(999, 1100, ""))(w, q)
		}
	})
	who, err := r.client(ofEntra(r, nil)).Identify(t.Context(), response(r.idToken(overages()["hasgroups"])), ordinary)
	if err != nil || len(who.Groups) != 1100 || r.count(memberships) != 2 {
		t.Fatalf("%v; asked %d times", err, r.count(memberships))
	}
}

// Whoever may sign somebody in with their groups unknown lets people through rules that deny by group: each row is an answer
// with which nobody gets in.
func TestWhoseGroupsCannotBeHadIsNotSignedIn(t *testing.T) {
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		t.Errorf("the token went to another host: %v", q.Header)
	}))
	defer elsewhere.Close()
	for name, row := range map[string]struct {
		answer http.HandlerFunc
		kind   provider.Kind
		code   string
	}{
		"not for Graph":        {answerJSON(401, `{"error":{"code":"InvalidAuthenticationToken","message":"Access token validation failure. Invalid audience."}}`), provider.Misconfigured, "groups_refused"},
		"no permission":        {answerJSON(403, `{"error":{"code":"Authorization_RequestDenied","message":"Insufficient privileges"}}`), provider.Misconfigured, "groups_refused"},
		"no such person":       {answerJSON(404, `{}`), provider.Misconfigured, "groups_refused"},
		"too often":            {answerJSON(429, `{}`), provider.Unavailable, "rate_limited"},
		"an outage":            {answerJSON(503, `{}`), provider.Unavailable, "server_error"},
		"P110 a redirect":      {redirect(302), provider.Misbehaved, "redirect_refused"},
		"P058 more than 1 MiB": {endless, provider.Misbehaved, "too_large"},
		"P058 pages without end": {func(w http.ResponseWriter, q *http.Request) {
			answerJSON(200, graphGroups(0, 1, "http://"+q.Host+memberships+"?$skiptoken=1"))(w, q)
		}, provider.Misbehaved, "too_large"},
		"P058 groups without end": {func(w http.ResponseWriter, q *http.Request) {
			answerJSON(200, graphGroups(0, 999, "http://"+q.Host+memberships+"?$skiptoken=1"))(w, q)
		}, provider.Misconfigured, "too_many_groups"},
		"P059 100000 groups":     {answerJSON(200, graphGroups(0, 100_000, "")), provider.Misbehaved, "too_large"},
		"P059 20001 tiny values": {answerJSON(200, `{"value":[{"x":[`+strings.Repeat("1,", 20_001)+`1]}]}`), provider.Misbehaved, "bad_response"},
		"P059 deep":              {answerJSON(200, `{"value":`+strings.Repeat("[", 40)+strings.Repeat("]", 40)+`}`), provider.Misbehaved, "bad_response"},
		"next page elsewhere":    {answerJSON(200, graphGroups(0, 1, elsewhere.URL+memberships)), provider.Misbehaved, "foreign_page"},
		"next page by another way": {func(w http.ResponseWriter, q *http.Request) {
			answerJSON(200, graphGroups(0, 1, "ftp://"+q.Host+"/x"))(w, q)
		}, provider.Misbehaved, "foreign_page"},
		"next page with a user": {func(w http.ResponseWriter, q *http.Request) {
			answerJSON(200, graphGroups(0, 1, "http://a@"+q.Host+"/x"))(w, q)
		}, provider.Misbehaved, "foreign_page"},
		"next page is no URL":   {answerJSON(200, graphGroups(0, 1, "//")), provider.Misbehaved, "foreign_page"},
		"next page is a number": {answerJSON(200, `{"value":[],"@odata.nextLink":7}`), provider.Misbehaved, "bad_response"},
		"no value":              {answerJSON(200, `{}`), provider.Misbehaved, "bad_response"},
		"value is an object":    {answerJSON(200, `{"value":{}}`), provider.Misbehaved, "bad_response"},
		"groups are texts":      {answerJSON(200, `{"value":["a"]}`), provider.Misbehaved, "bad_response"},
		"groups are null":       {answerJSON(200, `{"value":[null]}`), provider.Misbehaved, "bad_response"},
		"an id is a number":     {answerJSON(200, `{"value":[{"@odata.type":"#microsoft.graph.group","id":7}]}`), provider.Misbehaved, "bad_response"},
		"no id":                 {answerJSON(200, `{"value":[{"@odata.type":"#microsoft.graph.group"}]}`), provider.Misbehaved, "bad_response"},
		"members twice":         {answerJSON(200, `{"value":[],"value":[]}`), provider.Misbehaved, "bad_response"},
		"HTML":                  {func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) }, provider.Misbehaved, "bad_response"},
		"204":                   {answerJSON(204, ""), provider.Misbehaved, "bad_status"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRogue(t)
			r.on(memberships, row.answer)
			who, err := r.client(ofEntra(r, nil)).Identify(t.Context(), response(r.idToken(overages()["hasgroups"])), ordinary)
			if who != nil {
				t.Error("an identity came with the error")
			}
			e := wants(t, err, row.kind, row.code)
			if strings.Contains(e.Error(), "access-1") || len(e.Error()) > 800 {
				t.Errorf("the error says too much: %s", e)
			}
			if e.Code == "groups_refused" && !strings.Contains(e.Detail, "User.Read") {
				t.Errorf("it does not say which scope is missing: %s", e.Detail)
			}
			if n := r.count(memberships); n > 100 {
				t.Errorf("asked %d times", n)
			}
		})
	}
}

func TestP058ALookUpEndsInTime(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rogue) {
		page := 0
		r.on(memberships, func(w http.ResponseWriter, q *http.Request) {
			time.Sleep(3 * time.Second) // each page comes in time, and all of them do not
			page++
			answerJSON(200, graphGroups(page, page+1, r.url+memberships+"?$skiptoken=1"))(w, q)
		})
		begun := time.Now()
		_, err := r.client(ofEntra(r, nil)).Identify(t.Context(), response(r.idToken(overages()["hasgroups"])), ordinary)
		wants(t, err, provider.Unavailable, "timeout")
		if took := time.Since(begun); took > 11*time.Second {
			t.Errorf("it took %s", took)
		}
		r.pass(5 * time.Second) // the last answer is still on its way
	})
}

func TestALoginWithoutAnAccessTokenSaysWhyGroupsAreMissing(t *testing.T) {
	r := newRogue(t)
	_, err := r.client(ofEntra(r, nil)).Identify(t.Context(), &provider.Response{Tokens: tokensOf(r.idToken(overages()["hasgroups"]), "")}, ordinary)
	if e := wants(t, err, provider.Misconfigured, "groups_refused"); !strings.Contains(e.Detail, "authorization_code") {
		t.Error(e.Detail)
	}
}

// held is a session of alice's with groups that were looked up, five minutes of life left in its token.
func held(r *rogue, groups ...string) *identity.Identity {
	claims := r.claims(overages()["hasgroups"])
	raw := must(json.Marshal(claims))
	return &identity.Identity{
		Issuer: r.url, Subject: "alice", Login: "staff", Groups: groups, Claims: identity.NewClaims(raw),
		Tokens: &identity.Tokens{AccessToken: secret.New("access-1"), RefreshToken: secret.New("refresh-1"), TokenType: "Bearer", ReceivedAt: r.now(), Expiry: r.now().Add(5 * time.Minute)},
	}
}

func refreshing(r *rogue, id string) http.HandlerFunc {
	return answerJSON(200, `{"access_token":"access-2","refresh_token":"refresh-2","token_type":"Bearer","expires_in":300,"id_token":"`+id+`"}`)
}

func TestARefreshLooksGroupsUpAnew(t *testing.T) {
	r := newRogue(t)
	r.on(memberships, answerJSON(200, graphGroups(1, 3, "")))
	r.on("/token", refreshing(r, r.idToken(map[string]any{"hasgroups": true, "nonce": nil})))
	next, err := r.client(ofEntra(r, nil)).Refresh(t.Context(), held(r, "g0", "g1"))
	if err != nil || !slices.Equal(next.Groups, []string{"g1", "g2"}) || next.Tokens.AccessToken.Reveal() != "access-2" || r.count(memberships) != 1 {
		t.Fatalf("%v %v, asked %d times", next, err, r.count(memberships))
	}
	// Fewer groups by now: they are in the token again, and those of the look-up do not count.
	r.on("/token", refreshing(r, r.idToken(map[string]any{"groups": []string{"g7"}, "nonce": nil})))
	if next, err = r.client(ofEntra(r, nil)).Refresh(t.Context(), held(r, "g0")); err != nil || !slices.Equal(next.Groups, []string{"g7"}) {
		t.Errorf("%v %v", next, err)
	}
}

func TestALookUpThatFailsAtARefreshSpendsNoRefreshToken(t *testing.T) {
	for status, kind := range map[int]provider.Kind{503: provider.Unavailable, 429: provider.Unavailable, 403: provider.Misconfigured, 401: provider.Misconfigured} {
		r := newRogue(t)
		r.on(memberships, answerJSON(status, "{}"))
		r.on("/token", refreshing(r, r.idToken(map[string]any{"hasgroups": true, "nonce": nil})))
		_, err := r.client(ofEntra(r, nil)).Refresh(t.Context(), held(r, "g0"))
		var e *provider.Error
		if !errors.As(err, &e) || e.Kind != kind || r.count("/token") != 0 {
			t.Errorf("%d: %v; the token endpoint was asked %d times", status, err, r.count("/token"))
		}
	}
}

// R2: whatever passes by itself ends no session, and no refresh token is lost or spent in vain. What was looked up counts until the
// old access token ends, and then no longer.
func TestALookUpThatFailsForAWhileSignsNobodyOut(t *testing.T) {
	for name, down := range map[string]http.HandlerFunc{
		"503": answerJSON(503, "{}"), "429": answerJSON(429, "{}"), "a redirect": redirect(302), "nonsense": answerJSON(200, "<"), "an endless answer": endless, "500 as HTML": answerJSON(500, "<html>"),
	} {
		t.Run(name, func(t *testing.T) {
			r := newRogue(t)
			c := r.client(ofEntra(r, nil))
			who := held(r, "g0")
			r.pass(6 * time.Minute) // an idle session comes back
			if !c.Unconfirmed(who) {
				t.Error("the old groups count on")
			}
			asked := func(q *http.Request, token string) {
				if got := q.Header.Get("Authorization"); got != "Bearer "+token {
					t.Errorf("asked with %s, not %s", got, token)
				}
			}
			r.on(memberships, func(w http.ResponseWriter, q *http.Request) { asked(q, "access-2"); down(w, q) })
			r.on("/token", refreshing(r, r.idToken(map[string]any{"hasgroups": true, "nonce": nil})))
			next, err := c.Refresh(t.Context(), who)
			if err != nil || next.Tokens.RefreshToken.Reveal() != "refresh-2" || !slices.Equal(next.Groups, []string{"g0"}) || !c.Unconfirmed(next) || next.Tokens.Valid(r.now(), 0) {
				t.Fatalf("%v %v: the new tokens are to be kept, and nobody is to pass by the old groups", next, err)
			}
			r.pass(30 * time.Second)
			before := r.count("/token")
			if _, err := c.Refresh(t.Context(), next); err == nil || errors.Is(err, context.Canceled) || r.count("/token") != before {
				t.Fatalf("%v; %d refresh tokens spent while nothing can be looked up", err, r.count("/token")-before)
			} else if e := new(provider.Error); !errors.As(err, &e) || e.Kind == provider.Refused {
				t.Fatalf("signed out: %v", err)
			}
			r.pass(10 * time.Minute)
			r.on(memberships, answerJSON(200, graphGroups(5, 6, "")))
			r.on("/token", refreshing(r, r.idToken(map[string]any{"hasgroups": true, "nonce": nil})))
			last, err := c.Refresh(t.Context(), next)
			if err != nil || !slices.Equal(last.Groups, []string{"g5"}) || c.Unconfirmed(last) || last.Tokens.Expiry.Sub(r.now()) != 5*time.Minute {
				t.Fatalf("%v %v", last, err)
			}
		})
	}
}

func TestATokenThatWaitsAndEndsIsReplaced(t *testing.T) {
	r := newRogue(t)
	c := r.client(ofEntra(r, nil))
	who := held(r, "g0")
	r.pass(6 * time.Minute)
	r.on(memberships, answerJSON(503, ""))
	r.on("/token", refreshing(r, r.idToken(map[string]any{"hasgroups": true, "nonce": nil})))
	next := must(c.Refresh(t.Context(), who))
	r.pass(2 * time.Hour)
	r.on("/token", answerJSON(200, `{"access_token":"access-3","refresh_token":"refresh-3","token_type":"Bearer","expires_in":300,"id_token":"`+r.idToken(map[string]any{"hasgroups": true, "nonce": nil})+`"}`))
	r.on(memberships, func(w http.ResponseWriter, q *http.Request) {
		if q.Header.Get("Authorization") != "Bearer access-3" {
			answerJSON(401, "{}")(w, q)
			return
		}
		answerJSON(200, graphGroups(5, 6, ""))(w, q)
	})
	last, err := c.Refresh(t.Context(), next)
	if err != nil || !slices.Equal(last.Groups, []string{"g5"}) {
		t.Fatalf("%v %v", last, err)
	}
}

func TestGroupsThatMustBeLookedUpForTheFirstTimeAtARefreshLeaveTheOldOnesTheirTime(t *testing.T) {
	r := newRogue(t)
	c := r.client(ofEntra(r, nil))
	who := held(r, "g0")
	who.Claims = identity.NewClaims(must(json.Marshal(r.claims(map[string]any{"groups": []string{"g0"}}))))
	r.on(memberships, answerJSON(503, ""))
	r.on("/token", answerJSON(200, `{"access_token":"access-2","refresh_token":"refresh-2","token_type":"Bearer","expires_in":3600,"id_token":"`+r.idToken(map[string]any{"hasgroups": true, "nonce": nil})+`"}`))
	next, err := c.Refresh(t.Context(), who)
	if err != nil || !slices.Equal(next.Groups, []string{"g0"}) || !next.Tokens.Expiry.Equal(who.Tokens.Expiry) || c.Unconfirmed(next) || next.Tokens.RefreshToken.Reveal() != "refresh-2" {
		t.Fatalf("%v %v", next, err)
	}
	r.pass(5 * time.Minute)
	if !c.Unconfirmed(next) {
		t.Error("the old groups count longer than the old access token")
	}
}

func TestANewTokenThatMayNotAskEndsTheSession(t *testing.T) {
	for _, status := range []int{400, 401, 403, 404} {
		r := newRogue(t)
		who := held(r, "g0")
		r.pass(6 * time.Minute)
		r.on(memberships, answerJSON(status, "{}"))
		r.on("/token", refreshing(r, r.idToken(map[string]any{"hasgroups": true, "nonce": nil})))
		next, err := r.client(ofEntra(r, nil)).Refresh(t.Context(), who)
		if next != nil {
			t.Error("an identity came with the error")
		}
		wants(t, err, provider.Refused, "groups_refused")
	}
}

func TestWhoIsInMoreGroupsThanASessionHoldsIsSignedInAnewAndTold(t *testing.T) {
	r := newRogue(t)
	who := held(r, "g0")
	r.pass(6 * time.Minute)
	r.on(memberships, answerJSON(200, graphGroups(0, 2001, "")))
	r.on("/token", refreshing(r, r.idToken(map[string]any{"hasgroups": true, "nonce": nil})))
	_, err := r.client(ofEntra(r, nil)).Refresh(t.Context(), who)
	wants(t, err, provider.Refused, "too_many_groups")
}

func TestOnlyWhatIsLookedUpCanBeUnconfirmed(t *testing.T) {
	r := newRogue(t)
	r.pass(time.Hour)
	plain := r.client()
	c := r.client(ofEntra(r, nil))
	who := func(claims map[string]any, change func(*identity.Tokens)) *identity.Identity {
		i := held(r, "g0")
		i.Claims, i.Tokens.Expiry = identity.NewClaims(must(json.Marshal(r.claims(claims)))), r.now().Add(-time.Second)
		if change != nil {
			change(i.Tokens)
		}
		return i
	}
	over := map[string]any{"hasgroups": true}
	if plain.LooksUp() || !c.LooksUp() || plain.Unconfirmed(who(over, nil)) {
		t.Error("who looks nothing up does not wait for it")
	}
	if !c.Unconfirmed(who(over, nil)) {
		t.Error("the token has ended")
	}
	if c.Unconfirmed(who(nil, nil)) {
		t.Error("the groups stand in the token")
	}
	if c.Unconfirmed(who(over, func(t *identity.Tokens) { t.Expiry = r.now().Add(time.Second) })) {
		t.Error("the token has not ended")
	}
	if c.Unconfirmed(who(over, func(t *identity.Tokens) { t.RefreshToken = secret.String{} })) {
		t.Error("nothing will ever bring others")
	}
	bare := who(over, nil)
	bare.Tokens = nil
	if c.Unconfirmed(bare) {
		t.Error("it has no tokens")
	}
}

func TestRetryAfterIsHonouredForEachPersonAlone(t *testing.T) {
	r := newRogue(t)
	c := r.client(ofEntra(r, nil))
	busy := func(w http.ResponseWriter, q *http.Request) {
		w.Header().Set("Retry-After", "60")
		answerJSON(429, "{}")(w, q)
	}
	r.on(memberships, busy)
	in := func(sub string) error {
		_, err := c.Identify(t.Context(), response(r.idToken(map[string]any{"sub": sub, "hasgroups": true})), ordinary)
		return err
	}
	wants(t, in("alice"), provider.Unavailable, "rate_limited")
	r.pass(59 * time.Second)
	r.on(memberships, answerJSON(200, graphGroups(1, 2, "")))
	if e := wants(t, in("alice"), provider.Unavailable, "rate_limited"); e.RetryAfter != time.Second || r.count(memberships) != 1 {
		t.Errorf("asked %d times; again in %s", r.count(memberships), e.RetryAfter)
	}
	if err := in("bob"); err != nil {
		t.Errorf("bob pays for alice: %v", err)
	}
	r.pass(time.Second)
	if err := in("alice"); err != nil {
		t.Error(err)
	}
}

func TestLookUpsOfManyPeopleAreNotMadeAllAtOnce(t *testing.T) {
	r := newRogue(t)
	c := r.client(ofEntra(r, nil))
	var now, most atomic.Int32
	r.on(memberships, func(w http.ResponseWriter, q *http.Request) {
		n := now.Add(1)
		for old := most.Load(); n > old && !most.CompareAndSwap(old, n); old = most.Load() {
		}
		runtime.Gosched()
		answerJSON(200, graphGroups(1, 2, ""))(w, q)
		now.Add(-1)
	})
	var all sync.WaitGroup
	for i := range 200 {
		token := r.idToken(map[string]any{"sub": fmt.Sprint("p", i), "hasgroups": true})
		all.Go(func() {
			if _, err := c.Identify(t.Context(), response(token), ordinary); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if most.Load() > 32 {
		t.Errorf("%d at once", most.Load())
	}
}

func TestWhoWaitsTooLongForATurnIsToldSo(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rogue) {
		r.on(memberships, func(w http.ResponseWriter, q *http.Request) {
			<-q.Context().Done()
		})
		c := r.client(ofEntra(r, nil))
		var all sync.WaitGroup
		ask := func(ctx context.Context, i int, code string) {
			token := r.idToken(map[string]any{"sub": fmt.Sprint("p", i), "hasgroups": true})
			all.Go(func() {
				_, err := c.Identify(ctx, response(token), ordinary)
				wants(t, err, provider.Unavailable, code)
			})
		}
		for i := range 32 {
			ask(t.Context(), i, "timeout")
		}
		synctest.Wait()
		hasty, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		gone, leave := context.WithCancel(t.Context())
		ask(hasty, 32, "timeout")
		ask(gone, 33, "canceled")
		synctest.Wait()
		leave()
		all.Wait()
		if n := r.count(memberships); n != 32 {
			t.Errorf("%d asked at once", n)
		}
	})
}

func TestWhereGroupsComeFromIsChecked(t *testing.T) {
	for name, row := range map[string]struct {
		change func(*provider.Config)
		want   string
	}{
		"a word that there is not": {func(c *provider.Config) { c.Groups.From = "ldap" }, "groups.from"},
		"github elsewhere":         {func(c *provider.Config) { c.Groups.From = "github" }, "groups.from"},
		"with another claim":       {func(c *provider.Config) { c.Groups.From, c.GroupsClaim = "entra", "roles" }, "groups_claim"},
		"url by http":              {func(c *provider.Config) { c.Groups = provider.Groups{From: "entra", URL: "http://graph.example.com"} }, "groups.url"},
		"url with a query": {func(c *provider.Config) {
			c.Groups = provider.Groups{From: "entra", URL: "https://graph.example.com?x"}
		}, "groups.url"},
		"url for nothing":  {func(c *provider.Config) { c.Groups.URL = "https://graph.example.com" }, "groups.url"},
		"keep nothing":     {func(c *provider.Config) { c.Groups = provider.Groups{From: "entra", Keep: []string{}} }, "groups.keep"},
		"keep for nothing": {func(c *provider.Config) { c.Groups.Keep = []string{"a"} }, "groups.keep"},
		"names of google":  {func(c *provider.Config) { c.Groups = provider.Groups{From: "google", InsecureNames: true} }, "groups.insecure_names"},
		"nested of entra":  {func(c *provider.Config) { c.Groups = provider.Groups{From: "entra", Nested: true} }, "groups.nested"},
		"domains of entra": {func(c *provider.Config) { c.Groups = provider.Groups{From: "entra", Domains: []string{"a.b"}} }, "groups.domains"},
		"an admin alone":   {func(c *provider.Config) { c.Groups = provider.Groups{From: "google", Admin: "a@b.c"} }, "groups.admin"},
		"an account alone": {func(c *provider.Config) { c.Groups = provider.Groups{From: "google", ServiceAccount: secret.New("{}")} }, "groups.admin"},
		"an account for everybody": {func(c *provider.Config) {
			c.Groups = provider.Groups{From: "google", ServiceAccount: serviceAccount(), Admin: "a@b.c"}
		}, "groups.domains"},
		"an account and nested": {func(c *provider.Config) {
			c.Groups = provider.Groups{From: "google", ServiceAccount: serviceAccount(), Admin: "a@b.c", Domains: []string{"b.c"}, Nested: true}
		}, "groups.nested"},
		"no domains": {func(c *provider.Config) { c.Groups = provider.Groups{From: "google", Domains: []string{}} }, "groups.domains"},
		"an account that is none": {func(c *provider.Config) {
			c.Groups = provider.Groups{From: "google", ServiceAccount: secret.New(`{"type":"authorized_user"}`), Admin: "a@b.c", Domains: []string{"b.c"}}
		}, "groups.service_account"},
		"an unknown profile": {func(c *provider.Config) { c.Profile = "gitlab" }, "profile"},
	} {
		t.Run(name, func(t *testing.T) {
			c := provider.Config{Name: "corp", Issuer: "https://sso.example.com", ClientID: "x", ClientSecret: secret.New("a secret of enough length"), Discovery: true}
			row.change(&c)
			if _, err := provider.New(c, provider.Deps{}); err == nil || !strings.Contains(err.Error(), row.want) {
				t.Errorf("got %v, want something about %s", err, row.want)
			}
		})
	}
}
