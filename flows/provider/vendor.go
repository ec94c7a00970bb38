package provider

import (
	"net/url"
	"strings"
)

// vendor is whose software a provider is, as far as it can be told. It decides about advice to the operator, and about the
// claim by which Entra knows a person; never about whether something is accepted.
type vendor string

const (
	unknown  vendor = ""
	keycloak vendor = "Keycloak"
	entra    vendor = "Entra"
	auth0    vendor = "Auth0"
	okta     vendor = "Okta"
)

// vendor goes by the issuer, or by the token endpoint where that is known already.
func (c *Client) vendor() vendor {
	if v := vendorOf(c.conf.Issuer); v != unknown {
		return v
	}
	if m := c.known(); m != nil && strings.HasSuffix(m.Token, "/protocol/openid-connect/token") {
		return keycloak
	}
	return unknown
}

func vendorOf(issuer string) vendor {
	u, err := url.Parse(issuer)
	if err != nil {
		return unknown
	}
	of := func(domains ...string) bool {
		for _, d := range domains {
			if host := strings.ToLower(u.Hostname()); host == d || strings.HasSuffix(host, "."+d) {
				return true
			}
		}
		return false
	}
	switch {
	case of("login.microsoftonline.com", "login.microsoftonline.us", "login.partner.microsoftonline.cn", "sts.windows.net", "ciamlogin.com"):
		return entra
	case of("auth0.com"):
		return auth0
	case of("okta.com", "oktapreview.com", "okta-emea.com"):
		return okta
	case strings.Contains(u.Path, "/realms/"):
		return keycloak
	}
	return unknown
}

// known returns what is known of the provider without asking it; nil = nothing yet.
func (c *Client) known() *metadata {
	if c.discovery == nil {
		return c.fixed
	}
	if e := c.discovery.peek(); e != nil {
		return e.value
	}
	return nil
}
