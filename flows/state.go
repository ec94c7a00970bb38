package flows

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"strings"
	"time"

	"github.com/doorward/doorward/internal/origin"
	"github.com/doorward/doorward/internal/seal"
)

// What this package seals. A blob of one purpose never opens under another (P076).
const (
	purposeState   seal.Purpose = "login-state"
	purposeAttempt seal.Purpose = "login-attempt"
	purposeBack    seal.Purpose = "login-back"
	purposeTicket  seal.Purpose = "login-ticket"
	purposeLoop    seal.Purpose = "login-loop"
	purposeLogout  seal.Purpose = "logout-state"
	purposeAnswer  seal.Purpose = "login-answer"
	purposeRelay   seal.Purpose = "login-relay"
)

const (
	idSize       = 16 // bytes of an attempt's id
	maxStateBack = 256
	maxState     = 2 << 10 // bytes of a state parameter that are looked at
	stateVersion = 1
)

// state is the state parameter of an authorization request. It is authentic by itself, so
// that an old one of ours (a login page left open over night) can be told from one that is
// not ours; it proves nothing about the browser that brings it: the attempt's cookie does.
type state struct {
	Version  int    `json:"v"`
	ID       []byte `json:"i"`
	Created  int64  `json:"t"` // Unix seconds
	Provider string `json:"p"`
	Login    string `json:"l"`
	Origin   string `json:"o"`           // where the login began and the cookie lies
	Restarts int    `json:"n,omitempty"` // logins that were begun anew without a click
	Back     string `json:"b,omitempty"` // only if short: a URL has limits
}

// sealState returns the state parameter of an attempt.
func (f *Flows) sealState(a *attempt) string {
	s := state{
		Version: stateVersion, ID: a.id, Created: a.created.Unix(), Provider: a.provider, Login: a.login,
		Origin: a.here.String(), Restarts: a.restarts,
	}
	if len(a.back) <= maxStateBack {
		s.Back = a.back
	}
	return f.sealParameter(purposeState, s, nil)
}

// openState returns what a state parameter of ours says, whatever its age.
func (f *Flows) openState(parameter string) (s state, ok bool) {
	if len(parameter) > maxState || !f.openParameter(purposeState, parameter, &s, nil) {
		return state{}, false
	}
	return s, s.Version == stateVersion && len(s.ID) == idSize
}

func (s state) created() time.Time { return time.Unix(s.Created, 0) }

// origin returns where the login began, if it is still one of ours.
func (f *Flows) origin(s state) (origin.Origin, bool) {
	o, err := origin.Parse(s.Origin)
	if err != nil {
		return origin.Origin{}, false
	}
	known, ok := f.deps.Origins.Lookup(o.Authority())
	return o, ok && known == o
}

// sealParameter makes v a sealed text that fits into URLs and cookies.
func (f *Flows) sealParameter(p seal.Purpose, v any, associated []byte) string {
	var plain bytes.Buffer
	e := json.NewEncoder(&plain)
	e.SetEscapeHTML(false) // nobody reads it as HTML, and "&" is frequent in targets
	if err := e.Encode(v); err != nil {
		panic("flows: " + err.Error()) // structs of strings and numbers only
	}
	return base64.RawURLEncoding.EncodeToString(f.deps.Ring.Seal(p, bytes.TrimSpace(plain.Bytes()), associated))
}

// openParameter reverses sealParameter. v is to be used only if it says true.
func (f *Flows) openParameter(p seal.Purpose, text string, v any, associated []byte) bool {
	if strings.ContainsAny(text, "\r\n") { // which the decoder would skip
		return false
	}
	blob, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil {
		return false
	}
	plain, err := f.deps.Ring.Open(p, blob, associated)
	return err == nil && json.Unmarshal(plain, v) == nil
}
