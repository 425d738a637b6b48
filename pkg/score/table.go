package score

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// A Table counts the offences of the clients of one door.
type Table struct {
	o    Options
	good *Good // nil: nobody has a good record

	classes []Class // by ClassID; 0 counts nothing
	byName  map[string]ClassID
	weights []weight // [class*len(windows) + window]
	plans   []plan   // by class
	maxRecs int      // events a client can hold
	maxN    uint32   // copies that can matter

	v4    store[key4]
	v6    store[key6]
	exact store[key16]
	slab  slab

	mark    uint32 // no event is newer
	now     uint32 // newest time seen: mark, unless the clock was set back since, see Rewind
	evicted uint64
	hand    int // next segment to evict from, over all stores
	swept   uint32
	broom   int // next segment to sweep, over all stores

	wide     []int    // the windows of networks
	sketches []sketch // by window; only theirs are used
	eval     eval
	walk     walk
	pool     []candidate
	worth    []uint64
	crowd    map[crowd]int // how many of the pool are of a network
	one      [1]rec        // the event of Add
	client   netip.Addr    // of Add
	fired    []Fired
}

type weight struct {
	units    uint16
	distinct bool
}

// A plan is what the windows of a class come to.
type plan struct {
	span uint32 // the longest of its windows
	lone uint16 // so many copies of one event fire no window of clients
	// Its windows of networks, and those of them that have IPv4 networks.
	wide   []mark
	marks4 []mark
}

// NewTable makes an empty Table. The good records of g stretch limits, excuse
// known-good clients from windows of networks, and supply the accepted
// messages of shares; g may be nil, or shared with other Tables.
func NewTable(o Options, g *Good) *Table {
	o.Windows = slices.Clone(o.Windows)
	if o.MaxClients <= 0 {
		o.MaxClients = 1_000_000
	}
	o.Late = min(max(o.Late, 0), 1<<30)
	t := &Table{o: o, good: g, byName: map[string]ClassID{}, crowd: map[crowd]int{}}
	t.v4.netBits, t.v6.netBits, t.exact.netBits = 32, 64, 64
	longest := int64(0)
	for i := range t.o.Windows {
		w := &t.o.Windows[i]
		w.Span = min(max(w.Span, 1), 1<<30)
		w.Limit = min(max(w.Limit, 1), 1<<20)
		w.Width4 = min(max(w.Width4, 0), 32)
		w.Width6 = min(max(w.Width6, 0), 64)
		if w.wide() {
			t.wide = append(t.wide, i)
		}
		t.v4.widths = append(t.v4.widths, w.Width4)
		t.v6.widths = append(t.v6.widths, w.Width6)
		if w.Width4 != 0 {
			t.v4.netBits = min(t.v4.netBits, w.Width4)
		}
		if w.Width6 != 0 {
			t.v6.netBits = min(t.v6.netBits, w.Width6)
			t.exact.netBits = t.v6.netBits
		}
		// In any span a client that has not fired holds less than the limit
		// of a known-good one, each event counting a quarter at least.
		units := w.Limit * Unit * 4
		spans := 1 + int((o.Late+w.Span-1)/w.Span)
		t.maxRecs = min(t.maxRecs+min(spans, maxRecs)*units, maxRecs)
		t.maxN = min(max(t.maxN, uint32(units)), 1<<16-1)
		longest = max(longest, w.Span)
	}
	t.exact.widths = t.v6.widths
	t.maxRecs = max(t.maxRecs, 1)
	t.maxN = max(t.maxN, 1)
	t.sketches = make([]sketch, len(t.o.Windows))
	t.Class(Class{})
	if g != nil {
		g.keepVolume(longest + o.Late + volumeBucket)
	}
	return t
}

// Class returns the ID of a class, the same for equal ones. Weights of
// windows that do not exist are ignored; the 65,536th class and all after it
// count nothing.
func (t *Table) Class(c Class) ClassID {
	nw := len(t.o.Windows)
	ws := make([]weight, nw)
	span := uint32(0)
	for _, w := range c.Weights {
		if w.Window < 0 || w.Window >= nw || w.Units <= 0 {
			continue
		}
		n := weight{uint16(min(w.Units, 1<<16-1)), w.Distinct}
		if n.units > ws[w.Window].units {
			ws[w.Window] = n
		}
		span = max(span, uint32(t.o.Windows[w.Window].Span))
	}
	if span == 0 && len(t.classes) > 0 {
		return 0
	}
	name := strings.Join(c.Rules, "\x00") + "\x00" + fmt.Sprint(ws)
	if id, ok := t.byName[name]; ok {
		return id
	}
	if len(t.classes) == 1<<16 {
		return 0
	}
	id := ClassID(len(t.classes))
	kept := Class{Rules: slices.Clone(c.Rules)}
	for k, w := range ws {
		if w.units != 0 {
			kept.Weights = append(kept.Weights, Weight{k, int(w.units), w.distinct})
		}
	}
	t.classes = append(t.classes, kept)
	t.weights = append(t.weights, ws...)
	t.plans = append(t.plans, t.plan(ws, span))
	t.byName[name] = id
	return id
}

