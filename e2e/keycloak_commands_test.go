package e2e

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What an operator finds out at a shell, from the real server.
func TestKeycloakTheCommandsTellWhatIsSetUpWrongly(t *testing.T) {
	tables := `
[provider.mistyped]
issuer = "%[4]s"
client_id = "nightly-backup"
client_secret = "mistyped"
[credential.gateway]
flow = "token_exchange"
provider = "gateway"
audience = ["stock"]
[credential.outsider]
flow = "token_exchange"
provider = "outsider"
audience = ["stock"]
[credential.exchange-off]
flow = "client_credentials"
provider = "exchange-off"
[credential.nightly-backup]
flow = "client_credentials"
provider = "nightly-backup"
[credential.mistyped]
flow = "client_credentials"
provider = "mistyped"
`
	for _, name := range []string{"gateway", "outsider"} {
		tables += keycloakClient(name) + "[[egress]]\nname = \"" + name + "\"\nupstream = [\"%[3]s\"]\naccept = [\"bearer\"]\nissuers = [\"gateway\"]\naudience = [\"gateway\"]\ncredential = \"" + name + "\"\n"
	}
	for _, name := range []string{"exchange-off", "nightly-backup"} {
		tables += keycloakClient(name) + "[[egress]]\nname = \"" + name + "\"\nupstream = [\"%[3]s\"]\ncredential = \"" + name + "\"\n"
	}
	tables += "[[egress]]\nname = \"mistyped\"\nupstream = [\"%[3]s\"]\ncredential = \"mistyped\"\n"
	w := newKeycloakMachines(t, tables)
	c := &terminal{home: t.TempDir()}
	token := w.keycloak.token(t, "portal", "alice")
	claims, err := json.Marshal(claimsOf(t, token))
	if err != nil {
		t.Fatal(err)
	}
	file := func(name string, text []byte) string {
		path := filepath.Join(c.home, name)
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	run := func(works bool, arguments ...string) string {
		t.Helper()
		out, err := c.doorward(t, append(arguments, "--config", w.gateway.file)...).CombinedOutput()
		if (err == nil) != works {
			t.Errorf("doorward %q: %v\n%s", arguments, err, out)
		}
		if strings.Contains(string(out), "eyJ") || strings.Contains(string(out), clientSecret) {
			t.Errorf("doorward %q shows a secret:\n%s", arguments, out)
		}
		return string(out)
	}
	person := []string{"--as", file("claims.json", claims), "--subject-token", file("token", []byte(token+"\n"))}
	for _, c := range []struct {
		target string
		works  bool
		more   []string
		words  []string
	}{
		{"nightly-backup", true, nil, []string{"grant_type=client_credentials"}},
		{"nightly-backup", true, []string{"--live"}, []string{"grant_type=client_credentials", "came, good until", "stock"}},
		{"exchange-off", false, []string{"--live"}, []string{`switch on "Service account roles" for client "exchange-off"`}},
		{"mistyped", false, []string{"--live"}, []string{"invalid_client", `Clients › "nightly-backup" › Credentials`}},
		{"gateway", true, person[:2], []string{"grant_type=urn:ietf:params:oauth:grant-type:token-exchange", "audience=stock"}},
		{"gateway", true, append(person, "--live"), []string{"audience=stock", "came, good until"}},
		{"outsider", false, append(person, "--live"), []string{`"Included Client Audience" "outsider"`}},
	} {
		if out := run(c.works, append([]string{"explain", w.egress + "/" + c.target + "/x"}, c.more...)...); !holds(out, c.words) {
			t.Errorf("explain %s %q lacks %q:\n%s", c.target, c.more, c.words, out)
		}
	}
	if out := run(false, "check", "--online"); !holds(out, []string{
		`the provider accepts client "gateway"`, `the provider does not accept client "nightly-backup" (client_secret_basic): check client_id, the secret`,
	}) {
		t.Errorf("check --online does not tell of the mistyped secret:\n%s", out)
	}
	if n := len(w.api.all()); n != 0 {
		t.Errorf("the API was called %d times", n)
	}
}
