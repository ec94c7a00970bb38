package extauthz

import (
	"errors"
	"net"
	"net/http"
	"net/textproto"
	"net/url"
	"strconv"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"
)

// check is what of a CheckRequest is looked at.
type check struct {
	method, path, host string
	query, fragment    string
	header             http.Header
	pseudo             map[string]string // ":path" and the like: they must agree with the fields
	headers            int               // that were there
	remote             string            // host:port of the client's connection to Envoy; "" = it has none
	certificate        string            // that the client has proved to hold, percent-encoded PEM
}

// Limits of what is read, beside the size of the whole message. Envoy's own are 100 headers and 60 KiB.
const (
	maxHeaders = 1000
	maxMethod  = 32 // bytes; none that is registered is longer
)

var (
	errMessage  = errors.New("the message cannot be read")
	errTooMany  = errors.New("the request has too many headers")
	errNoTarget = errors.New("the message does not say which request it is about")
	errTwice    = errors.New("the message says two things of one request")
	errNoHTTP   = errors.New("the message describes no request of HTTP")
)

// fields calls read with each field of a message; length-delimited values come as bytes, varints as number.
func fields(message []byte, read func(n protowire.Number, value []byte, number uint64) error) error {
	for len(message) > 0 {
		n, kind, size := protowire.ConsumeTag(message)
		if size < 0 {
			return errMessage
		}
		message = message[size:]
		var value []byte
		var number uint64
		switch kind {
		case protowire.BytesType:
			value, size = protowire.ConsumeBytes(message)
		case protowire.VarintType:
			number, size = protowire.ConsumeVarint(message)
		default:
			size = protowire.ConsumeFieldValue(n, kind, message)
		}
		if size < 0 {
			return errMessage
		}
		message = message[size:]
		if kind != protowire.BytesType && kind != protowire.VarintType {
			continue // no field that is looked at
		}
		if err := read(n, value, number); err != nil {
			return err
		}
	}
	return nil
}

// part is a field of a message that is one itself.
type part struct {
	n    protowire.Number
	read func(value []byte) error
}

func message(value []byte, parts ...part) error {
	return fields(value, func(n protowire.Number, value []byte, _ uint64) error {
		for _, p := range parts {
			if p.n == n && value != nil {
				return p.read(value)
			}
		}
		return nil
	})
}

// parse reads a CheckRequest (envoy/service/auth/v3/external_auth.proto, attribute_context.proto). As protobuf wants it, the
// last of several values of a field counts, and what is not known is passed over.
func parse(text []byte) (*check, error) {
	c := &check{header: make(http.Header), pseudo: make(map[string]string)}
	err := message(text, part{1, func(attributes []byte) error {
		return message(attributes, part{1, c.source}, part{4, func(request []byte) error {
			return message(request, part{2, c.http})
		}})
	}})
	if err != nil {
		return nil, err
	}
	return c, c.agree()
}

// source is AttributeContext.Peer.
func (c *check) source(peer []byte) error {
	return message(peer,
		part{5, func(certificate []byte) error { c.certificate = string(certificate); return nil }},
		part{1, func(address []byte) error { return message(address, part{1, c.socket}) }})
}

// socket is config.core.v3.SocketAddress.
func (c *check) socket(address []byte) error {
	var host string
	var port uint64
	err := fields(address, func(n protowire.Number, value []byte, number uint64) error {
		switch n {
		case 2:
			host = string(value)
		case 3:
			port = number
		}
		return nil
	})
	if host != "" && port <= 65535 {
		c.remote = net.JoinHostPort(host, strconv.FormatUint(port, 10))
	}
	return err
}

// http is AttributeContext.HttpRequest. Its body is not looked at.
func (c *check) http(request []byte) error {
	return fields(request, func(n protowire.Number, value []byte, _ uint64) error {
		switch n {
		case 2:
			c.method = string(value)
		case 3: // map<string, string>: one entry for each name, in small letters
			key, value, _, err := pair(value)
			if err != nil {
				return err
			}
			return c.add(key, value)
		case 4:
			c.path = string(value)
		case 5:
			c.host = string(value)
		case 7:
			c.query = string(value)
		case 8:
			c.fragment = string(value)
		case 13: // in the place of the map, where encode_raw_headers is set: HeaderMap
			return message(value, part{1, func(entry []byte) error {
				key, value, raw, err := pair(entry)
				if err != nil {
					return err
				}
				if raw != "" {
					value = raw
				}
				return c.add(key, value)
			}})
		}
		return nil
	})
}

// pair is an entry of a map of texts, or a HeaderValue, which may have raw_value instead.
func pair(entry []byte) (key, value, raw string, err error) {
	err = fields(entry, func(n protowire.Number, text []byte, _ uint64) error {
		switch n {
		case 1:
			key = string(text)
		case 2:
			value = string(text)
		case 3:
			raw = string(text)
		}
		return nil
	})
	return key, value, raw, err
}

// add files a header as net/http would have. A name that it would have refused stays as it is, and is thrown away with all that are
// not of the gateway's alphabet. A value that it would have refused is no header (RFC 9110 §5.5): Envoy would not have taken it, and
// it may stand in an answer.
func (c *check) add(key, value string) error {
	if c.headers++; c.headers > maxHeaders {
		return errTooMany
	}
	if strings.ContainsFunc(value, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }) {
		return errNoHTTP
	}
	if strings.HasPrefix(key, ":") {
		if old, there := c.pseudo[key]; there && old != value {
			value = "\x00" // agrees with nothing
		}
		c.pseudo[key] = value
		return nil
	}
	switch name := textproto.CanonicalMIMEHeaderKey(key); name {
	case "Host", "Content-Length", "Transfer-Encoding", "Trailer": // of the message, which is not here
	default:
		c.header[name] = append(c.header[name], value)
	}
	return nil
}

// agree holds what the message says twice against each other: whoever judges must see what is forwarded (S1).
func (c *check) agree() error {
	switch {
	case c.method == "" || c.path == "" || c.host == "":
		return errNoTarget
	case c.query != "" || c.fragment != "": // the path has the query; these are always empty
		return errTwice
	case len(c.method) > maxMethod || strings.ContainsFunc(c.method, func(r rune) bool { return r <= ' ' || r >= 0x7f || strings.ContainsRune("\"(),/:;<=>?@[\\]{}", r) }): // RFC 9110 §5.6.2
		return errNoHTTP
	}
	for name, field := range map[string]string{":method": c.method, ":path": c.path, ":authority": c.host} {
		if value, there := c.pseudo[name]; there && value != field {
			return errTwice
		}
	}
	return nil
}

// request is the request that the message describes.
func (c *check) request(carrier *http.Request) *http.Request {
	r := (&http.Request{
		Method: c.method, Host: c.host, RequestURI: c.path, URL: &url.URL{}, Header: c.header, RemoteAddr: c.remote,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, // Envoy has made one form of all versions; upgrades look like HTTP/1.1 in it
		Body: http.NoBody,
	})
	return r.WithContext(carrier.Context())
}
