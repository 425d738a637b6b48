package cover

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

// A world is one random problem in a universe so small that all of it can be
// looked at.
type world struct {
	width   int
	options Options
	keys    []uint32       // sorted; some lie in vetoes
	vetoes  []Veto[uint32] // sorted, disjoint

	offenders []uint32 // the keys to be covered: those not in a veto
	protected []bool   // by key: it lies in a veto
}

func (w world) String() string {
	return fmt.Sprintf("width %d, %+v, keys %v, vetoes %v", w.width, w.options, w.keys, w.vetoes)
}

func someWorld(r *rand.Rand, width int) world {
	w := world{width: width}
	need := 2
	for l := width - 1; l > 0; l-- {
		if r.IntN(3) == 0 {
			need += r.IntN(3) * r.IntN(width)
			w.options.Rungs = append(w.options.Rungs, Rung{l, need})
		}
	}
	w.options.Price = int64(r.IntN(2 << r.IntN(width+1)))
	density := 1 + r.IntN(8)
	for k := range uint32(1) << width {
		if r.IntN(density) == 0 {
			w.keys = append(w.keys, k)
		}
	}
	for i := range r.IntN(4) * r.IntN(2) {
		first := r.Uint32N(1 << width)
		last := min(first+r.Uint32N(1<<r.IntN(width)), 1<<width-1)
		w.vetoes = append(w.vetoes, Veto[uint32]{first, last, i})
	}
	return w.looked()
}

// looked fills in what follows from the keys and vetoes.
func (w world) looked() world {
	w.protected = make([]bool, 1<<w.width)
	for _, v := range w.vetoes {
		for k := v.First; k <= v.Last; k++ {
			w.protected[k] = true
		}
	}
	w.vetoes = SortVetoes(slices.Clone(w.vetoes))
	w.offenders = slices.DeleteFunc(slices.Clone(w.keys), w.vetoed)
	return w
}

func (w world) vetoed(k uint32) bool { return w.protected[k] }

// A block is a prefix by its first key and its length.
type block struct {
	first uint32
	bits  int
}

func (w world) size(b block) uint32          { return 1 << (w.width - b.bits) }
func (w world) holds(b block, k uint32) bool { return k >= b.first && k-b.first < w.size(b) }

func (w world) members(b block) (n int) {
	for _, k := range w.offenders {
		if w.holds(b, k) {
			n++
		}
	}
	return n
}

func (w world) meetsVeto(b block) bool {
	for k := b.first; w.holds(b, k); k++ {
		if w.vetoed(k) {
			return true
		}
	}
	return false
}

// admissible is the definition of what may be banned, word for word.
func (w world) admissible(b block) bool {
	n := w.members(b)
	if b.bits == w.width {
		return n == 1
	}
	if w.meetsVeto(b) {
		return false
	}
	for _, r := range w.options.Rungs { // narrow to wide
		if r.Bits == b.bits {
			return n >= r.Need
		}
		if r.Bits < b.bits {
			around := block{b.first &^ (1<<(w.width-r.Bits) - 1), r.Bits}
			return n >= r.Need && w.meetsVeto(around)
		}
	}
	return false // wider than the widest rung
}

func (w world) cost(b block) int64 {
	return w.options.Price + int64(w.size(b)) - int64(w.members(b))
}

func (w world) halves(b block) (block, block) {
	return block{b.first, b.bits + 1}, block{b.first + w.size(b)/2, b.bits + 1}
}

// enumerate lists every cover of the offenders in b by disjoint admissible
// prefixes.
func (w world) enumerate(b block) [][]block {
	if w.members(b) == 0 {
		return [][]block{nil}
	}
	var all [][]block
	if w.admissible(b) {
		all = append(all, []block{b})
	}
	if b.bits == w.width {
		return all
	}
	low, high := w.halves(b)
	highs := w.enumerate(high)
	for _, l := range w.enumerate(low) {
		for _, h := range highs {
			all = append(all, slices.Concat(l, h))
		}
	}
	return all
}

func (w world) total(bs []block) (sum int64) {
	for _, b := range bs {
		sum += w.cost(b)
	}
	return sum
}

