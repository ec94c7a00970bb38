package main

import (
	"fmt"
	"io"
	"slices"

	"github.com/doorward/doorward/flows/provider"
	"github.com/doorward/doorward/internal/config"
)

func printProviders(out io.Writer, g *graph) {
	for _, p := range g.config.Providers() {
		fmt.Fprintf(out, "Provider %s: %s\n", p.Name, p.Issuer)
		if p.ClientID == "" {
			fmt.Fprintf(out, "  bearer tokens are checked by its keys; there is nothing to register\n\n")
			continue
		}
		redirects := g.redirectURIs(p.Name)
		var logouts []string
		if g.flows != nil {
			logouts = g.flows.PostLogoutURIs(p.Name)
		}
		fmt.Fprintf(out, "  register for client %q\n", p.ClientID)
		columns(out, func(w io.Writer) {
			for _, uri := range redirects {
				fmt.Fprintf(w, "    redirect URI\t%s\n", uri)
			}
			for _, uri := range logouts {
				fmt.Fprintf(w, "    post-logout redirect URI\t%s\n", uri)
			}
			for _, uri := range g.notificationURIs(p.Name) {
				fmt.Fprintf(w, "    client notification endpoint (one of)\t%s\n", uri)
			}
			for _, grant := range grants(g.config, p.Name) {
				fmt.Fprintf(w, "    must be allowed\t%s\n", grant)
			}
		})
		fmt.Fprintln(out)
	}
}

// grants names what the client must be allowed at a provider for the logins and credentials that use it, in the words
// of OAuth 2.0.
func grants(c *config.Config, provider string) (all []string) {
	for _, cc := range c.Credentials() {
		grant := "grant " + grantTypes[cc.Flow]
		if cc.Provider == provider && grantTypes[cc.Flow] != "" && !slices.Contains(all, grant) {
			all = append(all, grant)
		}
	}
	if c.Introspects(provider) {
		all = append(all, "introspection of tokens")
	}
	for _, l := range c.Flows().Logins {
		if l.Provider != provider {
			continue
		}
		grant := map[string]string{
			"authorization_code": "grant authorization_code with PKCE", "implicit": "grant implicit, response_type " + l.ResponseType,
			"hybrid": "grants authorization_code and implicit, response_type " + l.ResponseType, "password": "grant password",
			"device": "grant urn:ietf:params:oauth:grant-type:device_code", "ciba": "grant urn:openid:params:grant-type:ciba, delivery mode " + l.Delivery,
		}[l.Flow]
		if !slices.Contains(all, grant) {
			all = append(all, grant)
		}
	}
	return all
}

// grantTypes are the grants of credentials that ask a provider.
var grantTypes = map[string]string{
	"client_credentials": "client_credentials", "token_exchange": provider.GrantTokenExchange, "jwt_bearer": provider.GrantJWTBearer, "password": "password",
}

// redirectURIs are those of a configuration in which anybody can sign in.
func (g *graph) redirectURIs(name string) []string {
	if g.flows == nil {
		return nil
	}
	return g.flows.RedirectURIs(name)
}

func (g *graph) notificationURIs(name string) []string {
	if g.flows == nil {
		return nil
	}
	return g.flows.NotificationURIs(name)
}
