package telemetry

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/testnet"
)

// line is a record of the log.
type line map[string]any

// site is a handler behind an access log, on a socket.
type site struct {
	*httptest.Server
	t       *testing.T
	access  *AccessLog
	log     *testnet.Output
	running sync.WaitGroup
}

func serve(t *testing.T, h http.HandlerFunc) *site {
	t.Helper()
	s := &site{t: t, log: &testnet.Output{}}
	s.access = NewAccessLog(logger(t, LogConfig{Format: "json", Level: "debug"}, s.log))
	onPanic := func(w http.ResponseWriter, _ *http.Request) {
		From(w).Err = errors.New("panic")
		w.WriteHeader(http.StatusInternalServerError)
		_, _ = io.WriteString(w, "sorry: "+From(w).Reference)
	}
	handler := s.access.Handler(h, onPanic)
	s.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.running.Add(1) // Close does not wait for connections that were taken over
		defer s.running.Done()
		handler.ServeHTTP(w, r)
	}))
	s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug)
	s.Start()
	t.Cleanup(s.Close)
	return s
}

func (s *site) get(path string) (*http.Response, string, error) {
	s.t.Helper()
	res, err := s.Client().Get(s.URL + path)
	if err != nil {
		return nil, "", err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	return res, string(body), err
}

// ended returns the log's records with this message, after the server and the access log ended.
func (s *site) ended(msg string) []line {
	s.t.Helper()
	s.Close()
	s.running.Wait()
	s.access.Close()
	return records(s.t, s.log.String(), msg)
}

func (s *site) one() line {
	s.t.Helper()
	all := s.ended(message)
	if len(all) != 1 {
		s.t.Fatalf("%d access lines:\n%s", len(all), s.log)
	}
	return all[0]
}

func records(t *testing.T, log, msg string) (found []line) {
	t.Helper()
	for text := range strings.Lines(log) {
		var l line
		if err := json.Unmarshal([]byte(text), &l); err != nil {
			t.Fatalf("%v in %q", err, text)
		}
		if l["msg"] == msg {
			found = append(found, l)
		}
	}
	return found
}

func (l line) expect(t *testing.T, want map[string]any) {
	t.Helper()
	for key, value := range want {
		if fmt.Sprint(l[key]) != fmt.Sprint(value) {
			t.Errorf("%s: %v, want %v in %v", key, l[key], value, l)
		}
	}
}

func TestARequestLeavesOneLineWithWhatTheHandlersKnew(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		typical(w, r)
		From(w).Err = errors.New("the cache was cold")
	})
	if _, _, err := s.get("/x?code=secret"); err != nil {
		t.Fatal(err)
	}
	l := s.one()
	l.expect(t, map[string]any{
		"level": "INFO", "method": "GET", "host": "app.example.com", "path": "/reports/2026/annual", "status": 200, "bytes": 5, "client": "203.0.113.7",
		"route": "app", "outcome": "allow", "rule": "allow[0]", "user": "8f2c51d0-4a7e-4b7c-9a55-0e6d3b1c2f90", "provider": "corp",
		"login": "staff", "upstream": "http://10.0.0.11:8001", "error": "the cache was cold",
	})
	if _, err := time.Parse(time.RFC3339Nano, l["time"].(string)); err != nil {
		t.Error(err)
	}
	if ms, ok := l["duration_ms"].(float64); !ok || ms < 0 || ms > 60_000 {
		t.Errorf("duration_ms is %v", l["duration_ms"])
	}
	if strings.Contains(s.log.String(), "secret") {
		t.Errorf("a query string was logged: %s", s.log)
	}
}

func TestEmptyKeysAreLeftOutAndNumbersAreNot(t *testing.T) {
	s := serve(t, func(http.ResponseWriter, *http.Request) {})
	if _, _, err := s.get("/"); err != nil {
		t.Fatal(err)
	}
	l := s.one()
	got := slices.Sorted(func(yield func(string) bool) {
		for key := range l {
			if !yield(key) {
				return
			}
		}
	})
	if want := []string{"bytes", "duration_ms", "level", "method", "msg", "reference", "status", "time"}; !slices.Equal(got, want) {
		t.Errorf("keys %q, want %q", got, want)
	}
	l.expect(t, map[string]any{"status": 200, "bytes": 0})
}

