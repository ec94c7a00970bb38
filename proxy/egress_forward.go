package proxy

import (
	"context"
	"net/http"
	"net/http/httputil"
	"strings"

	"github.com/doorward/doorward/internal/identity"
	"github.com/doorward/doorward/internal/pages"
)

// trip is one request on its way to the upstream of a target, and back.
type trip struct {
	egress   *Egress
	call     *call
	target   *egressTarget
	upstream *upstream
	who      *identity.Identity
	pass     *identity.Credential // nil = none
	old      *identity.Credential // that the upstream did not take
	body     *body
	cancel   context.CancelCauseFunc // set by RoundTrip
	proxy    httputil.ReverseProxy
	reply    egressReply
}

// forward sends a request to the upstream of its target. The token in pass is bound to that upstream's scheme, host and
// port, which are the configuration's: no part of the request decides where it goes (S15).
func (e *Egress) forward(w http.ResponseWriter, c *call, who *identity.Identity, pass *identity.Credential) error {
	v := &trip{egress: e, call: c, target: c.target, upstream: c.upstream, who: who, pass: pass}
	if v.upstream == nil {
		v.upstream = c.target.next()
	}
	cleanOutbound(c.in, c.target, pass)
	v.reply = egressReply{ResponseWriter: w, trip: v}
	v.proxy = httputil.ReverseProxy{
		Rewrite:        v.rewrite,
		ModifyResponse: v.modifyResponse,
		ErrorHandler:   v.fail,
		Transport:      v, // tries again where that is safe
		BufferPool:     e.buffers,
		ErrorLog:       e.errorLog,
	}
	c.record.Upstream = v.upstream.display
	admitBody(w, c.in)
	defer v.end()
	v.proxy.ServeHTTP(&v.reply, c.in)
	v.cleanTrailers(w.Header())
	return nil
}

// end frees what RoundTrip holds for the time of the answer.
func (v *trip) end() {
	if v.cancel != nil {
		v.cancel(nil)
	}
}

// rewrite makes the outgoing request. ReverseProxy has removed hop-by-hop headers by now, so no "Connection:
// Authorization" can take away what is set here; and the forwarding headers, which nobody adds: an upstream of somebody
// else has no business with our addresses.
func (v *trip) rewrite(pr *httputil.ProxyRequest) {
	v.rewriteURL(pr.Out)
	if pr.Out.Body != nil {
		v.body = &body{ReadCloser: pr.Out.Body}
		pr.Out.Body = v.body
	}
	pr.Out.Trailer = nil
	if v.pass != nil {
		carry(pr.Out.Header, v.pass)
	}
	v.call.record.Forwarding(pr.Out.Header)
}

// rewriteURL builds the URL anew: of what the application wrote only the path and the query are left, and both were judged.
func (v *trip) rewriteURL(out *http.Request) {
	c, u := v.call, out.URL
	u.Scheme, u.Host = v.upstream.scheme, v.upstream.host
	u.RawPath, u.Path = c.encoded, c.decoded
	if v.upstream.base != "" && !c.whole {
		u.RawPath, u.Path = v.upstream.base+c.encoded, v.upstream.decodedBase+c.decoded
	}
	u.RawQuery, u.ForceQuery = c.query, c.hasQuery
	u.Opaque, u.User, u.Fragment, u.RawFragment = "", nil, "", ""
	out.Host = authorityOf(v.upstream)
}

// cleanOutbound takes away what an application may not say. Its own Authorization never leaves: it was for us, or for
// nobody (P152). Everything else is between it and its upstream, but for what belongs to one connection, and for what
// could mean the credential or the request anew to the upstream.
func cleanOutbound(r *http.Request, t *egressTarget, pass *identity.Credential) {
	h := r.Header
	for _, name := range [...]string{headerAuthorization, headerDPoP, "Proxy-Authorization", "Expect", "Te", "Trailer", "Http2-Settings", "Proxy", "X-Original-Url", "X-Rewrite-Url"} {
		delete(h, name)
	}
	if h["Upgrade"] != nil && !upgradesToWebSocket(r) {
		delete(h, "Upgrade")
	}
	if t.listed != nil { // or a listed method could mean another
		for _, name := range [...]string{"X-Http-Method-Override", "X-Http-Method", "X-Method-Override"} {
			delete(h, name)
		}
	}
	for name := range h {
		if !canonicalName(name) && meansCredential(name, pass) {
			delete(h, name)
		}
	}
}

// meansCredential reports whether a name outside the alphabet of S4 is read as the credential's by servers that make
// variables of names: "X_Api_Key" is X-Api-Key to them (P023).
func meansCredential(name string, pass *identity.Credential) bool {
	read := strings.Map(func(c rune) rune {
		if c >= 0x80 || !isAlphanumeric(byte(c)) {
			return '-'
		}
		return c
	}, name)
	for _, as := range [...]string{headerAuthorization, headerDPoP, "Proxy-Authorization"} {
		if strings.EqualFold(read, as) {
			return true
		}
	}
	return pass != nil && strings.EqualFold(read, pass.Header)
}

func isAlphanumeric(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}

// answer writes an error of ours in the place of an upstream's answer.
func (v *trip) answer(w http.ResponseWriter, err error) {
	v.egress.pages.Error(w, v.call.in, err)
}

// unreachable is the answer where none came, with what there is to do.
func (v *trip) unreachable(detail string, err error) *pages.Error {
	return &pages.Error{Code: codeUpstreamUnreachable, Detail: detail, Err: err}
}
