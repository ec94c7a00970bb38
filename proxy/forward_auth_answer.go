package proxy

import (
	"cmp"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/doorward/doorward/internal/identity"
	"github.com/doorward/doorward/internal/pages"
	"github.com/doorward/doorward/proxy/policy"
)

// Names of oauth2-proxy, in which answers to questions say who is calling, whatever the route's profile is. A machine has the
// last one only (SEC-7).
const (
	headerAskedUser              = "X-Auth-Request-User"
	headerAskedEmail             = "X-Auth-Request-Email"
	headerAskedGroups            = "X-Auth-Request-Groups"
	headerAskedPreferredUsername = "X-Auth-Request-Preferred-Username"
	headerAskedClient            = "X-Auth-Request-Client"
	headerAskedToken             = "X-Auth-Request-Access-Token"
)

// askedAbout is the key under which an identity keeps what answers of a route say of it.
type askedAbout struct{ route *route }

// said is who is calling, built once for an identity and a route. The encoding is always the same, whatever the route's is.
func (rt *route) said(who *identity.Identity) *injection {
	return who.Memo(askedAbout{rt}, func() any { return rt.say(who) }).(*injection)
}

func (rt *route) say(who *identity.Identity) *injection {
	in, f := &injection{}, facts{who, rt.headers.unverified}
	add := func(name, value string) {
		in.addEncoded(name, func() (string, error) { return encodingPercent.value(value) })
	}
	if who.Machine {
		add(headerAskedClient, cmp.Or(who.Client, who.Subject))
	} else {
		add(headerAskedUser, f.subject())
		add(headerAskedEmail, f.email())
		in.addEncoded(headerAskedGroups, func() (string, error) { return encodingPercent.list(f.groups(), false) })
		add(headerAskedPreferredUsername, f.username())
	}
	if rt.credentialName == credentialSession && who.Tokens != nil {
		in.add(field{name: headerAskedToken, values: []string{who.Tokens.AccessToken.Reveal()}, secret: true})
	}
	return in
}

// tell writes what the upstream is to get: who is calling, in two spellings, and the route's own headers and credential. The
// slices are shared, and nobody writes to them. Session cookies that a refresh has renewed stand in h already.
func (v *settled) tell(h http.Header) {
	h["Cache-Control"] = noStore
	if v.route == nil {
		return
	}
	if v.who != nil {
		v.tellFields(h, v.route.said(v.who)) // settle has looked at its error
	}
	v.tellFields(h, v.injection)
	if v.silent {
		return
	}
	if v.proofs.assertion != nil {
		carry(h, v.proofs.assertion)
	}
	if v.proofs.credential != nil {
		v.tellCredential(h, v.proofs.credential)
	}
}

func (v *settled) tellFields(h http.Header, in *injection) {
	for _, f := range in.fields {
		if v.silent && (f.secret || v.route.headers.sets(f.name) != nil) { // a text of the configuration may be a secret, too
			continue
		}
		h[f.name] = f.values
	}
}

func (v *settled) tellCredential(h http.Header, c *identity.Credential) {
	if c.Header == "Cookie" { // the client's own cookies belong beside it, but for ours
		h["Cookie"] = slices.Clone(v.req.in.Header["Cookie"])
		stripCookies(h, v.route.withheldCookie)
	}
	carry(h, c)
	if token, ok := strings.CutPrefix(c.Values[0], "Bearer "); ok && c.Header == headerAuthorization {
		h[headerAskedToken] = []string{token}
	}
}

// narrow holds who may pass against the query of the question: allowed_groups, allowed_emails and allowed_email_domains, lists
// separated by commas, as oauth2-proxy has them. All that are there must hold, each of them as often as it is there, after
// everything that the configuration wants: so they never let anybody in (P047). A list of nothing fits nobody: the variable that
// it was made from may have been empty.
func (q *question) narrow(rt *route, req *CanonicalRequest, d *Decision) error {
	if q == nil || q.query == "" {
		return nil
	}
	query, err := url.ParseQuery(q.query)
	if err != nil {
		return &pages.Error{Code: codeBadRequest, Detail: "The query of the question is not encoded correctly."}
	}
	for _, n := range narrowings {
		for _, list := range query[n.parameter] {
			if d.Who != nil && slices.ContainsFunc(strings.Split(list, ","), func(item string) bool { return n.fits(d.Who, strings.TrimSpace(item)) }) {
				continue
			}
			d.Outcome, d.Rule = Deny, n.parameter
			req.note(rt, *d)
			return &pages.Error{Code: codeAccessDenied, Err: errors.New(n.parameter + " of the question does not name them")}
		}
	}
	return nil
}

