package proxy

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"strings"

	"github.com/doorward/doorward/internal/credentials"
	"github.com/doorward/doorward/internal/identity"
	"github.com/doorward/doorward/internal/pages"
)

// credential obtains what goes upstream for an allowed request. What a person brought
// with them is checked here and set from their injection, built once (the result is nil); what
// a Source yields is returned. If the route promises a token and there is none, nothing is
// forwarded: the upstream would take the caller for somebody anonymous.
func (rt *route) credential(ctx context.Context, d Decision) (*identity.Credential, error) {
	if d.Who == nil { // a public route: nobody has a token of their own, a service has its own all the same
		if rt.source == nil || rt.source.Personal() {
			return nil, nil
		}
		return rt.fetch(ctx, nil)
	}
	switch rt.credentialName {
	case credentialSession:
		if d.Who.Tokens == nil || d.Who.Tokens.AccessToken.IsZero() {
			return nil, missing("access token", d)
		}
		if d.claim.ofProvider() && keyBound(d.Who) {
			return nil, errKeyBound()
		}
	case credentialIDToken:
		if d.Who.Tokens == nil || d.Who.Tokens.IDToken.IsZero() {
			return nil, missing("ID token", d)
		}
	}
	if rt.headers.usesToken && d.Who.Tokens != nil && !d.Who.Tokens.AccessToken.IsZero() && !d.Who.Tokens.Valid(rt.now(), 0) {
		// It has ended and could not be refreshed just now; the session itself is alive.
		return nil, &pages.Error{
			Code: codeProviderUnavailable, RetryAfter: retryAfter,
			Detail: "Your access token has ended and the identity provider does not renew it at the moment.",
			Err:    errors.New("the session's access token has expired and was not refreshed"),
		}
	}
	if rt.source != nil {
		return rt.fetch(ctx, d.Who)
	}
	return nil, nil
}

func (rt *route) fetch(ctx context.Context, who *identity.Identity) (*identity.Credential, error) {
	c, err := obtain(ctx, rt.source, who)
	if err != nil {
		return nil, unobtained(err, who)
	}
	return c, nil
}

// unobtained is why nothing goes upstream: what the caller must do about it, or an answer.
func unobtained(err error, who *identity.Identity) error {
	var refusal *credentials.Refusal
	var e *pages.Error
	if errors.As(err, &refusal) && who != nil || errors.As(err, &e) {
		return err
	}
	return &pages.Error{Code: codeCredentialRefused, Detail: "No token could be obtained for the application behind this address.", Err: err}
}

// without answers a request for which no credential was obtained. If the caller must act, they are told how: whoever has
// a session proves more of themselves where the provider wants that, but is never sent to a login because a token is not
// exchanged, which could turn for ever.
func (rt *route) without(w http.ResponseWriter, req *CanonicalRequest, d Decision, err error) error {
	var why *credentials.Refusal
	if !errors.As(err, &why) {
		return err
	}
	e := rt.refusal(w, req, why)
	if d.claim != noClaim {
		return e
	}
	e.Detail = "" // it speaks of a token that this person has never seen
	if why.Word != credentials.InsufficientClaims {
		if e.Code == codeInvalidToken {
			e.Detail = "Your sign-in is no longer accepted by the identity provider for the application behind this address. Sign in again."
		}
		back := req.Target()
		if pages.KindOf(req.in) == pages.FormPost {
			back = formPage(req)
		}
		e.LoginURL = rt.loginURL(req, back)
		return e
	}
	more, ok := rt.starter.(StepUp)
	claims := wantedClaims(why)
	switch {
	case !ok || claims == "":
		return e
	case pages.KindOf(req.in) == pages.Navigation:
		return more.StepUp(w, req.in, req.Target(), claims)
	case pages.KindOf(req.in) == pages.FormPost:
		path, _, err := rt.keepPosted(w, req)
		if err == nil && path != "" {
			return more.StepUp(w, req.in, path, claims)
		}
	}
	return e
}

// wantedClaims decodes the claims of a challenge (Entra and OpenID write them in base64); "" if they are no JSON object.
func wantedClaims(why *credentials.Refusal) string {
	for _, p := range why.Params {
		if p[0] != "claims" {
			continue
		}
		for _, text := range []func(string) ([]byte, error){base64.StdEncoding.DecodeString, base64.RawStdEncoding.DecodeString, base64.URLEncoding.DecodeString, base64.RawURLEncoding.DecodeString} {
			if plain, err := text(p[1]); err == nil && isObject(plain) {
				return string(plain)
			}
		}
		if isObject([]byte(p[1])) {
			return p[1]
		}
	}
	return ""
}

func isObject(text []byte) bool {
	var m map[string]json.RawMessage
	return json.Unmarshal(text, &m) == nil && m != nil
}

// missing says that the application cannot get what its route promises. A personal token never brings a token of the
// provider, whatever that gave at the sign-in.
func missing(what string, d Decision) error {
	detail := "The application behind this address needs your " + what + ", and the identity provider gave none."
	if d.Who != nil && d.Who.Tokens == nil && (d.claim == bearerTicket || d.claim == basicTicket) {
		detail = "The application behind this address needs your " + what + ", which a personal token does not bring. Sign in with your browser, or by doorward login."
	}
	return &pages.Error{Code: codeCredentialRefused, Detail: detail, Err: errors.New("there is no " + what)}
}

// connectionBound reports whether a client signs in by NTLM or Negotiate. Servers bind these
// to the connection, and the connections to an upstream are shared by everybody: the next
// person's request would go under this one's name.
func connectionBound(authorization []string) bool {
	for _, a := range authorization {
		scheme, _, _ := strings.Cut(a, " ")
		if strings.EqualFold(scheme, "NTLM") || strings.EqualFold(scheme, "Negotiate") {
			return true
		}
	}
	return false
}
