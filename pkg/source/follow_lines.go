package source

import "bytes"

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
