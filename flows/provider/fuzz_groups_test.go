package provider

import (
	"net/http"
	"strings"
	"testing"
)

// FuzzGroupPages: whatever an API answers, what is read of it are names and no next page that the token must not go to.
func FuzzGroupPages(f *testing.F) {
	for _, s := range []string{
		`{"value":[{"@odata.type":"#microsoft.graph.group","id":"g"}],"@odata.nextLink":"https://graph.microsoft.com/v1.0/x?$skiptoken=1"}`,
		`{"memberships":[{"groupKey":{"id":"a@b.c"}}],"nextPageToken":"x"}`, `{"groups":[{"email":"a@b.c"}]}`, `[{"login":"a"}]`, `[{"slug":"s","organization":{"login":"o"}}]`,
		`[{"email":"a@b.c","primary":true,"verified":true}]`, `{"login":"a","id":1}`, `[],"a":[]`, `{"value":[null]}`, "[", "",
	} {
		f.Add([]byte(s), `<https://api.github.com/user/orgs?page=2>; rel="next"`)
	}
	f.Add([]byte("[]"), `<a>; rel=prev, <b>;title="<x>, y";rel="next last"`)
	f.Fuzz(func(t *testing.T, body []byte, link string) {
		var items []string
		for _, read := range []func([]byte) ([]string, error){
			readGitHubOrgs, readGitHubTeams, readGitHubEmails,
			func(b []byte) ([]string, error) { p, err := readGraphPage(b, "id"); return p.items, err },
			func(b []byte) ([]string, error) { items, _, err := readMemberships(b); return items, err },
			func(b []byte) ([]string, error) { items, _, err := readDirectoryGroups(b); return items, err },
		} {
			if got, err := read(body); err == nil {
				items = append(items, got...)
			}
		}
		for _, item := range items {
			if item == "" {
				t.Fatal("a group without a name")
			}
		}
		if teams, err := readGitHubTeams(body); err == nil {
			for _, team := range teams {
				if strings.Count(team, "/") != 1 {
					t.Fatalf("%q is no team", team)
				}
			}
		}
		if claims, err := readGitHubUser(body); err == nil && checkSubject(&jwt{claims: claims}) != nil {
			t.Fatalf("a subject that is none: %s", claims["sub"])
		}
		if next := nextLink([]string{link}); next != "" && sameOrigin("https://api.github.com/user/orgs", next) {
			r, err := http.NewRequest(http.MethodGet, next, nil)
			if err != nil || !strings.EqualFold(r.URL.Host, "api.github.com") || !strings.EqualFold(r.URL.Scheme, "https") {
				t.Fatalf("%q is taken for a page of api.github.com", next)
			}
		}
	})
}

// FuzzCELText: a text stays one literal, whatever stands in it.
func FuzzCELText(f *testing.F) {
	for _, s := range []string{"a@b.c", "o'brien", `\`, `\'`, `'' || true || '`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		lit := celText(s)
		var read strings.Builder
		inner := lit[1 : len(lit)-1]
		for i := 0; i < len(inner); i++ {
			switch {
			case inner[i] == '\'':
				t.Fatalf("%q ends early", lit)
			case inner[i] == '\\':
				if i++; i == len(inner) {
					t.Fatalf("%q does not end", lit)
				}
			}
			read.WriteByte(inner[i])
		}
		if read.String() != s {
			t.Fatalf("%q reads as %q", lit, read.String())
		}
	})
}

func TestEveryCloudHasItsOwnAPI(t *testing.T) {
	for issuer, want := range map[string]string{
		"https://login.microsoftonline.com/t/v2.0":        "https://graph.microsoft.com",
		"https://sts.windows.net/t/":                      "https://graph.microsoft.com",
		"https://contoso.ciamlogin.com/t/v2.0":            "https://graph.microsoft.com",
		"https://login.microsoftonline.us/t/v2.0":         "https://graph.microsoft.us",
		"https://login.partner.microsoftonline.cn/t/v2.0": "https://microsoftgraph.chinacloudapi.cn",
		"https://accounts.google.com":                     "",
		"https://github.com":                              "https://api.github.com",
		"https://octo.ghe.com":                            "https://api.octo.ghe.com",
		"https://ghe.example.com":                         "https://ghe.example.com/api/v3",
		"https://github.com.evil.example":                 "https://github.com.evil.example/api/v3",
		"https://sso.example.com":                         "",
	} {
		conf := Config{Issuer: issuer, ClientID: "x"}
		if strings.Contains(issuer, "ghe") || strings.Contains(issuer, "evil") {
			conf.Profile = profileGitHub
		}
		if got := conf.withDefaults().Groups.URL; got != want {
			t.Errorf("%s: %q, want %q", issuer, got, want)
		}
	}
	google := Config{Issuer: "https://accounts.google.com", Groups: Groups{From: fromGoogle}}
	if got := google.withDefaults().Groups.URL; got != "https://cloudidentity.googleapis.com" {
		t.Error(got)
	}
	roles := Config{Issuer: "https://login.microsoftonline.com/t/v2.0", ClientID: "x", GroupsClaim: "roles"}
	if got := roles.withDefaults().Groups.From; got != fromClaims {
		t.Errorf("app roles have no overage, and %s is asked", got)
	}
}
