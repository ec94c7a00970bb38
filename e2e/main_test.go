package e2e

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// patience is how long a test waits for something that must happen. It bounds a failure,
// it paces nothing.
const patience = 30 * time.Second

// scratch holds the binary of this run.
var scratch = sync.OnceValues(func() (string, error) { return os.MkdirTemp("", "doorward-e2e-") })

// binary is what is tested: $DOORWARD_BINARY, or built once as README.md says.
var binary = sync.OnceValues(func() (string, error) {
	if name := os.Getenv("DOORWARD_BINARY"); name != "" {
		return filepath.Abs(name)
	}
	dir, err := scratch()
	if err != nil {
		return "", err
	}
	name := filepath.Join(dir, "doorward")
	build := exec.Command("go", "build", "-trimpath", "-o", name, "./cmd/doorward")
	build.Dir = ".."
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build ./cmd/doorward: %w\n%s", err, out)
	}
	return name, nil
})

func TestMain(m *testing.M) {
	if err := needed(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	status := m.Run()
	if err := endSuite(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		status = 1
	}
	if dir, err := scratch(); err == nil {
		_ = os.RemoveAll(dir)
	}
	os.Exit(status)
}

// needed says what is missing on this machine, all at once.
func needed() error {
	var missing []error
	if _, err := chromium(); err != nil {
		missing = append(missing, err)
	}
	if _, err := exec.LookPath("node"); err != nil {
		missing = append(missing, errors.New("node is not on the PATH: install Node.js 20 or newer"))
	}
	for _, name := range []string{"nginx", "haproxy", "caddy"} {
		if _, err := exec.LookPath(name); err != nil {
			missing = append(missing, fmt.Errorf("%s is not on the PATH: install Debian's nginx-light, haproxy and caddy", name))
		}
	}
	if _, err := os.Stat(filepath.Join("oidc-provider", "node_modules", "oidc-provider")); err != nil {
		missing = append(missing, errors.New("oidc-provider is not installed: run (cd e2e/oidc-provider && npm ci)"))
	}
	if _, err := keycloakHome(); err != nil {
		missing = append(missing, err)
	}
	if len(missing) == 0 {
		return nil
	}
	return fmt.Errorf("the end-to-end tests cannot run:\n%w", errors.Join(missing...))
}

// chromium returns the browser to use: $CHROMIUM, or the first of the usual names.
func chromium() (string, error) {
	if path := os.Getenv("CHROMIUM"); path != "" {
		return path, nil
	}
	names := []string{"chromium", "chromium-browser", "google-chrome"}
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("no browser: none of %s is on the PATH; install Chromium (Debian: apt-get install chromium) or set CHROMIUM", strings.Join(names, ", "))
}
