package provider

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/doorward/doorward/internal/origin"
)

// metadata is what we need to know of a provider: its discovery document (OpenID Connect
// Discovery 1.0 §3, RFC 8414 §2) under the overrides of the configuration. nil lists were
// not announced.
type metadata struct {
	Endpoints
	mtls Endpoints // mtls_endpoint_aliases (RFC 8705 §5)

	responseTypes, grantTypes     []string
	responseModes                 []string
	authMethods, assertionAlgs    []string
	challengeMethods, idTokenAlgs []string
	scopes                        []string
	introspectionAlgs             []string
	issParameter                  bool
	ciba                          CIBASupport
}

const discoveryAge = 24 * time.Hour

// metadata returns what is known, discovering if need be.
func (c *Client) metadata(ctx context.Context) (*metadata, error) {
	if c.discovery == nil {
		return c.fixed, nil
	}
	e, err := c.discovery.current(ctx)
	if err != nil {
		return nil, err
	}
	return e.value, nil
}

// doubtDiscovery has the discovery document looked at again.
func (c *Client) doubtDiscovery() {
	if c.discovery != nil {
		c.discovery.doubt()
	}
}

// Ready discovers if need be and says why not, as a *Error: Unavailable, Misconfigured for a
// document of another issuer or with forbidden endpoints, Misbehaved for one that is none.
// Whatever the reason, the next attempt is made by itself after RetryAfter.
func (c *Client) Ready(ctx context.Context) error {
	_, err := c.metadata(ctx)
	return err
}

// getDiscovery fetches the document from the place that OpenID Connect Discovery §4 names,
// or, where there is none, from the one of RFC 8414 §3.1 for servers that know OAuth only (DIS-7).
func (c *Client) getDiscovery(ctx context.Context, etag string) (*answer, error) {
	header := http.Header{"Accept": {"application/json"}}
	if etag != "" {
		header.Set("If-None-Match", etag)
	}
	a, err := c.back.getFrom(ctx, "discovery", wellKnown(c.conf.Issuer), header)
	if err == nil && a.status == http.StatusNotFound {
		if other, oerr := c.back.getFrom(ctx, "discovery", oauthWellKnown(c.conf.Issuer), header); oerr == nil && (other.status == http.StatusOK || other.status == http.StatusNotModified) {
			return other, nil
		}
		return nil, fail(Unavailable, "bad_status", "%s answered 404: is %q the exact issuer?", wellKnown(c.conf.Issuer), c.conf.Issuer)
	}
	return a, err
}

func wellKnown(issuer string) string { // DIS-1
	return strings.TrimSuffix(issuer, "/") + "/.well-known/openid-configuration"
}

func oauthWellKnown(issuer string) string {
	u, err := url.Parse(issuer)
	if err != nil {
		return wellKnown(issuer)
	}
	return u.Scheme + "://" + u.Host + "/.well-known/oauth-authorization-server" + strings.TrimSuffix(u.EscapedPath(), "/")
}

// parseMetadata reads a discovery document. Unknown members are ignored; an issuer that is
// not byte for byte the configured one, or an endpoint that must not be called, refuses the
// whole document (DIS-2, P109).
func parseMetadata(conf *Config, body []byte) (*metadata, error) {
	o, err := parseObject(body)
	if err != nil {
		return nil, fail(Misbehaved, "bad_discovery", "the discovery document: %v", err)
	}
	issuer, err := o.str("issuer")
	if err != nil || issuer != conf.Issuer {
		return nil, fail(Misconfigured, "issuer_mismatch", "the discovery document is of issuer %s, configured is %q: write it exactly so, or ask the right server", shown(issuer), conf.Issuer)
	}
	m := new(metadata)
	if err := m.lists(o); err != nil {
		return nil, fail(Misbehaved, "bad_discovery", "the discovery document: %v", err)
	}
	if m.Endpoints, err = readEndpoints(o, conf); err != nil {
		return nil, fail(Misconfigured, "bad_endpoint", "the discovery document: %v", err)
	}
	if o.has("mtls_endpoint_aliases") {
		aliases, err := parseObject(o["mtls_endpoint_aliases"])
		if err != nil {
			return nil, fail(Misbehaved, "bad_discovery", "mtls_endpoint_aliases: %v", err)
		}
		if m.mtls, err = readEndpoints(aliases, conf); err != nil {
			return nil, fail(Misconfigured, "bad_endpoint", "mtls_endpoint_aliases: %v", err)
		}
	}
	m.override(conf.Endpoints)
	return m, nil
}

