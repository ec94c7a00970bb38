package provider

import (
	"context"
	"net/url"
	"slices"
	"strings"

	"github.com/doorward/doorward/internal/secret"
)

// googleMember is the address under which groups of an organisation know a person; "" = they are in none. Only an
// organisation's own accounts have hd, and only a verified address names its owner: anybody can open an account with
// somebody else's.
func googleMember(claims object, domains []string) string {
	hd := claims.text("hd")
	if hd == "" || domains != nil && !slices.ContainsFunc(domains, func(d string) bool { return strings.EqualFold(d, hd) }) {
		return ""
	}
	if !claims.emailVerified() {
		return ""
	}
	return attribute(claims.text("email"))
}

const googleAdvice = "the Cloud Identity API must be enabled in the project of the client, and the access token needs the scope " +
	"https://www.googleapis.com/auth/cloud-identity.groups.readonly: add it to scopes; nested = true needs an edition of Google Workspace that can search transitively"

// googleGroups asks the Cloud Identity API for the groups of a member. They are named by their addresses.
func (c *Client) googleGroups(ctx context.Context, email string, access secret.String) ([]string, error) {
	method := "searchDirectGroups"
	if c.conf.Groups.Nested {
		method = "searchTransitiveGroups"
	}
	query := url.Values{
		"query":    {"member_key_id == " + celText(email) + " && 'cloudidentity.googleapis.com/groups.discussion_forum' in labels"},
		"pageSize": {"500"},
	}
	return c.list(ctx, googleListing("the Cloud Identity API", c.conf.Groups.URL+"/v1/groups/-/memberships:"+method, query, access, googleAdvice, readMemberships))
}

// googleListing asks for pages that are named by a token in the query.
func googleListing(where, at string, query url.Values, access secret.String, advice string, read func(body []byte) (items []string, token string, err error)) listing {
	first := at + "?" + query.Encode()
	return listing{
		where: where, first: first, header: bearerHeader(access, "application/json"), advice: advice,
		read: func(a *answer) (page, error) {
			items, token, err := read(a.body)
			p := page{items: items}
			if token != "" {
				p.next = first + "&pageToken=" + url.QueryEscape(token)
			}
			return p, err
		},
	}
}

// celText writes a text as a literal of Google's query language, so that no address can end it and go on with a query of
// its own.
func celText(s string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(s) + "'"
}

// readMemberships reads one page of searchDirectGroups or searchTransitiveGroups.
func readMemberships(body []byte) (items []string, token string, err error) {
	o, err := parseObject(body)
	if err != nil {
		return nil, "", err
	}
	list, err := o.objects("memberships")
	if err != nil {
		return nil, "", err
	}
	for _, m := range list {
		key, err := parseObject(m["groupKey"])
		if err != nil {
			return nil, "", err
		}
		id, err := key.need("id")
		if err != nil {
			return nil, "", err
		}
		if key.has("namespace") { // of an identity source: its ids are no addresses, and could look like one
			continue
		}
		items = append(items, id)
	}
	token, err = o.str("nextPageToken")
	return items, token, err
}
