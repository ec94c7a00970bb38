package telemetry

import (
	"cmp"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/doorward/doorward/internal/identity"
)

// AuditConfig is [telemetry] audit.
type AuditConfig struct {
	To      string // "stdout" or the absolute path of a file; "" = there is no audit log
	Privacy string // "full" (= ""), "subject", "hash"
}

// Events of the audit log; docs/audit.md shows one of each.
const (
	EventLogin    = "login"
	EventRefresh  = "refresh"
	EventLogout   = "logout"
	EventExchange = "exchange"
	EventDeny     = "deny"
	EventApproval = "approval"
	EventToken    = "token" // a personal one
	EventAdmin    = "admin"
	EventAudit    = "audit" // about the audit log itself
)

// Outcomes of events.
const (
	OK        = "ok"
	Failed    = "failed"
	Denied    = "denied"
	WouldDeny = "would_deny" // on a route that only says whom it would refuse
)

// Event is something that somebody may want to prove later. It never holds a token, a code, a
// cookie or a password.
type Event struct {
	Name    string // one of the Event constants
	Outcome string
	Code    string // stable error code, of what failed
	Reason  string // in one word or sentence of ours

	Who     *identity.Identity // nil = nobody, or not known
	Session string             // names the session, worthless as a cookie; "" = Who's

	Flow, Login, Provider string
	Credential            string // of an exchange: the name of the [credential.NAME]
	Audience, Scopes      []string
	Token                 string   // of a personal token: its id, worthless as a token
	Hosts                 []string // at which that token counts
	Count                 int      // of events that this one stands for; 0 = itself only
}

// scene is what is known of the request in which an event happened.
type scene struct {
	reference, trace          string
	client, agent             string
	method, host, path, route string
	rule                      string
}

// Audit writes audit events: one JSON object a line, to a writer of its own.
//
// A request waits for the writer only while it has more than [auditQueue] lines to write, and not
// longer than [auditPatience]; what is lost then is counted and told. A nil *Audit writes nothing.
type Audit struct {
	to      string
	privacy string
	key     []byte
	queue   *auditQueue

	denials, failures flood // of nobody in particular: anybody can cause them

	next atomic.Pointer[Audit] // gets the events instead; nil = none does
	off  bool                  // stands for the audit log of a configuration without one
}

// NewAudit validates and opens nothing; see Open. key makes the hashes of privacy "hash": 32 bytes
// that stay the same as long as people are to be recognised.
func NewAudit(c AuditConfig, key []byte, m *Metrics, log *slog.Logger) (*Audit, error) {
	if c.To == "" {
		return nil, nil
	}
	switch c.Privacy {
	case "", "full", "subject":
	case "hash":
		if len(key) < 32 {
			return nil, fmt.Errorf("telemetry.audit.privacy: %q needs a key", c.Privacy)
		}
	default:
		return nil, fmt.Errorf("telemetry.audit.privacy: %q is none of full, subject, hash", c.Privacy)
	}
	if c.To != auditStdout && !filepath.IsAbs(c.To) {
		return nil, fmt.Errorf("telemetry.audit.to: %q is neither \"stdout\" nor an absolute path", c.To)
	}
	return &Audit{to: c.To, privacy: cmp.Or(c.Privacy, "full"), key: key, queue: newAuditQueue(m, log)}, nil
}

// Open opens what the configuration names, so that a start fails if that cannot be written to. out
// is the standard output.
func (a *Audit) Open(out io.Writer) error {
	if a == nil {
		return nil
	}
	if a.to == auditStdout {
		a.queue.start(&auditStream{out})
		return nil
	}
	f, err := openAuditFile(a.to, a.queue.log)
	if err != nil {
		return fmt.Errorf("telemetry.audit.to: %w", err)
	}
	a.queue.start(f)
	return nil
}

// handOver gives all further events to the audit log of the configuration that has taken over: what began under this one
// may last for hours. It is that log's privacy that they get.
func (a *Audit) handOver(to *Audit) {
	if a == nil {
		return
	}
	if to == nil {
		to = &Audit{off: true}
	}
	a.next.Store(to)
}

// Close writes what waits, for two seconds at most, and closes the file. Events that come later are
// lost, and told.
func (a *Audit) Close() {
	if a == nil {
		return
	}
	now := time.Now()
	a.tellFlood(EventDeny, a.denials.rest(), now)
	a.tellFlood(EventLogin, a.failures.rest(), now)
	a.queue.close()
}

func (a *Audit) write(e *Event, s *scene, now time.Time) {
	for next := a.next.Load(); next != nil; next = a.next.Load() {
		a = next
	}
	if a.off {
		return
	}
	if f := a.floodOf(e); f != nil {
		pass, missed := f.admit(now)
		a.tellFlood(e.Name, missed, now)
		if !pass {
			return
		}
	}
	a.queue.add(a.line(e, s, now))
}

