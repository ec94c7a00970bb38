package provider

import (
	"bytes"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

// told fails the test for an error that a log should not hold.
func told(t *testing.T, err error) {
	t.Helper()
	if e, ok := err.(*Error); ok && e.Kind == Refused && e.Code == "" {
		t.Fatal("refused without a code")
	}
	if s := err.Error(); len(s) > 2000 || bytes.ContainsAny([]byte(s), "\r\n\x1b") {
		t.Fatalf("%q", s)
	}
}

// FuzzDeviceAnswer: whatever passes can be shown to a person and waited for.
func FuzzDeviceAnswer(f *testing.F) {
	for _, s := range []string{
		`{"device_code":"d","user_code":"WDJB-MJHT","verification_uri":"https://sso.example/device","expires_in":600,"interval":5}`,
		`{"device_code":"d","user_code":"A","verification_url":"https://sso.example/#/device","verification_uri_complete":"javascript:alert(1)","expires_in":"1e9","interval":-1}`,
		`{"device_code":"d","user_code":"<b>","verification_uri":"http://localhost/","expires_in":0.001}`, `{"error":"slow_down","interval":1e99}`, `[]`, ``,
		`{"device_code":"d","user_code":"A","verification_uri":"https://a@b/","verification_uri_complete":"https://ü/","expires_in":-1}`,
	} {
		f.Add(s, true)
		f.Add(s, false)
	}
	f.Fuzz(func(t *testing.T, body string, near bool) {
		a := &answer{status: http.StatusOK, header: http.Header{}, media: "application/json", body: []byte(body)}
		o, err := a.granted("the endpoint", time.Unix(0, 0), nil, pollErrors())
		if err != nil {
			if e, ok := err.(*Error); ok && e.Interval != 0 && (e.Interval < time.Second || e.Interval > longestInterval) {
				t.Fatalf("interval %s", e.Interval)
			}
			told(t, err)
			return
		}
		d, err := readDeviceCode(o, near)
		if err != nil {
			told(t, err)
			return
		}
		if d.ExpiresIn < time.Second || d.ExpiresIn > longestWait || d.Interval < time.Second || d.Interval > longestInterval {
			t.Fatalf("%s, every %s", d.ExpiresIn, d.Interval)
		}
		if code := d.DeviceCode.Reveal(); !printable(code) || len(code) > maxHandle {
			t.Fatalf("device_code %q", code)
		}
		if d.UserCode == "" || len(d.UserCode) > maxUserCode || strings.ContainsAny(d.UserCode, "<>&\"'`\\") || !printable(strings.ReplaceAll(d.UserCode, " ", "x")) {
			t.Fatalf("user_code %q", d.UserCode)
		}
		for _, raw := range []string{d.VerificationURI, d.VerificationURIComplete} {
			u, err := url.Parse(raw)
			if raw == "" && raw == d.VerificationURIComplete {
				continue
			}
			if err != nil || u.User != nil || u.Host == "" || !printable(raw) || strings.ContainsAny(raw, "<>\"`\\") || u.Scheme != "https" && !(near && u.Scheme == "http" && loopback(raw)) || !near && loopback(raw) {
				t.Fatalf("%q would be shown", raw)
			}
		}
	})
}

// FuzzCIBAAnswer: whatever passes can be polled for.
func FuzzCIBAAnswer(f *testing.F) {
	for _, s := range []string{
		`{"auth_req_id":"A","expires_in":120,"interval":5}`, `{"auth_req_id":"A","expires_in":"1e300","interval":"-1"}`, `{"auth_req_id":"","expires_in":1}`, `{"auth_req_id":"a\u0000","expires_in":1}`,
		`{"error":"unknown_user_id"}`, `{"error":"invalid_request","error_description":"invalid user"}`, `{"error":"access_denied","error_description":"secret-canary"}`, `null`,
	} {
		f.Add(200, s)
		f.Add(400, s)
	}
	f.Fuzz(func(t *testing.T, status int, body string) {
		a := &answer{status: status, header: http.Header{}, media: "application/json", body: []byte(body)}
		o, err := a.granted("the endpoint", time.Unix(0, 0), []string{"secret-canary"}, cibaErrors())
		if err != nil {
			told(t, a.unknownUser(err))
			if strings.Contains(err.Error(), "secret-canary") {
				t.Fatalf("%v", err)
			}
			return
		}
		k, err := readCIBAAnswer(o)
		if err != nil {
			told(t, err)
			return
		}
		if id := k.AuthReqID.Reveal(); status != http.StatusOK || !printable(id) || len(id) > maxHandle || k.ExpiresIn < time.Second || k.ExpiresIn > longestWait || k.Interval < time.Second || k.Interval > longestInterval {
			t.Fatalf("%d %q %s %s", status, id, k.ExpiresIn, k.Interval)
		}
	})
}

// FuzzPush: what passes is a token response for a request, or one of three errors; nothing is both.
func FuzzPush(f *testing.F) {
	for _, s := range []string{
		`{"auth_req_id":"A","access_token":"T","token_type":"Bearer","id_token":"a.b.c","refresh_token":"R","expires_in":5}`, `{"auth_req_id":"A","error":"access_denied"}`,
		`{"auth_req_id":"A","error":"access_denied","access_token":"T","token_type":"Bearer"}`, `{"auth_req_id":"A","auth_req_id":"B"}`, `{"auth_req_id":"A"}`, `{"auth_req_id":"A","error":null}`, `[`, ``,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		id, r, err := readPush(body, time.Unix(0, 0))
		switch e, ok := err.(*Error); {
		case err == nil && (r == nil || r.AccessToken.IsZero() || !printable(r.AccessToken.Reveal())):
			t.Fatal("no access token")
		case err == nil && (!printable(id) || len(id) > maxHandle || len(body) > maxPush):
			t.Fatalf("auth_req_id %q", id)
		case err != nil && (!ok || r != nil):
			t.Fatalf("%T, and %v", err, r)
		case err != nil && e.Kind == Refused && (id == "" || e.Code != "access_denied" && e.Code != "expired_token" && e.Code != "transaction_failed"):
			t.Fatalf("%q is refused with %q", id, e.Code)
		case err != nil:
			told(t, err)
		}
	})
}