func (m *metadata) lists(o object) (err error) {
	for name, to := range map[string]*[]string{
		"response_types_supported": &m.responseTypes, "grant_types_supported": &m.grantTypes,
		"token_endpoint_auth_methods_supported":                           &m.authMethods,
		"token_endpoint_auth_signing_alg_values_supported":                &m.assertionAlgs,
		"code_challenge_methods_supported":                                &m.challengeMethods,
		"id_token_signing_alg_values_supported":                           &m.idTokenAlgs,
		"scopes_supported":                                                &m.scopes,
		"response_modes_supported":                                        &m.responseModes,
		"introspection_signing_alg_values_supported":                      &m.introspectionAlgs,
		"backchannel_token_delivery_modes_supported":                      &m.ciba.DeliveryModes,
		"backchannel_authentication_request_signing_alg_values_supported": &m.ciba.RequestAlgorithms,
	} {
		if *to, err = o.strings(name, false); err != nil {
			return err
		}
	}
	if m.ciba.UserCode, err = o.boolean("backchannel_user_code_parameter_supported"); err != nil {
		return err
	}
	m.issParameter, err = o.boolean("authorization_response_iss_parameter_supported")
	return err
}

// endpoint describes one member of Endpoints.
type endpoint struct {
	name    string
	of      func(*Endpoints) *string
	browser bool // opened by browsers; the others are called by us
}

func endpoints() []endpoint {
	return []endpoint{
		{"authorization_endpoint", func(e *Endpoints) *string { return &e.Authorization }, true},
		{"token_endpoint", func(e *Endpoints) *string { return &e.Token }, false},
		{"userinfo_endpoint", func(e *Endpoints) *string { return &e.UserInfo }, false},
		{"jwks_uri", func(e *Endpoints) *string { return &e.JWKS }, false},
		{"end_session_endpoint", func(e *Endpoints) *string { return &e.EndSession }, true},
		{"revocation_endpoint", func(e *Endpoints) *string { return &e.Revocation }, false},
		{"introspection_endpoint", func(e *Endpoints) *string { return &e.Introspection }, false},
		{"device_authorization_endpoint", func(e *Endpoints) *string { return &e.DeviceAuthorization }, false},
		{"backchannel_authentication_endpoint", func(e *Endpoints) *string { return &e.BackchannelAuthentication }, false},
	}
}

// readEndpoints reads what a document names. What the configuration overrides is not looked
// at: the override may be there because the document is wrong, and an alias of it is not
// what the operator named.
func readEndpoints(o object, conf *Config) (e Endpoints, err error) {
	for _, p := range endpoints() {
		if *p.of(&conf.Endpoints) != "" {
			continue
		}
		raw, err := o.str(p.name)
		if err != nil {
			return e, err
		}
		if raw == "" {
			continue
		}
		if err := checkEndpoint(raw, p.browser, loopback(conf.Issuer)); err != nil {
			return e, fmt.Errorf("%s: %w", p.name, err)
		}
		*p.of(&e) = raw
	}
	return e, nil
}

// override puts what the configuration says over what was discovered.
func (m *metadata) override(by Endpoints) {
	for _, p := range endpoints() {
		if v := *p.of(&by); v != "" {
			*p.of(&m.Endpoints) = v
		}
	}
}

// checkEndpoint says whether a URL may be used (P109). near tells whether whoever names it
// is this machine itself (an issuer on loopback, or the configuration): only then may it
// point back to this machine.
func checkEndpoint(raw string, browser, near bool) error {
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" || u.Hostname() == "" || u.Opaque != "" {
		return fmt.Errorf("%s is not an absolute URL", shown(bare(raw)))
	}
	where := shown(bare(raw))
	if len(raw) > 2048 {
		return fmt.Errorf("%s… is longer than 2048 bytes", where)
	}
	for _, c := range []byte(raw) {
		if c <= ' ' || c > '~' || c == '\\' {
			return fmt.Errorf("%s holds characters that no URL holds", where)
		}
	}
	host := strings.TrimSuffix(strings.ToLower(u.Hostname()), ".")
	local := origin.Origin{Host: host}.Loopback()
	ip, iperr := netip.ParseAddr(host)
	switch {
	case u.Scheme != "https" && u.Scheme != "http":
		return fmt.Errorf("%s: the scheme must be https", where) // javascript:, data:, file: …
	case u.User != nil:
		return fmt.Errorf("%s holds a user name", where)
	case strings.Contains(raw, "#"):
		return fmt.Errorf("%s has a fragment", where) // RFC 6749 §3.1, §3.2
	case u.Scheme == "http" && !local:
		return fmt.Errorf("%s: the scheme must be https; http is for loopback only", where)
	case local && !near:
		return fmt.Errorf("%s points to this machine, but the issuer is elsewhere", where)
	case !browser && !near && iperr == nil && (ip.Unmap().IsLinkLocalUnicast() || ip.Unmap().IsMulticast() || ip.Unmap().IsUnspecified()):
		return fmt.Errorf("%s is a link-local, multicast or unspecified address", where)
	}
	return nil
}

func loopback(raw string) bool {
	u, err := url.Parse(raw)
	return err == nil && origin.Origin{Host: u.Hostname()}.Loopback()
}
