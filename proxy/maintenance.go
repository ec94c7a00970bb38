package proxy

import (
	"errors"
	"io/fs"
	"net/netip"
	"os"
	"sync/atomic"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/doorward/doorward/internal/pages"
)

// Maintenance closes a route for a while: 503 with a page, or problem+json.
type Maintenance struct {
	On         bool
	File       string         // closed as long as this file is there, too (looked for once a second at most); "" = by On alone
	Message    string         // to people, one line of up to 500 bytes; "" = the usual words
	RetryAfter time.Duration  // = 5 min
	Except     []netip.Prefix // from there the route stays open
}

const codeMaintenance = "maintenance"

const (
	maintenanceEvery   = time.Second
	maintenanceWait    = 5 * time.Minute
	maintenanceMessage = 500 // bytes; what a page shows of a detail
)

// maintenance is a Maintenance, watched. nil = the route is open.
type maintenance struct {
	on      bool
	file    string
	except  trust
	refusal *pages.Error // never changed

	begun   time.Time
	now     func() time.Time
	look    atomic.Int64 // when the file is looked for next, in ns since begun
	present atomic.Bool
}

func newMaintenance(m *Maintenance, now func() time.Time) (*maintenance, error) {
	if m == nil || !m.On && m.File == "" {
		return nil, nil
	}
	if err := oneLine(m.Message, maintenanceMessage); err != nil {
		return nil, errors.New("maintenance.message: " + err.Error())
	}
	after := m.RetryAfter
	if after == 0 {
		after = maintenanceWait
	}
	made := &maintenance{
		on: m.On, file: m.File, except: m.Except, begun: now(), now: now,
		refusal: &pages.Error{Code: codeMaintenance, Detail: m.Message, RetryAfter: after},
	}
	if !made.on {
		made.there() // or those who come at once would find it open
	}
	return made, nil
}

// oneLine refuses a text that a page would have to change.
func oneLine(s string, most int) error {
	if len(s) > most {
		return errors.New("it is too long; a page shows 500 bytes")
	}
	for _, r := range s {
		if r == utf8.RuneError || r != ' ' && !unicode.IsPrint(r) {
			return errors.New("it must be one line of printable characters")
		}
	}
	return nil
}

// closed is the refusal of a route that is closed now, or nil.
func (m *maintenance) closed(req *CanonicalRequest) error {
	if m == nil || !m.on && !m.there() {
		return nil
	}
	if req.Client.IsValid() && m.except.covers(req.Client) {
		return nil
	}
	return m.refusal
}

// there looks for the file: one request in a second does, and only it waits for a slow disk. Where it cannot be told
// whether the file is there, it is as it was.
func (m *maintenance) there() bool {
	now := int64(m.now().Sub(m.begun))
	if next := m.look.Load(); now >= next && m.look.CompareAndSwap(next, now+int64(maintenanceEvery)) {
		switch _, err := os.Stat(m.file); {
		case err == nil:
			m.present.Store(true)
		case errors.Is(err, fs.ErrNotExist):
			m.present.Store(false)
		}
	}
	return m.present.Load()
}
