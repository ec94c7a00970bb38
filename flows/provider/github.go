package provider

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/doorward/doorward/internal/identity"
	"github.com/doorward/doorward/internal/secret"
)

// profileGitHub is a provider that knows OAuth only: no discovery, no ID token, no keys. Who a person is, its API says.
const profileGitHub = "github"

// ProfileOf is the profile of a provider that does not name one: by its issuer, else "generic".
func ProfileOf(issuer string) string {
	if issuer == "https://github.com" {
		return profileGitHub
	}
	return "generic"
}

// gitHubBelief is how long an access token without an end is believed. Tokens of OAuth apps never expire, and without an
// end nobody would ever ask again whether the person still is who they were, in which organisations.
const gitHubBelief = time.Hour

// withProfile fills in what discovery would say.
func (conf Config) withProfile() Config {
	if conf.Profile == "" {
		conf.Profile = ProfileOf(conf.Issuer)
	}
	if conf.Profile != profileGitHub {
		return conf
	}
	base := strings.TrimSuffix(conf.Issuer, "/")
	conf.Discovery, conf.UserInfo = false, "never"
	if conf.Endpoints.Authorization == "" {
		conf.Endpoints.Authorization = base + "/login/oauth/authorize"
	}
	if conf.Endpoints.Token == "" {
		conf.Endpoints.Token = base + "/login/oauth/access_token"
	}
	if conf.Scopes == nil && conf.ClientID != "" {
		conf.Scopes = []string{"read:org", "user:email"}
	}
	if conf.ClientAuth == "" && !conf.ClientSecret.IsZero() {
		conf.ClientAuth = authPost
	}
	return conf
}

func (conf *Config) checkProfile() error {
	switch {
	case conf.Profile != profileGitHub && conf.Profile != "generic":
		return fmt.Errorf("profile: %s is none of generic, github", shown(conf.Profile))
	case conf.Profile != profileGitHub:
		return nil
	case conf.AccessTokens == "introspect":
		return errors.New("access_tokens: GitHub has no introspection endpoint that speaks RFC 7662")
	case conf.ClientID == "":
		return errors.New("client_id: missing; it is that of an OAuth app or GitHub App")
	case conf.ClientAuth != authPost && conf.ClientAuth != authBasic:
		return errors.New("client_secret: missing; GitHub knows apps by their secret alone")
	}
	return nil
}

// isGitHub tells whether logins are GitHub's: authorization_code only, and without an ID token.
func (c *Client) isGitHub() bool { return c.conf.Profile == profileGitHub }

// gitHubAPI is where the API of a GitHub is: of github.com, of a company's own subdomain of ghe.com, or of an Enterprise Server.
func gitHubAPI(issuer string) string {
	u, err := url.Parse(issuer)
	if err != nil {
		return ""
	}
	if host := strings.ToLower(u.Host); u.Scheme == "https" && (host == "github.com" || strings.HasSuffix(host, ".ghe.com")) {
		return "https://api." + host
	}
	return strings.TrimSuffix(issuer, "/") + "/api/v3"
}

// ofGitHub tells whether iss in an authorization response is GitHub's: its metadata (RFC 8414) calls the issuer so.
func (c *Client) ofGitHub(iss string) bool {
	return c.isGitHub() && iss == strings.TrimSuffix(c.conf.Issuer, "/")+"/login/oauth"
}

// identifyGitHub is Identify without an ID token. What binds the answer to this login are state and the PKCE verifier;
// what needs an ID token, such as max_age, cannot be had, and is refused rather than overlooked.
func (c *Client) identifyGitHub(ctx context.Context, r *Response, e Expect) (*identity.Identity, error) {
	switch {
	case r == nil || r.AccessToken.IsZero():
		return nil, fail(Misbehaved, "bad_response", "the answer has no access token")
	case e.Nonce == "" || e.NoNonce || e.FrontChannel || e.Pushed != "" || e.Same != nil || !e.Code.IsZero():
		return nil, fail(Misconfigured, "no_endpoint", "GitHub has logins by authorization_code only")
	case e.MaxAge > 0:
		return nil, fail(Misconfigured, "bad_auth_time", "max_age: GitHub does not say when a person proved themselves")
	case len(e.ACR) > 0:
		return nil, fail(Misconfigured, "bad_acr", "acr_values: GitHub does not say how a person proved themselves")
	}
	p, err := c.gitHubPerson(ctx, "", r.AccessToken)
	if err != nil {
		return nil, err
	}
	return p.identity(c, e.Login, c.believed(r.Tokens))
}

// believed makes tokens of GitHub like those of others: scopes stand between spaces, and a token without an end gets
// one. That it then refreshes itself is what Refresh knows its kind by.
func (c *Client) believed(t identity.Tokens) *identity.Tokens {
	t.Scope = strings.Join(strings.FieldsFunc(t.Scope, func(r rune) bool { return r == ',' || r == ' ' }), " ")
	if t.Expiry.IsZero() {
		t.ReceivedAt, t.Expiry = c.now(), c.now().Add(gitHubBelief)
		if t.RefreshToken.IsZero() {
			t.RefreshToken = t.AccessToken
		}
	}
	return &t
}

// endless tells whether an access token is of the kind that believed made refreshable. Its marker is never sent anywhere as a
// refresh token: GitHub has no other endpoint that takes one.
func endless(t *identity.Tokens) bool { return t.RefreshToken.Equal(t.AccessToken) }

