package proxy

import (
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"
)

// claimHeaders makes a header of each claim.
type claimHeaders struct {
	prefix  string
	name    func(claim string) string
	truth   [2]string // false, true
	quoted  bool      // members of lists stand in quotation marks
	objects bool      // are sent, as JSON
}

// protocolClaims belong to the exchange with the provider and say nothing about anybody. Addresses come from the identity,
// which knows whether they are verified.
var protocolClaims = set([]string{"nonce", "at_hash", "c_hash", "s_hash", "email", "emails"})

// addTo adds all claims. Servers that read "_", "-" and capitals alike would take a claim "Sub" or "su-b" for another
// one, so of names that are read alike only the one in small letters, digits and "_" is sent, as all that are registered
// are (OIDC Core §5.1); if there is none, none is.
func (c *claimHeaders) addTo(in *injection, f facts, e encoding) {
	claims := f.claims()
	header := make(map[string]string) // by what it is read as; the claim
	for _, claim := range slices.Sorted(maps.Keys(claims)) {
		name := c.name(claim)
		if strings.Trim(name, "-_.") == "" {
			continue
		}
		key := folded(name)
		if _, taken := header[key]; !taken {
			header[key] = claim
		} else if registered(claim) {
			header[key] = claim
		} else if !registered(header[key]) {
			header[key] = ""
		}
	}
	for _, key := range slices.Sorted(maps.Keys(header)) {
		if claim := header[key]; claim != "" {
			in.addEncoded(c.prefix+c.name(claim), func() (string, error) { return c.value(e, claims[claim]) })
		}
	}
}

// claims are those of the provider, and what the identity knows better.
func (f facts) claims() map[string]any {
	all := make(map[string]any)
	for name, value := range f.who.Claims.Map() {
		if !protocolClaims[name] {
			all[name] = value
		}
	}
	all["sub"], all["iss"] = f.who.Subject, f.who.Issuer
	for name, value := range map[string]string{"email": f.email(), "preferred_username": f.username(), "name": f.fullName()} {
		if _, there := all[name]; !there && value != "" {
			all[name] = value
		}
	}
	if _, there := all["groups"]; !there && len(f.who.Groups) > 0 {
		groups := make([]any, len(f.who.Groups))
		for i, g := range f.who.Groups {
			groups[i] = g
		}
		all["groups"] = groups
	}
	return all
}

func (c *claimHeaders) value(e encoding, v any) (string, error) {
	switch v := v.(type) {
	case map[string]any:
		if !c.objects {
			return "", nil
		}
		text, err := json.Marshal(v)
		if err != nil {
			return "", err
		}
		return e.value(string(text))
	case []any:
		var members []string
		for _, m := range v {
			members = append(members, c.scalar(m))
		}
		return e.list(members, c.quoted)
	}
	return e.value(c.scalar(v))
}

// scalar is "" for what is no text, number or truth value.
func (c *claimHeaders) scalar(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case json.Number:
		return v.String()
	case bool:
		if v {
			return c.truth[1]
		}
		return c.truth[0]
	}
	return ""
}

// dashed is the name that mod_auth_openidc makes of a claim's: what no header name can hold is "-".
func dashed(claim string) string {
	return strings.Map(func(r rune) rune {
		if r < 0x80 && isToken(string(r)) {
			return r
		}
		return '-'
	}, claim)
}

// vouchName is the name that vouch makes of a claim's.
func vouchName(claim string) string {
	claim = strings.TrimPrefix(strings.TrimPrefix(claim, "http://"), "https://")
	return http.CanonicalHeaderKey(strings.Map(func(r rune) rune {
		if r < 0x80 && headerName(string(r)) {
			return r
		}
		return '-'
	}, claim))
}

// folded is what CGI and its children read of a name: HTTP_X_A_B of X-A_b (P023).
func folded(name string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case 'A' <= r && r <= 'Z':
			return r + 'a' - 'A'
		case 'a' <= r && r <= 'z' || '0' <= r && r <= '9':
			return r
		}
		return '-'
	}, name)
}

func registered(claim string) bool {
	return claim != "" && !strings.ContainsFunc(claim, func(r rune) bool { return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '_' })
}
