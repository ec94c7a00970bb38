package proxy

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/identity"
	"github.com/doorward/doorward/internal/secret"
)

var june = time.Date(2026, 6, 1, 12, 0, 0, 5, time.UTC)

// whole is a person of whom everything is known.
func whole() *identity.Identity {
	return &identity.Identity{
		Issuer: "https://idp.test", Subject: "8f2c", Provider: "corp", Login: "staff", Client: "doorward",
		Email: "alice@example.com", EmailVerified: true, Username: "alice", Name: "Alice Ä", Groups: []string{"staff", "admins"}, Scopes: []string{"openid"},
		Claims: identity.NewClaims([]byte(`{"iss":"https://idp.test","sub":"8f2c","aud":["doorward","account"],"nonce":"n","at_hash":"h","iat":1780000000,"email":"alice@example.com","email_verified":true,
			"preferred_username":"alice","name":"Alice Ä","given_name":"Alice","groups":["staff","admins"],"realm_access":{"roles":["user"]},
			"resource_access":{"app":{"roles":["edit","view"]},"account":{"roles":["self"]}},"https://example.com/level":3,"nothing":null}`)),
		Tokens: &identity.Tokens{AccessToken: secret.New("at-alice"), IDToken: secret.New("idt-alice"), Expiry: june},
	}
}

// bare is a person of whom only the key is known.
func bare() *identity.Identity {
	return &identity.Identity{Issuer: "https://idp.test", Subject: "8f2c", Provider: "corp", Login: "staff", Email: "root@example.com", Claims: identity.NewClaims([]byte(`{"sub":"8f2c","email":"root@example.com","emails":["root@example.com"]}`))}
}

// odd is a person whose provider lets them write what they like.
func odd() *identity.Identity {
	return &identity.Identity{
		Issuer: "https://idp.test", Subject: "a\r\nX: y", Email: "Ä,b@example.com", EmailVerified: true, Username: " root", Name: `"é", 100%`, Groups: []string{"a,admin", "", " admin", `x"y`, "tab\t"},
		Claims: identity.NewClaims([]byte(`{"sub":"root","Sub":"root","su.b":"root","SUB":"root","a-b":"1","a.b":"2","bad\nname é":"v","_":"x","groups":["a,admin","",["nested"]," admin","x\"y","tab\t"]}`)),
	}
}

func TestEachProfileSaysWhatItsPeerSays(t *testing.T) {
	for profile, want := range map[string]map[string]string{
		"oauth2-proxy": {"X-Forwarded-User": "8f2c", "X-Forwarded-Email": "alice@example.com", "X-Forwarded-Groups": "staff,admins", "X-Forwarded-Preferred-Username": "alice"},
		"remote":       {"Remote-User": "8f2c", "Remote-Email": "alice@example.com", "Remote-Groups": "staff,admins", "Remote-Name": "Alice %C3%84"},
		"authelia":     {"Remote-User": "alice", "Remote-Email": "alice@example.com", "Remote-Groups": "staff,admins", "Remote-Name": "Alice %C3%84"},
		"gatekeeper": {
			"X-Auth-Audience": "doorward,account", "X-Auth-Email": "alice@example.com", "X-Auth-Expiresin": "2026-06-01 12:00:00 +0000 UTC", "X-Auth-Groups": "staff,admins",
			"X-Auth-Roles": "user,account:self,app:edit,app:view", "X-Auth-Subject": "8f2c", "X-Auth-Userid": "alice", "X-Auth-Username": "alice",
		},
		"pomerium": {
			"X-Pomerium-Claim-Sub": "8f2c", "X-Pomerium-Claim-User": "8f2c", "X-Pomerium-Claim-Email": "alice@example.com", "X-Pomerium-Claim-Name": "Alice %C3%84", "X-Pomerium-Claim-Groups": "staff,admins",
		},
		"mod_auth_openidc": {
			"OIDC_CLAIM_iss": "https://idp.test", "OIDC_CLAIM_sub": "8f2c", "OIDC_CLAIM_aud": "doorward,account", "OIDC_CLAIM_iat": "1780000000", "OIDC_CLAIM_email": "alice@example.com",
			"OIDC_CLAIM_email_verified": "1", "OIDC_CLAIM_preferred_username": "alice", "OIDC_CLAIM_name": "Alice Ä", "OIDC_CLAIM_given_name": "Alice", "OIDC_CLAIM_groups": "staff,admins",
			"OIDC_CLAIM_realm_access": `{"roles":["user"]}`, "OIDC_CLAIM_resource_access": `{"account":{"roles":["self"]},"app":{"roles":["edit","view"]}}`, "OIDC_CLAIM_https---example.com-level": "3",
		},
		"vouch": {
			"X-Vouch-User": "alice@example.com", "X-Vouch-Idp-Claims-Iss": "https://idp.test", "X-Vouch-Idp-Claims-Sub": "8f2c", "X-Vouch-Idp-Claims-Aud": `"doorward","account"`, "X-Vouch-Idp-Claims-Iat": "1780000000",
			"X-Vouch-Idp-Claims-Email": "alice@example.com", "X-Vouch-Idp-Claims-Email-Verified": "true", "X-Vouch-Idp-Claims-Preferred-Username": "alice", "X-Vouch-Idp-Claims-Name": "Alice %C3%84",
			"X-Vouch-Idp-Claims-Given-Name": "Alice", "X-Vouch-Idp-Claims-Groups": `"staff","admins"`, "X-Vouch-Idp-Claims-Example-Com-Level": "3",
		},
		"none": {},
	} {
		t.Run(profile, func(t *testing.T) { expect(t, sent(t, Headers{Profile: profile}, "none", whole()), want) })
	}
	if got := len(Profiles()); got != 8 {
		t.Errorf("%d profiles, and not all are tested", got)
	}
}

