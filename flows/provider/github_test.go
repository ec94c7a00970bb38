package provider_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/flows/provider"
	"github.com/doorward/doorward/internal/identity"
	"github.com/doorward/doorward/internal/secret"
)

const (
	gitHubUser   = "/api/v3/user"
	gitHubEmails = "/api/v3/user/emails"
	gitHubOrgs   = "/api/v3/user/orgs"
	gitHubTeams  = "/api/v3/user/teams"
	gitHubToken  = "/login/oauth/access_token"
)

// octocat answers as GitHub documents it.
func octocat(r *rogue) {
	r.on(gitHubUser, answerJSON(200, `{"login":"octocat","id":583231,"node_id":"MDQ6VXNlcjE=","avatar_url":"https://github.com/images/error/octocat_happy.gif","html_url":"https://github.com/octocat","type":"User","site_admin":false,"name":"monalisa octocat","company":"GitHub","email":"spoof@example.com","hireable":null}`))
	r.on(gitHubEmails, answerJSON(200, `[{"email":"old@example.com","verified":true,"primary":false,"visibility":null},{"email":"octocat@github.com","verified":true,"primary":true,"visibility":"public"}]`))
	r.on(gitHubOrgs, answerJSON(200, `[{"login":"github","id":1,"url":"https://api.github.com/orgs/github","description":"A great organization"}]`))
	r.on(gitHubTeams, answerJSON(200, `[{"id":1,"name":"Justice League","slug":"justice-league","privacy":"closed","permission":"admin","parent":null,"organization":{"login":"github","id":1,"type":"Organization"}}]`))
	r.on(gitHubToken, answerJSON(200, `{"access_token":"gho_16C7e42F292c6912E7710c838347Ae178B4a","scope":"read:org,user:email","token_type":"bearer"}`))
}

func ofGitHub(r *rogue, change func(*provider.Config)) *provider.Client {
	return r.client(conf(func(c *provider.Config) {
		c.Profile, c.Discovery, c.Scopes = "github", false, nil
		if change != nil {
			change(c)
		}
	}))
}

func redeemed(t *testing.T, c *provider.Client) *provider.Response {
	t.Helper()
	return must(c.Grant(t.Context(), url.Values{"grant_type": {"authorization_code"}, "code": {"C"}, "code_verifier": {"V"}}))
}

func TestAPersonOfGitHubIsTheirNumberAndBelongsToTheirTeams(t *testing.T) {
	r := newRogue(t)
	octocat(r)
	c := ofGitHub(r, nil)
	to := must(c.AuthorizationURL(t.Context(), provider.AuthorizationRequest{RedirectURI: callbackURI, State: "S", Nonce: "N", CodeChallenge: "X"}))
	if q := queryOf(t, to); !strings.HasPrefix(to, r.url+"/login/oauth/authorize?") || q.Get("scope") != "read:org user:email" || q.Get("code_challenge_method") != "S256" {
		t.Errorf("sent to %s", to)
	}
	who, err := c.Identify(t.Context(), redeemed(t, c), ordinary)
	if err != nil {
		t.Fatal(err)
	}
	if who.Issuer != r.url || who.Subject != "583231" || who.Username != "octocat" || who.Name != "monalisa octocat" || who.Email != "octocat@github.com" || !who.EmailVerified || who.Login != "staff" {
		t.Errorf("%+v", who)
	}
	if !slices.Equal(who.Groups, []string{"github", "github/justice-league"}) || !slices.Equal(who.Scopes, []string{"read:org", "user:email"}) {
		t.Errorf("groups %q, scopes %q", who.Groups, who.Scopes)
	}
	sent := r.seen(gitHubToken)[0]
	if sent.Form.Get("client_secret") == "" || sent.Header.Get("Accept") != "application/json" || sent.Form.Get("code_verifier") != "V" {
		t.Errorf("%v %v", sent.Form, sent.Header)
	}
	for _, path := range []string{gitHubUser, gitHubEmails, gitHubOrgs, gitHubTeams} {
		q := r.seen(path)
		if len(q) != 1 || !strings.HasPrefix(q[0].Header.Get("Authorization"), "Bearer gho_") || q[0].Header.Get("X-GitHub-Api-Version") == "" {
			t.Errorf("%s: %v", path, q)
		}
	}
}

