package provider

import (
	"context"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/doorward/doorward/internal/secret"
)

const (
	directoryScope = "https://www.googleapis.com/auth/admin.directory.group.readonly"
	googleTokens   = "https://oauth2.googleapis.com/token"

	googleDirectory = "https://admin.googleapis.com"
)

const directoryAdvice = "the service account must be allowed domain-wide delegation for the scope " + directoryScope +
	" in the admin console, admin must be an administrator who may read groups, and the Admin SDK API must be enabled in the account's project"

// directory is a service account that may list anybody's groups in the name of an administrator, and its last token.
type directory struct {
	account, admin, keyID string
	key                   *rsa.PrivateKey

	turn  chan struct{} // whoever fills it may read and change token and until
	token secret.String
	until time.Time
}

// checkServiceAccount reports what keeps the service account from asking.
func (g *Groups) checkServiceAccount() error {
	switch {
	case g.ServiceAccount.IsZero() && g.Admin != "":
		return errors.New("groups.admin: it accompanies a service_account")
	case g.ServiceAccount.IsZero() || g.From != fromGoogle:
		return nil
	case g.Admin == "":
		return errors.New("groups.admin: missing; it is the address of an administrator in whose name the service account asks")
	case len(g.Domains) == 0:
		return errors.New("groups.domains: missing; a service_account knows the people of its own organisation only, and to ask about others would be an error")
	case g.Nested:
		return errors.New("groups.nested: the Directory API, which a service_account asks, lists the groups that a person is in directly")
	}
	_, err := newDirectory(*g)
	return err
}

// newDirectory reads the key file of a service account. Its token_uri is not believed: an assertion is for Google alone.
func newDirectory(g Groups) (*directory, error) {
	o, err := parseObject([]byte(g.ServiceAccount.Reveal()))
	if err != nil || o.text("type") != "service_account" || o.text("client_email") == "" {
		return nil, errors.New("groups.service_account: it is no JSON key of a service account")
	}
	block, _ := pem.Decode([]byte(o.text("private_key")))
	if block == nil {
		return nil, errors.New("groups.service_account: private_key is no PEM")
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	key, ok := parsed.(*rsa.PrivateKey)
	if err != nil || !ok {
		return nil, errors.New("groups.service_account: private_key is no RSA key")
	}
	return &directory{account: o.text("client_email"), admin: g.Admin, keyID: o.text("private_key_id"), key: key, turn: make(chan struct{}, 1)}, nil
}

// assertion is what the account proves itself by (RFC 7523 §2.1), with the administrator as its subject.
func (d *directory) assertion(audience string, now time.Time) (string, error) {
	options := new(jose.SignerOptions).WithType("JWT")
	if d.keyID != "" {
		options = options.WithHeader("kid", d.keyID)
	}
	s, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: d.key}, options)
	if err != nil {
		return "", fmt.Errorf("the key of the service account: %w", err)
	}
	claims, err := json.Marshal(map[string]any{
		"iss": d.account, "sub": d.admin, "scope": directoryScope, "aud": audience, "iat": now.Unix(), "exp": now.Add(5 * time.Minute).Unix(),
	})
	if err != nil {
		return "", err
	}
	signed, err := s.Sign(claims)
	if err != nil {
		return "", err
	}
	return signed.CompactSerialize()
}

// directoryToken returns the service account's own access token, a new one a minute before the old one ends. One request at
// a time asks for it: when many people sign in at once, the others find what it got.
func (c *Client) directoryToken(ctx context.Context) (token secret.String, err error) {
	d := c.directory
	select {
	case d.turn <- struct{}{}:
		defer func() { <-d.turn }()
	case <-ctx.Done():
		return token, &Error{Kind: Unavailable, Code: "timeout", Detail: "the service account gets no access token in time", Err: ctx.Err()}
	}
	if !d.token.IsZero() && c.now().Before(d.until) {
		return d.token, nil
	}
	r, err := c.newDirectoryToken(ctx)
	if err != nil {
		return token, err
	}
	d.token, d.until = r.AccessToken, r.Expiry.Add(-time.Minute) // of unknown end: once
	return d.token, nil
}

func (c *Client) newDirectoryToken(ctx context.Context) (*Response, error) {
	at := googleTokens
	if c.conf.Groups.URL != googleDirectory { // what stands in for the API stands in for its token endpoint too
		at = c.conf.Groups.URL + "/token"
	}
	assertion, err := c.directory.assertion(at, c.now())
	if err != nil {
		return nil, fail(Misconfigured, codeGroupsRefused, "%v", err)
	}
	form := url.Values{"grant_type": {GrantJWTBearer}, "assertion": {assertion}}
	a, err := c.plain.postTo(ctx, "look_up_token", at, http.Header{"Accept": {"application/json"}}, form, callTimeout)
	if err != nil {
		return nil, err
	}
	r, err := parseTokenResponse(a, c.now(), []string{assertion}, nil)
	if e, ok := err.(*Error); ok && (e.Kind == Refused || e.Kind == Misconfigured) {
		return nil, &Error{Kind: Misconfigured, Code: codeGroupsRefused, Detail: directoryAdvice, Err: e}
	}
	return r, err
}

// forget drops a token that the API refused before its end, so that the next look-up gets another.
func (d *directory) forget(refused secret.String) {
	d.turn <- struct{}{}
	defer func() { <-d.turn }()
	if d.token.Equal(refused) {
		d.token = secret.String{}
	}
}

// directoryGroups asks the Directory API of the Admin SDK which groups a person is in. They are named by their addresses.
func (c *Client) directoryGroups(ctx context.Context, email string) ([]string, error) {
	token, err := c.directoryToken(ctx)
	if err != nil {
		return nil, err
	}
	query := url.Values{"userKey": {email}, "maxResults": {"200"}}
	l := googleListing("the Directory API", c.conf.Groups.URL+"/admin/directory/v1/groups", query, token, directoryAdvice, readDirectoryGroups)
	l.judge = func(a *answer) *Error {
		if a.status == http.StatusUnauthorized {
			c.directory.forget(token)
		}
		return nil
	}
	return c.list(ctx, l)
}

// readDirectoryGroups reads one page of groups.list.
func readDirectoryGroups(body []byte) (items []string, token string, err error) {
	o, err := parseObject(body)
	if err != nil {
		return nil, "", err
	}
	list, err := o.objects("groups")
	if err != nil {
		return nil, "", err
	}
	for _, g := range list {
		email, err := g.need("email")
		if err != nil {
			return nil, "", err
		}
		items = append(items, email)
	}
	token, err = o.str("nextPageToken")
	return items, token, err
}