// refreshGitHub asks anew who the person is, where they belong, and, where tokens expire, for new ones. As with other
// providers, what fails while the old token can still ask costs nothing, and no outage ends a session (see groupsAhead and
// waiting).
func (c *Client) refreshGitHub(ctx context.Context, who *identity.Identity) (*identity.Identity, error) {
	if endless(who.Tokens) {
		return c.askGitHubAgain(ctx, who)
	}
	var p *gitHubPerson
	if who.Tokens.Valid(c.now(), 0) || waits(who.Tokens) {
		var err error
		if p, err = c.gitHubPerson(ctx, who.Subject, who.Tokens.AccessToken); err != nil && !gitHubEnded(err) {
			return nil, err
		}
	}
	tokens, err := c.newGitHubTokens(ctx, who.Tokens)
	if err != nil {
		return nil, err
	}
	if p == nil {
		p, err = c.gitHubPerson(ctx, who.Subject, tokens.AccessToken)
	} else {
		err = c.sameGitHubPerson(ctx, tokens.AccessToken, p)
	}
	switch {
	case err == nil:
		return p.renewed(c, who, tokens)
	case refused(err), gitHubEnded(err), lacksRights(err):
		return nil, ended(err)
	}
	c.log.Warn("GitHub cannot be asked about a person after a refresh; what was known counts until the old access token ends", "error", err)
	claims, err := parseObject(who.Claims.Raw())
	if err != nil {
		return nil, fail(Refused, "bad_claims", "the session's claims cannot be read")
	}
	known := &gitHubPerson{claims: claims, groups: who.Groups}
	return known.renewed(c, who, *waiting(&tokens, who.Tokens))
}

// askGitHubAgain renews the belief in a token that has no end.
func (c *Client) askGitHubAgain(ctx context.Context, who *identity.Identity) (*identity.Identity, error) {
	p, err := c.gitHubPerson(ctx, who.Subject, who.Tokens.AccessToken)
	switch {
	case gitHubEnded(err), lacksRights(err) && !who.Tokens.Valid(c.now(), 0):
		return nil, ended(err)
	case err != nil:
		return nil, err
	}
	tokens := *who.Tokens
	tokens.RefreshToken, tokens.Expiry = secret.String{}, time.Time{}
	return p.renewed(c, who, tokens)
}

// renewed is the identity that a refresh makes of who, if it is still the same person (P083).
func (p *gitHubPerson) renewed(c *Client, who *identity.Identity, tokens identity.Tokens) (*identity.Identity, error) {
	if got := p.claims.text("sub"); got != who.Subject {
		return nil, fail(Refused, "bad_subject", "the token is of another person: expected %s, got %s", shown(who.Subject), shown(got))
	}
	return p.identity(c, who.Login, c.believed(tokens))
}

// newGitHubTokens spends the refresh token of a GitHub App's expiring user token.
func (c *Client) newGitHubTokens(ctx context.Context, old *identity.Tokens) (identity.Tokens, error) {
	r, err := c.Grant(ctx, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {old.RefreshToken.Reveal()}})
	if err != nil {
		return identity.Tokens{}, refreshError(err)
	}
	if r.RefreshToken.IsZero() {
		r.RefreshToken, r.RefreshExpiry = old.RefreshToken, old.RefreshExpiry
	}
	if r.Scope == "" {
		r.Scope = old.Scope
	}
	return r.Tokens, nil
}

// sameGitHubPerson holds a new token against the person that the old one was of a moment ago.
func (c *Client) sameGitHubPerson(ctx context.Context, access secret.String, p *gitHubPerson) error {
	claims, err := c.gitHubUser(ctx, access)
	if err != nil {
		return err
	}
	if was, is := p.claims.text("sub"), claims.text("sub"); was != is {
		return fail(Refused, "bad_subject", "the new token is of another person: expected %s, got %s", shown(was), shown(is))
	}
	return nil
}

// gitHubEnded tells whether GitHub said no to a token itself: it was revoked, or its person is suspended.
func gitHubEnded(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.Code == "userinfo_refused"
}

// gitHubPerson is what the API says of a token's person.
type gitHubPerson struct {
	claims object
	groups []string
}

func (p *gitHubPerson) identity(c *Client, login string, tokens *identity.Tokens) (*identity.Identity, error) {
	who, err := c.identity(p.claims, login, tokens)
	if err != nil {
		return nil, err
	}
	who.Groups = p.groups
	return who, nil
}

// gitHubPerson asks who a token's person is, for the address if there is a scope for that, and for where they belong.
// subject is who it should be ("" = not known yet).
func (c *Client) gitHubPerson(ctx context.Context, subject string, access secret.String) (p *gitHubPerson, err error) {
	err = c.lookUps.inTurn(ctx, c.now, subject, func(ctx context.Context) (err error) {
		p, err = c.askGitHub(ctx, access)
		return err
	})
	if err != nil {
		return nil, err
	}
	return p, nil
}

func (c *Client) askGitHub(ctx context.Context, access secret.String) (*gitHubPerson, error) {
	claims, err := c.gitHubUser(ctx, access)
	if err != nil {
		return nil, err
	}
	if slices.Contains(c.conf.Scopes, "user:email") || slices.Contains(c.conf.Scopes, "user") {
		email, err := c.gitHubEmail(ctx, access)
		if err != nil {
			return nil, err
		}
		if email != "" {
			claims.put("email", email)
			claims["email_verified"] = json.RawMessage("true")
		}
	}
	p := &gitHubPerson{claims: claims}
	if c.conf.Groups.From == fromClaims {
		return p, nil
	}
	listed, err := c.gitHubGroups(ctx, access)
	if err != nil {
		return nil, aboutGroups(err)
	}
	if p.groups, err = c.kept(listed); err != nil {
		return nil, aboutGroups(err)
	}
	return p, nil
}

// put sets a member to a text.
func (o object) put(name, value string) {
	raw, _ := json.Marshal(value) // a string always can
	o[name] = raw
}
