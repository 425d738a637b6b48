package cover

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// inside says whether every prefix of the fine cover lies in one of the coarse.
func inside(w world, fine, coarse []block) bool {
	for _, f := range fine {
		if !slices.ContainsFunc(coarse, func(c block) bool { return c.bits <= f.bits && w.holds(c, f.first) }) {
			return false
		}
	}
	return true
}

func solve(w world) []block {
	return blocks(newSolver[uint32](w.options, w.width).Solve(w.keys, w.vetoes))
}

// Exclusive or with a constant turns the tree around, and nothing else. The
// vetoes are taken one key each, as a turned range is no range.
func TestMirrored(t *testing.T) {
	r := rand.New(rand.NewPCG(51, 52))
	for i := range 4_000 {
		w := someWorld(r, 3+i%6)
		var single []Veto[uint32]
		for k, is := range w.protected {
			if is {
				single = append(single, Veto[uint32]{uint32(k), uint32(k), k})
			}
		}
		w.vetoes = single
		turn := r.Uint32N(1 << w.width)
		m := w
		m.keys, m.vetoes = nil, nil
		for _, k := range w.keys {
			m.keys = append(m.keys, k^turn)
		}
		for _, v := range single {
			m.vetoes = append(m.vetoes, Veto[uint32]{v.First ^ turn, v.First ^ turn, v.ID})
		}
		Sort4(m.keys)
		m = m.looked()
		got := solve(m)
		for j, b := range got {
			got[j].first = (b.first ^ turn) &^ (w.size(b) - 1)
		}
		slices.SortFunc(got, func(a, b block) int { return int(a.first) - int(b.first) })
		if want := solve(w); !slices.Equal(got, want) {
			t.Fatalf("turned by %d: got %v, want %v\n%v", turn, got, want, w)
		}
	}
}

func TestHigherPriceOnlyCoarsens(t *testing.T) {
	r := rand.New(rand.NewPCG(53, 54))
	for i := range 4_000 {
		w := someWorld(r, 3+i%6)
		before := solve(w)
		for range 4 {
			w.options.Price += int64(r.IntN(8))
			after := solve(w)
			if !inside(w, before, after) {
				t.Fatalf("price %d: %v is not inside of %v\n%v", w.options.Price, before, after, w)
			}
			before = after
		}
	}
}

// A new veto changes the cover only in the widest rung around it, and frees
// what it protects.
func TestVetoChangesOnlyItsOwnNeighbourhood(t *testing.T) {
	r := rand.New(rand.NewPCG(55, 56))
	for i := range 4_000 {
		w := someWorld(r, 4+i%5)
		if len(w.options.Rungs) == 0 {
			continue
		}
		k := r.Uint32N(1 << w.width)
		widest := w.options.Rungs[len(w.options.Rungs)-1].Bits
		around := block{k &^ (1<<(w.width-widest) - 1), widest}
		far := func(bs []block) []block {
			return slices.DeleteFunc(bs, func(b block) bool { return w.holds(around, b.first) })
		}
		before := solve(w)
		v := w
		v.vetoes = append(slices.Clone(w.vetoes), Veto[uint32]{k, k, 99})
		v = v.looked()
		after := solve(v)
		if slices.ContainsFunc(after, func(b block) bool { return w.holds(b, k) }) {
			t.Fatalf("%d is vetoed and covered by %v\n%v", k, after, v)
		}
		if !slices.Equal(far(slices.Clone(before)), far(slices.Clone(after))) {
			t.Fatalf("a veto of %d makes %v out of %v\n%v", k, after, before, w)
		}
	}
}

// Each piece is the cover of its own members, and the pieces of each bucket of
// the widest rung are the cover of the bucket: so a caller may solve buckets
// one by one.
func TestBucketsAreIndependent(t *testing.T) {
	r := rand.New(rand.NewPCG(57, 58))
	for i := range 4_000 {
		w := someWorld(r, 3+i%6)
		s := newSolver[uint32](w.options, w.width)
		one := newSolver[uint32](w.options, w.width)
		whole := slices.Clone(s.Solve(w.keys, w.vetoes))
		for _, p := range whole {
			again := one.Solve(w.keys[p.Lo:p.Hi], w.vetoes)
			if len(again) != 1 || again[0].Key != p.Key || again[0].Bits != p.Bits {
				t.Fatalf("%v alone becomes %v\n%v", p, again, w)
			}
		}
		if len(w.options.Rungs) == 0 {
			continue
		}
		var parts []block
		size := uint32(1) << (w.width - w.options.Rungs[len(w.options.Rungs)-1].Bits)
		for first := uint32(0); first < 1<<w.width; first += size {
			lo, _ := slices.BinarySearch(w.keys, first)
			hi, _ := slices.BinarySearch(w.keys, first+size)
			parts = append(parts, blocks(one.Solve(w.keys[lo:hi], w.vetoes))...)
		}
		if !slices.Equal(parts, blocks(whole)) {
			t.Fatalf("bucket by bucket %v, at once %v\n%v", parts, whole, w)
		}
	}
}

// An offender more inside of a piece saves one innocent address: the old cover
// still holds, so the new one is at least that much cheaper.
func TestOffenderInsideAPieceIsNeverDearer(t *testing.T) {
	r := rand.New(rand.NewPCG(59, 60))
	for i := range 4_000 {
		w := someWorld(r, 3+i%6)
		before := solve(w)
		if len(before) == 0 {
			continue
		}
		b := before[r.IntN(len(before))]
		k := b.first + r.Uint32N(w.size(b))
		if slices.Contains(w.keys, k) {
			continue
		}
		cost := w.total(before)
		w.keys = append(slices.Clone(w.keys), k)
		Sort4(w.keys)
		w = w.looked()
		if after := solve(w); w.total(after) > cost-1 {
			t.Fatalf("%v at %d became %v at %d\n%v", before, cost, after, w.total(after), w)
		}
	}
}

// A solver that is used again gives what a new one gives.
func TestSolverIsReusable(t *testing.T) {
	r := rand.New(rand.NewPCG(61, 62))
	s := newSolver[uint32](Options{5, []Rung{{6, 2}, {4, 4}, {2, 9}}}, 8)
	for range 2_000 {
		w := someWorld(r, 8)
		w.options = s.options
		got := blocks(s.Solve(w.keys, w.vetoes))
		if want := solve(w); !slices.Equal(got, want) {
			t.Fatalf("got %v, want %v\n%v", got, want, w)
		}
		s.SolveWithin(w.keys, w.vetoes, r.IntN(20))
		for i := range s.out {
			s.Explain(i)
		}
	}
}
