package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/doorward/doorward/demo/idp"
)

func TestTokensAreOfTheSizeThatIsStated(t *testing.T) {
	s := &stage{origin: "http://localhost:4180"}
	provider, err := s.provider("http://idp.example")
	if err != nil {
		t.Fatal(err)
	}
	token, err := s.mint()
	if err != nil {
		t.Fatal(err)
	}
	granted := func(form url.Values) string {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, s.idp.URL(idp.Token), strings.NewReader(form.Encode()))
		r.SetBasicAuth("doorward", "bench")
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		w := httptest.NewRecorder()
		provider.ServeHTTP(w, r)
		var answer struct {
			Token string `json:"access_token"`
		}
		if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil || w.Code != http.StatusOK {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
		return answer.Token
	}
	person := granted(url.Values{"grant_type": {"password"}, "username": {"alice"}, "password": {"alice"}, "scope": {"openid profile email groups"}})
	for name, token := range map[string]string{
		compareBearer: token,
		compareExchange: granted(url.Values{
			"grant_type": {idp.GrantTokenExchange}, "subject_token": {person}, "subject_token_type": {idp.TypeAccessToken}, "audience": {audienceOrders + strings.Repeat("a", ordersFiller)},
		}),
		compareCredentials: granted(url.Values{"grant_type": {"client_credentials"}, "audience": {audienceData + strings.Repeat("a", dataFiller)}}),
	} {
		if n := len(token); n < 1350 || n > 1450 {
			t.Errorf("%s: %d bytes, want about 1,400", name, n)
		}
	}
}

func TestOnlyRequestsForTokensAreHeldBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g gate
		answered := make(map[string]int)
		provider := g.before(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { answered[r.URL.Path]++ }))
		ask := func(path string) {
			provider.ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(t.Context(), http.MethodPost, path, nil))
		}
		token := idp.KeycloakPaths().Token
		release := g.hold()
		go ask(token)
		go ask("/other")
		synctest.Wait()
		if answered[token] != 0 || answered["/other"] != 1 || g.held.Load() != 1 {
			t.Errorf("%v answered, %d held", answered, g.held.Load())
		}
		release()
		synctest.Wait()
		if ask(token); answered[token] != 2 {
			t.Errorf("%v answered", answered)
		}
	})
}

func TestAnAnswerThatIsNoTokenEndsTheRun(t *testing.T) {
	for text, want := range map[string]string{
		"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nBearer abc":           "abc",
		"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc":                   "",
		"HTTP/1.1 401 Unauthorized\r\nContent-Length: 10\r\n\r\nBearer abc": "",
	} {
		here, there := net.Pipe()
		go func() {
			_, _ = fmt.Fprint(there, text)
			_ = there.Close()
		}()
		got, err := tokenIn(here)
		if errors.Is(err, errUnexpected) != (want == "") || err == nil && got != want {
			t.Errorf("%q: %q, %v", text, got, err)
		}
		_ = here.Close()
	}
}
