package config

import (
	"bytes"
	"fmt"
	"regexp"
	"slices"
	"sort"
	"strings"
	"unicode"
	"unicode/utf8"
)

// source is a file, or another thing in which values are written.
type source struct {
	name     string // path of the file, "environment variable X", "--set x"
	data     []byte // of a file
	starts   []int  // of its lines
	literals []span // strings in data, quotes included
	comments []span
}

// span is a range of bytes.
type span struct{ start, end int }

// place is where something is written. line and col (in bytes) count from 1; line 0 is a source
// that has no lines.
type place struct {
	src       *source
	line, col int
	start     int // the same as an offset in src
	width     int // in bytes
}

func newFile(name string, data []byte) *source {
	s := &source{name: name, data: data, starts: []int{0}}
	for i, c := range data {
		if c == '\n' {
			s.starts = append(s.starts, i+1)
		}
	}
	s.scan()
	return s
}

// place makes the place of the bytes from start on.
func (s *source) place(start, width int) place {
	line, found := slices.BinarySearch(s.starts, start)
	if found {
		line++
	}
	return place{s, line, start - s.starts[line-1] + 1, start, width}
}

// bounds returns the offsets of a line, without its end.
func (s *source) bounds(line int) (start, end int) {
	start, end = s.starts[line-1], len(s.data)
	if line < len(s.starts) {
		end = s.starts[line] - 1
	}
	for end > start && s.data[end-1] == '\r' {
		end--
	}
	return start, end
}

func (s *source) line(n int) string {
	start, end := s.bounds(n)
	return string(s.data[start:end])
}

// scan finds strings and comments, also in a file that is no TOML: a quote that is not closed ends
// with its line, and three quotes that are not closed with the file.
func (s *source) scan() {
	for i := 0; i < len(s.data); {
		rest := s.data[i:]
		switch c := rest[0]; c {
		case '#':
			n := len(rest)
			if e := bytes.IndexByte(rest, '\n'); e >= 0 {
				n = e
			}
			s.comments = append(s.comments, span{i, i + n})
			i += n
		case '"', '\'':
			n := stringLength(rest)
			s.literals = append(s.literals, span{i, i + n})
			i += n
		default:
			i++
		}
	}
}

// stringLength returns the length of the string with which b begins.
func stringLength(b []byte) int {
	quote := b[0]
	if long := bytes.Repeat([]byte{quote}, 3); bytes.HasPrefix(b, long) {
		for i := 3; i < len(b); i++ {
			if b[i] == '\\' && quote == '"' {
				i++
				continue
			}
			if bytes.HasPrefix(b[i:], long) {
				for i += 3; i < len(b) && b[i] == quote; i++ { // """" ends with a quote inside
				}
				return i
			}
		}
		return len(b)
	}
	for i := 1; i < len(b); i++ {
		switch {
		case b[i] == '\n':
			return i
		case b[i] == '\\' && quote == '"' && i+1 < len(b) && b[i+1] != '\n':
			i++
		case b[i] == quote:
			return i + 1
		}
	}
	return len(b)
}

// hidden stands in an excerpt for what is not repeated.
const (
	hidden       = "…"
	quotedHidden = `"` + hidden + `"`
)

// maxExcerpt bounds a line that is shown, in characters.
const maxExcerpt = 120

// about says what a problem is about, and so how much of its line may be repeated. Any string of
// a line may be a secret, and so may what stands behind a mistyped key; comments hold old ones.
type about int

const (
	aValue  about = iota // the value at the place, which may be shown
	aSecret              // a value that may not
	aKey                 // a key: nothing behind it is shown
	aSyntax              // no TOML: strings are not shown, and nothing behind a key that may be a secret's
)

// excerpt shows the line of a place with the place underlined.
func (at place) excerpt(what about) string {
	s := at.src
	start, end := s.bounds(at.line)
	target := span{min(at.start, end), min(at.start+max(at.width, 1), end)}
	if what == aSyntax && sensitive(string(s.data[start:end])) {
		if i := bytes.IndexByte(s.data[start:end], '='); i >= 0 && target.start > start+i {
			target, what = span{start, start + i}, aKey
		}
	}
	line := excerpt{target: target, caret: -1}
	for i := start; i < end; {
		if _, ok := covering(s.comments, i); ok {
			break
		}
		if what == aKey && i >= target.end && s.data[i] == '=' {
			line.add("= "+hidden, i, i+1)
			break
		}
		if l, ok := covering(s.literals, i); ok {
			n, text := min(l.end, end), quotedHidden
			if i == target.start && l.start == i && n == l.end && (what == aValue || what == aKey) {
				text = withoutPasswords(string(s.data[i:n]))
			}
			line.add(text, i, n)
			i = n
			continue
		}
		_, n := utf8.DecodeRune(s.data[i:end])
		line.add(string(s.data[i:i+n]), i, i+n)
		i += n
	}
	return line.frame(at.line)
}

// inURL is the user and password of a URL.
var inURL = regexp.MustCompile(`//[^/\s"']*@`)

// withoutPasswords hides them in the URLs that a text holds.
func withoutPasswords(s string) string { return inURL.ReplaceAllLiteralString(s, "//"+hidden+"@") }

// sensitive tells whether a line looks as if a secret stood in it.
func sensitive(line string) bool {
	line = strings.ToLower(line)
	for _, word := range []string{"secret", "key", "pass", "token", "assertion", "credential"} {
		if strings.Contains(line, word) {
			return true
		}
	}
	return false
}

// excerpt is a line that is written piece by piece.
type excerpt struct {
	target     span
	text       []rune
	caret, end int // where the target is, in text; caret < 0 until it is met
}

// add writes text, which stands for the bytes from start to end of the source.
func (e *excerpt) add(text string, start, end int) {
	hit := start < e.target.end && end > e.target.start
	if hit && e.caret < 0 {
		e.caret = len(e.text)
	}
	e.text = append(e.text, []rune(strings.Map(printed, text))...)
	if hit {
		e.end = len(e.text)
	}
}

// frame is the line with its number, and carets below it.
func (e *excerpt) frame(number int) string {
	text, caret, end := []rune(strings.TrimRight(string(e.text), " ")), e.caret, e.end
	if caret < 0 || caret > len(text) {
		caret, end = len(text), len(text)
	}
	if len(text) > maxExcerpt {
		from := max(min(caret-maxExcerpt/2, len(text)-maxExcerpt), 0)
		text, caret, end = text[from:from+maxExcerpt], caret-from, end-from
	}
	width := max(min(end, len(text))-caret, 1)
	return fmt.Sprintf("%5d | %s\n      | %s%s", number, string(text), strings.Repeat(" ", caret), strings.Repeat("^", width))
}

// covering returns the span that holds i. Spans are in order and do not overlap.
func covering(spans []span, i int) (span, bool) {
	n := sort.Search(len(spans), func(n int) bool { return spans[n].end > i })
	if n < len(spans) && spans[n].start <= i {
		return spans[n], true
	}
	return span{}, false
}

// printed keeps what a terminal would act upon out of an excerpt, and tabs one column wide.
func printed(r rune) rune {
	switch {
	case r == '\t':
		return ' '
	case !unicode.IsPrint(r):
		return '�'
	}
	return r
}
