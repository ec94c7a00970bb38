package identity

import (
	"time"

	"github.com/doorward/doorward/internal/secret"
)

// Tokens is one answer of a token endpoint. It is never modified after it was built.
type Tokens struct {
	AccessToken  secret.String
	RefreshToken secret.String // zero if none was given
	IDToken      secret.String // the newest raw ID token: id_token_hint at logout

	TokenType       string // "Bearer" unless said otherwise
	IssuedTokenType string // RFC 8693 §2.2.1; "" outside token exchange
	Scope           string // as granted; "" means as asked (RFC 6749 §5.1)

	ReceivedAt    time.Time
	Expiry        time.Time // of the access token; zero if not known
	RefreshExpiry time.Time // of the refresh token (refresh_expires_in); zero if not known
}

// Valid reports whether the access token can still be used at now plus margin.
// A token of unknown end is taken as valid: only its receiver can tell.
func (t *Tokens) Valid(now time.Time, margin time.Duration) bool {
	return t != nil && !t.AccessToken.IsZero() && (t.Expiry.IsZero() || now.Add(margin).Before(t.Expiry))
}
