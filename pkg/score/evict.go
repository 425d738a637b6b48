package score

import (
	"cmp"
	"slices"
)

// A candidate is a client that may have to go.
type candidate struct {
	kind   family
	hi, lo uint64
	rank   uint32 // what it is worth keeping: 0 dead, else its events
	newest uint32
}

// poolSize is how many clients are looked at together: of them the least one
// eighth goes.
const poolSize = 1024

// evict makes room when the table is full. It pools the clients of the next
// segments, in turn over the whole table, until there are poolSize of them,
// and drops one eighth of the pool: first clients whose evidence can't matter
// any more, then those with one event, the oldest first, then those with two,
// and so on; in the pool nobody goes before one with fewer events. A client
// with one event counts as one with two while at least half as many clients
// of its network hold evidence as a window of networks asks for: they are
// what such a window is about.
func (t *Table) evict() {
	t.pool = t.pool[:0]
	for i := 0; i < 3*segments && len(t.pool) < poolSize; i++ {
		seg := t.hand
		t.hand = (t.hand + 1) % (3 * segments)
		switch seg / segments {
		case 0:
			t.pool = collect(t, &t.v4, seg%segments, family4, t.pool)
		case 1:
			t.pool = collect(t, &t.v6, seg%segments, family6, t.pool)
		case 2:
			t.pool = collect(t, &t.exact, seg%segments, family16, t.pool)
		}
	}
	for _, w := range t.wide {
		t.lift(&t.o.Windows[w])
	}
	// Of the order only the eighth that goes is needed: the worth of its last
	// one, and which go of those that are worth as much.
	n := (len(t.pool) + 7) / 8
	t.worth = t.worth[:0]
	for _, c := range t.pool {
		t.worth = append(t.worth, c.worth())
	}
	slices.Sort(t.worth)
	limit := t.worth[n-1]
	ties := t.pool[:0]
	for _, c := range t.pool {
		switch w := c.worth(); {
		case c.rank == 0 || w < limit:
			t.dismiss(c)
			n--
		case w == limit:
			ties = append(ties, c)
		}
	}
	slices.SortFunc(ties, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(a.kind, b.kind), cmp.Compare(a.hi, b.hi), cmp.Compare(a.lo, b.lo))
	})
	for _, c := range ties[:max(n, 0)] {
		t.dismiss(c)
	}
}

// worth orders candidates: the least worth keeping first.
func (c candidate) worth() uint64 { return uint64(c.rank)<<32 | uint64(c.newest) }

// dismiss drops a candidate.
func (t *Table) dismiss(c candidate) {
	if c.rank > 0 {
		t.evicted++
	}
	switch c.kind {
	case family4:
		clearKey(t, &t.v4, key4(c.lo))
	case family6:
		clearKey(t, &t.v6, key6(c.hi))
	case family16:
		clearKey(t, &t.exact, key16{c.hi, c.lo})
	}
}

func collect[K key](t *Table, s *store[K], seg int, kind family, pool []candidate) []candidate {
	if s.segs == nil {
		return pool
	}
	g := &s.segs[seg]
	for i := range g.groups {
		b := &g.groups[i]
		for j := range b.len() {
			c := candidate{kind: kind, newest: b.recs[j].t}
			c.hi, c.lo = b.keys[j].words()
			for _, r := range t.events(&b.recs[j], &t.walk.buf) {
				if t.alive(r) {
					c.rank += uint32(r.n)
				}
			}
			pool = append(pool, c)
		}
	}
	return pool
}

// lift raises the singletons of networks that a window may soon fire for.
func (t *Table) lift(w *Window) {
	clear(t.crowd)
	for pass := range 2 {
		for i := range t.pool {
			c := &t.pool[i]
			net := crowd{four: c.kind == family4}
			switch {
			case c.rank == 0:
				continue
			case net.four && w.Width4 != 0:
				net.net = key4(c.lo).net(w.Width4)
			case !net.four && w.Width6 != 0:
				net.net = key6(c.hi).net(w.Width6)
			default:
				continue
			}
			if pass == 0 {
				t.crowd[net]++
			} else if n := t.crowd[net]; c.rank == 1 && n >= 2 && n*2 >= w.Clients {
				c.rank = 2
			}
		}
	}
}

// A crowd is the clients of one network in a pool.
type crowd struct {
	four bool
	net  uint64
}

// thin drops the weakest client of the run that k has lengthened beyond what
// a look-up may read.
func thin[K key](t *Table, s *store[K], k K) {
	at := s.spot(k)
	g := &s.segs[at.seg]
	weakest, rank, newest := k, ^uint32(0), uint32(0)
	_, _, probes, _ := g.find(k, at.hash)
	x := g.home(at.hash)
	for range probes {
		b := &g.groups[x]
		for i := range b.len() {
			n := uint32(0)
			for _, r := range t.events(&b.recs[i], &t.walk.buf) {
				n += uint32(r.n)
			}
			if n < rank || n == rank && b.recs[i].t < newest {
				weakest, rank, newest = b.keys[i], n, b.recs[i].t
			}
		}
		if x++; x == len(g.groups) {
			x = 0
		}
	}
	t.evicted++
	clearKey(t, s, weakest)
}

// sweepTime is in how many seconds Sweep goes once over the whole table.
const sweepTime = 600

// Sweep drops the clients whose evidence can't matter any more at the scoring
// clock now, a part of the table each call. It changes nothing but memory.
func (t *Table) Sweep(now int64) {
	t.advance(clampTime(now))
	passed := min(t.now-t.swept, sweepTime)
	n := int(passed) * 3 * segments / sweepTime
	if n == 0 {
		return
	}
	t.swept = t.now
	for n > 0 {
		from := t.broom % segments
		end := min(from+n, segments)
		switch t.broom / segments {
		case 0:
			sweep(t, &t.v4, from, end)
		case 1:
			sweep(t, &t.v6, from, end)
		case 2:
			sweep(t, &t.exact, from, end)
		}
		n -= end - from
		t.broom = (t.broom + end - from) % (3 * segments)
	}
}

// sweep goes over the segments of a store before end.
func sweep[K key](t *Table, s *store[K], from, end int) {
	for seg := s.held(from); seg < end; seg = s.held(seg + 1) {
		g := &s.segs[seg]
		for x := range g.groups {
			b := &g.groups[x]
			for i := 0; i < b.len(); {
				if t.tidy(&b.recs[i]) {
					i++
				} else {
					t.free(&b.recs[i])
					s.remove(g, x, i) // another may have moved here
				}
			}
		}
		g.shrink()
		if g.groups == nil {
			s.holding[seg/64] &^= 1 << (seg % 64)
		}
	}
}

// tidy drops the events of a slot that can't matter, moves the others to as
// little memory as they need, and says whether there are any.
func (t *Table) tidy(held *rec) bool {
	if held.n != 0 {
		return t.alive(*held)
	}
	c := t.slab.chunk(held.value)
	n := t.prune(c[:held.class])
	switch {
	case n == 0:
		return false
	case n == 1:
		one := c[0]
		t.slab.release(held.value)
		*held = one
	case sizeCap(sizeFor(n))*2 <= len(c):
		ref := t.slab.alloc(n)
		copy(t.slab.chunk(ref), c[:n])
		t.slab.release(held.value)
		held.value, held.class, held.t = ref, uint16(n), c[n-1].t
	default:
		held.class, held.t = uint16(n), c[n-1].t
	}
	return true
}
