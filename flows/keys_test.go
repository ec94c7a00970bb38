package flows

import (
	"crypto/sha256"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/doorward/doorward/internal/identity"
	"github.com/doorward/doorward/internal/secret"
)

// keyring is a world with two API keys.
type keyring struct {
	*doors
	backup, old secret.String
}

func newKeyring(t testing.TB, names ...string) *keyring {
	t.Helper()
	k := &keyring{}
	var keys []Key
	var hash [32]byte
	k.backup, hash = NewKey()
	keys = append(keys, Key{Name: "backup", Hash: hash, Owner: "ops@example.com", Groups: []string{"robots"}, Scopes: []string{"data.write"}})
	k.old, hash = NewKey()
	keys = append(keys, Key{Name: "old", Hash: hash, Expires: time.Now().Add(time.Hour)})
	k.doors = doorsFor(t, 1, func(f *Flows) (authenticator, error) { return f.Keys("x-api-key", names) },
		func(p *plan) { p.flows = func(c *Config) { c.Keys = keys } })
	return k
}

// bring sends a request with these lines in the header of keys.
func (k *keyring) bring(client string, lines ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequestWithContext(k.t.Context(), http.MethodGet, app+"/api", http.NoBody)
	r.Header["X-Api-Key"] = lines
	r.Header.Set("X-Test-Client", client)
	return k.send(0, r)
}

func TestAKeyIsItsMachine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKeyring(t)
		k.want(k.bring(office, k.backup.Reveal()), 200, "")
		who := k.who
		if who.Issuer != IssuerKeys || who.Subject != "backup" || who.Client != "backup" || !who.Machine || !slices.Equal(who.Groups, []string{"robots"}) ||
			!slices.Equal(who.Scopes, []string{"data.write"}) || who.Session != "" || !who.Ends.IsZero() || who.Tokens != nil {
			t.Errorf("%+v", who)
		}
		if got := decode(t, string(who.Claims.Raw())); !reflect.DeepEqual(got, map[string]any{"iss": IssuerKeys, "sub": "backup", "owner": "ops@example.com"}) {
			t.Errorf("%v", got)
		}
		k.want(k.bring(office, k.backup.Reveal()), 200, "")
		if k.who != who {
			t.Error("each request has another identity, and builds its headers anew")
		}
		k.want(k.bring(office, k.old.Reveal()), 200, "")
		if !k.who.Ends.Equal(time.Now().Add(time.Hour)) {
			t.Errorf("ends %s", k.who.Ends)
		}
	})
}

func TestWhatIsNoKeyIsNobodys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKeyring(t)
		key := k.backup.Reveal()
		other, _ := NewKey()
		for _, lines := range [][]string{
			nil,
			{""},
			{key[:len(key)-1]},
			{key + "x"},
			{" " + key},
			{strings.ToUpper(key)},
			{other.Reveal()},
			{key, key},
			{key, ""},
			{"Bearer " + key},
			{strings.Repeat("x", 1<<16)},
			{"dwk."},
			{"\x00"},
		} {
			k.want(k.bring(office, lines...), 401, codeLoginRequired)
		}
		k.want(k.bring(office, key), 200, "")
		time.Sleep(time.Hour)
		k.want(k.bring(office, k.old.Reveal()), 401, codeLoginRequired)
		if !strings.Contains(k.log.String(), "key.old expired") {
			t.Error("nobody learns that it expired")
		}
		for _, hidden := range []secret.String{k.backup, k.old, other} {
			if strings.Contains(k.log.String(), hidden.Reveal()) {
				t.Error("the log has a key")
			}
		}
	})
}

func TestManyWrongKeysAreStoppedAndNoRightOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKeyring(t)
		stopped := 0
		for range 2 * failureBurst {
			wrong, _ := NewKey()
			if w := k.bring(office, wrong.Reveal()); w.Code == 429 && w.Header().Get("Retry-After") != "" {
				stopped++
			}
		}
		if stopped != failureBurst {
			t.Errorf("%d were stopped", stopped)
		}
		k.want(k.bring(office, k.backup.Reveal()), 200, "") // a colleague with a wrong one takes nothing from it
		wrong, _ := NewKey()
		k.want(k.bring(street+"1", wrong.Reveal()), 401, codeLoginRequired)
		time.Sleep(time.Minute)
		k.want(k.bring(office, wrong.Reveal()), 401, codeLoginRequired)
	})
}

