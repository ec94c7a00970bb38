package extauthz

import (
	"bytes"
	"encoding/binary"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/doorward/doorward/internal/identity"
	"github.com/doorward/doorward/internal/origin"
	"github.com/doorward/doorward/internal/pages"
	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/internal/telemetry"
	"github.com/doorward/doorward/proxy"
	"github.com/doorward/doorward/proxy/policy"
)

// envoy is a gateway behind the service on a socket, and what is needed to ask it.
type envoy struct {
	*testing.T
	url    string
	client *http.Client
}

// session says by the cookie's value who it is.
type session struct{}

func (session) Authenticate(w http.ResponseWriter, r *http.Request) (*identity.Identity, bool, error) {
	c, err := r.Cookie("__Host-doorward")
	if err != nil {
		return nil, false, nil
	}
	switch c.Value {
	case "broken":
		return nil, false, io.ErrUnexpectedEOF
	case "renewed":
		http.SetCookie(w, &http.Cookie{Name: "__Host-doorward", Value: "renewed"})
	case "alice":
	default:
		return nil, false, nil
	}
	return &identity.Identity{
		Issuer: "https://idp.test", Subject: "alice", Provider: "corp", Login: "staff", Groups: []string{"staff"}, Claims: identity.NewClaims([]byte(`{}`)),
		Tokens: &identity.Tokens{AccessToken: secret.New("at-alice")},
	}, true, nil
}

type door struct{}

func (door) Start(http.ResponseWriter, *http.Request, string) error { panic("an attempt") }
func (door) LoginURL(r *http.Request, back string) string {
	return "https://" + r.Host + "/oauth2/start?rd=" + url.QueryEscape(back)
}

func gateway(t testing.TB) *proxy.Gateway {
	t.Helper()
	app := origin.Origin{Scheme: "https", Host: "app.test"}
	origins, err := origin.NewSet(app)
	if err != nil {
		t.Fatal(err)
	}
	shown, err := pages.New(pages.Config{Prefix: "/oauth2"})
	if err != nil {
		t.Fatal(err)
	}
	staff := []string{"staff"}
	g, err := proxy.New(proxy.Config{
		Prefix: "/oauth2", OwnCookie: func(name string) bool { return strings.HasPrefix(name, "__Host-doorward") }, TrustedProxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")},
		Routes: []proxy.Route{
			{Name: "app", Hosts: []origin.Origin{app}, Logins: staff},
			{Name: "session", Hosts: []origin.Origin{app}, Path: "/session", Logins: staff, Credential: "session"},
			{Name: "public", Hosts: []origin.Origin{app}, Path: "/public", Public: true},
			{Name: "pass", Hosts: []origin.Origin{app}, Path: "/pass", Public: true, PassAuthorization: true},
			{Name: "admin", Hosts: []origin.Origin{app}, Path: "/admin", Logins: staff, Allow: []policy.Rule{{Groups: []string{"admin"}}}},
			{Name: "near", Hosts: []origin.Origin{app}, Path: "/near", Logins: staff, Allow: []policy.Rule{{Networks: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}}}},
			{Name: "api", Hosts: []origin.Origin{app}, Path: "/api", Logins: staff, CORS: &proxy.CORS{Origins: []origin.Origin{{Scheme: "https", Host: "spa.test"}}, Credentials: true}},
		},
	}, proxy.Deps{
		Origins: origins, Session: session{}, Own: http.NewServeMux(), Pages: shown, Log: slog.New(slog.DiscardHandler),
		Starters: map[string]proxy.Starter{"app": door{}, "session": door{}, "admin": door{}, "near": door{}, "api": door{}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func serving(t *testing.T, trusted ...netip.Prefix) *envoy {
	t.Helper()
	h, err := New(gateway(t), trusted)
	if err != nil {
		t.Fatal(err)
	}
	access := telemetry.NewAccessLog(slog.New(slog.DiscardHandler))
	t.Cleanup(access.Close)
	s := httptest.NewUnstartedServer(access.Handler(h, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) }))
	s.Config.Protocols = new(http.Protocols)
	s.Config.Protocols.SetUnencryptedHTTP2(true)
	s.Start()
	t.Cleanup(s.Close)
	p := new(http.Protocols)
	p.SetUnencryptedHTTP2(true)
	tr := &http.Transport{Protocols: p}
	t.Cleanup(tr.CloseIdleConnections)
	return &envoy{t, s.URL, &http.Client{Transport: tr}}
}

// call sends one body as it is.
func (e *envoy) call(method string, body []byte, change ...func(*http.Request)) (answer []byte, status, message string) {
	e.Helper()
	r, err := http.NewRequestWithContext(e.Context(), http.MethodPost, e.url+method, bytes.NewReader(body))
	if err != nil {
		e.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/grpc")
	r.Header.Set("Te", "trailers")
	for _, c := range change {
		c(r)
	}
	res, err := e.client.Do(r)
	if err != nil {
		e.Fatal(err)
	}
	defer res.Body.Close()
	answer, err = io.ReadAll(res.Body)
	if err != nil {
		e.Fatal(err)
	}
	if res.StatusCode != http.StatusOK {
		return answer, res.Status, ""
	}
	if got := res.Header.Get("Content-Type"); got != "application/grpc" {
		e.Errorf("Content-Type: %q", got)
	}
	return answer, res.Trailer.Get("Grpc-Status"), res.Trailer.Get("Grpc-Message")
}

func framed(message []byte) []byte {
	return append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(message))), message...)
}

