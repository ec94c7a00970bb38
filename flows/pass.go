package flows

import (
	"fmt"
	"net/url"
	"slices"

	"github.com/doorward/doorward/flows/provider"
	"github.com/doorward/doorward/internal/pages"
)

const (
	maxPassed     = 8   // parameters of a login that a visitor may set
	maxPassValue  = 256 // bytes of each
	maxPassedKept = 512 // bytes of all that an attempt's cookie has room for
)

// What of a visitor's query goes on to the provider (AUT-9): parameters that the configuration lists by
// name, as they came. A list can't open what we set ourselves, what our own start takes, or
// what we check in the answer and would be told by a visitor not to (P070).
func checkPass(l Login) error {
	if len(l.PassParams) > maxPassed {
		return fmt.Errorf("pass_params: at most %d parameters", maxPassed)
	}
	for i, name := range l.PassParams {
		_, configured := l.Params[name]
		switch {
		case provider.Reserved(name):
			return fmt.Errorf("pass_params: %s is set by Doorward itself", name)
		case slices.Contains([]string{"", "rd", "login", "redirect", "prompt", "max_age"}, name):
			return fmt.Errorf("pass_params: %q is not for visitors to set", name)
		case configured:
			return fmt.Errorf("pass_params: %s stands among params already", name)
		case slices.Contains(l.PassParams[:i], name):
			return fmt.Errorf("pass_params: %s is there twice", name)
		}
	}
	return nil
}

// passes returns those parameters that go on with a login; nil if none does.
func (l *login) passes(query url.Values) (passed url.Values) {
	for _, name := range l.pass {
		if v := query[name]; len(v) == 1 {
			if passed == nil {
				passed = url.Values{}
			}
			passed[name] = v
		}
	}
	return passed
}

// passed collects from a query what may go on with any of these logins.
func passed(query url.Values, logins []*login) (all url.Values, err error) {
	for _, l := range logins {
		for _, name := range l.pass {
			values, ok := query[name]
			if !ok {
				continue
			}
			if len(values) != 1 || len(values[0]) > maxPassValue || values[0] == "" || !plain(values[0]) {
				return nil, &pages.Error{Code: codeBadRequest, Detail: "The parameter " + name + " is there more than once, empty, too long, or holds control characters."}
			}
			if all == nil {
				all = url.Values{}
			}
			all[name] = values
		}
	}
	return all, nil
}

// plain reports whether a text is UTF-8 without control characters.
func plain(s string) bool {
	for _, r := range s {
		if r < ' ' || r >= 0x7f && r < 0xa0 || r == '\ufffd' {
			return false
		}
	}
	return true
}
