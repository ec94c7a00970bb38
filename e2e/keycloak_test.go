package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
)

// keycloak is the real server with the realm of keycloak/realm.json, one for all tests.
type keycloak struct {
	*process
	issuer string
	phone  *phone // of everybody in the realm
	before int    // how much it had written when the test began
	pinged int    // the port of whichever gateway it pings: its realm names it from the start
}

// Who is in keycloak/realm.json, and what they type there.
var keycloakPasswords = map[string]string{
	"alice": "alice's pässword: 1",
	"bob":   "bob's password",
	"carol": "carol's password", // and a one-time code
	"dave":  "dave's password",  // his account is disabled
}

// carolsSecret is what her one-time codes are made from (RFC 6238).
const carolsSecret = "only for tests: no secret"

var keycloakServer = sync.OnceValues(startKeycloak)

// newKeycloak returns the server, started by whichever test wants it first.
func newKeycloak(t *testing.T) *keycloak {
	t.Helper()
	k, err := keycloakServer()
	if err != nil {
		t.Fatal(err)
	}
	k.phone.forget()
	before := len(k.output())
	k.before = before
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("Keycloak wrote:\n%s", strings.Join(k.output()[before:], "\n"))
		}
	})
	return k
}

func startKeycloak() (*keycloak, error) {
	home, err := keycloakHome()
	if err != nil {
		return nil, err
	}
	ports := make([]int, 2)
	for i := range ports {
		if ports[i], err = anyFreePort(); err != nil {
			return nil, err
		}
	}
	k := &keycloak{issuer: fmt.Sprintf("http://127.0.0.1:%d/realms/doorward", ports[0]), phone: newPhone(), pinged: ports[1]}
	run, err := keycloakRun(home)
	if err != nil {
		return nil, err
	}
	began := time.Now()
	cmd := exec.Command("java", keycloakArguments(run, ports[0], k.phone.URL)...)
	cmd.Dir = run
	cmd.Env = append(os.Environ(), fmt.Sprintf("DOORWARD_NOTIFICATION_ENDPOINT=http://localhost:%d/oauth2/ciba/notify", ports[1]))
	if k.process, err = launch(cmd); err != nil {
		return nil, err
	}
	atEnd(func() error {
		err := k.end()
		k.phone.Close()
		return err
	})
	if err := k.awaitReady(); err != nil {
		return nil, fmt.Errorf("%w; it wrote:\n%s", err, strings.Join(k.output(), "\n"))
	}
	fmt.Printf("Keycloak answers after %.1f s, with %s in memory\n", time.Since(began).Seconds(), resident(cmd.Process.Pid))
	return k, nil
}

// hurried is how often Keycloak has answered slow_down in this test.
func (k *keycloak) hurried() (n int) {
	for _, line := range k.output()[k.before:] {
		if strings.Contains(line, `error="slow_down"`) {
			n++
		}
	}
	return n
}

// keycloakArguments are those of bin/kc.sh, without the shell between us and the server.
func keycloakArguments(run string, port int, channel string) []string {
	arguments := []string{
		// Small, and quick to start rather than quick later.
		"-Xms64m", "-Xmx512m", "-XX:MaxMetaspaceSize=256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1",
		"-Djava.util.concurrent.ForkJoinPool.common.threadFactory=io.quarkus.bootstrap.forkjoin.QuarkusForkJoinWorkerThreadFactory",
		"--enable-native-access=ALL-UNNAMED",
	}
	for _, name := range []string{"util", "util.concurrent", "security", "lang"} {
		arguments = append(arguments, "--add-opens=java.base/java."+name+"=ALL-UNNAMED")
	}
	return append(
		arguments,
		"-Dkc.home.dir="+run, "-cp", filepath.Join(run, "lib", "quarkus-run.jar"), "io.quarkus.bootstrap.runner.QuarkusEntryPoint",
		"start", "--optimized", "--import-realm", "--cache=local",
		"--http-enabled=true", "--http-host=127.0.0.1", fmt.Sprintf("--http-port=%d", port), fmt.Sprintf("--hostname=http://127.0.0.1:%d", port),
		"--spi-ciba-auth-channel--ciba-http-auth-channel--http-authentication-channel-uri="+channel,
	)
}

// awaitReady waits until the realm is there. A cold disc may make that slow.
func (k *keycloak) awaitReady() error {
	ctx, cancel := context.WithTimeout(context.Background(), 4*patience)
	defer cancel()
	for tick := time.NewTicker(100 * time.Millisecond); ; {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, k.issuer+"/.well-known/openid-configuration", nil)
		if err != nil {
			return err
		}
		if res, err := http.DefaultClient.Do(r); err == nil {
			_ = res.Body.Close()
			if res.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-tick.C:
		case <-k.ended:
			return errors.New("Keycloak ended at start")
		case <-ctx.Done():
			return fmt.Errorf("Keycloak is not ready after %s", 4*patience)
		}
	}
}

// keycloakHome returns where keycloak/install.sh has put the pinned release.
func keycloakHome() (string, error) {
	pin, err := os.ReadFile(filepath.Join("keycloak", "pin"))
	if err != nil {
		return "", err
	}
	version := regexp.MustCompile(`(?m)^version=(.+)$`).FindSubmatch(pin)
	sum := regexp.MustCompile(`(?m)^sha256=([0-9a-f]{64})$`).FindSubmatch(pin)
	if version == nil || sum == nil {
		return "", errors.New("keycloak/pin names no version and checksum")
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	home := filepath.Join(cache, "doorward-ci", "keycloak-"+string(version[1]))
	if from, err := os.ReadFile(filepath.Join(home, "built-from")); err != nil || strings.TrimSpace(string(from)) != string(sum[1]) {
		return "", fmt.Errorf("Keycloak %s is not in %s: run e2e/keycloak/install.sh", version[1], home)
	}
	if _, err := exec.LookPath("java"); err != nil {
		return "", errors.New("java is not on the PATH: install a Java runtime 17 or newer (Debian: apt-get install default-jre-headless)")
	}
	return home, nil
}

// keycloakRun makes a directory in which the server may write: the program is only linked, so
// that two runs on one machine have nothing in common.
func keycloakRun(home string) (string, error) {
	dir, err := scratch()
	if err != nil {
		return "", err
	}
	run := filepath.Join(dir, "keycloak")
	if err := os.MkdirAll(filepath.Join(run, "data", "import"), 0o700); err != nil {
		return "", err
	}
	for _, name := range []string{"bin", "conf", "lib", "providers", "themes", "version.txt"} {
		if err := os.Symlink(filepath.Join(home, name), filepath.Join(run, name)); err != nil {
			return "", err
		}
	}
	realm, err := os.ReadFile(filepath.Join("keycloak", "realm.json"))
	if err != nil {
		return "", err
	}
	return run, os.WriteFile(filepath.Join(run, "data", "import", "realm.json"), realm, 0o600)
}

// resident is how much of a process is in memory.
func resident(pid int) string {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return "?"
	}
	_, after, _ := strings.Cut(string(status), "VmRSS:")
	line, _, _ := strings.Cut(after, "\n")
	return strings.TrimSpace(line)
}

// post speaks to Keycloak as a client does, without Doorward.
func (k *keycloak) post(t *testing.T, path string, form url.Values) (status int, answer map[string]any) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, k.issuer+"/protocol/openid-connect"+path, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	r.SetBasicAuth(clientID, clientSecret)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if err := json.NewDecoder(res.Body).Decode(&answer); err != nil {
		t.Fatalf("%s answers %d without JSON: %v", path, res.StatusCode, err)
	}
	return res.StatusCode, answer
}
