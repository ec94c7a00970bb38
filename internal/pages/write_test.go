package pages

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func TestEachKindOfCallerGetsItsAnswer(t *testing.T) {
	p := newPages(t)
	h := failing(p, &Error{Code: "login_required", LoginURL: startURL})
	for name, c := range map[string]struct {
		method      string
		headers     []string
		contentType string
	}{
		"navigation": {"GET", navigation, "text/html; charset=utf-8"},
		"form":       {"POST", append([]string{"Content-Type", "application/x-www-form-urlencoded"}, navigation...), "text/html; charset=utf-8"},
		"program":    {"GET", program, "application/problem+json"},
		"curl":       {"GET", []string{"Accept", "*/*"}, "application/problem+json"},
		"fetch":      {"POST", []string{"Accept", "text/html", "Sec-Fetch-Mode", "cors", "Sec-Fetch-Dest", "empty"}, "application/problem+json"},
	} {
		t.Run(name, func(t *testing.T) {
			a := ask(t, h, c.method, c.headers...)
			if a.StatusCode != http.StatusUnauthorized || a.Header.Get("Content-Type") != c.contentType {
				t.Errorf("%d %s", a.StatusCode, a.Header.Get("Content-Type"))
			}
		})
	}
}

func TestTheReferenceIsEverywhereAndTheCauseOnlyInTheLog(t *testing.T) {
	p := newPages(t)
	cause := errors.New("dial tcp 10.0.0.7:3000: connection refused <secret>")
	for name, err := range map[string]error{
		"with a code":     &Error{Code: "upstream_unreachable", Detail: "The one at the back.", Err: cause},
		"wrapped":         fmt.Errorf("forwarding: %w", &Error{Code: "upstream_unreachable", Err: cause}),
		"without a code":  cause,
		"an unknown code": &Error{Code: "made_up", Detail: "never <secret> shown", Err: cause, LoginURL: startURL},
	} {
		for kind, headers := range map[string][]string{"page": navigation, "problem": program} {
			t.Run(name+", "+kind, func(t *testing.T) {
				a := ask(t, failing(p, err), http.MethodGet, headers...)
				ref := a.Header.Get("Doorward-Reference")
				if ref == "" || !strings.Contains(a.body, ref) {
					t.Errorf("reference %q is not in %s", ref, a.body)
				}
				if strings.Contains(a.body, "10.0.0.7") || strings.Contains(a.body, "secret") || strings.Contains(fmt.Sprint(a.Header), "10.0.0.7") {
					t.Errorf("P193: %s", a.body)
				}
				var line struct{ Reference, Code, Error string }
				if err := json.Unmarshal([]byte(a.log), &line); err != nil {
					t.Fatalf("%v in %q", err, a.log)
				}
				if line.Reference != ref || !strings.Contains(line.Error, cause.Error()) || !strings.Contains(a.body, line.Code) {
					t.Errorf("the log says %s", a.log)
				}
			})
		}
	}
}

func TestAnUnknownCodeIsAnInternalErrorThatTheLogNames(t *testing.T) {
	a := ask(t, failing(newPages(t), &Error{Code: "made_up", Status: 404}), http.MethodGet, program...)
	if a.StatusCode != http.StatusInternalServerError || !strings.Contains(a.body, `"code":"internal_error"`) || strings.Contains(a.body, "made_up") {
		t.Errorf("%d %s", a.StatusCode, a.body)
	}
	if !strings.Contains(a.log, `made_up`) || !strings.Contains(a.log, `"code":"internal_error"`) {
		t.Errorf("the log says %s", a.log)
	}
}

func TestWhatTheCodeSaysAlreadyIsNotLoggedTwice(t *testing.T) {
	a := ask(t, failing(newPages(t), &Error{Code: "login_required"}), http.MethodGet, program...)
	if !strings.Contains(a.log, `"code":"login_required"`) || strings.Contains(a.log, `"error"`) {
		t.Errorf("the log says %s", a.log)
	}
}

func TestStatusAndHeaders(t *testing.T) {
	p := newPages(t)
	for name, c := range map[string]struct {
		err    Error
		status int
		header string
		want   string
	}{
		"the code's status":         {Error{Code: "no_route"}, 404, "Retry-After", ""},
		"another status":            {Error{Code: "bad_request", Status: 413}, 413, "", ""},
		"no informational status":   {Error{Code: "bad_request", Status: 103}, 400, "", ""},
		"no success":                {Error{Code: "bad_request", Status: 200}, 400, "", ""},
		"no number of nothing":      {Error{Code: "bad_request", Status: 1000}, 400, "", ""},
		"seconds are rounded up":    {Error{Code: "store_unavailable", RetryAfter: 1200 * time.Millisecond}, 503, "Retry-After", "2"},
		"and never zero":            {Error{Code: "store_unavailable", RetryAfter: 1}, 503, "Retry-After", "1"},
		"a past time is none":       {Error{Code: "store_unavailable", RetryAfter: -time.Second}, 503, "Retry-After", ""},
		"a challenge":               {Error{Code: "login_required", Challenge: []string{"Bearer", "Basic"}}, 401, "Www-Authenticate", "Bearer, Basic"},
		"CR LF breaks no challenge": {Error{Code: "login_required", Challenge: []string{"Bearer\r\nX-Evil: 1"}}, 401, "X-Evil", ""},
	} {
		t.Run(name, func(t *testing.T) {
			for _, headers := range [][]string{navigation, program} {
				a := ask(t, failing(p, &c.err), http.MethodGet, headers...)
				if got := strings.Join(a.Header[c.header], ", "); a.StatusCode != c.status || got != c.want {
					t.Errorf("%d %q, want %d %q", a.StatusCode, got, c.status, c.want)
				}
			}
		})
	}
}

