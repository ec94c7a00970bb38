package proxy

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"
	"unicode"

	"github.com/maypok86/otter/v2"
	"golang.org/x/sync/singleflight"

	"github.com/doorward/doorward/internal/identity"
	"github.com/doorward/doorward/internal/origin"
	"github.com/doorward/doorward/internal/secret"
)

// Bounds of a decision hook (S18).
const (
	hookTimeout = time.Second // unless said otherwise
	hookAtATime = 64          // questions
	hookWaiting = 1024        // that wait for that
	hookAgain   = 16          // of them about streams that go on: these leave places for whoever comes
	hookAnswers = 10_000      // that are remembered, of one route
	hookMost    = 64 << 10    // bytes of an answer
	hookReason  = 200         // bytes of a reason, for a page
)

// Hook asks somebody else whether a request may pass, after allow and require have said yes: a POST of {"input": …} as the
// data API of the Open Policy Agent takes it, answered {"result": true} or {"result": {"allow": true, …}}. It fails closed.
type Hook struct {
	URL     string        // https, or http to this machine
	Token   secret.String // sent as Bearer; empty = none
	Timeout time.Duration // for question and answer; = 1 s
	Cache   time.Duration // how long an answer counts for the same inputs; 0 = not at all
	RootCAs []byte        // PEM; nil = the system's
	Headers []string      // of the request, that are sent along; none that proves who is calling
}

// hook is a Hook that can be asked. nil allows.
type hook struct {
	url           string
	authorization []string // a header
	headers       []string
	client        *http.Client
	timeout       time.Duration
	cache         time.Duration
	places, again chan struct{}
	waiting       atomic.Int64
	answers       *otter.Cache[[sha256.Size]byte, hookAnswer] // its clock is the real one; ours is in the answers
	flights       singleflight.Group
	now           func() time.Time
}

// hookAnswer is what was decided, and how long that counts.
type hookAnswer struct {
	allow  bool
	reason string
	until  time.Time
}

func newHook(c *Hook, d Deps) (*hook, error) {
	if c == nil {
		return nil, nil
	}
	h := &hook{url: c.URL, timeout: c.Timeout, cache: c.Cache, places: make(chan struct{}, hookAtATime), again: make(chan struct{}, hookAgain), now: d.Now}
	if h.timeout == 0 {
		h.timeout = hookTimeout
	}
	if err := errors.Join(checkHookURL(c.URL), h.setHeaders(c.Headers)); err != nil {
		return nil, err
	}
	switch {
	case h.timeout < 0:
		return nil, fmt.Errorf("decision.timeout: %s must be positive", h.timeout)
	case h.cache < 0:
		return nil, fmt.Errorf("decision.cache: %s must not be negative", h.cache)
	}
	if !c.Token.IsZero() {
		if strings.ContainsFunc(c.Token.Reveal(), func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
			return nil, errors.New("decision.token: it holds characters that no header takes")
		}
		h.authorization = []string{"Bearer " + c.Token.Reveal()}
	}
	var roots *x509.CertPool
	if c.RootCAs != nil {
		if roots = x509.NewCertPool(); !roots.AppendCertsFromPEM(c.RootCAs) {
			return nil, errors.New("decision.ca_file: it holds no certificate in PEM form")
		}
	}
	h.client = newHookClient(roots, h.timeout)
	var err error
	h.answers, err = otter.New(&otter.Options[[sha256.Size]byte, hookAnswer]{MaximumSize: hookAnswers})
	return h, err
}

// newHookClient makes the way to who decides: no proxy of the environment, no redirect, no cookie. Connections are kept, and
// go 90 seconds after their last question, also those of a configuration that was replaced.
func newHookClient(roots *x509.CertPool, timeout time.Duration) *http.Client {
	return &http.Client{
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			Proxy:                  nil,
			DialContext:            (&net.Dialer{Timeout: timeout}).DialContext,
			TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots},
			TLSHandshakeTimeout:    timeout,
			IdleConnTimeout:        idleConn,
			MaxIdleConnsPerHost:    hookAtATime,
			DisableCompression:     true,
			ForceAttemptHTTP2:      true,
			MaxResponseHeaderBytes: hookMost,
		},
	}
}

// checkHookURL wants TLS on every way that others can listen to: the question holds the claims of people, and whoever
// answers it decides.
func checkHookURL(text string) error {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Host == "" || u.Opaque != "" || u.Scheme != "http" && u.Scheme != "https":
		return errors.New("decision.url: it is no complete URL, such as \"http://127.0.0.1:8181/v1/data/doorward/allow\"")
	case u.User != nil:
		return errors.New("decision.url: a URL is shown in logs; write a secret as decision.token")
	case u.Fragment != "":
		return errors.New("decision.url: a fragment is never sent")
	case u.Scheme == "http" && !(origin.Origin{Scheme: u.Scheme, Host: strings.ToLower(u.Host[:len(u.Host)-len(portOf(u))])}).Loopback():
		return fmt.Errorf("decision.url: %s is another machine, and over plain http everybody on the way could answer; use https", u.Host)
	}
	return nil
}

// portOf is the port of a URL with its colon.
func portOf(u *url.URL) string {
	if p := u.Port(); p != "" {
		return ":" + p
	}
	return ""
}

// setHeaders takes no header that proves who is calling: who decides is told who it is, and could be them otherwise.
func (h *hook) setHeaders(names []string) error {
	for _, name := range names {
		canonical := http.CanonicalHeaderKey(name)
		switch {
		case !isToken(name):
			return fmt.Errorf("decision.headers: %q is no name of a header", name)
		case canonical == "Cookie" || canonical == headerAuthorization || canonical == "Proxy-Authorization" || canonical == headerDPoP:
			return fmt.Errorf("decision.headers: %s proves who is calling, and goes to nobody else", canonical)
		}
		h.headers = append(h.headers, canonical)
	}
	return nil
}

// allows asks. An error means that nobody knows: 503. But for errAmbiguousQuery, which is the request's fault.
func (h *hook) allows(ctx context.Context, rt *route, req *CanonicalRequest, who *identity.Identity) (allowed bool, reason string, err error) {
	question, err := h.question(rt, req, who)
	if err != nil {
		return false, "", err
	}
	a, err := h.answer(ctx, question)
	return a.allow && err == nil, a.reason, err
}

// answer looks for an answer to exactly this question before it asks. All that may change the answer stands in the question,
// and the key is made of all of it (S14).
func (h *hook) answer(ctx context.Context, question []byte) (hookAnswer, error) {
	if h.cache == 0 {
		return h.ask(ctx, question)
	}
	key := sha256.Sum256(question)
	if a, ok := h.answers.GetIfPresent(key); ok && h.now().Before(a.until) {
		return a, nil
	}
	done := h.flights.DoChan(string(key[:]), func() (any, error) {
		until := h.now().Add(h.cache)
		a, err := h.ask(context.WithoutCancel(ctx), question) // others may wait for it
		if err == nil {
			a.until = until
			h.answers.Set(key, a)
		}
		return a, err
	})
	select {
	case r := <-done:
		a, _ := r.Val.(hookAnswer)
		return a, r.Err
	case <-ctx.Done():
		return hookAnswer{}, context.Cause(ctx)
	}
}

// presentable reports whether a reason may stand on a page: a short text without control characters.
func presentable(reason string) bool {
	return reason != "" && len(reason) <= hookReason && !strings.ContainsFunc(reason, func(r rune) bool { return r == unicode.ReplacementChar || !unicode.IsPrint(r) })
}
