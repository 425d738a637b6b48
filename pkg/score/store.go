package score

import "slices"

// A store holds the clients of one kind in open addressing, in segments that
// grow and shrink for themselves: no moment has two copies of everything. All
// clients of one network (of netBits) live in one segment, so that a network
// is walked by reading a single segment.
type store[K key] struct {
	segs    []segment[K] // allocated with the first client
	netBits int
	n       int
}

type segment[K key] struct {
	slots []slot[K]
	n     int
}

// A slot is empty when rec.n and rec.class are 0.
type slot[K key] struct {
	key K
	rec
}

func (s *slot[K]) empty() bool { return s.n == 0 && s.class == 0 }

const (
	segBits  = 12
	segments = 1 << segBits

	// maxProbe bounds the run of slots that a look-up reads. Clients that hash
	// to the same place, by chance or by choice, make the segment grow until
	// it is less than a quarter full; then one client of the run gives way. So
	// a hostile choice of addresses costs about maxProbe slots a look-up (a
	// few microseconds) and six times the memory of the clients chosen.
	maxProbe = 2048
)

func (s *store[K]) segOf(k K) int {
	return int(mix(k.net(s.netBits)) >> (64 - segBits))
}

// home is where the search for a key starts.
func (g *segment[K]) home(k K) int {
	return int(uint64(uint32(k.hash())) * uint64(len(g.slots)) >> 32)
}

// find returns the index of k, or of the empty slot where its search ended,
// and how many slots it went past its home.
func (g *segment[K]) find(k K) (i, probes int, found bool) {
	i = g.home(k)
	for {
		s := &g.slots[i]
		if s.empty() {
			return i, probes, false
		}
		if s.key == k {
			return i, probes, true
		}
		probes++
		if i++; i == len(g.slots) {
			i = 0
		}
	}
}

// get returns the slot of a client, nil when there is none. It is valid until
// the store is changed.
func (s *store[K]) get(k K) *slot[K] {
	if s.segs == nil {
		return nil
	}
	g := &s.segs[s.segOf(k)]
	if len(g.slots) == 0 {
		return nil
	}
	if i, _, found := g.find(k); found {
		return &g.slots[i]
	}
	return nil
}

// insert puts a client that is not there. It says false when the run of
// clients in its place is too long and should lose one.
func (s *store[K]) insert(k K, r rec) (roomy bool) {
	if s.segs == nil {
		s.segs = make([]segment[K], segments)
	}
	seg := s.segOf(k)
	g := &s.segs[seg]
	if (g.n+1)*16 > len(g.slots)*13 {
		// The first sizes differ, so that not all grow at once.
		g.resize(max(len(g.slots)+len(g.slots)/2, 8+seg&3))
	}
	i, probes, _ := g.find(k)
	for probes > maxProbe && g.n*4 > len(g.slots) {
		g.resize(len(g.slots) * 3 / 2)
		i, probes, _ = g.find(k)
	}
	g.slots[i] = slot[K]{k, r}
	g.n++
	s.n++
	return probes <= maxProbe
}

// resize moves the segment to n slots, more than it has clients, or as many
// more as the allocator gives for the same memory.
func (g *segment[K]) resize(n int) {
	old := g.slots
	g.slots = append([]slot[K](nil), make([]slot[K], n)...)
	g.slots = g.slots[:cap(g.slots)]
	for i := range old {
		if !old[i].empty() {
			j, _, _ := g.find(old[i].key)
			g.slots[j] = old[i]
		}
	}
}

// drop takes out a client.
func (s *store[K]) drop(k K) {
	g := &s.segs[s.segOf(k)]
	if len(g.slots) == 0 {
		return
	}
	if i, _, found := g.find(k); found {
		s.remove(g, i)
	}
}

// remove takes out slot i and closes the gap, so that no tombstone is needed.
func (s *store[K]) remove(g *segment[K], i int) {
	n := len(g.slots)
	for j := i; ; {
		if j++; j == n {
			j = 0
		}
		if g.slots[j].empty() || j == i {
			break
		}
		// The client at j may move to i unless its home lies in (i, j].
		h := g.home(g.slots[j].key)
		if i <= j && (i < h && h <= j) || i > j && (i < h || h <= j) {
			continue
		}
		g.slots[i] = g.slots[j]
		i = j
	}
	g.slots[i] = slot[K]{}
	g.n--
	s.n--
}

// shrink gives memory back when the segment is nearly empty.
func (g *segment[K]) shrink() {
	switch {
	case g.n == 0:
		g.slots = nil
	case len(g.slots) > 16 && g.n*5 < len(g.slots):
		g.resize(g.n * 2)
	}
}

// keys are all clients of the store, sorted.
func (s *store[K]) keys(compare func(a, b K) int) []K {
	out := make([]K, 0, s.n)
	for i := range s.segs {
		for j := range s.segs[i].slots {
			if x := &s.segs[i].slots[j]; !x.empty() {
				out = append(out, x.key)
			}
		}
	}
	slices.SortFunc(out, compare)
	return out
}
