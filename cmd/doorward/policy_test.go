package main

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/demo/idp"
)

// stream opens /events with these headers, and returns a channel that is closed at its end.
func (s *stack) stream(header, value string) <-chan struct{} {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, s.origin+"/events", http.NoBody)
	if err != nil {
		s.t.Fatal(err)
	}
	r.Header.Set(header, value)
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	if res.StatusCode != http.StatusOK {
		s.t.Fatalf("%s: the stream does not begin: %d\n%s", header, res.StatusCode, s.log)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		defer res.Body.Close()
		_, _ = io.Copy(io.Discard, res.Body)
	}()
	return ended
}

func (s *stack) endsSoon(what string, ended <-chan struct{}) {
	s.t.Helper()
	select {
	case <-ended:
	case <-time.After(5 * time.Second):
		s.t.Errorf("the stream goes on after %s\n%s", what, s.log)
	}
}

func TestP084WhatARefreshTakesAwayIsGoneForTheNextRequestAndForStreams(t *testing.T) {
	t.Parallel()
	s := newStack(t, "allow = [{ groups = [\"staff\"] }]\n[tokens]\nmax_lifetime = \"24h\"\n")
	s.toml = strings.Replace(s.toml, "credential = \"session\"", "credential = \"none\"", 1) // a personal token brings none
	s.start()
	b := s.browser()
	page := s.signedIn(b, "/oauth2/tokens", "alice", "wonderland-9")
	ways := map[string][2]string{"personal token": {"Authorization", "Bearer " + s.makesToken(page, map[string]string{"name": "laptop"})}}
	for _, name := range b.Jar.Names(s.origin) {
		if v := b.Jar.Get(s.origin, name); strings.HasPrefix(v, "dw1.") {
			ways["cookie"], ways["ticket"] = [2]string{"Cookie", name + "=" + v}, [2]string{"Authorization", "Bearer " + v}
		}
	}
	if len(ways) != 3 {
		t.Fatalf("ways are missing: %v", b.Jar.Names(s.origin))
	}
	streams := make(map[string]<-chan struct{})
	for name, way := range ways {
		if status, _, _ := s.tool("GET", "/x", way[0], way[1]); status != http.StatusOK {
			t.Fatalf("%s: %d before\n%s", name, status, s.log)
		}
		streams[name] = s.stream(way[0], way[1])
	}
	s.idp.Misbehave(idp.Claim("groups", []string{"guests"}).Always())
	if page := b.Fetch(t, "", http.MethodPost, s.origin+"/oauth2/session/refresh", nil); page.Status != http.StatusOK {
		t.Fatalf("refresh: %d %s\n%s", page.Status, page.Body, s.log)
	}
	for name, way := range ways {
		deadlineLoop(t, func() bool { // to a personal token it is written in the background
			status, _, _ := s.tool("GET", "/x", way[0], way[1])
			if name != "personal token" && status != http.StatusForbidden {
				t.Errorf("%s: %d right after the refresh", name, status)
			}
			return status == http.StatusForbidden
		})
		s.endsSoon("a refresh: "+name, streams[name])
	}
}

func TestAReloadEndsTheStreamsThatItForbidsAndNoOthers(t *testing.T) {
	s := newStack(t, "allow = [{ email_files = [\"staff.txt\"] }]\n")
	list := filepath.Join(s.dir, "staff.txt")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(list, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("# staff\nalice@example.com\nbob@example.com\n")
	s.start()
	streams := make(map[string]<-chan struct{})
	for user, password := range map[string]string{"alice": "wonderland-9", "bob": "builder-9"} {
		b := s.browser()
		if page := s.signedIn(b, "/", user, password); page.Status != http.StatusOK {
			t.Fatalf("%s: %d\n%s", user, page.Status, s.log)
		}
		for _, name := range b.Jar.Names(s.origin) {
			if v := b.Jar.Get(s.origin, name); strings.HasPrefix(v, "dw1.") {
				streams[user] = s.stream("Cookie", name+"="+v)
			}
		}
	}

	// A list that is gone or empty for a moment is not taken for one that names nobody.
	write("# staff\n")
	hangUp(t)
	deadlineLoop(t, func() bool { return len(s.lines("the configuration was not reloaded, the old one stays")) == 1 })

	write("alice@example.com\n")
	deadlineLoop(t, func() bool { return len(s.lines("configuration reloaded")) >= 1 }) // the file is watched: nobody says so
	s.endsSoon("its list lost bob", streams["bob"])
	select {
	case <-streams["alice"]:
		t.Errorf("alice's stream has ended, too\n%s", s.log)
	case <-time.After(1500 * time.Millisecond):
	}
	if len(s.lines("stream ended with the right to it: no rule matched: allowed are the e-mail addresses of a list, verified")) != 1 {
		t.Errorf("the log does not say why\n%s", s.log)
	}

	s.write(strings.Replace(s.toml, "name = \"app\"", "name = \"renamed\"", 1))
	hangUp(t)
	s.endsSoon("its route", streams["alice"])
}
