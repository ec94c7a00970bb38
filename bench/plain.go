package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Values of -compare about other proxies, and about being asked by one.
const (
	compareForwardAuth = "forward-auth"
	compareNginx       = "nginx"
	compareHAProxy     = "haproxy"
	compareRoutes      = "routes"
)

// authGoal is the processor time of an answer to another proxy, in microseconds.
const authGoal = 40

// forwardAuthComparison has doorward asked as nginx asks, about the page that rp-inject is asked for.
func (s *stage) forwardAuthComparison(ctx context.Context) (comparison, error) {
	page := s.ourTarget()
	bare, err := s.bareTarget(ctx, s.token, page.request)
	question := "GET /oauth2/auth HTTP/1.1\r\nHost: " + s.host() + "\r\n" +
		"X-Forwarded-Uri: /reports/2026?page=7\r\nX-Forwarded-Method: GET\r\nX-Forwarded-For: 192.0.2.7\r\n" +
		strings.SplitN(string(page.request), "\r\n", 3)[2]
	asked := &target{name: "doorward", pid: page.pid, address: page.address, request: []byte(question), status: fmt.Sprint(http.StatusAccepted)}
	return comparison{first: bare, second: asked, token: s.token, what: "CPU per answer, µs,", figure: micros, most: authGoal}, err
}

// plainComparison has another proxy inject the token. It knows nobody and judges nothing, like rp-inject.
func (s *stage) plainComparison(ctx context.Context) (comparison, error) {
	ours := s.ourTarget()
	at, err := freeAddress()
	if err != nil {
		return comparison{}, err
	}
	cmd, err := s.plainProxy(at)
	if err != nil {
		return comparison{}, err
	}
	c, err := startChild(ctx, cmd, 1, func() bool { return listens(at) })
	if err != nil {
		return comparison{}, err
	}
	s.closers = append(s.closers, c.stop)
	other := &target{name: s.options.compare, pid: c.pid(), address: at, request: ours.request, size: s.options.size}
	return comparison{first: other, second: ours, token: s.token, what: "CPU per request", figure: micros}, nil
}

// plainProxy is nginx or HAProxy in one process, with an access log as nginx has it by default.
func (s *stage) plainProxy(at string) (*exec.Cmd, error) {
	name := s.options.compare
	if _, err := exec.LookPath(name); err != nil {
		return nil, fmt.Errorf("%w: it is a package of Debian", err)
	}
	upstream := strings.TrimPrefix(s.upstream, "http://")
	file, text, args := filepath.Join(s.dir, name+".conf"), "", []string(nil)
	switch name {
	case compareNginx:
		text = fmt.Sprintf(nginxConfiguration, s.dir, at, upstream, s.token)
		args = []string{"-p", s.dir, "-c", file, "-e", filepath.Join(s.dir, "nginx.error")}
	case compareHAProxy:
		text = fmt.Sprintf(haproxyConfiguration, at, upstream, s.token)
		args = []string{"-db", "-f", file}
	}
	return exec.Command(name, args...), os.WriteFile(file, []byte(text), 0o600)
}

const nginxConfiguration = `daemon off;
master_process off;
pid %[1]s/nginx.pid;
events { worker_connections 2048; }
http {
  access_log %[1]s/nginx.log;
  client_body_temp_path %[1]s/body;
  proxy_temp_path %[1]s/proxy;
  fastcgi_temp_path %[1]s/fastcgi;
  uwsgi_temp_path %[1]s/uwsgi;
  scgi_temp_path %[1]s/scgi;
  keepalive_requests 1000000000;
  upstream app { server %[3]s; keepalive 512; keepalive_requests 1000000000; }
  server {
    listen %[2]s;
    location / {
      proxy_pass http://app;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Host $http_host;
      proxy_set_header Cookie "";
      proxy_set_header X-Forwarded-For $remote_addr;
      proxy_set_header Authorization "Bearer %[4]s";
    }
  }
}
`

const haproxyConfiguration = `global
  nbthread 1
  maxconn 4000
defaults
  mode http
  timeout client 1m
  timeout server 1m
  timeout connect 5s
  option http-keep-alive
frontend in
  bind %s
  http-request del-header Cookie
  http-request set-header X-Forwarded-For %%[src]
  default_backend app
backend app
  http-reuse always
  server app %s
  http-request set-header Authorization "Bearer %s"
`

// routesComparison has the same page behind a few routes and behind many, for one person.
func (s *stage) routesComparison(ctx context.Context) (comparison, error) {
	if s.options.store != "bolt" {
		return comparison{}, fmt.Errorf("-compare %s: only with -store bolt", compareRoutes)
	}
	var both [2]*target
	for i, n := range [2]int{10, s.options.routes} {
		var err error
		if both[i], err = s.crowdedTarget(ctx, fmt.Sprintf("routes-%d", n), 1, 1, n); err != nil {
			return comparison{}, err
		}
		both[i].name = fmt.Sprintf("%d routes", n)
	}
	return comparison{first: both[0], second: both[1], token: strings.Repeat("x", sessionToken), what: "CPU per request", figure: micros, goal: tokenGoal, cached: true}, nil
}

// furtherRoutes are routes of the same host that nobody asks for.
func (s *stage) furtherRoutes(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "[[route]]\nname = \"further-%d\"\nhost = %q\npath = \"/further/%d/%d\"\nupstream = [%q]\nlogin = [\"staff\"]\n", i, s.origin, i%100, i, s.upstream)
	}
	return b.String()
}
