package idp

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// PendingCIBA is an authentication request that waits on somebody's phone.
type PendingCIBA struct {
	ID             string // for ApproveCIBA and DenyCIBA; not the auth_req_id
	ClientID       string
	Username       string
	BindingMessage string
	ACRValues      string
	Scopes         []string
	From           string // address of the client
	Asked, Expires time.Time
}

// PendingCIBA returns the requests that wait for a user, oldest first; "" is everybody.
func (s *Server) PendingCIBA(username string) []PendingCIBA {
	s.state.mu.Lock()
	defer s.state.mu.Unlock()
	var out []PendingCIBA
	for _, r := range s.state.ciba {
		if r.pending(s.now()) && (username == "" || r.user.Username == username) {
			out = append(out, PendingCIBA{
				ID: r.id, ClientID: r.client.ID, Username: r.user.Username, BindingMessage: r.message,
				ACRValues: r.acrValues, Scopes: r.scopes, From: r.from, Asked: r.asked, Expires: r.expires,
			})
		}
	}
	slices.SortFunc(out, func(a, b PendingCIBA) int { return a.Asked.Compare(b.Asked) })
	return out
}

// ApproveCIBA does what a person does on the phone, and tells the client if it wants to be told
// (ping, push); a failed delivery is in the Delivery, not in the error. In poll mode that is zero.
func (s *Server) ApproveCIBA(ctx context.Context, id string) (Delivery, error) {
	return s.decideCIBA(ctx, id, true)
}

// DenyCIBA is ApproveCIBA for the other button.
func (s *Server) DenyCIBA(ctx context.Context, id string) (Delivery, error) {
	return s.decideCIBA(ctx, id, false)
}

func (s *Server) decideCIBA(ctx context.Context, id string, approve bool) (Delivery, error) {
	request := s.cibaByID(id)
	if request == nil {
		return Delivery{}, fmt.Errorf("idp: no request %q", id)
	}
	s.state.mu.Lock()
	if !request.pending(s.now()) {
		s.state.mu.Unlock()
		return Delivery{}, errDecided
	}
	var session *session
	if approve { // the sign-in is on the phone, and of its own: no browser is signed in by it
		session = s.newSession(request.user, s.acrFor(request.acrValues))
	}
	err := s.decide(&request.waiting, session)
	s.state.mu.Unlock()
	if err != nil || request.client.CIBADelivery == "poll" {
		return Delivery{}, err
	}
	return s.sendNotification(ctx, request, s.sins.take(Notification, request.params())), nil
}

// cibaByID finds a request by its ID, which is no secret, or by its auth_req_id.
func (s *Server) cibaByID(id string) *cibaRequest {
	s.state.mu.Lock()
	defer s.state.mu.Unlock()
	for _, r := range s.state.ciba {
		if r.id == id || r.authReqID == id {
			return r
		}
	}
	return nil
}
