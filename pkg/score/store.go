package score

import "math/bits"

// A store holds the clients of one kind in open addressing, in segments that
// grow and shrink for themselves: no moment has two copies of everything. All
// clients of one network (of netBits) live in one segment, so that a network
// is walked by reading a single segment.
type store[K key] struct {
	segs    []segment[K]          // allocated with the first client
	holding [segments / 64]uint64 // bit set of those that hold memory
	netBits int
	widths  []int // by window: the prefix length of its networks; 0: none
	n       int
}

type segment[K key] struct {
	groups []group[K]
	n      int
}

const (
	segBits  = 12
	segments = 1 << segBits

	// maxProbe bounds the run of groups that a look-up reads. Clients that
	// hash to the same place, by chance or by choice, make the segment grow
	// until it is less than a quarter full; then one client of the run gives
	// way. So a hostile choice of addresses costs about maxProbe groups a
	// look-up (a few microseconds) and six times the memory of the clients
	// chosen.
	maxProbe = 512

	maxLoad = 13 // sixteenths of the slots that may be taken
)

// A spot is where a client belongs, as long as its segment keeps its size.
type spot struct {
	seg  int
	hash uint32
}

// spotOf makes a spot of the hash of a client's network, of netBits, and its
// own.
func spotOf(net, own uint64) spot {
	return spot{int(net >> (64 - segBits)), uint32(own)}
}

func (s *store[K]) spot(k K) spot {
	return spotOf(mix(k.net(s.netBits)), k.hash())
}

// home is where the search for a client starts.
func (g *segment[K]) home(hash uint32) int {
	return int(uint64(hash) * uint64(len(g.groups)) >> 32)
}

// find returns the group of k and the slot there; or else the group with
// room where its search ended, and the first free slot; and how many groups
// it went past its home. The segment must not be empty.
func (g *segment[K]) find(k K, hash uint32) (x, i, probes int, found bool) {
	x = g.home(hash)
	for {
		hits, n := g.groups[x].find(k)
		if hits != 0 {
			return x, bits.TrailingZeros(uint(hits)), probes, true
		}
		if n < groupLen {
			return x, n, probes, false
		}
		probes++
		if x++; x == len(g.groups) {
			x = 0
		}
	}
}

// get returns what is held of a client, nil when it is not there. It is valid
// until the store is changed.
func (s *store[K]) get(k K) *rec {
	if s.n == 0 {
		return nil
	}
	at := s.spot(k)
	g := &s.segs[at.seg]
	if len(g.groups) == 0 {
		return nil
	}
	if x, i, _, found := g.find(k, at.hash); found {
		return &g.groups[x].recs[i]
	}
	return nil
}

// lookOrPut returns what is held of a client. If it is not there and may be,
// it is put there, unless the segment has to grow for it: done says so.
func (s *store[K]) lookOrPut(k K, at spot, r rec, may bool) (held *rec, done bool) {
	if s.segs == nil {
		return nil, false
	}
	g := &s.segs[at.seg]
	if len(g.groups) == 0 {
		return nil, false
	}
	x, i, probes, found := g.find(k, at.hash)
	if found {
		return &g.groups[x].recs[i], false
	}
	if !may || g.full() || probes > maxProbe {
		return nil, false
	}
	s.put(g, x, i, k, r)
	return nil, true
}

// full says that with one more client the runs would grow long.
func (g *segment[K]) full() bool { return (g.n+1)*16 > len(g.groups)*groupLen*maxLoad }

// open is a segment that is going to hold a client.
func (s *store[K]) open(seg int) *segment[K] {
	if s.segs == nil {
		s.segs = make([]segment[K], segments)
	}
	s.holding[seg/64] |= 1 << (seg % 64)
	return &s.segs[seg]
}

