package telemetry

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/doorward/doorward/internal/testnet"
)

func opened(t *testing.T, path string) (*auditFile, *testnet.Output) {
	t.Helper()
	log := &testnet.Output{}
	f, err := openAuditFile(path, logger(t, LogConfig{Format: "json"}, log))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.close)
	return f, log
}

func content(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestOnlyAFileIsAnAuditLogAndNothingElseIsWaitedFor(t *testing.T) {
	dir := t.TempDir()
	fifo := filepath.Join(dir, "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	dangling := filepath.Join(dir, "dangling")
	if err := os.Symlink(filepath.Join(dir, "none", "x"), dangling); err != nil {
		t.Fatal(err)
	}
	for path, says := range map[string]string{fifo: "is a FIFO and no file", dir: "is a directory", "/dev/null": "is a device and no file", dangling: "no such file", filepath.Join(dir, "none", "x"): "no such file"} {
		done := make(chan error, 1)
		go func() {
			f, err := openAuditFile(path, slog.New(slog.DiscardHandler))
			if err == nil {
				f.close()
			}
			done <- err
		}()
		select {
		case err := <-done:
			if err == nil || !strings.Contains(err.Error(), says) || !strings.Contains(err.Error(), path) {
				t.Errorf("%s: %v", path, err)
			}
		case <-time.After(5 * time.Second):
			t.Fatalf("%s is waited for", path)
		}
	}
	_, log := opened(t, filepath.Join(dir, "new"))
	if info, err := os.Stat(filepath.Join(dir, "new")); err != nil || info.Mode() != 0o600 || log.String() != "" {
		t.Errorf("%v %v %s", info.Mode(), err, log)
	}
	open := filepath.Join(dir, "open")
	if err := os.WriteFile(open, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for mode, warns := range map[os.FileMode]bool{0o640: false, 0o644: true, 0o602: true} {
		if err := os.Chmod(open, mode); err != nil {
			t.Fatal(err)
		}
		if _, log := opened(t, open); strings.Contains(log.String(), "anybody on this machine") != warns {
			t.Errorf("%s: %s", mode, log)
		}
	}
}

func TestALineThatAProcessCouldNotEndSpoilsNoOther(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a")
	for before, after := range map[string]string{"": "{}\n", "{}\n": "{}\n{}\n", "{}\n{\"ti": "{}\n{\"ti\n{}\n"} {
		if err := os.WriteFile(path, []byte(before), 0o600); err != nil {
			t.Fatal(err)
		}
		f, _ := opened(t, path)
		if _, err := f.write([]byte("{}\n")); err != nil || content(t, path) != after {
			t.Errorf("%q: %q, %v", before, content(t, path), err)
		}
	}
}

// limited makes writes fail beyond a size, as a full disk does, and returns how to end that.
func limited(t *testing.T, size uint64) func() {
	t.Helper()
	var old syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &old); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: size, Max: old.Max}); err != nil {
		t.Fatal(err)
	}
	mend := func() { _ = syscall.Setrlimit(syscall.RLIMIT_FSIZE, &old) }
	t.Cleanup(mend)
	return mend
}

func TestADiskThatIsFullTearsNoLineAlsoIfTheFileIsRenamedMeanwhile(t *testing.T) {
	for name, rename := range map[string]bool{"stays": false, "renamed": true} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "a")
			f, _ := opened(t, path)
			mend := limited(t, 25)
			text := []byte("{\"n\":0000}\n{\"n\":1111}\n{\"n\":2222}\n")
			n, err := f.write(text)
			mend()
			if err == nil || n != 22 || f.torn != 3 {
				t.Fatalf("%d of %d were written, %d torn, %v", n, len(text), f.torn, err)
			}
			if rename {
				if err := os.Rename(path, path+".1"); err != nil {
					t.Fatal(err)
				}
				f.looked = time.Time{}
			}
			if n, err = f.write(text[n:]); err != nil || n != 11 {
				t.Fatalf("%d, %v", n, err)
			}
			switch {
			case !rename && content(t, path) != string(text):
				t.Errorf("%q", content(t, path))
			case rename && content(t, path) != "{\"n\":2222}\n":
				t.Errorf("in the new file: %q", content(t, path))
			}
		})
	}
}

