package sequence

import (
	"slices"
	"strings"
	"time"
)

// Party sends and receives messages.
type Party string

// The parties of the demo. A TV and a till are browsers; a terminal and a desktop application are programs.
const (
	Browser  Party = "Browser"
	Phone    Party = "Phone"
	Program  Party = "Program"
	Doorward Party = "Doorward"
	Provider Party = "Provider"
	App      Party = "App"
	API      Party = "API" // that services call
)

// Message is one request and its answer. What of it was secret is a fingerprint by now.
type Message struct {
	From, To Party
	Method   string
	Path     string
	Request  []Param
	Status   int     // 0: the connection was broken off
	Location string  // where a redirect leads, without parameters: those are in Answer
	Answer   []Param // of the body, of the Location, and cookies that were set

	At    time.Time     // when the request came
	Took  time.Duration // until it was answered
	Count int           // how often this very exchange was seen, 1 for once
	Last  time.Time     // when it came last
}

// Where a parameter stood.
const (
	InQuery    = "query"
	InForm     = "form"
	InJSON     = "JSON"
	InHeader   = "header"
	InCookie   = "cookie"
	InLocation = "location"
	InFragment = "fragment"
	InPage     = "page" // a hidden field of a form that a page holds
)

// Param is one parameter of a request or an answer.
type Param struct {
	In, Name string
	Value    string // as it was; of a secret a fingerprint
	Kind     string // of a secret, such as "access token"; "" = nothing secret, shown as it was
}

// Param returns the value that a parameter of the request, or else of the answer, is shown with.
func (m *Message) Param(name string) string {
	for _, p := range slices.Concat(m.Request, m.Answer) {
		if p.Name == name {
			return p.Value
		}
	}
	return ""
}

// signature is alike for exchanges that differ in nothing but their time.
func (m *Message) signature() string {
	var b strings.Builder
	add := func(s string) { b.WriteString(s); b.WriteByte(0) }
	for _, s := range []string{string(m.From), string(m.To), m.Method, m.Path, m.Location, string(rune(m.Status))} {
		add(s)
	}
	for _, p := range slices.Concat(m.Request, m.Answer) {
		add(p.In + " " + p.Name)
		if p.Name != "expires_in" { // counts down from poll to poll
			add(p.Value)
		}
	}
	return b.String()
}
