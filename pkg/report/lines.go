package report

import (
	"bytes"

	"github.com/postmoat/postmoat/pkg/maillog"
	"github.com/postmoat/postmoat/pkg/source"
)

// lines finds the events in the lines of a block.
type lines struct {
	parser *maillog.Parser
	rest   []byte
	number uint64 // of the next line
	custom bool   // lines without a grammar are wanted too, for rules with a pattern

	last    uint64 // number of the line of the event
	count   uint64 // lines read
	unknown uint64
	samples []Sample
}

// next reads up to the next event. It returns false at the end of the block.
func (l *lines) next(ev *maillog.Event) bool {
	rest, n := l.rest, l.number
	found := false
	for len(rest) > 0 && !found {
		line := rest
		if i := bytes.IndexByte(rest, '\n'); i >= 0 {
			line, rest = rest[:i], rest[i+1:]
		} else {
			rest = nil
		}
		n++
		if found = l.parser.Parse(line, ev); found {
			break
		}
		if ev.Kind == maillog.KindUnknown {
			l.unknown++
			if len(l.samples) < maxSamples {
				l.samples = append(l.samples, Sample{n - 1, sample(line)})
			}
		} else if l.custom {
			found = maillog.Split(line, ev)
		}
	}
	l.count += n - l.number
	l.rest, l.number, l.last = rest, n, n-1
	return found
}

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
	b.lines = lines{parser: p, rest: b.block.Data, number: b.block.FirstLine, custom: custom}
	for {
		if len(b.events) == cap(b.events) {
			b.events = append(b.events, maillog.Event{})[:len(b.events)]
		}
		n := len(b.events)
		if !b.lines.next(&b.events[:n+1][n]) {
			return
		}
		b.events, b.seqs = b.events[:n+1], append(b.seqs, b.lines.last)
	}
}
