package report

import (
	"context"
	"errors"
	"io"
	"iter"
	"math"
	"runtime"
	"slices"
	"time"

	"github.com/postmoat/postmoat/pkg/engine"
	"github.com/postmoat/postmoat/pkg/maillog"
	"github.com/postmoat/postmoat/pkg/rule"
	"github.com/postmoat/postmoat/pkg/source"
)

// Options is what a replay is told.
type Options struct {
	Paths []string // logs in any order, plain or compressed; "-" is Stdin
	Stdin io.Reader

	Location *time.Location // of stamps without a zone; nil: UTC
	// Now is near the first stamp; zero: the file's own time. Clock stands
	// in for the time of a file that has none (a pipe).
	Now, Clock time.Time
	// Since and Until narrow what is scored; good senders are learnt from
	// lines before Since too. Zero: no bound.
	Since, Until time.Time

	Top int // length of the lists of the report; 0: all
	// Brief leaves out what the JSON form does not have: the lists of clients,
	// networks and rules, and the attack.
	Brief    bool
	Progress func(read, total int64)
}

// errPast ends the reading: all that follows lies after the span.
var errPast = errors.New("past the end of the span")

// Replay feeds logs to an engine that has seen nothing and reports what it
// did. An error that names files is returned together with the report of what
// could be read.
func Replay(ctx context.Context, e *engine.Engine, rules *rule.Set, o Options) (*Report, error) {
	if o.Location == nil {
		o.Location = time.UTC
	}
	if o.Top <= 0 {
		o.Top = math.MaxInt
	}
	since, until := int64(math.MinInt64), int64(math.MaxInt64)
	if !o.Since.IsZero() {
		since = o.Since.Unix()
	}
	if !o.Until.IsZero() {
		until = o.Until.Unix()
	}
	e.Span(since, until)
	p := &player{o: o, e: e, c: newCollector(e, rules), custom: rules.HasCustom()}
	stats, err := p.run(ctx)
	if err != nil && ctx.Err() != nil {
		return nil, err
	}
	for i := range p.samples {
		p.samples[i].Where = p.where(p.samples[i].Line)
	}
	r := p.c.finish(p.lines, p.unknown, p.samples)
	if !o.Brief {
		p.c.lists(o.Top)
	}
	r.Notes = p.notes(r, &stats, e.Stats())
	return r, err
}

// A player moves lines from the files to the engine. Lines are parsed beside
// the engine where there is a processor for it; the engine gets them in order.
type player struct {
	o      Options
	e      *engine.Engine
	c      *collector
	custom bool

	parser  maillog.Parser // of play
	found   [ahead]found   // of play
	began   bool
	horizon int64
	lines   uint64
	unknown uint64
	samples []Sample

	places   []place
	future   uint64 // first line with a stamp from an implausible future
	late     uint64 // first line with one too old to be scored
	timeless uint64 // lines that begin with no time
	bare     Sample // the first of them
}

const (
	// blockSize is small enough for a block to stay near between its reading and
	// its parsing, and for the processors to share the work. It is the same however
	// many processors there are: where a file begins, and how files are merged
	// whose stamps go back, depends on it.
	blockSize = 256 << 10
	// ahead is how many events are found before they are fed: the more, the
	// fewer changes between the two, and all of them are to stay in the cache.
	ahead = 256
	// near is how long before it is fed an event is expected: in that time
	// memory answers, and nothing that came is driven out again.
	near = 10
)

func (p *player) run(ctx context.Context) (stats source.ArchiveStats, err error) {
	ao := source.ArchiveOptions{Time: LineTime(p.o.Location, p.o.Now, p.o.Clock), Progress: p.o.Progress, Stdin: p.o.Stdin, Block: blockSize}
	workers := runtime.GOMAXPROCS(0) - 1
	// What is noted of the files must not depend on how far they are read ahead of
	// the line that ends the span.
	if workers == 0 || !p.o.Until.IsZero() {
		stats, err = source.ReadArchives(ctx, p.o.Paths, ao, p.play)
		if errors.Is(err, errPast) {
			err = nil
		}
		return stats, err
	}

	next, stop := iter.Pull(func(yield func(*source.Block) bool) {
		stats, err = source.ReadArchives(ctx, p.o.Paths, ao, func(block *source.Block) error {
			block.Retain()
			if !yield(block) {
				return errPast // nobody wants more
			}
			return nil
		})
	})
	defer stop()
	newCrew(p, next).run(workers)
	return stats, err
}

