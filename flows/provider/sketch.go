package provider

import (
	"net/http"
	"net/url"
	"strings"
)

// Sketch is a token request that is shown and not made. Nothing in it is secret: every token, password, assertion and
// secret is replaced by "…".
type Sketch struct {
	URL        string // "" = not known before discovery
	ClientAuth string // method of client authentication; "" = not known before discovery
	Form       url.Values
}

// TokenRequest is one of ClientCredentialsRequest, ExchangeRequest, JWTBearerRequest, PasswordRequest.
type TokenRequest interface {
	form(c *Client) (url.Values, error)
}

// hidden stands for what is not shown.
const hidden = "…"

// Sketch tells what would be sent for r: by the same steps by which it would be sent, up to the connection. It never touches
// the network. Tokens and passwords that r lacks are shown as if they were there. It fails for a request that would not be
// sent, with a *Error of kind Misconfigured.
func (c *Client) Sketch(r TokenRequest) (*Sketch, error) {
	if c.conf.ClientID == "" {
		return nil, fail(Misconfigured, "no_client", "provider %q has no client_id: it only checks bearer tokens", c.conf.Name)
	}
	form, err := r.form(c)
	if err != nil {
		return nil, err
	}
	s := &Sketch{Form: clone(form)}
	m := c.known()
	if m == nil { // what the configuration alone tells
		m = new(metadata)
		m.override(c.conf.Endpoints)
		s.ClientAuth = c.conf.ClientAuth
	} else {
		s.ClientAuth = c.authMethod(m)
	}
	if s.ClientAuth != "" {
		s.URL = c.target(m, s.ClientAuth, func(e *Endpoints) *string { return &e.Token })
		if err := c.authenticate(m, s.ClientAuth, c.secrets()[0], make(http.Header), s.Form); err != nil {
			return nil, err
		}
	} else {
		s.URL = m.Token
	}
	typed := form.Get("grant_type") == "password"
	for name, values := range s.Form {
		if !shownParameter(name, typed) {
			for i := range values {
				values[i] = hidden
			}
		}
	}
	return s, nil
}

// shownParameter tells whether a parameter's value may be seen. What the configuration adds is shown unless its name sounds
// like a secret, or a person has typed it: a one-time code stands under any name.
func shownParameter(name string, typed bool) bool {
	switch name {
	case "grant_type", "scope", "audience", "resource", "client_id", "username", "client_assertion_type",
		"subject_token_type", "actor_token_type", "requested_token_type", "requested_token_use":
		return true
	}
	if typed {
		return false
	}
	name = strings.ToLower(name)
	for _, part := range []string{"token", "secret", "password", "passwd", "assertion", "key", "code", "otp", "pin", "credential"} {
		if strings.Contains(name, part) {
			return false
		}
	}
	return true
}
