package config

import "testing"

func TestTheNearestNameIsSuggestedAndNothingFarAway(t *testing.T) {
	known := []string{"issuer", "client_id", "client_secret", "client_auth", "scopes", "ca_file", "callback", "callback_host"}
	for word, want := range map[string]string{
		"isuer": "issuer", "Issuer": "issuer", "issuers": "issuer", "client-id": "client_id", "clientid": "client_id", "client_secert": "client_secret", "scope": "scopes",
		"callback_hots": "callback_host", "cafile": "ca_file", "CLIENT_SECRET": "client_secret", "x": "", "upstream": "", "": "", "zzzzzz": "",
	} {
		if got := nearest(word, known); got != want {
			t.Errorf("%q: %q, want %q", word, got, want)
		}
	}
}

func TestDistanceCountsEdits(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"a", "", 1}, {"abc", "abd", 1}, {"ab", "ba", 1}, {"kitten", "sitting", 3}, {"abcd", "acbd", 1}} {
		if got := distance(c.a, c.b); got != c.want || distance(c.b, c.a) != got {
			t.Errorf("%q %q: %d, want %d", c.a, c.b, got, c.want)
		}
	}
}
