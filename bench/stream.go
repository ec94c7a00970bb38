package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"
)

// streamSize reads "10GiB".
func streamSize(text string) (int64, error) {
	for suffix, shift := range map[string]int{"GiB": 30, "MiB": 20} {
		if number, ok := strings.CutSuffix(text, suffix); ok {
			n, err := strconv.ParseInt(number, 10, 64)
			if err == nil && n > 0 && n < 1<<20 {
				return n << shift, nil
			}
		}
	}
	return 0, fmt.Errorf("-stream: %q is no size such as 10GiB or 500MiB", text)
}

// runStream sends one body of that size through the gateway, as a person who is signed in, and fetches one, and tells the
// highest resident memory that the gateway ever had.
func runStream(ctx context.Context, o options) error {
	size, err := streamSize(o.stream)
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	received := make(chan int64, 1)
	server := &http.Server{ReadHeaderTimeout: 10 * time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPut {
			n, _ := io.Copy(io.Discard, r.Body)
			received <- n
			return
		}
		_, _ = io.CopyN(w, zeros{}, size)
	})}
	go func() { _ = server.Serve(l) }()
	defer func() { _ = server.Close() }()
	o.streamAt = "http://" + l.Addr().String()
	s, err := newStage(ctx, o)
	if err != nil {
		return err
	}
	defer s.close()
	before, err := peakMemory(s.doorward.pid())
	if err != nil {
		return err
	}
	fmt.Printf("%-10s peak RSS %d MB\n", "idle", before>>20)
	for _, d := range []struct {
		name, method string
		length       int64
	}{{"upload", http.MethodPut, size}, {"chunked", http.MethodPut, -1}, {"download", http.MethodGet, 0}} {
		begun := time.Now()
		n, err := s.stream(ctx, d.method, size, d.length)
		if err == nil && d.method == http.MethodPut {
			n = <-received
		}
		if err == nil && n != size {
			err = fmt.Errorf("%d of %d bytes arrived", n, size)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", d.name, err)
		}
		peak, err := peakMemory(s.doorward.pid())
		if err != nil {
			return err
		}
		fmt.Printf("%-10s peak RSS %d MB, %.0f MB/s\n", d.name, peak>>20, float64(size)/1e6/time.Since(begun).Seconds())
	}
	return nil
}

// stream makes one request, and returns how many bytes of answer it got.
func (s *stage) stream(ctx context.Context, method string, size, length int64) (int64, error) {
	var body io.Reader
	if method == http.MethodPut {
		body = io.LimitReader(zeros{}, size)
	}
	r, err := http.NewRequestWithContext(ctx, method, "http://"+s.ourAt+"/stream/x", body)
	if err != nil {
		return 0, err
	}
	r.Host, r.ContentLength = s.host(), length
	r.Header.Set("Cookie", s.cookie)
	res, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	n, err := io.Copy(io.Discard, res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = errors.New(res.Status)
	}
	return n, err
}

// streamTables is the route of such bodies.
func (s *stage) streamTables() string {
	return fmt.Sprintf("[[route]]\nname = \"stream\"\nhost = %q\npath = \"/stream\"\nupstream = [%q]\nlogin = [\"staff\"]\ncredential = \"session\"\n", s.origin, s.options.streamAt)
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// peakMemory is the highest resident memory of a process so far.
func peakMemory(pid int) (int64, error) {
	f, err := os.Open(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if rest, ok := strings.CutPrefix(lines.Text(), "VmHWM:"); ok {
			kb, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")), 10, 64)
			return kb * 1024, err
		}
	}
	return 0, errors.New("no VmHWM")
}