// best is the search over the full binary tree of the universe: the cheapest
// cover of b, of those with one cost the one with the fewest prefixes.
func (w world) best(b block) ([]block, int64) {
	if w.members(b) == 0 {
		return nil, 0
	}
	var found []block
	var cost int64
	if b.bits < w.width {
		low, high := w.halves(b)
		l, lc := w.best(low)
		h, hc := w.best(high)
		found, cost = slices.Concat(l, h), lc+hc
	}
	if w.admissible(b) && (found == nil || w.cost(b) <= cost) {
		return []block{b}, w.cost(b)
	}
	return found, cost
}

func blocks[K Key](ps []Piece[K]) []block {
	var bs []block
	for _, p := range ps {
		bs = append(bs, block{uint32(p.Key), int(p.Bits)})
	}
	return bs
}

// check holds a result against everything that is true of any cover, whatever
// its cost.
func (w world) check(t *testing.T, ps []Piece[uint32]) {
	t.Helper()
	covered := map[uint32]int{}
	for _, p := range ps {
		b := block{p.Key, int(p.Bits)}
		if !w.admissible(b) {
			t.Fatalf("%v is not admissible\n%v", b, w)
		}
		for k := b.first; w.holds(b, k); k++ {
			covered[k]++
			if covered[k] > 1 {
				t.Fatalf("key %d is covered twice by %v\n%v", k, ps, w)
			}
			if w.vetoed(k) {
				t.Fatalf("key %d is vetoed and covered by %v\n%v", k, b, w)
			}
		}
		if p.Members() != w.members(b) {
			t.Fatalf("%v says it has %d members, has %d\n%v", b, p.Members(), w.members(b), w)
		}
		for _, k := range w.keys[p.Lo:p.Hi] {
			if !w.holds(b, k) {
				t.Fatalf("%v says that %d is its member\n%v", b, k, w)
			}
		}
	}
	for _, k := range w.offenders {
		if covered[k] != 1 {
			t.Fatalf("offender %d is not covered by %v\n%v", k, ps, w)
		}
	}
	if !slices.IsSortedFunc(ps, func(a, b Piece[uint32]) int { return int(a.Key) - int(b.Key) }) {
		t.Fatalf("%v is not sorted\n%v", ps, w)
	}
}

func TestTwinEnumeration(t *testing.T) {
	r := rand.New(rand.NewPCG(21, 22))
	for range 15_000 {
		w := someWorld(r, 2+r.IntN(3))
		got := newSolver[uint32](w.options, w.width).Solve(w.keys, w.vetoes)
		w.check(t, got)
		best := slices.MinFunc(w.enumerate(block{0, 0}), func(a, b []block) int {
			if c := w.total(a) - w.total(b); c != 0 {
				return int(c)
			}
			return len(a) - len(b)
		})
		if w.total(blocks(got)) != w.total(best) || len(got) != len(best) {
			t.Fatalf("got %v at %d, the best of all is %v at %d\n%v", got, w.total(blocks(got)), best, w.total(best), w)
		}
	}
}

func TestTwinBinaryTree(t *testing.T) {
	r := rand.New(rand.NewPCG(23, 24))
	n := 15_000
	if testing.Short() {
		n = 4_000
	}
	for i := range n {
		w := someWorld(r, 3+i%6)
		s := newSolver[uint32](w.options, w.width)
		got := s.Solve(w.keys, w.vetoes)
		w.check(t, got)
		want, cost := w.best(block{0, 0})
		if !slices.Equal(blocks(got), want) {
			t.Fatalf("got %v at %d, want %v at %d\n%v", got, w.total(blocks(got)), want, cost, w)
		}
		w.checkWhy(t, s, got)
	}
}

// The same problem somewhere in the lowest bits of keys of a real width is the
// same problem.
func TestTwinRealWidths(t *testing.T) {
	r := rand.New(rand.NewPCG(25, 26))
	for range 3_000 {
		w := someWorld(r, 1+r.IntN(8))
		want := blocks(newSolver[uint32](w.options, w.width).Solve(w.keys, w.vetoes))
		base := r.Uint64() << w.width
		if got := solveAt(t, w, uint32(base)); !slices.Equal(got, want) {
			t.Fatalf("got %v of 32 bits, in a small universe %v\n%v", got, want, w)
		}
		if got := solveAt(t, w, base); !slices.Equal(got, want) {
			t.Fatalf("got %v of 64 bits, in a small universe %v\n%v", got, want, w)
		}
	}
}

