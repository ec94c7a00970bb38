package policy

import (
	"strings"

	"github.com/doorward/doorward/internal/identity"
)

// addresses is a set of e-mail addresses and of whole domains.
type addresses struct {
	single  map[string]bool // in small letters
	domains map[string]bool // likewise, without the @
}

func addressesOf(single, domains []string) addresses {
	a := addresses{make(map[string]bool, len(single)), make(map[string]bool, len(domains))}
	for _, e := range single {
		a.single[asciiLower(e)] = true
	}
	for _, d := range domains {
		a.domains[asciiLower(d)] = true
	}
	return a
}

// holds reports whether exactly this address is meant.
func (a addresses) holds(address string) bool {
	_, domain, ok := splitEmail(address)
	return ok && (len(a.single) > 0 && a.single[asciiLower(address)] || len(a.domains) > 0 && a.domains[asciiLower(domain)])
}

// touches reports whether the address may be one of these, however a mail server reads it: spaces and a dot at its end
// don't hide it, Unicode has its own small letters, and each part behind an @ may be the domain.
func (a addresses) touches(address string) bool {
	address = strings.ToLower(strings.TrimRight(strings.TrimSpace(address), ". "))
	if a.single[address] {
		return true
	}
	for i, part := range strings.FieldsFunc(address, func(r rune) bool { return r == '@' || r == '"' || r == ' ' }) {
		if (i > 0 || strings.HasPrefix(address, "@")) && a.domains[strings.Trim(part, ". ")] {
			return true
		}
	}
	return false
}

// condition lets an address take part in a yes only where the provider says that it was verified (P202), and a machine has
// no mailbox, whatever its token claims (SEC-7). In a no every address takes part.
func (a addresses) condition(as reading) condition {
	if as.against {
		return func(who *identity.Identity, _ Request) bool { return who.Email != "" && a.touches(who.Email) }
	}
	return func(who *identity.Identity, _ Request) bool {
		return who.EmailVerified && !who.Machine && a.holds(who.Email)
	}
}

func hasEmail(emails []string, as reading) condition { return addressesOf(emails, nil).condition(as) }

func inDomain(domains []string, as reading) condition {
	return addressesOf(nil, domains).condition(as)
}

// isListed is one condition over all files of a rule.
func isListed(files []EmailFile, as reading) condition {
	var single, domains []string
	for _, f := range files {
		for _, e := range f.Entries {
			if domain, ok := strings.CutPrefix(e, "@"); ok {
				domains = append(domains, domain)
			} else {
				single = append(single, e)
			}
		}
	}
	return addressesOf(single, domains).condition(as)
}

// splitEmail refuses an address with more than one "@": which of its parts is the domain
// differs from reader to reader (P201, CVE-2026-40574).
func splitEmail(address string) (local, domain string, ok bool) {
	local, domain, ok = strings.Cut(address, "@")
	return local, domain, ok && local != "" && domain != "" && !strings.Contains(domain, "@")
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