var narrowings = []struct {
	parameter string
	fits      func(who *identity.Identity, item string) bool
}{
	{"allowed_groups", func(who *identity.Identity, item string) bool { return item != "" && slices.Contains(who.Groups, item) }},
	{"allowed_emails", policy.HasEmail},
	{"allowed_email_domains", policy.InDomain},
}

// querySays reports whether the query of a question holds a pair.
func querySays(query, wanted string) bool {
	for query != "" {
		var pair string
		if pair, query, _ = strings.Cut(query, "&"); pair == wanted {
			return true
		}
	}
	return false
}

// headerRefusal stands in a 401 that no sign-in would change: a proxy that leads every 401 to the login would lead somebody who is
// signed in there for ever.
const headerRefusal = "Doorward-Refusal"

var (
	refusalBadRequest = []string{"bad_request"} // no address is asked about, or one that can be read in two ways
	refusalUntrusted  = []string{"untrusted"}   // whoever asks is not in listen.trusted_proxies
)

// refuse answers with err, and never with anything that a proxy takes for a yes (P048).
func (g *Gateway) refuse(w http.ResponseWriter, in *http.Request, m manner, err error) {
	if m == asAuth || m == asSession {
		if why := unchanging(err); why != nil {
			w.Header()[headerRefusal] = why
		}
		err = plain(err)
	}
	g.pages.Error(&refusalWriter{ResponseWriter: w, manner: m}, in, err)
}

// unchanging says why a sign-in would not change a 401; nil = it would, or the refusal is no 401.
func unchanging(err error) []string {
	var stranger *untrusted
	var e *pages.Error
	switch {
	case errors.As(err, &stranger):
		return refusalUntrusted
	case errors.Is(err, errUnsaid), errors.As(err, &e) && e.HTTPStatus() == http.StatusBadRequest:
		return refusalBadRequest
	}
	return nil
}

// plain is an error with one of the three statuses that answers of PREFIX/auth have. What cannot be judged is 401, as if nobody
// had asked, and the rest follows whose fault it is.
func plain(err error) error {
	e := &pages.Error{Code: "internal_error", Err: err}
	var given *pages.Error
	if errors.As(err, &given) {
		copied := *given
		e = &copied
	}
	e.Status = plainStatus(e.HTTPStatus())
	if e.Status == http.StatusUnauthorized && len(e.Challenge) == 0 {
		e.Challenge = anyChallenge
	}
	return e
}

func plainStatus(status int) int {
	switch {
	case status == http.StatusUnauthorized, status == http.StatusBadRequest:
		return http.StatusUnauthorized
	case status >= 400 && status < 500 && status != http.StatusTooManyRequests:
		return http.StatusForbidden
	}
	return http.StatusServiceUnavailable
}

// refusalWriter is the ResponseWriter of a refusal: no status that means yes leaves it, whoever writes.
type refusalWriter struct {
	http.ResponseWriter
	manner manner
	begun  bool
}

// Unwrap is for http.ResponseController and telemetry.From.
func (r *refusalWriter) Unwrap() http.ResponseWriter { return r.ResponseWriter }

func (r *refusalWriter) WriteHeader(status int) {
	r.begun = true
	if status >= 200 && status < 300 && (r.manner != asEnvoy || status == http.StatusOK) {
		status = http.StatusServiceUnavailable
	}
	r.ResponseWriter.WriteHeader(status)
}

func (r *refusalWriter) Write(p []byte) (int, error) {
	if !r.begun { // net/http would say 200
		r.WriteHeader(http.StatusServiceUnavailable)
	}
	return r.ResponseWriter.Write(p)
}