func solveAt[K Key](t *testing.T, w world, base K) (bs []block) {
	t.Helper()
	more := width[K]() - w.width
	o := Options{Price: w.options.Price}
	for _, r := range w.options.Rungs {
		o.Rungs = append(o.Rungs, Rung{r.Bits + more, r.Need})
	}
	var keys []K
	for _, k := range w.keys {
		keys = append(keys, base|K(k))
	}
	var vetoes []Veto[K]
	for _, v := range w.vetoes {
		vetoes = append(vetoes, Veto[K]{base | K(v.First), base | K(v.Last), v.ID})
	}
	for _, p := range New[K](o).Solve(keys, vetoes) {
		if p.Key&^(1<<w.width-1) != base {
			t.Fatalf("%v lies outside of the universe\n%v", p, w)
		}
		bs = append(bs, block{uint32(p.Key - base), int(p.Bits) - more})
	}
	return bs
}

// checkWhy holds every reason against its definition.
func (w world) checkWhy(t *testing.T, s *Solver[uint32], ps []Piece[uint32]) {
	t.Helper()
	for i, p := range ps {
		b, why := block{p.Key, int(p.Bits)}, s.Explain(i)
		want := Why{Need: 1, Members: w.members(b), Cost: w.cost(b), Apart: w.cost(b), SplitAround: -1, Next: Next{Veto: -1}}
		for _, r := range w.options.Rungs {
			if b.bits < w.width && want.Need == 1 && r.Bits <= b.bits {
				want.Need = r.Need
				if r.Bits < b.bits {
					want.SplitAround = why.SplitAround // looked at below
				}
				want.Apart = w.apart(b)
			}
			if r.Bits < b.bits && want.Next.Bits == 0 && want.Next.Need == 0 {
				want.Next = w.next(block{b.first &^ (1<<(w.width-r.Bits) - 1), r.Bits}, r, ps)
				if want.Next.Bar == Vetoed {
					want.Next.Veto = why.Next.Veto
					w.checkNearest(t, b, want.Next.Bits, why.Next.Veto)
					if want.SplitAround >= 0 {
						w.checkNearest(t, b, want.Next.Bits, why.SplitAround)
					}
				}
			}
		}
		if why != want {
			t.Fatalf("%v: why is %+v, want %+v\n%v", b, why, want, w)
		}
		if why.Cost > why.Apart {
			t.Fatalf("%v costs %d and its parts %d\n%v", b, why.Cost, why.Apart, w)
		}
	}
}

// apart is the cost of the best cover of the members of b without any prefix
// that holds all of them.
func (w world) apart(b block) int64 {
	for b.bits < w.width {
		low, high := w.halves(b)
		if n := w.members(low); n > 0 && n < w.members(b) {
			_, lc := w.best(low)
			_, hc := w.best(high)
			return lc + hc
		} else if n == 0 {
			b = high
		} else {
			b = low
		}
	}
	return w.cost(b)
}

func (w world) next(around block, r Rung, ps []Piece[uint32]) Next {
	n := Next{Bits: r.Bits, Need: r.Need, Members: w.members(around), Cost: w.cost(around), Bar: Price, Veto: -1}
	for _, p := range blocks(ps) {
		if w.holds(around, p.first) {
			n.Apart += w.cost(p)
		}
	}
	if n.Members < n.Need {
		n.Bar = Count
	}
	if w.meetsVeto(around) {
		n.Bar = Vetoed
	}
	return n
}

// checkNearest demands that the veto of this ID is in the rung around b and
// that no other one there is nearer.
func (w world) checkNearest(t *testing.T, b block, rung, id int) {
	t.Helper()
	around := block{b.first &^ (1<<(w.width-rung) - 1), rung}
	best, named := uint32(1)<<w.width, uint32(1)<<w.width
	for k := around.first; w.holds(around, k); k++ {
		d := b.first - k
		if k > b.first {
			d = k - (b.first + w.size(b) - 1)
		}
		for _, v := range w.vetoes {
			if v.First <= k && k <= v.Last {
				best = min(best, d)
				if v.ID == id {
					named = min(named, d)
				}
			}
		}
	}
	if named != best || best == 1<<w.width {
		t.Fatalf("%v: veto %d is named, %d away, where one is %d away\n%v", b, id, named, best, w)
	}
}
