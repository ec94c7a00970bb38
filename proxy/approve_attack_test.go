package proxy

import (
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/approval"
	"github.com/doorward/doorward/proxy/policy"
)

// begun is an approval of a form of alice's that she has agreed to.
func (l *payLab) begun() string {
	l.Helper()
	name := l.begin("POST", "/payments?x=1&y=2", payForm, as("alice"), formType)
	l.pay.answer(approval.Approved)
	return name
}

// still expects that an approval can be used after all that was tried.
func (l *payLab) still(name string) {
	l.Helper()
	l.passed(l.say("POST", "/payments?x=1&y=2", payForm, as("alice"), formType, approved(name)))
}

func TestAnApprovalIsOfOneRequestOnly(t *testing.T) {
	l := payLabFor(t)
	name := l.begun()
	for what, a := range map[string]func(line string) answer{
		"a byte of the body": func(h string) answer {
			return l.say("POST", "/payments?x=1&y=2", "amount=21&to=bob", as("alice"), formType, h)
		},
		"bytes that mean the same": func(h string) answer {
			return l.say("POST", "/payments?x=1&y=2", "amount=%320&to=bob", as("alice"), formType, h)
		},
		"another field": func(h string) answer {
			return l.say("POST", "/payments?x=1&y=2", "amount=20&to=eve", as("alice"), formType, h)
		},
		"the order of fields": func(h string) answer {
			return l.say("POST", "/payments?x=1&y=2", "to=bob&amount=20", as("alice"), formType, h)
		},
		"the order of the query": func(h string) answer {
			return l.say("POST", "/payments?y=2&x=1", payForm, as("alice"), formType, h)
		},
		"no query":         func(h string) answer { return l.say("POST", "/payments", payForm, as("alice"), formType, h) },
		"an empty query":   func(h string) answer { return l.say("POST", "/payments?", payForm, as("alice"), formType, h) },
		"another path":     func(h string) answer { return l.say("POST", "/payments/x?x=1&y=2", payForm, as("alice"), formType, h) },
		"a trailing slash": func(h string) answer { return l.say("POST", "/payments/?x=1&y=2", payForm, as("alice"), formType, h) },
		"an encoded letter": func(h string) answer {
			return l.say("POST", "/%70ayments?x=1&y=2", payForm, as("alice"), formType, h)
		},
		"another method": func(h string) answer { return l.say("PUT", "/payments?x=1&y=2", payForm, as("alice"), formType, h) },
		"another type": func(h string) answer {
			return l.say("POST", "/payments?x=1&y=2", payForm, as("alice"), formType+"; charset=utf-8", h)
		},
		"a header about the content": func(h string) answer {
			return l.say("POST", "/payments?x=1&y=2", payForm, as("alice"), formType, "Content-Disposition: x", h)
		},
		"another key of idempotency": func(h string) answer {
			return l.say("POST", "/payments?x=1&y=2", payForm, as("alice"), formType, "Idempotency-Key: 2", h)
		},
		"another person": func(h string) answer { return l.say("POST", "/payments?x=1&y=2", payForm, as("root"), formType, h) },
		"another session of the same person": func(h string) answer {
			return l.say("POST", "/payments?x=1&y=2", payForm, as("renewed"), formType, h)
		},
		"another route": func(h string) answer { return l.say("POST", "/other?x=1&y=2", payForm, as("alice"), formType, h) },
	} {
		t.Run(what, func(t *testing.T) {
			on := *l
			on.lab = l.on(t)
			on.denied(a(approved(name)), codeApprovalMismatch)
		})
	}
	l.e.take()
	l.still(name)
}

