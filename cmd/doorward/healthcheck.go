package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/doorward/doorward/internal/config"
)

// healthcheckCommand asks the admin listener of the process that runs with the same
// configuration: for containers, whose images hold no curl.
func healthcheckCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "healthcheck",
		Short: "Ask the running process whether it is alive (exit status 0 or 1)",
		Args:  cobra.NoArgs,
	}
	options := source(cmd)
	ready := cmd.Flags().Bool("ready", false, "ask whether it can serve requests, too")
	address := cmd.Flags().String("address", "", "address of the admin listener (default: listen.admin of the configuration)")
	cmd.RunE = runs(func(cmd *cobra.Command, _ []string) error {
		if *address == "" {
			c, err := config.Load(*options)
			if err != nil {
				return err
			}
			*address = c.Listen.Admin
		}
		path := "/livez"
		if *ready {
			path = "/readyz"
		}
		return askHealth(cmd.Context(), *address, path)
	})
	return cmd
}

func askHealth(ctx context.Context, address, path string) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	network, at := "tcp", address
	if p, ok := strings.CutPrefix(address, "unix:"); ok {
		network, at = "unix", p
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, at)
	}}}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://localhost"+path, nil)
	if err != nil {
		return err
	}
	res, err := client.Do(r)
	if err != nil {
		return fmt.Errorf("no answer from %s: %w", address, err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		body, _ := io.ReadAll(io.LimitReader(res.Body, 4096))
		return fmt.Errorf("%s answers %d: %s", path, res.StatusCode, strings.TrimSpace(string(body)))
	}
	return nil
}
