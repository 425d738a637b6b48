package source

import (
	"context"
	"os"
	"slices"
	"sync"
	"time"
)

// A Line is one line of a log that is still being written.
type Line struct {
	// Text has no \n and is never half a line. It is valid until the
	// callback returns.
	Text []byte

	// Seq numbers the lines. The next line of the same log has the next
	// number; a larger step says that something lies between the two: a line
	// that was dropped, a gap, or that they come from two files of which one
	// is still being written to after it was renamed. Only neighbours by
	// number are neighbours for "last message repeated".
	Seq uint64

	// Position is the place behind the line, to be saved with what the line did.
	Position Position

	// Old says that the line had been written before Run began.
	Old bool
}

// A Source is a log that is followed: [NewFile] or [NewJournal].
type Source interface {
	// Name is the path of the file, or "journal" and what is read of it.
	Name() string

	// Run hands each line behind from to fn, in order, in its own goroutine,
	// until ctx ends (nil) or fn returns an error (that error). Nothing that
	// happens to the log ends it; [Status] says what did. It is called once.
	Run(ctx context.Context, from Position, fn func(Line) error) error

	// Status may be called at any time by any goroutine.
	Status() Status
}

// A State says what a source is doing.
type State string

// The states.
const (
	Idle         State = "not running"
	CatchingUp   State = "catching up"
	Following    State = "following"
	Waiting      State = "waiting for the file"
	NoPermission State = "no permission"
	Failing      State = "failing" // an alarm says why
)

// Status is how a source is doing.
type Status struct {
	State    State
	File     string    // the file being read; "" for the journal
	LastLine time.Time // when the newest line was read, wall clock; zero: none yet
	Lag      int64     // bytes still to be read, compressed files as they lie on disk; -1: not known
	Looked   time.Time // what had been written by then was read, wall clock; zero: not yet, or not known

	Lines       uint64 // delivered
	Long        uint64 // dropped because they were too long
	Partial     uint64 // dropped because their end was never written
	Refused     uint64 // entries of the journal that were not written by whom they say
	Rotations   uint64 // another file took the path
	Truncations uint64 // the file was emptied in place (copytruncate)
	Restarts    uint64 // of journalctl
	Polling     bool   // growth is looked for by the clock: no inotify for this file

	Alarms []Alarm // oldest first

	// Begin is where a source began that had no position and was to begin at
	// the end; zero before it has. Until the first line it is the position.
	Begin Position
}

// An AlarmKind is what an [Alarm] is about.
type AlarmKind string

// The kinds. Gap, Damaged and Forged tell of something that has happened and
// stay for as long as the source runs; the others go when the trouble does.
const (
	Gap        AlarmKind = "gap"        // lines are gone that were never read
	Damaged    AlarmKind = "damaged"    // a rotated file could not be read to its end
	Missing    AlarmKind = "missing"    // there is no such file
	Permission AlarmKind = "permission" // the file cannot be opened
	NotFile    AlarmKind = "not-file"   // the path is a directory, a pipe or the like
	Unreadable AlarmKind = "unreadable" // another error of the file system
	Journal    AlarmKind = "journal"    // journalctl does not run
	Forged     AlarmKind = "forged"     // entries are refused: their sender is not who they name
)

// An Alarm is something an operator should know of.
type Alarm struct {
	Kind AlarmKind
	Text string
	At   time.Time // since when
}

// SameFile says whether two paths name one file.
func SameFile(a, b string) bool {
	x, err := os.Stat(a)
	if err != nil {
		return false
	}
	y, err := os.Stat(b)
	return err == nil && os.SameFile(x, y)
}

// A board holds the status of a source that is running.
type board struct {
	mu     sync.Mutex
	status Status
	now    func() time.Time
}

// maxEvents is how many alarms of one kind are remembered: the newest.
const maxEvents = 8

func (b *board) Status() Status {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.status
	s.Alarms = slices.Clone(s.Alarms)
	return s
}

func (b *board) update(change func(*Status)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	change(&b.status)
}

// event notes something that has happened.
func (b *board) event(kind AlarmKind, text string) {
	b.update(func(s *Status) {
		same := 0
		for _, a := range s.Alarms {
			if a.Kind == kind {
				same++
			}
		}
		if same >= maxEvents {
			i := slices.IndexFunc(s.Alarms, func(a Alarm) bool { return a.Kind == kind })
			s.Alarms = slices.Delete(s.Alarms, i, i+1)
		}
		s.Alarms = append(s.Alarms, Alarm{Kind: kind, Text: text, At: b.now()})
	})
}

// raise notes trouble that lasts until clear.
func (b *board) raise(kind AlarmKind, text string) {
	b.update(func(s *Status) {
		if i := slices.IndexFunc(s.Alarms, func(a Alarm) bool { return a.Kind == kind }); i >= 0 {
			s.Alarms[i].Text = text
			return
		}
		s.Alarms = append(s.Alarms, Alarm{Kind: kind, Text: text, At: b.now()})
	})
}

func (b *board) clear(kinds ...AlarmKind) {
	b.update(func(s *Status) {
		s.Alarms = slices.DeleteFunc(s.Alarms, func(a Alarm) bool { return slices.Contains(kinds, a.Kind) })
	})
}
