package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/crypto/argon2"

	"github.com/doorward/doorward/flows"
	"github.com/doorward/doorward/internal/secret"
)

// hashes runs doorward hash with this on its standard input.
func hashes(t *testing.T, stdin string, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	var out, errs bytes.Buffer
	root := newRoot(&out, &errs)
	root.SetIn(strings.NewReader(stdin))
	root.SetArgs(append([]string{"hash"}, args...))
	err = root.ExecuteContext(t.Context())
	return out.String(), errs.String(), err
}

func TestAHashIsOfTheFirstLineAndOfNothingElse(t *testing.T) {
	for name, c := range map[string]struct{ stdin, password string }{
		"a line":                 {"pässwörd 1\n", "pässwörd 1"},
		"no end of line":         {"x", "x"},
		"of Windows":             {"x\r\nrest\r\n", "x"},
		"with a byte order mark": {"\ufeffx\r\n", "x"},
		"spaces are part of":     {" x \n", " x "},
	} {
		out, errs, err := hashes(t, c.stdin)
		m := regexp.MustCompile(`^\$argon2id\$v=19\$m=19456,t=2,p=1\$([A-Za-z0-9+/]{22})\$([A-Za-z0-9+/]{43})\n$`).FindStringSubmatch(out)
		if err != nil || m == nil || errs != "" {
			t.Errorf("%s: %q %q %v", name, out, errs, err)
			continue
		}
		salt, _ := base64.RawStdEncoding.DecodeString(m[1])
		if sum := argon2.IDKey([]byte(c.password), salt, 2, 19<<10, 1, 32); base64.RawStdEncoding.EncodeToString(sum) != m[2] {
			t.Errorf("%s: it is the hash of something else", name)
		}
		if err := flows.CheckUser(flows.User{Name: "bob", Hash: secret.New(strings.TrimSpace(out))}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestWhatIsNoPasswordHasNoHash(t *testing.T) {
	for name, stdin := range map[string]string{"nothing": "", "an empty line": "\nx\n", "control characters": "a\tb\n", "no text": "\xff\n", "a key": "dwk.AAAA\n", "endless": strings.Repeat("x", 1<<20), "too long": strings.Repeat("x", 1025) + "\n"} {
		out, _, err := hashes(t, stdin)
		if err == nil || out != "" || strings.Contains(err.Error(), "xxx") {
			t.Errorf("%s: %q %v", name, out, err)
		}
	}
	if _, _, err := hashes(t, "x\n", "Not A Name"); err == nil {
		t.Error("a name that no configuration takes")
	}
}

func TestATableIsPrintedForAUserWithAName(t *testing.T) {
	out, _, err := hashes(t, "x\n", "robot-1")
	if err != nil || !regexp.MustCompile(`^\[users\.robot-1\]\npassword = '\$argon2id\$[^']+'\n$`).MatchString(out) {
		t.Errorf("%q %v", out, err)
	}
}

func TestAKeyIsPrintedWithTheTableThatLetsItIn(t *testing.T) {
	seen := make(map[string]bool)
	for _, args := range [][]string{{"--key", "nightly-backup"}, {"nightly-backup", "--key"}, {"--key"}} {
		out, _, err := hashes(t, "", args...)
		m := regexp.MustCompile(`^(dwk\.[A-Za-z0-9_-]{43})\n\n\[key\.(nightly-backup|NAME)\]\nhash = "sha256:([0-9a-f]{64})"\n$`).FindStringSubmatch(out)
		if err != nil || m == nil {
			t.Fatalf("%q %v", out, err)
		}
		if sum := sha256.Sum256([]byte(m[1])); hex.EncodeToString(sum[:]) != m[3] {
			t.Error("it is the hash of something else")
		}
		if seen[m[1]] {
			t.Error("two keys are one")
		}
		seen[m[1]] = true
	}
	if _, _, err := hashes(t, "", "--key", "A B"); err == nil {
		t.Error("a name that no configuration takes")
	}
}
