package proxy

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// Group E: where a request ends, and how much of anybody's memory and time it takes.

// oneRequestAtMost expects that E read no second request, wherever it came from.
func (l *lab) oneRequestAtMost() {
	l.Helper()
	seen := l.e.take()
	if n := strings.Count(l.e.wire, "\r\nX-Forwarded-For: "); n > 1 || len(seen) > 1 || strings.Contains(l.e.wire, "/admin") {
		l.Errorf("E read %q", l.e.wire)
	}
}

func TestP049OnlyWebSocketsAreTunnelled(t *testing.T) {
	l := newLab(t, nil)
	for name, lines := range map[string][]string{
		"h2c":                   {"Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAAP__"},
		"anything":              {"Connection: Upgrade", "Upgrade: TLS/1.2"},
		"a list":                {"Connection: Upgrade", "Upgrade: websocket, h2c"},
		"two lines":             {"Connection: Upgrade", "Upgrade: websocket", "Upgrade: h2c"},
		"another spelling":      {"Connection: upgrade", "Upgrade: websocket/13"},
		"websocket, not asked":  {"Connection: close", "Upgrade: websocket", "Origin: https://app.test"},
		"lower case":            {"connection: close, upgrade", "upgrade: H2C"},
		"hop-by-hop after this": {"Connection: Upgrade, Upgrade, Connection", "Upgrade: h2c"},
	} {
		t.Run(name, func(t *testing.T) {
			l := l.on(t)
			if !strings.Contains(lines[0], "close") {
				lines[0] += ", close"
			}
			l.passed(l.send("GET", "/public/x", lines...)).lacks(t, "Upgrade", "Connection", "HTTP2-Settings")
		})
	}
	t.Run("by POST", func(t *testing.T) {
		l := l.on(t)
		l.passed(l.send("POST", "/public/x", "Connection: Upgrade, close", "Upgrade: websocket", "Content-Length: 0", "Origin: https://app.test")).lacks(t, "Upgrade", "Connection")
	})
	t.Run("with a body", func(t *testing.T) {
		l := l.on(t)
		got := l.passed(l.raw(request("GET", "/public/x", "Connection: Upgrade, close", "Upgrade: websocket", "Content-Length: 3", "Origin: https://app.test") + "abc"))
		got.lacks(t, "Upgrade", "Connection")
		if got.body != "abc" {
			t.Errorf("E received %q", got.body)
		}
	})
	t.Run("by HTTP/1.0", func(t *testing.T) {
		l := l.on(t)
		l.passed(l.raw("GET /public/x HTTP/1.0\r\nHost: app.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")).lacks(t, "Upgrade", "Connection")
	})
	for _, up := range []string{"h2c", "websocket"} { // an upstream that switches unasked, or to something else
		t.Run("E switches to h2c when asked for "+up, func(t *testing.T) {
			l := newLab(t, nil)
			l.e.answers(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Connection", "Upgrade")
				w.Header().Set("Upgrade", "h2c")
				w.WriteHeader(http.StatusSwitchingProtocols)
			})
			a := l.send("GET", "/public/x", "Connection: Upgrade, close", "Upgrade: "+up, "Origin: https://app.test")
			if a.StatusCode != http.StatusBadGateway {
				t.Errorf("answer %s", a.Status)
			}
		})
	}
}

