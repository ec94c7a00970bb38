package telemetry

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"syscall"
	"time"
)

const auditStdout = "stdout"

// auditWriter is where audit lines go. Only one goroutine uses it.
type auditWriter interface {
	// write writes lines. It returns how much of p needs not be given to it again; less than all with an error, and then
	// the rest must be the next that it is given.
	write(p []byte) (int, error)
	close()
}

// auditStream is a writer that is not ours to close.
type auditStream struct{ w io.Writer }

func (s *auditStream) write(p []byte) (int, error) { return s.w.Write(p) }
func (*auditStream) close()                        {}

// auditFile appends to a file, and makes it anew when it was renamed or removed: so logrotate
// needs no signal. A reload opens it anew, too.
type auditFile struct {
	path   string
	log    *slog.Logger
	f      *os.File
	looked time.Time
	stuck  bool // it cannot be made anew: said once
	torn   int  // bytes of the line that comes next that are in the file already: the disk was full
}

const lookEvery = time.Second // whether the file is still there

func openAuditFile(path string, log *slog.Logger) (*auditFile, error) {
	a := &auditFile{path: path, log: log, looked: time.Now()}
	if err := a.open(); err != nil {
		return nil, err
	}
	return a, nil
}

// open makes a file that nobody else can read: who did what, when and from where is in it. One that others made stays as
// they want it.
func (a *auditFile) open() error {
	// Not to wait for who reads from a FIFO: that may be nobody, and the process would hang before it starts.
	f, err := os.OpenFile(a.path, os.O_APPEND|os.O_CREATE|os.O_RDWR|syscall.O_NONBLOCK, 0o600)
	if err != nil {
		return err
	}
	if err := a.accept(f); err != nil {
		_ = f.Close()
		return err
	}
	if a.f != nil {
		_ = a.f.Close()
	}
	a.f, a.torn = f, 0
	return nil
}

// accept judges what was opened, and ends the line that a process before could not end.
func (a *auditFile) accept(f *os.File) error {
	info, err := f.Stat()
	switch {
	case err != nil:
		return err
	case !info.Mode().IsRegular():
		return fmt.Errorf("%s is %s and no file; \"stdout\" is for those who read along", a.path, what(info.Mode()))
	case info.Mode().Perm()&0o007 != 0:
		a.log.Warn("anybody on this machine can read the audit log, or write to it", "file", a.path, "mode", info.Mode().Perm().String())
	}
	last := make([]byte, 1)
	if n, _ := f.ReadAt(last, info.Size()-1); n == 1 && last[0] != '\n' {
		_, err = f.WriteString("\n")
	}
	return err
}

func what(m os.FileMode) string {
	switch {
	case m&os.ModeNamedPipe != 0:
		return "a FIFO"
	case m&os.ModeDevice != 0:
		return "a device"
	}
	return "something else"
}

func (a *auditFile) write(p []byte) (int, error) {
	if now := time.Now(); now.Sub(a.looked) >= lookEvery || now.Before(a.looked) {
		a.looked = now
		a.follow()
	}
	n, err := a.f.Write(p[a.torn:])
	n += a.torn
	a.torn = 0
	if err != nil { // a line goes to one file as a whole, though it may be made anew in between
		whole := bytes.LastIndexByte(p[:n], '\n') + 1
		n, a.torn = whole, n-whole
	}
	return n, err
}

// follow makes the file anew if it is not there any more. As long as that fails the old one takes the lines, rather than
// nobody.
func (a *auditFile) follow() {
	if !a.moved() {
		return
	}
	err := a.open()
	if err != nil && !a.stuck {
		a.log.Error("the audit log was renamed or removed and cannot be made anew; its lines go on to the old file", "error", err)
	}
	a.stuck = err != nil
}

func (a *auditFile) moved() bool {
	there, err := os.Stat(a.path)
	if err != nil {
		return errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ENOTDIR)
	}
	here, err := a.f.Stat()
	return err != nil || !os.SameFile(there, here)
}

func (a *auditFile) close() { _ = a.f.Close() }
