package personal

import (
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestThePageWorksWithoutScript(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		b := w.signedIn("alice", git)
		shown := b.Open(t, git+"/oauth2/tokens").Submit(t, map[string]string{"name": "ci", "expires_in": "604800", "read_only": "true", "scopes": "orders.read"})
		if shown.Status != http.StatusCreated {
			t.Fatalf("%d %s", shown.Status, shown.Body)
		}
		list := shown.Click(t, "your list of tokens")
		for _, want := range []string{">ci</h3>", "only to read", "orders.read", "Not used yet.", "Ends 8 January 2000"} {
			if !strings.Contains(list.Body, want) {
				t.Errorf("%q is not in %s", want, list.Body)
			}
		}
		after := list.Press(t, "Revoke ci")
		if after.Status != 200 || len(after.Hops) != 2 || after.Hops[0].Status != http.StatusSeeOther || strings.Contains(after.Body, ">ci</h3>") {
			t.Errorf("%d %s", after.Status, after.Trail())
		}
	})
}

func TestAFormThatIsNotAcceptedComesBackWithWhatWasTyped(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		b := w.signedIn("alice", git)
		p := b.Post(t, "", git+"/oauth2/tokens", named("ci", "scopes", "orders.read", "scopes", "admin", "expires_in", "86400"))
		for _, want := range []string{"scopes that your own sign-in has", `value="ci"`, `value="orders.read" checked`, `value="86400" selected`} {
			if p.Status != 400 || !strings.Contains(p.Body, want) {
				t.Errorf("%d: %q is not in %s", p.Status, want, p.Body)
			}
		}
	})
}

func TestWithoutASessionNobodyListsOrMints(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		b := w.signedIn("alice", git)
		made := w.mint(b, git, named("ci"))
		stranger := w.net.Browser()
		stranger.StopAt = func(*url.URL) bool { return true }
		if p := stranger.Open(t, git+"/oauth2/tokens"); p.Status != 302 || p.Header.Get("Location") != "/oauth2/start?rd=%2Foauth2%2Ftokens" {
			t.Errorf("a navigation: %d %v", p.Status, p.Header)
		}
		own := []string{"X-Requested-With", "curl", "Content-Type", "application/x-www-form-urlencoded"}
		ticket := "dw1." + b.Jar.Get(git, "__Host-doorward")[4:]
		for name, headers := range map[string][]string{
			"nothing": nil, "a personal token": {"Authorization", "Bearer " + made.Token}, "as Basic": {"Authorization", basic("a", made.Token)},
			"a ticket": {"Authorization", "Bearer " + ticket}, "a ticket as Basic": {"Authorization", basic("a", ticket)}, "a token as cookie": {"Cookie", "__Host-doorward=" + made.Token},
		} {
			for _, method := range []string{"GET", "POST"} {
				status, body, header := w.call(method, git+"/oauth2/tokens", append(headers, own...)...)
				problem := decoded[struct {
					Code     string
					LoginURL string `json:"login_url"`
				}](t, body)
				if status != 401 || problem.Code != "login_required" || problem.LoginURL != git+"/oauth2/start?rd=%2Foauth2%2Ftokens" || header.Get("WWW-Authenticate") == "" {
					t.Errorf("%s, %s: %d %s", name, method, status, body)
				}
			}
		}
		if n := len(w.list(b, git)); n != 1 {
			t.Errorf("%d tokens", n)
		}
	})
}

func TestAListSaysWhatWasMadeAndWhenItWasUsed(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		b := w.signedIn("alice", git)
		first := w.mint(b, git, named("first", "expires_in", "3600", "scopes", "openid orders.read"))
		time.Sleep(time.Minute)
		w.mint(b, git, named("second", "read_only", "true"))
		used := time.Now()
		w.expect(first.Token, git, 200, "alice")
		synctest.Wait()
		time.Sleep(50 * time.Minute)
		w.expect(first.Token, git, 200, "alice") // within the hour: nothing is written
		synctest.Wait()
		list := w.list(b, git)
		if len(list) != 2 || list[0].Name != "second" || list[1].Name != "first" {
			t.Fatalf("%+v", list)
		}
		if l := list[1]; !l.LastUsedAt.Equal(used.Truncate(time.Second)) || l.Token != "" || l.ID != first.ID || !l.EndsAt.Equal(l.CreatedAt.Add(time.Hour)) ||
			!reflect.DeepEqual(l.Hosts, []string{"git.test"}) || !reflect.DeepEqual(l.Scopes, []string{"openid", "orders.read"}) || l.ReadOnly {
			t.Errorf("%+v", l)
		}
		if l := list[0]; !l.LastUsedAt.IsZero() || !l.ReadOnly || len(l.Scopes) != 0 || l.Scopes == nil {
			t.Errorf("%+v", l)
		}
		time.Sleep(10 * time.Minute)
		w.expect(first.Token, git, 401, "nobody")
		if list = w.list(b, git); len(list) != 1 {
			t.Errorf("a token that has ended is in the list: %+v", list)
		}
	})
}

func TestAUseIsWrittenOnceAnHour(t *testing.T) {
	bubble(t, func(t *testing.T) {
		shared := newMemory(t)
		same := func(p *plan) { p.store = shared }
		w, two := newWorld(t, same), newWorld(t, same)
		b := w.signedIn("alice", git)
		made := w.mint(b, git, named("ci"))
		version := func() uint64 { return must(w.store.Get(t.Context(), listedKeys+made.ID))(t)[0].Version }
		before, writes := version(), 0
		for range 5 * 12 {
			for _, replica := range []*world{w, two} {
				replica.who(made.Token, git)
				synctest.Wait()
				if v := version(); v != before {
					before, writes = v, writes+1
				}
			}
			time.Sleep(5 * time.Minute)
		}
		if writes != 5 {
			t.Errorf("%d writes in 5 hours", writes)
		}
	})
}

func TestMethodsAndHosts(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		for _, method := range []string{"PUT", "DELETE", "HEAD", "PATCH"} {
			if status, _, header := w.call(method, git+"/oauth2/tokens"); status != 405 || header.Get("Allow") != "GET, POST" {
				t.Errorf("%s: %d", method, status)
			}
		}
	})
}
