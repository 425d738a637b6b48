package score

import "slices"

// A keyset is a set of clients, a few bytes each. The zero value is empty.
type keyset[K key] struct {
	slots []K // zero: empty; the zero key is no client and never in the set
	n     int
}

// maxRun bounds a look-up. A client that is further from its place than that,
// which takes a hostile choice of addresses, is not remembered.
const maxRun = 1024

func (s *keyset[K]) place(k K) (i int, found bool) {
	i = s.home(k)
	var none K
	for range min(maxRun, len(s.slots)) {
		switch s.slots[i] {
		case k:
			return i, true
		case none:
			return i, false
		}
		if i++; i == len(s.slots) {
			i = 0
		}
	}
	return -1, false
}

func (s *keyset[K]) has(k K) bool {
	var none K
	if len(s.slots) == 0 || k == none {
		return false
	}
	_, found := s.place(k)
	return found
}

func (s *keyset[K]) add(k K) {
	var none K
	if k == none {
		return
	}
	if s.n*4 >= len(s.slots)*3 {
		old := *s
		*s = keyset[K]{slots: make([]K, max(64, len(old.slots)*3/2))}
		for _, k := range old.slots {
			if k != none {
				s.put(k)
			}
		}
	}
	s.put(k)
}

func (s *keyset[K]) put(k K) {
	if i, found := s.place(k); !found && i >= 0 {
		s.slots[i] = k
		s.n++
	}
}

// each calls f for the members in the order of their hashes, equal ones by
// key: nearly so they lie there, whatever the size of the set is.
func (s *keyset[K]) each(f func(K)) {
	var none K
	gap := slices.Index(s.slots, none)
	if gap < 0 {
		return // there is a gap in any set with members
	}
	var run, wrapped []hashed[K]
	for i, k := range s.slots {
		switch {
		case k != none && i < gap && s.home(k) > i: // from the end
			wrapped = append(wrapped, hashed[K]{uint32(k.hash()), k})
		case k != none:
			run = append(run, hashed[K]{uint32(k.hash()), k})
		default:
			run = tell(run, f)
		}
	}
	tell(append(run, wrapped...), f)
}

// A hashed is a member with its hash.
type hashed[K key] struct {
	hash uint32
	key  K
}

// tell calls f for a run of members, in order, and returns its memory.
func tell[K key](run []hashed[K], f func(K)) []hashed[K] {
	if len(run) > 1 {
		slices.SortFunc(run, func(a, b hashed[K]) int {
			if a.hash != b.hash {
				return less(a.hash < b.hash)
			}
			return compareKeys(a.key, b.key)
		})
	}
	for i := range run {
		f(run[i].key)
	}
	return run[:0]
}

// home is where the search for k starts.
func (s *keyset[K]) home(k K) int {
	return int(uint64(uint32(k.hash())) * uint64(len(s.slots)) >> 32)
}
