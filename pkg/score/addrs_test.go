package score

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
)

// TestAddrs holds the set against a sorted slice, with addresses in order, in
// reverse and in none; those in order fill their chunks.
func TestAddrs(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 3))
	const n = 5*chunkAddrs + 7
	for name, at := range map[string]func(i int) uint32{
		"up":     func(i int) uint32 { return uint32(i) },
		"down":   func(i int) uint32 { return uint32(n - i) },
		"random": func(int) uint32 { return r.Uint32N(4 * n) },
	} {
		var s addrs
		var want []netip.Addr
		check := func() {
			t.Helper()
			var got []netip.Addr
			for _, c := range s.chunks {
				if len(c) == 0 || len(c) > chunkAddrs {
					t.Fatalf("%s: a chunk of %d", name, len(c))
				}
				got = append(got, c...)
			}
			if !slices.Equal(got, want) {
				t.Fatalf("%s: %d addresses, want %d: %v", name, len(got), len(want), got)
			}
		}
		for i := range n {
			a := host4(at(i))
			s.insert(a)
			if j, found := slices.BinarySearchFunc(want, a, netip.Addr.Compare); !found {
				want = slices.Insert(want, j, a)
			}
			if i%97 == 0 || i > n-9 {
				check()
			}
		}
		if most := (n + chunkAddrs - 1) / chunkAddrs; name == "up" && len(s.chunks) > most {
			t.Errorf("%s: %d chunks, want %d", name, len(s.chunks), most)
		}
		for len(want) > 0 {
			j := r.IntN(len(want))
			s.remove(want[j])
			want = slices.Delete(want, j, j+1)
			if len(want)%97 == 0 {
				check()
			}
		}
	}
}
