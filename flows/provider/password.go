package provider

import (
	"context"
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/doorward/doorward/internal/secret"
)

// maxTyped is what a person's name or password may have, in bytes.
const maxTyped = 4 << 10

// PasswordRequest is a resource owner password credentials request (RFC 6749 §4.3).
type PasswordRequest struct {
	Username string
	Password secret.String
	Scopes   []string   // nil = the provider's
	Extra    url.Values // a second factor under the provider's name for it, such as totp; none may be ReservedPassword
}

// plain tells whether s is text of at most most bytes without control characters.
func plain(s string, most int) bool {
	return len(s) <= most && utf8.ValidString(s) && !strings.ContainsFunc(s, unicode.IsControl)
}

// ReservedPassword tells whether a parameter of the password grant is set by Doorward alone.
func ReservedPassword(name string) bool {
	switch name {
	case "grant_type", "username", "password", "refresh_token", "device_code", "auth_req_id", "assertion":
		return true
	}
	return Reserved(name)
}

// Password trades a person's password for tokens. A wrong one has Kind Refused and Code
// invalid_grant; so has one that cannot be right, of which the provider never hears: an empty
// name or password (ROP-5), one with control characters (RFC 6749 appendix A.15, A.16), that
// is no UTF-8, or has more than 4 kB. No error holds anything that was typed (P175).
func (c *Client) Password(ctx context.Context, r PasswordRequest) (*Response, error) {
	form, err := r.form(c)
	if err != nil {
		return nil, err
	}
	for _, name := range []string{"username", "password"} {
		if typed := form.Get(name); typed == "" || !plain(typed, maxTyped) {
			return nil, fail(Refused, "invalid_grant", "the %s is empty, too long, or no text; the provider was not asked", name)
		}
	}
	return c.Grant(ctx, form)
}

func (r PasswordRequest) form(c *Client) (url.Values, error) {
	form, err := c.firstRequest(r.Scopes, r.Extra, ReservedPassword)
	if err != nil {
		return nil, err
	}
	form.Set("grant_type", "password")
	form.Set("username", r.Username)
	form.Set("password", r.Password.Reveal())
	return form, nil
}
