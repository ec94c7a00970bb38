package provider

import (
	"context"
	"net/http"
	"strings"
)

// gitHub is Probe for a provider that announces nothing. Redirect URIs are not tried: GitHub shows a page where others answer.
func (p *probe) gitHub(ctx context.Context, m *metadata, needs []Needs) []Finding {
	p.client(ctx, m, needs)
	api := p.c.conf.Groups.URL
	switch a, err := p.c.plain.getFrom(ctx, "userinfo_endpoint", api+"/user", http.Header{"Accept": {"application/vnd.github+json"}}); {
	case err != nil:
		p.bad("GitHub's API cannot be reached (%s), and without it nobody can sign in", err)
	case a.status == http.StatusUnauthorized, p.c.gitHubLimited(a) != nil: // nobody has signed in here
		p.good("GitHub's API answers at %s", api)
	default:
		p.bad("GitHub's API is not at %s: it answers %d to who has no token; set groups.url", api, a.status)
	}
	if p.c.conf.Groups.From == fromGitHub {
		p.good("groups are looked up after each login and at each refresh, with the scopes %s; an organisation that restricts apps must approve this one", strings.Join(p.c.conf.Scopes, " "))
	}
	p.good("register /oauth2/callback of each host as a callback URL of the app: GitHub does not say whether that is done")
	return p.found
}
