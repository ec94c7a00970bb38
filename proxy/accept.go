package proxy

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/doorward/doorward/internal/credentials"
)

// What of a request may prove who is calling.
const (
	acceptSession = "session" // the cookie
	acceptToken   = "token"   // a ticket or a personal token in Authorization
	acceptBasic   = "basic"   // user name and password
	acceptBearer  = "bearer"  // a token of a provider
	acceptKey     = "key"     // an API key, in a header of its own
)

// accept is accept of a [[route]].
type accept struct{ session, token, basic, bearer, key bool }

func newAccept(list []string) (a accept, err error) {
	if list == nil {
		return accept{session: true, token: true}, nil
	}
	known := []struct {
		name string
		is   *bool
	}{{acceptSession, &a.session}, {acceptToken, &a.token}, {acceptBasic, &a.basic}, {acceptBearer, &a.bearer}, {acceptKey, &a.key}}
next:
	for i, name := range list {
		if slices.Contains(list[:i], name) {
			return accept{}, fmt.Errorf("accept: %q is there twice", name)
		}
		var names []string
		for _, k := range known {
			if k.name == name {
				*k.is = true
				continue next
			}
			names = append(names, strconv.Quote(k.name))
		}
		return accept{}, fmt.Errorf("accept: %q is not one of %s", name, strings.Join(names, ", "))
	}
	if a == (accept{}) {
		return accept{}, fmt.Errorf("accept: nothing is accepted, so nobody could call")
	}
	return a, nil
}

// claim is what a request says of its caller on a route, in Authorization or in a place that the route names.
type claim int

const (
	noClaim        claim = iota // there is none that the route accepts, and what is there goes no further (P027)
	bearerTicket                // no browser adds one by itself
	basicTicket                 // browsers remember and add these by themselves
	password                    // likewise
	bearerToken                 // of a provider; no browser adds one by itself
	bearerCookie                // likewise a provider's, but in a cookie, which comes by itself
	apiKey                      // no browser adds one by itself
	brokenClaim                 // of a scheme that the route accepts, and cannot be read, or can be read in two ways
	ambiguousClaim              // two at once (RFC 6750 §2): which of them would count, two readers answer differently
)

// ambient reports whether browsers send such a claim along by themselves, whoever made the page that asks.
func (c claim) ambient() bool { return c != bearerTicket && c != bearerToken && c != apiKey }

// ofProvider reports whether it is a provider's token.
func (c claim) ofProvider() bool { return c == bearerToken || c == bearerCookie }

// claim tells whether the Authorization of a request is judged on a route. If it is, then by itself
// alone: a request that brings a bad one must not pass by the cookie of somebody else, who happens to
// sit at the same browser.
func (a accept) claim(lines []string) claim {
	if len(lines) == 0 || !a.token && !a.basic && !a.bearer {
		return noClaim
	}
	if len(lines) == 1 {
		return a.read(lines[0])
	}
	for _, line := range lines {
		if a.read(line) != noClaim {
			if a.bearer {
				return ambiguousClaim
			}
			return brokenClaim
		}
	}
	return noClaim
}

func (a accept) read(line string) claim {
	if token, ok := credentials.Bearer(line); ok {
		if a.token && credentials.IsTicket(token) {
			return bearerTicket
		}
		return a.provided(line, token)
	}
	if token, ok := credentials.DPoP(line); ok {
		return a.provided(line, token)
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

// provided is what a token of the schemes Bearer and DPoP is where it is not a ticket that counts.
func (a accept) provided(line, token string) claim {
	switch {
	case !a.bearer:
		return a.other(line)
	case credentials.HoldsTicket(line), !credentials.IsToken(token):
		return brokenClaim // a ticket is never shown to a provider, and no token looks like this
	}
	return bearerToken
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
