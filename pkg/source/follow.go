package source

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"time"
)

// A Start says where a source begins that has no saved position.
type Start uint8

// The beginnings.
const (
	FromEnd     Start = iota // with the first line that is completed after the start
	FromStart                // with the first line of the file, as it is now
	FromHistory              // with the first line of the oldest rotated file that is there
)

// FileOptions says how a file is followed. Path is needed; the rest works as it is.
type FileOptions struct {
	Path    string           // of the log, perhaps a symbolic link, perhaps not there yet
	Start   Start            // where to begin without a position
	MaxLine int              // longest line in bytes, without \n; 0: 65,536
	Poll    time.Duration    // how often the path is looked at; 0: 100 ms, 250 ms where inotify tells of growth
	Grace   time.Duration    // how long a renamed file must be quiet before it is closed; 0: 10 s
	Polling bool             // do without inotify
	Now     func() time.Time // wall clock; nil: time.Now
}

const (
	pollAlone   = 100 * time.Millisecond
	pollWatched = 250 * time.Millisecond
	grace       = 10 * time.Second // syslog daemons are told of a rotation within a second or two

	deafness = 10 * time.Second // before a watcher is tried again

	// maxDraining is how many renamed files are watched for a late writer: the
	// newest. One that is given up for others, and not for being quiet, is a [Gap].
	maxDraining = 32
	// turn is how much is read of one file before others get theirs, in
	// blocks, and blockSize how much at once, in bytes.
	turn      = 16
	blockSize = 256 << 10
)

// NewFile returns the source that follows one file through its rotations.
//
// Growth is noticed by the watcher of github.com/nxadm/tail (see growth), by
// the clock where that cannot be had; everything else is done here, because of
// what that library does at a rotation (it closes the old file before it has
// read it to the end: up to 38 % of the lines were lost in measurements, others
// came twice), with a line that has no end (it is held in memory, however
// long), and with a file that is emptied and written again (the rest of a line
// comes as a line):
//
//   - A file is read from an open handle, block by block; after each block its
//     first bytes are compared with what they were. A file that was emptied
//     (copytruncate) is read from its beginning, after the rest of the copy that
//     was made of it. What was written between the copy and the emptying is
//     gone before anybody can read it.
//   - When another file is at the path, the old one is read to its end first,
//     and until it has been quiet for Grace, beside the new one: syslog daemons
//     write to it until they are told of the rotation. The newest 32 are read so.
//   - Rotated files are looked for in the folders of the path and of what it
//     links to: name.1, name.2.gz, name-20261123.xz, stem-20261123.log and the
//     like. At the start, and when a file was rotated more than once between
//     two looks, the last file is found among them by inode or by how it
//     begins, it is finished, then the newer ones are read in order.
//     What cannot be found is a [Gap].
func NewFile(o FileOptions) Source { return newFollower(o) }

