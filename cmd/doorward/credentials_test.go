package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"net/http"
	"strings"
	"testing"

	"github.com/doorward/doorward/demo/idp"
)

// withCredential is a stack whose route sends a credential.
func withCredential(t *testing.T, name, table string, change ...func(*idp.Config)) *stack {
	t.Helper()
	s := newStack(t, "", change...)
	s.toml = strings.Replace(s.toml, `credential = "session"`, fmt.Sprintf("credential = %q", name), 1) + table
	return s
}

// wanted is what the provider wants of a person before it trades their token.
const wanted = `{"access_token":{"acrs":{"essential":true,"value":"c1"}}}`

func stepUp(c *idp.Config) { c.Clients[0].StepUpClaims = wanted }

func TestEntrasClaimsChallengeSendsThePersonToSignInOnceMore(t *testing.T) {
	s := withCredential(t, "graph", "[credential.graph]\nflow = \"jwt_bearer\"\ndialect = \"entra_obo\"\nscopes = [\"api://graph/.default\"]\n", stepUp)
	s.start()
	b := s.browser()
	page := s.signedIn(b, "/mail", "alice", "wonderland-9")
	if len(s.app.requests()) != 0 {
		t.Fatal("the request went upstream though the provider wants more of the person")
	}
	if got := s.idp.Last(idp.Authorize).Query.Get("claims"); got != wanted {
		t.Fatalf("the second sign-in asked for %q\n%s", got, page.Trail())
	}
	page = page.SignIn(t, "alice", "wonderland-9")
	if page.Status != 200 || page.URL.RequestURI() != "/mail" || len(s.app.requests()) != 1 {
		t.Fatalf("%d %s\n%s\n%s", page.Status, page.URL, page.Trail(), s.log)
	}
	if aud := s.audience(t); !strings.Contains(aud, "api://graph") {
		t.Errorf("aud is %s", aud)
	}
}

func TestAProgramIsToldTheClaimsThatAreWanted(t *testing.T) {
	s := withCredential(t, "graph", "[credential.graph]\nflow = \"jwt_bearer\"\ndialect = \"entra_obo\"\nscopes = [\"api://graph/.default\"]\n", stepUp)
	s.toml = strings.Replace(s.toml, "credential = \"graph\"", "credential = \"graph\"\naccept = [\"bearer\"]\naudience = [\"doorward\"]", 1)
	s.start()
	token := s.idp.MustMint(idp.Mint{Client: "doorward", User: "alice", Audience: []string{"doorward"}})
	status, header, body := ask(t, "GET", s.origin+"/mail", token, nil)
	challenge := header.Get("WWW-Authenticate")
	if status != 401 || !strings.Contains(challenge, `error="insufficient_claims"`) || !strings.Contains(challenge, `claims="`+base64.StdEncoding.EncodeToString([]byte(wanted))+`"`) {
		t.Errorf("%d %s %s", status, challenge, body)
	}
	if len(s.app.requests()) != 0 {
		t.Error("the request went upstream")
	}
}

// An upstream that trusts Doorward alone needs nothing but what is at jwks.json.
func TestAnAssertionIsVerifiedByThePublishedKeys(t *testing.T) {
	s := withCredential(t, "signed", "[credential.signed]\nflow = \"assertion\"\naudience = [\"https://legacy.internal\"]\n").start()
	if page := s.signedIn(s.browser(), "/x", "alice", "wonderland-9"); page.Status != 200 {
		t.Fatalf("%d\n%s", page.Status, s.log)
	}
	token := strings.TrimPrefix(s.app.last(t).Header.Get("Authorization"), "Bearer ")
	claims := claimsIn(t, token)
	if claims["sub"] != "alice" || fmt.Sprint(claims["aud"]) != "https://legacy.internal" && fmt.Sprint(claims["aud"]) != "[https://legacy.internal]" || claims["iss"] != s.origin {
		t.Errorf("claims %v", claims)
	}
	if life := claims["exp"].(float64) - claims["iat"].(float64); life != 60 {
		t.Errorf("it is good for %v s", life)
	}
	status, header, body := ask(t, http.MethodGet, s.origin+"/oauth2/jwks.json", "", nil)
	if status != 200 || header.Get("Content-Type") != "application/jwk-set+json" || strings.Contains(body, `"d"`) {
		t.Fatalf("%d %v %s", status, header, body)
	}
	if !signedBy(t, token, body) {
		t.Error("no published key verifies it")
	}
	i := strings.LastIndexByte(token, '.')
	if signedBy(t, token[:i-2]+"AA"+token[i:], body) {
		t.Error("a changed one is verified too: the check checks nothing")
	}
	if status, _, _ := ask(t, http.MethodGet, s.origin+"/x", token, nil); status != 401 {
		t.Errorf("our own assertion opens a route: %d", status)
	}
}

