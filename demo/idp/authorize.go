package idp

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// authRequest is a validated authorization request.
type authRequest struct {
	client       *Client
	params       url.Values
	redirectURI  string
	types        responseType
	responseMode string
	state        string
	scopes       []string
	challenge    string
	prompt       []string
	maxAge       time.Duration // negative: not asked
}

// serveAuthorize answers the authorization request (RFC 6749 §4.1.1, OIDC Core §3.1.2), by GET or POST.
func (s *Server) serveAuthorize(c *call) error {
	params := c.query
	if c.r.Method == http.MethodPost {
		params = c.form
	}
	req, err := s.recipient(params)
	c.noteClient(params.Get("client_id"), "")
	if err != nil {
		return err // nobody to redirect to: a page (RFC 6749 §4.1.2.1)
	}
	for _, sin := range c.sins {
		if sin.Error != "" {
			return c.respondError(req, refuse(sin.Error, "%s", sin.Describe))
		}
	}
	if err := s.checkAuthRequest(req); err != nil {
		return c.respondError(req, err)
	}
	return s.proceed(c, &interaction{request: req, browser: s.browserID(c)})
}

// recipient finds out whom an answer may go to. Until that is certain nothing is redirected.
func (s *Server) recipient(params url.Values) (*authRequest, *oauthError) {
	for _, name := range []string{"client_id", "redirect_uri"} {
		if len(params[name]) != 1 {
			return nil, refuse("invalid_request", "exactly one %s is needed", name)
		}
	}
	client := s.clients[params.Get("client_id")]
	if client == nil {
		return nil, refuse("invalid_client", "the client %q is not registered", params.Get("client_id"))
	}
	uri := params.Get("redirect_uri")
	if !slices.Contains(client.RedirectURIs, uri) { // byte for byte (RFC 9700 §2.1)
		return nil, refuse("invalid_request", "the redirect_uri %q is not registered for the client %q", uri, client.ID)
	}
	req := &authRequest{client: client, params: params, redirectURI: uri, types: parseResponseType(params["response_type"]), maxAge: -1}
	req.responseMode = req.types.defaultMode()
	if len(params["state"]) == 1 {
		req.state = params.Get("state")
	}
	return req, nil
}

// checkAuthRequest checks everything else; its errors go to the redirect URI.
func (s *Server) checkAuthRequest(req *authRequest) *oauthError {
	p := req.params
	if err := req.chooseMode(p.Get("response_mode")); err != nil {
		return err
	}
	for name, values := range p {
		if len(values) > 1 && name != "resource" { // RFC 6749 §3.1
			return refuse("invalid_request", "%s is given more than once", name)
		}
	}
	switch {
	case p.Get("response_type") == "":
		return refuse("invalid_request", "response_type is missing")
	case req.types == "":
		return refuse("unsupported_response_type", "unknown response_type")
	case !req.client.may(req.types):
		return refuse("unauthorized_client", "the client may not use the response_type %s", req.types)
	case p.Has("claims") && !isObject(p.Get("claims")): // OIDC Core §5.5
		return refuse("invalid_request", "claims is not a JSON object")
	case p.Has("request"):
		return refuse("request_not_supported", "")
	case p.Has("request_uri"):
		return refuse("request_uri_not_supported", "")
	}
	if req.types.has("code") {
		if err := req.checkPKCE(); err != nil {
			return err
		}
	}
	var err *oauthError
	if req.scopes, err = req.client.scopes(p.Get("scope")); err != nil {
		return err
	}
	if err := req.checkFrontChannel(); err != nil {
		return err
	}
	return req.checkPrompt()
}

// scopes reads the parameter scope; a client gets only what it is registered for.
func (c *Client) scopes(text string) ([]string, *oauthError) {
	wanted := strings.Fields(text)
	for _, scope := range wanted {
		if !slices.Contains(c.Scopes, scope) {
			return nil, refuse("invalid_scope", "the client may not ask for the scope %s", scope)
		}
	}
	return wanted, nil
}

// checkPKCE: S256 and nothing else, for every client (RFC 9700 §2.1.1).
func (req *authRequest) checkPKCE() *oauthError {
	req.challenge = req.params.Get("code_challenge")
	if req.challenge == "" {
		return refuse("invalid_request", "code_challenge is missing")
	}
	return checkChallenge(req.params)
}