func newFollower(o FileOptions) *follower {
	if o.MaxLine <= 0 {
		o.MaxLine = defaultMaxLine
	}
	if o.Grace <= 0 {
		o.Grace = grace
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	f := &follower{o: o, open: openFile, stat: os.Stat, watch: newGrowth}
	f.now = o.Now
	f.status.State = Idle
	return f
}

// A follower is a file that is followed.
type follower struct {
	board
	o     FileOptions
	open  func(string) (*opened, error) // os and newGrowth, but for tests
	stat  func(string) (fs.FileInfo, error)
	watch func(*os.File) (*growth, error)

	fn  func(Line) error
	buf []byte
	seq uint64

	// queue holds what is to be read, oldest first. The last one is the file
	// at the path, or was until it was renamed and nothing new has come.
	queue    []*opened
	draining []*opened
	closed   []FilePosition // of files that were draining: the newest
	places   []FilePosition // of both, but for those closed that do not look newer than the one at the path; made anew when one of them changes

	last    *opened    // that the last line came from
	broken  bool       // the next line is no neighbour of the last one
	copying bool       // the last rotation was copytruncate
	old     bool       // lines are older than Run
	until   int64      // where in the file at the path they end
	began   time.Time  // when this turn began,
	looked  time.Time  // and the last one that left nothing unread
	growth  *growth    // of the last file of the queue; nil: look by the clock
	deaf    *opened    // the file that is not watched,
	hears   time.Time  // until then
	kept    []*os.File // never to be closed
	ailing  bool       // the file at the path cannot be read on
	absent  bool       // there was nothing to go on with at the start
	lines   uint64     // not yet told to the board
	long    uint64
}

func (f *follower) Name() string { return f.o.Path }

func (f *follower) Run(ctx context.Context, from Position, fn func(Line) error) error {
	f.fn, f.seq, f.old = fn, from.Seq, true
	f.buf = make([]byte, max(blockSize, 2*f.o.MaxLine))
	f.update(func(s *Status) { s.State = CatchingUp })
	defer f.stop()
	for begun := false; !begun; {
		var err error
		if begun, err = f.begin(from); err != nil {
			return err
		}
		if !begun && !f.wait(ctx) {
			return nil
		}
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for ctx.Err() == nil {
		more, err := f.turn(ctx)
		if err != nil {
			return err
		}
		if more || !f.watchGrowth() {
			continue
		}
		timer.Reset(f.pause())
		select {
		case <-ctx.Done():
		case <-timer.C:
		case <-f.growth.more():
		case <-f.growth.emptied():
		case <-f.growth.gone():
			f.endGrowth()
		}
	}
	return nil
}

// wait lets one poll pass; false: ctx has ended.
func (f *follower) wait(ctx context.Context) bool {
	t := time.NewTimer(f.pause())
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

func (f *follower) pause() time.Duration {
	switch {
	case f.o.Poll > 0:
		return f.o.Poll
	case f.growth == nil || len(f.draining) > 0:
		return pollAlone
	}
	return pollWatched
}

func (f *follower) stop() {
	f.endGrowth()
	for _, t := range append(f.queue, f.draining...) {
		t.close()
	}
	f.tell()
	f.update(func(s *Status) { s.State = Idle })
}

// turn reads what there is, a bounded part of it, and looks at the path.
// more says that there is more to do at once.
func (f *follower) turn(ctx context.Context) (more bool, err error) {
	defer f.tell()
	f.began = f.now()
	if err := f.drain(); err != nil {
		return false, err
	}
	if len(f.queue) > 0 {
		more, err = f.readSome(ctx, f.queue[0])
		switch {
		case errors.Is(err, errTruncated):
			return f.truncated(), nil
		case err != nil:
			return false, err
		case more:
			return true, nil
		case len(f.queue) > 1:
			f.retire()
			return true, nil
		}
	}
	if ctx.Err() != nil {
		return false, nil // perhaps in the middle
	}
	f.old = false
	return f.look(), nil
}

// readSome reads a bounded part of what is new in t.
func (f *follower) readSome(ctx context.Context, t *opened) (more bool, err error) {
	for range turn {
		if ctx.Err() != nil {
			return false, nil
		}
		more, err := f.block(t)
		if !more || err != nil {
			return false, err
		}
	}
	return true, nil
}

// drain reads on in renamed files, and closes those that have been quiet.
func (f *follower) drain() error {
	now := f.now()
	for i := 0; i < len(f.draining); i++ {
		t := f.draining[i]
		off := t.off
		for more, err := true, error(nil); more; {
			more, err = f.block(t)
			if errors.Is(err, errTruncated) {
				t.quiet = time.Time{} // somebody shreds it
				break
			}
			if err != nil {
				return err
			}
		}
		if t.off != off {
			t.quiet = now
			f.replace()
		}
		quiet := t.zip != nil || now.Sub(t.quiet) >= f.o.Grace // what is packed is written to no more
		if quiet || len(f.draining) > maxDraining {
			if !quiet {
				f.giveUp(t, now)
			}
			f.release(t)
			f.draining = append(f.draining[:i:i], f.draining[i+1:]...)
			f.replace()
			i--
		}
	}
	return nil
}

// giveUp tells of a renamed file that somebody may still write to and for which
// there is no room. Most have been quiet for long: many were rotated while nobody
// read them.
func (f *follower) giveUp(t *opened, now time.Time) {
	if now.Sub(time.Unix(0, t.written())) < f.o.Grace {
		f.event(Gap, fmt.Sprintf("%s: more than %d files were renamed at once: what is written to this one behind byte %d, if anything, is lost", t.path, maxDraining, t.off))
	}
}

// release closes a renamed file and remembers how far it was read.
func (f *follower) release(t *opened) {
	if t.partial {
		f.update(func(s *Status) { s.Partial++ })
	}
	p := t.position()
	p.Modified, p.Done = t.written(), true
	f.closed = append(slices.DeleteFunc(f.closed, p.sameFile), p)
	t.close()
}

// retire sets the first file of the queue aside: it is read to its end.
func (f *follower) retire() {
	f.endGrowth()
	t := f.queue[0]
	f.queue = f.queue[1:]
	if t.copied {
		// What was written between the copy and the emptying is in neither,
		// and a line may have been cut in two: its rest must not pass for one.
		f.queue[0].torn = t.half()
	} else {
		f.queue[0].prev = t
	}
	if t.zip != nil {
		if t.partial {
			f.update(func(s *Status) { s.Partial++ })
		}
		t.close()
		return
	}
	t.quiet = f.now()
	f.draining = append(f.draining, t)
	f.replace()
}

// replace notes the places in the renamed files for the positions to come.
func (f *follower) replace() {
	f.closed = f.closed[max(0, len(f.closed)-maxDraining):]
	f.places = make([]FilePosition, 0, len(f.closed)+len(f.draining))
	for _, p := range f.closed {
		// Else a start will see from its time that it is older.
		if len(f.queue) == 0 || p.Modified >= f.queue[0].modified {
			f.places = append(f.places, p)
		}
	}
	for _, t := range f.draining {
		f.places = append(f.places, t.position())
	}
}

// tell brings the status up to date.
func (f *follower) tell() {
	var lag int64
	for _, t := range f.queue {
		lag += t.lag()
	}
	for _, t := range f.draining {
		lag += t.lag()
	}
	f.update(func(s *Status) {
		if f.lines > 0 {
			s.LastLine = f.now()
		}
		s.Lines += f.lines
		s.Long += f.long
		f.lines, f.long = 0, 0
		s.Lag, s.Looked = lag, f.looked
		s.Polling = f.growth == nil
		if len(f.queue) > 0 {
			s.File = f.queue[0].path
		}
		switch {
		case f.old || len(f.queue) > 1:
			s.State = CatchingUp
		case s.State == CatchingUp:
			s.State = Following
		}
	})
}

// watchGrowth has the last file watched, if it is not. It returns false when
// it has just begun to: what was written before that must be read first.
func (f *follower) watchGrowth() bool {
	if f.o.Polling || f.growth != nil || len(f.queue) != 1 || f.deaf == f.queue[0] && time.Now().Before(f.hears) {
		return true
	}
	t := f.queue[0]
	g, err := f.watch(t.file)
	if errors.Is(err, errStuck) {
		f.deafen()
		return true
	}
	if err != nil {
		f.deaf, f.hears = t, time.Now().Add(deafness) // by the clock: perhaps others have all the instances
		return true
	}
	f.growth = g
	return false
}

// errStuck says that the watcher does not answer: nothing more can be watched in
// this process, and the descriptor must stay open.
var errStuck = errors.New("the watcher does not answer")

// deafen does without the watcher from now on. It hangs, so its descriptor is
// kept.
func (f *follower) deafen() {
	f.o.Polling = true
	for _, t := range f.queue {
		t.kept = true
		f.kept = append(f.kept, t.file)
	}
}

func (f *follower) endGrowth() {
	if f.growth == nil {
		return
	}
	if !f.growth.stop() {
		f.deafen()
	}
	f.growth, f.deaf, f.hears = nil, f.queueHead(), time.Now().Add(deafness)
}

func (f *follower) queueHead() *opened {
	if len(f.queue) == 0 {
		return nil
	}
	return f.queue[0]
}
