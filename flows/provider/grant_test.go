package provider_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/flows/provider"
	"github.com/doorward/doorward/internal/secret"
)

func codeForm() url.Values {
	return url.Values{"grant_type": {"authorization_code"}, "code": {"code-canary"}, "redirect_uri": {"https://app.test/cb"}, "code_verifier": {"verifier-canary"}}
}

const tokens = `{"access_token":"access-1","token_type":"Bearer","expires_in":300,"refresh_token":"refresh-1","id_token":"a.b.c","scope":"openid email","not-before-policy":0,"session_state":"x"}`

func TestTOK1TheTokenRequest(t *testing.T) {
	r := newRogue(t)
	r.on("/token", answerJSON(200, tokens))
	form := codeForm()
	form.Set("client_id", "evil") // what a caller puts there is not what is sent
	form.Set("client_assertion", "evil")
	got, err := r.client().Grant(t.Context(), form)
	if err != nil {
		t.Fatal(err)
	}
	q := r.seen("/token")[0]
	if q.Method != http.MethodPost || q.Header.Get("Content-Type") != "application/x-www-form-urlencoded" || q.Header.Get("Accept") != "application/json" || q.URL.RawQuery != "" {
		t.Errorf("%s %s %v", q.Method, q.URL, q.Header)
	}
	want := codeForm()
	if q.PostForm.Encode() != want.Encode() {
		t.Errorf("sent %v, want %v", q.PostForm, want)
	}
	if form.Get("client_id") != "evil" {
		t.Error("the caller's form was changed")
	}
	if got.AccessToken.Reveal() != "access-1" || got.RefreshToken.Reveal() != "refresh-1" || got.IDToken.Reveal() != "a.b.c" || got.Scope != "openid email" ||
		!got.ReceivedAt.Equal(r.now()) || !got.Expiry.Equal(r.now().Add(5*time.Minute)) || !got.RefreshExpiry.IsZero() || string(got.Raw) != tokens {
		t.Errorf("%+v", got.Tokens)
	}
}

