package proxy

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"syscall"
	"time"
)

const (
	firstPause  = 50 * time.Millisecond
	longestWait = 2 * time.Second // an upstream that asks for more gets no second attempt now
)

var errFirstByte error = firstByteError{}

// firstByteError is a timeout, as net/http's are.
type firstByteError struct{}

func (firstByteError) Error() string   { return "the upstream did not begin to answer in time" }
func (firstByteError) Timeout() bool   { return true }
func (firstByteError) Temporary() bool { return true }

// RoundTrip sends the request, once more with another token if the upstream says that this one does not count, and, where
// the target says so, again if it never arrived or the upstream was not ready. Only what has no body is sent twice, and
// after a failure only what changes nothing.
func (v *trip) RoundTrip(out *http.Request) (*http.Response, error) {
	t := v.target
	if out.Body != nil && out.Body != http.NoBody {
		res, err := t.transport.RoundTrip(out)
		if v.refused(res, err) {
			t.source.Rejected(out.Context(), v.who, v.pass) // for the next one
		}
		return res, err
	}
	ctx, cancel := context.WithCancelCause(out.Context())
	v.cancel = cancel // its end would end the answer's body too
	timer := time.AfterFunc(t.timeout, func() { cancel(errFirstByte) })
	defer timer.Stop()
	deadline := time.Now().Add(t.timeout)
	out = out.WithContext(ctx)
	renewed, left := false, t.attempts(out)
	for n := 0; ; {
		res, err := t.transport.RoundTrip(out)
		switch {
		case v.refused(res, err):
			t.source.Rejected(ctx, v.who, v.pass)
			if renewed {
				return res, nil
			}
			renewed = true
			fresh, err := v.renew(ctx)
			if err != nil {
				_ = res.Body.Close()
				return nil, err
			}
			if !fresh {
				return res, nil
			}
		default:
			pause, again := worthwhile(n, res, err, t.now())
			if !again || n >= left || ctx.Err() != nil || !time.Now().Add(pause).Before(deadline) {
				return res, outOf(ctx, err)
			}
			if sleep(ctx, pause) != nil {
				return res, outOf(ctx, err)
			}
			n++
			v.goElsewhere()
		}
		if res != nil {
			_ = res.Body.Close()
		}
		out = v.next(out)
	}
}

// outOf names our own deadline where it is why an attempt has failed.
func outOf(ctx context.Context, err error) error {
	if err != nil && errors.Is(context.Cause(ctx), errFirstByte) {
		return errFirstByte
	}
	return err
}

// attempts is how often a request may be sent after the first time. An upgrade is not repeated: it is a connection.
func (t *egressTarget) attempts(out *http.Request) int {
	if !safeMethods[out.Method] || out.Header["Upgrade"] != nil {
		return 0
	}
	return t.retries
}

// next is the request for a further attempt.
func (v *trip) next(last *http.Request) *http.Request {
	out, u := again(last, v.pass), *last.URL
	out.URL = &u
	v.rewriteURL(out)
	return out
}

// goElsewhere takes the next upstream of the target, unless the application has named one.
func (v *trip) goElsewhere() {
	if v.call.upstream == nil {
		v.upstream = v.target.next()
		v.call.record.Upstream = v.upstream.display
	}
}

// refused reports whether the upstream says that the token does not count (RFC 6750 §3.1). A 401 that does not say so is
// about something else.
func (v *trip) refused(res *http.Response, err error) bool {
	return err == nil && res.StatusCode == http.StatusUnauthorized && v.target.source != nil && v.pass != nil && saysInvalidToken(res.Header["Www-Authenticate"])
}

// renew obtains another token for the same identity. The same one again is none.
func (v *trip) renew(ctx context.Context) (fresh bool, err error) {
	pass, err := v.target.credential(ctx, v.who)
	if err != nil {
		return false, &noToken{err}
	}
	if !replaces(pass, v.pass) {
		return false, nil
	}
	v.old, v.pass = v.pass, pass
	return true, nil
}

// noToken is why there was no second token; see fail.
type noToken struct{ err error }

func (e *noToken) Error() string { return "there is no other token: " + e.err.Error() }
func (e *noToken) Unwrap() error { return e.err }

// worthwhile reports whether a further attempt may succeed, and after which pause: the upstream's own, or one that grows
// and that no two requests share.
func worthwhile(n int, res *http.Response, err error, now time.Time) (time.Duration, bool) {
	if err != nil {
		return jitter(n), neverArrived(err)
	}
	switch res.StatusCode {
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
	default:
		return 0, false
	}
	if said := res.Header["Retry-After"]; len(said) > 0 {
		wait, ok := retryAfterOf(said[0], now)
		return wait, ok && wait <= longestWait
	}
	return jitter(n), true
}

// retryAfterOf reads Retry-After (RFC 9110 §10.2.3).
func retryAfterOf(s string, now time.Time) (time.Duration, bool) {
	if n, err := strconv.ParseUint(s, 10, 32); err == nil {
		return time.Duration(n) * time.Second, true
	}
	at, err := http.ParseTime(s)
	if err != nil {
		return 0, false
	}
	return max(0, at.Sub(now)), true
}

// neverArrived reports whether a connection failed, so that no answer came: not that the upstream is who it should not be,
// that its answer was none, or that it took too long.
func neverArrived(err error) bool {
	var operation *net.OpError
	var resolution *net.DNSError
	var certificate *tls.CertificateVerificationError
	var timeout net.Error
	switch {
	case errors.As(err, &certificate), errors.Is(err, context.Canceled), errors.Is(err, errRefusedAddress):
		return false
	case errors.As(err, &resolution):
		return !resolution.IsNotFound
	case errors.As(err, &operation):
		return operation.Op == "dial" || !operation.Timeout()
	case errors.As(err, &timeout) && timeout.Timeout():
		return false
	}
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) || errors.Is(err, net.ErrClosed)
}

// jitter doubles with each attempt up to the longest wait, and is drawn from the upper half of that.
func jitter(n int) time.Duration {
	most := min(firstPause<<min(n, 10), longestWait)
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	return most/2 + time.Duration(binary.LittleEndian.Uint64(b[:])%uint64(most/2))
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
