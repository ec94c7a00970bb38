package proxy

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"

	"github.com/doorward/doorward/internal/pages"
)

// modifyResponse cleans what comes back.
func (v *trip) modifyResponse(res *http.Response) error {
	if res.StatusCode < 100 {
		return errStatus // net/http panics over it
	}
	v.call.record.Answered(res.StatusCode)
	delete(res.Header, "Doorward-Reference") // leads to a line of our log
	if v.who != nil {
		keepPrivate(res.Header) // it was made for one caller, and the next may be another (P154)
	}
	v.scrub(res.Header)
	v.translateLocation(res.Header)
	v.keepCookiesApart(res.Header)
	v.keepVigil(res)
	return nil
}

// scrub takes out of the headers of an answer what the application is not to have (P153), also what was sent first and refused.
func (v *trip) scrub(h http.Header) {
	scrub(h, v.pass)
	scrub(h, v.old)
}

// cleanTrailers does what modifyResponse does to what came behind the body.
func (v *trip) cleanTrailers(h http.Header) {
	for _, name := range []string{"Set-Cookie", "Location", "Doorward-Reference"} {
		delete(h, name)
		delete(h, http.TrailerPrefix+name)
	}
	v.scrub(h)
}

// fail answers when no answer came from the upstream. The caller is an application of the operator's own: what there is
// to do is said, and why stands in the log.
func (v *trip) fail(w http.ResponseWriter, _ *http.Request, err error) {
	var timeout net.Error
	var token *noToken
	switch {
	case errors.Is(v.call.in.Context().Err(), context.Canceled):
		v.call.record.Code = "client_closed"
		w.WriteHeader(statusClientClosed)
	case errors.As(err, &token):
		v.answer(w, v.call.told(w, token.err, noCredential(token.err)))
	case v.body != nil && v.body.broken.Load():
		v.answer(w, &pages.Error{Code: codeBadRequest, Detail: "The body of the request could not be read.", Err: printable(err, errRequestBody)})
	case errors.Is(err, errRefusedAddress):
		v.answer(w, v.unreachable("The name of the upstream of egress."+v.target.name+" leads to an address that no name may lead to; if that is meant, write the address as upstream.", printable(err, errAnswer)))
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		v.answer(w, &pages.Error{Code: codeUpstreamTimeout, Err: printable(err, errTimeout)})
	default:
		v.answer(w, v.unreachable(v.advice(err), printable(err, errAnswer)))
	}
}

// advice says what the operator can do about a certificate that is not trusted.
func (v *trip) advice(err error) string {
	var authority x509.UnknownAuthorityError
	var name x509.HostnameError
	var invalid x509.CertificateInvalidError
	var other *tls.CertificateVerificationError
	var record tls.RecordHeaderError
	at, key := v.upstream.display, "egress."+v.target.name
	switch {
	case errors.As(err, &authority):
		return "The certificate of " + at + " is of an authority that is not trusted here. If it is your own, name its file in " + key + ".ca_file."
	case errors.As(err, &name):
		return "The certificate of " + at + " is not for that name. Write in " + key + ".upstream the name that it is for."
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "The certificate of " + at + " has expired, or is not valid yet. It must be renewed there, or the clock of this machine is wrong."
	case errors.As(err, &other), errors.As(err, &invalid):
		return "The certificate of " + at + " cannot be trusted. It must be replaced there."
	case errors.As(err, &record):
		return "No TLS is spoken at " + at + ". If that is meant, write http:// in " + key + ".upstream."
	}
	return ""
}

// egressReply is the application's ResponseWriter as ReverseProxy sees it. Of informational answers, which pass by
// modifyResponse, only early hints go through.
type egressReply struct {
	http.ResponseWriter
	trip *trip
}

// Unwrap is for http.ResponseController and telemetry.From.
func (r *egressReply) Unwrap() http.ResponseWriter { return r.ResponseWriter }

func (r *egressReply) WriteHeader(status int) {
	h := r.Header()
	if status >= 100 && status < 200 && status != http.StatusSwitchingProtocols {
		link := h["Link"]
		clear(h)
		if status == http.StatusEarlyHints && link != nil {
			h["Link"] = link
			r.trip.scrub(h)
			r.ResponseWriter.WriteHeader(status)
		}
		return
	}
	if r.trip.body.early(r.trip.call.in) {
		h["Connection"] = []string{"close"}
	}
	if _, said := h["Content-Type"]; !said {
		h["Content-Type"] = nil // or net/http guesses
	}
	r.ResponseWriter.WriteHeader(status)
}