// plan makes the plan of a class with these weights.
func (t *Table) plan(ws []weight, span uint32) plan {
	p := plan{span: span}
	lone := 1<<16 - 1
	for w, x := range ws {
		switch win := &t.o.Windows[w]; {
		case x.units == 0:
		case win.wide():
			m := mark{w, win.Width4, int(x.units), win.Limit * Unit, partOf(int(x.units), win.Limit*Unit)}
			p.wide = append(p.wide, m)
			if win.Width4 != 0 {
				p.marks4 = append(p.marks4, m)
			}
		default:
			lone = min(lone, (win.Limit*Unit-1)/int(x.units))
		}
	}
	p.lone = uint16(lone)
	return p
}

// Len is the number of clients held.
func (t *Table) Len() int { return t.v4.n + t.v6.n + t.exact.n }

// Evicted is the number of clients dropped so far because there were too many.
func (t *Table) Evicted() uint64 { return t.evicted }

// alive says whether an event can still matter.
func (t *Table) alive(r rec) bool {
	return int64(r.t)+int64(t.plans[r.class].span)+t.o.Late > int64(t.now)
}

// advance moves the newest time.
func (t *Table) advance(now uint32) {
	if now <= t.now {
		return
	}
	t.mark, t.now = max(t.mark, now), now
	for _, w := range t.wide {
		t.sketches[w].turn(int64(now), t.o.Windows[w].Span+t.o.Late)
	}
}

// Add counts an offence and says which windows fired by it, in their order.
// The evidence of all clients that a firing names is cleared in all windows.
// The result is valid until the next call.
func (t *Table) Add(o Offence) []Fired {
	// This much is compiled into the caller, so that the offence is not copied
	// as one: that is done in wider steps than its fields were written in, for
	// which the processor waits until all before it is done.
	t.client = o.Client
	return t.offence(o.Time, o.Key, o.Class, o.Value, o.Count)
}

func (t *Table) offence(at int64, p netip.Prefix, class ClassID, value uint64, count uint32) []Fired {
	t.fired = t.fired[:0]
	if class == 0 || int(class) >= len(t.classes) {
		return nil
	}
	r := rec{t: clampTime(at), value: fold(value), class: uint16(class)}
	r.n = uint16(min(max(count, 1), t.maxN))
	if r.t > t.now {
		t.advance(r.t)
	}
	if !t.alive(r) {
		return nil
	}
	switch familyOf(p) {
	case family4:
		k := addrKey4(p.Addr())
		net, own := mix(k.net(t.v4.netBits)), k.hash()
		if !t.first(k, net, own, r) {
			t.one[0] = r
			add(t, &t.v4, k, net, own)
		}
	case family6:
		k := key6(addrKey16(p.Addr())[0])
		t.one[0] = r
		add(t, &t.v6, k, mix(k.net(t.v6.netBits)), k.hash())
	case family16:
		k := addrKey16(p.Addr())
		t.one[0] = r
		add(t, &t.exact, k, mix(k.net(t.exact.netBits)), k.hash())
	}
	return t.fired
}

