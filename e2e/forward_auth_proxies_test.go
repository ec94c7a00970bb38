package e2e

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A proxy that asks Doorward, run with the configuration that deploy/ ships for it.
type recipe struct {
	name    string
	install string // the Debian package
	command func(t *testing.T, dir string, p places) *exec.Cmd
}

// places is what is replaced in what is shipped: where things listen and lie, and nothing else.
type places struct {
	doorward, app, public string // host:port
	certificate, key      string // files
}

func recipes() []recipe {
	return []recipe{{"nginx", "nginx-light", nginxShipped}, {"haproxy", "haproxy", haproxyShipped}, {"caddy", "caddy", caddyShipped}}
}

func nginxShipped(t *testing.T, dir string, p places) *exec.Cmd {
	t.Helper()
	return nginx(t, dir, shipped(t, "nginx.conf",
		"127.0.0.1:4180", p.doorward, "127.0.0.1:3000", p.app, "listen 443 ", "listen "+p.public+" ", "wiki.pem", p.certificate, "wiki.key", p.key))
}

// nginx runs a piece of configuration for the http block, in one process: that one ends with its test.
func nginx(t *testing.T, dir, http string) *exec.Cmd {
	t.Helper()
	var temp strings.Builder
	for _, what := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		fmt.Fprintf(&temp, "%s_temp_path %s;\n", what, filepath.Join(dir, what))
	}
	main := fmt.Sprintf("daemon off;\nmaster_process off;\npid %s;\nerror_log stderr warn;\nevents {}\nhttp {\naccess_log off;\nport_in_redirect off;\n%s%s\n}\n",
		filepath.Join(dir, "nginx.pid"), temp.String(), http)
	return exec.Command(program(t, "nginx", "nginx-light"), "-e", "stderr", "-p", dir, "-c", write(t, dir, "nginx.conf", main))
}

func haproxyShipped(t *testing.T, dir string, p places) *exec.Cmd {
	t.Helper()
	const lua = "/etc/haproxy/haproxy-auth-request.lua"
	pem := write(t, dir, "wiki.pem", read(t, p.certificate)+read(t, p.key))
	cfg := shipped(t, "haproxy.cfg",
		"127.0.0.1:4180", p.doorward, "127.0.0.1:3000", p.app, "bind :443 ", "bind "+p.public+" ",
		"/etc/haproxy/wiki.pem", pem, lua, write(t, dir, filepath.Base(lua), shipped(t, filepath.Base(lua))))
	return exec.Command(program(t, "haproxy", "haproxy"), "-db", "-f", write(t, dir, "haproxy.cfg", cfg))
}

func caddyShipped(t *testing.T, dir string, p places) *exec.Cmd {
	t.Helper()
	host, port, _ := strings.Cut(p.public, ":")
	cfg := "{\n\tadmin off\n\tauto_https disable_redirects\n}\n" + shipped(t, "Caddyfile",
		"127.0.0.1:4180", p.doorward, "127.0.0.1:3000", p.app,
		"\nwiki.example.com {\n", fmt.Sprintf("\nwiki.example.com:%s {\n\tbind %s\n\ttls %s %s\n", port, host, p.certificate, p.key))
	cmd := exec.Command(program(t, "caddy", "caddy"), "run", "--adapter", "caddyfile", "--config", write(t, dir, "Caddyfile", cfg))
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "XDG_DATA_HOME=" + dir, "XDG_CONFIG_HOME=" + dir}
	return cmd
}

// shipped is a file of deploy/ in which places, old and new by turns, are replaced. It must have each of them.
func shipped(t *testing.T, name string, places ...string) string {
	t.Helper()
	text := read(t, filepath.Join("..", "deploy", name))
	for i := 0; i < len(places); i += 2 {
		if !strings.Contains(text, places[i]) {
			t.Fatalf("deploy/%s has no %q any more, which this test replaces", name, places[i])
		}
	}
	return strings.NewReplacer(places...).Replace(text)
}

// program finds one that Debian may keep where only root looks.
func program(t *testing.T, name, install string) string {
	t.Helper()
	for _, name := range []string{name, "/usr/sbin/" + name} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	t.Fatalf("%s is not installed (Debian: apt-get install %s)", name, install)
	return ""
}

func write(t *testing.T, dir, name, text string) string {
	t.Helper()
	file := filepath.Join(dir, name)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// newCertificate makes one for a name that is signed by nobody.
func newCertificate(t *testing.T, dir, host string) (certificate, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	wanted := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{host}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, wanted, wanted, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	block := func(kind string, der []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
	}
	return write(t, dir, "site.crt", block("CERTIFICATE", der)), write(t, dir, "site.key", block("PRIVATE KEY", pkcs8))
}

// front starts a proxy and waits until it listens.
func front(t *testing.T, cmd *exec.Cmd, address string) {
	t.Helper()
	p := start(t, cmd)
	if !eventually(func() bool {
		select {
		case <-p.ended:
			t.Fatalf("%s ended at start:\n%s", cmd.Path, strings.Join(p.output(), "\n"))
		default:
		}
		conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(t.Context(), "tcp", address)
		if err != nil {
			return false
		}
		return conn.Close() == nil
	}) {
		t.Fatalf("%s does not listen", cmd.Path)
	}
}
