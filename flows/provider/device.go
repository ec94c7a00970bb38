package provider

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/doorward/doorward/internal/secret"
)

// GrantDevice is the grant type of RFC 8628 §3.4.
const GrantDevice = "urn:ietf:params:oauth:grant-type:device_code"

// What a device authorization response may hold (S16, P160).
const (
	maxHandle   = 8 << 10 // bytes of a device_code or auth_req_id; Keycloak's are encrypted JWTs
	maxUserCode = 64
	maxShownURI = 512
	longestWait = 30 * time.Minute
)

// DeviceRequest is a device authorization request (RFC 8628 §3.1).
type DeviceRequest struct {
	Scopes   []string      // nil = the provider's
	Verifier secret.String // its S256 challenge is sent where the server announces PKCE (DEV-3); zero = none
	Extra    url.Values    // [login.NAME] params; none may be ReservedDevice
}

// DeviceCode is the answer to one, checked and clamped (RFC 8628 §3.2, S16): expires_in 1 s to
// 30 min, interval 1 to 60 s and 5 s where the provider says nothing usable, the texts short and
// printable, the URIs https (or http on loopback) and nothing else.
type DeviceCode struct {
	DeviceCode              secret.String
	UserCode                string
	VerificationURI         string
	VerificationURIComplete string // "" if the provider gave none, or none that may be shown
	ExpiresIn, Interval     time.Duration
}

// ReservedDevice tells whether a parameter of the device authorization request is set by
// Doorward alone.
func ReservedDevice(name string) bool { return Reserved(name) || name == "grant_type" }

// DeviceAuthorization asks for codes, authenticated as at the token endpoint (CA-9). The
// client_id stands in the form in any case: some servers (Google) look for it nowhere else.
func (c *Client) DeviceAuthorization(ctx context.Context, r DeviceRequest) (*DeviceCode, error) {
	m, err := c.metadata(ctx)
	if err != nil {
		return nil, err
	}
	form, err := c.firstRequest(r.Scopes, r.Extra, ReservedDevice)
	if err != nil {
		return nil, err
	}
	if m.proofOfKey() && !r.Verifier.IsZero() {
		form.Set("code_challenge", Challenge(r.Verifier))
		form.Set("code_challenge_method", "S256")
	}
	a, err := c.send(ctx, m, call{
		endpoint: "device_authorization_endpoint", of: func(e *Endpoints) *string { return &e.DeviceAuthorization }, form: form, named: true,
	})
	if err != nil {
		return nil, err
	}
	o, err := a.granted("the device authorization endpoint", c.now(), c.sent(form), nil)
	if err != nil {
		return nil, c.explained(err)
	}
	d, err := readDeviceCode(o, loopback(c.conf.Issuer))
	if err != nil {
		return nil, fail(Misbehaved, "bad_response", "the answer of the device authorization endpoint: %v", err)
	}
	return d, nil
}

// DeviceToken asks once whether the person has approved (RFC 8628 §3.4). While they have not,
// the error has Code authorization_pending or slow_down; of the others, only one of kind
// Unavailable allows another question (DEV-4, DEV-5). It takes up to ten seconds: RFC 8628 knows
// no servers that hold the question.
func (c *Client) DeviceToken(ctx context.Context, code, verifier secret.String) (*Response, error) {
	m, err := c.metadata(ctx)
	if err != nil {
		return nil, err
	}
	form := url.Values{"grant_type": {GrantDevice}, "device_code": {code.Reveal()}}
	if m.proofOfKey() && !verifier.IsZero() {
		form.Set("code_verifier", verifier.Reveal())
	}
	return c.poll(ctx, form, callTimeout)
}

// proofOfKey tells whether the server announces PKCE with S256.
func (m *metadata) proofOfKey() bool { return slices.Contains(m.challengeMethods, "S256") }

// firstRequest is the form of a flow that begins at an endpoint of its own: scope, and what
// the configuration adds.
func (c *Client) firstRequest(scopes []string, extra url.Values, reserved func(string) bool) (url.Values, error) {
	for name := range extra {
		if reserved(name) {
			return nil, fail(Misconfigured, "reserved_parameter", "the parameter %s is set by Doorward itself", shown(name))
		}
	}
	form := make(url.Values)
	maps.Copy(form, extra)
	if scopes == nil {
		scopes = c.conf.Scopes
	}
	if len(scopes) > 0 {
		form.Set("scope", strings.Join(scopes, " "))
	}
	return form, nil
}

