package proxy

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/doorward/doorward/internal/approval"
	"github.com/doorward/doorward/internal/identity"
	"github.com/doorward/doorward/internal/pages"
	"github.com/doorward/doorward/proxy/policy"
)

// Approver asks people for their consent to single requests, and keeps what they said for all
// replicas. It serves a caller, that is issuer, subject and session; no other caller's approvals exist for them.
type Approver interface {
	// Ask asks who for their consent on another device. While the same is being asked already, or was approved and not
	// used, it returns that approval and asks nobody again. The error is the answer to give.
	Ask(r *http.Request, who *identity.Identity, q approval.Question) (*approval.Approval, error)
	// Find returns an approval of this caller as it is now, nil if there is none of that id. It may
	// ask the provider once, not faster than the provider wants.
	Find(r *http.Request, who *identity.Identity, id string) (*approval.Approval, error)
	// Held returns what Ask was given to keep, nil if nothing.
	Held(r *http.Request, who *identity.Identity, id string) ([]byte, error)
	// Spend marks an approval as used, for all replicas and for good, and reports whether this call
	// did it: of many that try, one. After an error nobody may forward.
	Spend(ctx context.Context, id string) (bool, error)
}

const headerApproval = "Doorward-Approval"

const (
	codeApprovalRequired   = "approval_required"
	codeApprovalDenied     = "approval_denied"
	codeApprovalMismatch   = "approval_mismatch"
	codeApprovalUsed       = "approval_used"
	codeApprovalImpossible = "approval_impossible"
	codeBodyTooLarge       = "body_too_large"
	codeAttemptUnknown     = "attempt_unknown"
)

// messageLimit and messageAlphabet are Keycloak's, the narrowest in use (no spaces); others say only
// that it should be short and plain (CIBA Core §7.1).
const (
	messageLimit    = 50
	messageAlphabet = "-._+/!?#"
)

// faithful reports whether a message can be shown exactly as it is. What cannot is refused and never
// altered: two requests must not look alike (P169).
func faithful(message string) bool {
	for i := range len(message) {
		c := message[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && strings.IndexByte(messageAlphabet, c) < 0 {
			return false
		}
	}
	return message != "" && len(message) <= messageLimit
}

// gate is approve of one route, made ready.
type gate struct {
	route    *route
	tag      string // begins the ids of this route's approvals in URLs
	prefix   string // "/oauth2/approval/"
	login    string
	methods  map[string]bool
	message  *policy.Text
	reads    reads // of the message
	maxBody  int64
	expires  time.Duration
	approver Approver
	pages    *pages.Pages
	room     *room // of all routes
}

// approvals are those of all routes.
type approvals struct {
	prefix string // "/oauth2/approval/"
	routes map[*route]*gate
	tags   map[string]*gate
}

// newApprovals returns nil where no route has approve.
func newApprovals(routes []*route, c Config, d Deps) (*approvals, error) {
	all := &approvals{prefix: c.Prefix + "/approval/", routes: make(map[*route]*gate), tags: make(map[string]*gate)}
	for i, rt := range routes {
		if c.Routes[i].Approve == nil {
			continue
		}
		a, err := newApproval(rt, *c.Routes[i].Approve, d)
		if err != nil {
			return nil, fmt.Errorf("route.%s: approve: %w", rt.name, err)
		}
		a.prefix = all.prefix
		if other := all.tags[a.tag]; other != nil {
			return nil, fmt.Errorf("route.%s: name: as a name of an approval it is too similar to %s; choose another", rt.name, other.route.name)
		}
		all.routes[rt], all.tags[a.tag] = a, a
	}
	if len(all.routes) == 0 {
		return nil, nil
	}
	largest := int64(0)
	for _, a := range all.routes {
		largest = max(largest, a.maxBody)
	}
	r := newRoom(largest)
	for _, a := range all.routes {
		a.room = r
	}
	return all, nil
}

func newApproval(rt *route, c Approve, d Deps) (*gate, error) {
	a := &gate{
		route: rt, tag: tagOf(rt.name), login: c.Login, methods: set(c.Methods), maxBody: c.MaxBody, expires: c.Expires,
		approver: d.Approvers[rt.name], pages: d.Pages,
	}
	switch {
	case rt.public:
		return nil, fmt.Errorf("a public route knows nobody who could be asked")
	case a.approver == nil:
		return nil, fmt.Errorf("login: nobody can ask people for this route")
	case len(c.Methods) == 0:
		return nil, fmt.Errorf("methods: at least one is needed")
	case c.MaxBody <= 0:
		return nil, fmt.Errorf("max_body: it must be more than nothing")
	case c.Expires < time.Second:
		return nil, fmt.Errorf("expires: %s is too short", c.Expires)
	}
	for _, m := range c.Methods {
		if !isToken(m) || m != strings.ToUpper(m) {
			return nil, fmt.Errorf("methods: %q is not a method; they are written in capitals", m)
		}
		if !rt.methods[m] {
			return nil, fmt.Errorf("methods: the route takes no %s", m)
		}
	}
	if a.methods[http.MethodGet] {
		a.methods[http.MethodHead] = true
	}
	var err error
	if a.message, err = policy.NewText(c.BindingMessage); err != nil {
		return nil, fmt.Errorf("binding_message: %w", err)
	}
	a.reads = readsOf(a.message)
	return a, nil
}

// of returns what the route of a request wants approved, nil if it may pass as it is. A
// method is the same in any case: "post" is not a way past an approval of POST. Nor is a WebSocket, through which requests
// pass that nobody sees; it begins by a GET, whatever the methods are.
func (all *approvals) of(rt *route, req *CanonicalRequest) (*gate, error) {
	if all == nil {
		return nil, nil
	}
	a := all.routes[rt]
	switch {
	case a == nil:
		return nil, nil
	case req.in.Header["Upgrade"] != nil:
		return nil, impossible("What passes through a WebSocket cannot be shown for approval.")
	case a.methods[strings.ToUpper(req.Method)]:
		return a, nil
	}
	return nil, nil
}

// permit is what a request has that was approved. The zero value is that of requests that need none.
type permit struct {
	approver Approver
	id       string
}

// needed reports whether a request had to be approved.
func (c permit) needed() bool { return c.approver != nil }

// spend uses the approval up. It is called last before forwarding: whatever happens then, a crash or an upstream
// that cannot be reached, the request is never sent a second time.
func (c permit) spend(ctx context.Context) error {
	first, err := c.approver.Spend(ctx, c.id)
	switch {
	case err != nil:
		return unknowable(err)
	case !first:
		return &pages.Error{Code: codeApprovalUsed}
	}
	return nil
}

// given reads the header of a request before its headers are cleaned: nobody behind us ever sees it.
func given(h http.Header) []string { return slices.Clone(h[headerApproval]) }

func impossible(detail string) error {
	return &pages.Error{Code: codeApprovalImpossible, Detail: detail}
}
