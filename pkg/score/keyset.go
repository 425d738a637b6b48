package score

import (
	"cmp"
	"slices"
)

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
	var run, wrapped []K
	flush := func() {
		slices.SortFunc(run, compareHashed)
		for _, k := range run {
			f(k)
		}
		run = run[:0]
	}
	for i, k := range s.slots {
		switch {
		case k == none:
			flush()
		case i < gap && s.home(k) > i: // from the end
			wrapped = append(wrapped, k)
		default:
			run = append(run, k)
		}
	}
	run = append(run, wrapped...)
	flush()
}

// home is where the search for k starts.
func (s *keyset[K]) home(k K) int {
	return int(uint64(uint32(k.hash())) * uint64(len(s.slots)) >> 32)
}

func compareHashed[K key](a, b K) int {
	return cmp.Or(cmp.Compare(uint32(a.hash()), uint32(b.hash())), compareKeys(a, b))
}
