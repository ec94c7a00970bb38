package flows

import (
	"cmp"
	"context"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/doorward/doorward/flows/provider"
	"github.com/doorward/doorward/internal/origin"
	"github.com/doorward/doorward/internal/pages"
	"github.com/doorward/doorward/internal/secret"
)

const (
	attemptLife   = 10 * time.Minute
	markLife      = attemptLife + time.Minute // outlives what it marks
	maxAttempts   = 20                        // per browser and host
	maxCleared    = 50                        // by one answer: a header full of cookies must not make a larger one
	maxCookieBack = 1 << 10
	secretSize    = 32

	// Servers in front of us refuse long Cookie headers. A browser that carries more than this for
	// attempts gets no more targets into cookies (P085).
	maxCarried = 4 << 10
)

// attempt is one login that has begun and not ended. The browser that began it keeps it, in a
// cookie of its own, so that ten tabs are ten attempts and none disturbs another (AUT-5, R4).
type attempt struct {
	id       []byte // public: names the cookie, is inside state
	created  time.Time
	secret   []byte // nonce and code verifier are drawn from it; only the cookie knows it
	provider string
	login    string
	back     string
	here     origin.Origin
	restarts int
	chain    []int64       // when the logins ended that led straight to this one (loop.go)
	passed   url.Values    // what of the visitor's query goes on to the provider (pass.go)
	life     time.Duration // of its cookie; 0 = attemptLife
}

// begin makes an attempt and sends the browser to the provider. Only a real navigation gets one: a
// prefetch, an image or a script would fill the browser with attempts that nobody finishes (P186, AUT-7).
func (f *Flows) begin(w http.ResponseWriter, r *http.Request, here origin.Origin, l *login, how beginning) error {
	if r.Method == http.MethodHead {
		return redirect(w, http.StatusFound, f.startURL(here, how.back, []*login{l}))
	}
	if pages.KindOf(r) == pages.Program {
		return f.loginRequired(here, how.back, []*login{l})
	}
	if l.flow == nil {
		return redirect(w, seeOther(r), f.loginPage(l, how)) // which begins by POST
	}
	if f.isFormPost(l.name) && !here.Secure() && !here.Loopback() {
		return &pages.Error{Code: codeMisconfigured, Detail: "A sign-in with response_mode form_post needs https on " + here.Authority() + ": no browser would bring its cookie back."}
	}
	a, err := f.newAttempt(r, here, l, how)
	if err != nil {
		return err
	}
	to, err := l.flow.authorize(r.Context(), a, authorization{
		redirectURI: f.redirectURI(l.provider, here), state: f.sealState(a), prompt: how.prompt, claims: how.claims,
	})
	if err != nil {
		return f.providerError(w, l, err) // no cookie for an attempt that could not begin
	}
	if err := f.keep(w, r, a); err != nil {
		return err
	}
	record(w, l)
	return redirect(w, seeOther(r), to)
}

// newAttempt makes an attempt that no browser holds yet: keep gives it to the one that r came from.
func (f *Flows) newAttempt(r *http.Request, here origin.Origin, l *login, how beginning) (*attempt, error) {
	a := &attempt{
		id: random(idSize), created: f.deps.Now(), secret: random(secretSize), provider: l.provider, login: l.name,
		back: f.target(here, how.back), here: here, restarts: how.restarts, passed: l.passes(how.passed),
	}
	if err := f.readChain(r, a, how); err != nil {
		return nil, f.sessionError(err)
	}
	return a, nil
}

// seeOther is the status of a redirect that leads a browser on by GET. After anything but a GET it is 303,
// so that no form is sent twice.
func seeOther(r *http.Request) int {
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		return http.StatusFound
	}
	return http.StatusSeeOther
}

// beginning is what varies between logins that begin.
type beginning struct {
	back     string
	prompt   string // "" = as configured
	passed   url.Values
	restarts int
	claims   string // that the provider wants (step_up.go); "" = as configured
	demanded bool   // by a page that does not show itself without; not asked for by anybody
}

// sealed is what an attempt's cookie holds; its id is in the cookie's name.
type sealed struct {
	Created  int64      `json:"t"`
	Secret   []byte     `json:"s"`
	Provider string     `json:"p"`
	Login    string     `json:"l"`
	Back     string     `json:"b,omitempty"` // if too long for state
	Stored   bool       `json:"k,omitempty"` // if too long for a cookie
	Chain    []int64    `json:"c,omitempty"`
	Passed   url.Values `json:"h,omitempty"`
}

// keep gives the attempt to the browser.
func (f *Flows) keep(w http.ResponseWriter, r *http.Request, a *attempt) error {
	s := sealed{Created: a.created.Unix(), Secret: a.secret, Provider: a.provider, Login: a.login, Chain: a.chain}
	carried := f.evict(w, r, a.here)
	if carried <= maxCarried && len(a.passed.Encode()) <= maxPassedKept { // else it is lost if the login begins anew, and nothing more
		s.Passed = a.passed
	}
	switch {
	case len(a.back) <= maxStateBack && f.hasState(a.login): // state has it
	case len(a.back) <= maxCookieBack && carried <= maxCarried:
		s.Back = a.back
	default:
		var err error
		if s.Stored, err = f.storeBack(r.Context(), a); err != nil {
			return err
		}
		if !s.Stored {
			s.Back = withoutQuery(a.back)
		}
	}
	life := cmp.Or(a.life, attemptLife)
	name := f.attemptCookie(a.here, a.login, a.id)
	f.writeCookie(w, a.here, f.sameSite(a.login), &http.Cookie{
		Name: name, Value: f.sealParameter(purposeAttempt, s, bound(a.here, name)), MaxAge: int(life / time.Second),
	})
	return nil
}

