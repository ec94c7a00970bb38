package provider_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/doorward/doorward/flows/provider"
	"github.com/doorward/doorward/internal/identity"
	"github.com/doorward/doorward/internal/secret"
)

var forAPI = provider.AccessExpect{Audience: []string{"https://api.example", "api"}}

// access is a good RFC 9068 token, changed.
func (r *rogue) access(header, changes map[string]any) string {
	now := r.now().Unix()
	c := map[string]any{"iss": r.url, "sub": "alice", "aud": "https://api.example", "exp": now + 300, "iat": now, "jti": "J1", "client_id": "spa", "scope": "read write"}
	for name, value := range changes {
		if c[name] = value; value == nil {
			delete(c, name)
		}
	}
	head := map[string]any{"typ": "at+jwt"}
	for name, value := range header {
		head[name] = value
	}
	return r.sign(head, must(json.Marshal(c)))
}

func TestAnAccessTokenBecomesAnIdentity(t *testing.T) {
	r := newRogue(t)
	who, err := r.client().VerifyAccessToken(t.Context(), secret.New(r.access(nil, map[string]any{"groups": []string{"staff"}})), forAPI)
	if err != nil {
		t.Fatal(err)
	}
	if who.Issuer != r.url || who.Subject != "alice" || who.Client != "spa" || who.Machine || who.Login != "" || who.Provider != "corp" ||
		fmt.Sprint(who.Scopes) != "[read write]" || fmt.Sprint(who.Groups) != "[staff]" {
		t.Errorf("%+v", who)
	}
	if tok := who.Tokens; tok.AccessToken.IsZero() || tok.Scope != "read write" || !tok.Expiry.Equal(r.now().Add(5*60e9)) || !tok.RefreshToken.IsZero() {
		t.Errorf("%+v", who.Tokens)
	}
}

