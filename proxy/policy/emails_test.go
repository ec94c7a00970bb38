package policy

import (
	"testing"

	"github.com/doorward/doorward/internal/identity"
)

func mailed(address string) *identity.Identity {
	return &identity.Identity{Issuer: "https://idp.test", Subject: "s", Email: address, EmailVerified: true}
}

func TestP201ADeniedAddressHidesBehindNoSpelling(t *testing.T) {
	p := mustNew(t, Config{Deny: []Rule{{Emails: []string{"Mallory@evil.example", "É@x.example"}}, {Domains: []string{"BÜCHER.example"}}, {EmailFiles: []EmailFile{{Name: "f", Entries: []string{"@Out.example"}}}}}})
	for address, want := range map[string]bool{
		"mallory@evil.example": false, "MALLORY@EVIL.EXAMPLE": false, " mallory@evil.example.": false, `"mallory"@evil.example`: false, "Mallory <mallory@evil.example>": false,
		"mallory@evil.example(work)": false, "mallory @evil.example": false, "mal\u200blory@evil.example": false, "mallory@evil.example, a@x.example": false, "é@x.example": false,
		"a@bücher.example": false, "a@BÜCHER.EXAMPLE": false, "A <a@bücher.example>": false, "a@bücher.example@x.example": false, "a@x.example@bücher.example": false, `"a@x.example"@bücher.example`: false,
		"a@out.example": false, "a@out.example..": false, "a@out.example;b@x.example": false, "a@out.\u00adexample": false, "@out.example": false, `"a b"@out.example`: false,
		"mallory@x.example": true, "a@evil.example": true, "bücher.example@x.example": true, "a@sub.out.example": true, "a@out.example.net": true, "a@notout.example": true, "": true,
	} {
		for _, verified := range []bool{true, false} {
			who := mailed(address)
			who.EmailVerified = verified
			if ok, rule := p.Check(who, Request{}); ok != want {
				t.Errorf("%q passes: %v by %q", address, ok, rule)
			}
		}
	}
}

func TestASingleAddressIsReadAsAnAllowListReadsIt(t *testing.T) {
	for address, want := range map[string]bool{
		"mark@company.example": true, "MARK@Company.Example": true,
		"mar\u212a@company.example":      false, // the Kelvin sign folds to a k
		"a@evil.example@company.example": false, "@company.example": false, "company.example": false, "": false, "mark@company.example.": false,
	} {
		who := mailed(address)
		allow := mustNew(t, Config{Allow: []Rule{{Emails: []string{"mark@company.example"}}}})
		if ok, _ := allow.Check(who, Request{}); ok != want || HasEmail(who, "mark@Company.example") != want {
			t.Errorf("%q: in a list %v, alone %v", address, ok, HasEmail(who, "mark@Company.example"))
		}
		domain := mustNew(t, Config{Allow: []Rule{{Domains: []string{"company.example"}}}})
		if ok, _ := domain.Check(who, Request{}); ok != InDomain(who, "Company.example") {
			t.Errorf("%q: domain in a list %v, alone %v", address, ok, !ok)
		}
		for _, none := range []string{"", "@", "*", " "} {
			if HasEmail(who, none) || InDomain(who, none) {
				t.Errorf("%q is %q", address, none)
			}
		}
	}
	machine, unverified := mailed("mark@company.example"), mailed("mark@company.example")
	machine.Machine, unverified.EmailVerified = true, false
	for _, who := range []*identity.Identity{machine, unverified} {
		if HasEmail(who, who.Email) || InDomain(who, "company.example") {
			t.Errorf("%+v counts", who)
		}
	}
}

func TestValuesThatLookLikeOthersAreRefused(t *testing.T) {
	for _, s := range []string{"a@x.example\u200b", "a @x.example", " a@x.example", "a@x.\u00adexample", "a@x.example\n", "a\x00@x.example", "a@x\xff.example", "@x.example", "a@b@c", "a@.x", "a@x.", "*@x.example"} {
		if _, err := newOf([]Rule{{Emails: []string{s}}}); err == nil {
			t.Errorf("emails: %q is accepted", s)
		}
	}
	for _, s := range []string{"x.example\u200b", "x.example ", "\u202ex.example", "x\xff.example", "x.example\u00a0"} {
		if _, err := newOf([]Rule{{Domains: []string{s}}}); err == nil {
			t.Errorf("domains: %q is accepted", s)
		}
		if CheckEntry("a@"+s) == nil || CheckEntry("@"+s) == nil {
			t.Errorf("a line with %q is accepted", s)
		}
	}
	for _, s := range []string{"o'brien+x@x.example", "jürgen@bücher.example", `a"b@x.example`} {
		if _, err := newOf([]Rule{{Emails: []string{s}}}); err != nil {
			t.Errorf("emails: %q: %v", s, err)
		}
	}
}
