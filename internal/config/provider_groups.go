package config

import (
	"net/url"
	"slices"
	"strings"

	"github.com/doorward/doorward/flows"
	"github.com/doorward/doorward/flows/provider"
)

const profileGitHub = "github"

// groupsKeys say where groups come from that the claims do not hold.
func groupsKeys() *spec {
	return &spec{form: tables, keys: map[string]*spec{
		"from":            {form: word, words: []string{"claims", "entra", "google", "github"}},
		"url":             {form: text},
		"keep":            {form: list},
		"insecure_names":  {form: boolean},
		"nested":          {form: boolean},
		"domains":         {form: list},
		"service_account": {form: secretText},
		"admin":           {form: text},
	}}
}

func (t table) groups() provider.Groups {
	g := t.table("groups")
	return provider.Groups{
		From: g.text("from"), URL: g.filled("url", ""), Keep: g.list("keep"),
		InsecureNames: g.boolean("insecure_names", false), Nested: g.boolean("nested", false), Domains: g.list("domains"),
		ServiceAccount: g.secret("service_account"), Admin: g.filled("admin", ""),
	}
}

// profile is "" if the value is wrong, which was reported.
func (t table) profile() string { return t.textOr("profile", provider.ProfileOf(t.text("issuer"))) }

// providerScopes are those of a provider. GitHub has scopes of its own, and no openid among them.
func (t table) providerScopes() []string {
	if t.profile() == profileGitHub {
		if t.given("scopes") {
			return t.list("scopes")
		}
		return []string{"read:org", "user:email"}
	}
	return t.scopes()
}

// loginScopes are those of a login, in place of its provider's.
func (c *composer) loginScopes(t table, l flows.Login) []string {
	p := c.provider(l.Provider)
	if p == nil && l.Provider == "" && len(c.c.providers) == 1 {
		p = &c.c.providers[0]
	}
	if p != nil && p.Profile == profileGitHub {
		t.wrong("scopes", "those of GitHub are the provider's, for all its logins: what groups and addresses are looked up goes by them; write scopes into [provider.%s]", p.Name)
		return nil
	}
	return t.scopes()
}

func (c *composer) isGitHub(name string) bool {
	p := c.provider(name)
	return p != nil && p.Profile == profileGitHub
}

// checkGitHub finds keys that are about what GitHub does not have.
func (t table) checkGitHub(conf provider.Config) {
	if conf.Profile != profileGitHub {
		if u, err := url.Parse(conf.Issuer); err == nil && strings.EqualFold(u.Hostname(), "github.com") {
			t.wrong("issuer", "%q: for GitHub it is \"https://github.com\", to the letter, with profile = \"github\"; it does not speak OpenID Connect", conf.Issuer)
		}
		return
	}
	for _, key := range []string{
		"discovery", "jwks_uri", "userinfo", "userinfo_endpoint", "groups_claim", "signing_algs", "trusted_audiences", "access_tokens", "audience_claim",
		"introspection_endpoint", "signed_introspection", "end_session_endpoint", "revocation_endpoint",
		"device_authorization_endpoint", "backchannel_authentication_endpoint", "insecure_unverified_email",
	} {
		if t.given(key) {
			t.wrong(key, "it has no effect: GitHub has no discovery and no ID tokens, and its API says who people are; drop it")
		}
	}
}

// checkGitHubLogin finds what GitHub's logins cannot be.
func (t table) checkGitHubLogin(l flows.Login, p provider.Config) {
	if p.Profile != profileGitHub {
		return
	}
	if l.Flow != flowCode && t.value("flow") != nil {
		t.wrong("flow", "%s: GitHub has no ID tokens, so people can sign in by authorization_code only", l.Flow)
	}
	for _, param := range []string{"max_age", "acr_values"} {
		if l.Params[param] != nil {
			t.wrong("params", "%s: GitHub does not say when and how people proved themselves", param)
		}
	}
}

// warnOfGroups tells what looked-up groups are worth.
func (t table) warnOfGroups(conf provider.Config) {
	g := t.table("groups")
	if conf.Groups.InsecureNames {
		g.l.warn("%s: whoever may create a group at Entra, which by default is everybody, can give it the name of another and then is in it; write ids into rules, and drop insecure_names", join(g.path, "insecure_names"))
	}
	if conf.Groups.From == "entra" && conf.Groups.URL == "" && !strings.Contains(conf.Issuer, "microsoftonline") && !strings.Contains(conf.Issuer, "windows.net") && !strings.Contains(conf.Issuer, "ciamlogin.com") {
		g.l.warn("%s: the issuer is none of Entra's, so that Microsoft Graph will hardly take its access tokens", join(g.path, "from"))
	}
	switch offline := slices.Contains(conf.Scopes, "offline_access"); {
	case conf.Groups.From == "entra" && !offline:
		g.l.warn("%s: without offline_access among scopes there is no refresh: groups stay as they were at the login for as long as the session lasts", join(g.path, "from"))
	case conf.Groups.From == "google" && conf.AuthorizationParams.Get("access_type") != "offline":
		g.l.warn("%s: without authorization_params = { access_type = \"offline\", prompt = \"consent\" } there is no refresh: groups stay as they were at the login for as long as the session lasts", join(g.path, "from"))
	}
	const scope = "https://www.googleapis.com/auth/cloud-identity.groups"
	if conf.Groups.From == "google" && conf.Groups.ServiceAccount.IsZero() && !slices.ContainsFunc(conf.Scopes, func(s string) bool { return strings.HasPrefix(s, scope) }) {
		g.wrong("from", "people's access tokens cannot list groups without the scope %s.readonly: add it to scopes", scope)
	}
}
