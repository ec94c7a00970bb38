package idp

import (
	"net/url"
	"slices"
	"strings"
)

// targets reads audience and resource, both of which may come several times (RFC 8693 §2.1, RFC
// 8707 §2). What they name becomes the aud of the token, in that order.
func (c *Client) targets(form url.Values) ([]string, *oauthError) {
	for _, resource := range form["resource"] {
		if at, err := url.Parse(resource); err != nil || !at.IsAbs() || at.Host == "" && at.Opaque == "" || strings.Contains(resource, "#") {
			return nil, refuse("invalid_target", "resource %s is not an absolute URI without fragment", resource)
		}
	}
	var wanted []string
	for _, target := range slices.Concat(form["audience"], form["resource"]) {
		switch {
		case target == "":
			return nil, refuse("invalid_target", "an empty target")
		case !c.reaches(target):
			return nil, refuse("invalid_target", "the client may not ask for %s", target)
		case !slices.Contains(wanted, target):
			wanted = append(wanted, target)
		}
	}
	return wanted, nil
}

func (c *Client) reaches(target string) bool {
	return c.Audiences == nil || slices.Contains(c.Audiences, target)
}

// resourceScopes reads scopes that name a resource too, as Entra has them: api://orders/.default
// stands for the audience api://orders. Other scopes must be registered.
func (c *Client) resourceScopes(text string) (scopes, audience []string, err *oauthError) {
	var plain []string
	for _, scope := range strings.Fields(text) {
		resource, _, _ := cutLast(scope, "/")
		if !strings.Contains(resource, "://") || slices.Contains(c.Scopes, scope) {
			plain = append(plain, scope)
			continue
		}
		if !c.reaches(resource) {
			return nil, nil, refuse("invalid_scope", "the client may not ask for the scope %s", scope)
		}
		scopes = append(scopes, scope)
		if !slices.Contains(audience, resource) {
			audience = append(audience, resource)
		}
	}
	plain, err = c.scopes(strings.Join(plain, " "))
	return append(plain, scopes...), audience, err
}

func cutLast(text, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(text, sep); i >= 0 {
		return text[:i], text[i+len(sep):], true
	}
	return text, "", false
}
