package proxy

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// hygiene decides which headers of a client anybody behind it may see (S4). It runs on
// every request before anything else: on public routes, own endpoints, preflights and
// errors alike, because a header that is set only sometimes must be deleted always
// (P021, P022).
type hygiene struct {
	names    map[string]bool // canonical
	prefixes [128][]string   // by their first byte: most headers are compared with none
}

// Names that carry a meaning which only a gateway may give them. Where X- names end in
// "-", everything that begins so is meant.
var (
	reservedPrefixes = []string{
		"X-Forwarded-", "X-Auth-Request-", "X-Original-", "X-Remote-", "X-Webauth-", "X-Envoy-", "X-Ssl-", "Ssl-Client-", "X-Amzn-Mtls-", "Remote-", "Doorward-", "X-Doorward-",
		"X-Amzn-Oidc-", "X-Goog-Authenticated-", "X-Ms-Client-Principal", "X-Ms-Token-", "X-Authentik-", "X-Pomerium-", "X-Vouch-", "X-Consumer-", "X-Token-User-",
		"Cf-Access-", "Oidc-", "Tailscale-User-", "Sm-", "Iv-", "Shib-", "Wl-Proxy-", "X-Tls-Client-",
	}
	reservedNames = []string{
		// who is calling, in the spellings of other gateways
		"X-Auth-User", "X-Auth-Username", "X-Auth-Userid", "X-Auth-Subject", "X-Auth-Name", "X-Auth-Email", "X-Auth-Groups", "X-Auth-Roles", "X-Auth-Audience", "X-Auth-Expiresin", "X-Forwarded",
		"X-Authenticated-User", "X-Authenticated-Userid", "X-Userinfo", "X-Goog-Iap-Jwt-Assertion", "X-Jwt-Assertion", "Eppn", "X-Token-Subject", "X-Credential-Identifier", "X-Anonymous-Consumer",
		// the same without a gateway's name; not X-User-Id, X-User-Email, X-User-Token and X-User-Agent, which clients of usual applications send
		"X-User", "X-Userid", "X-Username", "X-Email", "X-Groups", "X-Roles",
		// from where (P034)
		"Forwarded", "X-Real-Ip", "True-Client-Ip", "Cf-Connecting-Ip", "Cf-Connecting-Ipv6", "Cf-Pseudo-Ipv4", "X-Client-Ip", "Client-Ip",
		"X-Cluster-Client-Ip", "Fastly-Client-Ip", "X-Azure-Clientip", "X-Appengine-User-Ip", "X-Proxyuser-Ip", "Proxy-Client-Ip", "X-Host", "X-Http-Host-Override",
		// by which scheme
		"X-Scheme", "X-Url-Scheme", "X-Proto", "Front-End-Https",
		// what is asked for (P017, P019)
		"X-Rewrite-Url", "X-Http-Method-Override", "X-Http-Method", "X-Method-Override", "X-Script-Name", "Script-Name", "X-Http-Destinationurl",
		"X-Accel-Mapping", "X-Sendfile-Type",
		// with which certificate (P030)
		"Client-Cert", "Client-Cert-Chain", "X-Client-Cert", "X-Client-Certificate", "X-Client-Verify", "X-Client-Verified", "X-Client-Dn", "X-Arr-Clientcert", "Ssl-Cert",
		// httpoxy (P029), and what belongs to one connection only (S5, P057)
		"Proxy", "Expect", "Te", "Trailer", "Http2-Settings",
	}
)

// newHygiene adds the names that routes set themselves to those that are always reserved.
func newHygiene(routes []*route) *hygiene {
	h := &hygiene{names: make(map[string]bool)}
	for _, name := range reservedNames {
		h.names[name] = true
	}
	for _, p := range reservedPrefixes {
		h.prefixes[p[0]] = append(h.prefixes[p[0]], p)
	}
	for _, rt := range routes {
		for _, name := range rt.headers.names {
			if name != headerAuthorization && !ordinary[name] { // rewrite deletes these; the gateway itself reads them
				h.names[name] = true
			}
		}
		for _, name := range rt.headers.own {
			h.names[name] = true
		}
		for _, p := range rt.headers.prefixes {
			h.prefixes[p[0]] = append(h.prefixes[p[0]], p)
		}
	}
	for _, rt := range routes {
		// Where a route reads keys from the header that another's credential goes by, the client's own is withheld on
		// these two routes only.
		if rt.sourceHeader != "" && !ordinary[rt.sourceHeader] && !slices.ContainsFunc(routes, func(other *route) bool { return slices.Contains(other.callers.places.headers(), rt.sourceHeader) }) {
			h.names[rt.sourceHeader] = true
		}
	}
	return h
}

// leaves checks that headers in which a caller may prove who they are get that far.
func (h *hygiene) leaves(routes []*route) error {
	for _, rt := range routes {
		for _, name := range rt.callers.places.headers() {
			if h.reserved(name) {
				return fmt.Errorf("route.%s: accept: the header %s is deleted from all requests, because only a gateway may set it", rt.name, name)
			}
		}
	}
	return nil
}

// clean deletes what must not pass.
func (h *hygiene) clean(r *http.Request) {
	headers := r.Header
	for name := range headers {
		if !canonicalName(name) || h.reserved(name) {
			delete(headers, name)
		}
	}
	if headers["Upgrade"] != nil && !upgradesToWebSocket(r) {
		delete(headers, "Upgrade") // h2c and every other tunnel past the next request (P049)
	}
	if headers[headerDestination] != nil && !namesDestination(r.Method) {
		delete(headers, headerDestination)
	}
	if id := headers["X-Request-Id"]; id != nil && (len(id) != 1 || !requestID(id[0])) {
		delete(headers, "X-Request-Id") // P033
	}
}

// reserved expects a canonical name.
func (h *hygiene) reserved(name string) bool {
	if h.names[name] {
		return true
	}
	for _, prefix := range h.prefixes[name[0]] {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

// canonicalName reports whether a name is one of S4 and in net/http's canonical form, in which
// everything that came over a wire is.
func canonicalName(name string) bool {
	first := true // of a word
	for i := range len(name) {
		c := name[i]
		if lower, upper := 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z'; lower && first || upper && !first || !lower && !upper && (c < '0' || c > '9') && c != '-' {
			return false
		}
		first = c == '-'
	}
	return name != ""
}

// headerName is the alphabet of S4. "_" is not in it: CGI and its children (WSGI, PHP,
// Rack) read X_Forwarded_User as X-Forwarded-User (P023); other punctuation fares alike.
func headerName(name string) bool {
	for i := range len(name) {
		c := name[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	return name != ""
}

// requestID accepts what can stand in a log line, and in the tracing systems in use.
func requestID(s string) bool {
	for i := range len(s) {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && strings.IndexByte("-._:=/+", c) < 0 {
			return false
		}
	}
	return s != "" && len(s) <= 128
}
