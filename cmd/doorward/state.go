package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync/atomic"

	"github.com/doorward/doorward/edge"
	"github.com/doorward/doorward/internal/config"
	"github.com/doorward/doorward/internal/seal"
	"github.com/doorward/doorward/proxy"
	"github.com/doorward/doorward/sessions/store"
)

// Names in state_dir.
const (
	databaseFile = "doorward.db" // the bolt store
	keyFile      = "keys"        // made at the first start, unless sessions.keys says otherwise
)

// state is what outlives a configuration: the stores, and the keys of a process that was
// given none. A reload keeps it.
type state struct {
	sessions store.Store // nil where sessions live in their cookies
	shared   store.Store
	keys     [][]byte // made here; nil if the configuration brings its own

	serving atomic.Pointer[graph] // that answers requests by now; nil = each its own

	watching watching
}

// gateway is the public side that answers requests by now, nil if there is none. Streams that began under another
// configuration go on by its rules.
func (st *state) gateway(own *graph) *proxy.Gateway {
	if now := st.serving.Load(); now != nil {
		return now.gateway
	}
	return own.gateway
}

// egress is the same of the outbound side.
func (st *state) egress(own *graph) *proxy.Egress {
	if now := st.serving.Load(); now != nil {
		return now.egress
	}
	return own.egress
}

// openState opens what the configuration names and nothing else: with sessions and shared
// in memory no directory is needed.
func openState(c *config.Config, log *slog.Logger) (*state, error) {
	st := &state{}
	if err := st.open(c, log); err != nil {
		st.close()
		return nil, fmt.Errorf("state_dir %s: %w", c.StateDir, err)
	}
	return st, nil
}

func (st *state) open(c *config.Config, log *slog.Logger) error {
	onDisk := c.Store == "bolt" || c.Shared == "bolt"
	stores := map[string]store.Store{"memory": store.NewMemory(store.MemoryConfig{}, store.Deps{Log: log})}
	if onDisk {
		if err := os.MkdirAll(c.StateDir, 0o700); err != nil {
			return explain(err)
		}
		disk, err := store.OpenBolt(store.BoltConfig{Path: filepath.Join(c.StateDir, databaseFile)}, store.Deps{Log: log})
		if err != nil {
			return explain(err)
		}
		stores["bolt"] = disk
	}
	st.sessions = stores[c.Store] // nil with "cookie"
	st.shared = stores[c.Shared]
	if len(c.Keys) > 0 {
		return nil
	}
	return st.makeKeys(c, onDisk)
}

// makeKeys finds or makes the keys of a process that the configuration gives none. What
// ends with the process needs no key that outlives it.
func (st *state) makeKeys(c *config.Config, onDisk bool) (err error) {
	if onDisk {
		st.keys, err = seal.LoadOrCreate(filepath.Join(c.StateDir, keyFile))
		return explain(err)
	}
	key := make([]byte, seal.KeySize)
	_, _ = rand.Read(key) // never fails: it ends the process instead
	st.keys = [][]byte{key}
	return nil
}

// explain adds what to do to the errors that a first start meets.
func explain(err error) error {
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("%w; make the directory writable for this user, or set state_dir (or $STATE_DIRECTORY) to one that is", err)
	}
	return err
}

// ring makes the key ring of a configuration.
func (st *state) ring(configured [][]byte) (*seal.Ring, error) {
	keys := configured
	if len(keys) == 0 {
		keys = st.keys
	}
	if len(keys) == 0 { // a reload took sessions.keys away
		return nil, configError("sessions.keys", errors.New("they cannot be removed while the process runs; restart it"))
	}
	ring, err := seal.New(keys...)
	if err != nil {
		return nil, configError("sessions.keys", err)
	}
	return ring, nil
}

// checks asks the stores for /readyz.
func (st *state) checks(ctx context.Context) (checks []edge.Check) {
	ask := func(name string, s store.Store) {
		if s == nil {
			return
		}
		c := edge.Check{Name: name, OK: true}
		if _, err := s.Get(ctx, "readyz"); err != nil {
			c.OK, c.Error = false, err.Error()
		}
		checks = append(checks, c)
	}
	ask("session store", st.sessions)
	ask("shared store", st.shared)
	return checks
}

func (st *state) close() {
	st.watching.tracer.Close()
	for _, s := range []store.Store{st.sessions, st.shared} {
		if s != nil {
			_ = s.Close()
		}
	}
}
