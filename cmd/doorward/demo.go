package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/doorward/doorward/demo"
	"github.com/doorward/doorward/demo/idp"
	"github.com/doorward/doorward/edge"
	"github.com/doorward/doorward/internal/config"
)

func demoCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Show the main job in a browser: an identity provider, an application and the gateway in one process",
		Long: "Start an identity provider, a sample application and the gateway in front of it, on loopback only\n" +
			"and with nothing to configure, and print where to look. Nothing is kept when it ends.",
		Args: cobra.NoArgs,
	}
	port := cmd.Flags().Uint16("port", 4180, "port of the gateway on localhost; the next free one is taken if it is in use")
	cmd.RunE = runs(func(cmd *cobra.Command, _ []string) error {
		return runDemo(cmd.Context(), int(*port), cmd.OutOrStdout(), cmd.ErrOrStderr())
	})
	return cmd
}

// demoUsers sign in with their name as password.
var demoUsers = []demo.User{
	{Username: "alice", Password: "alice", About: "is in the group staff"},
	{Username: "bob", Password: "bob", About: "is in no group: the staff page refuses him"},
}

// runDemo runs everything until ctx ends or a signal says so.
func runDemo(ctx context.Context, port int, out, logs io.Writer) (err error) {
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGINT, syscall.SIGTERM) // serve does so only once it is up
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	defer func() {
		if ctx.Err() != nil {
			err = nil // Ctrl-C is how a demo ends, however far it had come
		}
	}()
	dir, err := os.MkdirTemp("", "doorward-demo-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	apps, err := startDemoApps(ctx, port, dir)
	if err != nil {
		return err
	}
	defer apps.close()
	path := filepath.Join(dir, "doorward.toml")
	if err := os.WriteFile(path, []byte(apps.toml), 0o600); err != nil {
		return err
	}
	// Environ is empty: a demo behaves alike on every machine.
	options := config.Options{Path: path, Environ: []string{}}
	return serve(ctx, options, logs, func(*edge.Server) { apps.announce(out) })
}

// demoApps are the sample servers behind and beside the gateway, each on a loopback port.
type demoApps struct {
	origin  string // of the gateway
	issuer  string
	secret  string // of the gateway at the provider
	toml    string
	servers []*http.Server
}

// startDemoApps starts everything but the gateway, for which it looks for a port: from the given
// one on, and after the others have theirs, or one of them might get it.
func startDemoApps(ctx context.Context, port int, dir string) (a *demoApps, err error) {
	var listeners [3]net.Listener
	defer func() {
		if err != nil {
			closeAll(listeners[:])
		}
	}()
	for i := range listeners {
		if listeners[i], err = listenLoopback(ctx, 0); err != nil {
			return nil, err
		}
	}
	gateway, err := freePort(ctx, port)
	if err != nil {
		return nil, err
	}
	a = &demoApps{origin: fmt.Sprintf("http://localhost:%d", gateway), secret: rand.Text()}
	// The provider is 127.0.0.1 and the gateway localhost: two hosts, so that they do not
	// share cookies (ports do not keep cookies apart).
	a.issuer = "http://" + listeners[0].Addr().String()
	a.toml = a.config(gateway, dir, listeners[1].Addr().String(), listeners[2].Addr().String())
	provider, err := idp.New(a.provider())
	if err != nil {
		return nil, err
	}
	pages := demo.Config{App: "/coolwebapp", Prefix: "/oauth2", Origin: a.origin, Provider: a.issuer, Users: demoUsers, TOML: productionTOML}
	echo, err := demo.Echo(pages)
	if err != nil {
		return nil, err
	}
	landing, err := demo.Landing(pages)
	if err != nil {
		return nil, err
	}
	for i, h := range []http.Handler{provider, echo, landing} {
		a.serve(listeners[i], h)
	}
	return a, nil
}

func closeAll(listeners []net.Listener) {
	for _, l := range listeners {
		if l != nil {
			_ = l.Close()
		}
	}
}

func (a *demoApps) serve(l net.Listener, h http.Handler) {
	s := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second}
	a.servers = append(a.servers, s)
	go func() { _ = s.Serve(l) }() // if it ever fails, the gateway's page says who doesn't answer
}

func (a *demoApps) close() {
	for _, s := range a.servers {
		_ = s.Close()
	}
}

