package proxy

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strings"

	"github.com/doorward/doorward/internal/pages"
)

// modifyResponse cleans what comes back: an upstream neither sets our cookies nor lets a
// shared cache keep one person's page for the next. A 401 of its own passes as it is: it is
// the upstream's word about the token, and turning it into a login could turn for ever (PX-5).
func (v *visit) modifyResponse(res *http.Response) error {
	stripSetCookies(res.Header, v.forwarder.ownCookie)
	if !v.route.public {
		keepPrivate(res.Header)
	}
	v.keepVigil(res)
	return nil
}

// cleanTrailers does the same to what came behind the body: ReverseProxy has put it into h,
// where net/http takes it from when the handler ends. Whatever h held before is written already.
func (v *visit) cleanTrailers(h http.Header) {
	delete(h, "Set-Cookie")
	delete(h, http.TrailerPrefix+"Set-Cookie")
}

var private = []string{"private"}

// sharedCacheOnly are fields that shared caches heed before Cache-Control: RFC 9213 and its
// relatives, and nginx's own.
var sharedCacheOnly = []string{"Surrogate-Control", "Cdn-Cache-Control", "Cloudflare-Cdn-Cache-Control", "Vercel-Cdn-Cache-Control", "Edge-Control", "X-Accel-Expires"}

// keepPrivate makes an answer to somebody signed in private to their browser, whatever the
// upstream says: it doesn't know that its page now depends on who asks (P154). RFC 9111
// §3.5 protects answers to Authorization, but none to cookies. max-age, immutable and
// the rest of what browsers heed stay.
func keepPrivate(h http.Header) {
	for _, name := range sharedCacheOnly {
		delete(h, name)
	}
	lines := h["Cache-Control"]
	if len(lines) == 0 {
		h["Cache-Control"] = private
		return
	}
	var kept []string
	for _, line := range lines {
		for directive := range strings.SplitSeq(line, ",") {
			directive = strings.TrimSpace(directive)
			name, _, _ := strings.Cut(strings.ToLower(directive), "=")
			switch name {
			case "no-store":
				return // stricter than anything said here
			case "private":
				if name == strings.ToLower(directive) { // private="Set-Cookie" covers that field only
					return
				}
			case "public", "s-maxage", "proxy-revalidate", "":
			default:
				kept = append(kept, directive)
			}
		}
	}
	h["Cache-Control"] = []string{strings.Join(append([]string{"private"}, kept...), ", ")}
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
		v.answer(w, &pages.Error{Code: codeBadRequest, Detail: "The body of the request could not be read.", Err: err}) // P052: the client's fault, not the upstream's
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		v.answer(w, &pages.Error{Code: codeUpstreamTimeout, Err: err})
	default:
		v.answer(w, &pages.Error{Code: codeUpstreamUnreachable, Err: err})
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
			r.ResponseWriter.WriteHeader(status)
		}
		return
	}
	if r.emptied && r.cookies != nil {
		h["Set-Cookie"] = append(r.cookies[:len(r.cookies):len(r.cookies)], h["Set-Cookie"]...)
	}
	if r.visit.early() {
		h["Connection"] = []string{"close"}
	}
	r.ResponseWriter.WriteHeader(status)
}
