package flows

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/doorward/doorward/flows/provider"
	"github.com/doorward/doorward/internal/identity"
	"github.com/doorward/doorward/internal/secret"
)

// The response modes of a front-channel login. There is no "query": it would put tokens into URLs, which
// end in histories and logs (Multiple Response Types §3, IMP-2).
const (
	formPost = "form_post"
	fragment = "fragment"
)

// frontChannel is the implicit flow and the hybrid flow (OIDC Core §3.2, §3.3): what the provider answers
// comes through the browser and holds an ID token, an access token, or a code with one of them. RFC 9700
// §2.1.2 advises against access tokens that travel so; they are for providers and clients
// that can do nothing else.
type frontChannel struct {
	client   *provider.Client
	login    string
	request  request
	promised []string // of code, id_token and token: what response_type says
	mode     string
}

// responseTypes are those that say who signs in: "token" alone does not. Their order is that of the
// registry; the order of words means nothing (Multiple Response Types §5).
var responseTypes = map[string][]string{
	"implicit": {"id_token", "id_token token"}, // the first is the default
	"hybrid":   {"code id_token", "code token", "code id_token token"},
}

func newFrontChannel(client *provider.Client, l Login) (*frontChannel, error) {
	q, err := newRequest(l)
	if err != nil {
		return nil, err
	}
	known := responseTypes[l.Flow]
	words := strings.Fields(l.ResponseType)
	if len(words) == 0 {
		words = strings.Fields(known[0])
	}
	slices.Sort(words)
	responseType := strings.Join(words, " ")
	if !slices.Contains(known, responseType) {
		return nil, fmt.Errorf("response_type: %q is none of the flow %q, which has: %s", l.ResponseType, l.Flow, strings.Join(known, ", "))
	}
	mode := l.ResponseMode
	switch mode {
	case "":
		mode = formPost
	case formPost, fragment:
	default:
		return nil, fmt.Errorf("response_mode: %q: there are form_post and fragment; tokens never come in a query", mode)
	}
	return &frontChannel{client: client, login: l.Name, request: q, promised: words, mode: mode}, nil
}

func (c *frontChannel) authorize(ctx context.Context, a *attempt, how authorization) (string, error) {
	q := c.request.authorizationRequest(a, how)
	q.ResponseType, q.ResponseMode = strings.Join(c.promised, " "), c.mode
	return c.client.AuthorizationURL(ctx, q)
}

// redeem believes nothing of what came through the browser that the ID token in it does not vouch for.
func (c *frontChannel) redeem(ctx context.Context, a *attempt, back answer) (*identity.Identity, error) {
	if err := c.complete(back); err != nil {
		return nil, err
	}
	front, err := c.client.FrontChannel(back.Values)
	if err != nil {
		return nil, byBrowser(err)
	}
	expected := provider.Expect{
		Login: c.login, Nonce: a.nonce(), MaxAge: c.request.maxAge,
		FrontChannel: true, Code: secret.New(back.Get("code")), State: back.Get("state"),
	}
	if !c.promises("code") {
		who, err := c.client.Identify(ctx, front, expected)
		return who, byBrowser(err)
	}
	return c.redeemCode(ctx, a, back, front, expected)
}

// redeemCode is the rest of the hybrid flow. The code is sent only if the ID token that came with it says
// by c_hash that it belongs to it (IMP-6); of what the token endpoint then answers the ID token must be of the same
// person. Its tokens are those that count, since nobody else can have touched them (§3.3.3.8).
func (c *frontChannel) redeemCode(ctx context.Context, a *attempt, back answer, front *provider.Response, expected provider.Expect) (*identity.Identity, error) {
	final := provider.Expect{Login: c.login, Nonce: a.nonce(), MaxAge: c.request.maxAge}
	if c.promises("id_token") {
		expected.MaxAge = 0 // auth_time may be left to the final one
		key, err := c.client.VerifyFront(ctx, front, expected)
		if err != nil {
			return nil, byBrowser(err)
		}
		final.Same = &identity.Identity{Issuer: key.Issuer, Subject: key.Subject}
	}
	response, err := c.client.Grant(ctx, exchange(a, back))
	if err != nil {
		return nil, err
	}
	return c.client.Identify(ctx, response, final)
}

// complete wants exactly what response_type promises (IMP-8), by the way that was asked for. Less is
// no proof; more is an answer to something else, or was put there by somebody.
func (c *frontChannel) complete(back answer) error {
	if !back.posted {
		return badAnswer("the answer came in the address, or says nothing; it was asked for by " + c.mode)
	}
	for word, parameter := range map[string]string{"code": "code", "id_token": "id_token", "token": "access_token"} {
		switch {
		case c.promises(word) && back.Get(parameter) == "":
			return badAnswer("the answer holds no " + parameter)
		case !c.promises(word) && back.Has(parameter):
			return badAnswer("the answer holds a " + parameter + " that was not asked for")
		}
	}
	return nil
}

// byBrowser makes a failure of what came through the browser the browser's: anybody can have put it
// there, so it is no fault of the provider (400 and not 502). What userinfo, or who knows the groups, answers to an access token that the
// ID token vouches for came from nobody else.
func byBrowser(err error) error {
	var e *provider.Error
	if errors.As(err, &e) && e.Kind == provider.Misbehaved && !e.Groups && e.Code != "userinfo_refused" && e.Code != "userinfo_subject" {
		return &provider.Error{Kind: e.Kind, Code: codeBadAnswer, Detail: e.Code, Err: err}
	}
	return err
}

func (c *frontChannel) promises(word string) bool { return slices.Contains(c.promised, word) }
