package cover

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"
)

// uniform returns n distinct keys from all of IPv4, unsorted.
func uniform(n int) []uint32 {
	r := rand.New(rand.NewPCG(71, uint64(n)))
	keys := make([]uint32, n+n/1000+8)
	for i := range keys {
		keys[i] = r.Uint32()
	}
	return distinct(r, keys, n)
}

// clustered returns n distinct keys about as attackers are met: nearly half of
// them alone in their /24, the others in networks that hold 2 to 200 of them.
func clustered(n int) []uint32 {
	r := rand.New(rand.NewPCG(72, uint64(n)))
	var keys []uint32
	for len(keys) < n+n/2 {
		net := r.Uint32() &^ 0xff
		hosts := 1
		if r.IntN(100) >= 98 {
			hosts = 2 << r.IntN(8)
		}
		for range min(hosts, 200) {
			keys = append(keys, net|r.Uint32N(256))
		}
	}
	return distinct(r, keys, n)
}

func distinct(r *rand.Rand, keys []uint32, n int) []uint32 {
	slices.Sort(keys)
	keys = slices.Compact(keys)
	r.Shuffle(len(keys), func(i, j int) { keys[i], keys[j] = keys[j], keys[i] })
	return keys[:n]
}

func sizes(b *testing.B, f func(b *testing.B, keys []uint32)) {
	for _, set := range []struct {
		name string
		make func(int) []uint32
	}{{"uniform", uniform}, {"clustered", clustered}} {
		for _, n := range []struct {
			name string
			size int
		}{{"1k", 1_000}, {"100k", 100_000}, {"1M", 1_000_000}} {
			keys := set.make(n.size)
			b.Run(set.name+"/"+n.name, func(b *testing.B) {
				f(b, keys)
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(keys)), "ns/key")
			})
		}
	}
}

// BenchmarkSortAndSolve is a whole cover from unsorted keys with a solver that
// has no memory yet. The copy that keeps the input unsorted is in the time.
func BenchmarkSortAndSolve(b *testing.B) {
	sizes(b, func(b *testing.B, keys []uint32) {
		work := make([]uint32, len(keys))
		pieces := 0
		b.ReportAllocs()
		for b.Loop() {
			copy(work, keys)
			Sort4(work)
			pieces = len(New[uint32](standard4).Solve(work, nil))
		}
		b.ReportMetric(float64(pieces), "pieces")
	})
}

func BenchmarkSort(b *testing.B) {
	sizes(b, func(b *testing.B, keys []uint32) {
		work := make([]uint32, len(keys))
		b.ReportAllocs()
		for b.Loop() {
			copy(work, keys)
			Sort4(work)
		}
	})
}

func BenchmarkSolve(b *testing.B) {
	sizes(b, func(b *testing.B, keys []uint32) {
		Sort4(keys)
		s := New[uint32](standard4)
		s.Solve(keys, nil)
		b.ReportAllocs()
		for b.Loop() {
			s.Solve(keys, nil)
		}
	})
}

func BenchmarkSolveWithVetoes(b *testing.B) {
	sizes(b, func(b *testing.B, keys []uint32) {
		Sort4(keys)
		var vetoes []Veto[uint32]
		for i := 0; i < len(keys); i += 10 { // good neighbours of a tenth
			vetoes = append(vetoes, Veto[uint32]{keys[i] ^ 1, keys[i] ^ 1, i})
		}
		vetoes = SortVetoes(vetoes)
		s := New[uint32](standard4)
		s.Solve(keys, vetoes)
		b.ReportAllocs()
		for b.Loop() {
			s.Solve(keys, vetoes)
		}
	})
}

func BenchmarkSolveWithin(b *testing.B) {
	sizes(b, func(b *testing.B, keys []uint32) {
		Sort4(keys)
		s := New[uint32](Options{Price: 16, Rungs: []Rung{{24, 3}, {22, 9}, {20, 33}}})
		free := len(s.Solve(keys, nil))
		s.SolveWithin(keys, nil, free-free/50)
		b.ReportAllocs()
		for b.Loop() {
			s.SolveWithin(keys, nil, free-free/50)
		}
	})
}

// BenchmarkBucket is what the engine solves for each firing: one bucket of the
// widest rung.
func BenchmarkBucket(b *testing.B) {
	for _, n := range []int{1, 5, 20, 50} {
		keys := spread(22, n)
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			s := New[uint32](standard4)
			veto := []Veto[uint32]{{1 << 9, 1 << 9, 1}}
			b.ReportAllocs()
			for b.Loop() {
				s.Solve(keys, veto)
			}
		})
	}
}

func BenchmarkSolve6(b *testing.B) {
	r := rand.New(rand.NewPCG(73, 74))
	keys := make([]uint64, 1_000_000)
	for i := range keys {
		keys[i] = 0x2000_0000_0000_0000 | r.Uint64N(1<<20)<<40 | r.Uint64N(4)<<16 | r.Uint64N(1<<12)
	}
	Sort6(keys)
	keys = slices.Compact(keys)
	work := make([]uint64, len(keys))
	r.Shuffle(len(keys), func(i, j int) { keys[i], keys[j] = keys[j], keys[i] })
	b.ReportAllocs()
	for b.Loop() {
		copy(work, keys)
		Sort6(work)
		New[uint64](standard6).Solve(work, nil)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(keys)), "ns/key")
}

func BenchmarkExplain(b *testing.B) {
	s := New[uint32](standard4)
	s.Solve(spread(22, 50), nil)
	b.ReportAllocs()
	for b.Loop() {
		s.Explain(0)
	}
}

func TestWarmSolverDoesNotAllocate(t *testing.T) {
	s := New[uint32](standard4)
	keys := clustered(5_000)
	Sort4(keys)
	vetoes := []Veto[uint32]{{keys[7] + 1, keys[7] + 1, 1}, {keys[700] - 9, keys[700] + 9, 1}}
	run := func() {
		s.Solve(keys, vetoes)
		s.Explain(17)
		s.Solve(keys[:40], vetoes)
	}
	run()
	if n := testing.AllocsPerRun(20, run); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// A cover of many offenders needs no more memory than its pieces, 16 bytes each.
func TestMemoryForEachOffender(t *testing.T) {
	keys := uniform(200_000)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	Sort4(keys)
	New[uint32](standard4).Solve(keys, nil)
	runtime.ReadMemStats(&after)
	if each := float64(after.TotalAlloc-before.TotalAlloc) / float64(len(keys)); each > 16.2 {
		t.Errorf("%.1f bytes an offender", each)
	}
}
