package source

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// A file that was copied and emptied, and renamed before anybody looked, comes
// before those that took its path after that: they are no copies of it.
func TestFollowCopiedThenRenamed(t *testing.T) {
	for _, restart := range []bool{false, true} {
		t.Run(fmt.Sprint("restart ", restart), func(t *testing.T) {
			bubble(t, func(w *world) {
				w.open()
				w.start()
				w.lines(3)
				w.pass(tick)
				if restart {
					w.stop()
				}
				w.lines(2)
				copytruncate(w, 0)
				w.lines(2)
				rotateNumbered(w, 9)
				w.lines(2)
				late := w.w
				half := w.line()
				w.raw(late, half[:30]) // its writer is not done with it
				rotateNumbered(w, 9)
				w.lines(2)
				if restart {
					w.start()
				}
				w.pass(tick)
				w.raw(late, half[30:])
				w.pass(tick)
				w.want(false)
				w.alarms()
				if s := w.f.Status(); s.Partial != 0 {
					w.t.Errorf("%+v", s)
				}
				var order []string
				for _, s := range w.got {
					order = append(order, s[strings.LastIndexByte(s, ' ')+1:])
				}
				if got, want := strings.Join(order, " "), "1 2 3 4 5 6 7 8 9 11 12 10"; got != want {
					w.t.Errorf("%s, want %s", got, want)
				}
				w.stop()
			})
		})
	}
}

// The same, when the follower dies while it reads the copy: the position says
// which file was copied, so that its name is not needed.
func TestFollowCrashInCopy(t *testing.T) {
	bubble(t, func(w *world) {
		w.open()
		w.start()
		w.lines(3)
		w.pass(tick)
		w.lines(3)
		copytruncate(w, 0)
		w.lines(2)
		w.fail(5) // in the copy
		w.pass(tick)
		if err := <-w.done; err != errCrash {
			w.t.Fatal(err)
		}
		if p := w.last.Position; p.File.Path != w.path+".1" || !p.Copies {
			w.t.Fatalf("it did not die in the copy: %+v", p)
		}
		late := w.w
		half := w.line()
		w.raw(late, half[:30])
		rotateNumbered(w, 9)
		w.lines(2)
		w.fail(0)
		w.start()
		w.pass(tick)
		w.raw(late, half[30:])
		w.pass(tick)
		w.want(false)
		w.alarms()
		if s := w.f.Status(); s.Partial != 0 {
			w.t.Errorf("%+v", s)
		}
		w.stop()
	})
}

// What was packed of the renamed file is the same file: it is read once.
func TestFollowCopiedThenPacked(t *testing.T) {
	bubble(t, func(w *world) {
		w.open()
		w.start()
		w.lines(3)
		w.pass(tick)
		w.lines(2)
		copytruncate(w, 0)
		w.lines(2)
		rotateNumbered(w, 9)
		w.lines(2)
		rotateNumbered(w, 9)
		w.lines(2)
		data, err := os.ReadFile(w.path + ".2")
		w.ok(err)
		w.ok(os.WriteFile(w.path+".2.gz", gz(w.t, data, time.Time{}), 0o600))
		w.ok(os.Remove(w.path + ".2"))
		w.pass(tick)
		w.want(true)
		w.alarms()
		w.stop()
	})
}

// More renamed files than are watched: none is given up in silence.
func TestFollowManyDraining(t *testing.T) {
	const more = 3
	bubble(t, func(w *world) {
		w.o.Grace = time.Hour
		w.open()
		w.start()
		var late []*os.File
		for range maxDraining + more {
			w.lines(1)
			w.pass(tick)
			late = append(late, w.w)
			rotateNumbered(w, 99)
		}
		w.lines(1)
		w.pass(tick)
		w.want(true)
		var gaps []string
		for _, a := range w.f.Status().Alarms {
			gaps = append(gaps, a.Text)
		}
		if len(gaps) != more {
			w.t.Fatalf("%d files given up, want %d: %q", len(gaps), more, gaps)
		}
		w.alarms(slices.Repeat([]AlarmKind{Gap}, more)...)
		for _, f := range late {
			w.raw(f, w.line())
		}
		w.pass(tick)
		for i := range late {
			text := fmt.Sprintf("Nov 23 08:46:49 mx1 postfix/smtpd[14545]: line %d", maxDraining+more+1+i+1)
			if came := slices.Contains(w.got, text); came != (i >= more) {
				w.t.Errorf("late line of file %d came: %v", i, came)
			}
		}
		w.stop()
	})
}

// Files that were written long ago are set aside without a word.
func TestFollowManyOld(t *testing.T) {
	w := newWorld(t)
	long := time.Now().Add(-time.Hour)
	n := maxDraining + 5
	for i := range n {
		w.open()
		w.lines(1)
		w.ok(w.w.Close())
		w.ok(os.Chtimes(w.path, long, long))
		w.ok(os.Rename(w.path, fmt.Sprintf("%s.%d", w.path, n-i)))
	}
	w.open()
	w.lines(1)
	w.f = newFollower(FileOptions{Path: w.path, Start: FromHistory, Polling: true})
	err := w.f.Run(t.Context(), Position{}, func(l Line) error {
		if err := w.take(l); err != nil {
			return err
		}
		if len(w.got) == w.n {
			return errCrash
		}
		return nil
	})
	if err != errCrash {
		w.t.Fatal(err)
	}
	w.want(true)
	w.alarms()
}

// What was packed is read to its end at once and then forgotten: it takes no
// place from files that may grow.
func TestFollowPackedIsNotWatched(t *testing.T) {
	bubble(t, func(w *world) {
		w.open()
		w.start()
		w.lines(2)
		w.pass(tick)
		before := w.w
		rotateNumbered(w, 9)
		w.lines(2)
		w.pass(tick)
		w.stop()
		if n := len(w.last.Position.Draining); n != 1 {
			w.t.Fatalf("%d draining files in the position", n)
		}
		w.raw(before, w.line())
		data, err := os.ReadFile(w.path + ".1")
		w.ok(err)
		w.ok(os.WriteFile(w.path+".1.gz", gz(w.t, data, time.Time{}), 0o600))
		w.ok(os.Remove(w.path + ".1"))
		w.start()
		w.pass(tick)
		w.lines(1)
		w.pass(tick)
		w.want(true)
		w.alarms()
		if p := w.last.Position.Draining; len(p) != 1 || !p[0].Done || p[0].Offset != int64(len(data)) {
			w.t.Errorf("%+v", p)
		}
		w.stop()
	})
}
