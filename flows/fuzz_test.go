package flows

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/demo/idp"
)

// Whatever stands in a state, an attempt's cookie or a ticket, nothing panics, and only what this
// gateway sealed is believed.
func FuzzSealedInput(f *testing.F) {
	flows := sealing(f, 7)
	a := newAttempt(f, "/x")
	f.Add(flows.sealState(a))
	f.Add(flows.sealParameter(purposeAttempt, sealed{Secret: a.secret}, bound(a.here, "n")))
	f.Add(flows.sealParameter(purposeTicket, ticket{Answer: url.Values{"code": {"x"}}}, bound(a.here, "corp")))
	f.Add(foreignState(f))
	f.Add("")
	f.Add("AQAAAAA")
	f.Fuzz(func(t *testing.T, text string) {
		if s, ok := flows.openState(text); ok && (s.Version != stateVersion || len(s.ID) != idSize || text != canonical(text)) {
			t.Errorf("opened: %+v", s)
		}
		if s, ok := flows.openAttempt(a.here, "n", text); ok && len(s.Secret) != secretSize {
			t.Errorf("opened: %+v", s)
		}
		if params, err := flows.openTicket(a.here, "corp", text); err == nil && len(params) == 0 {
			t.Error("an empty ticket")
		}
	})
}

func canonical(text string) string {
	b, _ := base64.RawURLEncoding.DecodeString(text)
	return base64.RawURLEncoding.EncodeToString(b)
}

// FuzzAuthenticState lets the sealed text itself be anything: a future version's, or a bug's.
func FuzzAuthenticState(f *testing.F) {
	flows := sealing(f, 7)
	plain, _ := json.Marshal(state{Version: 1, ID: make([]byte, idSize), Provider: "corp", Login: "staff", Origin: app, Back: "//evil.test"})
	f.Add(plain)
	f.Add([]byte(`{"v":1,"i":"AA","o":"javascript:"}`))
	f.Add([]byte(`null`))
	f.Fuzz(func(t *testing.T, plain []byte) {
		blob := flows.deps.Ring.Seal(purposeState, plain, nil)
		s, ok := flows.openState(base64.RawURLEncoding.EncodeToString(blob))
		if !ok {
			return
		}
		if o, ok := flows.origin(s); ok && o.String() != app && o.String() != wiki {
			t.Errorf("origin %s", o)
		}
		if to := flows.target(mustOrigin(t, app), s.Back); !strings.HasPrefix(to, "/") && !strings.HasPrefix(to, wiki+"/") && !strings.HasPrefix(to, "https://odd.test:8443/") {
			t.Errorf("P069: %q leads to %q", s.Back, to)
		}
	})
}

// FuzzCallbackQuery holds that an answer is read one way only.
func FuzzCallbackQuery(f *testing.F) {
	for _, s := range []string{"code=a&state=b", "code=a&code=b", "state=%zz", "a;b", "%63ode=a&code=b", "code", "&&&", "error=x&error_description=%3Cscript%3E"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, query string) {
		params, err := parseAnswer(query)
		if err != nil {
			return
		}
		for _, name := range singleParams {
			if len(params[name]) > 1 {
				t.Errorf("P107: %s is there %d times", name, len(params[name]))
			}
		}
		if s := bounded(params.Get("error_description")); len(s) > maxShown+3 || strings.ContainsFunc(s, func(r rune) bool { return r < 0x20 || r > 0x7e }) {
			t.Errorf("shown: %q", s)
		}
	})
}

// FuzzCallback holds that no query, with whatever cookies, gets a fault of our own, a session, or a code to the
// provider, unless its state and its cookie belong together.
func FuzzCallback(f *testing.F) {
	w := newWorld(f)
	a := newAttempt(f, "/x")
	w.flows.deps.Now = func() time.Time { return a.created } // however long it runs
	state, name := w.flows.sealState(a), w.flows.attemptCookie(a.here, a.login, a.id)
	cookie := name + "=" + w.flows.sealParameter(purposeAttempt, sealed{Created: a.created.Unix(), Secret: a.secret, Provider: "corp", Login: "guests"}, bound(a.here, name))
	for _, query := range []string{"code=c&state=" + state, "code=c&state=" + state + "&iss=" + url.QueryEscape(corp), "error=access_denied&state=" + state, "ticket=x", "state=%zz", ""} {
		f.Add(query, cookie)
		f.Add(query, cookie+"; "+name+"=x; __Host-doorward-login.=; a")
		f.Add(query, sessionID+"=x; "+w.flows.loopCookie(a.here)+"=x")
	}
	f.Fuzz(func(t *testing.T, query, cookie string) {
		r := httptest.NewRequest(http.MethodGet, app+"/oauth2/callback", nil)
		r.URL.RawQuery = query
		r.Header["Cookie"] = []string{cookie}
		rec := httptest.NewRecorder()
		w.replicas[0].handler.ServeHTTP(rec, r)
		// 401 is for a state of an earlier run that has passed its time: a program begins no login anew.
		if rec.Code != http.StatusBadRequest && rec.Code != http.StatusUnauthorized || rec.Header().Get("Location") != "" {
			t.Errorf("%d %v", rec.Code, rec.Header())
		}
		for _, c := range rec.Result().Cookies() {
			if c.MaxAge >= 0 {
				t.Errorf("set: %s", c)
			}
		}
		if n := w.idp.Count(idp.Token); n != 0 {
			t.Errorf("%d requests to the token endpoint", n)
		}
	})
}
