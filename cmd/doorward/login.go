package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/doorward/doorward/internal/credentials"
	"github.com/doorward/doorward/internal/secret"
)

const longestPoll = time.Minute // between two polls, whatever the gateway says

func loginCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "login URL",
		Short: "Sign in to an application behind Doorward from this terminal",
		Long: "Ask the gateway in front of URL for a code, show it, and wait until somebody has approved it in\n" +
			"a browser, on whatever device. No browser is needed here, so it works over SSH. What is kept is\n" +
			"a ticket for that gateway, in a file that only you can read; \"doorward token\" hands it out.\n\n" +
			"The route must offer a login of the flow device, and accept \"token\", as routes do by default.",
		Args: cobra.ExactArgs(1),
	}
	var o loginOptions
	cmd.Flags().StringVar(&o.login, "login", "", "name of the login, where the gateway has several of the flow device")
	o.flags(cmd)
	cmd.Flags().BoolVar(&o.noQR, "no-qr", false, "show no QR code")
	cmd.RunE = runs(func(cmd *cobra.Command, args []string) error {
		o.out = cmd.ErrOrStderr()
		o.qr = !o.noQR && isTerminal(o.out)
		dir, err := ticketDir(os.Getenv)
		if err != nil {
			return err
		}
		return loginAt(cmd.Context(), args[0], dir, o)
	})
	return cmd
}

type loginOptions struct {
	clientOptions
	login    string
	noQR, qr bool
	out      io.Writer // for people: stdout is for what is handed out
}

// deviceAnswer is CONTRACT §5's answer to POST …/device and GET …/device/poll.
type deviceAnswer struct {
	Status      string `json:"status"`
	Code        string `json:"code"`
	Login       string `json:"login"`
	UserCode    string `json:"user_code"`
	URI         string `json:"verification_uri"`
	CompleteURI string `json:"verification_uri_complete"`
	ExpiresIn   int    `json:"expires_in"`
	Interval    int    `json:"interval"`
	Poll        string `json:"poll"`
}

// loginAt signs in at the gateway in front of target, and keeps the ticket.
func loginAt(ctx context.Context, target, dir string, o loginOptions) error {
	at, err := gatewayURL(target)
	if err != nil {
		return err
	}
	g, err := newGatewayClient(at, o.clientOptions)
	if err != nil {
		return err
	}
	if err := prepare(dir); err != nil {
		return err
	}
	form := url.Values{"rd": {at.RequestURI()}}
	if o.login != "" {
		form.Set("login", o.login)
	}
	begun, _, err := g.ask(ctx, http.MethodPost, o.prefix+"/device", form)
	if err != nil {
		return err
	}
	showCode(o, at, begun)
	if err := g.await(ctx, o, begun); err != nil {
		return err
	}
	path, err := g.collect(ctx, o.prefix, dir)
	if err != nil {
		return g.undo(ctx, o.prefix, err)
	}
	fmt.Fprintf(o.out, "Signed in to %s. The ticket is in %s; doorward token %[1]s hands it out.\n", siteOf(at), path)
	return nil
}

// collect takes the ticket from what the gateway has set, and keeps it.
func (g *gatewayClient) collect(ctx context.Context, prefix, dir string) (path string, err error) {
	t, err := g.ticket(ctx, prefix)
	if err != nil {
		return "", err
	}
	return t.keep(dir)
}

// undo ends a session whose ticket nobody has: otherwise it would live until its time is over, and nobody could sign
// out of it.
func (g *gatewayClient) undo(ctx context.Context, prefix string, why error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second) // whoever gives up isn't kept waiting for long
	defer cancel()
	if _, err := g.send(ctx, http.MethodPost, prefix+"/sign_out", url.Values{}); err != nil {
		return fmt.Errorf("%w; the sign-in was approved, and its session at the gateway has not been ended: %w", why, err)
	}
	return fmt.Errorf("%w; the sign-in was approved, and has been ended again", why)
}

// await polls until the sign-in has ended, well or not.
func (g *gatewayClient) await(ctx context.Context, o loginOptions, begun deviceAnswer) error {
	interval := time.Duration(min(max(begun.Interval, 1), 60)) * time.Second
	deadline := time.Now().Add(time.Duration(begun.ExpiresIn)*time.Second + interval)
	pause, troubled := interval, false
	for {
		select {
		case <-ctx.Done():
			return errors.New("given up")
		case <-time.After(pause):
		}
		pause = interval
		a, _, err := g.ask(ctx, http.MethodGet, begun.Poll, nil)
		var early tooFast
		var away gone
		switch {
		case errors.As(err, &early):
			pause = early.wait
			continue
		case errors.As(err, &away) && ctx.Err() == nil && time.Now().Before(deadline):
			if !troubled {
				fmt.Fprintf(o.out, "%v; still trying\n", err)
			}
			troubled, interval = true, min(2*interval, longestPoll)
			pause = interval
			continue
		case err != nil:
			return err
		}
		switch a.Status {
		case "pending":
			if a.Interval > 0 {
				interval = time.Duration(min(a.Interval, 60)) * time.Second
			}
			pause = interval
		case "approved":
			return nil
		case "denied":
			return errors.New("the sign-in was refused")
		case "expired":
			return errors.New("nobody approved the code in time; run the command again for another one")
		default:
			return fmt.Errorf("the sign-in failed (%s)", printable(a.Code))
		}
	}
}

// ticket reads what the gateway has set as its session.
func (g *gatewayClient) ticket(ctx context.Context, prefix string) (*ticket, error) {
	t := &ticket{Origin: siteOf(g.at), Created: time.Now().UTC().Truncate(time.Second)}
	for _, c := range g.client.Jar.Cookies(g.at) {
		if credentials.IsTicket(c.Value) {
			t.Cookie, t.value = c.Name, secret.New(c.Value)
		}
	}
	if t.value.IsZero() {
		return nil, fmt.Errorf("%s gave no ticket: it keeps sessions in cookies (sessions.store = \"cookie\"), which only browsers can carry", g.at.Host)
	}
	_, body, err := g.ask(ctx, http.MethodGet, prefix+"/session", nil)
	if err != nil {
		return nil, err
	}
	var info struct {
		Session struct {
			Ends time.Time `json:"ends_at"`
		} `json:"session"`
	}
	if err := json.Unmarshal(body, &info); err != nil {
		return nil, fmt.Errorf("%s does not say how long the ticket lasts: %w", g.at.Host, err)
	}
	t.Ends = info.Session.Ends
	return t, nil
}

// showCode tells the person what to do on the other device.
func showCode(o loginOptions, at *url.URL, a deviceAnswer) {
	fmt.Fprintf(o.out, "\nSigning in to %s. On any device with a browser, open\n\n    %s\n\nand enter the code\n\n    %s\n\n", at.Host, printable(a.URI), printable(a.UserCode))
	if a.CompleteURI == "" {
		a.CompleteURI = a.URI
	}
	if o.qr {
		if code, err := terminalQR(a.CompleteURI); err == nil {
			fmt.Fprintf(o.out, "or scan this, and compare the code:\n\n%s\n", code)
		}
	}
	fmt.Fprintf(o.out, "Approve only if you started this yourself. Waiting for at most %s …\n", time.Duration(a.ExpiresIn)*time.Second)
}

// printable keeps what a server says from steering the terminal.
func printable(s string) string {
	if len(s) > 1000 {
		s = s[:1000]
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, s)
}
