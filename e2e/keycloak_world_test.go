package e2e

import (
	"fmt"
	"testing"
)

// keycloakWorld is an app, a gateway before it, and Keycloak.
type keycloakWorld struct {
	*world
	keycloak *keycloak
}

// newKeycloakWorld starts a gateway with these [login.NAME] and [[route]] tables. %[1]s in them
// is the gateway's origin, %[2]s the app.
func newKeycloakWorld(t *testing.T, tables string) *keycloakWorld {
	t.Helper()
	return startKeycloakWorld(t, newGateway(t), clientID, tables)
}

// newPingedWorld is one whose client at Keycloak has ping for its delivery.
func newPingedWorld(t *testing.T, tables string) *keycloakWorld {
	t.Helper()
	return startKeycloakWorld(t, newGatewayAt(t, newKeycloak(t).pinged), "doorward-ping", tables)
}

func startKeycloakWorld(t *testing.T, g *gateway, id, tables string) *keycloakWorld {
	t.Helper()
	w := &keycloakWorld{&world{app: newApp(t), gateway: g}, newKeycloak(t)}
	g.configure(t, fmt.Sprintf("\n[provider.keycloak]\nissuer = %q\nclient_id = %q\nclient_secret = %q\n", w.keycloak.issuer, id, clientSecret)+
		fmt.Sprintf(tables, g.origin, w.app.URL))
	g.start(t)
	return w
}
