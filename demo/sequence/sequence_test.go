package sequence_test

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/doorward/doorward/demo/sequence"
)

// clock is a time that moves by a second at each look.
func clock() func() time.Time {
	var mu sync.Mutex
	now := time.Unix(1_800_000_000, 0)
	return func() time.Time {
		mu.Lock()
		defer mu.Unlock()
		now = now.Add(time.Second)
		return now
	}
}

func newLog() *sequence.Log {
	return sequence.New(sequence.Config{
		Now: clock(), Cookies: []string{"doorward"}, Show: []string{"amount"},
		Example: func(m *sequence.Message) string { return m.Param("client_id") },
	})
}

func at(party sequence.Party) sequence.Place {
	return sequence.Place{At: party, From: func(r *http.Request) sequence.Party { return sequence.Party(r.Header.Get("X-Test-From")) }}
}

func send(t *testing.T, h http.Handler, r *http.Request) *httptest.ResponseRecorder {
	t.Helper()
	if r.Header.Get("X-Test-From") == "" {
		r.Header.Set("X-Test-From", string(sequence.Browser))
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func post(target, form string) *http.Request {
	r := httptest.NewRequest(http.MethodPost, target, strings.NewReader(form))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return r
}

func only(t *testing.T, l *sequence.Log, example string) sequence.Message {
	t.Helper()
	all := l.Messages(example)
	if len(all) != 1 {
		t.Fatalf("%d messages: %+v", len(all), all)
	}
	return all[0]
}

func TestAMessageSaysWhoSentWhatAndWhatWasAnswered(t *testing.T) {
	l := newLog()
	h := l.Record(at(sequence.Provider), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm()
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusBadRequest)
		_, _ = io.WriteString(w, `{"error":"authorization_pending","interval":5,"access_token":"ey.secret.token"}`)
	}))
	r := post("http://idp/token?x=1", "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Adevice_code&device_code=GmRhmhcxhwAz")
	r.Header.Set("X-Test-From", string(sequence.Doorward))
	r.SetBasicAuth("smarttv", "client-s3cret")
	send(t, h, r)
	m := only(t, l, "smarttv")
	if m.From != sequence.Doorward || m.To != sequence.Provider || m.Method != "POST" || m.Path != "/token" || m.Status != 400 || m.Took != time.Second || m.Count != 1 {
		t.Errorf("%+v", m)
	}
	for name, want := range map[string]string{"grant_type": "urn:ietf:params:oauth:grant-type:device_code", "client_id": "smarttv", "error": "authorization_pending", "interval": "5"} {
		if got := m.Param(name); got != want {
			t.Errorf("%s is %q", name, got)
		}
	}
	kinds := map[string]string{}
	for _, p := range slices.Concat(m.Request, m.Answer) {
		kinds[p.Name] = p.In + " " + p.Kind
	}
	for name, want := range map[string]string{
		"x": "query value", "device_code": "form device code", "Authorization: Basic": "header client secret", "access_token": "JSON access token", "grant_type": "form ",
	} {
		if kinds[name] != want {
			t.Errorf("%s is %q, want %q", name, kinds[name], want)
		}
	}
}