// asked is a CheckRequest as Envoy writes one.
func asked(method, path string, lines ...string) []byte {
	request := text(nil, 1, "4711")
	request = text(request, 2, method)
	entry := func(key, value string) {
		request = embed(request, 3, text(text(nil, 1, key), 2, value))
	}
	entry(":method", method)
	entry(":path", path)
	entry(":authority", "app.test")
	entry("x-forwarded-proto", "https")
	entry("x-request-id", "0af76519")
	for _, line := range lines {
		key, value, _ := strings.Cut(line, ": ")
		entry(key, value)
	}
	request = text(request, 4, path)
	request = text(request, 5, "app.test")
	request = text(request, 6, "https")
	request = number(request, 9, 1<<63)
	request = text(request, 10, "HTTP/1.1")
	socket := number(text(nil, 2, "192.0.2.1"), 3, 40000)
	peer := embed(nil, 1, embed(nil, 1, socket))
	attributes := embed(nil, 1, peer)
	attributes = embed(attributes, 4, embed(embed(nil, 1, number(nil, 1, 1)), 2, request))
	return embed(nil, 1, attributes)
}

// verdict is a CheckResponse, read again.
type verdict struct {
	code, status  uint64
	set, add, how http.Header
	remove        []string
	body          string
}

func (e *envoy) ask(method, path string, lines ...string) verdict {
	e.Helper()
	answer, status, why := e.call(checkMethod, framed(asked(method, path, lines...)))
	if status != "0" || len(answer) < 5 || int(binary.BigEndian.Uint32(answer[1:5])) != len(answer)-5 {
		e.Fatalf("grpc-status %q %q, %d bytes", status, why, len(answer))
	}
	return e.read(answer[5:])
}

func (e *envoy) read(answer []byte) verdict {
	e.Helper()
	v := verdict{set: http.Header{}, add: http.Header{}, how: http.Header{}}
	option := func(to http.Header, value []byte) error {
		var key, content, action string
		err := message(value, part{1, func(h []byte) (err error) { key, content, _, err = pair(h); return err }}, part{2, func(h []byte) error {
			if len(h) > 0 {
				action = "append"
			}
			return nil
		}})
		if err == nil {
			err = fields(value, func(n protowire.Number, _ []byte, number uint64) error {
				if n == 3 && number == overwriteIfExistsOrAdd {
					action = "overwrite"
				}
				return nil
			})
		}
		to.Add(key, content)
		v.how.Set(key, action)
		return err
	}
	err := message(answer,
		part{1, func(status []byte) error {
			return fields(status, func(n protowire.Number, _ []byte, number uint64) error {
				if n == 1 {
					v.code = number
				}
				return nil
			})
		}},
		part{3, func(ok []byte) error {
			return fields(ok, func(n protowire.Number, value []byte, _ uint64) error {
				switch n {
				case 2:
					return option(v.set, value)
				case 5:
					v.remove = append(v.remove, string(value))
				case 6:
					return option(v.add, value)
				}
				return nil
			})
		}},
		part{2, func(denied []byte) error {
			return fields(denied, func(n protowire.Number, value []byte, _ uint64) error {
				switch n {
				case 1:
					return fields(value, func(_ protowire.Number, _ []byte, number uint64) error { v.status = number; return nil })
				case 2:
					return option(v.add, value)
				case 3:
					v.body = string(value)
				}
				return nil
			})
		}})
	if err != nil {
		e.Fatal(err)
	}
	return v
}

