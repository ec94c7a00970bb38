package edge

import "net/http"

// closeOldConnections ends every HTTP/1.0 connection after one answer. net/http ignores
// Transfer-Encoding in HTTP/1.0, as RFC 9112 §6.1 lets it; a proxy in front that doesn't would
// take for the body what is the next request here (P051). The RFC's remedy is to close.
func closeOldConnections(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor == 1 && r.ProtoMinor == 0 {
			w = &lastAnswer{w}
			w.Header().Set("Connection", "close") // for a handler that writes nothing
		}
		next.ServeHTTP(w, r)
	})
}

// lastAnswer says so whatever the handlers made of the header in between.
type lastAnswer struct{ http.ResponseWriter }

// Unwrap is for http.ResponseController.
func (l *lastAnswer) Unwrap() http.ResponseWriter { return l.ResponseWriter }

func (l *lastAnswer) WriteHeader(status int) {
	l.Header().Set("Connection", "close")
	l.ResponseWriter.WriteHeader(status)
}

func (l *lastAnswer) Write(p []byte) (int, error) {
	l.Header().Set("Connection", "close") // too late but for the first, which writes the header
	return l.ResponseWriter.Write(p)
}

// FlushError is what http.ResponseController calls.
func (l *lastAnswer) FlushError() error {
	l.Header().Set("Connection", "close") // likewise
	return http.NewResponseController(l.ResponseWriter).Flush()
}
