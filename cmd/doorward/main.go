package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/doorward/doorward/internal/config"
)

// Exit statuses, CONTRACT §6.
const (
	exitOK     = 0
	exitRun    = 1
	exitUsage  = 2
	exitConfig = 78 // EX_CONFIG: systemd's RestartPreventExitStatus knows it
)

func main() {
	os.Exit(run(context.Background(), os.Args[1:], os.Stdout, os.Stderr))
}

// run is main without the process: tests call it too.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	root := newRoot(stdout, stderr)
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitOK
	}
	var ran runError
	if !errors.As(err, &ran) { // cobra's own: unknown command, unknown flag, missing argument
		fmt.Fprintf(stderr, "doorward: %v\nRun \"doorward --help\" for the commands and flags.\n", err)
		return exitUsage
	}
	var bad *config.Error
	if errors.As(err, &bad) {
		fmt.Fprintln(stderr, bad)
		return exitConfig
	}
	if ran.err != errReported {
		fmt.Fprintf(stderr, "doorward: %v\n", ran.err)
	}
	return exitRun
}

// errReported says that what went wrong was printed already.
var errReported = errors.New("reported")

// runError marks an error of a command that was called rightly.
type runError struct{ err error }

func (e runError) Error() string { return e.err.Error() }
func (e runError) Unwrap() error { return e.err }

func newRoot(stdout, stderr io.Writer) *cobra.Command {
	root := &cobra.Command{
		Use:           "doorward",
		Short:         "Authentication gateway for OAuth 2.0 and OpenID Connect",
		Long:          "Doorward stands in front of applications, finds out who is calling, decides whether they may\npass, and hands the application exactly the token it should see.\n\nTry it: doorward demo",
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.SetOut(stdout)
	root.SetErr(stderr)
	root.AddCommand(serveCommand(), checkCommand(), explainCommand(), demoCommand(), loginCommand(), logoutCommand(), tokenCommand(), hashCommand(), healthcheckCommand(), versionCommand())
	return root
}

// runs wraps a command's function so that its errors are told from wrong usage.
func runs(f func(cmd *cobra.Command, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		if err := f(cmd, args); err != nil {
			return runError{err}
		}
		return nil
	}
}

// source adds the flags that every command with a configuration has.
func source(cmd *cobra.Command) *config.Options {
	o := &config.Options{}
	cmd.Flags().StringVarP(&o.Path, "config", "c", "", "configuration file (default: $DOORWARD_CONFIG, ./doorward.toml, /etc/doorward/doorward.toml)")
	cmd.Flags().StringArrayVar(&o.Set, "set", nil, "override one key, as in --set listen.http=127.0.0.1:8080 (repeatable)")
	return o
}