// pending returns the attempt that state names, or nil if this browser didn't begin it. Two cookies
// of one name are none: one of them may have been planted from a neighbouring host (P077).
func (f *Flows) pending(r *http.Request, here origin.Origin, s state) (*attempt, error) {
	kept, ok := f.kept(r, here, s.Login, s.ID)
	if !ok || kept.Provider != s.Provider || kept.Login != s.Login || kept.Created != s.Created {
		return nil, nil
	}
	a := kept.attempt(here, s.ID)
	a.restarts = s.Restarts
	if a.back == "" {
		a.back = s.Back
	}
	if kept.Stored {
		return a, f.fetchBack(r.Context(), a)
	}
	return a, nil
}

// held is pending for logins whose attempts no state names (device, CIBA, password): it returns the attempt
// with this id that this browser began for l, or nil. How old it may be is the caller's to judge.
func (f *Flows) held(r *http.Request, here origin.Origin, l *login, id []byte) (*attempt, error) {
	kept, ok := f.kept(r, here, l.name, id)
	if !ok || kept.Provider != l.provider || kept.Login != l.name {
		return nil, nil
	}
	a := kept.attempt(here, id)
	if kept.Stored {
		return a, f.fetchBack(r.Context(), a)
	}
	return a, nil
}

// holding returns the attempts of a browser whose logins are wanted, oldest first and at most as many as
// one browser may have. A return target that waits in the shared store is not filled in.
func (f *Flows) holding(r *http.Request, here origin.Origin, wanted func(*login) bool) (all []*attempt) {
	cookies, times := r.Cookies(), make(map[string]int) // parsed once: there may be hundreds
	for _, c := range cookies {
		times[c.Name]++
	}
	for _, c := range cookies {
		id, ok := f.attemptID(here, c.Name)
		if !ok || times[c.Name] != 1 {
			continue
		}
		kept, ok := f.openAttempt(here, c.Name, c.Value)
		if l := f.byName[kept.Login]; ok && l != nil && wanted(l) && c.Name == f.attemptCookie(here, l.name, id) {
			all = append(all, kept.attempt(here, id))
		}
	}
	slices.SortFunc(all, func(a, b *attempt) int { return a.created.Compare(b.created) })
	return all[max(0, len(all)-maxAttempts):]
}

func (f *Flows) kept(r *http.Request, here origin.Origin, login string, id []byte) (s sealed, ok bool) {
	name := f.attemptCookie(here, login, id)
	cookies := r.CookiesNamed(name)
	if len(cookies) != 1 {
		return sealed{}, false
	}
	return f.openAttempt(here, name, cookies[0].Value)
}

func (s sealed) attempt(here origin.Origin, id []byte) *attempt {
	return &attempt{
		id: id, created: time.Unix(s.Created, 0), secret: s.Secret, provider: s.Provider, login: s.Login,
		back: s.Back, here: here, chain: s.Chain, passed: s.Passed,
	}
}

func (f *Flows) openAttempt(here origin.Origin, name, value string) (s sealed, ok bool) {
	if !f.openParameter(purposeAttempt, value, &s, bound(here, name)) || len(s.Secret) != secretSize {
		return sealed{}, false
	}
	return s, true
}

// evict clears the oldest attempts of a browser that has too many, those that cannot be
// read before all others, so that the Cookie header stays small (P085). It returns how many bytes
// the others have.
func (f *Flows) evict(w http.ResponseWriter, r *http.Request, here origin.Origin) (carried int) {
	type old struct {
		name    string
		created int64
		size    int
	}
	var all []old
	for _, c := range r.Cookies() {
		if !f.isAttemptCookie(here, c.Name) {
			continue
		}
		kept, _ := f.openAttempt(here, c.Name, c.Value) // 0 if it cannot be read
		all = append(all, old{c.Name, kept.Created, len(c.Name) + len(c.Value)})
	}
	slices.SortFunc(all, func(a, b old) int { return cmp.Compare(a.created, b.created) })
	for n := 0; len(all) >= maxAttempts && n < maxCleared; n++ {
		f.clearCookie(w, here, all[0].name)
		all = all[1:]
	}
	for _, o := range all {
		carried += o.size
	}
	return carried
}

// drop makes the browser forget an attempt, however it ended (RSP-7).
func (f *Flows) drop(w http.ResponseWriter, here origin.Origin, login string, id []byte) {
	f.clearCookie(w, here, f.attemptCookie(here, login, id))
}

// once marks an attempt as used, for all replicas, and reports whether it was the first to do so (P091).
func (f *Flows) once(ctx context.Context, id []byte) (bool, error) {
	n, err := f.deps.Shared.Add(ctx, sharedKey("used", id), 1, markLife)
	return n == 1, err
}

// nonce and verifier are drawn from the attempt's secret, each by a label of its own: knowing one tells
// nothing about the other or about state (AUT-3, AUT-4). Both have 43 characters.
func (a *attempt) nonce() string { return a.derive("doorward nonce") }

func (a *attempt) verifier() secret.String {
	return secret.New(a.derive("doorward code_verifier"))
}

// challenge is the S256 code challenge (RFC 7636 §4.2).
func (a *attempt) challenge() string { return provider.Challenge(a.verifier()) }

func (a *attempt) derive(label string) string {
	key, err := hkdf.Expand(sha256.New, a.secret, label, 32)
	if err != nil {
		panic("flows: " + err.Error()) // only for absurd lengths
	}
	return base64.RawURLEncoding.EncodeToString(key)
}

// sharedKey names something of an attempt in the shared store. The id itself is in URLs, so it is hashed.
func sharedKey(what string, id []byte) string {
	sum := sha256.Sum256(id)
	return "flows/" + what + "/" + hex.EncodeToString(sum[:16])
}

func random(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails: it ends the process instead (P087)
	return b
}