// secrets stand in every place of a message in which one can. None may be kept, wherever it is.
func TestNothingThatIsSecretIsKept(t *testing.T) {
	l := newLog()
	n := 0
	secret := func() string { n++; return fmt.Sprintf("s3cret%03d", n) }
	jwt := func() string { return "eyJhbGciOiJSUzI1NiJ9." + secret() + ".sig" }
	h := l.Record(at(sequence.Doorward), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		head := w.Header()
		head.Set("Location", "https://app/cb?code="+secret()+"&state="+secret()+"&rd=%2Fx%3Fcode%3D"+secret()+"#id_token="+jwt()+"&access_token="+secret())
		head.Add("Set-Cookie", "doorward="+secret()+"; HttpOnly")
		head.Add("Set-Cookie", "other="+secret())
		head.Set("WWW-Authenticate", `Bearer realm="x", error_description="`+secret()+`"`)
		switch r.URL.Query().Get("as") {
		case "html":
			head.Set("Content-Type", "text/html")
			_, _ = io.WriteString(w, `<form><input type="hidden" name="id_token" value="`+secret()+`"><input type="hidden" name="&quot;x" value="`+secret()+`"></form>`+secret())
		default:
			head.Set("Content-Type", "application/json")
			_ = json.NewEncoder(w).Encode(map[string]any{
				"access_token": secret(), "code": secret(), "headers": map[string]any{"Authorization": []string{"Bearer " + secret()}, "deep": map[string]any{"deeper": map[string]any{"status": secret()}}},
				"scope": "openid " + jwt(), "status": jwt(), "approval": map[string]any{"id": secret()}, "odd": []any{secret(), map[string]any{"error": secret()}},
				secret() + "-as-a-name-that-is-far-too-long-to-be-the-name-of-anything": 1,
			})
		}
	}))
	for _, as := range []string{"json", "html"} {
		for _, r := range []*http.Request{
			httptest.NewRequest(http.MethodGet, "http://app/x/"+jwt()+"/"+strings.Repeat("a", 41)+secret()+"?as="+as+"&access_token="+secret()+"&"+jwt()+"&rd=https://u:"+secret()+"@h/&%zz="+secret()+"&login=dw1."+secret(), nil),
			post("http://app/login?as="+as, "username=alice&password="+secret()+"&otp="+secret()+"&client_secret="+secret()+"&unknown="+secret()+"&%zz="+secret()),
		} {
			r.Header.Set("Authorization", "Bearer "+secret())
			r.Header.Add("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte("alice:"+secret())))
			r.Header.Add("Authorization", "Digest "+secret())
			r.Header.Set("Doorward-Approval", secret())
			r.Header.Set("Cookie", "doorward="+secret()+"; doorward-login.x="+secret()+"; theirs="+secret())
			send(t, h, r)
		}
	}
	r := httptest.NewRequest(http.MethodPost, "http://app/json", strings.NewReader(`{"token":"`+secret()+`","code":"`+secret()+`"}`))
	r.Header.Set("Content-Type", "application/json")
	send(t, h, r)
	if n < 100 {
		t.Fatalf("only %d secrets occurred", n)
	}
	kept := fmt.Sprintf("%+v", l.Messages(""))
	if len(l.Messages("")) != 5 {
		t.Fatal(kept)
	}
	for i := range n + 1 {
		if s := fmt.Sprintf("s3cret%03d", i); strings.Contains(kept, s) {
			t.Errorf("%s is kept: %s", s, around(kept, s))
		}
	}
	for _, other := range []string{"theirs", "other"} {
		if strings.Contains(kept, "Name:"+other) {
			t.Errorf("a cookie of another program is kept: %s", other)
		}
	}
}

func around(text, s string) string {
	i := strings.Index(text, s)
	return text[max(0, i-60):min(len(text), i+60)]
}

func TestAddressesAreShownWithoutWhatIsRandomInThem(t *testing.T) {
	l := newLog()
	h := l.Record(at(sequence.Doorward), http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Location", "https://app.example.com/oauth2/approval/66BS3d8uLPSYuvCOrTSvi5pxx7jQ?attempt=abc")
		w.WriteHeader(http.StatusSeeOther)
	}))
	send(t, h, httptest.NewRequest(http.MethodGet, "http://app/protocol/openid-connect/66BS3d8uLPSYuvCOrTSvi5pxx7jQ/x?rd=%2Fa%2Fb%3Fcode%3Dz", nil))
	m := only(t, l, "")
	mark := strings.TrimPrefix(m.Location, "https://app.example.com/oauth2/approval/")
	if !strings.HasPrefix(mark, "…") || len(mark) > 20 || m.Path != "/protocol/openid-connect/"+mark+"/x" || !strings.HasPrefix(m.Param("rd"), "/a/b?code=") || strings.HasSuffix(m.Param("rd"), "=z") {
		t.Errorf("%s leads to %s; rd=%s", m.Path, m.Location, m.Param("rd"))
	}
}

func TestTheSameSecretIsSeenAgainAndOnlyInThisRun(t *testing.T) {
	of := func(l *sequence.Log) (form, bearer, other string) {
		h := l.Record(at(sequence.Doorward), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _ = r.ParseForm() }))
		r := post("http://app/", "access_token=abc&refresh_token=def")
		r.Header.Set("Authorization", "Bearer abc")
		send(t, h, r)
		m := only(t, l, "")
		return m.Param("access_token"), m.Param("Authorization: Bearer"), m.Param("refresh_token")
	}
	form, bearer, other := of(newLog())
	if form != bearer || form == other || len(form) < 6 {
		t.Errorf("fingerprints %q, %q and %q", form, bearer, other)
	}
	if again, _, _ := of(newLog()); again == form {
		t.Error("a fingerprint can be looked up in another run")
	}
}

