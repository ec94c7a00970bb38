package provider_test

import (
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/doorward/doorward/flows/provider"
	"github.com/doorward/doorward/internal/identity"
	"github.com/doorward/doorward/internal/secret"
)

const (
	direct     = "/v1/groups/-/memberships:searchDirectGroups"
	transitive = "/v1/groups/-/memberships:searchTransitiveGroups"
	listGroups = "/admin/directory/v1/groups"
)

// googlePage has the shape that Google documents for searchDirectGroups.
const googlePage = `{"memberships":[
	{"membership":"groups/01/memberships/1","roles":[{"name":"MEMBER"}],"group":"groups/01","groupKey":{"id":"staff@example.com"},"displayName":"Staff","labels":{"cloudidentity.googleapis.com/groups.discussion_forum":""}},
	{"membership":"groups/02/memberships/1","group":"groups/02","groupKey":{"id":"root@example.com","namespace":"identitysources/abc"},"displayName":"Not an address"},
	{"membership":"groups/03/memberships/1","group":"groups/03","groupKey":{"id":"ops@example.com"},"displayName":"Ops"}],"nextPageToken":""}`

func ofGoogle(r *rogue, change func(*provider.Groups)) func(*provider.Config, *provider.Deps) {
	return conf(func(c *provider.Config) {
		c.UserInfo, c.Groups = "never", provider.Groups{From: "google", URL: r.url}
		if change != nil {
			change(&c.Groups)
		}
	})
}

// member are the claims of an account of an organisation.
func member(email string) map[string]any {
	return map[string]any{"email": email, "email_verified": true, "hd": "example.com"}
}

func TestGroupsOfGoogleAreAskedForByTheVerifiedAddress(t *testing.T) {
	r := newRogue(t)
	r.on(direct, answerJSON(200, googlePage))
	who, err := r.client(ofGoogle(r, nil)).Identify(t.Context(), response(r.idToken(member("alice@example.com"))), ordinary)
	if err != nil || !slices.Equal(who.Groups, []string{"staff@example.com", "ops@example.com"}) {
		t.Fatalf("%v %v: a key of an identity source is no address", who, err)
	}
	q := r.seen(direct)[0]
	if got, want := q.FormValue("query"), "member_key_id == 'alice@example.com' && 'cloudidentity.googleapis.com/groups.discussion_forum' in labels"; got != want {
		t.Errorf("asked\n%s, want\n%s", got, want)
	}
	if q.Header.Get("Authorization") != "Bearer access-1" {
		t.Error(q.Header)
	}
	r.on(transitive, answerJSON(200, `{}`))
	if who, err = r.client(ofGoogle(r, func(g *provider.Groups) { g.Nested = true })).Identify(t.Context(), response(r.idToken(member("alice@example.com"))), ordinary); err != nil || len(who.Groups) != 0 || r.count(transitive) != 1 {
		t.Errorf("%v %v", who, err)
	}
}

func TestAnAddressCannotEndTheQueryThatItStandsIn(t *testing.T) {
	for email, want := range map[string]string{
		"o'brien@example.com":                       `'o\'brien@example.com'`,
		`x' || member_key_id == 'root@example.com`:  `'x\' || member_key_id == \'root@example.com'`,
		`x\' || member_key_id == \'root@example.co`: `'x\\\' || member_key_id == \\\'root@example.co'`,
		"a&query=b@example.com":                     `'a&query=b@example.com'`,
	} {
		r := newRogue(t)
		r.on(direct, answerJSON(200, googlePage))
		if _, err := r.client(ofGoogle(r, nil)).Identify(t.Context(), response(r.idToken(member(email))), ordinary); err != nil {
			t.Fatal(err)
		}
		if got := r.seen(direct)[0].Form["query"]; len(got) != 1 || !strings.HasPrefix(got[0], "member_key_id == "+want+" && '") {
			t.Errorf("%s: asked %q", email, got)
		}
	}
}

func TestPeopleOutsideTheOrganisationAreInNoGroupAndNotAskedAbout(t *testing.T) {
	r := newRogue(t)
	r.on(direct, answerJSON(200, googlePage))
	c := r.client(ofGoogle(r, func(g *provider.Groups) { g.Domains = []string{"Example.com"} }), conf(func(c *provider.Config) { c.InsecureUnverifiedEmail = true }))
	for name, claims := range map[string]map[string]any{
		"no hosted domain":     {"email": "alice@example.com", "email_verified": true},
		"another domain":       {"email": "alice@example.com", "email_verified": true, "hd": "example.org"},
		"not verified":         {"email": "alice@example.com", "email_verified": false, "hd": "example.com"},
		"not said":             {"email": "alice@example.com", "hd": "example.com"},
		"no address":           {"email_verified": true, "hd": "example.com"},
		"control characters":   {"email": "alice@example.com\n", "email_verified": true, "hd": "example.com"},
		"verified by a number": {"email": "alice@example.com", "email_verified": 1, "hd": "example.com"},
	} {
		who, err := c.Identify(t.Context(), response(r.idToken(claims)), ordinary)
		if name == "verified by a number" && err != nil {
			continue // the token is refused as a whole
		}
		if err != nil || who.Groups != nil || r.count(direct) != 0 {
			t.Errorf("%s: %v %v", name, who, err)
		}
	}
	if _, err := c.Identify(t.Context(), response(r.idToken(member("alice@example.com"))), ordinary); err != nil || r.count(direct) != 1 {
		t.Errorf("one of the domain: %v, asked %d times", err, r.count(direct))
	}
}

