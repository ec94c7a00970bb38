// Package e2e signs in as people do: real Chromium, an identity provider that was written
// by somebody else, and the doorward binary as it is shipped. What demo/idp and Doorward
// could misunderstand together shows here.
//
// It is a module of its own, so that neither a browser driver nor a provider is ever part
// of the product, and so that a plain "go test ./..." in the root needs neither. It needs
// Chromium, Node.js 20 or newer, and once "npm ci" in oidc-provider; where one of these is
// missing the tests fail and say what to install. They never skip.
//
//	cd e2e && (cd oidc-provider && npm ci) && go test ./...
//
// Start at signin_test.go. The actors are in provider_test.go, app_test.go,
// gateway_test.go and browser_test.go; world_test.go puts them together.
package e2e