// TestTokenAnswers: each row is one answer of the token endpoint with status 200.
func TestTokenAnswers(t *testing.T) {
	r := newRogue(t)
	c := r.client()
	jwtExpiry := r.sign(map[string]any{"typ": "at+jwt"}, must(json.Marshal(map[string]any{"exp": r.now().Unix() + 77})))
	unknown := time.Duration(-1) // no expiry is known
	for name, row := range map[string]struct {
		body   string
		ok     bool
		expiry time.Duration
	}{
		"TOK-3 bearer":                         {`{"access_token":"A","token_type":"bearer","expires_in":60}`, true, time.Minute},
		"TOK-3 BEARER":                         {`{"access_token":"A","token_type":"BEARER","expires_in":60}`, true, time.Minute},
		"TOK-3 no token_type":                  {`{"access_token":"A"}`, false, 0},
		"TOK-3 token_type mac":                 {`{"access_token":"A","token_type":"mac"}`, false, 0},
		"TOK-3 token_type DPoP, not asked for": {`{"access_token":"A","token_type":"DPoP"}`, false, 0},
		"TOK-3 token_type is a number":         {`{"access_token":"A","token_type":1}`, false, 0},
		"TOK-3 N_A outside token exchange":     {`{"access_token":"A","token_type":"N_A"}`, false, 0},
		"TOK-3 N_A of another type":            {`{"access_token":"A","token_type":"N_A","issued_token_type":"urn:ietf:params:oauth:token-type:id_token"}`, false, 0},
		"TOK-4 no expires_in":                  {`{"access_token":"A","token_type":"Bearer"}`, true, unknown},
		"TOK-4 no expires_in, but a JWT":       {`{"access_token":"` + jwtExpiry + `","token_type":"Bearer"}`, true, 77 * time.Second},
		"TOK-4 no expires_in, a broken JWT":    {`{"access_token":"a.!.c","token_type":"Bearer"}`, true, unknown},
		"TOK-4 no expires_in, no claims":       {`{"access_token":"a.` + b64([]byte(`[]`)) + `.c","token_type":"Bearer"}`, true, unknown},
		"TOK-4 no expires_in, exp is a text":   {`{"access_token":"a.` + b64([]byte(`{"exp":"soon"}`)) + `.c","token_type":"Bearer"}`, true, unknown},
		"TOK-4 expires_in in quotes":           {`{"access_token":"A","token_type":"Bearer","expires_in":"300"}`, true, 5 * time.Minute},
		"TOK-4 expires_in with a fraction":     {`{"access_token":"A","token_type":"Bearer","expires_in":1.5}`, true, 1500 * time.Millisecond},
		"TOK-4 expires_in 0 means not known":   {`{"access_token":"A","token_type":"Bearer","expires_in":0}`, true, unknown},
		"TOK-4 expires_in null":                {`{"access_token":"A","token_type":"Bearer","expires_in":null}`, true, unknown},
		"TOK-4 expires_in overflows":           {`{"access_token":"A","token_type":"Bearer","expires_in":1e300}`, true, 10 * 365 * 24 * time.Hour},
		"TOK-4 expires_in is beyond a number":  {`{"access_token":"A","token_type":"Bearer","expires_in":1e999}`, false, 0},
		"TOK-4 expires_in negative":            {`{"access_token":"A","token_type":"Bearer","expires_in":-1}`, false, 0},
		"TOK-4 expires_in is a word":           {`{"access_token":"A","token_type":"Bearer","expires_in":"soon"}`, false, 0},
		"TOK-4 expires_in Infinity":            {`{"access_token":"A","token_type":"Bearer","expires_in":"Infinity"}`, false, 0},
		"TOK-4 expires_in empty":               {`{"access_token":"A","token_type":"Bearer","expires_in":""}`, false, 0},
		"TOK-4 scope is a list":                {`{"access_token":"A","token_type":"Bearer","scope":["openid"]}`, false, 0},
		"TOK-5 unknown members":                {`{"access_token":"A","token_type":"Bearer","x":{"y":[1]},"expires_in":60}`, true, time.Minute},
		"TOK-5 no access_token":                {`{"token_type":"Bearer","id_token":"a.b.c"}`, false, 0},
		"TOK-5 access_token empty":             {`{"access_token":"","token_type":"Bearer"}`, false, 0},
		"TOK-5 access_token is a number":       {`{"access_token":1,"token_type":"Bearer"}`, false, 0},
		"TOK-5 access_token null":              {`{"access_token":null,"token_type":"Bearer"}`, false, 0},
		"TOK-5 issued_token_type is a number":  {`{"access_token":"A","token_type":"Bearer","issued_token_type":1}`, false, 0},
		"P059 access_token of 65 kB":           {`{"access_token":"` + long(65<<10) + `","token_type":"Bearer"}`, false, 0},
		"S10 a line break in access_token":     {`{"access_token":"A\r\nX-Admin: yes","token_type":"Bearer"}`, false, 0},
		"S10 a space in refresh_token":         {`{"access_token":"A","token_type":"Bearer","refresh_token":"a b"}`, false, 0},
		"S10 an umlaut in id_token":            {`{"access_token":"A","token_type":"Bearer","id_token":"ä"}`, false, 0},
		"P058 garbage":                         {"\x00\xff{{{", false, 0},
		"P058 cut off":                         {`{"access_token":"A","token_type":"Bea`, false, 0},
		"P058 nothing":                         {``, false, 0},
		"P058 null":                            {`null`, false, 0},
		"P058 an array":                        {`[]`, false, 0},
		"P058 two objects":                     {`{"access_token":"A","token_type":"Bearer"}{}`, false, 0},
		"P058 a duplicate member":              {`{"access_token":"A","access_token":"B","token_type":"Bearer"}`, false, 0},
		"P058 deep nesting":                    {`{"access_token":"A","token_type":"Bearer","x":` + strings.Repeat("[", 5000) + strings.Repeat("]", 5000) + `}`, false, 0},
	} {
		t.Run(name, func(t *testing.T) {
			r.on("/token", answerJSON(200, row.body))
			got, err := c.Grant(t.Context(), codeForm())
			if !row.ok {
				wants(t, err, provider.Misbehaved, "bad_response")
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			want := r.now().Add(row.expiry)
			if row.expiry == unknown {
				want = time.Time{}
			}
			if !got.Expiry.Equal(want) {
				t.Errorf("expiry %v, want %v", got.Expiry, want)
			}
		})
	}
}

func TestREF5LifetimesOfRefreshTokens(t *testing.T) {
	r := newRogue(t)
	for member, want := range map[string]time.Duration{`"refresh_expires_in":1800`: 30 * time.Minute, `"refresh_token_expires_in":"60"`: time.Minute, `"refresh_expires_in":0`: 0} {
		r.on("/token", answerJSON(200, `{"access_token":"A","token_type":"Bearer","refresh_token":"R",`+member+`}`))
		got, err := r.client().Grant(t.Context(), codeForm())
		if err != nil {
			t.Fatal(err)
		}
		if want == 0 != got.RefreshExpiry.IsZero() || want > 0 && !got.RefreshExpiry.Equal(r.now().Add(want)) {
			t.Errorf("%s: %v", member, got.RefreshExpiry)
		}
	}
	r.on("/token", answerJSON(200, `{"access_token":"A","token_type":"Bearer","refresh_expires_in":-5}`))
	_, err := r.client().Grant(t.Context(), codeForm())
	wants(t, err, provider.Misbehaved, "bad_response")
}

func TestTOK5MediaTypes(t *testing.T) {
	r := newRogue(t)
	for media, ok := range map[string]bool{
		"application/json": true, "application/json; charset=utf-8": true, "Application/JSON;charset=UTF-8": true, "application/json;": true, "application/json; charset": true,
		"application/vnd.corp+json": true, "": true,
		"text/html": false, "text/plain": false, "application/x-www-form-urlencoded": false, "text/html+json": false, ";;": false, "application/jwt": false,
	} {
		r.on("/token", func(w http.ResponseWriter, _ *http.Request) {
			w.Header()["Content-Type"] = []string{media}
			_, _ = w.Write([]byte(tokens))
		})
		_, err := r.client().Grant(t.Context(), codeForm())
		if ok && err != nil {
			t.Errorf("%q: %v", media, err)
		}
		if !ok {
			wants(t, err, provider.Misbehaved, "bad_response")
		}
	}
}

// TestTokenErrors: each row is one way of saying no, and what it means for us.
func TestTokenErrors(t *testing.T) {
	for name, row := range map[string]struct {
		answer http.HandlerFunc
		kind   provider.Kind
		code   string
	}{
		"TOK-6 invalid_grant":                  {answerJSON(400, `{"error":"invalid_grant","error_description":"Code not valid"}`), provider.Refused, "invalid_grant"},
		"TOK-6 access_denied":                  {answerJSON(400, `{"error":"access_denied"}`), provider.Refused, "access_denied"},
		"TOK-6 a word that nobody knows":       {answerJSON(400, `{"error":"acme_says_no"}`), provider.Refused, "acme_says_no"},
		"TOK-6 invalid_grant with 200":         {answerJSON(200, `{"error":"invalid_grant","access_token":"A","token_type":"Bearer"}`), provider.Refused, "invalid_grant"},
		"TOK-6 invalid_client":                 {answerJSON(401, `{"error":"invalid_client"}`), provider.Misconfigured, "invalid_client"},
		"TOK-6 unauthorized_client":            {answerJSON(400, `{"error":"unauthorized_client"}`), provider.Misconfigured, "unauthorized_client"},
		"TOK-6 unsupported_grant_type":         {answerJSON(400, `{"error":"unsupported_grant_type"}`), provider.Misconfigured, "unsupported_grant_type"},
		"TOK-6 invalid_request":                {answerJSON(400, `{"error":"invalid_request"}`), provider.Misconfigured, "invalid_request"},
		"TOK-6 invalid_scope":                  {answerJSON(400, `{"error":"invalid_scope"}`), provider.Misconfigured, "invalid_scope"},
		"TOK-6 invalid_target":                 {answerJSON(400, `{"error":"invalid_target"}`), provider.Misconfigured, "invalid_target"},
		"TOK-6 server_error with 400":          {answerJSON(400, `{"error":"server_error"}`), provider.Unavailable, "server_error"},
		"TOK-6 temporarily_unavailable":        {answerJSON(400, `{"error":"temporarily_unavailable"}`), provider.Unavailable, "temporarily_unavailable"},
		"TOK-6 no error code":                  {answerJSON(400, `{}`), provider.Misbehaved, "bad_response"},
		"TOK-6 error is a list":                {answerJSON(400, `{"error":["invalid_grant"]}`), provider.Misbehaved, "bad_response"},
		"TOK-6 error with a line break":        {answerJSON(400, `{"error":"invalid_grant\nlevel=ERROR"}`), provider.Misbehaved, "bad_response"},
		"TOK-6 error of 65 bytes":              {answerJSON(400, `{"error":"`+long(65)+`"}`), provider.Misbehaved, "bad_response"},
		"TOK-6 HTML with 400":                  {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(400); _, _ = w.Write([]byte("<html>")) }, provider.Misbehaved, "bad_response"},
		"TOK-6 404":                            {http.NotFound, provider.Misbehaved, "bad_response"},
		"TOK-5 201":                            {answerJSON(201, tokens), provider.Misbehaved, "bad_response"},
		"TOK-5 304":                            {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(304) }, provider.Misbehaved, "bad_response"},
		"TOK-7 500":                            {answerJSON(500, `{"error":"invalid_grant"}`), provider.Unavailable, "server_error"},
		"TOK-7 503":                            {answerJSON(503, ``), provider.Unavailable, "server_error"},
		"TOK-7 408":                            {answerJSON(408, ``), provider.Unavailable, "server_error"},
		"TOK-7 429":                            {answerJSON(429, `{"error":"slow_down"}`), provider.Unavailable, "rate_limited"},
		"TOK-7 the connection breaks":          {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, provider.Unavailable, "unreachable"},
		"TOK-7 the answer is cut off":          {cut, provider.Unavailable, "unreachable"},
		"TOK-7 no HTTP":                        {noHTTP, provider.Unavailable, "unreachable"},
		"P058 S9 more than 1 MiB":              {endless, provider.Misbehaved, "too_large"},
		"P058 S9 a header of 1 MB":             {func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("X", long(1<<20)) }, provider.Unavailable, "unreachable"},
		"P058 a bomb that nobody asked for":    {gzipped, provider.Misbehaved, "bad_response"},
		"P110 300":                             {redirect(300), provider.Misbehaved, "redirect_refused"},
		"P110 301":                             {redirect(301), provider.Misbehaved, "redirect_refused"},
		"P110 302":                             {redirect(302), provider.Misbehaved, "redirect_refused"},
		"P110 303":                             {redirect(303), provider.Misbehaved, "redirect_refused"},
		"P110 307":                             {redirect(307), provider.Misbehaved, "redirect_refused"},
		"P110 308":                             {redirect(308), provider.Misbehaved, "redirect_refused"},
		"S10 the description repeats the code": {answerJSON(400, `{"error":"invalid_grant","error_description":"code code-canary is used"}`), provider.Refused, "invalid_grant"},
		"S10 the code repeats the secret":      {answerJSON(400, `{"error":"s3cret-canary-that-is-long-enough-for-HS256"}`), provider.Misbehaved, "bad_response"},
		"S10 the description is an attack":     {answerJSON(400, `{"error":"invalid_grant","error_description":"\u001b[2J\nlevel=ERROR msg=forged `+long(3000)+`"}`), provider.Refused, "invalid_grant"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRogue(t)
			r.on("/token", row.answer)
			r.on("/elsewhere", answerJSON(200, tokens))
			var log lines
			c := r.client(func(c *provider.Config, d *provider.Deps) {
				c.ClientSecret = secret.New("s3cret-canary-that-is-long-enough-for-HS256")
				d.Log = log.logger()
			})
			got, err := c.Grant(t.Context(), codeForm())
			if got != nil {
				t.Fatal("tokens came with the error")
			}
			e := wants(t, err, row.kind, row.code)
			for _, text := range []string{e.Error(), fmt.Sprintf("%+v", *e), log.String()} {
				if strings.Contains(text, "canary") || strings.ContainsAny(e.Error(), "\n\x1b") || len(e.Error()) > 600 {
					t.Errorf("S10 TOK-8: %s", text)
				}
			}
			if n := r.count("/token"); n != 1 {
				t.Errorf("P111 TOK-7: the token endpoint was asked %d times", n)
			}
			if r.count("/elsewhere") != 0 {
				t.Error("P110: the redirect was followed")
			}
		})
	}
}

