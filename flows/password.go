package flows

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"strings"
	"time"

	"github.com/doorward/doorward/flows/provider"
	"github.com/doorward/doorward/internal/credentials"
	"github.com/doorward/doorward/internal/identity"
	"github.com/doorward/doorward/internal/pages"
	"github.com/doorward/doorward/internal/secret"
)

const (
	codeWrongCredentials = "wrong_credentials" // of docs/errors.md

	maxPasswordGrants = 16               // passwords being tried at a time, per login
	passwordLimit     = 30 * time.Second // for a trial; whoever has begun it may be gone by then
	maxTyped          = 1 << 10          // bytes of a user name or a password
)

// password is the resource owner password credentials flow (RFC 6749 §4.3): a person gives their
// password to us, and we try it at the provider. RFC 9700 §2.4 says that this must not be used; it is
// for programs that know nothing but HTTP Basic, and acts only where a route names it (ROP-1).
type password struct {
	scopes []string
	params url.Values
	otp    string // the provider's name for a one-time code; "" = none is asked for
	form   bool
	most   int // failures at one user that are forwarded in strikeWindow
	places chan struct{}
	refuse refusals
	basic  *Basic // made once, for all routes
}

func newPassword(_ *provider.Client, c Login) (*password, error) {
	params, err := ownParams(c, provider.ReservedPassword)
	if err != nil {
		return nil, err
	}
	for _, name := range c.PassParams {
		if provider.ReservedPassword(name) || name == c.OTP {
			return nil, fmt.Errorf("pass_params: %s is set by Doorward itself", name)
		}
	}
	switch _, taken := params[c.OTP]; {
	case c.OTP != "" && (provider.ReservedPassword(c.OTP) || taken):
		return nil, fmt.Errorf("otp: the parameter %s is set already", c.OTP)
	case c.OTP != "" && !c.Form:
		return nil, errors.New("otp: needs form = true: HTTP Basic has no room for a one-time code")
	case c.MaxFailures < 0 || c.MaxFailures > mostUserStrikes:
		return nil, fmt.Errorf("max_failures: must be 1 to %d", mostUserStrikes)
	}
	return &password{
		scopes: c.Scopes, params: params, otp: c.OTP, form: c.Form, most: cmp.Or(c.MaxFailures, maxUserStrikes),
		places: make(chan struct{}, maxPasswordGrants),
	}, nil
}

// typed is what a person or a program gives to prove who they are.
type typed struct {
	username string
	password secret.String
	code     secret.String // one-time; zero = none
	passed   url.Values    // what of a visitor's query goes along (pass.go)
	client   string        // the address from where; "" = not known
	foreign  bool          // a page of another site has made the browser ask
	proven   bool          // the very same were right until a short while ago
}

// hopeless reports what cannot be right, so that nobody need be asked (ROP-5). A ticket is never shown to a provider.
func (t typed) hopeless() bool {
	for _, s := range []string{t.username, t.password.Reveal()} {
		if s == "" || len(s) > maxTyped || !plain(s) || credentials.IsTicket(s) {
			return true
		}
	}
	return len(t.code.Reveal()) > maxTyped || !plain(t.code.Reveal()) || strings.TrimSpace(t.username) == ""
}

// tryPassword finds out at the provider whom a name and a password prove. name is a keyed hash of all
// of them. Every error is an answer, and none tells whether there is such a user (P174): a
// refusal says the same of a name that nobody has, and is counted and remembered in the same way.
func (f *Flows) tryPassword(ctx context.Context, l *login, t typed, name digestOf) (*identity.Identity, error) {
	p := l.password
	if t.hopeless() {
		return nil, wrongCredentials(errors.New("what was typed is empty, too long, or no text; the provider was not asked"))
	}
	if err := p.refuse.find(name, f.deps.Now()); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), passwordLimit)
	defer cancel()
	if err := p.enter(ctx); err != nil {
		return nil, err
	}
	defer p.leave()
	s, err := f.lockout(l).admit(ctx, t)
	if err != nil {
		return nil, err
	}
	who, err := f.grantPassword(ctx, l, t)
	if err == nil {
		p.refuse.forget(name)
		s.succeeded(ctx)
		return who, nil
	}
	refusal, verdict := passwordError(l, err)
	if !verdict {
		s.forgive(ctx) // nothing was said about the password
		return nil, refusal
	}
	p.refuse.remember(name, refusal, f.deps.Now())
	return nil, refusal
}