func TestRepeatedPollsAreOneRowWithACount(t *testing.T) {
	l := newLog()
	left := 600
	poll := l.Record(at(sequence.Doorward), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		left -= 5
		w.Header().Set("Content-Type", "application/json")
		status := "pending"
		if left < 580 {
			status = "approved"
		}
		fmt.Fprintf(w, `{"status":%q,"expires_in":%d}`, status, left)
	}))
	token := l.Record(at(sequence.Provider), http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	for range 5 {
		send(t, token, post("http://idp/token", "device_code=x"))
		send(t, poll, httptest.NewRequest(http.MethodGet, "http://app/poll?attempt=a", nil))
	}
	all := l.Messages("")
	if len(all) != 3 || all[0].Count != 5 || all[1].Count != 4 || all[2].Count != 1 || all[2].Param("status") != "approved" {
		t.Errorf("%+v", all)
	}
	if !all[1].Last.After(all[1].At) {
		t.Errorf("the last of them was not noted: %+v", all[1])
	}
}

func TestMessagesStandInTheOrderInWhichTheyBegan(t *testing.T) {
	l := newLog()
	inner := l.Record(at(sequence.Provider), http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	outer := l.Record(at(sequence.Doorward), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		send(t, inner, httptest.NewRequest(http.MethodGet, "http://idp/first", nil))
		send(t, inner, httptest.NewRequest(http.MethodGet, "http://idp/second", nil))
	}))
	send(t, outer, httptest.NewRequest(http.MethodGet, "http://app/outer", nil))
	var paths []string
	for _, m := range l.Messages("") {
		paths = append(paths, m.Path)
	}
	if !slices.Equal(paths, []string{"/outer", "/first", "/second"}) {
		t.Error(paths)
	}
}

func TestAMessageThatNamesNoExampleIsOfWhoeverUsedItsValues(t *testing.T) {
	l := newLog()
	h := l.Record(at(sequence.Provider), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm()
		w.Header().Set("Content-Type", "text/html")
		if id := r.Form.Get("client_id"); id != "" {
			_, _ = io.WriteString(w, `<input type="hidden" name="interaction" value="of-`+id+`">`)
		}
	}))
	first := httptest.NewRequest(http.MethodGet, "http://idp/auth?client_id=tv", nil)
	first.Header.Set("X-Test-From", string(sequence.Phone))
	send(t, h, first)
	send(t, h, httptest.NewRequest(http.MethodGet, "http://idp/auth?client_id=web", nil))
	unsaid := sequence.Place{At: sequence.Provider, From: func(*http.Request) sequence.Party { return "" }}
	send(t, l.Record(unsaid, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { _ = r.ParseForm() })), post("http://idp/login", "interaction=of-tv&password=x"))
	tv := l.Messages("tv")
	if len(tv) != 2 || tv[1].Path != "/login" || tv[1].From != sequence.Phone {
		t.Errorf("the TV's: %+v", tv)
	}
	send(t, h, httptest.NewRequest(http.MethodGet, "http://idp/keys", nil))
	if tv = l.Messages("tv"); len(tv) != 3 {
		t.Error("what names nobody is not of the example that was active last")
	}
	if web := l.Messages("web"); len(web) != 1 {
		t.Errorf("the web app's: %+v", web)
	}
}

func TestTheVersionChangesWithEachMessageAndFromRunToRun(t *testing.T) {
	l := newLog()
	h := l.Record(at(sequence.Doorward), http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	seen := map[string]bool{l.Version("tv"): true, newLog().Version("tv"): true}
	for range 3 {
		send(t, h, httptest.NewRequest(http.MethodGet, "http://app/?client_id=tv", nil))
		seen[l.Version("tv")] = true
	}
	if len(seen) != 5 {
		t.Errorf("versions %v", seen)
	}
}

func TestWhatIsLeftOutIsServedAllTheSame(t *testing.T) {
	l := newLog()
	place := at(sequence.Doorward)
	place.Skip = func(*http.Request) bool { return true }
	w := send(t, l.Record(place, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "x") })), httptest.NewRequest(http.MethodGet, "http://app/", nil))
	if w.Body.String() != "x" || len(l.Messages("")) != 0 {
		t.Errorf("%q, %d messages", w.Body, len(l.Messages("")))
	}
}

