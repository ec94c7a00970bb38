package flows

import (
	"bytes"
	"encoding/base64"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/doorward/doorward/internal/pages"
	"github.com/doorward/doorward/internal/seal"
	"github.com/doorward/doorward/internal/telemetry"
)

// jar is a browser of which only the cookies matter.
type jar map[string]string

// ask makes a request of this browser, and its answer's cookies are kept.
func (j jar) ask(t testing.TB, address, client string, serve func(w http.ResponseWriter, r *http.Request)) *http.Response {
	t.Helper()
	r := httptest.NewRequest(http.MethodPost, address, http.NoBody)
	for name, value := range j {
		r.AddCookie(&http.Cookie{Name: name, Value: value})
	}
	rec := httptest.NewRecorder()
	access := telemetry.NewAccessLog(slog.New(slog.DiscardHandler))
	defer access.Close()
	access.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		telemetry.From(w).Client = client
		serve(w, r)
	}), func(http.ResponseWriter, *http.Request) { t.Error("a handler panicked") }).ServeHTTP(rec, r)
	for _, c := range rec.Result().Cookies() {
		if c.MaxAge < 0 {
			delete(j, c.Name)
		} else {
			j[c.Name] = c.Value
		}
	}
	return rec.Result()
}

func (j jar) keep(t testing.TB, k *Kept, address, form string) (id string) {
	t.Helper()
	j.ask(t, address, "192.0.2.1", func(w http.ResponseWriter, r *http.Request) {
		var err error
		if id, err = k.Keep(w, r, []byte(form)); err != nil {
			t.Fatal(err)
		}
	})
	return id
}

func (j jar) find(t testing.TB, k *Kept, address, id string) (form string) {
	t.Helper()
	j.ask(t, address, "", func(_ http.ResponseWriter, r *http.Request) {
		text, err := k.Find(r, id)
		if err != nil {
			t.Fatal(err)
		}
		form = string(text)
	})
	return form
}

func (j jar) take(t testing.TB, k *Kept, address, id string) (form string) {
	t.Helper()
	j.ask(t, address, "", func(w http.ResponseWriter, r *http.Request) {
		text, err := k.Take(w, r, id)
		if err != nil {
			t.Fatal(err)
		}
		form = string(text)
	})
	return form
}

func TestAFormIsKeptForItsBrowserAtItsHostUntilItIsTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		k, alice, eve := w.flows.Kept(), jar{}, jar{}
		id := alice.keep(t, k, app, "a letter")
		theirs := eve.keep(t, k, app, "another")
		if len(id) != idLength || id == theirs || len(alice) != 1 || alice["__Host-doorward-kept."+id] == "" {
			t.Fatalf("%s %v", id, alice)
		}
		if eve.find(t, k, app, id) != "" || eve.take(t, k, app, id) != "" {
			t.Error("another browser has it")
		}
		eve["__Host-doorward-kept."+id] = eve["__Host-doorward-kept."+theirs] // with a cookie of the right name
		if eve.find(t, k, app, id) != "" || eve.take(t, k, app, id) != "" {
			t.Error("another browser has it by its own key")
		}
		if alice.find(t, k, wiki, id) != "" || alice.take(t, k, wiki, id) != "" || alice.find(t, k, "https://evil.test", id) != "" {
			t.Error("another host has it")
		}
		if got := alice.find(t, k, app, id); got != "a letter" {
			t.Fatalf("found %q", got)
		}
		other := w.replica(t).flows.Kept() // another replica, with the same store and keys
		if got := alice.take(t, other, app, id); got != "a letter" {
			t.Fatalf("taken %q", got)
		}
		if alice.find(t, k, app, id) != "" || len(alice) != 0 {
			t.Errorf("it is there still: %v", alice)
		}
		id = alice.keep(t, k, app, "late")
		time.Sleep(keptLife + time.Second)
		if alice.find(t, k, app, id) != "" {
			t.Error("it is kept for ever")
		}
	})
}

