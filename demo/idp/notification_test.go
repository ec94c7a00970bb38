package idp_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/doorward/doorward/demo/idp"
)

// inbox is the client notification endpoint.
type inbox struct {
	mu  sync.Mutex
	got []notice
}

type notice struct {
	bearer, body string
	json         map[string]any
}

func (n notice) text(name string) string { s, _ := n.json[name].(string); return s }

func (w *world) inbox() *inbox {
	w.t.Helper()
	box := &inbox{}
	w.net.ServeTLS(w.t, "app.test:443", http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		n := notice{bearer: r.Header.Get("Authorization"), body: string(body)}
		_ = json.Unmarshal(body, &n.json)
		box.mu.Lock()
		box.got = append(box.got, n)
		box.mu.Unlock()
		rw.WriteHeader(http.StatusNoContent)
	}))
	return box
}

// take returns what has come since the last time.
func (b *inbox) take() []notice {
	b.mu.Lock()
	defer b.mu.Unlock()
	got := b.got
	b.got = nil
	return got
}

// begin asks alice for her consent as the public client "ping" or "push".
func (w *world) begin(client string, pairs ...string) reply {
	w.t.Helper()
	return w.ok(idp.CIBA, cibaForm(append([]string{"client_id", client, "client_notification_token", notificationToken}, pairs...)...), noHeader)
}

// approve presses the button of the only request that waits.
func (w *world) approve() idp.Delivery {
	w.t.Helper()
	d, err := w.ApproveCIBA(w.t.Context(), w.waiting().ID)
	if err != nil || d.Err != nil {
		w.t.Fatalf("%v %v", err, d.Err)
	}
	return d
}

func TestAPingNamesTheRequestAndTheTokensCanBeHadAtOnce(t *testing.T) {
	inTime(t, func(t *testing.T, w *world) {
		box := w.inbox()
		r := w.begin("ping")
		w.wantError(w.post(idp.Token, cibaPoll(r, "client_id", "ping"), noHeader), 400, "authorization_pending")
		if d := w.approve(); d.Status != 204 || d.URI != notifyURI || d.ClientID != "ping" {
			t.Errorf("delivery %+v", d)
		}
		got := box.take()
		if len(got) != 1 || got[0].bearer != "Bearer "+notificationToken || len(got[0].json) != 1 || got[0].text("auth_req_id") != r.text("auth_req_id") {
			t.Fatalf("got %+v", got)
		}
		w.ok(idp.Token, cibaPoll(r, "client_id", "ping"), noHeader)
		seen := w.Last(idp.Notification)
		if seen.Status != 204 || seen.ClientID != "ping" || seen.URL.String() != notifyURI || seen.Body != got[0].body || seen.Header.Get("Authorization") != got[0].bearer {
			t.Errorf("recorded %+v", seen)
		}
	})
}

func TestADenialIsPingedToo(t *testing.T) {
	inTime(t, func(t *testing.T, w *world) {
		box := w.inbox()
		r := w.begin("ping")
		if _, err := w.DenyCIBA(t.Context(), w.waiting().ID); err != nil {
			t.Fatal(err)
		}
		if len(box.take()) != 1 {
			t.Error("not pinged")
		}
		w.wantError(w.post(idp.Token, cibaPoll(r, "client_id", "ping"), noHeader), 400, "access_denied")
	})
}

func TestAPushBringsTokensThatNameTheRequest(t *testing.T) {
	inTime(t, func(t *testing.T, w *world) {
		box := w.inbox()
		r := w.begin("push")
		if _, there := r.json["interval"]; there {
			t.Errorf("an interval although push clients don't poll: %s", r.body)
		}
		w.approve()
		got := box.take()
		if len(got) != 1 || got[0].bearer != "Bearer "+notificationToken || got[0].text("auth_req_id") != r.text("auth_req_id") || got[0].text("token_type") != "Bearer" {
			t.Fatalf("got %+v", got)
		}
		_, claims := w.verify(got[0].text("id_token"))
		for claim, want := range map[string]string{
			idp.ClaimAuthReqID: r.text("auth_req_id"), idp.ClaimRefreshHash: half(got[0].text("refresh_token")),
			"at_hash": half(got[0].text("access_token")), "sub": "8f2c-alice", "aud": "push",
		} {
			if claims[claim] != want {
				t.Errorf("%s = %v, want %s", claim, claims[claim], want)
			}
		}
		if w.get(w.URL(idp.UserInfo), got[0].text("access_token")).status != 200 {
			t.Error("the access token is good for nothing")
		}
		w.wantError(w.post(idp.Token, cibaPoll(r, "client_id", "push"), noHeader), 400, "unauthorized_client")
		time.Sleep(2 * time.Minute)
		if more := box.take(); len(more) != 0 {
			t.Errorf("pushed again when it expired: %+v", more)
		}
	})
}

