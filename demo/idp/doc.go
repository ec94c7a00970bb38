// Package idp is a complete OpenID provider in one http.Handler: discovery, keys with rotation,
// an authorization endpoint with pages to sign in and to consent (code, implicit and hybrid), the token endpoint with
// every way of client authentication that needs no certificate, refresh with rotation and reuse detection, the
// password grant, device authorization with the page where the code is entered, CIBA by poll, ping and push with
// a page that stands for the person's phone, client credentials, token exchange (by RFC 8693 or by Keycloak's rules), JWT
// bearer and Entra's on-behalf-of, tokens bound by DPoP, userinfo, introspection (signed, if that is asked), revocation,
// logout, and a sender of back-channel logout.
//
// It is the provider of "doorward demo" and of the tests, and it can be told to misbehave: a
// [Sin] changes one answer, the next one or all ([Catalogue] lists those that have a name),
// and every request is kept for a test to look at.
//
// It is no provider for production: users and passwords stand in its Config, nothing is
// stored, nobody is locked out unless Config.LockAfter says so. It shares no code with the client that it tests (flows/provider),
// so that neither inherits the other's misunderstandings, and it makes no outgoing request but
// back-channel logout, ping and push.
//
// Start reading at [Server] in server.go: a grant is a file grant_*.go and a line in token.go, an
// endpoint a file and a line in server.go's paths; waiting.go is what the flows share that wait for a person
// on another device; presented.go is what the grants share that trade a token for another; sin.go and sins*.go are the misbehaviour, and mint.go
// makes tokens that nobody has asked for. What people do on their
// devices, tests do by ApproveDevice, ApproveCIBA and their like, or by /_control in another process.
package idp
