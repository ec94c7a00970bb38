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

// W3C Trace Context §3.3.1: nobody must carry more of a tracestate.
const (
	maxTracestate = 512 // bytes
	maxMembers    = 32
)

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
	if state := h[headerTracestate]; state != nil && joinState(state) == "" {
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

// joinState reads the lines of a tracestate as one list (W3C Trace Context §3.3.1.5); "" if they are no such list, or
// longer than anybody must carry. Half a list would say of systems that they took no part.
func joinState(lines []string) string {
	state := strings.Join(lines, ",")
	if len(state) > maxTracestate {
		return ""
	}
	keys := make(map[string]bool)
	for member := range strings.SplitSeq(state, ",") {
		if member = strings.Trim(member, " \t"); member == "" {
			continue // §3.3.1.1 allows it
		}
		key, value, ok := strings.Cut(member, "=")
		if !ok || keys[key] || !stateKey(key) || !stateValue(value) {
			return ""
		}
		keys[key] = true
	}
	if len(keys) == 0 || len(keys) > maxMembers {
		return ""
	}
	return state
}

// stateKey is a key of tracestate: at most 256 small letters, digits and "_-*/@", none of these at its beginning.
func stateKey(s string) bool {
	for i := range len(s) {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && (i == 0 || strings.IndexByte("_-*/@", c) < 0) {
			return false
		}
	}
	return s != "" && len(s) <= 256
}

// stateValue is a value of tracestate: visible, without "," and "=".
func stateValue(s string) bool {
	return s != "" && len(s) <= 256 && visibleText(s) && !strings.Contains(s, "=")
}

func visibleText(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}
