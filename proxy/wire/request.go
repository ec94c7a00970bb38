package wire

import (
	"encoding/binary"
	"fmt"
	"net/http"
	"net/textproto"
	"strings"
)

// ours tells whether a request is one of those carried here, as far as can be told without
// looking at its header.
func ours(req *http.Request) bool {
	//lint:ignore SA1019 who still uses it must not be ignored
	if req.Cancel != nil {
		return false
	}
	u := req.URL
	return (req.Method == http.MethodGet || req.Method == http.MethodHead) &&
		(req.Body == nil || req.Body == http.NoBody) && req.ContentLength == 0 &&
		u != nil && u.Scheme == "http" && u.Opaque == "" && validHost(u.Host) &&
		!req.Close && req.Header != nil && len(req.TransferEncoding) == 0 && len(req.Trailer) == 0
}

// appendRequest appends the request as it goes over the wire. fits is false if, by its
// header, it is none of those carried here. An error means that it must not be sent at all:
// what does not fit into a message could end it, and begin another (RFC 9112 §11.1).
func appendRequest(b []byte, req *http.Request) (message []byte, fits bool, err error) {
	host := req.Host
	if host == "" {
		host = req.URL.Host
	}
	path := req.URL.EscapedPath()
	if path == "" {
		path = "/"
	}
	if path[0] != '/' || !validHost(host) {
		return b, false, nil
	}
	b = append(append(append(b, req.Method...), ' '), path...)
	if req.URL.RawQuery != "" || req.URL.ForceQuery {
		b = append(append(b, '?'), req.URL.RawQuery...)
	}
	if !clean(b[len(req.Method)+1:], ' '+1) {
		return b, false, errTarget
	}
	b = append(append(append(b, " HTTP/1.1\r\nHost: "...), host...), "\r\n"...)
	return appendFields(b, req.Header)
}

// defaultAgent is what http.Transport sends if nobody says anything else.
const defaultAgent = "User-Agent: Go-http-client/1.1\r\n"

// appendFields appends them in any order, which has no meaning among fields of different names (RFC 9110 §5.3), and would
// cost as much as writing them.
func appendFields(b []byte, h http.Header) (message []byte, fits bool, err error) {
	if agent, named := h["User-Agent"]; !named {
		b = append(b, defaultAgent...)
	} else if len(agent) > 0 && agent[0] != "" { // empty: none
		if b, err = appendField(b, "User-Agent", agent[:1]); err != nil {
			return b, false, err
		}
	}
	for name, values := range h {
		switch classify(name) {
		case foreign:
			return b, false, nil
		case ordinary:
			if b, err = appendField(b, name, values); err != nil {
				return b, false, err
			}
		}
	}
	return append(b, "\r\n"...), true, nil
}

func appendField(b []byte, name string, values []string) ([]byte, error) {
	if !isToken(name) {
		return b, fmt.Errorf("wire: %q is no name of a header field", name)
	}
	for _, v := range values {
		b = append(append(b, name...), ": "...)
		begin := len(b)
		if b = append(b, v...); !clean(b[begin:], ' ') {
			return b, fmt.Errorf("wire: a control character in the value of %s", name)
		}
		b = append(append(b[:begin], textproto.TrimString(v)...), "\r\n"...)
	}
	return b, nil
}

// What a field of the request means for how it is sent.
type class int

const (
	ordinary class = iota
	foreign        // it changes how messages are framed or connections used: not carried here
	implied        // it is written by other means, or never with such requests: as http.Transport does
)

// classify compares without regard to case: a map can hold names that no parser has made
// canonical.
func classify(name string) class {
	switch len(name) {
	case len("TE"):
		return foreignIf(strings.EqualFold(name, "TE"))
	case len("Host"):
		if name == "Host" {
			return implied
		}
		return foreignIf(strings.EqualFold(name, "Host"))
	case len("Expect"):
		return foreignIf(strings.EqualFold(name, "Expect"))
	case len("Upgrade"):
		return foreignIf(strings.EqualFold(name, "Upgrade") || strings.EqualFold(name, "Trailer"))
	case len("User-Agent"):
		if name == "User-Agent" {
			return implied
		}
		return foreignIf(strings.EqualFold(name, "User-Agent") || strings.EqualFold(name, "Connection"))
	case len("Content-Length"):
		if name == "Content-Length" {
			return implied
		}
		return foreignIf(strings.EqualFold(name, "Content-Length"))
	case len("Transfer-Encoding"):
		return foreignIf(strings.EqualFold(name, "Transfer-Encoding"))
	}
	return ordinary
}

func foreignIf(is bool) class {
	if is {
		return foreign
	}
	return ordinary
}

const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// clean tells whether b holds no byte below least but HTAB where a space is allowed, and no
// DEL. It looks at eight bytes at a time: cookies and tokens are long.
func clean(b []byte, least byte) bool {
	for len(b) >= 8 {
		x := binary.LittleEndian.Uint64(b)
		y := x ^ ones*0x7f
		below, del := (x-ones*uint64(least))&^x, (y-ones)&^y
		if (below|del)&highs != 0 && !cleanBytes(b[:8], least) {
			return false
		}
		b = b[8:]
	}
	return cleanBytes(b, least)
}

func cleanBytes(b []byte, least byte) bool {
	for _, c := range b {
		if c < least && (c != '\t' || least > ' ') || c == 0x7f {
			return false
		}
	}
	return true
}

// set is a set of ASCII characters.
type set [2]uint64

func newSet(s string) (set set) {
	for _, c := range []byte(s) {
		set[c>>6] |= 1 << (c & 63)
	}
	return set
}

func (s *set) holdsAll(text string) bool {
	for i := range len(text) {
		if c := text[i]; c >= 128 || s[c>>6]&(1<<(c&63)) == 0 {
			return false
		}
	}
	return text != ""
}

const alphanumeric = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

var (
	tokenBytes = newSet(alphanumeric + "!#$%&'*+-.^_`|~") // RFC 9110 §5.6.2
	hostBytes  = newSet(alphanumeric + "!$&'()*+,-.:;=[]_~")
)

func isToken(name string) bool { return tokenBytes.holdsAll(name) }

// validHost admits what goes into Host unchanged. It is stricter than http.Transport, which
// then gets the request: no zone of an IPv6 address, no name that IDNA must translate.
func validHost(host string) bool { return hostBytes.holdsAll(host) }