func TestEveryRequestHasAReferenceOfItsOwnThatCanBeReadOut(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, From(w).Reference) })
	shown := map[string]bool{}
	for range 300 { // more than one pool of random bytes
		_, body, err := s.get("/")
		if err != nil {
			t.Fatal(err)
		}
		if !regexp.MustCompile(`^[2-9A-HJ-NP-Z]{6}$`).MatchString(body) {
			t.Fatalf("reference %q", body)
		}
		shown[body] = true
	}
	if len(shown) < 299 {
		t.Errorf("300 requests had %d references", len(shown))
	}
	for _, l := range s.ended(message) {
		delete(shown, l["reference"].(string))
	}
	if len(shown) != 0 {
		t.Errorf("references that are not in the log: %v", shown)
	}
}

func TestP190NothingThatAClientWroteBreaksALine(t *testing.T) {
	evil := "a\r\n{\"msg\":\"request\"}\x1b[31m\x00\x7f\u009b31m\u202e\u2028\xff\xfe\"\\\t\U000e0041é漢"
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		rec := From(w)
		for _, p := range []*string{&rec.Host, &rec.Path, &rec.Client, &rec.Route, &rec.Outcome, &rec.Rule, &rec.Code, &rec.Subject, &rec.Provider, &rec.Login, &rec.Upstream} {
			*p = evil
		}
		rec.Err = errors.New(evil)
	})
	if _, _, err := s.get("/"); err != nil {
		t.Fatal(err)
	}
	l := s.one()
	for _, r := range strings.TrimSuffix(s.log.String(), "\n") {
		if r < ' ' || 0x7f <= r && r < 0xa0 || r == '\u202e' || r == '\u2028' || r == '\U000e0041' {
			t.Errorf("%U is in the log as it is", r)
		}
	}
	want := strings.ToValidUTF8(strings.ReplaceAll(evil, "\xff\xfe", "\ufffd\ufffd"), "")
	for key, value := range l {
		if s, ok := value.(string); ok && strings.HasPrefix(s, "a\r") && s != want {
			t.Errorf("%s reads %q, want %q", key, s, want)
		}
	}
	l.expect(t, map[string]any{"user": want, "error": want})
}

func TestS18LongValuesAreCutAtTheBorderOfACharacter(t *testing.T) {
	long := strings.Repeat("漢", 40_000)
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		rec := From(w)
		rec.Method, rec.Path, rec.Subject, rec.Err = long, long, long, errors.New(long)
	})
	if _, _, err := s.get("/"); err != nil {
		t.Fatal(err)
	}
	l := s.one()
	for key, limit := range map[string]int{"method": maxMethod, "path": maxPath, "user": maxField, "error": maxError} {
		got := l[key].(string)
		if len(got) > limit || len(got) < limit-4 || strings.Trim(got, "漢") != ellipsis {
			t.Errorf("%s has %d bytes: %q", key, len(got), got)
		}
	}
}

func TestAPanicIsAnsweredLoggedWithItsStackAndTheProcessGoesOn(t *testing.T) {
	const private = "Bearer abc.def"
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/text":
			w.Header().Set("Content-Length", "3")
			w.Header().Set("Content-Type", "image/png")
			panic("cannot read " + private)
		case "/runtime":
			fmt.Fprint(io.Discard, []int{}[len(r.Header)])
		}
	})
	for _, path := range []string{"/text", "/runtime"} {
		res, body, err := s.get(path)
		if err != nil || res.StatusCode != 500 || !strings.HasPrefix(body, "sorry: ") || res.Header.Get("Content-Type") == "image/png" {
			t.Errorf("%s: %v %v %q", path, err, res, body)
		}
	}
	if res, _, err := s.get("/fine"); err != nil || res.StatusCode != 200 {
		t.Error("the server doesn't go on")
	}
	panics := s.ended("panic")
	if len(panics) != 2 || !strings.Contains(panics[0]["stack"].(string), "access_test.go") || !strings.Contains(panics[1]["error"].(string), "index out of range") {
		t.Errorf("%v", panics)
	}
	lines := s.ended(message)
	lines[0].expect(t, map[string]any{"level": "ERROR", "status": 500, "code": "internal_error", "error": "panic", "reference": panics[0]["reference"]})
	if strings.Contains(s.log.String(), private) {
		t.Errorf("a panic's text is in the log: %s", s.log)
	}
}

func TestAPanicInTheMidstOfAnAnswerCutsTheConnection(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "half of")
		_ = http.NewResponseController(w).Flush()
		panic("bug")
	})
	if _, body, err := s.get("/"); err == nil || strings.Contains(body, "sorry") {
		t.Errorf("half an answer looks whole: %q", body)
	}
	s.one().expect(t, map[string]any{"level": "ERROR", "status": 200, "bytes": 7, "code": "internal_error"})
}

