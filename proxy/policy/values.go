package policy

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"unicode"
	"unicode/utf8"
)

func checkEmails(emails []string) error {
	for _, e := range emails {
		if CheckEntry(e) != nil || strings.HasPrefix(e, "@") {
			return fmt.Errorf("emails: %q is not an e-mail address of the form name@domain", e)
		}
	}
	return nil
}

func checkDomains(domains []string) error {
	for _, d := range domains {
		if !isDomain(d) {
			return fmt.Errorf("domains: %q must be a domain as it stands behind the @, such as \"example.com\"; there are no patterns, list each subdomain", d)
		}
	}
	return nil
}

func isDomain(d string) bool {
	return d != "" && legible(d) && !strings.ContainsAny(d, "@*/#,;:<>()[]\"\\?") && !strings.HasPrefix(d, ".") && !strings.HasSuffix(d, ".")
}

// legible refuses what looks like another text: with characters that nobody sees, an entry of deny would refuse nobody.
func legible(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r == utf8.RuneError || unicode.IsSpace(r) || !unicode.IsPrint(r) })
}

func checkFiles(files []EmailFile) error {
	for _, f := range files {
		if len(f.Entries) == 0 {
			return fmt.Errorf("email_files: %s holds no address", f.Name)
		}
		for _, e := range f.Entries {
			if err := CheckEntry(e); err != nil {
				return fmt.Errorf("email_files: %s: %w", f.Name, err)
			}
		}
	}
	return nil
}

var errEntry = errors.New("a line is an e-mail address of the form name@domain, or @domain for everybody in it; there are no patterns")

// CheckEntry judges one line of an e-mail list. Its error does not repeat the line: it may stand in a log.
func CheckEntry(entry string) error {
	local, domain, ok := strings.Cut(entry, "@")
	if !ok || !isDomain(domain) || !legible(local) || strings.ContainsAny(local, "*,;") {
		return errEntry
	}
	return nil
}

func checkNetworks(networks []netip.Prefix) error {
	for _, n := range networks {
		switch {
		case !n.IsValid():
			return errors.New("networks: a network in CIDR form is wanted, such as \"10.0.0.0/8\"")
		case n.Addr().Is4In6():
			return fmt.Errorf("networks: %s: addresses of this form are read as IPv4; write the network so, such as \"10.0.0.0/8\"", n)
		case n != n.Masked():
			return fmt.Errorf("networks: %s names an address within a network; the network is %s", n, n.Masked())
		}
	}
	return nil
}

func checkMethods(methods []string) error {
	for _, m := range methods {
		if m == "" || m != strings.ToUpper(m) || strings.ContainsAny(m, " \t,*") {
			return fmt.Errorf("methods: %q is not a method as requests have it, such as \"GET\"", m)
		}
	}
	return nil
}