// floodOf bounds what anybody can cause, as often as they like; nil = nothing does.
func (a *Audit) floodOf(e *Event) *flood {
	switch {
	case e.Who != nil || e.Outcome == OK:
		return nil
	case e.Name == EventDeny:
		return &a.denials
	case e.Name == EventLogin:
		return &a.failures
	}
	return nil
}

func (a *Audit) tellFlood(name string, missed int, now time.Time) {
	if missed == 0 {
		return
	}
	e := Event{Name: name, Outcome: Denied, Reason: "further ones of callers whom nobody knows, within one second", Count: missed}
	if name == EventLogin {
		e.Outcome = Failed
	}
	a.queue.add(a.line(&e, &scene{}, now))
}

// line makes the line of an event. Its keys are the contract of docs/audit.md.
func (a *Audit) line(e *Event, s *scene, now time.Time) []byte {
	b := make([]byte, 0, 512)
	b = append(b, `{"time":"`...)
	b = now.UTC().AppendFormat(b, time.RFC3339Nano)
	b = append(b, '"')
	text := func(key, value string, limit int) {
		if value != "" {
			b = appendString(append(append(append(b, `,"`...), key...), `":`...), bounded(value, limit))
		}
	}
	texts := func(key string, values []string) {
		if len(values) == 0 {
			return
		}
		b = append(append(append(b, `,"`...), key...), `":[`...)
		for i, v := range values[:min(len(values), maxList)] {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendString(b, bounded(v, maxField))
		}
		b = append(b, ']')
	}
	text("event", e.Name, maxField)
	text("outcome", e.Outcome, maxField)
	text("code", e.Code, maxField)
	text("reason", e.Reason, maxError)
	if e.Count > 0 {
		b = fmt.Appendf(b, `,"count":%d`, e.Count)
	}
	text("reference", s.reference, maxField)
	text("trace_id", s.trace, maxField)
	b = a.appendWho(b, e.Who)
	session, login, provider := e.Session, e.Login, e.Provider
	var acr string
	var amr []string
	if w := e.Who; w != nil {
		session, login, provider = cmp.Or(session, w.Session), cmp.Or(login, w.Login), cmp.Or(provider, w.Provider)
		if e.Name == EventLogin || e.Name == EventApproval {
			acr, amr = w.ACR, w.AMR
		}
	}
	text("session", session, maxField)
	text("flow", e.Flow, maxField)
	text("login", login, maxField)
	text("provider", provider, maxField)
	text("acr", acr, maxField)
	texts("amr", amr)
	text("credential", e.Credential, maxField)
	texts("audience", e.Audience)
	texts("scopes", e.Scopes)
	text("token", e.Token, maxField)
	texts("hosts", e.Hosts)
	text("client", a.address(s.client), maxField)
	text("method", s.method, maxMethod)
	text("host", s.host, maxField)
	text("path", s.path, maxPath)
	text("route", s.route, maxField)
	text("rule", s.rule, maxField)
	if a.privacy == "full" {
		text("user_agent", s.agent, maxField)
	}
	return append(b, '}', '\n')
}

const maxList = 32 // members of a list in a line

func (a *Audit) appendWho(b []byte, who *identity.Identity) []byte {
	if who == nil {
		return b
	}
	b = append(b, `,"who":{`...)
	first := len(b)
	text := func(key, value string) {
		if value == "" {
			return
		}
		if len(b) > first {
			b = append(b, ',')
		}
		b = appendString(append(append(append(b, '"'), key...), `":`...), bounded(value, maxField))
	}
	if a.privacy == "hash" {
		text("hash", a.hash("who", who.Issuer, who.Subject))
	} else {
		text("iss", who.Issuer)
		text("sub", who.Subject)
	}
	if a.privacy == "full" {
		text("email", who.Email)
		text("name", cmp.Or(who.Username, who.Name))
	}
	text("client", who.Client)
	if who.Machine {
		text("kind", "machine")
	}
	return append(b, '}')
}

// hash names somebody without saying who they are. Whoever has the key can test a guess; nobody
// else can. Its parts are prefixed by their lengths, so that no two lists of them are alike (S14).
func (a *Audit) hash(parts ...string) string {
	h := hmac.New(sha256.New, a.key)
	for _, p := range parts {
		fmt.Fprintf(h, "%d:%s", len(p), p)
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// address is the caller's, as far as it may be told.
func (a *Audit) address(client string) string {
	if client == "" || a.privacy == "full" {
		return client
	}
	if a.privacy == "hash" {
		return a.hash("address", client)
	}
	ip, err := netip.ParseAddr(client)
	if err != nil {
		return ""
	}
	bits := 24
	if ip.Is6() && !ip.Is4In6() {
		bits = 48
	}
	p, err := ip.Unmap().WithZone("").Prefix(bits)
	if err != nil {
		return ""
	}
	return p.String()
}
