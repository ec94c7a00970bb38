package flows

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
)

const maxHtpasswd = 8 << 20 // bytes of a file

// readHtpasswd reads a file as Apache's htpasswd writes it: a user a line, "NAME:HASH"; empty lines and those that begin
// with # say nothing. Only hashes that [parseHash] accepts are, so no file of old times does by accident.
func readHtpasswd(u User) (all []*localUser, err error) {
	if len(u.Lines) > maxHtpasswd {
		return nil, fmt.Errorf("htpasswd: the file is larger than %d MiB", maxHtpasswd>>20)
	}
	at := make(map[string]int)
	text := bytes.TrimPrefix(u.Lines, []byte("\ufeff"))
	for n, line := range bytes.Split(text, []byte("\n")) {
		n++ // as editors count
		line = bytes.TrimSpace(line)
		if len(line) == 0 || line[0] == '#' {
			continue
		}
		name, hash, ok := strings.Cut(string(line), ":")
		if !ok {
			return nil, fmt.Errorf("htpasswd: line %d: there is no colon; a line is NAME:HASH", n)
		}
		if strings.ContainsAny(name[:min(len(name), 1)], "${") { // which must not be shown
			return nil, fmt.Errorf("htpasswd: line %d: a hash stands where the name should; a line is NAME:HASH", n)
		}
		if err := checkLocalName(name); err != nil {
			return nil, fmt.Errorf("htpasswd: line %d: user %q: %w", n, bounded(name), err)
		}
		if first := at[name]; first != 0 {
			return nil, fmt.Errorf("htpasswd: line %d: user %q stands in line %d already", n, bounded(name), first)
		}
		parsed, err := parseHash(hash)
		if err != nil {
			return nil, fmt.Errorf("htpasswd: line %d: user %q: %w", n, bounded(name), err)
		}
		at[name] = n
		all = append(all, newLocalUser(u, IssuerUsers+":"+u.Name, name, hash, parsed))
	}
	if len(all) == 0 {
		return nil, errors.New("htpasswd: the file names no user")
	}
	return all, nil
}
