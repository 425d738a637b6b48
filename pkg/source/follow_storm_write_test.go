package source

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

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

const stormMaxLine = 4000

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
	if len(s.count) > maxDraining {
		return // so many are watched, copies too
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
