package daemon

import (
	"cmp"
	"slices"

	"github.com/postmoat/postmoat/pkg/ban"
	"github.com/postmoat/postmoat/pkg/engine"
	"github.com/postmoat/postmoat/pkg/maillog"
)

// counters grow from 0 at the start of the process.
type counters struct {
	lines          uint64
	kinds          [maillog.NumKinds]uint64
	rules          map[string]uint64
	ended          map[string]uint64
	started        map[BanCount]uint64 // N is 0 in the key
	notUnderstood  uint64
	allowHits      uint64
	preventedLines uint64
	packets        uint64
	snapshotErrors uint64
	reaction       histogram
}

func newCounters() counters {
	return counters{
		rules: make(map[string]uint64), ended: make(map[string]uint64), started: make(map[BanCount]uint64),
		reaction: histogram{counts: make([]uint64, len(reactionBounds))},
	}
}

// outcome counts what a line was.
func (n *counters) outcome(out *engine.Outcome) {
	n.kinds[out.Event.Kind]++
	switch out.Verdict {
	case engine.Prevented:
		n.preventedLines++
	case engine.Allowed:
		n.allowHits++
		return
	case engine.Scored:
	default:
		return
	}
	if out.Offences == 0 {
		return
	}
	for d, h := range out.Hits {
		if h == nil {
			continue
		}
		for _, r := range h.Rules {
			if d == 0 || out.Hits[0] == nil || !slices.Contains(out.Hits[0].Rules, r) {
				n.rules[r.Name] += uint64(out.Offences)
			}
		}
	}
}

// start counts a ban that began.
func (n *counters) start(b *ban.Ban) { n.started[banCount(b, b.Why.Kind.String())]++ }

func banCount(b *ban.Ban, label string) BanCount {
	return BanCount{Door: b.Door, Bits: b.Prefix.Bits(), IPv6: !b.Prefix.Addr().Is4(), Label: label}
}

// sortedCounts is a map of counters in the order of labels.
func sortedCounts(m map[string]uint64) []Count {
	out := make([]Count, 0, len(m))
	for k, v := range m {
		out = append(out, Count{k, v})
	}
	slices.SortFunc(out, func(a, b Count) int { return cmp.Compare(a.Label, b.Label) })
	return out
}

func sortedBans(m map[BanCount]uint64) []BanCount {
	out := make([]BanCount, 0, len(m))
	for k, v := range m {
		k.N = v
		out = append(out, k)
	}
	slices.SortFunc(out, func(a, b BanCount) int {
		v6 := func(x BanCount) int {
			if x.IPv6 {
				return 1
			}
			return 0
		}
		return cmp.Or(cmp.Compare(a.Door, b.Door), cmp.Compare(v6(a), v6(b)), cmp.Compare(a.Bits, b.Bits), cmp.Compare(a.Label, b.Label))
	})
	return out
}

// reactionBounds are the bounds of the reaction histogram, seconds.
var reactionBounds = []float64{0.0001, 0.00025, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1, 5}

type histogram struct {
	counts []uint64 // each bound's own, not cumulative
	sum    float64
	n      uint64
}

func (h *histogram) add(seconds float64) {
	seconds = max(seconds, 0)
	i, _ := slices.BinarySearch(reactionBounds, seconds)
	if i < len(h.counts) {
		h.counts[i]++
	}
	h.sum += seconds
	h.n++
}

func (h *histogram) view() Histogram {
	v := Histogram{Bounds: reactionBounds, Buckets: make([]uint64, len(h.counts)), Sum: h.sum, Count: h.n}
	var sum uint64
	for i, n := range h.counts {
		sum += n
		v.Buckets[i] = sum
	}
	return v
}
