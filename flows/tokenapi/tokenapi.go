package tokenapi

import (
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/doorward/doorward/flows/bearer"
	"github.com/doorward/doorward/flows/credential"
	"github.com/doorward/doorward/internal/telemetry"
)

// Deps are what the API is built on.
type Deps struct {
	Credentials *credential.Set
	Checkers    map[string]*bearer.Checker // by provider name: who may be the subject of an exchange, and what introspect answers
	Now         func() time.Time           // nil = time.Now
	Log         *slog.Logger
}

// api is the token API.
type api struct {
	credentials *credential.Set
	checkers    map[string]*bearer.Checker
	now         func() time.Time
	log         *slog.Logger
}

// New returns the API, an http.Handler for its own paths; every other path is 404. It does not judge the Host of a request:
// whoever serves it must have made sure that the listener itself is addressed.
func New(d Deps) (http.Handler, error) {
	if d.Credentials == nil {
		return nil, errors.New("tokenapi: no credentials")
	}
	if d.Now == nil {
		d.Now = time.Now
	}
	if d.Log == nil {
		d.Log = slog.New(slog.DiscardHandler)
	}
	return &api{credentials: d.Credentials, checkers: d.Checkers, now: d.Now, log: d.Log}, nil
}

func (a *api) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	protect(w.Header())
	answer := a.endpoint(r.URL.Path)
	switch {
	case answer == nil:
		refuse(w, http.StatusNotFound, wordInvalidRequest, "there is no such endpoint; there are /token, /token/exchange and /introspect")
		return
	case fromBrowser(r.Header):
		refuse(w, http.StatusForbidden, wordAccessDenied, "this is for programs, and the request comes from a browser")
		return
	case r.Method != http.MethodPost:
		w.Header().Set("Allow", http.MethodPost)
		refuse(w, http.StatusMethodNotAllowed, wordInvalidRequest, "only POST is understood")
		return
	}
	q, err := read(w, r)
	if err != nil {
		status := http.StatusBadRequest
		if errors.Is(err, errTooLarge) {
			status = http.StatusRequestEntityTooLarge
		}
		refuse(w, status, wordInvalidRequest, err.Error())
		return
	}
	if _, known := a.checkers[q.provider]; known { // what a caller makes up is no name for a log
		telemetry.From(w).Provider = q.provider
	}
	answer(w, r, q)
}

// endpoint finds who answers at a path, nil if nobody does. Paths are compared exactly.
func (a *api) endpoint(path string) func(http.ResponseWriter, *http.Request, request) {
	if rest, ok := strings.CutPrefix(path, "/api/v1/"); ok {
		path = "/" + rest
	}
	switch path {
	case "/token":
		return a.token
	case "/token/exchange":
		return a.exchange
	case "/introspect":
		return a.introspect
	}
	return nil
}

// fromBrowser tells pages from programs. A page of any site can have a browser on this machine send a request here, also by a
// name that it has pointed at this address; it could not read the answer, or with such a name it could (P150). A browser says
// Origin with each POST, and Sec-Fetch-Site to each loopback address. Sec-Fetch-Mode alone says nothing: the fetch of
// Node.js sends it.
func fromBrowser(h http.Header) bool {
	for _, name := range []string{"Origin", "Sec-Fetch-Site", "Sec-Fetch-Dest", "Sec-Fetch-User"} {
		if _, ok := h[name]; ok {
			return true
		}
	}
	return false
}
