package policy

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
)

// Overlaps finds entries that can never decide anything (S20): whoever one of allow fits is let in by an earlier one
// already, or refused by deny; whom one of deny refuses an earlier one refuses. Each error begins with the entry, "allow[2]: ".
// It finds what follows from the lists as they are written, and not from the content of files.
func Overlaps(c Config) (all []error) {
	for i, r := range c.Deny {
		if j := covering(c.Deny[:i], r); j >= 0 {
			all = append(all, fmt.Errorf("deny[%d]: %s", i, again(c.Deny[j], r, fmt.Sprintf("deny[%d]", j), "whoever it fits is refused by %s already; remove one of them")))
		}
	}
	for i, r := range c.Allow {
		if j := covering(c.Deny, r); j >= 0 {
			all = append(all, fmt.Errorf("allow[%d]: it lets nobody in: deny[%d] refuses whoever it fits; remove one of them, or narrow deny[%d]", i, j, j))
		} else if j := covering(c.Allow[:i], r); j >= 0 {
			all = append(all, fmt.Errorf("allow[%d]: %s", i, again(c.Allow[j], r, fmt.Sprintf("allow[%d]", j), "it never decides: whoever it fits is let in by %s already; remove one of them")))
		}
	}
	return all
}

func again(earlier, later Rule, name, otherwise string) string {
	if covers(later, earlier) {
		return name + " says the same already; remove one of them"
	}
	return fmt.Sprintf(otherwise, name)
}

// covering returns the first of rules that fits whoever later fits, -1 if there is none.
func covering(rules []Rule, later Rule) int {
	return slices.IndexFunc(rules, func(r Rule) bool { return covers(r, later) })
}

// covers reports whether every condition of wide follows from one of narrow.
func covers(wide, narrow Rule) bool {
	for _, key := range keysOf(wide) {
		if !follows(key, wide, narrow) {
			return false
		}
	}
	return len(keysOf(wide)) > 0 && len(keysOf(narrow)) > 0
}

// keysOf lists the keys that a rule has, as the configuration calls them.
func keysOf(r Rule) (keys []string) {
	for _, k := range []struct {
		name  string
		given int
	}{
		{"groups", len(r.Groups)},
		{"roles", len(r.Roles)},
		{"emails", len(r.Emails)},
		{"email_files", len(r.EmailFiles)},
		{"domains", len(r.Domains)},
		{"users", len(r.Users)},
		{"scopes", len(r.Scopes)},
		{"clients", len(r.Clients)},
		{"networks", len(r.Networks)},
		{"methods", len(r.Methods)},
	} {
		if k.given > 0 {
			keys = append(keys, k.name)
		}
	}
	for _, path := range slices.Sorted(maps.Keys(r.Claims)) {
		keys = append(keys, "claims."+path)
	}
	return keys
}

// follows reports whether the condition that wide has under key holds for whoever narrow fits.
func follows(key string, wide, narrow Rule) bool {
	switch key {
	case "groups":
		return within(narrow.Groups, wide.Groups)
	case "roles":
		return within(narrow.Roles, wide.Roles)
	case "emails":
		return within(lowered(narrow.Emails), lowered(wide.Emails))
	case "email_files":
		return within(names(narrow.EmailFiles), names(wide.EmailFiles))
	case "domains":
		return within(lowered(narrow.Domains), lowered(wide.Domains)) || within(domainsOf(narrow.Emails), lowered(wide.Domains))
	case "users":
		return within(narrow.Users, wide.Users)
	case "clients":
		return within(narrow.Clients, wide.Clients)
	case "scopes": // all of them are needed
		return within(wide.Scopes, narrow.Scopes)
	case "networks":
		return len(narrow.Networks) > 0 && !slices.ContainsFunc(narrow.Networks, func(n netip.Prefix) bool { return !inOneOf(n, wide.Networks) })
	case "methods":
		return within(narrow.Methods, withHead(wide.Methods))
	}
	path := strings.TrimPrefix(key, "claims.")
	return within(narrow.Claims[path], wide.Claims[path])
}

// within reports whether there are some, and all of them are among others.
func within(some, others []string) bool {
	all := set(others)
	return len(some) > 0 && !slices.ContainsFunc(some, func(s string) bool { return !all[s] })
}

func inOneOf(n netip.Prefix, networks []netip.Prefix) bool {
	return slices.ContainsFunc(networks, func(w netip.Prefix) bool { return w.Bits() <= n.Bits() && w.Contains(n.Addr()) })
}

func names(files []EmailFile) (all []string) {
	for _, f := range files {
		all = append(all, f.Name)
	}
	return all
}

func domainsOf(emails []string) (all []string) {
	for _, e := range emails {
		_, domain, _ := splitEmail(e)
		all = append(all, asciiLower(domain))
	}
	return all
}

func lowered(values []string) (all []string) {
	for _, v := range values {
		all = append(all, asciiLower(v))
	}
	return all
}
