package proxy

import (
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/doorward/doorward/internal/pages"
)

// forwardAuth answers other proxies that ask whether a request may pass (CONTRACT §4): PREFIX/auth, session/forwardauth,
// and for Envoy PREFIX/auth/ORIGINAL/PATH. It believes what they say about the request only from trusted proxies.
//
// What is asked about is made into a request, and takes the very steps that it would take if it came here itself: one
// canonicaliser, one table of routes, one decision (S1). Only the last step is another: instead of being forwarded, what the
// upstream would get is told to the proxy, which sends it on.
type forwardAuth struct {
	gateway   *Gateway
	prefix    string // "/oauth2"
	strangers *strangers
}

func newForwardAuth(g *Gateway, c Config, d Deps) (*forwardAuth, error) {
	return &forwardAuth{gateway: g, prefix: c.Prefix, strangers: newStrangers(d.Now, d.Log)}, nil
}

// manner is how a question is asked, and so how it is answered.
type manner int

const (
	asAuth    manner = iota // PREFIX/auth: 202; refusals are 401, 403 and 503, which is all that nginx understands
	asSession               // PREFIX/session/forwardauth: 204
	asEnvoy                 // PREFIX/auth/ORIGINAL/PATH: 200, the only yes that Envoy knows; refusals reach the client as they are
	asPage                  // PREFIX/auth?refusal=page: never a yes; the refusal as it reaches the client, for proxies that lose bodies
)

// Where a proxy says what it is asked for: nginx, Traefik, Caddy and their ingresses each have their own.
const (
	headerForwardedHost   = "X-Forwarded-Host"
	headerForwardedURI    = "X-Forwarded-Uri"
	headerForwardedMethod = "X-Forwarded-Method"
	headerOriginalURI     = "X-Original-Uri"
	headerOriginalURL     = "X-Original-Url" // ingress-nginx: with scheme and host
	headerOriginalMethod  = "X-Original-Method"
)

const (
	authPath        = "/auth"
	sessionAuthPath = "/session/forwardauth"
)

// question is what a proxy asks about.
type question struct {
	manner   manner
	redirect bool          // a navigation is led to the login
	query    string        // of PREFIX/auth: who may pass is narrowed there
	in       *http.Request // what is asked about; nil if that is not known
	why      string        // it is not
	peer     string        // an asker who is not trusted; "" = trusted
	direct   bool          // the address of in is that of the client's own connection, and not the asker's

	certificate string // that the client has proved to hold, percent-encoded PEM; only with direct
}

// asked takes what a proxy says about the original request out of r, before the headers are cleaned. ok is false if r is no
// such question. The address is compared as it was written: no other spelling asks anything (P012).
func (f *forwardAuth) asked(r *http.Request) (q question, ok bool) {
	rest, ok := strings.CutPrefix(r.RequestURI, f.prefix)
	if !ok {
		return q, false
	}
	path, query, _ := strings.Cut(rest, "?")
	switch {
	case path == authPath:
		q.query, q.redirect = query, querySays(query, "redirect=true")
		if querySays(query, "refusal=page") {
			q.manner, q.redirect = asPage, true
		}
	case path == sessionAuthPath:
		q.manner = asSession
	case strings.HasPrefix(path, authPath+"/"):
		q.manner = asEnvoy
	default:
		return q, false
	}
	if peer, ok := peerAddress(r.RemoteAddr); !ok || !f.gateway.trust.covers(peer) {
		q.peer = r.RemoteAddr
		return q, true
	}
	if q.manner == asEnvoy {
		q.in, q.why = f.inPath(r, rest[len(authPath):])
		return q, true
	}
	q.in, q.why = f.told(r)
	return q, true
}

// inPath makes the request of which Envoy sends the line and the Host. Forwarding headers add nothing: they may be its client's own
// (P046). Those that say another thing come from a proxy that asks here by mistake: by a slash at the end of PREFIX/auth/ it would
// ask about "/" for ever.
func (f *forwardAuth) inPath(r *http.Request, target string) (in *http.Request, why string) {
	for _, name := range [...]string{headerForwardedURI, headerOriginalURI, headerOriginalURL} {
		for _, said := range r.Header[name] {
			if _, rest, ok := absolute(said); ok && name == headerOriginalURL {
				said = rest
			}
			if said != target {
				return nil, "The path of the question names one address, and " + name + " another."
			}
		}
	}
	for _, name := range [...]string{headerForwardedMethod, headerOriginalMethod} {
		for _, said := range r.Header[name] {
			if said != r.Method {
				return nil, "The question is asked by one method, and " + name + " names another."
			}
		}
	}
	return original(r, r.Method, r.Host, target), ""
}

