package sequence

import (
	"bytes"
	"io"
	"net/http"
)

const maxCopy = 48 << 10 // bytes of a body that are looked at

// Place is where messages arrive.
type Place struct {
	At   Party
	From func(*http.Request) Party // who sends them; "" = whoever used the same values before
	Skip func(*http.Request) bool  // what is not recorded
}

// Record wraps the handler of a place. It changes nothing about requests and answers.
func (l *Log) Record(p Place, h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if p.Skip != nil && p.Skip(r) {
			h.ServeHTTP(w, r)
			return
		}
		// Read now: a handler may change what it was given.
		m := &Message{From: p.From(r), To: p.At, Method: cut(r.Method, maxName), Path: l.redact.path(r.URL.EscapedPath()), At: l.config.Now()}
		address := *r.URL
		seen := &http.Request{URL: &address, Header: r.Header.Clone()}
		body, answer := &reader{ReadCloser: r.Body}, &writer{ResponseWriter: w}
		if r.Body != nil && r.Body != http.NoBody {
			r = r.WithContext(r.Context()) // a shallow copy
			r.Body = body
		}
		defer func() { // also when the handler breaks the connection off
			m.Took, m.Status = l.config.Now().Sub(m.At), answer.status
			m.Request = l.redact.request(seen, body.copy.Bytes())
			m.Location, m.Answer = l.redact.answer(answer.header, answer.copy.Bytes())
			m.asClient()
			l.add(m)
		}()
		h.ServeHTTP(answer, r)
		answer.note(http.StatusOK) // which net/http will say of an answer without a word
	})
}

// asClient corrects what Basic means at a provider: there it is the client that proves itself.
func (m *Message) asClient() {
	if m.To != Provider {
		return
	}
	for i := range m.Request {
		switch p := &m.Request[i]; {
		case p.In == InHeader && p.Name == "username":
			p.Name = "client_id"
		case p.In == InHeader && p.Kind == kindPassword:
			p.Kind = kindClientSecret
		}
	}
}

// reader copies the beginning of what is read through it.
type reader struct {
	io.ReadCloser
	copy bytes.Buffer
}

func (r *reader) Read(p []byte) (int, error) {
	n, err := r.ReadCloser.Read(p)
	keep(&r.copy, p[:n])
	return n, err
}

func keep(to *bytes.Buffer, p []byte) {
	to.Write(p[:max(0, min(len(p), maxCopy-to.Len()))])
}

// writer copies the beginning of an answer whose parameters could be read.
type writer struct {
	http.ResponseWriter
	status int
	header http.Header
	copies bool
	copy   bytes.Buffer
}

func (w *writer) WriteHeader(status int) {
	w.note(status)
	w.ResponseWriter.WriteHeader(status)
}

// note takes the first final status, and the headers that go with it.
func (w *writer) note(status int) {
	if w.status != 0 || status < 200 && status != http.StatusSwitchingProtocols {
		return
	}
	w.status, w.header = status, w.Header().Clone()
	switch mediaType(w.header) {
	case "application/json", "application/problem+json", "text/html":
		w.copies = true
	}
}

func (w *writer) Write(p []byte) (int, error) {
	w.note(http.StatusOK)
	n, err := w.ResponseWriter.Write(p)
	if w.copies {
		keep(&w.copy, p[:n])
	}
	return n, err
}

// Unwrap is for [http.ResponseController]: streams flush, and WebSockets take the connection over.
func (w *writer) Unwrap() http.ResponseWriter { return w.ResponseWriter }