func TestGitHubsNameInAnAuthorizationResponseIsTaken(t *testing.T) {
	r := newRogue(t)
	c := ofGitHub(r, nil)
	for iss, good := range map[string]bool{r.url: true, r.url + "/login/oauth": true, r.url + "/login": false, "https://evil.example": false, "": false} {
		if err := c.CheckIssuer(t.Context(), []string{iss}); (err == nil) != good {
			t.Errorf("%s: %v", iss, err)
		}
	}
	if err := c.CheckIssuer(t.Context(), nil); err != nil {
		t.Error(err)
	}
}

func TestWhatGitHubCannotProveIsNotOverlooked(t *testing.T) {
	r := newRogue(t)
	octocat(r)
	c := ofGitHub(r, nil)
	for name, e := range map[string]provider.Expect{
		"max_age": {Nonce: "N", MaxAge: time.Hour}, "acr": {Nonce: "N", ACR: []string{"2"}}, "no nonce": {NoNonce: true}, "nothing": {},
		"front channel": {Nonce: "N", FrontChannel: true}, "pushed": {Nonce: "N", Pushed: "R"},
	} {
		if who, err := c.Identify(t.Context(), redeemed(t, c), e); who != nil || err == nil {
			t.Errorf("%s: %v", name, who)
		}
	}
	if r.count(gitHubUser) != 0 {
		t.Error("GitHub was asked")
	}
}

