package idp

import (
	"context"
	"net/http"
)

// Server is the provider: an http.Handler, safe for concurrent use.
type Server struct {
	records records
}

// New validates the configuration and makes the keys. It touches no network.
func New(Config) (*Server, error) { panic("unbuilt") }

// ServeHTTP answers every endpoint.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { panic("unbuilt") }

// Misbehave queues sins. Each request takes the first sin of its endpoint that fits, of each
// kind of change; see Sin.
func (s *Server) Misbehave(sins ...Sin) { panic("unbuilt") }

// Release lets every hanging request go on.
func (s *Server) Release() { panic("unbuilt") }

// Heal ends all misbehaviour and releases hanging requests.
func (s *Server) Heal() { panic("unbuilt") }

// RotateKeys makes a new key for every algorithm, which signs from now on; the old ones stay published.
func (s *Server) RotateKeys() error { panic("unbuilt") }

// WithdrawKey stops publishing a key; tokens that it has signed can no longer be checked.
func (s *Server) WithdrawKey(kid string) { panic("unbuilt") }

// Keys returns the published keys, per algorithm the signing one first.
func (s *Server) Keys() []Key { panic("unbuilt") }

// Key is a signing key.
type Key struct {
	ID, Alg string
}

// SignJWT signs any claims with any header, by the key of alg ("" = the first) or the way of a Sign constant: for tests that need a token no provider would issue.
func (s *Server) SignJWT(header, claims map[string]any, sign string) (string, error) {
	panic("unbuilt")
}

// Delivery is what came of one logout request.
type Delivery struct {
	ClientID, URI string
	Status        int
	Err           error
}

// BackchannelLogout ends all sessions of a user and tells every client that has a back-channel logout URI.
func (s *Server) BackchannelLogout(ctx context.Context, username string) ([]Delivery, error) {
	panic("unbuilt")
}