func TestAnApprovalIsNotNamedInAnyOtherWay(t *testing.T) {
	l := payLabFor(t)
	name := l.begun()
	for _, header := range []string{"", "nonsense", name + "x", name[:len(name)-1], strings.ToUpper(name), name + ", " + name, `"` + name + `"`, name[tagLength:], strings.Repeat("a", 5000), "../" + name, name + "\xff"} {
		a := l.say("POST", "/payments?x=1&y=2", payForm, as("alice"), formType, approved(header))
		if code := a.code(); code != codeApprovalMismatch && code != codeBadRequest && a.StatusCode != 400 {
			t.Errorf("%.30q: %s %s", header, a.Status, code)
		}
		l.untouched()
	}
	l.denied(l.say("POST", "/payments?x=1&y=2", payForm, as("alice"), formType, approved(name), approved(name)), codeBadRequest)
	l.denied(l.say("POST", "/payments?x=1&y=2", payForm, as("alice"), formType, approved(name), approved("other")), codeBadRequest)
	for _, line := range []string{"Doorward_Approval: " + name, "X-Doorward-Approval: " + name, "Cookie: Doorward-Approval=" + name} {
		a := l.say("POST", "/payments?x=1&y=2", payForm, as("alice"), formType, line)
		if strings.HasPrefix(line, "Cookie") {
			continue // asked by another session in this laboratory
		}
		l.denied(a, codeApprovalRequired)
	}
	t.Run("nor behind the body", func(t *testing.T) {
		a := l.raw("POST /payments?x=1&y=2 HTTP/1.1\r\nHost: app.test\r\n" + as("alice") + "\r\n" + formType + "\r\nTransfer-Encoding: chunked\r\nTrailer: Doorward-Approval\r\nConnection: close\r\n\r\n10\r\n" + payForm + "\r\n0\r\n" + approved(name) + "\r\n\r\n")
		l.denied(a, codeApprovalRequired)
	})
	l.still(name)
}

func TestAMethodInSmallLettersIsNoWayPast(t *testing.T) {
	l := payLabFor(t)
	for rt := range l.g.approvals.routes {
		if rt.name == "pay" {
			rt.methods = set([]string{"POST", "post", "Post"}) // an operator may list anything
		}
	}
	for _, m := range []string{"post", "Post"} {
		a := l.say(m, "/payments", payForm, as("alice"), formType)
		if a.StatusCode == http.StatusOK {
			t.Errorf("%s: %s", m, a.Status)
		}
		l.untouched()
	}
}

func TestFiftyAtOnceAreOneForward(t *testing.T) {
	l := payLabFor(t)
	name := l.begun()
	l.pay.together = new(sync.WaitGroup) // all of them have found it approved before one may use it
	l.pay.together.Add(50)
	var wg sync.WaitGroup
	var ok, used atomic.Int32
	for range 50 {
		wg.Go(func() {
			r, err := http.NewRequestWithContext(t.Context(), "POST", l.gateway.URL+"/payments?x=1&y=2", strings.NewReader(payForm))
			if err != nil {
				t.Error(err)
				return
			}
			r.Host = "app.test"
			r.Header = http.Header{"Cookie": {"__Host-doorward=alice"}, "Content-Type": {"application/x-www-form-urlencoded"}, headerApproval: {name}}
			res, err := http.DefaultClient.Do(r)
			if err != nil {
				t.Error(err)
				return
			}
			defer func() { _ = res.Body.Close() }()
			switch res.StatusCode {
			case http.StatusOK:
				ok.Add(1)
			case http.StatusConflict:
				used.Add(1)
			default:
				t.Error(res.Status)
			}
		})
	}
	wg.Wait()
	if ok.Load() != 1 || used.Load() != 49 || len(l.e.take()) != 1 {
		t.Errorf("%d went through, %d were refused", ok.Load(), used.Load())
	}
}