func TestGooglesPagesAreRead(t *testing.T) {
	r := newRogue(t)
	r.on(direct, func(w http.ResponseWriter, q *http.Request) {
		switch q.FormValue("pageToken") {
		case "":
			answerJSON(200, strings.Replace(googlePage, `"nextPageToken":""`, `"nextPageToken":"a&b=c"`, 1))(w, q)
		case "a&b=c":
			answerJSON(200, `{"memberships":[{"groupKey":{"id":"last@example.com"}}]}`)(w, q)
		default:
			t.Errorf("asked for %q", q.Form)
		}
	})
	who, err := r.client(ofGoogle(r, nil)).Identify(t.Context(), response(r.idToken(member("alice@example.com"))), ordinary)
	if err != nil || len(who.Groups) != 3 || r.count(direct) != 2 {
		t.Fatalf("%v %v", who, err)
	}
}

func TestWhoseGroupsGoogleDoesNotTellIsNotSignedIn(t *testing.T) {
	for name, row := range map[string]struct {
		answer http.HandlerFunc
		kind   provider.Kind
		code   string
	}{
		"no scope":             {answerJSON(403, `{"error":{"code":403,"status":"PERMISSION_DENIED"}}`), provider.Misconfigured, "groups_refused"},
		"a query it refuses":   {answerJSON(400, `{"error":{"code":400,"status":"INVALID_ARGUMENT"}}`), provider.Misconfigured, "groups_refused"},
		"an outage":            {answerJSON(500, `{}`), provider.Unavailable, "server_error"},
		"no key":               {answerJSON(200, `{"memberships":[{}]}`), provider.Misbehaved, "bad_response"},
		"an empty key":         {answerJSON(200, `{"memberships":[{"groupKey":{"id":""}}]}`), provider.Misbehaved, "bad_response"},
		"a key that is text":   {answerJSON(200, `{"memberships":[{"groupKey":"staff@example.com"}]}`), provider.Misbehaved, "bad_response"},
		"P058 pages for ever":  {answerJSON(200, `{"nextPageToken":"again"}`), provider.Misbehaved, "too_large"},
		"P058 an endless page": {endless, provider.Misbehaved, "too_large"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRogue(t)
			r.on(direct, row.answer)
			who, err := r.client(ofGoogle(r, nil)).Identify(t.Context(), response(r.idToken(member("alice@example.com"))), ordinary)
			if who != nil {
				t.Error("an identity came with the error")
			}
			if e := wants(t, err, row.kind, row.code); e.Code == "groups_refused" && !strings.Contains(e.Detail, "cloud-identity.groups.readonly") {
				t.Errorf("it does not say which scope is missing: %s", e.Detail)
			}
		})
	}
}

// serviceAccount is a key file as Google makes it; its token_uri leads astray.
func serviceAccount() secret.String {
	key := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: must(x509.MarshalPKCS8PrivateKey(rsaKey()))})
	return secret.New(string(must(json.Marshal(map[string]string{
		"type": "service_account", "project_id": "p", "private_key_id": "k1", "private_key": string(key),
		"client_email": "groups@p.iam.gserviceaccount.com", "token_uri": "https://tokens.invalid/steal",
	}))))
}

