package telemetry

import (
	"net/http"
	"strings"
)

// Headers of W3C Trace Context, as net/http writes them.
const (
	headerTraceparent = "Traceparent"
	headerTracestate  = "Tracestate"
)

const maxTracestate = 512 // bytes; W3C Trace Context §3.3.1.5 asks for no more

// passTrace lets the trace of a client through to the upstream if it is one, for where we trace nothing
// ourselves. It returns its id: 32 digits, so nothing that could forge a log line.
func passTrace(h http.Header) (id string) {
	parent := h[headerTraceparent]
	if parent == nil {
		if h[headerTracestate] != nil { // means nothing alone
			delete(h, headerTracestate)
		}
		return ""
	}
	if len(parent) != 1 || !wellFormed(parent[0]) {
		delete(h, headerTraceparent)
		delete(h, headerTracestate)
		return ""
	}
	if state := h[headerTracestate]; state != nil && !goodState(state) {
		delete(h, headerTracestate)
	}
	return parent[0][3:35]
}

// wellFormed is W3C Trace Context §3.2.2: version, trace id, parent id, flags, in small hex digits. Of
// a version that is not known yet more may follow.
func wellFormed(s string) bool {
	if len(s) < 55 || s[2] != '-' || s[35] != '-' || s[52] != '-' || len(s) > 128 {
		return false
	}
	if len(s) > 55 && (s[:2] == "00" || s[55] != '-' || !visibleText(s[55:])) {
		return false
	}
	return hexDigits(s[:2]) && s[:2] != "ff" &&
		hexDigits(s[3:35]) && s[3:35] != strings.Repeat("0", 32) &&
		hexDigits(s[36:52]) && s[36:52] != strings.Repeat("0", 16) &&
		hexDigits(s[53:55])
}

func hexDigits(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

// goodState bounds what a client may send along: printable, and not long.
func goodState(lines []string) bool {
	size := 0
	for _, l := range lines {
		size += len(l)
		if !visibleText(l) {
			return false
		}
	}
	return size <= maxTracestate
}

func visibleText(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}
