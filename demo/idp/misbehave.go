package idp

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
)

// sinner holds what the provider is told to do wrong.
type sinner struct {
	mu      sync.Mutex
	queue   []*Sin
	release chan struct{} // closed to let hanging requests go
}

// Misbehave queues sins. A request takes the first sin of the queue that fits it, and besides
// that one every sin that is for Always.
func (s *Server) Misbehave(sins ...Sin) {
	s.sins.mu.Lock()
	defer s.sins.mu.Unlock()
	for _, sin := range sins {
		if sin.Endpoint == "" {
			sin.Endpoint = Token
		}
		if sin.Times == 0 {
			sin.Times = 1
		}
		s.sins.queue = append(s.sins.queue, &sin)
	}
}

// Release lets every hanging request go on to its proper answer.
func (s *Server) Release() {
	s.sins.mu.Lock()
	defer s.sins.mu.Unlock()
	close(s.sins.release)
	s.sins.release = make(chan struct{})
}

// Heal ends all misbehaviour and releases hanging requests.
func (s *Server) Heal() {
	s.sins.mu.Lock()
	s.sins.queue = nil
	s.sins.mu.Unlock()
	s.Release()
}

// Pending returns how many queued sins have not been used up: a test that expects a sin to have
// happened checks that it is 0. Those for Always do not count.
func (s *Server) Pending() int {
	s.sins.mu.Lock()
	defer s.sins.mu.Unlock()
	n := 0
	for _, sin := range s.sins.queue {
		if sin.Times != Always {
			n++
		}
	}
	return n
}

// take returns the sins for a request with these parameters.
func (q *sinner) take(endpoint string, params ...url.Values) []Sin {
	q.mu.Lock()
	defer q.mu.Unlock()
	var out []Sin
	taken := false
	for _, sin := range q.queue {
		if sin.Endpoint != endpoint || !sin.fits(params) || taken && sin.Times != Always {
			continue
		}
		if sin.Skip > 0 {
			sin.Skip--
			continue
		}
		out = append(out, *sin)
		if sin.Times != Always {
			taken = true
			sin.Times--
		}
	}
	q.queue = slices.DeleteFunc(q.queue, func(s *Sin) bool { return s.Times == 0 })
	return out
}

func (s *Sin) fits(params []url.Values) bool {
	for name, want := range s.When {
		if !slices.ContainsFunc(params, func(v url.Values) bool { return slices.Contains(v[name], want) }) {
			return false
		}
	}
	return true
}

// instead does what the sins want done instead of an answer; it reports whether that was all.
func (c *call) instead() bool {
	for _, sin := range c.sins {
		if !c.wait(sin) {
			return true
		}
		switch {
		case sin.Drop:
			c.w.swallow = true
			return true
		case sin.Lose:
			c.w.swallow = true
		case sin.Redirect != "":
			c.w.Header().Set("Location", sin.Redirect)
			c.w.WriteHeader(orStatus(sin.Status, http.StatusTemporaryRedirect))
			return true
		case sin.Oversize > 0:
			c.oversize(sin.Oversize)
			return true
		case sin.Error != "" && c.endpoint != Authorize: // there it goes to the redirect URI
			c.fail(&oauthError{Status: orStatus(sin.Status, defaultStatus(sin.Error)), Code: sin.Error, Description: sin.Describe})
			return true
		case sin.Status != 0 || sin.Body != "":
			c.w.Header().Set("Content-Type", sin.bodyType())
			c.w.WriteHeader(orStatus(sin.Status, http.StatusOK))
			_, _ = io.WriteString(c.w, sin.Body)
			return true
		}
	}
	return false
}

// wait reports whether there is still someone to answer.
func (c *call) wait(sin Sin) bool {
	if sin.Delay > 0 {
		timer := time.NewTimer(sin.Delay)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-c.r.Context().Done():
			return false
		}
	}
	if sin.Hang {
		c.s.sins.mu.Lock()
		release := c.s.sins.release
		c.s.sins.mu.Unlock()
		select {
		case <-release:
		case <-c.r.Context().Done():
			return false
		}
	}
	return true
}

// oversize streams valid JSON of at least n bytes.
func (c *call) oversize(n int64) {
	c.w.Header().Set("Content-Type", "application/json")
	chunk := strings.Repeat("a", 32<<10)
	_, err := io.WriteString(c.w, `{"padding":"`)
	for ; n > 0 && err == nil; n -= int64(len(chunk)) {
		_, err = io.WriteString(c.w, chunk)
	}
	_, _ = io.WriteString(c.w, `"}`)
}

// edit changes the members of a JSON object.
func (s *Sin) edit(members map[string]any) {
	change(members, s.Set)
	for from, to := range s.Rename {
		if value, there := members[from]; there {
			delete(members, from)
			members[to] = value
		}
	}
}

func (s *Sin) bodyType() string {
	if s.Type != "" {
		return s.Type
	}
	return "application/json"
}

func orStatus(status, otherwise int) int {
	if status != 0 {
		return status
	}
	return otherwise
}

func defaultStatus(code string) int {
	switch code {
	case "invalid_client":
		return http.StatusUnauthorized
	case "server_error":
		return http.StatusInternalServerError
	case "temporarily_unavailable":
		return http.StatusServiceUnavailable
	}
	return http.StatusBadRequest
}

// about returns the sins that concern the ID token (or logout token, or signed userinfo), or the access token.
func about(sins []Sin, accessToken bool) []Sin {
	return slices.DeleteFunc(slices.Clone(sins), func(s Sin) bool { return s.AccessToken != accessToken })
}

// answer is the ResponseWriter of a call: it dates answers by the provider's clock, lets sins
// change headers, and can swallow everything.
type answer struct {
	http.ResponseWriter
	call    *call
	status  int
	swallow bool
}

func (a *answer) WriteHeader(status int) {
	if a.status != 0 {
		return
	}
	a.status = status
	skew := time.Duration(0)
	for _, sin := range a.call.sins {
		skew += sin.DateSkew
	}
	a.Header().Set("Date", a.call.s.now().Add(skew).UTC().Format(http.TimeFormat))
	for _, sin := range a.call.sins {
		for name, value := range sin.Header {
			if a.Header().Set(name, value); value == "" {
				a.Header().Del(name)
			}
		}
	}
	if !a.swallow {
		a.ResponseWriter.WriteHeader(status)
	}
}

func (a *answer) Write(b []byte) (int, error) {
	a.WriteHeader(http.StatusOK)
	if a.swallow {
		return len(b), nil
	}
	n, err := a.ResponseWriter.Write(b)
	if err != nil {
		return n, fmt.Errorf("idp: %w", err)
	}
	return n, nil
}
