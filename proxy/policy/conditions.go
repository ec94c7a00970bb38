package policy

import (
	"fmt"
	"slices"
	"strings"

	"github.com/doorward/doorward/internal/identity"
)

// memberOf compares whole names: "a,admin" is one group and not two (attack P203). Empty
// names match nothing because no rule holds one.
func memberOf(groups []string) condition {
	want := set(groups)
	return func(who *identity.Identity) bool {
		for _, g := range who.Groups {
			if want[g] {
				return true
			}
		}
		return false
	}
}

// hasEmail takes part only where the provider says that the address was verified (P202). A
// machine has no mailbox, whatever its token claims (SEC-7).
func hasEmail(emails []string) condition {
	want := make(map[string]bool, len(emails))
	for _, e := range emails {
		want[asciiLower(e)] = true
	}
	return func(who *identity.Identity) bool {
		if !who.EmailVerified || who.Machine {
			return false
		}
		_, _, ok := splitEmail(who.Email)
		return ok && want[asciiLower(who.Email)]
	}
}

func inDomain(domains []string) condition {
	want := make(map[string]bool, len(domains))
	for _, d := range domains {
		want[asciiLower(d)] = true
	}
	return func(who *identity.Identity) bool {
		if !who.EmailVerified || who.Machine {
			return false
		}
		_, domain, ok := splitEmail(who.Email)
		return ok && want[asciiLower(domain)]
	}
}

// splitEmail refuses an address with more than one "@": which of its parts is the domain
// differs from reader to reader (P201, CVE-2026-40574).
func splitEmail(address string) (local, domain string, ok bool) {
	local, domain, ok = strings.Cut(address, "@")
	return local, domain, ok && local != "" && domain != "" && !strings.Contains(domain, "@")
}

// isUser is for people: a service account named like a person is not that person (SEC-7).
func isUser(subjects []string) condition {
	want := set(subjects)
	return func(who *identity.Identity) bool { return !who.Machine && want[who.Subject] }
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
	return func(who *identity.Identity) bool { return who.Client != "" && want[who.Client] }
}

func hasClaim(path string, values []string) condition {
	want := set(values)
	return func(who *identity.Identity) bool {
		for _, v := range who.Claims.Strings(path) {
			if want[v] {
				return true
			}
		}
		return false
	}
}

func checkEmails(emails []string) error {
	for _, e := range emails {
		if _, _, ok := splitEmail(e); !ok {
			return fmt.Errorf("emails: %q is not an e-mail address of the form name@domain", e)
		}
	}
	return nil
}

func checkDomains(domains []string) error {
	for _, d := range domains {
		if d == "" || strings.ContainsAny(d, "@*/ ") || strings.HasPrefix(d, ".") {
			return fmt.Errorf("domains: %q must be a domain as it stands behind the @, such as \"example.com\"; there are no patterns, list each subdomain", d)
		}
	}
	return nil
}

func set(values []string) map[string]bool {
	m := make(map[string]bool, len(values))
	for _, v := range values {
		m[v] = true
	}
	return m
}

// asciiLower folds A to Z only. Unicode folding would make the Kelvin sign a "k" and let
// one mailbox pass for another.
func asciiLower(s string) string {
	for i := range len(s) {
		if 'A' <= s[i] && s[i] <= 'Z' {
			b := []byte(s)
			for j := i; j < len(b); j++ {
				if 'A' <= b[j] && b[j] <= 'Z' {
					b[j] += 'a' - 'A'
				}
			}
			return string(b)
		}
	}
	return s
}
