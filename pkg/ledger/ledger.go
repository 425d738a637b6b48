// Package ledger holds the files that make state survive: a checksummed
// snapshot, and beside it a small append-only journal of what has come since.
// It knows bytes only. What a snapshot or a record means is the caller's.
//
// A snapshot has a generation, and so has a journal: journal.7 holds what was
// appended after snapshot.7 was begun. The snapshot before, and the journals
// since, are kept, so that a damaged snapshot.7 costs nothing: snapshot.6,
// journal.6 and journal.7 give the same state. A generation may lack its
// snapshot (it was given up, or this process began with it) or its journal
// (nothing was appended).
//
// Every record has a serial, and a snapshot the serial of the newest record it
// holds. So a record that had to wait for room on the disk may be written late,
// and one whose writing failed half-way twice: it counts once.
package ledger

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// ErrInUse says that another process has the folder open.
var ErrInUse = errors.New("another postmoat uses it")

// Options are what a Ledger is opened with.
type Options struct {
	Now func() time.Time // the clock, for the time of snapshots; default time.Now
	Log *slog.Logger     // for what is no error but worth a line; default none
}

// A Ledger is a folder of state, open for writing. Its methods may be called
// from several goroutines.
type Ledger struct {
	folder string
	now    func() time.Time
	log    *slog.Logger
	lock   *os.File // the folder itself, locked and synced through this

	mu         sync.Mutex
	closed     bool
	generation uint64   // of the journal that is appended to
	journal    *journal // nil: not made yet
	retired    *journal // of the generation before, until the snapshot that is being written is done
	writing    bool     // there is a snapshot that is neither committed nor aborted
	last       serial   // of the newest record
	pending    pending
}

// Open opens the state in a folder, which must exist, and takes it for this
// process alone: where another has it, the error is ErrInUse. It removes
// temporary files that a crash left, and refuses a folder that cannot be
// written to, but not a full one.
func Open(folder string, o Options) (*Ledger, error) {
	l := &Ledger{folder: folder, now: o.Now, log: o.Log}
	if l.now == nil {
		l.now = time.Now
	}
	if l.log == nil {
		l.log = slog.New(slog.DiscardHandler)
	}
	if err := l.open(); err != nil {
		if l.lock != nil {
			l.lock.Close()
		}
		return nil, fmt.Errorf("state folder %s: %w", folder, err)
	}
	return l, nil
}

func (l *Ledger) open() error {
	info, err := os.Stat(l.folder)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return errors.New("not there: make it, owned by the user that postmoat runs as, with mode 0700")
	case err != nil:
		return bare(err)
	case !info.IsDir():
		return errors.New("not a folder")
	}
	if l.lock, err = os.Open(l.folder); err != nil {
		return bare(err)
	}
	switch err := syscall.Flock(int(l.lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); {
	case errors.Is(err, syscall.EWOULDBLOCK):
		return ErrInUse
	case err != nil:
		// A file system without locks; a second process is the operator's to avoid.
		l.log.Warn("the state folder cannot be locked", "folder", l.folder, "err", err)
	}
	if err := probe(l.folder); err != nil {
		return err
	}
	have, err := list(l.folder)
	if err != nil {
		return bare(err)
	}
	for _, name := range have.temps {
		l.remove(name)
	}
	// A journal is never appended to by a second process: its tail may be torn.
	if have.any {
		l.generation = have.highest + 1
	}
	l.last = serial{epoch: l.generation}
	return nil
}

// Close writes the records that wait, makes all durable, and lets the folder
// go. A snapshot that is neither committed nor aborted must not be used after.
func (l *Ledger) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil
	}
	err := l.flush(true)
	if n := len(l.pending.records); n > 0 {
		err = fmt.Errorf("%d records of the journal are lost: %w", n, err)
	}
	l.closed = true
	err = errors.Join(err, l.journal.close(), l.retired.close())
	l.journal, l.retired = nil, nil
	l.lock.Close() // and with it the lock
	return err
}

// path is the path of a file of the ledger.
func (l *Ledger) path(kind string, generation uint64) string {
	return filepath.Join(l.folder, fileName(kind, generation))
}
