package proxy

import (
	"fmt"
	"slices"
	"strings"

	"github.com/doorward/doorward/internal/credentials"
)

// What of a request may prove who is calling.
const (
	acceptSession = "session" // the cookie
	acceptToken   = "token"   // a ticket in Authorization
	acceptBasic   = "basic"   // user name and password, tried at the provider
)

// accept is accept of a [[route]].
type accept struct{ session, token, basic bool }

func newAccept(list []string) (a accept, err error) {
	if list == nil {
		return accept{session: true, token: true}, nil
	}
	for i, name := range list {
		switch {
		case slices.Contains(list[:i], name):
			return accept{}, fmt.Errorf("accept: %q is there twice", name)
		case name == acceptSession:
			a.session = true
		case name == acceptToken:
			a.token = true
		case name == acceptBasic:
			a.basic = true
		default:
			return accept{}, fmt.Errorf("accept: %q is not one of %q, %q, %q", name, acceptSession, acceptToken, acceptBasic)
		}
	}
	if a == (accept{}) {
		return accept{}, fmt.Errorf("accept: nothing is accepted, so nobody could call")
	}
	return a, nil
}

// claim is what an Authorization header is on a route.
type claim int

const (
	noClaim      claim = iota // there is none that the route accepts, and what is there goes no further (P027)
	bearerTicket              // no browser adds one by itself
	basicTicket               // browsers remember and add these by themselves
	password                  // likewise
	brokenClaim               // of a scheme that the route accepts, and cannot be read, or can be read in two ways
)

// claim tells whether the Authorization of a request is judged on a route. If it is, then by itself
// alone: a request that brings a bad one must not pass by the cookie of somebody else, who happens to
// sit at the same browser.
func (a accept) claim(lines []string) claim {
	if len(lines) == 0 || !a.token && !a.basic {
		return noClaim
	}
	if len(lines) == 1 {
		return a.read(lines[0])
	}
	for _, line := range lines {
		if a.read(line) != noClaim {
			return brokenClaim // which of them would count, two readers answer differently
		}
	}
	return noClaim
}

func (a accept) read(line string) claim {
	if token, ok := credentials.Bearer(line); ok {
		if a.token && credentials.IsTicket(token) {
			return bearerTicket
		}
		return a.other(line)
	}
	var buf [256]byte
	_, secret, ok, valid := credentials.Basic(line, buf[:])
	switch {
	case !ok:
		return a.other(line)
	case !valid && a.basic:
		return brokenClaim
	case valid && a.token && credentials.IsTicket(secret):
		return basicTicket
	case a.basic && credentials.HoldsTicket(line):
		return brokenClaim // a ticket is never tried at a provider, nor a user name that is one
	case a.basic:
		return password
	}
	return a.other(line)
}

// other is what a header is that proves nothing. A ticket that stands where none counts is a broken one.
func (a accept) other(line string) claim {
	if a.token && credentials.HoldsTicket(line) {
		return brokenClaim
	}
	return noClaim
}

// carriesTicket reports whether any of these headers holds a ticket. Where a route passes
// Authorization on, such a one stays behind all the same: it is a session.
func carriesTicket(lines []string) bool { return slices.ContainsFunc(lines, credentials.HoldsTicket) }

// saysGit reports whether a program calls itself git. It offers no password, and no ticket in the place
// of one, to a server that did not ask for Basic.
func saysGit(agent []string) bool {
	return len(agent) == 1 && (strings.HasPrefix(agent[0], "git/") || strings.HasPrefix(agent[0], "git-lfs/"))
}