func checkChallenge(params url.Values) *oauthError {
	challenge := params.Get("code_challenge")
	switch {
	case params.Get("code_challenge_method") != "S256":
		return refuse("invalid_request", "code_challenge_method must be S256")
	case len(challenge) != 43 || strings.Trim(challenge, unreserved) != "":
		return refuse("invalid_request", "code_challenge is not a SHA-256 hash in base64url")
	}
	return nil
}

const unreserved = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~"

func (req *authRequest) checkPrompt() *oauthError {
	req.prompt = strings.Fields(req.params.Get("prompt"))
	for _, p := range req.prompt {
		if !slices.Contains([]string{"none", "login", "consent", "select_account"}, p) {
			return refuse("invalid_request", "unknown prompt")
		}
	}
	if req.prompts("none") && len(req.prompt) > 1 {
		return refuse("invalid_request", "prompt none excludes others")
	}
	if text := req.params.Get("max_age"); text != "" {
		seconds, err := strconv.ParseUint(text, 10, 31)
		if err != nil {
			return refuse("invalid_request", "max_age is not a number of seconds")
		}
		req.maxAge = time.Duration(seconds) * time.Second
	}
	return nil
}

func (req *authRequest) prompts(what string) bool { return slices.Contains(req.prompt, what) }

// proceed takes a login as far as it gets without the person: to a page, or to the end.
func (s *Server) proceed(c *call, i *interaction) error {
	req := i.request
	session := s.sessionOf(c)
	switch {
	case s.needsLogin(i, session):
		if req.prompts("none") {
			return c.respondError(req, refuse("login_required", ""))
		}
		return s.askLogin(c, i, "")
	case s.needsConsent(i, session):
		if req.prompts("none") {
			return c.respondError(req, refuse("consent_required", ""))
		}
		return s.askConsent(c, i, session)
	}
	return s.finish(c, req, session)
}

func (s *Server) needsLogin(i *interaction, session *session) bool {
	req := i.request
	switch {
	case session == nil:
		return true
	case i.signedIn: // in this very interaction: never ask twice
		return false
	case req.prompts("login"), req.prompts("select_account"):
		return true
	case req.maxAge >= 0 && s.now().Sub(session.authTime) >= req.maxAge:
		return true
	case !satisfies(session.acr, req.params.Get("acr_values")):
		return true
	}
	if wanted := req.params.Get("claims"); wanted != "" && wanted != session.stepUp {
		return true
	}
	hint := req.params.Get("id_token_hint")
	return hint != "" && s.hintSubject(hint, req.client) != session.user.Subject
}

// satisfies: acr_values is a wish in order of preference (OIDC Core §3.1.2.1).
func satisfies(acr, wanted string) bool {
	values := strings.Fields(wanted)
	return len(values) == 0 || slices.Contains(values, acr)
}

// acrFor is what a sign-in with these acr_values gets: the first wish that we know, else our first.
func (s *Server) acrFor(wanted string) string {
	for _, acr := range strings.Fields(wanted) {
		if slices.Contains(s.config.ACRValues, acr) {
			return acr
		}
	}
	return s.config.ACRValues[0]
}

// finish issues what the response type promises.
func (s *Server) finish(c *call, req *authRequest, session *session) error {
	g := &grant{
		client: req.client, user: session.user, sid: session.id, authTime: session.authTime, acr: session.acr,
		nonce: req.params.Get("nonce"), scopes: req.scopes, stepUp: session.stepUp,
		// offline_access is ignored unless the person was asked (OIDC Core §11).
		offline: slices.Contains(req.scopes, "offline_access") && req.prompts("consent"),
	}
	params := url.Values{"session_state": {session.id}}
	s.state.mu.Lock()
	s.state.sweep(s.now())
	session.clients[req.client.ID] = true
	if req.types.has("code") {
		value := random()
		params.Set("code", value)
		s.state.codes[value] = &code{
			redirectURI: req.redirectURI, challenge: req.challenge, expires: s.now().Add(s.config.CodeLifetime), grant: g,
		}
	}
	s.state.mu.Unlock()
	sins := c.take(Response, req.params)
	if err := s.issueFront(req, g, params, sins); err != nil {
		return err
	}
	return c.deliver(req, params, sins)
}
