package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// child is a gateway in a process of its own, on the second processor.
type child struct{ cmd *exec.Cmd }

func (c *child) pid() int { return c.cmd.Process.Pid }

func (c *child) stop() {
	_ = c.cmd.Process.Signal(syscall.SIGTERM)
	_ = c.cmd.Wait()
}

// startChild runs a command on one processor and waits until ready says so.
func startChild(ctx context.Context, cmd *exec.Cmd, processor int, ready func() bool) (*child, error) {
	// GOMAXPROCS follows the affinity by itself; it is set so that this shows in a listing.
	cmd.Env = append(os.Environ(), "GOMAXPROCS=1")
	if cmd.Stderr == nil {
		cmd.Stderr = os.Stderr
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	c := &child{cmd}
	if err := pinAll(c.pid(), processor); err != nil {
		c.stop()
		return nil, err
	}
	for end := time.Now().Add(20 * time.Second); !ready(); {
		if time.Now().After(end) || ctx.Err() != nil {
			c.stop()
			return nil, fmt.Errorf("%s does not answer", cmd.Path)
		}
		time.Sleep(20 * time.Millisecond)
	}
	return c, pinAll(c.pid(), processor) // threads that were born meanwhile
}

// pinSelf keeps this process, and with it client and upstream, on one processor.
func pinSelf(processor int) error { return pinAll(os.Getpid(), processor) }

// pinAll sets the affinity of every thread of a process; later threads inherit it.
func pinAll(pid, processor int) error {
	var set unix.CPUSet
	set.Set(processor)
	threads, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	if err != nil {
		return err
	}
	for _, t := range threads {
		tid, err := strconv.Atoi(t.Name())
		if err != nil {
			return err
		}
		if err := unix.SchedSetaffinity(tid, &set); err != nil && !errors.Is(err, unix.ESRCH) {
			return fmt.Errorf("pinning to processor %d: %w", processor, err)
		}
	}
	return nil
}

// processorTime is user and system time of a process so far, to the nanosecond: the first
// field of each thread's schedstat. The ticks of /proc/PID/stat are 10 ms, too coarse.
func processorTime(pid int) (total time.Duration, err error) {
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	if err != nil || len(threads) == 0 {
		return 0, fmt.Errorf("process %d is gone", pid)
	}
	for _, name := range threads {
		text, err := os.ReadFile(name)
		if err != nil {
			return 0, err
		}
		ns, err := strconv.ParseInt(strings.Fields(string(text))[0], 10, 64)
		if err != nil {
			return 0, err
		}
		total += time.Duration(ns)
	}
	return total, nil
}

// residentMemory is VmRSS of a process, in bytes.
func residentMemory(pid int) (int64, error) {
	f, err := os.Open(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if rest, ok := strings.CutPrefix(lines.Text(), "VmRSS:"); ok {
			kb, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")), 10, 64)
			return kb * 1024, err
		}
	}
	return 0, errors.New("no VmRSS")
}
