package idp

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// cibaRequest is a backchannel authentication (CIBA Core 1.0).
type cibaRequest struct {
	waiting
	id           string // for the phone and for tests, who need not know the auth_req_id
	authReqID    string
	user         *User
	message      string
	acrValues    string
	notification string // bearer token of ping and push
}

// maxCIBALifetime caps requested_expiry.
const maxCIBALifetime = time.Hour

// serveCIBA is the backchannel authentication endpoint (CIBA §7).
func (s *Server) serveCIBA(c *call) error {
	c.noStore()
	client, err := s.authenticateClient(c)
	if err != nil {
		return err
	}
	if !slices.Contains(client.Grants, GrantCIBA) {
		return refuse("unauthorized_client", "the client may not use CIBA")
	}
	params, err := s.cibaParams(c, client)
	if err != nil {
		return err
	}
	made, err := s.checkCIBA(client, params)
	if err != nil {
		return err
	}
	made.from = c.from()
	s.state.mu.Lock()
	s.state.sweep(made.asked)
	s.state.ciba[made.authReqID] = made
	s.state.mu.Unlock()
	answer := map[string]any{"auth_req_id": made.authReqID, "expires_in": int64(made.expires.Sub(made.asked).Seconds())}
	if client.CIBADelivery != "push" { // §7.3: push clients do not poll
		answer["interval"] = announced(s.config.CIBAPollInterval)
	} else {
		s.expirePush(made)
	}
	c.json(http.StatusOK, answer)
	return nil
}

// checkCIBA turns parameters into a request (§7.1, §7.2).
func (s *Server) checkCIBA(client *Client, params url.Values) (*cibaRequest, error) {
	scopes, refused := client.scopes(params.Get("scope"))
	switch {
	case refused != nil:
		return nil, refused
	case !params.Has("scope"):
		return nil, refuse("invalid_request", "scope is missing")
	case !slices.Contains(scopes, "openid"):
		return nil, refuse("invalid_scope", "scope must contain openid")
	}
	if err := checkNotificationToken(client, params); err != nil {
		return nil, err
	}
	user, err := s.hinted(client, params)
	if err != nil {
		return nil, err
	}
	if err := s.checkUserCode(user, params); err != nil {
		return nil, err
	}
	message := params.Get("binding_message")
	if params.Has("binding_message") && !s.binding.MatchString(message) {
		return nil, refuse("invalid_binding_message", "binding_message must match %s", s.config.BindingMessage)
	}
	lifetime, err := s.requestedExpiry(params)
	if err != nil {
		return nil, err
	}
	now := s.now()
	return &cibaRequest{
		waiting: waiting{
			client: client, scopes: scopes, asked: now, expires: now.Add(lifetime), interval: kept(s.config.CIBAPollInterval),
		},
		id: random()[:26], authReqID: random(), user: user, message: message,
		acrValues: params.Get("acr_values"), notification: params.Get("client_notification_token"),
	}, nil
}

// checkNotificationToken: needed by ping and push, refused in poll mode, as Keycloak does (§7.1).
func checkNotificationToken(client *Client, params url.Values) error {
	token := params.Get("client_notification_token")
	switch {
	case client.CIBADelivery == "poll" && params.Has("client_notification_token"):
		return refuse("invalid_request", "client_notification_token is not for poll mode")
	case client.CIBADelivery == "poll":
		return nil
	case token == "":
		return refuse("invalid_request", "client_notification_token is missing")
	case len(token) > 1024 || strings.Trim(strings.TrimRight(token, "="), unreserved+"+/") != "": // RFC 6750 §2.1
		return refuse("invalid_request", "client_notification_token is not a bearer token of at most 1024 characters")
	case len(token) < 22: // 128 bits in base64url
		return refuse("invalid_request", "client_notification_token has too little entropy")
	}
	return nil
}

// checkUserCode: a secret of the person, against pushes that others start (§7.1). Guesses count
// like wrong passwords.
func (s *Server) checkUserCode(user *User, params url.Values) error {
	switch {
	case user.CIBAUserCode == "":
		return nil
	case params.Get("user_code") == "":
		return refuse("missing_user_code", "")
	case !s.mayTry(user, same(user.CIBAUserCode, params.Get("user_code"))):
		return refuse("invalid_user_code", "")
	}
	return nil
}

func (s *Server) requestedExpiry(params url.Values) (time.Duration, error) {
	if !params.Has("requested_expiry") {
		return s.config.CIBALifetime, nil
	}
	n, err := strconv.ParseUint(params.Get("requested_expiry"), 10, 31)
	if err != nil || n == 0 {
		return 0, refuse("invalid_request", "requested_expiry is not a positive number of seconds")
	}
	return min(time.Duration(n)*time.Second, maxCIBALifetime), nil
}
