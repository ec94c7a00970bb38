package provider

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// Finding is one result of Probe.
type Finding struct {
	OK   bool
	Warn bool   // not OK, yet sign-ins may well work: many providers announce less than they do (DIS-6)
	Text string // plain words
}

// Probe asks the provider what `check --online` wants to know: whether it can be reached,
// is the one that is meant, and offers what the configuration asks for. Each finding says
// what it means and what to do. It signs nobody in; it asks the authorization endpoint about
// each redirect URI as a browser without a session would (prompt=none), and the token
// endpoint about a code that does not exist, to see whether the client is known there. Tokens of
// our own (client_credentials) are really asked for, and dropped.
//
// needs says what the configured logins use, one element for each; without any, it is the
// authorization code flow where there are redirect URIs.
func (c *Client) Probe(ctx context.Context, redirectURIs []string, needs ...Needs) []Finding {
	p := &probe{c: c}
	m, err := p.discovery(ctx)
	if err != nil {
		return p.found
	}
	if c.isGitHub() {
		return p.gitHub(ctx, m, needs)
	}
	p.keys(ctx, m)
	p.clock(ctx, m)
	if c.conf.ClientID == "" && slices.ContainsFunc(needs, func(n Needs) bool { return n.Introspection }) {
		p.bad("no client_id is configured, and the introspection endpoint answers nobody without one")
		return p.found
	}
	if c.conf.ClientID == "" {
		p.good("no client_id is configured: this provider only vouches for bearer tokens")
		return p.found
	}
	if len(needs) == 0 && len(redirectURIs) > 0 {
		needs = []Needs{{ResponseType: "code"}}
	}
	p.features(m, len(needs) == 0 || slices.ContainsFunc(needs, Needs.login))
	p.needs(m, needs)
	if p.client(ctx, m, needs) { // else it is told already, and a provider counts wrong secrets
		for _, n := range needs {
			if n.Own != nil {
				p.own(ctx, n)
			}
		}
	}
	for _, uri := range redirectURIs {
		p.redirect(ctx, uri)
	}
	return p.found
}

type probe struct {
	c     *Client
	found []Finding
}

func (p *probe) good(format string, args ...any) {
	p.found = append(p.found, Finding{OK: true, Text: fmt.Sprintf(format, args...)})
}

func (p *probe) bad(format string, args ...any) {
	p.found = append(p.found, Finding{Text: fmt.Sprintf(format, args...)})
}

func (p *probe) warn(format string, args ...any) {
	p.found = append(p.found, Finding{Warn: true, Text: fmt.Sprintf(format, args...)})
}

func (p *probe) discovery(ctx context.Context) (*metadata, error) {
	m, err := p.c.metadata(ctx)
	var e *Error
	switch {
	case err == nil && p.c.discovery == nil:
		p.good("discovery is off: the endpoints are those of the configuration")
	case err == nil:
		p.good("%s answers, and its issuer is exactly %q", wellKnown(p.c.conf.Issuer), p.c.conf.Issuer)
	case errors.As(err, &e) && e.Code == "issuer_mismatch":
		p.bad("the provider is reached, but is not the configured one: %s", e.Detail)
	case errors.As(err, &e) && e.Kind == Unavailable:
		p.bad("the provider cannot be reached (%s). Until it can, protected pages answer 503 and Doorward tries again by itself. Check the issuer URL, DNS, the firewall and, for a private CA, ca_file", err)
	default:
		p.bad("what the provider says about itself cannot be used: %s", err)
	}
	return m, err
}

// clock compares the clocks. Discovery and keys may both have come from the store, where another
// provider of this issuer has put them a moment ago: then nobody has answered this one yet, and
// it asks once more, only for the time.
func (p *probe) clock(ctx context.Context, m *metadata) {
	d, ok := p.c.back.skew.known()
	var err error
	if !ok {
		where := m.JWKS
		if p.c.discovery != nil {
			where = wellKnown(p.c.conf.Issuer)
		}
		_, err = p.c.back.getFrom(ctx, "clock", where, nil)
		d, ok = p.c.back.skew.known()
	}
	switch leeway := p.c.conf.ClockSkew; {
	case !ok && err != nil:
		p.warn("the clocks could not be compared: %s", err)
	case !ok:
		p.good("the clocks could not be compared: the provider's answers carry no Date that tells the time of now")
	case d.Abs() < notable:
		p.good("the clocks agree")
	case d.Abs() <= leeway:
		p.good("the clocks differ by %d s, which the leeway of %s covers", int(d.Abs().Seconds()), leeway)
	default:
		p.bad("%s; tokens are refused beyond %s. Synchronise this machine's clock (chrony, systemd-timesyncd), or tell the provider", strings.TrimPrefix(p.c.back.skew.hint(), "; "), leeway)
	}
}

func (p *probe) keys(ctx context.Context, m *metadata) {
	doc, err := p.c.keys(ctx)
	if err != nil {
		p.bad("%s", err)
		return
	}
	e, err := doc.current(ctx)
	if err != nil {
		p.bad("the provider's keys at %s cannot be had (%s): no sign-in can succeed without them", m.JWKS, err)
		return
	}
	algs := p.c.algorithms(m)
	n := 0
	for _, k := range e.value.keys {
		if slices.ContainsFunc(algs, k.fits) {
			n++
		}
	}
	if n > 0 || slices.Contains(algs, "HS256") {
		p.good("%d of %d published keys can be used for %s", n, len(e.value.keys)+len(e.value.ignored), strings.Join(algs, ", "))
	} else {
		p.bad("none of the %d published keys fits %s: set signing_algs to what the provider signs with", len(e.value.keys)+len(e.value.ignored), strings.Join(algs, ", "))
	}
	for _, why := range e.value.ignored {
		p.good("not used: %s", why)
	}
}