func TestWhomGitHubDoesNotTellIsNotSignedIn(t *testing.T) {
	limited := func(w http.ResponseWriter, q *http.Request) {
		w.Header().Set("X-RateLimit-Remaining", "0")
		w.Header().Set("Retry-After", "60")
		answerJSON(403, `{"message":"API rate limit exceeded"}`)(w, q)
	}
	narrow := func(scopes string) http.HandlerFunc {
		return func(w http.ResponseWriter, q *http.Request) {
			w.Header().Set("X-OAuth-Scopes", scopes)
			answerJSON(200, `[{"login":"public"}]`)(w, q)
		}
	}
	linkTo := func(target string) http.HandlerFunc {
		return func(w http.ResponseWriter, q *http.Request) {
			w.Header().Set("Link", fmt.Sprintf(`<%s>; rel="next", <%s>; rel="last"`, strings.ReplaceAll(target, "HOST", "http://"+q.Host), target))
			answerJSON(200, `[]`)(w, q)
		}
	}
	for name, row := range map[string]struct {
		path   string
		answer http.HandlerFunc
		kind   provider.Kind
		code   string
	}{
		"the token was revoked":         {gitHubUser, answerJSON(401, `{"message":"Bad credentials"}`), provider.Misbehaved, "userinfo_refused"},
		"too often":                     {gitHubUser, limited, provider.Unavailable, "rate_limited"},
		"an outage":                     {gitHubUser, answerJSON(502, "<html>"), provider.Unavailable, "server_error"},
		"not GitHub":                    {gitHubUser, answerJSON(404, "{}"), provider.Misbehaved, "bad_status"},
		"no id":                         {gitHubUser, answerJSON(200, `{"login":"octocat"}`), provider.Misbehaved, "bad_response"},
		"an id in quotes":               {gitHubUser, answerJSON(200, `{"login":"octocat","id":"1"}`), provider.Misbehaved, "bad_response"},
		"an id with a fraction":         {gitHubUser, answerJSON(200, `{"login":"octocat","id":1.5}`), provider.Misbehaved, "bad_response"},
		"an id like another":            {gitHubUser, answerJSON(200, `{"login":"octocat","id":1e3}`), provider.Misbehaved, "bad_response"},
		"a negative id":                 {gitHubUser, answerJSON(200, `{"login":"octocat","id":-1}`), provider.Misbehaved, "bad_response"},
		"the id twice":                  {gitHubUser, answerJSON(200, `{"login":"octocat","id":1,"id":2}`), provider.Misbehaved, "bad_response"},
		"P058 an endless answer":        {gitHubUser, endless, provider.Misbehaved, "too_large"},
		"a second limit":                {gitHubUser, answerJSON(403, `{"message":"You have exceeded a secondary rate limit. Please wait a few minutes."}`), provider.Unavailable, "rate_limited"},
		"a second limit for teams":      {gitHubTeams, answerJSON(403, `{"message":"You have triggered an abuse detection mechanism."}`), provider.Unavailable, "rate_limited"},
		"too often without an end":      {gitHubUser, answerJSON(429, `{}`), provider.Unavailable, "rate_limited"},
		"the account is suspended":      {gitHubUser, answerJSON(403, `{"message":"Sorry. Your account was suspended."}`), provider.Misbehaved, "userinfo_refused"},
		"a 403 about something else":    {gitHubUser, answerJSON(403, `{"message":"IP not allowed"}`), provider.Misbehaved, "bad_status"},
		"fewer scopes than asked for":   {gitHubOrgs, narrow("user:email, gist"), provider.Misconfigured, "groups_refused"},
		"no scope for organisations":    {gitHubOrgs, answerJSON(403, `{"message":"You need at least read:org scope"}`), provider.Misconfigured, "groups_refused"},
		"no scope for teams":            {gitHubTeams, answerJSON(404, `{"message":"Not Found"}`), provider.Misconfigured, "groups_refused"},
		"too often for teams":           {gitHubTeams, limited, provider.Unavailable, "rate_limited"},
		"teams are an object":           {gitHubTeams, answerJSON(200, `{}`), provider.Misbehaved, "bad_response"},
		"something follows":             {gitHubTeams, answerJSON(200, `[],"b":[]`), provider.Misbehaved, "bad_response"},
		"an organisation with a slash":  {gitHubOrgs, answerJSON(200, `[{"login":"github/justice-league"}]`), provider.Misbehaved, "bad_response"},
		"a team without organisation":   {gitHubTeams, answerJSON(200, `[{"slug":"a"}]`), provider.Misbehaved, "bad_response"},
		"a slug that is a number":       {gitHubTeams, answerJSON(200, `[{"slug":1,"organization":{"login":"a"}}]`), provider.Misbehaved, "bad_response"},
		"the next page elsewhere":       {gitHubOrgs, linkTo("https://evil.example/user/orgs"), provider.Misbehaved, "foreign_page"},
		"P058 pages without end":        {gitHubTeams, linkTo("HOST" + gitHubTeams), provider.Misbehaved, "too_large"},
		"addresses in an outage":        {gitHubEmails, answerJSON(503, ""), provider.Unavailable, "server_error"},
		"an address verified by a word": {gitHubEmails, answerJSON(200, `[{"email":"a@b.c","primary":true,"verified":"true"}]`), provider.Misbehaved, "bad_response"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRogue(t)
			octocat(r)
			r.on(row.path, row.answer)
			c := ofGitHub(r, nil)
			who, err := c.Identify(t.Context(), redeemed(t, c), ordinary)
			if who != nil {
				t.Error("an identity came with the error")
			}
			e := wants(t, err, row.kind, row.code)
			if e.Code == "groups_refused" && !strings.Contains(e.Detail, "read:org") || strings.Contains(e.Error(), "gho_") {
				t.Error(e)
			}
		})
	}
}

func TestAnUnverifiedAddressOfGitHubIsNone(t *testing.T) {
	r := newRogue(t)
	octocat(r)
	for name, answer := range map[string]http.HandlerFunc{
		"unverified":    answerJSON(200, `[{"email":"boss@example.com","verified":false,"primary":true}]`),
		"not primary":   answerJSON(200, `[{"email":"boss@example.com","verified":true,"primary":false}]`),
		"no permission": answerJSON(404, `{}`), "forbidden": answerJSON(403, `{}`),
	} {
		r.on(gitHubEmails, answer)
		c := ofGitHub(r, func(c *provider.Config) { c.InsecureUnverifiedEmail = true })
		if who, err := c.Identify(t.Context(), redeemed(t, c), ordinary); err != nil || who.Email != "" || who.EmailVerified {
			t.Errorf("%s: %v %v", name, who, err)
		}
	}
}

