package score

import "math/bits"

// A sketch overestimates what the networks of one window hold, in fractions
// of the limit: everything added in this epoch and the one before, an epoch
// being at least as long as events matter. Networks may share a cell; that
// costs a walk, not a wrong answer. It is no part of the state: any
// overestimate will do.
type sketch struct {
	// By the upper bits of the hash, as the segments of a store are, so that
	// what is read from a state falls here in order. Low byte: this epoch, high
	// byte: the one before; saturating.
	cells []uint16
	shift uint8   // of a hash, to its cell
	adds  int     // in this epoch
	start int64   // of this epoch
	known []bound // networks that were walked in this epoch
}

// A bound is the most that a network can hold: what it held when it was
// walked and all that was added since.
type bound struct {
	net     uint64
	units   uint32 // 0: the entry is free
	events  uint32
	clients uint32
}

const (
	full     = 128 // the limit, in a sketch
	minCells = 1 << 8
	maxCells = 1 << 22
	growth   = 16 // growing by much, as each step brings all of a cell's content along
	bounds   = 1 << 9
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
	size, by := len(s.cells), 0
	for size > minCells && s.adds < size/growth {
		size, by = size/2, by+1
	}
	keep := gone < 2*length
	for i, c := range s.cells {
		s.cells[i] = 0
		if keep { // j <= i: what is read is not yet written
			j := i >> by
			s.cells[j] = min(s.cells[j]>>8+c&0xff, 0xff) << 8
		}
	}
	if size < len(s.cells) {
		s.cells = append([]uint16(nil), s.cells[:size]...)
		s.shift += uint8(by)
	}
	s.adds, s.start = 0, now
	clear(s.known)
}

// add counts units of limit for a hashed network, and says whether it may
// have reached it.
func (s *sketch) add(hash uint64, units, limit int) bool {
	return s.mark(hash, partOf(units, limit))
}

// partOf is units of limit as a sketch counts them, at most 255.
func partOf(units, limit int) uint16 {
	return uint16(min((int64(units)*full+int64(limit)-1)/int64(limit), 0xff))
}

// mark is add of a part.
func (s *sketch) mark(hash uint64, part uint16) bool {
	if s.adds >= len(s.cells) && len(s.cells) < maxCells {
		s.grow()
	}
	s.adds++
	c := &s.cells[hash>>(s.shift&63)]
	was := *c
	now := min(was&0xff+part, 0xff)
	*c = was&^0xff | now
	return now+was>>8 >= full
}

func (s *sketch) grow() {
	size := min(max(len(s.cells)*growth, minCells), maxCells)
	next := make([]uint16, size)
	if len(s.cells) > 0 {
		by := size / len(s.cells)
		for i, c := range s.cells {
			for j := range by {
				next[i*by+j] = c
			}
		}
	}
	s.cells, s.shift = next, uint8(65-bits.Len(uint(size)))
}

// bound returns the entry of a network, which may be another's.
func (s *sketch) bound(net, hash uint64) *bound {
	if s.known == nil {
		s.known = make([]bound, bounds)
	}
	return &s.known[hash>>32%bounds]
}