func (f *Flows) grantPassword(ctx context.Context, l *login, t typed) (*identity.Identity, error) {
	extra := url.Values{}
	maps.Copy(extra, l.password.params)
	maps.Copy(extra, t.passed) // of other names, as checkPass has seen to
	if l.password.otp != "" && !t.code.IsZero() {
		extra.Set(l.password.otp, t.code.Reveal())
	}
	r, err := l.client.Password(ctx, provider.PasswordRequest{Username: t.username, Password: t.password, Scopes: l.password.scopes, Extra: extra})
	if err != nil {
		return nil, err
	}
	who, err := l.client.Identify(ctx, r, provider.Expect{Login: l.name, NoNonce: true})
	if err != nil { // nobody holds these tokens (REF-8)
		f.deps.Revoker.Revoke(ctx, &identity.Identity{Issuer: l.client.Issuer(), Provider: l.provider, Login: l.name, Tokens: &r.Tokens})
	}
	return who, err
}

// enter waits for a place among the trials: a provider that takes its time to refuse must not collect all
// the callers that there are (S18).
func (p *password) enter(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, grantWait)
	defer cancel()
	select {
	case p.places <- struct{}{}:
		return nil
	case <-ctx.Done():
		return &pages.Error{Code: codeProviderDown, Detail: "Too many sign-ins are under way just now.", RetryAfter: retryAfter}
	}
}

func (p *password) leave() { <-p.places }

// saysNo reports whether an answer is about the person, and not about us or the weather.
func saysNo(err error) bool {
	var e *pages.Error
	return errors.As(err, &e) && (e.Code == codeWrongCredentials || e.Code == codeDenied)
}

func wrongCredentials(err error) *pages.Error {
	return &pages.Error{Code: codeWrongCredentials, Detail: "The user name, the password or the one-time code is not right.", Err: err}
}

// passwordError makes an answer of what the provider said (ROP-4). verdict tells that it was about the
// person, and not about us or the weather: then it counts as a failure.
func passwordError(l *login, err error) (answer *pages.Error, verdict bool) {
	var e *provider.Error
	if !errors.As(err, &e) {
		return &pages.Error{Code: codeProviderBad, Err: fmt.Errorf("login.%s: %w", l.name, err)}, false
	}
	if e.Kind != provider.Refused {
		return providerFailure(e, err), false
	}
	if wantsMore(e) {
		return &pages.Error{
			Code:   codeDenied,
			Detail: "The provider wants more of this account than a password: a second factor, or something that must be done there first. Sign in by a browser instead.",
			Err:    err,
		}, true
	}
	return wrongCredentials(err), true
}

// wantsMore reports whether a provider asks for what a password grant cannot give. There is no standard
// word for it: codes of OpenID Connect Core §3.1.2.6 and Auth0, descriptions of Keycloak and Entra. All of
// them come only after the right password.
func wantsMore(e *provider.Error) bool {
	switch e.Code {
	case "mfa_required", "interaction_required", "consent_required", "login_required", "account_selection_required":
		return true
	}
	for _, text := range []string{"Account is not fully set up", "AADSTS50055", "AADSTS50074", "AADSTS50076", "AADSTS50079", "AADSTS50158", "AADSTS53003", "AADSTS65001"} {
		if strings.Contains(e.Detail, text) {
			return true
		}
	}
	return false
}
