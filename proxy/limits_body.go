package proxy

import (
	"io"
	"net/http"
	"sync/atomic"

	"github.com/doorward/doorward/internal/pages"
)

// fits reports whether a body may come. Where its length is said, that is known before a byte of it was read, and no
// "100 Continue" invites it; else it is counted as it passes, and never kept.
func (l *limits) fits(r *http.Request) bool {
	if l.maxBody == 0 {
		return true
	}
	if r.ContentLength < 0 {
		r.Body = &measured{ReadCloser: r.Body, left: l.maxBody, refusal: l.tooLarge}
	}
	return r.ContentLength <= l.maxBody
}

// measured is a body that breaks off where it becomes too long: the upstream gets a request that never ends properly,
// and must not take it for a whole one.
type measured struct {
	io.ReadCloser
	left    int64
	refusal *pages.Error
	over    atomic.Bool // the transport may still be reading when it is asked
}

func (m *measured) Read(p []byte) (int, error) {
	if m.over.Load() {
		return 0, m.refusal
	}
	if int64(len(p))-1 > m.left {
		p = p[:m.left+1] // one more than may come, to see whether there is more
	}
	n, err := m.ReadCloser.Read(p)
	if int64(n) <= m.left {
		m.left -= int64(n)
		return n, err
	}
	n, m.left = int(m.left), 0
	m.over.Store(true)
	return n, m.refusal
}

// overflow is the refusal of a request whose body has become too long on its way, or nil.
func overflow(r *http.Request) *pages.Error {
	if m, ok := r.Body.(*measured); ok && m.over.Load() {
		return m.refusal
	}
	return nil
}
