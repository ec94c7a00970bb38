package idptest

import (
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/doorward/doorward/demo/idp"
	"github.com/doorward/doorward/internal/testnet"
)

// Start runs a provider on a loopback socket until the test ends. An empty Issuer becomes
// "http://127.0.0.1:PORT"; one that begins with "/" is put behind that.
func Start(t testing.TB, config idp.Config) *idp.Server {
	t.Helper()
	server := httptest.NewUnstartedServer(nil)
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // dropped connections are panics there
	if config.Issuer == "" || strings.HasPrefix(config.Issuer, "/") {
		config.Issuer = "http://" + server.Listener.Addr().String() + config.Issuer
	}
	provider := build(t, config)
	server.Config.Handler = provider
	server.Start()
	t.Cleanup(func() {
		provider.Heal() // lets hanging requests go, which Close waits for
		server.CloseClientConnections()
		server.Close()
	})
	return provider
}

// Serve runs a provider in memory, at the host and port of config.Issuer (= "http://idp.test"),
// with TLS if that is https. Back-channel logout goes through the network too.
func Serve(t testing.TB, network *testnet.Network, config idp.Config) *idp.Server {
	t.Helper()
	if config.Issuer == "" {
		config.Issuer = "http://idp.test"
	}
	if config.HTTPClient == nil {
		config.HTTPClient = network.Client()
	}
	provider := build(t, config)
	at, err := url.Parse(config.Issuer)
	if err != nil {
		t.Fatal(err)
	}
	port := at.Port()
	if at.Scheme == "https" {
		if port == "" {
			port = "443"
		}
		network.ServeTLS(t, net.JoinHostPort(at.Hostname(), port), http.Handler(provider))
	} else {
		if port == "" {
			port = "80"
		}
		network.Serve(t, net.JoinHostPort(at.Hostname(), port), provider)
	}
	t.Cleanup(provider.Heal) // before the server stops: cleanups run last first
	return provider
}

func build(t testing.TB, config idp.Config) *idp.Server {
	t.Helper()
	provider, err := idp.New(config)
	if err != nil {
		t.Fatal(err)
	}
	return provider
}

// Standard is a provider as most tests want it: rotating refresh tokens, users alice and bob
// (passwords "alice" and "bob"; alice is in the groups staff and admins), and one confidential
// client "doorward" with the secret "s3cret: +%/ü" (which only survives when it is encoded as
// RFC 6749 §2.3.1 says) and these redirect URIs, without a consent page. An ES256 key signs,
// because making RSA keys is slow; RS256 is available to clients that ask for it only with SigningAlgs.
func Standard(redirectURIs ...string) idp.Config {
	return idp.Config{
		SigningAlgs:   []string{"ES256"},
		RotateRefresh: true,
		Users: []idp.User{
			{
				Subject: "8f2c-alice", Username: "alice", Password: "alice", Name: "Alice Example",
				Email: "alice@example.com", EmailVerified: true, Groups: []string{"staff", "admins"},
			},
			{
				Subject: "77aa-bob", Username: "bob", Password: "bob", Name: "Bob Example",
				Email: "bob@example.com", EmailVerified: true, Groups: []string{"staff"},
			},
		},
		Clients: []idp.Client{{
			ID: "doorward", Secret: Secret, Name: "Doorward", RedirectURIs: redirectURIs, SkipConsent: true,
		}},
	}
}

// Every is Standard, but the client may do all that the provider can: every response type and
// every grant; CIBA by poll. Logins take a second factor where a test gives a user one.
func Every(redirectURIs ...string) idp.Config {
	config := Standard(redirectURIs...)
	client := &config.Clients[0]
	client.Grants = []string{
		"authorization_code", "refresh_token", "password", idp.GrantDevice, idp.GrantCIBA,
		"client_credentials", idp.GrantTokenExchange, idp.GrantJWTBearer,
	}
	client.ResponseTypes = []string{
		idp.ResponseTypeCode, idp.ResponseTypeIDToken, idp.ResponseTypeIDTokenToken, idp.ResponseTypeToken,
		idp.ResponseTypeCodeIDToken, idp.ResponseTypeCodeToken, idp.ResponseTypeCodeIDTokenToken,
	}
	return config
}

// Secret is the secret of the client of Standard.
const Secret = "s3cret: +%/ü"
