package cover

import "sort"

// A Why is the reason of one piece. Costs are in addresses (IPv6: /64), as the
// price is.
type Why struct {
	Need        int   // members that a prefix of this length needs; 1 for a single key
	Members     int   // that it has
	Cost        int64 // of this prefix: the price and its addresses that did not offend
	Apart       int64 // of the cheapest cover of its members without it; for a single key the same as Cost
	SplitAround int   // ID of the veto because of which it has a length that is no rung, the nearest of them; -1 if none
	Next        Next
}

// Next is the next wider rung around a piece, and why it was not taken.
type Next struct {
	Bits    int // 0: there is none
	Need    int
	Members int   // offenders in it
	Cost    int64 // of that prefix
	Apart   int64 // of the pieces that stand in it instead
	Bar     Bar
	Veto    int // ID of the veto that bars it, the nearest to the piece; -1 if none does
}

// Bar is what keeps a prefix from being taken.
type Bar uint8

// The bars, in the order in which they are looked at.
const (
	Widest Bar = iota // there is no wider rung
	Vetoed            // an allowlist entry or a known-good sender is in it
	Count             // it has fewer members than it needs
	Price             // it costs more than the pieces in it
	Budget            // it would pay at the price that SolveWithin went to, but there was room without it
)

// String gives the name of the bar in lower case.
func (b Bar) String() string {
	switch b {
	case Widest:
		return "widest"
	case Vetoed:
		return "veto"
	case Count:
		return "count"
	case Price:
		return "price"
	case Budget:
		return "budget"
	}
	return "unknown"
}

// Explain gives the reason of the piece with this index in the last result. It
// looks again at the keys and vetoes of the last call, which must not have been
// changed; it leaves the result valid.
func (s *Solver[K]) Explain(piece int) Why {
	p := s.out[piece]
	w := Why{Need: 1, Members: p.Members(), SplitAround: -1, Next: s.next(piece)}
	w.Cost = s.cost(int(p.Bits), w.Members)
	w.Apart = w.Cost
	if w.Members > 1 {
		r := s.options.Rungs[s.rung[p.Bits]]
		w.Need = r.Need
		if r.Bits < int(p.Bits) {
			w.SplitAround = s.nearest(p, r.Bits)
		}
		// Without the node that holds all members nothing is as wide as it.
		halves := s.common(s.keys[p.Lo], s.keys[p.Hi-1]) + 1
		s.spare, w.Apart = s.pass(s.spare, int(p.Lo), int(p.Hi), halves)
	}
	return w
}

func (s *Solver[K]) next(piece int) Next {
	p := s.out[piece]
	i := s.rung[p.Bits-1]
	if i < 0 {
		return Next{Veto: -1}
	}
	r := s.options.Rungs[i]
	n := Next{Bits: r.Bits, Need: r.Need, Veto: -1}
	first := s.mask(p.Key, r.Bits)
	last := first | span[K](s.width, r.Bits)
	// No piece is wider than this rung here, or it would hold p.
	lo := sort.Search(len(s.out), func(i int) bool { return s.out[i].Key >= first })
	for _, q := range s.out[lo:] {
		if q.Key > last {
			break
		}
		n.Members += q.Members()
		n.Apart = min(n.Apart+s.cost(int(q.Bits), q.Members()), ceiling)
	}
	n.Cost = s.cost(r.Bits, n.Members)
	switch {
	case s.vetoed(p.Key, r.Bits) >= 0:
		n.Bar, n.Veto = Vetoed, s.nearest(p, r.Bits)
	case n.Members < n.Need:
		n.Bar = Count
	case n.Cost > n.Apart:
		n.Bar = Price
	default:
		n.Bar = Budget
	}
	return n
}

// nearest returns the ID of the veto nearest to a piece, of those that touch
// the prefix of n bits around it, of which there is one at least.
func (s *Solver[K]) nearest(p Piece[K], n int) int {
	first := s.mask(p.Key, n)
	last := first | span[K](s.width, n)
	i := s.veto(p.Key) // the first behind the piece
	before, after := i > 0 && s.vetoes[i-1].Last >= first, i < len(s.vetoes) && s.vetoes[i].First <= last
	end := p.Key | span[K](s.width, int(p.Bits))
	if before && (!after || p.Key-s.vetoes[i-1].Last <= s.vetoes[i].First-end) {
		i--
	}
	return s.vetoes[i].ID
}
