package e2e

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// gateway is "doorward serve" with a configuration file.
type gateway struct {
	*process
	origin string // what the browser calls it
	admin  string // host:port
	file   string
}

// newGateway writes the configuration without starting anything. The ports come first, so
// that the provider can be told of the redirect URIs. body is TOML without [listen].
func newGateway(t *testing.T) *gateway {
	t.Helper()
	return newGatewayAt(t, freePort(t))
}

func newGatewayAt(t *testing.T, port int) *gateway {
	t.Helper()
	return &gateway{
		origin: fmt.Sprintf("http://localhost:%d", port),
		admin:  fmt.Sprintf("127.0.0.1:%d", freePort(t)),
		file:   filepath.Join(t.TempDir(), "doorward.toml"),
	}
}

// configure writes the configuration: the listeners of this gateway, then body.
func (g *gateway) configure(t *testing.T, body string) {
	t.Helper()
	port := g.origin[strings.LastIndexByte(g.origin, ':')+1:]
	text := fmt.Sprintf("state_dir = %q\n[listen]\nhttp = \"127.0.0.1:%s\"\nadmin = %q\n%s",
		filepath.Join(filepath.Dir(g.file), "state"), port, g.admin, body)
	if err := os.WriteFile(g.file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// start runs the gateway and waits until it answers. The provider may be down.
func (g *gateway) start(t *testing.T) {
	t.Helper()
	name, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(name, "serve", "--config", g.file)
	cmd.Dir = filepath.Dir(g.file)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + filepath.Dir(g.file)} // nothing of this machine's DOORWARD_* or proxies
	g.process = start(t, cmd)
	alive := eventually(func() bool {
		select {
		case <-g.ended:
			t.Fatalf("doorward ended at start:\n%s\n%s", strings.Join(g.output(), "\n"), read(t, g.file))
		default:
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+g.admin+"/livez", nil)
		if err != nil {
			t.Fatal(err)
		}
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			return false
		}
		_ = res.Body.Close()
		return res.StatusCode == http.StatusOK
	})
	if !alive {
		t.Fatalf("doorward does not answer on its admin listener %s", g.admin)
	}
}

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
