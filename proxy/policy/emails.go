package policy

import (
	"strings"
	"unicode"

	"github.com/doorward/doorward/internal/identity"
)

// addresses is a set of e-mail addresses and of whole domains.
type addresses struct {
	single  map[string]bool // in small letters
	domains map[string]bool // likewise, without the @
}

func addressesOf(single, domains []string, as reading) addresses {
	fold := asciiLower
	if as.against {
		fold = strings.ToLower // as touches does
	}
	a := addresses{make(map[string]bool, len(single)), make(map[string]bool, len(domains))}
	for _, e := range single {
		a.single[fold(e)] = true
	}
	for _, d := range domains {
		a.domains[fold(d)] = true
	}
	return a
}

// holds reports whether exactly this address is meant.
func (a addresses) holds(address string) bool {
	_, domain, ok := splitEmail(address)
	return ok && (len(a.single) > 0 && a.single[asciiLower(address)] || len(a.domains) > 0 && a.domains[asciiLower(domain)])
}

// touches reports whether the address may be one of these, however a mail server reads it (RFC 5322 §3.4): spaces, quotes, comments,
// a name in front, invisible characters and a dot at its end don't hide it, Unicode has its own small letters, and each part
// behind an @ may be the domain.
func (a addresses) touches(address string) bool {
	address = strings.ReplaceAll(strings.ToLower(address), `"`, "")
	return a.touchesPart(address) || a.touchesPart(strings.Map(visible, address))
}

func (a addresses) touchesPart(address string) bool {
	for part := range strings.FieldsFuncSeq(address, separates) {
		part = strings.TrimRight(part, ".")
		if a.single[part] {
			return true
		}
		_, domains, _ := strings.Cut(part, "@")
		for domain := range strings.SplitSeq(domains, "@") {
			if a.domains[strings.Trim(domain, ".")] {
				return true
			}
		}
	}
	return false
}

func separates(r rune) bool { return unicode.IsSpace(r) || strings.ContainsRune("<>()[],;:", r) }

// visible drops what nobody sees.
func visible(r rune) rune {
	if unicode.IsSpace(r) || !unicode.IsPrint(r) {
		return -1
	}
	return r
}

// condition lets an address take part in a yes only where the provider says that it was verified (P202), and a machine has
// no mailbox, whatever its token claims (SEC-7). In a no every address takes part.
func (a addresses) condition(as reading) condition {
	if as.against {
		return func(who *identity.Identity, _ Request) bool { return who.Email != "" && a.touches(who.Email) }
	}
	return func(who *identity.Identity, _ Request) bool { return vouched(who) && a.holds(who.Email) }
}

func vouched(who *identity.Identity) bool { return who.EmailVerified && !who.Machine }

// HasEmail reports whether somebody's address is this one, as an allow list with this one in Emails reads it.
func HasEmail(who *identity.Identity, address string) bool {
	_, _, ok := splitEmail(who.Email)
	return ok && vouched(who) && asciiLower(who.Email) == asciiLower(address)
}

// InDomain is the same for Domains.
func InDomain(who *identity.Identity, domain string) bool {
	_, own, ok := splitEmail(who.Email)
	return ok && vouched(who) && asciiLower(own) == asciiLower(domain)
}

func hasEmail(emails []string, as reading) condition {
	return addressesOf(emails, nil, as).condition(as)
}

func inDomain(domains []string, as reading) condition {
	return addressesOf(nil, domains, as).condition(as)
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
	return addressesOf(single, domains, as).condition(as)
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
