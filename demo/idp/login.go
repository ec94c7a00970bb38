package idp

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"net/http"
	"slices"
	"strings"
	"time"
)

// interactionLifetime is how long a login page may lie open.
const interactionLifetime = time.Hour

// interaction is one login on its way through our pages. It belongs to the browser that began it.
type interaction struct {
	id       string
	browser  string
	request  *authRequest
	signedIn bool   // the person has typed the password in this interaction
	session  string // cookie value of that session
	expires  time.Time
}

// cookieName keeps providers on one host apart: cookies do not know ports.
func (s *Server) cookieName(kind string) string {
	sum := sha256.Sum256([]byte(s.config.Issuer))
	return "idp-" + kind + "-" + hex.EncodeToString(sum[:4])
}

func (s *Server) setCookie(c *call, kind, value string, maxAge int) {
	path := s.path
	if path == "" {
		path = "/"
	}
	http.SetCookie(c.w, &http.Cookie{
		Name: s.cookieName(kind), Value: value, Path: path, MaxAge: maxAge,
		HttpOnly: true, Secure: strings.HasPrefix(s.base, "https:"), SameSite: http.SameSiteLaxMode,
	})
}

func (s *Server) cookie(c *call, kind string) string {
	if cookie, err := c.r.Cookie(s.cookieName(kind)); err == nil {
		return cookie.Value
	}
	return ""
}

// browserID returns the mark of this browser, and sets it at the first visit.
func (s *Server) browserID(c *call) string {
	id := s.cookie(c, "browser")
	if len(id) < 40 {
		id = random()
		s.setCookie(c, "browser", id, 0)
	}
	return id
}

// sessionOf returns the live session of the browser, or nil.
func (s *Server) sessionOf(c *call) *session {
	s.state.mu.Lock()
	defer s.state.mu.Unlock()
	return s.state.live(s.cookie(c, "session"), s.now())
}

func (st *state) live(cookie string, now time.Time) *session {
	if found := st.sessions[cookie]; cookie != "" && found != nil && now.Before(found.expires) {
		return found
	}
	return nil
}

type loginPage struct {
	Client, Hint, Problem, Interaction, Action string
	Users                                      []User
}

// askLogin shows the login page.
func (s *Server) askLogin(c *call, i *interaction, problem string) error {
	s.keep(i)
	hint := i.request.params.Get("login_hint")
	if typed := c.form.Get("username"); typed != "" {
		hint = typed
	}
	page := loginPage{Client: i.request.client.Name, Hint: hint, Problem: problem, Interaction: i.id, Action: s.URL(Login)}
	if s.config.ShowPasswords {
		page.Users = s.config.Users
	}
	return c.page(http.StatusOK, "login", page)
}

// keep stores an interaction so that the form of the page can come back to it.
func (s *Server) keep(i *interaction) {
	s.state.mu.Lock()
	defer s.state.mu.Unlock()
	s.state.sweep(s.now())
	if i.id == "" {
		i.id = random()
		i.expires = s.now().Add(interactionLifetime)
	}
	s.state.interactions[i.id] = i
}

// resume returns the interaction that a form belongs to, and forgets it: every form is sent
// once. Another browser cannot send it (login CSRF).
func (s *Server) resume(c *call) (*interaction, *oauthError) {
	if site := c.r.Header.Get("Sec-Fetch-Site"); site != "" && site != "same-origin" {
		return nil, &oauthError{Status: http.StatusForbidden, Code: "invalid_request", Description: "this form was sent from another site"}
	}
	id := c.form.Get("interaction")
	s.state.mu.Lock()
	defer s.state.mu.Unlock()
	i := s.state.interactions[id]
	if i == nil || s.now().After(i.expires) || subtle.ConstantTimeCompare([]byte(i.browser), []byte(s.cookie(c, "browser"))) != 1 {
		return nil, refuse("invalid_request", "this page has expired; go back to the application and sign in again")
	}
	delete(s.state.interactions, id)
	return i, nil
}

