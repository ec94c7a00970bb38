package provider

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/doorward/doorward/internal/secret"
)

// GrantCIBA is the grant type of CIBA Core 1.0 §10.1.
const GrantCIBA = "urn:openid:params:grant-type:ciba"

// CIBARequest is an authentication request (CIBA Core 1.0 §7.1).
type CIBARequest struct {
	Hint              string        // "login_hint", "login_hint_token" or "id_token_hint": exactly one goes out
	HintValue         secret.String // not a secret, but nothing for logs either
	BindingMessage    string
	UserCode          secret.String // zero = none
	ACRValues         []string
	RequestedExpiry   time.Duration // 0 = none; whole seconds, rounded up
	NotificationToken secret.String // ping and push only (CIB-3): at most 1024 characters of a Bearer token
	Scopes            []string      // nil = the provider's; openid must be among them
	Signed            bool          // as a JWT in the parameter request (§7.1.1); needs the provider's private_key
	Extra             url.Values    // [login.NAME] params; none may be ReservedCIBA
}

// CIBAAnswer is the acknowledgement (§7.3), checked and clamped: expires_in 1 s to 30 min,
// interval 1 to 60 s and 5 s where the provider says nothing usable.
type CIBAAnswer struct {
	AuthReqID           secret.String
	ExpiresIn, Interval time.Duration
}

// ReservedCIBA tells whether a parameter of the authentication request is set by Doorward alone.
func ReservedCIBA(name string) bool {
	switch name {
	case "login_hint", "login_hint_token", "id_token_hint", "binding_message", "user_code", "acr_values", "requested_expiry", "client_notification_token",
		"grant_type", "auth_req_id", "aud", "exp", "iat", "nbf", "jti", "sub":
		return true
	}
	return Reserved(name)
}

// BackchannelAuthentication asks a person for their consent on another device, authenticated
// as at the token endpoint (CA-9). The error of an unknown person has Code unknown_user_id,
// also where a provider says so in other words; the other errors of CIBA §13 that are about
// this one request are Refused under their own names, also where control characters or sheer
// length (P169) keep us from asking the provider. Kind Misbehaved means that there is nothing to
// poll for (§7.4).
func (c *Client) BackchannelAuthentication(ctx context.Context, r CIBARequest) (*CIBAAnswer, error) {
	m, err := c.metadata(ctx)
	if err != nil {
		return nil, err
	}
	params, err := c.cibaForm(r)
	if err != nil {
		return nil, err
	}
	form := params
	if r.Signed {
		if form, err = c.signedRequest(m, params); err != nil {
			return nil, err
		}
	}
	a, err := c.send(ctx, m, call{
		endpoint: "backchannel_authentication_endpoint", of: func(e *Endpoints) *string { return &e.BackchannelAuthentication }, form: form,
	})
	if err != nil {
		return nil, err
	}
	o, err := a.granted("the backchannel authentication endpoint", c.now(), slices.Concat(c.sent(params), c.sent(form)), cibaErrors())
	if err != nil {
		return nil, c.explained(a.unknownUser(err))
	}
	k, err := readCIBAAnswer(o)
	if err != nil {
		return nil, fail(Misbehaved, "bad_response", "the answer of the backchannel authentication endpoint: %v", err)
	}
	return k, nil
}

// cibaErrors are the refusals of CIBA §13 that are about the person or their words, not the client.
func cibaErrors() []string {
	return []string{
		"unknown_user_id", "expired_login_hint_token", "missing_user_code", "invalid_user_code", "invalid_binding_message", "access_denied",
	}
}

// unknownUser names Keycloak's error for a user that it does not know, or has disabled, by the
// standard's word: invalid_request with "invalid user", since 26.7 "invalid_user". For the person in front of the page it is no fault of the operator's.
func (a *answer) unknownUser(err error) error {
	if a.status >= http.StatusInternalServerError || a.errorCode() != "invalid_request" {
		return err
	}
	if o, perr := parseObject(a.body); perr != nil || !strings.EqualFold(strings.ReplaceAll(strings.TrimSpace(o.text("error_description")), "_", " "), "invalid user") {
		return err
	}
	return fail(Refused, "unknown_user_id", "the backchannel authentication endpoint says invalid_request: invalid user")
}

