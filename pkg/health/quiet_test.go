package health

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

const hour = 3600

// lines notes a line every step seconds from one time up to another.
func (q *Quiet) lines(from, to, step int64) {
	for at := from; at <= to; at += step {
		q.Line(at)
	}
}

func TestQuiet(t *testing.T) {
	tests := []struct {
		name  string
		lines func(q *Quiet)
		now   int64
		since int64
		habit time.Duration
		ok    bool
	}{
		{"nothing yet", func(*Quiet) {}, 100 * hour, 0, 0, false},
		{"99 lines over more than an hour", func(q *Quiet) { q.lines(0, 98*60, 60) }, 100 * hour, 0, 0, false},
		{"100 lines within less than an hour", func(q *Quiet) { q.lines(0, 99*36, 36) }, 100 * hour, 0, 0, false},
		{"100 lines over an hour, 15 minutes ago", func(q *Quiet) { q.lines(0, 99*60, 60) }, 99*60 + 900, 0, 0, false},
		{"100 lines over an hour, a second more ago", func(q *Quiet) { q.lines(0, 99*60, 60) }, 99*60 + 901, 99 * 60, time.Minute, true},
		{"three times the habit", func(q *Quiet) { q.lines(0, 100*600, 600) }, 60000 + 1800, 0, 0, false},
		{"more than that", func(q *Quiet) { q.lines(0, 100*600, 600) }, 60000 + 1801, 60000, 10 * time.Minute, true},
		{"the clock went back", func(q *Quiet) { q.lines(0, 99*60, 60) }, -5, 0, 0, false},
		{"lines while the clock is back", func(q *Quiet) { q.lines(0, 99*60, 60); q.lines(0, 600, 1) }, 99*60 + 901, 99 * 60, time.Minute, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var q Quiet
			tt.lines(&q)
			since, habit, ok := q.Alarm(tt.now)
			if since != tt.since || habit.Round(time.Second) != tt.habit || ok != tt.ok {
				t.Errorf("since %d, habit %v, %v; want %d, %v, %v", since, habit, ok, tt.since, tt.habit, tt.ok)
			}
		})
	}
}

// TestQuietNights: a source that sleeps six hours every night raises an alarm
// in the first nights, then no more; but still one when it sleeps through the day.
func TestQuietNights(t *testing.T) {
	var q Quiet
	var alarms []int
	for day := range int64(7) {
		morning := day * 24 * hour
		if _, _, ok := q.Alarm(morning - 1); ok {
			alarms = append(alarms, int(day))
		}
		q.lines(morning, morning+18*hour, 60)
	}
	// From one morning to the evening the habit decays by 2^(-18/48) = 0.771, so
	// the limits are 15 min, 15*3*0.771 = 35 min, 80 min and 186 min: four alarms.
	// The fifth night is within 7.2 hours.
	if want := []int{1, 2, 3, 4}; !slices.Equal(alarms, want) {
		t.Errorf("alarms in the nights before days %v, want %v", alarms, want)
	}
	evening := int64(6*24*hour + 18*hour)
	if _, _, ok := q.Alarm(evening + 18*hour + 1); !ok {
		t.Error("no alarm after 18 hours")
	}
}

// TestQuietForgets: after an outage the habit is halved every two days.
func TestQuietForgets(t *testing.T) {
	var q Quiet
	q.lines(0, 2*hour, 60)
	q.Line(3 * hour) // learnt as 15 minutes
	if q.Longest != 900 {
		t.Fatalf("an hour's gap after a habit of a minute is learnt as %v s, want 900", q.Longest)
	}
	q.lines(3*hour+60, 3*hour+2*24*hour, 60)
	if math.Abs(q.Longest-450) > 1e-6 {
		t.Errorf("two days later: %v s, want 450", q.Longest)
	}
}

// TestQuietTwin compares with the definition: the maximum over all gaps, each
// decayed by its age.
func TestQuietTwin(t *testing.T) {
	for seed := range uint64(10) {
		r := rand.New(rand.NewPCG(seed, 1))
		var q Quiet
		type gap struct {
			end    int64
			length float64
		}
		var gaps []gap
		habit := func(now int64) float64 {
			most := 0.0
			for _, g := range gaps {
				most = max(most, g.length*math.Pow(0.5, float64(now-g.end)/float64(2*24*hour)))
			}
			return most
		}
		first, last := int64(0), int64(0)
		for i := range 300 {
			at := last + r.Int64N(int64(1)<<r.IntN(17))
			if i == 0 {
				first = at
			} else if at > last {
				gaps = append(gaps, gap{at, min(float64(at-last), max(15*60, 3*habit(last)))})
			}
			q.Line(at)
			last = at
			now := last + r.Int64N(3*24*hour)
			since, got, ok := q.Alarm(now)
			limit := max(15*60, 3*habit(last))
			if math.Abs(float64(now-last)-limit) < 1 {
				continue // too near to call for two ways of rounding
			}
			want := i >= 99 && last-first >= hour && float64(now-last) > limit
			if ok != want || ok && (since != last || math.Abs(got.Seconds()-habit(last)) > 1e-3) {
				t.Fatalf("seed %d, line %d: since %d, habit %v, %v; want %d, %v s, %v", seed, i, since, got, ok, last, habit(last), want)
			}
		}
	}
}
