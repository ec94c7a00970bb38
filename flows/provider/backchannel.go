package provider

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// What an answer of the provider may cost (spec-digest §31, P058).
const (
	maxBody        = 1 << 20
	maxHeader      = 64 << 10
	callTimeout    = 10 * time.Second
	pollTimeout    = 35 * time.Second // servers may hold a poll for 30 s (CIBA §7.3, CIB-7)
	connectTimeout = 3 * time.Second
)

// backchannel is the one way in which a Client speaks to its provider (S9): no redirects,
// no environment proxy, TLS 1.2 or better, bounded in time and size, and errors that hold
// neither bodies nor queries.
type backchannel struct {
	client *http.Client
	now    func() time.Time
	skew   *skew
	saw    witness
}

type dialer func(ctx context.Context, network, address string) (net.Conn, error)

func newBackchannel(roots *x509.CertPool, certificate *tls.Certificate, dial dialer, issuerHost string, now func() time.Time, saw witness) *backchannel {
	conf := &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots}
	if certificate != nil {
		conf.Certificates = []tls.Certificate{*certificate}
	}
	if dial == nil {
		d := &net.Dialer{Timeout: connectTimeout, Control: refuseOddAddresses(issuerHost)}
		dial = d.DialContext
	}
	return &backchannel{
		now:  now,
		skew: new(skew),
		saw:  saw,
		client: &http.Client{
			// A redirect would carry client secret, code and tokens to another place (P110).
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
			Transport: &http.Transport{
				Proxy:                  nil, // the environment does not decide where secrets go
				DialContext:            dial,
				TLSClientConfig:        conf,
				TLSHandshakeTimeout:    5 * time.Second,
				ForceAttemptHTTP2:      true,
				MaxResponseHeaderBytes: maxHeader,
				DisableCompression:     true, // no bombs
				MaxIdleConnsPerHost:    8,
				IdleConnTimeout:        60 * time.Second,
			},
		},
	}
}

// refuseOddAddresses keeps a discovery document from sending us to link-local and
// metadata addresses, whatever name it hides them behind (P109). It is asked after the
// name was resolved, so that a name cannot change its mind in between.
func refuseOddAddresses(issuerHost string) func(network, address string, _ syscall.RawConn) error {
	return func(_, address string, _ syscall.RawConn) error {
		ap, err := netip.ParseAddrPort(address)
		if err != nil {
			return errors.New("an address that cannot be judged")
		}
		ip := ap.Addr().Unmap().WithZone("")
		if ip.IsLinkLocalUnicast() || ip.IsMulticast() || ip.IsUnspecified() {
			if ip.String() != issuerHost {
				return fmt.Errorf("%s is a link-local, multicast or unspecified address", ip)
			}
		}
		return nil
	}
}

// answer is what came back: any status but a redirect, the body whole.
type answer struct {
	status int
	header http.Header
	media  string // media type in lower case, "" if missing or unreadable
	body   []byte
}

func (a *answer) json() bool {
	return a.media == "" || a.media == "application/json" || strings.HasPrefix(a.media, "application/") && strings.HasSuffix(a.media, "+json")
}

// do makes one request, once. Failures are *Error.
func (b *backchannel) do(ctx context.Context, method, target string, header http.Header, body string, timeout time.Duration) (*answer, error) {
	limited, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(limited, method, target, strings.NewReader(body))
	if err != nil {
		return nil, fail(Misconfigured, "bad_endpoint", "%s is not a URL", shown(bare(target)))
	}
	for name, values := range header {
		req.Header[name] = values
	}
	req.Header.Set("User-Agent", "Doorward")
	sent := b.now()
	resp, err := b.client.Do(req)
	if err != nil {
		return nil, b.unreachable(ctx, req, err)
	}
	defer resp.Body.Close()
	b.skew.observe(resp.Header, sent, b.now())
	return b.read(ctx, req, resp)
}

