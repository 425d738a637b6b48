package cover

import (
	"math/rand/v2"
	"slices"
	"testing"
)

func TestSort(t *testing.T) {
	r := rand.New(rand.NewPCG(41, 42))
	shapes := map[string]func(i, n int) uint64{
		"uniform":    func(i, n int) uint64 { return r.Uint64() },
		"one bucket": func(i, n int) uint64 { return 0xc0000200_c0000200 | r.Uint64()&0xff },
		"equal":      func(i, n int) uint64 { return 7 },
		"sorted":     func(i, n int) uint64 { return uint64(i) * 0x0010_0001_0010_0001 },
		"reversed":   func(i, n int) uint64 { return uint64(n-i) * 0x0010_0001_0010_0001 },
		"clustered":  func(i, n int) uint64 { return r.Uint64N(20)<<56 | r.Uint64N(9)<<24 | r.Uint64N(300) },
		"high bits":  func(i, n int) uint64 { return r.Uint64() << 55 >> r.UintN(2) },
	}
	for name, shape := range shapes {
		for _, n := range []int{0, 1, 2, fewKeys, fewKeys + 1, 1000, someKeys, someKeys + 1, 50_000, 1_200_000} {
			if n > 100_000 && (testing.Short() || name != "clustered" && name != "equal") {
				continue
			}
			wide, narrow := make([]uint64, n), make([]uint32, n)
			for i := range wide {
				wide[i] = shape(i, n)
				narrow[i] = uint32(wide[i])
			}
			wantWide, wantNarrow := slices.Clone(wide), slices.Clone(narrow)
			slices.Sort(wantWide)
			slices.Sort(wantNarrow)
			Sort6(wide)
			Sort4(narrow)
			if !slices.Equal(wide, wantWide) || !slices.Equal(narrow, wantNarrow) {
				t.Errorf("%s, %d keys: not sorted", name, n)
			}
		}
	}
}