func TestGitHubsPagesAreRead(t *testing.T) {
	r := newRogue(t)
	octocat(r)
	r.on(gitHubOrgs, func(w http.ResponseWriter, q *http.Request) {
		if q.FormValue("page") == "" {
			w.Header().Set("Link", fmt.Sprintf(`<%s?per_page=100&page=2>; rel="next", <%[1]s?per_page=100&page=2>; rel="last"`, r.url+gitHubOrgs))
			answerJSON(200, `[{"login":"first"}]`)(w, q)
			return
		}
		w.Header().Set("Link", fmt.Sprintf(`<%s?page=1>; rel="prev"`, r.url+gitHubOrgs))
		answerJSON(200, `[{"login":"second"}]`)(w, q)
	})
	c := ofGitHub(r, nil)
	who, err := c.Identify(t.Context(), redeemed(t, c), ordinary)
	if err != nil || !slices.Equal(who.Groups, []string{"first", "second", "github/justice-league"}) {
		t.Fatalf("%v %v", who, err)
	}
}

func TestATokenOfGitHubWithoutAnEndIsBelievedForAnHour(t *testing.T) {
	r := newRogue(t)
	octocat(r)
	c := ofGitHub(r, nil)
	who := must(c.Identify(t.Context(), redeemed(t, c), ordinary))
	if left := who.Tokens.Expiry.Sub(r.now()); left != time.Hour || who.Tokens.RefreshToken.IsZero() {
		t.Fatalf("it ends in %s: nobody would ask again", left)
	}
	r.pass(50 * time.Minute)
	r.on(gitHubTeams, answerJSON(200, `[]`))
	next, err := c.Refresh(t.Context(), who)
	if err != nil || !slices.Equal(next.Groups, []string{"github"}) || next.Tokens.Expiry.Sub(r.now()) != time.Hour || r.count(gitHubToken) != 1 {
		t.Fatalf("%v %v", next, err)
	}
	r.pass(50 * time.Minute)
	r.on(gitHubOrgs, answerJSON(500, ``))
	_, err = c.Refresh(t.Context(), next)
	wants(t, err, provider.Unavailable, "server_error") // the old groups stay
	r.pass(11 * time.Minute)
	_, err = c.Refresh(t.Context(), next)
	wants(t, err, provider.Unavailable, "server_error") // nobody is signed out
	if !c.Unconfirmed(next) {
		t.Error("the old groups count for ever")
	}
	r.on(gitHubOrgs, answerJSON(403, `{"message":"Must have read:org"}`))
	_, err = c.Refresh(t.Context(), next)
	wants(t, err, provider.Refused, "groups_refused") // a new login asks for the scope
	octocat(r)
	r.on(gitHubUser, answerJSON(200, `{"login":"octocat","id":7}`)) // P083
	_, err = c.Refresh(t.Context(), next)
	wants(t, err, provider.Refused, "bad_subject")
	r.on(gitHubUser, answerJSON(401, `{"message":"Bad credentials"}`))
	_, err = c.Refresh(t.Context(), next)
	wants(t, err, provider.Refused, "userinfo_refused") // taken back by the person, at GitHub
}

