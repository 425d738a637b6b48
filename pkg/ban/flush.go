package ban

import (
	"math"
	"net/netip"
	"slices"
)

// touch notes that the entry of a prefix is about to change.
func (b *Book) touch(p netip.Prefix) {
	if _, ok := b.touched[p]; ok {
		return
	}
	var before Entry
	if x, ok := b.bans.Get(p); ok {
		before = x.Entry()
	}
	b.touched[p] = before
}

// mapGroup is as many entries as a Go map holds without a table: with no more
// it is emptied at no cost, and need not be made anew at each Flush.
const mapGroup = 8

// Flush returns what a firewall has to change since the last call, each list
// sorted by prefix. A ban that came and went in between does not appear. A
// refresh is only asked for when the deadline moves: Until of an entry may be
// later by then than a firewall was told, never later than the deadline.
func (b *Book) Flush() Change {
	var c Change
	if len(b.touched) == 0 {
		return c
	}
	for p, before := range b.touched {
		x, ok := b.bans.Get(p)
		switch was := before.Prefix.IsValid(); {
		case ok && !was:
			c.Add = append(c.Add, x.Entry())
		case ok && x.Deadline != before.Deadline:
			c.Refresh = append(c.Refresh, x.Entry())
		case !ok && was:
			c.Remove = append(c.Remove, before)
		}
	}
	if len(b.touched) <= mapGroup {
		clear(b.touched)
	} else {
		b.touched = map[netip.Prefix]Entry{}
	}
	for _, list := range [][]Entry{c.Add, c.Refresh, c.Remove} {
		slices.SortFunc(list, func(a, b Entry) int { return a.Prefix.Compare(b.Prefix) })
	}
	return c
}

// The kernel's timeout of an entry is a dead man's switch: postmoat removes
// entries itself. So it lies behind the end of the ban by one to two steps of
// an eighth of the term, at a multiple of that step, and is moved only when
// less than a step is left. A step is at least a minute and at most a day.
const (
	leastStep = 60
	mostStep  = day
)

// until gives a ban an end, for the given term, and the deadline that goes
// with it.
func (b *Book) until(x *Ban, until, term int64) {
	step := min(max(term/8, leastStep), mostStep)
	deadline := int64(math.MaxInt64)
	if until < math.MaxInt64-2*step {
		deadline = (until + 2*step - 1) / step * step
	}
	// An end that moves back is a manual one: it is taken at its word.
	if keep := x.Deadline; keep >= until && keep-until >= step && until >= x.Until {
		deadline = keep
	}
	if !x.hidden {
		b.touch(x.Prefix)
	}
	x.Deadline = deadline
	if until != x.Until {
		x.Until = until
		b.due.push(until, x.Prefix, x, b.bans.Len()+len(b.hidden))
	}
}
