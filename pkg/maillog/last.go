package maillog

import "bytes"

// A lastLine is the last event of a source, as the texts it was parsed from.
// They lie in the line until they are kept.
type lastLine struct {
	seq   uint64
	pid   uint32
	valid bool
	kept  bool
	host  []byte
	tag   []byte
	msg   []byte
	text  []byte // what was kept, reused
}

// set remembers ev.
func (l *lastLine) set(seq uint64, ev *Event) {
	l.seq, l.pid = seq, ev.PID
	l.valid = len(ev.Host)+len(ev.Tag)+len(ev.Message) <= maxLastBytes && ev.Kind > KindActive
	l.kept = false
	l.host, l.tag, l.msg = ev.Host, ev.Tag, ev.Message
}

// keep copies the texts out of the line.
func (l *lastLine) keep() {
	if l.kept {
		return
	}
	l.kept = true
	if !l.valid {
		l.host, l.tag, l.msg = nil, nil, nil
		return
	}
	h, t := len(l.host), len(l.host)+len(l.tag)
	l.text = append(append(append(l.text[:0], l.host...), l.tag...), l.msg...)
	l.host, l.tag, l.msg = l.text[:h:h], l.text[h:t:t], l.text[t:]
}

// repeat turns the repeat line ev into the event it repeats, with the time of
// the repeat line. It is certain only for the line right before it, of the
// same host.
func (l *lastLine) repeat(seq uint64, ev *Event) bool {
	n := min(ev.Repeat, maxRepeat)
	if !l.valid || l.seq+1 != seq || n == 0 {
		return false
	}
	if len(ev.Host) > 0 && !bytes.Equal(l.host, ev.Host) {
		return false
	}
	l.keep()
	at := ev.Time
	ev.Host, ev.Tag, ev.Message, ev.PID = l.host, l.tag, l.msg, l.pid
	if !ParseMessage(ev) {
		return false
	}
	ev.Time, ev.Count, ev.Repeat = at, n, n
	l.seq = seq
	return true
}
