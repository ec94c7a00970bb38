package tokenapi

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/doorward/doorward/flows/provider"
	"github.com/doorward/doorward/internal/credentials"
	"github.com/doorward/doorward/internal/pages"
	"github.com/doorward/doorward/internal/telemetry"
)

// Words of error (RFC 6749 §5.2, §4.1.2.1; OIDC Core §3.1.2.6).
const (
	wordInvalidRequest      = "invalid_request"
	wordInvalidGrant        = "invalid_grant"
	wordAccessDenied        = "access_denied"
	wordServerError         = "server_error"
	wordUnavailable         = "temporarily_unavailable"
	wordInteractionRequired = "interaction_required"
)

// The stable codes of docs/errors.md that this package gives to failures in the access log.
const (
	codeInvalidToken = "invalid_token"
	codeInternal     = "internal_error"
)

const maxDescription = 600 // bytes

// failure is the error answer of RFC 6749 §5.2. Claims is that of Entra: what the next login must ask for.
type failure struct {
	Error       string `json:"error"`
	Description string `json:"error_description"`
	Claims      string `json:"claims,omitempty"`
}

func protect(h http.Header) {
	h.Set("Cache-Control", "no-store")
	h.Set("Pragma", "no-cache") // RFC 6749 §5.1
	h.Set("X-Content-Type-Options", "nosniff")
}

func refuse(w http.ResponseWriter, status int, word, description string) {
	write(w, status, failure{Error: word, Description: description})
}

// fail answers for a token that was not obtained, and leaves in the access log why. What lies with the caller's token is
// 400, as at a token endpoint; all else has the status of its code.
func fail(w http.ResponseWriter, err error) {
	record := telemetry.From(w)
	record.Err = err
	if record.Reference != "" {
		w.Header().Set("Doorward-Reference", record.Reference)
	}
	if r := new(credentials.Refusal); errors.As(err, &r) {
		record.Code = codeInvalidToken
		write(w, http.StatusBadRequest, refused(r))
		return
	}
	e := new(pages.Error)
	if !errors.As(err, &e) {
		e = &pages.Error{Code: codeInternal, Err: err}
	}
	record.Code = e.Code
	if e.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.FormatInt(int64((e.RetryAfter+time.Second-1)/time.Second), 10))
	}
	status := statusOf(e)
	write(w, status, failure{Error: wordOf(e, status), Description: describe(e, status)})
}

func refused(r *credentials.Refusal) failure {
	f := failure{Error: wordInvalidGrant, Description: r.Description}
	switch r.Word {
	case credentials.InvalidRequest:
		f.Error = wordInvalidRequest
	case credentials.InsufficientScope:
		f.Error = "invalid_scope"
	case credentials.InsufficientClaims:
		f.Error = wordInteractionRequired
		for _, p := range r.Params {
			if p[0] == "claims" {
				f.Claims = plainClaims(p[1])
			}
		}
	}
	return f
}

// plainClaims undoes the base64 that a challenge needs: in JSON, Entra's own answer has the claims as they are.
func plainClaims(s string) string {
	for _, e := range []*base64.Encoding{base64.StdEncoding, base64.RawURLEncoding, base64.RawStdEncoding, base64.URLEncoding} {
		if b, err := e.DecodeString(s); err == nil && json.Valid(b) {
			return string(b)
		}
	}
	return s
}

// statusOf is the one that docs/errors.md gives to a code.
func statusOf(e *pages.Error) int {
	if e.Status != 0 {
		return e.Status
	}
	switch e.Code {
	case "bad_request":
		return http.StatusBadRequest
	case "login_required", "invalid_token", "step_up_required":
		return http.StatusBadRequest // of a token endpoint: 401 is about the client, which proves nothing here
	case "too_many_requests":
		return http.StatusTooManyRequests
	case "credential_refused", "provider_error", "provider_misconfigured":
		return http.StatusBadGateway
	case "provider_unavailable", "store_unavailable", "overloaded":
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}

// wordOf keeps the provider's own word where it said no: applications and people know it (invalid_target, invalid_scope …).
func wordOf(e *pages.Error, status int) string {
	var p *provider.Error
	switch {
	case status == http.StatusBadRequest:
		return wordInvalidGrant
	case status == http.StatusServiceUnavailable, status == http.StatusTooManyRequests:
		return wordUnavailable
	case errors.As(e.Err, &p) && (p.Kind == provider.Refused || p.Kind == provider.Misconfigured) && registered(p.Code):
		return p.Code
	}
	return wordServerError
}

// registered are the errors of a token endpoint (RFC 6749 §5.2, RFC 8693 §2.2.2).
func registered(code string) bool {
	switch code {
	case "invalid_client", "invalid_grant", "unauthorized_client", "unsupported_grant_type", "invalid_scope", "invalid_target", "access_denied":
		return true
	}
	return false
}

// describe says more than a page would: who calls this is a program beside us, and whoever wrote it must learn what the
// provider refused, and by which of its settings. Details of a provider.Error never hold a secret.
func describe(e *pages.Error, status int) string {
	var p *provider.Error
	switch {
	case status == http.StatusBadGateway && errors.As(e.Err, &p) && p.Detail != "":
		return "the provider gave no token: " + strings.ToValidUTF8(p.Detail[:min(len(p.Detail), maxDescription)], "")
	case e.Detail != "":
		return e.Detail
	case status == http.StatusServiceUnavailable, status == http.StatusTooManyRequests:
		return "the token cannot be obtained at the moment; try again a little later"
	case status == http.StatusBadGateway:
		return "the provider gave no token; the log of Doorward says why"
	}
	return "something failed here; the log of Doorward says what"
}

// write writes JSON as it is: nothing in an answer is ever read as HTML.
func write(w http.ResponseWriter, status int, v any) {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(v); err != nil { // strings and valid JSON always encode
		status = http.StatusInternalServerError
		b.Reset()
		b.WriteString(`{"error":"server_error","error_description":""}`)
	}
	w.Header().Set("Content-Type", typeJSON)
	w.WriteHeader(status)
	_, _ = w.Write(b.Bytes())
}
