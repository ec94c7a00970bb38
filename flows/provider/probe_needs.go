package provider

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// Needs is what one configured login, credential or bearer check uses of its provider. Exactly one of ResponseType,
// GrantType and Introspection is set.
type Needs struct {
	ResponseType string // of flows through the provider's pages: "code", "id_token", "code id_token" …
	ResponseMode string // "" = the usual of the type

	GrantType     string // "password", GrantDevice, GrantCIBA; of credentials "client_credentials", GrantTokenExchange, GrantJWTBearer
	Introspection bool   // bearer tokens are introspected
	Delivery      string // CIBA: "poll", "ping" or "push"
	SignedRequest bool   // CIBA
	UserCode      bool   // CIBA

	// Own is what a credential asks for with client_credentials: Probe does ask, as only the answer tells whether this
	// client may. nil = it is not asked for.
	Own        *ClientCredentialsRequest
	Credential string // the name of that credential, for the findings
}

const enable = "It will probably be refused; enable it for this client"

// needs judges what the logins use.
func (p *probe) needs(m *metadata, all []Needs) {
	browser := false
	for _, n := range all {
		switch {
		case n.ResponseType != "":
			browser = true
			p.response(m, n)
		case n.GrantType == GrantDevice:
			p.device(m)
		case n.GrantType == GrantCIBA:
			p.ciba(m, n)
		case n.Introspection:
			p.introspection(m)
		default:
			p.grantType(m, n.GrantType)
		}
	}
	if slices.ContainsFunc(all, func(n Needs) bool {
		return slices.Contains(strings.Fields(n.ResponseType), "code")
	}) {
		p.listed("PKCE methods", m.challengeMethods, "S256", "Doorward sends S256 all the same; a provider that ignores it still works, one that refuses it does not")
	}
	if browser && m.Authorization == "" {
		p.bad("the provider names no authorization_endpoint: nobody can sign in there with a browser")
	}
	if slices.ContainsFunc(all, Needs.login) && m.EndSession == "" {
		p.good("the provider has no end_session_endpoint: signing out ends the session here, not there")
	}
	p.once()
}

// login tells whether a need is one of a person who signs in.
func (n Needs) login() bool {
	switch n.GrantType {
	case clientCredentials, GrantTokenExchange, GrantJWTBearer:
		return false
	}
	return !n.Introspection
}

// introspection judges what bearer tokens that are no JWTs need.
func (p *probe) introspection(m *metadata) {
	if m.Introspection == "" {
		p.bad("the provider names no introspection_endpoint: bearer tokens cannot be judged with access_tokens = \"introspect\"")
		return
	}
	p.good("the introspection endpoint is %s", m.Introspection)
	if !p.c.conf.SignedIntrospection {
		return
	}
	algs := noMAC(p.c.accessAlgs(m))
	if m.introspectionAlgs != nil && !slices.ContainsFunc(m.introspectionAlgs, func(alg string) bool { return slices.Contains(algs, alg) }) {
		p.warn("signed_introspection: the provider announces %s, of which none is accepted (%s). Set signing_algs to what it signs with", shown(strings.Join(m.introspectionAlgs, " ")), strings.Join(algs, ", "))
	} else if m.introspectionAlgs == nil {
		p.warn("signed_introspection: the provider does not announce that it signs answers of introspection (RFC 9701), and may refuse to")
	}
}

// once drops what two logins say alike.
func (p *probe) once() {
	seen := make(map[Finding]bool)
	p.found = slices.DeleteFunc(p.found, func(f Finding) bool {
		again := seen[f]
		seen[f] = true
		return again
	})
}

// response judges a flow that goes through the provider's pages.
func (p *probe) response(m *metadata, n Needs) {
	want, otherwise := n.ResponseType, enable
	if want == "code" {
		otherwise = "The authorization code flow will probably be refused; enable it for this client"
	}
	announced := slices.Clone(m.responseTypes)
	for i, t := range announced { // their order means nothing (RFC 6749 §3.1.1)
		if sameWords(t, want) {
			announced[i] = want
		}
	}
	p.listed("response types", announced, want, otherwise)
	if n.ResponseMode != "" {
		p.listed("response modes", m.responseModes, n.ResponseMode, "Set response_mode to one of these")
	}
	words := strings.Fields(want)
	if m.grantTypes != nil && slices.Contains(words, "code") {
		p.grantType(m, "authorization_code")
	}
	if m.grantTypes != nil && want != "code" {
		p.grantType(m, "implicit")
	}
	if want == "id_token" && p.c.conf.UserInfo == "always" {
		p.warn("userinfo = \"always\", but with response_type id_token there is no access token to ask it with: what is not in the ID token stays unknown")
	}
}

func sameWords(a, b string) bool {
	one, two := strings.Fields(a), strings.Fields(b)
	slices.Sort(one)
	slices.Sort(two)
	return slices.Equal(one, two)
}

func (p *probe) grantType(m *metadata, grant string) {
	otherwise := enable
	if grant == "authorization_code" {
		otherwise = "The authorization code flow will probably be refused; enable it for this client"
	}
	p.listed("grant types", m.grantTypes, grant, otherwise)
}

