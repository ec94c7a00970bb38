package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"log/slog"

	"github.com/spf13/cobra"

	"github.com/doorward/doorward/flows/provider"
	"github.com/doorward/doorward/internal/config"
	"github.com/doorward/doorward/internal/seal"
	"github.com/doorward/doorward/sessions/store"
)

func checkCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Say whether the configuration is right, and how it will act",
		Long: "Read the configuration as serve would, and print the routes in the order in which they are tried,\n" +
			"and what to register at each provider. Nothing is opened, written or asked for over the network.\n\n" +
			"With --online the providers are asked, too: whether they are reached, are who they should be, know\n" +
			"this client and its redirect URIs, give the tokens of client_credentials credentials, and agree\n" +
			"about the time. Exit status 1 if one of them disagrees.",
		Args: cobra.NoArgs,
	}
	options := source(cmd)
	online := cmd.Flags().Bool("online", false, "ask the providers, too")
	cmd.RunE = runs(func(cmd *cobra.Command, _ []string) error {
		return check(cmd.Context(), *options, *online, cmd.OutOrStdout())
	})
	return cmd
}

// check prints how a configuration will act. It wires everything together as serve does, over
// stores that end with it.
func check(ctx context.Context, o config.Options, online bool, out io.Writer) error {
	c, err := config.Load(o)
	if err != nil {
		return err
	}
	st := scratch(c)
	defer st.close()
	g, err := build(c, st, nil, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	defer g.close()
	printSummary(out, c)
	printRoutes(out, c)
	printEgress(out, c)
	printProviders(out, g)
	for i, w := range c.Warnings() {
		if i == 0 {
			fmt.Fprintf(out, "Warnings\n")
		}
		fmt.Fprintf(out, "  %s\n", w)
	}
	if len(c.Warnings()) > 0 {
		fmt.Fprintln(out)
	}
	bad := 0
	if online {
		bad = probe(ctx, out, g)
	}
	if err := checkAudit(c.Audit.To); err != nil {
		return configError("telemetry.audit.to", fmt.Errorf("%w; serve would not start", err))
	}
	fmt.Fprintf(out, "configuration is good: %s\n", whereFrom(c))
	if bad > 0 {
		fmt.Fprintf(out, "but sign-ins or credentials will not work as they should: see what is marked \"bad\" above\n")
		return errReported
	}
	return nil
}

// scratch is the state of a process that keeps nothing.
func scratch(c *config.Config) *state {
	key := make([]byte, seal.KeySize)
	_, _ = rand.Read(key) // never fails: it ends the process instead
	st := &state{shared: store.NewMemory(store.MemoryConfig{}, store.Deps{}), keys: [][]byte{key}}
	if c.Store != "cookie" {
		st.sessions = store.NewMemory(store.MemoryConfig{}, store.Deps{})
	}
	return st
}

func whereFrom(c *config.Config) string {
	if c.Path == "" {
		return "from the environment and --set alone"
	}
	return c.Path
}

// probe asks each provider, prints what it found, and returns how much of it is bad.
func probe(ctx context.Context, out io.Writer, g *graph) (bad int) {
	for _, p := range g.config.Providers() {
		fmt.Fprintf(out, "Asking provider %s\n", p.Name)
		for _, f := range g.providers[p.Name].Probe(ctx, g.redirectURIs(p.Name), needs(g.config, p.Name)...) {
			mark := "bad "
			switch {
			case f.OK:
				mark = "ok  "
			case f.Warn:
				mark = "warn"
			default:
				bad++
			}
			fmt.Fprintf(out, "  %s  %s\n", mark, f.Text)
		}
		fmt.Fprintln(out)
	}
	return bad
}

// needs is what logins, credentials and bearer checks use of a provider.
func needs(c *config.Config, name string) (all []provider.Needs) {
	for _, cc := range c.Credentials() {
		if grant := grantTypes[cc.Flow]; grant != "" && cc.Provider == name {
			n := provider.Needs{GrantType: grant}
			if cc.Flow == "client_credentials" {
				own := cc.ClientCredentials()
				n.Own, n.Credential = &own, cc.Name
			}
			all = append(all, n)
		}
	}
	if c.Introspects(name) {
		all = append(all, provider.Needs{Introspection: true})
	}
	for _, l := range c.Flows().Logins {
		if l.Provider != name {
			continue
		}
		n := provider.Needs{ResponseType: l.ResponseType, ResponseMode: l.ResponseMode, Delivery: l.Delivery, SignedRequest: l.SignedRequest, UserCode: l.UserCode}
		switch l.Flow {
		case "authorization_code":
			n.ResponseType = "code"
		case "password":
			n.GrantType = "password"
		case "device":
			n.GrantType = provider.GrantDevice
		case "ciba":
			n.GrantType = provider.GrantCIBA
		}
		all = append(all, n)
	}
	return all
}
