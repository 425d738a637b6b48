package source

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
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

// A pen writes to one file, line by line but not all at once.
type pen struct {
	f    *os.File
	gen  int
	rest string
	used time.Time
}

// A generation is what is in a file from its making, or its emptying, on.
type stormLine struct {
	text       string
	gen, index int
	never      bool   // it is too long, or has no end
	may        string // why it may be missing
}

type stormRead struct {
	line int
	seq  uint64
}

const stormMaxLine = 4000

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

// create makes the file at the path.
func (s *storm) create() {
	path := s.path
	if s.link {
		s.numbers++
		path = fmt.Sprintf("%s-202611%02d", s.path, s.numbers)
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_APPEND|os.O_WRONLY, 0o600)
	s.ok(err)
	s.w = &pen{f: f, gen: s.generation()}
	if s.link {
		s.ok(os.Symlink(path, s.path+".new"))
		s.ok(os.Rename(s.path+".new", s.path))
	}
}

func (s *storm) generation() int {
	s.count, s.gone, s.lost, s.told = append(s.count, 0), append(s.gone, false), append(s.lost, false), append(s.told, false)
	return len(s.count) - 1
}

// line makes the next line of a file.
func (s *storm) line(gen int) string {
	l := stormLine{text: fmt.Sprintf("Nov 23 08:46:49 mx1 postfix/smtpd[14545]: line %d", len(s.lines)), gen: gen, index: s.count[gen]}
	switch s.r.IntN(30) {
	case 0:
		l.text += strings.Repeat("y", s.r.IntN(stormMaxLine-len(l.text)))
	case 1:
		l.text += "\x00\r\xff" + strings.Repeat("\x00", s.r.IntN(9)) + "\r"
	case 2:
		l.text += strings.Repeat("z", stormMaxLine+s.r.IntN(20_000))
		l.never = true
	}
	if s.lost[gen] {
		l.may = "its file is gone"
	}
	s.count[gen]++
	s.mu.Lock()
	s.lines = append(s.lines, l)
	s.mu.Unlock()
	return l.text + "\n"
}

// write writes n lines to a file, in pieces; the last one perhaps not to its end.
func (s *storm) write(p *pen, n int, half bool) {
	if p != s.w && time.Since(p.used) > grace/2 && !s.real {
		s.drop(slices.Index(s.late, p))
		return
	}
	p.used = time.Now()
	var text strings.Builder
	text.WriteString(p.rest)
	p.rest = ""
	for range n {
		text.WriteString(s.line(p.gen))
	}
	all := text.String()
	if half {
		l := s.line(p.gen)
		cut := 1 + s.r.IntN(len(l)-1)
		all, p.rest = all+l[:cut], l[cut:]
	}
	for all != "" {
		n := 1 + s.r.IntN(len(all))
		if s.r.IntN(3) == 0 {
			n = len(all)
		}
		_, err := p.f.WriteString(all[:n])
		s.ok(err)
		all = all[n:]
		if s.r.IntN(4) == 0 {
			s.pass(time.Duration(s.r.IntN(3)) * tick / 2)
		}
	}
}

// drop closes a renamed file. A line without an end never gets one.
func (s *storm) drop(i int) {
	s.abandon(s.late[i])
	s.late[i].f.Close()
	s.late = slices.Delete(s.late, i, i+1)
}

func (s *storm) abandon(p *pen) {
	if p.rest != "" && s.count[p.gen] > 0 {
		s.last(p.gen).never = true
	}
	p.rest = ""
}

// last is the newest line of a generation.
func (s *storm) last(gen int) *stormLine {
	for i := len(s.lines) - 1; ; i-- {
		if s.lines[i].gen == gen {
			return &s.lines[i]
		}
	}
}

func (s *storm) rotate() {
	if s.count[s.w.gen] == 0 {
		s.write(s.w, 1, false)
	}
	if len(s.late) > 0 && s.late[0].gen < s.w.gen-maxDraining/2 {
		s.drop(0) // so many are watched, copies too
	}
	kind := s.kinds[s.r.IntN(len(s.kinds))]
	s.t.Logf("%s of file %d, read %v", kind, s.w.gen, s.running)
	if kind != "rename" {
		// What comes and goes between two looks was never there.
		s.mark()
	}
	s.write(s.w, s.r.IntN(20), s.r.IntN(4) == 0 && !s.mixed)
	switch kind {
	case "copytruncate":
		s.copytruncate()
		return
	case "delete":
		s.ok(os.Remove(s.path))
		s.gone[s.w.gen] = true
		if !s.running {
			s.lose()
		}
	case "rename":
		s.rename()
	}
	old := s.w
	if s.r.IntN(2) == 0 {
		s.pass(time.Duration(s.r.IntN(4)) * tick)
	}
	s.create()
	old.used = time.Now()
	s.late = append(s.late, old)
	if len(s.late) > 2 || s.r.IntN(3) == 0 {
		s.drop(0)
	}
}

