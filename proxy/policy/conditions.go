package policy

import (
	"net/netip"
	"slices"

	"github.com/doorward/doorward/internal/identity"
)

// memberOf compares whole names: "a,admin" is one group and not two (attack P203). Empty
// names match nothing because no rule holds one.
func memberOf(groups []string) condition {
	want := set(groups)
	return func(who *identity.Identity, _ Request) bool {
		return slices.ContainsFunc(who.Groups, func(g string) bool { return want[g] })
	}
}

// hasRole looks where providers put roles: in the claim roles (Entra, Auth0), and in Keycloak's two places, of which the
// second has a part for each client. Only the part of the client that Doorward is to that provider counts: another client's
// "admin" says nothing here. The path is walked name by name, so that no dot in a client_id leads elsewhere.
func hasRole(roles []string, as reading) condition {
	want := set(roles)
	return func(who *identity.Identity, _ Request) bool {
		claims := who.Claims.Map()
		if anyOf(claims["roles"], want) || anyOf(member(claims["realm_access"], "roles"), want) {
			return true
		}
		client := as.roleClients[who.Provider]
		return client != "" && anyOf(member(member(claims["resource_access"], client), "roles"), want)
	}
}

func member(of any, name string) any {
	m, _ := of.(map[string]any)
	return m[name]
}

// anyOf reads a claim as a list of texts; a single text is a list of one.
func anyOf(claim any, want map[string]bool) bool {
	switch v := claim.(type) {
	case string:
		return want[v]
	case []any:
		for _, e := range v {
			if s, ok := e.(string); ok && want[s] {
				return true
			}
		}
	}
	return false
}

// isUser is for people: a service account named like a person is not that person (SEC-7). A deny list keeps both out.
func isUser(subjects []string, as reading) condition {
	want := set(subjects)
	return func(who *identity.Identity, _ Request) bool { return (as.against || !who.Machine) && want[who.Subject] }
}

func hasScopes(who *identity.Identity, scopes []string) bool {
	for _, s := range scopes {
		if !slices.Contains(who.Scopes, s) {
			return false
		}
	}
	return true
}

// isClient compares what the provider says of whom it gave the token to. A client that is not known is none.
func isClient(clients []string) condition {
	want := set(clients)
	return func(who *identity.Identity, _ Request) bool { return who.Client != "" && want[who.Client] }
}

func hasClaim(path string, values []string) condition {
	want := set(values)
	return func(who *identity.Identity, _ Request) bool {
		return slices.ContainsFunc(who.Claims.Strings(path), func(v string) bool { return want[v] })
	}
}

// isFrom looks at the address that the canonical request has: that of the peer, or what trusted proxies say and nobody else
// (P034 to P037). An address that is not known lies in no network that allows, and in every one that denies.
func isFrom(networks []netip.Prefix, as reading) condition {
	return func(_ *identity.Identity, req Request) bool {
		if !req.Client.IsValid() {
			return as.against
		}
		return slices.ContainsFunc(networks, func(n netip.Prefix) bool { return n.Contains(req.Client) })
	}
}

// byMethod takes HEAD for GET without the body (RFC 9110 §9.3.2).
func byMethod(methods []string, as reading) condition {
	want := set(withHead(methods))
	return func(_ *identity.Identity, req Request) bool {
		if req.Method == "" {
			return !as.against
		}
		return want[req.Method]
	}
}

func withHead(methods []string) []string {
	if slices.Contains(methods, "GET") {
		return append(slices.Clone(methods), "HEAD")
	}
	return methods
}

func set(values []string) map[string]bool {
	m := make(map[string]bool, len(values))
	for _, v := range values {
		m[v] = true
	}
	return m
}
