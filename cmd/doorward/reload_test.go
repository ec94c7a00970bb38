package main

import (
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/testnet"
)

// deadlineLoop asks again until the answer is yes, for real sockets and processes whose
// clock a test cannot own.
func deadlineLoop(t *testing.T, yes func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !yes(); {
		if time.Now().After(end) {
			t.Fatal("it did not happen within 20 s")
		}
		<-time.After(20 * time.Millisecond)
	}
}

func TestP212SIGHUPTakesAGoodConfigurationWholeAndKeepsTheOldOneOverABadOne(t *testing.T) {
	s := newStack(t, "").start()
	b := s.browser()
	s.signedIn(b, "/", "alice", "wonderland-9")

	s.write(s.toml + "\n[[route]]\nname = \"open\"\nhost = \"" + s.origin + "\"\npath = \"/open\"\nupstream = [\"" + s.app.URL + "\"]\npublik = true\n")
	hangUp(t)
	deadlineLoop(t, func() bool { return len(s.lines("the configuration was not reloaded, the old one stays")) == 1 })
	if why, _ := s.lines("the configuration was not reloaded, the old one stays")[0]["error"].(string); !strings.Contains(why, "publik") {
		t.Errorf("the log does not say what was wrong: %s", why)
	}
	if page := s.browser().Fetch(t, "", "GET", s.origin+"/open/x", nil); page.Status != 401 {
		t.Errorf("a bad configuration took effect: %d", page.Status)
	}

	s.write(s.toml + "\n[[route]]\nname = \"open\"\nhost = \"" + s.origin + "\"\npath = \"/open\"\nupstream = [\"" + s.app.URL + "\"]\npublic = true\n")
	hangUp(t)
	deadlineLoop(t, func() bool { return len(s.lines("configuration reloaded")) == 1 })
	if page := s.browser().Fetch(t, "", "GET", s.origin+"/open/x", nil); page.Status != 200 {
		t.Errorf("the new route does not answer: %d", page.Status)
	}
	if page := b.Open(t, s.origin+"/still"); page.Status != 200 || len(page.Hops) != 1 {
		t.Errorf("the reload cost a session:\n%s", page.Trail())
	}
}

func hangUp(t *testing.T) {
	t.Helper()
	if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
}

// TestMain lets the test binary be the program itself, so that signals and exit statuses
// are those of a real process.
func TestMain(m *testing.M) {
	if os.Getenv("DOORWARD_TEST_RUN_MAIN") == "1" {
		_ = os.Unsetenv("DOORWARD_TEST_RUN_MAIN")
		main()
		return
	}
	os.Exit(m.Run())
}

func program(args ...string) *exec.Cmd {
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(os.Environ(), "DOORWARD_TEST_RUN_MAIN=1")
	return cmd
}

func TestExitStatuses(t *testing.T) {
	bad := t.TempDir() + "/bad.toml"
	if err := os.WriteFile(bad, []byte("[provder.corp]\nissuer = \"https://x.example\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		args []string
		want int
		says string
	}{
		{"version", []string{"version"}, 0, "doorward "},
		{"unknown command", []string{"sevre"}, 2, "sevre"},
		{"unknown flag", []string{"serve", "--bogus"}, 2, "--bogus"},
		{"bad configuration", []string{"serve", "--config", bad}, 78, "did you mean"},
		{"check of a bad configuration", []string{"check", "--config", bad}, 78, "provder"},
		{"missing configuration", []string{"serve", "--config", bad + ".none"}, 78, "bad.toml.none"},
		{"nobody there", []string{"healthcheck", "--address", "127.0.0.1:1"}, 1, "127.0.0.1:1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			cmd := program(c.args...)
			out, _ := cmd.CombinedOutput()
			if got := cmd.ProcessState.ExitCode(); got != c.want || !strings.Contains(string(out), c.says) {
				t.Errorf("exit status %d, want %d\n%s", got, c.want, out)
			}
		})
	}
}

func TestSIGTERMDrainsAndASecondSignalEndsAtOnce(t *testing.T) {
	s := newStack(t, "")
	s.write(s.toml + "\n[[route]]\nname = \"held\"\nhost = \"" + s.origin + "\"\npath = \"/held\"\nupstream = [\"" + s.app.URL + "\"]\npublic = true\n")
	start := func() (*exec.Cmd, *testnet.Output) {
		cmd, log := program("serve", "--config", s.path()), &testnet.Output{}
		cmd.Stdout, cmd.Stderr = log, log
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = cmd.Process.Kill() })
		deadlineLoop(t, func() bool { return strings.Count(log.String(), `"msg":"listening"`) == 2 })
		return cmd, log
	}
	t.Run("one signal", func(t *testing.T) {
		cmd, log := start()
		_ = cmd.Process.Signal(syscall.SIGTERM)
		if err := cmd.Wait(); err != nil {
			t.Errorf("%v\n%s", err, log)
		}
	})
	t.Run("a second one", func(t *testing.T) {
		cmd, log := start()
		// A request that the application never finishes holds the drain.
		go func() { _, _ = http.Get(s.origin + "/held") }()
		deadlineLoop(t, func() bool { return len(s.app.requests()) > 0 })
		_ = cmd.Process.Signal(syscall.SIGTERM)
		deadlineLoop(t, func() bool { return strings.Contains(log.String(), `"msg":"draining"`) })
		_ = cmd.Process.Signal(syscall.SIGTERM)
		ended := make(chan error, 1)
		go func() { ended <- cmd.Wait() }()
		select {
		case <-ended:
		case <-time.After(10 * time.Second):
			t.Error("the second signal did not end the process")
		}
	})
}

func TestTheHelpOfServeSaysWhatIsWatched(t *testing.T) {
	want := "are looked at every " + strconv.Itoa(int(watchInterval.Seconds())) + " seconds"
	if help := serveCommand().Long; !strings.Contains(help, want) || !strings.Contains(help, "SIGHUP") {
		t.Errorf("%s", help)
	}
}