// provider describes the demo's identity provider.
func (a *demoApps) provider() idp.Config {
	c := idp.Config{
		Issuer:        a.issuer,
		RotateRefresh: true,
		ShowPasswords: true,
		Clients: []idp.Client{{
			ID: "doorward", Secret: a.secret, Name: "CoolWebApp.com", SkipConsent: true,
			RedirectURIs:           []string{a.origin + "/oauth2/callback"},
			PostLogoutRedirectURIs: []string{a.origin + "/oauth2/logout/callback"},
		}},
	}
	for _, u := range demoUsers {
		user := idp.User{
			Username: u.Username, Password: u.Password, Email: u.Username + "@example.com", EmailVerified: true,
			Name: strings.ToUpper(u.Username[:1]) + u.Username[1:] + " Example",
		}
		if u.Username == "alice" {
			user.Groups = []string{"staff"}
		}
		c.Users = append(c.Users, user)
	}
	return c
}

// config is the demo's own configuration, read by the same reader as everybody's.
func (a *demoApps) config(gateway int, dir, echo, landing string) string {
	return fmt.Sprintf(`state_dir = %q

[listen]
http = "127.0.0.1:%d"
admin = "127.0.0.1:0"

[sessions]
store = "memory"

[provider.demo]
issuer = %q
client_id = "doorward"
client_secret = %q
scopes = ["openid", "profile", "email", "groups"]

[[route]]
name = "landing"
host = %[5]q
upstream = ["http://%[7]s"]
public = true

[[route]]
name = "coolwebapp"
host = %[5]q
path = "/coolwebapp"
upstream = ["http://%[6]s"]
credential = "session"

[[route]]
name = "staff"
host = %[5]q
path = "/coolwebapp/staff"
upstream = ["http://%[6]s"]
allow = [{ groups = ["staff"] }]
credential = "session"

[telemetry]
log = { level = "warn" }
`, dir, gateway, a.issuer, a.secret, a.origin, echo, landing)
}

// productionTOML is what the demo does, as it would be written for real.
const productionTOML = `[provider.corp]
issuer        = "https://sso.example.com/realms/main"
client_id     = "doorward"
client_secret = "${env:CORP_SECRET}"

[[route]]
host       = "app.example.com"
upstream   = ["http://127.0.0.1:3000"]
credential = "session"

[[route]]
host       = "app.example.com"
path       = "/staff"
upstream   = ["http://127.0.0.1:3000"]
allow      = [{ groups = ["staff"] }]
credential = "session"
`

func (a *demoApps) announce(out io.Writer) {
	var b strings.Builder
	fmt.Fprintf(&b, "\n  Doorward demo: open %s\n\n", a.origin)
	for _, u := range demoUsers {
		fmt.Fprintf(&b, "  %-16s password %s; %s\n", u.Username, u.Password, u.About)
	}
	fmt.Fprintf(&b, "\n  %-16s %s/coolwebapp/\n  %-16s %[2]s/coolwebapp/staff\n  %-16[4]s %s\n", "The application", a.origin, "For staff only", "The provider", a.issuer)
	fmt.Fprintf(&b, "\n  In production this would be:\n\n    %s\n", strings.ReplaceAll(strings.TrimSpace(productionTOML), "\n", "\n    "))
	fmt.Fprintf(&b, "\n  This is a demo: it listens on this machine only, everybody knows its passwords,\n  and nothing is kept. Ctrl-C ends it.\n\n")
	_, _ = io.WriteString(out, strings.ReplaceAll(b.String(), "\n    \n", "\n\n"))
}

func listenLoopback(ctx context.Context, port int) (net.Listener, error) {
	var lc net.ListenConfig
	return lc.Listen(ctx, "tcp4", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
}

// portsToTry is how many ports are looked at before the demo gives up.
const portsToTry = 20

// freePort returns the first of a few ports that nobody listens on; from 0 any free one.
func freePort(ctx context.Context, from int) (port int, err error) {
	for p := from; p < from+portsToTry && p <= 65535; p++ {
		if port, err = tryPort(ctx, p); err == nil {
			return port, nil
		}
	}
	return 0, fmt.Errorf("no port from %d on is free (%w); choose one with --port", from, err)
}

func tryPort(ctx context.Context, p int) (int, error) {
	l, err := listenLoopback(ctx, p)
	if err != nil {
		return 0, err
	}
	defer l.Close()
	port := l.Addr().(*net.TCPAddr).Port
	// Browsers try ::1 before 127.0.0.1 for localhost: whoever listens there would get our
	// visitors. A machine without IPv6 has nobody there.
	var lc net.ListenConfig
	six, err := lc.Listen(ctx, "tcp6", net.JoinHostPort("::1", strconv.Itoa(port)))
	if err == nil {
		_ = six.Close()
	}
	if errors.Is(err, syscall.EADDRINUSE) {
		return 0, err
	}
	return port, nil
}
