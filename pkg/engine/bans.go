package engine

import (
	"cmp"
	"iter"
	"net/netip"
	"slices"

	"github.com/postmoat/postmoat/pkg/ban"
	"github.com/postmoat/postmoat/pkg/maillog"
	"github.com/postmoat/postmoat/pkg/prefix"
)

// Flush returns what a firewall has to change since the last Flush.
func (e *Engine) Flush() ban.Change {
	c := e.books[0].Flush()
	for _, b := range e.books[1:] {
		x := b.Flush()
		c.Add = append(c.Add, x.Add...)
		c.Refresh = append(c.Refresh, x.Refresh...)
		c.Remove = append(c.Remove, x.Remove...)
	}
	return c
}

// Entries returns what a firewall has to hold, by door and prefix.
func (e *Engine) Entries() []ban.Entry {
	all := make([]ban.Entry, 0, e.Len())
	for _, b := range e.books {
		all = b.AppendEntries(all)
	}
	return all
}

// Bans yields the running bans by door and prefix. The engine must not be fed
// meanwhile.
func (e *Engine) Bans() iter.Seq[*ban.Ban] {
	return func(yield func(*ban.Ban) bool) {
		for _, b := range e.books {
			for x := range b.All() {
				if !yield(x) {
					return
				}
			}
		}
	}
}

// Len is the number of entries in force at all doors.
func (e *Engine) Len() int {
	n := 0
	for _, b := range e.books {
		n += b.Len()
	}
	return n
}

// Ended returns the spells that ended since the last call, by their end.
func (e *Engine) Ended() []ban.Spell {
	var all []ban.Spell
	for _, b := range e.books {
		all = append(all, b.Ended()...)
	}
	slices.SortStableFunc(all, func(a, b ban.Spell) int { return cmp.Compare(a.Ended, b.Ended) })
	return all
}

// SetAllow puts another allowlist in force: running bans are carved around
// what it newly holds, or lifted, at once.
func (e *Engine) SetAllow(s *prefix.Set) {
	var fresh []netip.Prefix
	for _, p := range s.All() {
		if !e.allow.Covers(p) {
			fresh = append(fresh, p)
		}
	}
	e.allow.Replace(s)
	e.roll.clear()
	for _, b := range e.books {
		b.Carve(e.Now(), fresh)
	}
	e.next = e.wake(e.Now())
}

// Stats counts what the engine met.
type Stats struct {
	Jumps   uint64 // steps of the log's clock that were believed
	Dropped uint64 // events too old to be scored
	Held    uint64 // events from an implausible future, taken as now
	Joiner  uint64 // sessions and queue IDs forgotten for lack of room
	Clients int    // clients with evidence
	Evicted uint64 // clients forgotten for lack of room
	Breaker int    // times the breaker stopped widening
}

// Stats returns the counters, which a state takes along.
func (e *Engine) Stats() Stats {
	c := &e.front.clock
	s := Stats{Jumps: c.Jumps, Dropped: c.Dropped, Held: c.Held, Joiner: e.front.joiner.Evicted(), Breaker: e.breaker.Trips()}
	for d := range maillog.NumDoors {
		s.Clients += e.tables[d].Len()
		s.Evicted += e.tables[d].Evicted()
	}
	return s
}
