package provider

import (
	"fmt"
	"net/http"
	"sync/atomic"
	"time"
)

// skew is how far the provider's clock is ahead of ours, as last measured from a Date
// header. The clocks are only compared, never corrected: the answer is to say so (R21).
type skew struct{ measured atomic.Pointer[time.Duration] }

// notable is how far clocks may differ before anybody need hear of it: the Date header
// counts whole seconds, and the network takes its time.
const notable = 5 * time.Second

func (s *skew) observe(h http.Header, sent, received time.Time) {
	date, err := http.ParseTime(h.Get("Date"))
	if err != nil || h.Get("Age") != "" || received.Sub(sent) > notable {
		return // a cache's or a slow answer's date measures nothing
	}
	d := date.Sub(sent.Add(received.Sub(sent) / 2))
	s.measured.Store(&d)
}

// known returns how far the provider is ahead of us, once that was measured.
func (s *skew) known() (time.Duration, bool) {
	d := s.measured.Load()
	if d == nil {
		return 0, false
	}
	return *d, true
}

// hint is a half sentence for messages about times; empty if the clocks agree.
func (s *skew) hint() string {
	d, ok := s.known()
	switch {
	case !ok || d.Abs() < notable:
		return ""
	case d > 0:
		return fmt.Sprintf("; your clock is %d s behind the provider's", int(d.Round(time.Second).Seconds()))
	default:
		return fmt.Sprintf("; your clock is %d s ahead of the provider's", int(-d.Round(time.Second).Seconds()))
	}
}
