package e2e

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// process is a program under test: its output is kept, and it never outlives its test.
type process struct {
	cmd   *exec.Cmd
	stdin io.WriteCloser
	ended chan struct{} // closed once it has been waited for

	mu    sync.Mutex
	lines []string
	grown chan struct{} // closed and replaced whenever a line arrives
}

// start runs a command for one test. What it wrote is shown when the test fails.
func start(t *testing.T, cmd *exec.Cmd) *process {
	t.Helper()
	p, err := launch(cmd)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.stop(t)
		if t.Failed() {
			t.Logf("%s wrote:\n%s", cmd.Path, strings.Join(p.output(), "\n"))
		}
	})
	return p
}

// launch runs a command, which somebody must end.
func launch(cmd *exec.Cmd) (*process, error) {
	p := &process{cmd: cmd, ended: make(chan struct{}), grown: make(chan struct{})}
	// If go test itself is killed, so is the program.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	read, write := io.Pipe()
	cmd.Stdout, cmd.Stderr = write, write
	var err error
	if p.stdin, err = cmd.StdinPipe(); err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting %s: %w", cmd.Path, err)
	}
	var reading sync.WaitGroup
	reading.Go(func() { p.collect(read) })
	go func() {
		_ = cmd.Wait()
		_ = write.Close()
		reading.Wait()
		close(p.ended)
	}()
	return p, nil
}

func (p *process) collect(r io.Reader) {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		p.mu.Lock()
		p.lines = append(p.lines, lines.Text())
		close(p.grown)
		p.grown = make(chan struct{})
		p.mu.Unlock()
	}
	_, _ = io.Copy(io.Discard, r)
}

// output is every line written so far.
func (p *process) output() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string(nil), p.lines...)
}

// waitLine waits until a line satisfies match.
func (p *process) waitLine(t *testing.T, what string, match func(line string) bool) {
	t.Helper()
	deadline := time.After(3 * patience) // to start a program takes a busy machine longer than anything else here
	for {
		p.mu.Lock()
		lines, grown := p.lines, p.grown
		p.mu.Unlock()
		for _, line := range lines {
			if match(line) {
				return
			}
		}
		select {
		case <-grown:
		case <-p.ended:
			t.Fatalf("%s ended while waiting for: %s", p.cmd.Path, what)
		case <-deadline:
			t.Fatalf("%s: waited in vain for: %s", p.cmd.Path, what)
		}
	}
}

// stop ends the process as an operator would, and waits until it has ended.
func (p *process) stop(t *testing.T) {
	t.Helper()
	if err := p.end(); err != nil {
		t.Error(err)
	}
}

func (p *process) end() error {
	select {
	case <-p.ended:
		return nil
	default:
	}
	_ = p.stdin.Close()
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.ended:
		return nil
	case <-time.After(patience):
		_ = p.cmd.Process.Kill()
		<-p.ended
		return fmt.Errorf("%s did not end within %s of SIGTERM", p.cmd.Path, patience)
	}
}

// freePort returns a loopback port that nobody listens on. Two programs must know of each
// other's ports before either is started, so they cannot choose their own. It lies below those
// that the system gives to whoever asks for any, so that no other listener gets it meanwhile.
func freePort(t *testing.T) int {
	t.Helper()
	port, err := anyFreePort()
	if err != nil {
		t.Fatal(err)
	}
	return port
}

func anyFreePort() (int, error) {
	for range 100 {
		port := 20000 + rand.IntN(10000)
		if l, err := new(net.ListenConfig).Listen(context.Background(), "tcp", fmt.Sprintf("127.0.0.1:%d", port)); err == nil {
			_ = l.Close()
			return port, nil
		}
	}
	return 0, errors.New("no port is free")
}
