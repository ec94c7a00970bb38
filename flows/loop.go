package flows

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/doorward/doorward/internal/origin"
	"github.com/doorward/doorward/internal/pages"
	"github.com/doorward/doorward/sessions"
)

const (
	loopWindow = time.Minute
	loopLimit  = 4 // the fourth callback in a row is the end
)

// A login loop is a chain, not a number: each login began because the session of the one
// before it did not come back, or did not help (R5). A login that ends leaves its chain in a
// cookie of a minute; one that begins takes it over if no session came with it, or one of the same login
// and nobody asked for another. Ten tabs restored at once are ten chains of one.
type chain struct {
	Ended []int64 `json:"c"` // Unix seconds
}

func (f *Flows) loopCookie(here origin.Origin) string {
	return f.binding.Prefixed(here, loginSuffix+"loop")
}

// readChain gives a the logins that led straight to it.
func (f *Flows) readChain(r *http.Request, a *attempt, how beginning) error {
	name := f.loopCookie(a.here)
	cookies := r.CookiesNamed(name)
	var c chain
	if len(cookies) != 1 || !f.openParameter(purposeLoop, cookies[0].Value, &c, bound(a.here, name)) {
		return nil
	}
	ended := f.recent(c.Ended)
	if len(ended) == 0 {
		return nil
	}
	session, err := f.deps.Sessions.Load(r)
	if err != nil {
		return err
	}
	// A page that sends even those away who have just signed in for it: its access token may end
	// at once by our clock. A person who clicks "use another account" is no loop.
	driven := how.demanded || how.prompt == "" && r.Header.Get("Sec-Fetch-User") == ""
	if session == nil || driven && session.Who.Login == a.login {
		a.chain = ended
	}
	return nil
}

// extendChain remembers that a ended in a session.
func (f *Flows) extendChain(w http.ResponseWriter, a *attempt) {
	name := f.loopCookie(a.here)
	c := chain{append(f.recent(a.chain), f.deps.Now().Unix())}
	f.setCookie(w, a.here, name, f.sealParameter(purposeLoop, c, bound(a.here, name)), loopWindow)
}

// recent returns those that are no older than the window, at most as many as matter.
func (f *Flows) recent(ended []int64) (recent []int64) {
	oldest := f.deps.Now().Add(-loopWindow).Unix()
	for _, t := range ended {
		if t > oldest {
			recent = append(recent, t)
		}
	}
	return recent[max(0, len(recent)-loopLimit):]
}

// looped returns the measured facts if a is the end of a loop, else nil.
func (f *Flows) looped(r *http.Request, a *attempt) []pages.Fact {
	ended := f.recent(a.chain)
	if len(ended)+1 < loopLimit {
		return nil
	}
	return f.measure(r, a, ended)
}

// loopError stops a loop with a page that lists what was measured, and one log line with the same.
func (f *Flows) loopError(w http.ResponseWriter, r *http.Request, a *attempt, facts []pages.Fact) error {
	f.clearCookie(w, a.here, f.loopCookie(a.here)) // "sign in again" begins a new chain
	attrs := make([]any, 0, 2*len(facts))
	for _, fact := range facts {
		attrs = append(attrs, strings.ReplaceAll(strings.ToLower(fact.Name), " ", "_"), fact.Value)
	}
	f.deps.Log.WarnContext(r.Context(), "login loop", attrs...)
	return &pages.Error{
		Code:     codeLoop,
		Detail:   "You were signed in several times in a row, and each time the next page asked for a sign-in again.",
		LoginURL: f.startURL(a.here, f.target(a.here, a.back), nil),
		Facts:    facts,
	}
}

func (f *Flows) measure(r *http.Request, a *attempt, ended []int64) []pages.Fact {
	connection := "http (TLS, if any, ends before Doorward)"
	if r.TLS != nil {
		connection = "https"
	}
	site := r.Header.Get("Sec-Fetch-Site")
	if site == "" {
		site = "not sent"
	}
	var times []string
	for _, t := range ended {
		times = append(times, time.Unix(t, 0).UTC().Format(time.TimeOnly))
	}
	now := f.deps.Now()
	times = append(times, now.UTC().Format(time.TimeOnly))
	session, _ := f.deps.Sessions.Load(r) // what cannot be known is none
	facts := []pages.Fact{
		{Name: "Request host", Value: bounded(r.Host)},
		{Name: "Outside origin", Value: a.here.String()},
		{Name: "Scheme", Value: a.here.Scheme},
		{Name: "Connection", Value: connection},
		{Name: "Session cookie", Value: f.sessionCookie(a.here)},
		{Name: "Cookie came back", Value: f.cameBack(r, a.here, session)},
		{Name: "Access token", Value: f.tokenState(session)},
		{Name: "Sec-Fetch-Site", Value: bounded(site)},
		{Name: "Sign-ins", Value: fmt.Sprintf("%d within %d seconds", len(times), now.Unix()-ended[0])},
		{Name: "Times", Value: strings.Join(times, ", ") + " UTC"},
	}
	if session != nil { // cookies are kept: whoever asks about the session is not answered
		facts = append(facts, pages.Fact{Name: "To check", Value: "a proxy in front that asks about requests (forward-auth) must be listed in listen.trusted_proxies"})
	}
	return facts
}

// sessionCookie names the session cookie with the attributes it is set with.
func (f *Flows) sessionCookie(here origin.Origin) string {
	parts := []string{f.cookie.Prefixed(here, ""), "Path=/", "HttpOnly"}
	if here.Secure() {
		parts = append(parts, "Secure")
	}
	switch f.cookie.SameSite {
	case http.SameSiteStrictMode:
		parts = append(parts, "SameSite=Strict")
	case http.SameSiteNoneMode:
		parts = append(parts, "SameSite=None")
	default:
		parts = append(parts, "SameSite=Lax")
	}
	if f.cookie.Domain != "" {
		parts = append(parts, "Domain="+f.cookie.Domain)
	}
	return strings.Join(parts, "; ")
}

// cameBack says whether the session cookie of the login before came with this request.
func (f *Flows) cameBack(r *http.Request, here origin.Origin, session *sessions.Session) string {
	if session != nil {
		return "yes, with a session that the page did not accept"
	}
	name, n := f.cookie.Prefixed(here, ""), 0
	for _, c := range r.Cookies() {
		if c.Name == name || strings.HasPrefix(c.Name, name+".") {
			n++
		}
	}
	switch n {
	case 0:
		return "no"
	case 1:
		return "yes, but it names no session"
	}
	return "yes, " + strconv.Itoa(n) + " of them, but they name no session"
}

// tokenState says what of a session's access token, by our clock, can make a page refuse it.
func (f *Flows) tokenState(session *sessions.Session) string {
	if session == nil || session.Who.Tokens == nil || session.Who.Tokens.Expiry.IsZero() {
		return "its end is not known"
	}
	left := session.Who.Tokens.Expiry.Sub(f.deps.Now()).Truncate(time.Second)
	state := "ends in " + left.String()
	if left <= 0 {
		state = "ended " + (-left).String() + " ago"
	}
	if session.Who.Tokens.RefreshToken.IsZero() {
		state += ", and cannot be refreshed"
	}
	return state
}
