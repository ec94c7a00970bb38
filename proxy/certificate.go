package proxy

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// Headers in which a proxy that ends TLS says which client certificate the caller has proved to hold.
const (
	headerClientCert    = "Client-Cert"                 // RFC 9440
	headerTLSClientCert = "X-Forwarded-Tls-Client-Cert" // Traefik; nginx with $ssl_client_escaped_cert
	headerXFCC          = "X-Forwarded-Client-Cert"     // Envoy
)

const maxCertificate = 16 << 10 // bytes of such a header

// possession finds the client certificate that a caller has proved to hold (RFC 8705 §3).
type possession struct {
	trust  trust
	header string // that trusted proxies set; "" = none is believed
}

// checkCertificateHeader refuses what nobody reads. One name, and not whichever is there: a certificate is public, and a
// proxy that sets one of these headers may well pass on another that the caller has written.
func checkCertificateHeader(name string) error {
	switch name {
	case "", headerClientCert, headerTLSClientCert, headerXFCC:
		return nil
	}
	return fmt.Errorf("listen: the header of client certificates %q is not one of %s, %s, %s", name, headerClientCert, headerTLSClientCert, headerXFCC)
}

// forwarded is the certificate that a trusted proxy speaks of; it is read before the header is deleted (P030, MT-3).
func (p possession) forwarded(r *http.Request) string {
	if p.header == "" {
		return ""
	}
	lines := r.Header[p.header]
	if len(lines) != 1 || len(lines[0]) > maxCertificate || !p.proxied(r) {
		return ""
	}
	switch p.header {
	case headerClientCert:
		return ofClientCert(lines[0])
	case headerTLSClientCert:
		return ofEscaped(lines[0])
	}
	return ofXFCC(lines[0])
}

// proxied reports whether a request came by a trusted proxy.
func (p possession) proxied(r *http.Request) bool {
	peer, ok := peerAddress(r.RemoteAddr)
	return ok && p.trust.covers(peer)
}

// of is x5t#S256 of the caller's certificate, "" if there is none. That of the connection is the caller's only where no
// proxy stands between: it would be the proxy's own. Whoever shook hands with a certificate holds its key, whether or not an
// authority vouches for it (RFC 8705 §2.2).
func (p possession) of(req *CanonicalRequest) string {
	if req.certificate != "" {
		return req.certificate
	}
	if c := req.in.TLS; c != nil && c.HandshakeComplete && len(c.PeerCertificates) > 0 && !p.proxied(req.in) {
		return thumbprint(c.PeerCertificates[0].Raw)
	}
	return ""
}

func thumbprint(der []byte) string {
	sum := sha256.Sum256(der)
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// ofClientCert reads a byte sequence of structured fields (RFC 9440 §2.1, RFC 9651 §3.3.5).
func ofClientCert(line string) string {
	line = strings.Trim(line, " ")
	if len(line) < 2 || line[0] != ':' || line[len(line)-1] != ':' {
		return ""
	}
	return ofBase64(line[1 : len(line)-1])
}

// ofEscaped reads PEM as it can stand in a header: with its lines escaped (nginx), or without them and the chain
// separated by commas (Traefik).
func ofEscaped(line string) string {
	text, err := url.PathUnescape(line)
	if err != nil {
		return ""
	}
	if strings.HasPrefix(text, "-----BEGIN") {
		block, _ := pem.Decode([]byte(text))
		if block == nil || block.Type != "CERTIFICATE" || len(block.Bytes) == 0 {
			return ""
		}
		return thumbprint(block.Bytes)
	}
	leaf, _, _ := strings.Cut(text, ",")
	return ofBase64(leaf)
}

func ofBase64(text string) string {
	if strings.ContainsAny(text, "\r\n") {
		return ""
	}
	der, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(der) == 0 {
		return ""
	}
	return thumbprint(der)
}

// ofXFCC reads Hash, which must be there once, wherever: a second one is of a list that the caller has begun, or that another
// proxy between ended with its own certificate, or it stands in the certificate itself. Envoy writes its URI and DNS as they
// are, and whoever makes one can write ",Hash=…" there, or a quotation mark that hides where an element ends (P030).
func ofXFCC(line string) string {
	const name = "Hash="
	i := strings.Index(line, name)
	if i < 0 || i > 0 && line[i-1] != ';' && line[i-1] != ',' || strings.Count(line, name) > 1 {
		return ""
	}
	hash, _, _ := strings.Cut(line[i+len(name):], ";")
	sum, err := hex.DecodeString(strings.Trim(hash, "\" \t"))
	if err != nil || len(sum) != sha256.Size {
		return ""
	}
	return base64.RawURLEncoding.EncodeToString(sum)
}
