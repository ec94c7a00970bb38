package flows

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/doorward/doorward/demo/idp"
	"github.com/doorward/doorward/internal/identity"
	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/sessions"
)

// localUsersOf is a configuration with alice and bob, and two in a file.
func localUsersOf(t testing.TB) []User {
	t.Helper()
	return []User{
		{Name: "alice", Hash: secret.New(quick("alice")), Email: "alice@example.com", Groups: []string{"staff", "admins"}},
		{Name: "bob", Hash: secret.New(htpasswdB(t, "bob"))},
		{Name: "team", Lines: []byte("carol:" + htpasswdB(t, "carol") + "\ndave:" + quick("dave")), Groups: []string{"team"}},
	}
}

func locals(t testing.TB, replicas int, changes ...func(*plan)) *doors {
	t.Helper()
	users := localUsersOf(t)
	return doorsFor(t, replicas, byUsers(), append([]func(*plan){func(p *plan) { p.flows = func(c *Config) { c.Users = users } }}, changes...)...)
}

func byUsers(names ...string) lets {
	return func(f *Flows) (authenticator, error) { return f.BasicUsers(names) }
}

// counting is a hash that counts, and takes its time.
type counting struct {
	passwordHash
	n    *atomic.Int64
	time time.Duration
}

func (c counting) matches(password []byte) bool {
	c.n.Add(1)
	time.Sleep(c.time)
	return c.passwordHash.matches(password)
}

// count makes all hashes of all replicas count how often they are asked.
func (d *doors) count(takes time.Duration) *atomic.Int64 {
	n := new(atomic.Int64)
	for _, g := range d.replicas {
		for _, u := range g.flows.local.all {
			u.hash = counting{u.hash, n, takes}
		}
	}
	return n
}

func TestALocalUserIsWhoTheConfigurationSays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := locals(t, 1)
		now := time.Now()
		d.want(d.try("alice", "alice", office), 200, "")
		a := d.who
		if a.Issuer != IssuerUsers || a.Subject != "alice" || a.Username != "alice" || a.Email != "alice@example.com" || !a.EmailVerified || a.Machine ||
			!slices.Equal(a.Groups, []string{"staff", "admins"}) || !slices.Equal(a.AMR, []string{"pwd"}) || !a.AuthTime.Equal(now) || a.Tokens != nil || a.Login != "" || a.Provider != "" {
			t.Errorf("%+v", a)
		}
		if a.Session == "" || !a.Ends.Equal(now.Add(proofLife+proofGrace)) {
			t.Errorf("its session is %q and ends at %s", a.Session, a.Ends)
		}
		want := map[string]any{
			"iss": IssuerUsers, "sub": "alice", "preferred_username": "alice", "email": "alice@example.com", "email_verified": true,
			"groups": []any{"staff", "admins"}, "amr": []any{"pwd"}, "auth_time": float64(now.Unix()),
		}
		if got := decode(t, string(a.Claims.Raw())); !reflect.DeepEqual(got, want) {
			t.Errorf("claims %v", got)
		}
		d.want(d.try("bob", "bob", office), 200, "")
		if b := d.who; b.Email != "" || b.EmailVerified || len(b.Groups) > 0 {
			t.Errorf("%+v", b)
		}
		for _, name := range []string{"carol", "dave"} {
			d.want(d.try(name, name, office), 200, "")
			if c := d.who; c.Issuer != IssuerUsers+":team" || c.Subject != name || !slices.Equal(c.Groups, []string{"team"}) {
				t.Errorf("%+v", c)
			}
		}
		d.want(d.try("team", "team", office), 401, codeWrongCredentials) // the name of a file is nobody's
		if d.idp.Count(idp.Token) > 0 {
			t.Error("a provider was asked")
		}
	})
}

