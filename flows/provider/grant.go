package provider

import (
	"context"
	"fmt"
	"html"
	"net/url"
	"slices"
	"strings"
	"time"
)

// Grant is the one token-endpoint client of all flows: form holds grant_type and its
// parameters, Grant adds client authentication. It never retries a request that may have
// reached the server, but for the previous secret on invalid_client. Failures are *Error:
// what the table in classify says, Unavailable for the network, 429 and 5xx, Misbehaved
// for an answer that is none.
func (c *Client) Grant(ctx context.Context, form url.Values) (*Response, error) {
	return c.grant(ctx, call{form: form}, nil)
}

// poll is Grant for the question whether a person has approved yet, which is decided by the
// answer's error, whatever its status.
func (c *Client) poll(ctx context.Context, form url.Values, timeout time.Duration) (*Response, error) {
	return c.grant(ctx, call{form: form, timeout: timeout}, pollErrors())
}

func (c *Client) grant(ctx context.Context, k call, decisive []string) (*Response, error) {
	m, err := c.metadata(ctx)
	if err != nil {
		return nil, err
	}
	k.endpoint, k.of = "token_endpoint", func(e *Endpoints) *string { return &e.Token }
	a, err := c.send(ctx, m, k)
	if err != nil {
		return nil, err
	}
	sent := c.sent(k.form)
	if k.as != nil {
		sent = append(sent, k.as.secret.Reveal())
	}
	r, err := parseTokenResponse(a, c.now(), sent, decisive)
	if err != nil {
		return nil, c.explained(k.judged(err, a))
	}
	if k.form.Get("grant_type") != GrantTokenExchange { // which says by issued_token_type what came
		if err := checkBearer(r); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// judged has a refusal judged by what the flow knows of it.
func (k call) judged(err error, a *answer) error {
	e, ok := err.(*Error)
	if !ok || k.judge == nil || e.Kind != Refused && e.Kind != Misconfigured {
		return err
	}
	o, err := parseObject(a.body)
	if err != nil { // it was one a moment ago
		return e
	}
	return k.judge(e, o)
}

// sent lists what of a request must not come back to light in an error: some providers
// repeat a token or a password in error_description. Texts of up to three bytes are left
// out, as they stand in any sentence, but for what a person typed (P175).
func (c *Client) sent(form url.Values) []string {
	out := []string{c.conf.ClientSecret.Reveal(), c.conf.PreviousSecret.Reveal()}
	for name, values := range form {
		switch name {
		case "grant_type", "scope", "redirect_uri", "audience", "resource", "token_type_hint", "acr_values", "requested_expiry", "code_challenge_method",
			"subject_token_type", "actor_token_type", "requested_token_type", "requested_token_use":
		default:
			out = append(out, values...)
		}
	}
	typed := form.Get("grant_type") == "password" || form.Has("user_code")
	return slices.DeleteFunc(out, func(s string) bool { return s == "" || len(s) < 4 && !typed })
}

// explained adds what we know about the clocks to a refusal that clocks can cause.
func (c *Client) explained(err error) error {
	if e, ok := err.(*Error); ok && (e.Code == "invalid_client" || e.Code == "invalid_grant") {
		e.Detail += c.back.skew.hint()
	}
	return err
}

// refusal reads an error answer (RFC 6749 §5.2). What repeats a part of the request is
// left out.
func refusal(where string, status int, o object, sent []string) *Error {
	code, text := errorOf(o), o.text("error_description")
	if repeats(text, sent) {
		text = "[a text that repeats the request]"
	}
	if word(code) == "" || !registered(code) && repeats(code, sent) {
		return fail(Misbehaved, "bad_response", "%s answered %d without an error code", where, status)
	}
	e := fail(classify(code), code, "%s says %s", where, shown(text))
	if text == "" {
		e.Detail = fmt.Sprintf("%s answered %d with %s and no description", where, status, code)
	}
	if code == "slow_down" { // GitHub
		e.Interval, _ = interval(o, 0)
	}
	return e
}

// repeats tells whether a text holds a part of the request, as it was sent or encoded for a
// URL or a page, in whatever case.
func repeats(text string, sent []string) bool {
	text = strings.ToLower(text)
	for _, s := range sent {
		for _, as := range []string{s, url.QueryEscape(s), url.PathEscape(s), html.EscapeString(s)} {
			if strings.Contains(text, strings.ToLower(as)) {
				return true
			}
		}
	}
	return false
}

// errorOf returns the error of an answer as a registered word. A wrong secret of a client that it has is an
// unauthorized_client to Keycloak, which would mean that the secret was right and the grant is not allowed.
func errorOf(o object) string {
	code, text := standard(o.text("error")), strings.ToLower(o.text("error_description"))
	if code == "unauthorized_client" && (strings.Contains(text, "invalid client credentials") || strings.Contains(text, "invalid client secret")) {
		return "invalid_client"
	}
	return code
}

// standard returns the registered word for what a provider calls otherwise.
func standard(code string) string {
	switch code {
	case "authorization_declined": // Entra
		return "access_denied"
	case "code_expired": // Entra of old
		return "expired_token"
	case "bad_verification_code", "incorrect_device_code", "bad_refresh_token": // Entra, GitHub
		return "invalid_grant"
	case "device_flow_disabled": // GitHub
		return "unauthorized_client"
	case "incorrect_client_credentials": // GitHub
		return "invalid_client"
	}
	return code
}

// registered tells whether a code is one of the IANA registry, and thus never a part of the
// request that came back, even if a person's name stands in it.
func registered(code string) bool {
	switch code {
	case "invalid_grant", "invalid_token", "insufficient_scope", "login_required", "interaction_required", "consent_required", "account_selection_required":
		return true
	}
	return classify(code) != Refused || slices.Contains(pollErrors(), code) || slices.Contains(cibaErrors(), code)
}

// pollErrors are the answers to a poll (RFC 8628 §3.5, CIBA §11): they are told by their
// word, since servers send them with 400, 200, 403, 428 and 429. By any other name, a status that
// says trouble is trouble.
func pollErrors() []string {
	return []string{"authorization_pending", "slow_down", "access_denied", "expired_token", "transaction_failed"}
}

// classify sorts OAuth error codes by what must be answered: Misconfigured is what only
// the operator can mend, Unavailable passes by itself, and everything else is the
// provider's no to this one request.
func classify(code string) Kind {
	switch code {
	case "invalid_client", "unauthorized_client", "unsupported_grant_type", "invalid_request", "invalid_scope", "invalid_target",
		"unsupported_response_type", "unsupported_token_type", "invalid_authorization_details", "invalid_dpop_proof", "use_dpop_nonce":
		return Misconfigured
	case "server_error", "temporarily_unavailable":
		return Unavailable
	}
	return Refused
}
