package proxy

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/doorward/doorward/internal/identity"
	"github.com/doorward/doorward/internal/secret"
)

func person() *identity.Identity {
	return &identity.Identity{
		Issuer: "https://idp.test", Subject: "alice", Provider: "corp", Login: "staff", Client: "doorward",
		Email: "alice@example.com", EmailVerified: true, Username: "al", Name: "Alice Ä", Groups: []string{"staff", "everyone"}, Scopes: []string{"openid"},
		Claims: identity.NewClaims([]byte(`{"department":"sales","evil":"a\r\nX-Forwarded-User: root","list":["a,admin","b"],"zero":"a\u0000b","x":{"y":"nested"}}`)),
		Tokens: &identity.Tokens{AccessToken: secret.New("at-alice"), IDToken: secret.New("idt-alice"), RefreshToken: secret.New("rt-alice")},
	}
}

func inject(t *testing.T, h Headers, credential string, who *identity.Identity) map[string]string {
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
	for _, f := range in.fields {
		if _, twice := got[f.name]; twice || len(f.values) != 1 {
			t.Errorf("%s is there twice", f.name)
		}
		got[f.name] = f.values[0]
		for _, c := range []byte(f.values[0]) {
			if c < ' ' || c >= 0x7f {
				t.Errorf("%s holds %q", f.name, f.values[0])
			}
		}
	}
	return got
}

func expect(t *testing.T, got, want map[string]string) {
	t.Helper()
	for name, value := range want {
		if got[name] != value {
			t.Errorf("%s is %q, not %q", name, got[name], value)
		}
	}
	for name, value := range got {
		if _, ok := want[name]; !ok {
			t.Errorf("%s: %s is there", name, value)
		}
	}
}

func TestTheProfileTellsWhoIsCalling(t *testing.T) {
	full := map[string]string{
		"X-Forwarded-User": "alice", "X-Forwarded-Email": "alice@example.com", "X-Forwarded-Groups": "staff,everyone", "X-Forwarded-Preferred-Username": "al",
	}
	t.Run("person", func(t *testing.T) { expect(t, inject(t, Headers{Profile: "oauth2-proxy"}, "none", person()), full) })
	t.Run("the profile is the default", func(t *testing.T) { expect(t, inject(t, Headers{}, "none", person()), full) })
	t.Run("no profile", func(t *testing.T) { expect(t, inject(t, Headers{Profile: "none"}, "none", person()), nil) })
	t.Run("nobody", func(t *testing.T) { expect(t, inject(t, Headers{}, "session", nil), nil) })
	t.Run("session", func(t *testing.T) {
		got := inject(t, Headers{Profile: "none"}, "session", person())
		expect(t, got, map[string]string{"Authorization": "Bearer at-alice"})
	})
	t.Run("id_token", func(t *testing.T) {
		got := inject(t, Headers{Profile: "none"}, "id_token", person())
		expect(t, got, map[string]string{"Authorization": "Bearer idt-alice"})
	})
	t.Run("SEC-7 machine", func(t *testing.T) {
		who := person()
		who.Machine, who.Client = true, "backup"
		expect(t, inject(t, Headers{}, "none", who), map[string]string{"X-Forwarded-Client": "backup"})
	})
	t.Run("P022 missing claims leave no header", func(t *testing.T) {
		who := person()
		who.Groups, who.Email, who.Username = nil, "", ""
		expect(t, inject(t, Headers{}, "none", who), map[string]string{"X-Forwarded-User": "alice"})
	})
	t.Run("P202 unverified address", func(t *testing.T) {
		who := person()
		who.EmailVerified = false
		if got := inject(t, Headers{}, "none", who); got["X-Forwarded-Email"] != "" {
			t.Errorf("X-Forwarded-Email is %q", got["X-Forwarded-Email"])
		}
		if got := inject(t, Headers{UnverifiedEmail: true}, "none", who); got["X-Forwarded-Email"] != "alice@example.com" {
			t.Errorf("allowed, X-Forwarded-Email is %q", got["X-Forwarded-Email"])
		}
	})
}

