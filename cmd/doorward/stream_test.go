package main

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestP131AnEventStreamEndsWhenItsPersonSignsOut(t *testing.T) {
	for _, store := range []string{"bolt", "memory", "cookie"} {
		t.Run(store, func(t *testing.T) {
			t.Parallel()
			s := newStack(t, "[sessions]\nstore = \""+store+"\"\nkeys = [\"MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=\"]\n").start()
			b := s.browser()
			s.signedIn(b, "/", "alice", "wonderland-9")
			var cookies []string
			for _, name := range b.Jar.Names(s.origin) {
				cookies = append(cookies, name+"="+b.Jar.Get(s.origin, name))
			}
			r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.origin+"/events", http.NoBody)
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Cookie", strings.Join(cookies, "; "))
			res, err := http.DefaultClient.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			ended := make(chan struct{})
			go func() {
				_, _ = io.Copy(io.Discard, res.Body)
				close(ended)
			}()
			select {
			case <-ended:
				t.Fatal("the stream ended by itself")
			case <-time.After(1500 * time.Millisecond):
			}
			b.Open(t, s.origin+"/oauth2/sign_out")
			select {
			case <-ended:
			case <-time.After(5 * time.Second):
				t.Error("the stream goes on after the sign-out")
			}
		})
	}
}