// sent is inject for encodings that send UTF-8 as it is, and names with "_".
func sent(t *testing.T, h Headers, credential string, who *identity.Identity) map[string]string {
	t.Helper()
	p, err := newHeaderPlan(h, credential)
	if err != nil {
		t.Fatal(err)
	}
	in := p.build(who)
	if in.err != nil {
		t.Fatal(in.err)
	}
	got := make(map[string]string)
	seen := make(map[string]bool)
	for _, f := range in.fields {
		if len(f.values) != 1 || seen[folded(f.name)] {
			t.Errorf("%s is there twice", f.name)
		}
		seen[folded(f.name)] = true
		got[f.name] = f.values[0]
	}
	return got
}

func TestSEC7AMachineIsAPersonInNoProfile(t *testing.T) {
	for _, profile := range Profiles() {
		who := whole()
		who.Machine, who.Client = true, "backup"
		want := map[string]string{"X-Forwarded-Client": "backup"}
		if profile == "none" {
			want = nil
		}
		t.Run(profile, func(t *testing.T) { expect(t, sent(t, Headers{Profile: profile}, "none", who), want) })
		t.Run(profile+" for nobody", func(t *testing.T) { expect(t, sent(t, Headers{Profile: profile}, "session", nil), nil) })
	}
}

func TestP022P202WhatIsNotKnownOrNotVerifiedHasNoHeader(t *testing.T) {
	for profile, want := range map[string]map[string]string{
		"oauth2-proxy": {"X-Forwarded-User": "8f2c"}, "remote": {"Remote-User": "8f2c"}, "authelia": {}, "gatekeeper": {"X-Auth-Subject": "8f2c"},
		"pomerium":         {"X-Pomerium-Claim-Sub": "8f2c", "X-Pomerium-Claim-User": "8f2c"},
		"mod_auth_openidc": {"OIDC_CLAIM_sub": "8f2c", "OIDC_CLAIM_iss": "https://idp.test"},
		"vouch":            {"X-Vouch-Idp-Claims-Sub": "8f2c", "X-Vouch-Idp-Claims-Iss": "https://idp.test"}, "none": {},
	} {
		t.Run(profile, func(t *testing.T) { expect(t, sent(t, Headers{Profile: profile}, "none", bare()), want) })
		t.Run(profile+" unverified", func(t *testing.T) {
			found := false
			for _, v := range sent(t, Headers{Profile: profile, UnverifiedEmail: true}, "none", bare()) {
				found = found || strings.Contains(v, "root@example.com")
			}
			if found == (profile == "none") {
				t.Errorf("the address is there: %v", found)
			}
		})
	}
}

