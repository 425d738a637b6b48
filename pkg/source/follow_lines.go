package source

import (
	"bytes"
	"fmt"
	"io"
)

// block reads once and delivers the lines in it. more says that it got as much
// as it could take. The errors are those of the callback and errTruncated;
// those of a file end that file.
func (f *follower) block(t *opened) (more bool, err error) {
	from := t.off
	if t.skipping {
		from = t.scan
	}
	n, rerr := t.text.ReadAt(f.buf, from)
	// Only when the head is still the same after the reading is what was read
	// the continuation of what was read before.
	same, err := t.same()
	switch {
	case err != nil:
		n, rerr = 0, err
	case !same:
		return false, errTruncated
	case n == 0 && t.zip == nil:
		if size, err := t.size(); err != nil {
			rerr = err
		} else if size < from {
			return false, errTruncated
		}
	}
	if err := f.cut(t, f.buf[:n]); err != nil {
		return false, err
	}
	f.ailing = false
	if rerr != nil && rerr != io.EOF {
		if t.zip != nil {
			f.broken = true
			f.event(Damaged, fmt.Sprintf("%s: after byte %d: %v", t.path, t.off, bare(rerr)))
		} else {
			f.trouble(fmt.Errorf("byte %d: %w", from, bare(rerr)))
			f.ailing = true
		}
		return false, nil
	}
	return n == len(f.buf), nil
}

// cut delivers the whole lines of data, which lies at the place where t is.
func (f *follower) cut(t *opened, data []byte) error {
	t.skipping = t.skipping || t.torn
	if t.skipping {
		i := bytes.IndexByte(data, '\n')
		if i < 0 {
			t.scan += int64(len(data))
			return nil
		}
		if err := t.resume(t.scan + int64(i) + 1); err != nil {
			return nil // the next reading meets the same error
		}
		t.skipping, t.scan, t.partial = false, 0, false
		if t.torn {
			t.torn = false
			f.update(func(s *Status) { s.Partial++ })
		} else {
			f.dropped()
		}
		data = data[i+1:]
	}
	for len(data) > 0 {
		// What a crash, or copytruncate with a writer that does not append,
		// leaves: a hole.
		if data[0] == 0 {
			n := len(data) - len(bytes.TrimLeft(data, "\x00"))
			t.advance(n, data)
			data = data[n:]
			continue
		}
		i := bytes.IndexByte(data, '\n')
		if i < 0 {
			break
		}
		text := data[:i]
		first := t.off == 0
		t.advance(i+1, data)
		data = data[i+1:]
		if i > f.o.MaxLine {
			f.dropped()
			continue
		}
		if err := f.emit(t, text, first); err != nil {
			return err
		}
	}
	t.partial = len(data) > 0
	if len(data) > f.o.MaxLine {
		t.skipping, t.scan = true, t.off+int64(len(data))
	}
	return nil
}

// dropped counts a line that was too long: it has a number all the same.
func (f *follower) dropped() {
	f.seq++
	f.long++
}

// emit delivers one line.
func (f *follower) emit(t *opened, text []byte, first bool) error {
	f.seq++
	follows := t == f.last || f.last == nil || first && t.prev == f.last
	if !follows || f.broken {
		f.seq++
		f.broken = false
	}
	f.last = t
	f.lines++
	l := Line{Text: text, Seq: f.seq, Old: f.old}
	l.Position = Position{Seq: f.seq, Draining: f.places}
	if len(f.queue) > 0 {
		l.Position.File = f.queue[0].position()
		l.Position.Copies, l.Position.Home = f.home()
	}
	if len(f.queue) == 0 || t != f.queue[0] {
		f.replace() // t is one of them, and has moved
		l.Position.Draining = f.places
	} else if len(f.queue) == 1 && t.off >= f.until {
		f.old = false
	}
	return f.fn(l)
}
