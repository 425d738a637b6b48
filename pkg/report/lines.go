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
	n      int  // lines that were read
	custom bool // lines without a grammar are wanted too, for rules with a pattern

	unknown  uint64
	samples  []Sample
	timeless uint64 // begin with no time
	bare     Sample // the first of those
}

// find reads on until xs is full of events or the block ends, and returns how
// many it has found.
func (l *lines) find(xs []found) (n int) {
	b := l.block
	at := uint32(0)
	if l.n > 0 {
		at = b.Ends[l.n-1] + 1
	}
	for _, end := range b.Ends[l.n:] {
		if n == len(xs) {
			break
		}
		x := &xs[n]
		line := b.Data[at:end]
		at = end + 1
		x.line = b.FirstLine + uint64(l.n)
		l.n++
		if l.parser.Parse(line, &x.ev) || l.other(line, x) {
			n++
		}
	}
	return n
}

// other says whether a line that holds no event is wanted nevertheless, and
// counts it if it is not understood.
func (l *lines) other(line []byte, x *found) bool {
	switch x.ev.Kind {
	case maillog.KindNone:
		return l.custom && maillog.Split(line, &x.ev)
	case maillog.KindUnknown:
		l.unknown++
		if len(l.samples) < maxSamples {
			l.samples = append(l.samples, Sample{x.line, sample(line)})
		}
	case maillog.KindNoTime:
		if l.timeless++; l.timeless == 1 {
			l.bare = Sample{x.line, sample(line)}
		}
	}
	return false
}

// A batch is a block and the events in it.
type batch struct {
	block *source.Block
	lines lines
	found []found
	ready chan struct{}
}

// parse finds the events of the block.
func (b *batch) parse(p *maillog.Parser, custom bool) {
	b.lines = lines{parser: p, block: b.block, custom: custom}
	n := 0
	for {
		b.found = slices.Grow(b.found[:n], 256)
		xs := b.found[n:cap(b.found)]
		i := b.lines.find(xs)
		n += i
		if i < len(xs) {
			break
		}
	}
	b.found = b.found[:n]
}
