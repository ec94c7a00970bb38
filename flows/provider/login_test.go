package provider_test

import (
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/demo/idp"
	"github.com/doorward/doorward/demo/idp/idptest"
	"github.com/doorward/doorward/flows/provider"
	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/internal/testnet"
)

// visit is a login at the independent provider up to the code, which a browser fetches.
type visit struct {
	*idp.Server
	t       *testing.T
	client  *provider.Client
	browser *testnet.Browser
	log     *lines
}

// visiting starts a provider in memory. It is called in a bubble, so that time can pass.
func visiting(t *testing.T, change func(*idp.Config), settings func(*provider.Config)) *visit {
	n := testnet.NewFor(t)
	config := idptest.Standard(callbackURI)
	config.Issuer, config.Paths = "http://idp.localhost", idp.RandomPaths()
	if change != nil {
		change(&config)
	}
	v := &visit{Server: idptest.Serve(t, n, config), t: t, browser: n.Browser(), log: new(lines)}
	v.browser.StopAt = func(next *url.URL) bool { return next.Host == "app.test" }
	c := provider.Config{
		Name: "corp", Issuer: v.Issuer(), ClientID: "doorward", ClientSecret: secret.New(idptest.Secret), Discovery: true,
		Scopes: []string{"openid", "profile", "email", "groups"},
	}
	if settings != nil {
		settings(&c)
	}
	v.client = must(provider.New(c, provider.Deps{Dial: n.Dial, Log: v.log.logger()}))
	t.Cleanup(v.client.Close)
	return v
}

// tokens signs alice in and redeems the code.
func (v *visit) tokens() (*provider.Response, error) {
	v.t.Helper()
	verifier := provider.NewVerifier()
	to, err := v.client.AuthorizationURL(v.t.Context(), provider.AuthorizationRequest{RedirectURI: callbackURI, State: "S", Nonce: "N", CodeChallenge: provider.Challenge(verifier)})
	if err != nil {
		return nil, err
	}
	page := v.browser.Open(v.t, to)
	if page.Status == 200 {
		page = page.SignIn(v.t, "alice", "alice")
	}
	q := queryOf(v.t, page.Hops[len(page.Hops)-1].Location)
	if err := v.client.CheckIssuer(v.t.Context(), q["iss"]); err != nil {
		return nil, err
	}
	return v.client.Grant(v.t.Context(), url.Values{
		"grant_type": {"authorization_code"}, "code": {q.Get("code")}, "redirect_uri": {callbackURI}, "code_verifier": {verifier.Reveal()},
	})
}

func TestALoginFromEndToEnd(t *testing.T) {
	for name, change := range map[string]func(*idp.Config){
		"ID token with all claims":     func(*idp.Config) {},
		"claims only in userinfo":      func(c *idp.Config) { c.Clients[0].LeanIDToken = true },
		"signed userinfo":              func(c *idp.Config) { c.Clients[0].LeanIDToken, c.Clients[0].UserInfoAlg = true, "ES256" },
		"no iss in the response":       func(c *idp.Config) { c.OmitIss = true },
		"an issuer with a slash":       func(c *idp.Config) { c.Issuer += "/realms/main/" },
		"refresh tokens do not rotate": func(c *idp.Config) { c.RotateRefresh = false },
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, _ *rogue) {
				v := visiting(t, change, nil)
				r, err := v.tokens()
				if err != nil {
					t.Fatal(err)
				}
				who, err := v.client.Identify(t.Context(), r, ordinary)
				if err != nil {
					t.Fatal(err)
				}
				if who.Subject != "8f2c-alice" || who.Email != "alice@example.com" || !who.EmailVerified || who.Name != "Alice Example" || fmt.Sprint(who.Groups) != "[staff admins]" || who.Issuer != v.Issuer() {
					t.Errorf("%+v", who)
				}
				for range 3 {
					time.Sleep(4 * time.Minute)
					next, err := v.client.Refresh(t.Context(), who)
					if err != nil {
						t.Fatal(err)
					}
					if next.Subject != who.Subject || next.Email != who.Email || fmt.Sprint(next.Groups) != fmt.Sprint(who.Groups) || next.SID != who.SID || !next.AuthTime.Equal(who.AuthTime) || next.Tokens.AccessToken.Equal(who.Tokens.AccessToken) {
						t.Errorf("REF-1: %+v", next)
					}
					who = next
				}
				if err := v.client.Revoke(t.Context(), who.Tokens.RefreshToken, "refresh_token"); err != nil {
					t.Fatal(err)
				}
				_, err = v.client.Refresh(t.Context(), who)
				wants(t, err, provider.Refused, "invalid_grant")
				for _, q := range v.Requests() { // S10, TOK-8
					if q.Endpoint != idp.Authorize && strings.Contains(q.URL.RawQuery, "token") {
						t.Errorf("%s: %s", q.Endpoint, q.URL.RawQuery)
					}
				}
				for _, s := range []string{idptest.Secret, r.AccessToken.Reveal(), r.RefreshToken.Reveal(), r.IDToken.Reveal()} {
					if strings.Contains(v.log.String(), s) {
						t.Error("TOK-8: a secret in the log")
					}
				}
			})
		})
	}
}

