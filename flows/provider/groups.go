package provider

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/doorward/doorward/internal/identity"
	"github.com/doorward/doorward/internal/secret"
)

// Codes of errors that more than one place speaks of.
const (
	codeGroupsRefused = "groups_refused"
	codeTooManyGroups = "too_many_groups"
)

// Where groups come from.
const (
	fromClaims = "claims"
	fromEntra  = "entra"
	fromGoogle = "google"
	fromGitHub = "github"
)

// Groups says where a person's groups come from if not from the claims of their tokens. They are looked up after each login
// and at each refresh, and never when a request passes.
type Groups struct {
	From string   // "claims", "entra", "google" or "github"; "" = by issuer
	URL  string   // of the API, without version and path; "" = by issuer
	Keep []string // only these are kept of what is found; nil = all, at most maxGroups of them

	InsecureNames bool     // entra: display names in the place of ids; whoever may create groups can choose them
	Nested        bool     // google: also groups that hold the person's groups
	Domains       []string // google: hosted domains (hd) whose people are looked up; nil = of all

	ServiceAccount secret.String // google: JSON key of a service account that asks the Directory API; zero = the person's own token asks
	Admin          string        // google: in whose name the service account asks
}

// What a look-up may cost (P058, P059).
const (
	maxGroups     = 2000   // in an identity
	maxListed     = 20_000 // read before Keep is applied
	maxGroupPages = 100    // answers to one question
	maxGroupName  = 512    // bytes; a longer one is no group that a rule could name
)

// defaultGroups fills in where groups come from. Entra is asked without being told, because an ID token with an overage
// says that there are groups and not which: to go on with none would let people through every rule that denies by group.
func (conf *Config) defaultGroups() {
	g := &conf.Groups
	if g.From == "" {
		switch {
		case conf.Profile == profileGitHub:
			g.From = fromGitHub
		case vendorOf(conf.Issuer) == entra && conf.GroupsClaim == "groups":
			g.From = fromEntra
		default:
			g.From = fromClaims
		}
	}
	if g.URL != "" {
		g.URL = strings.TrimSuffix(g.URL, "/")
		return
	}
	switch {
	case conf.Profile == profileGitHub:
		g.URL = gitHubAPI(conf.Issuer)
	case g.From == fromEntra:
		g.URL = graphOf(conf.Issuer)
	case g.From == fromGoogle && !g.ServiceAccount.IsZero():
		g.URL = googleDirectory
	case g.From == fromGoogle:
		g.URL = "https://cloudidentity.googleapis.com"
	}
}

