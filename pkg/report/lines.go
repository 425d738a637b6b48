package report

import (
	"bytes"

	"github.com/postmoat/postmoat/pkg/maillog"
	"github.com/postmoat/postmoat/pkg/source"
)

// events come one by one, with the number of their line.
type events interface {
	next(ev *maillog.Event) (line uint64, ok bool)
}

// lines finds the events in the lines of a block.
type lines struct {
	parser *maillog.Parser
	data   []byte
	at     int    // where the next line begins
	number uint64 // of the next line
	custom bool   // lines without a grammar are wanted too, for rules with a pattern

	unknown  uint64
	samples  []Sample
	timeless uint64 // begin with no time
	bare     Sample // the first of those
}

// next reads up to the next event. It returns false at the end of the block.
func (l *lines) next(ev *maillog.Event) (number uint64, ok bool) {
	for at, n := l.at, l.number; at < len(l.data); {
		line := l.data[at:]
		if i := bytes.IndexByte(line, '\n'); i >= 0 {
			line = line[:i]
		}
		at += len(line) + 1
		n++
		if l.parser.Parse(line, ev) || ev.Kind == maillog.KindNone && l.custom && maillog.Split(line, ev) {
			l.at, l.number = at, n
			return n - 1, true
		}
		switch ev.Kind {
		case maillog.KindUnknown:
			l.unknown++
			if len(l.samples) < maxSamples {
				l.samples = append(l.samples, Sample{n - 1, sample(line)})
			}
		case maillog.KindNoTime:
			if l.timeless++; l.timeless == 1 {
				l.bare = Sample{n - 1, sample(line)}
			}
		}
		l.number = n
	}
	l.at = len(l.data)
	return 0, false
}

// A batch is a block and the events in it.
type batch struct {
	block *source.Block
	lines lines
	pack  maillog.Pack
	ev    maillog.Event // of parse
	ready chan struct{}
}

// parse finds the events of the block.
func (b *batch) parse(p *maillog.Parser, custom bool) {
	b.pack.Reset(b.block.Data)
	b.lines = lines{parser: p, data: b.block.Data, number: b.block.FirstLine, custom: custom}
	for {
		n, ok := b.lines.next(&b.ev)
		if !ok {
			return
		}
		b.pack.Add(&b.ev, uint32(n-b.block.FirstLine))
	}
}

// next takes out the next event that parse has found.
func (b *batch) next(ev *maillog.Event) (number uint64, ok bool) {
	n, ok := b.pack.Next(ev)
	return b.block.FirstLine + uint64(n), ok
}