// held is the first segment from seg on that holds memory, segments when there
// is none. The others are not touched: of most kinds of clients there are few.
func (s *store[K]) held(seg int) int {
	for ; seg < segments; seg = (seg | 63) + 1 {
		if m := s.holding[seg/64] >> (seg % 64); m != 0 {
			return seg + bits.TrailingZeros64(m)
		}
	}
	return segments
}

// insert puts a client that is not there. It says false when the run of
// clients in its place is too long and should lose one.
func (s *store[K]) insert(k K, at spot, r rec) (roomy bool) {
	g := s.open(at.seg)
	if g.full() {
		// The first sizes and the steps differ, so that not all grow at once.
		n := len(g.groups)
		g.resize(max(n*7/4+n*(at.seg&7)/16, 2+at.seg&3))
	}
	x, i, probes, _ := g.find(k, at.hash)
	for probes > maxProbe && g.n > len(g.groups) {
		g.resize(len(g.groups) * 3 / 2)
		x, i, probes, _ = g.find(k, at.hash)
	}
	s.put(g, x, i, k, r)
	return probes <= maxProbe
}

// put fills the free slot that find has returned.
func (s *store[K]) put(g *segment[K], x, i int, k K, r rec) {
	b := &g.groups[x]
	b.keys[i], b.recs[i] = k, r
	g.n++
	s.n++
}

// resize moves the segment to n groups, more than its clients need, or as
// many more as the allocator gives for the same memory.
func (g *segment[K]) resize(n int) {
	old := g.groups
	g.groups = append([]group[K](nil), make([]group[K], n)...)
	g.groups = g.groups[:cap(g.groups)]
	for x := range old {
		b := &old[x]
		for i := range b.len() {
			y := g.home(uint32(b.keys[i].hash()))
			for g.groups[y].recs[groupLen-1].used() != 0 {
				if y++; y == len(g.groups) {
					y = 0
				}
			}
			to := &g.groups[y]
			j := to.len()
			to.keys[j], to.recs[j] = b.keys[i], b.recs[i]
		}
	}
}

// drop takes out a client.
func (s *store[K]) drop(k K) {
	if s.n == 0 {
		return
	}
	at := s.spot(k)
	g := &s.segs[at.seg]
	if len(g.groups) == 0 {
		return
	}
	if x, i, _, found := g.find(k, at.hash); found {
		s.remove(g, x, i)
	}
}

// remove takes out the client in slot i of group x, and moves others there so
// that no look-up ends before it has found its client: those behind it in the
// group, and into a group that was full one that had to go further.
func (s *store[K]) remove(g *segment[K], x, i int) {
	for {
		b := &g.groups[x]
		n := b.len()
		b.keys[i], b.recs[i] = b.keys[n-1], b.recs[n-1]
		b.recs[n-1] = rec{}
		if n < groupLen {
			break
		}
		y, j := g.passed(x)
		if y < 0 {
			break
		}
		from := &g.groups[y]
		b.keys[n-1], b.recs[n-1] = from.keys[j], from.recs[j]
		x, i = y, j
	}
	g.n--
	s.n--
}

// passed is the slot of a client whose search goes past group x; -1 when
// there is none.
func (g *segment[K]) passed(x int) (y, j int) {
	for y = x; ; {
		if y++; y == len(g.groups) {
			y = 0
		}
		b := &g.groups[y]
		n := b.len()
		for j = range n {
			// Not so when its home lies in (x, y].
			h := g.home(uint32(b.keys[j].hash()))
			if !(x <= y && x < h && h <= y || x > y && (x < h || h <= y)) {
				return y, j
			}
		}
		if n < groupLen || y == x {
			return -1, 0
		}
	}
}

// shrink gives memory back when the segment is nearly empty.
func (g *segment[K]) shrink() {
	switch n := len(g.groups) * groupLen; {
	case g.n == 0:
		g.groups = nil
	case n > 16 && g.n*5 < n:
		g.resize((g.n*2 + groupLen - 1) / groupLen)
	}
}
