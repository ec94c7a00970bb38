package idp

import (
	"errors"
	"time"
)

// Grant types of the flows that wait for a person on another device.
const (
	GrantDevice = "urn:ietf:params:oauth:grant-type:device_code"
	GrantCIBA   = "urn:openid:params:grant-type:ciba"
)

// defaultInterval is what a client keeps to when no interval is announced (RFC 8628 §3.2, CIBA §7.3).
const defaultInterval = 5 * time.Second

// slowDown is added to the interval by each slow_down, for good (RFC 8628 §3.5, CIBA §11).
const slowDown = 5 * time.Second

// waiting is a request that a person has to approve on another device.
type waiting struct {
	client   *Client
	scopes   []string
	from     string // address of the client
	asked    time.Time
	expires  time.Time
	interval time.Duration
	polled   time.Time
	denied   bool
	used     bool
	grant    *grant // once approved
}

// announced is the member interval of an answer; nil if none is configured.
func announced(interval time.Duration) any {
	if interval < 0 {
		return nil
	}
	return int64(interval.Seconds())
}

func kept(interval time.Duration) time.Duration {
	if interval < 0 {
		return defaultInterval
	}
	return interval
}

func (w *waiting) pending(now time.Time) bool {
	return w.grant == nil && !w.denied && now.Before(w.expires)
}

// poll answers one token request, in Keycloak's order of errors; mu is held. eager: the client has
// been called and need not wait.
func (w *waiting) poll(now time.Time, eager bool) error {
	tooFast := !eager && !w.polled.IsZero() && now.Before(w.polled.Add(w.interval))
	w.polled = now
	switch {
	case w.used:
		return refuse("invalid_grant", "used before")
	case !now.Before(w.expires):
		return refuse("expired_token", "")
	case tooFast:
		w.interval += slowDown
		return refuse("slow_down", "wait %d seconds from now on", int64(w.interval.Seconds()))
	case w.denied:
		return refuse("access_denied", "the person did not agree")
	case w.grant == nil:
		return refuse("authorization_pending", "")
	}
	w.used = true
	return nil
}

// errDecided is for who comes late.
var errDecided = errors.New("idp: this request has expired or was decided before")

// decide ends the wait; mu is held. A nil session denies.
func (s *Server) decide(w *waiting, session *session) error {
	switch {
	case !w.pending(s.now()):
		return errDecided
	case session == nil:
		w.denied = true
		return nil
	}
	w.grant = s.newGrant(w.client, session, w.scopes)
	return nil
}
