package credential

import (
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/doorward/doorward/demo/idp"
	"github.com/doorward/doorward/demo/idp/idptest"
	"github.com/doorward/doorward/flows/provider"
	"github.com/doorward/doorward/internal/identity"
	"github.com/doorward/doorward/internal/secret"
)

func TestClientCredentialsAreFetchedOnceAndSentAsBearer(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		s := w.alone(backup).Source("backup")
		first := token(t, s, nil)
		for range 50 {
			if again := token(t, s, w.person("alice")); again != first {
				t.Fatal("another token for somebody else")
			}
		}
		if n := w.granted(); n != 1 {
			t.Errorf("CC-2: %d requests", n)
		}
		q := w.idp.Last(idp.Token)
		if q.Form.Get("grant_type") != "client_credentials" || q.Form.Get("audience") != "data" || q.Form.Has("scope") {
			t.Errorf("%v", q.Form)
		}
		if first.Header != "Authorization" || len(first.Values) != 1 || first.Values[0] != "Bearer "+raw(first) || first.Name != "backup" || s.Personal() {
			t.Errorf("%+v", first)
		}
		if first.Tokens.Expiry.Before(time.Now()) || !first.Tokens.RefreshToken.IsZero() {
			t.Errorf("CC-1: %+v", first.Tokens)
		}
	})
}

func TestAnExchangeTradesTheCallersTokenOnceASession(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		set := w.alone(orders)
		s := set.Source("orders")
		alice, bob := w.person("alice"), w.person("bob")
		a, b := token(t, s, alice), token(t, s, bob)
		if raw(a) == raw(b) || raw(a) == alice.Tokens.AccessToken.Reveal() {
			t.Fatal("TX-4: two people, one token, or the original one")
		}
		for who, want := range map[*identity.Identity]*identity.Credential{alice: a, bob: b} {
			if got := token(t, s, who); got != want {
				t.Error("it was not cached")
			}
			payload := claims(t, raw(want))
			if payload["sub"] != who.Subject || payload["aud"] != "orders" {
				t.Errorf("%v", payload)
			}
		}
		q := w.idp.Requests(idp.Token)
		if len(q) != 2 || q[0].Form.Get("subject_token") != alice.Tokens.AccessToken.Reveal() || q[0].Form.Get("subject_token_type") != provider.TypeAccessToken || q[0].Form.Has("actor_token") || q[0].Form.Has("actor_token_type") {
			t.Errorf("TX-1: %d requests, %v", len(q), q[0].Form)
		}
		if !s.Personal() {
			t.Error("it is not personal")
		}
		other := copyOf(alice)
		other.Session = "another session of alice"
		if raw(token(t, s, other)) == raw(a) {
			t.Error("two sessions share a token")
		}
	})
}

func TestDelegationNamesTheOneWhoActs(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		c := orders
		c.Actor = "backup"
		s := w.alone(backup, c).Source("orders")
		got := claims(t, raw(token(t, s, w.person("alice"))))
		if act, _ := got["act"].(map[string]any); act["sub"] != "doorward" || got["sub"] != "8f2c-alice" {
			t.Errorf("TX-7: %v", got)
		}
		token(t, s, w.person("bob"))
		if n := w.granted(); n != 3 {
			t.Errorf("%d requests: the actor's token is not cached", n)
		}
	})
}

func TestAChainTradesTwice(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		inner := Config{Name: "inner", Flow: "token_exchange", Provider: "corp", Audience: []string{"doorward"}}
		outer := Config{Name: "outer", Flow: "token_exchange", Provider: "corp", Audience: []string{"archive"}, Subject: "inner"}
		set := w.alone(outer, inner)
		alice := w.person("alice")
		last := token(t, set.Source("outer"), alice)
		q := w.idp.Requests(idp.Token)
		if len(q) != 2 || q[1].Form.Get("subject_token") != raw(token(t, set.Source("inner"), alice)) || q[1].Form.Get("audience") != "archive" {
			t.Fatalf("TX-9: %d requests", len(q))
		}
		if got := claims(t, raw(last)); got["sub"] != "8f2c-alice" || got["aud"] != "archive" || !set.Source("outer").Personal() {
			t.Errorf("%v", got)
		}
		_, err := set.Source("outer").Token(t.Context(), nil)
		wantPage(t, err, codeRefused)
	})
}

