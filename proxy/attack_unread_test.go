package proxy

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// What a client announces and never sends (P056, P057): whoever is refused learns so at once, and the connection ends.

// unsent are the ways to announce a body over HTTP/1.1.
var unsent = map[string]string{
	"length":        "Content-Length: 100000",
	"short":         "Content-Length: 5",
	"long":          "Content-Length: 1000000000",
	"no length":     "Transfer-Encoding: chunked",
	"100-continue":  "Content-Length: 5\r\nExpect: 100-continue",
	"never-ending":  "Transfer-Encoding: chunked\r\nExpect: 100-continue",
	"with trailers": "Transfer-Encoding: chunked\r\nTrailer: X",
}

func TestP056P057ARefusalDoesNotWaitForABodyThatNeverComes(t *testing.T) {
	l := newLab(t, func(c *Config, d *Deps) {
		mux := http.NewServeMux()
		mux.HandleFunc("POST /oauth2/form", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "read nothing") })
		d.Own = mux
		c.Routes[2].Limits.MaxBody = 3
		c.Routes = append(c.Routes, Route{Name: "static", Path: "/static", Public: true, Methods: []string{"POST"}, Answer: &Answer{Respond: &Respond{Body: "x"}}})
	})
	for name, c := range map[string]struct {
		target, who string
		status      int
		anyway      bool // also where nothing says how long it is
	}{
		"401":               {"/x", "nobody", 401, true},
		"403":               {"/admin/x", "alice", 403, true},
		"413":               {"/public/x", "nobody", 413, false},
		"400":               {"/x/../y", "nobody", 400, true},
		"404":               {"/oauth2/none", "nobody", 404, true},
		"503":               {"/x", "broken", 503, true},
		"an own endpoint":   {"/oauth2/form", "nobody", 200, true},
		"an answer of ours": {"/static", "nobody", 200, true},
		"forward-auth":      {"/oauth2/auth", "nobody", 401, true},
	} {
		for how, lines := range unsent {
			if !c.anyway && !strings.HasPrefix(lines, "Content-Length: 1") {
				continue
			}
			t.Run(name+" "+how, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					conn := overMemory(t, l.gateway.Config.Handler)
					begun := time.Now()
					go func() {
						_, _ = io.WriteString(conn, request("POST", c.target, as(c.who), lines, "Connection: keep-alive"))
					}()
					r := bufio.NewReader(conn)
					a := l.read(r, "POST")
					if a.StatusCode != c.status || a.cut || !a.Close || len(a.informed) != 0 {
						t.Errorf("answer %s %q, cut: %v, closes: %v, before it %v", a.Status, a.body, a.cut, a.Close, a.informed)
					}
					if took := time.Since(begun); took > atOnce {
						t.Errorf("it took %s", took)
					}
					if _, err := r.ReadByte(); err == nil || time.Since(begun) > lingerWait+time.Second {
						t.Errorf("the connection ends by %v after %s", err, time.Since(begun))
					}
					time.Sleep(time.Second) // net/http closes slowly, for the client to read the answer
				})
			})
		}
	}
}

func TestAConnectionOutlivesARefusalOfABodyThatHasCome(t *testing.T) {
	l := newLab(t, func(_ *Config, d *Deps) { d.Transport = echoes })
	synctest.Test(t, func(t *testing.T) {
		c := overMemory(t, l.gateway.Config.Handler)
		r := bufio.NewReader(c)
		send := func(body, pause string, lines ...string) answer {
			go func() {
				_, _ = io.WriteString(c, request("POST", "/x", append(lines, fmt.Sprint("Content-Length: ", len(body)), "Connection: keep-alive")...))
				if pause != "" {
					time.Sleep(atOnce / 2)
				}
				_, _ = io.WriteString(c, body)
			}()
			return l.read(r, "POST")
		}
		for _, pause := range []string{"", "a moment"} {
			for _, size := range []int{1, 3000, smallBody} {
				if a := send(strings.Repeat("a", size), pause); a.StatusCode != http.StatusUnauthorized || a.Close {
					t.Fatalf("%d bytes: answer %s, closes: %v", size, a.Status, a.Close)
				}
			}
		}
		time.Sleep(time.Minute) // no limit of what is over may be found by who watches the connection
		if a := send("abc", "", as("alice")); a.StatusCode != http.StatusOK || a.body != "abc" {
			t.Errorf("answer %s %q", a.Status, a.body)
		}
	})
}

// echoes is an upstream that answers before the body has come, with that.
var echoes = roundTrip(func(r *http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, ContentLength: -1, Body: r.Body}, nil
})

func TestABodyThatNobodyReadsIsNoRequest(t *testing.T) {
	l := newLab(t, nil)
	inner := request("GET", "/public/smuggled")
	for name, text := range map[string]string{
		"said too short":    "Content-Length: 5\r\n\r\nabc",
		"chunks":            fmt.Sprintf("Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", len(inner), inner),
		"in one piece":      fmt.Sprintf("Content-Length: %d\r\n\r\n%s", len(inner), inner),
		"more than is read": fmt.Sprintf("Content-Length: %d\r\n\r\n%s", smallBody+1, strings.Repeat(inner, smallBody/len(inner)+1)[:smallBody+1]),
		"expected":          fmt.Sprintf("Expect: 100-continue\r\nContent-Length: %d\r\n\r\n%s", len(inner), inner),
	} {
		t.Run(name, func(t *testing.T) {
			l := l.on(t)
			for i, a := range l.all("POST /x HTTP/1.1\r\nHost: app.test\r\n" + text) {
				if i > 0 || a.StatusCode != http.StatusUnauthorized && a.StatusCode != http.StatusBadRequest {
					t.Errorf("answer %d: %s", i, a.Status)
				}
			}
			l.untouched()
		})
	}
}

func TestAnEarlyAnswerToWhatIsForwardedReadsNothingOfItsBody(t *testing.T) {
	l := newLab(t, func(_ *Config, d *Deps) { d.Transport = echoes })
	synctest.Test(t, func(t *testing.T) {
		c := overMemory(t, l.gateway.Config.Handler)
		go func() {
			_, _ = io.WriteString(c, request("POST", "/x", as("alice"), "Content-Length: 6", "Connection: keep-alive"))
			time.Sleep(time.Hour) // a stream in both directions takes its time
			_, _ = io.WriteString(c, "abcdef")
		}()
		if a := l.read(bufio.NewReader(c), "POST"); a.body != "abcdef" || !a.Close {
			t.Errorf("answer %s %q, closes: %v", a.Status, a.body, a.Close)
		}
	})
}
