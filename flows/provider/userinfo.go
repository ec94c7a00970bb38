package provider

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"

	"github.com/doorward/doorward/internal/secret"
)

// userInfo asks the userinfo endpoint (OIDC Core §5.3). An answer for another subject is
// thrown away whole (§5.3.2, UI-2, P103).
func (c *Client) userInfo(ctx context.Context, endpoint string, access secret.String, sub string) (object, error) {
	a, err := c.back.getFrom(ctx, "userinfo_endpoint", endpoint, http.Header{
		"Authorization": {"Bearer " + access.Reveal()}, // never in the query (UI-1)
		"Accept":        {"application/json, application/jwt"},
	})
	if err != nil {
		return nil, err
	}
	if e := a.trouble("userinfo", c.now()); e != nil {
		return nil, e
	}
	switch a.status {
	case http.StatusOK:
	case http.StatusUnauthorized, http.StatusForbidden:
		return nil, fail(Misbehaved, "userinfo_refused", "userinfo answered %d to the access token that was just issued", a.status)
	default:
		return nil, fail(Misbehaved, "bad_status", "userinfo answered %d", a.status)
	}
	o, err := c.readUserInfo(ctx, a)
	if err != nil {
		return nil, err
	}
	if got, err := o.str("sub"); err != nil || got == "" || got != sub {
		return nil, fail(Misbehaved, "userinfo_subject", "userinfo speaks of another person: expected %s, got %s", shown(sub), shown(got))
	}
	return o, nil
}

func (c *Client) readUserInfo(ctx context.Context, a *answer) (object, error) {
	switch {
	case a.media == "application/jwt":
		return c.signedUserInfo(ctx, strings.TrimSpace(string(a.body)))
	case a.json():
		o, err := parseObject(a.body)
		if err != nil {
			return nil, fail(Misbehaved, "bad_response", "userinfo: %v", err)
		}
		return o, nil
	}
	return nil, fail(Misbehaved, "bad_response", "userinfo answered with %s, not JSON", shown(a.media))
}

// signedUserInfo checks a userinfo answer that is a JWT: its signature always, iss, aud and
// exp where present (§5.3.2, UI-3). It has no typ, nonce or iat to hold on to, so it is
// only ever compared with the sub of an ID token.
func (c *Client) signedUserInfo(ctx context.Context, raw string) (object, error) {
	m, err := c.metadata(ctx)
	if err != nil {
		return nil, err
	}
	t, err := parseJWT(raw)
	if err != nil {
		return nil, err
	}
	algs := c.algorithms(m)
	if !t.isPlain() && !strings.EqualFold(t.typ, "userinfo+jwt") || !slices.Contains(algs, t.alg) {
		return nil, fail(Misbehaved, "bad_alg", "userinfo: typ %s, alg %s; accepted: %s", shown(t.typ), shown(t.alg), strings.Join(algs, ", "))
	}
	if t.claims.has("iss") {
		if err := c.checkIssuerOf(t); err != nil {
			return nil, err
		}
	}
	if aud, err := t.audience(); err != nil || aud != nil && !slices.Contains(aud, c.conf.ClientID) {
		return nil, fail(Misbehaved, "bad_audience", "userinfo is for %s, not for %q", shown(strings.Join(aud, " ")), c.conf.ClientID)
	}
	odd, err := c.verify(ctx, t)
	if err == nil {
		err = odd
	}
	if err != nil {
		return nil, err
	}
	if t.claims.has("exp") {
		if err := c.checkTimes(t); err != nil {
			return nil, err
		}
	}
	return t.claims, nil
}

// protected are the claims that only the signed token may state: who, for whom, when and
// how (IDT-15, P113).
func protected() []string {
	return []string{
		"iss", "sub", "aud", "azp", "exp", "iat", "nbf", "jti", "nonce", "auth_time", "acr", "amr",
		"at_hash", "c_hash", "s_hash", "sid", "events", "typ", "client_id", "scope", "cnf", "act", "may_act",
	}
}

// merge adds what userinfo says to claims. Protected claims are left out, and what the
// token itself says stands, unless newer says that userinfo was asked after the token was made.
func merge(claims, info object, newer bool) {
	if info == nil {
		return
	}
	pair(claims, info, "email", "email_verified", newer)
	pair(claims, info, "phone_number", "phone_number_verified", newer)
	for name, value := range info {
		if slices.Contains(protected(), name) || strings.HasPrefix(name, "_claim_") {
			continue
		}
		if newer || !claims.has(name) {
			claims[name] = value
		}
	}
}

// pair keeps an address and the word that it is verified together: that of one source says
// nothing about the address of the other.
func pair(claims, info object, address, verified string, newer bool) {
	switch a, b := claims.text(address), info.text(address); {
	case a == b:
		return
	case a == "" || newer && b != "": // the address will be userinfo's
		delete(claims, verified)
		if newer {
			delete(claims, address)
		}
	default: // the address stays the token's
		delete(info, verified)
	}
}

func (o object) marshal() ([]byte, error) { return json.Marshal(map[string]json.RawMessage(o)) }
