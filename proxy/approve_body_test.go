package proxy

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/doorward/doorward/internal/approval"
)

func TestBodiesThatAreFramedInOtherWays(t *testing.T) {
	l := payLabFor(t)
	full := "amount=20&note=" + strings.Repeat("x", 1000-len("amount=20&note="))
	t.Run("exactly as long as it may be", func(t *testing.T) {
		name := l.begin("POST", "/payments", full, as("alice"), formType)
		l.pay.answer(approval.Approved)
		if got := l.passed(l.say("POST", "/payments", full, as("alice"), formType, approved(name))); got.body != full {
			t.Errorf("%d bytes", len(got.body))
		}
	})
	t.Run("a byte too long", func(t *testing.T) {
		l.refused(l.say("POST", "/payments", full+"x", as("alice"), formType), http.StatusRequestEntityTooLarge)
	})
	chunked := func(body string, lines ...string) string {
		head := "POST /payments HTTP/1.1\r\nHost: app.test\r\n" + as("alice") + "\r\n" + formType + "\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n"
		for _, line := range lines {
			head += line + "\r\n"
		}
		var b strings.Builder
		for len(body) > 0 {
			n := min(7, len(body))
			fmt.Fprintf(&b, "%x\r\n%s\r\n", n, body[:n])
			body = body[n:]
		}
		return head + "\r\n" + b.String() + "0\r\n\r\n"
	}
	t.Run("in chunks", func(t *testing.T) {
		name := l.begin("POST", "/payments", payForm, as("alice"), formType)
		l.pay.answer(approval.Approved)
		got := l.passed(l.raw(chunked(payForm, approved(name))))
		if got.body != payForm || len(got.TransferEncoding) != 0 || got.ContentLength != int64(len(payForm)) {
			t.Errorf("E saw %q, %v", got.body, got.TransferEncoding)
		}
	})
	t.Run("in chunks, too long", func(t *testing.T) {
		l.refused(l.raw(chunked(full+"x")), http.StatusRequestEntityTooLarge)
	})
	t.Run("cut off", func(t *testing.T) {
		c := l.write("POST /payments HTTP/1.1\r\nHost: app.test\r\n" + as("alice") + "\r\n" + formType + "\r\nTransfer-Encoding: chunked\r\n\r\n10\r\namount=20&to=b\r\nzz")
		l.refused(l.read(bufio.NewReader(c), "POST"), http.StatusBadRequest)
	})
	t.Run("only if we say so", func(t *testing.T) {
		r := "POST /payments HTTP/1.1\r\nHost: app.test\r\n" + as("alice") + "\r\n" + formType + "\r\nContent-Length: 16\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n"
		c := l.dial()
		_, _ = io.WriteString(c, r)
		b := bufio.NewReader(c)
		line, err := b.ReadString('\n')
		if err != nil || !strings.HasPrefix(line, "HTTP/1.1 100 ") {
			t.Fatalf("%q, %v", line, err)
		}
		_, _ = b.ReadString('\n')
		_, _ = io.WriteString(c, payForm)
		l.denied(l.read(b, "POST"), codeApprovalRequired)
	})
	t.Run("too long, and not even begun", func(t *testing.T) {
		a := l.raw("POST /payments HTTP/1.1\r\nHost: app.test\r\n" + as("alice") + "\r\n" + formType + "\r\nContent-Length: 100000000\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n")
		if len(a.informed) != 0 {
			t.Error("the client was told to go on")
		}
		l.refused(a, http.StatusRequestEntityTooLarge)
	})
	t.Run("over HTTP/2", func(t *testing.T) {
		a := l.send2("DELETE", "/read?id=7", as("alice"))
		name, _ := l.approvalOf(a)["id"].(string)
		l.reading.answer(approval.Approved)
		l.untouched()
		got := l.passed(l.send2("DELETE", "/read?id=7", as("alice"), strings.ToLower(headerApproval)+": "+name))
		got.lacks(t, headerApproval)
		l.refused(l.send2("DELETE", "/read?id=7", as("alice"), strings.ToLower(headerApproval)+": "+name), http.StatusConflict)
	})
}

