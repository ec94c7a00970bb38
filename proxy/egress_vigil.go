package proxy

import (
	"context"
	"log/slog"
	"net/http"
	"slices"
)

// What ends a stream to a target, for the log.
const (
	whyToken  = "the token of its caller"
	whyTarget = "its target"
)

// keepVigil ends an answer that lasts with the token of the application's own caller: what was obtained for them goes on no
// longer than they may. It ends with its target, too, once a reload takes that away.
func (v *trip) keepVigil(res *http.Response) {
	if v.who == nil && v.egress.current == nil || !mayLast(res) {
		return
	}
	watch(res, vigilEvery, v.ended, func(why string) {
		v.egress.log.LogAttrs(context.Background(), slog.LevelInfo, "stream ended with "+why,
			slog.String("reference", v.call.record.Reference), slog.String("route", v.target.label))
	})
}

// ended says what has ended the answer; "" = nothing.
func (v *trip) ended() (why string, err error) {
	t := v.egress.now(v.target)
	switch {
	case t == nil || !t.methods[v.call.in.Method] || !t.leadsTo(v.upstream):
		return whyTarget, nil
	case t.bearer == nil:
		return "", nil
	case v.who == nil: // callers are asked for a token by now
		return whyToken, nil
	}
	alive, err := t.bearer.Alive(v.call.in.Context(), v.who)
	if alive || err != nil {
		return "", err
	}
	return whyToken, nil
}

// now is a target in the configuration of now, nil if there is none of its name any more.
func (e *Egress) now(t *egressTarget) *egressTarget {
	if e.current == nil {
		return t
	}
	now := e.current()
	if now == nil {
		return nil
	}
	if i := slices.IndexFunc(now.targets, func(o *egressTarget) bool { return o.label == t.label }); i >= 0 {
		return now.targets[i]
	}
	return nil
}

// leadsTo reports whether requests may go to an upstream.
func (t *egressTarget) leadsTo(up *upstream) bool {
	return slices.ContainsFunc(t.upstreams, func(u upstream) bool { return u.display == up.display })
}