func TestP050TwoLengths(t *testing.T) {
	const hidden = "GET /admin/x HTTP/1.1\r\nHost: app.test\r\n\r\n"
	for name, request := range map[string]string{
		"CL.TE":            "POST /public/x HTTP/1.1\r\nHost: app.test\r\nContent-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + hidden,
		"TE.CL":            "POST /public/x HTTP/1.1\r\nHost: app.test\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n" + fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(hidden), strings.ReplaceAll(hidden, "/admin", "/other")),
		"CL.CL":            "POST /public/x HTTP/1.1\r\nHost: app.test\r\nContent-Length: 0\r\nContent-Length: 44\r\n\r\n" + hidden,
		"CL list":          "POST /public/x HTTP/1.1\r\nHost: app.test\r\nContent-Length: 0, 44\r\n\r\n" + hidden,
		"TE, CL":           "POST /admin/x HTTP/1.1\r\nHost: app.test\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n" + hidden,
		"TE, CL of GET":    "GET /public/x HTTP/1.1\r\nHost: app.test\r\nTransfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n0\r\n\r\n" + hidden,
		"TE":               "POST /public/x HTTP/1.1\r\nHost: app.test\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n" + hidden, // looks the same to us
		"CL of GET":        "GET /public/x HTTP/1.1\r\nHost: app.test\r\nContent-Length: 0\r\n\r\n" + hidden,
		"CL with sign":     "POST /public/x HTTP/1.1\r\nHost: app.test\r\nContent-Length: +0\r\n\r\n" + hidden,
		"bare CR":          "POST /public/x HTTP/1.1\r\nHost: app.test\r\nX: a\rContent-Length: 44\r\n\r\n" + hidden,
		"folded":           "POST /public/x HTTP/1.1\r\nHost: app.test\r\nX: a\r\n Content-Length: 44\r\n\r\n" + hidden,
		"NUL in a name":    "POST /public/x HTTP/1.1\r\nHost: app.test\r\nContent-Length\x00: 44\r\n\r\n" + hidden,
		"after an upgrade": "GET /public/x HTTP/1.1\r\nHost: app.test\r\nConnection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 0\r\n\r\n" + hidden,
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t, nil) // E notes a request that was cut when it pleases
			answers := l.all(request)
			l.oneRequestAtMost()
			if len(answers) == 0 {
				t.Error("no answer")
			}
			if strings.Contains(request, "Transfer-Encoding") && (len(answers) != 1 || !answers[0].Close) {
				t.Errorf("RFC 9112 §6.1: the connection has to end after one answer: %v", answers)
			}
			for i, a := range answers {
				if i > 0 && a.StatusCode != http.StatusUnauthorized { // judged as what it is: a request of nobody
					t.Errorf("what was hidden is answered %s", a.Status)
				}
			}
		})
	}
}

func TestP050TheConnectionEndsWhateverIsAnswered(t *testing.T) {
	const chunks = "\r\nConnection: keep-alive\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
	one := func(t *testing.T, l *lab, status int, request string) {
		t.Helper()
		r := bufio.NewReader(l.write(request + chunks + "GET /public/x HTTP/1.1\r\nHost: app.test\r\n\r\n"))
		if a := l.read(r, "POST"); a.StatusCode != status || !a.Close {
			t.Errorf("answer %s, closes: %v", a.Status, a.Close)
		}
		if a := l.read(r, "GET"); a.StatusCode != 0 {
			t.Errorf("and a second one: %s", a.Status)
		}
	}
	l := newLab(t, func(c *Config, _ *Deps) {
		c.Routes = append(c.Routes, Route{Name: "static", Path: "/static", Public: true, Methods: []string{"POST"}, Answer: &Answer{Respond: &Respond{Body: "x"}}})
	})
	l.e.answers(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/public/hints" {
			w.WriteHeader(http.StatusEarlyHints) // what was said before it does not last
		}
		_, _ = io.Copy(io.Discard, r.Body) // the answer is not an early one
		w.Header().Set("Connection", "keep-alive")
		_, _ = io.WriteString(w, "all")
	})
	for target, status := range map[string]int{"/public/x": 200, "/public/hints": 200, "/x": 401, "/x/../y": 400, "/oauth2/none": 404, "/oauth2/auth": 401, "/static": 200} {
		t.Run(target, func(t *testing.T) { one(t, l.on(t), status, "POST "+target+" HTTP/1.1\r\nHost: app.test") })
	}
	o := newOutside(t, nil)
	for target, status := range map[string]int{"/open/x": 200, "/none": 403, "/token": 200} {
		t.Run("egress "+target, func(t *testing.T) {
			one(t, o.on(t).lab, status, "POST "+target+" HTTP/1.1\r\nHost: "+o.self)
		})
	}
	t.Run("one that says only how long it is goes on", func(t *testing.T) {
		l := l.on(t)
		r := bufio.NewReader(l.write(strings.Repeat("POST /public/x HTTP/1.1\r\nHost: app.test\r\nContent-Length: 3\r\n\r\nabc", 3)))
		for range 3 {
			if a := l.read(r, "POST"); a.StatusCode != http.StatusOK || a.Close {
				t.Errorf("answer %s, closes: %v", a.Status, a.Close)
			}
		}
	})
}

