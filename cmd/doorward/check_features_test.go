package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const featuresTOML = `state_dir = "/nowhere/that/exists"
[provider.corp]
issuer = "https://sso.example.com"
client_id = "doorward"
client_secret = "a-secret-that-nobody-knows"
[telemetry]
audit = { to = "stdout", privacy = "hash" }
otlp = "http://127.0.0.1:4318"
[[route]]
name = "plain"
host = "app.example.com"
path = "/plain"
upstream = ["http://10.0.0.1"]
[[route]]
name = "all"
host = "app.example.com"
upstream = ["http://10.0.0.1", "http://10.0.0.2"]
limits = { per_user = "100/1m", per_address = "20/1s", concurrent = 5, max_body = "1KiB" }
cors = { origins = ["https://www.example.com"], methods = ["GET", "PUT"], credentials = true }
timeouts = { header = "30s", total = "1h" }
balance = { policy = "least_connections", weights = [3, 1], sticky = true }
health = { path = "/healthz" }
eject = { failures = 2 }
retries = 3
protocol = "h2c"
compress = ["zstd", "gzip"]
keep_post = "0"
unauthenticated = "login"
keep_fragment = true
maintenance = { file = "/run/closed", except = ["10.0.0.0/8"] }
response_headers = { set = { X-Frame-Options = "DENY" }, default = { X-A = "1" }, remove = ["Server"] }
headers = { profile = "remote", assertion = true, assertion_audience = ["wiki"] }
allow = [{ groups = ["staff"] }]
dry_run = true
decision = { url = "http://127.0.0.1:8181/v1/data/doorward/allow" }
`

func TestCheckSaysWhatEachRouteDoesAndNothingOfWhatIsNotSet(t *testing.T) {
	path := filepath.Join(t.TempDir(), "doorward.toml")
	if err := os.WriteFile(path, []byte(featuresTOML), 0o600); err != nil {
		t.Fatal(err)
	}
	status, out, errs := runCheck(t, path)
	if status != exitOK {
		t.Fatalf("status %d\n%s", status, errs)
	}
	for _, says := range []string{
		"Audit log         to stdout, with keyed hashes of people and addresses\n",
		"Traces            to http://127.0.0.1:4318/v1/traces\n",
		"whoever is signed in (dry run; it would be group staff, if http://127.0.0.1:8181/v1/data/doorward/allow agrees)",
		" closed: as long as /run/closed is there, but not from 10.0.0.0/8\n",
		" limits: 100/1m per person; 20/1s per address; 5 at a time; bodies of up to 1024 bytes\n",
		" upstreams: shared by least_connections; weights 3 1; a browser stays with one upstream; tries again up to 3 times; speaks h2c\n",
		" health: GET /healthz every 10s, which may take 2s: down after 3 bad answers, up after 2 good; one is left out for 30s after 2 failures\n",
		" timeouts: header 30s; total 1h\n",
		" headers: profile remote; signs who is calling into X-Doorward-Assertion for wiki; keys at https://app.example.com/oauth2/jwks.json\n",
		" browsers: pages of https://www.example.com may read its answers and send GET PUT, with cookies; whatever may be a navigation begins a login; no form is kept over a login; the fragment is kept over a login\n",
		" answers: sets X-Frame-Options; sets unless it is there X-A; removes Server; compresses by zstd, gzip\n",
		" decision: may take 1s; an answer is kept for 10s\n",
	} {
		if !strings.Contains(out, says) {
			t.Errorf("it doesn't say %q", says)
		}
	}
	_, after, _ := strings.Cut(out, "plain: to")
	if lines := strings.Split(after, "\n"); len(lines) < 3 || !strings.Contains(lines[1], "everybody") || !strings.Contains(lines[2], "  /  ") {
		t.Errorf("something is said of a route that sets nothing")
	}
	if t.Failed() {
		t.Log(out)
	}
}

func TestCheckSaysThatTheAuditLogCannotBeWritten(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"there.jsonl", "closed.jsonl"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "locked"), 0o500); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(dir, "closed.jsonl"), 0o400); err != nil {
		t.Fatal(err)
	}
	for to, says := range map[string]string{
		"new.jsonl": "", "there.jsonl": "",
		"nowhere/audit.jsonl":     "does not exist",
		"there.jsonl/audit.jsonl": "not a directory",
		"locked":                  "is a directory",
		"closed.jsonl":            "cannot be written",
		"locked/audit.jsonl":      "can make no file",
	} {
		if os.Getuid() == 0 && (to == "closed.jsonl" || to == "locked/audit.jsonl") {
			continue // who may write everywhere, and serve may then, too
		}
		path := filepath.Join(t.TempDir(), "doorward.toml")
		toml := strings.Replace(featuresTOML, `"stdout"`, `"`+filepath.Join(dir, to)+`"`, 1)
		if err := os.WriteFile(path, []byte(toml), 0o600); err != nil {
			t.Fatal(err)
		}
		status, out, errs := runCheck(t, path)
		good := strings.Contains(out, "configuration is good")
		if says == "" && (status != exitOK || !good) {
			t.Errorf("%s: status %d\n%s", to, status, errs)
		}
		if says != "" && (status != exitConfig || good || !strings.Contains(errs, "telemetry.audit.to: ") || !strings.Contains(errs, says)) {
			t.Errorf("%s: status %d, good %t\n%s", to, status, good, errs)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "new.jsonl")); err == nil {
		t.Error("check made the file")
	}
}
