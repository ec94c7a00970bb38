package flows

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/doorward/doorward/demo/idp"
	"github.com/doorward/doorward/internal/testnet"
)

func TestP155AnotherBrowserWithTheSameAddressGetsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, withDevice())
		b := w.net.Browser()
		startLogin(t, b, byCode())
		second := startLogin(t, b, byCode()) // so that its address holds the id
		thief := w.net.Browser()
		startLogin(t, thief, byCode()) // has an attempt of its own
		id := must(url.Parse(second.Poll))(t).Query().Get("attempt")
		if id == "" {
			t.Fatalf("%+v", second)
		}
		if err := w.idp.ApproveDevice(second.UserCode, "alice"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(6 * time.Second)
		tokens := len(w.asked(idp.GrantDevice))
		expect(t, pollOnce(t, thief, second.Poll), http.StatusNotFound, codeAttemptUnknown)
		page := thief.Open(t, app+"/oauth2/device?login=tv&attempt="+id)
		if strings.Contains(page.Body, second.UserCode) {
			t.Error("the code of another browser's login is shown")
		}
		if n := len(w.asked(idp.GrantDevice)); n != tokens || thief.Jar.Get(app, sessionID) != "" {
			t.Errorf("%d token requests for the thief", n-tokens)
		}
		own := thief.Jar.Get(app, attempts(thief, app)[0]) // under the other's name
		thief.Jar.Put(app, &http.Cookie{Name: "__Host-doorward-login." + id, Value: own, Path: "/", Secure: true})
		expect(t, pollOnce(t, thief, second.Poll), http.StatusNotFound, codeAttemptUnknown)
		arrivedAs(t, b, pollOut(t, b, second))
	})
}

// arrivedAs is arrived for a browser that has other attempts left.
func arrivedAs(t testing.TB, b *testnet.Browser, now begun) {
	t.Helper()
	if now.Status != "approved" {
		t.Fatalf("%+v", now)
	}
	expect(t, b.Open(t, app+now.Location), http.StatusOK, "alice sees")
}

func TestAWaitingLoginIsCollectedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, withDevice())
		b := w.net.Browser()
		now := startLogin(t, b, byCode())
		name := attempts(b, app)[0]
		kept := b.Jar.Get(app, name)
		if err := w.idp.ApproveDevice(now.UserCode, "alice"); err != nil {
			t.Fatal(err)
		}
		arrived(t, b, pollOut(t, b, now))
		thief := w.net.Browser()
		thief.Jar.Put(app, &http.Cookie{Name: name, Value: kept, Path: "/", Secure: true})
		expect(t, pollOnce(t, thief, now.Poll), http.StatusNotFound, codeAttemptUnknown)
		expect(t, thief.Open(t, app+"/oauth2/device?attempt="+strings.TrimPrefix(name, "__Host-doorward-login.")), http.StatusOK, "was finished already")
		if thief.Jar.Get(app, sessionID) != "" {
			t.Error("a copy of the cookie is a second session")
		}
		b.Jar.Put(app, &http.Cookie{Name: name, Value: kept, Path: "/", Secure: true}) // another tab of the browser that won
		if now := readAnswer(t, pollOnce(t, b, now.Poll)); now.Status != "approved" || now.Location != "/x?y=1" {
			t.Errorf("%+v", now)
		}
	})
}

func TestP156NoCodeIsGoodForMoreThanTenMinutes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, withDevice())
		w.idp.Misbehave(idp.Catalogue()["device_expires_huge"])
		b := w.net.Browser()
		now := startLogin(t, b, byCode())
		if now.ExpiresIn != 600 {
			t.Errorf("%+v", now)
		}
		path := now.Poll
		time.Sleep(10 * time.Minute)
		if now := readAnswer(t, pollOnce(t, b, path)); now.Status != waitExpired {
			t.Errorf("%+v", now)
		}
	})
}

func TestP158AFloodOfStartsIsStopped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, withDevice())
		program := func(client string) *http.Response {
			return w.call(t, http.MethodPost, app+"/oauth2/device?login=tv", "Content-Type", "application/x-www-form-urlencoded", "Accept", "application/json", "X-Test-Client", client)
		}
		var made, refused int
		for range 1000 {
			switch res := program("203.0.113.7"); res.StatusCode {
			case http.StatusCreated:
				made++
			case http.StatusTooManyRequests:
				if refused++; res.Header.Get("Retry-After") == "" {
					t.Fatal("no Retry-After")
				}
			default:
				t.Fatalf("status %d", res.StatusCode)
			}
		}
		if made != startsOfNetwork || w.idp.Count(idp.Device) != startsOfNetwork {
			t.Errorf("%d begun, %d refused, the provider was asked %d times", made, refused, w.idp.Count(idp.Device))
		}
		if res := program("198.51.100.1"); res.StatusCode != http.StatusCreated {
			t.Errorf("somebody else gets %d", res.StatusCode)
		}
		time.Sleep(startWindow)
		if res := program("203.0.113.7"); res.StatusCode != http.StatusCreated {
			t.Errorf("ten minutes later: %d", res.StatusCode)
		}
	})
}