// readDeviceCode reads a device authorization response. near tells whether the issuer is on
// this machine.
func readDeviceCode(o object, near bool) (*DeviceCode, error) {
	code, err := handle(o, "device_code")
	if err != nil {
		return nil, err
	}
	d := &DeviceCode{DeviceCode: code}
	if d.UserCode, err = o.str("user_code"); err != nil {
		return nil, err
	}
	if err := checkUserCode(d.UserCode); err != nil {
		return nil, fmt.Errorf("user_code: %w", err)
	}
	name := "verification_uri"
	if !o.has(name) { // Google, and drafts of RFC 8628
		name = "verification_url"
	}
	if d.VerificationURI, err = o.str(name); err != nil {
		return nil, err
	}
	if err := checkShownURI(d.VerificationURI, near); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	for _, name := range []string{"verification_uri_complete", "verification_url_complete"} {
		if u := o.text(name); d.VerificationURIComplete == "" && checkShownURI(u, near) == nil {
			d.VerificationURIComplete = u
		}
	}
	if d.ExpiresIn, err = lifetime(o); err != nil {
		return nil, err
	}
	d.Interval, err = interval(o, defaultInterval)
	return d, err
}

// handle reads a device_code or auth_req_id: visible ASCII (RFC 8628 §3.2, CIBA §7.3).
func handle(o object, name string) (secret.String, error) {
	s, err := o.str(name)
	switch {
	case err != nil:
		return secret.String{}, err
	case s == "":
		return secret.String{}, fmt.Errorf("%s is missing", name)
	case len(s) > maxHandle:
		return secret.String{}, fmt.Errorf("%s has more than %d bytes", name, maxHandle)
	case !printable(s):
		return secret.String{}, fmt.Errorf("%s holds spaces or control characters", name)
	}
	return secret.New(s), nil
}

// checkUserCode wants what a person can read from a screen and type: short, ASCII, without
// marks that turn the direction of text, and nothing that means something to HTML (P160).
func checkUserCode(s string) error {
	switch {
	case s == "":
		return errors.New("missing")
	case len(s) > maxUserCode:
		return fmt.Errorf("%d bytes; at most %d", len(s), maxUserCode)
	case strings.TrimSpace(s) != s:
		return errors.New("it begins or ends with a space")
	}
	for _, c := range []byte(s) {
		if c < ' ' || c > '~' || strings.IndexByte(`<>&"'\`+"`", c) >= 0 {
			return errors.New("it holds characters that nobody types")
		}
	}
	return nil
}

// notInURLs are printable, but stand in no URI (RFC 3986 §2).
const notInURLs = "\"<>\\^`{|}"

// checkShownURI says whether a person may be sent to a URI that the provider named (P159):
// by the rules for endpoints that a browser opens, but that some have a fragment (AWS).
func checkShownURI(raw string, near bool) error {
	if raw == "" {
		return errors.New("missing")
	}
	if len(raw) > maxShownURI {
		return fmt.Errorf("%d bytes; at most %d", len(raw), maxShownURI)
	}
	page, fragment, _ := strings.Cut(raw, "#")
	if !printable(raw) || strings.ContainsAny(page+fragment, notInURLs+"#") {
		return errors.New("it holds characters that no URL holds")
	}
	return checkEndpoint(page, true, near)
}

// lifetime reads expires_in, which must be there and positive (RFC 8628 §3.2, CIBA §7.3).
func lifetime(o object) (time.Duration, error) {
	n, ok, err := o.number("expires_in", true)
	switch {
	case err != nil:
		return 0, err
	case !ok:
		return 0, errors.New("expires_in is missing")
	case n <= 0:
		return 0, errors.New("expires_in is not positive")
	}
	return seconds(n, longestWait), nil
}

// Bounds of the time between two polls (S16), and what it is if the provider says nothing
// (RFC 8628 §3.2, CIBA §7.3).
const (
	defaultInterval = 5 * time.Second
	longestInterval = time.Minute
)

// interval reads the time between two polls. One that is not positive says nothing: taken at
// its word it would have us ask without pause.
func interval(o object, otherwise time.Duration) (time.Duration, error) {
	n, ok, err := o.number("interval", true)
	if err != nil || !ok || n <= 0 {
		return otherwise, err
	}
	return seconds(n, longestInterval), nil
}

// seconds is a positive number of seconds, at least 1 and at most most.
func seconds(n float64, most time.Duration) time.Duration {
	if n >= most.Seconds() {
		return most
	}
	return max(time.Duration(n*float64(time.Second)), time.Second)
}