func TestValuesAreEncoded(t *testing.T) {
	for in, want := range map[string]string{
		"alice": "alice", "auth0|1": "auth0|1", "a b": "a b", "100%": "100%25", "a,admin": "a%2Cadmin", "é漢": "%C3%A9%E6%BC%A2",
		"a\r\nX: y": "a%0D%0AX: y", "a\x00b": "a%00b", "\x7f": "%7F", " admin": "%20admin", "admin  ": "admin%20%20", "  ": "%20%20", "\tx": "%09x", "": "",
	} {
		if got := encodeValue(in); got != want {
			t.Errorf("P031 %q becomes %q, not %q", in, got, want)
		}
	}
	if got, err := encodingPercent.list([]string{"a,admin", "", "b", " c"}, false); got != "a%2Cadmin,b,%20c" || err != nil {
		t.Errorf("P032 the list becomes %q, %v", got, err)
	}
}

func TestAValueOfAnyLengthCostsNoMoreThanAHeader(t *testing.T) {
	long := strings.Repeat(" ", 10<<20)
	for _, s := range []string{long + "é", "é" + long, long} {
		if got := encodeValue(s); len(got) <= maxIdentityHeader || len(got) > maxIdentityHeader+3 {
			t.Errorf("%d bytes", len(got))
		}
		if got, err := encodingPercent.list([]string{"a", s, s}, false); !errors.Is(err, errTooLarge) {
			t.Errorf("a list of %d bytes: %v", len(got), err)
		}
		who := person()
		who.Username = s
		plan, err := newHeaderPlan(Headers{}, "none")
		if err != nil {
			t.Fatal(err)
		}
		if in := plan.build(who); !errors.Is(in.err, errTooLarge) {
			t.Errorf("it is sent: %v", in.err)
		}
	}
}

func TestSetTemplates(t *testing.T) {
	got := inject(t, Headers{Profile: "none", Set: map[string]string{
		"X-Token": "{access_token}", "x-id": "{id_token}", "X-Dept": "{claim.department}", "X-Nested": "{claim.x.y}", "X-Who": "{user.iss}#{user.sub}",
		"X-Groups": "{user.groups}", "X-Name": "{user.name}", "X-Static": "a literal", "X-Missing": "{claim.nothing}", "X-Half": "a-{claim.nothing}",
		"X-Evil": "{claim.evil}", "X-List": "{claim.list}", "X-Zero": "{claim.zero}", "Authorization": "Basic {user.username}",
	}}, "none", person())
	expect(t, got, map[string]string{
		"X-Token": "at-alice", "X-Id": "idt-alice", "X-Dept": "sales", "X-Nested": "nested", "X-Who": "https://idp.test#alice",
		"X-Groups": "staff,everyone", "X-Name": "Alice %C3%84", "X-Static": "a literal",
		"X-Evil": "a%0D%0AX-Forwarded-User: root", "X-List": "a%2Cadmin,b", "X-Zero": "a%00b", "Authorization": "Basic al",
	})
	t.Run("set overrides the profile, a missing value removes it", func(t *testing.T) {
		got := inject(t, Headers{Set: map[string]string{"X-Forwarded-User": "{user.email}", "X-Forwarded-Groups": "{claim.nothing}"}}, "none", person())
		expect(t, got, map[string]string{"X-Forwarded-User": "alice@example.com", "X-Forwarded-Email": "alice@example.com", "X-Forwarded-Preferred-Username": "al"})
	})
	t.Run("nobody gets literals only", func(t *testing.T) {
		got := inject(t, Headers{Set: map[string]string{"X-A": "here", "X-B": "{user.sub}", "X-C": "x{access_token}"}}, "none", nil)
		expect(t, got, map[string]string{"X-A": "here"})
	})
	t.Run("SEC-7 a machine has no user.sub", func(t *testing.T) {
		who := person()
		who.Machine = true
		got := inject(t, Headers{Profile: "none", Set: map[string]string{"X-User": "{user.sub}", "X-Client": "{user.client}"}}, "none", who)
		expect(t, got, map[string]string{"X-Client": "doorward"})
	})
	t.Run("a token that no header carries is missing", func(t *testing.T) {
		who := person()
		who.Tokens = &identity.Tokens{AccessToken: secret.New("a\r\nX: y")}
		expect(t, inject(t, Headers{Profile: "none", Set: map[string]string{"X-Token": "{access_token}"}}, "none", who), nil)
	})
}

