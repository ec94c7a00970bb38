package idp

import (
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"
)

// Request is one request as it was received, secrets included: tests need to see them.
type Request struct {
	Endpoint string // one of the Endpoint constants, or "" for a path that does not exist
	Method   string
	URL      url.URL
	Query    url.Values // of the URL
	Form     url.Values // of the body
	Header   http.Header
	Time     time.Time
	Body     string // of a Notification, which is JSON

	ClientID   string         // as claimed by whatever the request carried
	ClientAuth string         // method that was used: none, client_secret_basic …; joined by "+" if there were several; "" where it makes no sense
	Status     int            // that was answered; 0 while it is being answered, or if the connection was dropped
	Took       time.Duration  // until it was answered; 0 while it is being answered
	Answer     map[string]any // with Config.KeepAnswers: the members of the JSON, or the parameters of the authorization response, secrets included
	Error      string         // OAuth error code that was answered
	Sins       []string       // that were applied to it
}

// maxRecords bounds the memory of a demo that runs for days; older requests are forgotten, the counts are not.
const maxRecords = 10_000

type records struct {
	mu     sync.Mutex
	list   []*Request
	counts map[string]int
}

func (r *records) add(q *Request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.list) >= maxRecords {
		r.list = slices.Delete(r.list, 0, maxRecords/10)
	}
	r.list = append(r.list, q)
	if r.counts == nil {
		r.counts = map[string]int{}
	}
	r.counts[q.Endpoint]++
}

// note changes a record under the lock, as Requests may be reading.
func (r *records) note(f func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f()
}

// Requests returns copies of all requests so far, oldest first; with endpoints only theirs.
func (s *Server) Requests(endpoints ...string) []Request {
	s.records.mu.Lock()
	defer s.records.mu.Unlock()
	var out []Request
	for _, q := range s.records.list {
		if len(endpoints) == 0 || slices.Contains(endpoints, q.Endpoint) {
			out = append(out, *q)
		}
	}
	return out
}

// Last returns the newest request to an endpoint; the zero Request if there is none.
func (s *Server) Last(endpoint string) Request {
	if all := s.Requests(endpoint); len(all) > 0 {
		return all[len(all)-1]
	}
	return Request{}
}

// Count returns how many requests an endpoint got since the last ResetRequests.
func (s *Server) Count(endpoint string) int {
	s.records.mu.Lock()
	defer s.records.mu.Unlock()
	return s.records.counts[endpoint]
}

// ResetRequests forgets all requests and counts.
func (s *Server) ResetRequests() {
	s.records.mu.Lock()
	defer s.records.mu.Unlock()
	s.records.list, s.records.counts = nil, nil
}
