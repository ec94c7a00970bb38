package proxy

import (
	"io"
	"net/http"
	"strconv"
)

// serveLocal answers by the route's own Answer.
func (rt *route) serveLocal(w http.ResponseWriter, req *CanonicalRequest, d Decision) error {
	if rt.response == nil {
		return rt.answer.serve(w, req, rt, d)
	}
	l := &localReply{ResponseWriter: w, route: rt, req: req}
	served := false
	defer func() {
		whole := served && l.left == 0
		if failed := l.packed.end(whole); served && (failed != nil || !whole) {
			panic(http.ErrAbortHandler) // the answer must not look whole
		}
	}()
	err := rt.answer.serve(l, req, rt, d)
	served = err == nil
	return err
}

// localReply changes an answer of the route's own like one of an upstream.
type localReply struct {
	http.ResponseWriter
	route  *route
	req    *CanonicalRequest
	begun  bool
	packed *packed // nil = it goes out as it is
	left   int64   // bytes of it, uncompressed, that are still to come; 0 where it is not packed: there net/http counts
}

// Unwrap is for http.ResponseController and telemetry.From.
func (l *localReply) Unwrap() http.ResponseWriter { return l.ResponseWriter }

func (l *localReply) WriteHeader(status int) {
	if status >= 200 && !l.begun {
		l.begun = true
		l.change(status)
	}
	l.ResponseWriter.WriteHeader(status)
}

func (l *localReply) change(status int) {
	h := l.Header()
	l.route.response.change(h)
	if !l.route.public {
		keepPrivate(h)
	}
	c := l.route.response.compressor
	if c == nil {
		return
	}
	chosen := c.choose(judged{req: l.req, status: status, header: h})
	if chosen == noCoding {
		return
	}
	if l.req.Method != http.MethodHead {
		if l.packed = c.pack(l.ResponseWriter, chosen); l.packed == nil {
			return
		}
		l.left, _ = strconv.ParseInt(h.Get("Content-Length"), 10, 64) // each local answer says it
	}
	chosen.announce(h)
}

func (l *localReply) Write(p []byte) (int, error) {
	if !l.begun {
		l.WriteHeader(http.StatusOK)
	}
	if l.packed == nil {
		return l.ResponseWriter.Write(p)
	}
	n, err := l.packed.Write(p)
	l.left -= int64(n)
	return n, err
}

// ReadFrom keeps sendfile within reach of what is not compressed.
func (l *localReply) ReadFrom(src io.Reader) (int64, error) {
	if !l.begun {
		l.WriteHeader(http.StatusOK)
	}
	if l.packed == nil {
		return io.Copy(l.ResponseWriter, src)
	}
	n, err := io.Copy(l.packed, src)
	l.left -= n
	return n, err
}
