package flows

import (
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/doorward/doorward/demo/idp"
)

func TestCIB12ACIBALoginSignsInTheBrowserThatBeganIt(t *testing.T) {
	for _, delivery := range []string{"poll", "ping", "push"} {
		t.Run(delivery, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, withCIBA(Login{Delivery: delivery}))
				w.replica(t)
				b := on(w.net.Browser(), 1) // notifications go to the other one
				now := startLogin(t, b, byHint("alice"))
				question := w.idp.PendingCIBA("alice")[0]
				interval := map[string]int{"poll": 5, "ping": 2, "push": 2}[delivery]
				want := begun{Status: "pending", Login: "phone", Message: question.BindingMessage, ExpiresIn: 120, Interval: interval, Poll: "/oauth2/ciba/poll"}
				if now != want || !regexp.MustCompile(`^[B-DF-HJ-NP-RTV-Y3-9]{5}$`).MatchString(now.Message) {
					t.Errorf("%+v", now)
				}
				time.Sleep(time.Duration(now.Interval) * time.Second)
				if now = readAnswer(t, pollOnce(t, b, now.Poll)); now.Status != "pending" {
					t.Errorf("%+v", now)
				}
				if d := w.approve(t); delivery != "poll" && d.Status != http.StatusNoContent {
					t.Errorf("the notification was answered %d %v", d.Status, d.Err)
				}
				arrived(t, b, pollOut(t, b, now))
				if n, want := len(w.asked(idp.GrantCIBA)), map[string]int{"poll": 2, "ping": 1, "push": 0}[delivery]; n != want {
					t.Errorf("%d token requests, want %d", n, want)
				}
				request := w.idp.Last(idp.CIBA).Form
				w.quiet(t, "alice@", now.Message, request.Get("client_notification_token"))
				if token := request.Get("client_notification_token"); (token == "") != (delivery == "poll") || token != "" && len(token) < 43 {
					t.Errorf("CIB-3: notification token of %d characters", len(token))
				}
			})
		})
	}
}

func TestACIBALoginWorksWithoutScript(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, withCIBA(Login{}))
		b := w.net.Browser()
		b.Header.Set("X-Test-Client", "203.0.113.9")
		page := b.Open(t, app+"/x?y=1")
		expect(t, page, http.StatusOK, "app.test")
		page = page.Submit(t, map[string]string{"hint": "alice"})
		message := w.idp.PendingCIBA("alice")[0].BindingMessage
		expect(t, page, http.StatusOK, message, "203.0.113.9", "app.test")
		again := page.URL.String()
		expect(t, b.Open(t, again), http.StatusOK, message) // a reload asks nobody again
		if n := w.idp.Count(idp.CIBA); n != 1 {
			t.Errorf("%d questions", n)
		}
		w.approve(t)
		time.Sleep(6 * time.Second)
		expect(t, b.Open(t, again), http.StatusOK, "alice sees app.test/x?y=1")
		expect(t, b.Open(t, again), http.StatusOK, "alice sees app.test/")
	})
}

func TestCIB6TheErrorsOfARequestInWords(t *testing.T) {
	for sin, want := range map[string]struct {
		status int
		code   string
	}{
		"ciba_request_invalid_request":          {http.StatusBadGateway, codeMisconfigured},
		"ciba_request_invalid_scope":            {http.StatusBadGateway, codeMisconfigured},
		"ciba_request_unauthorized_client":      {http.StatusBadGateway, codeMisconfigured},
		"ciba_request_invalid_client":           {http.StatusBadGateway, codeMisconfigured},
		"ciba_request_expired_login_hint_token": {http.StatusGone, codeLoginExpired},
		"ciba_request_invalid_binding_message":  {http.StatusBadGateway, codeMisconfigured},
		"ciba_refused_403":                      {http.StatusForbidden, codeDenied},
		"ciba_no_id":                            {http.StatusBadGateway, codeProviderBad},
		"ciba_expires_missing":                  {http.StatusBadGateway, codeProviderBad},
		"ciba_huge_id":                          {http.StatusBadGateway, codeProviderBad},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, withCIBA(Login{}))
			b := w.net.Browser()
			w.idp.Misbehave(idp.Catalogue()[sin])
			page := b.Fetch(t, "", http.MethodPost, app+"/oauth2/ciba", byHint("alice"))
			if page.Status != want.status || !strings.Contains(page.Body, `"code":"`+want.code+`"`) || len(attempts(b, app)) != 0 {
				t.Errorf("%s: %d %s", sin, page.Status, page.Body)
			}
			if w.idp.Count(idp.Token) != 0 {
				t.Errorf("%s: a poll followed", sin)
			}
			startLogin(t, b, byHint("alice")) // a request that was not accepted takes nobody's place
		})
	}
}

func TestP168ThePollOfACIBALoginObeysTheProvider(t *testing.T) {
	for sin, want := range map[string]begun{
		"ciba_denied":             {Status: waitDenied},
		"ciba_expired_token":      {Status: waitExpired},
		"ciba_transaction_failed": {Status: waitFailed, Code: codeProviderBad},
		"ciba_invalid_grant":      {Status: waitFailed, Code: codeProviderBad},
		"ciba_unknown_error":      {Status: waitFailed, Code: codeProviderBad},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, withCIBA(Login{}))
			b := w.net.Browser()
			now := startLogin(t, b, byHint("alice"))
			w.idp.Misbehave(idp.Catalogue()["ciba_slow_down"], idp.Catalogue()["ciba_pending"], idp.Catalogue()[sin])
			path := now.Poll
			now = pollOut(t, b, now)
			if now.Status != want.Status || now.Code != want.Code {
				t.Errorf("%s: %+v", sin, now)
			}
			time.Sleep(time.Minute)
			readAnswer(t, pollOnce(t, b, path))
			times := w.asked(idp.GrantCIBA)
			if len(times) != 3 || times[1].Sub(times[0]) < 10*time.Second || times[2].Sub(times[1]) < 10*time.Second {
				t.Errorf("%s: token requests at %v", sin, times)
			}
		})
	}
}

