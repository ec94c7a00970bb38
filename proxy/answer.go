package proxy

import (
	"context"
	"errors"
	"net"
	"net/http"

	"github.com/doorward/doorward/internal/pages"
)

// modifyResponse cleans what comes back: an upstream neither sets our cookies nor lets a
// shared cache keep one person's page for the next. A 401 of its own passes as it is: it is
// the upstream's word about the token, and turning it into a login could turn for ever (PX-5).
func (v *visit) modifyResponse(res *http.Response) error {
	if res.StatusCode < 100 {
		return errStatus // net/http panics over it
	}
	delete(res.Header, "Doorward-Reference") // leads to a line of our log
	keepCookies(res.Header)
	stripSetCookies(res.Header, v.forwarder.ownCookie)
	if !v.route.public {
		keepPrivate(res.Header)
	}
	v.scrub(res.Header)
	v.keepVigil(res)
	return nil
}

// cleanTrailers does the same to what came behind the body: ReverseProxy has put it into h,
// where net/http takes it from when the handler ends. Whatever h held before is written already.
func (v *visit) cleanTrailers(h http.Header) {
	for _, name := range []string{"Set-Cookie", "Clear-Site-Data", "Doorward-Reference"} {
		delete(h, name)
		delete(h, http.TrailerPrefix+name)
	}
	v.scrub(h)
}

// scrub takes out what came from a Source, also what the upstream has refused of it.
func (v *visit) scrub(h http.Header) {
	scrub(h, v.pass)
	scrub(h, v.refused)
}

// statusClientClosed is what the log says of a request whose client left; nobody reads it
// on the wire.
const statusClientClosed = 499

// fail answers when no answer came from the upstream. Nothing of why reaches the caller
// (P193); the operator finds it in the log under the same reference.
func (v *visit) fail(w http.ResponseWriter, r *http.Request, err error) {
	var timeout net.Error
	switch {
	case errors.Is(v.req.in.Context().Err(), context.Canceled):
		v.req.record.Code = "client_closed"
		w.WriteHeader(statusClientClosed)
	case v.body != nil && v.body.broken.Load():
		v.answer(w, &pages.Error{Code: codeBadRequest, Detail: "The body of the request could not be read.", Err: printable(err, errRequestBody)}) // P052: the client's fault, not the upstream's
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		v.answer(w, &pages.Error{Code: codeUpstreamTimeout, Err: printable(err, errTimeout)})
	default:
		v.answer(w, &pages.Error{Code: codeUpstreamUnreachable, Err: printable(err, errAnswer)})
	}
}

func (v *visit) answer(w http.ResponseWriter, err *pages.Error) {
	v.forwarder.pages.Error(w, v.req.in, err)
}

// reply is the caller's ResponseWriter as ReverseProxy sees it. Informational answers
// (1xx) pass by modifyResponse, and ReverseProxy then empties the header map: reply lets
// only early hints through, and keeps the cookies that a refreshed session has set.
type reply struct {
	http.ResponseWriter
	visit   *visit
	cookies []string // our own Set-Cookie, set before forwarding
	emptied bool
}

// Unwrap is for http.ResponseController and telemetry.From.
func (r *reply) Unwrap() http.ResponseWriter { return r.ResponseWriter }

func (r *reply) WriteHeader(status int) {
	h := r.Header()
	if status >= 100 && status < 200 && status != http.StatusSwitchingProtocols {
		r.emptied = true
		link := h["Link"]
		clear(h)
		if status == http.StatusEarlyHints && link != nil {
			h["Link"] = link
			r.visit.scrub(h)
			r.ResponseWriter.WriteHeader(status)
		}
		return
	}
	if r.emptied && r.cookies != nil {
		h["Set-Cookie"] = append(r.cookies[:len(r.cookies):len(r.cookies)], h["Set-Cookie"]...)
	}
	if r.visit.body.early(r.visit.req.in) {
		h["Connection"] = []string{"close"}
	}
	if _, said := h["Content-Type"]; !said {
		h["Content-Type"] = nil // or net/http guesses, and makes text/html of what an upstream left untyped
	}
	r.ResponseWriter.WriteHeader(status)
}
