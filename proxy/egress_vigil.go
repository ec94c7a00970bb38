package proxy

import (
	"context"
	"log/slog"
	"net/http"
)

// keepVigil ends an answer that lasts with the token of the application's own caller: what was obtained for them goes on no
// longer than they may.
func (v *trip) keepVigil(res *http.Response) {
	if v.who == nil || !mayLast(res) {
		return
	}
	watch(res, func() (bool, error) { return v.target.bearer.Alive(v.call.in.Context(), v.who) }, func() {
		v.egress.log.LogAttrs(context.Background(), slog.LevelInfo, "stream ended with the token of its caller",
			slog.String("reference", v.call.record.Reference), slog.String("route", v.target.label))
	})
}
