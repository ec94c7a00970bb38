package telemetry

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"
)

// LogConfig is [telemetry] log.
type LogConfig struct {
	Format string // "auto" (= ""; JSON unless the writer is a terminal), "json", "text"
	Level  string // "debug", "info" (= ""), "warn", "error"
}

// NewLogger makes the process's logger. Writes to w are one whole line or several, never two at once.
func NewLogger(c LogConfig, w io.Writer) (*slog.Logger, error) {
	var level slog.Level
	switch c.Level {
	case "debug":
		level = slog.LevelDebug
	case "info", "":
	case "warn":
		level = slog.LevelWarn
	case "error":
		level = slog.LevelError
	default:
		return nil, fmt.Errorf("telemetry.log.level: %q is none of debug, info, warn, error", c.Level)
	}
	options := &slog.HandlerOptions{Level: level}
	text := false
	switch c.Format {
	case "auto", "":
		text = isTerminal(w)
	case "json":
	case "text":
		text = true
	default:
		return nil, fmt.Errorf("telemetry.log.format: %q is none of auto, json, text", c.Format)
	}
	out := &lockedWriter{w: w}
	if text {
		return slog.New(slog.NewTextHandler(out, options)), nil
	}
	return slog.New(&jsonHandler{slog.NewJSONHandler(out, options), out}), nil
}

// isTerminal takes any character device for a terminal: the other ones (/dev/null) don't care.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// jsonHandler lets an access log find the writer behind a logger: its lines are the same JSON, made
// at a fraction of the cost.
type jsonHandler struct {
	slog.Handler
	out io.Writer
}

// lockedWriter is shared by the logger and the access log.
type lockedWriter struct {
	mu sync.Mutex
	w  io.Writer
}

func (l *lockedWriter) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(p)
}
