package score

import (
	"math/rand/v2"
	"testing"
)

// TestSketch: whatever reaches the limit within an epoch's length is noticed,
// through growing, shrinking and turning; and what is far from it is mostly
// not.
func TestSketch(t *testing.T) {
	const length, limit = 100, 40
	type event struct {
		t     int64
		net   uint64
		units int
	}
	sizes := map[int]bool{}
	for seed := range 20 {
		r := rand.New(rand.NewPCG(uint64(seed), 3))
		var s sketch
		var recent []event
		now, alarms, adds := int64(1000), 0, 0
		held := map[uint64]int{}
		s.turn(now, length)
		for range 60 {
			flood := r.IntN(3) == 0
			n := 40
			if flood {
				n = 6000
			}
			for range n {
				if r.IntN(n) < 20 {
					now += r.Int64N(30)
					s.turn(now, length)
				}
				e := event{now, r.Uint64N(50), 1 + r.IntN(8)}
				if flood && r.IntN(10) > 0 {
					e.net = r.Uint64()
				}
				recent = append(recent, e)
				held[e.net] += e.units
				for recent[0].t <= now-length {
					held[recent[0].net] -= recent[0].units
					recent = recent[1:]
				}
				got := s.add(mix(e.net), e.units, limit)
				if !got && held[e.net] >= limit {
					t.Fatalf("seed %d: %d units of %d, and no alarm", seed, held[e.net], limit)
				}
				if e.net >= 50 {
					adds++
					if got {
						alarms++
					}
				}
				sizes[len(s.cells)] = true
			}
		}
		if alarms*20 > adds {
			t.Errorf("seed %d: %d false alarms in %d", seed, alarms, adds)
		}
	}
	if len(sizes) < 4 {
		t.Errorf("sizes %v: it did not grow and shrink", sizes)
	}
}