func (v verdict) allowed(t *testing.T) {
	t.Helper()
	if v.code != 0 || v.status != 0 || v.body != "" {
		t.Errorf("code %d, status %d: %s", v.code, v.status, v.body)
	}
}

func (v verdict) denied(t *testing.T, status uint64) {
	t.Helper()
	if v.code != codePermissionDenied || v.status != status || len(v.set)+len(v.remove) > 0 || v.add.Get("Content-Length") != "" {
		t.Errorf("code %d, status %d, not %d: %v %v %s", v.code, v.status, status, v.set, v.remove, v.body)
	}
}

func TestAYesSaysWhatTheUpstreamGets(t *testing.T) {
	e := serving(t)
	v := e.ask("GET", "/session/x?y=1", "cookie: theme=dark; __Host-doorward=alice", "authorization: Basic eA==", "x-forwarded-user: root", "x-auth-request-email: root", "x_forwarded_user: root", "remote-user: root", "x-real-ip: 6.6.6.6", "accept: */*", "x-envoy-internal: true", "x-forwarded-for: 192.0.2.1")
	v.allowed(t)
	for name, want := range map[string]string{
		"X-Forwarded-User": "alice", "X-Auth-Request-User": "alice", "X-Forwarded-Groups": "staff", "Authorization": "Bearer at-alice", "Cookie": "theme=dark", "X-Forwarded-Host": "app.test", "Cache-Control": "",
	} {
		if got := v.set.Get(name); got != want || want != "" && v.how.Get(name) != "overwrite" {
			t.Errorf("%s: %q (%s), not %q", name, got, v.how.Get(name), want)
		}
	}
	if want := []string{"remote-user", "x-auth-request-email", "x-real-ip", "x_forwarded_user"}; !slices.Equal(v.remove, want) {
		t.Errorf("removed are %q, not %q", v.remove, want)
	}
	t.Run("in nobody's name", func(t *testing.T) {
		v := e.ask("GET", "/public/x", "cookie: __Host-doorward=alice", "authorization: Bearer x", "x-forwarded-user: root", "x-forwarded-groups: admin")
		v.allowed(t)
		if want := []string{"authorization", "cookie", "x-forwarded-groups", "x-forwarded-user"}; !slices.Equal(v.remove, want) || len(v.set) != 1 {
			t.Errorf("removed are %q, not %q; set are %v", v.remove, want, v.set)
		}
		v = e.ask("GET", "/pass/x", "authorization: Bearer x")
		if v.allowed(t); len(v.remove) != 0 {
			t.Errorf("removed are %q", v.remove)
		}
	})
	t.Run("a renewed session's cookie reaches the client", func(t *testing.T) {
		v := e.ask("GET", "/x", "cookie: __Host-doorward=renewed")
		if v.allowed(t); v.add.Get("Set-Cookie") != "__Host-doorward=renewed" || v.how.Get("Set-Cookie") != "" {
			t.Errorf("%v %v", v.add, v.how)
		}
	})
}

func TestANoIsAnAnswerToTheClient(t *testing.T) {
	e := serving(t)
	v := e.ask("GET", "/x?y=1", "sec-fetch-mode: navigate", "sec-fetch-dest: document")
	v.denied(t, 302)
	if v.how.Get("Location") != "overwrite" {
		t.Errorf("Location is %s", v.how.Get("Location"))
	}
	if v.add.Get("Location") != "https://app.test/oauth2/start?rd=%2Fx%3Fy%3D1" || v.add["Set-Cookie"] != nil {
		t.Errorf("%v", v.add)
	}
	v = e.ask("GET", "/x", "accept: application/json")
	v.denied(t, 401)
	if v.add.Get("Content-Type") != "application/problem+json" || v.add.Get("Www-Authenticate") == "" || !strings.Contains(v.body, `"login_required"`) {
		t.Errorf("%v %s", v.add, v.body)
	}
	v = e.ask("GET", "/admin", "cookie: __Host-doorward=alice", "accept: text/html", "sec-fetch-mode: navigate")
	v.denied(t, 403)
	if !strings.Contains(v.body, "<html") {
		t.Errorf("%v %s", v.add, v.body)
	}
	e.ask("GET", "/x", "cookie: __Host-doorward=broken").denied(t, 503)
	e.ask("GET", "/x", "cookie: __Host-doorward=%%%").denied(t, 401)                 // P043
	e.ask("GET", "/public/../admin", "cookie: __Host-doorward=alice").denied(t, 400) // P044
	e.ask("GET", "/admin?x=/public/", "x-forwarded-uri: /public/").denied(t, 401)    // P045
	e.ask("GET", "/x", "upgrade: h2c", "cookie: __Host-doorward=alice").denied(t, 403)
	e.ask("GET", "/x", "upgrade: websocket", "origin: https://evil.test", "cookie: __Host-doorward=alice").denied(t, 403)
	e.ask("GET", "/x", "upgrade: websocket", "origin: https://app.test", "cookie: __Host-doorward=alice").allowed(t)
	e.ask("GET", "/nowhere/x", "x-forwarded-host: other.test").denied(t, 401)
	v = e.ask("OPTIONS", "/api/x", "origin: https://spa.test", "access-control-request-method: PUT")
	v.denied(t, 204)
	if v.add.Get("Access-Control-Allow-Origin") != "https://spa.test" {
		t.Errorf("%v", v.add)
	}
}

