package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/doorward/doorward/flows/credential"
	"github.com/doorward/doorward/flows/provider"
	"github.com/doorward/doorward/internal/config"
	"github.com/doorward/doorward/internal/identity"
	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/proxy"
)

// explainOptions are the flags of explain.
type explainOptions struct {
	config  config.Options
	method  string
	as      string // file of claims; "" = nobody, "-" = standard input
	login   string
	subject string // file of the caller's token
	live    bool
	client  string   // an address; "" = this machine's
	headers []string // "Name: value"
}

func explainCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "explain URL",
		Short: "Say what would become of a request: route, rule, credential and token request",
		Long: "Take a request through the configuration without sending anything: which route it meets, whether the\n" +
			"caller may pass and by which rule, what goes upstream, and the exact token request that would be made.\n" +
			"Secrets are never shown.\n\n" +
			"--as names a file with the caller's claims as JSON, as an ID token or access token has them; without it,\n" +
			"nobody is signed in. An address of an [[egress]] is explained, too: http://127.0.0.1:4182/NAME/path.\n\n" +
			"With --live the token request is made. For an exchange, --subject-token names a file with the caller's token.",
		Example: "  doorward explain https://app.example.com/orders --as claims.json\n" +
			"  echo '{\"sub\":\"alice\",\"groups\":[\"staff\"]}' | doorward explain https://app.example.com/ --as -",
		Args: cobra.ExactArgs(1),
	}
	o := explainOptions{}
	options := source(cmd)
	cmd.Flags().StringVarP(&o.method, "method", "X", http.MethodGet, "method of the request")
	cmd.Flags().StringVar(&o.as, "as", "", "file with the caller's claims as a JSON object; - reads standard input")
	cmd.Flags().StringVar(&o.login, "login", "", "name of the login that made the caller's session (default: one that the route takes)")
	cmd.Flags().StringVar(&o.subject, "subject-token", "", "file with the caller's own token, for --live")
	cmd.Flags().StringVar(&o.client, "client", "", "address that the request comes from, for networks and request.ip (default: this machine)")
	cmd.Flags().StringArrayVarP(&o.headers, "header", "H", nil, "a header of the request as \"Name: value\", for match and request.header; may be repeated")
	cmd.Flags().BoolVar(&o.live, "live", false, "make the token request")
	cmd.RunE = runs(func(cmd *cobra.Command, args []string) error {
		o.config = *options
		return explainRequest(cmd.Context(), o, args[0], cmd.InOrStdin(), cmd.OutOrStdout())
	})
	return cmd
}

// explainRequest wires everything together as serve does, over stores that end with it.
func explainRequest(ctx context.Context, o explainOptions, target string, in io.Reader, out io.Writer) error {
	c, err := config.Load(o.config)
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
	who, err := o.caller(g, in)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "%s %s\n", o.method, target)
	e, err := g.explained(o, target, who)
	if err != nil {
		return err
	}
	printExplanation(out, e, who)
	if e.Answer != "" || e.Own || !e.Allowed {
		return nil
	}
	return explainCredential(ctx, o, out, e, who)
}

// explained asks the side that the URL belongs to.
func (g *graph) explained(o explainOptions, target string, who *identity.Identity) (*proxy.Explanation, error) {
	if g.egress != nil {
		if e, ok, err := g.egress.Explain(o.method, target, who); ok || err != nil {
			return e, err
		}
	}
	if g.gateway == nil {
		return nil, fmt.Errorf("%s is no address of an [[egress]], and there is no [[route]]", target)
	}
	s, err := o.supposed(target)
	if err != nil {
		return nil, err
	}
	return g.gateway.Explain(s, who)
}

// supposed is the request that the flags describe.
func (o explainOptions) supposed(target string) (s proxy.Supposed, err error) {
	s = proxy.Supposed{Method: o.method, URL: target, Header: make(http.Header)}
	if o.client != "" {
		if s.Client, err = netip.ParseAddr(o.client); err != nil {
			return s, fmt.Errorf("--client: %q is no address, such as 192.0.2.7", o.client)
		}
	}
	for _, line := range o.headers {
		name, value, ok := strings.Cut(line, ":")
		if name = http.CanonicalHeaderKey(name); !ok || name == "" || strings.ContainsAny(name, " \t") || name == "Host" {
			return s, fmt.Errorf("--header: %q is not of the form \"Name: value\"; the host stands in the URL", line)
		}
		s.Header[name] = append(s.Header[name], strings.TrimSpace(value))
	}
	return s, nil
}

