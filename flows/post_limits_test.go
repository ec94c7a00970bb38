package flows

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestAUT5TenTabsByFormPostAndTheLimitOfAttempts(t *testing.T) {
	w, _ := newPliant(t, frontLogin("id_token", formPost), besides(Login{Name: "code", Flow: "authorization_code", Provider: "corp"}))
	b := w.net.Browser()
	tab := func(n int, login string) string {
		return app + "/oauth2/start?login=" + login + "&rd=" + url.QueryEscape("/tab/"+strings.Repeat("x", n))
	}
	var forms []url.Values
	for n := range 10 {
		forms = append(forms, posted(t, b, tab(n, "staff")))
	}
	for _, n := range []int{4, 0, 9, 2, 7, 1, 8, 3, 6, 5} {
		expect(t, deliver(t, b, forms[n]), http.StatusOK, "alice sees app.test/tab/"+strings.Repeat("x", n))
	}
	t.Run("P085 both kinds of attempts are counted together", func(t *testing.T) {
		b := w.net.Browser()
		b.StopAt = func(next *url.URL) bool { return next.Host == "127.0.0.1:9009" }
		for n := range maxAttempts + 10 {
			b.Open(t, tab(n, []string{"staff", "code"}[n%2]))
		}
		if n := len(attempts(b, app)); n != maxAttempts {
			t.Errorf("%d attempts", n)
		}
		if len(b.Jar.Refused) != 0 {
			t.Errorf("refused: %v", b.Jar.Refused)
		}
	})
}

func TestWhatIsNoFormIsNoAnswer(t *testing.T) {
	w, p := newPliant(t, frontLogin("code id_token", formPost))
	b := w.net.Browser()
	form := posted(t, b, app+"/x")
	cookie := attempts(b, app)[0] + "=" + b.Jar.Get(app, attempts(b, app)[0])
	for name, c := range map[string]struct {
		body   string
		header []string
		status int
	}{
		"JSON":               {`{"state":"x"}`, []string{"Content-Type", "application/json"}, 400},
		"multipart":          {"x", []string{"Content-Type", "multipart/form-data; boundary=x"}, 400},
		"text":               {form.Encode(), []string{"Content-Type", "text/plain"}, 400},
		"no type":            {form.Encode(), nil, 400},
		"two types":          {form.Encode(), []string{"Content-Type", formMedia, "Content-Type", "text/plain"}, 400},
		"compressed":         {form.Encode(), []string{"Content-Type", formMedia, "Content-Encoding", "gzip"}, 400},
		"a bad escape":       {form.Encode() + "&x=%zz", []string{"Content-Type", formMedia}, 400},
		"a semicolon":        {form.Encode() + ";x=1", []string{"Content-Type", formMedia}, 400},
		"many parameters":    {form.Encode() + strings.Repeat("&", maxPostedKeys), []string{"Content-Type", formMedia}, 400},
		"S18 too large":      {form.Encode() + "&x=" + strings.Repeat("A", maxPosted), []string{"Content-Type", formMedia}, 413},
		"nothing":            {"", []string{"Content-Type", formMedia}, 400},
		"an address as well": {form.Encode(), []string{"Content-Type", formMedia}, 400},
	} {
		t.Run(name, func(t *testing.T) {
			address := callbackURL
			if name == "an address as well" {
				address += "?x=y"
			}
			res := w.postBody(t, address, c.body, append(c.header, "Cookie", cookie, "Accept", "text/html", "Sec-Fetch-Site", "cross-site")...)
			if res.StatusCode != c.status || res.Header.Get("Location") != "" {
				t.Errorf("%d %v", res.StatusCode, res.Header)
			}
		})
	}
	t.Run("charset is no matter, nor an unknown parameter", func(t *testing.T) {
		res := w.postBody(t, callbackURL, form.Encode()+"&session_state=x", "Content-Type", formMedia+"; charset=UTF-8", "Cookie", cookie)
		if res.StatusCode != http.StatusSeeOther {
			t.Errorf("%d", res.StatusCode)
		}
	})
	unused(t, p, b)
}

func TestTokensOfTheLargestSizeComeThrough(t *testing.T) {
	w, p := newPliant(t, frontLogin("code id_token token", formPost))
	p.front = func(c map[string]any) { c["filler"] = strings.Repeat("x", 40<<10) }
	p.answer = func(_, a url.Values) {
		a.Set("padding", strings.Repeat("y", 64<<10))
	}
	b := w.net.Browser()
	expect(t, b.Open(t, app+"/x"), http.StatusOK, "alice sees app.test/x")
}