func TestTheClientIsWhoeverConnectedToEnvoy(t *testing.T) {
	e := serving(t)
	e.ask("GET", "/near", "cookie: __Host-doorward=alice").allowed(t)
	e.ask("GET", "/near", "cookie: __Host-doorward=alice", "x-forwarded-for: 6.6.6.6").allowed(t) // 192.0.2.1 is no trusted proxy
}

func TestTwoViewsOfOneRequestAreNoQuestion(t *testing.T) {
	e := serving(t)
	for name, change := range map[string]func() []byte{
		"nothing":        func() []byte { return nil },
		"no request":     func() []byte { return embed(nil, 1, nil) },
		"another path":   func() []byte { return asked("GET", "/public/x", ":path: /admin") },
		"another host":   func() []byte { return asked("GET", "/public/x", ":authority: other.test") },
		"another method": func() []byte { return asked("GET", "/public/x", ":method: POST") },
		"a query beside": func() []byte {
			return embed(nil, 1, embed(nil, 4, embed(nil, 2, text(text(text(text(nil, 2, "GET"), 4, "/public/x"), 5, "app.test"), 7, "a=b"))))
		},
		"broken": func() []byte { return asked("GET", "/x")[:40] },
	} {
		t.Run(name, func(t *testing.T) {
			if _, status, why := e.call(checkMethod, framed(change())); status != "3" || why == "" {
				t.Errorf("grpc-status %q %q", status, why)
			}
		})
	}
}

func TestCallsThatAreNone(t *testing.T) {
	e := serving(t)
	good := framed(asked("GET", "/public/x"))
	for name, c := range map[string]struct {
		method string
		body   []byte
		change func(*http.Request)
		status string
	}{
		"another method":      {"/envoy.service.auth.v2.Authorization/Check", good, nil, "12"},
		"another service":     {"/", good, nil, "12"},
		"compressed":          {checkMethod, append([]byte{1}, good[1:]...), nil, "12"},
		"no message":          {checkMethod, nil, nil, "3"},
		"half a prefix":       {checkMethod, good[:3], nil, "3"},
		"half a message":      {checkMethod, good[:len(good)-1], nil, "3"},
		"two messages":        {checkMethod, append(slices.Clone(good), good...), nil, "3"},
		"a length of lies":    {checkMethod, []byte{0, 0xff, 0xff, 0xff, 0xff}, nil, "8"},
		"too large":           {checkMethod, framed(make([]byte, maxMessage+1)), nil, "8"},
		"no gRPC":             {checkMethod, good, func(r *http.Request) { r.Header.Set("Content-Type", "application/json") }, "415 Unsupported Media Type"},
		"gRPC for the web":    {checkMethod, good, func(r *http.Request) { r.Header.Set("Content-Type", "application/grpc-web") }, "415 Unsupported Media Type"},
		"GET":                 {checkMethod, nil, func(r *http.Request) { r.Method = "GET" }, "405 Method Not Allowed"},
		"a time that is over": {checkMethod, good, func(r *http.Request) { r.Header.Set("Grpc-Timeout", "5S") }, "0"},
		"a time that is none": {checkMethod, good, func(r *http.Request) { r.Header.Set("Grpc-Timeout", "99999999999H") }, "0"},
	} {
		t.Run(name, func(t *testing.T) {
			change := c.change
			if change == nil {
				change = func(*http.Request) {}
			}
			if _, status, _ := e.call(c.method, c.body, change); status != c.status {
				t.Errorf("status %q, not %q", status, c.status)
			}
		})
	}
}

