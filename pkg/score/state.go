package score

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/postmoat/postmoat/pkg/wire"
)

// Bounds of what a state may hold.
const (
	maxClasses = 1 << 16
	maxName    = 1 << 16 // bytes of the name of a rule or a window
	maxNames   = 1 << 12 // rules or weights of a class
	presize    = 1 << 14 // clients for which a segment gets its memory before they have been read
)

// Encode writes all that the Table knows, straight from its memory. The same
// state gives the same bytes, whichever way it came about.
func (t *Table) Encode(w *wire.Writer) {
	w.Uint(uint64(len(t.classes)))
	for _, c := range t.classes {
		w.Uint(uint64(len(c.Rules)))
		for _, r := range c.Rules {
			w.String(r)
		}
		w.Uint(uint64(len(c.Weights)))
		for _, x := range c.Weights {
			w.String(t.o.Windows[x.Window].Name)
			w.Uint(uint64(x.Units))
			w.Bool(x.Distinct)
		}
	}
	w.Fixed32(t.mark)
	w.Fixed32(t.now)
	w.Fixed32(t.swept)
	w.Uint(uint64(t.hand))
	w.Uint(uint64(t.broom))
	w.Uint(t.evicted)
	encode(t, &t.v4, w)
	encode(t, &t.v6, w)
	encode(t, &t.exact, w)
}

// encode writes the clients of a store, segment by segment, those of one in
// the order of their hashes: nearly so they lie there.
func encode[K key](t *Table, s *store[K], w *wire.Writer) {
	w.Uint(uint64(s.netBits))
	last := -1
	for i := range s.segs {
		g := &s.segs[i]
		if g.n == 0 {
			continue
		}
		w.Uint(uint64(i - last))
		last = i
		w.Uint(uint64(g.n))
		t.walk.places = g.places(t.walk.places[:0])
		for _, at := range t.walk.places {
			b := &g.groups[uint32(at)/groupLen]
			b.keys[at%groupLen].encode(w)
			recs := t.events(&b.recs[at%groupLen], &t.walk.buf)
			w.Uint(uint64(len(recs)))
			for _, r := range recs {
				w.Uint(uint64(t.mark - r.t))
				w.Fixed32(r.value)
				w.Uint(uint64(r.class))
				w.Uint(uint64(r.n))
			}
		}
	}
	w.Uint(0)
}

// places are the slots of a segment's clients, counted through, in the order
// of their hashes, which stand in the upper halves; equal ones by key.
func (g *segment[K]) places(out []uint64) []uint64 {
	for x := range g.groups {
		b := &g.groups[x]
		for i := range b.len() {
			out = append(out, uint64(uint32(b.keys[i].hash()))<<32|uint64(x*groupLen+i))
		}
	}
	sortNearly(out)
	for i := 1; i < len(out); i++ {
		from := i - 1
		for i < len(out) && out[i]>>32 == out[from]>>32 {
			i++
		}
		if i-from > 1 {
			slices.SortFunc(out[from:i], func(a, b uint64) int { return compareKeys(g.key(a), g.key(b)) })
		}
	}
	return out
}

// sortNearly sorts what nearly is.
func sortNearly(a []uint64) {
	moves := 16 * len(a)
	for i := 1; i < len(a); i++ {
		x, j := a[i], i
		for ; j > 0 && a[j-1] > x; j-- {
			a[j] = a[j-1]
		}
		a[j] = x
		if moves -= i - j; moves < 0 {
			slices.Sort(a)
			return
		}
	}
}

func (g *segment[K]) key(at uint64) K { return g.groups[uint32(at)/groupLen].keys[at%groupLen] }

// Decode puts the Table in a state that Encode wrote; what it knew is lost.
// With the same Options it behaves as the one that was encoded. Else windows
// that no longer exist are dropped, the others are found by name. An error
// leaves the Table as it was.
func (t *Table) Decode(r *wire.Reader) error {
	n := *t
	n.byName = maps.Clone(t.byName)
	n.v4.reset()
	n.v6.reset()
	n.exact.reset()
	n.slab = slab{}
	ids := n.decodeClasses(r)
	n.mark, n.now, n.swept = r.Fixed32(), r.Fixed32(), r.Fixed32()
	n.hand, n.broom = r.Len(3*segments-1), r.Len(3*segments-1)
	n.evicted = r.Uint()
	if n.swept > n.now || n.now > n.mark {
		r.Fail(errors.New("swept in the future"))
	}
	n.sketches = make([]sketch, len(t.sketches))
	for w := range n.sketches {
		n.sketches[w] = sketch{start: int64(n.mark)}
	}
	hand := n.hand // evicting moves it
	decode(&n, &n.v4, r, key4.decode, ids)
	decode(&n, &n.v6, r, key6.decode, ids)
	decode(&n, &n.exact, r, key16.decode, ids)
	n.hand = hand
	if err := r.Err(); err != nil {
		return fmt.Errorf("score state: %w", err)
	}
	*t = n
	return nil
}

