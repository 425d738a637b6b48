package health

// rateSpan is how many seconds a Rate looks back.
const rateSpan = 60

// A Rate counts events by the second, for the last minute.
type Rate struct {
	Seconds [rateSpan]int64 // which second a count is of
	Counts  [rateSpan]uint64
}

// Add notes n events at a time. One over a minute before the newest is left out.
func (r *Rate) Add(at int64, n uint64) {
	i := ((at % rateSpan) + rateSpan) % rateSpan
	if r.Seconds[i] != at {
		if at < r.Seconds[i] && r.Counts[i] > 0 {
			return
		}
		r.Seconds[i], r.Counts[i] = at, 0
	}
	r.Counts[i] += n
}

// PerSecond is the mean of the 60 seconds that end with the second now. In the
// first minute it is as if there had been nothing before.
func (r *Rate) PerSecond(now int64) float64 {
	sum := 0.0
	for i, s := range r.Seconds {
		if s <= now && s > now-rateSpan {
			sum += float64(r.Counts[i])
		}
	}
	return sum / rateSpan
}
