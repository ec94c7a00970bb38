package flows

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"strings"

	"github.com/doorward/doorward/flows/provider"
	"github.com/doorward/doorward/internal/identity"
	"github.com/doorward/doorward/internal/pages"
)

const maxPasswordGrants = 16 // passwords being tried at a time, per login

// password is the resource owner password credentials flow (RFC 6749 §4.3): a person gives their
// password to us, and we try it at the provider. RFC 9700 §2.4 says that this must not be used; it is
// for programs that know nothing but HTTP Basic, and acts only where a route names it (ROP-1).
type password struct {
	scopes []string
	params url.Values
	otp    string // the provider's name for a one-time code; "" = none is asked for
	form   bool
	*tries
}

func newPassword(issuer string, c Login) (*password, error) {
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
		scopes: c.Scopes, params: params, otp: c.OTP, form: c.Form,
		tries: newTries(issuer, maxPasswordGrants, codeProviderDown, cmp.Or(c.MaxFailures, maxUserStrikes)),
	}, nil
}

// tryPassword finds out at the provider whom a name and a password prove. name is a keyed hash of all of them.
func (f *Flows) tryPassword(ctx context.Context, l *login, t typed, name digestOf) (*identity.Identity, error) {
	return f.try(ctx, l.password.tries, t, name, func(ctx context.Context) (*identity.Identity, *pages.Error, bool) {
		who, err := f.grantPassword(ctx, l, t)
		if err != nil {
			answer, verdict := passwordError(l, err)
			return nil, answer, verdict
		}
		return who, nil, true
	})
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
