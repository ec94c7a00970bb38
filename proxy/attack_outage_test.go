package proxy

import (
	"context"
	"errors"
	"net/http"
	"testing"

	"github.com/doorward/doorward/internal/identity"
	"github.com/doorward/doorward/internal/pages"
)

// Group T: what cannot be known is never a yes, and never "not signed in" either.

func TestP208WhenSessionsCannotBeAsked(t *testing.T) {
	l := newLab(t, nil)
	for name, lines := range map[string][]string{"a program": nil, "a browser": navigation, "a fetch": {"Sec-Fetch-Mode: cors"}} {
		t.Run(name, func(t *testing.T) {
			for _, target := range []string{"/x", "/admin/x", "/session/x", "/fragment/x"} {
				l.both(t, "GET", target, append([]string{as("broken")}, lines...), func(l *lab, a answer) {
					l.refused(a, 503)
					if a.Header.Get("Retry-After") != "5" || a.Header["Set-Cookie"] != nil || a.Header["Location"] != nil {
						l.Errorf("answer %v", a.Header)
					}
				})
			}
		})
	}
	t.Run("a WebSocket", func(t *testing.T) {
		l := l.on(t)
		l.refused(l.raw(socketRequest("/x", as("broken"), "Origin: https://app.test")), 503)
	})
	l.both(t, "GET", "/public/x", []string{as("broken")}, func(l *lab, a answer) { l.passed(a) })
}

func TestP209WhenTheProviderCannotBeAsked(t *testing.T) {
	l := newLab(t, nil)
	l.both(t, "GET", "/x", []string{as("late")}, func(l *lab, a answer) { l.passed(a) }) // no token is needed: the session goes on
	for _, target := range []string{"/session/x", "/set/x"} {
		l.both(t, "GET", target, []string{as("late")}, func(l *lab, a answer) {
			l.refused(a, 503)
			if a.code() != codeProviderUnavailable {
				l.Errorf("code %s", a.code())
			}
		})
		l.both(t, "GET", target, []string{as("gone")}, func(l *lab, a answer) { l.refused(a, 401) })
	}
	l.both(t, "GET", "/session/x", []string{as("tokenless")}, func(l *lab, a answer) { l.refused(a, 502) })
	l.both(t, "GET", "/id/x", []string{as("late")}, func(l *lab, a answer) { l.refused(a, 502) }) // no ID token
}

func TestP210APanicIsA500AndTheProcessLives(t *testing.T) {
	l := newLab(t, func(_ *Config, d *Deps) {
		mux := http.NewServeMux()
		mux.HandleFunc("/oauth2/callback", func(http.ResponseWriter, *http.Request) { panic("odd input") })
		d.Own = mux
	})
	for _, target := range []string{"/x", "/admin/x", "/oauth2/callback"} {
		l.both(t, "GET", target, []string{as("panic")}, func(l *lab, a answer) {
			l.refused(a, 500)
			if a.code() != "internal_error" {
				l.Errorf("answer %s", a.body)
			}
		})
		l.both(t, "GET", "/x", []string{as("alice")}, func(l *lab, a answer) { l.passed(a) })
	}
}

func TestS7HalfAnAnswerOfTheAuthenticatorIsNobody(t *testing.T) {
	l := newLab(t, nil)
	l.both(t, "GET", "/x", []string{as("half")}, func(l *lab, a answer) { l.refused(a, 401) })
}

// source is a Source for everybody, of one answer.
type source func(ctx context.Context, who *identity.Identity) (*identity.Credential, error)

func (s source) Token(ctx context.Context, who *identity.Identity) (*identity.Credential, error) {
	return s(ctx, who)
}

func (source) Rejected(context.Context, *identity.Identity, *identity.Credential) {}
func (source) Personal() bool                                                     { return true }

func bearerCredential(token string) *identity.Credential {
	return &identity.Credential{Name: "orders", Tokens: tokens(token), Header: "Authorization", Values: []string{"Bearer " + token}}
}

func TestNothingIsForwardedWithoutTheTokenThatARoutePromises(t *testing.T) {
	for name, c := range map[string]struct {
		given  *identity.Credential
		err    error
		status int
	}{
		"refused":                {nil, errors.New("no"), 502},
		"none":                   {nil, nil, 502},
		"empty":                  {&identity.Credential{}, nil, 502},
		"malformed":              {bearerCredential("a\r\nX: y"), nil, 502},
		"with a code of its own": {nil, &pages.Error{Code: codeProviderUnavailable}, 503},
		"given":                  {bearerCredential("fetched"), nil, 200},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t, func(c0 *Config, d *Deps) {
				c0.Routes[0].Credential = "orders"
				d.Sources = map[string]Source{"orders": source(func(context.Context, *identity.Identity) (*identity.Credential, error) { return c.given, c.err })}
			})
			a := l.send("GET", "/x", as("alice"), "Authorization: Bearer evil")
			if c.status == 200 {
				l.passed(a).one(t, "Authorization", "Bearer fetched")
				return
			}
			l.refused(a, c.status)
		})
	}
}
