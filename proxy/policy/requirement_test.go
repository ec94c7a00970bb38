package policy

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/doorward/doorward/internal/identity"
)

func TestARequirementHoldsOrDoesNot(t *testing.T) {
	for source, want := range map[string]bool{
		`claims.department != "temp"`:             true,
		`claims.department == "temp"`:             false,
		`!user.machine && "staff" in user.groups`: true,
		`user.machine`:                            false,
		`claims.admin`:                            true, // only the request knows its type
		`request.method == "POST" && request.ip.startsWith("192.0.2.")`: true,
		`!has(claims.suspended) || !claims.suspended`:                   true,
		`user.scopes.exists(s, s == "orders.read")`:                     true,
		`claims.level >= 3`: true,
		`"x-key" in request.header || "dpop" in request.header`:           false, // secrets
		`request.header["x-tenant"][0] == "t1"`:                           true,
		`request.time.getHours() >= 9 && request.time.getHours() < 17`:    true,
		`request.path.startsWith("/payments") && request.query.a[0]=="1"`: true,
	} {
		q, err := NewRequirement(source)
		if err != nil {
			t.Errorf("%s: %v", source, err)
			continue
		}
		in := payment()
		in.Secret = []string{"X-Key"}
		in.Header["X-Key"], in.Header["Dpop"] = []string{"secret"}, []string{"secret"}
		if got, err := q.Holds(t.Context(), in); got != want || err != nil {
			t.Errorf("%s: %v, %v", source, got, err)
		}
	}
}

func TestWhatARequirementCannotSayIsANo(t *testing.T) {
	for source, missing := range map[string]bool{
		`claims.nowhere != "x"`:      true, // CONTRACT §2: a missing field denies
		`claims.nowhere.deep == "x"`: true,
		`request.query.c[0] == "1"`:  true,
		`claims.department`:          false, // no bool
		`claims.level`:               false,
		`claims.department > 3`:      false,
		`user.groups[7] == "x"`:      false,
	} {
		q, err := NewRequirement(source)
		if err != nil {
			t.Errorf("%s: %v", source, err)
			continue
		}
		got, err := q.Holds(t.Context(), payment())
		var m *Missing
		if got || err == nil || missing && !errors.As(err, &m) {
			t.Errorf("%s: %v, %v", source, got, err)
		}
	}
	q, err := NewRequirement(`user.email == "x"`)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := q.Holds(t.Context(), &Input{}); got || err == nil {
		t.Errorf("nobody: %v, %v", got, err)
	}
}

func TestARequirementThatCannotWorkIsRefusedAtStart(t *testing.T) {
	for source, says := range map[string]string{
		"":                                 "empty",
		`"yes"`:                            "must be bool",
		`user.sub`:                         "must be bool",
		`form.amount == "20"`:              "form",
		`json.amount == "20"`:              "json",
		`usr.sub == "a"`:                   "undeclared reference",
		`user.machin`:                      "undefined field",
		`user.machine &&`:                  "Syntax error",
		strings.Repeat("!", 5000) + "true": "at most",
	} {
		if _, err := NewRequirement(source); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%.40q: %v", source, err)
		}
	}
}

func TestTheScopesThatWouldHelpAreThoseOfARuleThatNothingElseForbids(t *testing.T) {
	p, err := newOf([]Rule{
		{Groups: []string{"admin"}, Scopes: []string{"all"}},
		{Clients: []string{"shop"}, Scopes: []string{"orders.read", "orders.write"}},
		{Scopes: []string{"root"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := p.Lacks(alice(), Request{}); !slices.Equal(got, []string{"orders.read", "orders.write"}) {
		t.Errorf("alice lacks %q", got)
	}
	other := &identity.Identity{Issuer: "i", Subject: "s", Client: "else"}
	if got := p.Lacks(other, Request{}); !slices.Equal(got, []string{"root"}) {
		t.Errorf("another lacks %q", got)
	}
	if got := p.Lacks(nil, Request{}); got != nil {
		t.Errorf("nobody lacks %q", got)
	}
	if got := p.Scopes(); !slices.Equal(got, []string{"all", "orders.read", "orders.write", "root"}) {
		t.Errorf("scopes %q", got)
	}
	groups, err := newOf([]Rule{{Groups: []string{"admin"}}})
	if err != nil {
		t.Fatal(err)
	}
	if got := groups.Lacks(alice(), Request{}); got != nil {
		t.Errorf("no scope makes a member: %q", got)
	}
}