// TestAccessTokens: each row is one token that must not pass, or must.
func TestAccessTokens(t *testing.T) {
	r := newRogue(t)
	c := r.client()
	now := r.now().Unix()
	plain := map[string]any{"typ": "JWT"}
	forger := &rogue{t: t, url: r.url, key: newKey()}
	for name, row := range map[string]struct{ token, code string }{
		"RS-3 typ at+jwt":                              {r.access(nil, nil), ""},
		"RS-3 typ application/at+jwt":                  {r.access(map[string]any{"typ": "application/at+jwt"}, nil), ""},
		"RS-3 typ AT+JWT":                              {r.access(map[string]any{"typ": "AT+JWT"}, nil), ""},
		"RS-3 typ JWT, as many do it":                  {r.access(plain, nil), ""},
		"RS-3 typ JWT needs no jti and client_id":      {r.access(plain, map[string]any{"jti": nil, "client_id": nil}), ""},
		"RS-3 no jti":                                  {r.access(nil, map[string]any{"jti": nil}), "bad_claims"},
		"RS-3 no client_id":                            {r.access(nil, map[string]any{"client_id": nil}), "bad_claims"},
		"RS-3 client_id is a number":                   {r.access(nil, map[string]any{"client_id": 1}), "bad_claims"},
		"RS-3 no iat":                                  {r.access(nil, map[string]any{"iat": nil}), "bad_claims"},
		"RS-3 P102 no sub":                             {r.access(nil, map[string]any{"sub": nil}), "bad_subject"},
		"RS-3 P120 no exp":                             {r.access(nil, map[string]any{"exp": nil}), "bad_claims"},
		"RS-3 P120 expired":                            {r.access(nil, map[string]any{"exp": now - 61}), "token_expired"},
		"RS-12 P120 within the leeway":                 {r.access(nil, map[string]any{"exp": now - 59}), ""},
		"RS-3 P120 not yet valid":                      {r.access(nil, map[string]any{"nbf": now + 120}), "token_not_yet_valid"},
		"RS-3 P120 no aud":                             {r.access(nil, map[string]any{"aud": nil}), "bad_audience"},
		"RS-3 P120 aud of another API":                 {r.access(nil, map[string]any{"aud": "https://other.example"}), "bad_audience"},
		"RS-3 P120 aud begins like ours":               {r.access(nil, map[string]any{"aud": "https://api.example.evil"}), "bad_audience"},
		"RS-3 P120 aud is an object":                   {r.access(nil, map[string]any{"aud": map[string]any{"api": 1}}), "bad_audience"},
		"RS-3 aud among others":                        {r.access(nil, map[string]any{"aud": []string{"x", "api"}}), ""},
		"RS-3 P120 iss other":                          {r.access(nil, map[string]any{"iss": "https://evil.example"}), "bad_issuer"},
		"RS-3 P119 alg none":                           {r.access(map[string]any{"alg": "none"}, nil), "bad_alg"},
		"RS-3 P119 HS256":                              {mac([]byte("s3cret: +%/ü-and-at-least-32-bytes-long"), []byte(`{}`)), "bad_alg"},
		"RS-3 P119 embedded key":                       {forger.access(map[string]any{"jwk": jwk(&forger.key.PublicKey, "k1", "ES256")}, nil), "malformed_token"},
		"RS-3 another key":                             {forger.access(nil, nil), "bad_signature"},
		"P118 garbage":                                 {"garbage", "malformed_token"},
		"P118 nothing":                                 {"", "malformed_token"},
		"RS-4 P121 an ID token":                        {r.idToken(map[string]any{"aud": []string{clientID, "api"}, "azp": clientID}), "not_an_access_token"},
		"RS-4 P121 an ID token without nonce":          {r.idToken(map[string]any{"nonce": nil, "aud": "api", "at_hash": "x"}), "not_an_access_token"},
		"RS-4 P121 a hybrid ID token":                  {r.idToken(map[string]any{"nonce": nil, "aud": "api", "c_hash": "x"}), "not_an_access_token"},
		"RS-4 a logout token":                          {r.access(plain, map[string]any{"events": map[string]any{}}), "not_an_access_token"},
		"RS-4 typ logout+jwt":                          {r.access(map[string]any{"typ": "logout+jwt"}, nil), "bad_type"},
		"RS-4 Keycloak's ID token":                     {r.access(plain, map[string]any{"typ": "ID"}), "not_an_access_token"},
		"RS-4 Keycloak's refresh token":                {r.access(plain, map[string]any{"typ": "Refresh"}), "not_an_access_token"},
		"RS-4 Keycloak's offline token":                {r.access(plain, map[string]any{"typ": "Offline"}), "not_an_access_token"},
		"RS-4 Keycloak's access token":                 {r.access(plain, map[string]any{"typ": "Bearer"}), ""},
		"RS-4 Cognito's ID token":                      {r.access(plain, map[string]any{"token_use": "id"}), "not_an_access_token"},
		"RS-4 Cognito's access token":                  {r.access(plain, map[string]any{"token_use": "access"}), ""},
		"RS-9 bound to a certificate":                  {r.access(nil, map[string]any{"cnf": map[string]any{"x5t#S256": "x"}}), "token_bound"},
		"RS-9 bound to a DPoP key":                     {r.access(plain, map[string]any{"cnf": map[string]any{"jkt": "x"}}), "token_bound"},
		"P059 47 kB of claims":                         {r.access(nil, map[string]any{"x": long(47 << 10)}), ""},
		"P125 more bytes than a token may have":        {r.access(nil, map[string]any{"x": long(64 << 10)}), "malformed_token"},
		"SEC-7 a duplicate sub":                        {r.sign(map[string]any{"typ": "at+jwt"}, []byte(`{"sub":"root","sub":"alice"}`)), "bad_claims"},
		"RS-3 a claim that go-oidc cannot read either": {r.access(nil, map[string]any{"at_hash": 1}), "bad_claims"},
	} {
		t.Run(name, func(t *testing.T) {
			who, err := c.VerifyAccessToken(t.Context(), secret.New(row.token), forAPI)
			if row.code == "" {
				if err != nil || who.Subject != "alice" {
					t.Fatal(err)
				}
				return
			}
			if who != nil {
				t.Error("an identity came with the error")
			}
			wants(t, err, provider.Misbehaved, row.code)
		})
	}
}