// told makes the request that headers speak of. What two of them say differently, or one says twice, somebody else than the
// proxy has written: it is not known then, and never guessed (P044).
func (f *forwardAuth) told(r *http.Request) (in *http.Request, why string) {
	host, ok := agreed(r.Header[headerForwardedHost], nil)
	if !ok || strings.IndexByte(host, ',') >= 0 {
		return nil, "X-Forwarded-Host is there more than once, or empty."
	}
	url, ok := agreed(r.Header[headerOriginalURL], nil)
	if !ok {
		return nil, "X-Original-URL is there more than once, or empty."
	}
	if url != "" && url[0] != '/' {
		there, rest, ok := absolute(url)
		if !ok || host != "" && !f.sameHost(host, there) {
			return nil, "X-Original-URL is no URL, or one of another host than X-Forwarded-Host says."
		}
		host, url = there, rest
	}
	target, ok := agreed(r.Header[headerForwardedURI], r.Header[headerOriginalURI])
	if !ok || target != "" && url != "" && target != url {
		return nil, "X-Forwarded-Uri, X-Original-URI and X-Original-URL say different things, or one of them is there more than once, or empty."
	}
	if target == "" {
		target = url
	}
	method, ok := agreed(r.Header[headerForwardedMethod], r.Header[headerOriginalMethod])
	switch {
	case !ok:
		return nil, "X-Forwarded-Method and X-Original-Method say different things, or one of them is there more than once, or empty."
	case target == "":
		return nil, "Which address is asked about is not said: X-Forwarded-Uri is missing."
	case target[0] != '/':
		return nil, "X-Forwarded-Uri does not begin with a slash."
	}
	if method == "" {
		method = http.MethodGet
	}
	if !isToken(method) || len(method) > maxMethod {
		return nil, "X-Forwarded-Method is no method."
	}
	if host == "" {
		host = r.Host
	}
	return original(r, method, host, target), ""
}

// sameHost reports whether two spellings of a host mean one: with or without the port, in small letters or not.
func (f *forwardAuth) sameHost(a, b string) bool {
	if a == b {
		return true
	}
	one, known := f.gateway.origins.Lookup(a)
	other, too := f.gateway.origins.Lookup(b)
	return known && too && one == other
}

const maxMethod = 32 // bytes; none that is registered is longer

// agreed returns what two headers say of one thing, "" if neither does. ok is false where they don't agree, one is there
// more than once, or is there and empty.
func agreed(a, b []string) (value string, ok bool) {
	if len(a) > 1 || len(b) > 1 || len(a) == 1 && a[0] == "" || len(b) == 1 && b[0] == "" {
		return "", false
	}
	switch {
	case len(a) == 0 && len(b) == 0:
		return "", true
	case len(a) == 0:
		return b[0], true
	}
	return a[0], len(b) == 0 || a[0] == b[0]
}

// absolute takes a URL apart. Its scheme is the one of the hop to the proxy, which says nothing here: under which scheme a host is
// served stands in the configuration (P041).
func absolute(u string) (host, target string, ok bool) {
	scheme, rest, ok := strings.Cut(u, "://")
	if !ok || scheme != "http" && scheme != "https" {
		return "", "", false
	}
	i := strings.IndexByte(rest, '/')
	if i <= 0 {
		return "", "", false
	}
	return rest[:i], rest[i:], true
}

// original makes the request that is asked about. It has no body: whatever the proxy sent of one is not looked at.
func original(r *http.Request, method, host, target string) *http.Request {
	in := *r
	in.Method, in.Host, in.RequestURI = method, host, target
	in.URL = &url.URL{}
	in.Body, in.ContentLength, in.TransferEncoding, in.Trailer = http.NoBody, 0, nil, nil
	in.Form, in.PostForm, in.MultipartForm = nil, nil, nil
	return &in
}

// answer answers it: 202, 401, 403, 503, and 302 with redirect=true; with refusal=page 302 and any error.
func (f *forwardAuth) answer(w http.ResponseWriter, r *http.Request, q question) error {
	g := f.gateway
	if q.in == nil {
		// 401 and not 403 or 400, whoever asks: whether there is a session is not told to strangers, nginx takes everything but
		// 401 and 403 for a fault of its own, and gateways that people come from answer so.
		g.hygiene.clean(r)
		if q.peer != "" {
			f.strangers.warn(r)
		}
		g.refuse(w, r, q.manner, q.unanswerable())
		return nil
	}
	v, err := g.settle(w, &q)
	switch {
	case err != nil:
		g.refuse(w, q.in, q.manner, err)
	case v.answered:
	case v.location != "":
		sendTo(w, v.location)
	case q.manner == asPage:
		g.refuse(w, q.in, q.manner, &pages.Error{Code: codeAccessDenied, Detail: "It was refused a moment ago, and would not be now. Load this page again."})
	default:
		v.tell(w.Header())
		w.WriteHeader(q.manner.yes())
	}
	return nil
}

func (m manner) yes() int {
	switch m {
	case asSession:
		return http.StatusNoContent
	case asEnvoy:
		return http.StatusOK
	}
	return http.StatusAccepted
}

// unanswerable is the refusal of a question about nobody knows what, or of nobody knows whom.
func (q *question) unanswerable() error {
	e := &pages.Error{Code: codeLoginRequired, Detail: q.why, Err: errUnsaid, Challenge: anyChallenge}
	if q.peer != "" {
		e.Detail = "Only proxies that are trusted here may ask about requests."
		e.Err = &untrusted{q.peer}
	}
	return e
}

// errUnsaid is for the operator, whose proxy does not say what it asks about, or says two things.
var errUnsaid = errors.New("the question does not say which request is asked about; compare deploy/README.md")

var anyChallenge = []string{"Bearer"}

// untrusted is for the operator, who has to name the proxy.
type untrusted struct{ peer string }

func (u *untrusted) Error() string {
	return "the question came from " + u.peer + ", which is not in listen.trusted_proxies"
}

// sendTo leads a browser to where its login begins. The body that [http.Redirect] writes would repeat the address.
func sendTo(w http.ResponseWriter, location string) {
	h := w.Header()
	h["Cache-Control"] = noStore
	h["Referrer-Policy"] = noReferrer
	h["Location"] = []string{location}
	w.WriteHeader(http.StatusFound)
}

var (
	noStore    = []string{"no-store"}
	noReferrer = []string{"no-referrer"}
)
