package flows

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/doorward/doorward/flows/provider"
	"github.com/doorward/doorward/internal/origin"
)

func TestWhoseBrowserKeepsNoCookiesIsToldSo(t *testing.T) {
	t.Run("at the callback", func(t *testing.T) {
		w := newWorld(t)
		to := w.answered(t, w.net.Browser(), app+"/x?y=1")
		page := w.net.Browser().Open(t, to) // brings no cookie
		expect(t, page, http.StatusBadRequest, codeState, "keeps no cookies for app.test", "rd=%2Fx%3Fy%3D1")
	})
	t.Run("on the page that waits", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, withDevice(), func(p *plan) {
				before := p.flows
				p.flows = func(c *Config) {
					before(c)
					c.Logins = append(c.Logins, Login{Name: "kiosk", Flow: "device", Provider: "corp"})
				}
				p.logins = []string{"tv", "kiosk"}
			})
			b := w.net.Browser()
			b.StopAt = func(next *url.URL) bool { return next.Query().Has("attempt") }
			to := b.Post(t, "", app+"/oauth2/device", byCode()).Header.Get("Location")
			page := w.net.Browser().Open(t, app+to)
			expect(t, page, http.StatusOK, "keeps no cookies for app.test")
			if form := page.Forms()[0].Fields; form.Get("rd") != "/x?y=1" || form.Get("login") != "tv" {
				t.Errorf("the button forgets where it leads: %v", form)
			}
			long := url.Values{"login": {"tv"}, "rd": {"/x?" + strings.Repeat("y", 3000)}}
			if to := b.Post(t, "", app+"/oauth2/device", long).Header.Get("Location"); len(to) > 100 {
				t.Errorf("an address of %d bytes", len(to))
			}
		})
	})
}

func TestTheWordsOfARefusalFitItsRetryAfter(t *testing.T) {
	for wait, want := range map[time.Duration]string{
		time.Millisecond: "a second", time.Second: "a second", 1500 * time.Millisecond: "2 seconds", 10 * time.Second: "10 seconds", time.Minute: "60 seconds",
		61 * time.Second: "2 minutes", time.Hour: "60 minutes", time.Hour + 1: "2 hours", 12 * time.Hour: "12 hours",
	} {
		if got := inWords(wait); got != want {
			t.Errorf("%v: %s, want %s", wait, got, want)
		}
	}
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, onlyPasswords)
		b := w.net.Browser()
		for n := range 10 {
			page := b.Open(t, signInForm+"?rd=/x").Submit(t, typing("alice", fmt.Sprint("wrong-", n)))
			if page.Status != http.StatusTooManyRequests {
				continue
			}
			expect(t, page, http.StatusTooManyRequests, "Wait "+page.Header.Get("Retry-After")+" seconds before")
			return
		}
		t.Error("nobody was told to wait")
	})
}

func TestAFormInAnotherCharsetIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, withDevice())
		for media, want := range map[string]int{
			formMedia: http.StatusCreated, formMedia + "; charset=UTF-8": http.StatusCreated, formMedia + `;charset="utf-8"`: http.StatusCreated,
			formMedia + "; charset=utf-16": http.StatusBadRequest, formMedia + "; charset=utf-7": http.StatusBadRequest,
			formMedia + "; charset=iso-8859-1": http.StatusBadRequest, formMedia + `; charset=""`: http.StatusBadRequest,
		} {
			if res, body := w.postForm(t, app+"/oauth2/device", byCode(), "Content-Type", media, "Accept", "application/json"); res.StatusCode != want {
				t.Errorf("%s: %d %s", media, res.StatusCode, body)
			}
		}
	})
}

func TestCheckLoginNamesTheKeyThatIsWrong(t *testing.T) {
	w := newWorld(t)
	client := w.providers["corp"]
	good := Login{Name: "x", Provider: "corp"}
	for key, change := range map[string]func(*Login){
		"name: ":            func(l *Login) { l.Name = "" },
		"flow: ":            func(l *Login) { l.Flow = "magic" },
		"binding_message: ": func(l *Login) { l.Flow, l.BindingMessage = "ciba", "no place for one" },
		"delivery: ":        func(l *Login) { l.Flow, l.Delivery = "ciba", "pigeon" },
		"hint: ":            func(l *Login) { l.Flow, l.Hint = "ciba", "guess" },
		"requested_expiry:": func(l *Login) { l.Flow, l.RequestedExpiry = "ciba", time.Hour },
		"params: ":          func(l *Login) { l.Flow, l.Params = "device", map[string][]string{"scope": {"x"}} },
		"scopes: ":          func(l *Login) { l.Flow, l.Scopes = "device", []string{"email"} },
		"otp: ":             func(l *Login) { l.Flow, l.OTP = "password", "totp" },
		"max_failures: ":    func(l *Login) { l.Flow, l.MaxFailures = "password", 31 },
		"response_type: ":   func(l *Login) { l.Flow, l.ResponseType = "implicit", "token" },
		"response_mode: ":   func(l *Login) { l.Flow, l.ResponseMode = "hybrid", "query" },
		"pass_params: ":     func(l *Login) { l.Flow, l.PassParams = "authorization_code", []string{"client_id"} },
	} {
		l := good
		change(&l)
		if err := CheckLogin(client, l); err == nil || !strings.HasPrefix(err.Error(), key) {
			t.Errorf("%s: %v", key, err)
		}
		d := w.flows.deps
		d.Origins, d.Providers = must(origin.NewSet(mustOrigin(t, app)))(t), map[string]*provider.Client{"corp": client}
		if _, err := New(Config{Prefix: "/oauth2", Logins: []Login{l}}, d); err == nil {
			t.Errorf("%s: New takes it", key)
		}
	}
	if err := CheckLogin(nil, Login{Name: "x", Flow: "device", Provider: "gone"}); err == nil || !strings.HasPrefix(err.Error(), "provider: ") {
		t.Errorf("%v", err)
	}
	for _, flow := range []string{"authorization_code", "implicit", "hybrid", "device", "ciba", "password"} {
		l := good
		if l.Flow = flow; CheckLogin(client, l) != nil {
			t.Errorf("%s: %v", flow, CheckLogin(client, l))
		}
	}
}
