package provider

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/doorward/doorward/internal/secret"
)

// gitHubVersion is that of the API that the answers are read by.
const gitHubVersion = "2022-11-28"

func gitHubHeader(access secret.String) http.Header {
	h := bearerHeader(access, "application/vnd.github+json")
	h["X-Github-Api-Version"] = []string{gitHubVersion}
	return h
}

// gitHubPause is how long to wait after a "too often" that does not say how long, as GitHub wants it.
const gitHubPause = time.Minute

// gitHubLimited finds the answers by which GitHub says "too often". Most are a 403, which would else mean "you may not", and
// those of its secondary limits are told by their text alone.
func (c *Client) gitHubLimited(a *answer) *Error {
	if a.status != http.StatusForbidden && a.status != http.StatusTooManyRequests {
		return nil
	}
	spent := a.header.Get("X-Ratelimit-Remaining") == "0"
	if a.status == http.StatusForbidden && !spent && a.header.Get("Retry-After") == "" && !a.says("rate limit") && !a.says("abuse detection") {
		return nil
	}
	e := fail(Unavailable, "rate_limited", "GitHub answered %d: too many requests for this person", a.status)
	e.RetryAfter = retryAfter(a.header, c.now())
	if at, err := strconv.ParseInt(a.header.Get("X-Ratelimit-Reset"), 10, 40); err == nil && spent && e.RetryAfter == 0 {
		e.RetryAfter = min(time.Unix(at, 0).Sub(c.now()), longestPause)
	}
	if e.RetryAfter <= 0 {
		e.RetryAfter = gitHubPause
	}
	return e
}

// says tells whether some words stand in an answer, in whatever case.
func (a *answer) says(words string) bool { return bytes.Contains(bytes.ToLower(a.body), []byte(words)) }

// gitHubNarrow finds a token with fewer scopes than it takes to list organisations and teams. An Enterprise Server of old does
// not refuse it, but lists what is public: people would not be in groups that a rule denies. Tokens of GitHub Apps have no scopes.
func gitHubNarrow(a *answer) *Error {
	has := strings.FieldsFunc(strings.Join(a.header.Values("X-Oauth-Scopes"), ","), func(r rune) bool { return r == ',' || r == ' ' })
	enough := func(scope string) bool {
		return slices.Contains([]string{"read:org", "write:org", "admin:org", "user", "repo"}, scope)
	}
	if len(has) == 0 || slices.ContainsFunc(has, enough) {
		return nil
	}
	return fail(Misconfigured, codeGroupsRefused, "the access token has the scopes %s only: %s", shown(strings.Join(has, " ")), gitHubAdvice)
}

// gitHubUser asks whose a token is, and answers in the words of OpenID Connect. The subject is the numeric id: a login
// can be changed, and then be taken by somebody else.
func (c *Client) gitHubUser(ctx context.Context, access secret.String) (object, error) {
	a, err := c.plain.getFrom(ctx, "userinfo_endpoint", c.conf.Groups.URL+"/user", gitHubHeader(access))
	if err != nil {
		return nil, err
	}
	if e := c.gitHubLimited(a); e != nil {
		return nil, e
	}
	if e := a.trouble("GitHub", c.now()); e != nil {
		return nil, e
	}
	switch {
	case a.status == http.StatusOK:
	case a.status == http.StatusUnauthorized, a.status == http.StatusForbidden && a.says("suspended"): // another 403 is about something else than the person
		return nil, fail(Misbehaved, "userinfo_refused", "GitHub answered %d to the access token: it was revoked, or the account is suspended", a.status)
	default:
		return nil, fail(Misbehaved, "bad_status", "GitHub answered %d when asked whose the access token is; is groups.url its API?", a.status)
	}
	if !a.json() {
		return nil, fail(Misbehaved, "bad_response", "GitHub answered with %s, not JSON", shown(a.media))
	}
	claims, err := readGitHubUser(a.body)
	if err != nil {
		return nil, fail(Misbehaved, "bad_response", "GitHub's answer about the person: %v", err)
	}
	claims.put("iss", c.conf.Issuer)
	return claims, nil
}

// readGitHubUser reads the answer of GET /user.
func readGitHubUser(body []byte) (object, error) {
	o, err := parseObject(body)
	if err != nil {
		return nil, err
	}
	id := string(o["id"])
	if len(id) > 18 || id == "" || id[0] == '0' || strings.Trim(id, "0123456789") != "" {
		return nil, errors.New("id is missing, or no number")
	}
	login, err := o.need("login")
	if err != nil {
		return nil, err
	}
	claims := object{}
	claims.put("sub", id)
	claims.put("preferred_username", login)
	for from, to := range map[string]string{"name": "name", "html_url": "profile", "avatar_url": "picture"} {
		if text := o.text(from); text != "" {
			claims.put(to, text)
		}
	}
	return claims, nil
}

