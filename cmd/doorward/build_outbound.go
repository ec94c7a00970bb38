package main

import (
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"

	"github.com/doorward/doorward/flows/bearer"
	"github.com/doorward/doorward/flows/tokenapi"
	"github.com/doorward/doorward/internal/config"
	"github.com/doorward/doorward/internal/origin"
)

// tokenAPI is for applications that want a token itself. It exchanges and inspects what routes and egresses would take.
func (g *graph) tokenAPI(log *slog.Logger) (http.Handler, error) {
	d := tokenapi.Deps{Credentials: g.credentials, Checkers: make(map[string]*bearer.Checker), Log: log}
	for name, audiences := range g.config.SubjectAudiences() {
		var err error
		if d.Checkers[name], err = g.verifier.Checker(bearer.Config{Issuers: []string{name}, Audience: audiences}); err != nil {
			return nil, err
		}
	}
	return tokenapi.New(d)
}

// selfAuthorities are the names under which local applications address a listener itself. One that listens everywhere
// is addressed by any name of this machine.
func selfAuthorities(address string) []string {
	if strings.HasPrefix(address, "unix:") {
		return []string{"localhost"}
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return []string{address}
	}
	hosts := []string{"127.0.0.1", "localhost", "::1", host}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		hosts = hosts[:3]
		if name, err := os.Hostname(); err == nil {
			hosts = append(hosts, strings.ToLower(name))
		}
		all, _ := net.InterfaceAddrs()
		for _, a := range all {
			if network, ok := a.(*net.IPNet); ok {
				hosts = append(hosts, network.IP.String())
			}
		}
	}
	var list []string
	for _, h := range hosts {
		at := net.JoinHostPort(h, port)
		if _, err := origin.Parse("http://" + at); err == nil { // a machine may have a name that no URL can hold
			list = append(list, at)
		}
	}
	return list
}

// ownListeners are the addresses to which nothing may go out by a name. A listener that is given by a name, or as a
// socket, is no address.
func ownListeners(c *config.Config) (own []netip.AddrPort) {
	for _, at := range []string{c.Listen.HTTP, c.Listen.Admin, c.Listen.Egress, c.Listen.ExtAuthz} {
		host, port, err := net.SplitHostPort(at)
		if err != nil {
			continue
		}
		switch host {
		case "":
			host = "::"
		case "localhost":
			host = "127.0.0.1"
		}
		if a, err := netip.ParseAddrPort(net.JoinHostPort(host, port)); err == nil {
			own = append(own, a)
		}
	}
	return own
}