func TestALocalPasswordIsHashedOnceInFifteenMinutes(t *testing.T) {
	for home, inCookie := range map[string]bool{"in a store": false, "in cookies": true} {
		t.Run(home, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := locals(t, 2, func(p *plan) { p.sessions = func(c *sessions.Config) { c.InCookie = inCookie } })
				hashed := d.count(0)
				var session string
				for n := range 10 {
					d.want(d.send(n%2, d.request("alice", "alice", office)), 200, "")
					if session != "" && d.who.Session != session {
						t.Error("replicas have different sessions")
					}
					session = d.who.Session
				}
				if hashed.Load() != 1 {
					t.Errorf("hashed %d times", hashed.Load())
				}
				time.Sleep(proofLife)
				d.want(d.try("alice", "alice", office), 200, "")
				if hashed.Load() != 2 {
					t.Errorf("hashed %d times after fifteen minutes", hashed.Load())
				}
			})
		})
	}
}

func TestAHundredRequestsOfALocalUserAtOnceAreOneHash(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := locals(t, 1)
		hashed := d.count(time.Second)
		var all sync.WaitGroup
		for range 100 {
			all.Go(func() { d.want(d.try("alice", "alice", office), 200, "") })
		}
		all.Wait()
		if hashed.Load() != 1 {
			t.Errorf("%d hashes", hashed.Load())
		}
	})
}

func TestAChangeOfALocalUserEndsItsSessionsAtOnce(t *testing.T) {
	for name, c := range map[string]struct {
		change func(users []User) []User
		status int
	}{
		"nothing":             {func(u []User) []User { return u }, 200},
		"another password":    {func(u []User) []User { u[0].Hash = secret.New(quick("new")); return u }, 401},
		"removed":             {func(u []User) []User { return u[1:] }, 401},
		"moved into the file": {func(u []User) []User { u[2].Lines = []byte("alice:" + quick("other")); return u[1:] }, 401},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := locals(t, 1)
				d.want(d.try("alice", "alice", office), 200, "")
				session := d.who.Session
				users := c.change(d.users())
				d.plan.flows = func(conf *Config) { conf.Users = users }
				d.replica(t)
				d.open(byUsers())
				hashed := d.count(0)
				w := d.send(1, d.request("alice", "alice", office))
				if w.Code != c.status {
					t.Errorf("%d %s", w.Code, w.Body)
				}
				if c.status == 200 && (d.who.Session != session || hashed.Load() > 0) {
					t.Error("a proof does not outlive a reload of the same configuration")
				}
			})
		})
	}
}

// users returns the users of a world, to be changed.
func (d *doors) users() []User {
	var c Config
	d.plan.flows(&c)
	return slices.Clone(c.Users)
}

func TestOtherGroupsCountAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := locals(t, 1)
		d.want(d.try("alice", "alice", office), 200, "")
		users := d.users()
		users[0].Groups = []string{"guests"}
		d.plan.flows = func(conf *Config) { conf.Users = users }
		d.replica(t)
		d.open(byUsers())
		d.want(d.send(1, d.request("alice", "alice", office)), 200, "")
		if !slices.Equal(d.who.Groups, []string{"guests"}) {
			t.Errorf("%q: what alice may is what she might before", d.who.Groups)
		}
	})
}

func TestARouteHasTheUsersThatItNames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := locals(t, 1)
		d.open(byUsers("bob", "team"))
		d.want(d.try("alice", "alice", office), 200, "")
		d.want(d.send(1, d.request("alice", "alice", office)), 401, codeWrongCredentials)
		d.want(d.send(1, d.request("bob", "bob", office)), 200, "")
		d.want(d.send(1, d.request("dave", "dave", office)), 200, "")
		f := d.flows
		if one, two := must(f.BasicUsers([]string{"team", "bob"}))(t), must(f.BasicUsers([]string{"bob", "team"}))(t); one != two || one != d.basic[1] {
			t.Error("the same users are two")
		}
		for _, names := range [][]string{{"nobody"}, {"bob", "bob"}, {"carol"}} {
			if _, err := f.BasicUsers(names); err == nil {
				t.Errorf("%q are users", names)
			}
		}
		if _, err := newWorld(t).flows.BasicUsers(nil); err == nil {
			t.Error("there are no users, and a route has them")
		}
		users := append(localUsersOf(t), User{Name: "more", Lines: []byte("alice:" + quick("x"))})
		twice := newWorld(t, func(p *plan) { p.flows = func(c *Config) { c.Users = users } }).flows
		if _, err := twice.BasicUsers(nil); err == nil || !strings.Contains(err.Error(), "[users.more]") {
			t.Errorf("who alice is cannot be told: %v", err)
		}
		must(twice.BasicUsers([]string{"alice", "team"}))(t)
	})
}

