package report

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/postmoat/postmoat/pkg/ban"
	"github.com/postmoat/postmoat/pkg/engine"
	"github.com/postmoat/postmoat/pkg/source"
)

// A place is a run of lines of one file in the whole log.
type place struct {
	first uint64 // number of its first line in the whole log
	file  string
	line  uint64 // number of that line in its file; 0: the lines are of several
}

// enter notes where the lines of a block are from.
func (p *player) enter(b *source.Block) {
	if n := len(p.places); n > 0 {
		switch x := p.places[n-1]; {
		case x.line == 0 && b.FileLine == 0:
			return
		case x.line != 0 && x.file == b.File && b.FileLine == x.line+b.FirstLine-x.first:
			return
		}
	}
	p.places = append(p.places, place{b.FirstLine, b.File, b.FileLine})
}

// where says where a line of the whole log is found.
func (p *player) where(line uint64) string {
	if len(p.o.Paths) > 1 {
		i, found := slices.BinarySearchFunc(p.places, line, func(x place, line uint64) int { return cmp.Compare(x.first, line) })
		if !found {
			i--
		}
		x := p.places[i]
		if x.line == 0 {
			return fmt.Sprintf("line %d of the merged files", line)
		}
		return fmt.Sprintf("%s:%d", x.file, x.line+line-x.first)
	}
	return fmt.Sprintf("line %d", line)
}

// odd notes a line whose stamp was not believed.
func (p *player) odd(out *engine.Outcome, line uint64) {
	first := &p.late
	if out.Stamp == engine.Ahead {
		first = &p.future
	}
	if *first == 0 {
		*first = line
	}
}

// notes says what an operator should know about the input.
func (p *player) notes(r *Report, s *source.ArchiveStats, e engine.Stats) []string {
	var ns []string
	if p.timeless > 0 {
		ns = append(ns, fmt.Sprintf("Lines that begin with no time postmoat can read, skipped: %s (%s), first %s: %s",
			number(p.timeless), percent(p.timeless, p.lines), p.where(p.bare.Line), p.bare.Text))
	}
	ns = append(ns, s.Warnings...)
	note := func(n uint64, format string) {
		if n > 0 {
			ns = append(ns, fmt.Sprintf(format, number(n)))
		}
	}
	first := func(n, line uint64, format string) {
		if n > 0 {
			ns = append(ns, fmt.Sprintf(format, number(n), p.where(line)))
		}
	}
	note(s.PartLines, "Last lines of archives that broke off inside them, dropped: %s.")
	note(s.Duplicates, "Lines that stand in several overlapping files, counted once: %s.")
	note(e.Jumps, "Steps of the log's clock by more than an hour, or back: %s.")
	first(e.Dropped, p.late, "Events with stamps more than two minutes older than the line before, not scored: %s, first %s.")
	first(e.Held, p.future, "Events with stamps from an implausible future, taken for the time of the line before: %s, first %s.")
	note(e.Evicted, "Clients whose evidence was forgotten for lack of room (limits: clients): %s.")
	note(e.Joiner, "Sessions and queue IDs forgotten for lack of room: %s.")
	note(uint64(e.Breaker), "Times the breaker stopped widening, see breaker in the configuration: %s.")
	dropped := uint64(0)
	for i := range r.Bans {
		if r.Bans[i].Ended == ban.Dropped {
			dropped++
		}
	}
	note(dropped, "Bans that ended early because there were more than the budget of entries allows, see collapse: budget in the configuration: %s.")
	if r.Lines > 0 && r.Events == 0 && r.Learnt == 0 && !r.Past {
		ns = append(ns, "This does not look like the log of a mail host: no line of Postfix or Dovecot in it named a client.")
	}
	return ns
}
