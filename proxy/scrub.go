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
// sent, or puts its token into a redirect, does not hand it on (P153). The exact value is looked for, and only in headers: a
// body is the application's own, and is not read.
func scrub(h http.Header, c *identity.Credential) {
	if c == nil {
		return
	}
	for _, secret := range secretsOf(c) {
		if len(secret) < shortestScrubbed {
			continue
		}
		for name, values := range h {
			for i, value := range values {
				if !strings.Contains(value, secret) {
					continue
				}
				values = append(values[:i:i], append([]string{strings.ReplaceAll(value, secret, scrubbed)}, values[i+1:]...)...) // others may share the slice
				h[name] = values
			}
		}
	}
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
