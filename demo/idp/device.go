package idp

import (
	"crypto/rand"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// deviceRequest is a device authorization (RFC 8628).
type deviceRequest struct {
	waiting
	userCode  string // without the hyphen
	challenge string
}

// userCodeAlphabet has no vowels, so that no code is a word, and no digits to confuse (RFC 8628 §6.1).
const userCodeAlphabet = "BCDFGHJKLMNPQRSTVWXZ"

// userCodeLength gives 20^8 codes.
const userCodeLength = 8

// serveDevice is the device authorization endpoint (RFC 8628 §3.1, §3.2).
func (s *Server) serveDevice(c *call) error {
	c.noStore()
	client, err := s.authenticateClient(c)
	if err != nil {
		return err
	}
	if !slices.Contains(client.Grants, GrantDevice) {
		return refuse("unauthorized_client", "the client may not use the device authorization grant")
	}
	scopes, refused := client.scopes(c.form.Get("scope"))
	if refused != nil {
		return refused
	}
	if c.form.Get("code_challenge") != "" {
		if refused := checkChallenge(c.form); refused != nil {
			return refused
		}
	}
	now, value := s.now(), random()
	made := &deviceRequest{
		waiting: waiting{
			client: client, scopes: scopes, from: c.from(), asked: now,
			expires: now.Add(s.config.DeviceCodeLifetime), interval: kept(s.config.DevicePollInterval),
		},
		challenge: c.form.Get("code_challenge"),
	}
	s.state.mu.Lock()
	s.state.sweep(now)
	made.userCode = s.state.newUserCode()
	s.state.devices[value], s.state.userCodes[made.userCode] = made, made
	s.state.mu.Unlock()
	shown := spell(made.userCode)
	c.json(http.StatusOK, map[string]any{
		"device_code": value, "user_code": shown,
		"verification_uri":          s.URL(DeviceVerification),
		"verification_uri_complete": s.URL(DeviceVerification) + "?" + url.Values{"user_code": {shown}}.Encode(),
		"expires_in":                int64(s.config.DeviceCodeLifetime.Seconds()),
		"interval":                  announced(s.config.DevicePollInterval),
	})
	return nil
}

// from is the address that a request came from.
func (c *call) from() string {
	if host, _, err := net.SplitHostPort(c.r.RemoteAddr); err == nil {
		return host
	}
	return c.r.RemoteAddr
}

// newUserCode makes one that nobody else has; mu is held.
func (st *state) newUserCode() string {
	for {
		code := make([]byte, 0, userCodeLength)
		for len(code) < userCodeLength {
			var b [1]byte
			_, _ = rand.Read(b[:])                                           // never fails
			if limit := 256 - 256%len(userCodeAlphabet); int(b[0]) < limit { // or some letters would be likelier
				code = append(code, userCodeAlphabet[int(b[0])%len(userCodeAlphabet)])
			}
		}
		if st.userCodes[string(code)] == nil {
			return string(code)
		}
	}
}

// spell is how a user code is shown.
func spell(code string) string { return code[:userCodeLength/2] + "-" + code[userCodeLength/2:] }

// unspell reads a user code as people type it (RFC 8628 §6.1): in any case, with or without hyphens and spaces.
func unspell(typed string) string {
	if len(typed) > 64 {
		return ""
	}
	return strings.Map(func(r rune) rune {
		if strings.ContainsRune(userCodeAlphabet, r) {
			return r
		}
		return -1
	}, strings.ToUpper(typed))
}

// grantDevice answers a poll (RFC 8628 §3.4, §3.5).
func (s *Server) grantDevice(c *call, client *Client) (map[string]any, error) {
	value := c.form.Get("device_code")
	if value == "" {
		return nil, refuse("invalid_request", "device_code is missing")
	}
	g, err := s.pollDevice(value, c.form.Get("code_verifier"), client)
	if err != nil {
		return nil, err
	}
	return s.issue(issued{grant: g, scopes: g.scopes, newRefresh: true, jkt: c.jkt, sins: c.sins})
}

func (s *Server) pollDevice(value, verifier string, client *Client) (*grant, error) {
	s.state.mu.Lock()
	defer s.state.mu.Unlock()
	device := s.state.devices[value]
	switch {
	case device == nil:
		return nil, refuse("invalid_grant", "unknown device_code")
	case device.client != client: // not the client's to use up
		return nil, refuse("invalid_grant", "the device_code was issued to another client")
	}
	if device.challenge != "" {
		if err := checkVerifier(verifier, device.challenge); err != nil {
			return nil, err
		}
	}
	if err := device.poll(s.now(), false); err != nil {
		return nil, err
	}
	return device.grant, nil
}

// PendingDevice is a device authorization that waits for somebody.
type PendingDevice struct {
	UserCode, ClientID string
	Scopes             []string
	From               string // address of the client
	Asked, Expires     time.Time
}

// PendingDevices returns the device authorizations that wait, oldest first.
func (s *Server) PendingDevices() []PendingDevice {
	s.state.mu.Lock()
	defer s.state.mu.Unlock()
	var out []PendingDevice
	for _, d := range s.state.devices {
		if d.pending(s.now()) {
			out = append(out, PendingDevice{spell(d.userCode), d.client.ID, d.scopes, d.from, d.asked, d.expires})
		}
	}
	slices.SortFunc(out, func(a, b PendingDevice) int { return a.Asked.Compare(b.Asked) })
	return out
}

// ApproveDevice does what a person does on the verification page.
func (s *Server) ApproveDevice(userCode, username string) error {
	user := s.users[username]
	if user == nil {
		return fmt.Errorf("idp: no user %q", username)
	}
	return s.decideDevice(userCode, func() *session { return s.newSession(user, s.config.ACRValues[0]) })
}

// DenyDevice does what a person does on the verification page who has not started this.
func (s *Server) DenyDevice(userCode string) error {
	return s.decideDevice(userCode, func() *session { return nil })
}

func (s *Server) decideDevice(userCode string, who func() *session) error {
	s.state.mu.Lock()
	defer s.state.mu.Unlock()
	device := s.state.userCodes[unspell(userCode)]
	if device == nil {
		return fmt.Errorf("idp: no device authorization has the user code %q", userCode)
	}
	if !device.pending(s.now()) {
		return errDecided
	}
	return s.decide(&device.waiting, who())
}
