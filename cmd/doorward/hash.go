package main

import (
	"bufio"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"regexp"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/doorward/doorward/flows"
	"github.com/doorward/doorward/internal/secret"
)

const longestPassword = 4 << 10 // bytes of a line that are read; flows.HashPassword says how long one may be

func hashCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "hash [NAME]",
		Short: "Hash a password for [users.NAME], or make an API key for [key.NAME]",
		Long: "Read a password and print its argon2id hash, for password in [users.NAME] or for a line of an\n" +
			"htpasswd file. From a terminal it is asked for twice and not shown; otherwise it is the first line\n" +
			"of standard input. There is no flag for it: arguments end in histories and process lists.\n\n" +
			"With --key, make an API key instead, and print it with the table that lets it in. The key itself is\n" +
			"kept nowhere: what is lost is made anew.",
		Example: "  doorward hash\n  doorward hash --key nightly-backup",
		Args:    cobra.MaximumNArgs(1),
	}
	key := cmd.Flags().Bool("key", false, "make an API key")
	cmd.RunE = runs(func(cmd *cobra.Command, args []string) error {
		name := "NAME"
		if len(args) == 1 {
			if name = args[0]; !configName.MatchString(name) {
				return fmt.Errorf("%q is no name: a small letter, then small letters, digits and hyphens", name)
			}
		}
		if *key {
			return printKey(cmd.OutOrStdout(), name)
		}
		password, err := askPassword(cmd.Context(), cmd.InOrStdin(), cmd.ErrOrStderr())
		if err != nil {
			return err
		}
		hash, err := flows.HashPassword(password)
		if err != nil {
			return err
		}
		if len(args) == 1 {
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "[users.%s]\npassword = '%s'\n", name, hash) // a literal string: "${" would be looked up
			return err
		}
		_, err = fmt.Fprintln(cmd.OutOrStdout(), hash)
		return err
	})
	return cmd
}

var configName = regexp.MustCompile(`^[a-z][a-z0-9-]*$`)

// printKey makes a key and prints it, this once.
func printKey(out io.Writer, name string) error {
	key, hash := flows.NewKey()
	_, err := fmt.Fprintf(out, "%s\n\n[key.%s]\nhash = \"sha256:%s\"\n", key.Reveal(), name, hex.EncodeToString(hash[:]))
	return err
}

// askPassword reads a password from in: the first line, or twice what a person types.
func askPassword(ctx context.Context, in io.Reader, out io.Writer) (secret.String, error) {
	lines := bufio.NewReader(io.LimitReader(in, 4*longestPassword))
	terminal, ok := in.(*os.File)
	if !ok || !isTerminal(terminal) {
		return readPassword(lines)
	}
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT) // or the terminal would stay silent for ever
	defer stop()
	show, err := silence(terminal)
	if err != nil {
		fmt.Fprintln(out, "What you type is shown: this terminal cannot be told not to.")
		show = func() {}
	}
	defer show()
	var typed [2]secret.String
	for i, prompt := range []string{"Password: ", "Again: "} {
		fmt.Fprint(out, prompt)
		typed[i], err = within(ctx, func() (secret.String, error) { return readPassword(lines) })
		if fmt.Fprintln(out); err != nil {
			return secret.String{}, err
		}
	}
	if !typed[0].Equal(typed[1]) {
		return secret.String{}, errors.New("these are two different passwords")
	}
	return typed[0], nil
}

// within runs read until ctx ends; what it waits for then, nobody reads.
func within(ctx context.Context, read func() (secret.String, error)) (secret.String, error) {
	type result struct {
		text secret.String
		err  error
	}
	done := make(chan result, 1)
	go func() {
		text, err := read()
		done <- result{text, err}
	}()
	select {
	case r := <-done:
		return r.text, r.err
	case <-ctx.Done():
		return secret.String{}, errors.New("interrupted")
	}
}

// readPassword reads a line without its end, and without the mark that PowerShell and editors of Windows put before a text.
func readPassword(lines *bufio.Reader) (secret.String, error) {
	line, err := lines.ReadString('\n')
	if err != nil && (!errors.Is(err, io.EOF) || line == "") {
		return secret.String{}, fmt.Errorf("no password came: %w", err)
	}
	if len(line) > longestPassword {
		return secret.String{}, errors.New("that is too long for a password")
	}
	return secret.New(strings.TrimPrefix(strings.TrimRight(line, "\r\n"), "\ufeff")), nil
}