// cibaForm are the parameters of an authentication request (§7.1), checked.
func (c *Client) cibaForm(r CIBARequest) (url.Values, error) {
	form, err := c.firstRequest(r.Scopes, r.Extra, ReservedCIBA)
	if err != nil {
		return nil, err
	}
	wrong := func(why string) error { return fail(Misconfigured, "incomplete_request", "a CIBA request: %s", why) }
	token := r.NotificationToken.Reveal()
	switch {
	case !slices.Contains(strings.Fields(form.Get("scope")), "openid"):
		return nil, wrong("openid must be among the scopes (CIBA §7.1)")
	case !slices.Contains([]string{"login_hint", "login_hint_token", "id_token_hint"}, r.Hint) || r.HintValue.IsZero():
		return nil, wrong("exactly one hint must say who is meant (CIBA §7.1)")
	case token != "" && (len(token) > 1024 || !printable(token)):
		return nil, wrong("the notification token is none (CIBA §7.1)")
	case !plain(r.HintValue.Reveal(), maxToken):
		return nil, fail(Refused, "unknown_user_id", "the hint is too long, or no text; the provider was not asked")
	case !plain(r.BindingMessage, maxTyped):
		return nil, fail(Refused, "invalid_binding_message", "the binding message is too long, or no text; the provider was not asked")
	case !plain(r.UserCode.Reveal(), maxTyped):
		return nil, fail(Refused, "invalid_user_code", "the user code is too long, or no text; the provider was not asked")
	}
	form.Set(r.Hint, r.HintValue.Reveal())
	if r.RequestedExpiry > 0 {
		form.Set("requested_expiry", strconv.FormatInt(int64((r.RequestedExpiry+time.Second-1)/time.Second), 10))
	}
	for name, value := range map[string]string{
		"binding_message": r.BindingMessage, "user_code": r.UserCode.Reveal(), "acr_values": strings.Join(r.ACRValues, " "), "client_notification_token": token,
	} {
		if value != "" {
			form.Set(name, value)
		}
	}
	return form, nil
}

// readCIBAAnswer reads an acknowledgement (§7.3, CIB-5).
func readCIBAAnswer(o object) (*CIBAAnswer, error) {
	id, err := handle(o, "auth_req_id")
	if err != nil {
		return nil, err
	}
	k := &CIBAAnswer{AuthReqID: id}
	if k.ExpiresIn, err = lifetime(o); err != nil {
		return nil, err
	}
	k.Interval, err = interval(o, defaultInterval)
	return k, err
}

// CIBAToken asks once whether the person has consented (§10.1). While they have not, the
// error has Code authorization_pending or slow_down; of the others, only one of kind
// Unavailable allows another question (§11). It takes up to 35 seconds, as a server may hold
// the question.
func (c *Client) CIBAToken(ctx context.Context, authReqID secret.String) (*Response, error) {
	return c.poll(ctx, url.Values{"grant_type": {GrantCIBA}, "auth_req_id": {authReqID.Reveal()}}, pollTimeout)
}

// CIBASupport is what a provider announces about CIBA (§4). nil lists were not announced.
type CIBASupport struct {
	Endpoint          bool     // there is a backchannel_authentication_endpoint
	DeliveryModes     []string // backchannel_token_delivery_modes_supported
	RequestAlgorithms []string // backchannel_authentication_request_signing_alg_values_supported
	UserCode          bool     // backchannel_user_code_parameter_supported
}

// CIBASupport returns what the provider announces, discovering if need be. Many announce
// less than they do (DIS-6).
func (c *Client) CIBASupport(ctx context.Context) (CIBASupport, error) {
	m, err := c.metadata(ctx)
	if err != nil {
		return CIBASupport{}, err
	}
	s := m.ciba
	s.Endpoint = m.BackchannelAuthentication != "" // also by configuration
	s.DeliveryModes, s.RequestAlgorithms = slices.Clone(s.DeliveryModes), slices.Clone(s.RequestAlgorithms)
	return s, nil
}