// checkGroups reports settings that cannot be meant. Each error begins with the key.
func (conf *Config) checkGroups() error {
	g := conf.Groups
	var errs []error
	wrong := func(key, format string, args ...any) {
		errs = append(errs, fmt.Errorf("groups.%s: %s", key, fmt.Sprintf(format, args...)))
	}
	switch {
	case !slices.Contains([]string{fromClaims, fromEntra, fromGoogle, fromGitHub}, g.From):
		wrong("from", "%s is none of claims, entra, google, github", shown(g.From))
	case g.From == fromGitHub && conf.Profile != profileGitHub:
		wrong("from", "github is for providers with profile = \"github\"")
	case conf.Profile == profileGitHub && g.From != fromGitHub && g.From != fromClaims:
		wrong("from", "%s cannot be asked about people of GitHub", g.From)
	case g.From != fromClaims && conf.GroupsClaim != "groups":
		wrong("from", "groups come from the claim %s already (groups_claim); drop one of them", shown(conf.GroupsClaim))
	}
	if g.URL != "" {
		if u, err := url.Parse(g.URL); err == nil && (u.RawQuery != "" || u.ForceQuery) {
			wrong("url", "it has no query")
		} else if err := checkEndpoint(g.URL, false, true); err != nil {
			wrong("url", "%s", err)
		}
	}
	if g.Keep != nil && (len(g.Keep) == 0 || slices.Contains(g.Keep, "")) {
		wrong("keep", "an empty list, or an empty name, keeps nothing; leave keep out to keep all groups")
	}
	if g.Domains != nil && (len(g.Domains) == 0 || slices.Contains(g.Domains, "")) {
		wrong("domains", "an empty list, or an empty name, is no domain; leave domains out to look up people of all")
	}
	if g.From == fromClaims && conf.Profile != profileGitHub && g.URL != "" {
		wrong("url", "nothing is asked there: groups come from the claims")
	}
	for key, misplaced := range map[string]bool{
		"keep":            g.Keep != nil && g.From == fromClaims,
		"insecure_names":  g.InsecureNames && g.From != fromEntra,
		"nested":          g.Nested && g.From != fromGoogle,
		"domains":         g.Domains != nil && g.From != fromGoogle,
		"service_account": !g.ServiceAccount.IsZero() && g.From != fromGoogle,
	} {
		if misplaced {
			wrong(key, "it has no effect with from = %q", g.From)
		}
	}
	if err := g.checkServiceAccount(); err != nil {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// enquiry is what must be asked about a person. Two that are equal have the same answer. The zero enquiry is none: the
// claims say it all.
type enquiry struct {
	from    string
	subject string
	email   string // google
}

// enquiry reads out of validated claims what has to be asked.
func (c *Client) enquiry(claims object) enquiry {
	switch g := c.conf.Groups; g.From {
	case fromEntra:
		if g.InsecureNames || overage(claims) {
			return enquiry{from: fromEntra, subject: claims.text("sub")}
		}
	case fromGoogle:
		if email := googleMember(claims, g.Domains); email != "" {
			return enquiry{from: fromGoogle, subject: claims.text("sub"), email: email}
		}
	}
	return enquiry{}
}

// found is an answer.
type found struct {
	to     enquiry
	groups []string
}

// look answers an enquiry, with a person's own access token or by the service account. Failures are *Error and never Refused.
func (c *Client) look(ctx context.Context, q enquiry, access secret.String) (*found, error) {
	if q == (enquiry{}) {
		return nil, nil
	}
	if access.IsZero() && c.directory == nil {
		return nil, aboutGroups(fail(Misconfigured, codeGroupsRefused, "the groups have to be looked up, and this login brings no access token to do it with: use authorization_code, or write groups = { from = \"claims\" } to live without them"))
	}
	var groups []string
	err := c.lookUps.inTurn(ctx, c.now, q.subject, func(ctx context.Context) (err error) {
		groups, err = c.ask(ctx, q, access)
		return err
	})
	if err != nil {
		return nil, aboutGroups(err)
	}
	return &found{q, groups}, nil
}

// ask is look without its turn.
func (c *Client) ask(ctx context.Context, q enquiry, access secret.String) (listed []string, err error) {
	switch {
	case q.from == fromEntra:
		listed, err = c.entraGroups(ctx, access)
	case c.directory == nil:
		listed, err = c.googleGroups(ctx, q.email, access)
	default:
		listed, err = c.directoryGroups(ctx, q.email)
	}
	if err != nil {
		return nil, err
	}
	return c.kept(listed)
}

// aboutGroups marks a failure as one of a look-up, so that a page can say what has failed.
func aboutGroups(err error) error {
	if e, ok := err.(*Error); ok {
		again := *e
		again.Groups = true
		return &again
	}
	return err
}

// kept drops what stands there twice, what no rule could name, and what is not to be kept.
func (c *Client) kept(listed []string) ([]string, error) {
	groups := make([]string, 0, min(len(listed), maxGroups))
	seen := make(map[string]bool, len(listed))
	for _, g := range listed {
		if seen[g] || g == "" || len(g) > maxGroupName || attribute(g) == "" || c.conf.Groups.Keep != nil && !slices.Contains(c.conf.Groups.Keep, g) {
			continue
		}
		seen[g] = true
		groups = append(groups, g)
	}
	if len(groups) > maxGroups {
		return nil, fail(Misconfigured, codeTooManyGroups, "the person is in %d groups, and at most %d fit into a session: name those that rules speak of by groups = { keep = [...] }", len(groups), maxGroups)
	}
	return groups, nil
}

// grouped gives an identity that nobody has seen yet the groups that are looked up for it. ahead may hold them already.
func (c *Client) grouped(ctx context.Context, who *identity.Identity, claims object, access secret.String, ahead *found) (*identity.Identity, error) {
	q := c.enquiry(claims)
	if q == (enquiry{}) {
		return who, nil
	}
	if ahead == nil || ahead.to != q {
		var err error
		if ahead, err = c.look(ctx, q, access); err != nil {
			return nil, err
		}
	}
	who.Groups = ahead.groups
	return who, nil
}

// refusedGroups makes an *Error of an answer that is no list: advice says what the operator can do about a 401 or 403.
func (a *answer) refusedGroups(where, advice string, now time.Time) *Error {
	if e := a.trouble(where, now); e != nil {
		return e
	}
	switch a.status {
	case 200:
		return nil
	case 400, 401, 403, 404:
		return fail(Misconfigured, codeGroupsRefused, "%s answered %d: %s", where, a.status, advice)
	}
	return fail(Misbehaved, "bad_status", "%s answered %d", where, a.status)
}