func TestAServiceAccountListsGroupsInTheNameOfAnAdministrator(t *testing.T) {
	r := newRogue(t)
	r.on("/token", answerJSON(200, `{"access_token":"ya29.service","token_type":"Bearer","expires_in":3599}`))
	r.on(listGroups, answerJSON(200, `{"kind":"admin#directory#groups","groups":[{"kind":"admin#directory#group","id":"03","email":"staff@example.com","name":"Staff"}]}`))
	c := r.client(ofGoogle(r, func(g *provider.Groups) {
		g.ServiceAccount, g.Admin, g.Domains = serviceAccount(), "admin@example.com", []string{"example.com"}
	}))
	for range 2 {
		who, err := c.Identify(t.Context(), response(r.idToken(member("o'b&c@example.com"))), ordinary)
		if err != nil || !slices.Equal(who.Groups, []string{"staff@example.com"}) {
			t.Fatalf("%v %v", who, err)
		}
	}
	if r.count("/token") != 1 {
		t.Errorf("%d tokens were asked for within a minute", r.count("/token"))
	}
	q := r.seen(listGroups)[0]
	if q.FormValue("userKey") != "o'b&c@example.com" || q.Header.Get("Authorization") != "Bearer ya29.service" {
		t.Errorf("%v %v", q.Form, q.Header)
	}
	form := r.seen("/token")[0].Form
	jws, err := jose.ParseSignedCompact(form.Get("assertion"), []jose.SignatureAlgorithm{jose.RS256})
	if err != nil || form.Get("grant_type") != provider.GrantJWTBearer || form.Has("client_secret") {
		t.Fatalf("%v %v", form, err)
	}
	payload, err := jws.Verify(&rsaKey().PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	var claims struct {
		Iss, Sub, Scope, Aud string
		Iat, Exp             int64
	}
	_ = json.Unmarshal(payload, &claims)
	if claims.Iss != "groups@p.iam.gserviceaccount.com" || claims.Sub != "admin@example.com" || claims.Aud != r.url+"/token" || !strings.HasSuffix(claims.Scope, "admin.directory.group.readonly") || claims.Exp-claims.Iat != 300 {
		t.Errorf("%+v", claims)
	}
	r.pass(59 * time.Minute)
	if _, err := c.Identify(t.Context(), response(r.idToken(member("alice@example.com"))), ordinary); err != nil || r.count("/token") != 2 {
		t.Errorf("%v, %d tokens", err, r.count("/token"))
	}
	r.on("/token", answerJSON(401, `{"error":"unauthorized_client","error_description":"Client is unauthorized to retrieve access tokens using this method"}`))
	r.pass(time.Hour)
	_, err = c.Identify(t.Context(), response(r.idToken(member("alice@example.com"))), ordinary)
	if e := wants(t, err, provider.Misconfigured, "groups_refused"); !strings.Contains(e.Detail, "delegation") {
		t.Error(e.Detail)
	}
}

func TestAServiceAccountGetsOneTokenForManyAndAnotherForOneThatIsRefused(t *testing.T) {
	r := newRogue(t)
	r.on("/token", answerJSON(200, `{"access_token":"ya29.service","token_type":"Bearer","expires_in":3599}`))
	r.on(listGroups, answerJSON(200, `{"groups":[{"email":"staff@example.com"}]}`))
	c := r.client(ofGoogle(r, func(g *provider.Groups) {
		g.ServiceAccount, g.Admin, g.Domains = serviceAccount(), "admin@example.com", []string{"example.com"}
	}))
	in := func() error {
		_, err := c.Identify(t.Context(), response(r.idToken(member("alice@example.com"))), ordinary)
		return err
	}
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			if err := in(); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if n := r.count("/token"); n != 1 {
		t.Errorf("%d tokens for 20 people", n)
	}
	r.on(listGroups, answerJSON(401, "{}")) // the key was changed at Google, say
	wants(t, in(), provider.Misconfigured, "groups_refused")
	r.on(listGroups, answerJSON(200, `{"groups":[{"email":"staff@example.com"}]}`))
	if err := in(); err != nil || r.count("/token") != 2 {
		t.Errorf("%v; the token that was refused is used on, %d were asked for", err, r.count("/token"))
	}
	who, err := c.Identify(t.Context(), &provider.Response{Tokens: tokensOf(r.idToken(member("alice@example.com")), "")}, ordinary)
	if err != nil || len(who.Groups) != 1 {
		t.Errorf("a service account needs no token of the person's: %v", err)
	}
}

func TestAPersonWithANewAddressHasTheGroupsOfThatOne(t *testing.T) {
	r := newRogue(t)
	r.on(direct, func(w http.ResponseWriter, q *http.Request) {
		if strings.Contains(q.FormValue("query"), "'new@example.com'") {
			answerJSON(200, `{"memberships":[{"groupKey":{"id":"new-staff@example.com"}}]}`)(w, q)
			return
		}
		answerJSON(200, `{"memberships":[{"groupKey":{"id":"old-staff@example.com"}}]}`)(w, q)
	})
	who := held(r, "old-staff@example.com")
	who.Claims = identity.NewClaims(must(json.Marshal(r.claims(member("old@example.com")))))
	moved := member("new@example.com")
	moved["nonce"] = nil
	r.on("/token", refreshing(r, r.idToken(moved)))
	next, err := r.client(ofGoogle(r, nil)).Refresh(t.Context(), who)
	if err != nil || !slices.Equal(next.Groups, []string{"new-staff@example.com"}) {
		t.Fatalf("%v %v", next, err)
	}
}

func TestAnAccountOfNoOrganisationIsNeverAskedAbout(t *testing.T) {
	r := newRogue(t)
	r.on(direct, answerJSON(200, googlePage))
	who, err := r.client(ofGoogle(r, nil)).Identify(t.Context(), response(r.idToken(map[string]any{"email": "alice@example.com", "email_verified": true})), ordinary)
	if err != nil || who.Groups != nil || r.count(direct) != 0 {
		t.Errorf("%v %v: anybody can open an account with somebody else's address", who, err)
	}
}
