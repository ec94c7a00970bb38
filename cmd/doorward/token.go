package main

import (
	"bufio"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

func tokenCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "token [URL]",
		Short: "Hand out the ticket that \"doorward login\" has got",
		Long: "Print the ticket for the site of URL, as it is wanted:\n\n" +
			"  token     the ticket alone (default)\n" +
			"  header    the header line for: doorward token --format header URL | curl -H @- URL\n" +
			"  git       as git's credential helper:\n" +
			"            git config --global credential.https://git.example.com.helper '!doorward token --format git'\n" +
			"  kubectl   as ExecCredential: users[].user.exec with command doorward, args [token, --format, kubectl, URL]\n\n" +
			"Without URL it is the only ticket that there is. A ticket is as good as a password until it ends.",
		Args: cobra.MaximumNArgs(1),
	}
	format := cmd.Flags().String("format", "token", "token, header, git or kubectl")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		print, ok := map[string]func(tokenRequest) error{"token": printToken, "header": printHeader, "git": helpGit, "kubectl": printExecCredential}[*format]
		if !ok {
			return fmt.Errorf("unknown format %q", *format)
		}
		return runs(func(cmd *cobra.Command, args []string) error {
			dir, err := ticketDir(os.Getenv)
			if err != nil {
				return err
			}
			return print(tokenRequest{dir, strings.Join(args, ""), os.Getenv, time.Now(), cmd.InOrStdin(), cmd.OutOrStdout()})
		})(cmd, args)
	}
	return cmd
}

// tokenRequest is one call of the command.
type tokenRequest struct {
	dir    string
	arg    string // the URL; with git what git wants done
	getenv func(string) string
	now    time.Time
	in     io.Reader
	out    io.Writer
}

func printToken(r tokenRequest) error {
	t, err := readTicket(r.dir, r.arg, r.now)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(r.out, t.value.Reveal())
	return err
}

func printHeader(r tokenRequest) error {
	t, err := readTicket(r.dir, r.arg, r.now)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(r.out, "Authorization: Bearer %s\n", t.value.Reveal())
	return err
}

// helpGit is a helper of git's (gitcredentials(7)): git describes on stdin what it wants to reach. A
// helper that has nothing says nothing, and git asks the next one.
func helpGit(r tokenRequest) error {
	wanted := make(map[string]string)
	lines := bufio.NewScanner(io.LimitReader(r.in, maxAnswer))
	for lines.Scan() {
		if lines.Text() == "" {
			break
		}
		name, value, _ := strings.Cut(lines.Text(), "=")
		wanted[name] = value
	}
	if err := lines.Err(); err != nil {
		return err
	}
	if wanted["protocol"] == "" || wanted["host"] == "" {
		return nil
	}
	site := wanted["protocol"] + "://" + wanted["host"]
	switch r.arg {
	case "get":
		t, err := readTicket(r.dir, site, r.now)
		if errors.Is(err, errNoTicket) {
			return nil
		}
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(r.out, "username=doorward\npassword=%s\n", t.value.Reveal())
		return err
	case "erase": // git was refused with it
		return eraseTicket(r.dir, site, wanted["password"])
	}
	return nil // store: it is stored
}

// eraseTicket forgets a ticket that was refused, unless another one has taken its place.
func eraseTicket(dir, site, refused string) error {
	t, path, err := findTicket(dir, site)
	if err != nil || refused != "" && t.value.Reveal() != refused {
		return nil // git has others to tell
	}
	return removeTicket(path)
}

// removeTicket deletes the file of a ticket, if it is still there.
func removeTicket(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// printExecCredential speaks client.authentication.k8s.io in the version that kubectl asks for.
func printExecCredential(r tokenRequest) error {
	var asked struct {
		APIVersion string `json:"apiVersion"`
	}
	if info := r.getenv("KUBERNETES_EXEC_INFO"); info != "" {
		if err := json.Unmarshal([]byte(info), &asked); err != nil {
			return fmt.Errorf("KUBERNETES_EXEC_INFO: %w", err)
		}
	}
	t, err := readTicket(r.dir, r.arg, r.now)
	if err != nil {
		return err
	}
	return json.NewEncoder(r.out).Encode(map[string]any{
		"apiVersion": cmp.Or(asked.APIVersion, "client.authentication.k8s.io/v1"),
		"kind":       "ExecCredential",
		"status":     map[string]string{"token": t.value.Reveal(), "expirationTimestamp": t.Ends.UTC().Format(time.RFC3339)},
	})
}