// TestRS4AudienceAloneIsNotEnough: a token without a telling type whose only audience is the
// client itself may well be an ID token.
func TestRS4AudienceAloneIsNotEnough(t *testing.T) {
	r := newRogue(t)
	c := r.client()
	mine := provider.AccessExpect{Audience: []string{clientID}}
	token := func(changes map[string]any) secret.String {
		all := map[string]any{"aud": clientID, "scope": nil, "client_id": nil, "jti": nil}
		for name, value := range changes {
			all[name] = value
		}
		return secret.New(r.access(map[string]any{"typ": "JWT"}, all))
	}
	_, err := c.VerifyAccessToken(t.Context(), token(nil), mine)
	wants(t, err, provider.Misbehaved, "not_an_access_token")
	for _, name := range []string{"scope", "scp", "client_id", "cid", "appid", "azpacr", "permissions"} {
		if _, err := c.VerifyAccessToken(t.Context(), token(map[string]any{name: "x"}), mine); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, err = c.VerifyAccessToken(t.Context(), token(nil), provider.AccessExpect{})
	wants(t, err, provider.Misconfigured, "bad_audience") // P120: any token of the issuer would do
	// The other way round: an access token is no ID token.
	_, err = c.Identify(t.Context(), response(r.access(nil, map[string]any{"aud": clientID, "nonce": "N"})), ordinary)
	wants(t, err, provider.Misbehaved, "bad_type")
}

func TestRS5ScopesClientsAndMachinesInEveryDialect(t *testing.T) {
	r := newRogue(t)
	c := r.client()
	verify := func(t *testing.T, changes map[string]any) *identity.Identity {
		t.Helper()
		all := map[string]any{"scope": nil, "client_id": nil}
		for name, value := range changes {
			all[name] = value
		}
		who, err := c.VerifyAccessToken(t.Context(), secret.New(r.access(map[string]any{"typ": "JWT"}, all)), forAPI)
		if err != nil {
			t.Fatal(err)
		}
		return who
	}
	for name, row := range map[string]struct {
		claims  map[string]any
		scopes  []string
		client  string
		machine bool
	}{
		"RFC 9068":                   {map[string]any{"scope": "a  b", "client_id": "x"}, []string{"a", "b"}, "x", false},
		"Entra":                      {map[string]any{"scp": "a b", "azp": "x"}, []string{"a", "b"}, "x", false},
		"Entra v1":                   {map[string]any{"appid": "x"}, nil, "x", false},
		"Okta":                       {map[string]any{"scp": []string{"a", "b"}, "cid": "x"}, []string{"a", "b"}, "x", false},
		"scp is an object":           {map[string]any{"scp": map[string]any{}}, nil, "", false},
		"SEC-7 sub is the client":    {map[string]any{"client_id": "alice"}, nil, "alice", true},
		"Auth0's service account":    {map[string]any{"gty": "client-credentials"}, nil, "", true},
		"Entra's service account":    {map[string]any{"idtyp": "app"}, nil, "", true},
		"Keycloak's service account": {map[string]any{"azp": "Backup", "preferred_username": "service-account-backup"}, nil, "Backup", true},
		"SEC-7 a name like one's":    {map[string]any{"preferred_username": "service-account-"}, nil, "", false},
	} {
		t.Run("RS-5 "+name, func(t *testing.T) {
			who := verify(t, row.claims)
			if !slices.Equal(who.Scopes, row.scopes) || who.Machine != row.machine || row.client != "" && who.Client != row.client {
				t.Errorf("scopes %v, client %q, machine %v", who.Scopes, who.Client, who.Machine)
			}
		})
	}
}

// TestAProviderInTroubleIsNotTheTokensFault: 503, never 401, and never a pass.
func TestAProviderInTroubleIsNotTheTokensFault(t *testing.T) {
	for name, row := range map[string]struct {
		path   string
		answer http.HandlerFunc
	}{
		"discovery is down": {wellKnown, answerJSON(503, "")}, "discovery is garbage": {wellKnown, answerJSON(200, "<html>")}, "P110 discovery redirects": {wellKnown, redirect(302)},
		"the keys are down": {"/keys", answerJSON(500, "")}, "the keys are garbage": {"/keys", answerJSON(200, "<html>")}, "P058 the keys are endless": {"/keys", endless},
	} {
		t.Run("S7 P209 "+name, func(t *testing.T) {
			r := newRogue(t)
			r.on(row.path, row.answer)
			who, err := r.client().VerifyAccessToken(t.Context(), secret.New(r.access(nil, nil)), forAPI)
			if e := wants(t, err, provider.Unavailable, "keys_unavailable"); e.RetryAfter <= 0 || who != nil {
				t.Errorf("%v %v", e.RetryAfter, who)
			}
		})
	}
	r := newRogue(t)
	r.set("issuer", "https://other.example")
	_, err := r.client().VerifyAccessToken(t.Context(), secret.New(r.access(nil, nil)), forAPI)
	wants(t, err, provider.Misconfigured, "issuer_mismatch") // the operator's
}

func TestAccessTokensAndConfiguredAlgorithms(t *testing.T) {
	r := newRogue(t)
	r.set("id_token_signing_alg_values_supported", []string{"RS256"})
	if _, err := r.client().VerifyAccessToken(t.Context(), secret.New(r.access(nil, nil)), forAPI); err != nil {
		t.Errorf("ES256 is usual for access tokens: %v", err)
	}
	for _, algs := range [][]string{{"RS256"}, {"HS256"}} {
		_, err := r.client(conf(func(c *provider.Config) { c.SigningAlgs = algs })).VerifyAccessToken(t.Context(), secret.New(r.access(nil, nil)), forAPI)
		wants(t, err, provider.Misbehaved, "bad_alg")
	}
	_, err := r.client(conf(func(c *provider.Config) { c.SigningAlgs = []string{"HS256"} })).VerifyAccessToken(t.Context(), secret.New(mac([]byte("s3cret: +%/ü-and-at-least-32-bytes-long"), []byte(`{}`))), forAPI)
	wants(t, err, provider.Misbehaved, "bad_alg") // JWK-4: every client of a shared secret could make these
}

// TestAttacksOnAccessTokens: the rows of the catalogue that a JWT alone can try.
func TestAttacksOnAccessTokens(t *testing.T) {
	r := newRogue(t)
	var fetched atomic.Int32
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { fetched.Add(1) }))
	t.Cleanup(elsewhere.Close)
	forger := &rogue{t: t, url: r.url, key: newKey()}
	other := newKey()
	r.publish(jwk(&r.key.PublicKey, "k1", "ES256"), jwk(&other.PublicKey, "k2", "ES256"))
	good := strings.Split(r.access(nil, nil), ".")
	for name, row := range map[string]struct{ token, code string }{
		"P118 garbage":                          {"garbage", "malformed_token"},
		"P118 three parts of garbage":           {"a.b.c", "malformed_token"},
		"P119 alg none":                         {r.access(map[string]any{"alg": "none"}, nil), "bad_alg"},
		"P119 alg nOnE without a signature":     {b64([]byte(`{"alg":"nOnE","typ":"at+jwt"}`)) + "." + good[1] + ".", "bad_signature"},
		"P119 HS256 by the public key":          {r.access(map[string]any{"alg": "HS256"}, nil), "bad_alg"},
		"P119 jku":                              {forger.access(map[string]any{"jku": elsewhere.URL}, nil), "malformed_token"},
		"P119 x5u":                              {forger.access(map[string]any{"x5u": elsewhere.URL}, nil), "malformed_token"},
		"P119 x5c":                              {forger.access(map[string]any{"x5c": []string{"AA"}}, nil), "malformed_token"},
		"P119 jwk":                              {forger.access(map[string]any{"jwk": jwk(&forger.key.PublicKey, "k1", "ES256")}, nil), "malformed_token"},
		"P119 crit":                             {r.access(map[string]any{"crit": []string{"exp"}}, nil), "malformed_token"},
		"P122 kid is a path":                    {forger.access(map[string]any{"kid": "../../etc/passwd"}, nil), "bad_signature"},
		"P122 kid is SQL":                       {forger.access(map[string]any{"kid": "k1' OR 1"}, nil), "bad_signature"},
		"P122 kid of 2 kB":                      {r.access(map[string]any{"kid": long(2 << 10)}, nil), "malformed_token"},
		"P122 kid of 64 kB":                     {r.access(map[string]any{"kid": long(64 << 10)}, nil), "malformed_token"},
		"P122 kid of another key":               {r.access(map[string]any{"kid": "k2"}, nil), "bad_signature"},
		"P122 no kid with two keys":             {r.access(map[string]any{"kid": nil}, nil), ""},
		"P124 a JWE with p2c=10⁹":               {b64([]byte(`{"alg":"PBES2-HS256+A128KW","enc":"A128GCM","p2c":1000000000,"p2s":"AA"}`)) + ".a.b.c.d", "malformed_token"},
		"P124 a JWE by RSA1_5":                  {b64([]byte(`{"alg":"RSA1_5","enc":"A128GCM"}`)) + ".a.b.c.d", "malformed_token"},
		"P124 zip":                              {r.access(map[string]any{"zip": "DEF"}, nil), "malformed_token"},
		"P125 a megabyte":                       {long(1 << 20), "malformed_token"},
		"P125 a million dots":                   {strings.Repeat(".", 1_000_000), "malformed_token"},
		"P125 the signature, spelt otherwise":   {good[0] + "." + good[1] + "." + respelt(good[2]), "bad_signature"},
		"P125 nested beyond measure":            {r.sign(map[string]any{"typ": "at+jwt"}, []byte(strings.Repeat(`{"a":`, 5000)+"1"+strings.Repeat("}", 5000))), "bad_claims"},
		"SEC-7 the JSON serialization of a JWS": {`{"payload":"` + good[1] + `","protected":"` + good[0] + `","signature":"` + good[2] + `"}`, "malformed_token"},
	} {
		t.Run(name, func(t *testing.T) {
			who, err := r.client().VerifyAccessToken(t.Context(), secret.New(row.token), forAPI)
			if row.code == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			if wants(t, err, provider.Misbehaved, row.code); who != nil {
				t.Error("an identity came with the error")
			}
		})
	}
	if fetched.Load() != 0 {
		t.Error("P119: a token had us fetch something")
	}
}

