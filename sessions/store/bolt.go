package store

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
)

// BoltConfig names the file of a bolt store.
type BoltConfig struct {
	Path string // made (0600) if missing, as is its directory (0700)
	// MaxBytes is how large the file may become; 0: 4 GiB. When it is reached, writes that
	// need more fail with ErrUnavailable until entries end. The file never shrinks: what
	// ended entries leave is used again.
	MaxBytes int64
}

const (
	defaultBolt = 4 << 30
	lockWait    = 3 * time.Second
	sweepEvery  = 10 * time.Second
)

// Bolt is a store in one file, for one process at a time. Every write that was answered
// without an error survives the end of the process at any instant, and of the machine as
// far as its disk keeps what it synced.
type Bolt struct {
	deps     Deps
	path     string
	max      int
	db       *bbolt.DB
	watchers watchers

	writes    chan *write // unbuffered: what was received is answered
	broken    atomic.Bool // bbolt panicked while it wrote, and may hold its locks for ever
	closeOnce sync.Once
	closing   chan struct{}
	stopped   chan struct{}
}

var _ Store = (*Bolt)(nil)

// OpenBolt opens or makes the file. It waits three seconds for another process to leave
// it. A file that is damaged or belongs to something else is an error, and isn't changed.
func OpenBolt(c BoltConfig, d Deps) (*Bolt, error) {
	if err := os.MkdirAll(filepath.Dir(c.Path), 0o700); err != nil {
		return nil, fmt.Errorf("session store: %w", err)
	}
	db, err := openFile(c)
	if err != nil {
		return nil, fmt.Errorf("session store: %w", err)
	}
	b := &Bolt{
		deps: d.withDefaults(), path: c.Path, max: limit(c), db: db,
		writes: make(chan *write), closing: make(chan struct{}), stopped: make(chan struct{}),
	}
	go b.writer()
	return b, nil
}

// openFile turns bbolt's panics over a damaged file, and the fault of reading behind the
// end of a truncated one, into errors.
func openFile(c BoltConfig) (db *bbolt.DB, err error) {
	var file *os.File
	defer func() {
		if err == nil {
			return
		}
		if db != nil {
			_ = db.Close()
		} else if file != nil {
			_ = file.Close() // which bbolt leaves open when it panics
		}
		db = nil
	}()
	defer recovered(&err, func(cause any) error {
		return fmt.Errorf("%s is damaged (%v); %s", c.Path, cause, moveAway)
	})()
	db, err = bbolt.Open(c.Path, 0o600, &bbolt.Options{
		Timeout: lockWait,
		// The list of free pages is kept in the file: without it, bbolt walks the whole file
		// at the start and after each rollback, and panics out of reach if it is damaged.
		FreelistType: bbolt.FreelistMapType,
		MaxSize:      limit(c),
		NoStatistics: true,
		OpenFile: func(name string, flag int, mode os.FileMode) (*os.File, error) {
			var err error
			file, err = openPrivate(name, flag, mode)
			return file, err
		},
	})
	var system syscall.Errno
	switch {
	case err == nil:
		return db, prepare(db)
	case err == bolterrors.ErrTimeout:
		return nil, fmt.Errorf("%s is used by another process, and only one can use it at a time; stop the other one or give this one a place of its own", c.Path)
	case errors.As(err, &system):
		return nil, fmt.Errorf("%s: %w", c.Path, err)
	}
	return nil, fmt.Errorf("%s is damaged or no file of Doorward's (%w); %s", c.Path, err, moveAway)
}

func limit(c BoltConfig) int {
	if c.MaxBytes <= 0 {
		c.MaxBytes = defaultBolt
	}
	return int(min(c.MaxBytes, math.MaxInt-spare))
}

const moveAway = "move it away and start again: a new one is made, and everybody signs in again"

// openPrivate takes from others what an earlier umask or copy gave them.
func openPrivate(name string, flag int, mode os.FileMode) (*os.File, error) {
	f, err := os.OpenFile(name, flag, mode)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && info.Mode().Perm()&0o077 != 0 {
		err = f.Chmod(0o600)
	}
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}

// recovered sets *err if the function that defers its result panics or reads memory that
// the file no longer backs.
func recovered(err *error, say func(cause any) error) func() {
	before := debug.SetPanicOnFault(true)
	return func() {
		debug.SetPanicOnFault(before)
		if cause := recover(); cause != nil {
			*err = say(cause)
		}
	}
}

// view runs read in a transaction of its own, which sees one state of the whole store.
func (b *Bolt) view(ctx context.Context, read func(t tables) error) (err error) {
	if err := checkContext(ctx); err != nil {
		return err
	}
	if b.broken.Load() {
		return b.damaged(errBroken)
	}
	defer recovered(&err, b.damaged)()
	return b.unavailable(b.db.View(func(tx *bbolt.Tx) error { return read(tablesOf(tx)) }))
}

var errBroken = errors.New("found when it was written")

func (b *Bolt) damaged(cause any) error {
	return fmt.Errorf("%w: %s is damaged (%v); stop, %s", ErrUnavailable, b.path, cause, moveAway)
}

// unavailable wraps everything that bbolt or the disk refuse.
func (b *Bolt) unavailable(err error) error {
	switch err {
	case nil:
		return nil
	case bolterrors.ErrDatabaseNotOpen:
		return errClosed
	}
	return fmt.Errorf("%w: %s: %w", ErrUnavailable, b.path, err)
}

// Watch implements [Store].
func (b *Bolt) Watch(ctx context.Context, prefix string, changed func(key string)) error {
	if err := checkContext(ctx); err != nil {
		return err
	}
	select {
	case <-b.closing:
		return errClosed
	default:
	}
	b.watchers.add(ctx, prefix, changed)
	return nil
}

// Close implements [Store]. It lets what is being written be finished.
func (b *Bolt) Close() error {
	var err error
	b.closeOnce.Do(func() {
		close(b.closing)
		<-b.stopped
		b.watchers.end()
		if !b.broken.Load() {
			err = b.db.Close()
		}
	})
	if err != nil {
		return fmt.Errorf("session store: %s: %w", b.path, err)
	}
	return nil
}
