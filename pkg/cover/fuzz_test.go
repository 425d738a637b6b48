package cover

import (
	"encoding/binary"
	"slices"
	"testing"
)

// FuzzSolve makes a problem of the real widths out of any bytes, with options
// that Check takes, and demands what must hold of every answer: disjoint, no veto
// touched, every other key in a piece, counts that are true.
func FuzzSolve(f *testing.F) {
	f.Add([]byte{128, 24, 3, 22, 9, 2, 7, 32}, []byte{203, 0, 113, 1, 203, 0, 113, 9, 203, 0, 113, 80, 203, 0, 113, 7})
	f.Add([]byte{1, 31, 2, 9, 2, 0, 0, 24}, []byte{255, 255, 255, 255, 255, 255, 255, 254, 0, 0, 0, 0})
	f.Add([]byte{0}, []byte{})
	f.Add([]byte{255, 48, 0, 55, 48, 48, 48, 48, 55, 48}, []byte("\x00q\x000\x00q\x001\x00q\x002\x00q\x007"))
	f.Fuzz(func(t *testing.T, options, data []byte) {
		fuzzSolve[uint32](t, options, data)
		fuzzSolve[uint64](t, options, data)
	})
}

func fuzzSolve[K Key](t *testing.T, options, data []byte) {
	w := width[K]()
	next := func() int {
		if len(options) == 0 {
			return 0
		}
		b := options[0]
		options = options[1:]
		return int(b)
	}
	// A byte shifted by 56 is a negative price, which Check refuses and no solver
	// is made for: shift it no further than stays below maxPrice.
	o := Options{Price: int64(next()) << (next() % 49)}
	for need, bits := 2, w-1; len(options) > 4 && bits >= widestBits; {
		need += next()
		o.Rungs = append(o.Rungs, Rung{bits, need})
		if o.Check(w) != nil { // it needs more than it holds, or never fires
			o.Rungs = o.Rungs[:len(o.Rungs)-1]
			need = 2
			if n := len(o.Rungs); n > 0 {
				need = o.Rungs[n-1].Need
			}
		}
		bits -= 1 + next()%12
	}
	if err := o.Check(w); err != nil {
		t.Fatalf("the fuzz target made what nobody can configure: %v", err)
	}
	budget, every := next(), 1+next()%8
	var keys []K
	var vetoes []Veto[K]
	for n := 0; len(data) >= w/8; n++ {
		k := K(binary.BigEndian.Uint32(data))
		if w == 64 {
			k = K(binary.BigEndian.Uint64(data))
		}
		if n%every == every-1 {
			vetoes = append(vetoes, Veto[K]{k, k | K(data[0]), n})
		} else {
			keys = append(keys, k)
		}
		data = data[w/8:]
	}
	slices.Sort(keys)
	keys = slices.Compact(keys)
	vetoes = SortVetoes(vetoes)
	s := New[K](o)
	fuzzCheck(t, s, s.Solve(keys, vetoes), keys, vetoes)
	free := len(s.out)
	ps, price := s.SolveWithin(keys, vetoes, budget)
	fuzzCheck(t, s, ps, keys, vetoes)
	if len(ps) > free || free <= budget && (len(ps) != free || price != o.Price) || price < o.Price {
		t.Fatalf("%d pieces at price %d within %d, of %d at %d", len(ps), price, budget, free, o.Price)
	}
}

func fuzzCheck[K Key](t *testing.T, s *Solver[K], ps []Piece[K], keys []K, vetoes []Veto[K]) {
	t.Helper()
	inVeto := func(k K) bool {
		return slices.ContainsFunc(vetoes, func(v Veto[K]) bool { return v.First <= k && k <= v.Last })
	}
	at := 0
	for i, p := range ps {
		if i > 0 && ps[i-1].Last() >= p.Key {
			t.Fatalf("%v and %v overlap", ps[i-1], p)
		}
		if int(p.Bits) < s.widest && int(p.Bits) != s.width || p.Key&^p.Last() != 0 || p.Lo >= p.Hi {
			t.Fatalf("%v is no prefix that may be", p)
		}
		for _, v := range vetoes {
			if v.First <= p.Last() && p.Key <= v.Last {
				t.Fatalf("%v touches %v", p, v)
			}
		}
		for ; at < int(p.Lo); at++ {
			if !inVeto(keys[at]) {
				t.Fatalf("%v is not covered", keys[at])
			}
		}
		for _, k := range keys[p.Lo:p.Hi] {
			if k < p.Key || k > p.Last() {
				t.Fatalf("%v is no member of %v", k, p)
			}
		}
		at = int(p.Hi)
		why := s.Explain(i)
		if why.Members != p.Members() || why.Members < why.Need || why.Cost > why.Apart {
			t.Fatalf("%v: %+v", p, why)
		}
	}
	for ; at < len(keys); at++ {
		if !inVeto(keys[at]) {
			t.Fatalf("%v is not covered", keys[at])
		}
	}
}
