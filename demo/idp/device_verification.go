package idp

import (
	"net/http"
	"net/url"
)

// maxGuesses is how many wrong user codes one sign-in may type (RFC 8628 §5.1).
const maxGuesses = 10

type devicePage struct {
	Action, Problem, Typed, User string
}

type deviceConsentPage struct {
	Action, Client, User, Code, From, Asked, Confirm string
	Scopes                                           []string
}

type deviceDonePage struct {
	Client   string
	Approved bool
}

// serveDeviceVerification is where a person enters the code that another device shows (RFC 8628
// §3.3), and says yes or no. The code in the URL only fills it in: the person still sees it, and compares (§3.3.1).
func (s *Server) serveDeviceVerification(c *call) error {
	params := c.query
	if c.r.Method == http.MethodPost {
		params = c.form
	}
	typed := params.Get("user_code")
	session := s.sessionOf(c)
	if session == nil {
		next := s.URL(DeviceVerification)
		if typed != "" {
			next += "?" + url.Values{"user_code": {typed}}.Encode()
		}
		return s.askLogin(c, &interaction{next: next, kind: "session", browser: s.browserID(c)}, "")
	}
	if typed == "" {
		return c.page(http.StatusOK, "device", devicePage{Action: s.URL(DeviceVerification), User: session.user.Username})
	}
	device, problem := s.deviceTyped(typed, session)
	if problem != "" {
		return c.page(http.StatusOK, "device", devicePage{s.URL(DeviceVerification), problem, typed, session.user.Username})
	}
	c.noteClient(device.client.ID, "")
	if c.r.Method == http.MethodPost && c.form.Get("decision") != "" {
		return s.pressDevice(c, device, session)
	}
	return s.askDevice(c, device, session)
}

// askDevice shows who wants to be signed in, from where and since when (RFC 8628 §5.4).
func (s *Server) askDevice(c *call, device *deviceRequest, session *session) error {
	page := deviceConsentPage{
		Action: s.URL(DeviceVerification), Client: device.client.Name, User: session.user.Username,
		Code: spell(device.userCode), From: device.from, Asked: clock(device.asked), Confirm: session.confirmation("device " + device.userCode),
		Scopes: scopeTexts(device.scopes),
	}
	return c.page(http.StatusOK, "device_consent", page)
}

// pressDevice takes Approve or Deny.
func (s *Server) pressDevice(c *call, device *deviceRequest, session *session) error {
	if !c.ours(session.confirmation("device " + device.userCode)) {
		return &oauthError{Status: http.StatusForbidden, Code: "invalid_request", Description: "this form was not sent from our page"}
	}
	approved, who := c.form.Get("decision") == "allow", session
	if !approved {
		who = nil
	}
	s.state.mu.Lock()
	err := s.decide(&device.waiting, who)
	s.state.mu.Unlock()
	if err != nil {
		return refuse("invalid_request", "this code has expired or was used before; start again on the device")
	}
	return c.page(http.StatusOK, "device_done", deviceDonePage{Client: device.client.Name, Approved: approved})
}

// deviceTyped finds the request of a user code, or says what is wrong. Wrong codes are counted.
func (s *Server) deviceTyped(typed string, session *session) (*deviceRequest, string) {
	s.state.mu.Lock()
	defer s.state.mu.Unlock()
	if session.guesses >= maxGuesses {
		return nil, "Too many wrong codes. Sign out and in again."
	}
	device := s.state.userCodes[unspell(typed)]
	if device == nil || !device.pending(s.now()) {
		session.guesses++
		return nil, "No device waits with this code. Look at it again, or let the device show a new one."
	}
	return device, ""
}

// ours tells a form of our own page from one that another site sends.
func (c *call) ours(confirm string) bool {
	site := c.r.Header.Get("Sec-Fetch-Site")
	return (site == "" || site == "same-origin") && same(confirm, c.form.Get("confirm"))
}