func TestP123AStormOfUnknownKidsFetchesTheKeysOnce(t *testing.T) {
	r := newRogue(t)
	c := r.client()
	must(c.VerifyAccessToken(t.Context(), secret.New(r.access(nil, nil)), forAPI))
	forger := &rogue{t: t, url: r.url, key: newKey()}
	before := r.count("/keys")
	for i := range 100 {
		_, err := c.VerifyAccessToken(t.Context(), secret.New(forger.access(map[string]any{"kid": fmt.Sprint("random", i)}, nil)), forAPI)
		wants(t, err, provider.Misbehaved, "bad_signature")
		_, err = c.VerifyAccessToken(t.Context(), secret.New(forger.access(nil, nil)), forAPI)
		wants(t, err, provider.Misbehaved, "bad_signature")
	}
	if n := r.count("/keys") - before; n > 1 {
		t.Errorf("%d fetches", n)
	}
}

func TestRS10ATokenOfAnotherIssuerAsksNobody(t *testing.T) {
	r := newRogue(t)
	c := r.client()
	if err := c.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	_, err := c.VerifyAccessToken(t.Context(), secret.New(r.access(map[string]any{"kid": "unknown"}, map[string]any{"iss": "https://evil.example"})), forAPI)
	wants(t, err, provider.Misbehaved, "bad_issuer")
	if r.count("/keys") != 0 {
		t.Error("the keys were fetched for it")
	}
}

