package sequence

import (
	"crypto/rand"
	"slices"
	"strconv"
	"sync"
	"time"
)

// Limits of what is remembered.
const (
	maxMessages = 200  // of one example
	maxKnown    = 4096 // values by which a message finds its example
	nearby      = 8    // messages back in which a repetition is looked for
)

// Config is what a Log needs to know of what it records.
type Config struct {
	// Example names the example that a message belongs to, by its path and parameters; "" if they don't tell. Then
	// the values decide that it shares with earlier messages, and at last which example was active last.
	Example func(*Message) string
	Cookies []string // prefixes of the names of cookies that are the demo's own; others of this host are nobody's business
	Show    []string // names of further parameters that are nothing secret
	Now     func() time.Time
}

// Log holds the messages of each example. It is safe for concurrent use.
type Log struct {
	config Config
	redact *redactor

	mu       sync.Mutex
	examples map[string]*record
	last     string           // example that was active last
	known    map[string]owner // by fingerprint
	order    []string         // of known, oldest first
}

// owner is whose a value is.
type owner struct {
	example string
	from    Party // who used it
}

type record struct {
	messages []*Message
	version  int
}

// New returns an empty log.
func New(c Config) *Log {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Example == nil {
		c.Example = func(*Message) string { return "" }
	}
	return &Log{config: c, redact: newRedactor(c.Show, c.Cookies), examples: map[string]*record{}, known: map[string]owner{}}
}

// Messages returns copies of an example's messages by the time at which they began.
func (l *Log) Messages(example string) []Message {
	l.mu.Lock()
	defer l.mu.Unlock()
	r := l.examples[example]
	if r == nil {
		return nil
	}
	all := make([]Message, len(r.messages))
	for i, m := range r.messages {
		all[i] = *m
	}
	return all
}

// Version changes with every message of an example.
func (l *Log) Version(example string) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if r := l.examples[example]; r != nil {
		return l.redact.run + strconv.Itoa(r.version)
	}
	return l.redact.run
}

// add puts a message to its example.
func (l *Log) add(m *Message) {
	l.mu.Lock()
	defer l.mu.Unlock()
	example := l.exampleOf(m)
	l.learn(m, example)
	r := l.examples[example]
	if r == nil {
		r = &record{}
		l.examples[example] = r
	}
	r.version++
	r.put(m)
}

// put counts a repetition, and else files the message by the time at which it began: what it led to
// has ended before it.
func (r *record) put(m *Message) {
	m.Count, m.Last = 1, m.At
	signature := m.signature()
	for i := len(r.messages) - 1; i >= 0 && i >= len(r.messages)-nearby; i-- {
		if old := r.messages[i]; old.signature() == signature {
			old.Count, old.Took, old.Answer = old.Count+1, m.Took, m.Answer
			if m.At.After(old.Last) {
				old.Last = m.At
			}
			return
		}
	}
	at := len(r.messages)
	for at > 0 && r.messages[at-1].At.After(m.At) {
		at--
	}
	r.messages = slices.Insert(r.messages, at, m)
	if len(r.messages) > maxMessages {
		r.messages = slices.Delete(r.messages, 0, maxMessages/10)
	}
}

// exampleOf also finds out who sent a message if only its values tell.
func (l *Log) exampleOf(m *Message) string {
	example := l.config.Example(m)
	for _, p := range m.Request {
		if who, ok := l.known[p.Value]; ok && p.identifies() {
			if m.From == "" {
				m.From = who.from
			}
			if example == "" {
				example = who.example
			}
		}
	}
	if m.From == "" {
		m.From = Browser
	}
	if example == "" {
		return l.last
	}
	l.last = example
	return example
}

// learn remembers whose the values of a message are.
func (l *Log) learn(m *Message, example string) {
	for _, p := range slices.Concat(m.Request, m.Answer) {
		if !p.identifies() {
			continue
		}
		if _, ok := l.known[p.Value]; !ok {
			l.order = append(l.order, p.Value)
		}
		l.known[p.Value] = owner{example, m.From}
	}
	if over := len(l.order) - maxKnown; over > 0 {
		for _, value := range l.order[:over] {
			delete(l.known, value)
		}
		l.order = slices.Delete(l.order, 0, over)
	}
}

// identifies reports whether a value belongs to one sign-in. Passwords are used again and again, and so
// are the cookies by which the provider knows a browser.
func (p Param) identifies() bool {
	switch p.Kind {
	case "", kindOther, kindPassword, kindClientSecret, kindCookie:
		return false
	}
	return p.Value != emptyValue
}

func newRun() string { return rand.Text()[:8] + "-" }
