package flows

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/doorward/doorward/demo/idp"
)

const (
	backupSecret = "b4ckup: +%/ü"
	clientGrant  = "client_credentials"
)

// machines is a world whose provider has clients beside us.
func machines(p *plan) {
	p.idp = func(c *idp.Config) {
		c.Clients = append(c.Clients,
			idp.Client{ID: "nightly-backup", Secret: backupSecret, Grants: []string{clientGrant}, Scopes: []string{"data.read", "data.write"}},
			idp.Client{ID: "opaque", Secret: "opaque", Grants: []string{clientGrant}, Scopes: []string{"data.read"}, OpaqueTokens: true, AccessTokenLifetime: 2 * time.Minute},
			idp.Client{ID: "website", Secret: "website", Grants: []string{"authorization_code"}, RedirectURIs: []string{"https://w.test/cb"}},
		)
	}
}

func byClients(scopes ...string) lets {
	return func(f *Flows) (authenticator, error) { return f.BasicClients("corp", scopes) }
}

func TestAnOAuthClientProvesItselfOnceAndIsAMachine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := doorsFor(t, 2, byClients("data.read"), machines)
		for n := range 10 {
			d.want(d.send(n%2, d.request("nightly-backup", backupSecret, office)), 200, "")
		}
		if n := d.grants(clientGrant); n != 1 {
			t.Errorf("%d grants", n)
		}
		q := d.idp.Last(idp.Token)
		if q.Form.Get("scope") != "data.read" {
			t.Errorf("%v", q.Form)
		}
		who := d.who
		if !who.Machine || who.Client != "nightly-backup" || who.Subject != "nightly-backup" || who.Issuer != corp || who.Provider != "corp" || who.Login != "" ||
			who.Session == "" || who.Ends.IsZero() || !slices.Equal(who.Scopes, []string{"data.read"}) || !who.Tokens.RefreshToken.IsZero() || who.Tokens.AccessToken.IsZero() {
			t.Errorf("%+v %+v", who, who.Tokens)
		}
	})
}

func TestTheProofOfAClientLastsNoLongerThanItsToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := doorsFor(t, 1, byClients("data.read"), machines)
		d.want(d.try("opaque", "opaque", office), 200, "")
		time.Sleep(time.Minute)
		d.want(d.try("opaque", "opaque", office), 200, "")
		time.Sleep(time.Minute + time.Second)
		d.want(d.try("opaque", "opaque", office), 200, "")
		if n := d.grants(clientGrant); n != 2 {
			t.Errorf("%d grants", n)
		}
		if !d.who.Machine || d.who.Subject != "opaque" {
			t.Errorf("%+v", d.who)
		}
		synctest.Wait()
		if n := d.idp.Count(idp.Revoke); n != 0 {
			t.Errorf("%d tokens of another client were revoked as ours", n)
		}
	})
}

func TestClientsThatAreNoneAreToldApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := doorsFor(t, 1, byClients("data.read"), machines)
		d.want(d.try("nightly-backup", "wrong", office), 401, codeWrongCredentials)
		d.want(d.try("nobody", "wrong", office), 401, codeWrongCredentials)
		d.want(d.try("doorward", "wrong", office), 401, codeWrongCredentials)
		d.want(d.try("website", "website", office), 403, codeDenied)
		d.sin(idp.Sin{Status: 503, Body: "{}"})
		d.want(d.try("nightly-backup", backupSecret, office), 503, codeProviderDown)
		d.idp.Heal()
		d.want(d.try("nightly-backup", backupSecret, office), 200, "")
		if _, err := d.flows.BasicClients("gone", nil); err == nil {
			t.Error("there is no such provider")
		}
	})
}

func TestP170FewGuessesAtAClientReachTheProvider(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := doorsFor(t, 1, byClients("data.read"), machines)
		for range 50 {
			if w := d.guess("nightly-backup", street+"1"); w.Code == 429 {
				time.Sleep(15 * time.Second)
			}
		}
		if n := d.grants(clientGrant); n == 0 || n > maxUserStrikes {
			t.Errorf("%d guesses were forwarded", n)
		}
	})
}

func TestP173ProofsOfClientsServeNobodyElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := doorsFor(t, 1, byClients("data.read"), machines)
		d.open(byClients("data.read", "data.write"))
		d.want(d.try("opaque", "opaque", office), 200, "")
		d.want(d.send(1, d.request("opaque", "opaque", office)), 403, codeDenied) // it may not have the other scope
		d.want(d.try("opaque", "Opaque", office), 401, codeWrongCredentials)
		if one, two := must(d.flows.BasicClients("corp", []string{"data.read"}))(t), d.basic[0]; one != two {
			t.Error("the same scopes are two")
		}
	})
}

func TestP175ASecretOfAClientIsNowhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := doorsFor(t, 1, byClients("data.read"), machines)
		d.sin(idp.Sin{Status: 500, Body: "{}"})
		said := d.try("nightly-backup", backupSecret, office).Body.String()
		d.idp.Heal()
		d.want(d.try("nightly-backup", backupSecret, office), 200, "")
		for where, text := range map[string]string{"the log": d.log.String(), "an answer": said} {
			if strings.Contains(text, backupSecret) || strings.Contains(text, basicHeader("nightly-backup", backupSecret)[6:]) {
				t.Errorf("%s has it:\n%s", where, text)
			}
		}
	})
}

func TestAClientIsNobodyOnceItsProviderIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := doorsFor(t, 1, byClients("data.read"), machines, func(p *plan) { p.providers = []string{"prod"} })
		d.want(d.try("nightly-backup", backupSecret, office), 200, "")
		d.plan.issuer = other
		d.replica(t)
		d.open(byClients("data.read"))
		if w := d.send(1, d.request("nightly-backup", backupSecret, office)); w.Code == 200 {
			t.Errorf("the proof of one issuer counts for another: %s", w.Body)
		}
	})
}

// RFC 6749 §2.3.1 has clients encode both as a form would, so that an id may hold a colon; many don't.
func TestAClientMayEncodeItsIDAndSecret(t *testing.T) {
	const id, password = "https://jobs.test/a b", "s:e+c%ü r/41="
	for name, c := range map[string]struct {
		user, password string
		status         int
	}{
		"both, as the RFC has it":    {url.QueryEscape(id), url.QueryEscape(password), 200},
		"spaces as in a path":        {url.PathEscape(id), url.PathEscape(password), 401}, // "+" and ":" stay there
		"twice":                      {url.QueryEscape(url.QueryEscape(id)), url.QueryEscape(url.QueryEscape(password)), 401},
		"the secret of another":      {url.QueryEscape(id), url.QueryEscape("backup"), 401},
		"no encoding":                {"plain", "a+b%zz=", 200},
		"a plus is one as it stands": {"plus", "a+b/c==", 200},
		"encoded plus":               {"plus", url.QueryEscape("a+b/c=="), 200},
		"a control character":        {"plus%00", url.QueryEscape("a+b/c=="), 401},
		"what would decode to none":  {"raw", "x%01y", 200},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := doorsFor(t, 1, byClients("data.read"), func(p *plan) {
					p.idp = func(c *idp.Config) {
						for id, password := range map[string]string{id: password, "plain": "a+b%zz=", "plus": "a+b/c==", "raw": "x%01y"} {
							c.Clients = append(c.Clients, idp.Client{ID: id, Secret: password, Grants: []string{clientGrant}, Scopes: []string{"data.read"}})
						}
					}
				})
				w := d.try(c.user, c.password, office)
				if w.Code != c.status {
					t.Errorf("%d %s", w.Code, w.Body)
				}
			})
		})
	}
}

func TestP172SpellingsOfOneClientAreOneBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := doorsFor(t, 1, byClients("data.read"), machines)
		for n := range 50 {
			name := []byte("nightly-backup")
			user := string(name[:n%14]) + fmt.Sprintf("%%%02x", name[n%14]) + string(name[n%14+1:])
			if w := d.send(0, d.request(user, fmt.Sprint("guess ", n), street+fmt.Sprint(n))); w.Code == 429 {
				time.Sleep(8 * time.Second)
			}
		}
		if n := d.grants(clientGrant); n == 0 || n > maxUserStrikes {
			t.Errorf("%d guesses were forwarded", n)
		}
	})
}

func TestFailuresOfAClientAreNotThoseOfAPerson(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDoors(t, 1)
		d.open(byClients())
		for n := range 2 * maxUserStrikes {
			d.send(1, d.request("alice", fmt.Sprint("guess ", n), street+fmt.Sprint(n)))
			time.Sleep(70 * time.Second)
		}
		d.want(d.send(1, d.request("alice", "one more", street+"99")), 429, codeTooMany)
		d.want(d.try("alice", "alice", street+"99"), 200, "")
	})
}