// caller is the identity that --as describes, made by the same rules as one that a provider proves; nil = nobody.
func (o explainOptions) caller(g *graph, in io.Reader) (*identity.Identity, error) {
	claims, err := o.claims(in)
	if claims == nil || err != nil {
		return nil, err
	}
	tokens := &identity.Tokens{AccessToken: secret.New("not-a-real-token"), IDToken: secret.New("not-a-real-token"), TokenType: "Bearer"}
	if o.subject == "-" {
		return nil, errors.New("--subject-token: a file is wanted, not standard input")
	}
	if o.subject != "" {
		token, err := readInput(o.subject, in)
		if err != nil {
			return nil, err
		}
		t := secret.New(strings.TrimSpace(string(token)))
		tokens.AccessToken, tokens.IDToken = t, t
	} else if o.live {
		tokens = nil
	}
	client, err := g.vouching(claims)
	if err != nil {
		return nil, err
	}
	who, err := client.Suppose(claims, o.login, tokens)
	if err != nil {
		return nil, fmt.Errorf("the claims: %w", err)
	}
	if o.subject != "" {
		if err := client.SamePerson(tokens.AccessToken, who); err != nil {
			return nil, fmt.Errorf("--subject-token and --as: %w", err)
		}
	}
	return who, nil
}

// claims are those of --as, or those that the token of --subject-token holds; nil = nobody calls.
func (o explainOptions) claims(in io.Reader) ([]byte, error) {
	switch {
	case o.as != "":
		return readInput(o.as, in)
	case o.subject == "":
		return nil, nil
	}
	token, err := readInput(o.subject, in)
	if err != nil {
		return nil, err
	}
	claims := provider.ClaimsIn(secret.New(strings.TrimSpace(string(token))))
	if claims == nil {
		return nil, errors.New("--subject-token: this is no JWT, so it does not say who it is about; give the claims by --as, too")
	}
	return claims, nil
}

// vouching is the provider that the claims name by iss, or the only one.
func (g *graph) vouching(claims []byte) (*provider.Client, error) {
	issuer, err := provider.IssuerIn(claims)
	if err != nil {
		return nil, fmt.Errorf("--as: %w", err)
	}
	for _, pc := range g.config.Providers() { // in order: two may be clients of one issuer
		if pc.Issuer == issuer || issuer == "" && len(g.providers) == 1 {
			return g.providers[pc.Name], nil
		}
	}
	if issuer == "" {
		return nil, errors.New("--as: there are several providers; name one by the claim iss")
	}
	return nil, fmt.Errorf("--as: no provider has the issuer %q", issuer)
}

func readInput(path string, in io.Reader) ([]byte, error) {
	const most = 1 << 20
	if path == "-" {
		return io.ReadAll(io.LimitReader(in, most))
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, most))
}

// explainCredential prints how the token for the upstream is obtained, and obtains it with --live.
func explainCredential(ctx context.Context, o explainOptions, out io.Writer, e *proxy.Explanation, who *identity.Identity) error {
	src, ok := e.Source.(*credential.Source)
	if !ok || src == nil || who == nil && src.Personal() {
		return nil
	}
	steps, where, err := src.Steps(who)
	if err != nil {
		return fmt.Errorf("credential %s: %w", e.Credential, err)
	}
	if !o.live {
		printSteps(out, steps, where)
		return nil
	}
	if who != nil && who.Tokens == nil && src.Personal() {
		printSteps(out, steps, where)
		return fmt.Errorf("--live: credential %s trades the caller's token: name a file with it by --subject-token", e.Credential)
	}
	c, failed := obtainLive(ctx, src, who)
	if again, at, err := src.Steps(who); err == nil { // by now discovery has said where and how
		steps, where = again, at
	}
	printSteps(out, steps, where)
	if failed != nil {
		return fmt.Errorf("the token was not obtained: %w", failed)
	}
	printLive(out, c)
	return nil
}

// obtainLive makes the token request.
func obtainLive(ctx context.Context, src *credential.Source, who *identity.Identity) (*identity.Credential, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	return src.Token(ctx, who)
}

// printLive prints what came without the token itself.
func printLive(out io.Writer, c *identity.Credential) {
	if c.Tokens.TokenType == "" { // every token that a provider gives has one
		fmt.Fprintln(out, "  live: a fixed secret from the configuration, for which nobody is asked")
		return
	}
	fmt.Fprintf(out, "  live: a token of type %s came", c.Tokens.TokenType)
	if !c.Tokens.Expiry.IsZero() {
		fmt.Fprintf(out, ", good until %s", c.Tokens.Expiry.UTC().Format(time.RFC3339))
	}
	fmt.Fprintln(out)
	for _, claim := range provider.ClaimsShown(c.Tokens.AccessToken) {
		fmt.Fprintf(out, "         %s\n", claim)
	}
}
