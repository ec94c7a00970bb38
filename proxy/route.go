package proxy

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/doorward/doorward/internal/identity"
	"github.com/doorward/doorward/internal/origin"
	"github.com/doorward/doorward/internal/pages"
	"github.com/doorward/doorward/proxy/policy"
)

const (
	credentialNone    = "none"
	credentialSession = "session"
	credentialIDToken = "id_token"
)

// route is one Route made ready to act. It never changes, but for the turn of its upstreams.
type route struct {
	name     string
	hosts    []origin.Origin
	segments []string // of its path, decoded
	strip    int      // how many of them don't go upstream
	methods  map[string]bool
	listed   []string // methods that the configuration names; nil = the registered ones

	upstreams []upstream
	turn      atomic.Uint32

	public            bool
	logins            []string
	issuers           []string // of bearer tokens, for who asks: Bearer judges
	policy            *policy.Policy
	require           *policy.Requirement // nil = nothing
	webSocketOrigins  []origin.Origin
	keepFragment      bool
	passAuthorization bool
	credentialName    string
	source            Source // nil for the built-in credentials
	headers           *headerPlan
	anonymous         *injection // what a public route adds

	secretHeaders  []string // of a client's that hold a secret
	withheld       []string // headers of a client's that don't go upstream, beside Authorization
	withheldCookie func(name string) bool
	sourceHeader   string // that the source sets; "" = Authorization, a cookie, or not known
	metadataPath   string // of the protected resource metadata

	callers callers
	starter Starter
	pages   *pages.Pages
	origins *origin.Set
	now     func() time.Time
}

func newRoute(rc Route, c Config, d Deps) (*route, error) {
	rt := &route{
		name: rc.Name, hosts: rc.Hosts, public: rc.Public, logins: rc.Logins, issuers: rc.Bearer.Issuers, webSocketOrigins: rc.WebSocketOrigins,
		keepFragment: rc.KeepFragment, passAuthorization: rc.PassAuthorization, credentialName: rc.Credential,
		starter: d.Starters[rc.Name], pages: d.Pages, origins: d.Origins, now: d.Now,
	}
	if rt.credentialName == "" {
		rt.credentialName = credentialNone
	}
	var err error
	if rt.callers, err = newCallers(rc, c, d); err != nil {
		return nil, err
	}
	if rt.policy, err = policy.New(rc.Allow); err != nil {
		return nil, err
	}
	if rc.Require != "" {
		if rc.Public {
			return nil, errors.New("require: a public route asks nobody who they are")
		}
		if rt.require, err = policy.NewRequirement(rc.Require); err != nil {
			return nil, fmt.Errorf("require: %w", err)
		}
	}
	if rt.headers, err = newHeaderPlan(rc.Headers, rt.credentialName); err != nil {
		return nil, err
	}
	if rt.anonymous = rt.headers.build(nil); rt.anonymous.err != nil {
		return nil, rt.anonymous.err
	}
	return rt, errors.Join(rt.setPath(rc, c.Prefix), rt.setMethods(rc.Methods), rt.setUpstreams(rc.Upstreams), rt.setCredential(d.Sources), rt.setWithheld(c.OwnCookie), rt.checkLogins())
}

func (rt *route) setPath(rc Route, prefix string) error {
	path := rc.Path
	if path == "" {
		path = "/"
	}
	encoded, decoded, refusal := parsePath(path)
	if refusal != "" || strings.Contains(decoded, ";") {
		return fmt.Errorf("path: %q is not a path that all servers read alike: %s", rc.Path, refusal)
	}
	rt.metadataPath = protectedResourcePath + strings.TrimSuffix(encoded, "/")
	decoded = strings.TrimSuffix(decoded, "/")
	if decoded == prefix || strings.HasPrefix(decoded, prefix+"/") {
		return fmt.Errorf("path: %q lies below %s, which is never proxied", rc.Path, prefix)
	}
	if decoded != "" {
		rt.segments = strings.Split(decoded[1:], "/")
	}
	if rc.StripPrefix {
		rt.strip = len(rt.segments)
	}
	return nil
}

func (rt *route) setMethods(methods []string) error {
	if len(methods) == 0 {
		rt.methods = registeredMethods
		return nil
	}
	rt.listed, rt.methods = methods, set(methods)
	for _, m := range methods {
		if m == "CONNECT" || m == "TRACE" {
			return fmt.Errorf("methods: %s is never forwarded", m)
		}
		if !isToken(m) {
			return fmt.Errorf("methods: %q is not a method", m)
		}
	}
	if rt.methods["GET"] {
		rt.methods["HEAD"] = true // RFC 9110 §9.3.2: GET without the body
	}
	return nil
}

