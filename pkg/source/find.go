package source

import (
	"cmp"
	"fmt"
	"os"
	"slices"
	"time"
)

// find looks at all files and queues those that can be read, in order.
func (r *reader) find(paths []string) {
	for i, path := range paths {
		a := &archive{path: path, index: i, maxLine: r.o.MaxLine, stats: FileStats{File: path}}
		r.admit(a)
	}
	if len(r.queue) > 1 {
		r.queue = slices.DeleteFunc(r.queue, func(a *archive) bool { return !r.peek(a) })
		slices.SortStableFunc(r.queue, func(a, b *archive) int {
			return cmp.Or(a.orderTime().Compare(b.orderTime()), cmp.Compare(a.early, b.early), a.modTime.Compare(b.modTime))
		})
	}
	for _, a := range r.open {
		if a.regular() {
			r.total += a.info.Size()
		}
	}
}

// admit queues a file, unless it is none or is queued already.
func (r *reader) admit(a *archive) {
	if a.path == "-" {
		a.stdin = r.o.Stdin
		if a.stdin == nil {
			a.stdin = os.Stdin
		}
		if f, ok := a.stdin.(*os.File); ok {
			if info, err := f.Stat(); err == nil && info.Mode().IsRegular() {
				a.info, a.modTime = info, info.ModTime()
			}
		}
	} else if err := a.stat(); err != nil {
		r.errs = append(r.errs, a.fault(err))
		return
	}
	for _, b := range r.queue {
		if a.path == b.path || a.info != nil && b.info != nil && os.SameFile(a.info, b.info) {
			r.warn(a.path + ": the same file as " + b.path + ", read once")
			return
		}
	}
	r.queue = append(r.queue, a)
	r.open = append(r.open, a)
}

// peek looks for the time of a file's first lines, and says whether the file
// can be read at all.
func (r *reader) peek(a *archive) bool {
	if err := a.begin(r.ctx); err != nil {
		r.done(a, err)
		return false
	}
	data, err := a.lines.next(make([]byte, r.o.Block))
	if err == nil {
		a.findStart(data, r.o.Time)
		a.timed = !a.start.IsZero()
	}
	if a.timed {
		a.early = r.lastTime(a.start.Unix(), data)
	}
	if a.stream() {
		a.peeked = data
	} else {
		a.close() // what was wrong is met again when its turn comes
		a.in.n = 0
	}
	return true
}

func (a *archive) orderTime() time.Time {
	if a.timed {
		return a.start
	}
	return a.modTime
}

// finish fills in what only the end of a file tells.
func (r *reader) finish(a *archive) {
	a.close()
	a.stats.Read = a.in.n
	r.stats.Read += a.in.n
	if n := a.lines.long; n > 0 {
		r.stats.LongLines += n
		r.warn(fmt.Sprintf("%s: lines longer than %d bytes, dropped: %d, the first is line %d", a.path, a.maxLine, n, a.long))
	}
	if a.lines.part {
		r.stats.PartLines++
	}
	if n := a.stats.Duplicates; n > 0 {
		r.stats.Duplicates += n
		r.warn(fmt.Sprintf("%s: overlaps another file: %d lines stand there too and count once", a.path, n))
	}
	r.stats.Files = append(r.stats.Files, a.stats)
}
