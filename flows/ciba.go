package flows

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/doorward/doorward/flows/provider"
	"github.com/doorward/doorward/internal/identity"
	"github.com/doorward/doorward/internal/origin"
	"github.com/doorward/doorward/internal/pages"
	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/internal/telemetry"
)

// ciba is Client-Initiated Backchannel Authentication (OIDC CIBA Core 1.0): the person says who they are, and
// agrees on their own device. What waits is waiting.go, what comes from the provider by itself notify.go, and
// what keeps people from being bombed with questions ciba_place.go.
type ciba struct {
	delivery string // deliveryPing, deliveryPush, or "" for poll
	hint     string // the parameter that says who is meant
	message  string // the binding message, with {code} in it
	acr      []string
	expiry   time.Duration
	userCode bool
	signed   bool
	params   url.Values
	scopes   []string // nil = the provider's
}

// How the provider tells that somebody has agreed (CIBA §5). In poll mode it doesn't.
const (
	deliveryPing = "ping"
	deliveryPush = "push"
)

const (
	hintLogin   = "login_hint"
	hintToken   = "login_hint_token"
	hintIDToken = "id_token_hint"
)

func newCIBA(_ *provider.Client, l Login) (*ciba, error) {
	params, err := ownParams(l, provider.ReservedCIBA)
	if err != nil {
		return nil, err
	}
	c := &ciba{
		delivery: l.Delivery, hint: l.Hint, acr: l.ACRValues, expiry: l.RequestedExpiry, userCode: l.UserCode, signed: l.SignedRequest,
		params: params, scopes: l.Scopes,
	}
	switch c.delivery {
	case "poll":
		c.delivery = ""
	case "", deliveryPing, deliveryPush:
	default:
		return nil, fmt.Errorf("delivery: %q: there are poll, ping and push", l.Delivery)
	}
	switch c.hint {
	case "":
		c.hint = hintLogin
	case hintLogin, hintToken, hintIDToken:
	default:
		return nil, fmt.Errorf("hint: %q: there are login_hint, login_hint_token and id_token_hint", l.Hint)
	}
	if c.expiry < 0 || c.expiry > maxWaiting {
		return nil, fmt.Errorf("requested_expiry: %s is not between 0 and %s", c.expiry, maxWaiting)
	}
	c.message, err = messageTemplate(l.BindingMessage)
	return c, err
}

// checkLevel holds an identity against what acr_values asked for, where the provider says anything about
// it: OIDC Core §5.5.1.1 lets it keep silent, and a route can demand claims.acr.
func (l *login) checkLevel(who *identity.Identity) error {
	if l.ciba == nil || len(l.ciba.acr) == 0 || who.ACR == "" || slices.Contains(l.ciba.acr, who.ACR) {
		return nil
	}
	return &provider.Error{Kind: provider.Misbehaved, Code: "bad_acr", Detail: fmt.Sprintf("expected one of %q, got %q", l.ciba.acr, bounded(who.ACR))}
}

func (f *Flows) cibaEndpoints() []endpoint {
	if !f.hasWaiting(kindCIBA) {
		return nil
	}
	all := []endpoint{
		{f.prefix + "/ciba", []string{http.MethodGet, http.MethodPost}, f.cibaPage, f.deps.Origins},
		{f.prefix + "/ciba/poll", []string{http.MethodGet}, f.poll(kindCIBA), f.deps.Origins},
	}
	if f.expectsNotifications() {
		all = append(all, endpoint{f.prefix + "/ciba/notify", []string{http.MethodPost}, f.notify, f.deps.Origins})
	}
	return all
}

// cibaPage is GET …/ciba?login=&rd= (who is to be asked), GET …/ciba?attempt= (the page that waits) and POST …/ciba with
// login, hint, user_code and rd, which begins.
func (f *Flows) cibaPage(w http.ResponseWriter, r *http.Request, here origin.Origin) error {
	if r.Method == http.MethodPost {
		return f.postCIBA(w, r, here)
	}
	q, query, err := f.readAddress(r, here, kindCIBA)
	if err != nil {
		return err
	}
	along, err := passed(query, []*login{q.login})
	if err != nil {
		return err
	}
	// A link may fill in who is asked, if the configuration lets it. It asks nobody: that takes a POST of ours (CIB-13).
	if q.hint = along.Get(hintLogin); q.login.ciba.checkHint(q.hint) != "" {
		q.hint = ""
	}
	return f.pageOf(w, r, here, q, f.hintPage)
}

