package provider

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"

	"github.com/doorward/doorward/internal/identity"
	"github.com/doorward/doorward/internal/secret"
)

// principal is another client than this one, in whose name a request is made.
type principal struct {
	id     string
	secret secret.String
}

// ProveClient finds out whether somebody who calls is a client of this provider: with its id and secret it asks for a
// token in that client's name. A wrong secret has Kind Refused and Code invalid_client; a client that may not use the grant,
// unauthorized_client. The result is a machine; its subject is what the token says if it is a JWT of this provider, which is
// then verified, else the client id. Its Ends is the end of that token, zero if not known.
//
// Nothing of ours goes into the request: neither a secret nor, on the connection, our client certificate.
func (c *Client) ProveClient(ctx context.Context, id string, proof secret.String, scopes []string) (*identity.Identity, error) {
	own, err := clientObject(id)
	if err != nil || proof.IsZero() || !plain(proof.Reveal(), maxTyped) {
		return nil, fail(Refused, "invalid_client", "the client id or the secret is empty, too long, or no text; the provider was not asked")
	}
	form, err := target{scopes: scopes}.form(clientCredentials)
	if err != nil {
		return nil, err
	}
	r, err := c.grant(ctx, call{form: form, as: &principal{id, proof}, judge: theirs}, nil)
	if err != nil {
		return nil, err
	}
	r.alone()
	claims, err := c.ownClaims(ctx, r, own)
	if err != nil {
		return nil, err
	}
	tokens := r.Tokens
	who, err := c.identity(claims, "", &tokens)
	if err != nil {
		return nil, err
	}
	who.Machine, who.Client, who.Ends = true, id, tokens.Expiry
	if who.Scopes = scopesOf(claims); len(who.Scopes) == 0 {
		who.Scopes = strings.Fields(tokens.Scope)
	}
	if len(who.Scopes) == 0 { // as asked (RFC 6749 §5.1)
		who.Scopes = slices.Clone(scopes)
	}
	return who, nil
}

// theirs is a refusal of a client that is not ours: it is theirs to mend, where for our own client it would be the operator's.
func theirs(e *Error, _ object) *Error {
	switch e.Code {
	case "invalid_client", "unauthorized_client", "invalid_grant", "access_denied":
		e.Kind = Refused
	}
	return e
}

// clientObject is what is known of a client whose token cannot be read. An id that could not be a subject is none (RFC 6749
// appendix A.1 knows visible ASCII and spaces only).
func clientObject(id string) (object, error) {
	name, err := json.Marshal(id)
	if err != nil {
		return nil, err
	}
	o := object{"sub": name, "client_id": name}
	return o, checkSubject(&jwt{claims: o})
}

// ownClaims returns what a client's token says of it, or own if it cannot be read. A token of this issuer that cannot be
// verified just now is no reason to call the client by another name: a subject that comes and goes would fit now one rule
// and now another.
func (c *Client) ownClaims(ctx context.Context, r *Response, own object) (object, error) {
	if iss, ok := IssuerOf(r.AccessToken.Reveal()); !ok || iss != c.conf.Issuer {
		return own, nil
	}
	m, err := c.metadata(ctx)
	if err != nil {
		return nil, keysUnavailable(err)
	}
	id := own.text("client_id")
	t, err := c.validate(ctx, r.AccessToken.Reveal(), noMAC(c.accessAlgs(m)), accessTokenType, c.checkIsAccessToken, func(t *jwt) error {
		if of := clientOf(t.claims); of != "" && of != id {
			return fail(Misbehaved, "bad_azp", "the token that came is of client %s, not %s", shown(of), shown(id))
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return t.claims, nil
}

// methodFor is how another client proves itself by its secret: as discovery says, since our own method is ours alone.
func (m *metadata) methodFor() string {
	if m.authMethods != nil && !slices.Contains(m.authMethods, authBasic) && slices.Contains(m.authMethods, authPost) {
		return authPost
	}
	return authBasic
}

// sendAs posts a form in the name of another client, once.
func (c *Client) sendAs(ctx context.Context, m *metadata, k call) (*answer, error) {
	own, header := clone(k.form), http.Header{"Accept": {"application/json"}}
	if err := c.authenticateAs(k.as.id, m, m.methodFor(), k.as.secret, header, own); err != nil {
		return nil, err
	}
	target := *k.of(&m.Endpoints)
	if target == "" {
		return nil, fail(Misconfigured, "no_endpoint", "the provider has no %s", k.endpoint)
	}
	a, err := c.plain.postTo(ctx, k.endpoint, target, header, own, callTimeout)
	if err == nil && a.gone() {
		c.doubtDiscovery()
	}
	return a, err
}
