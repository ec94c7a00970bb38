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
	if res.StatusCode < 100 {
		return errStatus // net/http panics over it
	}
	v.reply.res = res
	shared := v.route.response.compresses() && saysDirective(res.Header["Cache-Control"], "public") // before that is taken out
	if res.StatusCode != http.StatusSwitchingProtocols {
		v.route.response.change(res.Header)
	}
	v.req.record.Answered(res.StatusCode)
	delete(res.Header, "Doorward-Reference") // leads to a line of our log
	v.translateLocation(res.Header)
	keepCookies(res.Header)
	stripSetCookies(res.Header, v.forwarder.ownCookie)
	v.stick(res.Header)
	v.feelPulse(res)
	if !v.route.public {
		keepPrivate(res.Header)
	}
	v.scrub(res.Header)
	v.route.cors.replace(res.Header, v.req, v.reply.Header(), v.reply.own)
	v.keepVigil(res)
	v.compress(res, shared)
	return nil
}

// cleanTrailers does the same to what came behind the body: ReverseProxy has put it into h,
// where net/http takes it from when the handler ends. Whatever h held before is written already.
func (v *visit) cleanTrailers(h http.Header) {
	if v.reply.res == nil || len(v.reply.res.Trailer) == 0 {
		return // nothing came behind it
	}
	for name := range h {
		if neverBehind(name) {
			delete(h, name)
		}
	}
	v.route.response.withhold(h)
	v.scrub(h)
}

// notBehind are fields that change what an answer is, who may keep it, or what a browser does next. They count in a header;
// behind a body there is nobody who would judge them, and some clients take both for the same (RFC 9110 §6.5.1).
var notBehind = set([]string{
	"Set-Cookie", "Clear-Site-Data", "Doorward-Reference", "Www-Authenticate", "Authorization", "Authentication-Info", "Proxy-Authenticate", "Proxy-Authorization",
	"Location", "Refresh", "Retry-After", "Link", "Content-Type", "Content-Encoding", "Content-Length", "Content-Range", "Content-Disposition", "Content-Location",
	"Cache-Control", "Expires", "Pragma", "Age", "Vary", "Etag", "Last-Modified", "Surrogate-Control", "Cdn-Cache-Control", "Cloudflare-Cdn-Cache-Control",
	"Vercel-Cdn-Cache-Control", "Edge-Control", "X-Accel-Expires", "X-Accel-Redirect", "Alt-Svc", "Strict-Transport-Security", "Content-Security-Policy",
	"Content-Security-Policy-Report-Only", "X-Frame-Options", "X-Content-Type-Options", "Referrer-Policy", "Permissions-Policy", "Service-Worker-Allowed",
	"Connection", "Keep-Alive", "Transfer-Encoding", "Trailer", "Upgrade", "Host", "Te",
})

func neverBehind(name string) bool {
	name = strings.TrimPrefix(name, http.TrailerPrefix)
	return notBehind[http.CanonicalHeaderKey(name)] || len(name) > 15 && strings.EqualFold(name[:15], "Access-Control-") ||
		len(name) > 13 && strings.EqualFold(name[:13], "Cross-Origin-")
}

// scrub takes out what came from a Source, also what the upstream has refused of it.
func (v *visit) scrub(h http.Header) {
	scrub(h, v.pass)
	scrub(h, v.refused)
	scrub(h, v.assertion)
}

// statusClientClosed is what the log says of a request whose client left; nobody reads it
// on the wire.
const statusClientClosed = 499

// fail answers when no answer came from the upstream. Nothing of why reaches the caller
// (P193); the operator finds it in the log under the same reference.
func (v *visit) fail(w http.ResponseWriter, r *http.Request, err error) {
	var timeout net.Error
	over := overflow(v.req.in)
	switch {
	case over != nil:
		v.answer(w, over)
	case v.clientLeft():
		v.req.record.Code = "client_closed"
		w.WriteHeader(statusClientClosed)
	case v.ranOut(r):
		v.answer(w, &pages.Error{Code: codeUpstreamTimeout, Err: context.Cause(r.Context())})
	case v.body != nil && v.body.broken.Load():
		v.answer(w, &pages.Error{Code: codeBadRequest, Detail: "The body of the request could not be read.", Err: printable(err, errRequestBody)}) // P052: the client's fault, not the upstream's
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout(), v.pastDeadline():
		v.answer(w, &pages.Error{Code: codeUpstreamTimeout, Err: printable(err, errTimeout)})
	default:
		v.answer(w, &pages.Error{Code: codeUpstreamUnreachable, Err: printable(err, errAnswer)})
	}
}

// clientLeft reports whether the client has gone.
func (v *visit) clientLeft() bool {
	return errors.Is(v.req.in.Context().Err(), context.Canceled) && (v.body == nil || !v.body.cut.Load())
}

func (v *visit) answer(w http.ResponseWriter, err *pages.Error) {
	v.forwarder.pages.Error(w, v.req.in, err)
}

// reply is the caller's ResponseWriter as ReverseProxy sees it. Informational answers
// (1xx) pass by modifyResponse, and ReverseProxy then empties the header map: reply lets
// only early hints through, and keeps what was said before forwarding: the cookies of a refreshed session, CORS.
type reply struct {
	http.ResponseWriter
	visit   *visit
	own     http.Header    // said before forwarding; nil = nothing
	res     *http.Response // the upstream's; nil = it has not answered
	emptied bool
}

// said is a copy of what stands in a header before ReverseProxy adds to it.
func said(h http.Header) http.Header {
	if len(h) == 0 {
		return nil
	}
	return h.Clone()
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
			if r.visit.route.response.withhold(h); h["Link"] != nil {
				r.ResponseWriter.WriteHeader(status)
			}
		}
		return
	}
	if r.emptied {
		for name, values := range r.own {
			h[name] = append(values, h[name]...)
		}
		r.own = nil
	}
	if r.visit.body.early(r.visit.req.in) {
		h["Connection"] = []string{"close"}
	}
	if _, said := h["Content-Type"]; !said {
		h["Content-Type"] = nil // or net/http guesses, and makes text/html of what an upstream left untyped
	}
	r.ResponseWriter.WriteHeader(status)
}
