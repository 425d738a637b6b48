package ban

import (
	"iter"
	"math"
	"net/netip"
	"slices"

	"github.com/postmoat/postmoat/pkg/maillog"
	"github.com/postmoat/postmoat/pkg/prefix"
	"github.com/postmoat/postmoat/pkg/score"
)

// A Book keeps the bans of one door. Entries never overlap, and none holds an
// allowlisted address; none that is wider than one client holds a known-good
// one, but those the operator made by hand.
//
// Times are Unix seconds of the scoring clock. Whoever calls runs [Book.Tick]
// when [Book.Next] comes; a call with a later time does it by itself. A Book is
// not safe for concurrent use. It collects changes and ended bans until
// [Book.Flush] and [Book.Ended] are called.
type Book struct {
	door    maillog.Door
	o       Options
	allow   *prefix.Set
	good    *score.Good
	breaker *Breaker
	four    family
	six     family

	clock  int64 // the latest time seen
	budget int   // 0: none

	bans   prefix.Table[*Ban] // in force, disjoint
	pins   int                // of them pinned
	hidden []*Ban             // pinned, beneath wider bans; sorted
	due    queue[*Ban]
	freed  bool // something left bans, so that a hidden one may come up

	history history
	parole  parole
	spared  prefix.Table[int64] // what was unbanned, until when no wide ban may hold it

	version uint64
	touched map[netip.Prefix]Entry // what changed since the last Flush: the entry before, zero if there was none
	ended   []Spell

	squeezes, dropped, refused, held uint64

	// Scratch.
	keys    []netip.Prefix
	units   []*Ban
	shields []Shield
}

// NewBook returns an empty book. allow, good and breaker are shared with the
// books of other doors; allow and good are only read, and each of the three may
// be nil. What changes in allow or good has to be told by [Book.Carve].
func NewBook(door maillog.Door, o Options, allow *prefix.Set, good *score.Good, breaker *Breaker) *Book {
	if allow == nil {
		allow = new(prefix.Set)
	}
	if breaker == nil {
		breaker = NewBreaker(-1, -1)
	}
	b := &Book{
		door: door, o: o, allow: allow, good: good, breaker: breaker,
		four: newFamily4(o.Cover4), six: newFamily6(o.Cover6),
		budget:  o.Budget,
		touched: map[netip.Prefix]Entry{},
	}
	b.due.live = func(x item[*Ban]) bool { return !x.value.dead && x.value.Until == x.at }
	b.history.init(o.Memory)
	b.parole.init()
	return b
}

// Lookup returns the running ban that holds a, nil if none does.
func (b *Book) Lookup(a netip.Addr) *Ban {
	_, x, _ := b.bans.Lookup(a)
	return x
}

// Knock tells that n lines or packets of clients inside a ban came in, at t or,
// if they were counted, before t. For a ban that has ended it does nothing that
// matters.
func (b *Book) Knock(x *Ban, t int64, n uint64) {
	if n == 0 {
		return
	}
	x.Knocks += n
	x.LastKnock = max(x.LastKnock, t)
}

// All yields the bans in force, sorted by prefix. The book must not change
// meanwhile.
func (b *Book) All() iter.Seq[*Ban] {
	return func(yield func(*Ban) bool) {
		for _, x := range b.bans.All() {
			if !yield(x) {
				return
			}
		}
	}
}

// Bans returns the bans in force, sorted by prefix.
func (b *Book) Bans() []*Ban {
	return slices.AppendSeq(make([]*Ban, 0, b.bans.Len()), b.All())
}

// Hidden returns the manual bans that lie beneath a wider running one, sorted.
// They have no entry of their own until that ends.
func (b *Book) Hidden() []*Ban { return slices.Clone(b.hidden) }

// AppendEntries appends what a firewall has to hold for this door, sorted by
// prefix.
func (b *Book) AppendEntries(all []Entry) []Entry {
	for x := range b.All() {
		all = append(all, x.Entry())
	}
	return all
}

// Version changes with the answers of Lookup.
func (b *Book) Version() uint64 { return b.version }

// Len is the number of entries.
func (b *Book) Len() int { return b.bans.Len() }

