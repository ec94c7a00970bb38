package provider_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/doorward/doorward/flows/provider"
	"github.com/doorward/doorward/internal/secret"
)

func TestEndSessionURL(t *testing.T) {
	r := newRogue(t)
	r.set("end_session_endpoint", r.url+"/logout?keep=1&id_token_hint=evil&state=evil")
	c := r.client()
	raw, err := c.EndSessionURL(t.Context(), provider.EndSession{IDTokenHint: secret.New("J"), PostLogoutRedirectURI: "https://app.test/bye", State: "Z"})
	if want := r.url + "/logout?client_id=doorward&id_token_hint=J&keep=1&post_logout_redirect_uri=https%3A%2F%2Fapp.test%2Fbye&state=Z"; err != nil || raw != want {
		t.Errorf("LO-1: %s %v", raw, err)
	}
	if raw, err = c.EndSessionURL(t.Context(), provider.EndSession{}); err != nil || raw != r.url+"/logout?client_id=doorward&keep=1" {
		t.Errorf("LO-1: %s %v", raw, err)
	}
	raw, err = c.EndSessionURL(t.Context(), provider.EndSession{IDTokenHint: secret.New(long(5000)), State: "Z"})
	if q := queryOf(t, raw); err != nil || q.Has("id_token_hint") || q.Get("client_id") != clientID || q.Get("state") != "Z" {
		t.Errorf("LO-1 big hint: %s %v", raw, err)
	}
	r.set("end_session_endpoint", nil)
	if raw, err = r.client().EndSessionURL(t.Context(), provider.EndSession{}); raw != "" || err != nil {
		t.Errorf("LO-4: %q %v", raw, err)
	}
	r.on(wellKnown, answerJSON(503, ""))
	_, err = r.client().EndSessionURL(t.Context(), provider.EndSession{})
	wants(t, err, provider.Unavailable, "server_error")
}

func TestREV1Revoke(t *testing.T) {
	for name, row := range map[string]struct {
		answer http.HandlerFunc
		kind   provider.Kind
		code   string // "" = done
	}{
		"200":                      {answerJSON(200, ""), 0, ""},
		"204":                      {answerJSON(204, ""), 0, ""},
		"200 with HTML":            {answerJSON(200, "<html>"), 0, ""},
		"unsupported_token_type":   {answerJSON(400, `{"error":"unsupported_token_type"}`), provider.Misconfigured, "unsupported_token_type"},
		"invalid_client":           {answerJSON(401, `{"error":"invalid_client"}`), provider.Misconfigured, "invalid_client"},
		"the token in the answer":  {answerJSON(400, `{"error":"invalid_request","error_description":"token refresh-canary?"}`), provider.Misconfigured, "invalid_request"},
		"400 without a code":       {answerJSON(400, `{}`), provider.Misbehaved, "bad_response"},
		"400 with HTML":            {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(400); _, _ = w.Write([]byte("<html>")) }, provider.Misbehaved, "bad_status"},
		"404":                      {http.NotFound, provider.Misbehaved, "bad_status"},
		"P110 redirect":            {redirect(307), provider.Misbehaved, "redirect_refused"},
		"the connection breaks":    {cut, provider.Unavailable, "unreachable"},
		"P058 more than 1 MiB":     {endless, provider.Misbehaved, "too_large"},
		"503 with a time to come ": {func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Retry-After", "9"); w.WriteHeader(503) }, provider.Unavailable, "server_error"},
	} {
		t.Run("REV-1 "+name, func(t *testing.T) {
			r := newRogue(t)
			r.on("/revoke", row.answer)
			err := r.client().Revoke(t.Context(), secret.New("refresh-canary"), "refresh_token")
			seen := r.seen("/revoke")
			if len(seen) != 1 {
				t.Fatalf("%d requests", len(seen))
			}
			if q := seen[0]; q.PostForm.Encode() != "token=refresh-canary&token_type_hint=refresh_token" || q.Header.Get("Authorization") == "" || q.URL.RawQuery != "" {
				t.Errorf("CA-9: %v %v", q.PostForm, q.Header)
			}
			if row.code == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			e := wants(t, err, row.kind, row.code)
			if row.kind == provider.Unavailable && row.code == "server_error" && e.RetryAfter != 9*time.Second {
				t.Errorf("retry after %v", e.RetryAfter)
			}
			if got := e.Error(); len(got) > 400 || containsCanary(got) {
				t.Errorf("S10: %s", got)
			}
		})
	}
	r := newRogue(t)
	if err := r.client().Revoke(t.Context(), secret.String{}, ""); err != nil || r.count(wellKnown) != 0 {
		t.Errorf("nothing to revoke: %v", err)
	}
	r.set("revocation_endpoint", nil)
	if err := r.client().Revoke(t.Context(), secret.New("R"), ""); err != nil {
		t.Errorf("REV-1: a provider without the endpoint is no error: %v", err)
	}
	r.on(wellKnown, answerJSON(503, ""))
	wants(t, r.client().Revoke(t.Context(), secret.New("R"), ""), provider.Unavailable, "server_error")
}
