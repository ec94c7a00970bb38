// Package extauthz answers Envoy's external authorization over gRPC: the method Check of envoy.service.auth.v3.Authorization,
// for Envoy itself, Istio, Contour, Gloo and others that are made of it.
//
// [Handler] speaks gRPC over net/http (HTTP/2 without TLS) and reads and writes the few messages of it by their field numbers, in
// bounds of its own. It decides nothing: a CheckRequest becomes the *http.Request that it describes, a proxy.Gateway judges that
// as it judges requests of its own, and the verdict becomes a CheckResponse.
//
// It believes whoever asks, so it has a listener of its own, and refuses peers that are neither on this machine nor trusted.
//
// Start at Handler.ServeHTTP in server.go; request.go reads, response.go writes.
package extauthz
