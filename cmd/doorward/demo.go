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
	"sync/atomic"
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
		Short: "Play every way to sign in, in a browser: an identity provider, applications and the gateway in one process",
		Long: "Start an identity provider, sample applications and the gateway in front of them, on loopback only\n" +
			"and with nothing to configure, and print where to look. The page that opens plays each flow, and\n" +
			"shows the messages that it really exchanged. Nothing is kept when it ends.",
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

// demoOptions are what tests change about a demo.
type demoOptions struct {
	port   int
	users  []demo.User
	change func(toml string) string                     // of the configuration; nil = none
	watch  func(at string, h http.Handler) http.Handler // sees what the gateway, the provider and the applications see; nil = nobody
}

func (o demoOptions) watched(at string, h http.Handler) http.Handler {
	if o.watch == nil {
		return h
	}
	return o.watch(at, h)
}

// runDemo runs everything until ctx ends or a signal says so.
func runDemo(ctx context.Context, port int, out, logs io.Writer) error {
	return playDemo(ctx, demoOptions{port: port, users: demoUsers}, out, logs)
}

func playDemo(ctx context.Context, o demoOptions, out, logs io.Writer) (err error) {
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
	apps, err := startDemoApps(ctx, o, dir)
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
	log := &startedLog{out: logs}
	started := func(*edge.Server) {
		log.up.Store(true)
		apps.announce(out)
	}
	return serve(ctx, options, log, started, func(h http.Handler) http.Handler {
		return o.watched("gateway", apps.recorded(h))
	})
}

// recorded is for what faces the public and for what local services call: they are told apart by the address that was
// asked for.
func (a *demoApps) recorded(h http.Handler) http.Handler {
	inbound, outbound := a.pages.Log.Record(a.pages.AtGateway(), h), a.pages.Log.Record(a.pages.AtEgress(), h)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if a.pages.IsEgress(r) {
			outbound.ServeHTTP(w, r)
			return
		}
		inbound.ServeHTTP(w, r)
	})
}

// startedLog leaves out the warnings of the start: they say why each flow but the first needs a reason, and that
// the demo plays them all is its purpose. What stops a start comes as an error besides.
type startedLog struct {
	out io.Writer
	up  atomic.Bool
}

func (l *startedLog) Write(p []byte) (int, error) {
	if !l.up.Load() {
		return len(p), nil
	}
	return l.out.Write(p)
}

// demoApps are the sample servers behind and beside the gateway, each on a loopback port.
type demoApps struct {
	pages   demo.Config
	secret  string // of the gateway at the provider
	toml    string
	servers []*http.Server
}

// startDemoApps starts everything but the gateway, for which it looks for two ports: from the given
// one on, and after the others have theirs, or one of them might get it.
func startDemoApps(ctx context.Context, o demoOptions, dir string) (a *demoApps, err error) {
	var listeners [5]net.Listener
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
	gateway, err := freePort(ctx, o.port)
	if err != nil {
		return nil, err
	}
	egress := 0
	if o.port != 0 {
		egress = gateway + 2 // 4182 beside 4180
	}
	if egress, err = freePort(ctx, egress); err != nil {
		return nil, err
	}
	a = &demoApps{secret: rand.Text()}
	a.pages = demo.Config{
		App: "/coolwebapp", Prefix: "/oauth2", Origin: fmt.Sprintf("http://localhost:%d", gateway), Users: o.users, TOML: productionTOML, Recipes: recipes(),
		// The provider is 127.0.0.1 and the gateway localhost: two hosts, so that they do not
		// share cookies (ports do not keep cookies apart).
		Provider: "http://" + listeners[0].Addr().String(), Client: clientOf(gateway),
		Egress:  fmt.Sprintf("http://127.0.0.1:%d", egress),
		Storage: "http://" + listeners[3].Addr().String(), ServiceB: "http://" + listeners[4].Addr().String(),
		Local: &http.Client{
			Timeout: 30 * time.Second, Transport: &http.Transport{DisableKeepAlives: true},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
	a.pages.Log = demo.NewLog(a.pages)
	a.toml = a.config(gateway, egress, dir, listeners[1].Addr().String(), listeners[2].Addr().String())
	if o.change != nil {
		a.toml = o.change(a.toml)
	}
	handlers, err := a.handlers(o)
	if err != nil {
		return nil, err
	}
	for i, h := range handlers {
		a.serve(listeners[i], h)
	}
	return a, nil
}

// handlers are the provider, the applications, the landing page and the two APIs.
func (a *demoApps) handlers(o demoOptions) ([]http.Handler, error) {
	provider, err := idp.New(a.provider())
	if err != nil {
		return nil, err
	}
	apps, err := demo.Apps(a.pages)
	if err != nil {
		return nil, err
	}
	landing, err := demo.Landing(a.pages)
	if err != nil {
		return nil, err
	}
	storage, serviceB, err := demo.APIs(a.pages)
	if err != nil {
		return nil, err
	}
	log := a.pages.Log
	return []http.Handler{
		o.watched("provider", log.Record(a.pages.AtProvider(), provider)), o.watched("apps", log.Record(a.pages.AtApps(), apps)), landing,
		o.watched("apis", log.Record(a.pages.AtAPIs(), storage)), o.watched("apis", log.Record(a.pages.AtAPIs(), serviceB)),
	}, nil
}

// clientOf is what the desktop application reaches the gateway by. localhost may be an address that we
// do not listen at.
func clientOf(port int) *http.Client {
	var d net.Dialer
	return &http.Client{
		Timeout: 30 * time.Second,
		Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return d.DialContext(ctx, "tcp4", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		}},
	}
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

func (a *demoApps) announce(out io.Writer) {
	var b strings.Builder
	origin := a.pages.Origin
	fmt.Fprintf(&b, "\n  Doorward demo: open %s\n\n", origin)
	for _, u := range a.pages.Users {
		fmt.Fprintf(&b, "  %-16s password %s; %s\n", u.Username, u.Password, u.About)
	}
	fmt.Fprintln(&b)
	for _, line := range [][2]string{
		{"The application", origin + a.pages.App + "/"},
		{"For staff only", origin + a.pages.App + "/staff"},
		{"The provider", a.pages.Provider},
		{"A phone", a.pages.Provider + "/phone"},
		{"For services", a.pages.Egress + demo.DataPath + "/"},
	} {
		fmt.Fprintf(&b, "  %-16s %s\n", line[0], line[1])
	}
	fmt.Fprintf(&b, "\n  From a terminal:\n\n")
	for _, line := range a.lines() {
		fmt.Fprintf(&b, "    %s\n", line)
	}
	fmt.Fprintf(&b, "\n  In production this would be:\n\n    %s\n", strings.ReplaceAll(strings.TrimSpace(productionTOML), "\n", "\n    "))
	fmt.Fprintf(&b, "\n  This is a demo: it listens on this machine only, everybody knows its passwords,\n  and nothing is kept. Ctrl-C ends it.\n\n")
	_, _ = io.WriteString(out, strings.ReplaceAll(b.String(), "\n    \n", "\n\n"))
}

// lines are what one types into a terminal.
func (a *demoApps) lines() []string {
	origin := a.pages.Origin
	user := a.pages.Users[0]
	return []string{
		"curl -i " + origin + a.pages.App + "/",
		"curl -u " + user.Username + ":" + user.Password + " " + origin + demo.FilesPath,
		"curl -d everything " + a.pages.Egress + demo.DataPath + demo.BackupsPath,
		"doorward login " + origin + "/" + demo.TV + "/",
		"doorward token --format header " + origin + " | curl -H @- " + origin + "/" + demo.TV + "/",
	}
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
