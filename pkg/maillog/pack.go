package maillog

import (
	"math"
	"net/netip"
)

// A Pack holds events in few bytes each, in order: to hand them from the
// processor that has parsed them to another. An [Event] is seven cache lines,
// and each that is touched has to come from there.
type Pack struct {
	data   []byte // what the lines lie in
	heads  []head
	events []packed
	sums   []Commands
	texts  []packedTexts
	whole  []Event // those that do not fit

	// What Next has come to.
	at, sum, text, odd int
}

// A head is what lines of one second and one host begin with, as by has read
// it. by and no identify it; its memory is not written to again.
type head struct {
	by    *Parser
	no    uint32
	stamp Stamp
	host  []byte
}

// A packed is an event but for its texts, in one cache line.
type packed struct {
	client  netip.Addr
	line    uint32
	head    uint32 // index in Pack.heads
	pid     uint32
	message uint32 // where it begins in Pack.data
	length  uint32 // of message
	name    span   // of ClientName, in message
	port    uint16
	code    uint16
	kind    Kind
	stage   Stage
	reason  Reason
	door    uint8
	lane    uint8 // index in lanes; 0: it is the next of Pack.whole
	has     uint8 // hasSum, hasTexts
}

const (
	hasSum   = 1 << iota // the next of Pack.sums is its Commands
	hasTexts             // the next of Pack.texts are its texts
)

// A span is a text in a message: where it begins, and 1 more than its length;
// the zero span is no text.
type span struct{ at, n uint16 }

// packedTexts are the texts in a message that few events have.
type packedTexts struct {
	service, id, dsn, helo, sender, recipient, proto, method, user span
}

// Reset makes p empty, for events of lines in data, which must stay as they are
// as long as p is read.
func (p *Pack) Reset(data []byte) {
	*p = Pack{data: data, heads: p.heads[:0], events: p.events[:0], sums: p.sums[:0], texts: p.texts[:0], whole: p.whole[:0]}
}

// Add packs an event that a [Parser] or [Split] has filled in, and that was
// not joined. line is for the caller.
func (p *Pack) Add(ev *Event, line uint32) {
	var e packed
	if !e.set(p.data, ev) || ev.dirty && !p.addTexts(&e, ev) {
		p.events = append(p.events, packed{line: line})
		p.whole = append(p.whole, *ev)
		return
	}
	if ev.Commands.Present {
		e.has |= hasSum
		p.sums = append(p.sums, ev.Commands)
	}
	n := len(p.heads)
	if n == 0 || p.heads[n-1].no != ev.head || p.heads[n-1].by != ev.by {
		p.heads = append(p.heads, head{ev.by, ev.head, ev.Stamp, ev.Host})
		n++
	}
	e.line, e.head = line, uint32(n-1)
	p.events = append(p.events, e)
}

// set packs what most events have. ok is false when it does not fit.
func (e *packed) set(data []byte, ev *Event) (ok bool) {
	at, ok := offset(data, ev.Message)
	if !ok || at > math.MaxInt32 || len(ev.Message) == 0 || ev.lane == 0 || ev.escaped || ev.Repeat != 0 {
		return false
	}
	e.message, e.length = uint32(at), uint32(len(ev.Message))
	e.pid, e.client, e.port, e.code = ev.PID, ev.Client, ev.Port, ev.Code
	e.kind, e.stage, e.reason, e.door, e.lane = ev.Kind, ev.Stage, ev.Reason, ev.door, ev.lane
	return e.name.set(ev.Message, ev.ClientName)
}

// addTexts packs the texts that few events have. ok is false when they do not
// fit.
func (p *Pack) addTexts(e *packed, ev *Event) (ok bool) {
	m := ev.Message
	var t packedTexts
	if !same(lanes[ev.lane].service, ev.Service) && !t.service.set(m, ev.Service) {
		return false
	}
	if !t.id.set(m, ev.QueueID) || !t.dsn.set(m, ev.DSN) || !t.helo.set(m, ev.Helo) ||
		!t.sender.set(m, ev.Sender) || !t.recipient.set(m, ev.Recipient) || !t.proto.set(m, ev.Proto) ||
		!t.method.set(m, ev.SASLMethod) || !t.user.set(m, ev.SASLUser) {
		return false
	}
	e.has |= hasTexts
	p.texts = append(p.texts, t)
	return true
}

// same reports whether two texts are one and the same, not only equal.
func same(a, b []byte) bool {
	if len(a) == 0 || len(a) != len(b) {
		return a == nil && b == nil
	}
	return &a[0] == &b[0]
}

// offset is where part lies in whole. Slices of one array end their capacity at
// the same byte.
func offset(whole, part []byte) (at int, ok bool) {
	at = cap(whole) - cap(part)
	return at, at >= 0 && at <= len(whole)-len(part) && (len(part) == 0 || &whole[at] == &part[0])
}

// set makes s the span of text in m, if text lies there.
func (s *span) set(m, text []byte) (ok bool) {
	if text == nil {
		return true
	}
	at, ok := offset(m, text)
	if !ok || at+len(text) >= 1<<16-1 {
		return false
	}
	*s = span{uint16(at), uint16(len(text)) + 1}
	return true
}

// of is the text of s in m.
func (s span) of(m []byte) []byte {
	if s.n == 0 {
		return nil
	}
	return m[s.at : int(s.at)+int(s.n)-1]
}

// Next takes the next event out, in the order of Add. ev must be zero, or have
// been filled by a Pack, [Parser], [Split] or [Joiner]. ok is false when
// there is none.
func (p *Pack) Next(ev *Event) (line uint32, ok bool) {
	if p.at == len(p.events) {
		return 0, false
	}
	e := &p.events[p.at]
	p.at++
	if e.lane == 0 {
		*ev = p.whole[p.odd]
		ev.dirty = true
		p.odd++
		return e.line, true
	}
	m := p.data[e.message:][:e.length]
	l := &lanes[e.lane%numLanes]
	ev.begin(&p.heads[e.head], e.lane)
	ev.PID, ev.Client, ev.Port, ev.Code = e.pid, e.client, e.port, e.code
	ev.Kind, ev.Stage, ev.Reason, ev.door = e.kind, e.stage, e.reason, e.door
	ev.Tag, ev.Message, ev.ClientName, ev.Service = l.tag, m, e.name.of(m), l.service
	if e.has&hasSum != 0 {
		ev.Commands = p.sums[p.sum]
		p.sum++
	}
	if e.has&hasTexts != 0 {
		t := &p.texts[p.text]
		p.text++
		if t.service.n != 0 {
			ev.Service = t.service.of(m)
		}
		ev.QueueID, ev.DSN, ev.Helo, ev.Sender = t.id.of(m), t.dsn.of(m), t.helo.of(m), t.sender.of(m)
		ev.Recipient, ev.Proto, ev.SASLMethod, ev.SASLUser = t.recipient.of(m), t.proto.of(m), t.method.of(m), t.user.of(m)
		ev.dirty = true
	}
	return e.line, true
}
