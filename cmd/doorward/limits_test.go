package main

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestLimitsAndMaintenanceOfARouteHoldInTheWholeProgramAndSurviveAReload(t *testing.T) {
	closed := filepath.Join(t.TempDir(), "closed")
	s := newStack(t, "limits = { per_user = \"4/1h\", max_body = \"1KiB\" }\nmaintenance = { file = \""+closed+"\", message = \"Back at noon.\" }\nresponse_headers = { set = { X-Frame-Options = \"DENY\" } }\ncompress = [\"gzip\"]\n").start()
	b := s.browser()
	s.signedIn(b, "/", "alice", "wonderland-9")
	page := b.Open(t, s.origin+"/x")
	for range 4 {
		page = b.Open(t, s.origin+"/x")
	}
	if page.Status != http.StatusTooManyRequests || page.Header.Get("Retry-After") == "" || page.Header.Get("X-Frame-Options") != "DENY" {
		t.Errorf("after more than four: %d %v", page.Status, page.Header)
	}

	if err := os.WriteFile(closed, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	deadlineLoop(t, func() bool { page = b.Open(t, s.origin+"/x"); return page.Status == http.StatusServiceUnavailable })
	if !strings.Contains(page.Body, "Back at noon.") || page.Header.Get("Retry-After") != "300" {
		t.Errorf("%v %s", page.Header, page.Body)
	}

	s.write(strings.Replace(s.toml, "maintenance = ", "# maintenance = ", 1))
	hangUp(t)
	deadlineLoop(t, func() bool { return len(s.lines("configuration reloaded")) == 1 })
	if page = b.Open(t, s.origin+"/x"); page.Status != http.StatusOK || page.Header.Get("X-Frame-Options") != "DENY" {
		t.Errorf("after a reload that opens the route and counts anew: %d\n%s", page.Status, page.Trail())
	}
}
