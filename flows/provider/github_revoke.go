package provider

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"

	"github.com/doorward/doorward/internal/secret"
)

// revokeGitHub has GitHub forget one access token, by an endpoint of its own in the place of RFC 7009's. Tokens of OAuth apps
// never end by themselves: one that is thrown away here would be good for ever (REF-8). Refresh tokens cannot be revoked there.
func (c *Client) revokeGitHub(ctx context.Context, token secret.String) error {
	if strings.HasPrefix(token.Reveal(), "ghr_") { // of a GitHub App: access tokens of hours
		return nil
	}
	body, err := json.Marshal(map[string]string{"access_token": token.Reveal()})
	if err != nil {
		return err
	}
	at := c.conf.Groups.URL + "/applications/" + url.PathEscape(c.conf.ClientID) + "/token"
	a, err := c.plain.delete(ctx, "revocation_endpoint", at, http.Header{
		"Accept":               {"application/vnd.github+json"},
		"Authorization":        {"Basic " + base64.StdEncoding.EncodeToString([]byte(c.conf.ClientID+":"+c.conf.ClientSecret.Reveal()))},
		"Content-Type":         {"application/json"},
		"X-Github-Api-Version": {gitHubVersion},
	}, string(body))
	if err != nil {
		return err
	}
	if e := c.gitHubLimited(a); e != nil {
		return e
	}
	if e := a.trouble("GitHub's API", c.now()); e != nil {
		return e
	}
	switch a.status {
	case http.StatusNoContent, http.StatusNotFound, http.StatusUnprocessableEntity: // done, or the token is not known any more
		return nil
	}
	return fail(Misbehaved, "bad_status", "GitHub answered %d when asked to revoke a token", a.status)
}
