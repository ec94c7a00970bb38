package tokenapi

import (
	"encoding/json"
	"mime"
	"net/url"
	"strings"
	"testing"
)

// FuzzParse: whatever a body holds, what is read of it is what every other reader of JSON or forms would read, once.
func FuzzParse(f *testing.F) {
	for _, body := range []string{
		`{"identity_provider":"corp","target":"data.write"}`, `{"identity_provider":"corp","target":"orders","user_token":"eyJ","skip_cache":true}`,
		`{"identity_provider":"corp","token":"x","y":[{}]}`, `{"a":1,"a":2}`, `[]`, `{}`, ``, `{"identity_provider":"corp","\u0074arget":"x"}`,
	} {
		f.Add("application/json", body)
	}
	for _, body := range []string{"identity_provider=corp&target=x", "identity_provider=entra_id&target=x&skip_cache=true", "a=1&a=2", "%", "identity_provider=a&identity_provider=b"} {
		f.Add("application/x-www-form-urlencoded; charset=utf-8", body)
	}
	f.Add("text/plain", "x")
	f.Fuzz(func(t *testing.T, contentType, body string) {
		r, err := parse(contentType, []byte(body))
		if err != nil {
			if r != (request{}) {
				t.Error("a request came with the error")
			}
			if len(body) > 30 && strings.Contains(err.Error(), body) {
				t.Errorf("the error holds the body: %v", err)
			}
			return
		}
		read := map[string]string{"target": r.target, "user_token": r.userToken.Reveal(), "token": r.token.Reveal()}
		if r.provider == "" || strings.Contains(r.provider, "_") {
			t.Errorf("%+v", r)
		}
		var m map[string]any
		if kind, _, _ := mime.ParseMediaType(contentType); kind == typeJSON {
			if err := json.Unmarshal([]byte(body), &m); err != nil {
				t.Fatalf("read what is no JSON: %q", body)
			}
			for name, got := range read {
				if want, _ := m[name].(string); want != got {
					t.Errorf("%s: %q, others read %q", name, got, want)
				}
			}
			return
		}
		form, err := url.ParseQuery(body)
		if err != nil {
			t.Fatalf("read what is no form: %q", body)
		}
		for name, got := range read {
			if form.Get(name) != got || len(form[name]) > 1 {
				t.Errorf("%s: %q, others read %q", name, got, form[name])
			}
		}
	})
}
