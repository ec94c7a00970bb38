package proxy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/approval"
	"github.com/doorward/doorward/internal/identity"
	"github.com/doorward/doorward/internal/origin"
)

// phones is the Approver of one route, in memory. Tests say what the person answers. Callers are told apart by their cookie.
type phones struct {
	mu     sync.Mutex
	asked  []approval.Question
	kept   map[string]*phoned
	broken bool // the store
	frail  bool // the store at the moment of Spend
	refuse error

	together *sync.WaitGroup // Find answers once so many have asked
}

type phoned struct {
	approval.Approval
	caller string
	held   []byte
}

var errPhones = errors.New("the store at 10.9.8.7:6379 does not answer")

func callerOf(r *http.Request, who *identity.Identity) string {
	return who.Issuer + " " + who.Subject + " " + r.Header.Get("Cookie")
}

func (p *phones) Ask(r *http.Request, who *identity.Identity, q approval.Question) (*approval.Approval, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.broken {
		return nil, errPhones
	}
	if p.refuse != nil {
		return nil, p.refuse
	}
	caller := callerOf(r, who)
	for _, k := range p.kept {
		if k.caller == caller && k.Fingerprint == q.Fingerprint && k.Approval.Held == (q.Held != nil) && (k.Status == approval.Pending || k.Status == approval.Approved) {
			a := k.Approval
			return &a, nil
		}
	}
	p.asked = append(p.asked, q)
	k := &phoned{Approval: approval.Approval{
		ID: fmt.Sprintf("A%d", len(p.asked)), Status: approval.Pending, Fingerprint: q.Fingerprint, Message: q.Message, Request: q.Request, Back: q.Back,
		Asked: q.Asked, ExpiresIn: q.Expires, Interval: 5 * time.Second, Held: q.Held != nil,
	}, caller: caller, held: q.Held}
	p.kept[k.ID] = k
	a := k.Approval
	return &a, nil
}

func (p *phones) find(r *http.Request, who *identity.Identity, id string) (*phoned, error) {
	if p.broken {
		return nil, errPhones
	}
	if k := p.kept[id]; k != nil && k.caller == callerOf(r, who) {
		return k, nil
	}
	return nil, nil
}

func (p *phones) Find(r *http.Request, who *identity.Identity, id string) (*approval.Approval, error) {
	p.mu.Lock()
	k, err := p.find(r, who, id)
	if k == nil || err != nil {
		p.mu.Unlock()
		return nil, err
	}
	a := k.Approval
	p.mu.Unlock()
	if p.together != nil {
		p.together.Done()
		p.together.Wait()
	}
	return &a, nil
}

func (p *phones) Held(r *http.Request, who *identity.Identity, id string) ([]byte, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	k, err := p.find(r, who, id)
	if k == nil || err != nil {
		return nil, err
	}
	return k.held, nil
}

func (p *phones) Spend(_ context.Context, id string) (bool, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.broken || p.frail {
		return false, errPhones
	}
	k := p.kept[id]
	if k == nil || k.Status != approval.Approved {
		return false, nil
	}
	k.Status = approval.Used
	return true, nil
}

// answer is what the person does on the phone, about everything that is asked.
func (p *phones) answer(status string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, k := range p.kept {
		if k.Status == approval.Pending || status == approval.Expired && k.Status == approval.Approved {
			k.Status = status
		}
	}
}

func (p *phones) questions() []approval.Question {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.asked
}

func (p *phones) set(change func(*phones)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change(p)
}

// payLab is a laboratory with routes that need approvals.
type payLab struct {
	*lab
	pay, other, upload, reading *phones
}

const payMessage = `"PAY-" + (has(form.amount) ? form.amount : json.amount)`

