package policy

import (
	"strings"
	"testing"

	"github.com/doorward/doorward/internal/identity"
)

func alice() *identity.Identity {
	return &identity.Identity{
		Issuer: "https://idp.test", Subject: "alice", Provider: "corp", Login: "staff", Client: "shop",
		Email: "Alice@Example.com", EmailVerified: true, Groups: []string{"staff", "everyone"}, Scopes: []string{"openid", "orders.read"},
		Claims: identity.NewClaims([]byte(`{"department":"sales","realm_access":{"roles":["reader","writer"]},"level":3,"admin":true,"empty":[""],"none":null}`)),
	}
}

func newOf(rules []Rule) (*Policy, error) { return New(Config{Allow: rules}) }

func check(t *testing.T, who *identity.Identity, rules ...Rule) (bool, string) {
	t.Helper()
	p, err := New(Config{Allow: rules})
	if err != nil {
		t.Fatal(err)
	}
	return p.Check(who, Request{})
}

func TestRulesOfOneTableAllHoldAndTablesAreAlternatives(t *testing.T) {
	for name, c := range map[string]struct {
		rules []Rule
		ok    bool
		rule  string
	}{
		"no rules":             {nil, true, "signed in"},
		"one group of several": {[]Rule{{Groups: []string{"admin", "staff"}}}, true, "allow[0]"},
		"no group":             {[]Rule{{Groups: []string{"admin"}}}, false, ""},
		"second table":         {[]Rule{{Groups: []string{"admin"}}, {Users: []string{"alice"}}}, true, "allow[1]"},
		"keys are and":         {[]Rule{{Groups: []string{"staff"}, Users: []string{"bob"}}}, false, ""},
		"all keys hold":        {[]Rule{{Groups: []string{"staff"}, Users: []string{"alice"}, Domains: []string{"example.com"}}}, true, "allow[0]"},
		"email, other case":    {[]Rule{{Emails: []string{"aLICE@eXAMPLE.COM"}}}, true, "allow[0]"},
		"all scopes":           {[]Rule{{Scopes: []string{"openid", "orders.read"}}}, true, "allow[0]"},
		"not all scopes":       {[]Rule{{Scopes: []string{"openid", "orders.write"}}}, false, ""},
		"client":               {[]Rule{{Clients: []string{"web", "shop"}}}, true, "allow[0]"},
		"other client":         {[]Rule{{Clients: []string{"Shop", "alice"}}}, false, ""},
		"client and scope":     {[]Rule{{Clients: []string{"shop"}, Scopes: []string{"admin"}}}, false, ""},
		"claim":                {[]Rule{{Claims: map[string][]string{"department": {"it", "sales"}}}}, true, "allow[0]"},
		"nested claim":         {[]Rule{{Claims: map[string][]string{"realm_access.roles": {"writer"}}}}, true, "allow[0]"},
		"number and boolean":   {[]Rule{{Claims: map[string][]string{"level": {"3"}, "admin": {"true"}}}}, true, "allow[0]"},
		"several claims":       {[]Rule{{Claims: map[string][]string{"level": {"3"}, "department": {"it"}}}}, false, ""},
		"no such claim":        {[]Rule{{Claims: map[string][]string{"nowhere": {"x"}}}}, false, ""},
		"null claim":           {[]Rule{{Claims: map[string][]string{"none": {"null"}}}}, false, ""},
		"empty string in list": {[]Rule{{Claims: map[string][]string{"empty": {"x"}}}}, false, ""},
		"subject is not email": {[]Rule{{Users: []string{"alice@example.com"}}}, false, ""},
		"subject, other case":  {[]Rule{{Users: []string{"Alice"}}}, false, ""},
	} {
		t.Run(name, func(t *testing.T) {
			ok, rule := check(t, alice(), c.rules...)
			if ok != c.ok || c.rule != "" && rule != c.rule {
				t.Errorf("got %v by %q, want %v by %q", ok, rule, c.ok, c.rule)
			}
			if !ok && !strings.HasPrefix(rule, "no rule matched") {
				t.Errorf("a refusal says %q", rule)
			}
		})
	}
}

func TestRefusalNamesTheRulesButNoOtherPerson(t *testing.T) {
	_, rule := check(t, alice(), Rule{Groups: []string{"admin"}}, Rule{Emails: []string{"boss@example.com"}, Users: []string{"8f2c"}})
	if !strings.Contains(rule, "members of admin") || strings.Contains(rule, "boss") || strings.Contains(rule, "8f2c") {
		t.Errorf("the refusal reads %q", rule)
	}
}

