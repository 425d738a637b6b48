package report

import (
	"bytes"
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
	data   []byte
	at     int    // where the next line begins
	number uint64 // of the next line
	custom bool   // lines without a grammar are wanted too, for rules with a pattern

	lines    uint64
	unknown  uint64
	samples  []Sample
	timeless uint64 // begin with no time
	bare     Sample // the first of those
}

// find reads on until xs is full of events or the block ends, and returns how
// many it has found.
func (l *lines) find(xs []found) (n int) {
	at, number := l.at, l.number
	for n < len(xs) && at < len(l.data) {
		line := l.data[at:]
		if i := bytes.IndexByte(line, '\n'); i >= 0 {
			line = line[:i]
		}
		at += len(line) + 1
		x := &xs[n]
		if l.parser.Parse(line, &x.ev) || l.other(line, number, &x.ev) {
			x.line = number
			n++
		}
		number++
	}
	l.lines += number - l.number
	l.at, l.number = min(at, len(l.data)), number
	return n
}

// other says whether a line that holds no event is wanted nevertheless, and
// counts it if it is not understood.
func (l *lines) other(line []byte, number uint64, ev *maillog.Event) bool {
	switch ev.Kind {
	case maillog.KindNone:
		return l.custom && maillog.Split(line, ev)
	case maillog.KindUnknown:
		l.unknown++
		if len(l.samples) < maxSamples {
			l.samples = append(l.samples, Sample{number, sample(line)})
		}
	case maillog.KindNoTime:
		if l.timeless++; l.timeless == 1 {
			l.bare = Sample{number, sample(line)}
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
	b.lines = lines{parser: p, data: b.block.Data, number: b.block.FirstLine, custom: custom}
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