// hintPage asks who is to be asked. Where the session says that, there is nothing to fill in.
func (f *Flows) hintPage(w http.ResponseWriter, r *http.Request, here origin.Origin, q *begins, notice string) error {
	c, hint := q.login.ciba, q.hint
	q.hint = ""
	switch {
	case c.forPrograms():
		return f.programPage(here, q, notice)
	case c.hint == hintIDToken:
		f.deps.Pages.BeginLogin(w, r, pages.BeginLogin{
			Host: here.Authority(), Label: q.login.label, Provider: q.login.providerHost(), Form: f.beginForm(q), Notice: notice,
		})
	default:
		f.deps.Pages.CIBAHint(w, r, pages.CIBAHint{
			Host: here.Authority(), Label: q.login.label, Provider: q.login.providerHost(), Form: f.beginForm(q),
			Hint: hint, AskUserCode: c.userCode, Status: q.status, Notice: notice,
		})
	}
	return nil
}

// forPrograms reports whether no person can fill in what a login needs: a login_hint_token is made by a program,
// and beside the session's own hint no page asks for a user code.
func (c *ciba) forPrograms() bool {
	return c.hint == hintToken || c.hint == hintIDToken && c.userCode
}

// programPage tells a person who comes to such a login that there is nothing to fill in. notice is what became of
// one that was begun for them, and goes before.
func (f *Flows) programPage(here origin.Origin, q *begins, notice string) error {
	e := &pages.Error{Code: codeBadRequest, Detail: strings.TrimSpace(notice + " This sign-in is begun by a program, which says who is to be asked. There is nothing to fill in here.")}
	switch q.status {
	case http.StatusTooManyRequests:
		e.Code = codeTooMany
	case http.StatusUnauthorized:
		e.Code = codeWrongCredentials
	}
	if others := slices.DeleteFunc(forBrowsers(f.usual(here, q.back)), func(l *login) bool { return l.ciba != nil && l.ciba.forPrograms() }); len(others) > 0 {
		e.LoginURL = f.startURL(here, q.back, others)
	}
	return e
}

// postCIBA asks a person. For somebody whom the provider doesn't know the answer is the same, and takes no less
// time (P167).
func (f *Flows) postCIBA(w http.ResponseWriter, r *http.Request, here origin.Origin) error {
	began := f.deps.Now()
	q, err := f.readPost(w, r, here, kindCIBA)
	if err != nil {
		return err
	}
	f.leave(w, r, here, q)
	hint, subject, err := f.whom(r, q)
	if err != nil {
		return f.askAgain(w, r, here, q, err)
	}
	a, err := f.newAttempt(r, here, q.login, beginning{back: q.back})
	if err != nil {
		return err
	}
	client := telemetry.From(w).Client
	if err := f.mayStart(r.Context(), client); err != nil {
		return err
	}
	// From here on a phone may ring: whoever hangs up must not free the place for the next question (P167).
	ctx := context.WithoutCancel(r.Context())
	place := f.placeKey(q.login, cmp.Or(subject, canonicalHint(q.hint)))
	busy, wait, err := f.takePlace(ctx, place, a.id)
	if err != nil {
		return err
	}
	if wait > 0 {
		return f.askedAlready(w, r, here, q, busy, wait)
	}
	made, err := f.askPerson(ctx, q.login, cibaAsk{
		id: a.id, holder: a.holder(), hint: hint, subject: subject, shown: q.hint, message: q.login.ciba.bindingMessage(), userCode: q.userCode,
		client: client, notBefore: began.Add(levelTime), place: place,
	})
	level(r.Context(), f.deps.Now().Sub(began))
	if err != nil {
		return f.cibaError(w, r, here, q, err)
	}
	return f.begun(w, r, a, q, made)
}

// askPerson has the provider ask, or seems to, and settles for how long that takes their place.
func (f *Flows) askPerson(ctx context.Context, l *login, ask cibaAsk) (made *waiting, err error) {
	began := f.deps.Now()
	made, err = f.beginCIBA(ctx, l, ask)
	if l.ciba.looksUnknown(err) {
		made, err = f.decoy(ctx, l, ask, err, began)
	}
	if err != nil {
		f.leavePlace(ctx, ask.place, ask.id, err)
		return nil, err
	}
	f.holdPlace(ctx, made)
	return made, nil
}