// listed judges one announced list.
func (p *probe) listed(what string, list []string, want, otherwise string) {
	switch {
	case list == nil:
		p.good("the provider does not say which %s it supports; %s is assumed", what, want)
	case slices.Contains(list, want):
		p.good("%s: %s is supported", what, want)
	default:
		p.warn("%s: the provider announces %s, but not %s. %s", what, shown(strings.Join(list, " ")), want, otherwise)
	}
}

func (p *probe) features(m *metadata, logins bool) {
	if m.Token == "" {
		p.bad("the provider names no token_endpoint")
	}
	if method := p.c.authMethod(m); method != authFile && method != authNone && m.authMethods != nil {
		p.listed("client authentication", m.authMethods, method, "Set client_auth to one of these, or change the client at the provider")
	}
	for _, scope := range p.c.conf.Scopes {
		if logins && m.scopes != nil && !slices.Contains(m.scopes, scope) {
			p.warn("scopes: %q is not announced (%s). If the provider refuses it with invalid_scope, take it out of scopes", scope, shown(strings.Join(m.scopes, " ")))
		}
	}
	if logins && !slices.Contains(p.c.conf.Scopes, "openid") {
		p.bad("scopes: without openid the provider sends no ID token, and nobody can sign in")
	}
	if logins && p.c.conf.UserInfo == "always" && m.UserInfo == "" {
		p.bad("userinfo = \"always\", but the provider has no userinfo_endpoint")
	}
}

// client finds out whether the provider knows us: a code that never existed is refused with
// invalid_grant by a provider that accepts the client, with invalid_client by one that does not. It returns false where any
// further question to the token endpoint has the same answer.
func (p *probe) client(ctx context.Context, m *metadata, needs []Needs) (goOn bool) {
	method := p.c.authMethod(m)
	q := questionFor(needs)
	ask := p.c.Grant
	if q.advised {
		ask = p.c.trade
	}
	_, err := ask(ctx, q.form)
	var e *Error
	switch {
	case err == nil:
		p.bad("the token endpoint gave tokens for a code that does not exist; do not trust this provider")
	case !errors.As(err, &e):
		p.bad("the token endpoint: %s", err)
	case e.Code == "invalid_grant", slices.Contains(pollErrors(), e.Code): // no code of ours, but a client of theirs
		p.good("the provider accepts client %q (%s)", p.c.conf.ClientID, method)
	case e.Code == "invalid_client":
		p.bad("the provider does not accept client %q (%s): check client_id, the secret or key, and client_auth. %s", p.c.conf.ClientID, method, e.Detail)
		return false
	case e.Code == "unauthorized_client" && q.push: // CIBA §11 demands just this of a client that is as it should be
		p.good("the provider knows client %q (%s) and lets it fetch no tokens, as is right for push (CIBA §11); whether it may use CIBA cannot be told from here", p.c.conf.ClientID, method)
	case q.advised && e.Kind == Misconfigured:
		p.bad("client %q may not use the %s: %s", p.c.conf.ClientID, q.flow, e.Detail)
	case (e.Code == "unauthorized_client" || e.Code == "unsupported_grant_type") && q.used:
		p.bad("client %q may not use the %s (%s): enable it at the provider", p.c.conf.ClientID, q.flow, e.Code)
	case e.Kind == Unavailable:
		p.bad("the token endpoint cannot be reached: %s", err)
		return false
	case slices.ContainsFunc(needs, asksForOwn): // that tells
	default:
		p.good("whether the provider accepts client %q cannot be told from here (%s)", p.c.conf.ClientID, e.Code)
	}
	return true
}

// redirect asks whether a redirect URI is registered: a provider must send an error for
// prompt=none back to it (OIDC Core §3.1.2.6) if it is, and must not if it is not.
func (p *probe) redirect(ctx context.Context, uri string) {
	target, err := p.c.AuthorizationURL(ctx, AuthorizationRequest{
		RedirectURI: uri, State: rand.Text(), Nonce: rand.Text(), CodeChallenge: Challenge(NewVerifier()),
		Extra: url.Values{"prompt": {"none"}},
	})
	if err != nil {
		p.bad("redirect URI %s: %s", uri, err)
		return
	}
	status, location, err := p.c.back.peek(ctx, target)
	switch {
	case err != nil:
		p.bad("redirect URI %s: the authorization endpoint cannot be asked: %s", uri, err)
	case status >= 300 && status < 400 && bare(location) == bare(uri):
		p.good("redirect URI %s is registered", uri)
	case status >= 400 && status < 500:
		p.bad("redirect URI %s: the authorization endpoint answers %d. Register exactly this URI for client %q", uri, status, p.c.conf.ClientID)
	default:
		p.good("redirect URI %s: whether it is registered cannot be told from here; it must be, exactly so, for client %q", uri, p.c.conf.ClientID)
	}
}

// peek looks where a browser would be sent, and goes nowhere.
func (b *backchannel) peek(ctx context.Context, target string) (status int, location string, err error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
	if err != nil {
		return 0, "", fail(Misconfigured, "bad_endpoint", "the authorization_endpoint cannot be read")
	}
	req.Header.Set("Accept", "text/html")
	req.Header.Set("User-Agent", "Doorward")
	resp, err := b.client.Do(req)
	if err != nil {
		return 0, "", b.unreachable(ctx, req, err)
	}
	defer resp.Body.Close()
	return resp.StatusCode, resp.Header.Get("Location"), nil
}
