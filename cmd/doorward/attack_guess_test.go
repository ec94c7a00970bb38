package main

import (
	"encoding/hex"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/doorward/doorward/demo/idp"
	"github.com/doorward/doorward/flows"
)

// P151: whoever guesses a secret learns nothing of how near a guess was, and wakes neither the provider nor the application.
// What is compared is a digest, by looking it up (keys, tickets) or by a MAC over all of it (cookies), so that no time
// depends on how much of a guess is right.

// told is what an answer says, but for what is of one answer alone.
func (a answer) told() string {
	h := a.Header.Clone()
	for _, name := range []string{"Date", "Doorward-Reference", "Content-Length"} {
		h.Del(name)
	}
	body := strings.ReplaceAll(a.body, a.Header.Get("Doorward-Reference"), "")
	return fmt.Sprint(a.StatusCode, h, body)
}

// nearAndFar are guesses at a secret: by one letter wrong, of the same shape, and of none.
func nearAndFar(secret string) []string {
	n := len(secret)
	return []string{flipped(secret, n-2), flipped(secret, n/2), flipped(secret, 4), secret[:4] + strings.Repeat("A", n-4)}
}

func TestP151GuessesAtTokensOfPeopleAreAllAnsweredAlike(t *testing.T) {
	s, _ := forTokens(t)
	b := s.browser()
	token := s.makesToken(s.signedIn(b, "/oauth2/tokens", "alice", "wonderland-9"), map[string]string{"name": "laptop"})
	revoked := s.makesToken(b.Open(t, s.origin+"/oauth2/tokens"), map[string]string{"name": "old"})
	b.Open(t, s.origin+"/oauth2/tokens").Press(t, "Revoke old")
	s.bothVersions(t, func(w wire) {
		asked, reached := s.idp.Count(idp.Token), len(s.app.requests())
		for kind, authorization := range map[string]func(string) string{"bearer": func(g string) string { return "Bearer " + g }, "basic": func(g string) string { return basic("x", g) }} {
			first := ""
			for i, guess := range append(append(nearAndFar(token), nearAndFar("dwp."+strings.Repeat("x", 48))...), revoked) {
				a := w.ask(http.MethodGet, "/git/x", "Authorization: "+authorization(guess))
				if first == "" {
					first = a.told()
				}
				if a.StatusCode != http.StatusUnauthorized || a.told() != first {
					w.t.Errorf("%s: guess %d is told apart:\n%s\n%s", kind, i, a.told(), first)
				}
			}
		}
		if s.idp.Count(idp.Token) != asked || len(s.app.requests()) != reached {
			w.t.Error("guesses reached the provider or the application")
		}
		for range 100 { // 288 bits are not found by guessing: nobody is shut out
			w.ask(http.MethodGet, "/git/x", "Authorization: Bearer "+nearAndFar(token)[0])
		}
		if a := w.ask(http.MethodGet, "/git/x", "Authorization: Bearer "+token); a.StatusCode != http.StatusOK {
			w.t.Errorf("the right one: %s", a.Status)
		}
	})
	if strings.Contains(s.log.String(), token[4:]) || strings.Contains(s.log.String(), nearAndFar(token)[0]) {
		t.Error("the log holds the token, or nearly")
	}
}

func TestP151GuessesAtTicketsAndSessionsAreAllAnsweredAlike(t *testing.T) {
	s := newStack(t, "").start()
	s.bothVersions(t, func(w wire) {
		b := w.person()
		s.signedIn(b, "/", "alice", "wonderland-9")
		session := b.Jar.Get(s.origin, "doorward")
		guesses := append(nearAndFar(session), nearAndFar("dw1."+strings.Repeat("x", 43))...)
		for kind, line := range map[string]string{"ticket": "Authorization: Bearer ", "cookie": "Cookie: doorward="} {
			first := ""
			for i, guess := range guesses {
				a := w.ask(http.MethodGet, "/x", line+guess)
				if first == "" {
					first = a.told()
				}
				if a.StatusCode != http.StatusUnauthorized || a.told() != first {
					w.t.Errorf("%s: guess %d is told apart:\n%s\n%s", kind, i, a.told(), first)
				}
			}
		}
		if !w.isAlice("Cookie: doorward=" + session) {
			w.t.Error("the right one is nobody's")
		}
	})
}