// TestSinsOfTheToken goes through the provider's catalogue: what it can do wrong with a token or
// its answer, and how that is refused. What has no code is to be tolerated.
func TestSinsOfTheToken(t *testing.T) {
	for sin, code := range map[string]string{
		"wrong_iss": "bad_issuer", "wrong_nonce": "bad_nonce", "missing_nonce": "bad_nonce", "wrong_aud": "bad_audience", "missing_aud": "bad_audience", "empty_aud": "bad_audience",
		"wrong_azp": "bad_azp", "missing_sub": "bad_subject", "empty_sub": "bad_subject", "number_sub": "bad_subject", "missing_iat": "bad_claims", "missing_exp": "bad_claims",
		"future_iat": "token_not_yet_valid", "expired": "token_expired", "wrong_at_hash": "bad_at_hash", "duplicate_sub": "bad_claims", "typ_access_token": "bad_type", "typ_logout_token": "bad_type",
		"typ_missing": "", "missing_kid": "", "crit": "malformed_token", "alg_none": "bad_signature", "alg_hs256_key": "bad_alg", "alg_hs256_secret": "bad_alg", "wrong_signature": "bad_signature",
		"corrupt_signature": "bad_signature", "empty_signature": "bad_signature", "unknown_kid": "bad_signature", "embedded_key": "malformed_token", "rotated_key": "",
		"missing_id_token": "id_token_missing", "missing_access": "bad_response", "unknown_token_type": "bad_response", "missing_token_type": "bad_response", "missing_expires_in": "",
		"string_expires_in": "", "negative_expires": "bad_response", "lower_token_type": "", "server_error": "server_error", "unavailable": "server_error", "too_many": "rate_limited",
		"garbage": "bad_response", "html": "bad_response", "empty_body": "bad_response", "truncated": "bad_response", "oversize": "too_large", "hang": "timeout", "drop": "unreachable",
		"lost_answer": "unreachable", "redirect": "redirect_refused", "invalid_grant": "invalid_grant", "invalid_client": "invalid_client", "unauthorized_client": "unauthorized_client",
	} {
		t.Run(sin, func(t *testing.T) {
			inBubble(t, func(t *testing.T, _ *rogue) {
				v := visiting(t, nil, nil)
				v.Misbehave(idp.Named(sin))
				r, err := v.tokens()
				if err == nil {
					_, err = v.client.Identify(t.Context(), r, ordinary)
				}
				if code == "" {
					if err != nil {
						t.Fatal(err)
					}
					return
				}
				if e, ok := err.(*provider.Error); !ok || e.Code != code {
					t.Fatalf("%v, want %s", err, code)
				}
				if n := v.Count(idp.Token); n != 1 {
					t.Errorf("TOK-7: the token endpoint was asked %d times", n)
				}
			})
		})
	}
}
