package provider

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/doorward/doorward/internal/identity"
	"github.com/doorward/doorward/internal/secret"
)

// Response is an answer of the token endpoint. Like the tokens in it, it cannot be
// printed: Raw is read, not shown.
type Response struct {
	identity.Tokens
	Raw json.RawMessage
}

// Format keeps Raw out of everything that fmt prints (S10).
func (r Response) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte("[token response]")) }

// MarshalJSON keeps Raw out of JSON.
func (r Response) MarshalJSON() ([]byte, error) { return []byte(`"[token response]"`), nil }

// LogValue keeps Raw out of structured logs.
func (r Response) LogValue() slog.Value { return slog.StringValue("[token response]") }

// parseTokenResponse reads the answer of a token endpoint (RFC 6749 §5). It is tolerant
// where servers are known to differ (case of token_type, numbers in quotes, a missing
// content type) and strict elsewhere.
func parseTokenResponse(a *answer, now time.Time, sent, decisive []string) (*Response, error) {
	o, err := a.granted("the token endpoint", now, sent, decisive)
	if err != nil {
		return nil, err
	}
	t, err := readTokens(o, now)
	if err != nil {
		return nil, fail(Misbehaved, "bad_response", "the token endpoint's answer: %v", err)
	}
	return &Response{Tokens: *t, Raw: a.body}, nil
}

// granted returns the JSON of a good answer, or why it is none: trouble, the server's
// refusal, or an answer that cannot be read. An error among decisive goes before trouble.
func (a *answer) granted(where string, now time.Time, sent, decisive []string) (object, error) {
	if slices.Contains(decisive, a.errorCode()) {
		o, _ := parseObject(a.body)
		return nil, refusal(where, a.status, o, sent)
	}
	if e := a.trouble(where, now); e != nil {
		return nil, e
	}
	if !a.json() {
		return nil, fail(Misbehaved, "bad_response", "%s answered %d with %s, not JSON: is it the right URL?", where, a.status, shown(a.media))
	}
	o, err := parseObject(a.body)
	if err != nil {
		return nil, fail(Misbehaved, "bad_response", "the answer of %s (%d): %v", where, a.status, err)
	}
	if a.status != http.StatusOK || o.has("error") { // some answer errors with 200
		return nil, refusal(where, a.status, o, sent)
	}
	return o, nil
}

func readTokens(o object, now time.Time) (*identity.Tokens, error) {
	t := &identity.Tokens{ReceivedAt: now}
	var err error
	if t.AccessToken, err = token(o, "access_token"); err != nil {
		return nil, err
	}
	if t.AccessToken.IsZero() {
		return nil, errors.New("access_token is missing or empty")
	}
	if t.RefreshToken, err = token(o, "refresh_token"); err != nil {
		return nil, err
	}
	if t.IDToken, err = token(o, "id_token"); err != nil {
		return nil, err
	}
	if t.Scope, err = o.str("scope"); err != nil {
		return nil, err
	}
	if t.IssuedTokenType, err = o.str("issued_token_type"); err != nil {
		return nil, err
	}
	if t.TokenType, err = tokenType(o, t.IssuedTokenType); err != nil {
		return nil, err
	}
	if t.Expiry, err = expiry(o, now, "expires_in"); err != nil {
		return nil, err
	}
	if t.Expiry.IsZero() {
		t.Expiry = ownExpiry(t.AccessToken)
	}
	for _, name := range []string{"refresh_expires_in", "refresh_token_expires_in"} { // Keycloak; GitHub, Azure B2C
		if t.RefreshExpiry.IsZero() {
			if t.RefreshExpiry, err = expiry(o, now, name); err != nil {
				return nil, err
			}
		}
	}
	return t, nil
}

// token reads one token; missing and empty are zero.
func token(o object, name string) (secret.String, error) {
	s, err := o.str(name)
	switch {
	case err != nil:
		return secret.String{}, err
	case len(s) > maxToken:
		return secret.String{}, fmt.Errorf("%s has more than %d bytes", name, maxToken)
	case s != "" && !printable(s): // it becomes part of a header
		return secret.String{}, fmt.Errorf("%s holds control characters or spaces", name)
	}
	return secret.New(s), nil
}

// tokenType accepts Bearer in any case (RFC 6749 §5.1); N_A only where the answer of a
// token exchange says that what it holds is no access token (RFC 8693 §2.2.1). A type
// that we cannot use as asked, such as DPoP without a proof of ours, is refused (§7.1).
func tokenType(o object, issued string) (string, error) {
	s, err := o.str("token_type")
	switch {
	case err != nil:
		return "", err
	case strings.EqualFold(s, "Bearer"):
		return "Bearer", nil
	case strings.EqualFold(s, "N_A") && issued != "":
		return "N_A", nil
	}
	return "", fmt.Errorf("token_type is %s, not Bearer", shown(s))
}

// longest bounds lifetimes that are meant as "for ever" and would overflow.
const longest = 10 * 365 * 24 * time.Hour

// expiry turns a number of seconds into a time; nothing or 0 means not known.
func expiry(o object, now time.Time, name string) (time.Time, error) {
	n, ok, err := o.number(name, true)
	if err != nil || !ok || n == 0 {
		return time.Time{}, err
	}
	if n < 0 {
		return time.Time{}, fmt.Errorf("%s is negative", name)
	}
	d := longest
	if n < longest.Seconds() {
		d = time.Duration(n * float64(time.Second))
	}
	return now.Add(d), nil
}

// ownExpiry looks into an access token that is a JWT for its end (TOK-4). It is only used
// to plan the next refresh; no decision trusts it.
func ownExpiry(token secret.String) time.Time {
	parts := strings.Split(token.Reveal(), ".")
	if len(parts) != 3 {
		return time.Time{}
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return time.Time{}
	}
	o, err := parseObject(payload)
	if err != nil {
		return time.Time{}
	}
	end, _, err := o.date("exp")
	if err != nil {
		return time.Time{}
	}
	return end
}
