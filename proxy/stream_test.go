package proxy

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// Bodies pass as they come, in both directions.

func TestR9AnEventArrivesBeforeTheNextIsSent(t *testing.T) {
	for _, header := range []string{"Content-Type: text/event-stream", "Content-Type: text/plain", "Content-Type: application/grpc"} {
		t.Run(header, func(t *testing.T) {
			l := newLab(t, nil)
			next := make(chan string)
			l.e.answers(func(w http.ResponseWriter, r *http.Request) {
				name, value, _ := strings.Cut(header, ": ")
				w.Header().Set(name, value)
				w.WriteHeader(http.StatusOK)
				for rc := http.NewResponseController(w); rc.Flush() == nil; {
					select {
					case s := <-next:
						_, _ = io.WriteString(w, s)
					case <-r.Context().Done():
						return
					}
				}
			})
			c := l.write(request("GET", "/x", as("alice"), "Connection: keep-alive"))
			res, err := http.ReadResponse(bufio.NewReader(c), nil) // arrives although no event was sent
			if err != nil || res.StatusCode != http.StatusOK {
				t.Fatalf("answer %v, %v", res, err)
			}
			for i := range 3 {
				event := fmt.Sprintf("data: %d\n\n", i)
				next <- event
				got := make([]byte, len(event))
				if _, err := io.ReadFull(res.Body, got); err != nil || string(got) != event {
					t.Fatalf("read %q, %v", got, err)
				}
			}
		})
	}
}

func TestR9BothDirectionsAtOnce(t *testing.T) {
	l := newLab(t, nil)
	l.e.streams(func(w http.ResponseWriter, r *http.Request) {
		rc := http.NewResponseController(w)
		_ = rc.EnableFullDuplex()
		w.WriteHeader(http.StatusOK)
		_ = rc.Flush()
		buf := make([]byte, 1)
		for {
			if _, err := io.ReadFull(r.Body, buf); err != nil {
				return
			}
			_, _ = w.Write(buf)
			_ = rc.Flush()
		}
	})
	t.Run("h1", func(t *testing.T) {
		c := l.write(request("POST", "/x", as("alice"), "Transfer-Encoding: chunked", "Connection: keep-alive"))
		res, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil || res.StatusCode != http.StatusOK || !res.Close {
			t.Fatalf("answer %v, %v", res, err)
		}
		for _, s := range []string{"a", "b", "c"} {
			_, _ = io.WriteString(c, "1\r\n"+s+"\r\n")
			got := make([]byte, 1)
			if _, err := io.ReadFull(res.Body, got); err != nil || string(got) != s {
				t.Fatalf("read %q, %v", got, err)
			}
		}
		_, _ = io.WriteString(c, "0\r\n\r\n")
		if rest, err := io.ReadAll(res.Body); err != nil || len(rest) != 0 {
			t.Errorf("after the end: %q, %v", rest, err)
		}
	})
	t.Run("h2", func(t *testing.T) {
		h := l.on(t).h2()
		h.headers(1, false, ":method: POST", ":scheme: https", ":authority: app.test", ":path: /x", "cookie: __Host-doorward=alice")
		for _, s := range []string{"a", "b", "c"} {
			h.data(1, false, s)
			if got := h.readData(1); got != s {
				t.Fatalf("read %q", got)
			}
		}
		h.data(1, true, "")
		if a := h.read(1); a.body != "" {
			t.Errorf("after the end: %q", a.body)
		}
	})
}

const large = 256 << 20

// zeros is that many bytes, made as they are read.
type zeros int64

func (z *zeros) Read(p []byte) (int, error) {
	if *z == 0 {
		return 0, io.EOF
	}
	n := min(len(p), int(*z))
	clear(p[:n])
	*z -= zeros(n)
	return n, nil
}

// allocated returns how many bytes the process allocated while f ran. The client and the
// upstream are in it as well: it bounds what the gateway may have kept.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

