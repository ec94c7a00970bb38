package store_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/sessions/store"
)

// writerFile makes a process of this test binary write to that file until it is killed.
const writerFile = "DOORWARD_TEST_WRITER_FILE"

func TestMain(m *testing.M) {
	if path := os.Getenv(writerFile); path != "" {
		writeForEver(path)
	}
	os.Exit(m.Run())
}

func TestKill9LosesNothingThatWasAcknowledged(t *testing.T) {
	path := filepath.Join(t.TempDir(), "b.db")
	acknowledged := make(map[string]bool)
	count := make(map[string]int)
	for round := range 5 {
		for _, line := range killed(t, path, 50+37*round) {
			kind, _, _ := strings.Cut(line, " ")
			count[kind]++
			acknowledged[line] = true
		}
		b := must(store.OpenBolt(store.BoltConfig{Path: path}, store.Deps{}))(t)
		for line := range acknowledged {
			kind, key, _ := strings.Cut(line, " ")
			if kind == "add" {
				continue
			}
			item := must(b.Get(t.Context(), key))(t)[0]
			if want := map[string]string{"put": key}[kind]; string(item.Value) != want {
				t.Fatalf("round %d: %q was acknowledged, and the file has %.20q", round, line, item.Value)
			}
		}
		sum := must(b.Add(t.Context(), "counter", 0, time.Hour))(t)
		if most := count["add"] + round + 1; int(sum) < count["add"] || int(sum) > most { // one in flight at each kill
			t.Fatalf("round %d: the counter is %d; %d Adds were acknowledged", round, sum, count["add"])
		}
		if listed := len(must(b.List(t.Context(), "all", "", 1<<20))(t)); listed < count["put"] {
			t.Fatalf("round %d: the index lists %d keys of at least %d", round, listed, count["put"])
		}
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if count["put"] == 0 || count["add"] == 0 || count["take"] == 0 {
		t.Fatalf("the writer did not do everything: %v", count)
	}
}

// killed runs a writer, kills it after so many lines and returns all that it acknowledged.
func killed(t *testing.T, path string, after int) (lines []string) {
	t.Helper()
	cmd := exec.Command(must(os.Executable())(t))
	cmd.Env = append(os.Environ(), writerFile+"="+path)
	cmd.Stderr = os.Stderr
	out := must(cmd.StdoutPipe())(t)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for scan := bufio.NewScanner(out); scan.Scan(); {
		lines = append(lines, scan.Text())
		if len(lines) == after {
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	_ = cmd.Wait() // "signal: killed"
	if len(lines) < after {
		t.Fatalf("the writer ended by itself after %d lines", len(lines))
	}
	return lines
}

// writeForEver prints a line after each write that was acknowledged. Lines are shorter
// than a pipe's atomic write.
func writeForEver(path string) {
	fail := func(err error) {
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	ctx := context.Background()
	b, err := store.OpenBolt(store.BoltConfig{Path: path}, store.Deps{})
	fail(err)
	go func() {
		for {
			_, err := b.Add(ctx, "counter", 1, time.Hour)
			fail(err)
			fmt.Println("add")
		}
	}()
	for writer := range 3 {
		go func() {
			for i := 0; ; i++ {
				key := fmt.Sprintf("%d.%d.%d", os.Getpid(), writer, i)
				fail(b.Put(ctx, key, []byte(key), time.Hour, "all"))
				if i%3 != 0 {
					fmt.Println("put " + key)
					continue
				}
				_, _, err := b.Take(ctx, key)
				fail(err)
				fmt.Println("take " + key)
			}
		}()
	}
	select {}
}