func TestABearerTokensIdentityEndsWithIt(t *testing.T) {
	r := newRogue(t)
	who, err := r.client().VerifyAccessToken(t.Context(), secret.New(r.access(nil, nil)), forAPI)
	if err != nil || who.Session != "" || !who.Ends.Equal(r.now().Add(5*time.Minute)) {
		t.Errorf("%v %v", who, err)
	}
}

func TestRS9ABoundTokenIsLeftToWhoeverHoldsItAgainstItsKey(t *testing.T) {
	r := newRogue(t)
	bound := forAPI
	bound.Bound = true
	who, err := r.client().VerifyAccessToken(t.Context(), secret.New(r.access(nil, map[string]any{"cnf": map[string]any{"x5t#S256": "AAA"}})), bound)
	if err != nil {
		t.Fatal(err)
	}
	if cnf, ok := who.Claims.Lookup("cnf"); !ok || fmt.Sprint(cnf) != "map[x5t#S256:AAA]" {
		t.Errorf("the caller cannot see what it is bound to: %v", cnf)
	}
}

// TestTheClaimThatStandsForTheAudience: each row is a provider whose tokens name their audience elsewhere.
func TestTheClaimThatStandsForTheAudience(t *testing.T) {
	r := newRogue(t)
	plain := map[string]any{"typ": "JWT"}
	for name, row := range map[string]struct {
		claim   string
		changes map[string]any
		code    string
	}{
		"aud":                                {"aud", nil, ""},
		"azp":                                {"azp", map[string]any{"aud": "account", "azp": "api"}, ""},
		"azp without aud":                    {"azp", map[string]any{"aud": nil, "azp": "api"}, ""},
		"P120 azp of another":                {"azp", map[string]any{"azp": "other"}, "bad_audience"}, // although aud is right
		"P120 no azp":                        {"azp", nil, "bad_audience"},
		"P120 azp is an array":               {"azp", map[string]any{"azp": []string{"api"}}, "bad_audience"},
		"P120 azp is empty":                  {"azp", map[string]any{"azp": ""}, "bad_audience"},
		"client_id":                          {"client_id", map[string]any{"aud": nil, "client_id": "api"}, ""},
		"P120 client_id of another":          {"client_id", map[string]any{"client_id": "other"}, "bad_audience"},
		"P120 azp is no client_id":           {"client_id", map[string]any{"client_id": nil, "azp": "api"}, "bad_audience"},
		"resource":                           {"resource", map[string]any{"aud": nil, "resource": "https://api.example"}, ""},
		"resource of several":                {"resource", map[string]any{"aud": nil, "resource": []string{"x", "api"}}, ""},
		"P120 resource of another":           {"resource", map[string]any{"resource": "https://other.example"}, "bad_audience"},
		"P120 resource is a number":          {"resource", map[string]any{"resource": 1}, "bad_audience"},
		"P121 an ID token of the client":     {"azp", map[string]any{"aud": "api", "azp": "api", "scope": nil, "client_id": nil}, "not_an_access_token"},
		"P121 an access token of the client": {"azp", map[string]any{"aud": "api", "azp": "api", "client_id": nil}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			c := r.client(conf(func(c *provider.Config) { c.AudienceClaim = row.claim }))
			_, err := c.VerifyAccessToken(t.Context(), secret.New(r.access(plain, row.changes)), forAPI)
			if row.code == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			wants(t, err, provider.Misbehaved, row.code)
		})
	}
	if _, err := provider.New(provider.Config{Issuer: r.url, Discovery: true, AudienceClaim: "sub"}, provider.Deps{}); err == nil || !strings.Contains(err.Error(), "audience_claim") {
		t.Errorf("any claim at all: %v", err)
	}
}