func TestP031P032WhateverAClaimHoldsStaysInItsHeader(t *testing.T) {
	const groups = `a%2Cadmin,%20admin,x"y,tab%09`
	for profile, want := range map[string]map[string]string{
		"oauth2-proxy": {"X-Forwarded-User": "a%0D%0AX: y", "X-Forwarded-Email": "%C3%84%2Cb@example.com", "X-Forwarded-Groups": groups, "X-Forwarded-Preferred-Username": "%20root"},
		"authelia":     {"Remote-User": "%20root", "Remote-Email": "%C3%84%2Cb@example.com", "Remote-Groups": groups, "Remote-Name": `"%C3%A9"%2C 100%25`},
		"vouch": { // of "Sub", "su.b" and "sub" only the registered one is sent, and it is the identity's
			"X-Vouch-User": "%C3%84%2Cb@example.com", "X-Vouch-Idp-Claims-Sub": "a%0D%0AX: y", "X-Vouch-Idp-Claims-Iss": "https://idp.test", "X-Vouch-Idp-Claims-Groups": `"a%2Cadmin","%20admin","x%22y","tab%09"`,
			"X-Vouch-Idp-Claims-Bad-Name--": "v", "X-Vouch-Idp-Claims-Su-B": "root", "X-Vouch-Idp-Claims-Email": "%C3%84%2Cb@example.com", "X-Vouch-Idp-Claims-Preferred-Username": "%20root", "X-Vouch-Idp-Claims-Name": `"%C3%A9"%2C 100%25`,
		},
	} {
		t.Run(profile, func(t *testing.T) { expect(t, sent(t, Headers{Profile: profile}, "none", odd()), want) })
	}
	t.Run("mod_auth_openidc", func(t *testing.T) {
		got := sent(t, Headers{Profile: "mod_auth_openidc", Encoding: "percent"}, "none", odd())
		for name, value := range got {
			if !isToken(name) || strings.ContainsAny(value, "\r\n\t\x00") {
				t.Errorf("%q: %q", name, value)
			}
		}
		if got["OIDC_CLAIM_sub"] != "a%0D%0AX: y" || got["OIDC_CLAIM_Sub"] != "" || got["OIDC_CLAIM_SUB"] != "" || got["OIDC_CLAIM_a-b"] != "" || got["OIDC_CLAIM_a.b"] != "" {
			t.Errorf("%q", got)
		}
	})
}

func TestProfilesSendATokenOnlyWithTheCredential(t *testing.T) {
	for profile, names := range map[string][]string{"gatekeeper": {"X-Auth-Token"}, "mod_auth_openidc": {"OIDC_access_token", "OIDC_access_token_expires"}} {
		for _, credential := range []string{"none", "id_token", "session"} {
			got := sent(t, Headers{Profile: profile}, credential, whole())
			for _, name := range names {
				if (got[name] != "") != (credential == "session") {
					t.Errorf("%s with %s: %s is %q", profile, credential, name, got[name])
				}
			}
			if s := strings.Join(slices.Collect(func(yield func(string) bool) {
				for _, v := range got {
					if !yield(v) {
						return
					}
				}
			}), " "); strings.Contains(s, "at-alice") != (credential == "session") {
				t.Errorf("%s with %s: %s", profile, credential, s)
			}
		}
	}
	if got := sent(t, Headers{Profile: "mod_auth_openidc"}, "session", whole())["OIDC_access_token_expires"]; got != "1780315200" {
		t.Errorf("it ends at %s", got)
	}
}

