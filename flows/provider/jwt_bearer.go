package provider

import (
	"context"
	"net/url"

	"github.com/doorward/doorward/internal/identity"
	"github.com/doorward/doorward/internal/secret"
)

// Dialects of the JWT bearer grant.
const (
	DialectRFC7523  = "rfc7523"
	DialectEntraOBO = "entra_obo" // on-behalf-of: requested_token_use=on_behalf_of, targets by scope only
)

// maxChallenge bounds the claims that a provider wants to see in the next authorization request, in bytes: they go into a URL.
const maxChallenge = 8 << 10

// JWTBearerRequest trades a JWT for an access token (RFC 7523 §2.1, or Entra's on-behalf-of flow).
type JWTBearerRequest struct {
	Assertion secret.String
	Dialect   string // "" = rfc7523
	Scopes    []string
	Audience  []string
	Resource  []string
	Extra     url.Values         // none may be ReservedGrant
	Same      *identity.Identity // as in ExchangeRequest
}

// JWTBearer trades a JWT. If the provider wants more of the person first (Entra: interaction_required, or invalid_grant
// with a claims member), the error is Refused with Code interaction_required and Claims is what the person's next
// authorization request has to carry: a JSON object of at most 8 kB, or "" if the provider names none.
//
// Otherwise it fails as Exchange does; a refresh token or ID token that comes along is dropped.
func (c *Client) JWTBearer(ctx context.Context, r JWTBearerRequest) (*Response, error) {
	if err := usable(r.Assertion); err != nil {
		return nil, fail(Refused, "invalid_grant", "the assertion %v; the provider was not asked", err)
	}
	form, err := r.form(c)
	if err != nil {
		return nil, err
	}
	got, err := c.trade(ctx, form)
	if err != nil {
		return nil, err
	}
	if err := c.checkTraded(got, form, r.Same); err != nil {
		return nil, err
	}
	got.alone()
	return got, nil
}

func (r JWTBearerRequest) form(*Client) (url.Values, error) {
	form, err := target{r.Scopes, r.Audience, r.Resource, r.Extra}.form(GrantJWTBearer)
	if err != nil {
		return nil, err
	}
	switch r.Dialect {
	case "", DialectRFC7523:
	case DialectEntraOBO:
		if len(r.Scopes) == 0 || len(r.Audience) > 0 || len(r.Resource) > 0 {
			return nil, fail(Misconfigured, "incomplete_request", "on-behalf-of names its target by scope alone, such as \"api://CLIENT_ID/.default\": give a scope, and neither audience nor resource")
		}
		form.Set("requested_token_use", "on_behalf_of")
	default:
		return nil, fail(Misconfigured, "incomplete_request", "dialect %s is neither %s nor %s", shown(r.Dialect), DialectRFC7523, DialectEntraOBO)
	}
	form.Set("assertion", r.Assertion.Reveal())
	return form, nil
}

// challenged turns a refusal into interaction_required where the provider says what it wants of the person. Claims that
// cannot be handed on, as they are no JSON object or too many, are left out: the person is asked all the same.
func challenged(e *Error, answer object) *Error {
	raw := answer.text("claims")
	if e.Code != "interaction_required" && (raw == "" || e.Code != "invalid_grant") {
		return e
	}
	e.Kind, e.Code = Refused, "interaction_required"
	if raw == "" {
		return e
	}
	if o, err := parseObject([]byte(raw)); err != nil || len(o) == 0 || len(raw) > maxChallenge {
		e.Detail += "; what it wants of the person (claims) is no JSON object of at most 8 kB, and left out"
		return e
	}
	e.Claims = raw
	return e
}