// newPayLab is in front of E, or of other upstreams.
func newPayLab(t testing.TB, upstreams ...*url.URL) *payLab {
	t.Helper()
	newPhones := func() *phones { return &phones{kept: map[string]*phoned{}} }
	l := &payLab{pay: newPhones(), other: newPhones(), upload: newPhones(), reading: newPhones()}
	l.lab = newLabOf(t, func(c *Config, d *Deps) {
		if upstreams != nil {
			for i := range c.Routes {
				c.Routes[i].Upstreams = upstreams
			}
		}
		d.Approvers = map[string]Approver{}
		add := func(name, path, message string, to *phones, methods ...string) {
			c.Routes = append(c.Routes, Route{
				Name: name, Hosts: []origin.Origin{appTest}, Path: path, Upstreams: c.Routes[0].Upstreams, Logins: []string{"staff"}, StripPrefix: name == "other",
				Approve: &Approve{Login: "phone", Methods: methods, BindingMessage: message, MaxBody: 1000, Expires: 2 * time.Minute},
			})
			d.Starters[name], d.Approvers[name] = door{}, to
		}
		add("pay", "/payments", payMessage, l.pay, "POST", "PUT")
		add("other", "/other", payMessage, l.other, "POST")
		add("upload", "/upload", `"UP-" + request.header["x-kind"][0]`, l.upload, "POST")
		add("read", "/read", `"READ-" + request.query.id[0]`, l.reading, "GET", "DELETE")
	})
	return l
}

func payLabFor(t *testing.T, upstreams ...*url.URL) *payLab {
	t.Helper()
	l := newPayLab(t, upstreams...)
	l.T = t
	return l
}

// say writes a request with a body.
func (l *payLab) say(method, target, body string, lines ...string) answer {
	l.Helper()
	return l.raw(withBody(method, target, body, lines...))
}

func withBody(method, target, body string, lines ...string) string {
	return request(method, target, append(lines, fmt.Sprintf("Content-Length: %d", len(body)))...) + body
}

const (
	formType = "Content-Type: application/x-www-form-urlencoded"
	jsonType = "Content-Type: application/json"
	payForm  = "amount=20&to=bob"
)

// approvalOf is the member of the problem document.
func (l *payLab) approvalOf(a answer) map[string]any {
	l.Helper()
	var problem struct {
		Code     string
		Approval map[string]any
	}
	if err := json.Unmarshal([]byte(a.body), &problem); err != nil || problem.Code != codeApprovalRequired || a.StatusCode != http.StatusUnauthorized {
		l.Fatalf("answer %s: %.400s", a.Status, a.body)
	}
	return problem.Approval
}

// begin asks for an approval as a program, and returns its name.
func (l *payLab) begin(method, target, body string, lines ...string) string {
	l.Helper()
	a := l.say(method, target, body, lines...)
	name, _ := l.approvalOf(a)["id"].(string)
	if name == "" {
		l.Fatalf("no approval: %s", a.body)
	}
	l.untouched()
	return name
}

func approved(name string) string { return headerApproval + ": " + name }

// pollStatus asks how an approval stands.
func (l *payLab) pollStatus(name string, lines ...string) string {
	l.Helper()
	a := l.send("GET", "/oauth2/approval/"+name, lines...)
	if a.StatusCode != http.StatusOK {
		return a.Status[:3] + " " + a.code()
	}
	var v struct{ ID, Status string }
	if err := json.Unmarshal([]byte(a.body), &v); err != nil || v.ID != name {
		l.Errorf("%v in %s", err, a.body)
	}
	return v.Status
}

// denied expects an error code, and that E saw nothing.
func (l *payLab) denied(a answer, code string) {
	l.Helper()
	if a.code() != code {
		l.Errorf("answer %s %q, not %s: %.300s", a.Status, a.code(), code, a.body)
	}
	l.untouched()
}

func browserPost(referer string) []string {
	return []string{as("alice"), formType, "Origin: https://app.test", "Referer: " + referer, "Accept: text/html", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document", "Sec-Fetch-Site: same-origin"}
}

func browserGet() []string {
	return []string{as("alice"), "Accept: text/html", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document", "Sec-Fetch-Site: same-origin"}
}

func (a answer) location() string { return a.Header.Get("Location") }
