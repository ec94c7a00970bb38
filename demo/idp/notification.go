package idp

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// Claims of the ID token in a push (CIBA §10.3.1).
const (
	ClaimAuthReqID   = "urn:openid:params:jwt:claim:auth_req_id"
	ClaimRefreshHash = "urn:openid:params:jwt:claim:rt_hash"
)

// notificationTimeout is how long a client may take: the person's phone waits for it.
const notificationTimeout = 5 * time.Second

// params are what Sin.When can ask of a notification.
func (r *cibaRequest) params() url.Values {
	return url.Values{"client_id": {r.client.ID}, "username": {r.user.Username}, "delivery": {r.client.CIBADelivery}}
}

// Notify sends the ping or push of a request now, whatever its state, with these sins and those that
// are queued: too early, twice, or after everything is over.
func (s *Server) Notify(ctx context.Context, id string, sins ...Sin) (Delivery, error) {
	request := s.cibaByID(id)
	if request == nil {
		return Delivery{}, fmt.Errorf("idp: no request %q", id)
	}
	if request.client.CIBADelivery == "poll" {
		return Delivery{}, fmt.Errorf("idp: the client %q polls", request.client.ID)
	}
	return s.sendNotification(ctx, request, append(sins, s.sins.take(Notification, request.params())...)), nil
}

// sendNotification tells the client the outcome, as often as sins want, and returns what came of the last.
func (s *Server) sendNotification(ctx context.Context, request *cibaRequest, sins []Sin) Delivery {
	ctx = context.WithoutCancel(ctx) // the phone may go
	d := Delivery{ClientID: request.client.ID, URI: request.client.NotificationEndpoint}
	body, err := s.notification(request, sins)
	if err != nil {
		d.Err = err
		return d
	}
	times := 1
	for _, sin := range sins {
		if sin.Delay > 0 {
			time.Sleep(sin.Delay)
		}
		times += sin.Replay
	}
	for range times {
		d.Status, d.Err = s.postNotification(ctx, request, body, sins)
	}
	return d
}

// notification makes the body: of a ping (§10.2), of a push (§10.3.1) or of an error by push (§12).
func (s *Server) notification(request *cibaRequest, sins []Sin) ([]byte, error) {
	s.state.mu.Lock()
	id, g, denied, expires := s.named(request, sins), request.grant, request.denied, request.expires
	s.state.mu.Unlock()
	members := map[string]any{}
	switch {
	case request.client.CIBADelivery == "ping":
	case g != nil:
		var err error
		members, err = s.issue(issued{grant: g, scopes: g.scopes, newRefresh: true, sins: sins, authReqID: id})
		if err != nil {
			return nil, err
		}
	case denied:
		members["error"], members["error_description"] = "access_denied", "the person did not agree"
	case s.now().Before(expires):
		members["error"] = "transaction_failed"
	default:
		members["error"] = "expired_token"
	}
	members["auth_req_id"] = id
	for _, sin := range sins {
		sin.edit(members)
		if sin.Error != "" {
			members = map[string]any{"auth_req_id": id, "error": sin.Error, "error_description": sin.Describe}
		}
		if sin.Body != "" {
			return []byte(sin.Body), nil
		}
	}
	return json.Marshal(clean(members))
}

// named is the auth_req_id that a notification is about; mu is held.
func (s *Server) named(request *cibaRequest, sins []Sin) string {
	for _, sin := range sins {
		for id, other := range s.state.ciba {
			if sin.Other && other != request && other.pending(s.now()) {
				return id
			}
		}
	}
	return request.authReqID
}

func (s *Server) postNotification(ctx context.Context, request *cibaRequest, body []byte, sins []Sin) (int, error) {
	client := request.client
	ctx, cancel := context.WithTimeout(ctx, notificationTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, client.NotificationEndpoint, strings.NewReader(string(body)))
	if err != nil {
		return 0, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+request.notification)
	record := &Request{
		Endpoint: Notification, Method: req.Method, URL: *req.URL, Time: s.now(), ClientID: client.ID, Body: string(body),
	}
	for _, sin := range sins {
		record.Sins = append(record.Sins, sin.Name)
		for name, value := range sin.Header {
			if req.Header.Set(name, value); value == "" {
				req.Header.Del(name)
			}
		}
	}
	record.Header = req.Header.Clone()
	s.records.add(record)
	if slices.ContainsFunc(sins, func(sin Sin) bool { return sin.Drop }) {
		return 0, nil // lost on the way; the record has no status
	}
	res, err := s.config.HTTPClient.Do(req)
	if err != nil {
		return 0, err
	}
	defer func() { _ = res.Body.Close() }()
	_, _ = io.Copy(io.Discard, io.LimitReader(res.Body, 64<<10))
	s.records.note(func() { record.Status, record.Took = res.StatusCode, s.now().Sub(record.Time) })
	return res.StatusCode, nil
}

// expirePush tells a push client when nobody has decided in time (§12): it has no other way to know.
func (s *Server) expirePush(request *cibaRequest) {
	time.AfterFunc(request.expires.Sub(request.asked), func() {
		s.state.mu.Lock()
		waits := request.grant == nil && !request.denied
		if now := s.now(); waits && request.expires.After(now) {
			request.expires = now // the provider's clock may be another than the timer's
		}
		s.state.mu.Unlock()
		if waits {
			s.sendNotification(context.Background(), request, s.sins.take(Notification, request.params()))
		}
	})
}
