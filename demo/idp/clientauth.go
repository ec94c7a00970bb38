package idp

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
)

// authenticateClient finds and authenticates the client of a back-channel request, by exactly
// the method that it is registered with (RFC 6749 §2.3).
func (s *Server) authenticateClient(c *call) (*Client, error) {
	if err := c.checkForm("audience", "resource"); err != nil {
		return nil, err
	}
	id, method, secret, err := credentials(c)
	c.noteClient(id, method)
	if err != nil {
		return nil, err
	}
	client := s.clients[id]
	switch {
	case client == nil:
		return nil, c.invalidClient("unknown client")
	case client.AuthMethod != method:
		return nil, c.invalidClient("the client must authenticate by " + client.AuthMethod)
	}
	switch method {
	case "client_secret_basic", "client_secret_post":
		want, got := sha256.Sum256([]byte(client.Secret)), sha256.Sum256([]byte(secret))
		if subtle.ConstantTimeCompare(want[:], got[:]) != 1 {
			return nil, c.invalidClient("wrong secret")
		}
	case "client_secret_jwt", "private_key_jwt":
		if err := s.checkAssertion(client, c.endpoint, c.form.Get("client_assertion")); err != nil {
			return nil, c.invalidClient(err.Error())
		}
	}
	return client, nil
}

// credentials reads which method a request uses. More than one is an error, so that a client
// that tries two at once is found out (P111).
func credentials(c *call) (id, method, secret string, err error) {
	id = c.form.Get("client_id")
	var methods []string
	if header := c.r.Header.Get("Authorization"); header != "" {
		methods = append(methods, "client_secret_basic")
		user, password, ok := basic(header)
		if !ok {
			return id, "client_secret_basic", "", c.invalidClient("malformed Basic credentials: id and secret must each be form-urlencoded")
		}
		if id != "" && id != user {
			return user, "client_secret_basic", "", refuse("invalid_request", "client_id and Authorization name different clients")
		}
		id, secret = user, password
	}
	if c.form.Has("client_secret") {
		methods = append(methods, "client_secret_post")
		secret = c.form.Get("client_secret")
	}
	if c.form.Has("client_assertion") || c.form.Has("client_assertion_type") {
		subject, kind := assertionKind(c.form.Get("client_assertion"))
		methods = append(methods, kind)
		if c.form.Get("client_assertion_type") != "urn:ietf:params:oauth:client-assertion-type:jwt-bearer" {
			return id, kind, "", c.invalidClient("unknown client_assertion_type")
		}
		if id != "" && id != subject { // RFC 7521 §4.2
			return id, kind, "", c.invalidClient("client_id and client_assertion name different clients")
		}
		id = subject
	}
	switch len(methods) {
	case 0:
		return id, "none", "", nil
	case 1:
		return id, methods[0], secret, nil
	}
	return id, strings.Join(methods, "+"), "", refuse("invalid_request", "more than one way of client authentication")
}

// basic decodes RFC 6749 §2.3.1: both parts are form-urlencoded before base64.
func basic(header string) (id, secret string, ok bool) {
	scheme, value, _ := strings.Cut(header, " ")
	raw, err := base64.StdEncoding.DecodeString(strings.TrimSpace(value))
	if !strings.EqualFold(scheme, "Basic") || err != nil {
		return "", "", false
	}
	user, password, found := strings.Cut(string(raw), ":")
	id, idErr := url.QueryUnescape(user)
	secret, secretErr := url.QueryUnescape(password)
	return id, secret, found && idErr == nil && secretErr == nil
}

// invalidClient is 401, with a challenge if the client tried the header (RFC 6749 §5.2).
func (c *call) invalidClient(description string) error {
	e := &oauthError{Status: http.StatusUnauthorized, Code: "invalid_client", Description: description}
	if c.r.Header.Get("Authorization") != "" {
		e.Challenge = `Basic realm="idp"`
	}
	return e
}
