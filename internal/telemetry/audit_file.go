package telemetry

import (
	"errors"
	"io"
	"os"
	"time"
)

const auditStdout = "stdout"

// auditWriter is where audit lines go. Only one goroutine uses it.
type auditWriter interface {
	// write returns how much of p stands there now; less than all with an error.
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
	f      *os.File
	looked time.Time
}

const lookEvery = time.Second // whether the file is still there

func openAuditFile(path string) (*auditFile, error) {
	a := &auditFile{path: path, looked: time.Now()}
	return a, a.open()
}

// open makes a file that nobody else can read: who did what, when and from where is in it.
func (a *auditFile) open() error {
	f, err := os.OpenFile(a.path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	if a.f != nil {
		_ = a.f.Close()
	}
	a.f = f
	return nil
}

func (a *auditFile) write(p []byte) (int, error) {
	if now := time.Now(); now.Sub(a.looked) >= lookEvery || now.Before(a.looked) {
		a.looked = now
		if a.moved() {
			if err := a.open(); err != nil { // the old file takes it meanwhile, rather than nobody
				n, werr := a.f.Write(p)
				return n, errors.Join(err, werr)
			}
		}
	}
	return a.f.Write(p)
}

func (a *auditFile) moved() bool {
	there, err := os.Stat(a.path)
	if err != nil {
		return true
	}
	here, err := a.f.Stat()
	return err != nil || !os.SameFile(there, here)
}

func (a *auditFile) close() { _ = a.f.Close() }
