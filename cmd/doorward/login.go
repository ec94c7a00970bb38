package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/doorward/doorward/internal/secret"
)

const (
	ticketPrefix = "dw1."
	maxAnswer    = 64 << 10
	pollTimeout  = time.Minute // the gateway may wait half a minute for its provider
	longestPoll  = time.Minute // between two polls, whatever the gateway says
)

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
	cmd.Flags().StringVar(&o.prefix, "prefix", "/oauth2", "listen.prefix of the gateway")
	cmd.Flags().StringVar(&o.caFile, "ca-file", "", "further roots that the gateway's certificate may be from, as PEM")
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
	login, prefix, caFile string
	noQR, qr              bool
	dial                  func(ctx context.Context, network, address string) (net.Conn, error) // nil = over the network; tests over memory
	out                   io.Writer // for people: stdout is for what is handed out
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
	g, err := newGatewayClient(at, o)
	if err != nil {
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
	t, err := g.ticket(ctx, o.prefix)
	if err != nil {
		return err
	}
	path, err := t.keep(dir)
	if err != nil {
		return err
	}
	fmt.Fprintf(o.out, "Signed in to %s. The ticket is in %s; doorward token %[1]s hands it out.\n", t.Origin, path)
	return nil
}

// gatewayURL reads where to sign in. A ticket is as good as a password, so it goes over TLS or stays on this machine.
func gatewayURL(target string) (*url.URL, error) {
	if !strings.Contains(target, "://") {
		target = "https://" + target
	}
	u, err := url.Parse(target)
	if err != nil || u.Host == "" || u.User != nil || u.Scheme != "https" && u.Scheme != "http" {
		return nil, fmt.Errorf("%q is no address of a site; write it as https://app.example.com", target)
	}
	if ip := net.ParseIP(u.Hostname()); u.Scheme == "http" && u.Hostname() != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return nil, fmt.Errorf("%s: over plain http everybody on the way could read the ticket; https is needed", u.Host)
	}
	u.Fragment = ""
	return u, nil
}

// gatewayClient speaks to one gateway as a browser without a screen would.
type gatewayClient struct {
	at     *url.URL
	client *http.Client
}

func newGatewayClient(at *url.URL, o loginOptions) (*gatewayClient, error) {
	jar, err := cookiejar.New(nil)
	if err != nil {
		return nil, err
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	if o.dial != nil {
		transport.DialContext = o.dial
	}
	if o.caFile != "" {
		pem, err := os.ReadFile(o.caFile)
		if err != nil {
			return nil, err
		}
		roots, err := x509.SystemCertPool()
		if err != nil {
			roots = x509.NewCertPool()
		}
		if !roots.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%s holds no certificate", o.caFile)
		}
		transport.TLSClientConfig = &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	}
	return &gatewayClient{at: at, client: &http.Client{
		Jar: jar, Transport: transport, Timeout: pollTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// tooFast is the answer to a poll that came too early.
type tooFast struct{ wait time.Duration }

func (tooFast) Error() string { return "too many requests" }

// gone marks a failure that may pass: the gateway or the network is away for a moment.
type gone struct{ error }

// ask sends one request below the gateway's origin and reads the JSON that comes back.
func (g *gatewayClient) ask(ctx context.Context, method, path string, form url.Values) (a deviceAnswer, body []byte, err error) {
	to, err := g.at.Parse(path)
	if err != nil || to.Host != g.at.Host || to.Scheme != g.at.Scheme {
		return a, nil, fmt.Errorf("%s names an address that is not its own", g.at.Host)
	}
	var content io.Reader
	if form != nil {
		content = strings.NewReader(form.Encode())
	}
	r, err := http.NewRequestWithContext(ctx, method, to.String(), content)
	if err != nil {
		return a, nil, err
	}
	r.Header.Set("Accept", "application/json")
	r.Header.Set("User-Agent", "doorward/"+version)
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	res, err := g.client.Do(r)
	if err != nil {
		return a, nil, gone{fmt.Errorf("no answer from %s: %w", g.at.Host, err)}
	}
	defer res.Body.Close()
	if body, err = io.ReadAll(io.LimitReader(res.Body, maxAnswer)); err != nil {
		return a, nil, gone{fmt.Errorf("%s: the answer breaks off: %w", g.at.Host, err)}
	}
	if res.StatusCode >= http.StatusBadRequest || res.StatusCode < http.StatusOK || res.StatusCode >= http.StatusMultipleChoices {
		return a, nil, refusedBy(g.at, res, body)
	}
	if err := json.Unmarshal(body, &a); err != nil {
		return a, nil, fmt.Errorf("%s answers with something that is no JSON: is there a Doorward with %s?", g.at.Host, path)
	}
	return a, body, nil
}

// refusedBy makes an error of an answer that is none of success.
func refusedBy(at *url.URL, res *http.Response, body []byte) error {
	var p struct {
		Title, Detail, Code, Reference string
	}
	_ = json.Unmarshal(body, &p) // without a problem document the status has to do
	wait, _ := strconv.Atoi(res.Header.Get("Retry-After"))
	pause := time.Duration(max(wait, 1)) * time.Second
	err := fmt.Errorf("%s answers %d", at.Host, res.StatusCode)
	if p.Code != "" {
		err = fmt.Errorf("%s answers %d: %s (%s; %s)", at.Host, res.StatusCode, printable(p.Detail), printable(p.Code), printable(p.Reference))
	}
	switch {
	case res.StatusCode == http.StatusTooManyRequests && res.Request.Method == http.MethodGet:
		return tooFast{min(pause, longestPoll)}
	case res.StatusCode >= http.StatusInternalServerError && res.StatusCode != http.StatusNotImplemented:
		return gone{err}
	case res.StatusCode == http.StatusNotFound && p.Code == "no_route":
		return fmt.Errorf("%w; does it have a login of the flow device?", err)
	}
	return err
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
	t := &ticket{Origin: g.at.Scheme + "://" + g.at.Host, Created: time.Now().UTC().Truncate(time.Second)}
	for _, c := range g.client.Jar.Cookies(g.at) {
		if strings.HasPrefix(c.Value, ticketPrefix) {
			t.value = secret.New(c.Value)
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