func TestARouteHasTheKeysThatItNames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKeyring(t, "backup")
		k.want(k.bring(office, k.backup.Reveal()), 200, "")
		k.want(k.bring(office, k.old.Reveal()), 401, codeLoginRequired)
		for _, names := range [][]string{{"gone"}, {"old", "old"}, {""}} {
			if _, err := k.flows.Keys("X-Api-Key", names); err == nil {
				t.Errorf("%q are keys", names)
			}
		}
		for _, header := range []string{"", "a b", "a:b", "ä"} {
			if _, err := k.flows.Keys(header, nil); err == nil {
				t.Errorf("%q is a header", header)
			}
		}
		if _, err := newWorld(t).flows.Keys("X-Api-Key", nil); err == nil {
			t.Error("there are no keys, and a route has them")
		}
	})
}

func TestP180AStreamEndsWithItsKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKeyring(t)
		keys := must(k.flows.Keys("X-Api-Key", nil))(t)
		alive := func(key secret.String, who *identity.Identity) bool {
			t.Helper()
			r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, app, http.NoBody)
			r.Header.Set("X-Api-Key", key.Reveal())
			return must(keys.Alive(r, who))(t)
		}
		k.want(k.bring(office, k.old.Reveal()), 200, "")
		old := k.who
		if !alive(k.old, old) || alive(k.backup, old) {
			t.Error("a stream is not told by its key")
		}
		time.Sleep(time.Hour)
		if alive(k.old, old) {
			t.Error("it outlives its key")
		}
		k.want(k.bring(office, k.backup.Reveal()), 200, "")
		backup := k.who
		if !alive(k.backup, backup) {
			t.Error("it is not alive")
		}
		k.keeper.Close() // a reload
		if alive(k.backup, backup) {
			t.Error("it outlives the configuration that let it in")
		}
	})
}

func TestKeysThatCannotBeToldApartAreRefused(t *testing.T) {
	f := newWorld(t).flows
	_, hash := NewKey()
	for name, keys := range map[string][]Key{
		"a name twice": {{Name: "a", Hash: hash}, {Name: "a", Hash: [32]byte{1}}},
		"a hash twice": {{Name: "a", Hash: hash}, {Name: "b", Hash: hash}},
		"no hash":      {{Name: "a"}},
		"no name":      {{Hash: hash}},
	} {
		if err := f.addKeys(keys); err == nil || !strings.HasPrefix(err.Error(), "key") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestNewKeysAreLongAndKnownToScanners(t *testing.T) {
	one, hash := NewKey()
	two, _ := NewKey()
	text := one.Reveal()
	if !strings.HasPrefix(text, "dwk.") || len(text) != 47 || one.Equal(two) || hash != sha256.Sum256([]byte(text)) {
		t.Errorf("%d characters", len(text))
	}
}

func TestAKeyIsNeverTriedAsAPassword(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDoors(t, 1)
		key, _ := NewKey()
		d.want(d.try("alice", key.Reveal(), office), 401, codeLoginRequired)
		d.want(d.try(key.Reveal(), "x", office), 401, codeLoginRequired)
		if n := d.passwordGrants(); n > 0 {
			t.Error("a key was sent to a provider")
		}
	})
}

func TestAKeyCostsNoAllocation(t *testing.T) {
	k := newKeyring(t)
	keys := must(k.flows.Keys("X-Api-Key", nil))(t)
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, app, http.NoBody)
	r.Header.Set("X-Api-Key", k.backup.Reveal())
	w := httptest.NewRecorder()
	if n := testing.AllocsPerRun(100, func() {
		if _, ok, _ := keys.Authenticate(w, r); !ok {
			t.Fatal("not let in")
		}
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkKey(b *testing.B) {
	k := newKeyring(b)
	keys := must(k.flows.Keys("X-Api-Key", nil))(b)
	r := httptest.NewRequestWithContext(b.Context(), http.MethodGet, app, http.NoBody)
	r.Header.Set("X-Api-Key", k.backup.Reveal())
	w := httptest.NewRecorder()
	b.ReportAllocs()
	for b.Loop() {
		_, _, _ = keys.Authenticate(w, r)
	}
}