func TestR10LargeBodiesPassInConstantMemory(t *testing.T) {
	l := newLab(t, nil)
	received := make(chan int64, 1)
	l.e.streams(func(w http.ResponseWriter, r *http.Request) {
		n, _ := io.Copy(io.Discard, r.Body)
		received <- n
		if r.Method == http.MethodGet {
			z := zeros(large)
			_, _ = io.Copy(w, &z)
		}
	})
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	do := func(method string, body io.Reader, length int64) {
		r, err := http.NewRequest(method, l.gateway.URL+"/x", body)
		if err != nil {
			t.Fatal(err)
		}
		r.Host, r.ContentLength = "app.test", length
		r.Header.Set("Cookie", "__Host-doorward=alice")
		res, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = res.Body.Close() }()
		n, err := io.Copy(io.Discard, res.Body)
		if want := int64(large); err != nil || res.StatusCode != http.StatusOK || method == http.MethodGet && n != want {
			t.Errorf("%s: %s, %d bytes, %v", method, res.Status, n, err)
		}
		if n := <-received; method == http.MethodPut && n != large {
			t.Errorf("E received %d bytes", n)
		}
	}
	for name, f := range map[string]func(){
		"upload":         func() { z := zeros(large); do("PUT", &z, large) },
		"chunked upload": func() { z := zeros(large); do("PUT", &z, -1) },
		"download":       func() { do("GET", nil, 0) },
	} {
		t.Run(name, func(t *testing.T) {
			if n := allocated(f); n > 8<<20 {
				t.Errorf("%d MiB were allocated for 256 MiB", n>>20)
			}
		})
	}
}

func TestR10ASlowUploadIsNotCut(t *testing.T) {
	l := newLab(t, func(_ *Config, d *Deps) {
		d.Transport = roundTrip(func(r *http.Request) (*http.Response, error) {
			n, err := io.Copy(io.Discard, r.Body)
			return &http.Response{StatusCode: http.StatusOK, Header: http.Header{"X-Got": {strconv.FormatInt(n, 10)}}, Body: http.NoBody}, err
		})
	})
	synctest.Test(t, func(t *testing.T) {
		conn := overMemory(t, l.gateway.Config.Handler)
		begun := time.Now()
		go func() {
			_, _ = io.WriteString(conn, request("POST", "/x", as("alice"), "Content-Length: 100"))
			for range 100 {
				time.Sleep(20 * time.Second)
				_, _ = io.WriteString(conn, "a")
			}
		}()
		if a := l.read(bufio.NewReader(conn), "POST"); a.Header.Get("X-Got") != "100" || time.Since(begun) != 2000*time.Second {
			t.Errorf("answer %s %v after %s", a.Status, a.Header, time.Since(begun))
		}
	})
}

func TestTrailersOfAnswersPass(t *testing.T) {
	l := newLab(t, nil)
	l.e.answers(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Trailer", "Grpc-Status")
		_, _ = io.WriteString(w, "E")
		w.Header().Set("Grpc-Status", "0")
		w.Header().Set(http.TrailerPrefix+"Grpc-Message", "fine")
	})
	l.both(t, "GET", "/x", []string{as("alice")}, func(l *lab, a answer) {
		l.passed(a)
		got := a.Trailer
		if a.ProtoMajor == 2 {
			got = a.Header
		}
		if got.Get("Grpc-Status") != "0" || got.Get("Grpc-Message") != "fine" || a.body != "E" {
			l.Errorf("the client receives %v", got)
		}
	})
}