func TestOfAllThatTakeAFormOneGetsIt(t *testing.T) {
	w := newWorld(t)
	k, b := w.flows.Kept(), jar{}
	id := b.keep(t, k, app, "a letter")
	var got atomic.Int32
	var all sync.WaitGroup
	for range 20 {
		tab := jar{}
		for name, value := range b {
			tab[name] = value
		}
		all.Go(func() {
			if tab.take(t, k, app, id) != "" {
				got.Add(1)
			}
		})
	}
	all.Wait()
	if got.Load() != 1 {
		t.Errorf("%d got it", got.Load())
	}
}

func TestTheCookieOfAFormIsLikeThatOfALogin(t *testing.T) {
	w := newWorld(t)
	k := w.flows.Kept()
	res := jar{}.ask(t, app, "", func(w http.ResponseWriter, r *http.Request) { _, _ = k.Keep(w, r, []byte("x")) })
	c := res.Cookies()[0]
	if !c.HttpOnly || !c.Secure || c.SameSite != http.SameSiteLaxMode || c.Path != "/" || c.Domain != "" || c.MaxAge != 600 || !w.flows.cookie.Owns(c.Name) {
		t.Errorf("%+v", c)
	}
	for name, value := range map[string]string{"short": "x", "empty": "", "no base64": strings.Repeat("!", 54), "cut": c.Value[1:], "another key": strings.Repeat("A", len(c.Value))} {
		if (jar{c.Name: value}).find(t, k, app, strings.TrimPrefix(c.Name, "__Host-doorward-kept.")) != "" {
			t.Errorf("%s: opened", name)
		}
	}
	for _, id := range []string{"", "x", strings.Repeat("A", 21), strings.Repeat("A", 23), strings.Repeat("!", 22), "../../../../../../../.."} {
		if (jar{"__Host-doorward-kept." + id: c.Value}).find(t, k, app, id) != "" {
			t.Errorf("%q: opened", id)
		}
	}
	r := httptest.NewRequest(http.MethodPost, app, http.NoBody)
	r.AddCookie(c)
	r.AddCookie(&http.Cookie{Name: c.Name, Value: strings.Repeat("A", len(c.Value))}) // P077: planted by a neighbouring host
	if form, err := k.Find(r, strings.TrimPrefix(c.Name, "__Host-doorward-kept.")); form != nil || err != nil {
		t.Errorf("P077: %q %v", form, err)
	}
}

func TestNeitherTheStoreNorTheKeysAloneOpenAForm(t *testing.T) {
	w := newWorld(t)
	k, b := w.flows.Kept(), jar{}
	id := b.keep(t, k, app, "a letter to a doctor")
	raw := must(base64.RawURLEncoding.DecodeString(id))(t)
	blob := must(w.shared.Get(t.Context(), sharedKey("kept", raw)))(t)[0].Value
	here := mustOrigin(t, app)
	if len(blob) == 0 || bytes.Contains(blob, []byte("letter")) {
		t.Fatalf("the store has %q", blob)
	}
	inner, err := w.ring.Open(purposeKept, blob, bound(here, string(raw)))
	if err != nil || bytes.Contains(inner, []byte("letter")) {
		t.Errorf("whoever has store and keys reads it: %v", err)
	}
	stranger := must(seal.New(bytes.Repeat([]byte{8}, 32)))(t)
	if _, err := stranger.Open(purposeKept, blob, bound(here, string(raw))); err == nil {
		t.Error("another key opens it")
	}
	if strings.Contains(w.log.String(), "letter") || strings.Contains(w.log.String(), b["__Host-doorward-kept."+id]) {
		t.Error("S10: it is in the log")
	}
	blob = append([]byte(nil), blob...)
	blob[len(blob)-1] ^= 1
	if err := w.shared.Put(t.Context(), sharedKey("kept", raw), blob, time.Minute); err != nil {
		t.Fatal(err)
	}
	if b.find(t, k, app, id) != "" {
		t.Error("what was changed in the store is believed")
	}
}

func TestP085ABrowserLeavesFewFormsAndTheOldestGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		k, b := w.flows.Kept(), jar{"__Host-doorward-kept.broken": "x"}
		var ids []string
		for range 3 * maxKept {
			ids = append(ids, b.keep(t, k, app, "a letter"))
			time.Sleep(time.Second)
		}
		if len(b) != maxKept {
			t.Errorf("%d cookies", len(b))
		}
		for i, id := range ids {
			if lives := b.find(t, k, app, id) != ""; lives != (i >= len(ids)-maxKept) {
				t.Errorf("form %d lives: %v", i, lives)
			}
		}
		raw := must(base64.RawURLEncoding.DecodeString(ids[0]))(t)
		if must(w.shared.Get(t.Context(), sharedKey("kept", raw)))(t)[0].Version != 0 {
			t.Error("the store has what its browser has given up")
		}
	})
}

