package e2e

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

const keycloakBasic = `
[login.legacy]
flow = "password"
[[route]]
name = "git"
host = "%[1]s"
upstream = ["%[2]s"]
login = ["legacy"]
accept = ["basic"]
`

// A program that knows nothing but user name and password gets through, and what it knows goes
// no further than to the provider (ROP-2).
func TestKeycloakBasicLetsProgramsIn(t *testing.T) {
	w := newKeycloakWorld(t, keycloakBasic)
	ask := func(user, password string) *http.Response {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, w.gateway.origin+"/json?by="+user, nil)
		if err != nil {
			t.Fatal(err)
		}
		if user != "" {
			r.SetBasicAuth(user, password)
		}
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		return res
	}
	t.Run("ROP-5 without, the challenge names Basic and UTF-8", func(t *testing.T) {
		res := ask("", "")
		challenge := strings.Join(res.Header.Values("WWW-Authenticate"), ", ")
		if res.StatusCode != http.StatusUnauthorized || !strings.Contains(challenge, "Basic realm=") || !strings.Contains(challenge, `charset="UTF-8"`) {
			t.Errorf("%d, WWW-Authenticate: %s", res.StatusCode, challenge)
		}
	})
	t.Run("with the right password, the app sees who it is and no password", func(t *testing.T) {
		for range 3 {
			if res := ask("alice", keycloakPasswords["alice"]); res.StatusCode != http.StatusOK {
				t.Fatalf("status %d", res.StatusCode)
			}
		}
		w.sawAlice(t, "/json?by=alice")
		if c := w.app.last(t, "/json?by=alice").Header.Get("Cookie"); c != "" {
			t.Errorf("the app got Cookie: %s", c)
		}
	})
	t.Run("with a wrong one, or none that Keycloak lets in, 401", func(t *testing.T) {
		for user, password := range map[string]string{"alice": "wrong", "carol": keycloakPasswords["carol"], "dave": keycloakPasswords["dave"], "nobody": "x"} {
			if res := ask(user, password); res.StatusCode != http.StatusUnauthorized || !strings.Contains(strings.Join(res.Header.Values("WWW-Authenticate"), ", "), "Basic") {
				t.Errorf("%s gets %d", user, res.StatusCode)
			}
		}
	})
	t.Run("S10 no password is written", func(t *testing.T) {
		written := strings.Join(w.gateway.output(), "\n")
		for _, password := range []string{keycloakPasswords["alice"], "pässword", keycloakPasswords["carol"], "Basic YW"} {
			if strings.Contains(written, password) {
				t.Errorf("the log holds %q", password)
			}
		}
	})
}

// git itself: it asks without a password first, and repeats with one when it is challenged.
func TestKeycloakGitClonesThroughBasic(t *testing.T) {
	k := newKeycloak(t)
	served, letter := repository(t)
	seen := &visitors{files: http.FileServer(http.Dir(served))}
	upstream := httptest.NewServer(seen)
	t.Cleanup(upstream.Close)
	g := newGateway(t)
	g.configure(t, fmt.Sprintf("\n[provider.keycloak]\nissuer = %q\nclient_id = %q\nclient_secret = %q\n", k.issuer, clientID, clientSecret)+
		fmt.Sprintf(keycloakBasic, g.origin, upstream.URL))
	g.start(t)

	from, err := url.Parse(g.origin + "/work.git")
	if err != nil {
		t.Fatal(err)
	}
	from.User = url.UserPassword("alice", keycloakPasswords["alice"])
	theirs := filepath.Join(t.TempDir(), "theirs")
	git(t, served, "clone", "--quiet", from.String(), theirs)
	if got := read(t, filepath.Join(theirs, "letter")); got != letter {
		t.Errorf("the clone holds %q", got)
	}
	if who := seen.all(); len(who) == 0 || strings.Trim(strings.Join(who, ""), "alice") != "" {
		t.Errorf("the server was visited by %q", who)
	}
	from.User = url.UserPassword("alice", "wrong")
	if out, err := gitCommand(t, served, "clone", "--quiet", from.String(), theirs+"-not").CombinedOutput(); err == nil || !strings.Contains(string(out), "Authentication failed") {
		t.Errorf("with a wrong password git says: %s", out)
	}
}

// repository is work.git, with one file "letter", in a directory that a plain file server can serve.
func repository(t *testing.T) (served, letter string) {
	t.Helper()
	letter = "Dear reader\n"
	served = t.TempDir()
	git(t, served, "init", "--quiet", "--bare", "work.git")
	mine := filepath.Join(t.TempDir(), "mine")
	git(t, served, "clone", "--quiet", filepath.Join(served, "work.git"), mine)
	if err := os.WriteFile(filepath.Join(mine, "letter"), []byte(letter), 0o600); err != nil {
		t.Fatal(err)
	}
	git(t, mine, "add", "letter")
	git(t, mine, "-c", "user.name=a", "-c", "user.email=a@example.com", "commit", "--quiet", "-m", "A letter")
	git(t, mine, "push", "--quiet", "origin", "HEAD:refs/heads/main")
	git(t, filepath.Join(served, "work.git"), "symbolic-ref", "HEAD", "refs/heads/main")
	git(t, filepath.Join(served, "work.git"), "update-server-info") // what a plain file server needs
	return served, letter
}

// visitors serves files and keeps who came.
type visitors struct {
	files http.Handler

	mu    sync.Mutex
	names []string
}

func (v *visitors) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	v.mu.Lock()
	v.names = append(v.names, r.Header.Get("X-Forwarded-Preferred-Username")+r.Header.Get("Authorization"))
	v.mu.Unlock()
	v.files.ServeHTTP(w, r)
}

func (v *visitors) all() []string {
	v.mu.Lock()
	defer v.mu.Unlock()
	return append([]string(nil), v.names...)
}

func git(t *testing.T, dir string, arguments ...string) {
	t.Helper()
	if out, err := gitCommand(t, dir, arguments...).CombinedOutput(); err != nil {
		t.Fatalf("git %s: %v\n%s", arguments[0], err, out)
	}
}

// gitCommand is git as it comes: without this machine's settings, credentials or questions.
func gitCommand(t *testing.T, dir string, arguments ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "git", arguments...)
	cmd.Dir = dir
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "GIT_CONFIG_NOSYSTEM=1", "GIT_TERMINAL_PROMPT=0"}
	return cmd
}
