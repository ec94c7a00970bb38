package proxy

import (
	"maps"
	"slices"
	"time"

	"github.com/doorward/doorward/internal/identity"
)

// facts is what headers say about one person.
type facts struct {
	who        *identity.Identity
	unverified bool // addresses that nobody checked are said, too
}

func (f facts) subject() string    { return f.who.Subject }
func (f facts) username() string   { return f.who.Username }
func (f facts) fullName() string   { return f.who.Name }
func (f facts) groups() []string   { return f.who.Groups }
func (f facts) audience() []string { return f.who.Claims.Strings("aud") }

func (f facts) email() string {
	if f.who.EmailVerified || f.unverified {
		return f.who.Email
	}
	return ""
}

// tokenEnds is when the access token ends, in the words of gatekeeper.
func (f facts) tokenEnds() string {
	if f.who.Tokens == nil || f.who.Tokens.Expiry.IsZero() {
		return ""
	}
	return f.who.Tokens.Expiry.UTC().Truncate(time.Second).String()
}

// roles are those of the claims roles and realm_access.roles, and CLIENT:ROLE of resource_access.CLIENT.roles (Keycloak).
func (f facts) roles() (all []string) {
	add := func(role string) {
		if !slices.Contains(all, role) {
			all = append(all, role)
		}
	}
	for _, claim := range []string{"roles", "realm_access.roles"} {
		for _, role := range f.who.Claims.Strings(claim) {
			add(role)
		}
	}
	access, _ := f.who.Claims.Lookup("resource_access")
	clients, _ := access.(map[string]any)
	for _, client := range slices.Sorted(maps.Keys(clients)) {
		entry, _ := clients[client].(map[string]any)
		list, _ := entry["roles"].([]any)
		for _, role := range list {
			if s, ok := role.(string); ok && s != "" {
				add(client + ":" + s)
			}
		}
	}
	return all
}