func TestAnExpiringTokenOfGitHubIsRefreshed(t *testing.T) {
	r := newRogue(t)
	octocat(r)
	fresh := answerJSON(200, `{"access_token":"ghu_2","expires_in":28800,"refresh_token":"ghr_2","refresh_token_expires_in":15897600,"scope":"","token_type":"bearer"}`)
	c := ofGitHub(r, nil)
	who := func() *identity.Identity {
		return &identity.Identity{Issuer: r.url, Subject: "583231", Login: "staff", Groups: []string{"github"}, Claims: identity.NewClaims([]byte(`{"sub":"583231"}`)), Tokens: &identity.Tokens{
			AccessToken: secret.New("ghu_1"), RefreshToken: secret.New("ghr_1"), ReceivedAt: r.now(), Expiry: r.now().Add(8 * time.Hour),
		}}
	}
	r.on(gitHubToken, fresh)
	next, err := c.Refresh(t.Context(), who())
	if err != nil || next.Tokens.RefreshToken.Reveal() != "ghr_2" || next.Tokens.AccessToken.Reveal() != "ghu_2" || len(next.Groups) != 2 {
		t.Fatalf("%v %v", next, err)
	}
	r.on(gitHubOrgs, answerJSON(500, ""))
	before := r.count(gitHubToken)
	_, err = c.Refresh(t.Context(), who())
	wants(t, err, provider.Unavailable, "server_error")
	if r.count(gitHubToken) != before {
		t.Error("the refresh token was spent")
	}
	ended := who()
	r.pass(9 * time.Hour)
	kept, err := c.Refresh(t.Context(), ended)
	if err != nil || kept.Tokens.RefreshToken.Reveal() != "ghr_2" || !slices.Equal(kept.Groups, []string{"github"}) || !c.Unconfirmed(kept) {
		t.Fatalf("%v %v: an outage signs nobody out, loses no tokens and lets nobody in", kept, err)
	}
	before = r.count(gitHubToken)
	_, err = c.Refresh(t.Context(), kept)
	wants(t, err, provider.Unavailable, "server_error")
	if r.count(gitHubToken) != before {
		t.Error("the refresh token was spent in vain")
	}
	octocat(r)
	r.on(gitHubToken, fresh)
	if back, err := c.Refresh(t.Context(), kept); err != nil || len(back.Groups) != 2 || c.Unconfirmed(back) {
		t.Fatalf("%v %v", back, err)
	}
	r.on(gitHubToken, answerJSON(200, `{"error":"bad_refresh_token","error_description":"The refresh token passed is incorrect or expired."}`))
	_, err = c.Refresh(t.Context(), ended)
	wants(t, err, provider.Refused, "invalid_grant")
	// The new token is of another person, whatever the old one says.
	r.on(gitHubToken, fresh)
	r.on(gitHubUser, func(w http.ResponseWriter, q *http.Request) {
		id := 583231
		if strings.HasSuffix(q.Header.Get("Authorization"), "ghu_2") {
			id = 7
		}
		answerJSON(200, fmt.Sprintf(`{"login":"octocat","id":%d}`, id))(w, q)
	})
	_, err = c.Refresh(t.Context(), who())
	wants(t, err, provider.Refused, "bad_subject")
}

func TestWhereGitHubIs(t *testing.T) {
	r := newRogue(t)
	for issuer, want := range map[string]string{
		"https://github.com": "https://github.com/login/oauth/authorize", "https://ghe.example.com": "https://ghe.example.com/login/oauth/authorize", r.url: r.url + "/login/oauth/authorize",
	} {
		c := ofGitHub(r, func(c *provider.Config) { c.Issuer = issuer })
		to := must(c.AuthorizationURL(t.Context(), provider.AuthorizationRequest{RedirectURI: callbackURI, State: "S", Nonce: "N", CodeChallenge: "X"}))
		if !strings.HasPrefix(to, want+"?") {
			t.Errorf("%s: %s", issuer, to)
		}
	}
}

func TestAGitHubThatIsProbedSaysWhatIsThere(t *testing.T) {
	r := newRogue(t)
	octocat(r)
	r.on(gitHubToken, answerJSON(200, `{"error":"bad_verification_code","error_description":"The code passed is incorrect or expired."}`))
	r.on(gitHubUser, answerJSON(401, `{"message":"Requires authentication"}`))
	for _, f := range ofGitHub(r, nil).Probe(t.Context(), []string{callbackURI}) {
		if !f.OK {
			t.Errorf("%+v", f)
		}
	}
	r.on(gitHubToken, answerJSON(200, `{"error":"incorrect_client_credentials"}`))
	r.on(gitHubUser, nil)
	bad := 0
	for _, f := range ofGitHub(r, nil).Probe(t.Context(), nil) {
		if !f.OK {
			bad++
		}
	}
	if bad != 2 {
		t.Errorf("%d findings, not 2: the client, the API", bad)
	}
}

