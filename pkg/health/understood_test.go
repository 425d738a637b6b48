package health

import (
	"math"
	"math/rand/v2"
	"testing"
)

func TestUnderstood(t *testing.T) {
	type step struct {
		understood, not uint64
		ok              bool
	}
	tests := []struct {
		name  string
		steps []step
	}{
		{"nothing", []step{{0, 0, false}}},
		{"all strange, but few", []step{{0, 199, false}}},
		{"all strange", []step{{0, 199, false}, {0, 1, true}}},
		{"5 % of 200", []step{{190, 10, false}}},
		{"5.5 % of 200", []step{{189, 11, true}}},
		// 2,000 lines after 11 of 200: the old ones weigh half.
		{"stays until it is under 3 %", []step{{189, 11, true}, {1940, 60, true}, {0, 0, true}, {2000, 0, false}, {1920, 80, false}}},
		{"a new version of Postfix", []step{{1_000_000, 0, false}, {0, 100, false}, {0, 100, true}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var u Understood
			for i, s := range tt.steps {
				u.Add(s.understood, s.not)
				if share, ok := u.Alarm(); ok != s.ok {
					t.Errorf("step %d: share %.4f, alarm %v, want %v", i, share, ok, s.ok)
				}
			}
		})
	}
}

// TestUnderstoodShare has shares from paper: after a half-life of lines of the
// other kind from a long steady state, half is left.
func TestUnderstoodShare(t *testing.T) {
	var u Understood
	u.Add(0, 1_000_000)
	u.Add(2000, 0)
	if share, ok := u.Alarm(); math.Abs(share-0.5) > 1e-9 || !ok {
		t.Errorf("share %v, %v; want 0.5, true", share, ok)
	}
	u.Add(6000, 0)
	if share, ok := u.Alarm(); math.Abs(share-0.0625) > 1e-9 || !ok {
		t.Errorf("share %v, %v; want 1/16, true", share, ok)
	}
	u.Add(2000, 0)
	if share, ok := u.Alarm(); math.Abs(share-0.03125) > 1e-9 || !ok {
		t.Errorf("share %v, %v; want 1/32, true: it is over 3 %% still", share, ok)
	}
	u.Add(200, 0)
	if share, ok := u.Alarm(); share > 0.03 || ok {
		t.Errorf("share %v, %v; want under 0.03 and no alarm", share, ok)
	}
}

// TestUnderstoodTwin compares with weighing every line by its age.
func TestUnderstoodTwin(t *testing.T) {
	for seed := range uint64(8) {
		r := rand.New(rand.NewPCG(seed, 2))
		var u Understood
		var lines []float64 // how much of each was not understood
		raised := false
		for i := range 40 {
			n := 1 + r.Uint64N(uint64(1)<<r.IntN(9))
			not := uint64(0)
			if seed%2 == 0 || i%20 > 8 {
				not = r.Uint64N(n/4 + 1)
			}
			u.Add(n-not, not)
			for range n {
				lines = append(lines, float64(not)/float64(n))
			}
			weight, sum := 0.0, 0.0
			for j, x := range lines {
				w := math.Pow(0.5, float64(len(lines)-1-j)/2000)
				weight += w
				sum += w * x
			}
			want := sum / weight
			if len(lines) >= 200 {
				raised = want > 0.05 || raised && want >= 0.03
			}
			share, ok := u.Alarm()
			if math.Abs(share-want) > 1e-9 || ok != raised {
				t.Fatalf("seed %d, step %d: %v, %v; want %v, %v", seed, i, share, ok, want, raised)
			}
		}
	}
}

func TestUnderstoodHuge(t *testing.T) {
	var u Understood
	u.Add(math.MaxUint64, math.MaxUint64)
	u.Add(math.MaxUint64, math.MaxUint64)
	if share, ok := u.Alarm(); math.Abs(share-0.5) > 1e-9 || !ok {
		t.Errorf("share %v, %v; want 0.5, true", share, ok)
	}
}

// TestOver: a share means something once 200 lines were seen.
func TestOver(t *testing.T) {
	var u Understood
	if u.Over(0) {
		t.Error("no line, and some of them are not understood")
	}
	u.Add(0, 199)
	if u.Over(0.5) {
		t.Error("199 lines are enough")
	}
	if u.Add(0, 1); !u.Over(0.5) {
		t.Error("200 lines of 200 are not over a half")
	}
	u.Add(1000, 0)
	if u.Over(0.5) || !u.Over(0.05) {
		t.Error("200 lines of 1,200 are over a half, or not over a twentieth")
	}
}
