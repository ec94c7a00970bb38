package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

// Values of -compare about tokens. In each, rp-inject is asked the very same as doorward and injects a token as long as the one
// that doorward puts into its place.
const (
	compareBearer      = "bearer"
	compareExchange    = "exchange"
	compareCredentials = "credentials"
)

// tokenGoal is the budget for a request with a cached verdict or a cached token.
const tokenGoal = 1.05

// bearerComparison is a program that brings an access token, a JWT, which goes on to the API.
func (s *stage) bearerComparison(ctx context.Context) (comparison, error) {
	token, err := s.mint()
	if err != nil {
		return comparison{}, err
	}
	ours := s.program(s.ourAt, s.host(), "/api", "Authorization: Bearer "+token+"\r\n")
	return s.tokenComparison(ctx, ours)
}

// exchangeComparison is a person's browser at a route for which their access token is exchanged.
func (s *stage) exchangeComparison(ctx context.Context) (comparison, error) {
	return s.tokenComparison(ctx, s.target("doorward", s.doorward.pid(), s.ourAt, "/orders", "Cookie: "+s.cookie))
}

// credentialsComparison is a local application that calls an API by the egress listener, where a token of doorward's own is added.
func (s *stage) credentialsComparison(ctx context.Context) (comparison, error) {
	return s.tokenComparison(ctx, s.program(s.egressAt, s.egressAt, "/data", ""))
}

// tokenComparison finds out which token reaches the upstream, which also fills the cache, and has rp-inject inject it.
func (s *stage) tokenComparison(ctx context.Context, ours *target) (comparison, error) {
	token, err := ours.arriving(ctx)
	if err != nil {
		return comparison{}, err
	}
	bare, err := s.bareTarget(ctx, token, ours.request)
	return comparison{first: bare, second: ours, token: token, what: "CPU per request", figure: micros, goal: tokenGoal, cached: true}, err
}

// program is a target that is asked as programs ask: without what only browsers send. headers are whole lines.
func (s *stage) program(address, host, prefix, headers string) *target {
	request := "GET " + prefix + "/reports/2026?page=7 HTTP/1.1\r\nHost: " + host + "\r\n" +
		"User-Agent: nightly-backup/4.2\r\nAccept: application/json\r\nAccept-Encoding: gzip\r\n" + headers + "\r\n"
	return &target{name: "doorward", pid: s.doorward.pid(), address: address, request: []byte(request), size: s.options.size}
}

// arriving is the token that reaches the upstream with this target's request.
func (t *target) arriving(ctx context.Context) (string, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", t.address)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := conn.Write(t.asking()); err != nil {
		return "", err
	}
	return tokenIn(conn)
}

// asking is the request for the page that shows the token.
func (t *target) asking() []byte {
	return []byte(strings.Replace(string(t.request), "/reports/2026?page=7", tokenPath, 1))
}

// tokenIn reads an answer that is the token that arrived.
func tokenIn(conn net.Conn) (string, error) {
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	token, bearer := strings.CutPrefix(string(body), "Bearer ")
	if err == nil && (res.StatusCode != http.StatusOK || !bearer) {
		err = fmt.Errorf("%w: %s %.300q", errUnexpected, res.Status, body)
	}
	return token, err
}
