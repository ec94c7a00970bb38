package provider

import (
	"fmt"
	"strings"

	"github.com/doorward/doorward/internal/identity"
	"github.com/doorward/doorward/internal/secret"
)

// Suppose makes the identity that these claims would be if a token of this provider held them. Nothing proves it: it is
// for `doorward explain`, and never for a request. tokens may be nil. A missing iss is the provider's.
func (c *Client) Suppose(claims []byte, login string, tokens *identity.Tokens) (*identity.Identity, error) {
	o, err := parseObject(claims)
	if err != nil {
		return nil, fail(Misbehaved, "bad_claims", "the claims: %v", err)
	}
	if o.text("sub") == "" {
		return nil, fail(Misbehaved, "bad_subject", "the claims have no sub")
	}
	known := tokens
	if known == nil {
		known = new(identity.Tokens)
	}
	who, err := c.identity(o, login, known)
	if err != nil {
		return nil, err
	}
	who.Tokens = tokens
	if scopes := scopesOf(o); scopes != nil {
		who.Scopes = scopes
	}
	who.Client = clientOf(o)
	who.Machine = machine(o, who.Client)
	return who, nil
}

// SamePerson tells whether a token is about whom the claims say, as far as both name a person in the same words; nil for
// what is no JWT, or of another issuer. Like Suppose it believes nothing.
func (c *Client) SamePerson(token secret.String, who *identity.Identity) error {
	claims, ok := readClaims(token.Reveal())
	if !ok {
		return nil
	}
	if name, got, want := c.otherPerson(claims, who, false); name != "" {
		return fmt.Errorf("the token is about %s %s, and the claims are about %s %s: give the claims of the token's own subject", name, shown(got), name, shown(want))
	}
	return nil
}

// IssuerIn reads iss of a JSON object of claims; "" if there is none.
func IssuerIn(claims []byte) (string, error) {
	o, err := parseObject(claims)
	if err != nil {
		return "", fmt.Errorf("this is no JSON object of claims: %w", err)
	}
	return o.str("iss")
}

// ClaimsIn returns the claims of a JWT as JSON, unverified; nil for what is no JWT.
func ClaimsIn(token secret.String) []byte {
	o, ok := readClaims(token.Reveal())
	if !ok {
		return nil
	}
	claims, err := o.claims()
	if err != nil {
		return nil
	}
	return claims.Raw()
}

// ClaimsShown lists those claims of a token that tell what it is good for, as lines for a person. It believes nothing and
// shows nothing of a token that is no JWT.
func ClaimsShown(token secret.String) (lines []string) {
	o, ok := readClaims(token.Reveal())
	if !ok {
		return []string{"it is opaque to us"}
	}
	for _, name := range []string{"iss", "sub", "aud", "azp", "client_id", "scope", "scp", "act", "cnf", "exp"} {
		if o.has(name) {
			lines = append(lines, name+" = "+onTerminal(string(o[name])))
		}
	}
	return lines
}

// onTerminal makes a JSON value fit for a terminal: ASCII, and not much of it.
func onTerminal(s string) string {
	const most = 300
	if len(s) > most {
		s = s[:most] + "..."
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, s)
}