// A large upload, a stream whose reader waits for each line, a broken connection.
func TestBodiesPassUnharmed(t *testing.T) {
	l := newLog()
	more := make(chan bool)
	server := httptest.NewServer(l.Record(at(sequence.App), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/echo":
			body, err := io.ReadAll(r.Body) // HTTP/1 answers once it has read all (http.ResponseController.EnableFullDuplex)
			if err != nil {
				t.Error(err)
			}
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write(body)
		case "/stream":
			for i := range 3 {
				fmt.Fprintf(w, "line %d\n", i)
				if err := http.NewResponseController(w).Flush(); err != nil {
					t.Error(err)
				}
				<-more
			}
		case "/silent":
		default:
			panic(http.ErrAbortHandler)
		}
	})))
	defer server.Close()
	large := strings.Repeat(`{"a":"`+strings.Repeat("x", 1000)+`"}`, 1000)
	res, err := server.Client().Post(server.URL+"/echo", "application/json", strings.NewReader(large))
	if err != nil {
		t.Fatal(err)
	}
	got, _ := io.ReadAll(res.Body)
	_ = res.Body.Close()
	if string(got) != large {
		t.Errorf("%d bytes came back of %d", len(got), len(large))
	}
	if res, err = server.Client().Get(server.URL + "/stream"); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(res.Body)
	for i := range 3 {
		if !lines.Scan() || lines.Text() != fmt.Sprintf("line %d", i) {
			t.Errorf("line %d is %q", i, lines.Text())
		}
		more <- true
	}
	_ = res.Body.Close()
	if res, err = server.Client().Get(server.URL + "/silent"); err != nil || res.StatusCode != 200 {
		t.Errorf("%v %v", res, err)
	}
	_ = res.Body.Close()
	if res, err = server.Client().Get(server.URL + "/broken"); err == nil {
		_ = res.Body.Close()
		t.Error("a broken connection was answered")
	}
	server.Close() // an answer can be here before its row is filed
	statuses := map[string]int{}
	for _, m := range l.Messages("") {
		statuses[m.Path] = m.Status
	}
	if want := (map[string]int{"/echo": 200, "/stream": 200, "/silent": 200, "/broken": 0}); fmt.Sprint(statuses) != fmt.Sprint(want) {
		t.Errorf("recorded %v", statuses)
	}
}

func TestMemoryIsBounded(t *testing.T) {
	l := newLog()
	h := l.Record(at(sequence.Doorward), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(w, r.Body) }))
	var form strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&form, "scope=%s&p%d=%d&", strings.Repeat("long ", 1000), i, i)
	}
	for i := range 1000 {
		send(t, h, post(fmt.Sprintf("http://app/%d?state=%d", i, i), form.String()[:min(form.Len(), 1000+i)]))
	}
	send(t, h, post("http://app/last", form.String()))
	all := l.Messages("")
	if len(all) > 200 || all[len(all)-1].Path != "/last" {
		t.Errorf("%d messages, the last is %s", len(all), all[len(all)-1].Path)
	}
	for _, m := range all {
		if size := len(fmt.Sprintf("%+v", m)); size > 40*400 {
			t.Errorf("a message of %d bytes", size)
		}
	}
}

func TestManyAtOnce(t *testing.T) {
	l := newLog()
	h := l.Record(at(sequence.Doorward), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _ = r.ParseForm() }))
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for j := range 20 {
				send(t, h, post(fmt.Sprintf("http://app/%d/%d", i, j), "client_id=tv&state=x"))
				_ = l.Messages("tv")
				_ = l.Version("tv")
			}
		})
	}
	all.Wait()
	if n := len(l.Messages("tv")); n != 160 {
		t.Errorf("%d messages", n)
	}
}

// Whatever comes, nothing breaks, and what has the name of a secret is never kept.
func FuzzWhatIsRecorded(f *testing.F) {
	f.Add("/x?a=b&code=c", "application/x-www-form-urlencoded", "a=b&password=c", "Basic YTpi", "doorward=x", "/y?z#w")
	f.Add("/x?%zz", "application/json", `{"a":{"b":{"c":[1,"x",{}]}}}`, "Bearer", "=", "://")
	f.Add("/", "text/html", `<input type="hidden" name="x" value="y">`, "", ";", "")
	f.Fuzz(func(t *testing.T, target, kind, body, authorization, cookie, location string) {
		const marker = "MARKER-7f3a"
		if strings.Contains(target+kind+body+authorization+cookie+location, marker) {
			return
		}
		l := newLog()
		h := l.Record(at(sequence.Doorward), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			w.Header().Set("Content-Type", kind)
			w.Header().Set("Location", location)
			w.Header().Set("Set-Cookie", cookie)
			w.WriteHeader(http.StatusOK)
			_, _ = io.WriteString(w, body)
		}))
		r := httptest.NewRequest(http.MethodPost, "http://app/", strings.NewReader("password="+marker+"&"+body))
		path, query, _ := strings.Cut(target, "?")
		r.URL.Path, r.URL.RawQuery = path, "access_token="+marker+"&"+query
		r.Header.Set("Content-Type", kind)
		r.Header.Set("Authorization", authorization)
		r.Header.Set("Cookie", "doorward="+marker+"; "+cookie)
		send(t, h, r)
		if kept := fmt.Sprintf("%+v", l.Messages("")); strings.Contains(kept, marker) {
			t.Errorf("kept: %s", kept)
		}
	})
}