func TestEncodings(t *testing.T) {
	decode := map[string]func(string) string{
		"percent": func(s string) string { v, _ := url.PathUnescape(s); return v },
		"raw":     func(s string) string { return s },
		"rfc8187": func(s string) string {
			rest, ok := strings.CutPrefix(s, "UTF-8''")
			v, err := url.PathUnescape(rest)
			if !ok || err != nil {
				t.Errorf("%q is no ext-value", s)
			}
			return v
		},
		"base64url": func(s string) string { v, _ := base64.RawURLEncoding.DecodeString(s); return string(v) },
	}
	values := []string{"alice", "a b", "é漢", "100%", "%2C", "UTF-8''root", "a,b", `"q"`, "a;b=c"}
	for name, back := range decode {
		e, err := newEncoding(name, encodingPercent)
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range values {
			got, err := e.value(v)
			if err != nil || back(got) != v {
				t.Errorf("%s: %q becomes %q, which is %q: %v", name, v, got, back(got), err)
			}
		}
		if got, err := e.value(""); got != "" || err != nil {
			t.Errorf("%s: nothing becomes %q", name, got)
		}
		t.Run("P032 "+name, func(t *testing.T) {
			list := []string{"a,admin", "", "staff", "%2C", "é"}
			got, err := e.list(list, false)
			if err != nil {
				t.Fatal(err)
			}
			var members []string
			if name == "base64url" {
				if err := json.Unmarshal([]byte(back(got)), &members); err != nil {
					t.Fatal(err)
				}
			} else {
				for m := range strings.SplitSeq(got, ",") {
					if name == "raw" {
						m = decode["percent"](m)
					} else {
						m = back(m)
					}
					members = append(members, m)
				}
			}
			if !slices.Equal(members, []string{"a,admin", "staff", "%2C", "é"}) {
				t.Errorf("%q is read as %q", got, members)
			}
			if got, err := e.list([]string{"", ""}, true); got != "" || err != nil {
				t.Errorf("no groups become %q", got)
			}
		})
		t.Run("P031 "+name, func(t *testing.T) {
			for _, v := range []string{"a\r\nX-Auth-User: root", "a\x00", "\x7f", "a\tb", " root", "root ", "\u0085", "bad\xff"} {
				got, err := e.value(v)
				if strings.ContainsAny(got, "\r\n\x00\t\x7f\u0085") || got != strings.TrimSpace(got) {
					t.Errorf("%q becomes %q", v, got)
				}
				if (name == "raw") != (err != nil) && v != "bad\xff" {
					t.Errorf("%q: %v", v, err)
				}
				if _, listed := e.list([]string{"x", v}, false); name == "raw" && v != strings.Trim(v, " ") && listed != nil {
					t.Errorf("a space in a list is an error: %v", listed)
				}
			}
		})
		for _, long := range []string{strings.Repeat("é", 1<<20), strings.Repeat("a", maxIdentityHeader+1)} {
			who := whole()
			who.Username = long
			p, _ := newHeaderPlan(Headers{Encoding: name}, "none")
			if in := p.build(who); !errors.Is(in.err, errTooLarge) {
				t.Errorf("%s: %v", name, in.err)
			}
		}
	}
	if _, err := newEncoding("utf8", encodingPercent); err == nil {
		t.Error("an unknown encoding is accepted")
	}
}

// With raw, a request of somebody whose name cannot be sent is refused: without the header the upstream might take them for
// another, or for nobody of whom it asks less.
func TestP031WhatRawCannotCarryIsNoMissingHeader(t *testing.T) {
	for name, h := range map[string]Headers{
		"profile": {Encoding: "raw"}, "claims": {Profile: "mod_auth_openidc"}, "set": {Profile: "none", Encoding: "raw", Set: map[string]string{"X-A": "{user.sub}"}},
		"default": {Profile: "none", Encoding: "raw", Set: map[string]string{"X-A": "{user.sub|nobody}"}},
	} {
		p, err := newHeaderPlan(h, "none")
		if err != nil {
			t.Fatal(err)
		}
		if in := p.build(odd()); !errors.Is(in.err, errUnprintable) {
			t.Errorf("%s: %v, %v", name, in.err, in.fields)
		}
	}
}

func TestPX4AllHeadersTogetherAreBounded(t *testing.T) {
	who := whole()
	var b strings.Builder
	b.WriteString(`{"sub":"x"`)
	for _, c := range "abcdefgh" {
		b.WriteString(`,"` + string(c) + `":"` + strings.Repeat("v", 10<<10) + `"`)
	}
	b.WriteString("}")
	who.Claims = identity.NewClaims([]byte(b.String()))
	p, _ := newHeaderPlan(Headers{Profile: "mod_auth_openidc"}, "none")
	if in := p.build(who); !errors.Is(in.err, errTooMuch) {
		t.Errorf("80 kB: %v", in.err)
	}
}

// Whatever a profile may set is deleted from requests, in the spelling in which it could arrive.
func TestP021EveryNameOfAProfileIsReserved(t *testing.T) {
	for _, profile := range Profiles() {
		for _, credential := range []string{"none", "session"} {
			p, err := newHeaderPlan(Headers{Profile: profile, Assertion: "a"}, credential)
			if err != nil {
				t.Fatal(err)
			}
			h := newHygiene([]*route{{headers: p}})
			machine := whole()
			machine.Machine = true
			for _, who := range []*identity.Identity{whole(), odd(), machine} {
				p.encoding = encodingPercent
				// X-Auth-Token of gatekeeper is there only sometimes, and an application that was made for it believes it always.
				fields := append(p.build(who).fields, field{name: p.assertion}, field{name: cmp.Or(p.profile.token, "X-Auth-User")}, field{name: cmp.Or(p.profile.tokenEnds, "X-Auth-User")})
				for _, f := range fields {
					if f.name == "Authorization" { // read by some routes, and deleted on the way upstream
						continue
					}
					r := &http.Request{Header: http.Header{http.CanonicalHeaderKey(f.name): {"x"}, http.CanonicalHeaderKey(strings.ReplaceAll(f.name, "_", "-")): {"x"}}}
					if h.clean(r); len(r.Header) != 0 {
						t.Errorf("%s: a client may send %v", profile, r.Header)
					}
				}
			}
		}
	}
}

