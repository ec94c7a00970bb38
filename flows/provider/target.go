package provider

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// maxResource is what a resource indicator may have, in bytes.
const maxResource = 2 << 10

// target is what a token is asked for: the part that the grants without a person in front of a page share.
type target struct {
	scopes, audience, resource []string
	extra                      url.Values
}

// ReservedGrant tells whether a parameter of a client credentials, token exchange or JWT bearer request is set by Doorward
// alone.
func ReservedGrant(name string) bool {
	switch name {
	case "audience", "resource", "subject_token", "subject_token_type", "actor_token", "actor_token_type",
		"requested_token_type", "requested_token_use":
		return true
	}
	return ReservedPassword(name)
}

// CheckResource tells what is wrong with a resource indicator: it is an absolute URI without a fragment (RFC 8707 §2).
func CheckResource(uri string) error {
	u, err := url.Parse(uri)
	switch {
	case len(uri) > maxResource:
		return fmt.Errorf("it has more than %d bytes", maxResource)
	case err != nil || !u.IsAbs() || u.Opaque == "" && u.Host == "" && u.Path == "":
		return fmt.Errorf("%s is no absolute URI (RFC 8707 §2)", shown(uri))
	case strings.Contains(uri, "#"):
		return fmt.Errorf("%s has a fragment (RFC 8707 §2)", shown(uri))
	case !printable(uri):
		return fmt.Errorf("%s holds characters that no URI holds", shown(uri))
	}
	return nil
}

// form writes a target down. Several audiences or resources are as many parameters (RFC 8693 §2.1, RFC 8707 §2).
func (t target) form(grant string) (url.Values, error) {
	form := url.Values{"grant_type": {grant}}
	for name, values := range t.extra {
		if ReservedGrant(name) {
			return nil, fail(Misconfigured, "reserved_parameter", "the parameter %s is set by Doorward itself", shown(name))
		}
		form[name] = slices.Clone(values)
	}
	for _, uri := range t.resource {
		if err := CheckResource(uri); err != nil {
			return nil, fail(Misconfigured, "incomplete_request", "resource: %v", err)
		}
	}
	if len(t.audience) > 0 {
		form["audience"] = slices.Clone(t.audience)
	}
	if len(t.resource) > 0 {
		form["resource"] = slices.Clone(t.resource)
	}
	if len(t.scopes) > 0 {
		form.Set("scope", strings.Join(t.scopes, " "))
	}
	return form, nil
}

// trade is Grant for a form whose refusals are mostly the operator's to mend, and come with advice.
func (c *Client) trade(ctx context.Context, form url.Values) (*Response, error) {
	return c.grant(ctx, call{form: form, judge: func(e *Error, answer object) *Error { return c.advised(e, answer, form) }}, nil)
}

// asked tells what a form asks for, in words.
func (c *Client) asked(form url.Values) string {
	var parts []string
	for _, p := range [][2]string{{"audience", "audience"}, {"resource", "resource"}, {"scope", "scope"}, {"requested_token_type", "type"}} {
		if values := form[p[0]]; len(values) > 0 {
			parts = append(parts, p[1]+" "+listed(values))
		}
	}
	if len(parts) == 0 {
		parts = []string{"no audience, resource or scope in particular"}
	}
	return fmt.Sprintf("expected a token for %s, asked for by client %s", strings.Join(parts, ", "), shown(c.conf.ClientID))
}

// listed quotes the first few of some values.
func listed(values []string) string {
	const most = 5
	var quoted []string
	for i, v := range values {
		if i == most {
			quoted = append(quoted, fmt.Sprintf("and %d more", len(values)-most))
			break
		}
		quoted = append(quoted, shown(v))
	}
	return strings.Join(quoted, ", ")
}
