package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// Bounds of the files that are read, in bytes.
const (
	maxConfiguration = 16 << 20 // some 100,000 routes
	maxFile          = 1 << 20  // of one that the configuration names
)

// wholeReference is a text that is a reference and nothing else, so that it may be shown.
var wholeReference = regexp.MustCompile(`^\$\{(?:env|file|cred):[^{}]*\}$`)

// expand replaces the references ${env:X}, ${file:path} and ${cred:x} of a text. "$${" is a "${"
// that is meant literally. What a reference yields is not expanded again.
func (l *loader) expand(path string, n *node, secret bool) bool {
	value, err := l.references(n.text, secret)
	if err != nil {
		n.bad = true
		what := aValue
		if secret && !wholeReference.MatchString(n.text) {
			what = aSecret
		}
		l.report(n.at, what, "%s: %s", path, err)
		return false
	}
	if value != n.text {
		n.raw, n.text = n.text, value
	}
	return true
}

func (l *loader) references(s string, secret bool) (string, error) {
	var b strings.Builder
	for {
		i := strings.Index(s, "${")
		if i < 0 {
			b.WriteString(s)
			return b.String(), nil
		}
		if i > 0 && s[i-1] == '$' {
			b.WriteString(s[:i-1] + "${")
			s = s[i+2:]
			continue
		}
		b.WriteString(s[:i])
		reference, rest, closed := strings.Cut(s[i+2:], "}")
		if !closed {
			return "", errors.New(`there is a ${ without a }; write $${ if you mean just that`)
		}
		value, err := l.reference(reference, secret)
		if err != nil {
			return "", err
		}
		b.WriteString(value)
		s = rest
	}
}

func (l *loader) reference(reference string, secret bool) (string, error) {
	scheme, name, ok := strings.Cut(reference, ":")
	if !ok || name == "" {
		scheme = ""
	}
	switch scheme {
	case "env":
		value, ok := l.getenv(name)
		if !ok {
			return "", fmt.Errorf("${env:%s}: the environment variable %s is not set", name, name)
		}
		return value, nil
	case "file":
		return l.file(l.beside(name), secret)
	case "cred":
		dir, ok := l.getenv("CREDENTIALS_DIRECTORY")
		if !ok || dir == "" {
			return "", fmt.Errorf("${cred:%s}: $CREDENTIALS_DIRECTORY is not set; systemd sets it for a unit with LoadCredential=", name)
		}
		if strings.ContainsAny(name, `/\`) || name == ".." {
			return "", fmt.Errorf("${cred:%s}: this is a name, not a path", name)
		}
		return l.file(filepath.Join(dir, name), false)
	}
	// What stands between the braces is not repeated: it may be part of a secret.
	return "", errors.New("a reference is ${env:NAME}, ${file:PATH} or ${cred:NAME}; write $${ for a literal ${")
}

// beside makes a path that is relative to the directory of the configuration.
func (l *loader) beside(path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(l.dir, path)
}

// file returns the content of a file that the configuration names, without one newline at its end.
// A secret one that everybody can read is warned of.
func (l *loader) file(path string, secret bool) (string, error) {
	l.watch(path)
	data, mode, err := readFile(path, maxFile)
	if err != nil {
		return "", err
	}
	if secret && mode.Perm()&0o004 != 0 {
		l.warn("%s holds a secret and can be read by every user of this machine; take that away: chmod o-r", path)
	}
	text := strings.TrimSuffix(string(data), "\n")
	return strings.TrimSuffix(text, "\r"), nil
}

// readFile reads a regular file of limit bytes at most, and tells its mode.
func readFile(path string, limit int64) ([]byte, fs.FileMode, error) {
	info, err := os.Stat(path) // first: opening a pipe would wait
	if err != nil {
		return nil, 0, explain(path, err)
	}
	switch {
	case info.IsDir():
		return nil, 0, fmt.Errorf("%s is a directory", path)
	case !info.Mode().IsRegular():
		return nil, 0, fmt.Errorf("%s is no file", path)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, 0, explain(path, err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	switch {
	case err != nil:
		return nil, 0, explain(path, err)
	case int64(len(data)) > limit:
		return nil, 0, fmt.Errorf("%s: %w of %d MiB", path, errTooLarge, limit>>20)
	}
	return data, info.Mode(), nil
}

var errTooLarge = errors.New("it is larger than the limit")

func explain(path string, err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%s: there is no such file", path)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%s: this user may not read it", path)
	}
	var p *fs.PathError
	if errors.As(err, &p) {
		err = p.Err
	}
	return fmt.Errorf("%s: %w", path, err)
}
