package edge

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"
)

// Limits on a connection. A proxy must support slow transfers, so there is no deadline
// for a whole request or answer; what is bounded is the time in which nothing has been
// authorised yet (attack P053) and the size of what is kept in memory (P054).
const (
	readHeaderTimeout = 10 * time.Second
	idleTimeout       = 2 * time.Minute
	maxHeaderBytes    = 64 << 10
)

// Limits on an HTTP/2 connection (P055). What a client can make us do without reading what we answer, or by resetting what
// it asked for, is bounded by net/http itself: header blocks by maxHeaderBytes, handlers that run by maxStreams, queued
// answers to PING and SETTINGS by a number, and each ends the connection when it is exceeded.
//
// A ping finds out whether a silent peer is still there. Its answer may take minutes where the line is slow: the ping stands
// behind all that is on its way already, which at 1 KB/s is a minute for each 64 KB.
const (
	maxStreams  = 250
	pingAfter   = time.Minute
	pingWait    = 5 * time.Minute // as long nothing may be taken by a peer for which something waits
	maxFrame    = 64 << 10        // bytes, of one that we read
	headerTable = 4 << 10         // bytes; what RFC 7541 has without a word
)

// Config says where to listen.
type Config struct {
	HTTP   string // "host:port" or "unix:/path"
	Admin  string // the same; "" = off
	Egress string // the same
	// ExtAuthz is the same, and speaks HTTP/2 without TLS: gRPC.
	ExtAuthz string
	Drain    time.Duration // how long requests in flight may take at shutdown; 0 = 30 s
}

// Deps are the handlers behind the listeners.
type Deps struct {
	Public http.Handler
	Admin  http.Handler
	Egress http.Handler // nil = off

	ExtAuthz http.Handler // nil = off
	Log      *slog.Logger
}

// Server holds the listeners of one process.
type Server struct {
	config  Config
	servers []*listening
	log     *slog.Logger
}

type listening struct {
	name, address string
	server        *http.Server
	listener      net.Listener
}

// New prepares a server; nothing is opened before [Server.Listen].
func New(c Config, d Deps) (*Server, error) {
	if c.HTTP == "" || d.Public == nil || d.Log == nil {
		return nil, errors.New("edge: an address, a handler and a logger are needed")
	}
	if c.Drain <= 0 {
		c.Drain = 30 * time.Second
	}
	s := &Server{config: c, log: d.Log}
	s.add(public, c.HTTP, d.Public)
	if c.Egress != "" && d.Egress != nil {
		s.add("egress", c.Egress, d.Egress)
	}
	if c.ExtAuthz != "" && d.ExtAuthz != nil {
		s.addHTTP2("ext_authz", c.ExtAuthz, d.ExtAuthz)
	}
	if c.Admin != "" && d.Admin != nil {
		s.add("admin", c.Admin, d.Admin)
	}
	return s, nil
}

// public is the name of the listener that the world speaks to.
const public = "http"

// protocols are those of a listener. The public one speaks HTTP/2 without TLS to whoever begins with it, which gRPC clients
// and load balancers do ("prior knowledge", RFC 9113 §3.3), and never by Upgrade, which carried requests past proxies in
// front (P049).
func protocols(plural bool) *http.Protocols {
	p := new(http.Protocols)
	p.SetHTTP1(true)
	p.SetUnencryptedHTTP2(plural)
	return p
}

func (s *Server) add(name, address string, h http.Handler) {
	s.servers = append(s.servers, &listening{name: name, address: address, server: &http.Server{
		Handler:           closeOldConnections(h),
		ReadHeaderTimeout: readHeaderTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		// "OPTIONS *" is answered by the handler too: net/http would answer for any host.
		DisableGeneralOptionsHandler: true,
		ErrorLog:                     slog.NewLogLogger(quiet{s.log.Handler()}, slog.LevelDebug),
		Protocols:                    protocols(name == public),
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams: maxStreams, MaxReadFrameSize: maxFrame, MaxDecoderHeaderTableSize: headerTable,
			SendPingTimeout: pingAfter, PingTimeout: pingWait, WriteByteTimeout: pingWait,
		},
	}})
}

// addHTTP2 adds a listener for HTTP/2 alone, by prior knowledge (RFC 9113 §3.3).
func (s *Server) addHTTP2(name, address string, h http.Handler) {
	s.add(name, address, h)
	last := s.servers[len(s.servers)-1]
	last.server.Protocols = new(http.Protocols)
	last.server.Protocols.SetUnencryptedHTTP2(true)
}

// Listen opens every listener, so that a port in use is told before anything else
// begins. On failure none stays open.
func (s *Server) Listen(ctx context.Context) error {
	for _, l := range s.servers {
		var err error
		if l.listener, err = listen(ctx, l.address); err != nil {
			s.closeListeners()
			return fmt.Errorf("listen.%s: %w", l.name, err)
		}
	}
	return nil
}

// Address returns where the listener of this name ("http", "admin", "egress", "ext_authz") is reached, or nil.
func (s *Server) Address(name string) net.Addr {
	for _, l := range s.servers {
		if l.name == name && l.listener != nil {
			return l.listener.Addr()
		}
	}
	return nil
}

// Run serves until ctx ends, then drains: no new connections, requests in flight get
// [Config.Drain] to finish, and what is left is cut. It returns nil after a drain in time.
func (s *Server) Run(ctx context.Context) error {
	failed := make(chan error, len(s.servers))
	for _, l := range s.servers {
		go func() {
			if err := l.server.Serve(l.listener); !errors.Is(err, http.ErrServerClosed) {
				failed <- fmt.Errorf("listen.%s: %w", l.name, err)
			}
		}()
		s.log.Info("listening", "listener", l.name, "address", l.listener.Addr().String())
	}
	select {
	case err := <-failed:
		s.cut()
		return err
	case <-ctx.Done():
	}
	s.log.Info("draining", "for_at_most", s.config.Drain.String())
	return s.drain(context.WithoutCancel(ctx))
}

// drain ends the public listener first: while requests finish, the admin listener still
// answers /readyz with "draining".
func (s *Server) drain(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, s.config.Drain)
	defer cancel()
	var errs []error
	for _, l := range s.servers {
		if err := l.server.Shutdown(ctx); err != nil {
			errs = append(errs, fmt.Errorf("listen.%s: requests were cut after %s: %w", l.name, s.config.Drain, err))
		}
	}
	s.cut()
	return errors.Join(errs...)
}

func (s *Server) cut() {
	var wg sync.WaitGroup
	for _, l := range s.servers {
		wg.Go(func() { _ = l.server.Close() })
	}
	wg.Wait()
}

func (s *Server) closeListeners() {
	for _, l := range s.servers {
		if l.listener != nil {
			_ = l.listener.Close()
		}
	}
}
