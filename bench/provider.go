package main

import (
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/doorward/doorward/demo/idp"
)

// filler makes the access token as long as those of the measurements in the project's history, 1.4 KB.
const filler = 700

// The audiences of the comparisons about tokens. Those that are asked for as a parameter are filled up, so that the tokens
// for them are of about 1.4 kB too; that of a person holds more than that of a client.
const (
	audienceAPI    = "https://api.example.com"
	audienceOrders = "https://orders.example.com/"
	audienceData   = "https://data.example.com/"
	ordersFiller   = 290
	dataFiller     = 520
)

// provider is where people sign in and tokens come from.
func (s *stage) provider(url string) (http.Handler, error) {
	var err error
	s.idp, err = idp.New(idp.Config{
		Issuer:              url,
		AccessTokenLifetime: 10 * time.Hour, // nothing is refreshed while it is measured
		Clients: []idp.Client{{
			ID: "doorward", Secret: "bench", SkipConsent: true,
			RedirectURIs: []string{s.origin + "/oauth2/callback"},
			Audience:     []string{"doorward", "https://api.example.com/" + strings.Repeat("a", filler)},
			Grants:       []string{"authorization_code", "refresh_token", "password", idp.GrantDevice, "client_credentials", idp.GrantTokenExchange},
		}},
		DeviceCodeLifetime: time.Hour,
		Users:              []idp.User{{Username: "alice", Password: "alice", Email: "alice@example.com", EmailVerified: true, Groups: []string{"staff", "engineering", "on-call"}}},
	})
	return s.gate.before(s.idp), err
}

// mint makes the access token that a program brings along: of about 1.4 kB, as a provider makes them that writes roles into them.
func (s *stage) mint() (string, error) {
	var roles []string
	for _, app := range []string{"orders", "invoices", "customers", "shipping", "returns"} {
		for _, may := range []string{"read", "write", "approve"} {
			roles = append(roles, app+"-"+may)
		}
	}
	return s.idp.Mint(idp.Mint{
		User: "alice", Audience: []string{audienceAPI}, Scopes: []string{"orders.read", "orders.write"},
		Claims: map[string]any{
			"realm_access": map[string]any{"roles": roles}, "name": "Alice Adams", "preferred_username": "alice", "email": "alice@example.com", "email_verified": true,
			"groups": []string{"staff", "engineering", "on-call"},
		},
	})
}

// gate holds requests for tokens back, so that whoever waits for one waits until all have come.
type gate struct {
	shut atomic.Pointer[chan struct{}]
	held atomic.Int64
}

func (g *gate) before(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if open := g.shut.Load(); open != nil && r.URL.Path == idp.KeycloakPaths().Token {
			g.held.Add(1)
			select {
			case <-*open:
			case <-r.Context().Done():
			}
		}
		next.ServeHTTP(w, r)
	})
}

// hold begins; what it returns lets all go on.
func (g *gate) hold() (release func()) {
	open := make(chan struct{})
	g.held.Store(0)
	g.shut.Store(&open)
	return func() {
		g.shut.Store(nil)
		close(open)
	}
}
