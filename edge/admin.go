package edge

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"
)

// Check says whether one thing that requests need works now. Text is for operators: it
// names the thing and what is wrong, never a secret.
type Check struct {
	Name  string `json:"name"`
	OK    bool   `json:"ok"`
	Error string `json:"error,omitempty"`
	// Advisory checks tell and do not count: with one upstream down, all other routes still work, and so
	// does the rest of that one.
	Advisory bool `json:"advisory,omitempty"`
}

// Health answers the admin listener's questions.
type Health struct {
	Checks   func(ctx context.Context) []Check
	Metrics  http.Handler // serves /metrics; nil = there is none
	draining atomic.Bool
}

// Drain makes /readyz answer 503 from now on, so that load balancers look elsewhere.
func (h *Health) Drain() { h.draining.Store(true) }

// Handler serves the admin listener:
//
//	/livez    200 as long as the process can answer at all
//	/readyz   200 if requests can be served, else 503, with the reasons as JSON
//	/metrics  for Prometheus
//
// A request that comes out of a web page is refused whatever it asks: a browser on this
// machine must not become a bridge for a foreign site (attack P194). Nor must one whose page had its own name
// point here (DNS rebinding): over plain HTTP browsers mark no such request, but its Host is that name.
func (h *Health) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusOK, map[string]any{"status": "ok"})
	})
	mux.HandleFunc("GET /readyz", h.readyz)
	if h.Metrics != nil {
		mux.Handle("GET /metrics", h.Metrics)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		if fromPage(r) {
			http.Error(w, "the admin listener does not answer web pages", http.StatusForbidden)
			return
		}
		if renamed(r) {
			http.Error(w, "on loopback the admin listener answers to localhost and to addresses only, not to the name in Host", http.StatusMisdirectedRequest)
			return
		}
		mux.ServeHTTP(w, r)
	})
}

func (h *Health) readyz(w http.ResponseWriter, r *http.Request) {
	if h.draining.Load() {
		answer(w, http.StatusServiceUnavailable, map[string]any{"status": "draining"})
		return
	}
	checks := h.Checks(r.Context())
	for _, c := range checks {
		if !c.OK && !c.Advisory {
			answer(w, http.StatusServiceUnavailable, map[string]any{"status": "not ready", "checks": checks})
			return
		}
	}
	answer(w, http.StatusOK, map[string]any{"status": "ok", "checks": checks})
}

// fromPage reports whether a page's script, form or link made the request. An address
// typed by hand (Sec-Fetch-Site: none) is a person, and welcome.
func fromPage(r *http.Request) bool {
	site := r.Header.Get("Sec-Fetch-Site")
	return r.Header.Get("Origin") != "" || (site != "" && site != "none")
}

// renamed reports whether a request that came by loopback calls this machine by any other name than localhost. Where the
// listener is meant for other machines, it has names that are not known here.
func renamed(r *http.Request) bool {
	local, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	if !ok {
		return false
	}
	here, err := netip.ParseAddrPort(local.String())
	if err != nil || !here.Addr().Unmap().IsLoopback() { // a unix socket: no browser speaks to that
		return false
	}
	host := r.Host
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = strings.TrimSuffix(strings.ToLower(host), ".")
	_, err = netip.ParseAddr(strings.Trim(host, "[]"))
	return err != nil && host != "" && host != "localhost" && !strings.HasSuffix(host, ".localhost")
}

func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}
