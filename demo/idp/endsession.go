package idp

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"slices"

	"github.com/go-jose/go-jose/v4"
)

// serveEndSession is RP-initiated logout (OIDC RP-Initiated Logout 1.0 §2). With an id_token_hint
// of the session it signs out at once; else it asks, so that no other site can sign people out.
func (s *Server) serveEndSession(c *call) error {
	params := c.query
	if c.r.Method == http.MethodPost {
		params = c.form
	}
	for name, values := range params {
		if len(values) > 1 {
			return refuse("invalid_request", "%s is given more than once", name)
		}
	}
	hint, err := s.logoutHint(params)
	if err != nil {
		return err
	}
	c.noteClient(hint.client, "")
	back, err := s.postLogoutURI(params, hint.client)
	if err != nil {
		return err
	}
	current := s.sessionOf(c)
	confirmed := c.r.Method == http.MethodPost && current != nil && params.Get("confirm") == current.confirmation("sign out")
	switch {
	case current == nil:
	case confirmed, hint.subject == current.user.Subject && (hint.sid == "" || hint.sid == current.id):
		s.state.mu.Lock()
		s.state.endSession(current)
		s.state.mu.Unlock()
		// Only now: a POST of another site comes without the cookie and must not clear it.
		s.setCookie(c, "session", "", -1)
		s.notify(c.r.Context(), []*session{current})
	default:
		if client := s.clients[hint.client]; client != nil && client.RequireIDHint && params.Get("id_token_hint") == "" {
			return refuse("invalid_request", "id_token_hint is missing")
		}
		params = maps.Clone(params)
		params.Del("id_token_hint") // too long for a form, and of no more use
		params.Set("client_id", hint.client)
		return c.page(http.StatusOK, "logout", logoutPage{
			Action: s.URL(EndSession), User: current.user.Username, Confirm: current.confirmation("sign out"), Params: params,
		})
	}
	if back == "" {
		return c.page(http.StatusOK, "signed_out", nil)
	}
	c.noStore()
	c.redirect(back)
	return nil
}

// confirmation is what only our own page knows, for one purpose: clients know the id of the session, as sid.
func (s *session) confirmation(of string) string { return halfHash("RS256", of+" "+s.cookie) }

type logoutPage struct {
	Action, User, Confirm string
	Params                url.Values
}

type logoutHint struct{ client, subject, sid string }

// logoutHint reads who wants whom signed out.
func (s *Server) logoutHint(params url.Values) (logoutHint, error) {
	hint := logoutHint{client: params.Get("client_id")}
	if hint.client != "" && s.clients[hint.client] == nil {
		return hint, refuse("invalid_request", "the client %q is not registered", hint.client)
	}
	raw := params.Get("id_token_hint")
	if raw == "" {
		return hint, nil
	}
	claims, ok := s.readHint(raw)
	if !ok || len(claims.Audience) != 1 {
		return hint, refuse("invalid_request", "id_token_hint was not issued here")
	}
	if hint.client != "" && hint.client != claims.Audience[0] { // §2
		return hint, refuse("invalid_request", "client_id and id_token_hint name different clients")
	}
	return logoutHint{client: claims.Audience[0], subject: claims.Subject, sid: claims.SessionID}, nil
}

type hintClaims struct {
	Issuer    string   `json:"iss"`
	Subject   string   `json:"sub"`
	Audience  audience `json:"aud"`
	SessionID string   `json:"sid"`
}

// readHint verifies an ID token of ours. It may have expired: it is a hint.
func (s *Server) readHint(raw string) (claims hintClaims, ok bool) {
	jws, err := jose.ParseSignedCompact(raw, signingAlgs())
	if err != nil {
		return claims, false
	}
	header := jws.Signatures[0].Protected
	for _, key := range s.keys.all() {
		if key.ID != header.KeyID || key.Alg != header.Algorithm {
			continue
		}
		payload, err := jws.Verify(key.Public())
		if err == nil && json.Unmarshal(payload, &claims) == nil {
			return claims, claims.Issuer == s.config.Issuer
		}
	}
	return claims, false
}

// hintSubject returns the subject of an id_token_hint of an authorization request, or "".
func (s *Server) hintSubject(raw string, client *Client) string {
	claims, ok := s.readHint(raw)
	if !ok || !slices.Contains(claims.Audience, client.ID) {
		return ""
	}
	return claims.Subject
}

// postLogoutURI returns where to go, with state; "" if nowhere. It must be registered, byte for byte.
func (s *Server) postLogoutURI(params url.Values, clientID string) (string, error) {
	uri := params.Get("post_logout_redirect_uri")
	if uri == "" {
		return "", nil
	}
	client := s.clients[clientID]
	if client == nil {
		return "", refuse("invalid_request", "post_logout_redirect_uri needs an id_token_hint or a client_id")
	}
	if !slices.Contains(client.PostLogoutRedirectURIs, uri) {
		return "", refuse("invalid_request", "the post_logout_redirect_uri %q is not registered for the client %q", uri, client.ID)
	}
	target, err := url.Parse(uri)
	if err != nil {
		return "", err
	}
	if state := params.Get("state"); state != "" {
		query := url.Values{"state": {state}}.Encode()
		if target.RawQuery != "" {
			query = target.RawQuery + "&" + query
		}
		target.RawQuery = query
	}
	return target.String(), nil
}
