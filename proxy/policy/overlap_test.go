package policy

import (
	"strings"
	"testing"
)

func TestS20AnEntryThatCanNeverDecideIsAnError(t *testing.T) {
	one := func(name string) []EmailFile { return []EmailFile{{name, []string{"a@x.example"}}} }
	claim := func(values ...string) map[string][]string { return map[string][]string{"department": values} }
	for name, c := range map[string]struct {
		allow, deny []Rule
		says        string // "" = nothing
	}{
		"the same twice":                    {allow: []Rule{{Groups: []string{"a", "b"}}, {Groups: []string{"b", "a"}}}, says: "allow[1]: allow[0] says the same already"},
		"the same but for capitals":         {allow: []Rule{{Domains: []string{"a.example"}}, {Domains: []string{"A.Example"}}}, says: "allow[1]: allow[0] says the same"},
		"a narrower one later":              {allow: []Rule{{Groups: []string{"a", "b"}}, {Groups: []string{"b"}}}, says: "allow[1]: it never decides: whoever it fits is let in by allow[0]"},
		"one more condition":                {allow: []Rule{{Groups: []string{"a"}}, {Groups: []string{"a"}, Users: []string{"x"}}}, says: "let in by allow[0]"},
		"an address in the domain":          {allow: []Rule{{Domains: []string{"a.example"}}, {Emails: []string{"x@A.example"}}}, says: "let in by allow[0]"},
		"more scopes":                       {allow: []Rule{{Scopes: []string{"read"}}, {Scopes: []string{"write", "read"}}}, says: "let in by allow[0]"},
		"a smaller network":                 {allow: []Rule{{Networks: networks("10.0.0.0/8", "fc00::/7")}, {Networks: networks("10.2.0.0/16", "fd00::/8")}}, says: "let in by allow[0]"},
		"HEAD of GET":                       {allow: []Rule{{Methods: []string{"GET"}, Users: []string{"a"}}, {Methods: []string{"HEAD"}, Users: []string{"a"}}}, says: "let in by allow[0]"},
		"a claim":                           {allow: []Rule{{Claims: claim("it", "hr")}, {Claims: claim("hr")}}, says: "let in by allow[0]"},
		"the same file":                     {allow: []Rule{{EmailFiles: one("a")}, {EmailFiles: one("a"), Networks: networks("10.0.0.0/8")}}, says: "let in by allow[0]"},
		"the third of three":                {allow: []Rule{{Users: []string{"a"}}, {Groups: []string{"g"}}, {Groups: []string{"g"}, Roles: []string{"r"}}}, says: "allow[2]: it never decides: whoever it fits is let in by allow[1]"},
		"denied":                            {allow: []Rule{{Users: []string{"a"}}, {Groups: []string{"g"}, Users: []string{"x"}}}, deny: []Rule{{Users: []string{"y"}}, {Groups: []string{"g"}}}, says: "allow[1]: it lets nobody in: deny[1] refuses"},
		"denied twice":                      {deny: []Rule{{Groups: []string{"a"}}, {Groups: []string{"a"}, Users: []string{"x"}}}, says: "deny[1]: whoever it fits is refused by deny[0] already"},
		"a wider one later is its own rule": {allow: []Rule{{Groups: []string{"a"}}, {Groups: []string{"a", "b"}}}},
		"other keys":                        {allow: []Rule{{Groups: []string{"a"}}, {Roles: []string{"a"}}, {Users: []string{"a"}}, {Clients: []string{"a"}}, {Scopes: []string{"a"}}, {Claims: claim("a")}}},
		"fewer scopes":                      {allow: []Rule{{Scopes: []string{"read", "write"}}, {Scopes: []string{"read"}}}},
		"a larger network":                  {allow: []Rule{{Networks: networks("10.2.0.0/16")}, {Networks: networks("10.0.0.0/8")}}},
		"another family":                    {allow: []Rule{{Networks: networks("0.0.0.0/0")}, {Networks: networks("::/0")}}},
		"GET after HEAD":                    {allow: []Rule{{Methods: []string{"HEAD"}, Users: []string{"a"}}, {Methods: []string{"GET"}, Users: []string{"a"}}}},
		"another file, of the same content": {allow: []Rule{{EmailFiles: one("a")}, {EmailFiles: one("b")}}},
		"a domain after an address":         {allow: []Rule{{Emails: []string{"x@a.example"}}, {Domains: []string{"a.example"}}}},
		"an exception":                      {allow: []Rule{{Groups: []string{"a"}}}, deny: []Rule{{Groups: []string{"a"}, Users: []string{"x"}}}},
		"another claim":                     {allow: []Rule{{Claims: claim("it")}, {Claims: map[string][]string{"other": {"it"}}}}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := New(Config{Allow: c.allow, Deny: c.deny})
			if c.says == "" && err != nil || c.says != "" && (err == nil || !strings.Contains(err.Error(), c.says)) {
				t.Errorf("%v", err)
			}
		})
	}
}

func TestEveryOverlapIsToldWithItsPlace(t *testing.T) {
	a := Rule{Groups: []string{"a"}}
	all := Overlaps(Config{Allow: []Rule{a, a, {Users: []string{"x"}}, {Users: []string{"x"}, Groups: []string{"b"}}}, Deny: []Rule{{Groups: []string{"c"}}, {Groups: []string{"c"}}}})
	if len(all) != 3 {
		t.Fatalf("%q", all)
	}
	for i, place := range []string{"deny[1]: ", "allow[1]: ", "allow[3]: "} {
		if !strings.HasPrefix(all[i].Error(), place) {
			t.Errorf("%q", all[i])
		}
	}
}

func TestAConditionThatComesOutAlikeForEveryRequestIsNone(t *testing.T) {
	for source, says := range map[string]string{
		`true`: "true for every request", `1 < 2`: "true for every request", `true || user.machine`: "true for every request", `user.machine || true`: "true for every request",
		`false`: "false for every request", `false && claims.x == "y"`: "false for every request", `"a" in ["b"]`: "false for every request", `!true && has(claims.x)`: "false for every request",
	} {
		if _, err := NewRequirement(source); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", source, err)
		}
	}
	for _, source := range []string{`user.machine`, `claims.x`, `has(claims.x)`, `request.method == "GET"`, `claims.x == "y" || !user.machine`, `request.time.getHours() > 8`, `user.groups.exists(g, g == "a")`} {
		if _, err := NewRequirement(source); err != nil {
			t.Errorf("%s: %v", source, err)
		}
	}
}