func TestAttacksOnClaims(t *testing.T) {
	domain := Rule{Domains: []string{"company.com"}}
	for _, email := range []string{
		"attacker@evil.com@company.com", "a@notcompany.com", "a@company.com.evil", "a@sub.company.com", "@company.com", "a@", "company.com", "",
		"a@company.com ", "a@company.com\x00", "a@ｃompany.com", "a@\u212aompany.com", "a@company.com@",
	} {
		t.Run("P201 "+email, func(t *testing.T) {
			who := alice()
			who.Email = email
			if ok, _ := check(t, who, domain); ok {
				t.Errorf("%q passes", email)
			}
		})
	}
	t.Run("P201 the domain itself, in any ASCII case", func(t *testing.T) {
		who := alice()
		who.Email = "a@COMPANY.com"
		if ok, _ := check(t, who, domain); !ok {
			t.Error("refused")
		}
	})
	t.Run("P201 Kelvin sign is not k", func(t *testing.T) {
		who := alice()
		who.Email = "mi\u212ae@company.com"
		if ok, _ := check(t, who, Rule{Emails: []string{"mike@company.com"}}); ok {
			t.Error("passes")
		}
	})
	t.Run("P202 unverified address", func(t *testing.T) {
		who := alice()
		who.EmailVerified = false
		if ok, _ := check(t, who, Rule{Emails: []string{"alice@example.com"}}, Rule{Domains: []string{"example.com"}}); ok {
			t.Error("passes")
		}
	})
	t.Run("P203 groups that are empty, missing or one string", func(t *testing.T) {
		for _, groups := range [][]string{nil, {}, {""}, {"admin,user"}, {" admin"}, {"Admin"}, {"admin\x00"}, {"administrators"}} {
			who := alice()
			who.Groups = groups
			if ok, _ := check(t, who, Rule{Groups: []string{"admin", "user"}}); ok {
				t.Errorf("%q passes", groups)
			}
		}
	})
	t.Run("P203 a rule with an empty value is no rule", func(t *testing.T) {
		for _, r := range []Rule{
			{},
			{Groups: []string{""}},
			{Groups: []string{"a", ""}},
			{Users: []string{""}},
			{Scopes: []string{""}},
			{Emails: []string{""}},
			{Domains: []string{""}},
			{Claims: map[string][]string{"x": {""}}},
			{Claims: map[string][]string{"x": {}}},
			{Claims: map[string][]string{"": {"x"}}},
		} {
			if _, err := newOf([]Rule{r}); err == nil {
				t.Errorf("%+v is accepted", r)
			}
		}
	})
	t.Run("P204 nobody and half an identity", func(t *testing.T) {
		for _, who := range []*identity.Identity{nil, {}, {Subject: "alice"}, {Issuer: "https://idp.test"}} {
			if ok, _ := check(t, who); ok {
				t.Errorf("%v passes", who)
			}
		}
	})
	t.Run("P205 nothing is a pattern", func(t *testing.T) {
		for _, r := range []Rule{{Groups: []string{"sta.*"}}, {Groups: []string{"*"}}, {Users: []string{"al*"}}, {Claims: map[string][]string{"department": {"s.*"}}}} {
			if ok, _ := check(t, alice(), r); ok {
				t.Errorf("%+v lets alice pass", r)
			}
		}
		for _, d := range []string{"*.company.com", ".company.com", "@company.com", "a b.com"} {
			if _, err := newOf([]Rule{{Domains: []string{d}}}); err == nil {
				t.Errorf("domain %q is accepted", d)
			}
		}
	})
	t.Run("SEC-7 a machine named alice is not alice", func(t *testing.T) {
		who := alice()
		who.Machine = true
		for _, r := range []Rule{{Users: []string{"alice"}}, {Emails: []string{"alice@example.com"}}, {Domains: []string{"example.com"}}} {
			if ok, _ := check(t, who, r); ok {
				t.Errorf("%+v lets a machine pass", r)
			}
		}
		if ok, _ := check(t, who, Rule{Scopes: []string{"orders.read"}}); !ok {
			t.Error("a machine with the scope is refused")
		}
	})
	t.Run("identity without claims", func(t *testing.T) {
		who := &identity.Identity{Issuer: "i", Subject: "s"}
		if ok, _ := check(t, who, Rule{Claims: map[string][]string{"x": {"y"}}}); ok {
			t.Error("passes")
		}
	})
}

func TestTheZeroPolicyLetsEverySignedInIdentityPass(t *testing.T) {
	if ok, rule := new(Policy).Check(alice(), Request{}); !ok || rule != SignedIn {
		t.Errorf("got %v by %q", ok, rule)
	}
}

func TestCheckAllocatesNothing(t *testing.T) {
	p, err := newOf([]Rule{{Groups: []string{"admin"}}, {Groups: []string{"staff"}, Users: []string{"alice"}}})
	if err != nil {
		t.Fatal(err)
	}
	who := alice()
	if n := testing.AllocsPerRun(100, func() { p.Check(who, Request{}) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
