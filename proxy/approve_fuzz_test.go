package proxy

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"regexp"
	"strings"
	"testing"
)

// FuzzForm: what is accepted, another parser reads alike, each name once.
func FuzzForm(f *testing.F) {
	for _, s := range []string{"", payForm, "a=1&a=2", "a=1&A=2", "a[]=1&a=2", "a[x]=1&a[y]=2", "a=%zz", "a=1;b=2", "=1", "a", "a=b=c", "a+b=1&a.b=2", "a%00=1", "%ff=1", "a=\xff", "a=1&", "&", "a%5B%5D=1&a[]=2", "ſ=1&s=2"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, body string) {
		form, refusal := parseForm(body)
		if refusal != "" {
			if form != nil {
				t.Fatalf("%q is refused and read", body)
			}
			return
		}
		values, err := url.ParseQuery(body)
		if err != nil || len(values) != len(form) {
			t.Fatalf("%q is %v, and %v to net/url (%v)", body, form, values, err)
		}
		folded := make(map[string]bool)
		for name, all := range values {
			if len(all) != 1 || form[name] != all[0] {
				t.Fatalf("%q: %q is %q, and %q to net/url", body, name, form[name], all)
			}
			if folded[sameName(name)] {
				t.Fatalf("%q says %q twice", body, name)
			}
			folded[sameName(name)] = true
		}
	})
}

// FuzzJSON: what is accepted, encoding/json reads alike, but for numbers, which are as they were written.
func FuzzJSON(f *testing.F) {
	for _, s := range []string{`{"amount":20}`, `{"a":1,"a":2}`, `{"a":1,"A":2}`, `[1,2.50,1e400]`, `"x"`, `null`, ``, ` `, `{}x`, `{"a":"\ud800"}`, `{"a":"\ud83d\ude00"}`, `{"\u0061":1,"a":2}`, "{\"a\":\"\xff\"}", `{"a":{"b":[{"c":true}]}}`, `\`, `"\\ud800"`, `"\u"`, `{"K":1,"k":2}`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, body string) {
		got, refusal := parseJSON(body)
		if refusal != "" {
			if got != nil {
				t.Fatalf("%q is refused and read", body)
			}
			return
		}
		d := json.NewDecoder(bytes.NewReader([]byte(body)))
		d.UseNumber()
		var want any
		if err := d.Decode(&want); err != nil || !json.Valid([]byte(body)) {
			t.Fatalf("%q: %v", body, err)
		}
		if want = asTexts(want); !reflect.DeepEqual(got, want) {
			t.Fatalf("%q is %#v, and %#v to encoding/json", body, got, want)
		}
	})
}

func asTexts(v any) any {
	switch v := v.(type) {
	case json.Number:
		return v.String()
	case []any:
		for i := range v {
			v[i] = asTexts(v[i])
		}
	case map[string]any:
		for name := range v {
			v[name] = asTexts(v[name])
		}
	}
	return v
}

// FuzzMessage: the alphabet is Keycloak's, and what is shown is what the field holds.
func FuzzMessage(f *testing.F) {
	keycloak := regexp.MustCompile(`\A[a-zA-Z0-9-._+/!?#]{1,50}\z`)
	for _, s := range []string{"PAY-20", "", "a b", "a\n", "é", "<b>", "1234567890123456789012345678901234567890123456789", "12345678901234567890123456789012345678901234567890", "123456789012345678901234567890123456789012345678901", "\u202e"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, message string) {
		if got, want := faithful(message), keycloak.MatchString(message); got != want {
			t.Errorf("%q: %v, Keycloak says %v", message, got, want)
		}
	})
}

// FuzzHeld: what was kept comes back as the same request, and what cannot be read is refused.
func FuzzHeld(f *testing.F) {
	f.Add([]byte(`{"m":"POST","t":"/payments?x=1","h":{"Content-Type":["YQ=="]},"b":"YQ=="}`))
	f.Add([]byte(`{"m":"POST","t":"//evil.test/x"}`))
	f.Add([]byte(`{"m":"POST","t":"http://evil.test/x"}`))
	f.Add([]byte(`{`))
	f.Fuzz(func(t *testing.T, text []byte) {
		h, err := unhold(text)
		if err != nil {
			return
		}
		if !strings.HasPrefix(h.Target, "/") {
			t.Fatalf("%q leads to %q", text, h.Target)
		}
		now := httptest.NewRequest(http.MethodPost, "https://app.test/oauth2/approval/x", nil)
		now.Header = http.Header{"Cookie": {"a=b"}, "Content-Type": {"text/plain"}, "Range": {"bytes=0-1"}}
		r, err := h.request(now)
		if err != nil {
			return
		}
		if r.Host != now.Host || r.Method != h.Method || r.RequestURI != h.Target || r.ContentLength != int64(len(h.Body)) {
			t.Fatalf("%q became %s %s of %s", text, r.Method, r.RequestURI, r.Host)
		}
		if _, kept := h.Header["Range"]; !kept && r.Header["Range"] != nil {
			t.Fatal("a header of the page's own request came through")
		}
	})
}