func redirect(status int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Location", "/elsewhere?code=code-canary")
		w.WriteHeader(status)
	}
}

func noHTTP(w http.ResponseWriter, _ *http.Request) {
	conn, _, err := w.(http.Hijacker).Hijack()
	if err != nil {
		panic(err)
	}
	_, _ = conn.Write([]byte("HTTP/1.1 code-canary\r\n\r\n"))
	_ = conn.Close()
}

func gzipped(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Encoding", "gzip")
	_, _ = w.Write([]byte("\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff\xaa\xae\x05\x04\x00\x00\xff\xff"))
}

// TestP110NoRedirectIsFollowedAnywhere: another host never hears of a secret, whichever
// endpoint points there.
func TestP110NoRedirectIsFollowedAnywhere(t *testing.T) {
	asked := make(chan string, 10)
	x := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, q *http.Request) { asked <- q.URL.Path }))
	defer x.Close()
	r := newRogue(t)
	c := r.client(conf(func(c *provider.Config) { c.UserInfo = "always" }))
	for _, path := range []string{"/token", "/userinfo", "/revoke", "/keys"} {
		r.on(path, http.RedirectHandler(x.URL+path, http.StatusTemporaryRedirect).ServeHTTP)
	}
	_, err := c.Grant(t.Context(), codeForm())
	wants(t, err, provider.Misbehaved, "redirect_refused")
	wants(t, c.Revoke(t.Context(), secret.New("R"), ""), provider.Misbehaved, "redirect_refused")
	_, err = c.Identify(t.Context(), response(r.idToken(nil)), ordinary)
	wants(t, err, provider.Unavailable, "keys_unavailable")
	r.on("/keys", nil)
	r.pass(time.Minute)
	_, err = c.Identify(t.Context(), response(r.idToken(nil)), ordinary)
	wants(t, err, provider.Misbehaved, "redirect_refused")
	select {
	case path := <-asked:
		t.Errorf("the other host was asked for %s", path)
	default:
	}
}

