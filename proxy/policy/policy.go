package policy

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/doorward/doorward/internal/identity"
)

// Config is what a route says about who may pass.
type Config struct {
	Allow []Rule // alternatives; none = whoever is signed in
	Deny  []Rule // asked first: whom one of them fits is refused, whatever Allow says (P207)

	// RoleClients is the client_id of each provider, by the provider's name: whose part of Keycloak's resource_access counts
	// for Rule.Roles.
	RoleClients map[string]string
}

// Rule is one table of a route's allow or deny list: all of its non-empty keys must hold.
//
// What nobody has checked counts against somebody and never for them: an address that is not verified is none in an allow
// list, and is one in a deny list (P202).
type Rule struct {
	Groups     []string            // member of one of these
	Roles      []string            // holds one of these: claim roles, and Keycloak's realm_access.roles and resource_access.CLIENT.roles
	Emails     []string            // verified address is one of these (ASCII case does not matter)
	EmailFiles []EmailFile         // verified address stands in one of these
	Domains    []string            // verified address is in one of these domains, exactly
	Users      []string            // subject is one of these
	Scopes     []string            // holds all of these
	Clients    []string            // the OAuth client that it was issued to (azp, client_id) is one of these
	Claims     map[string][]string // dotted claim path → one of these values
	Networks   []netip.Prefix      // the client's address lies in one of these
	Methods    []string            // of the request is one of these; GET includes HEAD
}

// EmailFile is a list of addresses that is kept in a file.
type EmailFile struct {
	Name    string
	Entries []string // "name@domain", or "@domain" for all in it. At least one
}

// Request is what of a canonical request rules look at (S1).
type Request struct {
	Method string     // "" = it is about the route, but no request to it: no condition on the method keeps somebody out
	Client netip.Addr // as far as trusted proxies say it; the zero Addr = not known
}

// Policy decides who may pass. The zero value lets every signed-in identity pass.
type Policy struct {
	allow, deny []rule
	refusal     string
}

// Rules that Check names where no entry of a list has decided.
const (
	SignedIn = "signed in" // there is no allow list
	Nobody   = "nobody is signed in"
)

// rule is a Rule made ready: every condition must hold.
type rule struct {
	name       string // "allow[1]"; of deny with what it says, in words
	conditions []condition
	scopes     []string // that are needed besides
}

type condition func(who *identity.Identity, req Request) bool

// New compiles rules. An empty rule, an empty string within one, and an entry that can never decide are errors; they begin
// with "allow[1]: " or "deny[0]: ".
func New(c Config) (*Policy, error) {
	p := &Policy{}
	var words []string
	for i, r := range c.Allow {
		name := fmt.Sprintf("allow[%d]", i)
		made, text, err := compile(r, forSomebody(c.RoleClients))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		made.name = name
		p.allow, words = append(p.allow, made), append(words, text)
	}
	for i, r := range c.Deny {
		name := fmt.Sprintf("deny[%d]", i)
		made, text, err := compile(r, againstSomebody(c.RoleClients))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		made.name = name + ": refused are " + text
		p.deny = append(p.deny, made)
	}
	if all := Overlaps(c); len(all) > 0 {
		return nil, all[0]
	}
	p.refusal = "no rule matched: allowed are " + alternatives(words)
	return p, nil
}

// Check reports whether who may pass with a request, and names the rule that decided ("allow[1]", "signed in", "no rule
// matched", "deny[0]"); on refusal the text says which rules there are, in words for a person. Nobody (nil) and an identity
// without a subject never pass.
func (p *Policy) Check(who *identity.Identity, req Request) (ok bool, rule string) {
	if who == nil || who.Issuer == "" || who.Subject == "" {
		return false, Nobody
	}
	req.Client = req.Client.Unmap().WithZone("")
	for i := range p.deny {
		if p.deny[i].fits(who, req) {
			return false, p.deny[i].name
		}
	}
	if len(p.allow) == 0 {
		return true, SignedIn
	}
	for i := range p.allow {
		if p.allow[i].fits(who, req) {
			return true, p.allow[i].name
		}
	}
	return false, p.refusal
}

// Lacks names the scopes with which who would pass: those of the first rule that nothing else keeps them from
// (RFC 6750 §3.1). None = no scope would help.
func (p *Policy) Lacks(who *identity.Identity, req Request) []string {
	if who == nil {
		return nil
	}
	req.Client = req.Client.Unmap().WithZone("")
	for i := range p.deny {
		if p.deny[i].fits(who, req) {
			return nil
		}
	}
	for i := range p.allow {
		if r := &p.allow[i]; len(r.scopes) > 0 && r.holds(who, req) && !hasScopes(who, r.scopes) {
			return r.scopes
		}
	}
	return nil
}

// Scopes lists the scopes that allow rules name, each once, in their order (RFC 9728 §2).
func (p *Policy) Scopes() []string {
	var all []string
	for _, r := range p.allow {
		for _, s := range r.scopes {
			if !slices.Contains(all, s) {
				all = append(all, s)
			}
		}
	}
	return all
}

func (r *rule) fits(who *identity.Identity, req Request) bool {
	return len(r.conditions)+len(r.scopes) > 0 && r.holds(who, req) && hasScopes(who, r.scopes)
}

// holds reports whether everything but the scopes is as the rule wants it.
func (r *rule) holds(who *identity.Identity, req Request) bool {
	for _, holds := range r.conditions {
		if !holds(who, req) {
			return false
		}
	}
	return true
}
