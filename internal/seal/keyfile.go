package seal

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

const (
	maxKeyFile = 64 << 10
	makeOne    = "make one with: openssl rand -base64 32"
	firstLine  = "# Doorward's keys. The first one seals, all open. Whoever reads them can sign in as anybody.\n"
)

// ParseKey reads one key: 32 bytes in base64, in the standard or the URL alphabet, with or
// without padding. An error never repeats the text.
func ParseKey(text string) ([]byte, error) {
	text = strings.TrimRight(strings.TrimSpace(text), "=")
	if strings.ContainsAny(text, "\r\n") { // the decoder would skip them
		return nil, errors.New("a key is one line of base64; " + makeOne)
	}
	text = strings.NewReplacer("-", "+", "_", "/").Replace(text)
	k, err := base64.RawStdEncoding.Strict().DecodeString(text)
	if err != nil {
		return nil, errors.New("a key is 32 bytes in base64, and this is no base64; " + makeOne)
	}
	if len(k) != KeySize {
		return nil, fmt.Errorf("a key is 32 bytes in base64, and this is %d bytes; %s", len(k), makeOne)
	}
	return k, nil
}

// LoadOrCreate reads keys (one base64 line each, first seals; blank lines and lines that
// begin with # are skipped) from a file, or makes the file (0600, its directory 0700) with
// one new random key. Of several processes that start at once, all get the same key. A
// file that others can read is an error. The keys are not yet checked as New checks them.
func LoadOrCreate(path string) ([][]byte, error) {
	keys, err := load(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return keys, err
	}
	if err := create(path); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	return load(path)
}

func load(path string) ([][]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("key file: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("key file: %w", err)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("key file %s is no regular file", path)
	}
	if info.Mode().Perm()&0o077 != 0 && runtime.GOOS != "windows" {
		return nil, fmt.Errorf("key file %s can be read by others; run: chmod 600 %s", path, path)
	}
	text, err := io.ReadAll(io.LimitReader(f, maxKeyFile+1))
	if err != nil {
		return nil, fmt.Errorf("key file: %w", err)
	}
	keys, err := parseKeys(text)
	if err != nil {
		return nil, fmt.Errorf("key file %s: %w", path, err)
	}
	return keys, nil
}

func parseKeys(text []byte) (keys [][]byte, err error) {
	if len(text) > maxKeyFile {
		return nil, fmt.Errorf("larger than %d bytes: this is no file of keys", maxKeyFile)
	}
	n := 0
	for line := range bytes.Lines(text) {
		n++
		line = bytes.TrimSpace(line)
		if len(line) == 0 || line[0] == '#' {
			continue
		}
		k, err := ParseKey(string(line))
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		keys = append(keys, k)
	}
	if len(keys) == 0 {
		return nil, errors.New("no key in it; " + makeOne + ", or delete the file and a new one is made")
	}
	return keys, nil
}

// create makes the file under a name of its own first and links it into place when it is
// whole: a reader never sees half a key, and a link fails, unlike a rename, if another
// process was quicker.
func create(path string) error {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("key file: %w", err)
	}
	material := make([]byte, KeySize)
	_, _ = rand.Read(material) // never fails: the process ends if the system has no randomness
	tmp, err := os.CreateTemp(dir, "."+filepath.Base(path)+".*")
	if err != nil {
		return fmt.Errorf("key file: %w", err)
	}
	defer os.Remove(tmp.Name())
	_, err = tmp.WriteString(firstLine + base64.StdEncoding.EncodeToString(material) + "\n")
	if err = errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return fmt.Errorf("key file: %w", err)
	}
	if err := os.Link(tmp.Name(), path); err != nil {
		return fmt.Errorf("key file: %w", err)
	}
	return syncDir(dir)
}

// syncDir makes a new name in a directory survive a power failure.
func syncDir(dir string) error {
	if runtime.GOOS == "windows" { // directories can't be opened for that there
		return nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("key file: %w", err)
	}
	if err := errors.Join(d.Sync(), d.Close()); err != nil {
		return fmt.Errorf("key file: %w", err)
	}
	return nil
}
