package flows

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/doorward/doorward/demo/idp"
)

// notice posts to the notification endpoint what no provider may have sent.
func (w *world) notice(t testing.TB, body string, header ...string) int {
	t.Helper()
	r := must(http.NewRequestWithContext(t.Context(), http.MethodPost, app+"/oauth2/ciba/notify", strings.NewReader(body)))(t)
	r.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	res := must(w.net.Client().Do(r))(t)
	_ = res.Body.Close()
	return res.StatusCode
}

// handle returns the auth_req_id and the notification token of the last request.
func (w *world) handle(t testing.TB) (id, bearer string) {
	t.Helper()
	var blob struct {
		ID string `json:"auth_req_id"`
	}
	d := must(w.idp.Notify(t.Context(), w.idp.PendingCIBA("")[len(w.idp.PendingCIBA(""))-1].ID, idp.Sin{Drop: true}))(t)
	if d.Err != nil {
		t.Fatal(d.Err)
	}
	if err := json.Unmarshal([]byte(w.idp.Last(idp.Notification).Body), &blob); err != nil || blob.ID == "" {
		t.Fatal(err)
	}
	return blob.ID, w.idp.Last(idp.CIBA).Form.Get("client_notification_token")
}

func TestP162APingNeedsItsOwnToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, withCIBA(Login{Delivery: "ping"}))
		b := w.net.Browser()
		startLogin(t, w.net.Browser(), byHint("bob"))
		_, bobs := w.handle(t)
		now := startLogin(t, b, byHint("alice"))
		id, bearer := w.handle(t)
		body := `{"auth_req_id":"` + id + `"}`
		for name, header := range map[string][]string{
			"none": nil, "wrong": {"Authorization", "Bearer " + strings.Repeat("w", 43)}, "Basic": {"Authorization", "Basic " + bearer},
			"of another request": {"Authorization", "Bearer " + bobs}, "empty": {"Authorization", "Bearer "}, "a prefix": {"Authorization", "Bearer " + bearer[:42]},
			"two": {"Authorization", "Bearer " + bearer, "Authorization", "Bearer x"}, "a list": {"Authorization", "Bearer " + bearer + ", x"},
		} {
			if status := w.notice(t, body, header...); status != http.StatusUnauthorized {
				t.Errorf("%s: %d", name, status)
			}
		}
		time.Sleep(2 * time.Second)
		if now = readAnswer(t, pollOnce(t, b, now.Poll)); now.Status != waitPending || w.idp.Count(idp.Token) != 0 {
			t.Errorf("%+v, %d token requests", now, w.idp.Count(idp.Token))
		}
		if status := w.notice(t, body, "Authorization", "bearer  "+bearer); status != http.StatusNoContent { // RFC 9110 §11.1
			t.Errorf("the right one: %d", status)
		}
		w.quiet(t, id, bearer)
	})
}

func TestP163TokensAreNoNotificationWhereNoneArePushed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, withCIBA(Login{Delivery: "ping"}))
		b := w.net.Browser()
		now := startLogin(t, b, byHint("alice"))
		id, bearer := w.handle(t)
		for _, tokens := range []string{`"access_token":"a"`, `"id_token":"e30.e30.e30"`, `"access_token":"a","id_token":"e30.e30.e30","token_type":"Bearer"`} {
			if status := w.notice(t, `{"auth_req_id":"`+id+`",`+tokens+`}`, "Authorization", "Bearer "+bearer); status != http.StatusBadRequest {
				t.Errorf("%s: %d", tokens, status)
			}
		}
		time.Sleep(2 * time.Second)
		if now = readAnswer(t, pollOnce(t, b, now.Poll)); now.Status != waitPending {
			t.Errorf("%+v", now)
		}
		w.approve(t)
		arrived(t, b, pollOut(t, b, now))
	})
	w := newWorld(t, withCIBA(Login{}))
	if status := w.notice(t, `{"auth_req_id":"x"}`); status == http.StatusNoContent || status == http.StatusBadRequest {
		t.Errorf("where everybody polls there is no such path: %d", status)
	}
}

func TestP164APushThatDoesNotHoldIsRefused(t *testing.T) {
	for name, sin := range idp.Catalogue() {
		if !strings.HasPrefix(name, "push_") {
			continue
		}
		want, status := http.StatusBadRequest, waitPending
		switch name {
		case "push_wrong_bearer", "push_swapped_id":
			want = http.StatusUnauthorized
		case "push_replayed":
			want, status = http.StatusNoContent, "approved"
		case "push_error":
			want, status = http.StatusNoContent, waitFailed
		case "push_expired_token":
			want, status = http.StatusNoContent, waitExpired
		case "push_other_sub": // who it is is not for us to know: the provider vouches for mallory
			want, status = http.StatusNoContent, "approved"
		case "push_other":
			continue // below
		}
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, withCIBA(Login{Delivery: "push"}))
				b := w.net.Browser()
				now := startLogin(t, b, byHint("alice"))
				w.idp.Misbehave(sin)
				if d := w.approve(t); d.Status != want {
					t.Errorf("%d %v, want %d", d.Status, d.Err, want)
				}
				time.Sleep(2 * time.Second)
				got := readAnswer(t, pollOnce(t, b, now.Poll))
				if got.Status != status {
					t.Errorf("%+v, want %s", got, status)
				}
				if has := b.Jar.Get(app, sessionID) != ""; has != (status == "approved") || w.idp.Count(idp.Token) != 0 {
					t.Errorf("a session: %v; %d token requests", has, w.idp.Count(idp.Token))
				}
			})
		})
	}
}

func TestP164APushForSomebodyElsesRequestIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, withCIBA(Login{Delivery: "push"}))
		b, other := w.net.Browser(), w.net.Browser()
		bobs := startLogin(t, other, byHint("bob"))
		now := startLogin(t, b, byHint("alice"))
		w.idp.Misbehave(idp.Catalogue()["push_other"]) // bob's auth_req_id, alice's token
		if d := w.approve(t); d.Status != http.StatusUnauthorized {
			t.Errorf("%d %v", d.Status, d.Err)
		}
		time.Sleep(2 * time.Second)
		for _, got := range []begun{readAnswer(t, pollOnce(t, b, now.Poll)), readAnswer(t, pollOnce(t, other, bobs.Poll))} {
			if got.Status != waitPending {
				t.Errorf("%+v", got)
			}
		}
	})
}

func TestAPushThatFailedMayBeRepaired(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, withCIBA(Login{Delivery: "push"}))
		b := w.net.Browser()
		now := startLogin(t, b, byHint("alice"))
		question := w.idp.PendingCIBA("alice")[0].ID
		w.idp.Misbehave(idp.Catalogue()["unavailable"].On(idp.JWKS).Always())
		if d := must(w.idp.ApproveCIBA(t.Context(), question))(t); d.Status != http.StatusServiceUnavailable {
			t.Errorf("without keys nothing can be judged: %d", d.Status)
		}
		w.idp.Heal()
		time.Sleep(30 * time.Second)
		if d := must(w.idp.Notify(t.Context(), question))(t); d.Status != http.StatusNoContent {
			t.Errorf("%d %v", d.Status, d.Err)
		}
		arrived(t, b, pollOut(t, b, now))
	})
}

func TestADenialByPushIsSaid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, withCIBA(Login{Delivery: "push"}))
		b := w.net.Browser()
		now := startLogin(t, b, byHint("alice"))
		if d := must(w.idp.DenyCIBA(t.Context(), w.idp.PendingCIBA("alice")[0].ID))(t); d.Status != http.StatusNoContent {
			t.Errorf("%d %v", d.Status, d.Err)
		}
		if now = pollOut(t, b, now); now.Status != waitDenied {
			t.Errorf("%+v", now)
		}
	})
}

func TestP165PingsCauseOneTokenRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, withCIBA(Login{Delivery: "ping"}))
		w.replica(t)
		b := w.net.Browser()
		now := startLogin(t, b, byHint("alice"))
		id, bearer := w.handle(t)
		body := `{"auth_req_id":"` + id + `"}`
		for i := range 50 { // before anybody has agreed
			if status := w.notice(t, body, "Authorization", "Bearer "+bearer, "X-Test-Replica", []string{"0", "1"}[i%2]); status != http.StatusNoContent {
				t.Fatalf("ping %d: %d", i, status)
			}
			if w.idp.Count(idp.Token) != 0 {
				t.Fatal("a ping alone asks the provider")
			}
		}
		for range 3 {
			time.Sleep(time.Second)
			w.notice(t, body, "Authorization", "Bearer "+bearer)
			readAnswer(t, pollOnce(t, b, now.Poll))
		}
		if n := w.idp.Count(idp.Token); n != 1 {
			t.Errorf("%d token requests", n)
		}
		for _, unknown := range []string{"of-nobody", id + "x", strings.Repeat("q", 9<<10)} {
			status := w.notice(t, `{"auth_req_id":"`+unknown+`"}`, "Authorization", "Bearer "+bearer)
			if status != http.StatusUnauthorized && status != http.StatusBadRequest {
				t.Errorf("an id that nobody knows: %d", status)
			}
		}
		w.approve(t)
		now = pollOut(t, b, now)
		arrived(t, b, now)
		tokens := w.idp.Count(idp.Token)
		if status := w.notice(t, body, "Authorization", "Bearer "+bearer); status != http.StatusNoContent {
			t.Errorf("after completion: %d", status)
		}
		if n := w.idp.Count(idp.Token); n != tokens || tokens > 3 {
			t.Errorf("%d token requests, %d of them after the end", n, n-tokens)
		}
	})
}

func TestABodyThatIsNoNotificationIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, withCIBA(Login{Delivery: "ping"}))
		startLogin(t, w.net.Browser(), byHint("alice"))
		_, bearer := w.handle(t)
		for name, body := range map[string]string{
			"nothing": "", "null": "null", "a list": "[]", "no id": "{}", "a number": `{"auth_req_id":42}`, "an empty id": `{"auth_req_id":""}`,
			"broken": "\x00\xff{{{", "a form": "auth_req_id=x",
		} {
			if status := w.notice(t, body, "Authorization", "Bearer "+bearer); status != http.StatusBadRequest {
				t.Errorf("%s: %d", name, status)
			}
		}
		if status := w.notice(t, `{"auth_req_id":"x","p":"`+strings.Repeat("x", 2<<20)+`"}`, "Authorization", "Bearer "+bearer); status != http.StatusRequestEntityTooLarge {
			t.Errorf("2 MB: %d", status)
		}
		res := w.call(t, http.MethodGet, app+"/oauth2/ciba/notify")
		if res.StatusCode != http.StatusMethodNotAllowed {
			t.Errorf("GET: %d", res.StatusCode)
		}
		time.Sleep(time.Second) // the server lingers over the connection that it cut
	})
}

func TestAPingThatIsLostCostsHalfAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, withCIBA(Login{Delivery: "ping"}))
		b := w.net.Browser()
		now := startLogin(t, b, byHint("alice"))
		w.idp.Misbehave(idp.Catalogue()["ping_lost"])
		w.approve(t)
		begin := time.Now()
		arrived(t, b, pollOut(t, b, now))
		if waited := time.Since(begin); waited > 33*time.Second {
			t.Errorf("%v", waited)
		}
	})
}

func TestAPingDuringATokenRequestIsNotLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, withCIBA(Login{Delivery: "ping"}))
		b := w.net.Browser()
		now := startLogin(t, b, byHint("alice"))
		w.idp.Misbehave(idp.Sin{Delay: 5 * time.Second, Error: "authorization_pending", Status: http.StatusBadRequest})
		time.Sleep(31 * time.Second) // long enough to look whether a ping was lost
		approved := make(chan time.Time)
		go func() {
			time.Sleep(2 * time.Second) // the question is under way
			w.approve(t)
			approved <- time.Now()
		}()
		if now = readAnswer(t, pollOnce(t, b, now.Poll)); now.Status != waitPending {
			t.Errorf("%+v", now)
		}
		<-approved
		begin := time.Now()
		arrived(t, b, pollOut(t, b, now))
		if waited := time.Since(begin); waited > 3*time.Second || len(w.asked(idp.GrantCIBA)) != 2 {
			t.Errorf("%v, %d token requests", waited, len(w.asked(idp.GrantCIBA)))
		}
	})
}

func TestAPingIsAnsweredWithinTwoSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, withCIBA(Login{Delivery: "ping"}))
		b := w.net.Browser()
		now := startLogin(t, b, byHint("alice"))
		time.Sleep(17 * time.Second)
		w.approve(t)
		begin := time.Now()
		arrived(t, b, pollOut(t, b, now))
		if waited := time.Since(begin); waited > 2200*time.Millisecond {
			t.Errorf("%v", waited)
		}
	})
}

func TestANotificationThatIsFasterThanTheAnswerIsNotLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, withCIBA(Login{Delivery: "ping"}))
		w.replica(t)
		b := w.net.Browser()
		now := startLogin(t, b, byHint("alice"))
		id, bearer := w.handle(t)
		key := notifyKey(id)
		index := must(w.shared.Get(t.Context(), key))(t)[0].Value
		if _, err := w.shared.Delete(t.Context(), key); err != nil { // as if the provider had not answered yet
			t.Fatal(err)
		}
		go func() {
			time.Sleep(time.Second)
			_ = w.shared.Put(t.Context(), key, index, time.Minute)
		}()
		if status := w.notice(t, `{"auth_req_id":"`+id+`"}`, "Authorization", "Bearer "+bearer, "X-Test-Replica", "1"); status != http.StatusNoContent {
			t.Errorf("%d", status)
		}
		begin := time.Now()
		if status := w.notice(t, `{"auth_req_id":"`+id+`"}`, "Authorization", "Bearer wrong"); status != http.StatusUnauthorized || time.Since(begin) > 0 {
			t.Errorf("a stranger: %d after %v", status, time.Since(begin))
		}
		w.approve(t)
		arrived(t, b, pollOut(t, b, now))
	})
}

func FuzzReadNotification(f *testing.F) {
	for _, seed := range []string{`{"auth_req_id":"a"}`, `{"auth_req_id":"a","access_token":"b"}`, `{"auth_req_id":1}`, `{"auth_req_id":"a","auth_req_id":"b"}`, "null", "", "\x00"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		n, err := readNotification(body)
		if err == nil && (n.authReqID == "" || len(n.authReqID) > maxAuthReqID || !json.Valid(body)) {
			t.Errorf("%q is taken for a notification about %q", body, n.authReqID)
		}
	})
}
