package config

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"

	"github.com/doorward/doorward/internal/origin"
)

// Listen is [listen].
type Listen struct {
	HTTP           string // "host:port" or "unix:/path"
	Admin          string // the same
	Egress         string // the same; "" = nothing goes out
	InsecureEgress bool   // Egress may be reached from other machines
	ExtAuthz       string // where Envoy asks by gRPC; "" = nowhere
	TrustedProxies []netip.Prefix

	CertificateHeader string // in which trusted proxies name the caller's client certificate; "" = none
	Prefix            string
	ReturnHosts       []origin.Origin
}

func listenKeys() *spec {
	return &spec{form: tables, keys: map[string]*spec{
		"http":                      {form: text},
		"admin":                     {form: text},
		"trusted_proxies":           {form: list},
		"client_certificate_header": {form: word, words: []string{"Client-Cert", "X-Forwarded-Tls-Client-Cert", "X-Forwarded-Client-Cert"}},
		"prefix":                    {form: text},
		"return_hosts":              {form: list},
		"https":                     {form: later, note: "let a load balancer or web server terminate TLS in front of Doorward"},
		"egress":                    {form: text},
		"ext_authz":                 {form: text},
		"insecure_egress":           {form: boolean},
		"proxy_protocol":            {form: later, note: "trusted_proxies believes X-Forwarded-For"},
	}}
}

func readListen(t table) Listen {
	c := Listen{
		HTTP:           t.address("http", "127.0.0.1:4180"),
		Admin:          t.address("admin", "127.0.0.1:4181"),
		TrustedProxies: t.prefixes("trusted_proxies"),
		Prefix:         t.prefix(),
		ReturnHosts:    t.returnHosts(),

		CertificateHeader: t.text("client_certificate_header"),
	}
	if c.CertificateHeader != "" && len(c.TrustedProxies) == 0 {
		t.wrong("client_certificate_header", "it is believed from trusted_proxies only, and there is none")
	}
	if c.HTTP == c.Admin && !strings.HasSuffix(c.HTTP, ":0") {
		t.wrong("admin", "it is the address of listen.http; the two need different ones")
	}
	c.ExtAuthz = t.extAuthz(c)
	for _, p := range c.TrustedProxies {
		if p.Bits() == 0 {
			t.l.warn("listen.trusted_proxies: %s believes everybody's forwarding headers: whoever reaches Doorward can claim any address; list the proxies only", p)
		}
	}
	if host, _, err := net.SplitHostPort(c.Admin); err == nil && !(origin.Origin{Host: bracketed(host)}).Loopback() {
		t.l.warn("listen.admin: %s can be reached from other machines; the admin listener is for this one and its orchestrator", c.Admin)
	}
	return c
}

// extAuthz is where Envoy asks by gRPC; nobody may unless the key is there.
func (t table) extAuthz(c Listen) string {
	if !t.given("ext_authz") {
		return ""
	}
	const usual = "127.0.0.1:4183"
	a := t.address("ext_authz", usual)
	for _, other := range []struct{ key, at string }{{"http", c.HTTP}, {"admin", c.Admin}} {
		if other.at == a && !strings.HasSuffix(a, ":0") {
			t.wrong("ext_authz", "it is the address of listen.%s; the two need different ones, such as %q", other.key, usual)
			return usual
		}
	}
	host, _, err := net.SplitHostPort(a)
	if err == nil && !strings.HasPrefix(a, "unix:") && !(origin.Origin{Host: bracketed(host)}).Loopback() && len(c.TrustedProxies) == 0 {
		t.wrong("ext_authz", "%s can be reached from other machines, but only this one would get an answer; name the networks that Envoy asks from in listen.trusted_proxies, or listen on a loopback address", a)
	}
	return a
}

// bracketed is a host as it stands in a URL.
func bracketed(host string) string {
	if strings.Contains(host, ":") {
		return "[" + host + "]"
	}
	return host
}

// address reads where to listen.
func (t table) address(key, otherwise string) string {
	a := t.filled(key, otherwise)
	if err := checkAddress(a); err != nil {
		t.wrong(key, "%s: %s", t.value(key).shown(), err)
		return otherwise
	}
	return a
}

func checkAddress(a string) error {
	if path, ok := strings.CutPrefix(a, "unix:"); ok {
		if !strings.HasPrefix(path, "/") {
			return errors.New(`the path of a socket begins with a slash, as in "unix:/run/doorward.sock"`)
		}
		return nil
	}
	host, port, err := net.SplitHostPort(a)
	if err != nil {
		return errors.New(`an address is "host:port", ":port" or "unix:/path"`)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || strconv.FormatUint(n, 10) != port {
		return errors.New("the port is a number up to 65535")
	}
	if host == "" {
		return nil
	}
	if _, err := netip.ParseAddr(host); err == nil {
		return nil
	}
	if _, err := origin.Parse("http://" + host); err != nil {
		return errors.New("the host is neither an address nor a name")
	}
	return nil
}

// prefix is where Doorward's own endpoints live: a path that can be taken in one way only.
func (t table) prefix() string {
	p := t.filled("prefix", "/oauth2")
	if why := checkOwnPath(p); why != "" {
		t.wrong("prefix", "%s: %s", t.value("prefix").shown(), why)
		return "/oauth2"
	}
	return p
}

// checkOwnPath says why p cannot be a path of ours, or "".
func checkOwnPath(p string) string {
	switch {
	case !strings.HasPrefix(p, "/"):
		return `a path begins with a slash, as in "/oauth2"`
	case p == "/":
		return "it would take every path from the routes"
	case strings.HasSuffix(p, "/"):
		return "leave the slash at its end out"
	}
	for segment := range strings.SplitSeq(p[1:], "/") {
		if segment == "" || segment == "." || segment == ".." {
			return "it has an empty segment, or one of dots"
		}
		for _, c := range []byte(segment) {
			if c != '-' && c != '_' && c != '.' && c != '~' && (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') {
				return fmt.Sprintf("%q: letters, digits, -, _, . and ~ are possible here", c)
			}
		}
	}
	return ""
}

// returnHosts are where a person may be sent after a login: never over a network in the clear.
func (t table) returnHosts() (all []origin.Origin) {
	t.each("return_hosts", func(item string) error {
		o, err := origin.Parse(item)
		if err != nil {
			return err
		}
		if !o.Secure() && !o.Loopback() {
			return fmt.Errorf("%q: people are sent to https, or to this machine", item)
		}
		all = append(all, o)
		return nil
	})
	return all
}
