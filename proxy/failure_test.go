package proxy

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

func (l *lab) logged(want string) string {
	l.Helper()
	for end := time.Now().Add(patience); !strings.Contains(l.log.String(), want) && time.Now().Before(end); {
		runtime.Gosched()
	}
	text := l.log.String()
	if !strings.Contains(text, want) {
		l.Errorf("the log does not say %q: %s", want, text)
	}
	return text
}

func TestP189NothingOfABrokenAnswerReachesTheLog(t *testing.T) {
	for name, answer := range map[string]string{
		"no HTTP":            "s3cret\r\n\r\n",
		"version":            "HTTP/s3cret 200 OK\r\n\r\n",
		"status":             "HTTP/1.1 s3cret OK\r\n\r\n",
		"a line without a :": "HTTP/1.1 200 OK\r\nSet-Cookie s3cret\r\n\r\n",
		"a broken line":      "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nSet Cookie\x00: s3cret\r\n\r\nok",
		"a length":           "HTTP/1.1 200 OK\r\nContent-Length: s3cret\r\n\r\n",
		"two lengths":        "HTTP/1.1 200 OK\r\nContent-Length: s3cret\r\nContent-Length: 2\r\n\r\n",
		"an encoding":        "HTTP/1.1 200 OK\r\nTransfer-Encoding: s3cret\r\n\r\n",
		"a protocol":         "HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\nUpgrade: s3cret\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t, raws(t, answer))
			if a := l.send("GET", "/x", as("alice")); a.StatusCode != http.StatusBadGateway || strings.Contains(a.body, "s3cret") {
				t.Errorf("answer %s %s", a.Status, a.body)
			}
			if text := l.logged(`"error":"upstream_unreachable: `); strings.Contains(text, "s3cret") {
				t.Errorf("the log says %s", text)
			}
		})
	}
	t.Run("a trailer", func(t *testing.T) {
		l := newLab(t, raws(t, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nSet-Cookie s3cret EOF\r\n\r\n"))
		l.send("GET", "/x", as("alice"))
		if text := l.logged("read error during body copy"); strings.Contains(text, "s3cret") {
			t.Errorf("the log says %s", text)
		}
	})
	t.Run("a body that ends too early", func(t *testing.T) {
		l := newLab(t, raws(t, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok"))
		l.send("GET", "/x", as("alice"))
		l.logged("read error during body copy: unexpected EOF")
	})
}

func TestP189NothingOfABrokenBodyReachesTheLog(t *testing.T) {
	l := newLab(t, nil)
	a := l.raw("POST /x HTTP/1.1\r\nHost: app.test\r\n" + as("alice") + "\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nCookie s3cret\r\n\r\n")
	if a.StatusCode != http.StatusBadRequest {
		t.Errorf("answer %s", a.Status)
	}
	if text := l.logged(errRequestBody.Error()); strings.Contains(text, "s3cret") {
		t.Errorf("the log says %s", text)
	}
}

func TestTheLogSaysWhyAnUpstreamCannotBeReached(t *testing.T) {
	for u, want := range map[string]string{
		"http://127.0.0.1:1":      "connection refused",
		"http://nowhere.invalid":  "lookup nowhere.invalid",
		"unix:/nowhere/none.sock": "no such file",
	} {
		t.Run(u, func(t *testing.T) {
			parsed, err := url.Parse(u)
			if err != nil {
				t.Fatal(err)
			}
			l := newLab(t, upstreamAt(parsed))
			l.send("GET", "/x", as("alice"))
			l.logged(want)
		})
	}
	t.Run("TLS that is none", func(t *testing.T) {
		server := httptest.NewServer(http.NotFoundHandler())
		defer server.Close()
		u := &url.URL{Scheme: "https", Host: server.Listener.Addr().String()}
		l := newLab(t, upstreamAt(u))
		l.send("GET", "/x", as("alice"))
		l.logged("does not look like a TLS handshake")
	})
	t.Run("an end without an answer", func(t *testing.T) {
		l := newLab(t, raws(t, ""))
		l.send("POST", "/x", as("alice"), "Content-Length: 0")
		l.logged("EOF")
	})
	t.Run("a certificate of nobody", func(t *testing.T) {
		server := httptest.NewUnstartedServer(http.NotFoundHandler())
		server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug)
		server.StartTLS()
		defer server.Close()
		u, err := url.Parse(server.URL)
		if err != nil {
			t.Fatal(err)
		}
		l := newLab(t, upstreamAt(u))
		l.send("GET", "/x", as("alice"))
		l.logged("failed to verify certificate")
	})
}

func TestAStatusBelow100Is502(t *testing.T) {
	for _, status := range []string{"099", "000", "001"} {
		l := newLab(t, raws(t, "HTTP/1.1 "+status+" X\r\nContent-Length: 0\r\n\r\n"))
		for _, target := range []string{"/x", "/public/x"} {
			if a := l.send("GET", target, as("alice")); a.StatusCode != http.StatusBadGateway || a.code() != codeUpstreamUnreachable {
				t.Errorf("%s: answer %s %s", status, a.Status, a.body)
			}
		}
		if text := l.logged("status below 100"); strings.Contains(text, "panic") {
			t.Errorf("the log says %s", text)
		}
	}
}

func TestTheLogSaysWhichHostIsNotServed(t *testing.T) {
	l := newLab(t, nil)
	l.send("GET", "/", "Host: app.exmaple.com:8443")
	l.logged(`\"app.exmaple.com:8443\"`)
	l.send("GET", "/", "Host: "+strings.Repeat("a", 5000))
	if text := l.logged(strings.Repeat("a", 100)); strings.Contains(text, strings.Repeat("a", 101)) {
		t.Error("a host of any length is logged")
	}
	l.send("GET", "/a//b")
	l.logged("empty segment")
}

func TestOtherErrorsAreReplacedWhole(t *testing.T) {
	secret := errors.New(`malformed MIME header line: "s3cret"`)
	for _, err := range []error{secret, fmt.Errorf("net/http: broken: %w", secret), fmt.Errorf("s3cret: %w", errStatus)} {
		if got := printable(err, errAnswer).Error(); strings.Contains(got, "s3cret") {
			t.Errorf("%q", got)
		}
	}
}

func TestTheLogDoesNotCallWhatAnUpstreamHasBrokenAClosedConnection(t *testing.T) {
	ours := &net.OpError{Op: "write", Net: "tcp", Err: net.ErrClosed} // of a request that is still sent when reading has failed
	for _, err := range []error{ours, fmt.Errorf("net/http: HTTP/1.x transport connection broken: %w", ours)} {
		if got := printable(err, errAnswer); !errors.Is(got, errGone) || strings.Contains(got.Error(), "use of closed") {
			t.Errorf("%v", got)
		}
	}
	theirs := &net.OpError{Op: "read", Net: "tcp", Err: syscall.ECONNRESET}
	if got := printable(theirs, errAnswer); !errors.Is(got, syscall.ECONNRESET) {
		t.Errorf("%v", got)
	}
}
