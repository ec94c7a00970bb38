package policy

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/doorward/doorward/internal/identity"
)

// Rule is one table of a route's allow list: all of its non-empty keys must hold.
type Rule struct {
	Groups  []string            // member of one of these
	Emails  []string            // verified address is one of these (ASCII case does not matter)
	Domains []string            // verified address is in one of these domains, exactly
	Users   []string            // subject is one of these
	Scopes  []string            // holds all of these
	Clients []string            // the OAuth client that it was issued to (azp, client_id) is one of these
	Claims  map[string][]string // dotted claim path → one of these values
}

// Policy decides who may pass. The zero value lets every signed-in identity pass.
type Policy struct {
	rules   []rule
	refusal string
}

// SignedIn is the rule that Check names where there are no rules.
const SignedIn = "signed in"

// rule is a Rule made ready: every condition must hold.
type rule struct {
	name       string // "allow[1]"
	conditions []condition
	scopes     []string // that are needed besides
}

type condition func(who *identity.Identity) bool

// New compiles rules. An empty rule, or an empty string within one, is an error.
func New(rules []Rule) (*Policy, error) {
	p := &Policy{}
	var words []string
	for i, r := range rules {
		name := fmt.Sprintf("allow[%d]", i)
		conditions, text, err := compile(r)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		p.rules = append(p.rules, rule{name, conditions, slices.Clone(r.Scopes)})
		words = append(words, text)
	}
	p.refusal = "no rule matched: allowed are " + strings.Join(words, "; or ")
	return p, nil
}

// Check reports whether who may pass and names the rule that decided ("allow[1]", "signed in",
// "no rule matched"); on refusal the text says which rules there are, in words for a person.
// Nobody (nil) and an identity without a subject never pass.
func (p *Policy) Check(who *identity.Identity) (ok bool, rule string) {
	if who == nil || who.Issuer == "" || who.Subject == "" {
		return false, "nobody is signed in"
	}
	if len(p.rules) == 0 {
		return true, SignedIn
	}
	for i := range p.rules {
		if p.rules[i].allows(who) {
			return true, p.rules[i].name
		}
	}
	return false, p.refusal
}

// Lacks names the scopes with which who would pass: those of the first rule that nothing else keeps them from
// (RFC 6750 §3.1). None = no scope would help.
func (p *Policy) Lacks(who *identity.Identity) []string {
	if who == nil {
		return nil
	}
	for i := range p.rules {
		if r := &p.rules[i]; len(r.scopes) > 0 && r.holds(who) && !hasScopes(who, r.scopes) {
			return r.scopes
		}
	}
	return nil
}

// Scopes lists the scopes that rules name, each once, in their order (RFC 9728 §2).
func (p *Policy) Scopes() []string {
	var all []string
	for _, r := range p.rules {
		for _, s := range r.scopes {
			if !slices.Contains(all, s) {
				all = append(all, s)
			}
		}
	}
	return all
}

func (r *rule) allows(who *identity.Identity) bool {
	return len(r.conditions)+len(r.scopes) > 0 && r.holds(who) && hasScopes(who, r.scopes)
}

// holds reports whether everything but the scopes is as the rule wants it.
func (r *rule) holds(who *identity.Identity) bool {
	for _, holds := range r.conditions {
		if !holds(who) {
			return false
		}
	}
	return true
}

// compile makes a rule's conditions, and its text: groups, domains, scopes and claims by
// name, single persons by number only, because everybody who is refused reads it.
func compile(r Rule) (conditions []condition, text string, err error) {
	var words []string
	add := func(key string, values []string, c condition, say string) {
		if len(values) == 0 || err != nil {
			return
		}
		if slices.Contains(values, "") {
			err = fmt.Errorf("%s: an empty value would match by accident; remove it", key)
			return
		}
		if c != nil {
			conditions = append(conditions, c)
		}
		words = append(words, say)
	}
	add("groups", r.Groups, memberOf(r.Groups), "members of "+oneOf(r.Groups))
	if err = checkEmails(r.Emails); err != nil {
		return nil, "", err
	}
	add("emails", r.Emails, hasEmail(r.Emails), fmt.Sprintf("%d listed e-mail address(es), verified", len(r.Emails)))
	if err = checkDomains(r.Domains); err != nil {
		return nil, "", err
	}
	add("domains", r.Domains, inDomain(r.Domains), "verified e-mail addresses at "+oneOf(r.Domains))
	add("users", r.Users, isUser(r.Users), fmt.Sprintf("%d listed user(s)", len(r.Users)))
	add("clients", r.Clients, isClient(r.Clients), "callers by way of the client(s) "+oneOf(r.Clients))
	add("scopes", r.Scopes, nil, "holders of the scope(s) "+strings.Join(r.Scopes, " and "))
	for _, path := range slices.Sorted(maps.Keys(r.Claims)) {
		if path == "" || len(r.Claims[path]) == 0 {
			return nil, "", fmt.Errorf("claims.%s: a claim needs a name and at least one value", path)
		}
		add("claims."+path, r.Claims[path], hasClaim(path, r.Claims[path]), "those whose claim "+path+" is "+oneOf(r.Claims[path]))
	}
	if err != nil {
		return nil, "", err
	}
	if len(words) == 0 {
		return nil, "", fmt.Errorf("the table is empty and would let everybody pass; name groups, emails, domains, users, scopes, clients or claims")
	}
	return conditions, strings.Join(words, ", who are also "), nil
}

func oneOf(values []string) string { return strings.Join(values, " or ") }