func TestAChainFailsInEitherLegWithoutATokenOfTheOther(t *testing.T) {
	inner := Config{Name: "inner", Flow: "token_exchange", Provider: "corp", Audience: []string{"doorward"}}
	outer := Config{Name: "outer", Flow: "token_exchange", Provider: "corp", Audience: []string{"archive"}, Subject: "inner"}
	for name, test := range map[string]struct {
		sin  idp.Sin
		want string // code of the page; "" = a refusal
	}{
		"first leg refused":        {idp.Named("exchange_invalid_grant"), ""},
		"first leg down":           {idp.Named("exchange_server_error"), codeProviderDown},
		"second leg refused":       {idp.Named("exchange_invalid_grant").After(1), codeRefused}, // to sign in anew would not help
		"second leg down":          {idp.Named("exchange_server_error").After(1), codeProviderDown},
		"second leg misbehaves":    {idp.Named("exchange_garbage").After(1), codeRefused},
		"second leg misconfigured": {idp.Named("exchange_invalid_scope").After(1), codeRefused},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, w *world) {
				set := w.alone(inner, outer)
				alice := w.person("alice")
				w.idp.Misbehave(test.sin)
				c, err := set.Source("outer").Token(t.Context(), alice)
				if c != nil {
					t.Fatal("P145: a token came with the error")
				}
				if test.want == "" {
					wantRefusal(t, err, "invalid_token")
				} else {
					wantPage(t, err, test.want)
				}
				time.Sleep(time.Minute)
				before := w.granted()
				got := claims(t, raw(token(t, set.Source("outer"), alice)))
				if name == "second leg refused" && w.granted() != before+2 {
					t.Error("it begins with the token that was refused")
				}
				if got["sub"] != "8f2c-alice" {
					t.Errorf("it does not recover: %v", got)
				}
			})
		})
	}
}

func TestAJWTBearerGrantCrossesDomains(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		c := idptest.Every()
		c.Issuer = "http://partner.localhost"
		c.TrustedIssuers = trusted(t, w)
		partner := idptest.Serve(t, w.net, c)
		set := w.set(func(d *Deps) {
			d.Shared = nil
			d.Providers = map[string]*provider.Client{"corp": w.client, "partner": w.provider("partner", c.Issuer)}
		}, Config{Name: "ticket", Flow: "token_exchange", Provider: "corp", Audience: []string{c.Issuer}, RequestedType: "jwt"},
			Config{Name: "partner", Flow: "jwt_bearer", Provider: "partner", Audience: []string{"shop"}, Subject: "ticket"},
			Config{Name: "wrong", Flow: "token_exchange", Provider: "partner", Audience: []string{"shop"}})
		alice := w.person("alice")
		got, err := set.Source("partner").Token(t.Context(), alice)
		if err != nil {
			t.Fatal(err)
		}
		if q := partner.Last(idp.Token); q.Form.Get("grant_type") != provider.GrantJWTBearer || claims(t, q.Form.Get("assertion"))["aud"] != c.Issuer {
			t.Errorf("%v", q.Form.Get("grant_type"))
		}
		if claims(t, raw(got))["iss"] != c.Issuer {
			t.Error("it is not the partner's token")
		}
		before := partner.Count(idp.Token)
		_, err = set.Source("wrong").Token(t.Context(), alice)
		if e := wantPage(t, err, codeRefused); !strings.Contains(e.Err.Error(), corp) || partner.Count(idp.Token) != before {
			t.Errorf("a token went to a provider that is not its own: %v", err)
		}
	})
}

func TestAServiceAccountsPasswordIsTradedOnce(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		s := w.alone(Config{Name: "robot", Flow: "password", Provider: "corp", Username: "bob", Password: secret.New("bob"), Header: "X-Token"}).Source("robot")
		c := token(t, s, nil)
		if c.Header != "X-Token" || c.Values[0] != raw(c) || claims(t, raw(c))["sub"] != "77aa-bob" {
			t.Errorf("%+v", c)
		}
		token(t, s, w.person("alice"))
		if q := w.idp.Requests(idp.Token); len(q) != 1 || q[0].Form.Has("scope") || q[0].Form.Get("username") != "bob" {
			t.Errorf("%d requests, %v", len(q), q[0].Form)
		}
	})
}