func TestWhoHasReadTheIDsOfFormsSomewhereDeletesNone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		k, alice, eve := w.flows.Kept(), jar{}, jar{}
		id := alice.keep(t, k, app, "a letter")
		theirs := eve.keep(t, k, app, "another")
		eve["__Host-doorward-kept."+id] = eve["__Host-doorward-kept."+theirs] // a key, but of another form
		for range 2 * maxKept {
			time.Sleep(time.Second)
			eve.keep(t, k, app, "another")
		}
		if eve["__Host-doorward-kept."+id] != "" {
			t.Fatal("nothing was cleared")
		}
		if alice.find(t, k, app, id) != "a letter" {
			t.Error("it is gone")
		}
	})
}

func TestAFormThatFindsNoPlaceTakesNoneAway(t *testing.T) {
	w := newWorld(t)
	k, b := w.flows.Kept(), jar{}
	var ids []string
	for range maxKept {
		ids = append(ids, b.keep(t, k, app, "a letter"))
	}
	w.shared.down.Store(true)
	b.ask(t, app, "", func(w http.ResponseWriter, r *http.Request) {
		if id, err := k.Keep(w, r, []byte("x")); err == nil {
			t.Errorf("it is kept as %q", id)
		}
	})
	w.shared.down.Store(false)
	for _, id := range ids {
		if b.find(t, k, app, id) == "" {
			t.Error("the browser has lost another one")
		}
	}
}

func TestS18WhoIsNotSignedInCannotFillTheStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		k := w.flows.Kept()
		large := make([]byte, 1<<20)
		left := func(client string) bool {
			var id string
			jar{}.ask(t, app, client, func(w http.ResponseWriter, r *http.Request) {
				var err error
				if id, err = k.Keep(w, r, large); err != nil {
					t.Fatal(err)
				}
			})
			return id != ""
		}
		n := 0
		for left("192.0.2.1") {
			n++
		}
		if n != maxKeptShare>>20-1 { // a seal is a little longer than what it holds
			t.Errorf("one address left %d MiB", n)
		}
		if !left("192.0.2.2") {
			t.Error("another address has no room")
		}
		time.Sleep(keptLife + time.Second)
		if !left("192.0.2.1") {
			t.Error("it never has room again")
		}
		n = 1
		for left("") && n < 1000 { // addresses are not all that counts
			n++
		}
		if n != maxKeptBytes>>20-1 {
			t.Errorf("all together left %d MiB", n)
		}
		writes := w.shared.adds.Load() + w.shared.puts.Load()
		for range 100 {
			left("")
		}
		if more := w.shared.adds.Load() + w.shared.puts.Load() - writes; more > 1 {
			t.Errorf("a hundred that find no room write %d times", more)
		}
	})
}

func TestAStoreThatIsAwayLosesNoForm(t *testing.T) {
	w := newWorld(t)
	k, b := w.flows.Kept(), jar{}
	id := b.keep(t, k, app, "a letter")
	w.shared.down.Store(true)
	for name, call := range map[string]func(w http.ResponseWriter, r *http.Request) error{
		"keep": func(w http.ResponseWriter, r *http.Request) error { _, err := k.Keep(w, r, []byte("x")); return err },
		"find": func(_ http.ResponseWriter, r *http.Request) error { _, err := k.Find(r, id); return err },
		"take": func(w http.ResponseWriter, r *http.Request) error { _, err := k.Take(w, r, id); return err },
	} {
		b.ask(t, app, "", func(w http.ResponseWriter, r *http.Request) {
			var e *pages.Error
			if err := call(w, r); !errors.As(err, &e) || e.Code != codeStore || e.RetryAfter <= 0 {
				t.Errorf("%s: %v", name, err)
			}
		})
	}
	w.shared.down.Store(false)
	if len(b) != 1 || b.take(t, k, app, id) != "a letter" {
		t.Errorf("it is lost: %v", b)
	}
}

