package seal_test

import (
	"bytes"
	"encoding/base64"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/doorward/doorward/internal/seal"
)

func TestAMissingKeyFileIsMadePrivateAndKept(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "state")
	path := filepath.Join(dir, "keys")
	first := must(seal.LoadOrCreate(path))(t)
	ring(t, first...)
	for name, want := range map[string]os.FileMode{dir: 0o700, path: 0o600} {
		if got := must(os.Stat(name))(t).Mode().Perm(); got != want {
			t.Errorf("%s has mode %o, want %o", name, got, want)
		}
	}
	again := must(seal.LoadOrCreate(path))(t)
	if len(first) != 1 || len(again) != 1 || !bytes.Equal(first[0], again[0]) {
		t.Fatal("the second start has another key")
	}
	if left := must(os.ReadDir(dir))(t); len(left) != 1 {
		t.Errorf("something else was left: %v", left)
	}
	other := must(seal.LoadOrCreate(filepath.Join(t.TempDir(), "keys")))(t)
	if bytes.Equal(first[0], other[0]) {
		t.Fatal("two files have the same key")
	}
}

func TestProcessesThatStartAtOnceGetOneKey(t *testing.T) {
	for range 20 {
		path := filepath.Join(t.TempDir(), "keys")
		keys := make([]string, 8)
		start := make(chan struct{})
		var wg sync.WaitGroup
		for i := range keys {
			wg.Go(func() {
				<-start
				k, err := seal.LoadOrCreate(path)
				if err != nil || len(k) != 1 {
					t.Errorf("%d keys, %v", len(k), err)
					return
				}
				keys[i] = string(k[0])
			})
		}
		close(start)
		wg.Wait()
		for _, k := range keys {
			if k != keys[0] {
				t.Fatal("different keys")
			}
		}
	}
}

func TestAKeyFileIsReadAsPeopleWriteIt(t *testing.T) {
	one, two := []byte(strings.Repeat("\xfb\xff", 16)), key(2)
	std, url := base64.StdEncoding, base64.URLEncoding
	for name, text := range map[string]string{
		"plain":            std.EncodeToString(one) + "\n" + std.EncodeToString(two) + "\n",
		"URL alphabet":     url.EncodeToString(one) + "\n" + url.EncodeToString(two),
		"no padding":       std.WithPadding(-1).EncodeToString(one) + "\n" + url.WithPadding(-1).EncodeToString(two),
		"comments, blanks": "# new\n\n  " + std.EncodeToString(one) + " \r\n\t\r\n# old\r\n" + std.EncodeToString(two) + "\r\n\r\n",
	} {
		got, err := seal.LoadOrCreate(keyFile(t, text, 0o600))
		if err != nil || len(got) != 2 || !bytes.Equal(got[0], one) || !bytes.Equal(got[1], two) {
			t.Errorf("%s: %d keys, %v", name, len(got), err)
		}
	}
}

func TestAKeyFileThatOthersReadIsRefused(t *testing.T) {
	for _, mode := range []os.FileMode{0o640, 0o604, 0o660, 0o644, 0o620} {
		path := keyFile(t, base64.StdEncoding.EncodeToString(key(1)), mode)
		_, err := seal.LoadOrCreate(path)
		if err == nil || !strings.Contains(err.Error(), "chmod 600 "+path) {
			t.Errorf("mode %o: error %v", mode, err)
		}
	}
}

func TestABadKeyFileIsAnErrorThatShowsNoKey(t *testing.T) {
	const canary = "Y2FuYXJ5LWNhbmFyeS1jYW5hcnk"
	for name, text := range map[string]string{
		"empty":         "",
		"comments only": "# nothing\n",
		"short":         canary,
		"long":          canary + canary,
		"no base64":     canary + "!" + canary[:16],
		"second line":   base64.StdEncoding.EncodeToString(key(1)) + "\n" + canary,
		"two on a line": base64.StdEncoding.EncodeToString(key(1)) + " " + canary,
		"hexadecimal":   strings.Repeat("c0ffee00", 8),
		"huge":          strings.Repeat(canary+"\n", 1<<13),
	} {
		path := keyFile(t, text, 0o600)
		keys, err := seal.LoadOrCreate(path)
		if err == nil || keys != nil {
			t.Errorf("%s: accepted", name)
			continue
		}
		if !strings.Contains(err.Error(), path) || strings.Contains(err.Error(), canary[:8]) || strings.Contains(err.Error(), "c0ff") {
			t.Errorf("%s: error %v", name, err)
		}
		if got := must(os.ReadFile(path))(t); string(got) != text {
			t.Errorf("%s: the file was changed", name)
		}
	}
	if _, err := seal.LoadOrCreate(t.TempDir()); err == nil {
		t.Error("a directory was accepted")
	}
}

func FuzzParseKey(f *testing.F) {
	f.Add(base64.StdEncoding.EncodeToString(key(1)))
	f.Add(base64.RawURLEncoding.EncodeToString(key(0xff)))
	f.Add(" \r\n=")
	f.Fuzz(func(t *testing.T, text string) {
		k, err := seal.ParseKey(text)
		if err != nil {
			if k != nil || len(text) > 6 && strings.Contains(err.Error(), text) {
				t.Fatalf("%x, %v", k, err)
			}
			return
		}
		again, err := seal.ParseKey(base64.StdEncoding.EncodeToString(k))
		if len(k) != seal.KeySize || err != nil || !bytes.Equal(k, again) {
			t.Fatalf("%q is %x, which is %x, %v", text, k, again, err)
		}
	})
}

func keyFile(t *testing.T, text string, mode os.FileMode) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "keys")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil { // the umask doesn't apply
		t.Fatal(err)
	}
	return path
}