// serveLogin takes the login form.
func (s *Server) serveLogin(c *call) error {
	i, failed := s.resume(c)
	if failed != nil {
		return failed
	}
	user := s.authenticate(c.form.Get("username"), c.form.Get("password"))
	if user == nil {
		return s.askLogin(c, i, "This user name and password do not belong together.")
	}
	// A new session at every sign-in, and the old one of this browser ends: no fixation.
	s.state.mu.Lock()
	if old := s.state.live(s.cookie(c, "session"), s.now()); old != nil {
		delete(s.state.sessions, old.cookie)
	}
	made := &session{
		id: random()[:26], cookie: random(), user: user, authTime: s.now(), acr: s.acrFor(i.request),
		expires: s.now().Add(s.config.SessionLifetime), clients: map[string]bool{},
	}
	s.state.sessions[made.cookie] = made
	s.state.mu.Unlock()
	s.setCookie(c, "session", made.cookie, int(s.config.SessionLifetime.Seconds()))
	i.signedIn, i.session = true, made.cookie
	if s.needsConsent(i, made) {
		return s.askConsent(c, i, made)
	}
	return s.finish(c, i.request, made)
}

// authenticate returns the user, or nil. Unknown users take the same path as wrong passwords.
func (s *Server) authenticate(username, password string) *User {
	user, known := s.users[username]
	if !known {
		user = &User{Password: random()}
	}
	want, got := sha256.Sum256([]byte(user.Password)), sha256.Sum256([]byte(password))
	if subtle.ConstantTimeCompare(want[:], got[:]) != 1 || !known {
		return nil
	}
	return user
}

// needsConsent: asked once per user, client and scope, and whenever the request wants it.
func (s *Server) needsConsent(i *interaction, session *session) bool {
	req := i.request
	if req.prompts("consent") {
		return true
	}
	if req.client.SkipConsent {
		return false
	}
	s.state.mu.Lock()
	defer s.state.mu.Unlock()
	return slices.ContainsFunc(req.scopes, func(scope string) bool {
		return !s.state.consents[consent{session.user.Subject, req.client.ID, scope}]
	})
}

type consentPage struct {
	Client, User, Interaction, Action string
	Scopes                            []string
}

func (s *Server) askConsent(c *call, i *interaction, session *session) error {
	i.session = session.cookie
	s.keep(i)
	page := consentPage{Client: i.request.client.Name, User: session.user.Username, Interaction: i.id, Action: s.URL(Consent)}
	for _, scope := range i.request.scopes {
		page.Scopes = append(page.Scopes, scopeText(scope))
	}
	return c.page(http.StatusOK, "consent", page)
}

// serveConsent takes the consent form.
func (s *Server) serveConsent(c *call) error {
	i, failed := s.resume(c)
	if failed != nil {
		return failed
	}
	s.state.mu.Lock()
	session := s.state.live(i.session, s.now())
	s.state.mu.Unlock()
	if session == nil || session.cookie != s.cookie(c, "session") { // signed out meanwhile, in another tab
		return s.askLogin(c, &interaction{request: i.request, browser: i.browser}, "You were signed out. Please sign in again.")
	}
	if c.form.Get("decision") != "allow" {
		return c.respondError(i.request, refuse("access_denied", "the person did not agree"))
	}
	s.state.mu.Lock()
	for _, scope := range i.request.scopes {
		s.state.consents[consent{session.user.Subject, i.request.client.ID, scope}] = true
	}
	s.state.mu.Unlock()
	return s.finish(c, i.request, session)
}

func scopeText(scope string) string {
	switch scope {
	case "openid":
		return "know that it is you"
	case "profile":
		return "see your name, user name and groups"
	case "email":
		return "see your e-mail address"
	case "groups":
		return "see your groups"
	case "offline_access":
		return "act for you while you are away"
	}
	return scope
}
