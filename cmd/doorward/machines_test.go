package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/doorward/doorward/demo/idp"
)

// machines is a stack whose gateway has an API for bearer tokens and an outbound side.
func machines(t *testing.T) (s *stack, egress string) {
	s = newStack(t, "")
	egress = fmt.Sprintf("127.0.0.1:%d", free(t))
	s.toml = strings.Replace(s.toml, "[listen]\n", fmt.Sprintf("[listen]\negress = %q\n", egress), 1) + fmt.Sprintf(`
[credential.backup]
flow = "client_credentials"
audience = ["data"]
[credential.orders]
flow = "token_exchange"
audience = ["orders"]
[[route]]
name = "api"
host = %q
path = "/api"
upstream = [%q]
accept = ["bearer"]
audience = ["shop"]
[[egress]]
name = "data"
upstream = [%q]
credential = "backup"
[[egress]]
name = "orders"
upstream = [%q]
accept = ["bearer"]
audience = ["shop"]
credential = "orders"
`, s.origin, s.app.URL, s.app.URL, s.app.URL)
	return s, "http://" + egress
}

// ask makes a request as a program does, and returns status, header and body.
func ask(t *testing.T, method, target, token string, form url.Values) (int, http.Header, string) {
	t.Helper()
	r, err := http.NewRequest(method, target, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	res, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, res.Header, string(body)
}

// claimsIn are the claims of a JWT, which nobody has verified.
func claimsIn(t *testing.T, token string) (claims map[string]any) {
	t.Helper()
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		t.Fatal("this is no JWT")
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil || json.Unmarshal(payload, &claims) != nil {
		t.Fatal("this is no JWT")
	}
	return claims
}

// audience is aud of the token that the application saw last.
func (s *stack) audience(t *testing.T) string {
	t.Helper()
	token, ok := strings.CutPrefix(s.app.last(t).Header.Get("Authorization"), "Bearer ")
	if !ok {
		t.Fatal("the application saw no bearer token")
	}
	return fmt.Sprint(claimsIn(t, token)["aud"])
}

func TestAnAPITakesBearerTokensAndRedirectsNobody(t *testing.T) {
	s, _ := machines(t)
	s.start()
	good := s.idp.MustMint(idp.Mint{Client: "doorward", User: "alice", Audience: []string{"shop"}})
	if status, _, body := ask(t, "GET", s.origin+"/api/x", good, nil); status != 200 {
		t.Fatalf("%d %s\n%s", status, body, s.log)
	}
	got := s.app.last(t).Header
	if got.Get("Authorization") != "" || got.Get("X-Forwarded-User") == "" {
		t.Errorf("the application saw %v", got)
	}
	before := len(s.app.requests())
	other := s.idp.MustMint(idp.Mint{Client: "doorward", User: "alice", Audience: []string{"billing"}})
	for name, c := range map[string]struct{ token, challenge string }{
		"none":               {"", "Bearer realm="},
		"for somebody else":  {other, `error="invalid_token"`},
		"garbage":            {"garbage", `error="invalid_token"`},
		"changed in one bit": {good[:len(good)-8] + "AAAAAAAA", `error="invalid_token"`},
	} {
		status, header, _ := ask(t, "GET", s.origin+"/api/x", c.token, nil)
		if status != 401 || !strings.Contains(header.Get("WWW-Authenticate"), c.challenge) || c.token == "" && strings.Contains(header.Get("WWW-Authenticate"), "error=") {
			t.Errorf("%s: %d %v", name, status, header)
		}
	}
	if n := len(s.app.requests()); n != before {
		t.Errorf("%d refused requests reached the application", n-before)
	}
	if strings.Contains(s.log.String(), good) {
		t.Error("a token is in the log")
	}
}

func TestLocalApplicationsCallOutWithTheRightToken(t *testing.T) {
	s, egress := machines(t)
	s.start()
	for range 3 {
		if status, _, body := ask(t, "GET", egress+"/data/files", "", nil); status != 200 {
			t.Fatalf("%d %s\n%s", status, body, s.log)
		}
	}
	if s.audience(t) != "data" && s.audience(t) != "[data]" {
		t.Errorf("aud is %s", s.audience(t))
	}
	if n := s.idp.Count(idp.Token); n != 1 {
		t.Errorf("%d token requests for three calls", n)
	}
	mine := s.idp.MustMint(idp.Mint{Client: "doorward", User: "alice", Audience: []string{"shop"}})
	if status, _, body := ask(t, "GET", egress+"/orders/1", mine, nil); status != 200 || !strings.Contains(s.audience(t), "orders") {
		t.Errorf("%d %s", status, body)
	}
	before := len(s.app.requests())
	if status, _, _ := ask(t, "GET", egress+"/orders/1", "", nil); status != 401 {
		t.Errorf("P145: without the caller's token: %d", status)
	}
	if status, _, _ := ask(t, "GET", egress+"/nothing", "", nil); status != 403 {
		t.Errorf("P146: no target: %d", status)
	}
	if n := len(s.app.requests()); n != before {
		t.Error("P145: a request without a token reached the upstream")
	}
}

func TestApplicationsThatWantATokenItselfGetTheOneThatIsConfigured(t *testing.T) {
	s, egress := machines(t)
	s.start()
	var answer struct {
		AccessToken string `json:"access_token"`
		TokenType   string `json:"token_type"`
		ExpiresIn   int    `json:"expires_in"`
		Active      bool   `json:"active"`
		Error       string `json:"error"`
	}
	status, header, body := ask(t, "POST", egress+"/token", "", url.Values{"identity_provider": {"corp"}, "target": {"data"}})
	if err := json.Unmarshal([]byte(body), &answer); err != nil || status != 200 || answer.TokenType != "Bearer" || answer.ExpiresIn <= 0 || header.Get("Cache-Control") != "no-store" {
		t.Fatalf("%d %v %s", status, header, body)
	}
	mine := s.idp.MustMint(idp.Mint{Client: "doorward", User: "alice", Audience: []string{"shop"}})
	status, _, body = ask(t, "POST", egress+"/api/v1/token/exchange", "", url.Values{"identity_provider": {"corp"}, "target": {"orders"}, "user_token": {mine}})
	if err := json.Unmarshal([]byte(body), &answer); err != nil || status != 200 || !strings.Contains(fmt.Sprint(claimsIn(t, answer.AccessToken)["aud"]), "orders") {
		t.Fatalf("%d %s", status, body)
	}
	status, _, body = ask(t, "POST", egress+"/introspect", "", url.Values{"identity_provider": {"corp"}, "token": {mine}})
	if err := json.Unmarshal([]byte(body), &answer); err != nil || status != 200 || !answer.Active {
		t.Errorf("%d %s", status, body)
	}
	status, _, body = ask(t, "POST", egress+"/token", "", url.Values{"identity_provider": {"corp"}, "target": {"admin-api"}})
	if err := json.Unmarshal([]byte(body), &answer); err != nil || status != 400 || answer.Error == "" {
		t.Errorf("P141: a target of the caller's own: %d %s", status, body)
	}
}

func TestAReloadedCredentialIsUsedAtOnce(t *testing.T) {
	s, egress := machines(t)
	s.start()
	if status, _, body := ask(t, "GET", egress+"/data/x", "", nil); status != 200 {
		t.Fatalf("%d %s", status, body)
	}
	if err := os.WriteFile(s.path(), []byte(strings.Replace(s.toml, `audience = ["data"]`, `audience = ["archive"]`, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	deadlineLoop(t, func() bool {
		status, _, _ := ask(t, "GET", egress+"/data/x", "", nil)
		return status == 200 && strings.Contains(s.audience(t), "archive")
	})
}

func TestATokenAPIAloneServesLocalApplicationsOverASocket(t *testing.T) {
	s := newStack(t, "")
	socket := filepath.Join(s.dir, "egress.sock")
	s.toml = strings.Replace(s.toml[:strings.Index(s.toml, "[[route]]")], "[listen]\n", fmt.Sprintf("[listen]\negress = %q\n", "unix:"+socket), 1) +
		"[credential.backup]\nflow = \"client_credentials\"\naudience = [\"data\"]\n"
	s.start()
	client := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", socket)
	}}}
	defer client.CloseIdleConnections()
	res, err := client.PostForm("http://localhost/token", url.Values{"identity_provider": {"corp"}, "target": {"data"}})
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var answer struct {
		AccessToken string `json:"access_token"`
	}
	if err := json.NewDecoder(res.Body).Decode(&answer); err != nil || res.StatusCode != 200 || !strings.Contains(fmt.Sprint(claimsIn(t, answer.AccessToken)["aud"]), "data") {
		t.Errorf("%d %v\n%s", res.StatusCode, err, s.log)
	}
	if status, _, body := ask(t, "GET", s.origin+"/", "", nil); status != 421 {
		t.Errorf("the public listener of a configuration without routes: %d %s", status, body)
	}
}
