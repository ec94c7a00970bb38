package policy

import "github.com/doorward/doorward/internal/identity"

// Rule is one table of a route's allow list: all of its non-empty keys must hold.
type Rule struct {
	Groups  []string            // member of one of these
	Emails  []string            // verified address is one of these (ASCII case does not matter)
	Domains []string            // verified address is in one of these domains, exactly
	Users   []string            // subject is one of these
	Scopes  []string            // holds all of these
	Claims  map[string][]string // dotted claim path → one of these values
}

// Policy decides who may pass. The zero value lets every signed-in identity pass.
type Policy struct{}

// New compiles rules. An empty rule, or an empty string within one, is an error.
func New(rules []Rule) (*Policy, error) { panic("unbuilt") }

// Check reports whether who may pass and names the rule that decided ("allow[1]", "signed in",
// "no rule matched"); on refusal the text says which rules there are, in words for a person.
func (p *Policy) Check(who *identity.Identity) (ok bool, rule string) { panic("unbuilt") }
