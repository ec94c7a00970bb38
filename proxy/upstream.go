package proxy

import (
	"fmt"
	"net/url"
	"strings"
)

func (rt *route) setUpstreams(rc Route) error {
	list := rc.Upstreams
	if rt.answer != nil || len(list) == 0 { // of a route that only forward-auth asks about
		return nil
	}
	for _, u := range list {
		up, err := newUpstream(u)
		if err != nil {
			return err
		}
		rt.upstreams = append(rt.upstreams, up)
	}
	return nil
}

// setBalance says how they share the requests, and how long they may take.
func (rt *route) setBalance(rc Route, c Config, d Deps) (err error) {
	if len(rt.upstreams) == 0 {
		return nil
	}
	if err := rc.Balance.Timeouts.check(); err != nil {
		return err
	}
	rt.timeouts = rc.Balance.Timeouts
	rt.balance, err = newBalancer(rc, rt.upstreams, c, d)
	return err
}

// forwardAuthOnly reports a route that is decided about but never proxied.
func (rt *route) forwardAuthOnly() bool { return len(rt.upstreams) == 0 && rt.answer == nil }

// upstream is where a route's requests go.
type upstream struct {
	scheme, host      string // of the outgoing URL
	base, decodedBase string // path in front of every request's, without a trailing slash
	display           string // for the log
	socket            string // path of a unix socket, or ""
}

func newUpstream(u *url.URL) (upstream, error) {
	switch {
	case u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return upstream{}, fmt.Errorf("upstream: %s://%s: no user, query or fragment is possible here", u.Scheme, u.Host)
	case u.Scheme == "unix" && u.Host == "" && strings.HasPrefix(u.Path, "/"):
		return upstream{scheme: "http", host: socketHost(u.Path), display: "unix:" + u.Path, socket: u.Path}, nil
	case u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.Opaque != "":
		return upstream{}, fmt.Errorf("upstream: %q must be http://host, https://host or unix:/path", u.String())
	}
	up := upstream{scheme: u.Scheme, host: u.Host, display: u.Scheme + "://" + u.Host}
	if path := strings.TrimSuffix(u.EscapedPath(), "/"); path != "" {
		encoded, decoded, refusal := parsePath(path)
		if refusal != "" {
			return upstream{}, fmt.Errorf("upstream: %q: %s", u.String(), refusal)
		}
		up.base, up.decodedBase = encoded, decoded
	}
	return up, nil
}
