package main

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/internal/testnet"
)

// newTerminal returns both ends of a terminal: where a person types, and where a program reads.
func newTerminal(t *testing.T) (person, program *os.File) {
	t.Helper()
	person, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() { _ = person.Close() })
	fd := int(person.Fd())
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Skip(err)
	}
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Skip(err)
	}
	if program, err = os.OpenFile(filepath.Join("/dev/pts", strconv.Itoa(n)), os.O_RDWR|unix.O_NOCTTY, 0); err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() { _ = program.Close() })
	return person, program
}

func echoes(t *testing.T, terminal *os.File) bool {
	t.Helper()
	s, err := unix.IoctlGetTermios(int(terminal.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	return s.Lflag&unix.ECHO != 0
}

func TestATerminalShowsNoPasswordAndAsksTwice(t *testing.T) {
	for name, c := range map[string]struct {
		typed []string
		says  string
	}{
		"the same twice": {[]string{"s3cret", "s3cret"}, ""},
		"two":            {[]string{"s3cret", "s3crte"}, "two different"},
	} {
		t.Run(name, func(t *testing.T) {
			person, program := newTerminal(t)
			out := &testnet.Output{}
			type result struct {
				password secret.String
				err      error
			}
			done := make(chan result, 1)
			go func() {
				p, err := askPassword(t.Context(), program, out)
				done <- result{p, err}
			}()
			for i, prompt := range []string{"Password: ", "Again: "} {
				deadlineLoop(t, func() bool { return strings.Contains(out.String(), prompt) })
				if echoes(t, program) {
					t.Error("the terminal shows what is typed")
				}
				if _, err := person.WriteString(c.typed[i] + "\n"); err != nil {
					t.Fatal(err)
				}
			}
			r := <-done
			if c.says == "" && (r.err != nil || r.password.Reveal() != "s3cret") || c.says != "" && (r.err == nil || !strings.Contains(r.err.Error(), c.says)) {
				t.Error(r.err)
			}
			if !echoes(t, program) {
				t.Error("the terminal stays silent")
			}
			if strings.Contains(out.String(), "s3cr") {
				t.Error("the password was printed")
			}
		})
	}
}

func TestATerminalSpeaksAgainAfterAnInterrupt(t *testing.T) {
	_, program := newTerminal(t)
	ctx, cancel := context.WithCancel(t.Context())
	out := &testnet.Output{}
	done := make(chan error, 1)
	go func() {
		_, err := askPassword(ctx, program, out)
		done <- err
	}()
	deadlineLoop(t, func() bool { return strings.Contains(out.String(), "Password: ") })
	cancel() // as a signal does
	select {
	case err := <-done:
		if err == nil {
			t.Error("there is a password")
		}
	case <-time.After(10 * time.Second):
		t.Fatal("it goes on waiting")
	}
	if !echoes(t, program) {
		t.Error("the terminal stays silent")
	}
}
