package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
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

	"github.com/doorward/doorward/internal/origin"
)

const (
	maxAnswer   = 64 << 10
	callTimeout = time.Minute // the gateway may wait half a minute for its provider
)

// clientOptions are how a gateway is reached.
type clientOptions struct {
	prefix, caFile string
	dial           func(ctx context.Context, network, address string) (net.Conn, error) // nil = over the network; tests over memory
}

// flags are those of all commands that speak to a gateway.
func (o *clientOptions) flags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&o.prefix, "prefix", "/oauth2", "listen.prefix of the gateway")
	cmd.Flags().StringVar(&o.caFile, "ca-file", "", "further roots that the gateway's certificate may be from, as PEM")
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
	o, err := origin.Parse(u.Scheme + "://" + u.Host) // one site has one ticket, in whatever way it is written
	if err != nil {
		return nil, err
	}
	if ip := net.ParseIP(u.Hostname()); u.Scheme == "http" && o.Host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return nil, fmt.Errorf("%s: over plain http everybody on the way could read the ticket; https is needed", u.Host)
	}
	u.Host, u.Fragment, u.RawFragment = o.Authority(), "", ""
	return u, nil
}

// siteOf is the origin of an address that gatewayURL has read.
func siteOf(at *url.URL) string { return at.Scheme + "://" + at.Host }

// gatewayClient speaks to one gateway as a browser without a screen would.
type gatewayClient struct {
	at     *url.URL
	client *http.Client
}

func newGatewayClient(at *url.URL, o clientOptions) (*gatewayClient, error) {
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
		Jar: jar, Transport: transport, Timeout: callTimeout,
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
	if body, err = g.send(ctx, method, path, form); err != nil {
		return a, nil, err
	}
	if err := json.Unmarshal(body, &a); err != nil {
		return a, nil, fmt.Errorf("%s answers with something that is no JSON: is there a Doorward with %s?", g.at.Host, path)
	}
	return a, body, nil
}

// send sends one request below the gateway's origin. Whatever is no success is an error.
func (g *gatewayClient) send(ctx context.Context, method, path string, form url.Values) ([]byte, error) {
	to, err := g.at.Parse(path)
	if err != nil || to.Host != g.at.Host || to.Scheme != g.at.Scheme {
		return nil, fmt.Errorf("%s names an address that is not its own", g.at.Host)
	}
	var content io.Reader
	if form != nil {
		content = strings.NewReader(form.Encode())
	}
	r, err := http.NewRequestWithContext(ctx, method, to.String(), content)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Accept", "application/json")
	r.Header.Set("User-Agent", "doorward/"+version)
	r.Header.Set("X-Requested-With", "doorward") // no page of another site asks
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	res, err := g.client.Do(r)
	if err != nil {
		return nil, gone{fmt.Errorf("no answer from %s: %w", g.at.Host, err)}
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return nil, gone{fmt.Errorf("%s: the answer breaks off: %w", g.at.Host, err)}
	}
	if res.StatusCode >= http.StatusBadRequest || res.StatusCode < http.StatusOK || res.StatusCode >= http.StatusMultipleChoices {
		return nil, refusedBy(g.at, res, body)
	}
	return body, nil
}

// ended marks a refusal of somebody whom the gateway doesn't know, or not any more.
type ended struct{ error }

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
	case res.StatusCode == http.StatusUnauthorized:
		return ended{err}
	case res.StatusCode == http.StatusNotFound && p.Code == "no_route":
		return fmt.Errorf("%w; does it have a login of the flow device? Is its prefix another?", err)
	}
	return err
}
