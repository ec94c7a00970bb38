package main

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/doorward/doorward/demo/idp"
)

// Group S from the provider's token to the application: what a claim says is judged as it came, and nothing like it passes.
func TestClaimsOfEveryShapeAreJudgedAsTheyCameOverBothVersions(t *testing.T) {
	type claims map[string]any
	whoever := func(c claims) (sins []idp.Sin) {
		for name, value := range c {
			sins = append(sins, idp.Claim(name, value), idp.Member(name, value).On(idp.UserInfo))
		}
		return sins
	}
	for rule, cases := range map[string]map[string]struct {
		claims
		passes bool
	}{
		`allow = [{ domains = ["company.com"] }]`: {
			"P201 good":            {claims{"email": "a@company.com", "email_verified": true}, true},
			"P201 another case":    {claims{"email": "a@COMPANY.COM", "email_verified": true}, true},
			"P201 two signs":       {claims{"email": "attacker@evil.com@company.com", "email_verified": true}, false},
			"P201 an ending":       {claims{"email": "a@notcompany.com", "email_verified": true}, false},
			"P201 a beginning":     {claims{"email": "a@company.com.evil", "email_verified": true}, false},
			"P202 false":           {claims{"email": "a@company.com", "email_verified": false}, false},
			"P202 the word false":  {claims{"email": "a@company.com", "email_verified": "false"}, false},
			"P202 absent":          {claims{"email": "a@company.com", "email_verified": nil}, false},
			"P202 a number":        {claims{"email": "a@company.com", "email_verified": 1}, false},
			"P202 a list of truth": {claims{"email": "a@company.com", "email_verified": []bool{true}}, false},
		},
		`allow = [{ groups = ["admin"] }]`: {
			"P203 good":             {claims{"groups": []string{"x", "admin"}}, true},
			"P203 an empty one":     {claims{"groups": []string{""}}, false},
			"P203 absent":           {claims{"groups": nil}, false},
			"P203 a list in a text": {claims{"groups": "admin,user"}, false},
			"P203 words in a text":  {claims{"groups": "admin user"}, false},
			"P032 a list in a name": {claims{"groups": []string{"a,admin"}}, false},
			"P203 a list of lists":  {claims{"groups": [][]string{{"admin"}}}, false},
			"P203 a table":          {claims{"groups": map[string]bool{"admin": true}}, false},
			"P203 with a blank":     {claims{"groups": []string{" admin", "Admin", "admin\x00"}}, false},
		},
	} {
		s := newStack(t, rule+"\n").start()
		s.bothVersions(t, func(w wire) {
			for name, c := range cases {
				s.idp.Heal()
				for _, sin := range whoever(c.claims) {
					s.idp.Misbehave(sin.Always())
				}
				before := len(s.app.requests())
				page := s.signedIn(w.person(), "/x", "alice", "wonderland-9")
				reached := len(s.app.requests()) - before
				if passed := page.Status == http.StatusOK; passed != c.passes || (reached == 1) != c.passes || !c.passes && page.Status/100 != 4 {
					w.t.Errorf("%s: %d, %d requests reached the application\n%s", fmt.Sprint(name, c.claims), page.Status, reached, page.Text())
				}
			}
			s.idp.Heal()
		})
	}
}