func TestHEADNeedsWhatGETNeeds(t *testing.T) {
	l := payLabFor(t)
	a := l.send("HEAD", "/read?id=7", as("alice"))
	l.refused(a, http.StatusUnauthorized)
	if !strings.HasPrefix(a.Header.Get("Www-Authenticate"), "Approval id=") {
		t.Errorf("%v", a.Header)
	}
	l.refused(l.send("HEAD", "/read?id=9", browserGet()...), http.StatusUnauthorized) // who looks for a head gets no page that waits
	name := l.begin("GET", "/read?id=7", "", as("alice"))
	l.reading.answer(approval.Approved)
	l.denied(l.say("GET", "/read?id=8", "", as("alice"), approved(name)), codeApprovalMismatch)
	l.passed(l.send("GET", "/read?id=7", as("alice"), approved(name)))
}

func TestP169WhatCannotBeShownFaithfullyIsRefused(t *testing.T) {
	l := payLabFor(t)
	for what, c := range map[string]struct{ contentType, target, body string }{
		"a space":                            {formType, "", "amount=2+0"},
		"a line break":                       {formType, "", "amount=2%0a0"},
		"markup":                             {formType, "", "amount=%3Cb%3E"},
		"a letter that looks like another":   {formType, "", "amount=%D0%B0"},
		"a mark that turns the text around":  {formType, "", "amount=%E2%80%AE02"},
		"too long a message":                 {formType, "", "amount=" + strings.Repeat("1", 47)},
		"no such field":                      {formType, "", "sum=20"},
		"nothing":                            {formType, "", ""},
		"a field twice":                      {formType, "", "amount=20&amount=99"},
		"a field twice, encoded":             {formType, "", "amount=20&%61mount=99"},
		"a field twice, in another case":     {formType, "", "amount=20&Amount=99"},
		"a field and a list":                 {formType, "", "amount=20&amount[]=99"},
		"a list and a field":                 {formType, "", "amount[x]=99&amount=20"},
		"a field as PHP has it":              {formType, "", "a.b=1&a_b=2&amount=20"},
		"a semicolon":                        {formType, "", "amount=20;amount=99"},
		"a space before the name":            {formType, "", "amount=20&+amount=99"},
		"NUL in a name":                      {formType, "", "amount=20&amount%00=99"},
		"no UTF-8":                           {formType, "", "amount=20&x=%ff"},
		"a broken escape":                    {formType, "", "amount=20&x=%zz"},
		"the same name in the address":       {formType, "?amount=99", "amount=20"},
		"the same name in the address, Java": {jsonType, "?Amount=99", `{"amount":20}`},
		"a semicolon in the address":         {formType, "?x=1;amount=99", "amount=20"},
		"a member twice":                     {jsonType, "", `{"amount":20,"amount":99}`},
		"a member twice, escaped":            {jsonType, "", `{"amount":20,"\u0061mount":99}`},
		"a member twice, in another case":    {jsonType, "", `{"amount":20,"AMOUNT":99}`},
		"a member twice, further down":       {jsonType, "", `{"amount":20,"x":[{"y":{"a":1,"a":2}}]}`},
		"a long s":                           {jsonType, "", `{"amount":20,"sum":1,"ſum":2}`},
		"two values":                         {jsonType, "", `{"amount":20}{"amount":99}`},
		"something behind":                   {jsonType, "", `{"amount":20} x`},
		"a comment":                          {jsonType, "", `{"amount":20/*99*/}`},
		"a trailing comma":                   {jsonType, "", `{"amount":20,}`},
		"half a surrogate":                   {jsonType, "", `{"amount":20,"\ud800":1}`},
		"JSON in UTF-16":                     {jsonType + "; charset=utf-16", "", `{"amount":20}`},
		"JSON that is no UTF-8":              {jsonType, "", "{\"amount\":20,\"x\":\"\xff\"}"},
		"a byte order mark":                  {jsonType, "", "\ufeff" + `{"amount":20}`},
		"an object":                          {jsonType, "", `{"amount":{"value":20}}`},
		"null":                               {jsonType, "", `{"amount":null}`},
		"true":                               {jsonType, "", `{"amount":true}`},
		"a list":                             {jsonType, "", `[20]`},
		"deep JSON":                          {jsonType, "", `{"amount":20,"x":` + strings.Repeat("[", 40) + strings.Repeat("]", 40) + `}`},
		"multipart":                          {"Content-Type: multipart/form-data; boundary=x", "", "--x\r\nContent-Disposition: form-data; name=\"amount\"\r\n\r\n20\r\n--x--\r\n"},
		"text":                               {"Content-Type: text/plain", "", "amount=20"},
		"no type":                            {"X: y", "", "amount=20"},
		"two types":                          {formType + "\r\n" + jsonType, "", "amount=20"},
		"another type in the type's clothes": {"Content-Type: application/x-www-form-urlencoded, application/json", "", "amount=20"},
		"compressed":                         {formType + "\r\nContent-Encoding: gzip", "", "amount=20"},
		"a form in UTF-7":                    {formType + "; charset=utf-7", "", "amount=20"},
	} {
		t.Run(what, func(t *testing.T) {
			on := *l
			on.lab = l.on(t)
			on.denied(on.say("POST", "/payments"+c.target, c.body, as("alice"), c.contentType), codeApprovalImpossible)
		})
	}
	l.e.take()
	l.denied(l.send("DELETE", "/read?id=7&id=8", as("alice")), codeApprovalImpossible)
	l.denied(l.send("DELETE", "/read?id=7&ID=8", as("alice")), codeApprovalImpossible)
	l.denied(l.send("DELETE", "/read", as("alice")), codeApprovalImpossible)
	if len(l.pay.questions())+len(l.reading.questions()) != 0 {
		t.Errorf("somebody was asked: %+v", l.pay.questions())
	}
}

