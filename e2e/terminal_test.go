package e2e

import (
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// terminal is a person at a shell, far from any browser.
type terminal struct {
	home string
}

// doorward is a command as this person types it.
func (c *terminal) doorward(t *testing.T, arguments ...string) *exec.Cmd {
	t.Helper()
	name, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), name, arguments...)
	cmd.Dir, cmd.Env = c.home, []string{"PATH=" + os.Getenv("PATH"), "HOME=" + c.home}
	return cmd
}

func (c *terminal) output(t *testing.T, arguments ...string) string {
	t.Helper()
	out, err := c.doorward(t, arguments...).Output()
	if err != nil {
		t.Fatalf("doorward %s: %v", strings.Join(arguments, " "), err)
	}
	return string(out)
}

// userCodeLine is how the code stands there.
var userCodeLine = regexp.MustCompile(`^\s+([A-Z]{4}-[A-Z]{4})$`)

// login signs in from the terminal, while somebody says yes or no in a browser, and returns the
// status with which the command ends.
func (c *terminal) login(t *testing.T, w *keycloakWorld, user string, yes bool) (status int) {
	t.Helper()
	shell := start(t, c.doorward(t, "login", w.gateway.origin+"/"))
	var code string
	shell.waitLine(t, "the code", func(line string) bool {
		if m := userCodeLine.FindStringSubmatch(line); m != nil {
			code = m[1]
		}
		return code != ""
	})
	w.keycloak.approveDevice(newBrowser(t).tab(t), w.keycloak.issuer+"/device", code, user, yes)
	select {
	case <-shell.ended:
	case <-time.After(patience):
		t.Fatal("doorward login does not end")
	}
	return shell.cmd.ProcessState.ExitCode()
}

func TestASignInFromATerminalServesCurlAndGit(t *testing.T) {
	served, letter := repository(t)
	seen := &visitors{files: http.FileServer(http.Dir(served))}
	upstream := httptest.NewServer(seen)
	t.Cleanup(upstream.Close)
	w := newKeycloakWorld(t, strings.ReplaceAll(keycloakDevice, "%[2]s", upstream.URL)+"\n# %[2]s\n")
	c := &terminal{home: t.TempDir()}
	if status := c.login(t, w, "alice", true); status != 0 {
		t.Fatalf("doorward login ended with status %d", status)
	}

	ticket := strings.TrimSpace(c.output(t, "token", w.gateway.origin))
	t.Run("the ticket is Doorward's own, and nothing of the provider's", func(t *testing.T) {
		if !strings.HasPrefix(ticket, "dw1.") || strings.Contains(ticket, "eyJ") {
			t.Errorf("the ticket is %q", ticket)
		}
	})
	t.Run("only its owner can read it", func(t *testing.T) {
		found := 0
		err := filepath.WalkDir(c.home, func(path string, d os.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			found++
			info, err := d.Info()
			if err == nil && info.Mode().Perm() != 0o600 {
				t.Errorf("%s has mode %o", path, info.Mode().Perm())
			}
			return err
		})
		if err != nil || found != 1 {
			t.Errorf("%d files were written: %v", found, err)
		}
	})
	t.Run("curl", func(t *testing.T) {
		name, value, _ := strings.Cut(strings.TrimSpace(c.output(t, "token", "--format", "header", w.gateway.origin)), ": ")
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, w.gateway.origin+"/work.git/HEAD", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set(name, value)
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		if res.StatusCode != http.StatusOK {
			t.Errorf("status %d", res.StatusCode)
		}
	})
	t.Run("git", func(t *testing.T) {
		name, err := binary()
		if err != nil {
			t.Fatal(err)
		}
		into := filepath.Join(t.TempDir(), "theirs")
		cmd := gitCommand(t, served, "-c", "credential.helper=!HOME="+c.home+" "+name+" token --format git", "clone", "--quiet", w.gateway.origin+"/work.git", into)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("git: %v\n%s", err, out)
		}
		if got := read(t, filepath.Join(into, "letter")); got != letter {
			t.Errorf("the clone holds %q", got)
		}
	})
	for _, who := range seen.all() {
		if who != "alice" {
			t.Errorf("the server was visited by %q", who)
		}
	}
	t.Run("S10 the ticket is not written", func(t *testing.T) {
		if strings.Contains(strings.Join(w.gateway.output(), "\n"), ticket) {
			t.Error("the log holds the ticket")
		}
	})
}

func TestARefusalEndsTheSignInFromATerminal(t *testing.T) {
	w := newKeycloakWorld(t, keycloakDevice)
	c := &terminal{home: t.TempDir()}
	if status := c.login(t, w, "bob", false); status != 1 {
		t.Errorf("doorward login ended with status %d", status)
	}
	if out, err := c.doorward(t, "token", w.gateway.origin).Output(); err == nil {
		t.Errorf("there is a ticket: %s", out)
	}
}