// whom returns who is to be asked, and their subject where that is known.
func (f *Flows) whom(r *http.Request, q *begins) (hint secret.String, subject string, err error) {
	c := q.login.ciba
	if why := c.checkUserCode(q.userCode); why != "" {
		return secret.String{}, "", &pages.Error{Code: codeBadRequest, Detail: why}
	}
	if c.hint == hintIDToken {
		q.hint = "" // whatever the form says
		session, err := f.deps.Sessions.Load(r)
		if err != nil {
			return secret.String{}, "", f.sessionError(err)
		}
		if session == nil || session.Who.Provider != q.login.provider || session.Who.Tokens == nil || session.Who.Tokens.IDToken.IsZero() {
			return secret.String{}, "", errNotSignedIn
		}
		return session.Who.Tokens.IDToken, session.Who.Subject, nil
	}
	q.hint = strings.TrimSpace(q.hint)
	if why := c.checkHint(q.hint); why != "" {
		return secret.String{}, "", &pages.Error{Code: codeBadRequest, Detail: why}
	}
	return secret.New(q.hint), "", nil
}

var errNotSignedIn = errors.New("flows: nobody is signed in whom the provider could be asked about")

// askAgain answers for a form that doesn't say whom to ask: a person gets the form back.
func (f *Flows) askAgain(w http.ResponseWriter, r *http.Request, here origin.Origin, q *begins, cause error) error {
	if errors.Is(cause, errNotSignedIn) {
		return &pages.Error{
			Code: codeLoginRequired, Detail: "This way of signing in is for people who are signed in already and shall prove it again.",
			LoginURL: f.startURL(here, q.back, nil),
		}
	}
	var e *pages.Error
	if pages.KindOf(r) == pages.Program || !errors.As(cause, &e) || e.Code != codeBadRequest {
		return cause
	}
	notice := e.Detail
	if q.hint == "" {
		notice = ""
	}
	if q.login.ciba.checkHint(q.hint) != "" {
		q.hint = ""
	}
	return f.hintPage(w, r, here, q, notice)
}

// askedAlready answers while somebody is asked already, or was a moment ago. The browser that asked goes back
// to its page; anybody else must wait: one question at a time is enough for a phone (P167).
func (f *Flows) askedAlready(w http.ResponseWriter, r *http.Request, here origin.Origin, q *begins, busy []byte, wait time.Duration) error {
	if a, err := f.held(r, here, q.login, busy); err == nil && a != nil {
		made, err := f.loadWaiting(r.Context(), a.id)
		if err == nil && made.heldBy(a.holder()) && !made.over() {
			return f.sendToWait(w, r, a, made, f.several(r, here, kindCIBA, a))
		}
	}
	const detail = "This person is being asked already, or was asked a moment ago and did not agree."
	if pages.KindOf(r) != pages.Program && q.login.ciba.hint != hintIDToken {
		q.status = http.StatusTooManyRequests
		w.Header().Set("Retry-After", strconv.Itoa(wholeSeconds(wait)))
		return f.hintPage(w, r, here, q, detail)
	}
	return &pages.Error{Code: codeTooMany, RetryAfter: wait, Detail: detail, LoginURL: f.startURL(here, q.back, []*login{q.login})}
}

// cibaError is the answer to a request that the provider did not accept (CIBA §13), in words that never tell
// whether somebody is known there.
func (f *Flows) cibaError(w http.ResponseWriter, r *http.Request, here origin.Origin, q *begins, err error) error {
	var e *provider.Error
	if !errors.As(err, &e) {
		return err
	}
	switch {
	case guessed(err): // with user codes only: see looksUnknown
		const detail = "The name or the user code is not right."
		f.deps.Log.InfoContext(r.Context(), "a CIBA request was not accepted", "login", q.login.name, "provider", q.login.provider)
		if pages.KindOf(r) == pages.Program {
			return &pages.Error{Code: codeWrongCredentials, Detail: detail}
		}
		q.status = http.StatusUnauthorized
		return f.hintPage(w, r, here, q, detail)
	case e.Code == "expired_login_hint_token":
		return &pages.Error{Code: codeLoginExpired, Detail: "What says who you are has expired. Get a new one where it came from.", Err: err, LoginURL: f.startURL(here, q.back, []*login{q.login})}
	case e.Code == "invalid_binding_message":
		return &pages.Error{Code: codeMisconfigured, Detail: "The provider does not accept the text that would be shown on your phone.", Err: err}
	}
	return f.beginError(w, r, here, q, err)
}

// showCIBA is the page that waits.
func (f *Flows) showCIBA(w http.ResponseWriter, r *http.Request, a *attempt, q *begins, wait *waiting) {
	f.deps.Pages.CIBAWait(w, r, pages.CIBAWait{
		Host: a.here.Authority(), Label: q.login.label, Provider: q.login.providerHost(), BindingMessage: wait.Message,
		Begun: wait.begun(), Waiting: f.waitingPart(a, q, wait),
	})
}