// mark writes a line, and waits until it has been read if anybody reads.
func (s *storm) mark() {
	for s.write(s.w, 1, false); s.last(s.w.gen).never; {
		s.write(s.w, 1, false)
	}
	if text := s.last(s.w.gen).text; s.running {
		s.await("newest line", func() bool { return s.seen[text] > 0 })
	}
}

// target is the name under which the file at the path goes on.
func (s *storm) target() string {
	s.numbers++
	if s.dated {
		return fmt.Sprintf("%s-202611%02d", s.path, s.numbers)
	}
	names, err := filepath.Glob(s.path + ".*")
	s.ok(err)
	number := func(name string) (n int) {
		_, err := fmt.Sscanf(strings.TrimPrefix(name, s.path), ".%d", &n)
		s.ok(err)
		return n
	}
	slices.SortFunc(names, func(a, b string) int { return number(b) - number(a) })
	for _, name := range names {
		n := number(name)
		s.ok(os.Rename(name, fmt.Sprintf("%s.%d%s", s.path, n+1, strings.TrimPrefix(name, fmt.Sprintf("%s.%d", s.path, n)))))
	}
	return s.path + ".1"
}

func (s *storm) rename() { s.ok(os.Rename(s.path, s.target())) }

// copytruncate copies and empties. What is written between the two is lost,
// unless it was read before the emptying, and so is a line that was written
// half: its rest is in another place.
func (s *storm) copytruncate() {
	if s.w.rest != "" {
		s.last(s.w.gen).never = true
	}
	data, err := os.ReadFile(s.path)
	s.ok(err)
	s.ok(os.WriteFile(s.target(), data, 0o600))
	if s.w.rest == "" && s.r.IntN(3) == 0 {
		from := len(s.lines)
		s.window = true
		s.write(s.w, s.r.IntN(5), false)
		for i := range s.lines[from:] {
			s.lines[from+i].may = "copytruncate"
		}
	}
	s.ok(s.w.f.Truncate(0))
	s.w.gen = s.generation()
}

// compress packs the oldest rotated file that nobody writes to.
func (s *storm) compress() {
	s.t.Log("compress")
	names, err := filepath.Glob(s.path + "?*")
	s.ok(err)
	if len(names) < 4 {
		return
	}
	open := func(name string) bool {
		info, err := os.Stat(name)
		s.ok(err)
		return slices.ContainsFunc(append(s.late, s.w), func(p *pen) bool {
			own, err := p.f.Stat()
			s.ok(err)
			return os.SameFile(own, info)
		})
	}
	name := names[s.r.IntN(len(names))]
	if strings.Contains(".gz.xz.zst", filepath.Ext(name)) || open(name) {
		return
	}
	data, err := os.ReadFile(name)
	s.ok(err)
	info, err := os.Stat(name)
	s.ok(err)
	packed, ext := packAny(s.t, s.r, data)
	f, err := os.Create(name + ext)
	s.ok(err)
	half := s.r.IntN(len(packed))
	_, err = f.Write(packed[:half])
	s.ok(err)
	s.pass(time.Duration(s.r.IntN(3)) * tick)
	_, err = f.Write(packed[half:])
	s.ok(err)
	s.ok(f.Close())
	s.ok(os.Chtimes(name+ext, info.ModTime(), info.ModTime()))
	s.ok(os.Remove(name))
}

// deny takes the right to read the file at the path away for a while.
func (s *storm) deny() {
	s.denied++
	s.ok(s.w.f.Chmod(0))
	switch {
	case !s.running:
		s.start(false)
		s.await("alarm", func() bool { return s.f.Status().State == NoPermission })
	case s.r.IntN(2) == 0:
		s.stop(false)
	}
	s.write(s.w, s.r.IntN(10), false)
	s.pass(time.Duration(s.r.IntN(10)) * tick)
	s.ok(s.w.f.Chmod(0o600))
}

// fill fills the file system, so that a line is cut anywhere; the writer tries
// again with the rest, as syslog daemons do.
func (s *storm) fill() {
	s.filled++
	ballast := filepath.Join(s.dir, "ballast")
	f, err := os.Create(ballast)
	s.ok(err)
	for err = nil; err == nil; {
		_, err = f.Write(make([]byte, 4096))
	}
	s.ok(err, syscall.ENOSPC)
	s.ok(f.Close())
	var text strings.Builder
	text.WriteString(s.w.rest)
	s.w.rest = ""
	for range 200 {
		text.WriteString(s.line(s.w.gen))
	}
	n, err := s.w.f.WriteString(text.String())
	if !errors.Is(err, syscall.ENOSPC) {
		s.t.Fatalf("the file system is not full: %v", err)
	}
	s.pass(time.Duration(s.r.IntN(10)) * tick)
	s.ok(os.Remove(ballast))
	_, err = s.w.f.WriteString(text.String()[n:])
	s.ok(err)
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