func TestAFailedPushSaysWhy(t *testing.T) {
	inTime(t, func(t *testing.T, w *world) {
		box := w.inbox()
		r := w.begin("push")
		if _, err := w.DenyCIBA(t.Context(), w.waiting().ID); err != nil {
			t.Fatal(err)
		}
		if got := box.take(); len(got) != 1 || got[0].text("error") != "access_denied" || got[0].text("auth_req_id") != r.text("auth_req_id") || got[0].text("access_token") != "" {
			t.Errorf("denied: %+v", got)
		}
		r = w.begin("push", "requested_expiry", "30")
		time.Sleep(29 * time.Second)
		if got := box.take(); len(got) != 0 {
			t.Errorf("too early: %+v", got)
		}
		time.Sleep(2 * time.Second)
		if got := box.take(); len(got) != 1 || got[0].text("error") != "expired_token" || got[0].text("auth_req_id") != r.text("auth_req_id") {
			t.Errorf("expired: %+v", got)
		}
	})
}

func TestSinsOfPingAndPush(t *testing.T) {
	for name, check := range map[string]func(w *world, r reply, got []notice) bool{
		"ping_wrong_bearer": func(_ *world, _ reply, got []notice) bool {
			return strings.HasPrefix(got[0].bearer, "Bearer ") && !strings.Contains(got[0].bearer, notificationToken)
		},
		"ping_no_bearer": func(_ *world, _ reply, got []notice) bool { return got[0].bearer == "" },
		"ping_replayed": func(_ *world, r reply, got []notice) bool {
			return len(got) == 3 && got[2].text("auth_req_id") == r.text("auth_req_id")
		},
		"ping_lost":        func(_ *world, _ reply, got []notice) bool { return len(got) == 0 },
		"ping_no_id":       func(_ *world, _ reply, got []notice) bool { return len(got[0].json) == 0 },
		"ping_with_tokens": func(_ *world, _ reply, got []notice) bool { return got[0].text("access_token") != "" },
		"push_no_id_claim": func(w *world, _ reply, got []notice) bool {
			_, c := w.verify(got[0].text("id_token"))
			return c[idp.ClaimAuthReqID] == nil && c["at_hash"] != nil
		},
		"push_wrong_at_hash": func(w *world, _ reply, got []notice) bool {
			_, c := w.verify(got[0].text("id_token"))
			return c["at_hash"] != half(got[0].text("access_token"))
		},
		"push_no_rt_hash": func(w *world, _ reply, got []notice) bool {
			_, c := w.verify(got[0].text("id_token"))
			return c[idp.ClaimRefreshHash] == nil && got[0].text("refresh_token") != ""
		},
		"push_swapped_id": func(w *world, r reply, got []notice) bool {
			_, c := w.verify(got[0].text("id_token"))
			return got[0].text("auth_req_id") == "of-nobody" && c[idp.ClaimAuthReqID] == r.text("auth_req_id")
		},
		"push_error": func(_ *world, _ reply, got []notice) bool {
			return got[0].text("error") == "transaction_failed" && got[0].text("id_token") == ""
		},
		"push_replayed": func(_ *world, _ reply, got []notice) bool { return len(got) == 3 && got[0].body == got[2].body },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, everyFlow)
			box := w.inbox()
			r := w.begin(name[:4])
			w.Misbehave(idp.Named(name))
			w.approve()
			if got := box.take(); !check(w, r, got) {
				t.Errorf("got %+v", got)
			}
			if seen := w.Last(idp.Notification).Sins; !slices.Equal(seen, []string{name}) {
				t.Errorf("recorded sins %v", seen)
			}
		})
	}
	t.Run("push_other is about somebody else's request", func(t *testing.T) {
		w := newWorld(t, everyFlow)
		box := w.inbox()
		victim := w.begin("push", "login_hint", "bob")
		mine := w.begin("push")
		w.Misbehave(idp.Named("push_other"))
		if _, err := w.ApproveCIBA(t.Context(), w.PendingCIBA("alice")[0].ID); err != nil {
			t.Fatal(err)
		}
		got := box.take()
		_, claims := w.verify(got[0].text("id_token"))
		if got[0].text("auth_req_id") != victim.text("auth_req_id") || got[0].text("auth_req_id") == mine.text("auth_req_id") ||
			claims["sub"] != "8f2c-alice" || claims[idp.ClaimAuthReqID] != victim.text("auth_req_id") {
			t.Errorf("%+v %v", got, claims)
		}
	})
	t.Run("a notification at any time", func(t *testing.T) {
		w := newWorld(t, everyFlow)
		box := w.inbox()
		r := w.begin("ping")
		if _, err := w.Notify(t.Context(), r.text("auth_req_id")); err != nil { // before anybody decided
			t.Fatal(err)
		}
		if got := box.take(); len(got) != 1 || len(w.PendingCIBA("alice")) != 1 {
			t.Errorf("%+v", got)
		}
		w.wantError(w.post(idp.Token, cibaPoll(r, "client_id", "ping"), noHeader), 400, "authorization_pending")
		polled := w.ok(idp.CIBA, cibaForm("login_hint", "bob"))
		if _, err := w.Notify(t.Context(), polled.text("auth_req_id")); err == nil {
			t.Error("a client that polls was notified")
		}
	})
}

