package health

import (
	"math"
	"math/rand/v2"
	"testing"
)

// A stretch is lines every second (or all in one), whose stamps are apart from
// the wall clock by some seconds.
type stretch struct {
	lines  int
	apart  int64
	jitter int64 // up to so many seconds more or less, by turns
	still  bool  // all in the same second
}

func TestSkew(t *testing.T) {
	tests := []struct {
		name      string
		stretches []stretch
		zone      int64
		wrong     int64
	}{
		{"in step", []stretch{{100, 0, 2, false}}, 0, 0},
		{"two minutes late", []stretch{{100, 120, 0, false}}, 0, 0},
		{"two minutes early", []stretch{{100, -120, 0, false}}, 0, 0},
		{"an hour behind, 19 lines", []stretch{{19, 3600, 0, false}}, 0, 0},
		{"an hour behind, 20 lines", []stretch{{20, 3600, 0, false}}, 3600, 0},
		{"an hour ahead, within a minute", []stretch{{20, -3600, 60, false}}, -3600, 0},
		{"61 seconds beside the hour", []stretch{{20, 3661, 0, false}}, 0, 3661},
		{"Nepal", []stretch{{20, -(5*3600 + 45*60), 1, false}}, -20700, 0},
		{"14 hours", []stretch{{20, 14 * 3600, 1, false}}, 50400, 0},
		{"14 hours and a quarter", []stretch{{20, 14*3600 + 900, 1, false}}, 0, 14*3600 + 900},
		{"all within a second", []stretch{{1000, 3600, 0, true}}, 0, 0},
		{"summer time ends", []stretch{{20, 7200, 1, false}, {20, 3600, 1, false}}, 3600, 0},
		{"mended", []stretch{{50, 7200, 1, false}, {20, 1, 1, false}}, 0, 0},
		{"mended, 19 lines ago", []stretch{{50, 7200, 1, false}, {19, 1, 0, false}}, 7200, 0},
		{"one line in between", []stretch{{19, 3600, 0, false}, {1, 0, 0, false}, {19, 3600, 0, false}}, 0, 0},
		{"clock wrong", []stretch{{20, 121, 0, false}}, 0, 121},
		{"clock wrong by changing amounts", []stretch{{19, 200, 0, false}, {19, 300, 0, false}, {19, 400, 0, false}}, 0, 0},
		{"clock set right", []stretch{{20, -500, 3, false}, {20, 0, 0, false}}, 0, 0},
		{"clock wrong in another zone", []stretch{{20, 3600, 0, false}, {20, 4000, 0, false}}, 3600, 4000},
		{"and right again", []stretch{{20, 3600, 0, false}, {20, 4000, 0, false}, {20, 3600, 0, false}}, 3600, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var s Skew
			wall := int64(1_700_000_000)
			for _, st := range tt.stretches {
				for i := range st.lines {
					apart := st.apart
					if st.jitter > 0 && i > 0 { // the first one is the anchor of a wrong clock
						apart += st.jitter * int64(i%3-1)
					}
					s.Line(wall-apart, wall)
					if !st.still {
						wall++
					}
				}
			}
			zone, zoned := s.Offset()
			wrong, skewed := s.Skewed()
			if zone != tt.zone || zoned != (tt.zone != 0) || wrong != tt.wrong || skewed != (tt.wrong != 0) {
				t.Errorf("offset %d, %v, skewed %d, %v; want %d and %d", zone, zoned, wrong, skewed, tt.zone, tt.wrong)
			}
		})
	}
}

// TestSkewTwin looks back over all lines after each of them.
func TestSkewTwin(t *testing.T) {
	type line struct{ stamp, wall int64 }
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 3))
		var s Skew
		var lines []line
		var zone, wrong int64
		wall, apart := int64(1_700_000_000), int64(0)
		for range 300 {
			if r.IntN(40) == 0 {
				apart = []int64{0, 100, 130, 300, 500, 900, 3600, -7200, 3630, 3650, 51000}[r.IntN(11)]
			}
			wall += r.Int64N(2)
			l := line{wall - apart - r.Int64N(12), wall}
			lines = append(lines, l)
			s.Line(l.stamp, l.wall)

			// How far back do the lines agree on a multiple?
			for k := int64(-60); k <= 60; k++ {
				near := int64(60)
				if k == 0 {
					near = 120
				} else if k > 56 || k < -56 {
					continue
				}
				run := 0
				for i := len(lines) - 1; i >= 0; i-- {
					if d := lines[i].wall - lines[i].stamp - k*900; d > near || d < -near {
						break
					}
					run++
				}
				if run >= 20 {
					f := lines[len(lines)-run]
					if l.wall-f.wall > 1 && l.stamp-f.stamp > 1 {
						zone, wrong = k*900, 0
					}
				}
			}
			// No multiple: the lines since the last that had one, or that was over
			// a minute from the first of the rest.
			beside := func(l line) bool {
				d := l.wall - l.stamp
				if d >= -120 && d <= 120 {
					return false
				}
				for k := int64(-56); k <= 56; k++ {
					if e := d - k*900; k != 0 && e >= -60 && e <= 60 {
						return false
					}
				}
				return true
			}
			first := -1
			for i, l := range lines {
				switch {
				case !beside(l):
					first = -1
				case first < 0:
					first = i
				default:
					f := lines[first]
					if e := (l.wall - l.stamp) - (f.wall - f.stamp); e > 60 || e < -60 {
						first = i
					}
				}
			}
			if first >= 0 && len(lines)-first >= 20 {
				if f := lines[first]; l.wall-f.wall > 1 && l.stamp-f.stamp > 1 {
					wrong = f.wall - f.stamp
				}
			}
			gotZone, _ := s.Offset()
			gotWrong, _ := s.Skewed()
			if gotZone != zone || gotWrong != wrong {
				t.Fatalf("seed %d, line %d: offset %d, skewed %d; want %d, %d", seed, len(lines), gotZone, gotWrong, zone, wrong)
			}
		}
	}
}

func TestSkewNonsense(t *testing.T) {
	var s Skew
	for i := range int64(100) {
		s.Line(math.MinInt64+i, math.MaxInt64-i)
		s.Line(1_700_000_000+i, 1_700_003_600+i)
		s.Line(math.MaxInt64-i, i)
	}
	if zone, ok := s.Offset(); zone != 3600 || !ok {
		t.Errorf("offset %d, %v; want 3600: what is no time does not count", zone, ok)
	}
}
