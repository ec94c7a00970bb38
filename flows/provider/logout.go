package provider

import (
	"context"
	"net/http"
	"net/url"

	"github.com/doorward/doorward/internal/secret"
)

// Revoke revokes a token (RFC 7009); a provider without the endpoint is no error. hint is
// "refresh_token", "access_token" or "". Failures are *Error; whether a later attempt makes
// sense is what kind Unavailable says.
func (c *Client) Revoke(ctx context.Context, token secret.String, hint string) error {
	if token.IsZero() {
		return nil
	}
	if c.isGitHub() {
		return c.revokeGitHub(ctx, token)
	}
	m, err := c.metadata(ctx)
	if err != nil {
		return err
	}
	if m.Revocation == "" {
		return nil // Entra, Google's discovery of old (REV)
	}
	form := url.Values{"token": {token.Reveal()}}
	if hint != "" {
		form.Set("token_type_hint", hint)
	}
	a, err := c.send(ctx, m, call{endpoint: "revocation_endpoint", of: func(e *Endpoints) *string { return &e.Revocation }, form: form})
	if err != nil {
		return err
	}
	if e := a.trouble("the revocation endpoint", c.now()); e != nil {
		return e
	}
	if a.status == http.StatusOK || a.status == http.StatusNoContent { // §2.2: done, also for a token that is not known
		return nil
	}
	o, err := parseObject(a.body)
	if err != nil || !a.json() {
		return fail(Misbehaved, "bad_status", "the revocation endpoint answered %d", a.status)
	}
	return c.explained(refusal("the revocation endpoint", a.status, o, c.sent(form)))
}

// EndSession are the parameters of RP-initiated logout.
type EndSession struct {
	IDTokenHint           secret.String
	PostLogoutRedirectURI string
	State                 string
}

// maxLogoutURL is what every browser and every server in front of a provider takes.
const maxLogoutURL = 4 << 10

// EndSessionURL returns where to send the browser to log out at the provider, or "" if
// the provider has no such endpoint. A hint that would make the URL longer than 4 kB is left out (LO-1).
func (c *Client) EndSessionURL(ctx context.Context, e EndSession) (string, error) {
	m, err := c.metadata(ctx)
	if err != nil {
		return "", err
	}
	if m.EndSession == "" {
		return "", nil // LO-4
	}
	u, err := url.Parse(m.EndSession)
	if err != nil {
		return "", fail(Misconfigured, "bad_endpoint", "the end_session_endpoint cannot be read")
	}
	query := u.Query()
	for name, value := range map[string]string{
		"client_id": c.conf.ClientID, "post_logout_redirect_uri": e.PostLogoutRedirectURI, "state": e.State, "id_token_hint": e.IDTokenHint.Reveal(),
	} {
		query.Del(name)
		if value != "" {
			query.Set(name, value)
		}
	}
	u.RawQuery = query.Encode()
	if len(u.String()) > maxLogoutURL {
		query.Del("id_token_hint")
		u.RawQuery = query.Encode()
	}
	return u.String(), nil
}
