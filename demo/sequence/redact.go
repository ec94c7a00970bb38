package sequence

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"net/url"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Lengths in bytes, beyond which something is cut.
const (
	maxName  = 60
	maxValue = 200
	maxPlain = 40 // of a word without a space or a slash in an address: what is longer may be a token
)

const (
	kindPassword     = "password"
	kindClientSecret = "client secret"
	kindCookie       = "cookie"
	kindOther        = "value" // nothing says what it is, so it is not shown
)

// emptyValue stands for a secret that isn't there.
const emptyValue = "empty"

// harmless are the parameters that are shown. Whatever has another name is not.
var harmless = []string{
	// OAuth 2.0, OpenID Connect
	"client_id", "redirect_uri", "response_type", "response_mode", "scope", "grant_type", "prompt", "max_age", "ui_locales", "acr_values",
	"code_challenge_method", "resource", "audience", "token_type", "expires_in", "refresh_expires_in", "error", "error_description", "iss", "sub",
	"subject_token_type", "actor_token_type", "requested_token_type", "issued_token_type", "requested_token_use",
	"client_assertion_type", "post_logout_redirect_uri", "token_type_hint", "session_state_present",
	// device authorization and CIBA: people compare the codes on two screens
	"user_code", "verification_uri", "verification_uri_complete", "interval", "binding_message", "login_hint", "requested_expiry",
	// a provider's discovery document
	"issuer", "authorization_endpoint", "token_endpoint", "jwks_uri", "device_authorization_endpoint", "backchannel_authentication_endpoint",
	// userinfo
	"name", "email", "email_verified", "preferred_username", "groups",
	// Doorward
	"login", "rd", "hint", "status", "location", "poll", "type", "title", "detail", "reference", "login_url",
	"approval.status", "approval.binding_message", "approval.expires_in", "approval.interval",
	// pages of the demo's provider
	"username", "decision", "done",
	// headers
	"X-Forwarded-User", "X-Forwarded-Preferred-Username", "X-Forwarded-Email", "X-Forwarded-Groups", "WWW-Authenticate", "Retry-After",
}

// kinds say what a secret is, for people.
var kinds = map[string]string{
	"access_token": "access token", "refresh_token": "refresh token", "id_token": "ID token", "id_token_hint": "ID token", "logout_token": "logout token",
	"subject_token": "token", "actor_token": "token", "token": "token", "login_hint_token": "token", "assertion": "token",
	"code": "authorization code", "device_code": "device code", "auth_req_id": "CIBA request ID", "client_notification_token": "notification token",
	"password": kindPassword, "otp": "one-time code", "totp": "one-time code", "client_secret": kindClientSecret, "client_assertion": "signed assertion",
	"request": "request", "state": "state", "nonce": "nonce", "code_challenge": "hash of the verifier", "code_verifier": "verifier",
	"attempt": "attempt", "interaction": "interaction", "confirm": "confirmation", "sid": "session ID", "session_state": "session state", "answer": "sealed answer",
	"approval.id": "approval", "id": "ID", "Doorward-Approval": "approval",
}

// redactor decides what is shown of a parameter.
type redactor struct {
	key     []byte // of this run: nobody can try passwords against a fingerprint
	run     string
	show    []string
	cookies []string
}

func newRedactor(show, cookies []string) *redactor {
	key := make([]byte, sha256.Size)
	_, _ = rand.Read(key)
	return &redactor{key: key, run: newRun(), show: show, cookies: cookies}
}

// param is what is kept of a parameter.
func (r *redactor) param(in, name, value string) Param {
	p := Param{In: in, Name: label(name)}
	if !slices.Contains(harmless, name) && !slices.Contains(r.show, name) {
		return r.secret(p, value)
	}
	if isAddress(value) {
		p.Value = r.address(value)
		return p
	}
	if looksSecret(value) {
		return r.secret(p, value)
	}
	p.Value = cut(value, maxValue)
	return p
}

func (r *redactor) secret(p Param, value string) Param {
	p.Kind = kinds[p.Name]
	if p.Kind == "" {
		p.Kind = kindOther
	}
	p.Value = r.fingerprint(value)
	return p
}

// fingerprint is alike for the same value within one run, and says nothing else about it.
func (r *redactor) fingerprint(value string) string {
	if value == "" {
		return emptyValue
	}
	h := hmac.New(sha256.New, r.key)
	h.Write([]byte(value))
	return hex.EncodeToString(h.Sum(nil)[:3]) + "…"
}

func isAddress(value string) bool {
	return strings.HasPrefix(value, "/") || strings.HasPrefix(value, "http://") || strings.HasPrefix(value, "https://")
}

// address shows an address, with its parameters redacted like those of a message.
func (r *redactor) address(value string) string {
	u, err := url.Parse(value)
	if err != nil || u.User != nil {
		return "an address"
	}
	shown := r.path(u.EscapedPath())
	if u.Host != "" {
		shown = u.Scheme + "://" + cut(u.Host, maxValue) + shown
	}
	mark := "?"
	for _, p := range r.params(InQuery, u.RawQuery) {
		shown += mark + p.Name + "=" + p.Value
		mark = "&"
	}
	if u.Fragment != "" {
		shown += "#…"
	}
	return cut(shown, maxValue)
}

// path shows a path, but not segments of it that are as long as a token, or as random.
func (r *redactor) path(path string) string {
	segments := strings.Split(path, "/")
	for i, s := range segments {
		if looksSecret(s) || looksRandom(s) {
			segments[i] = "…" + r.fingerprint(s)
		}
	}
	return cut(strings.Join(segments, "/"), maxValue)
}

// looksSecret is for a value whose name or place says that it is harmless.
func looksSecret(value string) bool {
	for _, mark := range []string{"eyJ", "dw1.", "dwp.", "%65yJ"} {
		if strings.Contains(value, mark) {
			return true
		}
	}
	return len(value) > maxPlain && !strings.ContainsAny(value, " /,") && !strings.HasPrefix(value, "urn:")
}

func looksRandom(s string) bool {
	return len(s) >= 20 && strings.ContainsFunc(s, unicode.IsUpper) && strings.ContainsFunc(s, unicode.IsLower) && strings.ContainsFunc(s, unicode.IsDigit)
}

// label is the name of a parameter, if it is one: what somebody has appended to an address may be a token.
func label(name string) string {
	if len(name) == 0 || len(name) > maxName || looksSecret(name) || strings.ContainsFunc(name, func(c rune) bool {
		return c > unicode.MaxASCII || c != '_' && c != '-' && c != '.' && !unicode.IsLetter(c) && !unicode.IsDigit(c)
	}) {
		return "unnamed"
	}
	return name
}

// cut shows what can be printed, to a bounded length.
func cut(s string, most int) string {
	s = strings.Map(func(c rune) rune {
		if !unicode.IsPrint(c) || c == utf8.RuneError {
			return '·'
		}
		return c
	}, s)
	if len(s) <= most {
		return s
	}
	for most > 0 && !utf8.RuneStart(s[most]) {
		most--
	}
	return s[:most] + "…"
}
