package ban

import (
	"net/netip"

	"github.com/postmoat/postmoat/pkg/cover"
)

// A Why says why a ban has the width it has. The numbers are those of the
// cover, see [cover.Why].
type Why struct {
	Kind          Kind
	Need, Members int
	Cost, Apart   int64
	Price         int64  // of an entry, at which it was found
	Raised        bool   // the price was above that of the configuration, for the budget
	Around        Shield // because of which it has a length that is no rung, or is a part of a /64
	Next          Next
}

// Kind is which way a ban came about.
type Kind uint8

// The kinds.
const (
	Solved Kind = iota // found by the cover
	Held               // a single client, though the cover found a wider one: the breaker held it
	Single             // one address of a /64 in which others are to be spared
	Site               // part of a /64 that is banned around what is to be spared
	Manual             // by the operator
)

// Next is the next wider rung, and why it was not taken.
type Next struct {
	Bits, Need, Members int // Bits 0: there is none
	Cost, Apart         int64
	Bar                 cover.Bar
	Veto                Shield
}

// A Shield is something that no wide ban may touch.
type Shield struct {
	Kind   ShieldKind
	Prefix netip.Prefix
}

// ShieldKind is why something is spared.
type ShieldKind uint8

// The kinds of shields.
const (
	NoShield    ShieldKind = iota
	Allowlisted            // the allowlist holds it
	KnownGood              // a sender with enough good evidence
	Unbanned               // the operator lifted a ban from it, and it has not offended since
)

// A family solves the covers of IPv4 or IPv6.
type family interface {
	// solve covers the keys, which are sorted, around the shields.
	solve(keys []netip.Prefix, shields []Shield) []netip.Prefix
	// within is solve with a limit of pieces, for which it may go to a higher
	// price; it returns that.
	within(keys []netip.Prefix, shields []Shield, budget int) ([]netip.Prefix, int64)
	// why explains a piece of the last result, by its index; not after raise.
	why(piece int) Why
	// raise sets the price, of the configuration if it is lower.
	raise(price int64)
	// price is the one in force, and whether it is above the configured one.
	price() (int64, bool)
	// bucket is the prefix around p outside of which nothing matters to it.
	bucket(p netip.Prefix) netip.Prefix
}

type solver[K cover.Key] struct {
	options cover.Options
	inForce int64 // the price
	last    int64 // the price of the last result
	solver  *cover.Solver[K]
	key     func(netip.Addr) K
	veto    func(netip.Prefix, int) cover.Veto[K]
	bits    int // of the widest rung, or of a key

	shields []Shield
	keys    []K
	vetoes  []cover.Veto[K]
	pieces  []netip.Prefix
}

func newFamily4(o cover.Options) family {
	return newSolver(o, 32, cover.Key4, cover.Veto4)
}

func newFamily6(o cover.Options) family {
	return newSolver(o, 64, cover.Key6, cover.Veto6)
}

func newSolver[K cover.Key](o cover.Options, bits int, key func(netip.Addr) K, veto func(netip.Prefix, int) cover.Veto[K]) *solver[K] {
	s := &solver[K]{options: o, inForce: o.Price, solver: cover.New[K](o), key: key, veto: veto, bits: bits}
	if n := len(o.Rungs); n > 0 {
		s.bits = o.Rungs[n-1].Bits
	}
	return s
}

func (s *solver[K]) take(keys []netip.Prefix, shields []Shield) {
	s.shields = shields
	s.keys, s.vetoes = s.keys[:0], s.vetoes[:0]
	for _, k := range keys {
		s.keys = append(s.keys, s.key(k.Addr()))
	}
	for i, v := range shields {
		s.vetoes = append(s.vetoes, s.veto(v.Prefix, i))
	}
	s.vetoes = cover.SortVetoes(s.vetoes)
}

func (s *solver[K]) result(ps []cover.Piece[K]) []netip.Prefix {
	s.pieces = s.pieces[:0]
	for _, p := range ps {
		s.pieces = append(s.pieces, p.Prefix())
	}
	return s.pieces
}

func (s *solver[K]) solve(keys []netip.Prefix, shields []Shield) []netip.Prefix {
	s.take(keys, shields)
	s.last = s.inForce
	return s.result(s.solver.Solve(s.keys, s.vetoes))
}

func (s *solver[K]) within(keys []netip.Prefix, shields []Shield, budget int) ([]netip.Prefix, int64) {
	s.take(keys, shields)
	ps, price := s.solver.SolveWithin(s.keys, s.vetoes, budget)
	s.last = price
	return s.result(ps), price
}

func (s *solver[K]) why(piece int) Why {
	w := s.solver.Explain(piece)
	return Why{
		Kind: Solved, Need: w.Need, Members: w.Members, Cost: w.Cost, Apart: w.Apart,
		Price: s.last, Raised: s.last > s.options.Price, Around: s.shield(w.SplitAround),
		Next: Next{
			Bits: w.Next.Bits, Need: w.Next.Need, Members: w.Next.Members,
			Cost: w.Next.Cost, Apart: w.Next.Apart, Bar: w.Next.Bar, Veto: s.shield(w.Next.Veto),
		},
	}
}

func (s *solver[K]) shield(id int) Shield {
	if id < 0 {
		return Shield{}
	}
	return s.shields[id]
}

func (s *solver[K]) raise(price int64) {
	price = max(price, s.options.Price)
	if price == s.inForce {
		return
	}
	s.inForce = price
	o := s.options
	o.Price = price
	s.solver = cover.New[K](o)
}

func (s *solver[K]) price() (int64, bool) { return s.inForce, s.inForce > s.options.Price }

func (s *solver[K]) bucket(p netip.Prefix) netip.Prefix {
	return netip.PrefixFrom(p.Addr(), min(p.Bits(), s.bits)).Masked()
}

// String is the kind in one word: "solved", "held", "single", "site", "manual".
func (k Kind) String() string {
	switch k {
	case Solved:
		return "solved"
	case Held:
		return "held"
	case Single:
		return "single"
	case Site:
		return "site"
	case Manual:
		return "manual"
	}
	return "kind?"
}