func TestAnUpstreamThatBreaksUsesTheApprovalUp(t *testing.T) {
	l := payLabFor(t)
	name := l.begun()
	l.e.answers(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	if a := l.say("POST", "/payments?x=1&y=2", payForm, as("alice"), formType, approved(name)); a.code() != codeUpstreamUnreachable {
		t.Errorf("%s %s", a.Status, a.code())
	}
	if n := len(l.e.take()); n != 1 {
		t.Errorf("E was asked %d times", n)
	}
	l.denied(l.say("POST", "/payments?x=1&y=2", payForm, as("alice"), formType, approved(name)), codeApprovalUsed)
}

func TestNothingIsForwardedWhileTheStoreFails(t *testing.T) {
	l := payLabFor(t)
	name := l.begun()
	l.pay.set(func(p *phones) { p.broken = true })
	for _, a := range []answer{
		l.say("POST", "/payments?x=1&y=2", payForm, as("alice"), formType),
		l.say("POST", "/payments?x=1&y=2", payForm, as("alice"), formType, approved(name)),
		l.send("GET", "/oauth2/approval/"+name, as("alice")),
	} {
		l.denied(a, codeStoreUnavailable)
		if a.StatusCode != http.StatusServiceUnavailable || strings.Contains(a.body, "10.9.8.7") {
			t.Errorf("%s %s", a.Status, a.body)
		}
	}
	l.pay.set(func(p *phones) { p.broken, p.frail = false, true })
	l.denied(l.say("POST", "/payments?x=1&y=2", payForm, as("alice"), formType, approved(name)), codeStoreUnavailable)
	l.pay.set(func(p *phones) { p.frail = false })
	l.still(name)
}

func TestAMissingTokenDoesNotUseAnApprovalUp(t *testing.T) {
	l := payLabFor(t)
	for rt := range l.g.approvals.routes {
		rt.credentialName = credentialSession
	}
	name := l.begin("POST", "/payments", payForm, as("tokenless"), formType)
	l.pay.answer(approval.Approved)
	l.denied(l.say("POST", "/payments", payForm, as("tokenless"), formType, approved(name)), codeCredentialRefused)
	if s := l.pollStatus(name, as("tokenless")); s != "approved" {
		t.Error(s)
	}
}

func TestNobodyElseFindsAnApproval(t *testing.T) {
	l := payLabFor(t)
	name := l.begun()
	for _, who := range []string{as("root"), as("renewed"), as("other-login"), as("nobody"), "Accept: */*"} {
		if s := l.pollStatus(name, who); s != "404 "+codeAttemptUnknown {
			t.Errorf("%s: %s", who, s)
		}
	}
	for _, other := range []string{name + "x", "x", strings.Replace(name, name[:tagLength], tagOf("other"), 1), strings.Replace(name, name[:tagLength], tagOf("nowhere"), 1)} {
		if s := l.pollStatus(other, as("alice")); s != "404 "+codeAttemptUnknown {
			t.Errorf("%s: %s", other, s)
		}
	}
	for _, path := range []string{"/oauth2/approval", "/oauth2/approval/", "/oauth2/approval/" + name + "/x", "/oauth2/approval/" + name + "%20", "/oauth2/approval/%41"} {
		if a := l.send("GET", path, as("alice")); a.StatusCode != http.StatusNotFound && a.StatusCode != http.StatusBadRequest {
			t.Errorf("%s: %s", path, a.Status)
		}
	}
	if a := l.send("GET", "/oauth2/approval/"+name, as("alice"), "Host: open.test"); a.StatusCode != http.StatusNotFound {
		t.Errorf("another host: %s", a.Status)
	}
	if s := l.pollStatus(name, as("broken")); !strings.HasPrefix(s, "503") {
		t.Errorf("an outage: %s", s)
	}
	l.refused(l.send("DELETE", "/oauth2/approval/"+name, as("alice")), http.StatusMethodNotAllowed)
}

func TestOnlyItsOwnPageSendsAHeldRequest(t *testing.T) {
	l := payLabFor(t)
	page := l.say("POST", "/payments", payForm, browserPost("https://app.test/form")...).location()
	l.pay.answer(approval.Approved)
	for what, lines := range map[string][]string{
		"cross-site":      {as("alice"), "Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document"},
		"same-site":       {as("alice"), "Sec-Fetch-Site: same-site", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document"},
		"said twice":      {as("alice"), "Sec-Fetch-Site: same-origin", "Sec-Fetch-Site: same-origin"},
		"another origin":  {as("alice"), "Origin: https://open.test"},
		"null origin":     {as("alice"), "Origin: null"},
		"nothing said":    {as("alice")},
		"another person":  {as("root"), "Sec-Fetch-Site: same-origin"},
		"another session": {as("renewed"), "Sec-Fetch-Site: same-origin"},
		"nobody":          {"Sec-Fetch-Site: same-origin"},
	} {
		t.Run(what, func(t *testing.T) {
			on := *l
			on.lab = l.on(t)
			on.refused(on.say("POST", page, "", lines...), http.StatusForbidden, http.StatusNotFound)
		})
	}
	l.e.take()
	t.Run("a program's has none", func(t *testing.T) {
		name := l.begin("POST", "/payments", "amount=9", as("alice"), formType)
		if a := l.send("GET", "/oauth2/approval/"+name, browserGet()...); a.Header.Get("Content-Type") != "application/json" {
			t.Errorf("a page that could send nothing: %v", a.Header)
		}
		l.pay.answer(approval.Approved)
		l.refused(l.say("POST", "/oauth2/approval/"+name, "", as("alice"), "Sec-Fetch-Site: same-origin"), http.StatusNotFound)
	})
	l.passed(l.say("POST", page, "", as("alice"), "Origin: https://app.test"))
}

func TestAWebSocketAndAMachineCannotBeApproved(t *testing.T) {
	l := payLabFor(t)
	l.denied(l.send("GET", "/read?id=7", as("alice"), "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Key: x", "Sec-WebSocket-Version: 13", "Origin: https://app.test"), codeApprovalImpossible)
	l.denied(l.send("GET", "/payments", as("alice"), "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Key: x", "Sec-WebSocket-Version: 13", "Origin: https://app.test"), codeApprovalImpossible)
	l.denied(l.say("POST", "/payments", payForm, as("machine"), formType), codeAccessDenied)
	if len(l.reading.questions())+len(l.pay.questions()) != 0 {
		t.Error("somebody was asked")
	}
}

func TestWhatTheMessageShowsIsBound(t *testing.T) {
	l := payLabFor(t)
	name := l.begin("POST", "/upload", "data", as("alice"), "X-Kind: report", "Content-Type: multipart/form-data; boundary=x")
	if q := l.upload.questions(); q[0].Message != "UP-report" {
		t.Errorf("%+v", q)
	}
	l.upload.answer(approval.Approved)
	l.denied(l.say("POST", "/upload", "data", as("alice"), "X-Kind: contract", "Content-Type: multipart/form-data; boundary=x", approved(name)), codeApprovalMismatch)
	l.passed(l.say("POST", "/upload", "data", as("alice"), "X-Kind: report", "Content-Type: multipart/form-data; boundary=x", approved(name)))
}

func TestAMessageThatShowsTheTimeShowsThatOfTheQuestion(t *testing.T) {
	l := payLabFor(t)
	now := time.Date(2026, 11, 27, 9, 30, 7, 5_000_000, time.UTC)
	for rt, a := range l.g.approvals.routes {
		if rt.name == "pay" {
			rt.now = func() time.Time { return now }
			a.message = must(policy.NewText(`"AT-" + string(request.time.getHours()) + "." + string(request.time.getSeconds()) + "." + string(request.time.getMilliseconds())`))
		}
	}
	name := l.begin("POST", "/payments", payForm, as("alice"), formType)
	if q := l.pay.questions(); q[0].Message != "AT-9.7.0" {
		t.Errorf("%+v", q)
	}
	l.pay.answer(approval.Approved)
	now = now.Add(90 * time.Second)
	l.passed(l.say("POST", "/payments", payForm, as("alice"), formType, approved(name)))
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// A form over HTTP/2, in pieces.