func TestP166NobodyElseGetsTheSessionThatAPersonAgreedTo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, withCIBA(Login{}))
		b, thief := w.net.Browser(), w.net.Browser()
		now := startLogin(t, b, byHint("alice"))
		other := startLogin(t, thief, byHint("bob"))
		w.approve(t)
		time.Sleep(6 * time.Second)
		if got := readAnswer(t, pollOnce(t, thief, other.Poll)); got.Status != waitPending {
			t.Errorf("%+v", got)
		}
		id := strings.TrimPrefix(attempts(b, app)[0], "__Host-doorward-login.")
		expect(t, pollOnce(t, thief, now.Poll+"?attempt="+id), http.StatusNotFound, codeAttemptUnknown)
		page := thief.Open(t, app+"/oauth2/ciba?attempt="+id)
		if strings.Contains(page.Body, now.Message) || thief.Jar.Get(app, sessionID) != "" {
			t.Error("another browser sees the login")
		}
		handle := w.idp.Last(idp.Token).Form.Get("auth_req_id")
		for _, seen := range []string{page.Body, fmt.Sprint(now), b.Jar.Get(app, attempts(b, app)[0])} {
			if handle == "" || strings.Contains(seen, handle) {
				t.Errorf("the auth_req_id is shown: %q", handle)
			}
		}
		arrived(t, b, pollOut(t, b, now))
	})
}

func TestWhatACIBALoginIsConfiguredToAskGoesOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, withCIBA(Login{
			ACRValues: []string{"1", "2"}, RequestedExpiry: 90 * time.Second, BindingMessage: "APP-{code}", Scopes: []string{"openid", "profile"},
			Params: map[string][]string{"tenant": {"a b"}},
		}))
		b := w.net.Browser()
		now := startLogin(t, b, byHint("alice"))
		form := w.idp.Last(idp.CIBA).Form
		for name, want := range map[string]string{"acr_values": "1 2", "requested_expiry": "90", "binding_message": now.Message, "scope": "openid profile", "tenant": "a b", "login_hint": "alice"} {
			if form.Get(name) != want {
				t.Errorf("%s = %q, want %q", name, form.Get(name), want)
			}
		}
		if now.ExpiresIn != 90 || !strings.HasPrefix(now.Message, "APP-") {
			t.Errorf("%+v", now)
		}
		w.idp.Misbehave(idp.Claim("acr", "0").For("grant_type", idp.GrantCIBA).Always())
		w.approve(t)
		if now = pollOut(t, b, now); now.Status != waitFailed {
			t.Errorf("a lower level than asked for: %+v", now)
		}
		w.idp.Heal()
		w.idp.Misbehave(idp.Claim("acr", nil).For("grant_type", idp.GrantCIBA).Always())
		b = w.net.Browser()
		now = startLogin(t, b, byHint("alice"))
		w.approve(t)
		arrived(t, b, pollOut(t, b, now)) // a provider may keep silent about it (OIDC Core §5.5.1.1)
	})
}

func TestSomebodyWhoIsSignedInCanBeAskedByTheirIDToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, withCIBA(Login{Hint: "id_token_hint"}), func(p *plan) { p.logins = []string{"staff", "phone"} })
		b := w.net.Browser()
		form := url.Values{"login": {"phone"}, "rd": {"/x?y=1"}, "hint": {"bob"}}
		page := b.Fetch(t, "", http.MethodPost, app+"/oauth2/ciba", form)
		if page.Status != http.StatusUnauthorized || w.idp.Count(idp.CIBA) != 0 {
			t.Errorf("nobody is signed in: %d %s", page.Status, page.Body)
		}
		b.Open(t, app+"/oauth2/start?login=staff&rd=/x").SignIn(t, "alice", "alice")
		now := startLogin(t, b, form)
		if sent := w.idp.Last(idp.CIBA).Form; sent.Get("id_token_hint") == "" || sent.Has("login_hint") {
			t.Errorf("CIB-1: %v", sent)
		}
		w.approve(t)
		arrived(t, b, pollOut(t, b, now))
		now = startLogin(t, b, form)
		w.idp.Misbehave(idp.Catalogue()["ciba_other_sub"])
		w.approve(t)
		if now = pollOut(t, b, now); now.Status != waitFailed {
			t.Errorf("somebody else's consent: %+v", now)
		}
	})
}

func TestARequestThatCannotBeSignedIsTheOperatorsFault(t *testing.T) {
	w := newWorld(t, withCIBA(Login{SignedRequest: true}))
	expect(t, w.net.Browser().Fetch(t, "", http.MethodPost, app+"/oauth2/ciba", byHint("alice")), http.StatusBadGateway, codeMisconfigured)
}

func TestALoginHintTokenComesFromTheForm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, withCIBA(Login{Hint: "login_hint_token"}))
		b := w.net.Browser()
		token := must(w.idp.LoginHintToken("alice", time.Minute))(t)
		now := startLogin(t, b, byHint(token))
		if sent := w.idp.Last(idp.CIBA).Form; sent.Get("login_hint_token") != token || sent.Has("login_hint") {
			t.Errorf("CIB-1: %v", sent)
		}
		w.approve(t)
		arrived(t, b, pollOut(t, b, now))
		time.Sleep(2 * time.Minute)
		expect(t, b.Fetch(t, "", http.MethodPost, app+"/oauth2/ciba", byHint(token)), http.StatusGone, codeLoginExpired)
	})
}