func TestP051TransferEncodings(t *testing.T) {
	l := newLab(t, nil)
	for _, line := range []string{
		"Transfer-Encoding: xchunked", "Transfer-Encoding: chunked, identity", "Transfer-Encoding : chunked", "Transfer-Encoding: \x0bchunked", "Transfer-Encoding: gzip, chunked", "Transfer-Encoding: identity",
		"Transfer-Encoding: chunked\r\nTransfer-Encoding: x", "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", " Transfer-Encoding: chunked", "Transfer-Encoding:\x00chunked",
	} {
		t.Run(line, func(t *testing.T) {
			l := l.on(t)
			l.refused(l.send("POST", "/public/x", line), 400, 501)
		})
	}
	t.Run("an alias of the name is no Transfer-Encoding", func(t *testing.T) {
		l := l.on(t)
		got := l.passed(l.send("POST", "/public/x", "Transfer_Encoding: chunked", "Content-Length: 0"))
		got.lacks(t, "Transfer-Encoding")
	})
}

func TestP052Chunks(t *testing.T) {
	for name, body := range map[string]string{
		"bare LF":           "3\nabc\r\n0\r\n\r\n",
		"bare LF at an end": "3\r\nabc\n0\r\n\r\n",
		"0x":                "0x3\r\nabc\r\n0\r\n\r\n",
		"negative":          "-3\r\nabc\r\n0\r\n\r\n",
		"overflow":          "fffffffffffffffff3\r\nabc\r\n0\r\n\r\n",
		"no size":           "\r\nabc\r\n0\r\n\r\n",
		"64 kB extension":   "3;" + strings.Repeat("a", 64<<10) + "\r\nabc\r\n0\r\n\r\n",
		"wrong size":        "2\r\nabc\r\n0\r\n\r\n",
		"not a number":      "g\r\nabc\r\n0\r\n\r\n",
		"truncated":         "5\r\nabc",
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t, nil)
			answers := l.all("POST /public/x HTTP/1.1\r\nHost: app.test\r\nTransfer-Encoding: chunked\r\n\r\n" + body + "GET /admin/x HTTP/1.1\r\nHost: app.test\r\n\r\n")
			if len(answers) != 1 || answers[0].StatusCode != http.StatusBadRequest || !answers[0].Close {
				t.Errorf("answers %v", answers)
			}
			l.oneRequestAtMost()
		})
	}
	t.Run("whole ones are written anew", func(t *testing.T) {
		l := newLab(t, nil)
		got := l.passed(l.raw("POST /public/x HTTP/1.1\r\nHost: app.test\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n1;x=y\r\na\r\n2\r\nbc\r\n0\r\n\r\n"))
		if got.body != "abc" || strings.Contains(l.e.wire, "x=y") {
			t.Errorf("E read %q", l.e.wire)
		}
	})
}

func TestP053P056BodiesThatNobodyAskedForMayNotTakeForEver(t *testing.T) {
	l := newLab(t, func(_ *Config, d *Deps) {
		mux := http.NewServeMux()
		mux.HandleFunc("/oauth2/callback", func(w http.ResponseWriter, r *http.Request) {
			if _, err := io.ReadAll(r.Body); err != nil {
				w.WriteHeader(http.StatusRequestTimeout)
			}
		})
		d.Own = mux
	})
	for name, c := range map[string]struct {
		target string
		status int
	}{"P053 own endpoint": {"/oauth2/callback", 408}, "P056 logged out": {"/x", 401}, "ambiguous": {"/x/../y", 400}, "no route": {"/oauth2/none", 404}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				conn := overMemory(t, l.gateway.Config.Handler)
				begun := time.Now()
				var client sync.WaitGroup
				client.Go(func() {
					_, err := io.WriteString(conn, "POST "+c.target+" HTTP/1.1\r\nHost: app.test\r\nContent-Length: 1000\r\n\r\n")
					for ; err == nil; time.Sleep(5 * time.Second) {
						_, err = io.WriteString(conn, "a")
					}
				})
				res, err := http.ReadResponse(bufio.NewReader(conn), nil)
				if err != nil || res.StatusCode != c.status || !res.Close {
					t.Errorf("answer %v, %v", res, err)
				}
				if took := time.Since(begun); took > bodyWait {
					t.Errorf("it took %s", took)
				}
				_ = conn.Close()
				client.Wait()
			})
		})
	}
}

