package telemetry

import (
	"context"
	"strconv"
	"time"
)

// ProviderCall is one request to an identity provider.
type ProviderCall struct {
	Provider string // name of the [provider.NAME]
	Endpoint string // "token_endpoint", "discovery", "jwks" …: constants of the caller's
	Grant    string // grant_type, at the token endpoint
}

// Calling is told of a request to a provider before it is made. What it returns goes on with the request, and is told
// how that ended: by a status, or by the code of a failure.
func (s *Signals) Calling(ctx context.Context, c ProviderCall) (context.Context, func(status int, failure string)) {
	if s == nil || s.Metrics == nil && s.Tracer == nil {
		return ctx, func(int, string) {}
	}
	c.Grant = grantName(c.Grant)
	name := c.Endpoint
	if c.Grant != "" {
		name += " " + c.Grant
	}
	ctx, span := s.Tracer.child(ctx, name)
	span.text("doorward.provider", c.Provider)
	began := time.Now()
	return ctx, func(status int, failure string) {
		result := failure
		if failure == "" {
			result = strconv.Itoa(status/100) + "xx"
		}
		if m := s.Metrics; m != nil {
			m.calls.WithLabelValues(c.Provider, c.Endpoint, c.Grant, result).Inc()
			m.callTook.WithLabelValues(c.Provider, c.Endpoint, c.Grant).Observe(time.Since(began).Seconds())
		}
		switch {
		case failure != "":
			span.fail(failure)
		case status >= 400:
			span.fail(strconv.Itoa(status))
		}
		if status > 0 {
			span.number("http.response.status_code", status)
		}
		span.finish()
	}
}

// grantName is a grant type as people call it; "" of what is none, so that there are as many as there are flows.
func grantName(grantType string) string {
	switch grantType {
	case "authorization_code", "refresh_token", "password", "client_credentials":
		return grantType
	case "urn:ietf:params:oauth:grant-type:token-exchange":
		return "token_exchange"
	case "urn:ietf:params:oauth:grant-type:jwt-bearer":
		return "jwt_bearer"
	case "urn:ietf:params:oauth:grant-type:device_code":
		return "device_code"
	case "urn:openid:params:grant-type:ciba":
		return "ciba"
	}
	return ""
}

// StoreCall is told of an operation of a store before it begins, as Calling is. Both names are constants of the caller's.
func (s *Signals) StoreCall(ctx context.Context, store, operation string) (context.Context, func(error)) {
	ctx, span := s.Tracer.child(ctx, "store "+operation)
	span.text("doorward.store", store)
	began := time.Now()
	return ctx, func(err error) {
		if m := s.Metrics; m != nil {
			m.storeTook.WithLabelValues(store, operation).Observe(time.Since(began).Seconds())
			if err != nil {
				m.storeFails.WithLabelValues(store, operation).Inc()
			}
		}
		if err != nil {
			span.fail("store_unavailable")
		}
		span.finish()
	}
}
