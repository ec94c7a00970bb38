package flows

import (
	"slices"

	"github.com/doorward/doorward/flows/provider"
	"github.com/doorward/doorward/internal/identity"
)

// Knows returns what tells whether an identity still is one under this configuration: its
// login is there, with the provider by which it was proved, and that provider is still the
// same issuer. A session outlives restarts, and a name in the configuration may mean
// somebody else after one: alice of the test issuer is not alice of the real one.
//
// Without a login there are local users, whose [users.NAME] must be there (whether they are in a file still, and what
// their password is, [Flows.BasicUsers] binds the session to), and OAuth clients that proved themselves, whose provider must be.
func Knows(logins []Login, providers map[string]*provider.Client, users ...User) func(*identity.Identity) bool {
	of := make(map[string]string, len(logins))
	for _, l := range logins {
		of[l.Name] = l.Provider
	}
	var tables []string
	for _, u := range users {
		tables = append(tables, u.Name)
	}
	return func(who *identity.Identity) bool {
		if who.Login == "" {
			table, local := tableOf(who)
			return local && slices.Contains(tables, table) || who.Machine && clientOf(providers, who) != nil
		}
		name, ok := of[who.Login]
		return ok && name == who.Provider && clientOf(providers, who) != nil
	}
}

// clientOf returns the provider that an identity is of, or nil. Its tokens are for no other
// issuer, whatever name that one has now (P083).
func clientOf(providers map[string]*provider.Client, who *identity.Identity) *provider.Client {
	if client := providers[who.Provider]; client != nil && client.Issuer() == who.Issuer {
		return client
	}
	return nil
}