func TestKnowsLocalUsersAndClients(t *testing.T) {
	w := newWorld(t)
	knows := Knows([]Login{{Name: "staff", Provider: "corp"}}, w.providers, User{Name: "alice"}, User{Name: "team", Lines: []byte("x")})
	for _, c := range []struct {
		who  *identity.Identity
		want bool
	}{
		{&identity.Identity{Issuer: IssuerUsers, Subject: "alice"}, true},
		{&identity.Identity{Issuer: IssuerUsers, Subject: "bob"}, false},
		{&identity.Identity{Issuer: IssuerUsers + ":team", Subject: "carol"}, true},
		{&identity.Identity{Issuer: IssuerUsers + ":gone", Subject: "carol"}, false},
		{&identity.Identity{Issuer: IssuerUsers + "alice", Subject: "alice"}, false},
		{&identity.Identity{Issuer: IssuerUsers, Subject: "alice", Login: "staff"}, false},
		{&identity.Identity{Issuer: IssuerKeys, Subject: "alice"}, false},
		{&identity.Identity{Issuer: corp, Provider: "corp", Subject: "backup", Machine: true}, true},
		{&identity.Identity{Issuer: corp, Provider: "corp", Subject: "alice"}, false},
		{&identity.Identity{Issuer: other, Provider: "corp", Subject: "backup", Machine: true}, false},
		{&identity.Identity{Issuer: corp, Provider: "gone", Subject: "backup", Machine: true}, false},
		{&identity.Identity{Issuer: corp, Provider: "corp", Subject: "alice", Login: "staff"}, true},
	} {
		if got := knows(c.who); got != c.want {
			t.Errorf("%s %s of %q: %v", c.who.Issuer, c.who.Subject, c.who.Login, got)
		}
	}
}

func TestManyLocalPasswordsAtOnceAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := locals(t, 1)
		places := d.flows.local.tries.places
		for range maxLocalTries {
			places <- struct{}{}
		}
		began := time.Now()
		w := d.try("alice", "alice", office)
		d.want(w, 503, codeOverloaded)
		if lasted := time.Since(began); lasted != grantWait || w.Header().Get("Retry-After") == "" {
			t.Errorf("after %s, %v", lasted, w.Header())
		}
		<-places
		d.want(d.try("alice", "alice", office), 200, "")

		hashing := d.flows.local.hashing
		for range cap(hashing) {
			hashing <- struct{}{}
		}
		d.want(d.try("bob", "bob", office), 503, codeOverloaded)
		for range cap(hashing) {
			<-hashing
		}
		for range 3 * maxUserStrikes { // it is held against nobody
			d.want(d.try("bob", "bob", office), 200, "")
		}
	})
}

