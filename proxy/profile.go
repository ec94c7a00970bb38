package proxy

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// profile is the set of headers in which one gateway tells upstreams who is calling: an application that was made for it
// keeps working behind Doorward. The names are those of the others; what they say follows the same rules in every
// profile: a machine is never taken for a person (SEC-7), an address that nobody verified is none (P202), and what is
// not known has no header (P022).
type profile struct {
	name     string
	encoding encoding
	person   []item
	claims   *claimHeaders // nil = none
	// token is the header that holds the access token beside Authorization, where credential = "session" sends it at all;
	// tokenEnds says until when it is good.
	token, tokenEnds string
	assertion        string // the header of a signed assertion
	asserts          bool   // that is there unless it is turned off
}

// item is one header that describes a person. It is one text, or a list.
type item struct {
	header string // as it is written
	one    func(facts) string
	many   func(facts) []string
}

const (
	profileOAuth2Proxy   = "oauth2-proxy"
	profileRemote        = "remote"
	profileAuthelia      = "authelia"
	profileGatekeeper    = "gatekeeper"
	profilePomerium      = "pomerium"
	profileModAuthOpenID = "mod_auth_openidc"
	profileVouch         = "vouch"
	profileNone          = "none"

	headerAssertion         = "X-Doorward-Assertion"
	headerPomeriumAssertion = "X-Pomerium-Jwt-Assertion"
)

// Profiles are the names that Headers.Profile may have.
func Profiles() []string {
	var names []string
	for _, p := range profiles() {
		names = append(names, p.name)
	}
	return names
}

// Encodings are the names that Headers.Encoding may have.
func Encodings() []string {
	return []string{string(encodingPercent), string(encodingRaw), string(encodingRFC8187), string(encodingBase64)}
}

// AssertionHeader is the header in which a profile has a signed assertion, and whether it is there unless it is turned off.
func AssertionHeader(name string) (header string, always bool) {
	p, err := newProfile(name)
	if err != nil {
		return headerAssertion, false
	}
	return p.assertion, p.asserts
}

func newProfile(name string) (profile, error) {
	if name == "" {
		name = profileOAuth2Proxy
	}
	all := profiles()
	i := slices.IndexFunc(all, func(p profile) bool { return p.name == name })
	if i < 0 {
		return profile{}, fmt.Errorf("headers.profile: %q is not one of %s", name, strings.Join(Profiles(), ", "))
	}
	p := all[i]
	if p.encoding == "" {
		p.encoding = encodingPercent
	}
	if p.assertion == "" {
		p.assertion = headerAssertion
	}
	return p, nil
}

func profiles() []profile {
	return []profile{
		{name: profileOAuth2Proxy, person: []item{
			{header: "X-Forwarded-User", one: facts.subject},
			{header: "X-Forwarded-Email", one: facts.email},
			{header: "X-Forwarded-Groups", many: facts.groups},
			{header: "X-Forwarded-Preferred-Username", one: facts.username},
		}},
		{name: profileRemote, person: []item{ // Remote-User is what never changes; authelia's is the user name
			{header: "Remote-User", one: facts.subject},
			{header: "Remote-Email", one: facts.email},
			{header: "Remote-Groups", many: facts.groups},
			{header: "Remote-Name", one: facts.fullName},
		}},
		{name: profileAuthelia, person: []item{
			{header: "Remote-User", one: facts.username},
			{header: "Remote-Groups", many: facts.groups},
			{header: "Remote-Name", one: facts.fullName},
			{header: "Remote-Email", one: facts.email},
		}},
		{name: profileGatekeeper, token: "X-Auth-Token", person: []item{
			{header: "X-Auth-Audience", many: facts.audience},
			{header: "X-Auth-Email", one: facts.email},
			{header: "X-Auth-Expiresin", one: facts.tokenEnds},
			{header: "X-Auth-Groups", many: facts.groups},
			{header: "X-Auth-Roles", many: facts.roles},
			{header: "X-Auth-Subject", one: facts.subject},
			{header: "X-Auth-Userid", one: facts.username},
			{header: "X-Auth-Username", one: facts.username},
		}},
		{name: profilePomerium, assertion: headerPomeriumAssertion, asserts: true, person: []item{
			{header: "X-Pomerium-Claim-Sub", one: facts.subject},
			{header: "X-Pomerium-Claim-User", one: facts.subject},
			{header: "X-Pomerium-Claim-Email", one: facts.email},
			{header: "X-Pomerium-Claim-Name", one: facts.fullName},
			{header: "X-Pomerium-Claim-Groups", many: facts.groups},
		}},
		{
			name: profileModAuthOpenID, encoding: encodingRaw, token: "OIDC_access_token", tokenEnds: "OIDC_access_token_expires",
			claims: &claimHeaders{prefix: "OIDC_CLAIM_", name: dashed, truth: [2]string{"0", "1"}, objects: true},
		},
		{ // X-Vouch-User is the address there, which only counts if it is verified: a user name may look like one
			name: profileVouch, person: []item{{header: "X-Vouch-User", one: facts.email}},
			claims: &claimHeaders{prefix: "X-Vouch-Idp-Claims-", name: vouchName, truth: [2]string{"false", "true"}, quoted: true},
		},
		{name: profileNone},
	}
}

// names are those of all headers that the profile may set which are not made of claims, as they arrive. The token's is among them
// also where none is sent: an application that was made for the other gateway believes it whenever it is there (P022).
func (p *profile) names() (all []string) {
	for _, i := range p.person {
		all = append(all, http.CanonicalHeaderKey(i.header))
	}
	for _, name := range []string{p.token, p.tokenEnds} {
		if name != "" {
			all = append(all, http.CanonicalHeaderKey(strings.ReplaceAll(name, "_", "-")))
		}
	}
	return all
}

// prefixes are those of headers that are made of claims, as they arrive with "-" for "_".
func (p *profile) prefixes() []string {
	if p.claims == nil {
		return nil
	}
	return []string{http.CanonicalHeaderKey(strings.ReplaceAll(p.claims.prefix, "_", "-"))}
}
