package credential

import (
	"slices"
	"strings"
)

// ByTarget returns the client_credentials (person false) or exchanging (person true) credential of a provider that has
// this audience, resource, scope or name; nil if none or several do. Only configured targets exist (P141).
func (s *Set) ByTarget(provider, target string, person bool) *Source {
	var found *Source
	for _, source := range s.order {
		if source.client == nil || source.conf.Provider != provider || !source.serves(person) || !source.aims(target) {
			continue
		}
		if found != nil {
			return nil
		}
		found = source
	}
	return found
}

// serves reports whether a source trades a person's token, or obtains one of our own.
func (s *Source) serves(person bool) bool {
	if person {
		return s.Personal()
	}
	return s.conf.Flow == flowClientCredentials
}

// aims reports whether target is one of a source's names: several scopes may be asked for in one text, as they are
// configured.
func (s *Source) aims(target string) bool {
	return target != "" && (target == s.name || slices.Contains(s.conf.Audience, target) || slices.Contains(s.conf.Resource, target) ||
		slices.Contains(s.conf.Scopes, target) || target == strings.Join(s.conf.Scopes, " "))
}
