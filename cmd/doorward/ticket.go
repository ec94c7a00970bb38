package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/doorward/doorward/internal/credentials"
	"github.com/doorward/doorward/internal/secret"
)

// ticket is a session at one gateway, for programs. No token of a provider is in it.
type ticket struct {
	Origin  string
	Cookie  string // as which the gateway has set it
	Created time.Time
	Ends    time.Time // at the latest; the gateway may end it before
	value   secret.String
}

// ticketFile is how a ticket lies on disk.
type ticketFile struct {
	Origin  string    `json:"origin"`
	Cookie  string    `json:"cookie"`
	Ticket  string    `json:"ticket"`
	Created time.Time `json:"created_at"`
	Ends    time.Time `json:"ends_at"`
}

var errNoTicket = errors.New("no ticket")

// ticketDir is where tickets are kept: state, which unlike configuration is nothing to back up or share.
func ticketDir(getenv func(string) string) (string, error) {
	if dir := getenv("XDG_STATE_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "doorward", "tickets"), nil
	}
	home := getenv("HOME")
	if home == "" {
		return "", errors.New("HOME is not set, so there is no place to keep tickets; set XDG_STATE_HOME")
	}
	return filepath.Join(home, ".local", "state", "doorward", "tickets"), nil
}

// ticketPath names the file of an origin; no two origins have one name.
func ticketPath(dir, origin string) string {
	return filepath.Join(dir, strings.NewReplacer("://", "_", ":", "_", "[", "", "]", "").Replace(origin)+".json")
}

// prepare makes sure that a ticket can be kept in dir, by writing something there: to learn it after
// somebody has approved the sign-in would be too late.
func prepare(dir string) error {
	err := os.MkdirAll(dir, 0o700)
	if err == nil {
		var f *os.File
		if f, err = os.CreateTemp(dir, ".ticket-*"); err == nil {
			_, err = f.WriteString("\n")
			err = errors.Join(err, f.Close(), os.Remove(f.Name()))
		}
	}
	if err != nil {
		return fmt.Errorf("tickets cannot be kept in %s: %w; set XDG_STATE_HOME to a directory that you can write to", dir, err)
	}
	return nil
}

// keep writes the ticket, readable by its owner only, at once or not at all.
func (t *ticket) keep(dir string) (path string, err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	content, err := json.MarshalIndent(ticketFile{t.Origin, t.Cookie, t.value.Reveal(), t.Created, t.Ends}, "", "  ")
	if err != nil {
		return "", err
	}
	f, err := os.CreateTemp(dir, ".ticket-*") // 0600
	if err != nil {
		return "", err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(append(content, '\n'))
	if err = errors.Join(err, f.Close()); err != nil {
		return "", err
	}
	path = ticketPath(dir, t.Origin)
	return path, os.Rename(f.Name(), path)
}

// readTicket returns the ticket for the site of target; with "" the only one there is.
func readTicket(dir, target string, now time.Time) (*ticket, error) {
	t, _, err := findTicket(dir, target)
	if err == nil && !now.Before(t.Ends) {
		return nil, fmt.Errorf("%w: the one for %s has ended; get another: doorward login %[2]s", errNoTicket, t.Origin)
	}
	return t, err
}

// findTicket is readTicket for a ticket that may have ended. It returns its file too.
func findTicket(dir, target string) (t *ticket, path string, err error) {
	name := "any site"
	if target == "" {
		found, err := filepath.Glob(filepath.Join(dir, "*.json"))
		if err != nil {
			return nil, "", err
		}
		if len(found) > 1 {
			return nil, "", fmt.Errorf("there are tickets for %d sites: say which one", len(found))
		}
		if len(found) == 1 {
			path = found[0]
		}
	} else {
		at, err := gatewayURL(target)
		if err != nil {
			return nil, "", err
		}
		name = siteOf(at)
		path = ticketPath(dir, name)
	}
	t, err = openTicket(path)
	switch {
	case path == "" || errors.Is(err, fs.ErrNotExist):
		return nil, "", fmt.Errorf("%w for %s; get one: doorward login %s", errNoTicket, name, at(name))
	case err != nil:
		return nil, "", err
	case target != "" && t.Origin != name:
		return nil, "", fmt.Errorf("%s holds a ticket for %s", path, t.Origin)
	}
	return t, path, nil
}

func at(name string) string {
	if strings.Contains(name, "://") {
		return name
	}
	return "URL"
}

func openTicket(path string) (*ticket, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("%s can be read by others, so the ticket in it may be theirs too; remove it and sign in again", path)
	}
	var kept ticketFile
	if err := json.NewDecoder(f).Decode(&kept); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if u, err := url.Parse(kept.Origin); err != nil || u.Host == "" || !credentials.IsTicket(kept.Ticket) || printable(kept.Ticket) != kept.Ticket {
		return nil, fmt.Errorf("%s holds no ticket", path)
	}
	return &ticket{kept.Origin, kept.Cookie, kept.Created, kept.Ends, secret.New(kept.Ticket)}, nil
}
