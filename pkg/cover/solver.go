package cover

import (
	"math/bits"
	"sort"
)

// A Solver finds covers. It keeps its memory from one call to the next and is
// not safe for concurrent use.
type Solver[K Key] struct {
	options Options
	width   int      // bits of a key
	widest  int      // length of the widest rung; above the width if there is none
	least   int      // need of the narrowest rung: fewer members never collapse
	rung    [65]int8 // by length: index of the longest rung that is no longer, -1 if none

	floor int // no prefix of this pass is wider
	stack [65]node
	open  int        // nodes on the stack
	out   []Piece[K] // the last result
	spare []Piece[K] // for the covers of SolveWithin and the sums of Explain
	third []Piece[K]
	steps []step

	// What Explain needs to know of the last call.
	keys   []K
	vetoes []Veto[K]
	price  int64
}

// A node is an open node of the tree: its left half is done, its right half is
// being read.
type node struct {
	sum  int64 // cost of the best cover of what was read of it
	lo   int32 // its first key
	out  int32 // where its pieces start in the output
	bits int32 // length of the longest common prefix of its members
}

// ceiling is what sums saturate at, so that no number of offenders overflows
// them. It lies above the cost of any single prefix: a price is at most 2^56,
// and so is what a /8 holds.
const ceiling = int64(1) << 61

// New returns a solver for options that Options.Check(32) for keys of 32 bits,
// or Options.Check(64) for keys of 64 bits, finds no fault with.
func New[K Key](o Options) *Solver[K] { return newSolver[K](o, width[K]()) }

// newSolver allows tests a smaller universe.
func newSolver[K Key](o Options, width int) *Solver[K] {
	s := &Solver[K]{options: o, width: width, widest: width + 1}
	for l := range s.rung {
		s.rung[l] = -1
	}
	for i, r := range o.Rungs { // narrow to wide: a length that is set has a longer rung
		for l := r.Bits; l <= width; l++ {
			if s.rung[l] < 0 {
				s.rung[l] = int8(i)
			}
		}
		s.widest = r.Bits
	}
	if len(o.Rungs) > 0 {
		s.least = o.Rungs[0].Need
	}
	return s
}

// Solve returns the cheapest cover of the keys: sorted, disjoint, every prefix
// admissible. Among covers of one cost it is the one with fewer pieces.
//
// A key by itself is always admissible. A wider prefix is if it touches no
// veto, is no wider than the widest rung, has a rung's length and as many
// members as this rung needs. Another length is admissible only where the next
// wider rung touches a veto, and has to have the members that this rung needs:
// so a rung with an allowlisted host in it falls into the parts around it.
//
// Keys must be sorted and distinct, vetoes sorted and disjoint. A key inside a
// veto is left out of the cover. The result is valid until the next call, for
// Explain also as long as keys and vetoes are not changed.
func (s *Solver[K]) Solve(keys []K, vetoes []Veto[K]) []Piece[K] {
	s.keys, s.vetoes, s.price = keys, vetoes, s.options.Price
	s.out, _ = s.pass(s.out, 0, len(keys), s.widest)
	return s.out
}

// pass covers keys[lo:hi] with prefixes that are no wider than floor, into dst,
// and returns their cost.
func (s *Solver[K]) pass(dst []Piece[K], lo, hi, floor int) ([]Piece[K], int64) {
	out := room(dst, hi-lo)
	var (
		total int64
		cur   node // what was finished last
		prev  K    // the last key of it
		end   int  // and where its members end; 0: there is none
		v     = s.veto(s.first(lo, hi))
	)
	s.open, s.floor = 0, floor
	for i := lo; i < hi; i++ {
		k := s.keys[i]
		if v < len(s.vetoes) {
			for v < len(s.vetoes) && s.vetoes[v].Last < k {
				v++
			}
			if v < len(s.vetoes) && s.vetoes[v].First <= k {
				continue
			}
		}
		if end > 0 {
			switch common := s.common(prev, k); {
			case common < floor: // nothing can hold both
				out, cur = s.shut(out, cur, floor-1, end)
				total = min(total+cur.sum, ceiling)
			default:
				out, cur = s.shut(out, cur, common, end)
				cur.bits = int32(common)
				s.stack[s.open] = cur
				s.open++
			}
		}
		cur = node{sum: s.price, lo: int32(i), out: int32(len(out))}
		out = append(out, Piece[K]{Key: k, Lo: int32(i), Hi: int32(i + 1), Bits: uint8(s.width)})
		prev, end = k, i+1
	}
	if end > 0 {
		out, cur = s.shut(out, cur, floor-1, end)
		total = min(total+cur.sum, ceiling)
	}
	return out, total
}

