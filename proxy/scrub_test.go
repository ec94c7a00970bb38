package proxy

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/doorward/doorward/internal/identity"
	"github.com/doorward/doorward/internal/secret"
)

func TestP153ATokenIsFoundInPercentEncoding(t *testing.T) {
	const token = "abc+def/ghi==klm"
	c := &identity.Credential{Tokens: &identity.Tokens{AccessToken: secret.New(token)}, Header: headerAuthorization, Values: []string{"Bearer " + token}}
	for name, value := range map[string]string{
		"as it is":          "https://x.test/?t=" + token,
		"in a query":        "https://x.test/?t=" + url.QueryEscape(token),
		"in a path":         "https://x.test/" + url.PathEscape(token) + "/%zz",
		"in small letters":  "https://x.test/?t=" + strings.ToLower(url.QueryEscape(token)),
		"more than it must": "https://x.test/?t=%61bc%2Bdef%2Fghi%3D%3Dklm",
		"twice, in two":     token + " and " + url.QueryEscape(token),
	} {
		h := http.Header{"Location": {value}}
		scrub(h, c)
		got := h.Get("Location")
		if plain, err := url.PathUnescape(strings.ReplaceAll(got, "%zz", "")); err != nil || strings.Contains(plain, token) || !strings.Contains(got, scrubbed) {
			t.Errorf("%s: %q", name, got)
		}
	}
	h := http.Header{"Location": {"https://x.test/?a=%2B&b=100%"}}
	if scrub(h, c); h.Get("Location") != "https://x.test/?a=%2B&b=100%" {
		t.Errorf("%q", h)
	}
}

// A service that signs in by a cookie is given a new one now and then: with it, the caller would be the service.
func TestP153AServicesCookieIsRenewedForNobodyElse(t *testing.T) {
	renews := func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["Set-Cookie"] = []string{"up=another-session; Path=/", "theme=dark", " up =x", "upper=1"}
	}
	want := []string{"theme=dark", "upper=1"}
	l := sourceLab(t, &fixed{header: "Cookie", values: []string{"up=service-secret"}})
	l.e.answers(renews)
	l.both(t, "GET", "/x", []string{as("alice")}, func(l *lab, a answer) {
		if got := a.Header["Set-Cookie"]; !slices.Equal(got, want) {
			l.Errorf("%q", got)
		}
	})
	o := newOutside(t, func(o *outside, _ *EgressConfig, _ *EgressDeps) { o.vault.header, o.vault.scheme = "Cookie", "up=" })
	o.e.answers(renews)
	o.twice(t, "GET", "/x", []string{"Host: data.local"}, func(o *outside, a answer) {
		if got := a.Header["Set-Cookie"]; !slices.Equal(got, want) {
			o.Errorf("%q", got)
		}
	})
}
