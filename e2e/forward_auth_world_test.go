package e2e

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"
)

const (
	wikiHost = "wiki.example.com" // as the recipes have it
	wikiSite = "https://" + wikiHost
)

// guarded is a world in which something else than Doorward is before the app, and asks Doorward.
type guarded struct {
	*world
	doorward string // host:port at which the proxy asks
	public   string // host:port of the proxy, which speaks TLS
}

// wikiRoutes are decided about, and never proxied. Whoever is staff may read, administrators alone may see /admin.
const wikiRoutes = `
[[route]]
name = "wiki"
host = "wiki.example.com"
allow = [{ groups = ["staff"] }]
credential = "session"
[[route]]
name = "admin"
host = "wiki.example.com"
path = "/admin"
allow = [{ groups = ["admins"] }]
[[route]]
name = "public"
host = "wiki.example.com"
path = "/public"
public = true
[[route]]
name = "read"
host = "wiki.example.com"
path = "/mixed"
public = true
methods = ["GET"]
[[route]]
name = "change"
host = "wiki.example.com"
path = "/mixed"
methods = ["POST"]
allow = [{ groups = ["admins"] }]
[[route]]
name = "office"
host = "wiki.example.com"
path = "/office"
allow = [{ networks = ["10.0.0.0/8"] }]
`

// people at the provider: alice is staff, root is an administrator too, and mallory is known, but may see nothing.
func people() map[string]map[string]any {
	return map[string]map[string]any{"root": {"groups": []string{"staff", "admins"}}, "mallory": {"groups": []string{"visitors"}}}
}

// newGuarded starts one. run makes the proxy; more is configuration that comes first.
func newGuarded(t *testing.T, run func(t *testing.T, dir string, p places) *exec.Cmd, more string, o providerOptions) *guarded {
	t.Helper()
	return newGuardedTrusting(t, "127.0.0.1/32", run, more, o)
}

func newGuardedTrusting(t *testing.T, trusted string, run func(t *testing.T, dir string, p places) *exec.Cmd, more string, o providerOptions) *guarded {
	t.Helper()
	g := &guarded{world: &world{app: newWiki(t), gateway: newGateway(t)}}
	o.Clients, o.People = []map[string]any{client(wikiSite, "client_secret_basic")}, people()
	g.provider = newProvider(t, o)
	g.gateway.configure(t, fmt.Sprintf("trusted_proxies = [%q]\n", trusted)+more+g.providerTable("")+wikiRoutes)
	g.doorward = "127.0.0.1" + g.gateway.origin[strings.LastIndexByte(g.gateway.origin, ':'):]
	g.gateway.origin = wikiSite
	g.public = fmt.Sprintf("127.0.0.1:%d", freePort(t))

	dir := t.TempDir()
	p := places{doorward: g.doorward, app: strings.TrimPrefix(g.app.URL, "http://"), public: g.public}
	p.certificate, p.key = newCertificate(t, dir, wikiHost)
	cmd := run(t, dir, p)
	g.provider.start(t)
	g.gateway.start(t)
	front(t, cmd, g.public)
	return g
}

// browser is one that finds the proxy under its name.
func (g *guarded) browser(t *testing.T) *browser {
	t.Helper()
	return newBrowser(t, "MAP "+wikiHost+":443 "+g.public)
}

// newWiki is an app that takes addresses as they come: it cleans none, and redirects from none.
func newWiki(t *testing.T) *app {
	t.Helper()
	a := &app{push: make(chan string), ended: make(chan string, 8)}
	a.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/json":
			a.json(w, r)
		case "/websocket":
			a.webSocket(w, r)
		default:
			a.page(w, r)
		}
	}))
	t.Cleanup(func() {
		a.CloseClientConnections()
		a.Close()
	})
	return a
}

// rawAnswer is an answer of the proxy to a request that no browser sends.
type rawAnswer struct {
	Status int
	Header http.Header
	Body   string
}

// send sends a request over HTTP/1.1, byte for byte.
func (g *guarded) send(t *testing.T, method, target string, lines ...string) rawAnswer {
	t.Helper()
	return sendTo(t, &tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true, ServerName: wikiHost, NextProtos: []string{"http/1.1"}}}, g.public, method, target, lines)
}

