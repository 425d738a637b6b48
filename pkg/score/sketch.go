package score

// A sketch overestimates what the networks of one window hold, in quarters:
// everything added in this epoch and the one before, an epoch being at least
// as long as events matter. Networks may share a cell; that costs a walk, not
// a wrong answer. It is no part of the state: any overestimate will do.
type sketch struct {
	cells []uint32 // low half: this epoch, high half: the one before; saturating
	adds  int      // in this epoch
	start int64    // of this epoch
}

const (
	minCells = 1 << 8
	maxCells = 1 << 22
)

// turn begins a new epoch when the old one is over.
func (s *sketch) turn(now, length int64) {
	if len(s.cells) == 0 {
		s.start = now
		return
	}
	gone := now - s.start
	if gone < length {
		return
	}
	size := len(s.cells)
	for size > minCells && s.adds < size/4 {
		size /= 2
	}
	next := make([]uint32, size)
	if gone < 2*length {
		for i, c := range s.cells {
			j := i & (size - 1)
			next[j] = min(next[j]>>16+c&0xffff, 0xffff) << 16
		}
	}
	s.cells, s.adds, s.start = next, 0, now
}

// add counts units for a hashed network and returns the new estimate.
func (s *sketch) add(hash uint64, units uint32) uint32 {
	if s.adds >= 4*len(s.cells) && len(s.cells) < maxCells {
		s.grow()
	}
	s.adds++
	c := &s.cells[hash&uint64(len(s.cells)-1)]
	now := min(*c&0xffff+min(units, 0xffff), 0xffff)
	*c = *c&^0xffff | now
	before := *c >> 16
	if now == 0xffff || before == 0xffff {
		return 1<<32 - 1
	}
	return now + before
}

// grow doubles the cells; both halves start with what the one had.
func (s *sketch) grow() {
	if len(s.cells) == 0 {
		s.cells = make([]uint32, minCells)
		return
	}
	s.cells = append(s.cells, s.cells...)
}