func TestAWrongPasswordOfAServiceAccountIsTheOperatorsAndIsNotTriedAgainAtEachRequest(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		s := w.alone(Config{Name: "robot", Flow: "password", Provider: "corp", Username: "bob", Password: secret.New("wr0ng-secret")}).Source("robot")
		for range 20 {
			_, err := s.Token(t.Context(), nil)
			if e := wantPage(t, err, codeRefused); strings.Contains(e.Error(), "wr0ng-secret") {
				t.Fatal("S10: the password is in the error")
			}
		}
		if n := w.granted(); n != 1 {
			t.Errorf("%d attempts: the account would be locked", n)
		}
	})
}

func TestWhatTheCallerDoesNotBringIsRefusedBeforeAnybodyIsAsked(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		byID := Config{Name: "id", Flow: "token_exchange", Provider: "corp", Audience: []string{"x"}, Subject: "id_token"}
		across := Config{Name: "across", Flow: "jwt_bearer", Provider: "corp", Audience: []string{"x"}}
		set := w.alone(orders, byID, across)
		personal := &identity.Identity{Issuer: corp, Subject: "8f2c-alice", Provider: "corp", Login: "staff", Session: "pat 1"} // it has a session of its own
		alice := w.person("alice")
		keyHolder := &identity.Identity{Issuer: corp, Subject: "k", Provider: "corp"}
		foreigner := w.person("alice")
		foreigner.Issuer = "https://other.test"
		for name, test := range map[string]struct {
			source string
			who    *identity.Identity
			says   string
		}{
			"nobody":                {"orders", nil, "nobody's"},
			"an API key":            {"orders", keyHolder, "brings no access token"},
			"a personal token":      {"orders", personal, "a personal access token) brings no access token"},
			"likewise, RFC 7523":    {"across", personal, "a personal access token) brings no access token"},
			"likewise, an ID token": {"id", personal, "a personal access token) brings no ID token"},
			"a session without":     {"id", alice, "the identity provider gave none"},
			"no ID token":           {"id", alice, "ID token"},
			"of another provider":   {"orders", foreigner, "another identity provider"},
			"a token without text":  {"orders", &identity.Identity{Issuer: corp, Subject: "k", Tokens: &identity.Tokens{}}, "brings no access token"},
		} {
			c, err := set.Source(test.source).Token(t.Context(), test.who)
			if e := wantPage(t, err, codeRefused); c != nil || !strings.Contains(e.Detail, test.says) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if n := w.granted(); n != 0 {
			t.Errorf("the provider was asked %d times", n)
		}
	})
}

func TestP140AnExpiredTokenIsNeverExchanged(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		s := w.alone(orders).Source("orders")
		alice := w.person("alice")
		token(t, s, alice)
		late := w.person("alice")
		time.Sleep(time.Until(late.Tokens.Expiry))
		for _, who := range []*identity.Identity{alice, late} {
			_, err := s.Token(t.Context(), who)
			if e := wantPage(t, err, codeProviderDown); e.RetryAfter <= 0 {
				t.Error("no Retry-After")
			}
		}
		bearer := copyOf(late)
		bearer.Session = ""
		_, err := s.Token(t.Context(), bearer)
		wantRefusal(t, err, "invalid_token")
		if n := w.granted(); n != 1 {
			t.Errorf("%d requests: an expired token went to the provider", n)
		}
	})
}

// TestP139OnlyTheCheckedTokenIsEverASubject: a source sees an identity, never a request. What a client writes into headers,
// query or body has no way in; what is exchanged is the token by which the identity was proved.
func TestP139OnlyTheCheckedTokenIsEverASubject(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		s := w.alone(orders).Source("orders")
		alice, bob := w.person("alice"), w.person("bob")
		mixed := copyOf(alice) // alice's session, and bob's token by some mistake elsewhere
		mixed.Tokens = bob.Tokens
		c, err := s.Token(t.Context(), mixed)
		if c != nil || err == nil {
			t.Fatal("TX-6: alice got a token of bob's")
		}
		wantPage(t, err, codeRefused)
		if raw(token(t, s, bob)) == "" || claims(t, raw(token(t, s, alice)))["sub"] != "8f2c-alice" {
			t.Error("the mistake sticks")
		}
	})
}

