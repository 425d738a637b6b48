package score

// Most clients offend once. For an IPv4 client that is new, and whose one
// event fires nothing, first does all that add would do, written out: with
// ten million clients its slot comes from memory, and in the 200 ns that
// takes, the processor goes on with the next offences as far as it can hold
// their instructions. So every instruction here counts, and a branch that is
// foretold wrong ends it.

// A mark is what one event of a class adds to the sketch of a window of
// networks.
type mark struct {
	window, bits4 int
	units, limit  int
	part          uint16 // of one copy
}

// first counts the event r of client k if that can be done here. If not,
// nothing has changed.
func (t *Table) first(k key4, net, own uint64, r rec) bool {
	s := &t.v4
	if s.segs == nil || t.Len() >= t.o.MaxClients {
		return false
	}
	g := &s.segs[net>>(64-segBits)]
	if g.full() {
		return false
	}
	b := &g.groups[g.home(uint32(own))]
	n := b.recs[0].used() + b.recs[1].used() + b.recs[2].used() + b.recs[3].used()
	same := same(b.keys[0], k) | same(b.keys[1], k) | same(b.keys[2], k) | same(b.keys[3], k)
	p := &t.plans[r.class]
	if same != 0 || n == groupLen || r.n > p.lone {
		return false
	}
	b.keys[n], b.recs[n] = k, r
	g.n++
	s.n++
	for i := range p.marks4 {
		m := &p.marks4[i]
		hash, part := net, m.part
		if m.bits4 != s.netBits {
			hash = mix(k.net(m.bits4))
		}
		if r.n != 1 {
			part = partOf(m.units*int(r.n), m.limit)
		}
		if t.sketches[m.window].mark(hash, part) {
			checkSpread(t, s, m.window, k, m.bits4, hash, r)
		}
	}
	if len(t.fired) > 0 {
		clearFired(t, s, k)
	}
	return true
}