// play parses a block and feeds its events to the engine: some at a time, since
// the code that finds them and the code that judges them drive each other out of
// the caches.
func (p *player) play(block *source.Block) error {
	p.begin(block)
	l := lines{parser: &p.parser, block: block, custom: p.custom}
	for n := ahead; n == ahead; {
		n = l.find(p.found[:])
		if last, ok := p.feed(p.found[:n]); !ok {
			return p.past(last, block)
		}
	}
	p.count(&l)
	// A goroutine that never gives way is interrupted every 10 ms, and loses its
	// processor when that happens inside a read: dear on a single one.
	runtime.Gosched()
	return nil
}

// take feeds the events of a parsed block to the engine. The span has no end.
func (p *player) take(b *batch) {
	p.begin(b.block)
	for xs := range slices.Chunk(b.found, ahead) {
		p.feed(xs)
	}
	p.count(&b.lines)
}

// feed hands some events to the engine, and has what is known of their clients
// fetched shortly before. ok is false when one of them is past the span; last is its
// line.
func (p *player) feed(xs []found) (last uint64, ok bool) {
	many := p.e.Many()
	for i := range xs {
		x := &xs[i]
		if i+near < len(xs) {
			if note := p.e.Expect(&xs[i+near].ev, many); note != 0 { // 1 more than the index
				p.c.clients.fetch(note - 1)
			}
		}
		out := p.e.FeedLent(0, x.line, &x.ev)
		if out.Stamp != engine.Believed {
			p.odd(out, x.line)
		}
		if !p.c.add(out) {
			p.e.Keep()
			return x.line, false
		}
	}
	p.e.Keep()
	return 0, true
}

// past counts the lines of a block in front of the one with that number: the
// first that is past the span.
func (p *player) past(number uint64, block *source.Block) error {
	block.Ends = block.Ends[:number-block.FirstLine]
	l := lines{parser: new(maillog.Parser), block: block, custom: p.custom}
	for n := ahead; n == ahead; {
		n = l.find(p.found[:])
	}
	p.count(&l)
	return errPast
}

// count adds what was met between the events of a block.
func (p *player) count(l *lines) {
	p.lines += uint64(l.n)
	p.unknown += l.unknown
	if p.timeless == 0 {
		p.bare = l.bare
	}
	p.timeless += l.timeless
	for _, s := range l.samples {
		if len(p.samples) < maxSamples {
			p.samples = append(p.samples, s)
		}
	}
}

// begin tells the engine about the clock of a block's file.
func (p *player) begin(b *source.Block) {
	p.enter(b)
	near, horizon := Clock(b, p.o.Now, p.o.Clock)
	if !p.began {
		p.began = true
		p.e.Source(0, maillog.SourceOptions{Location: p.o.Location, Reference: near})
	}
	if horizon > p.horizon {
		p.horizon = horizon
		p.e.Horizon(horizon)
	}
}

// Clock is what a block says of the stamps in it: the first is near to a time (now,
// where it is given), and no honest one is later than the horizon: a stamp may be
// ahead of the time of its file by the width of a zone. clock stands in for the time
// of a file that has none. Both are Unix seconds.
func Clock(b *source.Block, now, clock time.Time) (near, horizon int64) {
	written := b.ModTime
	if written.IsZero() {
		written = clock
	}
	ref := written
	if !b.Start.IsZero() {
		ref = b.Start
	}
	if !now.IsZero() {
		ref = now
	}
	return ref.Unix(), written.Add(24 * time.Hour).Unix()
}

// LineTime is [source.ArchiveOptions.Time] for maillogs: now, where it is
// given, goes before the time of a file, and clock stands in where there is
// none.
func LineTime(loc *time.Location, now, clock time.Time) func(line []byte, reference time.Time) (time.Time, bool) {
	return func(line []byte, reference time.Time) (time.Time, bool) {
		switch {
		case !now.IsZero():
			reference = now
		case reference.IsZero():
			reference = clock
		}
		t, ok := maillog.When(line, maillog.SourceOptions{Location: loc, Reference: reference.Unix()})
		return time.Unix(t, 0), ok
	}
}