func TestAClientThatDoesNotAnswerHoldsThePhoneForFiveSeconds(t *testing.T) {
	inTime(t, func(t *testing.T, w *world) {
		w.net.ServeTLS(t, "app.test:443", http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			<-r.Context().Done()
		}))
		r, start := w.begin("ping"), time.Now()
		d, err := w.ApproveCIBA(t.Context(), w.waiting().ID)
		if err != nil || d.Err == nil || d.Status != 0 || time.Since(start) != 5*time.Second {
			t.Errorf("%+v %v after %v", d, err, time.Since(start))
		}
		w.ok(idp.Token, cibaPoll(r, "client_id", "ping"), noHeader) // the approval stands: the client may poll
	})
}

func TestControlPlaysPeople(t *testing.T) {
	w := newWorld(t, everyFlow, func(c *idp.Config) { c.Control = true })
	box := w.inbox()
	control := func(method, path string) (int, string) {
		rec := httptest.NewRecorder()
		w.ServeHTTP(rec, httptest.NewRequest(method, "/_control/"+path, nil))
		return rec.Code, rec.Body.String()
	}
	d := w.startDevice()
	if status, body := control("GET", "devices"); status != 200 || !strings.Contains(body, d.text("user_code")) {
		t.Errorf("%d %s", status, body)
	}
	if status, body := control("POST", "device?user=alice&user_code="+d.text("user_code")); status != 204 {
		t.Errorf("%d %s", status, body)
	}
	w.ok(idp.Token, deviceForm(d))
	d = w.startDevice()
	if status, _ := control("POST", "device?deny=1&user_code="+d.text("user_code")); status != 204 {
		t.Errorf("deny: %d", status)
	}
	if status, _ := control("POST", "device?user=alice&user_code="+d.text("user_code")); status != 400 {
		t.Errorf("approved after the denial: %d", status)
	}
	w.begin("ping")
	_, body := control("GET", "ciba?user=alice")
	var list []idp.PendingCIBA
	if err := json.Unmarshal([]byte(body), &list); err != nil || len(list) != 1 {
		t.Fatalf("%v %s", err, body)
	}
	if _, empty := control("GET", "ciba?user=bob"); strings.TrimSpace(empty) != "[]" {
		t.Errorf("bob: %s", empty)
	}
	if status, body := control("POST", "notify?id="+list[0].ID); status != 200 || len(box.take()) != 1 {
		t.Errorf("notify: %d %s", status, body)
	}
	if status, body := control("POST", "ciba?id="+list[0].ID); status != 200 || !strings.Contains(body, `"status":204`) || len(box.take()) != 1 {
		t.Errorf("approve: %d %s", status, body)
	}
	if status, _ := control("POST", "ciba?id=nobody"); status != 400 {
		t.Errorf("unknown: %d", status)
	}
}
