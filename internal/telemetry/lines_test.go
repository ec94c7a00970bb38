package telemetry

import (
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/doorward/doorward/internal/testnet"
)

func request(access *AccessLog) {
	access.Handler(http.HandlerFunc(typical), nil).ServeHTTP(&sink{http.Header{}}, &http.Request{Method: http.MethodGet})
}

func TestLinesAreGatheredForATenthOfASecondAndWrittenTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &counting{}
		access := NewAccessLog(logger(t, LogConfig{Format: "json"}, out))
		for range 20 {
			request(access)
		}
		time.Sleep(gatherFor - 1)
		synctest.Wait()
		if out.writes.Load() != 0 {
			t.Errorf("%d writes at once", out.writes.Load())
		}
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		if out.writes.Load() != 1 || strings.Count(out.String(), "\n") != 20 {
			t.Errorf("%d lines in %d writes", strings.Count(out.String(), "\n"), out.writes.Load())
		}
		request(access)
		time.Sleep(gatherFor)
		synctest.Wait()
		if out.writes.Load() != 2 {
			t.Errorf("the second batch made %d writes", out.writes.Load())
		}
		access.Close()
	})
}

func TestManyLinesDoNotWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &counting{}
		access := NewAccessLog(logger(t, LogConfig{Format: "json"}, out))
		for range gatherUpTo / 300 { // a line of this request is longer
			request(access)
		}
		synctest.Wait() // without a step of the clock
		if out.writes.Load() < 1 || len(out.String()) < gatherUpTo {
			t.Errorf("%d bytes in %d writes", len(out.String()), out.writes.Load())
		}
		access.Close()
	})
}

func TestCloseLosesNothingAndLaterRequestsAreWrittenAtOnce(t *testing.T) {
	out := &counting{}
	access := NewAccessLog(logger(t, LogConfig{Format: "json"}, out))
	request(access)
	access.Close()
	if n := strings.Count(out.String(), "\n"); n != 1 {
		t.Errorf("%d lines after Close", n)
	}
	request(access)
	if n := strings.Count(out.String(), "\n"); n != 2 {
		t.Errorf("%d lines after a request that ended late", n)
	}
	access.Close()
}

func TestAReaderThatHangsHoldsUpNobodyAndTheLogSaysWhatWasDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &stuck{release: make(chan struct{})}
		access := NewAccessLog(logger(t, LogConfig{Format: "json"}, out))
		request(access)
		time.Sleep(gatherFor)
		synctest.Wait() // the batch of one hangs in Write
		const more = 30_000
		for range more { // in the bubble, a request that waited would be a deadlock
			request(access)
		}
		close(out.release)
		access.Close()
		told := records(t, out.String(), "the log's reader is too slow: access lines were dropped")
		written := len(records(t, out.String(), message))
		if len(told) != 1 || int(told[0]["lines"].(float64)) != more+1-written || written == more+1 {
			t.Errorf("%d of %d lines were written; the log says %v", written, more+1, told)
		}
		if len(out.String()) > maxWaiting+4096 {
			t.Errorf("%d bytes waited", len(out.String()))
		}
	})
}

type counting struct {
	testnet.Output
	writes atomic.Int32
}

func (c *counting) Write(p []byte) (int, error) {
	c.writes.Add(1)
	return c.Output.Write(p)
}

// stuck is a writer whose Write hangs until release is closed.
type stuck struct {
	testnet.Output
	release chan struct{}
}

func (s *stuck) Write(p []byte) (int, error) {
	<-s.release
	return s.Output.Write(p)
}

func TestTheFormatIsJSONUnlessTheWriterIsATerminal(t *testing.T) {
	terminal, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0) // a character device, as terminals are
	if err != nil {
		t.Fatal(err)
	}
	defer terminal.Close()
	file, err := os.Create(t.TempDir() + "/log")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for _, c := range []struct {
		format string
		w      io.Writer
		json   bool
	}{{"", terminal, false}, {"auto", terminal, false}, {"json", terminal, true}, {"auto", file, true}, {"", io.Discard, true}, {"text", file, false}} {
		_, isJSON := logger(t, LogConfig{Format: c.format}, c.w).Handler().(*jsonHandler)
		if isJSON != c.json {
			t.Errorf("format %q to %T: JSON is %v", c.format, c.w, isJSON)
		}
	}
}

func TestOnlyKnownFormatsAndLevelsAreAccepted(t *testing.T) {
	for _, c := range []LogConfig{{Format: "xml"}, {Level: "trace"}, {Format: "JSON"}, {Level: "INFO"}} {
		if _, err := NewLogger(c, io.Discard); err == nil || !strings.HasPrefix(err.Error(), "telemetry.log.") {
			t.Errorf("%+v: %v", c, err)
		}
	}
	for name, level := range map[string]slog.Level{"debug": slog.LevelDebug, "": slog.LevelInfo, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError} {
		log := logger(t, LogConfig{Level: name}, io.Discard)
		if !log.Enabled(t.Context(), level) || log.Enabled(t.Context(), level-1) {
			t.Errorf("level %q is not %v", name, level)
		}
	}
}

func FuzzStringsAreJSONAndVisible(f *testing.F) {
	for _, s := range []string{"", "plain", "\"\\\r\n\t", "\x00\x1b[2J\x7f\u009b\u202e\ufeff", "\xff\xc3", "é漢🙂\U000e0041"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := appendString(nil, s)
		var back string
		if err := json.Unmarshal(got, &back); err != nil {
			t.Fatalf("%v: %q", err, got)
		}
		if want := string([]rune(s)); back != want {
			t.Errorf("%q became %q", s, back)
		}
		for _, r := range string(got) {
			if r < ' ' || 0x7f <= r && r < 0xa0 || r == '\u202e' || r == '\ufeff' {
				t.Errorf("%U is not escaped in %q", r, got)
			}
		}
	})
}
