package provider

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"github.com/doorward/doorward/internal/telemetry"
)

// witness is who is told of requests to the provider.
type witness struct {
	signals  *telemetry.Signals
	provider string
}

// calling is told of a request to one of the provider's endpoints. What it returns passes on how that ended.
func (t witness) calling(ctx context.Context, endpoint, grantType string) (context.Context, func(*answer, error) (*answer, error)) {
	if t.signals == nil {
		return ctx, func(a *answer, err error) (*answer, error) { return a, err }
	}
	ctx, done := t.signals.Calling(ctx, telemetry.ProviderCall{Provider: t.provider, Endpoint: endpoint, Grant: grantType})
	return ctx, func(a *answer, err error) (*answer, error) {
		status, failure := 0, ""
		if a != nil {
			status = a.status
		}
		if e, ok := err.(*Error); ok { //nolint:errorlint // it is do's own
			failure = e.Code
		}
		done(status, failure)
		return a, err
	}
}

// getFrom is get from an endpoint that metrics and traces call by its name, a constant.
func (b *backchannel) getFrom(ctx context.Context, endpoint, target string, header http.Header) (*answer, error) {
	ctx, done := b.saw.calling(ctx, endpoint, "")
	return done(b.do(ctx, http.MethodGet, target, header, "", callTimeout))
}

// postTo is post to such an endpoint.
func (b *backchannel) postTo(ctx context.Context, endpoint, target string, header http.Header, form url.Values, timeout time.Duration) (*answer, error) {
	header = header.Clone()
	header.Set("Content-Type", "application/x-www-form-urlencoded")
	ctx, done := b.saw.calling(ctx, endpoint, form.Get("grant_type"))
	return done(b.do(ctx, http.MethodPost, target, header, form.Encode(), timeout))
}

// delete asks such an endpoint to forget something.
func (b *backchannel) delete(ctx context.Context, endpoint, target string, header http.Header, body string) (*answer, error) {
	ctx, done := b.saw.calling(ctx, endpoint, "")
	return done(b.do(ctx, http.MethodDelete, target, header, body, callTimeout))
}
