package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

func logoutCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "logout [URL]",
		Short: "End a ticket that \"doorward login\" has got",
		Long: "End the session that the ticket for the site of URL is, at the gateway and on all its replicas, have\n" +
			"its tokens revoked, and delete the ticket's file. Whoever has a copy of the ticket has nothing then.\n" +
			"If the gateway cannot be reached, the file stays, and the command can be run again.\n\n" +
			"Without URL it is the only ticket that there is.",
		Args: cobra.MaximumNArgs(1),
	}
	var o clientOptions
	o.flags(cmd)
	cmd.RunE = runs(func(cmd *cobra.Command, args []string) error {
		dir, err := ticketDir(os.Getenv)
		if err != nil {
			return err
		}
		return logoutAt(cmd.Context(), strings.Join(args, ""), dir, o, cmd.ErrOrStderr())
	})
	return cmd
}

// logoutAt ends the ticket for the site of target, and forgets it.
func logoutAt(ctx context.Context, target, dir string, o clientOptions, out io.Writer) error {
	t, path, err := findTicket(dir, target)
	if err != nil {
		return err
	}
	if time.Now().Before(t.Ends) {
		err = t.end(ctx, o)
	}
	var before ended
	if err != nil && !errors.As(err, &before) {
		return fmt.Errorf("the ticket for %s has not been ended: %w", t.Origin, err)
	}
	if err := removeTicket(path); err != nil {
		return err
	}
	fmt.Fprintf(out, "Signed out of %s.\n", t.Origin)
	return nil
}

// end has the gateway end the session. A ticket is a cookie, and signing out is about the cookie.
func (t *ticket) end(ctx context.Context, o clientOptions) error {
	at, err := gatewayURL(t.Origin)
	if err != nil {
		return err
	}
	g, err := newGatewayClient(at, o)
	if err != nil {
		return err
	}
	g.client.Jar.SetCookies(at, []*http.Cookie{{Name: t.Cookie, Value: t.value.Reveal(), Path: "/", Secure: at.Scheme == "https"}})
	_, err = g.send(ctx, http.MethodPost, o.prefix+"/sign_out", url.Values{})
	return err
}
