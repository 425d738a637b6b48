package report

import (
	"slices"

	"github.com/postmoat/postmoat/pkg/maillog"
	"github.com/postmoat/postmoat/pkg/source"
)

// A found is an event and the number of its line.
type found struct {
	ev   maillog.Event
	line uint64
}

// lines finds the events in the lines of a block.
type lines struct {
	parser *maillog.Parser
	block  *source.Block
	n      int    // lines that were read
	at     uint32 // where the next begins
	custom bool   // lines without a grammar are wanted too, for rules with a pattern

	unknown  uint64
	samples  []Sample
	timeless uint64 // begin with no time
	bare     Sample // the first of those
}

// find reads on until xs is full of events or the block ends, and returns how
// many it has found.
func (l *lines) find(xs []found) int {
	data, next, number := l.block.Data, l.at, l.block.FirstLine+uint64(l.n)
	n := uint(0) // unsigned, so that its bound is checked once
	for i, end := range l.block.Ends[l.n:] {
		if n >= uint(len(xs)) {
			break
		}
		x := &xs[n]
		x.line = number + uint64(i)
		start := next
		next = end + 1
		l.n++
		switch {
		case l.parser.Parse(data[start:end], &x.ev):
			n++
		case x.ev.Kind == maillog.KindNone && !l.custom: // most without an event
		case l.other(x, start, end):
			n++
		}
	}
	l.at = next
	return int(n)
}

// other says whether the line from start to end, which holds no event, is wanted
// nevertheless, and counts it if it is not understood.
func (l *lines) other(x *found, start, end uint32) bool {
	line := l.block.Data[start:end]
	switch x.ev.Kind {
	case maillog.KindNone:
		return l.custom && maillog.Split(line, &x.ev)
	case maillog.KindUnknown:
		l.unknown++
		if len(l.samples) < maxSamples {
			l.samples = append(l.samples, Sample{Line: x.line, Text: sample(line)})
		}
	case maillog.KindNoTime:
		if l.timeless++; l.timeless == 1 {
			l.bare = Sample{Line: x.line, Text: sample(line)}
		}
	}
	return false
}

// A batch is a block and the events in it.
type batch struct {
	block *source.Block
	lines lines
	found []found

	parsed bool // see crew
}

// parse finds the events of the block.
func (b *batch) parse(p *maillog.Parser, custom bool) {
	b.lines = lines{parser: p, block: b.block, custom: custom}
	n := 0
	for left := len(b.block.Ends); left > 0; left = len(b.block.Ends) - b.lines.n {
		// Shorter lines are no events, as a rule: a block of nothing but line feeds
		// must not take the memory for so many.
		b.found = slices.Grow(b.found[:n], min(left, len(b.block.Data)/shortEvent+1))
		n += b.lines.find(b.found[n:cap(b.found)])
	}
	b.found = b.found[:n]
}

// shortEvent is a length that most lines with events have at least.
const shortEvent = 64
