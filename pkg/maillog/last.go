package maillog

import "bytes"

// A lastLine is the last event of a source, as the texts it was parsed from.
type lastLine struct {
	seq   uint64
	ev    *Event // until it is kept; the rest is good when it is nil
	valid bool
	pid   uint32
	text  []byte // what was kept, reused: Host, Tag, Message
	host  int    // length of Host
	tag   int    // and of Tag
}

// set remembers ev.
func (l *lastLine) set(seq uint64, ev *Event) { l.seq, l.ev = seq, ev }

// forget makes it certain that nothing repeats the last event.
func (l *lastLine) forget() { l.ev, l.valid = nil, false }

// keep copies the texts out of the event.
func (l *lastLine) keep() {
	ev := l.ev
	if ev == nil {
		return
	}
	l.ev = nil
	host, tag, msg := ev.Text(Host), ev.Text(Tag), ev.Text(Message)
	l.valid = len(host)+len(tag)+len(msg) <= maxLastBytes && ev.Kind > KindActive
	if !l.valid {
		return
	}
	l.pid, l.host, l.tag = ev.PID, len(host), len(tag)
	l.text = append(append(append(l.text[:0], host...), tag...), msg...)
}

// repeat is [lastLine.repeat]; what it is not certain of becomes no event.
func (o *sourceState) repeat(seq uint64, ev *Event) bool {
	if o.last.repeat(seq, ev) {
		return true
	}
	o.last.forget()
	ev.reset()
	ev.Time, ev.Count = o.time, 1
	return false
}

// repeat turns the repeat line ev into the event it repeats, with the time of
// the repeat line. It is certain only for the line right before it, of the
// same host.
func (l *lastLine) repeat(seq uint64, ev *Event) bool {
	l.keep()
	n := min(ev.Repeat, maxRepeat)
	if !l.valid || l.seq+1 != seq || n == 0 {
		return false
	}
	if host := ev.Text(Host); len(host) > 0 && !bytes.Equal(l.text[:l.host], host) {
		return false
	}
	at := ev.Time
	ev.line, ev.PID = l.text, l.pid
	if ev.texts[Host] = (span{}); l.host > 0 {
		ev.set(Host, l.text[:l.host])
	}
	ev.set(Tag, l.text[l.host:l.host+l.tag])
	ev.set(Message, l.text[l.host+l.tag:])
	if !parseMessage(ev) {
		return false
	}
	ev.Time, ev.Count, ev.Repeat = at, n, n
	l.seq = seq
	return true
}
