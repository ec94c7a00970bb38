package wire

import (
	"sync"
	"time"
)

// pool holds the connections that nobody uses. The last one put is the first one taken, so
// that what the traffic doesn't need grows old.
type pool struct {
	timeout time.Duration
	perHost int

	mu     sync.Mutex
	hosts  map[string][]*conn // oldest first
	timer  *time.Timer        // runs while there are any hosts
	closed bool               // until the next take
}

// take returns the youngest connection to the host, or nil.
func (p *pool) take(host string) *conn {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = false
	conns := p.hosts[host]
	if len(conns) == 0 {
		return nil
	}
	last := len(conns) - 1
	c := conns[last]
	conns[last] = nil
	p.hosts[host] = conns[:last]
	return c
}

// put takes the connection over, or closes it.
func (p *pool) put(c *conn) {
	c.since = time.Now()
	if !p.admit(c) {
		_ = c.net.Close()
	}
}

func (p *pool) admit(c *conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	conns := p.hosts[c.host]
	if p.closed || len(conns) >= p.perHost {
		return false
	}
	if p.hosts == nil {
		p.hosts = make(map[string][]*conn)
	}
	p.hosts[c.host] = append(conns, c)
	if p.timer == nil {
		p.timer = time.AfterFunc(p.timeout, p.expire)
	}
	return true
}

// expire closes what is too old, so that a quiet gateway keeps nothing open.
func (p *pool) expire() {
	for _, c := range p.old(time.Now()) {
		_ = c.net.Close()
	}
}

// old removes them, and lets the timer run until the next one is due.
func (p *pool) old(now time.Time) (expired []*conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var next time.Duration
	for host, conns := range p.hosts {
		n := 0
		for n < len(conns) && now.Sub(conns[n].since) >= p.timeout {
			n++
		}
		expired = append(expired, conns[:n]...)
		if n == len(conns) {
			delete(p.hosts, host)
			continue
		}
		clear(conns[:n])
		p.hosts[host] = conns[n:]
		if due := p.timeout - now.Sub(conns[n].since); next == 0 || due < next {
			next = due
		}
	}
	if p.timer != nil { // not the one that brought us here, if p was closed meanwhile
		p.timer.Stop()
		p.timer = nil
	}
	if next > 0 {
		p.timer = time.AfterFunc(next, p.expire)
	}
	return expired
}

func (p *pool) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, conns := range p.hosts {
		for _, c := range conns {
			_ = c.net.Close()
		}
	}
	p.hosts, p.closed = nil, true
	if p.timer != nil {
		p.timer.Stop()
		p.timer = nil
	}
}
