package proxy

import (
	"net/http"
	"strings"
	"testing"

	"github.com/doorward/doorward/internal/approval"
	"github.com/doorward/doorward/internal/identity"
)

// What the application knows its own forms by is what the form was sent with, and not what our page was.
func TestAHeldRequestSaysWhereItCameFromAndNotThatOurPageSentIt(t *testing.T) {
	l := payLabFor(t)
	neighbour := []string{as("alice"), formType, "Origin: https://open.test", "Accept: text/html", "Accept-Language: de", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document", "Sec-Fetch-Site: same-site"}
	page := l.say("POST", "/payments", payForm, neighbour...).location()
	l.pay.answer(approval.Approved)
	got := l.passed(l.say("POST", page, "", append(browserPost("https://app.test"+page), "Sec-Fetch-User: ?1", "X-Requested-With: x")...))
	got.one(t, "Sec-Fetch-Site", "same-site")
	got.one(t, "Origin", "https://open.test")
	got.one(t, "Accept-Language", "de")
	got.lacks(t, "Referer")
	got.lacks(t, "Sec-Fetch-User")
	got.lacks(t, "X-Requested-With")
}

func TestAHeldRequestKeepsItsHeadersByteForByte(t *testing.T) {
	l := payLabFor(t)
	page := l.say("POST", "/payments", payForm, append(browserPost("https://app.test/caf\xe9"), "Content-Language: \xe9")...).location()
	l.pay.answer(approval.Approved)
	got := l.passed(l.say("POST", page, "", browserPost("https://app.test"+page)...))
	got.one(t, "Content-Language", "\xe9")
	got.one(t, "Referer", "https://app.test/caf\xe9")
}

func TestACookieOfTheAnswerToAHeldRequestHasThePathOfItsOwnAddress(t *testing.T) {
	l := payLabFor(t)
	l.e.answers(func(w http.ResponseWriter, _ *http.Request) {
		for _, c := range []string{"a=1", "b=1; path=/x; Secure", "c=1; Path=relative", "d=path=/; HttpOnly", "e=1; Path=/x; Path="} {
			w.Header().Add("Set-Cookie", c)
		}
	})
	page := l.say("POST", "/payments/new/x?y=/z", payForm, browserPost("https://app.test/form")...).location()
	l.pay.answer(approval.Approved)
	sent := l.say("POST", page, "", browserPost("https://app.test"+page)...)
	want := []string{"a=1; Path=/payments/new", "b=1; path=/x; Secure", "c=1; Path=relative; Path=/payments/new", "d=path=/; HttpOnly; Path=/payments/new", "e=1; Path=/x; Path=; Path=/payments/new"}
	if got := sent.Header["Set-Cookie"]; strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("%q", got)
	}
	if got := withPath("a=1", "/x"); got != "a=1; Path=/" {
		t.Error(got)
	}
}

func TestS18BodiesThatWaitInMemoryAreBoundedForAllAndForEachPerson(t *testing.T) {
	r := newRoom(100)
	person := func(name string) *place {
		return r.place(&identity.Identity{Issuer: "https://idp.test", Subject: name})
	}
	a, b := person("alice"), person("alice")
	if a.take(roomSize/4) != nil || b.take(1) == nil {
		t.Error("one person has more than a quarter")
	}
	a.leave()
	if b.take(1) != nil {
		t.Error("what was given back is not there")
	}
	b.leave()
	for _, name := range []string{"a", "b", "c", "d"} {
		if person(name).take(roomSize/4) != nil {
			t.Errorf("%s has none", name)
		}
	}
	if person("e").take(1) == nil {
		t.Error("there is no end")
	}
	if newRoom(roomSize).place(nil).take(roomSize) != nil {
		t.Error("not even one fits")
	}
}

func TestARequestThatFindsNoRoomIsRefusedAndOthersGiveTheirsBack(t *testing.T) {
	l := payLabFor(t)
	var r *room
	for _, a := range l.g.approvals.routes {
		r = a.room
	}
	if r.size != roomSize || len(l.g.approvals.routes) != 4 {
		t.Fatalf("%+v", r)
	}
	r.size = 4 * int64(len(payForm))
	l.refused(l.say("POST", "/payments", payForm+"x", as("alice"), formType), http.StatusTooManyRequests)
	for range 5 {
		name := l.begun()
		l.still(name)
	}
	l.refused(l.say("POST", "/payments", "amount", as("alice"), formType), http.StatusBadRequest)
	if r.taken != 0 || len(r.by) != 0 {
		t.Errorf("%d bytes are never given back", r.taken)
	}
}