func TestABodyOverHTTP2(t *testing.T) {
	l := payLabFor(t)
	h2 := &http.Transport{Protocols: new(http.Protocols)}
	h2.Protocols.SetUnencryptedHTTP2(true)
	t.Cleanup(h2.CloseIdleConnections)
	post := func(body string, named ...string) *http.Response {
		r := must(http.NewRequestWithContext(t.Context(), "POST", l.gateway.URL+"/payments", io.MultiReader(strings.NewReader(body[:5]), strings.NewReader(body[5:]))))
		r.Host = "app.test"
		r.Header = http.Header{"Cookie": {"__Host-doorward=alice"}, "Content-Type": {"application/x-www-form-urlencoded"}, headerApproval: named}
		res := must(h2.RoundTrip(r))
		t.Cleanup(func() { _ = res.Body.Close() })
		return res
	}
	if res := post(payForm); res.ProtoMajor != 2 || res.StatusCode != http.StatusUnauthorized {
		t.Fatalf("%s %s", res.Proto, res.Status)
	}
	l.untouched()
	l.pay.answer(approval.Approved)
	name := tagOf("pay") + "A1"
	if res := post(payForm, name, name); res.StatusCode != http.StatusBadRequest {
		t.Error(res.Status)
	}
	if res := post(payForm+"x", name); res.StatusCode != http.StatusForbidden {
		t.Error(res.Status)
	}
	l.untouched()
	if res, seen := post(payForm, name), l.e.take(); res.StatusCode != http.StatusOK || len(seen) != 1 || seen[0].body != payForm || seen[0].ContentLength != int64(len(payForm)) {
		t.Errorf("%s, E saw %d", res.Status, len(seen))
	}
	if res := post(payForm, name); res.StatusCode != http.StatusConflict {
		t.Error(res.Status)
	}
	if res := post(strings.Repeat("x", 1001)); res.StatusCode != http.StatusRequestEntityTooLarge {
		t.Error(res.Status)
	}
	l.untouched()
}

func TestABodyThatEndsTooEarlyIsRefused(t *testing.T) {
	l := payLabFor(t)
	l.refused(l.all("POST /payments HTTP/1.1\r\nHost: app.test\r\n" + as("alice") + "\r\n" + formType + "\r\nContent-Length: 16\r\n\r\namount")[0], http.StatusBadRequest)
}
