package provider

import (
	"cmp"
	"context"
	"encoding/base64"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/doorward/doorward/internal/secret"
)

const jwtBearer = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer" // RFC 7523 §2.2

// authMethod returns the method of client authentication. It is decided before the first
// request and never found out by trying (P111, TOK-2): as configured, or for a secret as
// discovery says, where no word means client_secret_basic (DIS-6).
func (c *Client) authMethod(m *metadata) string {
	if c.conf.ClientAuth != "" {
		return c.conf.ClientAuth
	}
	if m.authMethods == nil || slices.Contains(m.authMethods, authBasic) {
		return authBasic
	}
	if slices.Contains(m.authMethods, authPost) {
		return authPost
	}
	if slices.Contains(m.authMethods, authSecretJWT) && len(c.conf.ClientSecret.Reveal()) >= minMACSecret {
		return authSecretJWT
	}
	return authBasic // many announce less than they do
}

// withSecret tells whether a method proves the client by its secret, so that the previous
// secret may stand in for it.
func withSecret(method string) bool {
	return method == authBasic || method == authPost || method == authSecretJWT
}

// authenticate adds exactly one mechanism of client authentication to a request (RFC 6749
// §2.3). What a caller put into the form under the same names is overwritten.
func (c *Client) authenticate(m *metadata, method string, s secret.String, header http.Header, form url.Values) error {
	return c.authenticateAs(c.conf.ClientID, m, method, s, header, form)
}

// authenticateAs is authenticate in the name of any client; only those methods that are made of a secret know more than one.
func (c *Client) authenticateAs(id string, m *metadata, method string, s secret.String, header http.Header, form url.Values) error {
	for _, name := range []string{"client_id", "client_secret", "client_assertion", "client_assertion_type"} {
		form.Del(name)
	}
	switch method {
	case authBasic: // both parts form-urlencoded first (RFC 6749 §2.3.1)
		pair := url.QueryEscape(id) + ":" + url.QueryEscape(s.Reveal())
		header.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(pair)))
		return nil
	case authPost:
		form.Set("client_secret", s.Reveal())
	case authSecretJWT, authPrivateKeyJWT:
		assertion, err := c.signer.assertion(c.conf, m, s, c.now())
		if err != nil {
			return err
		}
		form.Set("client_assertion_type", jwtBearer)
		form.Set("client_assertion", assertion)
	case authFile:
		assertion, err := readAssertion(c.conf.AssertionFile)
		if err != nil {
			return err
		}
		form.Set("client_assertion_type", jwtBearer)
		form.Set("client_assertion", assertion)
	case authNone, authTLS, authSelfSignedTLS: // the client_id alone, or with the certificate of the connection (RFC 8705 §2)
	default:
		return fail(Misconfigured, "invalid_client", "client_auth %s is not known", shown(method))
	}
	form.Set("client_id", id)
	return nil
}

// readAssertion reads the file anew at every call: whoever writes it (kubelet, a SPIFFE
// agent) replaces it before it expires (CA-10).
func readAssertion(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", &Error{Kind: Misconfigured, Code: "assertion_unreadable", Detail: "assertion_file", Err: err}
	}
	defer f.Close()
	buf := make([]byte, maxToken+1)
	n := 0
	for n < len(buf) {
		k, err := f.Read(buf[n:])
		n += k
		if err != nil {
			break
		}
	}
	text := strings.TrimSpace(string(buf[:n]))
	if n > maxToken || strings.Count(text, ".") != 2 || !printable(text) {
		return "", fail(Misconfigured, "assertion_unreadable", "assertion_file %s holds no JWT", shown(path))
	}
	return text, nil
}

// target returns the URL of an endpoint: the alias for connections with a client
// certificate, where one is shown and an alias exists (RFC 8705 §5, CA-6).
func (c *Client) target(m *metadata, method string, of func(*Endpoints) *string) string {
	if method == authTLS || method == authSelfSignedTLS {
		if alias := *of(&m.mtls); alias != "" {
			return alias
		}
	}
	return *of(&m.Endpoints)
}

// call is one request of this client to an endpoint.
type call struct {
	endpoint string // its name in the discovery document
	of       func(*Endpoints) *string
	form     url.Values
	named    bool          // client_id stands in the form also beside a method that names the client elsewhere
	timeout  time.Duration // 0 = callTimeout
	accept   string        // "" = JSON

	as    *principal                  // another client in whose name it is made; nil = this one
	judge func(*Error, object) *Error // what a refusal means in this flow; nil = what its code says
}

// send posts a form to an endpoint, authenticated as this client (CA-9: the same way at
// every endpoint). It makes one attempt; a second one only with the previous secret, after
// the first was refused for its client authentication alone (CA-8).
func (c *Client) send(ctx context.Context, m *metadata, k call) (*answer, error) {
	if k.as != nil {
		return c.sendAs(ctx, m, k)
	}
	if c.conf.ClientID == "" {
		return nil, fail(Misconfigured, "no_client", "provider %q has no client_id: it only checks bearer tokens", c.conf.Name)
	}
	method := c.authMethod(m)
	target := c.target(m, method, k.of)
	if target == "" {
		return nil, fail(Misconfigured, "no_endpoint", "the provider has no %s", k.endpoint)
	}
	secrets := c.secrets()
	if !withSecret(method) {
		secrets = secrets[:1]
	}
	var a *answer
	for i, s := range secrets {
		own, header := clone(k.form), http.Header{"Accept": {cmp.Or(k.accept, "application/json")}}
		if err := c.authenticate(m, method, s, header, own); err != nil {
			return nil, err
		}
		if k.named {
			own.Set("client_id", c.conf.ClientID)
		}
		var err error
		if a, err = c.back.postTo(ctx, k.endpoint, target, header, own, cmp.Or(k.timeout, callTimeout)); err != nil {
			return nil, err
		}
		if a.gone() {
			c.doubtDiscovery()
		}
		if a.status < 400 || a.status >= 500 || a.errorCode() != "invalid_client" {
			if i > 0 {
				c.log.Warn("the provider knows only the previous client secret yet")
			}
			return a, nil
		}
	}
	return a, nil
}

// errorCode returns the error of a JSON answer, "" if there is none.
func (a *answer) errorCode() string {
	if !a.json() {
		return ""
	}
	o, err := parseObject(a.body)
	if err != nil {
		return ""
	}
	return word(errorOf(o))
}

func clone(form url.Values) url.Values {
	out := make(url.Values, len(form)+4)
	for name, values := range form {
		out[name] = slices.Clone(values)
	}
	return out
}

// printable reports whether s is made of visible ASCII only, as everything is that goes
// into a header or a JWT.
func printable(s string) bool {
	for _, c := range []byte(s) {
		if c <= ' ' || c > '~' {
			return false
		}
	}
	return s != ""
}
