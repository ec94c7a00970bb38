package flows

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/demo/idp"
	"github.com/doorward/doorward/demo/idp/idptest"
	"github.com/doorward/doorward/internal/testnet"
)

// cross makes a world in which the applications offer one login that is finished on another device.
func cross(l Login, more ...func(*plan)) func(*plan) {
	return func(p *plan) {
		l.Name, l.Provider, l.Label = cmp.Or(l.Name, l.Flow), "corp", cmp.Or(l.Label, "Another device")
		p.flows = func(c *Config) { c.Logins = append(c.Logins, l) }
		p.logins = []string{l.Name}
		p.idp = func(c *idp.Config) {
			client := &c.Clients[0]
			client.Grants = idptest.Every().Clients[0].Grants
			client.CIBADelivery = cmp.Or(l.Delivery, "poll")
			client.NotificationEndpoint = app + "/oauth2/ciba/notify"
		}
		for _, change := range more {
			change(p)
		}
	}
}

func withDevice() func(*plan)      { return cross(Login{Flow: "device", Name: "tv"}) }
func withCIBA(l Login) func(*plan) { l.Flow, l.Name = "ciba", "phone"; return cross(l) }
func anyProvider(change func(*idp.Config)) func(*plan) {
	return func(p *plan) {
		before := p.idp
		p.idp = func(c *idp.Config) { before(c); change(c) }
	}
}

// begun is the JSON of a waiting login.
type begun struct {
	Status, Login, Location, Code, Poll string
	UserCode                            string `json:"user_code"`
	URI                                 string `json:"verification_uri"`
	CompleteURI                         string `json:"verification_uri_complete"`
	Message                             string `json:"binding_message"`
	ExpiresIn                           int    `json:"expires_in"`
	Interval                            int
	Trouble                             bool
}

func readAnswer(t testing.TB, p *testnet.Page) (b begun) {
	t.Helper()
	if err := json.Unmarshal([]byte(p.Body), &b); err != nil {
		t.Fatalf("%d %v: %s", p.Status, err, p.Body)
	}
	return b
}

// startLogin begins a login by the script of a page.
func startLogin(t testing.TB, b *testnet.Browser, form url.Values) begun {
	t.Helper()
	path := "/oauth2/device"
	if form.Has("hint") {
		path = "/oauth2/ciba"
	}
	page := b.Fetch(t, "", http.MethodPost, app+path, form)
	if page.Status != http.StatusCreated {
		t.Fatalf("begin: %d %s", page.Status, page.Body)
	}
	return readAnswer(t, page)
}

func byCode() url.Values { return url.Values{"login": {"tv"}, "rd": {"/x?y=1"}} }
func byHint(hint string) url.Values {
	return url.Values{"login": {"phone"}, "rd": {"/x?y=1"}, "hint": {hint}}
}

// pollOnce asks as the script of a page does.
func pollOnce(t testing.TB, b *testnet.Browser, path string) *testnet.Page {
	t.Helper()
	return b.Fetch(t, "", http.MethodGet, app+path, nil)
}

// pollOut asks until something else than pending is answered, at the answered intervals.
func pollOut(t testing.TB, b *testnet.Browser, now begun) begun {
	t.Helper()
	path := now.Poll
	for range 200 {
		time.Sleep(time.Duration(now.Interval) * time.Second)
		page := pollOnce(t, b, path)
		if page.Status != http.StatusOK {
			t.Fatalf("poll: %d %s", page.Status, page.Body)
		}
		if now = readAnswer(t, page); now.Status != waitPending {
			return now
		}
	}
	t.Fatal("it waits for ever")
	return now
}

// asked returns the times of the token requests of one grant.
func (w *world) asked(grant string) (times []time.Time) {
	for _, r := range w.idp.Requests(idp.Token) {
		if r.Form.Get("grant_type") == grant {
			times = append(times, r.Time)
		}
	}
	return times
}

// approve does what alice does on her phone.
func (w *world) approve(t testing.TB) idp.Delivery {
	t.Helper()
	pending := w.idp.PendingCIBA("alice")
	if len(pending) != 1 {
		t.Fatalf("%d questions wait on alice's phone", len(pending))
	}
	return must(w.idp.ApproveCIBA(t.Context(), pending[0].ID))(t)
}

// arrived checks that a browser is signed in, as alice.
func arrived(t testing.TB, b *testnet.Browser, now begun) {
	t.Helper()
	if now.Status != "approved" || now.Location != "/x?y=1" {
		t.Fatalf("%+v", now)
	}
	expect(t, b.Open(t, app+now.Location), http.StatusOK, "alice sees app.test/x?y=1")
	if left := attempts(b, app); len(left) != 0 {
		t.Errorf("attempts are left: %v", left)
	}
}

// quiet checks that nothing of a waiting login is in the log.
func (w *world) quiet(t testing.TB, secrets ...string) {
	t.Helper()
	for _, s := range secrets {
		if s != "" && strings.Contains(w.log.String(), s) {
			t.Errorf("the log holds %q", s)
		}
	}
}

// f64 reads an id from an address.
func f64(text string) ([]byte, error) { return base64.RawURLEncoding.DecodeString(text) }

func decodeBegun(t testing.TB, res *http.Response) (b begun) {
	t.Helper()
	if err := json.NewDecoder(res.Body).Decode(&b); err != nil {
		t.Fatal(err)
	}
	return b
}