func TestS18TheStoreIsNotFilledWithAnswers(t *testing.T) {
	w, _ := newPliant(t, frontLogin("id_token", formPost))
	b := w.net.Browser()
	form := posted(t, b, app+"/x")
	if _, err := w.shared.Add(context.Background(), parkedBytes, maxParked, parkedLife); err != nil {
		t.Fatal(err)
	}
	page := deliver(t, b, form)
	expect(t, page, http.StatusTooManyRequests, codeTooMany)
	if page.Header.Get("Retry-After") != "30" || len(attempts(b, app)) != 1 {
		t.Errorf("Retry-After %q, attempts %v", page.Header.Get("Retry-After"), attempts(b, app))
	}
}

func TestS18OneAddressDoesNotUseUpWhatIsForAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, _ := newPliant(t, frontLogin("id_token", formPost))
		greedy := w.net.Browser()
		greedy.Header.Set("X-Test-Client", "203.0.113.7")
		form := posted(t, greedy, app+"/x")
		cookie := attempts(greedy, app)[0] + "=" + greedy.Jar.Get(app, attempts(greedy, app)[0])
		form.Set("error_description", strings.Repeat("A", 150<<10))
		n, status := 0, 0
		for ; n < 100 && status != http.StatusTooManyRequests; n++ {
			status = w.post(t, callbackURL, form, "Cookie", cookie, "X-Test-Client", "203.0.113.7").StatusCode
		}
		if n < 20 || n > 40 {
			t.Errorf("it was stopped after %d answers", n)
		}
		expect(t, w.net.Browser().Open(t, app+"/y"), http.StatusOK, "alice sees app.test/y")
		time.Sleep(parkedLife)
		if res := w.post(t, callbackURL, form, "Cookie", cookie, "X-Test-Client", "203.0.113.7"); res.StatusCode != http.StatusSeeOther {
			t.Errorf("half a minute later: %d", res.StatusCode)
		}
	})
}

func TestNothingIsLostWhileTheStoreOrTheProviderIsAway(t *testing.T) {
	w, p := newPliant(t, frontLogin("code id_token", formPost))
	b := w.net.Browser()
	form := posted(t, b, app+"/x")
	w.shared.down.Store(true)
	expect(t, deliver(t, b, form), http.StatusServiceUnavailable, codeStore)
	w.shared.down.Store(false)
	b.StopAt = func(next *url.URL) bool { return next.Query().Has("answer") }
	hop := deliver(t, b, form).Header.Get("Location")
	b.StopAt = nil
	w.shared.down.Store(true)
	expect(t, b.Open(t, hop), http.StatusServiceUnavailable, codeStore)
	w.shared.down.Store(false)
	unused(t, p, b)
	expect(t, b.Open(t, hop), http.StatusOK, "alice sees app.test/x")
}

func FuzzPostedAnswer(f *testing.F) {
	w, _ := newPliant(f, frontLogin("code id_token", formPost))
	a := newAttempt(f, "/x")
	state := w.flows.sealState(a)
	f.Add([]byte("state=" + state + "&code=x&id_token=y"))
	f.Add([]byte("state=" + state + "&state=" + state))
	f.Add([]byte("state=" + state + "&error=access_denied"))
	f.Add([]byte("a=%zz&;=&=&&"))
	f.Add([]byte(nil))
	f.Fuzz(func(t *testing.T, body []byte) {
		if params, err := parsePosted(body); err == nil {
			for name, values := range params {
				if len(values) != 1 {
					t.Errorf("%q: %d values", name, len(values))
				}
			}
		}
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, callbackURL, strings.NewReader(string(body)))
		r.Header.Set("Content-Type", formMedia)
		rec := httptest.NewRecorder()
		w.handler.ServeHTTP(rec, r)
		res := rec.Result()
		_, _ = io.Copy(io.Discard, res.Body)
		for _, c := range res.Cookies() {
			if c.Name == sessionID {
				t.Error("a session")
			}
		}
		if to := res.Header.Get("Location"); to != "" && !strings.HasPrefix(to, app+"/oauth2/callback?state=") {
			t.Errorf("led to %q", to)
		}
	})
}