// A login of every kind returns to the page that sends the form, and only to one that can be such.
func TestEveryLoginReturnsToTheKeptForm(t *testing.T) {
	w := everyKind(t)
	here, page := mustOrigin(t, app), "/oauth2/kept/"+strings.Repeat("A", 22)
	for rd, want := range map[string]string{
		page: page, app + page: page, wiki + page: wiki + page, "/oauth2/signed_in": "/oauth2/signed_in",
		"/oauth2/kept/": "/", "/oauth2/kept/" + strings.Repeat("A", 21): "/", page + "A": "/", page + "/x": "/", "/oauth2/kept/" + strings.Repeat("%41", 22): "/",
		"/oauth2/kept/" + strings.Repeat(".", 22): "/", "/oauth2/signed_in/": "/", "/oauth2/sign_out": "/", "https://evil.test" + page: "/", "//evil.test" + page: "/",
	} {
		if got := w.flows.target(here, rd); got != want {
			t.Errorf("%s leads to %s, not %s", rd, got, want)
		}
	}
	b := w.net.Browser()
	choice := b.Open(t, app+"/oauth2/sign_in?rd="+url.QueryEscape(page))
	for _, name := range []string{"staff", "tv", "phone", "legacy"} {
		if !strings.Contains(choice.Body, "login="+name+"&amp;rd="+url.QueryEscape(page)) {
			t.Errorf("%s forgets it:\n%s", name, choice.Body)
		}
	}
	if ended := b.Open(t, app+"/oauth2/start?login=staff&rd="+url.QueryEscape(page)).SignIn(t, "alice", "alice"); ended.URL.Path != page {
		t.Errorf("staff ends on %s\n%s", ended.URL, ended.Trail())
	}
	old := w.net.Browser().Open(t, app+"/oauth2/start?login=legacy&rd="+url.QueryEscape(page))
	if ended := old.Submit(t, map[string]string{"username": "alice", "password": "alice"}); ended.URL.Path != page {
		t.Errorf("legacy ends on %s\n%s", ended.URL, ended.Trail())
	}
}

func TestThePageOfAPopupTellsOnlyWhoHasASession(t *testing.T) {
	w := newWorld(t)
	b := w.net.Browser()
	expect(t, b.Open(t, app+"/oauth2/signed_in"), http.StatusUnauthorized, "/oauth2/start?rd=%2Foauth2%2Fsigned_in")
	page := b.Open(t, app+"/oauth2/start?rd=%2Foauth2%2Fsigned_in").SignIn(t, "alice", "alice")
	expect(t, page, http.StatusOK, "You are signed in", `new BroadcastChannel("doorward")`)
	if page.URL.String() != app+"/oauth2/signed_in" || !strings.Contains(page.Header.Get("Content-Security-Policy"), "script-src 'sha256-") {
		t.Errorf("%s %v", page.URL, page.Header)
	}
	for _, from := range []string{"https://evil.test", "null", app} { // P183
		if res := w.call(t, http.MethodGet, app+"/oauth2/session", "Origin", from); res.Header["Access-Control-Allow-Origin"] != nil {
			t.Errorf("%s may read it", from)
		}
	}
}

// Whatever a browser says that it has left, nothing panics and nothing opens but what it is the key of.
func FuzzKeptForms(f *testing.F) {
	w := newWorld(f)
	k, b := w.flows.Kept(), jar{}
	id := b.keep(f, k, app, "a letter")
	f.Add(id, b["__Host-doorward-kept."+id])
	f.Add(id, "")
	f.Add("", "x")
	f.Add(strings.Repeat("A", 22), strings.Repeat("A", 54))
	f.Fuzz(func(t *testing.T, name, value string) {
		r := httptest.NewRequest(http.MethodGet, app, http.NoBody)
		r.AddCookie(&http.Cookie{Name: "__Host-doorward-kept." + name, Value: value})
		form, err := k.Find(r, name)
		if err != nil || form != nil && (name != id || keptValue(value) == nil || !bytes.Equal(keptValue(value)[8:], keptValue(b["__Host-doorward-kept."+id])[8:])) {
			t.Errorf("%q opened by %q: %v", form, value, err)
		}
	})
}