func TestP151GuessesAtAPIKeysAreAlikeAndFew(t *testing.T) {
	s := newStack(t, "")
	key, hash := flows.NewKey()
	s.toml += fmt.Sprintf("[key.ci]\nhash = \"sha256:%s\"\n[[route]]\nname = \"api\"\nhost = %q\npath = \"/api\"\nupstream = [%q]\ncredential = \"none\"\naccept = [\"key\"]\n", hex.EncodeToString(hash[:]), s.origin, s.app.URL)
	s.start()
	s.bothVersions(t, func(w wire) {
		var told []string
		for i := range 200 {
			guess := nearAndFar(key.Reveal())[i%4]
			// Neither another address in a header nor another spelling of the header is another budget.
			a := w.ask(http.MethodGet, "/api/x", "X-Api-Key: "+guess, fmt.Sprint("X-Forwarded-For: 203.0.113.", i), fmt.Sprint("X-Real-Ip: 203.0.113.", i))
			if a.StatusCode != http.StatusUnauthorized && a.StatusCode != http.StatusTooManyRequests {
				w.t.Fatalf("guess %d: %s", i, a.Status)
			}
			a.Header.Del("Retry-After")
			if a.StatusCode == http.StatusUnauthorized {
				told = append(told, a.told())
			}
		}
		if n := len(told); n > 30 || n > 0 && len(slices.Compact(told)) != 1 {
			w.t.Errorf("%d guesses are answered, and told apart: %q", n, slices.Compact(told))
		}
		if a := w.ask(http.MethodGet, "/api/x", "X-Api-Key: "+key.Reveal()); a.StatusCode != http.StatusOK { // from the same address
			w.t.Errorf("the right one: %s %s", a.Status, a.body)
		}
	})
	for _, r := range s.app.requests() {
		if r.Header.Get("X-Api-Key") != "" {
			t.Error("the application got the key")
		}
	}
}

// The outbound side: nobody finds out by asking what is configured or whose token would be good.
func TestP151GuessesAtTheEgressAreAllAnsweredAlike(t *testing.T) {
	s, egress := machines(t)
	s.start()
	real := s.idp.MustMint(idp.Mint{Client: "doorward", User: "alice", Audience: []string{"doorward"}})
	before := len(s.app.requests())
	parts := strings.Split(real, ".")
	for kind, guesses := range map[string][]string{
		"a token": {parts[0] + "." + parts[1] + "." + flipped(parts[2], 5), parts[0] + "." + parts[1] + "." + flipped(parts[2], 40), parts[0] + "." + parts[1] + "." + strings.Repeat("A", len(parts[2]))},
	} {
		first := ""
		for i, guess := range guesses {
			status, header, body := ask(t, http.MethodGet, egress+"/orders/1", guess, nil)
			told := answer{&http.Response{StatusCode: status, Header: header}, body}.told()
			if first == "" {
				first = told
			}
			if status != http.StatusUnauthorized || told != first {
				t.Errorf("%s: guess %d is told apart:\n%s\n%s", kind, i, told, first)
			}
		}
	}
	first := ""
	for _, path := range []string{"/nothing", "/dat", "/data2", "/order", "/admin"} {
		status, header, body := ask(t, http.MethodGet, egress+path, "", nil)
		told := strings.ReplaceAll(answer{&http.Response{StatusCode: status, Header: header}, body}.told(), path, "")
		if first == "" {
			first = told
		}
		if status/100 != 4 || told != first {
			t.Errorf("%s is told apart:\n%s\n%s", path, told, first)
		}
	}
	if len(s.app.requests()) != before {
		t.Error("a guess reached an upstream")
	}
}
