package policy

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// reading is how the conditions of a list are read: what is not certain is a no in an allow list, and a yes in a deny list.
type reading struct {
	against     bool
	roleClients map[string]string
}

func forSomebody(clients map[string]string) reading { return reading{roleClients: clients} }

func againstSomebody(clients map[string]string) reading {
	return reading{against: true, roleClients: clients}
}

// compile makes a rule's conditions, and its text: groups, domains, scopes and claims by
// name, single persons by number only, because everybody who is refused reads it.
func compile(r Rule, as reading) (made rule, text string, err error) {
	if err := checkValues(r); err != nil {
		return rule{}, "", err
	}
	var words []string
	add := func(given int, c condition, say string) {
		if given == 0 {
			return
		}
		if c != nil {
			made.conditions = append(made.conditions, c)
		}
		words = append(words, say)
	}
	add(len(r.Groups), memberOf(r.Groups), "members of "+oneOf(r.Groups))
	add(len(r.Roles), hasRole(r.Roles, as), "holders of the role "+oneOf(r.Roles))
	add(len(r.Emails), hasEmail(r.Emails, as), fmt.Sprintf("%d listed e-mail address(es)%s", len(r.Emails), as.verified()))
	add(len(r.EmailFiles), isListed(r.EmailFiles, as), "the e-mail addresses of a list"+as.verified())
	add(len(r.Domains), inDomain(r.Domains, as), as.adjective()+"e-mail addresses at "+oneOf(r.Domains))
	add(len(r.Users), isUser(r.Users, as), fmt.Sprintf("%d listed user(s)", len(r.Users)))
	add(len(r.Clients), isClient(r.Clients), "callers by way of the client(s) "+oneOf(r.Clients))
	add(len(r.Scopes), nil, "holders of the scope(s) "+strings.Join(r.Scopes, " and "))
	for _, path := range slices.Sorted(maps.Keys(r.Claims)) {
		add(len(r.Claims[path]), hasClaim(path, r.Claims[path]), "those whose claim "+path+" is "+oneOf(r.Claims[path]))
	}
	add(len(r.Networks), isFrom(r.Networks, as), "requests from "+oneOf(texts(r.Networks)))
	add(len(r.Methods), byMethod(r.Methods, as), "requests by "+oneOf(r.Methods))
	made.scopes = slices.Clone(r.Scopes)
	return made, strings.Join(words, ", who are also "), nil
}

func (as reading) verified() string {
	if as.against {
		return ""
	}
	return ", verified"
}

func (as reading) adjective() string {
	if as.against {
		return ""
	}
	return "verified "
}

// checkValues refuses values that match by accident or never (P203, P205).
func checkValues(r Rule) error {
	for _, k := range []struct {
		key    string
		values []string
	}{{"groups", r.Groups}, {"roles", r.Roles}, {"emails", r.Emails}, {"domains", r.Domains}, {"users", r.Users}, {"scopes", r.Scopes}, {"clients", r.Clients}} {
		if err := noEmpty(k.key, k.values); err != nil {
			return err
		}
	}
	for _, path := range slices.Sorted(maps.Keys(r.Claims)) {
		if path == "" || len(r.Claims[path]) == 0 {
			return fmt.Errorf("claims.%s: a claim needs a name and at least one value", path)
		}
		if err := noEmpty("claims."+path, r.Claims[path]); err != nil {
			return err
		}
	}
	for _, err := range []error{checkEmails(r.Emails), checkDomains(r.Domains), checkFiles(r.EmailFiles), checkNetworks(r.Networks), checkMethods(r.Methods)} {
		if err != nil {
			return err
		}
	}
	if len(keysOf(r)) == 0 {
		return errors.New("the table is empty and would fit everybody; name groups, roles, emails, email_files, domains, users, scopes, clients, claims, networks or methods")
	}
	return nil
}

func noEmpty(key string, values []string) error {
	if slices.Contains(values, "") {
		return fmt.Errorf("%s: an empty value would match by accident; remove it", key)
	}
	return nil
}

func oneOf(values []string) string { return strings.Join(values, " or ") }

func alternatives(words []string) string { return strings.Join(words, "; or ") }

func texts[T fmt.Stringer](values []T) []string {
	all := make([]string, 0, len(values))
	for _, v := range values {
		all = append(all, v.String())
	}
	return all
}
