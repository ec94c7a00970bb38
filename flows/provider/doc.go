// Package provider is Doorward as the client of one identity provider (OpenID Connect
// Core 1.0, RFC 6749 and their relatives).
//
// A [Client] finds out by itself how to speak to its provider: discovery and keys are
// fetched at the first need, kept, refreshed, and remembered in the store, so that the
// gateway starts while the provider is down and survives an outage. All flows share three
// things of it:
//
//   - [Client.Grant] is the one client of the token endpoint, for every grant and every
//     method of client authentication;
//   - [Client.Identify] is the choke point through which every identity of a login is made
//     (security rule S8), over one strict validate for ID tokens, access tokens and signed answers;
//   - [Error] tells by its Kind what must be answered, and by its Code what went wrong.
//
// What it never does: it writes no HTTP response, keeps no session, follows no redirect,
// puts no token, secret or body into an error or a log line, and never asks the token
// endpoint twice with a request that may have been received.
//
// Start reading at [Client] in provider.go, then identify.go, validate.go and grant.go;
// document.go is how remote documents are kept. What a flow has of its own stands in
// device.go, ciba.go with push.go and request_object.go, front_channel.go and password.go.
//
// Tokens for upstreams come from client_credentials.go, token_exchange.go and jwt_bearer.go,
// over target.go; exchange_advice.go is the table that says which setting of which provider
// mends a refusal, and sketch.go shows a request instead of making it. Whoever calls an API is
// known by access.go, introspect.go, prove_client.go and dpop.go.
package provider
