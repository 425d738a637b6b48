package health

import (
	"math/rand/v2"
	"testing"
)

func TestRate(t *testing.T) {
	var r Rate
	steps := []struct {
		at   int64
		n    uint64
		now  int64
		want float64
	}{
		{1000, 60, 1000, 1},
		{1000, 60, 1000, 2},
		{1059, 60, 1059, 3},
		{1059, 0, 1060, 1},   // the second 1000 is out
		{1000, 600, 1060, 1}, // late by more than a minute, and nobody has its place: out all the same
		{1060, 60, 1060, 2},  // takes the place of 1000
		{1000, 600, 1060, 2},
		{1010, 60, 1060, 3}, // late, but not too late
		{1200, 30, 1200, 0.5},
		{1200, 0, 1199, 0}, // of a second to come
		{1200, 0, 1260, 0},
	}
	for i, s := range steps {
		r.Add(s.at, s.n)
		if got := r.PerSecond(s.now); got != s.want {
			t.Errorf("step %d: %v, want %v", i, got, s.want)
		}
	}
}

// TestRateTwin compares with keeping every event.
func TestRateTwin(t *testing.T) {
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 5))
		var rate Rate
		events := map[int64]uint64{}
		now := int64(r.IntN(1000))
		for range 500 {
			now += r.Int64N(int64(1) << r.IntN(7))
			at := max(0, now-r.Int64N(30))
			n := r.Uint64N(10)
			events[at] += n
			rate.Add(at, n)
			sum := uint64(0)
			for s := now - 59; s <= now; s++ {
				sum += events[s]
			}
			if got := rate.PerSecond(now); got != float64(sum)/60 {
				t.Fatalf("seed %d: %v, want %d/60", seed, got, sum)
			}
		}
	}
}