// signedBy reports whether a key of a JWK Set has made the ES256 signature of a JWT (RFC 7518 §3.4), by the standard
// library alone.
func signedBy(t *testing.T, token, set string) bool {
	t.Helper()
	var keys struct {
		Keys []struct{ Kid, Kty, Crv, X, Y string }
	}
	if err := json.Unmarshal([]byte(set), &keys); err != nil {
		t.Fatal(err)
	}
	public := func(x, y string) *ecdsa.PublicKey {
		point := []byte{4} // uncompressed
		for _, part := range []string{x, y} {
			b, err := base64.RawURLEncoding.DecodeString(part)
			if err != nil {
				t.Fatal(err)
			}
			point = append(point, b...)
		}
		key, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), point)
		if err != nil {
			t.Fatal(err)
		}
		return key
	}
	parts := strings.Split(token, ".")
	digest := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	signature, err := base64.RawURLEncoding.DecodeString(parts[2])
	if err != nil || len(signature) != 64 {
		return false
	}
	r, v := new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:])
	for _, k := range keys.Keys {
		if k.Kty == "EC" && k.Crv == "P-256" && ecdsa.Verify(public(k.X, k.Y), digest[:], r, v) {
			return true
		}
	}
	return false
}

// The session's token has been revoked at the provider before its end, and the provider gives another for the refresh token.
func TestTX3AnExchangeThatIsRefusedIsTriedOnceMoreWithARefreshedToken(t *testing.T) {
	s := withCredential(t, "orders", "[credential.orders]\nflow = \"token_exchange\"\naudience = [\"orders\"]\n")
	s.toml += fmt.Sprintf("[[route]]\nname = \"plain\"\nhost = %q\npath = \"/plain\"\nupstream = [%q]\ncredential = \"session\"\n", s.origin, s.app.URL)
	s.start()
	b := s.browser()
	if page := s.signedIn(b, "/plain", "alice", "wonderland-9"); page.Status != 200 {
		t.Fatalf("%d\n%s", page.Status, s.log)
	}
	mine := strings.TrimPrefix(s.app.last(t).Header.Get("Authorization"), "Bearer ")
	if !s.idp.EndToken(mine) {
		t.Fatal("the provider does not know the session's token")
	}
	if page := b.Open(t, s.origin+"/cart"); page.Status != 200 || !strings.Contains(s.audience(t), "orders") {
		t.Fatalf("%d\n%s", page.Status, s.log)
	}
	grants := make(map[string]int)
	for _, q := range s.idp.Requests(idp.Token) {
		grants[q.Form.Get("grant_type")]++
	}
	if grants["refresh_token"] != 1 || grants[idp.GrantTokenExchange] != 2 {
		t.Errorf("token requests: %v", grants)
	}
	b.Open(t, s.origin+"/plain")
	if now := strings.TrimPrefix(s.app.last(t).Header.Get("Authorization"), "Bearer "); now == mine {
		t.Error("the session still has the token that was revoked")
	}
}

func TestTX3WhereARefreshHelpsNothingTheAnswerIs401AndNobodyGoesRoundInCircles(t *testing.T) {
	s := withCredential(t, "orders", "[credential.orders]\nflow = \"token_exchange\"\naudience = [\"orders\"]\n")
	s.toml += fmt.Sprintf("[[route]]\nname = \"plain\"\nhost = %q\npath = \"/plain\"\nupstream = [%q]\ncredential = \"session\"\n", s.origin, s.app.URL)
	s.start()
	b := s.browser()
	if page := s.signedIn(b, "/plain", "alice", "wonderland-9"); page.Status != 200 {
		t.Fatalf("%d\n%s", page.Status, s.log)
	}
	if s.idp.EndSubject("alice") == 0 {
		t.Fatal("the provider has ended nothing")
	}
	before, asked := len(s.app.requests()), s.idp.Count(idp.Authorize)
	page := b.Open(t, s.origin+"/cart")
	if page.Status != 401 || len(s.app.requests()) != before || s.idp.Count(idp.Authorize) != asked || !strings.Contains(page.Body, "/oauth2/start?rd=%2Fcart") {
		t.Errorf("%d, %d requests upstream\n%s\n%s", page.Status, len(s.app.requests())-before, page.Trail(), page.Text())
	}
}
