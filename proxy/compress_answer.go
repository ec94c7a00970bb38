package proxy

import "net/http"

// compress is the last thing that happens to an upstream's answer. shared is whether the upstream called it public.
func (v *visit) compress(res *http.Response, shared bool) {
	r := v.route.response
	if r == nil || r.compressor == nil {
		return
	}
	chosen := r.compressor.choose(judged{
		req: v.req, status: res.StatusCode, header: res.Header, cookies: len(v.reply.Header()["Set-Cookie"]) > 0, trailers: len(res.Trailer) > 0,
		personal: v.personal(res.Request), ambient: v.claim.ambient(), shared: shared,
	})
	switch {
	case chosen == noCoding:
		return
	case v.req.Method == http.MethodHead: // the header is that of a GET
		chosen.announce(res.Header)
		return
	}
	to := r.compressor.pack(v.reply.ResponseWriter, chosen)
	if to == nil {
		return
	}
	chosen.announce(res.Header)
	v.reply.ResponseWriter = to
	res.Body = &packing{ReadCloser: res.Body, to: to}
	res.ContentLength = 0              // it is not known, but to ReverseProxy that would mean to flush after each read,
	v.proxy.FlushInterval = flushAfter // which makes the answer longer; so it waits a moment whether more comes
}

// personal reports whether an answer may hold what only this caller may read: the route asks who that is, or the
// application does by what goes upstream.
func (v *visit) personal(out *http.Request) bool {
	if !v.route.public || out == nil {
		return true
	}
	return len(out.Header["Cookie"]) > 0 || len(out.Header[headerAuthorization]) > 0 && v.pass == nil
}
