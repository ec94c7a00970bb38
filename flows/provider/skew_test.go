package provider

import (
	"net/http"
	"testing"
	"time"
)

// TestR21Skew: what a Date header tells about the clocks, and when it tells nothing.
func TestR21Skew(t *testing.T) {
	now := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	at := func(d time.Duration) string { return now.Add(d).Format(http.TimeFormat) }
	for name, row := range map[string]struct {
		header http.Header
		took   time.Duration
		known  bool
		hint   string
	}{
		"the same time":             {http.Header{"Date": {at(0)}}, 0, true, ""},
		"a difference of 4 s":       {http.Header{"Date": {at(4 * time.Second)}}, 0, true, ""},
		"we are behind":             {http.Header{"Date": {at(94 * time.Second)}}, 0, true, "; your clock is 94 s behind the provider's"},
		"we are ahead":              {http.Header{"Date": {at(-94 * time.Second)}}, 0, true, "; your clock is 94 s ahead of the provider's"},
		"measured from the middle":  {http.Header{"Date": {at(92 * time.Second)}}, 4 * time.Second, true, "; your clock is 90 s behind the provider's"},
		"a slow answer":             {http.Header{"Date": {at(94 * time.Second)}}, 6 * time.Second, false, ""},
		"a cache":                   {http.Header{"Date": {at(94 * time.Second)}, "Age": {"90"}}, 0, false, ""},
		"no Date":                   {http.Header{}, 0, false, ""},
		"a Date that nobody writes": {http.Header{"Date": {"2026-11-01"}}, 0, false, ""},
	} {
		var s skew
		s.observe(row.header, now, now.Add(row.took))
		if _, known := s.known(); known != row.known || s.hint() != row.hint {
			t.Errorf("%s: known %v, %q", name, known, s.hint())
		}
	}
}
