package source

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// A storm is a log that is written and rotated in every way at random, and a
// follower that is killed at random and goes on at the position it saved last:
// lines after that are read again, so they are taken out of the history. In
// the end every line is in the history once, in the order of its file, except
// those that nobody could have read.
type storm struct {
	t    *testing.T
	r    *rand.Rand
	dir  string
	path string
	real bool // time and inotify; else a bubble of synctest without inotify

	dated   bool     // rotated files are named by date, not by number
	link    bool     // the path is a symbolic link that is moved to the next file
	mixed   bool     // copies and renamed files: no line is torn, as nobody could tell
	tiny    bool     // the file system can be filled up
	kinds   []string // of rotation
	numbers int      // of dated names
	window  bool     // something was written between a copy and an emptying

	w     *pen
	late  []*pen // of files that were renamed, newest last
	lines []stormLine
	count []int  // of lines, by generation
	gone  []bool // generations that no name leads to any more
	lost  []bool // those of them that were not open when they were looked for
	told  []bool // those of them that were in the saved position

	running bool
	ctx     context.CancelFunc
	done    chan error
	f       *follower
	gaps    int // alarms, of all runs

	denied, filled int

	mu      sync.Mutex
	history []stormRead
	newest  Position
	saved   Position
	kept    int // how much of the history was saved with it
	every   int // lines between two savings
	die     int // at this length of the history
	seen    map[string]int
}

func newStorm(t *testing.T, seed uint64, dir string) *storm {
	s := &storm{t: t, r: rand.New(rand.NewPCG(seed, 11)), dir: dir, path: filepath.Join(dir, "mail.log"), seen: map[string]int{}}
	switch seed % 5 {
	case 0:
		s.kinds = []string{"rename"}
	case 1:
		s.kinds = []string{"copytruncate"}
	case 2:
		s.link, s.dated, s.kinds = true, true, []string{"switch"}
	case 3:
		s.kinds = []string{"rename", "delete"}
	default:
		s.mixed, s.kinds = true, []string{"rename", "copytruncate"}
	}
	s.dated = s.dated || seed%2 == 0
	return s
}

// run does so many things, and then has everything read.
func (s *storm) run(steps int) {
	defer s.end()
	s.create()
	// The first position is saved before anything happens to the file.
	// What it cannot know before it has seen it: what the first file is, and
	// whether its log is copied or renamed (a line may be cut in two).
	s.every = 1
	s.start(false)
	s.mark()
	s.rotate()
	s.mark()
	for range steps {
		s.step()
	}
	for len(s.late) > 0 {
		s.drop(0)
	}
	s.write(s.w, 3, false)
	if !s.running {
		s.start(false)
	}
	s.await("every line", func() bool {
		for _, l := range s.lines {
			if !l.never && l.may == "" && s.seen[l.text] == 0 {
				return false
			}
		}
		return true
	})
	s.pass(10 * tick)
	s.stop(true)
	s.check()
}

func (s *storm) end() {
	if s.running {
		s.ctx()
		<-s.done
	}
	for _, p := range append(s.late, s.w) {
		p.f.Close()
	}
}

func (s *storm) step() {
	if s.running && len(s.done) > 0 {
		s.crashed()
	}
	if s.t.Failed() {
		s.t.FailNow()
	}
	switch k := s.r.IntN(20); {
	case k < 7:
		p := s.w
		if n := len(s.late); n > 0 && s.r.IntN(3) == 0 {
			p = s.late[s.r.IntN(n)]
		}
		s.write(p, s.r.IntN(40), s.r.IntN(4) == 0 && !s.mixed)
	case k < 11:
		s.rotate()
	case k < 12:
		s.compress()
	case k < 15 && !s.running:
		s.start(s.r.IntN(2) == 0)
	case k < 13 && s.running:
		s.stop(s.r.IntN(2) == 0)
	case k < 14 && os.Geteuid() != 0:
		s.deny()
	case k < 15 && s.tiny:
		s.fill()
	case k < 16 && len(s.late) > 0:
		s.drop(s.r.IntN(len(s.late)))
	case k < 17 && len(s.late) == 0 && !s.real:
		s.pass(time.Minute) // the renamed files are closed
	default:
		s.pass(time.Duration(1+s.r.IntN(15)) * tick)
	}
}

// pass lets time pass: little of it where it is real.
func (s *storm) pass(d time.Duration) {
	if s.real {
		time.Sleep(d / 200)
		return
	}
	time.Sleep(d)
	synctest.Wait()
}

func (s *storm) ok(err error, but ...error) {
	s.t.Helper()
	if err != nil && !slices.ContainsFunc(but, func(b error) bool { return errors.Is(err, b) }) {
		s.t.Fatal(err)
	}
}

// await waits until something is so; where time is real, for as long as it
// takes unless nothing at all comes for a minute.
func (s *storm) await(what string, so func() bool) {
	s.t.Helper()
	last, at := -1, time.Now()
	for {
		s.mu.Lock()
		is, n := so(), len(s.history)
		s.mu.Unlock()
		if is {
			return
		}
		if s.t.Failed() {
			s.t.FailNow()
		}
		if len(s.done) > 0 {
			s.crashed()
			s.start(false)
		}
		if n != last {
			last, at = n, time.Now()
		}
		if time.Since(at) > time.Minute {
			s.report()
			s.dump()
			s.t.Fatalf("no %s after %d lines: %+v", what, n, s.f.Status())
		}
		s.pass(tick)
	}
}

// TestFollowStorm has its time to itself: a seed gives the same run each time.
func TestFollowStorm(t *testing.T) {
	for seed := range uint64(25) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			dir := t.TempDir()
			synctest.Test(t, func(t *testing.T) { newStorm(t, seed, dir).run(120) })
		})
	}
}

// TestFollowStormLive is for the watcher: real time and real inotify.
func TestFollowStormLive(t *testing.T) {
	for seed := range uint64(10) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			s := newStorm(t, seed, t.TempDir())
			s.real = true
			s.run(120)
		})
	}
}
