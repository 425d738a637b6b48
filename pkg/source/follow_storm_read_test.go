package source

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing/synctest"
	"time"
)

type stormRead struct {
	line int
	seq  uint64
}

// start follows from the saved position. It may die by itself after a while.
func (s *storm) start(dies bool) {
	o := FileOptions{Path: s.path, Start: FromHistory, MaxLine: stormMaxLine, Polling: !s.real}
	if s.real {
		o.Grace = time.Hour
	}
	s.f = newFollower(o)
	ctx, cancel := context.WithCancel(context.Background())
	s.ctx, s.done, s.running = cancel, make(chan error, 1), true
	s.mu.Lock()
	if s.die = -1; len(s.history) > 0 {
		s.every = 1 + s.r.IntN(20)
	}
	if dies {
		s.die = len(s.history) + s.r.IntN(100)
	}
	s.mu.Unlock()
	s.t.Logf("it begins at %+v", s.saved)
	from, f, done := s.saved, s.f, s.done
	go func() { done <- f.Run(ctx, from, s.take) }()
	if !s.real {
		synctest.Wait()
	}
}

func (s *storm) take(l Line) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.history) == s.die {
		return errCrash
	}
	text := string(l.Text)
	var n int
	if i := strings.LastIndex(text, "line "); i < 0 {
		n = -1
	} else if _, err := fmt.Sscanf(text[i:], "line %d", &n); err != nil {
		n = -1
	}
	if n < 0 || n >= len(s.lines) || s.lines[n].text != text {
		s.t.Errorf("no line that was written: %q", text[:min(len(text), 200)])
		return errCrash
	}
	last := s.saved.Seq
	if k := len(s.history); k > s.kept {
		last = s.history[k-1].seq
	}
	if l.Seq <= last || l.Position.Seq != l.Seq {
		s.t.Errorf("number %d after %d, position %d", l.Seq, last, l.Position.Seq)
	}
	for _, p := range append([]FilePosition{l.Position.File}, l.Position.Draining...) {
		if !p.valid() {
			s.t.Errorf("no valid position: %+v", p)
		}
	}
	s.history = append(s.history, stormRead{n, l.Seq})
	s.seen[text]++
	s.newest = l.Position
	if len(s.history)-s.kept >= s.every {
		s.save()
	}
	return nil
}

func (s *storm) save() { s.saved, s.kept = s.newest, len(s.history) }

// stop ends the follower, and what it has not saved is forgotten.
func (s *storm) stop(save bool) {
	s.mu.Lock()
	if save && len(s.history) > s.kept {
		s.save()
		s.every = 1 // for what comes until it ends
	}
	s.mu.Unlock()
	s.ctx()
	s.crashed()
}

func (s *storm) crashed() {
	if err := <-s.done; err != nil && err != errCrash {
		s.t.Error(err)
	}
	s.ctx()
	s.running = false
	for _, r := range s.history[s.kept:] {
		s.seen[s.lines[r.line].text]--
	}
	s.history = s.history[:s.kept]
	s.t.Logf("it ended after %d lines: %+v", s.kept, s.f.Status())
	for _, a := range s.f.Status().Alarms {
		if a.Kind == Gap {
			s.gaps++
		}
	}
	s.lose()
}

// lose notes that nobody has the files open any more that have no name.
func (s *storm) lose() {
	for gen, gone := range s.gone {
		if !gone || s.lost[gen] {
			continue
		}
		s.lost[gen] = true
		s.told[gen] = s.kept > 0 && s.lines[s.history[s.kept-1].line].gen == gen
		for i, l := range s.lines {
			if l.gen == gen && s.seen[l.text] == 0 {
				s.lines[i].may = "its file is gone"
			}
		}
	}
}

// report names the first line that came too often or not at all.
func (s *storm) report() {
	for _, l := range s.lines {
		if n := s.seen[l.text]; n > 1 || n == 0 && !l.never && l.may == "" || n > 0 && l.never {
			s.t.Errorf("%q (number %d of file %d, may be missing: %q) came %d times", l.text[:min(len(l.text), 80)], l.index, l.gen, l.may, n)
			if s.t.Failed() {
				return
			}
		}
	}
}

// dump says in which order which lines of which files came.
func (s *storm) dump() {
	for i := 0; i < len(s.history); {
		from := i
		for i++; i < len(s.history) && s.history[i].line == s.history[i-1].line+1; i++ {
		}
		a, b := s.history[from], s.history[i-1]
		s.t.Logf("numbers %d to %d: file %d, lines %d to %d", a.seq, b.seq, s.lines[a.line].gen, s.lines[a.line].index, s.lines[b.line].index)
	}
}

func (s *storm) check() {
	s.report()
	at := map[int]int{}
	for i, r := range s.history {
		l := s.lines[r.line]
		if before, ok := at[l.gen]; ok && l.index <= before {
			for _, r := range s.history[max(0, i-12) : i+3] {
				s.t.Logf("%d: line %d of file %d, may be missing: %q", r.seq, s.lines[r.line].index, s.lines[r.line].gen, s.lines[r.line].may)
			}
			s.t.Fatalf("file %d: line %d after line %d", l.gen, l.index, before)
		}
		at[l.gen] = l.index
		if i == 0 || r.seq != s.history[i-1].seq+1 {
			continue
		}
		if b := s.lines[s.history[i-1].line]; l.gen == b.gen && l.index != b.index+1 || l.gen != b.gen && l.index != 0 {
			s.t.Errorf("line %d of file %d and line %d of file %d are neighbours by number", b.index, b.gen, l.index, l.gen)
		}
	}
	missing := 0
	for _, l := range s.lines {
		if s.told[l.gen] && l.may == "its file is gone" && !l.never && s.seen[l.text] == 0 {
			missing++
		}
	}
	if missing > 0 && s.gaps == 0 {
		s.t.Errorf("%d lines of files that are gone are missing, and there was no alarm", missing)
	}
	if !slices.Contains(s.kinds, "delete") && !s.window && s.gaps > 0 {
		s.t.Errorf("%d alarms, and nothing was lost", s.gaps)
	}
	s.t.Logf("%d lines, %d files, %d of files that are gone and were known", len(s.history), len(s.count), missing)
}