// shut finishes the open nodes that are longer than the given length; cur is
// the right half of the last of them, and its members end at end. Each node
// takes one prefix where that is no dearer than its halves. It returns what it
// finished last.
func (s *Solver[K]) shut(out []Piece[K], cur node, length, end int) ([]Piece[K], node) {
	for s.open > 0 && int(s.stack[s.open-1].bits) > length {
		s.open--
		top := s.stack[s.open]
		top.sum = min(top.sum+cur.sum, ceiling)
		if members := end - int(top.lo); members >= s.least {
			k := s.keys[top.lo]
			if n := s.candidate(k, int(top.bits), members); n > 0 {
				if cost := s.cost(n, members); cost <= top.sum {
					top.sum = cost
					out = append(out[:top.out], Piece[K]{Key: s.mask(k, n), Lo: top.lo, Hi: int32(end), Bits: uint8(n)})
				}
			}
		}
		cur = top
	}
	return out, cur
}

// candidate returns the length of the only prefix that can be best for a node,
// given by a member and the length that all have in common: prefixes with the
// same members cost the less the longer they are, and meet fewer vetoes. That
// is the next rung or, if this touches a veto, the node itself. It returns 0 if
// there is none.
//
// The rung may be so wide that it holds more than the node. This does no harm:
// the node around it has the same rung then, more members for it, and takes it.
func (s *Solver[K]) candidate(k K, bits, members int) int {
	i := s.rung[bits]
	if i < 0 {
		return 0
	}
	r := s.options.Rungs[i]
	switch {
	case members < r.Need:
		return 0
	case len(s.vetoes) == 0 || s.vetoed(k, r.Bits) < 0:
		if r.Bits < s.floor {
			return 0
		}
		return r.Bits
	case r.Bits < bits && s.vetoed(k, bits) < 0:
		return bits // the rung around it is vetoed
	}
	return 0
}

// cost of a prefix: the price and the addresses in it that did not offend.
func (s *Solver[K]) cost(n, members int) int64 {
	return s.price + int64(1)<<(s.width-n) - int64(members)
}

// common is the length of the longest common prefix of two keys.
func (s *Solver[K]) common(a, b K) int {
	return bits.LeadingZeros64(uint64(a^b)) - (64 - s.width)
}

// mask clears the host bits of a key.
func (s *Solver[K]) mask(k K, n int) K { return k &^ span[K](s.width, n) }

// vetoed returns the index of the first veto that the prefix of k touches, -1
// if there is none.
func (s *Solver[K]) vetoed(k K, n int) int {
	first := s.mask(k, n)
	if i := s.veto(first); i < len(s.vetoes) && s.vetoes[i].First <= first|span[K](s.width, n) {
		return i
	}
	return -1
}

// veto returns the index of the first veto that does not end before k.
func (s *Solver[K]) veto(k K) int {
	if len(s.vetoes) == 0 {
		return 0
	}
	return sort.Search(len(s.vetoes), func(i int) bool { return s.vetoes[i].Last >= k })
}

// first is the first key of a range, 0 if it is empty.
func (s *Solver[K]) first(lo, hi int) K {
	if lo < hi {
		return s.keys[lo]
	}
	return 0
}

// room returns dst emptied, with room for n pieces, which is as many as n keys
// can need.
func room[K Key](dst []Piece[K], n int) []Piece[K] {
	switch c := cap(dst); {
	case c >= n:
		return dst[:0]
	case c == 0:
		return make([]Piece[K], 0, n)
	default:
		return make([]Piece[K], 0, max(n+n/8, 2*min(c, 512)))
	}
}
