package cover

import (
	"cmp"
	"math/bits"
	"slices"
)

// SolveWithin is Solve with at most budget pieces if that can be had: where the
// price of the options gives more, it finds the lowest price that gives no
// more, and spends what then is left of the budget on opening again the pieces
// that hold the most innocent addresses for each entry saved. It also returns
// the price that it went to.
//
// If even the widest admissible prefixes are more than the budget, it returns
// these: the caller sees it by their number.
func (s *Solver[K]) SolveWithin(keys []K, vetoes []Veto[K], budget int) ([]Piece[K], int64) {
	if s.Solve(keys, vetoes); len(s.out) <= budget || len(s.options.Rungs) == 0 {
		return s.out, s.price
	}
	low, high := s.options.Price, int64(1)<<(s.width-s.widest)
	if high <= low {
		return s.out, s.price // every piece is already as wide as it may be
	}
	if s.at(high); len(s.out) > budget {
		return s.out, s.price
	}
	for high-low > 1 { // at low it is more than the budget, at high it is not
		if s.at(low + (high-low)/2); len(s.out) > budget {
			low = s.price
		} else {
			high = s.price
		}
	}
	s.at(high)
	// The cover of a lower price lies inside that of a higher one. Going down
	// the prices, open what fits.
	for price := low; len(s.out) < budget; price = s.options.Price + (price-s.options.Price)/2 {
		s.price = price
		s.spare, _ = s.pass(s.spare, 0, len(keys), s.widest)
		s.fill(s.spare, budget)
		if price == s.options.Price {
			break
		}
	}
	s.price = high
	return s.out, high
}

// at solves for another price.
func (s *Solver[K]) at(price int64) {
	s.price = price
	s.out, _ = s.pass(s.out, 0, len(s.keys), s.widest)
}

// A step opens one piece of a cover into those that a finer cover has for it.
type step struct {
	piece   int    // in the coarse cover
	entries uint64 // that it costs
	saved   uint64 // addresses that it lets go
}

// fill opens pieces of the result into those of a finer cover inside of it, the
// most addresses for each entry first, as long as the budget lasts.
func (s *Solver[K]) fill(fine []Piece[K], budget int) {
	s.steps = s.steps[:0]
	from := 0
	for i, p := range s.out {
		to, inside := from, int64(0)
		for ; to < len(fine) && fine[to].Lo < p.Hi; to++ {
			inside += s.size(fine[to])
		}
		if to-from > 1 {
			s.steps = append(s.steps, step{i, uint64(to - from - 1), uint64(s.size(p) - inside)})
		}
		from = to
	}
	slices.SortFunc(s.steps, func(a, b step) int {
		return cmp.Or(-compareRatio(a, b), -cmp.Compare(a.entries, b.entries), cmp.Compare(a.piece, b.piece))
	})
	left, taken := uint64(budget-len(s.out)), s.steps[:0]
	for _, st := range s.steps {
		if st.entries <= left {
			left -= st.entries
			taken = append(taken, st)
		}
	}
	slices.SortFunc(taken, func(a, b step) int { return cmp.Compare(a.piece, b.piece) })
	out := room(s.third, budget)
	from = 0
	for i, p := range s.out {
		to := from
		for to < len(fine) && fine[to].Lo < p.Hi {
			to++
		}
		if len(taken) > 0 && taken[0].piece == i {
			taken = taken[1:]
			out = append(out, fine[from:to]...)
		} else {
			out = append(out, p)
		}
		from = to
	}
	s.out, s.third = out, s.out
}

func (s *Solver[K]) size(p Piece[K]) int64 { return int64(1) << (s.width - int(p.Bits)) }

// compareRatio compares the addresses saved for each entry.
func compareRatio(a, b step) int {
	ah, al := bits.Mul64(a.saved, b.entries)
	bh, bl := bits.Mul64(b.saved, a.entries)
	return cmp.Or(cmp.Compare(ah, bh), cmp.Compare(al, bl))
}
