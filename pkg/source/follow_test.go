package source

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// A world is a log, who writes it, and who follows it. It lives in a synctest
// bubble: time passes only when everybody sleeps.
type world struct {
	t    *testing.T
	dir  string
	path string
	n    int // lines written
	w    *os.File

	mu   sync.Mutex
	got  []string
	last Line // the newest, with its position
	old  int

	o      FileOptions
	f      *follower
	cancel context.CancelFunc
	done   chan error
	hook   func(*follower)
	limit  int             // of lines, where the callback fails; 0: none
	hold   <-chan struct{} // the callback waits for it; nil: for nothing
}

var errCrash = errors.New("crash")

func newWorld(t *testing.T) *world {
	dir := t.TempDir()
	return &world{t: t, dir: dir, path: filepath.Join(dir, "mail.log"), o: FileOptions{Polling: true, Start: FromStart}}
}

func (w *world) line() string {
	w.n++
	return fmt.Sprintf("Nov 23 08:46:49 mx1 postfix/smtpd[14545]: line %d\n", w.n)
}

// open makes the file at the path and lets the writer write there from now on.
func (w *world) open() *os.File {
	f, err := os.OpenFile(w.path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	w.ok(err)
	w.w = f
	w.t.Cleanup(func() { f.Close() })
	return f
}

func (w *world) ok(err error, but ...error) {
	w.t.Helper()
	for _, b := range but {
		if errors.Is(err, b) {
			return
		}
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) raw(f *os.File, s string) {
	w.t.Helper()
	_, err := f.WriteString(s)
	w.ok(err)
}

func (w *world) lines(n int) {
	for range n {
		w.raw(w.w, w.line())
	}
}

func (w *world) rename(from, to string) {
	w.t.Helper()
	w.ok(os.Rename(filepath.Join(w.dir, from), filepath.Join(w.dir, to)))
}

// opening has the follower open its files in that way.
func (w *world) opening(open func(path string) (*opened, error)) {
	w.hook = func(f *follower) { f.open = open }
}

// start follows from where the last one stopped.
func (w *world) start() {
	w.o.Path = w.path
	w.f = newFollower(w.o)
	if w.hook != nil {
		w.hook(w.f)
	}
	ctx, cancel := context.WithCancel(context.Background())
	w.cancel, w.done = cancel, make(chan error, 1)
	from := w.last.Position
	f := w.f
	go func() { w.done <- f.Run(ctx, from, w.take) }()
	synctest.Wait()
}

func (w *world) take(l Line) error {
	w.mu.Lock()
	hold := w.hold
	w.mu.Unlock()
	if hold != nil {
		<-hold
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.limit > 0 && len(w.got) == w.limit {
		return errCrash
	}
	if len(w.got) > 0 && l.Seq <= w.last.Seq {
		w.t.Errorf("number %d after %d", l.Seq, w.last.Seq)
	}
	if l.Position.Seq != l.Seq {
		w.t.Errorf("line %d has position %d", l.Seq, l.Position.Seq)
	}
	for _, p := range append([]FilePosition{l.Position.File}, l.Position.Draining...) {
		if !p.valid() {
			w.t.Errorf("no valid position: %+v", p)
		}
	}
	w.got = append(w.got, string(l.Text))
	if l.Old {
		w.old++
	}
	w.last = l
	return nil
}

// fail has the callback fail after so many lines; 0: never.
func (w *world) fail(after int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.limit = after
}

// block has the callback wait until something is closed.
func (w *world) block(until <-chan struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.hold = until
}

// pass lets time pass.
func (w *world) pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func (w *world) stop() {
	w.cancel()
	if err := <-w.done; err != nil {
		w.t.Error(err)
	}
}

// want checks that the lines are those that were written, each once. In order
// too, unless late writers stir them.
func (w *world) want(inOrder bool) {
	w.t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	count := map[string]int{}
	for i, s := range w.got {
		count[s]++
		if want := fmt.Sprintf("Nov 23 08:46:49 mx1 postfix/smtpd[14545]: line %d", i+1); inOrder && s != want {
			w.t.Fatalf("line %d of %d: %q, want %q", i+1, len(w.got), s, want)
		}
	}
	for i := 1; i <= w.n; i++ {
		s := fmt.Sprintf("Nov 23 08:46:49 mx1 postfix/smtpd[14545]: line %d", i)
		if count[s] != 1 {
			w.t.Errorf("line %d came %d times", i, count[s])
		}
		delete(count, s)
	}
	for s, n := range count {
		w.t.Errorf("%d times, never written: %q", n, s)
	}
	if w.t.Failed() {
		w.t.Fatalf("%d lines of %d, status %+v", len(w.got), w.n, w.f.Status())
	}
}

func (w *world) alarms(kinds ...AlarmKind) {
	w.t.Helper()
	var got []AlarmKind
	for _, a := range w.f.Status().Alarms {
		got = append(got, a.Kind)
	}
	if fmt.Sprint(got) != fmt.Sprint(kinds) {
		w.t.Fatalf("alarms %+v, want %v", w.f.Status().Alarms, kinds)
	}
}

const tick = pollAlone + time.Millisecond

func bubble(t *testing.T, f func(*world)) {
	w := newWorld(t)
	synctest.Test(t, func(st *testing.T) {
		w.t = st
		defer func() {
			if w.cancel != nil {
				w.cancel() // the test failed in the middle
			}
		}()
		f(w)
	})
}

func TestFollowHalfLines(t *testing.T) {
	bubble(t, func(w *world) {
		w.open()
		w.start()
		for range 5 {
			l := w.line()
			for i := range len(l) {
				w.raw(w.w, l[i:i+1])
				w.pass(tick)
				if n := w.n - 1; i < len(l)-1 && len(w.got) != n {
					t.Fatalf("%d lines of %d and a half: %q", len(w.got), n, w.got)
				}
			}
		}
		w.stop()
		w.want(true)
		w.alarms()
	})
}

func TestFollowWaitsForFile(t *testing.T) {
	bubble(t, func(w *world) {
		w.o.Start = FromEnd // what comes into being later is read from its beginning
		w.start()
		w.pass(time.Minute)
		w.alarms(Missing)
		if s := w.f.Status(); s.State != Waiting {
			t.Fatal(s.State)
		}
		w.open()
		w.lines(3)
		w.pass(tick)
		w.want(true)
		w.alarms()
		if s := w.f.Status(); s.State != Following || s.Lines != 3 || s.Lag != 0 || s.LastLine.IsZero() || s.Rotations != 0 {
			t.Fatalf("%+v", s)
		}
		if w.old != 0 {
			t.Errorf("%d old lines", w.old)
		}
		w.stop()
	})
}

func TestFollowStart(t *testing.T) {
	bubble(t, func(w *world) {
		w.open()
		w.lines(4)
		w.rename("mail.log", "mail.log.1")
		w.open()
		w.lines(4)
		half := "Nov 23 08:46:49 mx1 postfix/smtpd[14545]: li"
		w.raw(w.w, half)
		for _, c := range []struct {
			start Start
			lines int
		}{{FromEnd, 0}, {FromStart, 4}, {FromHistory, 8}} {
			w.o.Start, w.got, w.last, w.old = c.start, nil, Line{}, 0
			w.start()
			w.pass(tick)
			if len(w.got) != c.lines || w.old != c.lines {
				t.Errorf("start %d: %d lines, %d of them old, want %d", c.start, len(w.got), w.old, c.lines)
			}
			w.stop()
		}
		// The half line comes whole.
		w.o.Start, w.got, w.last = FromEnd, nil, Line{}
		w.start()
		w.pass(tick)
		w.raw(w.w, "ne 9\n")
		w.pass(tick)
		if len(w.got) != 1 || w.got[0] != half+"ne 9" {
			t.Errorf("%q", w.got)
		}
		w.stop()
	})
}

// The writer keeps the renamed file for seconds.
func TestFollowRename(t *testing.T) {
	bubble(t, func(w *world) {
		before := w.open()
		w.start()
		for range 20 {
			w.lines(50)
			w.rename("mail.log", fmt.Sprintf("mail.log-20261123%02d", w.n/50))
			w.lines(50) // to the old one, nobody has it at the path
			if w.n%3 == 0 {
				w.pass(tick)
			}
			now := w.open()
			for range 5 {
				w.raw(before, w.line())
				w.raw(now, w.line())
				w.pass(time.Second)
			}
			before = now
		}
		w.pass(tick)
		w.want(false)
		w.alarms()
		if s := w.f.Status(); s.Rotations != 20 || s.Partial != 0 {
			t.Errorf("%+v", s)
		}
		w.pass(time.Minute)
		if n := len(w.f.draining); n != 0 {
			t.Errorf("%d files are still open", n)
		}
		w.stop()
	})
}

func TestFollowSwitchAtOnce(t *testing.T) {
	bubble(t, func(w *world) {
		w.open()
		w.start()
		r := rand.New(rand.NewPCG(3, 4))
		for range maxDraining {
			w.lines(r.IntN(40))
			if r.IntN(2) == 0 {
				w.pass(tick)
			}
			// Several rotations may pass unseen.
			rotateNumbered(w, 20)
			w.lines(r.IntN(5))
		}
		w.pass(tick)
		w.want(true)
		w.alarms()
		w.stop()
	})
}

// rotateNumbered is logrotate's "create" and "rotate keep".
func rotateNumbered(w *world, keep int) {
	for i := keep; i > 0; i-- {
		from := fmt.Sprintf("%s.%d", w.path, i)
		if i == keep {
			os.Remove(from)
			continue
		}
		os.Rename(from, fmt.Sprintf("%s.%d", w.path, i+1))
	}
	w.ok(os.Rename(w.path, w.path+".1"))
	w.open()
}

func TestFollowDelete(t *testing.T) {
	bubble(t, func(w *world) {
		w.open()
		w.ok(os.WriteFile(w.path+".1", []byte("an old file of another time\n"), 0o600))
		w.ok(os.Chtimes(w.path+".1", time.Unix(1e9, 0), time.Unix(1e9, 0)))
		w.start()
		for range 10 {
			w.lines(20)
			w.pass(tick)
			w.lines(20)
			w.ok(os.Remove(w.path))
			w.lines(3)
			w.pass(300 * time.Millisecond)
			w.open()
		}
		w.lines(1)
		w.pass(tick)
		w.want(true)
		w.alarms()
		w.stop()
	})
}

// copytruncate copies and empties; there are n lines written between the two.
func copytruncate(w *world, n int) {
	data, err := os.ReadFile(w.path)
	w.ok(err)
	w.ok(os.Rename(w.path+".1", w.path+".2"), fs.ErrNotExist)
	w.ok(os.WriteFile(w.path+".1", data, 0o600))
	w.lines(n)
	w.ok(os.Truncate(w.path, 0))
}

func TestFollowCopytruncate(t *testing.T) {
	bubble(t, func(w *world) {
		w.open()
		w.start()
		for i := range 20 {
			w.lines(30)
			if i%2 == 0 {
				w.pass(tick)
			}
			w.lines(5) // what has not been read when the copy is made is read from the copy
			copytruncate(w, 0)
			w.lines(i * 3) // sometimes past where it was before
			if i%3 == 0 {
				copytruncate(w, 0)
				w.lines(4)
			}
			w.pass(tick)
		}
		w.want(true)
		w.alarms()
		w.stop()
	})
}

// What is written between copy and emptying is what copytruncate loses, and
// nothing else.
func TestFollowCopytruncateLoss(t *testing.T) {
	bubble(t, func(w *world) {
		w.open()
		w.start()
		lost := 0
		for range 10 {
			w.lines(10)
			w.pass(tick)
			copytruncate(w, 7)
			lost += 7
			w.pass(tick)
		}
		w.lines(1)
		w.pass(tick)
		w.stop()
		if want := w.n - lost; len(w.got) != want {
			t.Fatalf("%d lines, want %d", len(w.got), want)
		}
	})
}

// A copy that was made early has less in it than has been read since.
func TestFollowCopytruncateEarly(t *testing.T) {
	for _, restart := range []bool{false, true} {
		bubble(t, func(w *world) {
			w.open()
			w.start()
			w.lines(2)
			w.pass(tick)
			data, err := os.ReadFile(w.path)
			w.ok(err)
			w.ok(os.WriteFile(w.path+".1", data, 0o600))
			w.lines(3)
			w.pass(tick)
			if restart {
				w.stop()
			}
			w.ok(os.Truncate(w.path, 0))
			w.lines(1)
			if restart {
				w.start()
			}
			w.pass(tick)
			w.want(true)
			w.alarms()
			w.stop()
		})
	}
}

// What is cut in two by copytruncate is no line, whether anybody looked or not.
func TestFollowCopytruncateTorn(t *testing.T) {
	for _, restart := range []bool{false, true} {
		bubble(t, func(w *world) {
			w.open()
			w.start()
			for i := range 3 {
				w.lines(3)
				w.pass(tick)
				half := w.line()
				w.n-- // it is never whole
				if restart && w.n > 3 {
					w.stop()
				}
				w.raw(w.w, half[:30])
				data, err := os.ReadFile(w.path)
				w.ok(err)
				w.ok(os.WriteFile(fmt.Sprintf("%s-2026112%d", w.path, i), data, 0o600))
				w.ok(os.Truncate(w.path, 0))
				w.raw(w.w, half[30:])
				w.lines(2)
				if restart && w.n > 6 {
					w.start()
				}
				w.pass(tick)
			}
			w.want(true)
			w.alarms()
			if s := w.f.Status(); s.Partial == 0 {
				t.Errorf("%+v", s)
			}
			w.stop()
		})
	}
}

func TestFollowEmptiedWithoutCopy(t *testing.T) {
	bubble(t, func(w *world) {
		w.open()
		w.start()
		w.lines(10)
		w.pass(tick)
		w.ok(os.Truncate(w.path, 0))
		w.lines(30)
		w.pass(tick)
		w.want(true)
		w.alarms(Gap)
		if s := w.f.Status(); s.Truncations != 1 {
			t.Errorf("%+v", s)
		}
		w.stop()
	})
}

// A writer that does not append goes on behind a hole.
func TestFollowHole(t *testing.T) {
	bubble(t, func(w *world) {
		f := w.open()
		w.start()
		w.lines(2000)
		w.pass(tick)
		copytruncate(w, 0)
		at := int64(200_000)
		_, err := f.Seek(at, 0)
		w.ok(err)
		w.ok(f.Truncate(at))
		w.lines(3)
		w.pass(tick)
		w.want(true)
		w.stop()
	})
}

func TestFollowSymlink(t *testing.T) {
	bubble(t, func(w *world) {
		link := w.path
		for i := range 6 {
			w.path = filepath.Join(w.dir, fmt.Sprintf("log-of-%c", 'a'+i))
			w.open()
			w.lines(5)
			os.Remove(link)
			w.ok(os.Symlink(w.path, link))
			if i == 0 || i == 3 {
				if i == 3 {
					w.stop() // the saved file is found where the link went before
				}
				w.path = link
				w.start()
			}
			w.pass(tick)
			w.lines(5)
		}
		w.path = link
		w.pass(tick)
		w.stop()
		w.want(true)
		w.alarms()
	})
}

func TestFollowPermission(t *testing.T) {
	bubble(t, func(w *world) {
		var mu sync.Mutex
		denied := false
		deny := func(d bool) { mu.Lock(); denied = d; mu.Unlock() }
		w.opening(func(path string) (*opened, error) {
			mu.Lock()
			defer mu.Unlock()
			if denied {
				return nil, fs.ErrPermission
			}
			return openFile(path)
		})
		w.open()
		deny(true)
		w.start()
		w.lines(3)
		w.pass(tick)
		w.alarms(Permission)
		if s := w.f.Status(); s.State != NoPermission {
			t.Error(s.State)
		}
		deny(false)
		w.pass(tick)
		w.alarms()
		// Rotated twice while it is taken away.
		deny(true)
		for range 2 {
			w.lines(3)
			rotateNumbered(w, 5)
			w.lines(3)
			w.pass(time.Minute)
		}
		w.alarms(Permission)
		deny(false)
		w.pass(tick)
		w.want(true)
		w.alarms()
		w.stop()
	})
}

func TestFollowNotFile(t *testing.T) {
	bubble(t, func(w *world) {
		w.ok(os.Mkdir(w.path, 0o700))
		w.start()
		w.pass(tick)
		w.alarms(NotFile)
		w.ok(os.Remove(w.path))
		w.open()
		w.lines(2)
		w.pass(tick)
		w.want(true)
		w.alarms()
		w.stop()
	})
}

func TestFollowLongLines(t *testing.T) {
	bubble(t, func(w *world) {
		w.o.MaxLine = 100
		w.open()
		w.start()
		w.lines(1)
		w.raw(w.w, strings.Repeat("x", 101)+"\n")
		w.lines(1)
		chunk := strings.Repeat("y", 100_000)
		for range 50 {
			w.raw(w.w, chunk)
			w.pass(tick)
		}
		w.raw(w.w, "\n"+strings.Repeat("z", 100)+"\n")
		w.lines(1)
		w.pass(tick)
		if len(w.got) != 4 || w.got[2] != strings.Repeat("z", 100) {
			t.Fatalf("%d lines", len(w.got))
		}
		if s := w.f.Status(); s.Long != 2 || s.Lines != 4 || s.Lag != 0 {
			t.Errorf("%+v", s)
		}
		if w.last.Seq != 6 {
			t.Errorf("number %d, want 6: dropped lines count", w.last.Seq)
		}
		if n := cap(w.f.buf); n > 1<<20 {
			t.Errorf("%d bytes of buffer", n)
		}
		w.stop()
	})
}

// The end of a half line that never came is dropped and counted.
func TestFollowPartial(t *testing.T) {
	bubble(t, func(w *world) {
		w.open()
		w.start()
		w.lines(2)
		w.raw(w.w, "Nov 23 08:46:49 mx1 postfix/smtpd[1]: connect from unk")
		rotateNumbered(w, 5)
		w.lines(2)
		w.pass(time.Minute)
		w.want(true)
		if s := w.f.Status(); s.Partial != 1 {
			t.Errorf("%+v", s)
		}
		w.stop()
	})
}

// packAny compresses data in one of the ways that rotated files are.
func packAny(t testing.TB, r *rand.Rand, data []byte) (packed []byte, ext string) {
	switch r.IntN(3) {
	case 0:
		return gz(t, data, time.Time{}), ".gz"
	case 1:
		return xzip(t, data), ".xz"
	}
	return zst(t, data), ".zst"
}

// A saved file that is still being written to after its rotation is gone on with.
func TestFollowCrashWhileDraining(t *testing.T) {
	bubble(t, func(w *world) {
		before := w.open()
		w.start()
		w.lines(5)
		w.pass(tick)
		rotateNumbered(w, 9)
		w.lines(2)
		w.pass(tick)
		w.raw(before, w.line())
		w.pass(tick)
		if n := len(w.last.Position.Draining); n != 1 {
			t.Fatalf("%d draining files in the position", n)
		}
		w.stop()
		w.raw(before, w.line())
		rotateNumbered(w, 9)
		w.lines(2)
		data, err := os.ReadFile(w.path + ".2")
		w.ok(err)
		w.ok(os.WriteFile(w.path+".2.zst", zst(w.t, data), 0o600))
		w.ok(os.Remove(w.path + ".2"))
		w.start()
		w.pass(tick)
		w.want(false)
		w.alarms()
		w.stop()
	})
}

// Lines of two files are no neighbours, lines of one file and of the next are.
func TestFollowSeq(t *testing.T) {
	bubble(t, func(w *world) {
		before := w.open()
		var seqs []uint64
		w.start()
		add := func(f *os.File) {
			w.raw(f, w.line())
			w.pass(tick)
			seqs = append(seqs, w.last.Seq)
		}
		add(before)
		add(before)
		rotateNumbered(w, 9)
		add(w.w)
		add(before)
		add(w.w)
		add(w.w)
		if want := "[1 2 3 5 7 8]"; fmt.Sprint(seqs) != want {
			t.Errorf("%v, want %v", seqs, want)
		}
		w.stop()
	})
}

func TestFollowGap(t *testing.T) {
	bubble(t, func(w *world) {
		w.open()
		w.start()
		w.lines(5)
		w.pass(tick)
		w.stop()
		w.ok(os.WriteFile(w.path+".2", []byte("old and read long ago\n"), 0o600))
		w.ok(os.Chtimes(w.path+".2", time.Unix(1e9, 0), time.Unix(1e9, 0)))
		w.ok(os.Remove(w.path))
		w.open()
		w.lines(2)
		rotateNumbered(w, 9)
		w.lines(2)
		w.start()
		w.pass(tick)
		w.want(true)
		w.alarms(Gap)
		w.stop()
	})
}

func TestFollowDamagedArchive(t *testing.T) {
	bubble(t, func(w *world) {
		w.open()
		w.lines(500)
		data, err := os.ReadFile(w.path)
		w.ok(err)
		w.ok(os.Remove(w.path))
		packed := gz(t, data, time.Time{})
		w.ok(os.WriteFile(w.path+".2.gz", packed[:len(packed)-20], 0o600))
		w.open()
		w.lines(3)
		w.o.Start = FromHistory
		w.start()
		w.pass(tick)
		w.alarms(Damaged)
		if n := len(w.got); n < 4 || w.got[n-1] != strings.TrimSuffix(fmt.Sprintf("Nov 23 08:46:49 mx1 postfix/smtpd[14545]: line %d", w.n), "\n") {
			t.Errorf("%d lines", n)
		}
		w.stop()
	})
}

func TestFollowCallbackError(t *testing.T) {
	path := write(t, "log", []byte("one\ntwo\n"))
	n := 0
	err := NewFile(FileOptions{Path: path, Start: FromStart, Polling: true}).Run(t.Context(), Position{}, func(Line) error {
		n++
		return errCrash
	})
	if !errors.Is(err, errCrash) || n != 1 {
		t.Errorf("%v after %d lines", err, n)
	}
}

func TestSiblings(t *testing.T) {
	names := strings.Fields(`mail.log mail.log.1 mail.log.10.gz mail.log.2.gz mail.log.2 mail.log-20261101.xz mail.log.20261123-120000
		mail-20261102.log.zst mail.3.log mail.log.bak mail.log.old mail.logger.1 mail.err.1 mail.log. mail.log.99999 xmail.log.1 mail.log.1x`)
	list := siblings("mail.log", names)
	var got []string
	for _, c := range list {
		got = append(got, c.path)
	}
	want := "[mail.log.1 mail.log.10.gz mail.log.2 mail.log-20261101.xz mail.log.20261123-120000 mail-20261102.log.zst mail.3.log]"
	if fmt.Sprint(got) != want {
		t.Errorf("%v\nwant %v", got, want)
	}
	if a, b := rotationOrder("maillog", "maillog.10"), rotationOrder("maillog", "maillog.9"); a >= b {
		t.Errorf("%q is not older than %q", a, b)
	}
	if a, b := rotationOrder("maillog", "maillog.1"), rotationOrder("maillog", "maillog.0"); a >= b {
		t.Errorf("%q is not older than %q", a, b)
	}
}
