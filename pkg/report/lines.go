package report

import (
	"bytes"

	"github.com/postmoat/postmoat/pkg/maillog"
	"github.com/postmoat/postmoat/pkg/source"
)

// lines finds the events in the lines of a block.
type lines struct {
	parser *maillog.Parser
	data   []byte
	at     int    // where the next line begins
	number uint64 // of the next line
	custom bool   // lines without a grammar are wanted too, for rules with a pattern

	unknown uint64
	samples []Sample
}

// next reads up to the next event. It returns false at the end of the block.
func (l *lines) next(ev *maillog.Event) bool {
	for at, n := l.at, l.number; at < len(l.data); {
		line := l.data[at:]
		if i := bytes.IndexByte(line, '\n'); i >= 0 {
			line = line[:i]
		}
		at += len(line) + 1
		n++
		if l.parser.Parse(line, ev) || ev.Kind == maillog.KindNone && l.custom && maillog.Split(line, ev) {
			l.at, l.number = at, n
			return true
		}
		if ev.Kind == maillog.KindUnknown {
			l.unknown++
			if len(l.samples) < maxSamples {
				l.samples = append(l.samples, Sample{n - 1, sample(line)})
			}
		}
		l.number = n
	}
	l.at = len(l.data)
	return false
}

// last is the number of the line of the event.
func (l *lines) last() uint64 { return l.number - 1 }

// A batch is a block and the events in it.
type batch struct {
	block  *source.Block
	lines  lines
	events []maillog.Event
	seqs   []uint64
	ready  chan struct{}
}

// parse finds the events of the block.
func (b *batch) parse(p *maillog.Parser, custom bool) {
	b.events, b.seqs = b.events[:0], b.seqs[:0]
	b.lines = lines{parser: p, data: b.block.Data, number: b.block.FirstLine, custom: custom}
	for {
		if len(b.events) == cap(b.events) {
			b.events = append(b.events, maillog.Event{})[:len(b.events)]
		}
		n := len(b.events)
		if !b.lines.next(&b.events[:n+1][n]) {
			return
		}
		b.events, b.seqs = b.events[:n+1], append(b.seqs, b.lines.last())
	}
}