func TestInformationalAnswers(t *testing.T) {
	l := newLab(t, nil)
	l.e.answers(func(w http.ResponseWriter, _ *http.Request) {
		h := w.Header()
		h.Set("Link", "</style.css>; rel=preload")
		h.Set("Set-Cookie", "__Host-doorward=evil")
		h.Set("X-Early", "1")
		w.WriteHeader(http.StatusEarlyHints)
		w.WriteHeader(http.StatusProcessing)
		h.Del("Set-Cookie")
		h.Set("X-Late", "1")
		_, _ = io.WriteString(w, "E")
	})
	c := l.write(request("GET", "/x", as("renewed")))
	r := bufio.NewReader(c)
	hints, err := http.ReadResponse(r, nil)
	if err != nil || hints.StatusCode != http.StatusEarlyHints || hints.Header.Get("Link") == "" || len(hints.Header) != 1 {
		t.Fatalf("first comes %v, %v", hints, err)
	}
	a := l.read(r, "GET")
	l.passed(a)
	if len(a.informed) != 0 || a.Header.Get("X-Late") != "1" || len(a.Header["Link"]) != 1 {
		t.Errorf("then comes %v %v", a.informed, a.Header)
	}
	if s := a.Header["Set-Cookie"]; len(s) != 1 || !strings.HasPrefix(s[0], "__Host-doorward=renewed") { // ours is not lost, theirs does not pass
		t.Errorf("Set-Cookie: %q", s)
	}
}

func TestAnEarlyAnswerDoesNotWaitForTheUpload(t *testing.T) {
	l := newLab(t, nil)
	l.e.streams(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusRequestEntityTooLarge) })
	c := l.write(request("POST", "/x", as("alice"), "Content-Length: 1000000000", "Connection: keep-alive") + "the beginning")
	if a := l.read(bufio.NewReader(c), "POST"); a.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("answer %s", a.Status)
	}
	h := l.h2()
	h.headers(1, false, ":method: POST", ":scheme: https", ":authority: app.test", ":path: /x", "cookie: __Host-doorward=alice", "content-length: 1000000000")
	h.data(1, false, "the beginning")
	if a := h.read(1); a.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("h2: answer %s", a.Status)
	}
}

func TestAConnectionOutlivesUploadsThatAreReadToTheirEnd(t *testing.T) {
	l := newLab(t, nil)
	c := l.dial()
	r := bufio.NewReader(c)
	for range 20 {
		for _, body := range []string{"Content-Length: 3\r\n\r\nabc", "Content-Length: 0\r\n\r\n"} { // but see P050 of chunked ones
			_, _ = io.WriteString(c, "POST /x HTTP/1.1\r\nHost: app.test\r\n"+as("alice")+"\r\n"+body)
			a := l.read(r, "POST")
			if got := l.passed(a); a.Close || got.body != "abc" && !strings.HasPrefix(body, "Content-Length: 0") {
				t.Fatalf("answer %s, closed: %v, E received %q", a.Status, a.Close, got.body)
			}
		}
	}
}

func TestP056WhatIsLeftOfAnUploadMayNotTakeForEverEither(t *testing.T) {
	l := newLab(t, func(_ *Config, d *Deps) {
		d.Transport = roundTrip(func(*http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: http.StatusRequestEntityTooLarge, Header: http.Header{}, Body: http.NoBody}, nil
		})
	})
	synctest.Test(t, func(t *testing.T) {
		conn := overMemory(t, l.gateway.Config.Handler)
		var client sync.WaitGroup
		client.Go(func() {
			_, err := io.WriteString(conn, request("POST", "/x", as("alice"), "Content-Length: 1000", "Connection: keep-alive"))
			for ; err == nil; time.Sleep(5 * time.Second) {
				_, err = io.WriteString(conn, "a")
			}
		})
		begun := time.Now()
		r := bufio.NewReader(conn)
		if a := l.read(r, "POST"); a.StatusCode != http.StatusRequestEntityTooLarge || time.Since(begun) != 0 {
			t.Errorf("answer %s after %s", a.Status, time.Since(begun))
		}
		if _, err := r.ReadByte(); err == nil {
			t.Error("something follows the answer")
		}
		if took := time.Since(begun); took > bodyWait+time.Second {
			t.Errorf("the connection was held for %s", took)
		}
		_ = conn.Close()
		client.Wait()
	})
}