func TestAPanicWhileAnsweringForAPanicCutsTheConnection(t *testing.T) {
	log := &testnet.Output{}
	access := NewAccessLog(logger(t, LogConfig{Format: "json"}, log))
	h := access.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("one") }), func(http.ResponseWriter, *http.Request) { panic("two") })
	func() {
		defer func() {
			if v := recover(); v != http.ErrAbortHandler {
				t.Errorf("recovered %v", v)
			}
		}()
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", nil))
	}()
	access.Close()
	if n := len(records(t, log.String(), "panic")); n != 2 {
		t.Errorf("%d panics are in the log", n)
	}
}

func TestAnAbortedAnswerIsLoggedAndPassesOn(t *testing.T) {
	for name, h := range map[string]http.HandlerFunc{
		"before": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"within": func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusTeapot)
			panic(http.ErrAbortHandler)
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, h)
			if _, _, err := s.get("/"); err == nil {
				t.Error("there was an answer")
			}
			s.one().expect(t, map[string]any{"level": "INFO", "code": "aborted", "status": map[string]int{"before": 0, "within": 418}[name]})
			if n := len(s.ended("panic")); n != 0 {
				t.Errorf("an abort was logged as %d panics", n)
			}
		})
	}
}

func TestOnlyOurOwnFailuresAreMoreThanInformation(t *testing.T) {
	for _, c := range []struct {
		status int
		code   string
		level  string
	}{{200, "", "INFO"}, {502, "", "INFO"}, {403, "access_denied", "INFO"}, {502, "upstream_unreachable", "WARN"}, {500, "internal_error", "ERROR"}, {499, "client_closed", "INFO"}} {
		s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			From(w).Code = c.code
			w.WriteHeader(c.status)
		})
		if _, _, err := s.get("/"); err != nil {
			t.Fatal(err)
		}
		s.one().expect(t, map[string]any{"level": c.level, "status": c.status})
	}
}

func TestFromFindsTheRecordThroughOtherWritersAndIsNeverNil(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) { From(wrapped{wrapped{w}}).Route = "inner" })
	if _, _, err := s.get("/"); err != nil {
		t.Fatal(err)
	}
	s.one().expect(t, map[string]any{"route": "inner"})
	rec := httptest.NewRecorder()
	if From(rec) == nil || From(wrapped{rec}) == nil || From(nil) == nil {
		t.Error("From returned nil")
	}
}

type wrapped struct{ inner http.ResponseWriter }

func (w wrapped) Header() http.Header         { return w.inner.Header() }
func (w wrapped) Write(p []byte) (int, error) { return w.inner.Write(p) }
func (w wrapped) WriteHeader(status int)      { w.inner.WriteHeader(status) }
func (w wrapped) Unwrap() http.ResponseWriter { return w.inner }

func TestUpgradesPassAndAreLoggedAs101(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		c, rw, err := http.NewResponseController(wrapped{w}).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer c.Close()
		_, _ = rw.WriteString("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
		_ = rw.Flush()
		text, _ := rw.ReadString('\n')
		_, _ = rw.WriteString("echo " + text)
		_ = rw.Flush()
	})
	c, err := net.Dial("tcp", s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nhello\n")
	got, err := io.ReadAll(bufio.NewReader(c))
	if err != nil || !strings.HasSuffix(string(got), "echo hello\n") {
		t.Errorf("%v %q", err, got)
	}
	s.one().expect(t, map[string]any{"status": 101, "bytes": 0})
}

func TestInformationalAnswersAreNotTheStatus(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Link", "</a.css>; rel=preload")
		w.WriteHeader(http.StatusEarlyHints)
		w.WriteHeader(http.StatusNotFound)
		w.WriteHeader(http.StatusOK) // superfluous: what counts was sent
	})
	if res, _, err := s.get("/"); err != nil || res.StatusCode != 404 {
		t.Errorf("%v %v", res, err)
	}
	s.one().expect(t, map[string]any{"status": 404})
}

func TestAnswersStreamThrough(t *testing.T) {
	next := make(chan struct{})
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "one\n")
		w.(http.Flusher).Flush()
		<-next
		_, _ = w.Write([]byte("two\n"))
	})
	res, err := s.Client().Get(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body := bufio.NewReader(res.Body)
	if first, err := body.ReadString('\n'); first != "one\n" {
		t.Fatalf("%q %v", first, err)
	}
	close(next)
	if second, err := body.ReadString('\n'); second != "two\n" {
		t.Fatalf("%q %v", second, err)
	}
	s.one().expect(t, map[string]any{"bytes": 8})
}

