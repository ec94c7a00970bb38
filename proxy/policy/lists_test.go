package policy

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/doorward/doorward/internal/identity"
)

func networks(all ...string) (list []netip.Prefix) {
	for _, s := range all {
		list = append(list, netip.MustParsePrefix(s))
	}
	return list
}

func from(address string) Request {
	r := Request{Method: "GET"}
	if address != "" {
		r.Client = netip.MustParseAddr(address)
	}
	return r
}

func mustNew(t *testing.T, c Config) *Policy {
	t.Helper()
	p, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestP036ANetworkIsThatOfTheCanonicalAddress(t *testing.T) {
	p := mustNew(t, Config{Allow: []Rule{{Networks: networks("10.0.0.0/8", "2001:db8::/32")}}})
	for address, want := range map[string]bool{
		"10.1.2.3": true, "::ffff:10.1.2.3": true, "2001:db8::1": true, "11.0.0.1": false, "2001:db9::1": false, "127.0.0.1": false, "::a01:203": false, "": false,
		"2001:db8::1%eth0": true, // the zone says by which cable, not from where
	} {
		if ok, _ := p.Check(alice(), from(address)); ok != want {
			t.Errorf("%q passes: %v", address, ok)
		}
	}
	if ok, _ := p.Check(nil, from("10.1.2.3")); ok {
		t.Error("a network makes somebody of nobody")
	}
}

func TestAnAddressThatIsNotKnownIsInEveryNetworkThatIsDenied(t *testing.T) {
	p := mustNew(t, Config{Deny: []Rule{{Networks: networks("10.0.0.0/8")}}})
	for address, want := range map[string]bool{"10.1.2.3": false, "::ffff:10.1.2.3": false, "": false, "11.0.0.1": true} {
		if ok, _ := p.Check(alice(), from(address)); ok != want {
			t.Errorf("%q passes: %v", address, ok)
		}
	}
}

func TestMethodsAreWholeNamesAndGETIncludesHEAD(t *testing.T) {
	p := mustNew(t, Config{Allow: []Rule{{Groups: []string{"staff"}, Methods: []string{"GET", "PROPFIND"}}, {Groups: []string{"admin"}}}})
	for method, want := range map[string]bool{"GET": true, "HEAD": true, "PROPFIND": true, "POST": false, "get": false, "GETX": false, "": true} {
		if ok, _ := p.Check(alice(), Request{Method: method}); ok != want {
			t.Errorf("%q passes: %v", method, ok)
		}
	}
	deny := mustNew(t, Config{Deny: []Rule{{Methods: []string{"GET"}}}})
	for method, want := range map[string]bool{"GET": false, "HEAD": false, "POST": true, "": true} {
		if ok, _ := deny.Check(alice(), Request{Method: method}); ok != want {
			t.Errorf("deny: %q passes: %v", method, ok)
		}
	}
}

func TestRolesAreReadWhereProvidersPutThem(t *testing.T) {
	p := mustNew(t, Config{Allow: []Rule{{Roles: []string{"admin"}}}, RoleClients: map[string]string{"corp": "door.ward", "other": "x"}})
	for claims, want := range map[string]bool{
		`{"roles":["user","admin"]}`:                                        true,
		`{"roles":"admin"}`:                                                 true,
		`{"realm_access":{"roles":["admin"]}}`:                              true,
		`{"resource_access":{"door.ward":{"roles":["admin"]}}}`:             true,
		`{"resource_access":{"x":{"roles":["admin"]}}}`:                     false, // the client of another provider
		`{"resource_access":{"door":{"ward":{"roles":["admin"]}}}}`:         false, // a dot leads nowhere
		`{"resource_access":{"account":{"roles":["admin"]}}}`:               false,
		`{"resource_access.door.ward.roles":["admin"]}`:                     false,
		`{"groups":["admin"]}`:                                              false,
		`{"roles":["admin,user"," admin","Admin","administrators",""]}`:     false,
		`{"roles":"admin,user"}`:                                            false,
		`{"roles":{"admin":true}}`:                                          false,
		`{"roles":[["admin"],{"a":"admin"},null]}`:                          false,
		`{"roles":null,"realm_access":["admin"],"resource_access":"admin"}`: false,
		`{}`: false,
	} {
		who := alice()
		who.Claims = identity.NewClaims([]byte(claims))
		if ok, _ := p.Check(who, Request{}); ok != want {
			t.Errorf("P203 %s: passes: %v", claims, ok)
		}
	}
	who := alice()
	who.Provider, who.Claims = "", identity.NewClaims([]byte(`{"resource_access":{"":{"roles":["admin"]}}}`))
	if ok, _ := p.Check(who, Request{}); ok {
		t.Error("nobody's client has roles")
	}
}

func TestClaimsAreFoundByNestedPathsAndByNamesWithDots(t *testing.T) {
	who := alice()
	who.Claims = identity.NewClaims([]byte(`{"address":{"country":"de"},"https://example.com/roles":["r"],"a.b":{"c.d":["deep"]}}`))
	for path, value := range map[string]string{"address.country": "de", "https://example.com/roles": "r", "a.b.c.d": "deep"} {
		p := mustNew(t, Config{Allow: []Rule{{Claims: map[string][]string{path: {value}}}}})
		if ok, _ := p.Check(who, Request{}); !ok {
			t.Errorf("%s is not found", path)
		}
		if ok, _ := p.Check(alice(), Request{}); ok {
			t.Errorf("%s is found where there is none", path)
		}
	}
}

func TestP201P202AnEMailListLetsInVerifiedAddressesOnly(t *testing.T) {
	p := mustNew(t, Config{Allow: []Rule{{EmailFiles: []EmailFile{{"staff.txt", []string{"Root@Example.com", "@company.com"}}, {"more.txt", []string{"x@y.example"}}}}}})
	for email, want := range map[string]bool{
		"root@example.com": true, "ROOT@EXAMPLE.COM": true, "x@y.example": true, "a@company.com": true, "a@COMPANY.com": true,
		"other@example.com": false, "attacker@evil.com@company.com": false, "a@notcompany.com": false, "a@company.com.evil": false, "@company.com": false, "company.com": false, "": false,
		"a@sub.company.com": false, "a@company.com ": false, "a@company.com.": false, "a@compa\u212Ay.com": false, "root@example.com\x00": false,
	} {
		who := alice()
		who.Email = email
		if ok, _ := p.Check(who, Request{}); ok != want {
			t.Errorf("%q passes: %v", email, ok)
		}
		who.EmailVerified = false
		if ok, _ := p.Check(who, Request{}); ok {
			t.Errorf("%q passes and is not verified", email)
		}
		who.EmailVerified, who.Machine = true, true
		if ok, _ := p.Check(who, Request{}); ok {
			t.Errorf("%q passes, of a machine", email)
		}
	}
}

func TestP202ADeniedAddressIsRefusedHoweverItIsWrittenAndVerifiedOrNot(t *testing.T) {
	p := mustNew(t, Config{Deny: []Rule{{Emails: []string{"root@example.com"}}, {Domains: []string{"evil.com"}}, {EmailFiles: []EmailFile{{"out.txt", []string{"@gone.example", "one@other.example"}}}}}})
	for email, passes := range map[string]bool{
		"root@example.com": false, "ROOT@Example.Com": false, " root@example.com ": false, "root@example.com.": false,
		"a@evil.com": false, "a@EVIL.com": false, "a@evil.com.": false, "a@evil.com@company.com": false, "a@company.com@evil.com": false, `"a@evil.com"@company.com`: false, "@evil.com": false,
		"a@gone.example": false, "one@other.example": false, "two@other.example": true, "a@notevil.com": true, "a@evil.com.example": true, "evil.com@x.example": true, "": true,
	} {
		for _, verified := range []bool{true, false} {
			for _, machine := range []bool{true, false} {
				who := alice()
				who.Email, who.EmailVerified, who.Machine = email, verified, machine
				if ok, _ := p.Check(who, Request{}); ok != passes {
					t.Errorf("%q, verified %v, machine %v: passes: %v", email, verified, machine, ok)
				}
			}
		}
	}
}

func TestP207DenyIsAskedFirst(t *testing.T) {
	p := mustNew(t, Config{Allow: []Rule{{Groups: []string{"staff"}}}, Deny: []Rule{{Users: []string{"bob"}}, {Claims: map[string][]string{"department": {"sales"}}, Groups: []string{"staff"}}}})
	ok, rule := p.Check(alice(), Request{})
	if ok || rule != "deny[1]: refused are members of staff, who are also those whose claim department is sales" {
		t.Errorf("%v by %q", ok, rule)
	}
	who := alice()
	who.Claims = identity.NewClaims([]byte(`{"department":"it"}`))
	if ok, rule := p.Check(who, Request{}); !ok || rule != "allow[0]" {
		t.Errorf("%v by %q", ok, rule)
	}
	who.Subject, who.Machine = "bob", true
	if ok, _ := p.Check(who, Request{}); ok {
		t.Error("a denied subject passes as a machine")
	}
	if lacks := mustNew(t, Config{Allow: []Rule{{Scopes: []string{"x"}}}, Deny: []Rule{{Groups: []string{"staff"}}}}).Lacks(alice(), Request{}); lacks != nil {
		t.Errorf("no scope helps somebody who is denied: %q", lacks)
	}
	if ok, _ := mustNew(t, Config{Deny: []Rule{{Groups: []string{"temps"}}}}).Check(nil, Request{}); ok {
		t.Error("P204 nobody passes")
	}
}

func TestP203P205AValueThatMatchesByAccidentOrNeverIsNone(t *testing.T) {
	for says, r := range map[string]Rule{
		"roles: an empty":       {Roles: []string{"a", ""}},
		"methods: \"\"":         {Methods: []string{""}},
		"methods: \"get\"":      {Methods: []string{"get"}},
		"methods: \"*\"":        {Methods: []string{"*"}},
		"networks: a network":   {Networks: []netip.Prefix{{}}},
		"the network is 10.0.0": {Networks: networks("10.0.0.1/8")},
		"read as IPv4":          {Networks: networks("::ffff:10.0.0.0/104")},
		"holds no address":      {EmailFiles: []EmailFile{{Name: "x"}}},
		"x: a line is":          {EmailFiles: []EmailFile{{"x", []string{"*@example.com"}}}},
		"is empty and would":    {},
	} {
		for list, c := range map[string]Config{"allow[0]: ": {Allow: []Rule{r}}, "deny[0]: ": {Deny: []Rule{r}}} {
			if _, err := New(c); err == nil || !strings.HasPrefix(err.Error(), list) || !strings.Contains(err.Error(), says) {
				t.Errorf("%+v: %v", r, err)
			}
		}
	}
	for _, e := range []string{"", "@", "a@", "a b@x.example", "a@b@c", "@*.example.com", "@.example.com", "@example.com.", "a@x y", "a,b@x.example", "name"} {
		if CheckEntry(e) == nil {
			t.Errorf("entry %q is accepted", e)
		}
	}
}

func TestTheNewListsAllocateNothing(t *testing.T) {
	p := mustNew(t, Config{
		Allow: []Rule{{Roles: []string{"admin"}}, {Networks: networks("10.0.0.0/8"), Methods: []string{"GET"}, EmailFiles: []EmailFile{{"f", []string{"@example.com"}}}}},
		Deny:  []Rule{{Groups: []string{"temps"}}, {Networks: networks("192.0.2.0/24")}},
	})
	who, req := alice(), from("10.1.2.3")
	who.Email = "alice@example.com"
	who.Claims.Map()
	if ok, rule := p.Check(who, req); !ok || rule != "allow[1]" {
		t.Fatalf("%v by %q", ok, rule)
	}
	if n := testing.AllocsPerRun(100, func() { p.Check(who, req) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkCheck(b *testing.B) {
	p, err := New(Config{Allow: []Rule{{Groups: []string{"admin"}}, {Roles: []string{"writer"}, Networks: networks("10.0.0.0/8")}}, Deny: []Rule{{Users: []string{"bob"}}}})
	if err != nil {
		b.Fatal(err)
	}
	who, req := alice(), from("10.1.2.3")
	for b.Loop() {
		if ok, _ := p.Check(who, req); !ok {
			b.Fatal("refused")
		}
	}
}
