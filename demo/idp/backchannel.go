package idp

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

// BackchannelEvent is the member of events in a logout token (http, not https).
const BackchannelEvent = "http://schemas.openid.net/event/backchannel-logout"

// Delivery is what came of one request to a client: back-channel logout, ping or push.
type Delivery struct {
	ClientID, URI string
	Status        int // 0 if there was no answer
	Err           error
}

// BackchannelLogout ends all sessions of a user and tells every client that got tokens in them
// (OIDC Back-Channel Logout 1.0). A failed delivery is in its Delivery, not in the error.
func (s *Server) BackchannelLogout(ctx context.Context, username string) ([]Delivery, error) {
	if s.users[username] == nil {
		return nil, fmt.Errorf("idp: no user %q", username)
	}
	s.state.mu.Lock()
	var ended []*session
	for _, session := range s.state.sessions {
		if session.user.Username == username {
			ended = append(ended, session)
		}
	}
	for _, session := range ended {
		s.state.endSession(session)
	}
	s.state.mu.Unlock()
	return s.notify(ctx, ended), nil
}

// notify tells the clients of ended sessions, all at once, and waits for their answers.
func (s *Server) notify(ctx context.Context, ended []*session) []Delivery {
	ctx = context.WithoutCancel(ctx) // the browser may go; the client's deadline bounds it
	var (
		mu         sync.Mutex
		done       sync.WaitGroup
		deliveries []Delivery
	)
	for _, session := range ended {
		for _, client := range s.clientsOf(session) {
			if client.BackchannelLogoutURI == "" {
				continue
			}
			done.Go(func() {
				d := s.sendLogout(ctx, client, session)
				mu.Lock()
				deliveries = append(deliveries, d)
				mu.Unlock()
			})
		}
	}
	done.Wait()
	return deliveries
}

// clientsOf copies under the lock: a login that was under way may still add a client.
func (s *Server) clientsOf(ended *session) []*Client {
	s.state.mu.Lock()
	defer s.state.mu.Unlock()
	var out []*Client
	for id := range ended.clients {
		out = append(out, s.clients[id])
	}
	return out
}

func (s *Server) sendLogout(ctx context.Context, client *Client, session *session) Delivery {
	d := Delivery{ClientID: client.ID, URI: client.BackchannelLogoutURI}
	sins := s.sins.take(LogoutToken, url.Values{"client_id": {client.ID}})
	jwt, err := s.newLogoutToken(client, session.user.Subject, session.id, sins)
	if err != nil {
		d.Err = err
		return d
	}
	body := strings.NewReader(url.Values{"logout_token": {jwt}}.Encode())
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, client.BackchannelLogoutURI, body)
	if err != nil {
		d.Err = err
		return d
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	res, err := s.config.HTTPClient.Do(req)
	if err != nil {
		d.Err = err
		return d
	}
	defer func() { _ = res.Body.Close() }()
	_, _ = io.Copy(io.Discard, io.LimitReader(res.Body, 64<<10))
	d.Status = res.StatusCode
	return d
}

// LogoutToken makes a logout token for a client; subject or sid may be "". Sins change it as they
// change ID tokens.
func (s *Server) LogoutToken(clientID, subject, sid string, sins ...Sin) (string, error) {
	client := s.clients[clientID]
	if client == nil {
		return "", fmt.Errorf("idp: no client %q", clientID)
	}
	return s.newLogoutToken(client, subject, sid, sins)
}

// newLogoutToken is OIDC Back-Channel Logout 1.0 §2.4: no nonce, an exp of two minutes.
func (s *Server) newLogoutToken(client *Client, subject, sid string, sins []Sin) (string, error) {
	now := s.now()
	claims := map[string]any{
		"iss": s.config.Issuer, "aud": client.ID, "iat": now.Unix(), "exp": now.Add(2 * time.Minute).Unix(), "jti": random(),
		"events": map[string]any{BackchannelEvent: map[string]any{}},
	}
	if subject != "" {
		claims["sub"] = subject
	}
	if sid != "" {
		claims["sid"] = sid
	}
	return s.sign(token{typ: "logout+jwt", alg: client.IDTokenAlg, claims: claims, sins: sins, secret: client.Secret})
}