func TestTemplatesWithBracesAndOtherwise(t *testing.T) {
	set := map[string]string{
		"X-Json": `{{"user":"{user.sub}"}}`, "X-Guest": "{claim.nothing|guest}", "X-Empty": "a{claim.nothing|}", "X-Gone": "{claim.nothing|}", "X-Roles": "{user.roles}", "X-Deep": "{claim.realm_access.roles}",
		"X-There": "{user.sub|guest}", "X-Half": "{claim.nothing}{claim.nothing|x}",
	}
	who := whole()
	expect(t, inject(t, Headers{Profile: "none", Set: set}, "none", who), map[string]string{
		"X-Json": `{"user":"8f2c"}`, "X-Guest": "guest", "X-Empty": "a", "X-Roles": "user,account:self,app:edit,app:view", "X-Deep": "user", "X-There": "8f2c",
	})
	t.Run("nobody", func(t *testing.T) {
		expect(t, inject(t, Headers{Profile: "none", Set: set}, "none", nil), map[string]string{"X-Guest": "guest", "X-Empty": "a", "X-There": "guest"})
	})
	t.Run("encoded", func(t *testing.T) {
		who.Name = "Ä,b"
		got := inject(t, Headers{Profile: "none", Encoding: "rfc8187", Set: map[string]string{"X-A": "name*={user.name}", "X-T": "Bearer {access_token}"}}, "none", who)
		expect(t, got, map[string]string{"X-A": "name*=UTF-8''%C3%84%2Cb", "X-T": "Bearer at-alice"})
	})
	for text, want := range map[string]string{
		"{{user.sub}}": "write {user.sub}", "{{ user.sub }}": "write {user.sub}", "{access_token|x}": "no other value", "{user.sub|{user.name}}": "text without", "{user.sub|a|b}": "text without", "{": "{{ is one", "a}": "}} is one",
		"{|x}": "not one of",
	} {
		if _, err := newHeaderPlan(Headers{Set: map[string]string{"X-A": text}}, "none"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// A name that CGI reads like another one takes its place, and does not come beside it.
func TestP023SetReplacesTheProfilesHeaderInEverySpelling(t *testing.T) {
	got := sent(t, Headers{Profile: "mod_auth_openidc", Set: map[string]string{"OIDC-CLAIM-sub": "{user.email}"}}, "none", whole())
	if got["OIDC_CLAIM_sub"] != "" || got["Oidc-Claim-Sub"] != "alice@example.com" {
		t.Errorf("%q", got)
	}
}

// FuzzEncoding: whatever a value holds, it is one line without an end, and it can be told from every other one.
func FuzzEncoding(f *testing.F) {
	f.Add("alice", "a,admin")
	f.Add("a\r\nX-Forwarded-User: root", "UTF-8''root")
	f.Add("é漢\x00", " admin")
	f.Add("%2C", "\xff\u0085")
	f.Fuzz(func(t *testing.T, one, two string) {
		for _, name := range Encodings() {
			e := encoding(name)
			a, errA := e.value(one)
			b, errB := e.value(two)
			list, errL := e.list([]string{one, two}, false)
			for _, s := range []string{a, b, list} {
				if strings.ContainsAny(s, "\r\n\x00") || len(s) <= maxIdentityHeader && s != strings.Trim(s, " \t") {
					t.Fatalf("%s: %q", name, s)
				}
			}
			if errA == nil && errB == nil && len(a)+len(b) < maxIdentityHeader && (a == b) != (one == two) {
				t.Fatalf("%s: %q and %q become %q and %q", name, one, two, a, b)
			}
			if errL == nil && name != "base64url" && strings.Count(list, ",") > 1 {
				t.Fatalf("%s: two groups become %q", name, list)
			}
		}
	})
}

func BenchmarkIdentityHeaders(b *testing.B) {
	for _, profile := range Profiles() {
		p, err := newHeaderPlan(Headers{Profile: profile}, "session")
		if err != nil {
			b.Fatal(err)
		}
		who := whole()
		b.Run(profile+"/first request", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				p.build(who)
			}
		})
		rt := &route{headers: p}
		b.Run(profile+"/next", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				rt.injection(who)
			}
		})
	}
}
