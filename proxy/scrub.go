package proxy

import (
	"net/http"
	"strings"

	"github.com/doorward/doorward/internal/identity"
)

const (
	shortestScrubbed = 8 // bytes; what is shorter stands in many a header by accident
	scrubbed         = "[removed]"
)

// scrub takes a credential that the caller has never had out of the headers of the answer: an upstream that echoes what it was
// sent, or puts its token into a redirect, does not hand it on (P153). The exact value is looked for, also in percent-encoding,
// and only in headers: a body is the application's own, and is not read. Of a credential that is a cookie, the upstream's next
// value is as good as the last, and goes no further either.
func scrub(h http.Header, c *identity.Credential) {
	if c == nil {
		return
	}
	if c.Header == "Cookie" {
		name := cookieName(c.Values[0])
		stripSetCookies(h, func(other string) bool { return other == name })
	}
	for _, secret := range secretsOf(c) {
		if len(secret) < shortestScrubbed {
			continue
		}
		for name, values := range h {
			for i, value := range values {
				clean := without(value, secret)
				if clean == value {
					continue
				}
				values = append(values[:i:i], append([]string{clean}, values[i+1:]...)...) // others may share the slice
				h[name] = values
			}
		}
	}
}

// without leaves nothing of a value in which the secret is encoded: where there it begins, only its reader knows.
func without(value, secret string) string {
	value = strings.ReplaceAll(value, secret, scrubbed)
	if strings.Contains(decodeAgain(value), secret) {
		return scrubbed
	}
	return value
}

// secretsOf are the token, and what of the header's value is not it: Basic is another writing of it.
func secretsOf(c *identity.Credential) (secrets [2]string) {
	if c.Tokens != nil {
		secrets[0] = c.Tokens.AccessToken.Reveal()
	}
	if value := c.Values[0]; secrets[0] == "" || !strings.Contains(value, secrets[0]) {
		if i := strings.IndexAny(value, " ="); i >= 0 && i < len(value)-1 {
			value = value[i+1:] // behind the scheme, or the name of the cookie
		}
		secrets[1] = value
	}
	return secrets
}