func TestStrangersAreNotAnswered(t *testing.T) {
	h, err := New(gateway(t), []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")})
	if err != nil {
		t.Fatal(err)
	}
	for remote, status := range map[string]string{
		"127.0.0.1:1": "0", "[::1]:1": "0", "[::ffff:127.0.0.1]:1": "0", "10.1.2.3:1": "0", "@": "0", "": "0", // the last two are unix sockets
		"192.0.2.1:1": "7", "[2001:db8::1]:1": "7", "[fe80::1%eth0]:1": "7", "10.1.2.3:http": "7",
	} {
		t.Run(remote, func(t *testing.T) {
			w := httptest.NewRecorder()
			r := httptest.NewRequest(http.MethodPost, checkMethod, bytes.NewReader(framed(asked("GET", "/public/x"))))
			r.ProtoMajor, r.RemoteAddr = 2, remote
			r.Header.Set("Content-Type", "application/grpc")
			h.ServeHTTP(w, r)
			if got := w.Header().Get(http.TrailerPrefix + "Grpc-Status"); got != status {
				t.Errorf("grpc-status %q, not %q", got, status)
			}
			if status != "0" && w.Body.Len() > 0 {
				t.Error("a stranger got an answer")
			}
		})
	}
	if _, err := New(nil, nil); err == nil {
		t.Error("nobody judges, and New does not mind")
	}
}

func TestHTTP1IsNotSpoken(t *testing.T) {
	e := serving(t)
	u, _ := url.Parse(e.url)
	c, err := net.Dial("tcp", u.Host)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_, _ = io.WriteString(c, "POST "+checkMethod+" HTTP/1.1\r\nHost: x\r\nContent-Type: application/grpc\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
	answer, _ := io.ReadAll(c)
	if bytes.Contains(answer, []byte("200 OK")) {
		t.Errorf("%s", answer)
	}
}

func TestRawHeadersAreReadToo(t *testing.T) {
	entry := func(key, raw string) []byte { return embed(nil, 1, text(text(nil, 1, key), 3, raw)) }
	request := text(text(text(nil, 2, "GET"), 4, "/x"), 5, "app.test")
	request = embed(request, 13, slices.Concat(entry(":path", "/x"), entry("cookie", "a=b"), entry("x-two", "1"), entry("x-two", "2")))
	c, err := parse(embed(nil, 1, embed(nil, 4, embed(nil, 2, request))))
	if err != nil || c.header.Get("Cookie") != "a=b" || !slices.Equal(c.header["X-Two"], []string{"1", "2"}) {
		t.Errorf("%v %+v", err, c)
	}
}

// FuzzCheckRequest holds the reader against whatever comes: it neither panics nor makes a request that says two things, and
// nobody is let in by it.
func FuzzCheckRequest(f *testing.F) {
	f.Add(asked("GET", "/public/x", "cookie: a=b"))
	f.Add(asked("POST", "/admin", ":path: /public/x", "x-forwarded-user: root"))
	f.Add([]byte{0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f})
	g := gateway(f)
	f.Fuzz(func(t *testing.T, message []byte) {
		c, err := parse(message)
		if err != nil {
			return
		}
		if p, there := c.pseudo[":path"]; there && p != c.path || c.method == "" || c.path == "" || c.host == "" {
			t.Errorf("%+v is a question", c)
		}
		carrier := httptest.NewRequest(http.MethodPost, checkMethod, nil)
		v := g.Check(httptest.NewRecorder(), c.request(carrier), c.certificate)
		path, _, _ := strings.Cut(c.path, "?")
		if v.Allowed && !strings.HasPrefix(path, "/public") && !strings.HasPrefix(path, "/pass") && !strings.Contains(strings.Join(c.header["Cookie"], ";"), "__Host-doorward=") {
			t.Errorf("%s %s is allowed to nobody", c.method, c.path)
		}
		if !v.Allowed && (v.Status < 300 || v.Status > 599) && v.Status != http.StatusNoContent {
			t.Errorf("a no has the status %d", v.Status)
		}
		_ = render(v)
	})
}

func BenchmarkCheck(b *testing.B) {
	g := gateway(b)
	message := asked("GET", "/session/x?y=1", "cookie: theme=dark; __Host-doorward=alice", "accept: text/html", "user-agent: Mozilla/5.0", "accept-language: en")
	carrier := httptest.NewRequest(http.MethodPost, checkMethod, nil)
	w := httptest.NewRecorder()
	b.ReportAllocs()
	for b.Loop() {
		c, err := parse(message)
		if err != nil {
			b.Fatal(err)
		}
		if v := g.Check(w, c.request(carrier), c.certificate); !v.Allowed || len(render(v)) == 0 {
			b.Fatal(v)
		}
	}
}