// Ended returns the bans that ended since the last call, in the order in which
// they did.
func (b *Book) Ended() []Spell {
	e := b.ended
	b.ended = nil
	return e
}

// Stats counts what a Book did and holds.
type Stats struct {
	Entries          int
	Budget           int   // 0: none
	Price4, Price6   int64 // in force
	Raised           bool  // a price is above the configured one, for the budget
	Squeezes         uint64
	Dropped          uint64 // bans that ended for the budget
	Refused          uint64 // offenders that the allowlist holds
	Held             uint64 // wide bans that the breaker held
	Paroled, History int    // clients remembered
}

// Stats returns the counters since the book was made.
func (b *Book) Stats() Stats {
	p4, r4 := b.four.price()
	p6, r6 := b.six.price()
	return Stats{
		Entries: b.Len(), Budget: b.budget, Price4: p4, Price6: p6, Raised: r4 || r6,
		Squeezes: b.squeezes, Dropped: b.dropped, Refused: b.refused, Held: b.held,
		Paroled: b.parole.index.Len(), History: len(b.history.past),
	}
}

// Next is the earliest time at which Tick has something to do, math.MaxInt64 if
// nothing is due.
func (b *Book) Next() int64 {
	next := int64(math.MaxInt64)
	if x, ok := b.due.first(); ok {
		next = x.at
	}
	if t, ok := b.parole.next(); ok {
		next = min(next, t)
	}
	if b.over() {
		next = min(next, b.clock)
	}
	return next
}

// Tick does what is due up to now: ends and renews bans, ends parole, keeps the
// budget. Each due second is done on its own, in order, so it does not matter
// how often Tick is called.
func (b *Book) Tick(now int64) {
	b.clock = max(b.clock, now)
	for {
		t := b.Next()
		if t > now {
			return
		}
		b.expire(t)
		b.parole.expire(t)
		b.uncover(t)
		if b.over() && b.clock <= now {
			b.squeeze(t)
			b.uncover(t)
		}
		b.relax()
	}
}

// enter begins a call at a time.
func (b *Book) enter(now int64) { b.Tick(now) }

// leave ends a call that changed bans.
func (b *Book) leave(now int64) {
	b.uncover(now)
	b.relax()
}

// family returns the solver for a prefix.
func (b *Book) family(p netip.Prefix) family {
	if p.Addr().Is4() {
		return b.four
	}
	return b.six
}

// within returns the bans in force inside p, sorted, in scratch memory that
// lasts until the next call.
func (b *Book) within(p netip.Prefix) []*Ban {
	b.units = b.units[:0]
	for _, x := range b.bans.Subnets(p) {
		b.units = append(b.units, x)
	}
	return b.units
}

// holder returns the ban in force that holds all of p, nil if there is none.
func (b *Book) holder(p netip.Prefix) *Ban {
	_, x, _ := b.bans.LookupPrefix(p)
	return x
}

// parts returns all bans that live and die with x, sorted: x itself but for a
// part of a /64.
func (b *Book) parts(x *Ban) []*Ban {
	if !x.Site.IsValid() {
		return []*Ban{x}
	}
	var all []*Ban
	for _, y := range b.bans.Subnets(x.Site) {
		if y.Site == x.Site {
			all = append(all, y)
		}
	}
	return all
}

// put brings a ban in force.
func (b *Book) put(x *Ban) {
	x.hidden = false
	if x.Pinned {
		b.pins++
	}
	b.touch(x.Prefix)
	b.version++
	b.bans.Insert(x.Prefix, x)
}

// drop takes a ban out of force.
func (b *Book) drop(x *Ban) {
	if x.Pinned {
		b.pins--
	}
	b.touch(x.Prefix)
	b.version++
	b.bans.Delete(x.Prefix)
	b.freed = true
}

// end ends a ban, in force or hidden.
func (b *Book) end(x *Ban, now int64, how string, into netip.Prefix) {
	if x.hidden {
		b.hidden = slices.DeleteFunc(b.hidden, func(y *Ban) bool { return y == x })
	} else {
		b.drop(x)
	}
	x.hidden = false
	b.ended = append(b.ended, Spell{Ban: *x, End: how, Into: into, Ended: now})
	x.dead = true
}