func TestASignOutAtGitHubRevokesTheTokenThatWouldNeverEnd(t *testing.T) {
	r := newRogue(t)
	octocat(r)
	c := ofGitHub(r, nil)
	who := must(c.Identify(t.Context(), redeemed(t, c), ordinary))
	const at = "/api/v3/applications/" + clientID + "/token"
	var body string
	r.on(at, func(w http.ResponseWriter, q *http.Request) {
		id, password, _ := q.BasicAuth()
		raw, _ := io.ReadAll(q.Body)
		if body = string(raw); q.Method != http.MethodDelete || id != clientID || password == "" || q.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%s %s %v", q.Method, id, q.Header)
		}
		w.WriteHeader(http.StatusNoContent)
	})
	if err := c.Revoke(t.Context(), who.Tokens.RefreshToken, "refresh_token"); err != nil || body != `{"access_token":"gho_16C7e42F292c6912E7710c838347Ae178B4a"}` {
		t.Errorf("%v %s", err, body)
	}
	for _, status := range []int{404, 422} { // it is not known any more
		r.on(at, answerJSON(status, "{}"))
		if err := c.Revoke(t.Context(), who.Tokens.RefreshToken, "refresh_token"); err != nil {
			t.Errorf("%d: %v", status, err)
		}
	}
	for status, want := range map[int]provider.Kind{503: provider.Unavailable, 429: provider.Unavailable, 401: provider.Misbehaved, 200: provider.Misbehaved} {
		r.on(at, answerJSON(status, "{}"))
		err, e := c.Revoke(t.Context(), who.Tokens.RefreshToken, "refresh_token"), new(provider.Error)
		if !errors.As(err, &e) || e.Kind != want || strings.Contains(e.Error(), "gho_") {
			t.Errorf("%d: %v", status, err)
		}
	}
	before := r.count(at)
	if err := c.Revoke(t.Context(), secret.New("ghr_1"), "refresh_token"); err != nil || r.count(at) != before {
		t.Errorf("a refresh token was sent where none is taken: %v", err)
	}
}

func TestTheMarkerOfATokenWithoutAnEndIsNeverSentAsARefreshToken(t *testing.T) {
	r := newRogue(t)
	octocat(r)
	c := ofGitHub(r, nil)
	who := must(c.Identify(t.Context(), redeemed(t, c), ordinary))
	for range 3 {
		r.pass(50 * time.Minute)
		who = must(c.Refresh(t.Context(), who))
	}
	for _, q := range r.seen(gitHubToken) {
		if q.Form.Has("refresh_token") {
			t.Errorf("%v", q.Form)
		}
	}
}

func TestGitHubsRetryAfterIsKept(t *testing.T) {
	r := newRogue(t)
	octocat(r)
	c := ofGitHub(r, nil)
	who := must(c.Identify(t.Context(), redeemed(t, c), ordinary))
	for name, row := range map[string]struct {
		header map[string]string
		want   time.Duration
	}{
		"said":           {map[string]string{"Retry-After": "90"}, 90 * time.Second},
		"by the reset":   {map[string]string{"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": fmt.Sprint(r.now().Add(2 * time.Minute).Unix())}, 2 * time.Minute},
		"a far reset":    {map[string]string{"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": fmt.Sprint(r.now().Add(time.Hour).Unix())}, 5 * time.Minute},
		"a reset before": {map[string]string{"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "1"}, time.Minute},
		"nonsense":       {map[string]string{"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "99999999999999999999"}, time.Minute},
	} {
		r.on(gitHubUser, func(w http.ResponseWriter, q *http.Request) {
			for k, v := range row.header {
				w.Header().Set(k, v)
			}
			answerJSON(403, "{}")(w, q)
		})
		_, err := ofGitHub(r, nil).Refresh(t.Context(), who)
		if e := wants(t, err, provider.Unavailable, "rate_limited"); e.RetryAfter.Round(time.Second) != row.want {
			t.Errorf("%s: %s", name, e.RetryAfter)
		}
	}
	before := r.count(gitHubUser)
	for range 3 {
		_, err := c.Refresh(t.Context(), who)
		wants(t, err, provider.Unavailable, "rate_limited")
	}
	if n := r.count(gitHubUser) - before; n != 1 {
		t.Errorf("asked %d times within a minute", n)
	}
}

func TestASignInThatGitHubPutsOffPutsOffNobodyElse(t *testing.T) {
	r := newRogue(t)
	octocat(r)
	c := ofGitHub(r, nil)
	r.on(gitHubUser, func(w http.ResponseWriter, q *http.Request) {
		w.Header().Set("Retry-After", "60")
		answerJSON(403, "{}")(w, q)
	})
	_, err := c.Identify(t.Context(), redeemed(t, c), ordinary)
	wants(t, err, provider.Unavailable, "rate_limited")
	octocat(r)
	if _, err := c.Identify(t.Context(), redeemed(t, c), ordinary); err != nil {
		t.Errorf("the next one pays for it: %v", err)
	}
}