func TestP159P160WhatAProviderWantsShownIsCheckedFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, withDevice())
		hostile := func(page *testnet.Page) bool {
			body := strings.ToLower(page.Body)
			return strings.Contains(body, "<script>alert") || strings.Contains(body, `href="javascript:`) || strings.Contains(body, `href="data:`) || strings.Contains(page.Body, "\u202e")
		}
		for name, sin := range idp.Catalogue() {
			switch {
			case strings.HasPrefix(name, "device_uri_"), strings.HasPrefix(name, "device_user_code_"):
				w.idp.Misbehave(sin)
				b := w.net.Browser()
				expect(t, b.Fetch(t, "", http.MethodPost, app+"/oauth2/device", byCode()), http.StatusBadGateway, codeProviderBad)
				w.idp.Misbehave(sin)
				if page := b.Post(t, "", app+"/oauth2/device", byCode()); page.Status != http.StatusBadGateway || hostile(page) || len(attempts(b, app)) > 0 {
					t.Errorf("%s: %d %s", name, page.Status, page.Body)
				}
			case strings.HasPrefix(name, "device_complete_"): // only an addition: without it the code is typed
				w.idp.Misbehave(sin)
				if now := startLogin(t, w.net.Browser(), byCode()); now.CompleteURI != "" || now.UserCode == "" {
					t.Errorf("%s: %+v", name, now)
				}
			}
		}
	})
}

func TestP161TheIDTokenOfADeviceLoginIsCheckedLikeAnyOther(t *testing.T) {
	for _, sin := range []string{"wrong_aud", "wrong_signature", "wrong_iss", "expired", "alg_none", "missing_sub"} {
		t.Run(sin, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, withDevice())
				b := w.net.Browser()
				now := startLogin(t, b, byCode())
				s, ok := idp.Catalogue()[sin]
				if !ok {
					t.Fatalf("there is no sin %s", sin)
				}
				w.idp.Misbehave(s.For("grant_type", idp.GrantDevice).Always())
				if err := w.idp.ApproveDevice(now.UserCode, "alice"); err != nil {
					t.Fatal(err)
				}
				if now = pollOut(t, b, now); now.Status != waitFailed || now.Code != codeProviderBad || b.Jar.Get(app, sessionID) != "" {
					t.Errorf("%+v", now)
				}
			})
		})
	}
	t.Run("and the session gets a new id", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, withDevice())
			b := w.net.Browser()
			var ids []string
			for range 2 {
				now := startLogin(t, b, byCode())
				if err := w.idp.ApproveDevice(now.UserCode, "alice"); err != nil {
					t.Fatal(err)
				}
				arrived(t, b, pollOut(t, b, now))
				ids = append(ids, b.Jar.Get(app, sessionID))
			}
			if ids[0] == "" || ids[0] == ids[1] {
				t.Errorf("%q", ids)
			}
		})
	})
}

func TestP184OnlyAPageOfOursOrAPersonBeginsADeviceLogin(t *testing.T) {
	w := newWorld(t, withDevice())
	b := w.net.Browser()
	expect(t, b.Post(t, "https://evil.example/", app+"/oauth2/device", byCode()), http.StatusForbidden)
	expect(t, b.Fetch(t, "https://evil.example/", http.MethodPost, app+"/oauth2/device", byCode()), http.StatusForbidden)
	expect(t, b.Fetch(t, wiki, http.MethodPost, app+"/oauth2/device", byCode()), http.StatusForbidden)
	page := b.Visit(t, "https://evil.example/", app+"/oauth2/device?login=tv&rd=/x")
	expect(t, page, http.StatusOK, "app.test")
	if w.idp.Count(idp.Device) != 0 || len(attempts(b, app)) != 0 {
		t.Errorf("%d codes were asked for\n%s", w.idp.Count(idp.Device), page.Trail())
	}
}

func TestAPostThatSaysNoUsableThingBeginsNothing(t *testing.T) {
	w := newWorld(t, withDevice())
	b := w.net.Browser()
	for name, form := range map[string]url.Values{
		"another flow's login": {"login": {"staff"}}, "no such login": {"login": {"nobody"}},
		"login twice": {"login": {"tv", "tv"}}, "rd twice": {"rd": {"/a", "/b"}},
	} {
		if page := b.Fetch(t, "", http.MethodPost, app+"/oauth2/device", form); page.Status != http.StatusBadRequest {
			t.Errorf("%s: %d", name, page.Status)
		}
	}
	huge := url.Values{"rd": {"/" + strings.Repeat("a", 80<<10)}}
	expect(t, b.Fetch(t, "", http.MethodPost, app+"/oauth2/device", huge), http.StatusRequestEntityTooLarge)
	if w.idp.Count(idp.Device) != 0 {
		t.Error("the provider was asked")
	}
	if now := startLogin(t, b, url.Values{"rd": {"https://evil.example/"}}); now.Login != "tv" {
		t.Errorf("the only login of its kind needs no name: %+v", now)
	}
}

func TestADeviceLoginThatNoRouteNamesCannotBegin(t *testing.T) {
	w := newWorld(t, withDevice(), func(p *plan) { p.logins = []string{"staff"} })
	expect(t, w.net.Browser().Fetch(t, "", http.MethodPost, app+"/oauth2/device", byCode()), http.StatusBadRequest)
	if w.idp.Count(idp.Device) != 0 {
		t.Error("the provider was asked")
	}
}