func TestRetryAfter(t *testing.T) {
	r := newRogue(t)
	c := r.client()
	for value, want := range map[string]time.Duration{
		"7": 7 * time.Second, "": 0, "soon": 0, "-5": 0, "86400": 5 * time.Minute, "99999999999999999999": 0,
		r.now().Add(20 * time.Second).Format(http.TimeFormat): 20 * time.Second, r.now().Add(-time.Hour).Format(http.TimeFormat): 0,
	} {
		for _, status := range []int{429, 503} {
			r.on("/token", func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Retry-After", value)
				w.WriteHeader(status)
			})
			_, err := c.Grant(t.Context(), codeForm())
			e := wants(t, err, provider.Unavailable, map[int]string{429: "rate_limited", 503: "server_error"}[status])
			if e.RetryAfter != want {
				t.Errorf("%d, Retry-After %q: %v", status, value, e.RetryAfter)
			}
		}
	}
}

func TestP058TheTokenEndpointHangs(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rogue) {
		c := r.client()
		slowly := func(w http.ResponseWriter, q *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			for { // a byte a second
				if _, err := w.Write([]byte(" ")); err != nil {
					return
				}
				_ = http.NewResponseController(w).Flush()
				select {
				case <-q.Context().Done():
					return
				case <-time.After(time.Second):
				}
			}
		}
		for name, answer := range map[string]http.HandlerFunc{"no answer": hang, "no end": slowly} {
			r.on("/token", answer)
			start := time.Now()
			_, err := c.Grant(t.Context(), codeForm())
			wants(t, err, provider.Unavailable, "timeout")
			if d := time.Since(start); d != 10*time.Second {
				t.Errorf("%s: gave up after %v", name, d)
			}
		}
		if n := r.count("/token"); n != 2 {
			t.Errorf("TOK-7: %d requests", n)
		}
	})
}

