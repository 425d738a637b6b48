package ledger

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
)

// Bounds of what waits in memory while the disk takes nothing.
const (
	maxPending      = 20_000  // records
	maxPendingBytes = 8 << 20 // of their payloads
)

// A waiting record could not be written yet.
type waiting struct {
	serial  serial
	record  []byte
	durable bool
}

// pending holds records in the order in which they were appended.
type pending struct {
	records []waiting
	bytes   int
}

// add takes a record in, if need be in the place of the oldest that need not be
// durable. It reports false if there is none.
func (p *pending) add(w waiting) bool {
	for len(p.records) >= maxPending || p.bytes+len(w.record) > maxPendingBytes {
		i := slices.IndexFunc(p.records, func(w waiting) bool { return !w.durable })
		if i < 0 {
			return false
		}
		p.bytes -= len(p.records[i].record)
		p.records = slices.Delete(p.records, i, i+1)
	}
	p.bytes += len(w.record)
	p.records = append(p.records, w)
	return true
}

// Append appends a record of at most MaxRecord bytes. With durable it, and all
// before it, survive a power cut once Append has returned nil; without, they
// survive the end of the process.
//
// After an error of the disk the record is kept in memory, and written in its
// order by the next Append or Retry that succeeds; the error says so if there
// was no room left for it even there. What waits is bounded: the oldest records
// that need not be durable make room.
func (l *Ledger) Append(record []byte, durable bool) error {
	if len(record) > MaxRecord {
		return fmt.Errorf("append to the journal: a record of %d bytes is over the limit of %d", len(record), MaxRecord)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return fmt.Errorf("append to the journal: %w", os.ErrClosed)
	}
	l.last.n++
	w := waiting{serial: l.last, record: slices.Clone(record), durable: durable}
	if l.pending.add(w) {
		return l.flush(false)
	}
	err := l.flush(false)
	if l.pending.add(w) { // it has made room
		if err == nil {
			err = l.flush(false)
		}
		return err
	}
	return fmt.Errorf("no room in memory for one more record that waits, it is lost: %w", err)
}

// Retry tries to write the records that wait.
func (l *Ledger) Retry() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return fmt.Errorf("write the journal: %w", os.ErrClosed)
	}
	return l.flush(false)
}

// Pending is how many records wait in memory because the disk took them not.
func (l *Ledger) Pending() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.pending.records)
}

// flush writes what waits, and makes it durable if one of the records has to
// be, or all do.
func (l *Ledger) flush(all bool) error {
	if len(l.pending.records) == 0 && !all {
		return nil
	}
	done, durable, size := 0, all, 0
	fresh := l.journal == nil
	var failed error
	for _, w := range l.pending.records {
		if failed = l.write(w); failed != nil {
			break
		}
		done++
		durable = durable || w.durable
		size += len(w.record)
	}
	if durable && (done > 0 || all) {
		if err := l.sync(); err != nil {
			// What the kernel could not write it may have thrown away, and the
			// next sync would not say so. Hence another file, and in it again
			// all that was not known to be safe: by its serial it counts once.
			l.abandon(fresh)
			return err
		}
	}
	if l.journal != nil && l.journal.torn {
		l.abandon(fresh && done == 0)
	}
	l.pending.bytes -= size
	l.pending.records = slices.Delete(l.pending.records, 0, done)
	if len(l.pending.records) == 0 {
		l.pending.records = nil // what an outage took is given back
	}
	return failed
}

// abandon goes on to another journal. One that holds nothing but what waits is
// removed, so that a disk that stays bad does not fill up with them.
func (l *Ledger) abandon(fresh bool) {
	l.journal.file.Close()
	if fresh {
		l.remove(l.journal.name)
	}
	l.journal = nil
	l.generation++
}

// write writes one record into the journal, which it makes if need be.
func (l *Ledger) write(w waiting) error {
	if l.journal == nil {
		j, err := l.create()
		for errors.Is(err, fs.ErrExist) { // what a failure before could not remove
			l.generation++
			j, err = l.create()
		}
		if err != nil {
			return err
		}
		l.journal = j
	}
	return l.journal.write(appendRecord(make([]byte, 0, prologueSize+len(w.record)), w.serial, w.record))
}

// sync makes the journals durable, older ones first.
func (l *Ledger) sync() error {
	if err := l.retired.sync(); err != nil {
		l.log.Warn("records of the journal may not survive a power cut", "err", err)
	}
	if l.journal == nil {
		return nil
	}
	if err := l.journal.sync(); err != nil {
		return err
	}
	if l.journal.named {
		return nil
	}
	if err := l.syncFolder(); err != nil {
		return err
	}
	l.journal.named = true
	return nil
}