func TestAnAssertionIsSignedAboutTheCaller(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		set := w.alone(Config{Name: "signed", Flow: "assertion", Audience: []string{"https://legacy.internal"}})
		s := set.Source("signed")
		alice := w.person("alice")
		alice.Email, alice.EmailVerified, alice.Groups, alice.Name = "alice@example.com", true, []string{"staff"}, "Alice"
		first := token(t, s, alice)
		got := verified(t, set.JWKS(), raw(first))
		if got["iss"] != "https://app.test" || got["sub"] != "8f2c-alice" || got["aud"] != "https://legacy.internal" || got["email"] != "alice@example.com" || got["idp"] != corp || got["act"] != nil {
			t.Errorf("%v", got)
		}
		if got["exp"].(float64)-got["iat"].(float64) != 60 || got["jti"] == "" {
			t.Errorf("%v", got)
		}
		time.Sleep(29 * time.Second)
		if token(t, s, alice) != first {
			t.Error("it is signed at each request")
		}
		time.Sleep(time.Second)
		next := token(t, s, alice)
		if left := time.Until(jwtEnd(next.Tokens.AccessToken)); next == first || left < 30*time.Second {
			t.Errorf("the upstream gets one with %s left", left)
		}
		alice = copyOf(alice)
		alice.Groups, alice.EmailVerified = []string{"staff", "admins"}, false
		if got := verified(t, set.JWKS(), raw(token(t, s, alice))); len(got["groups"].([]any)) != 2 || got["email"] != nil {
			t.Errorf("claims of before: %v", got)
		}
		machine := &identity.Identity{Issuer: corp, Subject: "svc", Machine: true, Client: "batch"}
		if got := verified(t, set.JWKS(), raw(token(t, s, machine))); got["sub"] != "signed" || got["client_id"] != "batch" || got["act"].(map[string]any)["sub"] != "svc" {
			t.Errorf("%v", got)
		}
		if got := verified(t, set.JWKS(), raw(token(t, s, nil))); got["sub"] != "signed" || got["act"] != nil || s.Personal() {
			t.Errorf("%v", got)
		}
	})
}

func TestReplicasSignAssertionsWithTheSameKeyAndOthersPublishNone(t *testing.T) {
	w := newWorld(t, nil)
	signed := Config{Name: "signed", Flow: "assertion", Audience: []string{"https://legacy.internal"}}
	one, two := w.replica(signed), w.replica(signed)
	verified(t, two.JWKS(), raw(token(t, one.Source("signed"), nil)))
	if w.alone(backup).JWKS() != nil {
		t.Error("keys are published that sign nothing")
	}
	if _, err := New([]Config{signed}, Deps{Issuer: "https://app.test"}); err == nil {
		t.Error("an assertion without a key ring")
	}
	if _, err := New([]Config{signed}, Deps{Ring: w.ring}); err == nil {
		t.Error("an assertion without an issuer")
	}
}

func TestAFixedSecretGoesWhereItIsTold(t *testing.T) {
	set := must(New([]Config{
		{Name: "key", Flow: "static", Header: "x-api-key", Token: secret.New("k3y")},
		{Name: "basic", Flow: "static", Format: "basic", Token: secret.New("user:päss")},
		{Name: "cookie", Flow: "static", Cookie: "auth", Token: secret.New("c00kie")},
		{Name: "text", Flow: "static", Format: `Token token="{token}"`, Token: secret.New("t")},
		{Name: "bearer", Flow: "static", Token: secret.New("b")},
	}, Deps{}))(t)
	for name, want := range map[string][2]string{
		"key": {"X-Api-Key", "k3y"}, "basic": {"Authorization", "Basic dXNlcjpww6Rzcw=="}, "cookie": {"Cookie", "auth=c00kie"},
		"text": {"Authorization", `Token token="t"`}, "bearer": {"Authorization", "Bearer b"},
	} {
		s := set.Source(name)
		c := token(t, s, nil)
		if c.Header != want[0] || len(c.Values) != 1 || c.Values[0] != want[1] || s.Personal() || c.Tokens.AccessToken.IsZero() {
			t.Errorf("%s: %s %q", name, c.Header, c.Values)
		}
		s.Rejected(t.Context(), nil, c)
		if again := must(s.Fresh(t.Context(), nil))(t); again != c {
			t.Errorf("%s: a fixed secret changed", name)
		}
	}
	if set.Source("nobody") != nil {
		t.Error("a source that is not configured")
	}
}