func TestLargeCopiesReachTheConnectionsReadFrom(t *testing.T) {
	from := &fast{ResponseRecorder: httptest.NewRecorder()}
	access := NewAccessLog(slog.New(slog.DiscardHandler))
	access.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		n, err := io.Copy(w, io.LimitReader(zeros{}, 1<<20))
		if rec := From(w); n != 1<<20 || err != nil || rec.Bytes != n || rec.Status != 200 {
			t.Errorf("%d %v %+v", n, err, rec)
		}
	}), nil).ServeHTTP(from, httptest.NewRequest(http.MethodGet, "/", nil))
	if !from.used {
		t.Error("ReadFrom was not used")
	}
}

type fast struct {
	*httptest.ResponseRecorder
	used bool
}

func (f *fast) ReadFrom(r io.Reader) (int64, error) {
	f.used = true
	return io.Copy(io.Discard, r)
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

func TestARequestAllocatesTwiceWithItsLine(t *testing.T) {
	for _, level := range []string{"info", "error"} {
		access := NewAccessLog(logger(t, LogConfig{Format: "json", Level: level}, io.Discard))
		h := access.Handler(http.HandlerFunc(typical), nil)
		w, r := &sink{http.Header{}}, &http.Request{Method: http.MethodGet}
		if n := testing.AllocsPerRun(2000, func() { h.ServeHTTP(w, r) }); n > 3 {
			t.Errorf("level %s: %v allocations, want 2 and surely no more than 3", level, n)
		}
		access.Close()
	}
}

func TestLinesOfManyRequestsAreWholeAndAllThere(t *testing.T) {
	s := serve(t, typical)
	h := s.Config.Handler
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 2000 {
				h.ServeHTTP(&sink{http.Header{}}, &http.Request{Method: http.MethodGet})
			}
		})
	}
	all.Wait()
	if n := len(s.ended(message)); n != 16_000 {
		t.Errorf("%d lines of 16000", n)
	}
}

func TestAnyOtherLoggerIsServedToo(t *testing.T) {
	for _, c := range []struct {
		make func(w io.Writer) *slog.Logger
		want string
	}{
		{func(w io.Writer) *slog.Logger { return slog.New(slog.NewJSONHandler(w, nil)) }, `"msg":"request","reference":"`},
		{func(w io.Writer) *slog.Logger { return logger(t, LogConfig{Format: "text"}, w) }, `msg=request reference=`},
		{func(w io.Writer) *slog.Logger { return logger(t, LogConfig{Format: "json"}, w).With("replica", "a") }, `"replica":"a","reference":"`},
	} {
		log := &testnet.Output{}
		access := NewAccessLog(c.make(log))
		access.Handler(http.HandlerFunc(typical), nil).ServeHTTP(&sink{http.Header{}}, &http.Request{Method: http.MethodGet})
		if got := log.String(); !strings.Contains(got, c.want) || strings.Count(got, "\n") != 1 {
			t.Errorf("%s: %q", c.want, got)
		}
		access.Close()
	}
}

func TestDocumentationListsExactlyTheKeysOfALineInTheirOrder(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "logs.md"))
	if err != nil {
		t.Fatal(err)
	}
	var documented []string
	for _, m := range regexp.MustCompile("(?m)^\\| `([a-z_]+)` \\| (string|number) \\|").FindAllStringSubmatch(string(text), -1) {
		documented = append(documented, m[1]+" "+m[2])
	}
	r := Record{
		Reference: "x", Trace: "x", Host: "x", Method: "x", Path: "x", Client: "x", Route: "x", Outcome: "x", Rule: "x", Code: "x",
		Subject: "x", Provider: "x", Login: "x", Upstream: "x", Err: errors.New("x"),
	}
	var written []string
	var room fields
	for _, a := range r.fill(&room, time.Second) {
		kind := "number"
		if a.Value.Kind() == slog.KindString {
			kind = "string"
		}
		written = append(written, a.Key+" "+kind)
	}
	if !slices.Equal(documented, written) {
		t.Errorf("docs/logs.md has\n%q, the code\n%q", documented, written)
	}
	if len(written) > len(room) {
		t.Errorf("a line has %d keys and room for %d: each line allocates", len(written), len(room))
	}
	example := regexp.MustCompile("(?s)```json\n(.*?)```").FindStringSubmatch(string(text))[1]
	for key := range records(t, example, message)[0] {
		if !slices.Contains([]string{"time", "level", "msg"}, key) && !slices.ContainsFunc(written, func(w string) bool { return strings.HasPrefix(w, key+" ") }) {
			t.Errorf("the example has a key %q", key)
		}
	}
}