func TestP054Floods(t *testing.T) {
	l := newLab(t, nil)
	for name, request := range map[string]string{
		"1 MB header":    request("GET", "/public/x", "X: "+strings.Repeat("a", 1<<20)),
		"10 000 cookies": request("GET", "/public/x", "Cookie: "+strings.Repeat("abc=defg; ", 10000)),
		"80 kB URL":      request("GET", "/public/"+strings.Repeat("a", 80<<10)),
		"20 000 headers": request("GET", "/public/x", strings.TrimSuffix(strings.Repeat("X: y\r\n", 20000), "\r\n")),
	} {
		t.Run(name, func(t *testing.T) {
			l := l.on(t)
			l.refused(l.raw(request), 431, 414, 400)
		})
	}
	t.Run("much, but allowed", func(t *testing.T) {
		l := l.on(t)
		got := l.passed(l.send("GET", "/x?"+strings.Repeat("a", 20<<10), "Cookie: "+strings.Repeat("abc=defg; ", 2000)+"__Host-doorward=alice; z=1"))
		if cookies := got.Header.Get("Cookie"); len(cookies) != 20003 || strings.Contains(cookies, "doorward") {
			t.Errorf("E received %d bytes of cookies", len(cookies))
		}
	})
}

func TestP056TheDecisionDoesNotWaitForTheBody(t *testing.T) {
	l := newLab(t, nil)
	a := l.send("POST", "/admin/x", "Content-Length: 1000000000", "Connection: keep-alive") // and sends nothing
	l.refused(a, 401)
	if !a.Close {
		t.Error("the connection stays open for a gigabyte")
	}
}

func TestP057ExpectContinue(t *testing.T) {
	l := newLab(t, nil)
	t.Run("no 100 before the decision", func(t *testing.T) {
		for target, status := range map[string]int{"/admin/x": 401, "/public/../x": 400, "/oauth2/none": 404} {
			l := l.on(t)
			a := l.send("POST", target, "Content-Length: 3", "Expect: 100-continue", "Connection: keep-alive")
			l.refused(a, status)
			if len(a.informed) != 0 {
				t.Errorf("%s: %v came first", target, a.informed)
			}
		}
	})
	t.Run("100 after it, and E is not asked", func(t *testing.T) {
		l := l.on(t)
		c := l.write(request("POST", "/x", as("alice"), "Content-Length: 3", "Expect: 100-continue"))
		r := bufio.NewReader(c)
		if line, err := r.ReadString('\n'); err != nil || !strings.HasPrefix(line, "HTTP/1.1 100 ") {
			t.Fatalf("read %q, %v", line, err)
		}
		_, _ = r.ReadString('\n')
		_, _ = io.WriteString(c, "abc")
		got := l.passed(l.read(r, "POST"))
		got.lacks(t, "Expect")
		if got.body != "abc" {
			t.Errorf("E received %q", got.body)
		}
	})
	t.Run("h2", func(t *testing.T) {
		l := l.on(t)
		l.both(t, "GET", "/public/x", []string{"Expect: 100-continue"}, func(l *lab, a answer) { l.passed(a).lacks(l, "Expect") })
	})
}

func TestP061CompressedAnswersPassAsTheyAre(t *testing.T) {
	l := newLab(t, nil)
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	_, _ = w.Write(make([]byte, 1<<20))
	_ = w.Close()
	l.e.answers(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		_, _ = w.Write(packed.Bytes())
	})
	for _, accept := range []string{"Accept-Encoding: gzip", "Accept-Encoding: identity", "X-None: 1"} {
		l.both(t, "GET", "/x", []string{as("alice"), accept}, func(l *lab, a answer) {
			got := l.passed(a)
			if a.body != packed.String() || a.Header.Get("Content-Encoding") != "gzip" {
				l.Errorf("the client received %d bytes, %v", len(a.body), a.Header)
			}
			if _, value, _ := strings.Cut(accept, ": "); strings.HasPrefix(accept, "Accept") && got.Header.Get("Accept-Encoding") != value || strings.HasPrefix(accept, "X") && got.Header["Accept-Encoding"] != nil {
				l.Errorf("E received Accept-Encoding: %q", got.Header["Accept-Encoding"])
			}
		})
	}
}