// gitHubEmail asks for the person's primary address. It is an attribute: without the permission there is none.
func (c *Client) gitHubEmail(ctx context.Context, access secret.String) (string, error) {
	refused := fail(Misconfigured, codeGroupsRefused, "GitHub does not tell addresses")
	found, err := c.list(ctx, listing{
		where: "GitHub", first: c.conf.Groups.URL + "/user/emails?per_page=100", header: gitHubHeader(access),
		judge: func(a *answer) *Error {
			if e := c.gitHubLimited(a); e != nil {
				return e
			}
			if a.status == http.StatusForbidden || a.status == http.StatusNotFound {
				return refused
			}
			return nil
		},
		read: linked(readGitHubEmails),
	})
	if e, ok := err.(*Error); ok && e == refused {
		c.log.Warn("GitHub does not tell the person's addresses: the scope user:email, or the permission \"Email addresses\" of a GitHub App, is missing")
		return "", nil
	}
	if err != nil || len(found) == 0 {
		return "", err
	}
	return found[0], nil
}

// readGitHubEmails returns the primary address if it is verified; an unverified one may be anybody's.
func readGitHubEmails(body []byte) (items []string, err error) {
	list, err := parseArray(body)
	if err != nil {
		return nil, err
	}
	for _, e := range list {
		primary, err := e.boolean("primary")
		if err != nil {
			return nil, err
		}
		verified, err := e.boolean("verified")
		if err != nil {
			return nil, err
		}
		if email := e.text("email"); primary && verified && email != "" {
			items = append(items, email)
		}
	}
	return items, nil
}

const gitHubAdvice = "organisations and teams need the scope read:org, or the permission \"Members: read\" of a GitHub App; " +
	"or write groups = { from = \"claims\" } to live without them"

// gitHubGroups lists the organisations (ORG) and the teams (ORG/TEAM) that the person is in.
func (c *Client) gitHubGroups(ctx context.Context, access secret.String) ([]string, error) {
	all := []string(nil)
	for _, l := range []listing{
		{first: "/user/orgs?per_page=100", read: linked(readGitHubOrgs)},
		{first: "/user/teams?per_page=50", read: linked(readGitHubTeams)}, // each holds its organisation, whole
	} {
		l.where, l.first, l.header, l.advice = "GitHub", c.conf.Groups.URL+l.first, gitHubHeader(access), gitHubAdvice
		l.judge = func(a *answer) *Error {
			if e := c.gitHubLimited(a); e != nil {
				return e
			}
			return gitHubNarrow(a)
		}
		items, err := c.list(ctx, l)
		if err != nil {
			return nil, err
		}
		all = append(all, items...)
	}
	return all, nil
}

func readGitHubOrgs(body []byte) (items []string, err error) {
	list, err := parseArray(body)
	if err != nil {
		return nil, err
	}
	for _, o := range list {
		login, err := gitHubName(o, "login")
		if err != nil {
			return nil, err
		}
		items = append(items, login)
	}
	return items, nil
}

func readGitHubTeams(body []byte) (items []string, err error) {
	list, err := parseArray(body)
	if err != nil {
		return nil, err
	}
	for _, o := range list {
		slug, err := gitHubName(o, "slug")
		if err != nil {
			return nil, err
		}
		org, err := parseObject(o["organization"])
		if err != nil {
			return nil, errors.New("organization: " + err.Error())
		}
		login, err := gitHubName(org, "login")
		if err != nil {
			return nil, err
		}
		items = append(items, login+"/"+slug)
	}
	return items, nil
}

// gitHubName reads a login or a slug. With a slash in it, an organisation could pass for a team of another.
func gitHubName(o object, member string) (string, error) {
	name, err := o.need(member)
	if err == nil && (len(name) > 255 || !printable(name) || strings.ContainsAny(name, "/,")) {
		err = errors.New(member + " is no name of GitHub's")
	}
	return name, err
}

// linked reads a page whose successor the Link header names (RFC 8288).
func linked(read func(body []byte) ([]string, error)) func(a *answer) (page, error) {
	return func(a *answer) (page, error) {
		items, err := read(a.body)
		return page{items: items, next: nextLink(a.header.Values("Link"))}, err
	}
}

// nextLink returns the target of the first link with rel="next"; "" = there is none, or nothing that can be read.
func nextLink(values []string) string {
	for _, v := range values {
		for {
			_, rest, ok := strings.Cut(v, "<")
			if !ok {
				break
			}
			target, rest, ok := strings.Cut(rest, ">")
			if !ok {
				break
			}
			params, after, _ := strings.Cut(rest, "<")
			for p := range strings.SplitSeq(params, ";") {
				name, value, _ := strings.Cut(strings.TrimRight(strings.TrimSpace(p), ", "), "=")
				if strings.EqualFold(strings.TrimSpace(name), "rel") && strings.EqualFold(strings.Trim(strings.TrimSpace(value), `"`), "next") {
					return target
				}
			}
			if after == "" {
				break
			}
			v = "<" + after
		}
	}
	return ""
}