func (rt *route) setUpstreams(list []*url.URL) error {
	if len(list) == 0 {
		return errors.New("upstream: at least one is needed")
	}
	for _, u := range list {
		up, err := newUpstream(u)
		if err != nil {
			return err
		}
		rt.upstreams = append(rt.upstreams, up)
	}
	return nil
}

func (rt *route) setCredential(sources map[string]Source) error {
	if rt.passAuthorization && rt.credentialName != credentialNone {
		return errors.New("pass_authorization: works only with credential = \"none\": the upstream cannot get two tokens")
	}
	if rt.passAuthorization && slices.Contains(rt.headers.names, headerAuthorization) {
		return errors.New("pass_authorization: headers.set sets Authorization already: the upstream cannot get two tokens")
	}
	switch rt.credentialName {
	case credentialNone, credentialSession, credentialIDToken:
		return nil
	}
	if rt.source = sources[rt.credentialName]; rt.source == nil {
		return fmt.Errorf("credential: there is no credential %q", rt.credentialName)
	}
	return nil
}

func (rt *route) checkLogins() error {
	switch a := rt.callers.accept; {
	case rt.public:
		return nil
	case len(rt.logins) == 0 && (a.session || a.token): // others are good by what vouches for them
		return errors.New("login: a route that accepts sessions or tokens of ours needs at least one")
	case rt.starter == nil && a.session:
		return errors.New("login: nothing can begin a login for this route")
	}
	return nil
}

// accepts reports whether the route takes what a login has made: a session, a ticket or a personal token, a password. Who
// came without any is good by what vouched for them.
func (rt *route) accepts(who *identity.Identity, by claim) bool {
	switch by {
	case bearerToken, bearerCookie, apiKey:
		return true
	case password: // of a login, or of a local user or a client, who have none
		return who.Login == "" || slices.Contains(rt.logins, who.Login)
	}
	return slices.Contains(rt.logins, who.Login)
}

// next is the upstream whose turn it is.
func (rt *route) next() *upstream {
	if len(rt.upstreams) == 1 {
		return &rt.upstreams[0]
	}
	return &rt.upstreams[int(rt.turn.Add(1)%uint32(len(rt.upstreams)))]
}

// outgoing returns a path for an upstream, both ways of writing it: the canonical path
// without the stripped segments, behind the upstream's own path. Segments are cut off
// whole, and a canonical path has no encoded slash, so the rest is as canonical as the
// whole (P015).
func (rt *route) outgoing(encoded, decoded string, up *upstream) (string, string) {
	if rt.strip > 0 {
		encoded, decoded = cutSegments(encoded, rt.strip), cutSegments(decoded, rt.strip)
	}
	if up.base != "" {
		encoded, decoded = up.base+encoded, up.decodedBase+decoded
	}
	return encoded, decoded
}

// cutSegments removes the first n segments of a path.
func cutSegments(path string, n int) string {
	for ; n > 0; n-- {
		i := strings.IndexByte(path[1:], '/')
		if i < 0 {
			return "/"
		}
		path = path[1+i:]
	}
	return path
}

// upstream is where a route's requests go.
type upstream struct {
	scheme, host      string // of the outgoing URL
	base, decodedBase string // path in front of every request's, without a trailing slash
	display           string // for the log
	socket            string // path of a unix socket, or ""
}

func newUpstream(u *url.URL) (upstream, error) {
	switch {
	case u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return upstream{}, fmt.Errorf("upstream: %s://%s: no user, query or fragment is possible here", u.Scheme, u.Host)
	case u.Scheme == "unix" && u.Host == "" && strings.HasPrefix(u.Path, "/"):
		return upstream{scheme: "http", host: socketHost(u.Path), display: "unix:" + u.Path, socket: u.Path}, nil
	case u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.Opaque != "":
		return upstream{}, fmt.Errorf("upstream: %q must be http://host, https://host or unix:/path", u.String())
	}
	up := upstream{scheme: u.Scheme, host: u.Host, display: u.Scheme + "://" + u.Host}
	if path := strings.TrimSuffix(u.EscapedPath(), "/"); path != "" {
		encoded, decoded, refusal := parsePath(path)
		if refusal != "" {
			return upstream{}, fmt.Errorf("upstream: %q: %s", u.String(), refusal)
		}
		up.base, up.decodedBase = encoded, decoded
	}
	return up, nil
}

// isToken is RFC 9110 §5.6.2.
func isToken(s string) bool {
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c >= 0x7f || strings.IndexByte(`"(),/:;<=>?@[\]{}`, c) >= 0 {
			return false
		}
	}
	return s != ""
}
