// Package e2e signs in as people do: real Chromium, identity providers that were written
// by somebody else, and the doorward binary as it is shipped. What demo/idp and Doorward
// could misunderstand together shows here.
//
// It is a module of its own, so that neither a browser driver nor a provider is ever part
// of the product, and so that a plain "go test ./..." in the root needs neither. It needs
// Chromium, git, nginx, HAProxy, Caddy, Node.js 20 or newer, a Java runtime 17 or newer, once "npm ci" in
// oidc-provider, and once keycloak/install.sh (with Maven and unzip); where one of these is
// missing the tests fail and say what to install. They never skip.
//
//	cd e2e && (cd oidc-provider && npm ci) && keycloak/install.sh && go test -timeout 30m ./...
//
// People wait in these tests, as they do out there, so all of them take longer than the ten
// minutes that go test allows by itself. Those that mostly wait, and have a provider of their
// own, run side by side.
//
// There are two providers. oidc-provider takes a second to start, so each test has its own,
// configured as the test wants it; it speaks implicit, hybrid, device and CIBA by poll and ping,
// issues JWT and opaque access tokens for resources, bound to a key if asked, and exchanges
// tokens by a grant that oidc-provider/exchange.mjs adds to it. Keycloak takes ten, so one server
// is shared by all tests, with the realm of keycloak/realm.json; it speaks the password grant,
// device, and CIBA by poll and ping, for which phone_test.go plays the authentication device, and
// has service accounts and standard token exchange, with a client for each thing that can be set
// up wrongly. The tests named "…WithoutDoorward" prove that browser and providers do their part;
// if one of them fails, look there first.
//
// Start at signin_test.go, and for programs that call each other at egress_test.go. The actors
// are in provider_test.go, keycloak_test.go, phone_test.go, app_test.go, api_test.go (which
// checks every token by itself), gateway_test.go and browser_test.go; world_test.go,
// keycloak_world_test.go, machines_test.go, keycloak_machines_test.go and sites_test.go (two
// sites, over TLS) put them together. "-artifacts -outputdir DIR" keeps pictures of every page.
package e2e
