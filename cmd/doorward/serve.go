package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"sync"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/doorward/doorward/edge"
	"github.com/doorward/doorward/internal/config"
	"github.com/doorward/doorward/internal/telemetry"
)

func serveCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run the gateway",
		Long: "Run the gateway.\n\nThe configuration and the files that it names are looked at every 5 seconds, and read again when\n" +
			"one has changed, or at once on SIGHUP. A good configuration takes over, a bad one is reported\n" +
			"and the old one stays. SIGTERM and SIGINT drain: no new connections, requests in flight\nfinish. A second signal ends the process at once.",
		Args: cobra.NoArgs,
	}
	options := source(cmd)
	cmd.RunE = runs(func(cmd *cobra.Command, _ []string) error {
		return serve(cmd.Context(), *options, cmd.ErrOrStderr(), nil)
	})
	return cmd
}

// serve runs one gateway until ctx ends or a signal says so. started, if any, is called
// with the server once its listeners are open. The demo wraps the public and the outbound handler to record what they
// answer; nobody else does.
func serve(ctx context.Context, o config.Options, out io.Writer, started func(*edge.Server), wrap ...func(http.Handler) http.Handler) error {
	c, err := config.Load(o)
	if err != nil {
		return err
	}
	log, err := telemetry.NewLogger(c.Log, out)
	if err != nil {
		return err
	}
	log.Info("starting", "version", versionLine(), "configuration", c.Path)
	st, err := openState(c, log)
	if err != nil {
		return err
	}
	defer st.close()
	if err := st.watch(c, os.Stdout, log); err != nil {
		return err
	}
	gw, err := newGateway(c, o, st, log)
	if err != nil {
		return err
	}
	defer gw.close()
	defer gw.tellStop()

	quietStandardLog(log)
	access := telemetry.NewAccessLog(log)
	defer access.Close()
	public, outbound := access.HandlerOf(gw.listener("http"), gw, gw.onPanic), access.HandlerOf(gw.listener("egress"), gw.outbound(), gw.onPanic)
	for _, w := range wrap {
		public, outbound = w(public), w(outbound)
	}
	health := &edge.Health{Checks: gw.checks, Metrics: st.watching.metrics.Handler(log)}
	server, err := edge.New(edge.Config{HTTP: c.Listen.HTTP, Admin: c.Listen.Admin, Egress: c.Listen.Egress, ExtAuthz: c.Listen.ExtAuthz},
		edge.Deps{Public: public, Admin: health.Handler(), Egress: outbound, ExtAuthz: access.HandlerOf(gw.listener("ext_authz"), gw.extAuthz(), gw.onPanic), Log: log})
	if err != nil {
		return err
	}
	// Before anybody can see that the process listens: a signal that comes early is heard.
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGHUP, syscall.SIGTERM, syscall.SIGINT)
	defer signal.Stop(signals)
	if err := server.Listen(ctx); err != nil {
		return err
	}
	if started != nil {
		started(server)
	}
	return live(ctx, signals, server, gw, health, log)
}

// live serves until ctx ends or a signal comes, and drains. Meanwhile it reloads on
// SIGHUP and when a file of the configuration changes.
func live(ctx context.Context, signals chan os.Signal, server *edge.Server, gw *gateway, health *edge.Health, log *slog.Logger) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var background sync.WaitGroup
	defer background.Wait()
	background.Go(func() { handleSignals(ctx, signals, stop, gw, health, log) })
	background.Go(func() { watch(ctx, gw.read, gw.files, func() { gw.reload("a file of the configuration changed") }) })
	background.Go(func() { gw.warmUp(ctx) })
	err := server.Run(ctx)
	stop()
	return err
}

func handleSignals(ctx context.Context, signals chan os.Signal, stop context.CancelFunc, gw *gateway, health *edge.Health, log *slog.Logger) {
	// With Stop the default action returns: a second SIGTERM or SIGINT during the drain ends
	// the process at once (CONTRACT §6).
	defer signal.Stop(signals)
	for {
		select {
		case <-ctx.Done():
			return
		case s := <-signals:
			if s == syscall.SIGHUP {
				gw.reload("SIGHUP")
				continue
			}
			log.Info("stopping", "signal", s.String())
			health.Drain()
			stop()
		}
	}
}

// onPanic answers a request whose handler panicked.
func (g *gateway) onPanic(w http.ResponseWriter, r *http.Request) {
	g.graph.Load().pages.Error(w, r, errors.New("panic"))
}

// configError marks what went wrong while the parts were wired together as a matter of
// the configuration: every constructor validates, and none touches the network.
func configError(part string, err error) error {
	return &config.Error{Problems: []config.Problem{{Text: fmt.Sprintf("%s: %v", part, err)}}}
}
