package ledger

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"os"

	"github.com/google/renameio/v2"
)

// A Snapshot is being written. It is for one goroutine at a time, which need
// not be the one that appends to the journal. It ends with Commit or Abort.
type Snapshot struct {
	ledger     *Ledger
	generation uint64
	file       *renameio.PendingFile
	buf        *bufio.Writer
	sum        hash.Hash32
	length     uint64 // of the payload so far
	err        error  // the first one; the temporary file is gone then
	done       bool
}

// Begin starts a snapshot: records appended from now on belong to the time
// after it. What is written to it must be the state as it is now. There is one
// at a time. After an error everything is as before.
func (l *Ledger) Begin() (*Snapshot, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.closed:
		return nil, fmt.Errorf("begin a snapshot: %w", os.ErrClosed)
	case l.writing:
		return nil, errors.New("begin a snapshot: the one before is still being written")
	}
	g := l.generation + 1
	f, err := renameio.NewPendingFile(l.path(snapshotName, g), renameio.WithTempDir(l.folder), renameio.WithStaticPermissions(0o600))
	if err != nil {
		return nil, fmt.Errorf("begin %s: %w", fileName(snapshotName, g), bare(err))
	}
	s := &Snapshot{ledger: l, generation: g, file: f, sum: crc32.New(castagnoli())}
	s.buf = bufio.NewWriterSize(f, 256<<10)
	head := header{generation: g, serial: l.last, at: l.now()}.appendTo(nil, snapshotMagic)
	s.sum.Write(head)
	s.buf.Write(head) // an error stays in buf

	l.writing = true
	l.generation = g
	l.retired, l.journal = l.journal, nil
	return s, nil
}

// Write adds to the payload. It is buffered: an error may come with a later
// Write, or with Commit, and then ends the snapshot as Abort does.
func (s *Snapshot) Write(p []byte) (int, error) {
	if s.err == nil && s.done {
		return 0, s.wrap(os.ErrClosed)
	}
	if s.err != nil {
		return 0, s.err
	}
	n, err := s.buf.Write(p)
	s.sum.Write(p[:n])
	s.length += uint64(n)
	if err != nil {
		return n, s.fail(err)
	}
	return n, nil
}

// Commit makes the snapshot durable, and the one that Recover finds; then it
// removes what that makes superfluous. The snapshot before and the journals
// since stay: they are the fallback. After an error the snapshots that were
// there are as before, and nothing is left of this one; but where the folder
// alone could not be synced it is in place, and may not survive a power cut.
func (s *Snapshot) Commit() error {
	if s.err != nil {
		return s.err
	}
	if s.done {
		return s.wrap(os.ErrClosed)
	}
	s.ledger.retire()
	trailer := binary.LittleEndian.AppendUint64(nil, s.length)
	s.sum.Write(trailer)
	trailer = binary.LittleEndian.AppendUint32(trailer, s.sum.Sum32())
	if _, err := s.buf.Write(trailer); err != nil {
		return s.fail(err)
	}
	if err := s.buf.Flush(); err != nil {
		return s.fail(err)
	}
	if err := s.file.CloseAtomicallyReplace(); err != nil {
		return s.fail(err)
	}
	s.done = true
	err := s.ledger.syncFolder()
	if err == nil {
		s.ledger.prune(s.generation)
	} else {
		err = s.wrap(err)
	}
	s.ledger.release()
	return err
}

// Abort gives the snapshot up and removes its temporary file. After Commit, or
// an error, it does nothing.
func (s *Snapshot) Abort() {
	if s.done {
		return
	}
	s.discard()
	s.ledger.retire()
	s.ledger.release()
}

// fail ends the snapshot with an error.
func (s *Snapshot) fail(err error) error {
	s.err = s.wrap(bare(err))
	s.discard()
	s.ledger.release()
	return s.err
}

func (s *Snapshot) discard() {
	s.done = true
	if err := s.file.Cleanup(); err != nil {
		s.ledger.log.Warn("a temporary state file is left", "file", s.file.Name(), "err", bare(err))
	}
}

func (s *Snapshot) wrap(err error) error {
	return fmt.Errorf("write %s: %w", fileName(snapshotName, s.generation), err)
}

// retire makes the journal from before the snapshot durable, without holding up
// who appends. It is only needed if the snapshot turns out damaged later, so an
// error does not stop it.
func (l *Ledger) retire() {
	l.mu.Lock()
	j := l.retired
	if j == nil || j.synced {
		l.mu.Unlock()
		return
	}
	l.mu.Unlock()
	err := j.file.Sync()
	l.mu.Lock()
	defer l.mu.Unlock()
	j.synced = err == nil
	if err != nil {
		l.log.Warn("records of the journal may not survive a power cut", "file", j.name, "err", bare(err))
	}
}

// release ends the time of a snapshot.
func (l *Ledger) release() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.retired.close(); err != nil {
		l.log.Warn("records of the journal may not survive a power cut", "err", err)
	}
	l.retired = nil
	l.writing = false
}