func TestAnIDTokenIsTradedAsWhatItIs(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		c := orders
		c.Subject = "id_token"
		s, alice := w.alone(c).Source("orders"), w.person("alice")
		id := must(w.idp.SignJWT(map[string]any{"typ": "JWT"}, map[string]any{
			"iss": corp, "sub": "8f2c-alice", "aud": "doorward", "iat": time.Now().Unix(), "exp": time.Now().Add(5 * time.Minute).Unix(),
		}, "", ""))(t)
		alice.Tokens.IDToken = secret.New(id)
		got, err := s.Token(t.Context(), alice)
		if q := w.idp.Last(idp.Token).Form; q.Get("subject_token") != id || q.Get("subject_token_type") != provider.TypeIDToken {
			t.Fatalf("%v", q)
		}
		if err != nil || got.Tokens.Expiry.After(time.Now().Add(5*time.Minute)) {
			t.Fatalf("%v, it outlives the ID token", err)
		}
		alice = copyOf(alice) // the session was refreshed, and its ID token was not
		time.Sleep(5 * time.Minute)
		if _, err := s.Token(t.Context(), alice); err == nil {
			t.Error("P140: an expired ID token is traded")
		}
	})
}

func TestWhatWasTradedGoesIntoACookieOrBasicToo(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		cookie, basicAuth, kube := orders, orders, orders
		cookie.Name, cookie.Cookie = "cookie", "upstream"
		basicAuth.Name, basicAuth.Format = "basic", "basic"
		kube.Name, kube.RequestedType = "kube", "id_token"
		set := w.alone(cookie, basicAuth, kube)
		alice := w.person("alice")
		if c := token(t, set.Source("cookie"), alice); c.Header != "Cookie" || c.Values[0] != "upstream="+raw(c) {
			t.Errorf("%s: %.20s", c.Header, c.Values[0])
		}
		c := token(t, set.Source("basic"), alice)
		if user, pw, ok := (&http.Request{Header: http.Header{c.Header: c.Values}}).BasicAuth(); !ok || user != "oauth2" || pw != raw(c) {
			t.Errorf("%s: %.20s", c.Header, c.Values[0])
		}
		if c := token(t, set.Source("kube"), alice); c.Tokens.IssuedTokenType != provider.TypeIDToken || w.idp.Last(idp.Token).Form.Get("requested_token_type") != provider.TypeIDToken {
			t.Errorf("%+v", c.Tokens)
		}
	})
}

func TestWithoutTheActorsTokenNothingIsTraded(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		c := orders
		c.Actor = "backup"
		w.idp.Misbehave(idp.Named("client_credentials_off").Always())
		got, err := w.alone(backup, c).Source("orders").Token(t.Context(), w.person("alice"))
		if wantPage(t, err, codeRefused); got != nil || w.granted() != 1 {
			t.Errorf("%d requests: an exchange went on without the one who acts", w.granted())
		}
	})
}

func TestARequestOfNobodyTakesAChainThatIsNobodys(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		deep := Config{Name: "deep", Flow: "token_exchange", Provider: "corp", Audience: []string{"archive"}, Subject: "backup"}
		s := w.alone(backup, deep).Source("deep")
		first := token(t, s, nil)
		if s.Personal() || token(t, s, w.person("alice")) != first || w.granted() != 2 || claims(t, raw(first))["sub"] != "doorward" {
			t.Errorf("%d requests, %v", w.granted(), claims(t, raw(first)))
		}
	})
}

func TestP142TwoHundredSessionsOverTheWireGetTheirOwn(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		sets := []*Set{w.replica(orders), w.replica(orders)}
		people := make([]*identity.Identity, 200)
		for i := range people {
			people[i] = w.person([]string{"alice", "bob"}[i%2])
		}
		var mu sync.Mutex
		whose := map[string]string{}
		var wg sync.WaitGroup
		for _, who := range people {
			for _, set := range sets {
				wg.Go(func() {
					time.Sleep(rand.N(200 * time.Millisecond))
					for range 3 {
						c := token(t, set.Source("orders"), who)
						mu.Lock()
						if other, ok := whose[raw(c)]; ok && other != who.Session || claims(t, raw(c))["sub"] != who.Subject {
							t.Errorf("%s has the token of %s", who.Session, other)
						}
						whose[raw(c)] = who.Session
						mu.Unlock()
					}
				})
			}
		}
		wg.Wait()
		if len(whose) != len(people) || w.granted() != len(people) {
			t.Errorf("%d tokens and %d requests for %d sessions", len(whose), w.granted(), len(people))
		}
	})
}
