package flows

import (
	"bytes"
	"cmp"
	"context"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"slices"
	"strings"
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
	chain    []int64 // when the logins ended that led straight to this one (loop.go)
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
	a := &attempt{
		id: random(idSize), created: f.deps.Now(), secret: random(secretSize), provider: l.provider, login: l.name,
		back: f.target(here, how.back), here: here, restarts: how.restarts,
	}
	if err := f.readChain(r, a, how); err != nil {
		return f.sessionError(err)
	}
	to, err := l.flow.authorize(r.Context(), a, authorization{
		redirectURI: f.redirectURI(l.provider, here), state: f.sealState(a), prompt: how.prompt,
	})
	if err != nil {
		return f.providerError(w, l, err) // no cookie for an attempt that could not begin
	}
	if err := f.keep(w, r, a); err != nil {
		return err
	}
	record(w, l)
	if r.Method != http.MethodGet {
		return redirect(w, http.StatusSeeOther, to)
	}
	return redirect(w, http.StatusFound, to)
}

// beginning is what varies between logins that begin.
type beginning struct {
	back     string
	prompt   string // "" = as configured
	restarts int
	demanded bool // by a page that does not show itself without; not asked for by anybody
}

// sealed is what an attempt's cookie holds; its id is in the cookie's name.
type sealed struct {
	Created  int64   `json:"t"`
	Secret   []byte  `json:"s"`
	Provider string  `json:"p"`
	Login    string  `json:"l"`
	Back     string  `json:"b,omitempty"` // if too long for state
	Stored   bool    `json:"k,omitempty"` // if too long for a cookie
	Chain    []int64 `json:"c,omitempty"`
}

// keep gives the attempt to the browser.
func (f *Flows) keep(w http.ResponseWriter, r *http.Request, a *attempt) error {
	s := sealed{Created: a.created.Unix(), Secret: a.secret, Provider: a.provider, Login: a.login, Chain: a.chain}
	carried := f.evict(w, r, a.here)
	switch {
	case len(a.back) <= maxStateBack: // state has it
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
	name := f.attemptCookie(a.here, a.id)
	f.setCookie(w, a.here, name, f.sealParameter(purposeAttempt, s, bound(a.here, name)), attemptLife)
	return nil
}

// pending returns the attempt that state names, or nil if this browser didn't begin it. Two cookies
// of one name are none: one of them may have been planted from a neighbouring host (P077).
func (f *Flows) pending(r *http.Request, here origin.Origin, s state) (*attempt, error) {
	name := f.attemptCookie(here, s.ID)
	cookies := r.CookiesNamed(name)
	if len(cookies) != 1 {
		return nil, nil
	}
	kept, ok := f.openAttempt(here, name, cookies[0].Value)
	if !ok || kept.Provider != s.Provider || kept.Login != s.Login || kept.Created != s.Created {
		return nil, nil
	}
	a := &attempt{
		id: s.ID, created: s.created(), secret: kept.Secret, provider: s.Provider, login: s.Login,
		back: s.Back, here: here, restarts: s.Restarts, chain: kept.Chain,
	}
	if kept.Back != "" {
		a.back = kept.Back
	}
	if kept.Stored {
		return a, f.fetchBack(r.Context(), a)
	}
	return a, nil
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

// drop forgets an attempt, however it ended (RSP-7).
func (f *Flows) drop(w http.ResponseWriter, here origin.Origin, s state) {
	f.clearCookie(w, here, f.attemptCookie(here, s.ID))
}

// once marks an attempt as used, for all replicas, and reports whether it was the first to do so (P091).
func (f *Flows) once(ctx context.Context, s state) (bool, error) {
	n, err := f.deps.Shared.Add(ctx, sharedKey("used", s.ID), 1, markLife)
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

const loginSuffix = "-login."

func (f *Flows) attemptCookie(here origin.Origin, id []byte) string {
	return f.binding.Prefixed(here, loginSuffix+base64.RawURLEncoding.EncodeToString(id))
}

func (f *Flows) isAttemptCookie(here origin.Origin, name string) bool {
	return strings.HasPrefix(name, f.binding.Prefixed(here, loginSuffix)) && name != f.loopCookie(here)
}

// bound is the associated data of what is sealed into a cookie: it opens under no other
// name and for no other origin. On a loopback host all ports share their cookies.
func bound(here origin.Origin, name string) []byte {
	return bytes.Join([][]byte{[]byte(here.String()), []byte(name)}, []byte{0})
}

// setCookie sets a cookie for here and no other host. Secure follows the configured
// origin, never the request.
func (f *Flows) setCookie(w http.ResponseWriter, here origin.Origin, name, value string, life time.Duration) {
	http.SetCookie(w, &http.Cookie{
		Name: name, Value: value, Path: "/", MaxAge: int(life / time.Second),
		Secure: here.Secure(), HttpOnly: true, SameSite: http.SameSiteLaxMode,
	})
}

func (f *Flows) clearCookie(w http.ResponseWriter, here origin.Origin, name string) {
	http.SetCookie(w, &http.Cookie{
		Name: name, Path: "/", MaxAge: -1,
		Secure: here.Secure(), HttpOnly: true, SameSite: http.SameSiteLaxMode,
	})
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
