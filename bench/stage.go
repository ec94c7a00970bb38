package main

import (
	"context"
	"encoding/base64"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/doorward/doorward/demo/idp"
)

// stage is everything that a run needs: the upstream and an identity provider in this
// process, the two gateways each in its own.
type stage struct {
	options  options
	dir      string
	upstream string
	issuer   string
	idp      *idp.Server
	gate     gate
	origin   string // of doorward
	doorward *child
	ourAt    string
	egressAt string // where its applications call, in comparisons that have any
	cookie   string
	token    string
	closers  []func()
}

func (s *stage) close() {
	for i := len(s.closers) - 1; i >= 0; i-- {
		s.closers[i]()
	}
}

func newStage(ctx context.Context, o options) (s *stage, err error) {
	s = &stage{options: o}
	made := s
	defer func() {
		if err != nil {
			made.close()
		}
	}()
	if s.dir, err = os.MkdirTemp("", "doorward-bench-"); err != nil {
		return nil, err
	}
	s.closers = append(s.closers, func() { _ = os.RemoveAll(s.dir) })
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	go serveUpstream(l, o.size)
	s.closers = append(s.closers, func() { _ = l.Close() })
	s.upstream = "http://" + l.Addr().String()
	if s.ourAt, err = freeAddress(); err != nil {
		return nil, err
	}
	if s.egressAt, err = freeAddress(); err != nil {
		return nil, err
	}
	s.origin = "http://localhost" + s.ourAt[strings.LastIndexByte(s.ourAt, ':'):]
	if s.issuer, err = s.serve(s.provider); err != nil {
		return nil, err
	}
	if s.doorward, err = s.startDoorward(ctx, s.ourAt, "first", 0); err != nil {
		return nil, err
	}
	if s.cookie, s.token, err = signIn(ctx, s.origin, s.ourAt); err != nil {
		return nil, fmt.Errorf("signing in: %w", err)
	}
	return s, nil
}

// serve runs a handler on a loopback port of its own and returns its URL.
func (s *stage) serve(handler func(url string) (http.Handler, error)) (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	url := "http://" + l.Addr().String()
	h, err := handler(url)
	if err != nil {
		return "", err
	}
	server := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = server.Serve(l) }()
	s.closers = append(s.closers, func() { _ = server.Close() })
	return url, nil
}

// startDoorward runs a gateway that listens at an address and keeps its state by itself. routes are further ones.
func (s *stage) startDoorward(ctx context.Context, at, name string, routes int) (*child, error) {
	binary := s.options.binary
	if binary == "" {
		binary = filepath.Join(s.dir, "doorward")
		s.options.binary = binary
		build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags=-s -w", "-o", binary, "github.com/doorward/doorward/cmd/doorward")
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("building doorward: %w\n%s", err, out)
		}
	}
	keys := ""
	if s.options.store == "cookie" {
		keys = `keys = ["MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="]`
	}
	file := filepath.Join(s.dir, name+".toml")
	text := fmt.Sprintf(configuration, filepath.Join(s.dir, name), at, s.options.store, keys, s.issuer, s.origin, s.upstream)
	listen, tables := s.machines()
	text = strings.Replace(text, "[listen]\n", "[listen]\n"+listen, 1) + s.furtherRoutes(routes) + tables
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return nil, err
	}
	// The access log is written as in production, to a file.
	log, err := os.Create(filepath.Join(s.dir, name+".log"))
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(binary, "serve", "--config", file)
	cmd.Stderr = log
	c, err := startChild(ctx, cmd, 1, func() bool { return listens(at) })
	_ = log.Close()
	if err == nil {
		s.closers = append(s.closers, c.stop)
	}
	return c, err
}

// bareTarget starts rp-inject, which injects this token, and asks it what the other one is asked.
func (s *stage) bareTarget(ctx context.Context, token string, request []byte) (*target, error) {
	at, err := freeAddress()
	if err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	if err := os.Setenv("BENCH_TOKEN", token); err != nil {
		return nil, err
	}
	c, err := startChild(ctx, exec.Command(self, roleBare, at, s.upstream, s.options.base), 1, func() bool { return listens(at) })
	if err != nil {
		return nil, err
	}
	s.closers = append(s.closers, c.stop)
	return &target{name: "rp-inject", pid: c.pid(), address: at, request: request, size: s.options.size}, nil
}

// bareComparison gives both the very same request, the cookie included.
func (s *stage) bareComparison(ctx context.Context) (comparison, error) {
	ours := s.ourTarget()
	bare, err := s.bareTarget(ctx, s.token, ours.request)
	return comparison{first: bare, second: ours, token: s.token, what: "CPU per request", figure: micros, goal: tokenGoal}, err
}

func (s *stage) ourTarget() *target {
	return s.target("doorward", s.doorward.pid(), s.ourAt, "", "Cookie: "+s.cookie)
}

// basicTarget is the same page by a program that sends a name and a password with each request. The same
// gateway answers it.
func (s *stage) basicTarget() *target {
	proof := base64.StdEncoding.EncodeToString([]byte("alice:alice"))
	return s.target("with Basic", s.doorward.pid(), s.ourAt, "/git", "Authorization: Basic "+proof)
}

func (s *stage) target(name string, pid int, address, prefix, proof string) *target {
	request := "GET " + prefix + "/reports/2026?page=7 HTTP/1.1\r\nHost: " + s.host() + "\r\n" +
		"User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36\r\n" +
		"Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\nAccept-Language: en\r\n" +
		"Sec-Fetch-Site: same-origin\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: document\r\n" + proof + "\r\n\r\n"
	return &target{name: name, pid: pid, address: address, request: []byte(request), size: s.options.size}
}

// host is doorward's, as it stands in requests.
func (s *stage) host() string { return strings.TrimPrefix(s.origin, "http://") }

func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}

func listens(address string) bool {
	conn, err := net.DialTimeout("tcp", address, time.Second)
	if err != nil {
		return false
	}
	_ = conn.Close()
	return true
}
