package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/doorward/doorward/demo/idp"
)

// gathering is how long the provider lets everybody wait after the last request was sent, so that all of them are at the
// gateway when the token comes. Less than a provider may take, or than a request may wait.
const gathering = 2 * time.Second

// runCrowd counts how often the provider is asked when many requests at once need a token that is not there: one of a person,
// by exchange, and one of doorward's own. An error ends it unless it is once each.
func runCrowd(ctx context.Context, o options) error {
	s, err := newStage(ctx, o)
	if err != nil {
		return err
	}
	defer s.close()
	for _, c := range []struct {
		name string
		t    *target
	}{
		{"a token to be exchanged, one session", s.target("doorward", s.doorward.pid(), s.ourAt, "/orders", "Cookie: "+s.cookie)},
		{"a token by client credentials", s.program(s.egressAt, s.egressAt, "/data", "")},
	} {
		asked, err := s.crowd(ctx, c.t)
		if err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
		fmt.Printf("%s: %d requests at once, all with the same token, %d at the provider\n", c.name, o.crowd, asked)
		if asked != 1 {
			return fmt.Errorf("%s: the provider was asked %d times", c.name, asked)
		}
	}
	return nil
}

// crowd sends the requests while the provider holds its answer back, and returns how many token requests there were.
func (s *stage) crowd(ctx context.Context, t *target) (asked int, err error) {
	conns := make([]net.Conn, s.options.crowd)
	defer func() {
		for _, c := range conns {
			if c != nil {
				_ = c.Close()
			}
		}
	}()
	before := s.idp.Count(idp.Token)
	release := sync.OnceFunc(s.gate.hold())
	defer release()
	failures := make([]error, len(conns))
	var wg sync.WaitGroup
	for i := range conns {
		wg.Go(func() { conns[i], failures[i] = t.send(ctx) })
	}
	wg.Wait()
	if err := errors.Join(failures...); err != nil {
		return 0, err
	}
	time.Sleep(gathering)
	if s.gate.held.Load() == 0 {
		return 0, errors.New("the provider was not asked: the token was there before")
	}
	release()
	tokens := make([]string, len(conns))
	for i := range conns {
		wg.Go(func() { tokens[i], failures[i] = tokenIn(conns[i]) })
	}
	wg.Wait()
	if err := errors.Join(failures...); err != nil {
		return 0, err
	}
	for _, token := range tokens {
		if token != tokens[0] {
			return 0, errors.New("not all requests went on with the same token")
		}
	}
	return s.idp.Count(idp.Token) - before, nil
}

// send leaves the answer to be read from the connection.
func (t *target) send(ctx context.Context) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", t.address)
	if err != nil {
		return nil, err
	}
	_ = conn.SetDeadline(time.Now().Add(30 * time.Second))
	_, err = conn.Write(t.asking())
	return conn, err
}
