package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// answeringTOML has routes whose answer is not the policy's to say.
func answeringTOML(t *testing.T) string {
	www := t.TempDir()
	if err := os.WriteFile(filepath.Join(www, "index.html"), []byte("<p>"), 0o600); err != nil {
		t.Fatal(err)
	}
	return explainedTOML + `
[[route]]
name = "closed"
host = "app.example.com"
path = "/closed"
upstream = ["http://10.0.0.4"]
maintenance = { on = true, message = "We move house." }
[[route]]
name = "www"
host = "app.example.com"
path = "/www"
strip_prefix = true
files = { root = "` + www + `" }
public = true
[[route]]
name = "api"
host = "app.example.com"
path = "/api"
upstream = ["http://10.0.0.5", "http://10.0.0.6"]
limits = { per_user = "100/1m", per_address = "20/1s", concurrent = 5, max_body = "1KiB" }
cors = { origins = ["https://www.example.com"] }
unauthenticated = "401"
`
}

func TestExplainSaysOfWhatIsRefusedThatItDoesNotPass(t *testing.T) {
	const alice = `{"iss":"https://id.example","sub":"alice","groups":["staff"]}`
	toml := answeringTOML(t)
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"a closed route": {[]string{"https://app.example.com/closed"}, `
  route    closed
  answer   maintenance: We move house.
`},
		"a change of a file": {[]string{"-X", "POST", "https://app.example.com/www/"}, `
  route    www
  caller   alice of https://id.example, a person, groups staff
  rule     public: would let it pass
  answer   method_not_allowed: Allowed here: GET, HEAD.
`},
		"a file that is not there": {[]string{"https://app.example.com/www/lost"}, `
  route    www
  caller   alice of https://id.example, a person, groups staff
  rule     public: would let it pass
  answer   no_route: There is nothing at this address.
`},
		"a preflight": {[]string{"-X", "OPTIONS", "-H", "Origin: https://www.example.com", "-H", "Access-Control-Request-Method: PUT", "https://app.example.com/api/x"}, `
  route    api
  caller   alice of https://id.example, a person, groups staff
  rule     preflight: may pass
  answer   204 by cors: pages of https://www.example.com may send PUT
`},
		"a form of another site": {[]string{"-X", "POST", "-H", "Origin: https://evil.example", "https://app.example.com/api/x"}, `
  route    api
  caller   alice of https://id.example, a person, groups staff
  answer   cross_site: Only pages of https://app.example.com may change something here in your name.
`},
		"a large body": {[]string{"-X", "POST", "-H", "Content-Length: 1025", "https://app.example.com/api/x"}, `
  route    api
  answer   body_too_large: The body of a request may have 1024 bytes here.
`},
		"several upstreams, and limits": {[]string{"https://app.example.com/api/x"}, `
  route        api
  caller       alice of https://id.example, a person, groups staff
  rule         signed in: may pass
  limits       at most 100/1m per person, at most 20/1s per address, at most 5 at a time, a body of at most 1024 bytes
  upstream     one of http://10.0.0.5/api/x
               or http://10.0.0.6/api/x
  header       X-Forwarded-Groups: staff
  header       X-Forwarded-User: alice
  credential   none
`},
	} {
		t.Run(name, func(t *testing.T) {
			status, out, errs := runExplain(t, toml, alice, c.args...)
			if _, said, _ := strings.Cut(out, "\n"); status != exitOK || said != c.want[1:] {
				t.Errorf("status %d\n%s%s\nwant%s", status, out, errs, c.want)
			}
		})
	}
	if _, out, _ := runExplain(t, toml, "", "https://app.example.com/api/x"); !strings.Contains(out, "nobody is signed in: 401\n") {
		t.Errorf("no browser is sent to sign in there:\n%s", out)
	}
	if status, out, errs := runExplain(t, toml, "", "-H", "Content-Length: many", "https://app.example.com/api/x"); status != exitRun || !strings.Contains(errs, "number of bytes") {
		t.Errorf("status %d\n%s%s", status, out, errs)
	}
}
