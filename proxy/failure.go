package proxy

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"strings"

	"github.com/doorward/doorward/proxy/wire"
)

var (
	errStatus      = errors.New("the upstream answered with a status below 100")
	errAnswer      = errors.New("the upstream's answer is not valid HTTP, is not what was asked for, or its header is too long")
	errTimeout     = errors.New("the upstream did not answer in time")
	errGone        = errors.New("the connection was given up before the answer came: the upstream ended it, or sent what is not valid HTTP")
	errRequestBody = errors.New("the body of the request is not valid HTTP, or ends too early")
)

// printable returns what of an error of the transport may stand in the log. Those about a
// message quote what they didn't understand, and a broken "Set-Cookie" line is a secret like
// a whole one (P189): only errors of connections, of TLS and of our own are kept, and instead
// of all others the log has a sentence of ours.
func printable(err, otherwise error) error {
	var network net.Error
	var certificate *tls.CertificateVerificationError
	var record tls.RecordHeaderError
	var lane wire.Error
	switch {
	case errors.Is(err, errStatus):
		return errStatus
	case errors.As(err, &lane):
		return lane
	case errors.As(err, &certificate):
		return certificate
	case errors.As(err, &record):
		return record
	case errors.Is(err, net.ErrClosed): // we closed it, and the error that made us do so is lost: this one would put the blame on us
		return errGone
	case errors.As(err, &network):
		return network
	}
	for _, known := range []error{context.Canceled, io.EOF, io.ErrUnexpectedEOF} {
		if errors.Is(err, known) {
			return fmt.Errorf("%w: %w", otherwise, known)
		}
	}
	return otherwise
}

// newErrorLog is where ReverseProxy tells that an answer broke off, in words of its own followed
// by those of the error: of these the same is kept as above. That a client left early is no
// news, hence the level.
func newErrorLog(to *slog.Logger) *log.Logger {
	return log.New(errorLog{to}, "", 0)
}

type errorLog struct{ to *slog.Logger }

func (l errorLog) Write(p []byte) (int, error) {
	text := strings.TrimSpace(string(p))
	if i := strings.Index(text, "copy: "); i >= 0 && !printableReason(text[i+len("copy: "):]) {
		text = text[:i] + "copy"
	}
	l.to.Debug(text)
	return len(p), nil
}

// printableReason knows errors by how they begin, which is never a message's own text.
func printableReason(s string) bool {
	return s == context.Canceled.Error() || s == io.ErrUnexpectedEOF.Error() || strings.HasPrefix(s, "read tcp ") || strings.HasPrefix(s, "read unix ")
}