func TestP170FewGuessesAtALocalUserAreHashed(t *testing.T) {
	for name, c := range map[string]struct {
		user func(n int) string
		from func(n int) string
		most int
	}{
		"one network":             {func(int) string { return "alice" }, func(int) string { return street + "1" }, maxUserStrikes},
		"a network for each":      {func(int) string { return "alice" }, func(n int) string { return street + strconv.Itoa(n) }, maxUserStrikes},
		"a user that there isn't": {func(int) string { return "nobody" }, func(n int) string { return street + strconv.Itoa(n) }, maxUserStrikes},
		"a user for each":         {func(n int) string { return fmt.Sprint("user", n) }, func(int) string { return street + "1" }, maxNetworkStrikes},
		"P172 spellings of one": {
			func(n int) string { return []string{"alice", "ALICE", "Alice", "ａｌｉｃｅ"}[n%4] },
			func(n int) string { return street + strconv.Itoa(n) }, maxUserStrikes,
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := locals(t, 2)
				hashed := d.count(0)
				for n := range 100 {
					switch w := d.send(n%2, d.request(c.user(n), fmt.Sprint("guess ", n), c.from(n))); w.Code {
					case 401:
					case 429:
						time.Sleep(8 * time.Second)
					default:
						t.Fatalf("%d %s", w.Code, w.Body)
					}
				}
				if n := hashed.Load(); n == 0 || n > int64(c.most) {
					t.Errorf("%d were hashed", n)
				}
			})
		})
	}
}

func TestP171NobodyLocksALocalUserOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := locals(t, 1)
		d.want(d.try("alice", "alice", office), 200, "")
		time.Sleep(20 * 24 * time.Hour)
		for n := range 50 {
			d.guess("alice", street+strconv.Itoa(n))
		}
		d.want(d.guess("alice", street+"1"), 429, codeTooMany)
		d.want(d.try("alice", "alice", office), 200, "")
		d.want(d.try("bob", "bob", street+"1"), 200, "")
	})
}

func TestP173OnlyTheSameLocalCredentialsFindACachedProof(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := locals(t, 1)
		hashed := d.count(0)
		d.want(d.try("alice", "alice", office), 200, "")
		for _, c := range [][2]string{{"alice", "Alice"}, {"alice", "alice "}, {"alic", "ealice"}, {"Alice", "alice"}, {"alice", "bob"}, {"bob", "alice"}, {"", "alice"}, {"alice", ""}} {
			d.want(d.try(c[0], c[1], street+strconv.Itoa(len(c[0])+len(c[1]))), 401, codeWrongCredentials)
			time.Sleep(time.Minute)
		}
		elsewhere, before := d.request("alice", "alice", office), hashed.Load()
		elsewhere.Host = "wiki.test"
		d.want(d.send(0, elsewhere), 200, "")
		if hashed.Load() != before+1 {
			t.Error("a proof on one host counts on another")
		}
	})
}

func TestP174KnownAndUnknownLocalUsersCostTheSame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := locals(t, 1)
		hashed := d.count(300 * time.Millisecond)
		said := func(user string) (all []string) {
			for range 8 {
				began, before := time.Now(), hashed.Load()
				w := d.guess(user, street+user)
				body := decode(t, w.Body.String())
				delete(body, "reference")
				header := w.Header().Clone()
				header.Del("Doorward-Reference")
				header.Del("Content-Length")
				all = append(all, fmt.Sprint(w.Code, body, header, time.Since(began), hashed.Load()-before))
			}
			return all
		}
		known, unknown := strings.Join(said("alice"), "\n"), strings.Join(said("nobody"), "\n")
		if known != unknown || !strings.Contains(known, "300ms 1") {
			t.Errorf("known\n%s\nunknown\n%s", known, unknown)
		}
		// bcrypt looks at 72 bytes; a longer password is refused, and not before it has taken its time.
		before := hashed.Load()
		d.want(d.try("bob", strings.Repeat("b", 73), office), 401, codeWrongCredentials)
		if hashed.Load() != before+1 {
			t.Error("whose hash is bcrypt shows")
		}
	})
}

