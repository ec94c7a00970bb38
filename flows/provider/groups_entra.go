package provider

import (
	"context"
	"errors"
	"net/url"
	"strings"

	"github.com/doorward/doorward/internal/secret"
)

// overage tells whether Entra left the groups out of an ID token because there are too many: more than 200, or 6 in what
// comes through the browser. It then names the claim among the distributed ones (OIDC Core §5.6.2), or says hasgroups.
//
// The place that _claim_sources names is never asked. It is an address of the retired Azure AD Graph, and a token that
// goes wherever a claim says would be anybody's who can have claims signed.
func overage(claims object) bool {
	if raw := string(claims["hasgroups"]); raw == "true" || raw == `"true"` {
		return true
	}
	if !claims.has("_claim_names") {
		return false
	}
	names, err := parseObject(claims["_claim_names"])
	return err == nil && names.has("groups")
}

// graphOf is Microsoft Graph of the cloud that an issuer belongs to.
func graphOf(issuer string) string {
	u, err := url.Parse(issuer)
	if err != nil {
		return ""
	}
	switch host := strings.ToLower(u.Hostname()); {
	case strings.HasSuffix(host, ".us"): // the cloud of the US government; its DoD part has dod-graph.microsoft.us, told by no issuer
		return "https://graph.microsoft.us"
	case strings.HasSuffix(host, ".cn"):
		return "https://microsoftgraph.chinacloudapi.cn"
	}
	return "https://graph.microsoft.com"
}

const entraAdvice = "the access token must be one for Microsoft Graph with the permission User.Read (or GroupMember.Read.All): " +
	"add \"User.Read\" to scopes, and no scope of another API beside it; or write groups = { from = \"claims\" } to live without the groups of people who have many"

const entraNamesAdvice = "names of groups need the permission GroupMember.Read.All, which an administrator consents to: add it to scopes"

// entraGroups lists the groups that the token's person is in, directly or not. It asks without a cast to groups, since that
// is answered from an index that lags behind: directory roles and administrative units are left out here.
func (c *Client) entraGroups(ctx context.Context, access secret.String) ([]string, error) {
	l := listing{
		where:  "Microsoft Graph",
		first:  c.conf.Groups.URL + "/v1.0/me/transitiveMemberOf?$select=id&$top=999",
		header: bearerHeader(access, "application/json"),
		advice: entraAdvice,
		read:   func(a *answer) (page, error) { return readGraphPage(a.body, "id") },
	}
	if c.conf.Groups.InsecureNames {
		l.first = strings.Replace(l.first, "=id&", "=id,displayName&", 1)
		l.advice += "; " + entraNamesAdvice
		l.read = func(a *answer) (page, error) { return readGraphPage(a.body, "displayName") }
	}
	return c.list(ctx, l)
}

// readGraphPage reads one page of a user's memberships.
func readGraphPage(body []byte, member string) (page, error) {
	o, err := parseObject(body)
	if err != nil {
		return page{}, err
	}
	if !o.has("value") {
		return page{}, errors.New("value is missing")
	}
	list, err := o.objects("value")
	if err != nil {
		return page{}, err
	}
	var p page
	for _, e := range list {
		kind, err := e.str("@odata.type")
		if err != nil {
			return page{}, err
		}
		if kind != "#microsoft.graph.group" {
			continue
		}
		id, err := e.need("id")
		if err != nil {
			return page{}, err
		}
		if member != "id" {
			if id, err = e.str(member); err != nil {
				return page{}, err
			}
			if id == "" {
				return page{}, fail(Misconfigured, codeGroupsRefused, "Microsoft Graph lists groups without their names: %s", entraNamesAdvice)
			}
		}
		p.items = append(p.items, id)
	}
	p.next, err = o.str("@odata.nextLink")
	return p, err
}