func TestHEADIsTheSameWithoutTheBody(t *testing.T) {
	p := newPages(t)
	for _, s := range all(p) {
		if s.method != http.MethodGet {
			continue
		}
		get, head := ask(t, s.answer, http.MethodGet, s.header...), ask(t, s.answer, http.MethodHead, s.header...)
		if head.body != "" || head.StatusCode != get.StatusCode || head.ContentLength != get.ContentLength || head.Header.Get("Content-Type") != get.Header.Get("Content-Type") {
			t.Errorf("%s: HEAD is %d with %d bytes announced and %q, GET is %d with %d", s.name, head.StatusCode, head.ContentLength, head.body, get.StatusCode, get.ContentLength)
		}
	}
}

func TestAnAnswerThatHasBegunIsLeftAlone(t *testing.T) {
	p := newPages(t)
	for name, begin := range map[string]handler{
		"written": func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "half") },
		"header": func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusOK)
			_, _ = io.WriteString(w, "half")
		},
		"flushed": func(w http.ResponseWriter, _ *http.Request) {
			_ = http.NewResponseController(w).Flush()
			_, _ = io.WriteString(w, "half")
		},
		"hijacked": func(w http.ResponseWriter, _ *http.Request) {
			c, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nhalf")
			_ = c.Close()
		},
	} {
		for second, answer := range map[string]handler{
			"error": failing(p, errCause),
			"page":  func(w http.ResponseWriter, r *http.Request) { p.SignedOut(w, r, "") },
			"JSON":  func(w http.ResponseWriter, r *http.Request) { p.JSON(w, r, 200, 1) },
		} {
			t.Run(name+" before "+second, func(t *testing.T) {
				a := ask(t, func(w http.ResponseWriter, r *http.Request) {
					begin(w, r)
					answer(w, r)
				}, http.MethodGet, navigation...)
				if a.StatusCode != http.StatusOK || a.body != "half" {
					t.Errorf("%d %q", a.StatusCode, a.body)
				}
				if second == "error" && !strings.Contains(a.log, errCause.Error()) {
					t.Errorf("the log doesn't say why: %s", a.log)
				}
			})
		}
	}
}

func TestAnInformationalAnswerIsNoAnswer(t *testing.T) {
	p := newPages(t)
	a := ask(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Link", "</a.css>; rel=preload")
		w.WriteHeader(http.StatusEarlyHints)
		p.Error(w, r, &Error{Code: "upstream_timeout"})
	}, http.MethodGet, navigation...)
	if a.StatusCode != http.StatusGatewayTimeout || !strings.Contains(a.body, "upstream_timeout") {
		t.Errorf("%d %s", a.StatusCode, a.body)
	}
}

func TestHeadersOfTheAnswerThatNeverCameAreGone(t *testing.T) {
	p := newPages(t)
	a := ask(t, p.Handle(func(w http.ResponseWriter, _ *http.Request) error {
		for _, name := range bodyHeaders {
			w.Header().Set(name, "7")
		}
		w.Header().Set("Cache-Control", "public, max-age=99")
		w.Header().Set("Allow", "GET")
		w.Header().Set("Set-Cookie", "a=b")
		return &Error{Code: "no_route"}
	}).ServeHTTP, http.MethodGet, navigation...)
	for _, name := range bodyHeaders {
		if got := a.Header.Get(name); got == "7" {
			t.Errorf("%s: %s", name, got)
		}
	}
	if a.Header.Get("Cache-Control") != "no-store" || a.Header.Get("Allow") != "GET" || a.Header.Get("Set-Cookie") != "a=b" {
		t.Errorf("%v", a.Header)
	}
}

func TestHandlePassesSuccess(t *testing.T) {
	a := ask(t, newPages(t).Handle(func(w http.ResponseWriter, _ *http.Request) error {
		_, err := io.WriteString(w, "fine")
		return err
	}).ServeHTTP, http.MethodGet)
	if a.StatusCode != http.StatusOK || a.body != "fine" || a.Header.Get("Doorward-Reference") != "" {
		t.Errorf("%d %q", a.StatusCode, a.body)
	}
}

// Without an access log there is no reference, and the answer is still one.
func TestErrorWithoutTelemetry(t *testing.T) {
	w := httptest.NewRecorder()
	r := httptest.NewRequestWithContext(context.Background(), http.MethodGet, "/x", http.NoBody)
	newPages(t).Error(w, r, &Error{Code: "no_route"})
	if w.Code != http.StatusNotFound || strings.Contains(w.Body.String(), "reference") || w.Header()["Doorward-Reference"] != nil {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestTryAgainIsOfferedWhereItIsTheSameRequest(t *testing.T) {
	p := newPages(t)
	form := post("", failing(p, &Error{Code: "upstream_timeout"}))
	for name, c := range map[string]struct {
		answer answer
		want   bool
	}{
		"a navigation":       {ask(t, failing(p, &Error{Code: "upstream_timeout"}), http.MethodGet, navigation...), true},
		"a form":             {ask(t, form.answer, form.method, form.header...), false},
		"a lasting error":    {ask(t, failing(p, &Error{Code: "no_route"}), http.MethodGet, navigation...), false},
		"a login in its way": {ask(t, failing(p, &Error{Code: "store_unavailable", LoginURL: startURL}), http.MethodGet, navigation...), false},
	} {
		if got := strings.Contains(c.answer.body, `href="">Try again<`); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestErrorIsAnError(t *testing.T) {
	e := fmt.Errorf("x: %w", &Error{Code: "no_route", Detail: "Nothing.", Err: io.EOF})
	if !errors.Is(e, io.EOF) || e.Error() != "x: no_route: Nothing.: EOF" {
		t.Error(e)
	}
}
