package wire

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/textproto"
	"strings"
)

// Error is an error in words of this package, which hold nothing that an upstream sent.
type Error string

func (e Error) Error() string { return "wire: " + string(e) }

const (
	errTarget        Error = "a space or control character in the target of the request"
	errHeaderTooLong Error = "the header of the answer is too long"
	errSwitched      Error = "the upstream switched protocols, which nobody asked for"
	errStatus        Error = "the answer has a status below 100"
)

var errTimeout error = timeoutError{}

// timeoutError is what http.Transport returns, in our words.
type timeoutError struct{}

func (timeoutError) Error() string        { return "wire: the header of the answer did not come in time" }
func (timeoutError) Timeout() bool        { return true }
func (timeoutError) Temporary() bool      { return true }
func (timeoutError) Is(target error) bool { return target == context.DeadlineExceeded }

// describe makes an error for the log of why an answer could not be read. Those of net/http
// quote what they don't understand, which may be a secret: only what stands before the
// quotation is kept.
func describe(err error) error {
	var network net.Error
	switch {
	case errors.As(err, &network), errors.Is(err, net.ErrClosed), errors.Is(err, errHeaderTooLong):
		return err
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return io.ErrUnexpectedEOF
	}
	what, _, _ := strings.Cut(err.Error(), `"`)
	var protocol textproto.ProtocolError
	if errors.As(err, &protocol) {
		what, _, _ = strings.Cut(what, ":")
	}
	return fmt.Errorf("wire: the answer is not valid: %s", strings.TrimRight(what, "[: "))
}
