package pages

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

func TestStatusOfEachSituation(t *testing.T) { // spec-digest §30
	for name, status := range map[string]int{
		"bad_request": 400, "unknown_host": 421, "no_route": 404, "method_not_allowed": 405, "login_required": 401,
		"access_denied": 403, "cross_site": 403, "login_state": 400, "login_loop": 508, "login_failed": 400, "login_denied": 403, "too_many_requests": 429,
		"provider_unavailable": 503, "provider_error": 502, "provider_misconfigured": 502, "store_unavailable": 503, "decision_unavailable": 503,
		"wrong_credentials": 401, "form_gone": 410, "attempt_unknown": 404, "login_expired": 410, "body_too_large": 413,
		"approval_required": 401, "approval_denied": 403, "approval_mismatch": 403, "approval_used": 409, "approval_impossible": 400,
		"credential_refused": 502, "upstream_unreachable": 502, "upstream_timeout": 504, "internal_error": 500,
		"invalid_token": 401, "insufficient_scope": 403, "step_up_required": 401, "no_such_target": 403, "overloaded": 503,
	} {
		if codes[name].status != status {
			t.Errorf("%s is %d, not %d", name, codes[name].status, status)
		}
	}
	for name, c := range codes {
		if http.StatusText(c.status) == "" || c.title == "" || c.fault == "" || !strings.HasSuffix(c.what, ".") || !strings.HasSuffix(c.advice, ".") {
			t.Errorf("%s lacks something: %+v", name, c)
		}
		if strings.HasSuffix(c.title, ".") || len(c.title) > 40 {
			t.Errorf("%s: %q is no title", name, c.title)
		}
		if c.again && c.status < 500 {
			t.Errorf("%s: trying again cannot help with %d", name, c.status)
		}
	}
}

var (
	documented = regexp.MustCompile("(?m)^### `([a-z_]+)`\n\n(.*)\n\n((?s:.*?))(?:\n#|\\z)")
	constant   = regexp.MustCompile(`(?m)^(?:\t|const )code\w+\s+= "([a-z_]+)"`)
)

func TestErrorsMdKnowsEachCode(t *testing.T) {
	text := content(t, "../../docs/errors.md")
	seen := map[string]bool{}
	for rest := text; ; {
		m := documented.FindStringSubmatchIndex(rest)
		if m == nil {
			break
		}
		name, line, body := rest[m[2]:m[3]], rest[m[4]:m[5]], rest[m[6]:m[7]]
		rest = rest[m[7]:]
		c, ok := codes[name]
		if !ok || seen[name] {
			t.Errorf("errors.md explains %s, which does not exist or was there already", name)
			continue
		}
		seen[name] = true
		if want := fmt.Sprintf("%d · %s · %s", c.status, c.title, c.fault); line != want {
			t.Errorf("errors.md says of %s\n  %s\nand codes.go\n  %s", name, line, want)
		}
		for _, part := range []string{"- A person: ", "- An operator: "} {
			if !strings.Contains(body, part) {
				t.Errorf("errors.md on %s lacks %q", name, part)
			}
		}
	}
	for name := range codes {
		if !seen[name] {
			t.Errorf("errors.md doesn't explain %s", name)
		}
	}
}

// The packages that return errors name codes as constants, most of them in errors.go: each of those is in
// the list, and the list has none that nobody returns.
func TestEachCodeIsUsedAndEachThatIsUsedIsKnown(t *testing.T) {
	used := map[string]bool{internalError: true}
	for _, dir := range []string{"flows", "proxy"} {
		found := constant.FindAllStringSubmatch(source(t, filepath.Join("../..", dir)), -1)
		if len(found) < 5 {
			t.Errorf("only %d codes in %s: the search is broken", len(found), dir)
		}
		for _, m := range found {
			used[m[1]] = true
		}
		for _, m := range constant.FindAllStringSubmatch(content(t, filepath.Join("../..", dir, "errors.go")), -1) {
			if _, ok := codes[m[1]]; !ok {
				t.Errorf("%s returns %s, which is not in codes.go", dir, m[1])
			}
		}
	}
	for _, dir := range []string{"bearer", "credential", "personal", "tokenapi"} {
		for _, m := range constant.FindAllStringSubmatch(source(t, filepath.Join("../../flows", dir)), -1) {
			used[m[1]] = true
			if _, ok := codes[m[1]]; !ok {
				t.Errorf("flows/%s returns %s, which is not in codes.go", dir, m[1])
			}
		}
	}
	for name := range codes {
		if !used[name] {
			t.Errorf("nobody returns %s", name)
		}
	}
}

// source is the text of the Go files of dir, without tests.
func source(t *testing.T, dir string) string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, name := range names {
		if !strings.HasSuffix(name, "_test.go") {
			b.WriteString(content(t, name))
		}
	}
	return b.String()
}

func content(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
