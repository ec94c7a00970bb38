package main

import (
	"bytes"
	stdlog "log"
	"log/slog"
)

// quietStandardLog leads what libraries write to the standard logger into ours, at debug
// level, without what they quote: net/http repeats there what an upstream sent unasked, and
// that may hold anything (P189).
func quietStandardLog(log *slog.Logger) {
	stdlog.SetFlags(0)
	stdlog.SetOutput(unquoted{log})
}

type unquoted struct{ log *slog.Logger }

func (u unquoted) Write(line []byte) (int, error) {
	text, _, _ := bytes.Cut(line, []byte(" starting with "))
	text, _, _ = bytes.Cut(text, []byte{'"'})
	u.log.Debug("a library says", "text", string(bytes.TrimSpace(text)))
	return len(line), nil
}
