package demo_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/doorward/doorward/demo"
)

func submit(t *testing.T, h http.Handler, target string, form url.Values, headers ...string) answer {
	t.Helper()
	r := httptest.NewRequest(http.MethodPost, "http://localhost:4180"+target, strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return answer{w.Code, w.Result().Header, w.Body.String()}
}

func TestTheTillTakesWhatReachesItOnceEach(t *testing.T) {
	h := apps(t)
	as := func(user string) []string { return append([]string{"X-Forwarded-User", user}, navigation...) }
	a := submit(t, h, "/pointofsale/payments", url.Values{"amount": {"20"}, "currency": {"EUR"}}, as("alice")...)
	if a.status != http.StatusSeeOther || a.header.Get("Location") != "/pointofsale/?receipt=1" {
		t.Fatalf("%d %s", a.status, a.header.Get("Location"))
	}
	read := text(t, ask(t, h, http.MethodGet, "/pointofsale/?receipt=1", as("alice")...).body)
	if !strings.Contains(read, "Receipt 1 20.00 EUR Approved by alice on their phone") || !strings.Contains(read, "Taken so far") {
		t.Error(read)
	}
	if read := text(t, ask(t, h, http.MethodGet, "/pointofsale/?receipt=1", as("bob")...).body); strings.Contains(read, "Receipt 1") || strings.Contains(read, "Taken so far") {
		t.Errorf("bob sees alice's payments: %s", read)
	}
	program := submit(t, h, "/pointofsale/payments", url.Values{"amount": {"7"}}, "X-Forwarded-User", "alice")
	var paid struct {
		Number, Amount int
		By             string
	}
	if err := json.Unmarshal([]byte(program.body), &paid); err != nil || program.status != http.StatusCreated || paid.Number != 2 || paid.Amount != 7 || paid.By != "alice" {
		t.Errorf("a program gets %d %s", program.status, program.body)
	}
	for _, amount := range []string{"", "0", "-5", "20.5", "1001", "1e2", strings.Repeat("9", 20<<10)} {
		if a := submit(t, h, "/pointofsale/payments", url.Values{"amount": {amount}}, as("alice")...); a.status != http.StatusBadRequest {
			t.Errorf("an amount of %.10q: %d", amount, a.status)
		}
	}
	for range 30 {
		submit(t, h, "/pointofsale/payments", url.Values{"amount": {"1"}}, as("alice")...)
	}
	if body := ask(t, h, http.MethodGet, "/pointofsale/", as("alice")...).body; strings.Count(body, ">receipt ") != 20 || !strings.Contains(body, "receipt 32,") {
		t.Errorf("the till remembers %d payments", strings.Count(body, ">receipt "))
	}
}

// gateway is what the desktop application talks to.
func gateway(t *testing.T, serve http.HandlerFunc) http.Handler {
	t.Helper()
	server := httptest.NewServer(serve)
	t.Cleanup(server.Close)
	c := settings()
	c.Origin, c.Client = server.URL, server.Client()
	h, err := demo.Apps(c)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func TestTheDesktopApplicationSendsBasicAndShowsWhatItGets(t *testing.T) {
	h := gateway(t, func(w http.ResponseWriter, r *http.Request) {
		user, password, _ := r.BasicAuth()
		switch {
		case r.URL.Path != demo.FilesPath || r.Header.Get("User-Agent") != "LegacyDesktopApp/2.1":
			t.Errorf("%s by %s", r.URL.Path, r.Header.Get("User-Agent"))
		case user == "odd":
			_, _ = io.WriteString(w, "<html>")
		case password != "wonderland":
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = io.WriteString(w, `{"title":"Not <b>accepted</b>","code":"wrong_credentials"}`)
		default:
			_, _ = io.WriteString(w, `{"user":"alice","credential":"an access token","files":[{"name":"<i>a.txt","size":"1 kB"}]}`)
		}
	})
	for _, c := range []struct{ user, password, want string }{
		{"alice", "wonderland", "Synchronised as alice . <i>a.txt 1 kB"},
		{"alice", "wonder", "Not synchronised. The server says 401 Unauthorized: Not <b>accepted</b> (wrong_credentials)"},
		{"odd", "x", "The server says the answer could not be read"},
	} {
		a := submit(t, h, "/legacydesktopapp/", url.Values{"username": {c.user}, "password": {c.password}}, "Sec-Fetch-Site", "same-origin")
		if read := text(t, a.body); a.status != 200 || !strings.Contains(read, c.want) {
			t.Errorf("%s: %d %s", c.user, a.status, read)
		}
		if strings.Contains(a.body, c.password) && c.user != "odd" {
			t.Errorf("%s: the password is on the page", c.user)
		}
	}
	if a := submit(t, h, "/legacydesktopapp/", url.Values{"username": {"alice"}}, "Sec-Fetch-Site", "cross-site"); a.status != http.StatusForbidden {
		t.Errorf("another site makes the program send passwords: %d", a.status)
	}
	if a := submit(t, h, "/legacydesktopapp/", url.Values{"username": {strings.Repeat("a", 20<<10)}}); a.status != http.StatusBadRequest {
		t.Errorf("a form of 20 kB: %d", a.status)
	}
}

func TestTheDesktopApplicationSaysThatNobodyAnswers(t *testing.T) {
	h := gateway(t, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	a := submit(t, h, "/legacydesktopapp/", url.Values{"username": {"alice"}, "password": {"x"}})
	if read := text(t, a.body); !strings.Contains(read, "The server says the server does not answer") {
		t.Error(read)
	}
}

func TestNoApplicationShowsTheTokenThatItGot(t *testing.T) {
	token := jwt(`{"sub":"alice","exp":1800000299}`)
	for _, target := range []string{"/simplespa/", "/simplespa/api/me.json", "/smarttv/", "/legacydesktopapp/files", "/pointofsale/"} {
		for kind, headers := range map[string][]string{"browser": navigation, "program": nil} {
			a := ask(t, apps(t), http.MethodGet, target, append([]string{"X-Forwarded-User", "alice", "Authorization", "Bearer " + token}, headers...)...)
			if a.status != 200 || strings.Contains(a.body, token[:10]) {
				t.Errorf("%s to a %s: %d %s", target, kind, a.status, a.body)
			}
		}
	}
	a := ask(t, apps(t), http.MethodGet, "/simplespa/api/me.json", "X-Forwarded-User", "8f2c", "X-Forwarded-Preferred-Username", "alice", "X-Forwarded-Groups", "staff,dev", "Authorization", "Bearer "+token)
	var me struct {
		User, Credential string
		Groups           []string
	}
	if err := json.Unmarshal([]byte(a.body), &me); err != nil || me.User != "alice" || fmt.Sprint(me.Groups) != "[staff dev]" || me.Credential != "an access token, good for another 4m59s" {
		t.Errorf("%v %s", err, a.body)
	}
}

func TestWhatNoExampleHasIsNotFound(t *testing.T) {
	for _, target := range []string{"/simplespa/x", "/smarttv/x", "/legacydesktopapp/x", "/pointofsale/x"} {
		if a := ask(t, apps(t), http.MethodGet, target, navigation...); a.status != 404 || !strings.Contains(text(t, a.body), "Nothing here") {
			t.Errorf("%s: %d", target, a.status)
		}
	}
}
