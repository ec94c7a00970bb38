package e2e

import (
	"encoding/json"
	"fmt"
	"html/template"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"

	"github.com/coder/websocket"
)

// app is the application behind the gateway. It knows nothing of sign-in: it shows what
// it received and keeps it for the test.
type app struct {
	*httptest.Server

	mu       sync.Mutex
	requests []received
	push     chan string // what the event stream sends next
	ended    chan string // names the stream ("events", "websocket") whose client went away
}

// received is one request as it arrived.
type received struct {
	Method, Host, URI string
	Header            http.Header
	Body              string
}

func newApp(t *testing.T) *app {
	t.Helper()
	a := &app{push: make(chan string), ended: make(chan string, 8)}
	mux := http.NewServeMux()
	mux.HandleFunc("/", a.page)
	mux.HandleFunc("/json", a.json)
	mux.HandleFunc("/events", a.events)
	mux.HandleFunc("/websocket", a.webSocket)
	a.Server = httptest.NewServer(mux)
	t.Cleanup(func() {
		a.CloseClientConnections()
		a.Close()
	})
	return a
}

var appPage = template.Must(template.New("").Parse(`<!doctype html><html lang="en"><title>The app</title>
<h1>The app</h1><p id="uri">{{.URI}}</p><p id="user">{{.Header.Get "X-Forwarded-User"}}</p>
<p><a id="sign-out" href="/oauth2/sign_out">Sign out</a></p>
<form id="sign-out-form" method="post" action="/oauth2/sign_out"><button>Sign out</button></form>`))

func (a *app) page(w http.ResponseWriter, r *http.Request) {
	got := a.keep(r)
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_ = appPage.Execute(w, got)
}

func (a *app) json(w http.ResponseWriter, r *http.Request) {
	got := a.keep(r)
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(got)
}

// events sends one event for each string that the test pushes, and nothing in between: a
// gateway that waits for more before it passes anything on would hang.
func (a *app) events(w http.ResponseWriter, r *http.Request) {
	a.keep(r)
	w.Header().Set("Content-Type", "text/event-stream")
	w.WriteHeader(http.StatusOK)
	_ = http.NewResponseController(w).Flush()
	for {
		select {
		case text := <-a.push:
			fmt.Fprintf(w, "data: %s\n\n", text)
			_ = http.NewResponseController(w).Flush()
		case <-r.Context().Done():
			a.ended <- "events"
			return
		}
	}
}

// webSocket answers each message with the user's name before it.
func (a *app) webSocket(w http.ResponseWriter, r *http.Request) {
	a.keep(r)
	// The origin is the gateway's affair: the app behind it knows its outside name only by
	// what the gateway says.
	conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{InsecureSkipVerify: true})
	if err != nil {
		return
	}
	defer conn.CloseNow()
	conn.SetReadLimit(1 << 20)
	for {
		kind, message, err := conn.Read(r.Context())
		if err != nil {
			a.ended <- "websocket"
			return
		}
		answer := r.Header.Get("X-Forwarded-User") + ": " + string(message)
		if conn.Write(r.Context(), kind, []byte(answer)) != nil {
			return
		}
	}
}

func (a *app) keep(r *http.Request) received {
	body, _ := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	got := received{Method: r.Method, Host: r.Host, URI: r.RequestURI, Header: r.Header.Clone(), Body: string(body)}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.requests = append(a.requests, got)
	return got
}

// all returns what arrived so far.
func (a *app) all() []received {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.requests)
}

// last returns the newest request for this path and query.
func (a *app) last(t *testing.T, uri string) received {
	t.Helper()
	for _, r := range slices.Backward(a.all()) {
		if r.URI == uri {
			return r
		}
	}
	t.Fatalf("the app never received %s; it received %+v", uri, a.all())
	return received{}
}