func (b *backchannel) read(ctx context.Context, req *http.Request, resp *http.Response) (*answer, error) {
	where := req.Method + " " + bare(req.URL.String())
	if resp.StatusCode >= 300 && resp.StatusCode < 400 && resp.StatusCode != http.StatusNotModified {
		return nil, fail(Misbehaved, "redirect_refused", "%s answered %d with a redirect to %s; redirects are never followed here: configure the final URL",
			where, resp.StatusCode, shown(bare(resp.Header.Get("Location"))))
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxBody+1))
	if err != nil {
		return nil, b.unreachable(ctx, req, err)
	}
	if len(body) > maxBody {
		return nil, fail(Misbehaved, "too_large", "%s answered with more than %d bytes", where, maxBody)
	}
	media, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if err != nil && !errors.Is(err, mime.ErrInvalidMediaParameter) && resp.Header.Get("Content-Type") != "" {
		media = "unreadable"
	}
	return &answer{resp.StatusCode, resp.Header, media, body}, nil
}

// unreachable names what kept us from an answer, without the query that url.Error prints.
func (b *backchannel) unreachable(ctx context.Context, req *http.Request, err error) *Error {
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	where := req.Method + " " + bare(req.URL.String())
	var cert *tls.CertificateVerificationError
	var network net.Error
	errors.As(err, &network)
	switch {
	case ctx.Err() != nil && !errors.Is(ctx.Err(), context.DeadlineExceeded):
		return &Error{Kind: Unavailable, Code: "canceled", Detail: where, Err: ctx.Err()}
	case errors.As(err, &cert):
		return &Error{Kind: Unavailable, Code: "tls_untrusted", Detail: where + ": its certificate is not trusted; is the provider's CA missing from ca_file?", Err: cert.Err}
	case errors.Is(err, context.DeadlineExceeded), network != nil && network.Timeout():
		return &Error{Kind: Unavailable, Code: "timeout", Detail: where + ": no answer in time", Err: context.DeadlineExceeded}
	case network == nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF):
		// net/http quotes what it could not read; that may be anything.
		err = errors.New("the answer is no HTTP, or the connection broke")
	}
	return &Error{Kind: Unavailable, Code: "unreachable", Detail: where, Err: err}
}

// gone tells whether there is nothing at the address: the endpoint may have moved.
func (a *answer) gone() bool {
	return a.status == http.StatusNotFound || a.status == http.StatusMethodNotAllowed || a.status == http.StatusGone
}

// trouble sorts an answer whose status already says that the provider is in trouble, or
// returns nil. For every endpoint.
func (a *answer) trouble(where string, now time.Time) *Error {
	switch {
	case a.status == http.StatusTooManyRequests:
		e := fail(Unavailable, "rate_limited", "%s answered 429", where)
		e.RetryAfter = retryAfter(a.header, now)
		return e
	case a.status >= 500, a.status == http.StatusRequestTimeout, a.status == http.StatusTooEarly:
		e := fail(Unavailable, "server_error", "%s answered %d", where, a.status)
		e.RetryAfter = retryAfter(a.header, now)
		return e
	}
	return nil
}

// longestPause bounds what a provider may ask us to wait.
const longestPause = 5 * time.Minute

// retryAfter reads a Retry-After header, clamped to five minutes; 0 if there is none.
func retryAfter(h http.Header, now time.Time) time.Duration {
	v := h.Get("Retry-After")
	d := time.Duration(0)
	if n, err := strconv.ParseUint(v, 10, 31); err == nil {
		d = time.Duration(n) * time.Second
	} else if t, err := http.ParseTime(v); err == nil {
		d = t.Sub(now)
	}
	return min(max(d, 0), longestPause)
}

// bare cuts what may be secret off a URL: query, fragment and user.
func bare(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return "(unreadable URL)"
	}
	u.RawQuery, u.Fragment, u.RawFragment, u.User, u.ForceQuery = "", "", "", nil, false
	return u.String()
}