func (p *probe) device(m *metadata) {
	if m.DeviceAuthorization == "" {
		p.bad("the provider names no device_authorization_endpoint: nobody can sign in by a code on another device")
	} else {
		p.good("the device authorization endpoint is %s", m.DeviceAuthorization)
	}
	p.grantType(m, GrantDevice)
}

func (p *probe) ciba(m *metadata, n Needs) {
	if m.BackchannelAuthentication == "" {
		p.bad("the provider names no backchannel_authentication_endpoint: nobody can be asked on their phone (CIBA)")
	} else {
		p.good("the backchannel authentication endpoint is %s", m.BackchannelAuthentication)
	}
	p.grantType(m, GrantCIBA)
	if n.Delivery != "" {
		p.listed("CIBA delivery modes", m.ciba.DeliveryModes, n.Delivery, "Set delivery to one of these")
	}
	if n.UserCode && !m.ciba.UserCode {
		p.warn("user_code: the provider does not announce that it takes one (backchannel_user_code_parameter_supported), and may refuse it")
	}
	if !n.SignedRequest {
		return
	}
	if p.c.requests == nil {
		p.bad("signed CIBA requests need a private_key at this provider")
		return
	}
	alg := chooseAlg(p.c.conf.PrivateKeyAlg, p.c.requests.algs, m.ciba.RequestAlgorithms)
	p.listed("CIBA request signatures", m.ciba.RequestAlgorithms, alg, "Use a private_key of a kind that fits one of these")
}

// own asks for the token of a client_credentials credential, and tells what came, but never the token.
func (p *probe) own(ctx context.Context, n Needs) {
	got, err := p.c.ClientCredentials(ctx, *n.Own)
	if err != nil {
		p.bad("credential %s: no token came: %s", n.Credential, err)
		return
	}
	claims, isJWT := readClaims(got.AccessToken.Reveal())
	came, scopes, whom := "scope as asked for", n.Own.Scopes, "and it is opaque to us" // RFC 6749 §5.1
	switch in := scopesOf(claims); {
	case got.Scope != "":
		scopes = strings.Fields(got.Scope)
		came = "scope " + shown(got.Scope)
	case len(in) > 0:
		scopes = in
		came = "scope " + shown(strings.Join(in, " "))
	}
	aud, err := claims.strings("aud", true)
	switch {
	case isJWT && err == nil && len(aud) > 0:
		whom = "aud " + listed(aud)
	case isJWT:
		whom = "and it names no aud"
	}
	text := fmt.Sprintf("credential %s: a token came, %s, %s", n.Credential, came, whom)
	lacking := func(what string, asked, got []string) bool {
		for _, want := range asked {
			if !slices.Contains(got, want) {
				p.warn("%s, but %s %s was asked for: the upstream may refuse it", text, what, shown(want))
				return true
			}
		}
		return false
	}
	if isJWT && err == nil && len(aud) > 0 && lacking("audience", n.Own.Audience, aud) || lacking("scope", n.Own.Scopes, scopes) {
		return
	}
	p.good("%s", text)
}

// asksForOwn tells whether a need is told best by asking for just what it needs.
func asksForOwn(n Needs) bool { return n.Own != nil }

// question is what the token endpoint is asked about, without harm: a code of a kind that the
// logins use, but that never existed. A password is never tried, as a provider counts wrong ones.
type question struct {
	form    url.Values
	flow    string // in words
	used    bool   // a login needs the flow, and the token endpoint for it
	advised bool   // a refusal is explained
	push    bool   // the client may be one that is refused there because it is right: tokens come to it
}

func questionFor(needs []Needs) question {
	nothing := "doorward-check-" + rand.Text()
	code := question{flow: "authorization code flow", form: url.Values{
		"grant_type": {"authorization_code"}, "code": {nothing},
		"code_verifier": {NewVerifier().Reveal()}, "redirect_uri": {"https://doorward.invalid/check"},
	}}
	var pushed *question
	code.used = len(needs) == 0 || slices.ContainsFunc(needs, func(n Needs) bool {
		return slices.Contains(strings.Fields(n.ResponseType), "code")
	})
	if code.used {
		return code
	}
	for _, n := range needs {
		switch {
		case n.GrantType == GrantDevice:
			return question{form: url.Values{"grant_type": {GrantDevice}, "device_code": {nothing}}, flow: "device authorization grant", used: true}
		case n.GrantType == GrantCIBA:
			q := question{form: url.Values{"grant_type": {GrantCIBA}, "auth_req_id": {nothing}}, flow: "CIBA grant", used: true, push: n.Delivery == "push"}
			if !q.push {
				return q
			}
			pushed = &q // any other question tells more
		case n.GrantType == GrantTokenExchange:
			return question{form: url.Values{
				"grant_type": {GrantTokenExchange}, "subject_token": {nothing}, "subject_token_type": {TypeAccessToken},
			}, flow: "token exchange", used: true, advised: true}
		}
	}
	if pushed != nil {
		return *pushed
	}
	return code
}
