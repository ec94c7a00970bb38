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
	request  *authRequest // nil: the person wants a page of ours,
	next     string       // which is at this URL
	kind     string       // of the cookie that keeps the session: "session", or "phone"
	signedIn bool         // the person has typed the password in this interaction
	session  string       // cookie value of that session
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
func (s *Server) sessionOf(c *call) *session { return s.sessionIn(c, "session") }

// sessionIn returns the session that a kind of cookie names: the phone is signed in by one of its
// own, so that one browser can play two people's devices.
func (s *Server) sessionIn(c *call, kind string) *session {
	s.state.mu.Lock()
	defer s.state.mu.Unlock()
	return s.state.live(s.cookie(c, kind), s.now())
}

func (st *state) live(cookie string, now time.Time) *session {
	if found := st.sessions[cookie]; cookie != "" && found != nil && now.Before(found.expires) {
		return found
	}
	return nil
}

type loginPage struct {
	Client, Hint, Problem, Interaction, Action string
	OTP                                        bool
	Choose                                     bool // the people can be chosen by a button
	Users                                      []User
}

// askLogin shows the login page.
func (s *Server) askLogin(c *call, i *interaction, problem string) error {
	s.keep(i)
	client, hint := "your device", ""
	if i.request != nil {
		client, hint = i.request.client.Name, i.request.params.Get("login_hint")
	} else if i.kind == "phone" {
		client, hint = "your phone", c.query.Get("login_hint")
	}
	if typed := c.form.Get("username"); typed != "" {
		hint = typed
	}
	page := loginPage{Client: client, OTP: s.usesOTP(), Hint: hint, Problem: problem, Interaction: i.id, Action: s.URL(Login)}
	if s.config.ShowPasswords {
		page.Users, page.Choose = s.config.Users, i.kind == "phone"
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
	user := s.authenticate(c.form.Get("username"), c.form.Get("password"), c.form.Get("otp"))
	if user == nil || user.Disabled {
		return s.askLogin(c, i, "This user name and password do not belong together.")
	}
	kind, acrValues := i.kind, ""
	if i.request != nil {
		kind, acrValues = "session", i.request.params.Get("acr_values")
	}
	// A new session at every sign-in, and the old one of this browser ends: no fixation.
	s.state.mu.Lock()
	if old := s.state.live(s.cookie(c, kind), s.now()); old != nil {
		delete(s.state.sessions, old.cookie)
	}
	made := s.newSession(user, s.acrFor(acrValues))
	if i.request != nil {
		made.stepUp = i.request.params.Get("claims")
	}
	s.state.mu.Unlock()
	s.setCookie(c, kind, made.cookie, int(s.config.SessionLifetime.Seconds()))
	i.signedIn, i.session = true, made.cookie
	if i.request == nil {
		c.noStore()
		c.redirect(i.next)
		return nil
	}
	if s.needsConsent(i, made) {
		return s.askConsent(c, i, made)
	}
	return s.finish(c, i.request, made)
}

// newSession makes a session; mu is held.
func (s *Server) newSession(user *User, acr string) *session {
	made := &session{
		id: random()[:26], cookie: random(), user: user, authTime: s.now(), acr: acr,
		expires: s.now().Add(s.config.SessionLifetime), clients: map[string]bool{},
	}
	s.state.sessions[made.cookie] = made
	return made
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
	page := consentPage{Client: i.request.client.Name, User: session.user.Username, Interaction: i.id, Action: s.URL(Consent), Scopes: scopeTexts(i.request.scopes)}
	return c.page(http.StatusOK, "consent", page)
}

// serveConsent takes the consent form.
func (s *Server) serveConsent(c *call) error {
	i, failed := s.resume(c)
	if failed != nil {
		return failed
	}
	if i.request == nil {
		return refuse("invalid_request", "this page asks for no consent")
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

// scopeTexts are what scopes let a client do, each thing once: groups come with profile too.
func scopeTexts(scopes []string) (texts []string) {
	for _, scope := range scopes {
		text := scopeText(scope)
		if scope == "profile" && slices.Contains(scopes, "groups") {
			text = "see your name and user name"
		}
		texts = append(texts, text)
	}
	return texts
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
