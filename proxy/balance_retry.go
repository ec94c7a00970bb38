package proxy

import (
	"context"
	"errors"
	"net"
	"net/http"
)

// attempts is a request to one of several upstreams. It tells the balancer what came of it, and sends it to another one
// where the first has failed and nothing can happen twice.
type attempts struct {
	visit   *visit
	balance *balancer
	way     http.RoundTripper
	member  *member
	first   *member // whose address the request has that ReverseProxy made
	named   *member // by the browser's cookie
	despair bool    // the first one was not usable, as none was
	tried   members
	left    int
	safe    bool // the request may arrive twice
}

// begin chooses the upstream of a visit.
func (b *balancer) begin(v *visit, way http.RoundTripper, once bool) *attempts {
	a := &attempts{visit: v, balance: b, way: way}
	if b.sticky != nil {
		a.named = b.sticky.named(v.req)
	}
	a.first = a.named
	if a.first == nil || !b.isUsable(a.first) && b.usable() != 0 { // where all are out, what the application knows of a browser still counts
		a.first = b.pick(0)
	}
	a.despair = !b.isUsable(a.first)
	a.enter(a.first)
	if b.retries == 0 {
		return a
	}
	b.budget.request(v.started())
	if !once {
		a.left, a.safe = b.retries, v.safe()
	}
	return a
}

// enter takes a place at an upstream; leave gives it back.
func (a *attempts) enter(m *member) {
	a.member = m
	a.tried |= m.bit
	m.busy.Add(1)
	a.visit.upstream = m.upstream
}

func (a *attempts) leave() {
	if a != nil {
		a.member.busy.Add(-1)
	}
}

// safe reports whether a request may be sent again after it has arrived (RFC 9110 §9.2.1): it changes nothing, has no body,
// which would have been read by then, and opens no connection of its own.
func (v *visit) safe() bool {
	r, method := v.req.in, v.req.Method
	return r.ContentLength == 0 && r.Header["Upgrade"] == nil && (method == "GET" || method == "HEAD" || method == "OPTIONS")
}

// RoundTrip may be called twice for one visit, by secondTry: with another credential, and still with the first address.
func (a *attempts) RoundTrip(out *http.Request) (*http.Response, error) {
	if a.member != a.first {
		out = a.readdressed(out)
	}
	for {
		res, err := a.way.RoundTrip(out)
		failed := a.judge(out.Context(), res, err)
		if !failed || !a.moves(out, err) {
			return res, err
		}
		if res != nil {
			_ = res.Body.Close()
		}
		out = a.readdressed(out)
	}
}

// judge tells the balancer what came of an attempt. What the client has broken off, or sent half of, says nothing about
// the upstream.
func (a *attempts) judge(ctx context.Context, res *http.Response, err error) (failed bool) {
	switch {
	case err == nil && !unavailable(res):
		a.balance.worked(a.member)
		if a.despair && a.member == a.first {
			a.balance.readmit(a.member)
		}
		return false
	case err == nil:
		a.balance.failed(a.member, "it answered "+res.Status)
		return true
	case ctx.Err() != nil, a.visit.body != nil && a.visit.body.broken.Load():
		return false
	}
	a.balance.failed(a.member, printable(err, errAnswer).Error())
	return true
}

// moves goes on to another upstream, if there is one and the request may be sent again.
func (a *attempts) moves(out *http.Request, err error) bool {
	if a.left == 0 || a.visit.reply.emptied || !a.mayRepeat(err) {
		return false
	}
	b, next := a.balance, (*member)(nil)
	if len(b.members) > 1 {
		next = b.pick(a.tried)
	} else if err != nil {
		next = a.member // a connection that failed may have been the last of a process that was replaced
	}
	if next == nil || !b.budget.spend(b.now()) {
		return false
	}
	a.left--
	a.leave()
	a.enter(next)
	a.visit.req.record.Upstream = next.upstream.display
	return true
}

// mayRepeat reports whether nothing can happen twice, given how the attempt ended (err nil: with an answer). Where there was
// no connection, that is true of any request: gRPC has nothing but POST. A time-out of an upstream is no reason to ask again:
// somebody may be at work on it.
func (a *attempts) mayRepeat(err error) bool {
	switch {
	case err == nil:
		return a.safe
	case neverConnected(err):
		return a.visit.body == nil || !a.visit.body.touched.Load()
	}
	return a.safe && neverArrived(err)
}

// neverConnected reports whether not a byte of the request was written.
func neverConnected(err error) bool {
	var operation *net.OpError
	return neverArrived(err) && errors.As(err, &operation) && operation.Op == "dial"
}

// readdressed is the request for the upstream of now. The transport may still hold the old one, so nothing of that changes.
func (a *attempts) readdressed(last *http.Request) *http.Request {
	out, u := again(last, nil), *last.URL
	out.URL = &u
	a.visit.rewriteURL(out)
	if b := a.visit.body; b != nil && out.Body != nil {
		a.visit.body = b.anew()
		out.Body = a.visit.body
	}
	return out
}