// FuzzFrontChannel: what passes can be put into a header, and came once.
func FuzzFrontChannel(f *testing.F) {
	for _, s := range []string{
		"id_token=a.b.c&state=S", "access_token=A&token_type=bearer&expires_in=60&scope=openid", "access_token=A&access_token=B", "refresh_token=R", "access_token=%00&token_type=Bearer",
		"id_token=%ff", "access_token=A&token_type=Bearer&expires_in=-1", "access_token=&id_token=", "code=C&id_token=a.b.c&access_token=a.e30.c&token_type=Bearer",
	} {
		f.Add(s)
	}
	c := &Client{now: func() time.Time { return time.Unix(1000, 0) }}
	f.Fuzz(func(t *testing.T, query string) {
		if len(query) > maxBody {
			return
		}
		values, err := url.ParseQuery(query)
		if err != nil {
			return
		}
		r, err := c.FrontChannel(values)
		if err != nil {
			if e, ok := err.(*Error); !ok || e.Kind != Misbehaved || r != nil {
				t.Fatalf("%T %v", err, err)
			}
			told(t, err)
			return
		}
		for name, token := range map[string]string{"access_token": r.AccessToken.Reveal(), "id_token": r.IDToken.Reveal()} {
			if token != values.Get(name) || token != "" && !printable(token) || len(values[name]) > 1 {
				t.Fatalf("%s is %q", name, token)
			}
		}
		if !r.RefreshToken.IsZero() || len(r.Scope) > maxScope || !r.AccessToken.IsZero() && r.TokenType != "Bearer" {
			t.Fatalf("%+v", r.Tokens)
		}
	})
}
