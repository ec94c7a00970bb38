//go:build unix && !aix

package wire

import (
	"net"
	"syscall"
)

// quiet asks a socket whether its peer has closed or sent anything, without reading.
type quiet struct {
	raw  syscall.RawConn // nil if it can't be asked
	look func(fd uintptr) bool
	err  error
	byte [1]byte
}

func (q *quiet) watch(nc net.Conn) {
	q.raw = socket(nc)
	q.look = func(fd uintptr) bool {
		_, _, q.err = syscall.Recvfrom(int(fd), q.byte[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		return true // don't wait until there is something
	}
}

func (q *quiet) known() bool { return q.raw != nil }

func (q *quiet) isQuiet() bool {
	if q.raw == nil {
		return false
	}
	q.err = nil
	err := q.raw.Read(q.look)
	return err == nil && (q.err == syscall.EAGAIN || q.err == syscall.EWOULDBLOCK)
}