func TestAFileThatCannotBeMadeAnewIsToldAndTheOldOneTakesTheLines(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a")
	f, log := opened(t, path)
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
	line := []byte("{}\n")
	for range 3 {
		f.looked = time.Time{}
		if n, err := f.write(line); n != 3 || err != nil {
			t.Errorf("%d %v", n, err)
		}
	}
	if content(t, path+".1") != "{}\n{}\n{}\n" || strings.Count(log.String(), "cannot be made anew") != 1 {
		t.Errorf("%q; %s", content(t, path+".1"), log)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	f.looked = time.Time{}
	if _, err := f.write(line); err != nil || content(t, path) != "{}\n" {
		t.Errorf("%q %v", content(t, path), err)
	}
}

func TestWhatGoesOnUnderAReplacedConfigurationIsToldToTheNewLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &testnet.Output{}
		disk := func(privacy string) (*Audit, *broken) {
			a, to := newAudit(t, AuditConfig{To: "stdout", Privacy: privacy}, nil, logger(t, LogConfig{Format: "json"}, log)), &broken{}
			a.queue.start(to)
			return a, to
		}
		first, one := disk("full")
		second, two := disk("hash")
		third, three := disk("hash")
		old := &Signals{Audit: first}
		event := func() { old.TellContext(t.Context(), Event{Name: EventRefresh, Outcome: OK, Who: alice()}) }
		event()
		old.HandOver(&Signals{Audit: second})
		first.Close()
		event()
		(&Signals{Audit: second}).HandOver(&Signals{Audit: third})
		second.Close()
		event()
		third.Close()
		for i, d := range []*broken{one, two, three} {
			if e := decoded(t, d.text.Bytes()); len(e) != 1 || strings.Contains(d.text.String(), "alice") != (i == 0) {
				t.Errorf("log %d: %v", i, e)
			}
		}
		if log.String() != "" {
			t.Errorf("%s", log)
		}
		event() // after the last
		event()
		if strings.Count(log.String(), "they are lost") != 1 {
			t.Errorf("%s", log)
		}
		(&Signals{Audit: third}).HandOver(nil) // it was turned off: nothing is lost
		event()
		if n := third.queue.lost.Load(); n != 2 {
			t.Errorf("%d lost", n)
		}
		var none *Signals
		none.HandOver(old)
		(&Signals{}).HandOver(old)
	})
}

func TestLoginsThatAnybodyCanLetFailAreBoundedAndAllAreCounted(t *testing.T) {
	for _, name := range []string{EventLogin, EventDeny} {
		a, disk := newAudit(t, AuditConfig{To: "stdout"}, nil, slog.New(slog.DiscardHandler)), &broken{}
		now := time.Now()
		outcome := map[string]string{EventLogin: Failed, EventDeny: Denied}[name]
		for i := range 3000 {
			a.write(&Event{Name: name, Outcome: outcome}, &scene{client: fmt.Sprint(i)}, now)
		}
		a.write(&Event{Name: EventLogin, Outcome: OK}, &scene{}, now) // of those that are no failures every one
		a.queue.start(disk)
		a.Close()
		count, written := 0, 0
		for _, e := range decoded(t, disk.text.Bytes()) {
			if n, ok := e["count"].(float64); ok && e["event"] == name && e["outcome"] == outcome {
				count += int(n)
			} else {
				written++
			}
		}
		if written != maxFlood+1 || count != 3000-maxFlood {
			t.Errorf("%s: %d written, and %d counted", name, written, count)
		}
	}
}

func TestWhatWasLostLastStandsInTheLogToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, disk := newAudit(t, AuditConfig{To: "stdout"}, nil, slog.New(slog.DiscardHandler)), &broken{hang: make(chan struct{})}
		a.queue.start(disk)
		for range auditLines + 100 {
			a.write(&Event{Name: EventAdmin}, &scene{}, time.Now())
		}
		go a.Close()
		time.Sleep(time.Millisecond)
		close(disk.hang)
		synctest.Wait()
		events := decoded(t, disk.text.Bytes())
		sum := 0
		for _, e := range events {
			if n, ok := e["count"].(float64); ok {
				sum += int(n)
			} else {
				sum++
			}
		}
		if sum != auditLines+100 {
			t.Errorf("%d of %d", sum, auditLines+100)
		}
	})
}