func sendTo(t *testing.T, d interface {
	DialContext(ctx context.Context, network, address string) (net.Conn, error)
}, address, method, target string, lines []string,
) rawAnswer {
	t.Helper()
	conn, err := d.DialContext(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(lines, func(l string) bool { return strings.HasPrefix(l, "Connection:") }) {
		lines = append([]string{"Connection: close"}, lines...)
	}
	body := ""
	if i := slices.IndexFunc(lines, func(l string) bool { return strings.HasPrefix(l, "\n") }); i >= 0 {
		body, lines = lines[i][1:], slices.Delete(slices.Clone(lines), i, i+1)
		lines = append(lines, fmt.Sprintf("Content-Length: %d", len(body)))
	}
	head := fmt.Sprintf("%s %s HTTP/1.1\r\nHost: %s\r\n", method, target, wikiHost)
	for _, line := range lines {
		head += line + "\r\n"
	}
	if _, err := io.WriteString(conn, head+"\r\n"+body); err != nil {
		t.Fatal(err)
	}
	res, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method})
	if err != nil {
		return rawAnswer{} // a proxy that refuses a request may say nothing
	}
	defer res.Body.Close()
	got := rawAnswer{Status: res.StatusCode, Header: res.Header}
	if res.StatusCode != http.StatusSwitchingProtocols {
		text, _ := io.ReadAll(res.Body)
		got.Body = string(text)
	}
	return got
}

// send2 is send over HTTP/2. It leaves lines that HTTP/2 does not have to whoever wants to try.
func (g *guarded) send2(t *testing.T, method, target string, lines ...string) rawAnswer {
	t.Helper()
	transport := &http.Transport{
		ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, g.public)
		},
	}
	defer transport.CloseIdleConnections()
	limit := patience
	if strings.Contains(target, "#") || strings.HasSuffix(target, "%") { // HAProxy and Caddy refuse one of them by never answering
		limit = 300 * time.Millisecond
	}
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	// Opaque goes out as it is, and is the only way to send what no URL would hold.
	r := (&http.Request{Method: method, URL: &url.URL{Scheme: "https", Host: wikiHost, Opaque: "//" + wikiHost + target}, Host: wikiHost, Header: http.Header{}}).WithContext(ctx)
	for _, line := range lines {
		if body, ok := strings.CutPrefix(line, "\n"); ok {
			r.Body, r.ContentLength = io.NopCloser(strings.NewReader(body)), int64(len(body))
			continue
		}
		name, value, _ := strings.Cut(line, ": ")
		r.Header[name] = append(r.Header[name], value)
	}
	res, err := transport.RoundTrip(r)
	if ctx.Err() != nil && limit == patience {
		t.Errorf("%s %s is never answered", method, target)
	}
	if err != nil {
		return rawAnswer{}
	}
	defer res.Body.Close()
	if res.ProtoMajor != 2 {
		t.Fatalf("the proxy speaks %s", res.Proto)
	}
	text, _ := io.ReadAll(res.Body)
	return rawAnswer{Status: res.StatusCode, Header: res.Header, Body: string(text)}
}

// since is what the app got after a mark, but for the icon, for which browsers ask when they like.
func (g *guarded) since(mark int) []received {
	return slices.DeleteFunc(g.app.all()[mark:], func(r received) bool { return r.URI == "/favicon.ico" })
}

// cookie is the session of a tab, as a header line.
func (g *guarded) cookie(tb *tab) string {
	tb.t.Helper()
	var all []string
	for _, c := range tb.lasting(wikiSite + "/") {
		all = append(all, c.Name+"="+c.Value)
	}
	if len(all) == 0 {
		tb.t.Fatal("nobody is signed in")
	}
	return "Cookie: " + strings.Join(all, "; ")
}

// judgement is what an access line of Doorward's says.
type judgement struct {
	Msg, Method, Path, Route, Outcome string
}

// judged returns the access lines that were written since a mark.
func (g *guarded) judged(since int) (all []judgement) {
	for _, line := range g.gateway.output()[since:] {
		var j judgement
		if json.Unmarshal([]byte(line), &j) == nil && j.Msg == "request" {
			all = append(all, j)
		}
	}
	return all
}
