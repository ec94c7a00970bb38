package idp

import (
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Server is the provider: an http.Handler, safe for concurrent use. Make one with New.
type Server struct {
	config    Config
	base      string // the issuer without one trailing slash
	path      string // of the issuer, likewise
	clients   map[string]*Client
	users     map[string]*User // by username
	binding   *regexp.Regexp   // of a binding_message
	keys      *keyring
	endpoints map[string]endpoint // by URL path
	grants    map[string]grantType
	state     *state
	records   records
	sins      sinner
}

// endpoint is one path of the provider.
type endpoint struct {
	name    string
	methods []string
	serve   func(*call) error
}

// New validates the configuration and makes the keys. It touches no network.
func New(config Config) (*Server, error) {
	c := config.withDefaults()
	if err := c.validate(); err != nil {
		return nil, err
	}
	keys, err := newKeyring(c)
	if err != nil {
		return nil, err
	}
	base := strings.TrimSuffix(c.Issuer, "/")
	at, err := url.Parse(base)
	if err != nil {
		return nil, err
	}
	s := &Server{
		config: c, base: base, path: at.Path, keys: keys, state: newState(),
		clients: map[string]*Client{}, users: map[string]*User{},
	}
	for i := range c.Clients {
		s.clients[c.Clients[i].ID] = &c.Clients[i]
	}
	for i := range c.Users {
		s.users[c.Users[i].Username] = &c.Users[i]
	}
	if s.binding, err = regexp.Compile(c.BindingMessage); err != nil {
		return nil, fmt.Errorf("idp: BindingMessage: %w", err)
	}
	s.sins.release = make(chan struct{})
	s.grants = s.grantTypes()
	s.endpoints = s.paths()
	return s, nil
}

// Issuer returns the issuer identifier, as it stands in tokens.
func (s *Server) Issuer() string { return s.config.Issuer }

// URL returns the outside URL of an endpoint constant such as Token.
func (s *Server) URL(name string) string {
	p := s.config.Paths
	return s.base + map[string]string{
		Discovery: wellKnownOpenID, Authorize: p.Authorize, Token: p.Token, JWKS: p.JWKS, UserInfo: p.UserInfo,
		Introspect: p.Introspect, Revoke: p.Revoke, EndSession: p.EndSession, Login: loginPath, Consent: consentPath,
		Device: p.Device, CIBA: p.CIBA, DeviceVerification: devicePath, Phone: phonePath,
	}[name]
}

const (
	wellKnownOpenID = "/.well-known/openid-configuration"
	wellKnownOAuth  = "/.well-known/oauth-authorization-server"
	loginPath       = "/login"
	consentPath     = "/consent"
	devicePath      = "/device"
	phonePath       = "/phone"
)

// paths is the table of all endpoints. A further one is a line here and a file.
func (s *Server) paths() map[string]endpoint {
	get, post, both := []string{"GET", "HEAD"}, []string{"POST"}, []string{"GET", "HEAD", "POST"}
	p := s.config.Paths
	return map[string]endpoint{
		s.path + wellKnownOpenID: {Discovery, get, s.serveDiscovery},
		wellKnownOAuth + s.path:  {Discovery, get, s.serveDiscovery}, // RFC 8414 §3.1: before the path
		s.path + p.JWKS:          {JWKS, get, s.serveJWKS},
		s.path + p.Authorize:     {Authorize, both, s.serveAuthorize},
		s.path + loginPath:       {Login, post, s.serveLogin},
		s.path + consentPath:     {Consent, post, s.serveConsent},
		s.path + p.Token:         {Token, post, s.serveToken},
		s.path + p.UserInfo:      {UserInfo, both, s.serveUserInfo},
		s.path + p.Introspect:    {Introspect, post, s.serveIntrospect},
		s.path + p.Revoke:        {Revoke, post, s.serveRevoke},
		s.path + p.EndSession:    {EndSession, both, s.serveEndSession},
		s.path + p.Device:        {Device, post, s.serveDevice},
		s.path + devicePath:      {DeviceVerification, both, s.serveDeviceVerification},
		s.path + p.CIBA:          {CIBA, post, s.serveCIBA},
		s.path + phonePath:       {Phone, both, s.servePhone},
	}
}

// ServeHTTP answers every endpoint.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	e, found := s.endpoints[r.URL.Path]
	if s.config.Control && !found && strings.HasPrefix(r.URL.Path, controlPrefix) {
		s.serveControl(w, r)
		return
	}
	c := s.begin(w, r, e.name)
	defer c.end()
	switch {
	case !found:
		c.fail(&oauthError{Status: http.StatusNotFound, Code: "not_found"})
	case !slices.Contains(e.methods, r.Method):
		c.w.Header().Set("Allow", strings.Join(e.methods, ", "))
		c.fail(&oauthError{Status: http.StatusMethodNotAllowed, Code: "invalid_request", Description: "method not allowed"})
	case c.bad != nil:
		c.fail(c.bad)
	default:
		c.take(e.name, c.query, c.form)
		if c.instead() {
			return
		}
		if err := e.serve(c); err != nil {
			c.fail(err)
		}
	}
}

func (s *Server) now() time.Time { return s.config.Now() }