// add counts the event t.one[0] of client k. net and own are the hashes of its network,
// of netBits, and of itself: a method of a type parameter is a call, and here
// every instruction counts.
func add[K key](t *Table, s *store[K], k K, net, own uint64) {
	recs := t.one[:]
	r := recs[0]
	p := &t.plans[r.class]
	at := spotOf(net, own)
	held, put := s.lookOrPut(k, at, r, t.Len() < t.o.MaxClients)
	switch {
	case held != nil:
		if recs = t.put(held, r); recs == nil {
			return
		}
	case !put:
		if t.Len() >= t.o.MaxClients {
			t.evict()
		}
		if !s.insert(k, at, r) {
			thin(t, s, k)
		}
	}
	if len(recs) == 1 && recs[0].n <= p.lone {
		for _, m := range p.wide {
			if bits := s.widths[m.window]; bits != 0 {
				addNetwork(t, s, m.window, k, bits, net, r)
			}
		}
	} else {
		base := int(r.class) * len(t.o.Windows)
		for w := range t.o.Windows {
			if t.weights[base+w].units == 0 {
				continue
			}
			if !t.o.Windows[w].wide() {
				checkClient(t, w, recs, r, k, t.client)
			} else if bits := s.widths[w]; bits != 0 {
				addNetwork(t, s, w, k, bits, net, r)
			}
		}
	}
	if len(t.fired) > 0 {
		clearFired(t, s, k)
	}
}

// clearFired clears the evidence of client k and of all that took part in
// what has fired.
func clearFired[K key](t *Table, s *store[K], k K) {
	clearKey(t, s, k)
	for i := range t.fired {
		for _, p := range t.fired[i].Clients {
			t.Clear(p)
		}
	}
}

// put adds an event to those of a client and returns them all, in order. The
// result is nil when the client holds as many as can be and r is older.
func (t *Table) put(held *rec, r rec) []rec {
	if held.n != 0 {
		switch {
		case held.compare(r) == 0:
			held.n = t.copies(held.n, r.n)
			t.one[0] = *held
			return t.one[:]
		case !t.alive(*held):
			*held = r
			return t.one[:]
		}
		ref := t.slab.alloc(2)
		c := t.slab.chunk(ref)
		c[0], c[1] = *held, r
		if r.compare(*held) < 0 {
			c[0], c[1] = r, *held
		}
		*held = rec{t: c[1].t, value: ref, class: 2}
		return c[:2]
	}
	n := int(held.class)
	c := t.slab.chunk(held.value)
	i := place(c[:n], r)
	if i > 0 && c[i-1].compare(r) == 0 {
		c[i-1].n = t.copies(c[i-1].n, r.n)
		return c[:n]
	}
	if n == len(c) || n >= t.maxRecs {
		n = t.prune(c[:n])
		i = place(c[:n], r)
	}
	switch {
	case n >= t.maxRecs:
		if i == 0 {
			held.class, held.t = uint16(n), c[n-1].t
			return nil
		}
		copy(c, c[1:i])
		c[i-1] = r
		n--
	case n == len(c):
		ref := t.slab.alloc(n + 1)
		c2 := t.slab.chunk(ref)
		copy(c2, c[:i])
		copy(c2[i+1:], c[i:n])
		t.slab.release(held.value)
		held.value, c = ref, c2
		c[i] = r
	default:
		copy(c[i+1:n+1], c[i:n])
		c[i] = r
	}
	n++
	held.class, held.t = uint16(n), c[n-1].t
	return c[:n]
}

// place is the index behind the events that come before r or equal it.
func place(recs []rec, r rec) int {
	i := len(recs)
	for i > 0 && recs[i-1].compare(r) > 0 {
		i--
	}
	return i
}

func (t *Table) copies(a, b uint16) uint16 {
	return uint16(min(uint32(a)+uint32(b), t.maxN))
}

// prune takes out the events that can't matter any more and says how many are
// left.
func (t *Table) prune(recs []rec) int {
	n := 0
	for _, r := range recs {
		if t.alive(r) {
			recs[n] = r
			n++
		}
	}
	return n
}

// events are the events of a slot, in order. They are valid until the table
// is changed or buf is used again.
func (t *Table) events(held *rec, buf *[1]rec) []rec {
	if held.n != 0 {
		buf[0] = *held
		return buf[:]
	}
	return t.slab.chunk(held.value)[:held.class]
}

// Clear forgets a client's evidence in all windows.
func (t *Table) Clear(key netip.Prefix) {
	switch familyOf(key) {
	case family4:
		clearKey(t, &t.v4, addrKey4(key.Addr()))
	case family6:
		clearKey(t, &t.v6, key6(addrKey16(key.Addr())[0]))
	case family16:
		clearKey(t, &t.exact, addrKey16(key.Addr()))
	}
}

func clearKey[K key](t *Table, s *store[K], k K) {
	if x := s.get(k); x != nil {
		t.free(x)
		s.drop(k)
	}
}

// free gives back what a slot holds outside of itself.
func (t *Table) free(held *rec) {
	if held.n == 0 {
		t.slab.release(held.value)
	}
}