func TestImpossibleHeadersAreConfigurationErrors(t *testing.T) {
	for name, text := range map[string]string{
		"X_Under": "a", "Content-Length": "1", "host": "x", "Connection": "x", "X-Forwarded-For": "1.2.3.4", "X-A": "{nothing}", "X-B": "{user.}", "X-C": "{claim.}",
		"X-D": "{", "X-E": "}", "X-F": "a\r\nb", "X-G": "é", "X-H": " a", "X-I": "{claim.NAME}x{", "Cookie": "a=b", "": "a", "X-J": "{user.shoe}", "X-K": "{{user.sub}}",
		"Sec-Fetch-Site": "same-origin", "Sec-WebSocket-Key": "a", "Access-Control-Request-Method": "GET", "content-type": "text/plain", "If-Match": "*", "Range": "bytes=0-", "DPoP": "a",
	} {
		if _, err := newHeaderPlan(Headers{Set: map[string]string{name: text}}, "none"); err == nil || !strings.Contains(err.Error(), "headers.set."+name) {
			t.Errorf("%s = %q: %v", name, text, err)
		}
	}
	if _, err := newHeaderPlan(Headers{Set: map[string]string{"X-A": "a", "x-a": "b"}}, "none"); err == nil {
		t.Error("the same header twice is accepted")
	}
	if _, err := newHeaderPlan(Headers{Set: map[string]string{"authorization": "x"}}, "session"); err == nil {
		t.Error("Authorization is set by credential and by headers.set")
	}
	if _, err := newHeaderPlan(Headers{Profile: "nginx"}, "none"); err == nil {
		t.Error("an unknown profile is accepted")
	}
}

func TestPX4WhatFitsInNoHeaderIsAnErrorAndNotAShorterList(t *testing.T) {
	who := person()
	for range 10000 {
		who.Groups = append(who.Groups, "a-group-with-a-long-name")
	}
	p, err := newHeaderPlan(Headers{}, "none")
	if err != nil {
		t.Fatal(err)
	}
	if in := p.build(who); in.err == nil {
		t.Error("240 kB of groups pass")
	}
}

func TestTheHeadersOfAnIdentityAreBuiltOnce(t *testing.T) {
	p, _ := newHeaderPlan(Headers{}, "session")
	one, two := &route{headers: p}, &route{headers: p}
	who := person()
	if first, second := one.injection(who), one.injection(who); first != second {
		t.Error("built twice")
	}
	if one.injection(who) == two.injection(who) {
		t.Error("shared by two routes")
	}
	if n := testing.AllocsPerRun(100, func() { one.injection(who) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestReservedNamesAreWrittenAsTheyArrive(t *testing.T) {
	for _, name := range append(append([]string(nil), reservedNames...), reservedPrefixes...) {
		if !canonicalName(strings.TrimSuffix(name, "-")) || name != http.CanonicalHeaderKey(name) {
			t.Errorf("%s is not canonical and would match nothing", name)
		}
	}
	for name, ok := range map[string]bool{"X-A": true, "Accept": true, "X--A": true, "-X": true, "X-1a": true, "x-A": false, "X-a": false, "XA": false, "X_A": false, "": false, "X-A ": false, "X-\u212a": false} {
		if canonicalName(name) != ok {
			t.Errorf("%q", name)
		}
	}
}

// What every browser sends and the gateway itself reads stays there to be read, on every route: a route that writes another
// Origin for its upstream must not take the proof from others that a foreign page asks.
func TestBFF4AHeaderThatARouteSetsIsStillReadAsTheCallerSentIt(t *testing.T) {
	l := newLab(t, func(c *Config, _ *Deps) {
		set := &c.Routes[7].Headers
		set.Set["Origin"], set.Set["Accept"], set.Set["User-Agent"], set.Set["Referer"] = "https://inside.test", "text/plain", "doorward", "{claim.nothing}"
	})
	for _, target := range []string{"/x", "/set/x"} {
		l.both(t, "POST", target, []string{as("alice"), "Origin: https://evil.test"}, func(l *lab, a answer) { l.refused(a, http.StatusForbidden) })
		l.both(t, "GET", target, []string{"Accept: text/html"}, func(l *lab, a answer) { l.refused(a, http.StatusFound) })
	}
	lines := []string{as("alice"), "Origin: https://app.test", "Accept: text/html", "User-Agent: curl", "Referer: https://app.test/edit"}
	l.both(t, "POST", "/x", lines, func(l *lab, a answer) {
		got := l.passed(a)
		for _, line := range lines[1:] {
			name, value, _ := strings.Cut(line, ": ")
			got.one(l, name, value)
		}
	})
	l.both(t, "POST", "/set/x", lines, func(l *lab, a answer) {
		got := l.passed(a)
		got.one(l, "Origin", "https://inside.test")
		got.one(l, "Accept", "text/plain")
		got.one(l, "User-Agent", "doorward")
		got.lacks(l, "Referer") // a missing value removes it
	})
}