func TestR21ClocksAreNamedWhereTheyMayBeTheCause(t *testing.T) {
	r := newRogue(t)
	c := r.client(func(c *provider.Config, d *provider.Deps) {
		d.Now = func() time.Time { return r.now().Add(10 * time.Minute) }
	})
	for code, want := range map[string]bool{"invalid_client": true, "invalid_grant": true, "invalid_scope": false} {
		r.on("/token", answerJSON(400, `{"error":"`+code+`"}`))
		_, err := c.Grant(t.Context(), codeForm())
		if got := strings.Contains(err.Error(), "your clock is 600 s ahead of the provider's"); got != want {
			t.Errorf("%v", err)
		}
	}
}

func TestS10AResponseCannotBePrinted(t *testing.T) {
	r := newRogue(t)
	r.on("/token", answerJSON(200, tokens))
	got, err := r.client().Grant(t.Context(), codeForm())
	if err != nil {
		t.Fatal(err)
	}
	var log lines
	log.logger().Info("m", "r", got, slog.Any("v", *got))
	slog.New(slog.NewJSONHandler(&log, nil)).Info("m", "r", got)
	out := log.String() + fmt.Sprintf("%v %+v %#v %s %q %v", got, got, *got, *got, got, []any{*got}) + string(must(json.Marshal(got)))
	if strings.Contains(out, "access-1") || strings.Contains(out, "refresh-1") || strings.Contains(out, "a.b.c") {
		t.Error(out)
	}
}

func TestAVisitorWhoLeavesEndsTheRequest(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rogue) {
		c := r.client()
		if err := c.Ready(t.Context()); err != nil {
			t.Fatal(err)
		}
		r.on("/token", hang)
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		_, err := c.Grant(ctx, codeForm())
		wants(t, err, provider.Unavailable, "canceled")
		ctx, cancel = context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err = c.Grant(ctx, codeForm())
		wants(t, err, provider.Unavailable, "timeout")
	})
}

func TestTheProviderHasNoTokenEndpoint(t *testing.T) {
	r := newRogue(t)
	r.set("token_endpoint", nil)
	_, err := r.client().Grant(t.Context(), codeForm())
	wants(t, err, provider.Misconfigured, "no_endpoint")
	r.on(wellKnown, answerJSON(503, ""))
	_, err = r.client().Grant(t.Context(), codeForm())
	wants(t, err, provider.Unavailable, "server_error")
}
