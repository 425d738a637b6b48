package score

import (
	"cmp"
	"net/netip"
	"slices"
)

// A sum is what a span holds in one window.
type sum struct {
	units, events int
}

// An item is an event and the client (a number within one evaluation) that it
// counts against.
type item struct {
	rec
	who uint32
}

// eval is the memory that sums over distinct values reuse.
type eval struct {
	seen  []seenValue
	epoch uint32
	mask  uint64
}

type seenValue struct {
	key   uint64 // client and value
	epoch uint32
	bonus uint32
}

func (e *eval) begin(n int) {
	if len(e.seen) < 2*n {
		size := 64
		for size < 2*n {
			size *= 2
		}
		e.seen, e.epoch, e.mask = make([]seenValue, size), 0, uint64(size-1)
	}
	if e.epoch++; e.epoch == 0 {
		clear(e.seen)
		e.epoch = 1
	}
}

// raise notes a bonus of a value and returns by how much it is above the
// highest so far.
func (e *eval) raise(key uint64, bonus uint32) uint32 {
	i := mix(key) & e.mask
	for e.seen[i].epoch == e.epoch && e.seen[i].key != key {
		i = (i + 1) & e.mask
	}
	s := &e.seen[i]
	if s.epoch != e.epoch {
		*s = seenValue{key: key, epoch: e.epoch}
	}
	if bonus <= s.bonus {
		return 0
	}
	up := bonus - s.bonus
	s.bonus = bonus
	return up
}

// quarter is what a repeat of a distinct value counts.
func quarter(units uint16) uint16 { return max(units/4, 1) }

// exact sums the events of one span in window w. Each value that is distinct
// there counts in full once for each client, by its heaviest event, and a
// quarter otherwise; so the sum does not depend on the order of events, and
// one more never makes it less.
func exact[R any](t *Table, w int, recs []R, get func(*R) (rec, uint32)) sum {
	nw := len(t.o.Windows)
	t.eval.begin(len(recs))
	var s sum
	for i := range recs {
		r, who := get(&recs[i])
		x := t.weights[int(r.class)*nw+w]
		if x.units == 0 {
			continue
		}
		s.events += int(r.n)
		if !x.distinct || r.value == 0 {
			s.units += int(x.units) * int(r.n)
			continue
		}
		q := quarter(x.units)
		s.units += int(q) * int(r.n)
		s.units += int(t.eval.raise(uint64(who)<<32|uint64(r.value), uint32(x.units-q)))
	}
	return s
}

func ofClient(r *rec) (rec, uint32)   { return *r, 0 }
func ofNetwork(i *item) (rec, uint32) { return i.rec, i.who }

// checkClient fires window w of a client if the span of one of its events,
// r or a later one, reaches the limit.
func checkClient[K key](t *Table, w int, recs []rec, r rec, k K, client netip.Addr) {
	win, nw := &t.o.Windows[w], len(t.o.Windows)
	span, limit := uint32(win.Span), win.Limit*Unit
	last := len(recs) - 1
	for recs[last].t > r.t {
		last--
	}
	for ; last < len(recs) && recs[last].t-r.t < span; last++ {
		a := recs[last].t
		for last+1 < len(recs) && recs[last+1].t == a {
			last++
		}
		// An upper bound first: it is what nearly always says no.
		raw, distinct, first := 0, false, last
		for first >= 0 && a-recs[first].t < span {
			x := t.weights[int(recs[first].class)*nw+w]
			raw += int(x.units) * int(recs[first].n)
			distinct = distinct || x.distinct
			first--
		}
		if raw < limit {
			continue
		}
		first++
		in := recs[first : last+1]
		need := limit
		if t.good != nil && client.IsValid() {
			need = limit * t.good.Factor(client) / 256
		}
		s := exact(t, w, in, ofClient)
		if s.units < need {
			continue
		}
		p := k.prefix()
		accepted, ok := t.shareHolds(win, p, a, s.events)
		if !ok {
			continue
		}
		f := Fired{
			Window: w, Key: p, Time: int64(a), Units: s.units, Limit: need,
			Events: s.events, Accepted: accepted,
		}
		t.tell(&f, w, func(yield func(rec) bool) {
			for _, r := range in {
				if !yield(r) {
					return
				}
			}
		})
		t.fired = append(t.fired, f)
		return
	}
}

// shareHolds says whether the offences are a large enough part of the mail in
// the span that ends at a.
func (t *Table) shareHolds(win *Window, p netip.Prefix, a uint32, events int) (accepted int, ok bool) {
	if win.Share <= 0 || t.good == nil {
		return 0, true
	}
	accepted = t.good.Accepted(p, int64(a)-win.Span, int64(a))
	return accepted, accepted == 0 || events*1000 >= win.Share*(events+accepted)
}

// counted are the rules of a class that count in window w.
func (t *Table) counted(class uint16, w int) []string {
	if t.o.Counted == nil {
		return t.classes[class].Rules
	}
	return t.o.Counted(t.classes[class].Rules, w)
}

// tell fills in the first event and the rules of a firing.
func (t *Table) tell(f *Fired, w int, recs func(func(rec) bool)) {
	nw := len(t.o.Windows)
	first := true
	for r := range recs {
		if t.weights[int(r.class)*nw+w].units == 0 {
			continue
		}
		if first || int64(r.t) < f.First {
			f.First = int64(r.t)
		}
		first = false
		for _, rule := range t.counted(r.class, w) {
			i := slices.IndexFunc(f.Rules, func(c RuleCount) bool { return c.Rule == rule })
			if i < 0 {
				i = len(f.Rules)
				f.Rules = append(f.Rules, RuleCount{Rule: rule})
			}
			f.Rules[i].Count += int(r.n)
		}
	}
	slices.SortFunc(f.Rules, func(a, b RuleCount) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Rule, b.Rule))
	})
}
