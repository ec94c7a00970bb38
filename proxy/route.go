package proxy

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
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

// route is one Route made ready to act. It never changes, but for what is known of its upstreams.
type route struct {
	name     string
	hosts    []origin.Origin
	segments []string // of its path, decoded
	strip    int      // how many of them don't go upstream
	methods  map[string]bool
	listed   []string // methods that the configuration names; nil = the registered ones

	upstreams []upstream
	balance   *balancer // nil = there is one upstream, and nobody checks it
	lane      *lane     // the way there
	timeouts  Timeouts

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
	assertion         Source // nil = none goes upstream
	headers           *headerPlan
	anonymous         *injection // what a public route adds

	secretHeaders  []string // of a client's that hold a secret
	withheld       []string // headers of a client's that don't go upstream, beside Authorization
	withheldCookie func(name string) bool
	sourceHeader   string // that the source sets; "" = Authorization, a cookie, or not known
	metadataPath   string // of the protected resource metadata

	match       *match // nil = every request
	rewrites    *rewriter
	answer      *answerer
	limits      *limits
	maintenance *maintenance
	response    *response
	cors        *cors
	hook        *hook
	dryRun      bool
	keepPost    int64 // bytes; 0 = a form that cannot be sent now is not kept
	kept        *kept // nil where it is not

	unauthenticated string // what happens to requests of nobody; see challenge

	slash        bool     // %2F is part of a segment
	stripped     []string // X-Forwarded-Prefix; nil = nothing is stripped
	upstreamHost bool     // Host is the upstream's own
	fixedHost    string   // Host; "" = none is fixed

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
	if rt.policy, err = policy.New(policy.Config{Allow: rc.Allow, Deny: rc.Deny, RoleClients: c.RoleClients}); err != nil {
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
	if err := rt.setFeatures(rc, d); err != nil {
		return nil, err
	}
	return rt, errors.Join(rt.setPath(rc, c.Prefix), rt.setMethods(rc.Methods), rt.setUpstreams(rc), rt.setBalance(rc, c, d), rt.setCredential(d.Sources), rt.setWithheld(c.OwnCookie), rt.setAssertion(rc.Headers.Assertion, d.Sources), rt.checkLogins())
}

// setFeatures makes what a route may have besides; each judges its own part of the configuration.
func (rt *route) setFeatures(rc Route, d Deps) (err error) {
	rt.dryRun, rt.keepPost, rt.unauthenticated = rc.DryRun, rc.KeepPost, cmp.Or(rc.Unauthenticated, unauthenticatedAuto)
	switch rt.unauthenticated {
	case unauthenticatedAuto, unauthenticated401, unauthenticatedLogin:
	default:
		return fmt.Errorf("unauthenticated: %q is not one of \"auto\", \"401\" and \"login\"", rc.Unauthenticated)
	}
	if rt.match, err = newMatch(rc.Match); err != nil {
		return err
	}
	if rt.slash, err = setEncoded(rc.Encoded); err != nil {
		return err
	}
	if err = rt.setRewrite(rc); err != nil {
		return err
	}
	if rt.answer, err = newAnswerer(rc); err != nil {
		return err
	}
	if rt.limits, err = newLimits(rc, d.counters); err != nil {
		return err
	}
	if rt.maintenance, err = newMaintenance(rc.Maintenance, d.Now); err != nil {
		return err
	}
	if rt.response, err = newResponse(rc, d.encoders); err != nil {
		return err
	}
	if rt.cors, err = newCORS(rc.CORS); err != nil {
		return err
	}
	rt.hook, err = newHook(rc.Hook, d)
	return err
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

// isToken is RFC 9110 §5.6.2.
func isToken(s string) bool {
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c >= 0x7f || strings.IndexByte(`"(),/:;<=>?@[\]{}`, c) >= 0 {
			return false
		}
	}
	return s != ""
}
