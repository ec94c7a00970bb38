package proxy

import (
	"cmp"
	"fmt"
	"mime"
	"net/http"
	"strconv"
)

// Respond is an answer that is always the same.
type Respond struct {
	Status      int    // 200 … 299, 400 … 599; 0 = 200. Below 300 other methods than GET and HEAD are 405 unless Route.Methods lists them
	Body        string // up to 1 MiB
	ContentType string // "" = text/plain; charset=utf-8
}

const maxRespond = 1 << 20

// responder is a Respond, made ready. Its slices are shared by all answers and never written to.
type responder struct {
	status      int
	body        []byte
	contentType []string // nil = there is no body
	length      []string
}

func newResponder(c Respond) (*responder, error) {
	r := &responder{status: cmp.Or(c.Status, http.StatusOK), body: []byte(c.Body)}
	bodiless := r.status == http.StatusNoContent || r.status == http.StatusResetContent // RFC 9110 §15.3.5, §15.3.6
	switch {
	case r.status >= 300 && r.status < 400:
		return nil, fmt.Errorf("respond.status: %d leads elsewhere; redirect says where", r.status)
	case r.status < 200 || r.status > 599:
		return nil, fmt.Errorf("respond.status: %d is not the status of an answer, 200 to 299 or 400 to 599", r.status)
	case bodiless && c.Body != "":
		return nil, fmt.Errorf("respond.body: an answer with status %d has none (RFC 9110 §15.3)", r.status)
	case len(c.Body) > maxRespond:
		return nil, fmt.Errorf("respond.body: it is larger than 1 MiB; files serves what is that large")
	}
	if bodiless {
		return r, nil
	}
	contentType := cmp.Or(c.ContentType, "text/plain; charset=utf-8")
	if _, _, err := mime.ParseMediaType(contentType); err != nil || !printableASCII(contentType) {
		return nil, fmt.Errorf("respond.content_type: %q is no media type, such as \"text/html; charset=utf-8\"", contentType)
	}
	r.contentType, r.length = []string{contentType}, []string{strconv.Itoa(len(c.Body))}
	return r, nil
}

func printableASCII(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] >= 0x7f {
			return false
		}
	}
	return true
}

func (r *responder) String() string {
	if r.contentType == nil {
		return strconv.Itoa(r.status)
	}
	return fmt.Sprintf("%d, %d bytes of %s", r.status, len(r.body), r.contentType[0])
}

// serve answers GET and HEAD, and what methods lists: a 200 to a PUT would say that something was stored. An error is one
// for every method.
func (r *responder) serve(w http.ResponseWriter, req *CanonicalRequest, rt *route) error {
	if r.status < 300 && rt.listed == nil && req.Method != http.MethodGet && req.Method != http.MethodHead {
		return methodNotAllowed(w, "GET, HEAD")
	}
	h := w.Header()
	if r.contentType != nil {
		h["Content-Type"], h["Content-Length"] = r.contentType, r.length
	}
	rt.dress(h)
	w.WriteHeader(r.status)
	_, _ = w.Write(r.body) // an error is the client's, who has left; for HEAD net/http drops it
	return nil
}
