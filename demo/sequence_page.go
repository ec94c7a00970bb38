package demo

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/doorward/doorward/demo/sequence"
)

// sequencePage is the data of a page that shows what an example exchanged.
type sequencePage struct {
	Config
	Flow  flow
	Etag  string
	Lanes []string // names of the parties, from left to right
	Runs  []run    // newest first
	Start []row    // what was exchanged before anybody came
}

// run is one time that the example was played.
type run struct {
	Began string
	Rows  []row
}

// row is one exchange.
type row struct {
	ID              string
	From, To        string
	Left, Right     int  // lanes, from 1
	Back            bool // the message goes to the left
	Method, Path    string
	Result          string
	Brief, Reply    []sequence.Param // what tells this message from others
	Failed          bool
	After, Took     string
	Again           string // how often it came again, and until when
	Asked, Answered []sequence.Param
}

// lanes are the parties from left to right.
var lanes = []sequence.Party{sequence.Program, sequence.Browser, sequence.Doorward, sequence.App, sequence.API, sequence.Provider, sequence.Phone}

// sequence is the page of one example. With the query part=rows it is the rows alone, for the page's script.
func (s *site) sequence(w http.ResponseWriter, r *http.Request) {
	i := slices.IndexFunc(flows(s.config), func(f flow) bool { return f.ID == r.PathValue("example") })
	if i < 0 || s.config.Log == nil {
		s.page(w, http.StatusNotFound, "nothing.html", s.config)
		return
	}
	etag := strconv.Quote(s.config.Log.Version(r.PathValue("example")))
	part := r.URL.Query().Get("part") == "rows"
	if part && r.Header.Get("If-None-Match") == etag {
		w.Header().Set("Cache-Control", "no-store")
		w.WriteHeader(http.StatusNotModified)
		return
	}
	page := s.sequencePage(flows(s.config)[i])
	page.Etag = etag
	name := "sequence.html"
	if part {
		w.Header().Set("Etag", etag)
		name = "rows"
	}
	s.page(w, http.StatusOK, name, page)
}

func (s *site) sequencePage(f flow) sequencePage {
	f.home = map[sequence.Party]string{sequence.Doorward: s.config.Origin, sequence.Provider: s.config.Provider}
	p := sequencePage{Config: s.config, Flow: f}
	messages, start := s.config.Log.Messages(f.ID), s.config.Log.Messages("")
	there := parties(append(start, messages...))
	for _, party := range there {
		p.Lanes = append(p.Lanes, f.party(party))
	}
	p.Start = f.rows("start", start, there)
	for len(messages) > 0 {
		n := 1
		for n < len(messages) && !f.begins(messages[n-1:n+1]) {
			n++
		}
		id := strconv.Itoa(len(p.Runs))
		p.Runs = append(p.Runs, run{messages[0].At.UTC().Format(time.TimeOnly) + " UTC", f.rows(id, messages[:n], there)})
		messages = messages[n:]
	}
	slices.Reverse(p.Runs)
	return p
}

func parties(messages []sequence.Message) (there []sequence.Party) {
	for _, party := range lanes {
		if slices.ContainsFunc(messages, func(m sequence.Message) bool { return m.From == party || m.To == party }) {
			there = append(there, party)
		}
	}
	return there
}

// pauseBetweenRuns tells one time that an example is played from the next.
const pauseBetweenRuns = 2 * time.Second

// begins reports whether the second of two messages begins the example anew: somebody who is not signed in comes to the
// application. What was exchanged before such a person came belongs together.
func (f flow) begins(two []sequence.Message) bool {
	m := two[1]
	return m.To == sequence.Doorward && m.Method == http.MethodGet && strings.HasPrefix(m.Path, "/"+f.ID) &&
		(m.Status == http.StatusFound || m.Status == http.StatusSeeOther) && m.At.Sub(two[0].Last) > pauseBetweenRuns
}

func (f flow) party(p sequence.Party) string {
	return cmp.Or(f.Parties[p], map[sequence.Party]string{sequence.Browser: "Your browser", sequence.Phone: "Your phone", sequence.Provider: "Identity provider"}[p], string(p))
}

func (f flow) rows(run string, messages []sequence.Message, there []sequence.Party) (rows []row) {
	for i, m := range messages {
		from, to := slices.Index(there, m.From)+1, slices.Index(there, m.To)+1
		r := row{
			ID: run + "-" + strconv.Itoa(i), From: f.party(m.From), To: f.party(m.To), Left: min(from, to), Right: max(from, to), Back: to < from,
			Method: m.Method, Path: m.Path, Result: f.result(m), Brief: brief(m.Request), Reply: brief(m.Answer), Failed: m.Status == 0 || m.Status >= 400,
			After: "+" + seconds(m.At.Sub(messages[0].At)), Took: milliseconds(m.Took), Asked: m.Request, Answered: m.Answer,
		}
		if m.Count > 1 {
			r.Again = fmt.Sprintf("%d times, last\u00a0at\u00a0+%s", m.Count, seconds(m.Last.Sub(messages[0].At)))
		}
		rows = append(rows, r)
	}
	return rows
}

// telling are the parameters by which one sees at once what a message is about, in this order, and secrets that
// are worth following.
var (
	telling = []string{
		"response_type", "response_mode", "grant_type", "login_hint", "hint", "username", "decision", "user_code", "binding_message", "approval.binding_message", "amount",
		"audience", "how", "verdict", "aud", "act.sub",
	}
	followed = []string{
		"authorization code", "device code", "CIBA request ID", "ID token", "access token", "refresh token", "token", "ticket", "password", "notification token", "approval",
	}
)

func brief(params []sequence.Param) (some []sequence.Param) {
	for _, name := range telling {
		for _, p := range params {
			if p.Name == name && p.Kind == "" && p.Value != "" && p.In != sequence.InPage {
				p.Value = p.Value[strings.LastIndex(p.Value, ":")+1:] // of urn:ietf:params:oauth:grant-type:device_code
				some = append(some, p)
				break
			}
		}
	}
	for _, kind := range followed {
		for _, p := range params {
			if p.Kind == kind && (p.In != sequence.InPage || kind != "password") { // some pages of the provider offer people to choose from
				some = append(some, p)
				break
			}
		}
	}
	return some
}

// result is what was answered, in a few words.
func (f flow) result(m sequence.Message) string {
	if m.Status == 0 {
		return "broken off"
	}
	words := strconv.Itoa(m.Status)
	if m.Location != "" {
		words += " to " + strings.TrimPrefix(m.Location, f.home[m.To])
	}
	for _, p := range m.Answer {
		if p.Kind == "" && (p.Name == "error" || p.Name == "status" && p.In == sequence.InJSON && p.Value != strconv.Itoa(m.Status) || p.Name == "code") {
			words += " " + p.Value
		}
	}
	return words
}

// seconds is how long after the first message. A number and its unit stay on one line.
func seconds(d time.Duration) string {
	switch {
	case d < 10*time.Second:
		return fmt.Sprintf("%.3f\u00a0s", d.Seconds())
	case d < time.Minute:
		return fmt.Sprintf("%.1f\u00a0s", d.Seconds())
	}
	return fmt.Sprintf("%d\u00a0min\u00a0%d\u00a0s", int(d.Minutes()), int(d.Seconds())%60)
}

// Span is over how many lanes the message goes.
func (r row) Span() int { return r.Right - r.Left + 1 }

func milliseconds(d time.Duration) string {
	return strconv.FormatFloat(float64(d.Microseconds())/1000, 'f', 1, 64) + " ms"
}