func TestP174TheDecoyOfANameIsAlwaysTheSame(t *testing.T) {
	w := newWorld(t, func(p *plan) { users := localUsersOf(t); p.flows = func(c *Config) { c.Users = users } })
	again := w.replica(t)
	one, two := must(w.flows.BasicUsers(nil))(t).judge.(*usersJudge), must(again.flows.BasicUsers(nil))(t).judge.(*usersJudge)
	seen := make(map[string]bool)
	for n := range 100 {
		name := fmt.Sprint("nobody", n)
		if one.decoy(name).subject != two.decoy(name).subject {
			t.Error("replicas differ, and that shows")
		}
		seen[one.decoy(name).subject] = true
	}
	if len(seen) != 4 {
		t.Errorf("only %v are ever compared", seen)
	}
}

func TestP175ALocalPasswordIsNowhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const password = "c0rrect-h0rse"
		hash := quick(password)
		d := locals(t, 1, func(p *plan) { p.flows = func(c *Config) { c.Users = []User{{Name: "alice", Hash: secret.New(hash)}} } })
		var said bytes.Buffer
		for _, typed := range []string{password + "-wrong", password, password + "-wrong"} {
			w := d.try("alice", typed, office)
			_ = w.Header().Write(&said)
			said.Write(w.Body.Bytes())
		}
		for where, text := range map[string]string{"the log": d.log.String(), "an answer": said.String()} {
			for _, hidden := range []string{password, hash, basicHeader("alice", password)[6:], basicHeader("alice", password+"-wrong")[6:]} {
				if strings.Contains(text, hidden) {
					t.Errorf("%s has it:\n%s", where, text)
				}
			}
		}
	})
}

func TestP180AStreamOfALocalUserEndsWithTheConfigurationThatLetItIn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := locals(t, 1)
		r := d.request("alice", "alice", office)
		who, ok, err := d.basic[0].Authenticate(httptest.NewRecorder(), r)
		if !ok || err != nil {
			t.Fatal(err)
		}
		for range 40 {
			time.Sleep(time.Minute)
			if alive, err := d.basic[0].Alive(r, who); !alive || err != nil {
				t.Fatal(alive, err)
			}
		}
		if alive, _ := d.basic[0].Alive(d.request("bob", "bob", office), who); alive {
			t.Error("alive for somebody else")
		}
		d.keeper.Close() // a reload
		if alive, err := d.basic[0].Alive(r, who); alive || err != nil {
			t.Error(alive, err)
		}
	})
}

func TestR23AStoreThatIsDownIsNoWrongLocalPassword(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := locals(t, 1)
		hashed := d.count(0)
		d.shared.down.Store(true)
		for range 10 {
			d.want(d.try("alice", "alice", office), 503, codeStore)
			d.want(d.guess("alice", street+"1"), 503, codeStore)
		}
		if hashed.Load() > 0 {
			t.Error("guesses were tried uncounted")
		}
	})
}

func BenchmarkLocalUserCached(b *testing.B) {
	d := locals(b, 1)
	basic, w, r := d.basic[0], httptest.NewRecorder(), d.request("alice", "alice", office)
	if _, ok, err := basic.Authenticate(w, r); !ok {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, ok, _ := basic.Authenticate(w, r); !ok {
			b.Fatal("not cached")
		}
	}
}

func TestAnAPINeedsNoLogin(t *testing.T) {
	w := newWorld(t)
	users := localUsersOf(t)
	f := must(New(Config{Prefix: "/oauth2", Cookie: sessions.Cookie{Name: "doorward"}, Users: users}, w.flows.deps))(t)
	must(f.BasicUsers(nil))(t)
	here := mustOrigin(t, app)
	mux := http.NewServeMux()
	f.Mount(mux)
	for _, path := range []string{"/oauth2/start", "/oauth2/sign_in"} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, here.String()+path, http.NoBody)
		rw := httptest.NewRecorder()
		mux.ServeHTTP(rw, r)
		if rw.Code != http.StatusUnauthorized || strings.Contains(rw.Body.String(), "/oauth2/start") {
			t.Errorf("%s: %d %s", path, rw.Code, rw.Body)
		}
	}
}