// decodeClasses returns the classes by their old numbers.
func (t *Table) decodeClasses(r *wire.Reader) (ids []uint16) {
	for range r.Len(maxClasses) {
		if r.Err() != nil {
			return nil
		}
		var c Class
		for range r.Len(maxNames) {
			c.Rules = append(c.Rules, r.String(maxName))
			if r.Err() != nil {
				return nil
			}
		}
		for range r.Len(maxNames) {
			name, units, distinct := r.String(maxName), r.Len(1<<16-1), r.Bool()
			if r.Err() != nil {
				return nil
			}
			if at := slices.IndexFunc(t.o.Windows, func(o Window) bool { return o.Name == name }); at >= 0 {
				c.Weights = append(c.Weights, Weight{at, units, distinct})
			}
		}
		ids = append(ids, uint16(t.Class(c)))
	}
	return ids
}

// decode fills an empty store.
func decode[K key](t *Table, s *store[K], r *wire.Reader, next func(K, *wire.Reader) K, ids []uint16) {
	alike := r.Uint() == uint64(s.netBits)
	var recs []rec
	var none K
	for seg := -1; r.Err() == nil; {
		step := r.Len(segments)
		if step == 0 {
			return
		}
		if seg += step; seg >= segments {
			r.Fail(errors.New("position outside of the table"))
			return
		}
		n := r.Len(1<<31 - 1)
		if alike {
			s.reserve(seg, min(n, presize))
		}
		var before order[K]
		for range n {
			k := next(none, r)
			net, own := mix(k.net(s.netBits)), k.hash()
			if !before.precedes(k, own) {
				r.Fail(errors.New("clients are not sorted"))
			}
			at := spotOf(net, own)
			if alike && at.seg != seg {
				r.Fail(errors.New("a client out of its place"))
			}
			if recs = t.decodeEvents(r, recs[:0], ids); r.Err() != nil {
				return
			}
			if len(recs) > 0 && (alike || s.get(k) == nil) { // there already only if Encode did not write it
				restore(t, s, k, at, net, recs)
			}
		}
	}
}

// An order is that of the clients of a segment, or the members of a set.
type order[K key] struct {
	any  bool
	hash uint32
	last K
}

// precedes says whether k, with its hash, may come next, and takes it.
func (o *order[K]) precedes(k K, own uint64) bool {
	h := uint32(own)
	ok := !o.any || o.hash < h || o.hash == h && compareKeys(o.last, k) < 0
	o.any, o.hash, o.last = true, h, k
	return ok
}

// decodeEvents appends the events of a client, but those of which no window
// is left.
func (t *Table) decodeEvents(r *wire.Reader, recs []rec, ids []uint16) []rec {
	n := r.Len(maxRecs)
	if n == 0 {
		r.Fail(errors.New("a client without events"))
	}
	last := uint32(0)
	for range n {
		age, value, class, count := r.Upto(uint64(t.mark)), r.Fixed32(), r.Uint(), r.Upto(1<<16-1)
		at := t.mark - uint32(age)
		if class >= uint64(len(ids)) || count == 0 || at < last {
			r.Fail(errors.New("impossible event"))
		}
		if r.Err() != nil {
			return recs
		}
		last = at
		if c := ids[class]; c != 0 {
			recs = append(recs, rec{at, value, c, uint16(count)})
		}
	}
	return recs
}

// restore puts in a client that is new, with its events; net is the hash of
// its network of netBits.
func restore[K key](t *Table, s *store[K], k K, at spot, net uint64, recs []rec) {
	draw(t, s, k, net, recs)
	if t.Len() >= t.o.MaxClients {
		t.evict()
	}
	recs = t.orderly(recs)
	held := recs[0]
	if n := len(recs); n > 1 {
		held = rec{t: recs[n-1].t, value: t.slab.alloc(n), class: uint16(n)}
		copy(t.slab.chunk(held.value), recs)
	}
	if !s.insert(k, at, held) {
		thin(t, s, k)
	}
}

// orderly are the events of a client as a slot holds them. Under the options
// of the state they are so already.
func (t *Table) orderly(recs []rec) []rec {
	if !slices.IsSortedFunc(recs, rec.compare) {
		slices.SortFunc(recs, rec.compare)
	}
	n := 0
	for _, r := range recs[1:] {
		if recs[n].compare(r) == 0 {
			recs[n].n = t.copies(recs[n].n, r.n)
		} else {
			n++
			recs[n] = r
		}
	}
	recs = recs[:n+1]
	return recs[max(len(recs)-t.maxRecs, 0):]
}

func (s *store[K]) reset() { s.segs, s.holding, s.n = nil, [segments / 64]uint64{}, 0 }

// reserve makes room for n clients in a segment that is empty.
func (s *store[K]) reserve(seg, n int) {
	if g := s.open(seg); len(g.groups) == 0 {
		g.resize(n*16/(groupLen*10) + 1)
	}
}
